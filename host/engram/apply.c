/* The meaning of each operation, except splice (splice.c). */
#include "engram/apply.h"

#include "base/memory.h"
#include "base/status.h"

static engram_status unfit(engram_error *error, const char *what, uint64_t inode)
{
    return eg_fail(error, ENGRAM_INVALID, "operation does not fit the tree: %s (inode %llu)", what,
                   (unsigned long long)inode);
}

static engram_status memory_of(const eg_buffer *buffer, engram_error *error)
{
    return buffer->failed ? eg_fail(error, ENGRAM_NO_MEMORY, "out of memory changing the tree")
                          : ENGRAM_OK;
}

static engram_status get_inode(eg_apply *a, uint64_t number, eg_inode *inode, engram_error *error)
{
    eg_key key = eg_key_inode(number);
    EG_TRY(eg_edit_get(a->edit, eg_key_view(&key), &a->value, error));
    if (!eg_inode_decode((eg_view){a->value.data, a->value.size}, inode))
        return eg_fail(error, ENGRAM_DAMAGED, "the record of inode %llu cannot be read",
                       (unsigned long long)number);
    return ENGRAM_OK;
}

/* It must be there, and of that kind. */
static engram_status need_inode(eg_apply *a, uint64_t number, eg_inode_kind kind, const char *what,
                                eg_inode *inode, engram_error *error)
{
    engram_error inner = {0};
    engram_status status = get_inode(a, number, inode, &inner);
    if (status == ENGRAM_NOT_FOUND || (status == ENGRAM_OK && inode->kind != kind))
        return unfit(error, what, number);
    return status == ENGRAM_OK ? ENGRAM_OK : eg_fail(error, status, "%s", inner.message);
}

/* inode->target may lie in a->value: encoding goes through a->scratch. */
static engram_status put_inode(eg_apply *a, uint64_t number, const eg_inode *inode,
                               engram_error *error)
{
    eg_buffer_clear(&a->scratch);
    eg_inode_encode(inode, &a->scratch);
    EG_TRY(memory_of(&a->scratch, error));
    eg_key key = eg_key_inode(number);
    return eg_edit_put(a->edit, eg_key_view(&key), (eg_view){a->scratch.data, a->scratch.size},
                       error);
}

static void count_inode(eg_tree_totals *totals, const eg_inode *inode, int sign)
{
    uint64_t one = (uint64_t)(int64_t)sign;
    if (inode->kind == EG_KIND_FILE) {
        totals->files += one;
        totals->bytes_logical += one * inode->size;
    } else if (inode->kind == EG_KIND_DIRECTORY) {
        totals->directories += one;
    } else if (inode->kind == EG_KIND_SYMLINK) {
        totals->links += one;
    } else {
        totals->others += one;
    }
}

static engram_status apply_put_inode(eg_apply *a, eg_reader *in, engram_error *error)
{
    uint64_t number = eg_read_u64(in);
    eg_inode inode, old;
    eg_view record = {.size = eg_reader_left(in)};
    record.data = eg_read_bytes(in, record.size);
    if (in->failed || number == 0 || !eg_inode_decode(record, &inode))
        return unfit(error, "bad inode record", number);
    engram_status status = get_inode(a, number, &old, error);
    if (status != ENGRAM_OK && status != ENGRAM_NOT_FOUND)
        return status;
    inode.modified_version = a->version;
    inode.modified_ns = a->time_ns;
    if (status == ENGRAM_OK) {
        if (old.kind != inode.kind)
            return unfit(error, "an inode cannot change its kind", number);
        count_inode(&a->totals, &old, -1);
        inode.link_count = old.link_count;
        inode.created_version = old.created_version;
        inode.created_ns = old.created_ns;
    } else {
        inode.link_count = 0;
        inode.created_version = a->version;
        inode.created_ns = a->time_ns;
        if (number >= a->totals.next_inode)
            a->totals.next_inode = number + 1;
    }
    count_inode(&a->totals, &inode, 1);
    return put_inode(a, number, &inode, error);
}

