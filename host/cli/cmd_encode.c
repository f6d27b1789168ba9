/* engram encode: files, directories, archives and streams into an engram. */
#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "cli/census.h"
#include "cli/cli.h"
#include "ingest/ingest.h"
#include "ingest/source.h"

enum { LABEL_SIZE_MAX = 512, EXCLUDES_SIZE_MAX = 64 << 20 };

static const eg_option options[] = {
    {"directory", 'C', "DIR", "take INPUTs from DIR; stored paths are as given"},
    {"unpack", 0, NULL, "INPUTs are archives: store their members"},
    {"name", 0, "PATH", "stored path of standard input ('-'); default stdin"},
    {"exclude", 0, "GLOB", "leave out what matches; may be repeated"},
    {"exclude-from", 0, "FILE",
     "the same, a glob a line; empty lines and lines with # are passed over"},
    {"one-file-system", 0, NULL, "do not enter other file systems"},
    {"mirror", 0, NULL, "remove from the stored directories what the inputs no longer hold"},
    {"level", 0, "N", "1 (fast) to 9 (small), for this run; default: the engram's"},
    {"label", 0, "TEXT", "label of the version; default: the time and the inputs"},
    {0},
};

typedef struct encoding {
    eg_cli *cli;
    eg_issues issues;
    eg_census census;
    const char **excludes;
    size_t exclude_count;
    uint8_t *exclude_text; /* of --exclude-from */
    bool unpack, created;
    const char *base, *name;
    eg_source_options source;
    eg_ingest_options ingest;
    eg_ingest_stats stats;
    char label[LABEL_SIZE_MAX];
} encoding;

static void on_progress(void *context, const eg_ingest_stats *stats)
{
    encoding *e = context;
    uint64_t total = stats->files_unchanged == 0 ? eg_census_total(&e->census) : 0;
    eg_progress_show(&e->cli->progress, stats->bytes_in, total, stats->bytes_stored);
}

static void on_issue(void *context, const char *path, const char *reason)
{
    encoding *e = context;
    eg_issues_add(&e->issues, path, reason);
}

/* Adds the lines of text, which is cut into strings in place. */
static engram_status add_lines(encoding *e, char *text, size_t size, engram_error *error)
{
    size_t capacity = e->exclude_count;
    for (char *line = text, *end = text + size; line < end;) {
        size_t length = strcspn(line, "\n");
        line[length] = 0;
        if (length != 0 && *line != '#') {
            if (!eg_grow((void **)&e->excludes, &capacity, e->exclude_count + 1,
                         sizeof *e->excludes))
                return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
            e->excludes[e->exclude_count++] = line;
        }
        line += length + 1;
    }
    return ENGRAM_OK;
}

static engram_status read_excludes(encoding *e, engram_error *error)
{
    const char *file = eg_option_text(e->cli, "exclude-from");
    size_t size = 0;
    engram_error inner = {0};
    EG_TRY(eg_option_texts(e->cli, "exclude", &e->excludes, &e->exclude_count, error));
    if (file == NULL)
        return ENGRAM_OK;
    engram_status status =
        eg_io_read_file(eg_io_posix(), file, EXCLUDES_SIZE_MAX, &e->exclude_text, &size, &inner);
    if (status != ENGRAM_OK)
        return eg_fail(error, status == ENGRAM_NOT_FOUND ? ENGRAM_IO : status, "--exclude-from: %s",
                       inner.message);
    return add_lines(e, (char *)e->exclude_text, size, error);
}

static void choose_label(encoding *e)
{
    char time[EG_TEXT_SIZE];
    const char *label = eg_option_text(e->cli, "label");
    uint64_t now = eg_clock_wall_ns();
    if (label != NULL) {
        snprintf(e->label, sizeof e->label, "%s", label);
        return;
    }
    eg_text_time(time, (int64_t)(now / 1000000000), 0, false);
    size_t size = (size_t)snprintf(e->label, sizeof e->label, "%s", time);
    for (int i = 0; i < e->cli->operand_count && size < sizeof e->label; i++)
        size +=
            (size_t)snprintf(e->label + size, sizeof e->label - size, " %s", e->cli->operands[i]);
}

