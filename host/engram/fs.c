/* Reading one version of the tree. */
#include "engram/fs.h"

#include "base/status.h"

static engram_status damaged(engram_error *error, const char *what, uint64_t number)
{
    return eg_fail(error, ENGRAM_DAMAGED,
                   "the tree's %s of inode %llu cannot be read; run engram verify", what,
                   (unsigned long long)number);
}

engram_status eg_fs_get(eg_root *root, uint64_t number, eg_inode *inode, eg_buffer *scratch,
                        engram_error *error)
{
    eg_key key = eg_key_inode(number);
    EG_TRY(eg_root_get(root, eg_key_view(&key), scratch, error));
    if (!eg_inode_decode((eg_view){scratch->data, scratch->size}, inode))
        return damaged(error, "record", number);
    return ENGRAM_OK;
}

engram_status eg_fs_child(eg_root *root, uint64_t directory, eg_view name, uint64_t *number,
                          engram_error *error)
{
    if (!eg_name_valid(name))
        return ENGRAM_NOT_FOUND;
    eg_key key = eg_key_entry(directory, name);
    eg_buffer value = {0};
    engram_status status = eg_root_get(root, eg_key_view(&key), &value, error);
    if (status == ENGRAM_OK && value.size != 9)
        status = damaged(error, "directory entry", directory);
    if (status == ENGRAM_OK)
        *number = eg_get_u64(value.data);
    eg_buffer_fini(&value);
    return status;
}

engram_status eg_fs_lookup(eg_root *root, eg_view path, uint64_t *number, engram_error *error)
{
    uint64_t at = EG_INODE_ROOT;
    for (size_t i = 0; i < path.size;) {
        size_t end = i;
        while (end < path.size && path.data[end] != '/')
            end++;
        eg_view name = {path.data + i, end - i};
        i = end + 1;
        if (name.size == 0 || (name.size == 1 && name.data[0] == '.'))
            continue;
        engram_status status = eg_fs_child(root, at, name, &at, error);
        if (status == ENGRAM_NOT_FOUND)
            return eg_fail(error, ENGRAM_NOT_FOUND, "no such path in this version: %.*s",
                           (int)path.size, (const char *)path.data);
        EG_TRY(status);
    }
    *number = at;
    return ENGRAM_OK;
}

/* Calls visit for each key that begins with prefix's first 9 bytes, from prefix on. */
typedef engram_status eg_fs_visit(void *context, eg_view key, eg_view value, engram_error *error);

static engram_status walk(eg_root *root, const eg_key *prefix, eg_fs_visit *visit, void *context,
                          engram_error *error)
{
    eg_cursor *cursor = NULL;
    EG_TRY(eg_cursor_open(root, &cursor, error));
    engram_status status = eg_cursor_seek(cursor, eg_key_view(prefix), error);
    bool at_end = status == ENGRAM_NOT_FOUND;
    while (status == ENGRAM_OK) {
        eg_view key = eg_cursor_key(cursor);
        if (key.size < 9 || memcmp(key.data, prefix->bytes, 9) != 0)
            break;
        status = visit(context, key, eg_cursor_value(cursor), error);
        if (status == ENGRAM_OK) {
            status = eg_cursor_next(cursor, error);
            at_end = status == ENGRAM_NOT_FOUND;
        }
    }
    eg_cursor_close(&cursor);
    return at_end ? ENGRAM_OK : status;
}

typedef struct list_context {
    eg_fs_entry *entry;
    void *context;
    uint64_t directory;
} list_context;

static engram_status list_visit(void *context, eg_view key, eg_view value, engram_error *error)
{
    list_context *c = context;
    eg_view name = {key.data + 9, key.size - 9};
    if (value.size != 9 || !eg_name_valid(name))
        return damaged(error, "directory entry", c->directory);
    return c->entry(c->context, name, eg_get_u64(value.data), (eg_inode_kind)value.data[8], error);
}