static engram_status apply_link(eg_apply *a, eg_reader *in, engram_error *error)
{
    uint64_t directory = eg_read_u64(in), number = eg_read_u64(in);
    uint8_t kind = eg_read_u8(in);
    eg_view name = {.size = eg_reader_left(in)};
    name.data = eg_read_bytes(in, name.size);
    if (in->failed || !eg_name_valid(name))
        return unfit(error, "bad name", number);
    eg_inode inode;
    EG_TRY(need_inode(a, directory, EG_KIND_DIRECTORY, "no such directory", &inode, error));
    EG_TRY(need_inode(a, number, (eg_inode_kind)kind, "no such inode, or another kind", &inode,
                      error));
    if (kind == EG_KIND_DIRECTORY && (inode.link_count != 0 || number == EG_INODE_ROOT))
        return unfit(error, "a directory has one name", number);
    inode.link_count++;
    EG_TRY(put_inode(a, number, &inode, error));
    eg_key entry = eg_key_entry(directory, name);
    engram_status status = eg_edit_get(a->edit, eg_key_view(&entry), &a->value, error);
    if (status == ENGRAM_OK)
        return unfit(error, "the name is taken", directory);
    if (status != ENGRAM_NOT_FOUND)
        return status;
    uint8_t value[9];
    eg_put_u64(value, number);
    value[8] = kind;
    EG_TRY(eg_edit_put(a->edit, eg_key_view(&entry), (eg_view){value, sizeof value}, error));
    eg_key parent = eg_key_parent(number, directory, name);
    return eg_edit_put(a->edit, eg_key_view(&parent), (eg_view){value, 0}, error);
}

/* Removes every key that begins with tag and number. */
static engram_status remove_all(eg_apply *a, char tag, uint64_t number, engram_error *error)
{
    eg_key first = eg_key_inode(number);
    first.bytes[0] = (uint8_t)tag;
    for (;;) {
        eg_cursor *cursor = NULL;
        EG_TRY(eg_cursor_open_edit(a->edit, &cursor, error));
        engram_status status = eg_cursor_seek(cursor, eg_key_view(&first), error);
        eg_buffer_clear(&a->scratch);
        bool found = status == ENGRAM_OK && eg_key_has(eg_cursor_key(cursor), tag, number);
        if (found)
            eg_write_bytes(&a->scratch, eg_cursor_key(cursor).data, eg_cursor_key(cursor).size);
        eg_cursor_close(&cursor);
        if (!found)
            return status == ENGRAM_OK || status == ENGRAM_NOT_FOUND ? ENGRAM_OK : status;
        EG_TRY(memory_of(&a->scratch, error));
        EG_TRY(eg_edit_remove(a->edit, (eg_view){a->scratch.data, a->scratch.size}, error));
    }
}

/* Whether a directory has entries. */
static engram_status directory_empty(eg_apply *a, uint64_t number, bool *empty, engram_error *error)
{
    eg_key first = eg_key_entry(number, (eg_view){NULL, 0});
    eg_cursor *cursor = NULL;
    EG_TRY(eg_cursor_open_edit(a->edit, &cursor, error));
    engram_status status = eg_cursor_seek(cursor, eg_key_view(&first), error);
    *empty = status != ENGRAM_OK || !eg_key_has(eg_cursor_key(cursor), 'D', number);
    eg_cursor_close(&cursor);
    return status == ENGRAM_NOT_FOUND ? ENGRAM_OK : status;
}

static engram_status remove_inode(eg_apply *a, uint64_t number, const eg_inode *inode,
                                  engram_error *error)
{
    count_inode(&a->totals, inode, -1);
    if (inode->kind == EG_KIND_DIRECTORY) {
        bool empty;
        EG_TRY(directory_empty(a, number, &empty, error));
        if (!empty)
            return unfit(error, "the directory is not empty", number);
    }
    if (inode->kind == EG_KIND_FILE)
        EG_TRY(eg_apply_splice(a, number, 0, UINT64_MAX, NULL, 0, error));
    EG_TRY(remove_all(a, 'X', number, error));
    eg_key key = eg_key_inode(number);
    return eg_edit_remove(a->edit, eg_key_view(&key), error);
}

