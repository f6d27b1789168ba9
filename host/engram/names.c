/* Names and attributes in a transaction. */
#include <unistd.h>

#include "base/memory.h"
#include "base/status.h"
#include "engram/transaction.h"

void eg_tx_own(eg_inode *inode)
{
    inode->uid = getuid();
    inode->gid = getgid();
}

static engram_status no_root(const eg_place *p, engram_error *error)
{
    return p->parent != 0 ? ENGRAM_OK
                          : eg_fail(error, ENGRAM_INVALID,
                                    "the root directory cannot be made, moved or removed");
}

/* ---- removing ---- */

engram_status engram_remove(engram_transaction *tx, const char *path,
                            const engram_expected *expected, engram_error *error)
{
    eg_mark mark;
    eg_place p;
    EG_TRY(eg_tx_enter(tx, &mark, error));
    engram_status status = eg_tx_find(tx, path, true, &p, error);
    if (status == ENGRAM_OK)
        status = no_root(&p, error);
    if (status == ENGRAM_OK && expected != NULL)
        status = eg_tx_expect(&p, expected, error);
    if (status == ENGRAM_OK && !p.found)
        status = eg_fail(error, ENGRAM_NOT_FOUND, "no such path: %s", path);
    if (status == ENGRAM_OK && p.inode.kind == EG_KIND_DIRECTORY)
        status = eg_fail(error, ENGRAM_INVALID, "%s is a directory: remove it as one", path);
    if (status == ENGRAM_OK && expected != NULL && expected->what == ENGRAM_TOKEN)
        status = eg_tx_check_inode(tx, p.number, EG_CHECK_VALUE, true, error);
    if (status == ENGRAM_OK)
        eg_ops_unlink(&tx->ops, p.parent, p.name);
    return eg_tx_leave(tx, &mark, status, error);
}

static engram_status some_entry(void *context, eg_view name, uint64_t number, eg_inode_kind kind,
                                engram_error *error)
{
    (void)name, (void)number, (void)kind, (void)error;
    *(bool *)context = true;
    return ENGRAM_CANCELLED;
}

/* And must stay so. */
static engram_status need_empty(engram_transaction *tx, const eg_place *p, engram_error *error)
{
    bool some = false;
    engram_status status = eg_fs_list(tx->root, p->number, some_entry, &some, error);
    if (status != ENGRAM_OK && status != ENGRAM_CANCELLED)
        return status;
    if (some)
        return eg_fail(error, ENGRAM_INVALID, "%s is not empty", p->path);
    return eg_tx_check_listing(tx, p->number, true, error);
}

engram_status engram_rmdir(engram_transaction *tx, const char *path, engram_error *error)
{
    eg_mark mark;
    eg_place p;
    EG_TRY(eg_tx_enter(tx, &mark, error));
    engram_status status = eg_tx_find_there(tx, path, true, &p, error);
    if (status == ENGRAM_OK)
        status = no_root(&p, error);
    if (status == ENGRAM_OK && p.inode.kind != EG_KIND_DIRECTORY)
        status = eg_fail(error, ENGRAM_INVALID, "%s is no directory", path);
    if (status == ENGRAM_OK)
        status = need_empty(tx, &p, error);
    if (status == ENGRAM_OK)
        eg_ops_unlink(&tx->ops, p.parent, p.name);
    return eg_tx_leave(tx, &mark, status, error);
}

typedef struct removal {
    engram_transaction *tx;
    uint64_t directory, removed;
    unsigned depth;
} removal;

static engram_status remove_below(removal *r, uint64_t directory, engram_error *error);

static engram_status remove_entry(void *context, eg_view name, uint64_t number, eg_inode_kind kind,
                                  engram_error *error)
{
    removal *r = context;
    uint64_t directory = r->directory;
    if (kind == EG_KIND_DIRECTORY)
        EG_TRY(remove_below(r, number, error));
    r->directory = directory;
    eg_ops_unlink(&r->tx->ops, directory, name);
    r->removed++;
    return ENGRAM_OK;
}

