/* An engram as commands see it, wherever it is: a directory of this machine, or a server over HTTP.
 *
 * The functions are those of engram/engram.h that commands need, with the same meaning of every status. They go through
 * a table, eg_access_ops (ops.h), which a directory and a server implement each. What differs is told by two functions:
 * eg_access_engram, for what needs a directory, and the durability of an edit, which a server decides for itself.
 *
 * A view is one version. Of a server it is a number: a version that the rules of retention let go while a command runs is
 * not found any more. An edit becomes one commit. Of a server nothing of an edit is seen before it is committed, so its
 * eg_access_edit_stat is about what was there at the beginning; and a file's content is a commit of its own, with which
 * nothing else can go.
 *
 * One thread at a time. */
#ifndef EG_ACCESS_ACCESS_H
#define EG_ACCESS_ACCESS_H

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "engram/core.h"
#include "engram/engram.h"
#include "report/report.h"

typedef struct eg_access eg_access;
typedef struct eg_access_view eg_access_view;
typedef struct eg_access_edit eg_access_edit;
typedef struct eg_access_query eg_access_query; /* query.h */

/* engram is lent until the access is closed. */
engram_status eg_access_open_local(eg_engram *engram, eg_access **access, engram_error *error);

typedef struct eg_access_server {
    const char *url;           /* http://HOST:PORT, https://..., or unix:/PATH */
    const char *token_file;    /* whose first token is sent; NULL: none */
    const atomic_bool *cancel; /* once it is set, what is under way ends with ENGRAM_CANCELLED */
} eg_access_server;
/* ENGRAM_INVALID: no such URL, no token. The server is not asked yet: later calls give ENGRAM_IO when it cannot be
 * reached, ENGRAM_DENIED when it wants another token. The strings are lent until the access is closed. */
engram_status eg_access_open_server(const eg_access_server *server, eg_access **access, engram_error *error);
void eg_access_close(eg_access **access); /* no view and no edit may be left; NULL is fine */

/* The engram when it is a directory, else NULL. */
eg_engram *eg_access_engram(const eg_access *access);
/* Fields of the engram as a whole (report/report.h) at a version. */
engram_status eg_access_info(eg_access *access, const char *at, json_t *document, engram_error *error);

/* ---- reading ---- */

engram_status eg_access_pin(eg_access *access, const char *at, eg_access_view **view, engram_error *error);
void eg_access_unpin(eg_access_view **view); /* NULL is fine */
uint64_t eg_access_version(const eg_access_view *view);
/* target (may be NULL): of a symbolic link, else "". */
engram_status eg_access_stat(eg_access_view *view, const char *path, struct engram_stat *stat, eg_stored_name *target, engram_error *error);

/* target: of a symbolic link, else "". */
typedef engram_status eg_access_visit(void *context, const char *path, const struct engram_stat *stat, const char *target, engram_error *error);
/* As engram_list. */
engram_status eg_access_list(eg_access_view *view, const char *prefix, const engram_filter *filter, eg_access_visit *visit, void *context, engram_error *error);

/* Takes the next bytes of a content; other than ENGRAM_OK ends it. */
typedef engram_status eg_access_sink(void *context, const void *bytes, size_t size, engram_error *error);
/* A regular file's bytes in order, in bounded memory. *stat is filled before the first. */
engram_status eg_access_read(eg_access_view *view, const char *path, struct engram_stat *stat, eg_access_sink *sink, void *context, engram_error *error);

/* Fields of what was found (report/query.h). */
engram_status eg_access_ask(eg_access *access, const eg_access_query *query, json_t *document, engram_error *error);

/* ---- history ---- */

engram_status eg_access_log(eg_access *access, const char *path, engram_log_visit *visit, void *context, engram_error *error);
engram_status eg_access_diff(eg_access_view *from, eg_access_view *to, const char *prefix, engram_change_visit *visit, void *context, engram_error *error);
engram_status eg_access_versions(eg_access *access, engram_retained_visit *visit, void *context, engram_error *error);
engram_status eg_access_snapshots(eg_access *access, engram_snapshot_visit *visit, void *context, engram_error *error);
/* at NULL: the newest. */
engram_status eg_access_snapshot_create(eg_access *access, const char *name, const char *at, uint64_t *version, engram_error *error);
engram_status eg_access_snapshot_delete(eg_access *access, const char *name, engram_error *error);

/* ---- changing ---- */

engram_status eg_access_begin(eg_access *access, const engram_transaction_options *options, eg_access_edit **edit, engram_error *error);
/* Commits when status is ENGRAM_OK, else drops it; returns how it ended. The edit is gone. */
engram_status eg_access_end(eg_access_edit **edit, engram_status status, uint64_t *version, engram_error *error);
engram_status eg_access_edit_stat(eg_access_edit *edit, const char *path, struct engram_stat *stat, engram_error *error);

typedef struct eg_access_content {
    engram_source *source;
    void *context;
    uint32_t mode;  /* UINT32_MAX: as it is, 0644 for a new file */
    bool parents;   /* make the directories above that are missing */
} eg_access_content;
engram_status eg_access_put(eg_access_edit *edit, const char *path, const eg_access_content *content, const engram_expected *expected, engram_error *error);
engram_status eg_access_mkdir(eg_access_edit *edit, const char *path, uint32_t mode, bool parents, engram_error *error);
engram_status eg_access_rename(eg_access_edit *edit, const char *from, const char *to, const engram_expected *expected, engram_error *error);
/* What is no directory. */
engram_status eg_access_remove(eg_access_edit *edit, const char *path, const engram_expected *expected, engram_error *error);
/* A directory with all below it; *removed: how many names that is. */
engram_status eg_access_remove_all(eg_access_edit *edit, const char *path, uint64_t *removed, engram_error *error);
/* As engram_rollback. */
engram_status eg_access_rollback(eg_access_edit *edit, eg_access_view *to, const char *path, uint64_t *changed, engram_error *error);

#endif
