/* An edit of a directory's engram: one transaction. */
#include "access/local.h"
#include "base/memory.h"

typedef struct local_edit {
    eg_access_edit base;
    engram_transaction *transaction;
} local_edit;

static engram_transaction *transaction_of(eg_access_edit *edit)
{
    return ((local_edit *)edit)->transaction;
}

engram_status eg_local_begin(eg_access *access, const engram_transaction_options *options,
                             eg_access_edit **edit, engram_error *error)
{
    local_edit *made = eg_alloc_zero(1, sizeof *made);
    if (made == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
    made->base.access = access;
    engram_status status = engram_begin(access->engram, options, &made->transaction, error);
    if (status != ENGRAM_OK) {
        eg_free(made);
        return status;
    }
    *edit = &made->base;
    return ENGRAM_OK;
}

engram_status eg_local_commit(eg_access_edit *edit, uint64_t *version, engram_error *error)
{
    return engram_commit(&((local_edit *)edit)->transaction, version, error);
}

void eg_local_drop(eg_access_edit *edit)
{
    engram_abort(&((local_edit *)edit)->transaction);
    eg_free(edit);
}

engram_status eg_local_edit_stat(eg_access_edit *edit, const char *path, struct engram_stat *stat,
                                 engram_error *error)
{
    return engram_tx_stat(transaction_of(edit), path, stat, error);
}

static engram_status make_parents(engram_transaction *transaction, const char *path,
                                  engram_error *error)
{
    eg_stored_name parent;
    size_t size = (size_t)(eg_path_base(path) - path);
    if (size == 0)
        return ENGRAM_OK;
    memcpy(parent.text, path, size);
    parent.text[size - 1] = 0;
    return engram_mkdir_all(transaction, parent.text, 0755, error);
}

engram_status eg_local_put(eg_access_edit *edit, const char *path, const eg_access_content *content,
                           const engram_expected *expected, engram_error *error)
{
    engram_transaction *transaction = transaction_of(edit);
    if (content->parents)
        EG_TRY(make_parents(transaction, path, error));
    EG_TRY(
        engram_write_stream(transaction, path, content->source, content->context, expected, error));
    return content->mode == UINT32_MAX ? ENGRAM_OK
                                       : engram_set_mode(transaction, path, content->mode, error);
}

engram_status eg_local_mkdir(eg_access_edit *edit, const char *path, uint32_t mode, bool parents,
                             engram_error *error)
{
    return parents ? engram_mkdir_all(transaction_of(edit), path, mode, error)
                   : engram_mkdir(transaction_of(edit), path, mode, error);
}

engram_status eg_local_rename(eg_access_edit *edit, const char *from, const char *to,
                              const engram_expected *expected, engram_error *error)
{
    return engram_rename(transaction_of(edit), from, to, expected, error);
}

engram_status eg_local_remove(eg_access_edit *edit, const char *path,
                              const engram_expected *expected, engram_error *error)
{
    return engram_remove(transaction_of(edit), path, expected, error);
}

engram_status eg_local_remove_all(eg_access_edit *edit, const char *path, uint64_t *removed,
                                  engram_error *error)
{
    return engram_remove_all(transaction_of(edit), path, removed, error);
}

engram_status eg_local_rollback(eg_access_edit *edit, eg_access_view *to, const char *path,
                                uint64_t *changed, engram_error *error)
{
    return engram_rollback(transaction_of(edit), eg_local_view_of(to), path, changed, error);
}