static engram_status read_options(encoding *e, engram_error *error)
{
    eg_cli *cli = e->cli;
    uint64_t level = 0;
    int streams = 0;
    EG_TRY(eg_option_number(cli, "level", 1, 9, &level, error));
    EG_TRY(eg_cli_memory(cli, &e->ingest.memory, error));
    EG_TRY(read_excludes(e, error));
    for (int i = 0; i < cli->operand_count; i++)
        streams += strcmp(cli->operands[i], "-") == 0;
    if (streams > 1)
        return eg_fail(error, ENGRAM_INVALID, "-: standard input can be read only once");
    e->base = eg_option_text(cli, "directory");
    e->name = eg_option_text(cli, "name");
    e->name = e->name != NULL ? e->name : "stdin";
    e->unpack = eg_option_flag(cli, "unpack");
    choose_label(e);
    e->ingest.level = (int)level;
    e->ingest.mirror = eg_option_flag(cli, "mirror");
    e->ingest.label = e->label;
    e->ingest.cancel = &eg_signals_cancel;
    e->ingest.progress = on_progress;
    e->ingest.issue = on_issue;
    e->ingest.context = e;
    e->source.excludes = e->excludes;
    e->source.exclude_count = e->exclude_count;
    e->source.one_file_system = eg_option_flag(cli, "one-file-system");
    e->source.issue = on_issue;
    e->source.context = e;
    return ENGRAM_OK;
}

/* Opens the engram, or makes one where there is nothing at all. */
static engram_status open_engram(encoding *e, engram_error *error)
{
    const char *dir = NULL;
    struct stat st;
    EG_TRY(eg_cli_dir(e->cli, &dir, error));
    if (!eg_engram_is_there(eg_io_posix(), dir)) {
        engram_error inner = {0};
        engram_status status =
            eg_engram_create(eg_io_posix(), dir, &eg_engram_config_default, &inner);
        if (status != ENGRAM_OK) /* a directory that holds something else is no engram */
            return eg_fail(error, status == ENGRAM_INVALID ? ENGRAM_NOT_ENGRAM : status, "%s",
                           inner.message);
        eg_output_say(e->cli, "%s: a new engram\n", dir);
        e->created = true;
    }
    EG_TRY(eg_cli_open(e->cli, false, error));
    if (stat(dir, &st) == 0) {
        e->source.skip_device = st.st_dev;
        e->source.skip_inode = st.st_ino;
    }
    return ENGRAM_OK;
}

static engram_status open_archive(encoding *e, const char *input, eg_source **source,
                                  engram_error *error)
{
    bool is_stream = strcmp(input, "-") == 0;
    eg_buffer prefix = {0};
    engram_status status = eg_stored_path(is_stream ? e->name : input, &prefix, error);
    if (status == ENGRAM_OK) {
        eg_write_u8(&prefix, 0);
        status = prefix.failed ? eg_fail(error, ENGRAM_NO_MEMORY, "out of memory") : ENGRAM_OK;
    }
    if (status == ENGRAM_OK)
        status =
            eg_source_open_archive(eg_io_posix(), e->base, input, is_stream ? STDIN_FILENO : -1,
                                   (const char *)prefix.data, &e->source, source, error);
    eg_buffer_fini(&prefix);
    return status;
}

static engram_status open_source(encoding *e, const char *input, eg_source **source,
                                 engram_error *error)
{
    if (e->unpack)
        return open_archive(e, input, source, error);
    if (strcmp(input, "-") == 0)
        return eg_source_open_stream(eg_io_posix(), STDIN_FILENO, e->name, &e->source, source,
                                     error);
    return eg_source_open_path(eg_io_posix(), e->base, input, &e->source, source, error);
}

/* What a sentence says behind the input's name, which is named anyway. */
static const char *reason_of(const char *message, const char *input)
{
    const char *at = strstr(message, input);
    at = at != NULL ? at + strlen(input) : message;
    return strncmp(at, ": ", 2) == 0 ? at + 2 : message;
}

