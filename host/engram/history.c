/* Snapshots, and what became of a path. */
#include <inttypes.h>

#include "base/memory.h"
#include "base/status.h"
#include "engram/time_text.h"
#include "engram/transaction.h"

/* ---- snapshots ---- */

static engram_status check_snapshot_name(const char *name, engram_error *error)
{
    uint64_t number;
    eg_view view = eg_text_view(name);
    if (!eg_name_valid(view))
        return eg_fail(error, ENGRAM_INVALID,
                       "'%s' names no snapshot: 1 to 255 bytes, without '/'", name);
    if (eg_text_number(name, &number) || eg_text_time_parse(name, &number))
        return eg_fail(error, ENGRAM_INVALID,
                       "'%s' names no snapshot: it would be taken for a version or a time", name);
    return ENGRAM_OK;
}

/* The snapshot's key, to be changed; *there: whether it exists. */
static engram_status find_snapshot(engram_transaction *tx, const char *name, bool *there,
                                   engram_error *error)
{
    eg_key key = eg_key_snapshot(eg_text_view(name));
    EG_TRY(eg_checks_add(&tx->checks, tx->base.root, EG_CHECK_VALUE, true, &key, error));
    engram_status status = eg_root_get(tx->root, eg_key_view(&key), &tx->scratch, error);
    *there = status == ENGRAM_OK;
    return status == ENGRAM_NOT_FOUND ? ENGRAM_OK : status;
}

typedef struct naming {
    const char *name;
    uint64_t version; /* 0: the one that is made */
    bool forget;
} naming;

static engram_status change_snapshot(void *context, engram_transaction *tx, engram_error *error)
{
    const naming *n = context;
    eg_mark mark;
    bool there = false;
    EG_TRY(eg_tx_enter(tx, &mark, error));
    engram_status status = find_snapshot(tx, n->name, &there, error);
    if (status == ENGRAM_OK && there && !n->forget)
        status = eg_fail(error, ENGRAM_EXISTS, "there is a snapshot '%s' already", n->name);
    if (status == ENGRAM_OK && !there && n->forget)
        status = eg_fail(error, ENGRAM_NOT_FOUND,
                         "there is no snapshot '%s'; engram snapshot list shows them", n->name);
    if (status == ENGRAM_OK && n->forget)
        eg_ops_forget(&tx->ops, eg_text_view(n->name));
    else if (status == ENGRAM_OK)
        eg_ops_snapshot(&tx->ops, n->version, eg_text_view(n->name));
    return eg_tx_leave(tx, &mark, status, error);
}

engram_status engram_snapshot_create(struct engram *e, const char *name, uint64_t *version,
                                     engram_error *error)
{
    naming n = {.name = name};
    EG_TRY(check_snapshot_name(name, error));
    return engram_run(e, NULL, change_snapshot, &n, version, error);
}

/* Until the snapshot is committed nothing may let go of the version: not a checkpoint, whose lock is
 * held, and not thinning. */
static void keep_retained(eg_engram *e, uint64_t number)
{
    pthread_mutex_lock(&e->history_lock);
    for (size_t i = 0; i < e->retained_count; i++)
        e->retained[i].keep |= e->retained[i].number == number;
    pthread_mutex_unlock(&e->history_lock);
}

/* As engram_run, for one who holds checkpoint_lock, and so must not wait for a checkpoint. */
static engram_status commit_name(eg_engram *e, naming *n, engram_error *error)
{
    for (;;) {
        engram_transaction *tx = NULL;
        engram_error inner = {0};
        engram_status status = engram_begin(e, NULL, &tx, &inner);
        if (status == ENGRAM_OK) {
            tx->holds_checkpoint = true;
            status = change_snapshot(n, tx, &inner);
        }
        if (status == ENGRAM_OK)
            status = engram_commit(&tx, NULL, &inner);
        engram_abort(&tx);
        if (status == ENGRAM_OK)
            return ENGRAM_OK;
        if (status != ENGRAM_CONFLICT) /* else somebody made or removed one of this name */
            return eg_fail(error, status, "%s", inner.message);
    }
}

static engram_status name_version(eg_engram *e, const char *name, const char *at, uint64_t *version,
                                  engram_error *error)
{
    eg_version pinned;
    EG_TRY(eg_engram_pin_at(e, at, &pinned, error));
    naming n = {.name = name, .version = pinned.number};
    eg_version_release(&pinned);
    if (n.version == 0)
        return eg_fail(error, ENGRAM_INVALID,
                       "version 0 is the empty engram, which needs no snapshot");
    keep_retained(e, n.version);
    EG_TRY(eg_engram_pin_number(e, n.version, &pinned, error)); /* it may have gone before it was kept */
    eg_version_release(&pinned);
    if (version != NULL)
        *version = n.version;
    return commit_name(e, &n, error);
}

