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

#include "access/access.h"
#include "base/bytes.h"
#include "base/pool.h"
#include "base/status.h"
#include "compute/device.h"
#include "engram/core.h"
#include "engram/engram.h"
#include "report/report.h"


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
    bool is_remote;               /* also does its work through a server */
    bool needs_none;              /* works without an engram */
    engram_status (*run)(eg_cli *cli, engram_error *error);
} eg_command;

typedef struct eg_setting {
    const eg_option *option;
    const char *value; /* NULL: a flag */
    char *owned;       /* value, when it is not lent by the arguments or the environment */
    bool is_argument;  /* and not of the environment or a file */
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
    eg_access *access;
};

extern const eg_command eg_command_init, eg_command_encode, eg_command_put, eg_command_ls,
    eg_command_stat, eg_command_cat, eg_command_get, eg_command_extract, eg_command_query, eg_command_dups,
    eg_command_rm, eg_command_mv, eg_command_mkdir, eg_command_log, eg_command_diff,
    eg_command_snapshot, eg_command_rollback, eg_command_copy, eg_command_checkpoint, eg_command_gc, eg_command_compact,
    eg_command_verify, eg_command_serve, eg_command_info, eg_command_devices, eg_command_vector, eg_command_bench;

/* Rows that several commands have. Help explains WHEN. */
#define EG_OPTION_AT {"at", 0, "WHEN", "as of a version, a snapshot or a time"}
#define EG_OPTION_EXPECT                                                                           \
    {"expect", 0, "TOKEN", "only if PATH is at INODE.VERSION, at VERSION, or is not there (none)"}
#define EG_OPTION_DURABILITY                                                                       \
    {"durability", 0, "HOW", "of the commit: group (default), immediate or relaxed"}
#define EG_OPTION_DRY_RUN {"dry-run", 0, NULL, "show what would be done, and do nothing"}

/* ---- options.c ---- */

extern const eg_option eg_options_global[];
/* Fills cli from the arguments and the environment. find gives the command of a name, or NULL.
 * ENGRAM_INVALID for wrong usage. cli->command stays NULL when none is named. */
engram_status eg_options_parse(eg_cli *cli, int argc, char **argv,
                               const eg_command *(*find)(const char *name), engram_error *error);
void eg_options_fini(eg_cli *cli);
/* What a file says: taken unless the option was given as an argument or a variable. ENGRAM_INVALID when this command has no
 * such option, or it is one that only an argument can be. name and value are copied and stay for the run. */
engram_status eg_options_add(eg_cli *cli, const char *name, const char *value, engram_error *error);
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
/* Seconds: "90", "90s", "15m", "36h", "7d", "2w". */
engram_status eg_option_duration(const eg_cli *cli, const char *name, uint64_t *seconds,
                                 engram_error *error);
/* Octal permission bits, up to 7777. */
engram_status eg_option_mode(const eg_cli *cli, const char *name, uint32_t *mode,
                             engram_error *error);
/* 0..1; a percent sign divides by a hundred. */
engram_status eg_option_share(const eg_cli *cli, const char *name, double *value,
                              engram_error *error);

/* ---- open.c: the engram, its versions, and the device ---- */

/* The directory of -e, or ENGRAM_INVALID that says to name one. */
engram_status eg_cli_dir(const eg_cli *cli, const char **dir, engram_error *error);
/* What --memory says; 256 MiB when nothing. */
engram_status eg_cli_memory(const eg_cli *cli, uint64_t *memory, engram_error *error);
/* Opens into cli->engram; main.c closes what a command leaves open. */
engram_status eg_cli_open(eg_cli *cli, bool read_only, engram_error *error);
/* Pins the version of --at, or the newest. */
engram_status eg_cli_pin(eg_cli *cli, eg_version *version, engram_error *error);
/* Opens what -e or --server names into cli->access, and a directory's engram into cli->engram too; main.c closes both. */
engram_status eg_cli_access(eg_cli *cli, bool read_only, engram_error *error);
/* ENGRAM_INVALID when a server is named for what needs a directory. */
engram_status eg_cli_check_directory(const eg_cli *cli, const char *what, engram_error *error);
/* The same, of the command as a whole. */
engram_status eg_cli_check_place(const eg_cli *cli, engram_error *error);
/* Opens for reading and pins the version of --at, or the newest. */
engram_status eg_cli_access_view(eg_cli *cli, eg_access_view **view, engram_error *error);
/* The same, of a directory. */
engram_status eg_cli_open_view(eg_cli *cli, engram_view **view, engram_error *error);
/* What --durability says, or the default. */
engram_status eg_cli_durability(const eg_cli *cli, engram_durability *durability,
                                engram_error *error);