/* Reads the view as it was at the call: operations are only written down meanwhile. */
static engram_status remove_below(removal *r, uint64_t directory, engram_error *error)
{
    if (r->depth == EG_PATH_MAX / 2)
        return eg_fail(error, ENGRAM_DAMAGED,
                       "directories are nested without end; run engram verify");
    EG_TRY(eg_tx_check_listing(r->tx, directory, true, error));
    r->depth++;
    r->directory = directory;
    EG_TRY(eg_fs_list(r->tx->root, directory, remove_entry, r, error));
    r->depth--;
    return ENGRAM_OK;
}

engram_status engram_remove_all(engram_transaction *tx, const char *path, uint64_t *removed,
                                engram_error *error)
{
    eg_mark mark;
    eg_place p;
    removal r = {.tx = tx};
    EG_TRY(eg_tx_enter(tx, &mark, error));
    engram_status status = eg_tx_find_there(tx, path, true, &p, error);
    if (status == ENGRAM_OK && p.inode.kind == EG_KIND_DIRECTORY)
        status = remove_below(&r, p.number, error);
    if (status == ENGRAM_OK && p.parent != 0) {
        eg_ops_unlink(&tx->ops, p.parent, p.name);
        r.removed++;
    }
    if (removed != NULL)
        *removed = r.removed;
    return eg_tx_leave(tx, &mark, status, error);
}

/* ---- renaming ---- */

/* A directory is not moved below itself: no directory on the way to the new parent may be it, nor
 * come to be it before the commit, which the checks of the path's names see to. */
static engram_status need_outside(engram_transaction *tx, const eg_place *from, const eg_place *to,
                                  engram_error *error)
{
    uint64_t at = EG_INODE_ROOT;
    const char *rest = to->path;
    bool inside = false;
    while (rest < (const char *)to->name.data && !inside) {
        eg_view name = {(const uint8_t *)rest, strcspn(rest, "/")};
        rest += name.size + 1;
        if (name.size == 0 || (name.size == 1 && name.data[0] == '.'))
            continue;
        EG_TRY(eg_fs_child(tx->root, at, name, &at, error));
        eg_key key = eg_key_parent(at, 0, (eg_view){NULL, 0});
        key.size = 9;
        if (from->inode.kind == EG_KIND_DIRECTORY && at < tx->inode_first)
            EG_TRY(eg_checks_add(&tx->checks, tx->base.root, EG_CHECK_RANGE, true, &key, error));
        inside = at == from->number;
    }
    return inside ? eg_fail(error, ENGRAM_INVALID, "%s cannot move below itself", from->path)
                  : ENGRAM_OK;
}

/* What is at the new name gives way. */
static engram_status clear_target(engram_transaction *tx, const eg_place *from, const eg_place *to,
                                  engram_error *error)
{
    bool from_directory = from->inode.kind == EG_KIND_DIRECTORY;
    if (!to->found)
        return ENGRAM_OK;
    if (to->inode.kind == EG_KIND_DIRECTORY && !from_directory)
        return eg_fail(error, ENGRAM_INVALID, "%s is a directory", to->path);
    if (to->inode.kind != EG_KIND_DIRECTORY && from_directory)
        return eg_fail(error, ENGRAM_INVALID, "%s is no directory", to->path);
    if (from_directory)
        EG_TRY(need_empty(tx, to, error));
    eg_ops_unlink(&tx->ops, to->parent, to->name);
    return ENGRAM_OK;
}

