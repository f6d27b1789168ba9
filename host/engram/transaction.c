/* Beginning and ending transactions, and finding paths in them. */
#include "engram/transaction.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/status.h"
#include "engram/time_text.h"

engram_status eg_tx_no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory in a transaction");
}

/* ---- idle transactions ---- */

/* Most transactions are small and many: an engram keeps those that have ended, with the memory of their lists,
 * which would otherwise be allocated and freed some twenty times a transaction. */
enum { KEPT_MEMORY_MAX = 32 << 10, KEPT_MAX = 256 };

static engram_transaction *take_idle(eg_engram *e)
{
    pthread_mutex_lock(&e->idle_lock);
    engram_transaction *tx = e->idle;
    if (tx != NULL) {
        e->idle = tx->next;
        e->idle_count--;
    }
    pthread_mutex_unlock(&e->idle_lock);
    return tx != NULL ? tx : eg_alloc_zero(1, sizeof *tx);
}

static bool keep_idle(eg_engram *e, engram_transaction *tx)
{
    pthread_mutex_lock(&e->idle_lock);
    bool keep = e->idle_count < KEPT_MAX;
    if (keep) {
        tx->next = e->idle;
        e->idle = tx;
        e->idle_count++;
    }
    pthread_mutex_unlock(&e->idle_lock);
    return keep;
}

static void destroy(engram_transaction *tx)
{
    eg_stage_fini(&tx->stage);
    eg_checks_fini(&tx->checks);
    eg_buffer_fini(&tx->ops);
    eg_buffer_fini(&tx->scratch);
    eg_free(tx);
}

/* Forgets everything but the memory of the lists. */
static void clear(engram_transaction *tx)
{
    engram_transaction kept = {.stage = tx->stage, .checks = tx->checks, .ops = tx->ops, .scratch = tx->scratch};
    eg_stage_clear(&kept.stage);
    kept.checks.count = 0;
    kept.checks.list.size = kept.checks.scratch.size = kept.ops.size = kept.scratch.size = 0;
    *tx = kept;
}

static bool is_worth_keeping(const engram_transaction *tx)
{
    const eg_buffer *lists[] = {&tx->checks.list, &tx->checks.scratch, &tx->ops, &tx->scratch, &tx->stage.chunk_ops};
    size_t memory = eg_stage_memory(&tx->stage);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        memory += lists[i]->capacity;
        if (lists[i]->failed)
            return false;
    }
    return memory <= KEPT_MEMORY_MAX;
}

static void give_back(engram_transaction *tx)
{
    eg_engram *e = tx->engram;
    bool worth = is_worth_keeping(tx);
    if (worth)
        clear(tx);
    if (!worth || !keep_idle(e, tx))
        destroy(tx);
}

void eg_tx_free_idle(eg_engram *e)
{
    while (e->idle != NULL) {
        engram_transaction *tx = e->idle;
        e->idle = tx->next;
        destroy(tx);
    }
}

/* ---- begin and end ---- */

engram_status engram_begin(struct engram *e, const engram_transaction_options *options,
                           engram_transaction **transaction, engram_error *error)
{
    *transaction = NULL;
    EG_TRY(eg_engram_check_writable(e, error));
    engram_transaction *tx = take_idle(e);
    if (tx == NULL)
        return eg_tx_no_memory(error);
    tx->engram = tx->stage.engram = e;
    if (options != NULL)
        tx->options = *options;
    tx->overwrites = tx->options.last_writer_wins;
    engram_status status = eg_engram_pin(e, &tx->base, error);
    if (status != ENGRAM_OK) {
        give_back(tx);
        return status;
    }
    /* First the version, then the number: what the version holds is below it. */
    tx->inode_first = atomic_load(&e->inode_next);
    tx->root = eg_root_retain(tx->base.root);
    *transaction = tx;
    return ENGRAM_OK;
}

void engram_abort(engram_transaction **transaction)
{
    engram_transaction *tx = *transaction;
    if (tx == NULL)
        return;
    eg_root_release(tx->root);
    eg_version_release(&tx->base);
    give_back(tx);
    *transaction = NULL;
}

/* What the keys of checks stand for. */
static const char *key_kind(eg_view key)
{
    switch (key.size != 0 ? key.data[0] : 0) {
    case 'N':
        return "the snapshot";
    case 'I':
        return "the file";
    case 'P':
        return "the place of directory";
    case 'D':
        return key.size == 9 ? "the listing of directory" : "the name";
    default:
        return "what it uses:";
    }
}

