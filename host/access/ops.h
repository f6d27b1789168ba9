/* The table that a directory and a server fill. Contracts are in access.h, by the functions of the same names. */
#ifndef EG_ACCESS_OPS_H
#define EG_ACCESS_OPS_H

#include "access/access.h"

typedef struct eg_access_ops {
    void (*close)(eg_access *access);
    engram_status (*info)(eg_access *access, const char *at, json_t *document, engram_error *error);
    engram_status (*ask)(eg_access *access, const eg_access_query *query, json_t *document, engram_error *error);
    engram_status (*pin)(eg_access *access, const char *at, eg_access_view **view, engram_error *error);
    void (*unpin)(eg_access_view *view);
    engram_status (*stat)(eg_access_view *view, const char *path, struct engram_stat *stat, eg_stored_name *target, engram_error *error);
    engram_status (*list)(eg_access_view *view, const char *prefix, const engram_filter *filter, eg_access_visit *visit, void *context, engram_error *error);
    engram_status (*read)(eg_access_view *view, const char *path, struct engram_stat *stat, eg_access_sink *sink, void *context, engram_error *error);
    engram_status (*begin)(eg_access *access, const engram_transaction_options *options, eg_access_edit **edit, engram_error *error);
    engram_status (*commit)(eg_access_edit *edit, uint64_t *version, engram_error *error);
    void (*drop)(eg_access_edit *edit); /* always, and last */
    engram_status (*edit_stat)(eg_access_edit *edit, const char *path, struct engram_stat *stat, engram_error *error);
    engram_status (*put)(eg_access_edit *edit, const char *path, const eg_access_content *content, const engram_expected *expected, engram_error *error);
    engram_status (*mkdir)(eg_access_edit *edit, const char *path, uint32_t mode, bool parents, engram_error *error);
    engram_status (*rename)(eg_access_edit *edit, const char *from, const char *to, const engram_expected *expected, engram_error *error);
    engram_status (*remove)(eg_access_edit *edit, const char *path, const engram_expected *expected, engram_error *error);
    engram_status (*remove_all)(eg_access_edit *edit, const char *path, uint64_t *removed, engram_error *error);
    engram_status (*rollback)(eg_access_edit *edit, eg_access_view *to, const char *path, uint64_t *changed, engram_error *error);
    engram_status (*log)(eg_access *access, const char *path, engram_log_visit *visit, void *context, engram_error *error);
    engram_status (*diff)(eg_access_view *from, eg_access_view *to, const char *prefix, engram_change_visit *visit, void *context, engram_error *error);
    engram_status (*versions)(eg_access *access, engram_retained_visit *visit, void *context, engram_error *error);
    engram_status (*snapshots)(eg_access *access, engram_snapshot_visit *visit, void *context, engram_error *error);
    engram_status (*snapshot_create)(eg_access *access, const char *name, const char *at, uint64_t *version, engram_error *error);
    engram_status (*snapshot_delete)(eg_access *access, const char *name, engram_error *error);
} eg_access_ops;

/* Each implementer's own begins with these. */
struct eg_access {
    const eg_access_ops *ops;
    eg_engram *engram; /* NULL: a server */
};
struct eg_access_view {
    eg_access *access;
    uint64_t version;
};
struct eg_access_edit {
    eg_access *access;
};

#endif