static engram_status apply_unlink(eg_apply *a, eg_reader *in, engram_error *error)
{
    uint64_t directory = eg_read_u64(in);
    eg_view name = {.size = eg_reader_left(in)};
    name.data = eg_read_bytes(in, name.size);
    if (in->failed || !eg_name_valid(name))
        return unfit(error, "bad name", directory);
    eg_key entry = eg_key_entry(directory, name);
    engram_status status = eg_edit_get(a->edit, eg_key_view(&entry), &a->value, error);
    if (status == ENGRAM_NOT_FOUND || (status == ENGRAM_OK && a->value.size != 9))
        return unfit(error, "no such name", directory);
    EG_TRY(status);
    uint64_t number = eg_get_u64(a->value.data);
    EG_TRY(eg_edit_remove(a->edit, eg_key_view(&entry), error));
    eg_key parent = eg_key_parent(number, directory, name);
    EG_TRY(eg_edit_remove(a->edit, eg_key_view(&parent), error));
    eg_inode inode;
    EG_TRY(get_inode(a, number, &inode, error));
    if (inode.link_count > 1) {
        inode.link_count--;
        return put_inode(a, number, &inode, error);
    }
    return remove_inode(a, number, &inode, error);
}

/* Whether directory is number or lies below it. */
static engram_status lies_below(eg_apply *a, uint64_t directory, uint64_t number, bool *below,
                                engram_error *error)
{
    enum { DEPTH_MAX = 4096 };
    *below = false;
    for (int depth = 0; directory != EG_INODE_ROOT; depth++) {
        *below = directory == number || depth == DEPTH_MAX;
        if (*below)
            return ENGRAM_OK;
        eg_key first = eg_key_parent(directory, 0, (eg_view){NULL, 0});
        eg_cursor *cursor = NULL;
        EG_TRY(eg_cursor_open_edit(a->edit, &cursor, error));
        engram_status status = eg_cursor_seek(cursor, eg_key_view(&first), error);
        bool found = status == ENGRAM_OK && eg_key_has(eg_cursor_key(cursor), 'P', directory) &&
                     eg_cursor_key(cursor).size > 17;
        uint64_t up = found ? eg_get_be64(eg_cursor_key(cursor).data + 9) : 0;
        eg_cursor_close(&cursor);
        if (!found)
            return status == ENGRAM_OK || status == ENGRAM_NOT_FOUND
                       ? unfit(error, "a directory without a name", directory)
                       : status;
        directory = up;
    }
    return ENGRAM_OK;
}

typedef struct eg_move {
    uint64_t from, to; /* directories */
    eg_view from_name, to_name;
    uint64_t number;
    uint8_t entry[9];
} eg_move;

static engram_status check_move(eg_apply *a, eg_move *m, engram_error *error)
{
    eg_inode inode;
    eg_key old = eg_key_entry(m->from, m->from_name), entry = eg_key_entry(m->to, m->to_name);
    engram_status status = eg_edit_get(a->edit, eg_key_view(&old), &a->value, error);
    if (status == ENGRAM_NOT_FOUND || (status == ENGRAM_OK && a->value.size != sizeof m->entry))
        return unfit(error, "no such name", m->from);
    EG_TRY(status);
    memcpy(m->entry, a->value.data, sizeof m->entry);
    m->number = eg_get_u64(m->entry);
    EG_TRY(need_inode(a, m->to, EG_KIND_DIRECTORY, "no such directory", &inode, error));
    bool below = false;
    if (m->entry[8] == EG_KIND_DIRECTORY)
        EG_TRY(lies_below(a, m->to, m->number, &below, error));
    if (below)
        return unfit(error, "a directory cannot move below itself", m->number);
    status = eg_edit_get(a->edit, eg_key_view(&entry), &a->value, error);
    if (status == ENGRAM_OK)
        return unfit(error, "the name is taken", m->to);
    return status == ENGRAM_NOT_FOUND ? ENGRAM_OK : status;
}