/* A key that another commit changed, in words; paths are those of the version it started from. */
static engram_status name_conflict(engram_transaction *tx, eg_view key, engram_error *error)
{
    eg_buffer path = {0};
    if (key.size > 1 && key.data[0] == 'N')
        eg_write_bytes(&path, key.data + 1, key.size - 1);
    else if (key.size >= 9)
        eg_fs_path(tx->base.root, eg_get_be64(key.data + 1), &path, NULL);
    if (key.size > 9 && key.data[0] == 'D') {
        if (path.size != 0)
            eg_write_u8(&path, '/');
        eg_write_bytes(&path, key.data + 9, key.size - 9);
    }
    engram_status status =
        eg_fail(error, ENGRAM_CONFLICT,
                "another commit changed %s '%.*s' after version %" PRIu64
                ", from which this transaction started: begin again from the newest version",
                key_kind(key), path.failed ? 0 : (int)path.size, (const char *)path.data, tx->base.number);
    eg_buffer_fini(&path);
    return status;
}

/* What the record does not carry must be durable in the store before the record is written. */
static engram_status secure_stage(engram_transaction *tx, engram_error *error)
{
    eg_engram *e = tx->engram;
    if (!tx->stage.spilled)
        return ENGRAM_OK;
    EG_TRY(eg_stage_spill(&tx->stage, error));
    engram_status status = eg_store_sync(e->store, error);
    if (status != ENGRAM_OK)
        eg_engram_fail(e, status);
    return status;
}

static engram_status commit(engram_transaction *tx, uint64_t *version, engram_error *error)
{
    eg_engram *e = tx->engram;
    eg_commit c = {.ops = &tx->ops,
                   .stage = &tx->stage,
                   .checks = &tx->checks,
                   .base = tx->base.number,
                   .alone_on_base = tx->alone_on_base,
                   .only_written = tx->options.isolation == ENGRAM_SNAPSHOT_ISOLATION,
                   .in_store = tx->stage.spilled,
                   .found_max = tx->stage.found_max};
    c.entry.durability = eg_durability_of(e, tx->options.durability);
    EG_TRY(secure_stage(tx, error));
    EG_TRY(eg_stage_check_room(&tx->stage, error));
    if (!tx->has_turn)
        pthread_rwlock_rdlock(&e->turn);
    engram_error inner = {0};
    engram_status status = eg_commit_run(e, &c, &inner);
    if (!tx->has_turn)
        pthread_rwlock_unlock(&e->turn);
    if (status == ENGRAM_CONFLICT)
        return name_conflict(tx, c.conflict, error);
    if (status != ENGRAM_OK)
        return eg_fail(error, status, "%s", inner.message);
    *version = c.version;
    if (!tx->has_turn && !tx->holds_checkpoint)
        eg_commit_settle(e);
    return ENGRAM_OK;
}

engram_status engram_commit(engram_transaction **transaction, uint64_t *version,
                            engram_error *error)
{
    engram_transaction *tx = *transaction;
    uint64_t made = tx->base.number;
    engram_status status = ENGRAM_OK;
    if (tx->broken != ENGRAM_OK)
        status = eg_fail(error, tx->broken,
                         "the transaction broke when one of its calls failed (%s): abort it",
                         engram_status_name(tx->broken));
    else if (tx->ops.size != 0) /* one that only read is consistent as it is */
        status = commit(tx, &made, error);
    if (version != NULL)
        *version = made;
    engram_abort(transaction);
    return status;
}

uint64_t engram_tx_version(const engram_transaction *transaction)
{
    return transaction->base.number;
}

/* ---- calls ---- */

engram_status eg_tx_enter(engram_transaction *tx, eg_mark *mark, engram_error *error)
{
    *mark = (eg_mark){0};
    if (tx->broken != ENGRAM_OK)
        return eg_fail(error, tx->broken, "an earlier call of this transaction failed: abort it");
    EG_TRY(eg_tx_apply(tx, error));
    *mark = (eg_mark){tx->ops.size, tx->checks.list.size, tx->checks.count};
    return ENGRAM_OK;
}

