/* Making a path what it was: the stored tree and the old one are walked side by side, and what
 * differs becomes operations of a transaction.
 *
 * What kept its inode is changed in place; what is gone is made again, as a new inode, with the old
 * attributes and references to the old chunks. Snapshots and labels are not part of any path. The
 * transaction is only committed on top of the version that it looked at. */
#include <inttypes.h>

#include "base/memory.h"
#include "base/status.h"
#include "engram/transaction.h"

typedef struct restored { /* an old inode of several names that was made again: those link to it */
    uint64_t old, fresh;
} restored;

typedef struct rolling {
    engram_transaction *tx;
    eg_root *now, *then;
    uint64_t top; /* the directory that is rolled back in place; 0: none */
    restored *links;
    size_t link_count, link_capacity;
    uint64_t changed;
    unsigned depth;
} rolling;

/* ---- pieces ---- */

typedef struct content {
    eg_store *store;
    eg_buffer refs;
} content;

/* The old version may be let go of before this transaction commits: its chunks stay until then. */
static engram_status add_ref(void *context, uint64_t offset, eg_chunk_ref ref, engram_error *error)
{
    content *c = context;
    uint8_t out[EG_REF_SIZE];
    (void)offset;
    eg_ref_put(out, ref);
    eg_write_bytes(&c->refs, out, sizeof out);
    return eg_store_use(c->store, ref.id) && !c->refs.failed ? ENGRAM_OK : eg_tx_no_memory(error);
}

static engram_status put_content(rolling *r, uint64_t from, uint64_t number, engram_error *error)
{
    content c = {.store = eg_engram_store(r->tx->engram)};
    eg_stage_hold(&r->tx->stage);
    engram_status status = eg_fs_refs(r->then, from, 0, add_ref, &c, error);
    if (status == ENGRAM_OK)
        eg_tx_write_splice(&r->tx->ops, number, 0, 0, true, (eg_view){c.refs.data, c.refs.size});
    eg_buffer_fini(&c.refs);
    return status;
}

typedef struct attribute_context {
    rolling *rolling;
    uint64_t number;
} attribute_context;

static engram_status put_attribute(void *context, eg_view name, eg_view value, engram_error *error)
{
    attribute_context *c = context;
    (void)error;
    eg_ops_put_xattr(&c->rolling->tx->ops, c->number, name, value);
    return ENGRAM_OK;
}

/* Record, attributes and content of the old inode, under number. */
static engram_status put_inode(rolling *r, uint64_t old, const eg_inode *inode, uint64_t number,
                               engram_error *error)
{
    bool fresh = number != old;
    attribute_context c = {r, number};
    eg_ops_put_inode(&r->tx->ops, number, inode);
    if (!fresh)
        eg_ops_clear_xattrs(&r->tx->ops, number);
    EG_TRY(eg_fs_attributes(r->then, old, put_attribute, &c, error));
    r->changed++;
    return inode->kind == EG_KIND_FILE && (!fresh || inode->size != 0)
               ? put_content(r, old, number, error)
               : ENGRAM_OK;
}

static engram_status remove_now(rolling *r, uint64_t directory, eg_view name, uint64_t number,
                                eg_inode_kind kind, engram_error *error);

typedef struct listing_context {
    rolling *rolling;
    uint64_t now, then; /* directories; now 0: there is none */
} listing_context;

static engram_status remove_child(void *context, eg_view name, uint64_t number, eg_inode_kind kind,
                                  engram_error *error)
{
    listing_context *c = context;
    return remove_now(c->rolling, c->now, name, number, kind, error);
}

static engram_status enter(rolling *r, engram_error *error)
{
    return ++r->depth <= EG_PATH_MAX / 2
               ? ENGRAM_OK
               : eg_fail(error, ENGRAM_DAMAGED,
                         "directories are nested without end; run engram verify");
}

static engram_status remove_now(rolling *r, uint64_t directory, eg_view name, uint64_t number,
                                eg_inode_kind kind, engram_error *error)
{
    listing_context c = {.rolling = r, .now = number};
    EG_TRY(enter(r, error));
    if (kind == EG_KIND_DIRECTORY)
        EG_TRY(eg_fs_list(r->now, number, remove_child, &c, error));
    eg_ops_unlink(&r->tx->ops, directory, name);
    r->changed++;
    r->depth--;
    return ENGRAM_OK;
}

/* ---- side by side ---- */

static engram_status restore(rolling *r, uint64_t directory, eg_view name, uint64_t old,
                             eg_inode_kind kind, engram_error *error);
static engram_status roll_directory(rolling *r, uint64_t now, uint64_t then, engram_error *error);

static engram_status restore_child(void *context, eg_view name, uint64_t number, eg_inode_kind kind,
                                   engram_error *error)
{
    listing_context *c = context;
    return restore(c->rolling, c->now, name, number, kind, error);
}