static engram_status apply_rename(eg_apply *a, eg_reader *in, engram_error *error)
{
    eg_move m = {.from = eg_read_u64(in)};
    m.from_name.size = eg_read_u16(in);
    m.from_name.data = eg_read_bytes(in, m.from_name.size);
    m.to = eg_read_u64(in);
    m.to_name.size = eg_reader_left(in);
    m.to_name.data = eg_read_bytes(in, m.to_name.size);
    if (in->failed || !eg_name_valid(m.from_name) || !eg_name_valid(m.to_name))
        return unfit(error, "bad name", m.from);
    EG_TRY(check_move(a, &m, error));
    eg_key old = eg_key_entry(m.from, m.from_name), entry = eg_key_entry(m.to, m.to_name);
    eg_key old_parent = eg_key_parent(m.number, m.from, m.from_name);
    eg_key parent = eg_key_parent(m.number, m.to, m.to_name);
    EG_TRY(eg_edit_remove(a->edit, eg_key_view(&old), error));
    EG_TRY(eg_edit_remove(a->edit, eg_key_view(&old_parent), error));
    EG_TRY(eg_edit_put(a->edit, eg_key_view(&entry), (eg_view){m.entry, sizeof m.entry}, error));
    return eg_edit_put(a->edit, eg_key_view(&parent), (eg_view){m.entry, 0}, error);
}

static engram_status apply_snapshot(eg_apply *a, eg_reader *in, engram_error *error)
{
    uint64_t version = eg_read_u64(in);
    eg_view name = {.size = eg_reader_left(in)};
    name.data = eg_read_bytes(in, name.size);
    if (in->failed || !eg_name_valid(name) || version > a->version)
        return unfit(error, "bad snapshot", 0);
    uint8_t value[EG_SNAPSHOT_VALUE_SIZE];
    eg_put_u64(value, version != 0 ? version : a->version);
    eg_put_u64(value + 8, a->time_ns);
    a->keep |= version == 0;
    eg_key key = eg_key_snapshot(name);
    return eg_edit_put(a->edit, eg_key_view(&key), (eg_view){value, sizeof value}, error);
}

static engram_status apply_forget(eg_apply *a, eg_reader *in, engram_error *error)
{
    eg_view name = {.size = eg_reader_left(in)};
    name.data = eg_read_bytes(in, name.size);
    if (!eg_name_valid(name))
        return unfit(error, "bad snapshot", 0);
    eg_key key = eg_key_snapshot(name);
    engram_status status = eg_edit_remove(a->edit, eg_key_view(&key), error);
    return status == ENGRAM_NOT_FOUND ? unfit(error, "no such snapshot", 0) : status;
}

static engram_status apply_put_xattr(eg_apply *a, eg_reader *in, engram_error *error)
{
    uint64_t number = eg_read_u64(in);
    eg_view name = {.size = eg_read_u16(in)};
    name.data = eg_read_bytes(in, name.size);
    eg_view value = {.size = eg_reader_left(in)};
    value.data = eg_read_bytes(in, value.size);
    if (in->failed || name.size == 0 || name.size > EG_NAME_MAX || value.size > EG_TREE_VALUE_MAX)
        return unfit(error, "bad attribute", number);
    eg_key key = eg_key_attribute(number, name);
    return eg_edit_put(a->edit, eg_key_view(&key), value, error);
}

static engram_status apply_splice_op(eg_apply *a, eg_reader *in, engram_error *error)
{
    uint64_t number = eg_read_u64(in), offset = eg_read_u64(in), removed = eg_read_u64(in);
    size_t size = eg_reader_left(in);
    const uint8_t *refs = eg_read_bytes(in, size);
    eg_inode inode;
    if (in->failed || size % EG_REF_SIZE != 0)
        return unfit(error, "bad splice", number);
    EG_TRY(need_inode(a, number, EG_KIND_FILE, "bad splice", &inode, error));
    return eg_apply_splice(a, number, offset, removed, refs, size / EG_REF_SIZE, error);
}

static engram_status apply_label(eg_apply *a, eg_reader *in, engram_error *error)
{
    size_t size = eg_reader_left(in);
    eg_buffer_clear(&a->label);
    eg_write_bytes(&a->label, eg_read_bytes(in, size), size);
    a->labelled = a->keep = true;
    return memory_of(&a->label, error);
}

bool eg_apply_knows(uint8_t tag)
{
    return tag == EG_OP_WRITE_CHUNK || (tag >= EG_OP_UPDATE_ROOT && tag <= EG_OP_FORGET);
}