engram_status eg_tx_leave(engram_transaction *tx, const eg_mark *mark, engram_status status,
                          engram_error *error)
{
    if (status == ENGRAM_OK && !tx->ops.failed && !tx->checks.list.failed)
        return ENGRAM_OK;
    if (status == ENGRAM_OK || status == ENGRAM_NO_MEMORY) /* a buffer that failed said nothing yet */
        status = eg_tx_no_memory(error);
    if (status == ENGRAM_NO_MEMORY || status == ENGRAM_IO || status == ENGRAM_DAMAGED ||
        status == ENGRAM_NO_SPACE)
        tx->broken = status;
    tx->ops.size = mark->ops; /* its checks stay: what it read decided that it failed */
    return status;
}

static engram_status apply_to(engram_transaction *tx, eg_edit *edit, engram_error *error)
{
    eg_apply apply;
    engram_status status =
        eg_apply_init(&apply, edit, tx->base.number + 1, eg_clock_wall_ns(), error);
    if (status == ENGRAM_OK)
        status = eg_apply_run(
            &apply, (eg_view){tx->ops.data + tx->applied, tx->ops.size - tx->applied}, error);
    if (status == ENGRAM_OK)
        status = eg_apply_finish(&apply, error);
    eg_apply_fini(&apply);
    return status;
}

engram_status eg_tx_apply(engram_transaction *tx, engram_error *error)
{
    eg_edit *edit = NULL;
    eg_root *root = NULL;
    if (tx->applied == tx->ops.size)
        return ENGRAM_OK;
    engram_status status = eg_edit_begin(tx->root, &edit, error);
    if (status == ENGRAM_OK)
        status = apply_to(tx, edit, error);
    if (status == ENGRAM_OK)
        status = eg_edit_finish(&edit, &root, error);
    eg_edit_abort(&edit);
    if (status != ENGRAM_OK) {
        tx->broken = status;
        return status;
    }
    eg_root_release(tx->root);
    tx->root = root;
    tx->applied = tx->ops.size;
    return ENGRAM_OK;
}

/* ---- checks ---- */

engram_status eg_tx_check_inode(engram_transaction *tx, uint64_t number, eg_check_kind kind,
                                bool written, engram_error *error)
{
    if (number >= tx->inode_first) /* made here */
        return ENGRAM_OK;
    eg_key key = eg_key_inode(number);
    return eg_checks_add(&tx->checks, tx->base.root, kind, written, &key, error);
}

engram_status eg_tx_check_listing(engram_transaction *tx, uint64_t directory, bool written,
                                  engram_error *error)
{
    if (directory >= tx->inode_first)
        return ENGRAM_OK;
    eg_key key = eg_key_entry(directory, (eg_view){NULL, 0});
    return eg_checks_add(&tx->checks, tx->base.root, EG_CHECK_RANGE, written, &key, error);
}

static engram_status check_name(engram_transaction *tx, uint64_t directory, eg_view name,
                                bool written, engram_error *error)
{
    if (directory >= tx->inode_first)
        return ENGRAM_OK;
    eg_key key = eg_key_entry(directory, name);
    return eg_checks_add(&tx->checks, tx->base.root, EG_CHECK_VALUE, written, &key, error);
}

engram_status eg_tx_need_parent(engram_transaction *tx, const eg_place *place, engram_error *error)
{
    return eg_tx_check_inode(tx, place->parent, EG_CHECK_PRESENT, true, error);
}

/* ---- finding ---- */

static engram_status bad_path(const char *path, const char *why, engram_error *error)
{
    return eg_fail(error, ENGRAM_INVALID, "%s: '%s'", why, path);
}

/* The next name of a path; false at its end. */
static bool next_name(const char **path, eg_view *name)
{
    while (**path == '/' || (**path == '.' && ((*path)[1] == '/' || (*path)[1] == 0)))
        ++*path;
    *name = (eg_view){(const uint8_t *)*path, strcspn(*path, "/")};
    *path += name->size;
    return name->size != 0;
}

static bool is_last(const char *rest)
{
    eg_view name;
    return !next_name(&rest, &name);
}

/* The inode of a place; a target goes into the place itself. */
static engram_status load_inode(engram_transaction *tx, eg_place *p, engram_error *error)
{
    EG_TRY(eg_fs_get(tx->root, p->number, &p->inode, &tx->scratch, error));
    p->found = true;
    if (p->inode.target.size > EG_PATH_MAX)
        return eg_fail(error, ENGRAM_DAMAGED, "%s: its target is too long", p->path);
    if (p->inode.target.size != 0)
        memcpy(p->target, p->inode.target.data, p->inode.target.size);
    p->inode.target.data = p->target;
    return ENGRAM_OK;
}

