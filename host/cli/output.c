/* What a run prints: one document for programs, lines for people, and how it ended. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "cli/cli.h"

enum { LINE_MAX_SIZE = 4096 };

static atomic_bool incomplete; /* memory ran out while a document was made */

void eg_json_put(json_t *parent, const char *key, json_t *value)
{
    int failed = value == NULL ? 1
                 : key != NULL ? json_object_set_new(parent, key, value)
                               : json_array_append_new(parent, value);
    if (failed)
        atomic_store(&incomplete, true);
}

void eg_json_put_number(json_t *object, const char *key, uint64_t value)
{
    eg_json_put(object, key, json_integer(value <= INT64_MAX ? (json_int_t)value : INT64_MAX));
}

/* Members of an object without its braces. */
static void print_members(const json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9));
    if (text == NULL)
        atomic_store(&incomplete, true);
    else
        fwrite(text + 1, 1, strlen(text) - 2, stdout);
    free(text);
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
static engram_status flush(engram_status status, engram_error *error)
{
    errno = 0;
    bool failed = fflush(stdout) != 0 || ferror(stdout);
    bool pipe_closed = errno == EPIPE;
    if (atomic_load(&incomplete) && status == ENGRAM_OK)
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
    status = flush(status, error);
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

const char *eg_text_bytes(char text[EG_TEXT_SIZE], uint64_t size)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)size;
    size_t unit = 0;
    for (; value >= 999.5 && unit < 6; unit++)
        value /= 1000;
    int digits = unit == 0 || value >= 99.95 ? 0 : 1;
    snprintf(text, EG_TEXT_SIZE, "%.*f %s", digits, value, units[unit]);
    return text;
}

const char *eg_text_rate(char text[EG_TEXT_SIZE], uint64_t size, double seconds)
{
    snprintf(text, EG_TEXT_SIZE, "%.1f MB/s", eg_ratio((double)size / 1e6, seconds));
    return text;
}

const char *eg_text_time(char text[EG_TEXT_SIZE], int64_t seconds, uint32_t nanoseconds,
                         bool precise)
{
    time_t when = (time_t)seconds;
    struct tm parts;
    if (gmtime_r(&when, &parts) == NULL || parts.tm_year < -1900 || parts.tm_year > 9999 - 1900) {
        snprintf(text, EG_TEXT_SIZE, "@%" PRId64, seconds);
        return text;
    }
    size_t size = strftime(text, EG_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &parts);
    if (precise)
        snprintf(text + size, EG_TEXT_SIZE - size, ".%09uZ", nanoseconds % 1000000000u);
    else
        snprintf(text + size, EG_TEXT_SIZE - size, "Z");
    return text;
}

const char *eg_text_time_ns(char text[EG_TEXT_SIZE], uint64_t time_ns)
{
    return eg_text_time(text, (int64_t)(time_ns / 1000000000), (uint32_t)(time_ns % 1000000000),
                        true);
}

const char *eg_text_seconds(char text[EG_TEXT_SIZE], uint64_t seconds)
{
    static const struct {
        uint64_t seconds;
        char letter;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    size_t i = 0;
    while (seconds % units[i].seconds != 0 || (seconds == 0 && i < 3))
        i++;
    snprintf(text, EG_TEXT_SIZE, "%" PRIu64 "%c", seconds / units[i].seconds, units[i].letter);
    return text;
}

double eg_seconds_since(uint64_t start_ns)
{
    return (double)(eg_clock_monotonic_ns() - start_ns) / 1e9;
}

double eg_ratio(double a, double b)
{
    return b != 0 ? a / b : 0;
}