engram_status eg_fs_list_from(eg_root *root, uint64_t directory, eg_view name, eg_fs_entry *entry,
                              void *context, engram_error *error)
{
    eg_key key = eg_key_entry(directory, name);
    list_context c = {entry, context, directory};
    return walk(root, &key, list_visit, &c, error);
}

engram_status eg_fs_list(eg_root *root, uint64_t directory, eg_fs_entry *entry, void *context,
                         engram_error *error)
{
    return eg_fs_list_from(root, directory, (eg_view){NULL, 0}, entry, context, error);
}

typedef struct refs_context {
    eg_fs_ref *ref;
    void *context;
    uint64_t number, offset,
        next; /* next: where the coming run must begin, UINT64_MAX before the first */
} refs_context;

static engram_status refs_visit(void *context, eg_view key, eg_view value, engram_error *error)
{
    refs_context *c = context;
    if (key.size != 17 || value.size == 0 || value.size % EG_REF_SIZE != 0)
        return damaged(error, "content", c->number);
    uint64_t end = eg_get_be64(key.data + 9), size = 0;
    for (size_t i = 0; i < value.size; i += EG_REF_SIZE)
        size += eg_ref_get(value.data + i).size;
    if (size > end || (c->next != UINT64_MAX && end - size != c->next))
        return damaged(error, "content", c->number);
    uint64_t at = end - size;
    c->next = end;
    for (size_t i = 0; i < value.size; i += EG_REF_SIZE) {
        eg_chunk_ref ref = eg_ref_get(value.data + i);
        if (at + ref.size > c->offset)
            EG_TRY(c->ref(c->context, at, ref, error));
        at += ref.size;
    }
    return ENGRAM_OK;
}

engram_status eg_fs_refs(eg_root *root, uint64_t number, uint64_t offset, eg_fs_ref *ref,
                         void *context, engram_error *error)
{
    if (offset == UINT64_MAX)
        return ENGRAM_OK;
    eg_key key = eg_key_run(number, offset + 1);
    refs_context c = {ref, context, number, offset, offset == 0 ? 0 : UINT64_MAX};
    return walk(root, &key, refs_visit, &c, error);
}

typedef struct attributes_context {
    eg_fs_attribute *attribute;
    void *context;
} attributes_context;

static engram_status attributes_visit(void *context, eg_view key, eg_view value,
                                      engram_error *error)
{
    attributes_context *c = context;
    return c->attribute(c->context, (eg_view){key.data + 9, key.size - 9}, value, error);
}

engram_status eg_fs_attributes(eg_root *root, uint64_t number, eg_fs_attribute *attribute,
                               void *context, engram_error *error)
{
    eg_key key = eg_key_attribute(number, (eg_view){NULL, 0});
    attributes_context c = {attribute, context};
    return walk(root, &key, attributes_visit, &c, error);
}

engram_status eg_fs_parent(eg_root *root, uint64_t number, uint64_t *directory, eg_buffer *part,
                           engram_error *error)
{
    eg_key key = eg_key_parent(number, 0, (eg_view){NULL, 0});
    eg_cursor *cursor = NULL;
    EG_TRY(eg_cursor_open(root, &cursor, error));
    engram_status status = eg_cursor_seek(cursor, eg_key_view(&key), error);
    if (status == ENGRAM_NOT_FOUND ||
        (status == ENGRAM_OK &&
         (!eg_key_has(eg_cursor_key(cursor), 'P', number) || eg_cursor_key(cursor).size <= 17)))
        status = damaged(error, "name", number);
    if (status == ENGRAM_OK) {
        *directory = eg_get_be64(eg_cursor_key(cursor).data + 9);
        eg_buffer_clear(part);
        eg_write_bytes(part, eg_cursor_key(cursor).data + 17, eg_cursor_key(cursor).size - 17);
        if (part->failed)
            status = eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
    }
    eg_cursor_close(&cursor);
    return status;
}