/* Whether a directory is the same one, at the same place below `top`. */
static engram_status in_place(rolling *r, uint64_t directory, bool *in, engram_error *error)
{
    eg_buffer name = {0};
    uint64_t up = 0, then;
    engram_status status = ENGRAM_OK;
    *in = r->top != 0;
    for (int depth = 0; *in && directory != r->top && status == ENGRAM_OK; depth++) {
        *in = directory != EG_INODE_ROOT && depth < EG_PATH_MAX;
        if (*in)
            status = eg_fs_parent(r->now, directory, &up, &name, error);
        if (*in && status == ENGRAM_OK)
            status = eg_fs_child(r->then, up, (eg_view){name.data, name.size}, &then, error);
        *in = *in && status == ENGRAM_OK && then == directory;
        directory = up;
    }
    eg_buffer_fini(&name);
    return status == ENGRAM_NOT_FOUND ? ENGRAM_OK : status;
}

static engram_status note_standing(void *context, uint64_t directory, eg_view name,
                                   engram_error *error)
{
    listing_context *c = context;
    uint64_t then = 0;
    bool in = false;
    engram_status status = eg_fs_child(c->rolling->then, directory, name, &then, error);
    if (status == ENGRAM_OK && then == c->then)
        status = in_place(c->rolling, directory, &in, error);
    if (in)
        c->now = c->then;
    return status == ENGRAM_NOT_FOUND ? ENGRAM_OK : status;
}

/* What another name of an old inode is to link to: the inode itself, where it stays under one of
 * its names, or the one that was made in its place; 0: neither. */
static engram_status find_link(rolling *r, uint64_t old, uint64_t *number, engram_error *error)
{
    listing_context c = {.rolling = r, .then = old};
    *number = 0;
    for (size_t i = 0; i < r->link_count && *number == 0; i++)
        if (r->links[i].old == old)
            *number = r->links[i].fresh;
    if (*number != 0)
        return ENGRAM_OK;
    EG_TRY(eg_fs_names(r->now, old, note_standing, &c, error));
    *number = c.now;
    return ENGRAM_OK;
}

static engram_status note_link(rolling *r, uint64_t old, uint64_t fresh, engram_error *error)
{
    if (!eg_grow((void **)&r->links, &r->link_capacity, r->link_count + 1, sizeof *r->links))
        return eg_tx_no_memory(error);
    r->links[r->link_count++] = (restored){old, fresh};
    return ENGRAM_OK;
}

/* Makes an old inode again; *number: what its names link to. */
static engram_status remake(rolling *r, uint64_t old, uint64_t *number, bool *made,
                            engram_error *error)
{
    eg_inode inode;
    eg_buffer scratch = {0};
    *number = 0;
    engram_status status = eg_fs_get(r->then, old, &inode, &scratch, error);
    bool several = status == ENGRAM_OK && inode.kind != EG_KIND_DIRECTORY && inode.link_count > 1;
    if (several)
        status = find_link(r, old, number, error);
    *made = status == ENGRAM_OK && *number == 0;
    if (*made) {
        *number = eg_tx_new_inode(r->tx);
        status = put_inode(r, old, &inode, *number, error);
    }
    if (status == ENGRAM_OK && *made && several)
        status = note_link(r, old, *number, error);
    eg_buffer_fini(&scratch);
    return status;
}

/* Makes what is not there under the name. */
static engram_status restore(rolling *r, uint64_t directory, eg_view name, uint64_t old,
                             eg_inode_kind kind, engram_error *error)
{
    uint64_t number;
    bool made;
    listing_context c = {.rolling = r};
    EG_TRY(enter(r, error));
    EG_TRY(remake(r, old, &number, &made, error));
    eg_ops_link(&r->tx->ops, directory, number, kind, name);
    r->changed += !made;
    c.now = number;
    if (made && kind == EG_KIND_DIRECTORY)
        EG_TRY(eg_fs_list(r->then, old, restore_child, &c, error));
    r->depth--;
    return ENGRAM_OK;
}

static engram_status entry_now(rolling *r, uint64_t directory, eg_view name, uint64_t *number,
                               eg_inode *inode, bool *there, engram_error *error)
{
    eg_buffer scratch = {0};
    engram_status status = eg_fs_child(r->now, directory, name, number, error);
    *there = status == ENGRAM_OK;
    if (*there)
        status = eg_fs_get(r->now, *number, inode, &scratch, error);
    eg_buffer_fini(&scratch);
    return status == ENGRAM_NOT_FOUND ? ENGRAM_OK : status;
}

static engram_status roll_same(rolling *r, uint64_t number, const eg_inode *now,
                               engram_error *error)
{
    eg_inode then;
    eg_buffer scratch = {0};
    engram_status status = eg_fs_get(r->then, number, &then, &scratch, error);
    engram_change_kind what = (engram_change_kind)0;
    if (status == ENGRAM_OK && now->modified_version != then.modified_version)
        status = eg_look_compare(r->now, number, r->then, number, &what, error);
    if (status == ENGRAM_OK && what != 0)
        status = put_inode(r, number, &then, number, error);
    eg_buffer_fini(&scratch);
    EG_TRY(status);
    return now->kind == EG_KIND_DIRECTORY ? roll_directory(r, number, number, error) : ENGRAM_OK;
}

