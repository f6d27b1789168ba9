/* What the files about a directory's engram share. */
#ifndef EG_ACCESS_LOCAL_H
#define EG_ACCESS_LOCAL_H

#include "access/ops.h"

typedef struct eg_local_view {
    eg_access_view base;
    engram_view *view;
} eg_local_view;

static inline engram_view *eg_local_view_of(eg_access_view *view)
{
    return ((eg_local_view *)view)->view;
}

/* ---- local_query.c ---- */

engram_status eg_local_query(eg_access *access, const eg_access_query *query, json_t *document, engram_error *error);

/* ---- local_edit.c ---- */

engram_status eg_local_begin(eg_access *access, const engram_transaction_options *options, eg_access_edit **edit, engram_error *error);
engram_status eg_local_commit(eg_access_edit *edit, uint64_t *version, engram_error *error);
void eg_local_drop(eg_access_edit *edit);
engram_status eg_local_edit_stat(eg_access_edit *edit, const char *path, struct engram_stat *stat, engram_error *error);
engram_status eg_local_put(eg_access_edit *edit, const char *path, const eg_access_content *content, const engram_expected *expected, engram_error *error);
engram_status eg_local_mkdir(eg_access_edit *edit, const char *path, uint32_t mode, bool parents, engram_error *error);
engram_status eg_local_rename(eg_access_edit *edit, const char *from, const char *to, const engram_expected *expected, engram_error *error);
engram_status eg_local_remove(eg_access_edit *edit, const char *path, const engram_expected *expected, engram_error *error);
engram_status eg_local_remove_all(eg_access_edit *edit, const char *path, uint64_t *removed, engram_error *error);
engram_status eg_local_rollback(eg_access_edit *edit, eg_access_view *to, const char *path, uint64_t *changed, engram_error *error);

#endif