typedef struct names_context {
    eg_fs_name *name;
    void *context;
} names_context;

static engram_status names_visit(void *context, eg_view key, eg_view value, engram_error *error)
{
    names_context *c = context;
    (void)value;
    if (key.size <= 17)
        return damaged(error, "name", eg_get_be64(key.data + 1));
    return c->name(c->context, eg_get_be64(key.data + 9), (eg_view){key.data + 17, key.size - 17},
                   error);
}

engram_status eg_fs_names(eg_root *root, uint64_t number, eg_fs_name *name, void *context,
                          engram_error *error)
{
    eg_key key = eg_key_parent(number, 0, (eg_view){NULL, 0});
    names_context c = {name, context};
    return walk(root, &key, names_visit, &c, error);
}

engram_status eg_fs_path(eg_root *root, uint64_t number, eg_buffer *path, engram_error *error)
{
    enum { DEPTH_MAX = 4096 };
    eg_buffer part = {0},
              reversed = {0}; /* reversed: names last first, each followed by its u16 length */
    engram_status status = ENGRAM_OK;
    for (int depth = 0; number != EG_INODE_ROOT && status == ENGRAM_OK; depth++) {
        if (depth == DEPTH_MAX)
            status = damaged(error, "path", number);
        else
            status = eg_fs_parent(root, number, &number, &part, error);
        eg_write_bytes(&reversed, part.data, part.size);
        eg_write_u16(&reversed, (uint16_t)part.size);
    }
    if (status == ENGRAM_OK && reversed.failed)
        status = eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
    for (size_t end = reversed.size; status == ENGRAM_OK && end != 0;) {
        size_t size = eg_get_u16(reversed.data + end - 2);
        end -= 2 + size;
        eg_write_bytes(path, reversed.data + end, size);
        if (end != 0)
            eg_write_u8(path, '/');
    }
    if (status == ENGRAM_OK && path->failed)
        status = eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
    eg_buffer_fini(&part);
    eg_buffer_fini(&reversed);
    return status;
}

engram_status eg_fs_holders(eg_root *root, uint64_t chunk, eg_fs_holder *holder, void *context,
                            engram_error *error)
{
    eg_key key = eg_key_holder(chunk, 0);
    eg_cursor *cursor = NULL;
    EG_TRY(eg_cursor_open(root, &cursor, error));
    engram_status status = eg_cursor_seek(cursor, eg_key_view(&key), error);
    bool at_end = status == ENGRAM_NOT_FOUND;
    while (status == ENGRAM_OK) {
        eg_view k = eg_cursor_key(cursor), value = eg_cursor_value(cursor);
        if (k.data[0] != 'R' || (chunk != 0 && !eg_key_has(k, 'R', chunk)))
            break;
        if (k.size != 17 || value.size != 4)
            status = eg_fail(error, ENGRAM_DAMAGED,
                             "the tree's list of holders cannot be read; run engram verify");
        else
            status = holder(context, eg_get_be64(k.data + 1), eg_get_be64(k.data + 9),
                            eg_get_u32(value.data), error);
        if (status == ENGRAM_OK) {
            status = eg_cursor_next(cursor, error);
            at_end = status == ENGRAM_NOT_FOUND;
        }
    }
    eg_cursor_close(&cursor);
    return at_end ? ENGRAM_OK : status;
}

engram_status eg_fs_totals(eg_root *root, eg_tree_totals *totals, engram_error *error)
{
    eg_key key = eg_key_totals();
    eg_buffer value = {0};
    engram_status status = eg_root_get(root, eg_key_view(&key), &value, error);
    if (status != ENGRAM_NO_MEMORY && status != ENGRAM_IO &&
        (status != ENGRAM_OK || !eg_totals_decode((eg_view){value.data, value.size}, totals)))
        status = eg_fail(error, ENGRAM_DAMAGED,
                         "the totals of the tree cannot be read; run engram verify");
    eg_buffer_fini(&value);
    return status;
}