static engram_status apply_one(eg_apply *a, const eg_op *op, engram_error *error)
{
    eg_reader in = eg_reader_make(op->body.data, op->body.size);
    if (!eg_apply_knows(op->tag))
        return eg_fail(error, ENGRAM_NEWER,
                       "journal operation %u is not known to this version of engram", op->tag);
    switch (op->tag) {
    case EG_OP_UPDATE_ROOT:
        a->has_root_hash = true;
        memcpy(a->root_hash, op->body.data, sizeof a->root_hash);
        return ENGRAM_OK;
    case EG_OP_PUT_INODE:
        return apply_put_inode(a, &in, error);
    case EG_OP_SPLICE:
        return apply_splice_op(a, &in, error);
    case EG_OP_LINK:
        return apply_link(a, &in, error);
    case EG_OP_UNLINK:
        return apply_unlink(a, &in, error);
    case EG_OP_PUT_XATTR:
        return apply_put_xattr(a, &in, error);
    case EG_OP_CLEAR_XATTRS:
        return remove_all(a, 'X', eg_read_u64(&in), error);
    case EG_OP_LABEL:
        return apply_label(a, &in, error);
    case EG_OP_RENAME:
        return apply_rename(a, &in, error);
    case EG_OP_SNAPSHOT:
        return apply_snapshot(a, &in, error);
    case EG_OP_FORGET:
        return apply_forget(a, &in, error);
    default: /* chunks: recovery checks them against the store; segments: read before that is opened */
        return ENGRAM_OK;
    }
}

engram_status eg_apply_init(eg_apply *a, eg_edit *edit, uint64_t version, uint64_t time_ns,
                            engram_error *error)
{
    *a = (eg_apply){.edit = edit, .version = version, .time_ns = time_ns};
    eg_key key = eg_key_totals();
    engram_status status = eg_edit_get(edit, eg_key_view(&key), &a->value, error);
    if (status == ENGRAM_OK &&
        !eg_totals_decode((eg_view){a->value.data, a->value.size}, &a->totals))
        status = eg_fail(error, ENGRAM_DAMAGED, "the totals of the tree cannot be read");
    return status;
}

engram_status eg_apply_run(eg_apply *a, eg_view operations, engram_error *error)
{
    eg_reader in = eg_reader_make(operations.data, operations.size);
    eg_op op;
    while (eg_op_next(&in, &op))
        EG_TRY(apply_one(a, &op, error));
    return in.failed ? eg_fail(error, ENGRAM_INVALID, "malformed operation in a transaction")
                     : ENGRAM_OK;
}

engram_status eg_apply_finish(eg_apply *a, engram_error *error)
{
    uint8_t value[48];
    eg_totals_encode(&a->totals, value);
    eg_key key = eg_key_totals();
    return eg_edit_put(a->edit, eg_key_view(&key), (eg_view){value, sizeof value}, error);
}

void eg_apply_fini(eg_apply *a)
{
    eg_free(a->live.ids);
    eg_free(a->dead.ids);
    eg_buffer_fini(&a->label);
    eg_buffer_fini(&a->value);
    eg_buffer_fini(&a->scratch);
}

engram_status eg_apply_genesis(eg_edit *edit, uint64_t time_ns, engram_error *error)
{
    eg_inode root = {.kind = EG_KIND_DIRECTORY,
                     .flags = EG_INODE_IMPLIED,
                     .mode = 0755,
                     .link_count = 1,
                     .created_ns = time_ns,
                     .modified_ns = time_ns};
    eg_buffer record = {0};
    eg_inode_encode(&root, &record);
    eg_key key = eg_key_inode(EG_INODE_ROOT);
    engram_status status = memory_of(&record, error);
    if (status == ENGRAM_OK)
        status = eg_edit_put(edit, eg_key_view(&key), (eg_view){record.data, record.size}, error);
    eg_buffer_fini(&record);
    EG_TRY(status);
    eg_tree_totals totals = {.next_inode = EG_INODE_ROOT + 1, .directories = 1};
    uint8_t value[48];
    eg_totals_encode(&totals, value);
    key = eg_key_totals();
    return eg_edit_put(edit, eg_key_view(&key), (eg_view){value, sizeof value}, error);
}