engram_status eg_tx_check_path(const char *path, engram_error *error)
{
    const char *rest = path;
    eg_view name;
    if (strlen(path) > EG_PATH_MAX)
        return bad_path(path, "a path has at most 4095 bytes", error);
    while (next_name(&rest, &name))
        if (!eg_name_valid(name))
            return bad_path(path, "a name in a path has 1 to 255 bytes and is not '..'", error);
    return ENGRAM_OK;
}

/* On the way of a path there are directories only; links are not followed. */
static engram_status need_directory(engram_transaction *tx, uint64_t number, const char *path,
                                    const char *rest, engram_error *error)
{
    eg_inode inode;
    EG_TRY(eg_fs_get(tx->root, number, &inode, &tx->scratch, error));
    return inode.kind == EG_KIND_DIRECTORY
               ? ENGRAM_OK
               : eg_fail(error, ENGRAM_INVALID, "%.*s is a %s: no directory", (int)(rest - path),
                         path, engram_kind_name((engram_kind)inode.kind));
}

engram_status eg_tx_find(engram_transaction *tx, const char *path, bool written, eg_place *p,
                         engram_error *error)
{
    const char *rest = path;
    eg_view name;
    uint64_t at = EG_INODE_ROOT;
    p->path = path;
    p->parent = 0;
    p->found = false;
    p->number = EG_INODE_ROOT;
    EG_TRY(eg_tx_check_path(path, error));
    while (next_name(&rest, &name)) {
        bool last = is_last(rest);
        EG_TRY(check_name(tx, at, name, written && last, error));
        p->parent = at;
        p->name = name;
        engram_status status = eg_fs_child(tx->root, at, name, &at, error);
        if (status == ENGRAM_OK && !last)
            status = need_directory(tx, at, path, rest, error);
        if (status == ENGRAM_NOT_FOUND && last)
            return ENGRAM_OK;
        if (status == ENGRAM_NOT_FOUND)
            return eg_fail(error, status, "no such directory: %.*s",
                           (int)(name.data + name.size - (const uint8_t *)path), path);
        EG_TRY(status);
    }
    p->number = at;
    return load_inode(tx, p, error);
}

engram_status eg_tx_find_there(engram_transaction *tx, const char *path, bool written,
                               eg_place *place, engram_error *error)
{
    EG_TRY(eg_tx_find(tx, path, written, place, error));
    return place->found ? ENGRAM_OK
                        : eg_fail(error, ENGRAM_NOT_FOUND, "no such path: %s", path);
}

engram_status eg_tx_expect(const eg_place *p, const engram_expected *expected, engram_error *error)
{
    if (expected == NULL || expected->what == ENGRAM_ANY)
        return ENGRAM_OK;
    if (expected->what == ENGRAM_NONE)
        return !p->found ? ENGRAM_OK
                         : eg_fail(error, ENGRAM_EXISTS,
                                   "%s is there already, as %" PRIu64 ".%" PRIu64
                                   ": name that version to replace it",
                                   p->path, p->number, p->inode.modified_version);
    if (expected->what == ENGRAM_THERE)
        return p->found ? ENGRAM_OK
                        : eg_fail(error, ENGRAM_CONFLICT, "%s is not there, where any version of it was expected", p->path);
    if (!p->found)
        return eg_fail(error, ENGRAM_CONFLICT,
                       "%s is not there, where version %" PRIu64 " of it was expected", p->path,
                       expected->version);
    if (p->inode.modified_version != expected->version ||
        (expected->inode != 0 && expected->inode != p->number))
        return eg_fail(error, ENGRAM_CONFLICT,
                       "%s is %" PRIu64 ".%" PRIu64 ", not %" PRIu64 ".%" PRIu64
                       " as was expected: read it again",
                       p->path, p->number, p->inode.modified_version,
                       expected->inode != 0 ? expected->inode : p->number, expected->version);
    return ENGRAM_OK;
}

engram_status engram_expected_parse(const char *text, engram_expected *expected,
                                    engram_error *error)
{
    char number[24];
    const char *dot = strchr(text, '.');
    size_t size = dot != NULL ? (size_t)(dot - text) : 0;
    *expected = (engram_expected){0};
    if (strcmp(text, "any") == 0)
        return ENGRAM_OK;
    if (strcmp(text, "there") == 0) {
        expected->what = ENGRAM_THERE;
        return ENGRAM_OK;
    }
    expected->what = strcmp(text, "none") == 0 ? ENGRAM_NONE : ENGRAM_TOKEN;
    if (expected->what == ENGRAM_NONE)
        return ENGRAM_OK;
    if (dot != NULL && size < sizeof number) {
        memcpy(number, text, size);
        number[size] = 0;
        if (eg_text_number(number, &expected->inode) && expected->inode != 0 &&
            eg_text_number(dot + 1, &expected->version))
            return ENGRAM_OK;
    } else if (eg_text_number(text, &expected->version)) {
        return ENGRAM_OK;
    }
    return eg_fail(error, ENGRAM_INVALID,
                   "'%s' is no expectation: 'any', 'none', 'there', VERSION or INODE.VERSION", text);
}