static engram_status rename_found(engram_transaction *tx, eg_place *from, eg_place *to,
                                  const engram_expected *expected, engram_error *error)
{
    EG_TRY(no_root(from, error));
    EG_TRY(no_root(to, error));
    EG_TRY(eg_tx_expect(to, expected, error));
    if (to->found && expected != NULL && expected->what == ENGRAM_TOKEN)
        EG_TRY(eg_tx_check_inode(tx, to->number, EG_CHECK_VALUE, true, error));
    if (to->found && to->number == from->number)
        return ENGRAM_OK; /* two names of one inode: as rename(2), nothing */
    EG_TRY(need_outside(tx, from, to, error));
    EG_TRY(eg_tx_need_parent(tx, to, error));
    EG_TRY(clear_target(tx, from, to, error));
    eg_ops_rename(&tx->ops, from->parent, from->name, to->parent, to->name);
    return ENGRAM_OK;
}

engram_status engram_rename(engram_transaction *tx, const char *from_path, const char *to_path,
                            const engram_expected *expected, engram_error *error)
{
    eg_mark mark;
    eg_place from, to;
    EG_TRY(eg_tx_enter(tx, &mark, error));
    engram_status status = eg_tx_find_there(tx, from_path, true, &from, error);
    if (status == ENGRAM_OK)
        status = eg_tx_find(tx, to_path, true, &to, error);
    if (status == ENGRAM_OK)
        status = rename_found(tx, &from, &to, expected, error);
    return eg_tx_leave(tx, &mark, status, error);
}

/* ---- making ---- */

static engram_status make(engram_transaction *tx, eg_place *p, eg_inode *inode)
{
    uint64_t number = eg_tx_new_inode(tx);
    eg_tx_own(inode);
    inode->mtime = eg_tx_now();
    eg_ops_put_inode(&tx->ops, number, inode);
    eg_ops_link(&tx->ops, p->parent, number, inode->kind, p->name);
    return tx->ops.failed ? ENGRAM_NO_MEMORY : ENGRAM_OK;
}

static engram_status make_new(engram_transaction *tx, const char *path, eg_inode *inode,
                              engram_error *error)
{
    eg_mark mark;
    eg_place p;
    EG_TRY(eg_tx_enter(tx, &mark, error));
    engram_status status = eg_tx_find(tx, path, true, &p, error);
    if (status == ENGRAM_OK && p.found)
        status = eg_fail(error, ENGRAM_EXISTS, "%s is there already", path);
    if (status == ENGRAM_OK)
        status = eg_tx_need_parent(tx, &p, error);
    if (status == ENGRAM_OK)
        status = make(tx, &p, inode);
    return eg_tx_leave(tx, &mark, status, error);
}

engram_status engram_mkdir(engram_transaction *tx, const char *path, uint32_t mode,
                           engram_error *error)
{
    eg_inode inode = {.kind = EG_KIND_DIRECTORY, .mode = (uint16_t)(mode & 07777)};
    return make_new(tx, path, &inode, error);
}

static engram_status mkdir_if_absent(engram_transaction *tx, const char *path, uint32_t mode,
                                     engram_error *error)
{
    eg_mark mark;
    eg_place p;
    eg_inode inode = {.kind = EG_KIND_DIRECTORY, .mode = (uint16_t)(mode & 07777)};
    EG_TRY(eg_tx_enter(tx, &mark, error));
    engram_status status = eg_tx_find(tx, path, true, &p, error);
    if (status == ENGRAM_OK && p.found && p.inode.kind != EG_KIND_DIRECTORY)
        status = eg_fail(error, ENGRAM_EXISTS, "%s is there already, and no directory", path);
    if (status == ENGRAM_OK && !p.found)
        status = eg_tx_need_parent(tx, &p, error);
    if (status == ENGRAM_OK && !p.found)
        status = make(tx, &p, &inode);
    return eg_tx_leave(tx, &mark, status, error);
}

engram_status engram_mkdir_all(engram_transaction *tx, const char *path, uint32_t mode,
                               engram_error *error)
{
    char part[EG_PATH_MAX + 1];
    size_t size = strlen(path);
    EG_TRY(eg_tx_check_path(path, error)); /* all of it, before the first is made */
    for (size_t i = 1; i <= size; i++) {
        if (path[i] != '/' && path[i] != 0)
            continue;
        memcpy(part, path, i);
        part[i] = 0;
        EG_TRY(mkdir_if_absent(tx, part, mode, error));
    }
    return ENGRAM_OK;
}