/* ENGRAM_INVALID when path lies in the engram's own directory, or would. */
engram_status eg_cli_check_output(const eg_cli *cli, const char *path, engram_error *error);
engram_status eg_cli_open_pool(eg_cli *cli, engram_error *error);
/* Opens into cli->device (and cli->pool) what --device and --threads say. */
engram_status eg_cli_open_device(eg_cli *cli, engram_error *error);
/* All bytes of a file, or of standard input for "-", in fresh memory (eg_free). ENGRAM_PARTIAL when
 * it cannot be read, ENGRAM_INVALID when it is larger than size_max; the sentence is the reason,
 * without the path. */
engram_status eg_cli_read_input(const char *path, uint64_t size_max, uint8_t **bytes, size_t *size,
                                engram_error *error);

/* ---- output.c ---- */

/* Prints {members of cli->document, "name": [ ; items follow, and eg_output_finish closes both. */
void eg_output_list_begin(eg_cli *cli, const char *name);
void eg_output_list_item(eg_cli *cli, json_t *item); /* takes item */
/* ENGRAM_IO once standard output takes no more. */
engram_status eg_output_check(void);
/* For people, on standard output; nothing with --json or --quiet. */
void eg_output_say(eg_cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same for a path, as eg_path_print. */
void eg_output_say_path(eg_cli *cli, const char *path);
/* One line on standard error, "engram: ...", with control characters escaped. */
void eg_output_note(eg_cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A sentence as one line, with control characters escaped. */
void eg_output_line(FILE *out, const char *text);
/* The bytes of a stored file on standard output. */
engram_status eg_output_content(eg_cli *cli, eg_access_view *view, const char *path, engram_error *error);
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

/* ---- entry.c: stored paths as lists and columns ---- */

/* Looks path up, fills stat and target, and adds it to a list. */
engram_status eg_entry_add(json_t *entries, eg_access_view *view, const char *path,
                           struct engram_stat *stat, eg_stored_name *target, engram_error *error);
/* Puts the list into the document as "entries" (takes it); if path_count is 1, the fields of its
 * one entry too. */
void eg_entries_put(eg_cli *cli, json_t *entries, int path_count);
/* Mode, links, owner, group, size and time, and a space, on standard output. */
void eg_entry_print_long(const struct engram_stat *stat);
const char *eg_entry_mode(const struct engram_stat *stat, char text[11]); /* "-rw-r--r--" */

/* ---- edit.c: commands that change something ---- */

/* One commit, from the options --expect and --durability. */
typedef struct eg_cli_edit {
    eg_cli *cli;
    eg_access_edit *edit;
    engram_expected expected;
} eg_cli_edit;
engram_status eg_cli_edit_begin(eg_cli *cli, eg_cli_edit *edit, engram_error *error);
/* Commits when status is ENGRAM_OK, else drops it; returns how it ended, and in *version what the
 * commit made. */
engram_status eg_cli_edit_end(eg_cli_edit *edit, engram_status status, uint64_t *version,
                          engram_error *error);
/* What --expect says, any without it. */
engram_status eg_cli_edit_expected(const eg_cli *cli, engram_expected *expected, engram_error *error);
/* "version", and the fields of path as it is now, into the document; *stat may be NULL. */
engram_status eg_cli_edit_report(eg_cli *cli, const char *path, uint64_t version, struct engram_stat *stat,
                             engram_error *error);

/* ---- changes.c: how two versions differ ---- */

typedef struct eg_changes {
    eg_cli *cli;
    bool ends_with_zero;
    uint64_t count;
} eg_changes;
/* Prints each change below prefix, or streams it into the list "changes". */
engram_status eg_changes_print(eg_changes *changes, eg_access_view *from, eg_access_view *to,
                               const char *prefix, engram_error *error);

/* ---- query_text.c ---- */

/* What the document says of a query, in lines. exact: stored bytes were looked at. */
void eg_query_say(eg_cli *cli, bool exact);

/* ---- retention.c ---- */

/* What the options every, last, hourly ... say over what *retention has; *changed: any was given. */
engram_status eg_retention_read(const eg_cli *cli, engram_retention *retention, bool *changed,
                                engram_error *error);
/* Its document (report/report.h) in words. */
void eg_retention_say(eg_cli *cli, const json_t *retention);

/* ---- info_versions.c ---- */

/* The versions that can be pinned: a list "versions", which ends the document, or lines. */
engram_status eg_info_versions(eg_cli *cli, engram_error *error);

/* ---- info_novelty.c ---- */

/* What the root says of a file, or of standard input for "-": "novelty", or lines. */
engram_status eg_info_novelty(eg_cli *cli, const char *file, engram_error *error);

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
