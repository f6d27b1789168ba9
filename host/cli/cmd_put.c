/* engram put: one file, from a file or a stream, if it is what it was expected to be. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"

enum { POLL_MS = 1000 };

static const eg_option options[] = {
    EG_OPTION_EXPECT,
    {"mode", 0, "MODE", "permissions, as 0644; default: as they are, 0644 for a new file"},
    {"parents", 'p', NULL, "make the directories above PATH that are missing"},
    EG_OPTION_DURABILITY,
    {0},
};

typedef struct input {
    eg_cli *cli;
    const char *name;
    int fd;
    uint64_t done, total; /* total 0: unknown */
} input;

static engram_status refuse(const input *in, int os_error, engram_error *error)
{
    return eg_fail(error, ENGRAM_PARTIAL, "%s: cannot be read: %s; nothing was stored", in->name,
                   strerrordesc_np(os_error));
}

/* A signal ends the waiting for a pipe or a terminal that may never say anything more. */
static engram_status wait_for_bytes(const input *in, engram_error *error)
{
    struct pollfd waiting = {.fd = in->fd, .events = POLLIN};
    while (!atomic_load(&eg_signals_cancel)) {
        int ready = poll(&waiting, 1, POLL_MS);
        if (ready > 0)
            return ENGRAM_OK;
        if (ready < 0 && errno != EINTR)
            return refuse(in, errno, error);
    }
    return eg_fail(error, ENGRAM_CANCELLED, "interrupted; nothing was stored");
}

static engram_status read_piece(void *context, void *bytes, size_t size, size_t *got,
                                engram_error *error)
{
    input *in = context;
    for (;;) {
        EG_TRY(wait_for_bytes(in, error));
        ssize_t taken = read(in->fd, bytes, size);
        if (taken < 0 && errno != EINTR && errno != EAGAIN)
            return refuse(in, errno, error);
        if (taken < 0)
            continue;
        *got = (size_t)taken;
        in->done += *got;
        eg_progress_show(&in->cli->progress, in->done, in->total, 0);
        return ENGRAM_OK;
    }
}

static engram_status open_input(eg_cli *cli, input *in, engram_error *error)
{
    struct stat st;
    bool is_stream = cli->operand_count < 2 || strcmp(cli->operands[1], "-") == 0;
    *in = (input){.cli = cli, .name = is_stream ? "standard input" : cli->operands[1]};
    in->fd = is_stream ? STDIN_FILENO : open(in->name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (in->fd < 0 || fstat(in->fd, &st) != 0)
        return refuse(in, errno, error);
    if (S_ISDIR(st.st_mode))
        return eg_fail(error, ENGRAM_PARTIAL,
                       "%s: is a directory; 'engram encode' stores directories", in->name);
    in->total = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    if (is_stream && isatty(in->fd) && !cli->quiet)
        eg_output_note(cli, "reading from the terminal; end with ctrl-D");
    return ENGRAM_OK;
}

typedef struct target {
    eg_stored_name path;
    eg_access_content content;
} target;

static engram_status read_target(eg_cli *cli, target *t, engram_error *error)
{
    const char *operand = cli->operands[0];
    size_t size = strlen(operand);
    t->content = (eg_access_content){.source = read_piece,
                                     .mode = UINT32_MAX,
                                     .parents = eg_option_flag(cli, "parents")};
    EG_TRY(eg_option_mode(cli, "mode", &t->content.mode, error));
    EG_TRY(eg_path_operand(operand, &t->path, error));
    if (t->path.text[0] == 0 || operand[size - 1] == '/')
        return eg_fail(error, ENGRAM_INVALID, "%s: names a directory; name the file in it",
                       size != 0 ? operand : "''");
    return ENGRAM_OK;
}

static engram_status put(eg_cli *cli, const target *t, engram_error *error)
{
    eg_cli_edit edit;
    struct engram_stat stat;
    uint64_t version = 0;
    char size[EG_TEXT_SIZE], token[EG_TOKEN_SIZE];
    EG_TRY(eg_cli_edit_begin(cli, &edit, error));
    eg_signals_defer();
    engram_status status =
        eg_access_put(edit.edit, t->path.text, &t->content, &edit.expected, error);
    EG_TRY(eg_cli_edit_end(&edit, status, &version, error));
    EG_TRY(eg_cli_edit_report(cli, t->path.text, version, &stat, error));
    eg_output_say_path(cli, t->path.text);
    eg_output_say(cli, ": %s, version %" PRIu64 ", token %s\n", eg_text_bytes(size, stat.size),
                  version, eg_entry_token(&stat, token));
    return ENGRAM_OK;
}

static engram_status run(eg_cli *cli, engram_error *error)
{
    target t;
    input in;
    EG_TRY(read_target(cli, &t, error));
    engram_status status = open_input(cli, &in, error);
    t.content.context = &in;
    if (status == ENGRAM_OK)
        status = put(cli, &t, error);
    if (in.fd > STDERR_FILENO)
        close(in.fd);
    return status;
}

const eg_command eg_command_put = {
    .name = "put",
    .operands = "PATH [FILE|-]",
    .summary = "Store one file, or replace it",
    .details =
        "Stores the bytes of FILE, or of standard input, as PATH: as one commit, or not at all. "
        "Other\n"
        "versions keep what was there. With --expect it is stored only if PATH is still what the "
        "caller\n"
        "knows: the TOKEN that 'engram stat' or an earlier put printed (INODE.VERSION, or VERSION "
        "alone),\n"
        "or 'none' for a file that must not be there yet; else nothing is changed and the exit "
        "code is 4.\n",
    .examples = "  engram put -e my.engram notes/plan.txt plan.txt\n"
                "  date | engram put -e my.engram -p log/today\n"
                "  engram put -e my.engram --expect 17.42 notes/plan.txt plan.txt\n",
    .options = options,
    .operand_min = 1,
    .operand_max = 2,
    .is_remote = true,
    .run = run,
};
