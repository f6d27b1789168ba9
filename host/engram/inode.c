/* The inode record and the keys of the tree. docs/formats.md has their bytes. */
#include "engram/inode.h"

enum { INODE_FORMAT = 1, INODE_FIXED_SIZE = 108, TOTALS_SIZE = 48 };

static void write_time(eg_buffer *out, eg_time time)
{
    eg_write_u64(out, (uint64_t)time.seconds);
    eg_write_u32(out, time.nanoseconds);
}

static eg_time read_time(eg_reader *in)
{
    int64_t seconds = (int64_t)eg_read_u64(in);
    return (eg_time){seconds, eg_read_u32(in)};
}

void eg_inode_encode(const eg_inode *inode, eg_buffer *out)
{
    eg_write_u8(out, INODE_FORMAT);
    eg_write_u8(out, (uint8_t)inode->kind);
    eg_write_u8(out, inode->flags);
    eg_write_u8(out, 0);
    eg_write_u16(out, inode->mode);
    eg_write_u16(out, 0);
    eg_write_u32(out, inode->uid);
    eg_write_u32(out, inode->gid);
    eg_write_u32(out, inode->link_count);
    eg_write_u64(out, inode->size);
    eg_write_u64(out, inode->device);
    write_time(out, inode->mtime);
    eg_write_u64(out, inode->source_device);
    eg_write_u64(out, inode->source_inode);
    write_time(out, inode->source_ctime);
    eg_write_u64(out, inode->created_version);
    eg_write_u64(out, inode->modified_version);
    eg_write_u64(out, inode->created_ns);
    eg_write_u64(out, inode->modified_ns);
    eg_write_bytes(out, inode->target.data, inode->target.size);
}

bool eg_inode_decode(eg_view value, eg_inode *inode)
{
    eg_reader in = eg_reader_make(value.data, value.size);
    if (value.size < INODE_FIXED_SIZE || eg_read_u8(&in) != INODE_FORMAT)
        return false;
    inode->kind = (eg_inode_kind)eg_read_u8(&in);
    inode->flags = eg_read_u8(&in);
    (void)eg_read_u8(&in);
    inode->mode = eg_read_u16(&in);
    (void)eg_read_u16(&in);
    inode->uid = eg_read_u32(&in);
    inode->gid = eg_read_u32(&in);
    inode->link_count = eg_read_u32(&in);
    inode->size = eg_read_u64(&in);
    inode->device = eg_read_u64(&in);
    inode->mtime = read_time(&in);
    inode->source_device = eg_read_u64(&in);
    inode->source_inode = eg_read_u64(&in);
    inode->source_ctime = read_time(&in);
    inode->created_version = eg_read_u64(&in);
    inode->modified_version = eg_read_u64(&in);
    inode->created_ns = eg_read_u64(&in);
    inode->modified_ns = eg_read_u64(&in);
    inode->target.size = eg_reader_left(&in);
    inode->target.data = eg_read_bytes(&in, inode->target.size);
    bool kind_known = inode->kind >= EG_KIND_FILE && inode->kind <= EG_KIND_BLOCK_DEVICE;
    bool target_fits = inode->target.size == (inode->kind == EG_KIND_SYMLINK ? inode->size : 0);
    return !in.failed && kind_known && target_fits && inode->target.size <= EG_PATH_MAX &&
           inode->mtime.nanoseconds < 1000000000u;
}

void eg_totals_encode(const eg_tree_totals *totals, uint8_t out[48])
{
    const uint64_t fields[6] = {totals->next_inode, totals->files,  totals->directories,
                                totals->links,      totals->others, totals->bytes_logical};
    for (size_t i = 0; i < 6; i++)
        eg_put_u64(out + 8 * i, fields[i]);
}

bool eg_totals_decode(eg_view value, eg_tree_totals *totals)
{
    if (value.size != TOTALS_SIZE)
        return false;
    uint64_t *fields[6] = {&totals->next_inode, &totals->files,  &totals->directories,
                           &totals->links,      &totals->others, &totals->bytes_logical};
    for (size_t i = 0; i < 6; i++)
        *fields[i] = eg_get_u64(value.data + 8 * i);
    return totals->next_inode > EG_INODE_ROOT;
}

static eg_key key_start(char tag, uint64_t number)
{
    eg_key key = {.size = 9};
    key.bytes[0] = (uint8_t)tag;
    eg_put_be64(key.bytes + 1, number);
    return key;
}

static void key_number(eg_key *key, uint64_t number)
{
    eg_put_be64(key->bytes + key->size, number);
    key->size += 8;
}

static void key_name(eg_key *key, eg_view name)
{
    size_t size = name.size < EG_NAME_MAX ? name.size : EG_NAME_MAX;
    if (size != 0)
        memcpy(key->bytes + key->size, name.data, size);
    key->size += size;
}

eg_key eg_key_entry(uint64_t directory, eg_view name)
{
    eg_key key = key_start('D', directory);
    key_name(&key, name);
    return key;
}

eg_key eg_key_run(uint64_t inode, uint64_t end)
{
    eg_key key = key_start('E', inode);
    key_number(&key, end);
    return key;
}

eg_key eg_key_inode(uint64_t inode)
{
    return key_start('I', inode);
}

eg_key eg_key_parent(uint64_t inode, uint64_t directory, eg_view name)
{
    eg_key key = key_start('P', inode);
    key_number(&key, directory);
    key_name(&key, name);
    return key;
}

eg_key eg_key_holder(uint64_t chunk, uint64_t inode)
{
    eg_key key = key_start('R', chunk);
    key_number(&key, inode);
    return key;
}

eg_key eg_key_snapshot(eg_view name)
{
    eg_key key = {.bytes = {'N'}};
    size_t size = name.size < EG_NAME_MAX ? name.size : EG_NAME_MAX;
    if (size != 0)
        memcpy(key.bytes + 1, name.data, size);
    key.size = 1 + size;
    return key;
}

eg_key eg_key_totals(void)
{
    return (eg_key){.bytes = {'S'}, .size = 1};
}

eg_key eg_key_attribute(uint64_t inode, eg_view name)
{
    eg_key key = key_start('X', inode);
    key_name(&key, name);
    return key;
}

bool eg_key_has(eg_view key, char tag, uint64_t number)
{
    return key.size >= 9 && key.data[0] == (uint8_t)tag && eg_get_be64(key.data + 1) == number;
}

bool eg_name_valid(eg_view name)
{
    if (name.size < 1 || name.size > EG_NAME_MAX)
        return false;
    if (name.data[0] == '.' && (name.size == 1 || (name.size == 2 && name.data[1] == '.')))
        return false;
    return memchr(name.data, '/', name.size) == NULL && memchr(name.data, 0, name.size) == NULL;
}