engram_status engram_snapshot_create_at(struct engram *e, const char *name, const char *at,
                                        uint64_t *version, engram_error *error)
{
    EG_TRY(check_snapshot_name(name, error));
    pthread_mutex_lock(&e->checkpoint_lock);
    engram_status status = name_version(e, name, at, version, error);
    pthread_mutex_unlock(&e->checkpoint_lock);
    if (status == ENGRAM_OK)
        eg_commit_settle(e);
    return status;
}

engram_status engram_snapshot_delete(struct engram *e, const char *name, engram_error *error)
{
    naming n = {.name = name, .forget = true};
    return engram_run(e, NULL, change_snapshot, &n, NULL, error);
}

static engram_status visit_snapshot(eg_view key, eg_view value, engram_snapshot_visit *visit,
                                    void *context, engram_error *error)
{
    char name[EG_NAME_MAX + 1] = {0};
    if (value.size != EG_SNAPSHOT_VALUE_SIZE || key.size < 2 || key.size > sizeof name)
        return eg_fail(error, ENGRAM_DAMAGED, "a snapshot cannot be read; run engram verify");
    memcpy(name, key.data + 1, key.size - 1);
    return visit(context, name, eg_get_u64(value.data), eg_get_u64(value.data + 8), error);
}

engram_status engram_snapshots(struct engram *e, engram_snapshot_visit *visit, void *context,
                               engram_error *error)
{
    eg_version newest;
    eg_cursor *cursor = NULL;
    EG_TRY(eg_engram_pin(e, &newest, error));
    engram_status status = eg_cursor_open(newest.root, &cursor, error);
    if (status == ENGRAM_OK)
        status = eg_cursor_seek(cursor, (eg_view){(const uint8_t *)"N", 1}, error);
    bool at_end = status == ENGRAM_NOT_FOUND;
    while (status == ENGRAM_OK && eg_cursor_key(cursor).data[0] == 'N') {
        status = visit_snapshot(eg_cursor_key(cursor), eg_cursor_value(cursor), visit, context, error);
        if (status == ENGRAM_OK) {
            status = eg_cursor_next(cursor, error);
            at_end = status == ENGRAM_NOT_FOUND;
        }
    }
    eg_cursor_close(&cursor);
    eg_version_release(&newest);
    return at_end ? ENGRAM_OK : status;
}

/* ---- log ---- */

typedef struct log_list {
    engram_log_entry *list;
    size_t count, capacity;
    eg_engram *engram;
    eg_view path;
    bool seen; /* the path was there once */
} log_list;

/* The state at one version. */
static engram_status look_up(log_list *l, const engram_retained *r, engram_log_entry *entry,
                             engram_error *error)
{
    eg_version version = {0};
    uint64_t number;
    engram_error inner = {0};
    *entry = (engram_log_entry){.version = r->version, .time_ns = r->time_ns};
    engram_status status = eg_engram_pin_number(l->engram, r->version, &version, &inner);
    if (status == ENGRAM_NOT_FOUND) /* let go of since it was listed */
        return status;
    eg_look look = {.engram = l->engram, .root = version.root};
    if (status == ENGRAM_OK)
        status = eg_fs_lookup(version.root, l->path, &number, &inner);
    if (status == ENGRAM_OK)
        status = eg_look_stat(&look, number, &entry->stat, &inner);
    entry->present = status == ENGRAM_OK;
    if (version.root != NULL)
        eg_version_release(&version);
    return status == ENGRAM_OK || status == ENGRAM_NOT_FOUND
               ? ENGRAM_OK
               : eg_fail(error, status, "%s", inner.message);
}

static engram_status note_state(void *context, const engram_retained *r, engram_error *error)
{
    log_list *l = context;
    engram_log_entry entry;
    engram_status status = look_up(l, r, &entry, error);
    if (status == ENGRAM_NOT_FOUND)
        return ENGRAM_OK;
    EG_TRY(status);
    const engram_log_entry *last = l->count != 0 ? &l->list[l->count - 1] : NULL;
    l->seen |= entry.present;
    if (last == NULL ? !entry.present
                     : last->present == entry.present && last->stat.inode == entry.stat.inode &&
                           last->stat.version == entry.stat.version)
        return ENGRAM_OK;
    if (!eg_grow((void **)&l->list, &l->capacity, l->count + 1, sizeof *l->list))
        return eg_tx_no_memory(error);
    l->list[l->count++] = entry;
    return ENGRAM_OK;
}

engram_status engram_log(struct engram *e, const char *path, engram_log_visit *visit, void *context,
                         engram_error *error)
{
    log_list l = {.engram = e, .path = eg_text_view(path)};
    engram_status status = engram_versions(e, note_state, &l, error);
    if (status == ENGRAM_OK && !l.seen)
        status = eg_fail(error, ENGRAM_NOT_FOUND, "no retained version has a path %s", path);
    for (size_t i = l.count; i > 0 && status == ENGRAM_OK; i--)
        status = visit(context, &l.list[i - 1], error);
    eg_free(l.list);
    return status;
}
