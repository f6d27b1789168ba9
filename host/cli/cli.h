/* The command line: what its files share.
 *
 * A command is a row of the table in main.c and one file, cmd_NAME.c: its options, its help, and a
 * function that does it. The function gets its options by name, puts what it found into
 * cli->document, and returns a status; main.c turns that into output and an exit code. With --json
 * exactly one document goes to standard output, also after a failure. */
#ifndef EG_CLI_CLI_H
#define EG_CLI_CLI_H

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/pool.h"
#include "base/status.h"
#include "compute/device.h"
#include "engram/core.h"

typedef struct eg_option {
    const char *name;  /* --name; also ENGRAM_NAME in the environment */
    char letter;       /* 0: none */
    const char *value; /* what help calls its value; NULL: a flag */
    const char *help;
} eg_option;

typedef struct eg_cli eg_cli;

typedef struct eg_command {
    const char *name;
    const char *operands; /* as usage shows them */
    const char *summary;  /* one line */
    const char *details;
    const char *examples;
    const eg_option *options;     /* ends with a row without a name; may be NULL */
    int operand_min, operand_max; /* -1: any number */
    engram_status (*run)(eg_cli *cli, engram_error *error);
} eg_command;

typedef struct eg_setting {
    const eg_option *option;
    const char *value; /* NULL: a flag */
} eg_setting;

/* The line on a terminal that tells how far a command is. */
typedef struct eg_progress {
    bool enabled, shown;
    uint64_t start_ns, shown_ns;
    pthread_mutex_t lock;
} eg_progress;

struct eg_cli {
    const eg_command *command;
    char **operands;
    int operand_count;
    eg_setting *settings;
    size_t setting_count, setting_capacity;
    bool json, quiet, wants_help, wants_version;
    int verbosity;
    uint64_t start_ns;
    json_t *document; /* an object */
    bool streaming;   /* a list is being printed member by member */
    bool streamed;    /* it has members */
    bool said_raw;    /* something that is no JSON went to standard output */
    eg_progress progress;
    eg_pool *pool;
    eg_device *device;
    eg_engram *engram;
};

extern const eg_command eg_command_init, eg_command_encode, eg_command_ls, eg_command_cat,
    eg_command_extract, eg_command_query, eg_command_verify, eg_command_info, eg_command_devices,
    eg_command_vector, eg_command_bench;

/* ---- options.c ---- */

extern const eg_option eg_options_global[];
/* Fills cli from the arguments and the environment. find gives the command of a name, or NULL.
 * ENGRAM_INVALID for wrong usage. cli->command stays NULL when none is named. */
engram_status eg_options_parse(eg_cli *cli, int argc, char **argv,
                               const eg_command *(*find)(const char *name), engram_error *error);
/* Value of an option of this command (the last one given), or NULL. */
const char *eg_option_text(const eg_cli *cli, const char *name);
bool eg_option_flag(const eg_cli *cli, const char *name);
/* Every value of an option that may be repeated, in fresh memory (eg_free); lent strings. */
engram_status eg_option_texts(const eg_cli *cli, const char *name, const char ***texts,
                              size_t *count, engram_error *error);
/* These leave *value as it is when the option is not given. */
engram_status eg_option_number(const eg_cli *cli, const char *name, uint64_t low, uint64_t high,
                               uint64_t *value, engram_error *error);
engram_status eg_option_size(const eg_cli *cli, const char *name, uint64_t *value,
                             engram_error *error);
/* 0..1; a percent sign divides by a hundred. */
engram_status eg_option_share(const eg_cli *cli, const char *name, double *value,
                              engram_error *error);
/* "1048576", "64K", "1.5G", "2GiB": binary suffixes. False when it is none. */
bool eg_size_parse(const char *text, uint64_t *size);

/* ---- open.c: the engram, its versions, and the device ---- */

/* The directory of -e, or ENGRAM_INVALID that says to name one. */
engram_status eg_cli_dir(const eg_cli *cli, const char **dir, engram_error *error);
/* What --memory says; 256 MiB when nothing. */
engram_status eg_cli_memory(const eg_cli *cli, uint64_t *memory, engram_error *error);
/* Opens into cli->engram; main.c closes what a command leaves open. */
engram_status eg_cli_open(eg_cli *cli, bool read_only, engram_error *error);
/* Pins the version of --at, or the newest. */
engram_status eg_cli_pin(eg_cli *cli, eg_version *version, engram_error *error);
engram_status eg_cli_open_pool(eg_cli *cli, engram_error *error);
/* Opens into cli->device (and cli->pool) what --device and --threads say. */
engram_status eg_cli_open_device(eg_cli *cli, engram_error *error);
/* All bytes of a file, or of standard input for "-", in fresh memory (eg_free). ENGRAM_PARTIAL when
 * it cannot be read, ENGRAM_INVALID when it is larger than size_max; the sentence is the reason,
 * without the path. */