/* An input that cannot be opened is named, and the rest goes on. */
static engram_status encode_input(encoding *e, eg_ingest *ingest, const char *input,
                                  engram_error *error)
{
    eg_source *source = NULL;
    engram_error inner = {0};
    engram_status status = open_source(e, input, &source, &inner);
    if (status == ENGRAM_NO_MEMORY)
        return eg_fail(error, status, "%s", inner.message);
    if (status != ENGRAM_OK) {
        on_issue(e, input, reason_of(inner.message, input));
        return ENGRAM_OK;
    }
    inner = (engram_error){0};
    status = eg_ingest_source(ingest, source, &inner);
    source->close(source);
    if (status == ENGRAM_PARTIAL)
        on_issue(e, input, reason_of(inner.message, input));
    else if (status != ENGRAM_OK)
        eg_fail(error, status, "%s", inner.message);
    return status == ENGRAM_PARTIAL ? ENGRAM_OK : status;
}

static engram_status encode_all(encoding *e, engram_error *error)
{
    eg_cli *cli = e->cli;
    eg_ingest *ingest = NULL;
    engram_error late = {0};
    EG_TRY(eg_ingest_start(cli->engram, cli->device, cli->pool, &e->ingest, &ingest, error));
    engram_status status = ENGRAM_OK;
    for (int i = 0; i < cli->operand_count && status == ENGRAM_OK; i++)
        status = encode_input(e, ingest, cli->operands[i], error);
    engram_status finish = eg_ingest_finish(&ingest, &e->stats, &late);
    if (status == ENGRAM_OK && finish != ENGRAM_OK)
        *error = late;
    return status != ENGRAM_OK ? status : finish;
}

static void fill_document(encoding *e, double seconds)
{
    const eg_ingest_stats *s = &e->stats;
    json_t *d = e->cli->document;
    eg_device_stats device;
    eg_device_get_stats(e->cli->device, &device);
    eg_json_put_number(d, "files", s->files);
    eg_json_put_number(d, "files_unchanged", s->files_unchanged);
    eg_json_put_number(d, "entries", s->entries);
    eg_json_put_number(d, "removed", s->removed);
    eg_json_put_number(d, "bytes_in", s->bytes_in);
    eg_json_put_number(d, "chunks", s->chunks);
    eg_json_put_number(d, "chunks_new", s->chunks_new);
    eg_json_put_number(d, "bytes_stored", s->bytes_stored);
    eg_json_put_number(d, "batches", s->batches);
    eg_json_put(d, "seconds", json_real(seconds));
    eg_json_put(d, "bytes_per_second", json_real(eg_ratio((double)s->bytes_in, seconds)));
    eg_json_put(d, "files_per_second", json_real(eg_ratio((double)s->files, seconds)));
    eg_json_put(d, "ratio", json_real(eg_ratio((double)s->bytes_in, (double)s->bytes_stored)));
    eg_json_put(d, "device", json_string(eg_device_get_info(e->cli->device)->spec));
    eg_json_put(d, "device_used", json_string(device.device_used));
    eg_json_put_number(d, "fallback_batches", device.fallback_batches);
    if (s->version != 0)
        eg_json_put_number(d, "version", s->version);
    eg_json_put(d, "created", json_boolean(e->created));
    eg_json_put_number(d, "issue_count", e->issues.count);
    eg_json_put(d, "issues", json_incref(e->issues.list));
}

static void say_summary(encoding *e, double seconds)
{
    const eg_ingest_stats *s = &e->stats;
    char in[EG_TEXT_SIZE], stored[EG_TEXT_SIZE], rate[EG_TEXT_SIZE];
    eg_cli *cli = e->cli;
    eg_output_say(cli, "%" PRIu64 " files (%" PRIu64 " unchanged) of %" PRIu64 " entries", s->files,
                  s->files_unchanged, s->entries);
    if (s->removed != 0)
        eg_output_say(cli, ", %" PRIu64 " removed", s->removed);
    eg_output_say(cli, "\n%s read, %" PRIu64 " chunks, %" PRIu64 " of them new: %s stored",
                  eg_text_bytes(in, s->bytes_in), s->chunks, s->chunks_new,
                  eg_text_bytes(stored, s->bytes_stored));
    if (s->bytes_stored != 0)
        eg_output_say(cli, " (%.2f:1)", (double)s->bytes_in / (double)s->bytes_stored);
    eg_output_say(cli, "\n%.2f s, %s, version %" PRIu64 "\n", seconds,
                  eg_text_rate(rate, s->bytes_in, seconds), s->version);
}

