/* What a run prints: one document for programs, lines for people, and how it ended. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>

#include "base/clock.h"
#include "base/memory.h"
#include "cli/cli.h"

enum { LINE_MAX_SIZE = 4096 };

static atomic_bool incomplete; /* memory ran out while a document was printed */

/* Members of an object without its braces. */
static void print_members(const json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9));
    if (text == NULL)
        atomic_store(&incomplete, true);
    else
        fwrite(text + 1, 1, strlen(text) - 2, stdout);
    eg_free(text);
}

void eg_output_list_begin(eg_cli *cli, const char *name)
{
    fputc('{', stdout);
    print_members(cli->document);
    printf("%s\"%s\":[", json_object_size(cli->document) != 0 ? "," : "", name);
    json_object_clear(cli->document);
    cli->streaming = true;
}

void eg_output_list_item(eg_cli *cli, json_t *item)
{
    fputs(cli->streamed ? ",\n" : "\n", stdout);
    if (item == NULL || json_dumpf(item, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9)) != 0)
        atomic_store(&incomplete, true);
    json_decref(item);
    cli->streamed = true;
}

engram_status eg_output_check(void)
{
    return ferror(stdout) ? ENGRAM_IO : ENGRAM_OK;
}

void eg_output_say(eg_cli *cli, const char *format, ...)
{
    va_list args;
    if (cli->json || cli->quiet)
        return;
    eg_progress_pause(&cli->progress);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    eg_progress_resume(&cli->progress);
}

void eg_output_say_path(eg_cli *cli, const char *path)
{
    if (cli->json || cli->quiet)
        return;
    eg_progress_pause(&cli->progress);
    eg_path_print(stdout, eg_view_of(*path != 0 ? path : "/"));
    eg_progress_resume(&cli->progress);
}

static engram_status print_piece(void *context, const void *bytes, size_t size, engram_error *error)
{
    eg_cli *cli = context;
    (void)error; /* said at the end, for all of standard output */
    cli->said_raw = true;
    fwrite(bytes, 1, size, stdout);
    return eg_output_check();
}

engram_status eg_output_content(eg_cli *cli, eg_access_view *view, const char *path,
                                engram_error *error)
{
    struct engram_stat stat;
    return eg_access_read(view, path, &stat, print_piece, cli, error);
}

/* Spaces and backslashes stay: this is a sentence, not a name alone. */
void eg_output_line(FILE *out, const char *text)
{
    for (const uint8_t *c = (const uint8_t *)text; *c != 0; c++) {
        if (*c < ' ' || *c == 0x7F)
            fprintf(out, *c == '\n' ? "\\n" : "\\%03o", *c);
        else
            fputc(*c, out);
    }
    fputc('\n', out);
}

void eg_output_note(eg_cli *cli, const char *format, ...)
{
    char line[LINE_MAX_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    eg_progress_pause(&cli->progress);
    fputs("engram: ", stderr);
    eg_output_line(stderr, line);
    eg_progress_resume(&cli->progress);
}

static json_t *error_json(const engram_error *error, engram_status status)
{
    json_t *object = json_object();
    eg_json_put(object, "status", json_string(engram_status_name(status)));
    eg_json_put(object, "message", eg_json_text(error->message, strlen(error->message)));
    eg_json_put_number(object, "exit_code", (uint64_t)engram_status_exit_code(status));
    return object;
}

static void print_document(eg_cli *cli)
{
    if (cli->streaming) {
        fputs("\n]", stdout);
        if (json_object_size(cli->document) != 0)
            fputc(',', stdout);
        print_members(cli->document);
        fputs("}\n", stdout);
    } else if (!cli->said_raw) {
        if (json_dumpf(cli->document, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) != 0)
            atomic_store(&incomplete, true);
        fputc('\n', stdout);
    }
}

/* Standard output itself may be what fails: a closed pipe is not worth a word. */
static engram_status flush(const eg_cli *cli, engram_status status, engram_error *error)
{
    errno = 0;
    bool failed = fflush(stdout) != 0 || ferror(stdout);
    bool pipe_closed = errno == EPIPE;
    /* A server's replies are not what was printed. */
    bool is_incomplete = atomic_load(&incomplete) || (eg_json_has_failed() && !cli->said_raw);
    if (is_incomplete && status == ENGRAM_OK)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory; what was printed is not complete");
    if (!failed || (status != ENGRAM_OK && status != ENGRAM_IO))
        return status;
    return pipe_closed || error->status != ENGRAM_OK
               ? ENGRAM_IO
               : eg_fail(error, ENGRAM_IO, "standard output: cannot be written: %s",
                         errno != 0 ? strerror(errno) : "see above, or check that it is open");
}

int eg_output_finish(eg_cli *cli, engram_status status, engram_error *error)
{
    if (status == ENGRAM_NOT_FOUND && error->os_error != 0) /* of a file system, not of an engram */
        status = error->status = ENGRAM_IO;
    if (status != ENGRAM_OK && error->message[0] != 0 && cli->json)
        eg_json_put(cli->document, "error", error_json(error, status));
    if (cli->json && (cli->streaming || json_object_size(cli->document) != 0))
        print_document(cli);
    status = flush(cli, status, error);
    if (status != ENGRAM_OK && error->message[0] != 0)
        eg_output_note(cli, "%s", error->message);
    return engram_status_exit_code(status);
}

void eg_issues_init(eg_issues *issues, eg_cli *cli)
{
    *issues = (eg_issues){.cli = cli, .list = json_array()};
    pthread_mutex_init(&issues->lock, NULL);
}

void eg_issues_fini(eg_issues *issues)
{
    json_decref(issues->list);
    pthread_mutex_destroy(&issues->lock);
}

/* Beyond some number they are counted and named on standard error, and no longer kept. */
void eg_issues_add(void *context, const char *path, const char *reason)
{
    enum { KEPT_MAX = 100000 };
    eg_issues *issues = context;
    pthread_mutex_lock(&issues->lock);
    eg_output_note(issues->cli, "%s: %s", path, reason);
    if (issues->count++ < KEPT_MAX && issues->cli->json) {
        json_t *object = json_object();
        eg_path_json(object, "path", eg_view_of(path));
        eg_json_put(object, "reason", eg_json_text(reason, strlen(reason)));
        eg_json_put(issues->list, NULL, object);
    }
    pthread_mutex_unlock(&issues->lock);
}