engram_status eg_cli_read_input(const char *path, uint64_t size_max, uint8_t **bytes, size_t *size,
                                engram_error *error);

/* ---- output.c ---- */

/* A member of an object or, with key NULL, of an array; takes value. A failure is remembered and
 * told at the end. */
void eg_json_put(json_t *parent, const char *key, json_t *value);
void eg_json_put_number(json_t *object, const char *key, uint64_t value);
/* Text that may not be valid UTF-8. */
json_t *eg_json_text(const void *bytes, size_t size);
/* Prints {members of cli->document, "name": [ ; items follow, and eg_output_finish closes both. */
void eg_output_list_begin(eg_cli *cli, const char *name);
void eg_output_list_item(eg_cli *cli, json_t *item); /* takes item */
/* ENGRAM_IO once standard output takes no more. */
engram_status eg_output_check(void);
/* For people, on standard output; nothing with --json or --quiet. */
void eg_output_say(eg_cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* One line on standard error, "engram: ...", with control characters escaped. */
void eg_output_note(eg_cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A sentence as one line, with control characters escaped. */
void eg_output_line(FILE *out, const char *text);
/* Prints the document, or the error, or both; returns the exit code. */
int eg_output_finish(eg_cli *cli, engram_status status, engram_error *error);

/* What could not be read or written; collected for "issues", named on standard error. Any thread.
 */
typedef struct eg_issues {
    eg_cli *cli;
    json_t *list;
    uint64_t count;
    pthread_mutex_t lock;
} eg_issues;
void eg_issues_init(eg_issues *issues, eg_cli *cli);
void eg_issues_fini(eg_issues *issues);
void eg_issues_add(void *issues, const char *path, const char *reason);

enum { EG_TEXT_SIZE = 40 };                                        /* room for each of these */
const char *eg_text_bytes(char text[EG_TEXT_SIZE], uint64_t size); /* "1.5 MB" */
const char *eg_text_rate(char text[EG_TEXT_SIZE], uint64_t size, double seconds); /* "240 MB/s" */
const char *eg_text_time(char text[EG_TEXT_SIZE], int64_t seconds, uint32_t nanoseconds,
                         bool precise);
double eg_seconds_since(uint64_t start_ns); /* of the monotonic clock */
double eg_ratio(double a, double b);        /* a / b, or 0 when b is 0 */

/* ---- paths.c: stored paths are bytes ---- */

/* Escapes what would steer a terminal as ls -b does when out is one; the bytes themselves when it
 * is not. */
void eg_path_print(FILE *out, eg_view path);
/* The same into a buffer, always escaped. */
void eg_path_escape(eg_buffer *out, eg_view path);
/* key, with U+FFFD for what is not UTF-8; then also key_base64 with the bytes. */
void eg_path_json(json_t *object, const char *key, eg_view path);
static inline eg_view eg_view_of(const char *text)
{
    return (eg_view){(const uint8_t *)text, strlen(text)};
}
/* Length of the UTF-8 character at bytes, or 0 when there is none. */
size_t eg_utf8_size(const uint8_t *bytes, size_t size);

/* ---- progress.c ---- */

void eg_progress_init(eg_progress *progress, bool enabled);
void eg_progress_fini(eg_progress *progress);
/* Shows, at most five times a second and not in the first second. total 0: unknown. out: bytes
 * stored for done, or 0. Any thread. */
void eg_progress_show(eg_progress *progress, uint64_t done, uint64_t total, uint64_t out);
/* Takes the line away; the lock is held until eg_progress_resume, so that others can write. */
void eg_progress_pause(eg_progress *progress);
void eg_progress_resume(eg_progress *progress);

/* ---- signals.c ---- */

extern atomic_bool eg_signals_cancel; /* set by SIGINT and SIGTERM once they are deferred */
void eg_signals_init(void);           /* from now on a signal ends the program with 130 */
void eg_signals_defer(void);          /* from now on the first one only sets eg_signals_cancel */

/* ---- help.c ---- */

void eg_help_program(FILE *out, const eg_command *const *commands);
void eg_help_command(FILE *out, const eg_command *command);

#endif