engram_status engram_symlink(engram_transaction *tx, const char *target, const char *path,
                             engram_error *error)
{
    size_t size = strlen(target);
    eg_inode inode = {.kind = EG_KIND_SYMLINK,
                      .mode = 0777,
                      .size = size,
                      .target = {(const uint8_t *)target, size}};
    if (size == 0 || size > EG_PATH_MAX)
        return eg_fail(error, ENGRAM_INVALID, "the target of a link has 1 to %d bytes",
                       EG_PATH_MAX);
    return make_new(tx, path, &inode, error);
}

engram_status engram_link(engram_transaction *tx, const char *from_path, const char *path,
                          engram_error *error)
{
    eg_mark mark;
    eg_place from, to;
    EG_TRY(eg_tx_enter(tx, &mark, error));
    engram_status status = eg_tx_find_there(tx, from_path, true, &from, error);
    if (status == ENGRAM_OK && from.inode.kind == EG_KIND_DIRECTORY)
        status = eg_fail(error, ENGRAM_INVALID, "%s is a directory: those have one name", from_path);
    if (status == ENGRAM_OK)
        status = eg_tx_find(tx, path, true, &to, error);
    if (status == ENGRAM_OK && to.found)
        status = eg_fail(error, ENGRAM_EXISTS, "%s is there already", path);
    if (status == ENGRAM_OK)
        status = eg_tx_need_parent(tx, &to, error);
    if (status == ENGRAM_OK)
        eg_ops_link(&tx->ops, to.parent, from.number, from.inode.kind, to.name);
    return eg_tx_leave(tx, &mark, status, error);
}

/* ---- attributes ---- */

typedef enum attribute { MODE, MTIME, OWNER } attribute;

typedef struct attributes {
    attribute what;
    uint32_t mode, uid, gid;
    eg_time mtime;
} attributes;

static engram_status set_attributes(engram_transaction *tx, const char *path, const attributes *a,
                                    engram_error *error)
{
    eg_mark mark;
    eg_place p;
    EG_TRY(eg_tx_enter(tx, &mark, error));
    engram_status status = eg_tx_find_there(tx, path, true, &p, error);
    if (status == ENGRAM_OK)
        status = eg_tx_check_inode(tx, p.number, EG_CHECK_VALUE, true, error);
    if (status == ENGRAM_OK) {
        if (a->what == MODE)
            p.inode.mode = (uint16_t)(a->mode & 07777);
        if (a->what == MTIME)
            p.inode.mtime = a->mtime;
        if (a->what == OWNER) {
            p.inode.uid = a->uid;
            p.inode.gid = a->gid;
        }
        p.inode.source_device = p.inode.source_inode = 0;
        p.inode.flags &= (uint8_t)~EG_INODE_IMPLIED;
        eg_ops_put_inode(&tx->ops, p.number, &p.inode);
    }
    return eg_tx_leave(tx, &mark, status, error);
}

engram_status engram_set_mode(engram_transaction *tx, const char *path, uint32_t mode,
                              engram_error *error)
{
    return set_attributes(tx, path, &(attributes){.what = MODE, .mode = mode}, error);
}

engram_status engram_set_mtime(engram_transaction *tx, const char *path, int64_t seconds,
                               uint32_t nanoseconds, engram_error *error)
{
    if (nanoseconds >= 1000000000u)
        return eg_fail(error, ENGRAM_INVALID, "a second has fewer than %u nanoseconds", nanoseconds);
    return set_attributes(tx, path, &(attributes){.what = MTIME, .mtime = {seconds, nanoseconds}},
                          error);
}

engram_status engram_set_owner(engram_transaction *tx, const char *path, uint32_t uid, uint32_t gid,
                               engram_error *error)
{
    return set_attributes(tx, path, &(attributes){.what = OWNER, .uid = uid, .gid = gid}, error);
}