/* A run that was cut short says what holds all the same. */
static void explain_stop(encoding *e, engram_status status, engram_error *error)
{
    const eg_ingest_stats *s = &e->stats;
    char in[EG_TEXT_SIZE];
    if (status == ENGRAM_CANCELLED)
        snprintf(error->message, sizeof error->message,
                 "interrupted: %" PRIu64
                 " files (%s) are committed and stay; run the same command again to go on",
                 s->files, eg_text_bytes(in, s->bytes_in));
    else if (s->batches != 0)
        eg_output_note(e->cli, "%" PRIu64 " files (%s) were committed before this and stay",
                       s->files, eg_text_bytes(in, s->bytes_in));
}

/* A run that found everything stored already made no version: its answer is the one that stands. */
static engram_status name_newest(encoding *e, engram_error *error)
{
    eg_version newest;
    EG_TRY(eg_engram_pin(e->cli->engram, &newest, error));
    e->stats.version = newest.number;
    eg_version_release(&newest);
    return ENGRAM_OK;
}

/* The engram is closed, and so everything is durable, before the time is taken. */
static engram_status encode_and_close(encoding *e, engram_error *error)
{
    eg_cli *cli = e->cli;
    engram_error late = {0};
    eg_signals_defer();
    eg_census_start(&e->census, e->base, cli->operands,
                    cli->progress.enabled && !e->unpack ? cli->operand_count : 0);
    engram_status status = encode_all(e, error);
    eg_census_stop(&e->census);
    if (status == ENGRAM_OK && e->stats.version == 0)
        status = name_newest(e, error);
    engram_status closing = eg_engram_close(&cli->engram, &late);
    double seconds = eg_seconds_since(cli->start_ns);
    fill_document(e, seconds);
    if (status == ENGRAM_OK && closing != ENGRAM_OK) {
        *error = late;
        return closing;
    }
    if (status == ENGRAM_OK)
        say_summary(e, seconds);
    else
        explain_stop(e, status, error);
    return status == ENGRAM_OK && e->issues.count != 0 ? ENGRAM_PARTIAL : status;
}

static engram_status run(eg_cli *cli, engram_error *error)
{
    encoding e = {.cli = cli};
    eg_issues_init(&e.issues, cli);
    engram_status status = read_options(&e, error);
    if (status == ENGRAM_OK)
        status = eg_cli_open_device(cli, error);
    if (status == ENGRAM_OK)
        status = open_engram(&e, error);
    if (status == ENGRAM_OK)
        status = encode_and_close(&e, error);
    eg_free(e.excludes);
    eg_free(e.exclude_text);
    eg_issues_fini(&e.issues);
    return status;
}

const eg_command eg_command_encode = {
    .name = "encode",
    .operands = "INPUT...",
    .summary = "Store files, directories, archives and streams",
    .details =
        "Stored paths are the INPUTs as given, without a leading / and without anything up to the\n"
        "last ../, as tar does. A directory is stored with all below it. A regular file is stored "
        "as\n"
        "that file, byte for byte, also when it is an archive; with --unpack each INPUT is read as "
        "an\n"
        "archive (tar, zip, cpio, 7z, ..., also compressed) and its members are stored below the\n"
        "archive's own path. '-' is standard input: a file named by --name, or with --unpack an "
        "archive.\n\n"
        "What is unchanged since the last run (device, inode, size, mode, owner, mtime, ctime) is "
        "not\n"
        "read again. Content that is stored already is not stored twice. The run becomes one "
        "labelled\n"
        "version. An interrupted run keeps what it committed; the same command goes on from "
        "there.\n\n"
        "A directory that is not there yet becomes an engram with the defaults of init. The "
        "engram's\n"
        "own directory is passed over. Inputs that cannot be read are named, the rest is stored, "
        "and\n"
        "the exit code is 3. A GLOB without / matches names, one with / the stored path (from its\n"
        "start with a leading /); with a trailing / directories only.\n",
    .examples = "  engram encode -e my.engram /etc /usr/share\n"
                "  engram encode -e my.engram -C /srv/data --mirror --exclude '*.o' .\n"
                "  engram encode -e my.engram --unpack release-1.0.tar.xz\n"
                "  pg_dump db | engram encode -e my.engram --name dumps/db.sql -\n",
    .options = options,
    .operand_min = 1,
    .operand_max = -1,
    .run = run,
};