/* Whether what stands at a path now, as another inode, is what stood there: then it stays. What has several names is made
 * anew, so that they are names of one inode again. */
static engram_status is_as_it_was(rolling *r, uint64_t present, const eg_inode *now, uint64_t old, bool *is, engram_error *error)
{
    eg_inode then;
    eg_buffer scratch = {0};
    engram_change_kind what = ENGRAM_CONTENT;
    engram_status status = eg_fs_get(r->then, old, &then, &scratch, error);
    bool alone = status == ENGRAM_OK && then.kind == now->kind &&
                 (now->kind == EG_KIND_DIRECTORY || (now->link_count == 1 && then.link_count == 1));
    eg_buffer_fini(&scratch);
    if (alone)
        status = eg_look_compare(r->now, present, r->then, old, &what, error);
    *is = status == ENGRAM_OK && what == 0;
    return status;
}

/* Below such a one. */
static engram_status roll_below(rolling *r, uint64_t present, const eg_inode *now, uint64_t old, engram_error *error)
{
    return now->kind == EG_KIND_DIRECTORY ? roll_directory(r, present, old, error) : ENGRAM_OK;
}

/* One name of the old directory. */
static engram_status roll_entry(void *context, eg_view name, uint64_t number, eg_inode_kind kind,
                                engram_error *error)
{
    listing_context *c = context;
    rolling *r = c->rolling;
    uint64_t present;
    eg_inode now;
    bool there;
    EG_TRY(entry_now(r, c->now, name, &present, &now, &there, error));
    if (there && present == number)
        return roll_same(r, number, &now, error);
    bool stays = false;
    if (there)
        EG_TRY(is_as_it_was(r, present, &now, number, &stays, error));
    if (stays)
        return roll_below(r, present, &now, number, error);
    if (there)
        EG_TRY(remove_now(r, c->now, name, present, now.kind, error));
    return restore(r, c->now, name, number, kind, error);
}

/* One name of the present directory: gone if the old one has it not. */
static engram_status drop_entry(void *context, eg_view name, uint64_t number, eg_inode_kind kind,
                                engram_error *error)
{
    listing_context *c = context;
    uint64_t old;
    engram_status status = eg_fs_child(c->rolling->then, c->then, name, &old, error);
    return status == ENGRAM_NOT_FOUND ? remove_now(c->rolling, c->now, name, number, kind, error)
                                      : status;
}

static engram_status roll_directory(rolling *r, uint64_t now, uint64_t then, engram_error *error)
{
    listing_context c = {.rolling = r, .now = now, .then = then};
    EG_TRY(enter(r, error));
    EG_TRY(eg_fs_list(r->now, now, drop_entry, &c, error));
    EG_TRY(eg_fs_list(r->then, then, roll_entry, &c, error));
    r->depth--;
    return ENGRAM_OK;
}

static engram_status roll_path(rolling *r, const char *path, engram_error *error)
{
    eg_place p;
    uint64_t old = 0;
    eg_inode inode;
    eg_buffer scratch = {0};
    EG_TRY(eg_tx_find(r->tx, path, true, &p, error));
    engram_status status = eg_fs_lookup(r->then, eg_text_view(path), &old, NULL);
    if (status != ENGRAM_OK && status != ENGRAM_NOT_FOUND)
        return eg_fail(error, status, "cannot look up %s in the old version", path);
    if (status == ENGRAM_NOT_FOUND) /* it was not there: nor shall it be */
        return p.found ? remove_now(r, p.parent, p.name, p.number, p.inode.kind, error)
                       : eg_fail(error, ENGRAM_NOT_FOUND, "neither version has a path %s", path);
    if (p.found && p.number == old) {
        r->top = p.inode.kind == EG_KIND_DIRECTORY ? old : 0;
        return roll_same(r, old, &p.inode, error);
    }
    status = eg_fs_get(r->then, old, &inode, &scratch, error);
    eg_buffer_fini(&scratch);
    EG_TRY(status);
    bool stays = false;
    if (p.found)
        EG_TRY(is_as_it_was(r, p.number, &p.inode, old, &stays, error));
    if (stays)
        return roll_below(r, p.number, &p.inode, old, error);
    if (p.found)
        EG_TRY(remove_now(r, p.parent, p.name, p.number, p.inode.kind, error));
    return restore(r, p.parent, p.name, old, inode.kind, error);
}

engram_status engram_rollback(engram_transaction *tx, engram_view *to, const char *path,
                              uint64_t *changed, engram_error *error)
{
    eg_mark mark;
    if (path == NULL)
        path = "";
    EG_TRY(eg_tx_enter(tx, &mark, error));
    rolling r = {.tx = tx, .now = tx->root, .then = to->root};
    engram_status status = roll_path(&r, path, error);
    eg_free(r.links);
    tx->alone_on_base = true;
    if (changed != NULL)
        *changed = r.changed;
    return eg_tx_leave(tx, &mark, status, error);
}