uint64_t eg_tx_new_inode(engram_transaction *tx)
{
    return eg_engram_new_inode(tx->engram);
}

eg_time eg_tx_now(void)
{
    uint64_t now = eg_clock_wall_ns();
    return (eg_time){(int64_t)(now / 1000000000u), (uint32_t)(now % 1000000000u)};
}

/* ---- reading ---- */

engram_status engram_tx_stat(engram_transaction *tx, const char *path, struct engram_stat *stat,
                             engram_error *error)
{
    eg_mark mark;
    eg_place place;
    EG_TRY(eg_tx_enter(tx, &mark, error));
    engram_status status = eg_tx_find_there(tx, path, false, &place, error);
    if (status == ENGRAM_OK)
        status = eg_tx_check_inode(tx, place.number, EG_CHECK_VALUE, false, error);
    eg_look look = eg_tx_look(tx);
    if (status == ENGRAM_OK)
        status = eg_look_stat(&look, place.number, stat, error);
    return eg_tx_leave(tx, &mark, status, error);
}

engram_status engram_tx_read(engram_transaction *tx, const char *path, uint64_t offset, void *bytes,
                             size_t size, size_t *got, engram_error *error)
{
    eg_mark mark;
    eg_place place;
    *got = 0;
    EG_TRY(eg_tx_enter(tx, &mark, error));
    engram_status status = eg_tx_find_there(tx, path, false, &place, error);
    if (status == ENGRAM_OK)
        status = eg_tx_check_inode(tx, place.number, EG_CHECK_VALUE, false, error);
    eg_look look = eg_tx_look(tx);
    if (status == ENGRAM_OK)
        status = eg_look_read(&look, place.number, offset, bytes, size, got, error);
    return eg_tx_leave(tx, &mark, status, error);
}

static engram_status touch(void *context, uint64_t number, bool listed, engram_error *error)
{
    engram_transaction *tx = context;
    return listed ? eg_tx_check_listing(tx, number, false, error)
                  : eg_tx_check_inode(tx, number, EG_CHECK_VALUE, false, error);
}

engram_status engram_tx_list(engram_transaction *tx, const char *prefix,
                             const engram_filter *filter, engram_entry_visit *visit, void *context,
                             engram_error *error)
{
    eg_mark mark;
    eg_place place;
    eg_walk walk = {.filter = filter,
                    .visit = visit,
                    .touch = touch,
                    .context = context,
                    .touch_context = tx};
    EG_TRY(eg_tx_enter(tx, &mark, error));
    engram_status status = eg_tx_find_there(tx, prefix, false, &place, error);
    eg_look look = eg_tx_look(tx);
    eg_root_retain(look.root); /* visits may change the transaction, and so its view */
    if (status == ENGRAM_OK)
        status = eg_look_list(&look, prefix, place.number, &walk, error);
    eg_root_release(look.root);
    mark.ops = tx->ops.size; /* what visits changed is theirs, and stays */
    return eg_tx_leave(tx, &mark, status, error);
}

engram_status engram_tx_chunk(engram_transaction *tx, const char *path, uint64_t offset,
                              uint64_t *begin, uint64_t *size, engram_error *error)
{
    eg_mark mark;
    eg_place place;
    eg_chunk_ref ref = {0};
    EG_TRY(eg_tx_enter(tx, &mark, error));
    engram_status status = eg_tx_find_there(tx, path, false, &place, error);
    if (status == ENGRAM_OK)
        status = eg_tx_check_inode(tx, place.number, EG_CHECK_VALUE, false, error);
    eg_look look = eg_tx_look(tx);
    if (status == ENGRAM_OK)
        status = eg_look_chunk(&look, place.number, offset, begin, &ref, error);
    if (status == ENGRAM_NOT_FOUND)
        eg_fail(error, status, "%s has no chunk at offset %" PRIu64, path, offset);
    *size = ref.size;
    return eg_tx_leave(tx, &mark, status, error);
}
