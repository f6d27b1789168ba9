/* Building operations; engram/ops.h has the grammar. */
#include "engram/ops.h"

#include "engram/hypervector.h"

/* Starts an operation with a length; the place of the length is returned for finish. */
static size_t start(eg_buffer *out, uint8_t tag)
{
    eg_write_u8(out, tag);
    eg_write_u32(out, 0);
    return out->size;
}

static void finish(eg_buffer *out, size_t body)
{
    if (!out->failed)
        eg_put_u32(out->data + body - 4, (uint32_t)(out->size - body));
}

void eg_ops_write_chunk(eg_buffer *out, uint64_t id, const eg_fingerprint *fingerprint,
                        uint64_t size)
{
    static const uint8_t zeros[16];
    eg_write_u8(out, EG_OP_WRITE_CHUNK);
    eg_write_u64(out, id);
    eg_write_bytes(out, fingerprint->bytes, sizeof fingerprint->bytes);
    eg_write_bytes(out, zeros, sizeof zeros);
    eg_write_u64(out, size);
}

void eg_ops_update_root(eg_buffer *out, const uint8_t hash[32])
{
    eg_write_u8(out, EG_OP_UPDATE_ROOT);
    eg_write_bytes(out, hash, 32);
}

void eg_ops_segment(eg_buffer *out, const eg_segment_state *state)
{
    size_t body = start(out, EG_OP_SEGMENT);
    eg_write_u64(out, state->id);
    eg_write_u64(out, state->chunk_count);
    eg_write_u64(out, state->payload_size);
    eg_write_u8(out, state->level);
    finish(out, body);
}

void eg_ops_put_inode(eg_buffer *out, uint64_t inode, const eg_inode *attributes)
{
    size_t body = start(out, EG_OP_PUT_INODE);
    eg_write_u64(out, inode);
    eg_inode_encode(attributes, out);
    finish(out, body);
}

void eg_ops_splice(eg_buffer *out, uint64_t inode, uint64_t offset, uint64_t removed,
                   const eg_chunk_ref *refs, size_t count)
{
    size_t body = start(out, EG_OP_SPLICE);
    eg_write_u64(out, inode);
    eg_write_u64(out, offset);
    eg_write_u64(out, removed);
    uint8_t *at = eg_buffer_extend(out, count * EG_REF_SIZE);
    for (size_t i = 0; at != NULL && i < count; i++)
        eg_ref_put(at + i * EG_REF_SIZE, refs[i]);
    finish(out, body);
}

void eg_ops_link(eg_buffer *out, uint64_t directory, uint64_t inode, eg_inode_kind kind,
                 eg_view name)
{
    size_t body = start(out, EG_OP_LINK);
    eg_write_u64(out, directory);
    eg_write_u64(out, inode);
    eg_write_u8(out, (uint8_t)kind);
    eg_write_bytes(out, name.data, name.size);
    finish(out, body);
}

void eg_ops_unlink(eg_buffer *out, uint64_t directory, eg_view name)
{
    size_t body = start(out, EG_OP_UNLINK);
    eg_write_u64(out, directory);
    eg_write_bytes(out, name.data, name.size);
    finish(out, body);
}

void eg_ops_put_xattr(eg_buffer *out, uint64_t inode, eg_view name, eg_view value)
{
    size_t body = start(out, EG_OP_PUT_XATTR);
    eg_write_u64(out, inode);
    eg_write_u16(out, (uint16_t)name.size);
    eg_write_bytes(out, name.data, name.size);
    eg_write_bytes(out, value.data, value.size);
    finish(out, body);
}

void eg_ops_clear_xattrs(eg_buffer *out, uint64_t inode)
{
    size_t body = start(out, EG_OP_CLEAR_XATTRS);
    eg_write_u64(out, inode);
    finish(out, body);
}

void eg_ops_label(eg_buffer *out, eg_view text)
{
    size_t body = start(out, EG_OP_LABEL);
    eg_write_bytes(out, text.data, text.size);
    finish(out, body);
}

enum { CHUNK_FIXED = 4 * 8 + 16 + 2 * 4 + 2 + ENGRAM_BLOCKS };

void eg_ops_chunk(eg_buffer *out, uint64_t id, const eg_new_chunk *chunk)
{
    size_t body = start(out, EG_OP_CHUNK);
    eg_write_u64(out, id);
    eg_write_u64(out, chunk->version);
    eg_write_u64(out, chunk->created_ns);
    eg_write_u64(out, chunk->base);
    eg_write_bytes(out, chunk->fingerprint.bytes, sizeof chunk->fingerprint.bytes);
    eg_write_u32(out, chunk->size);
    eg_write_u32(out, chunk->spread);
    eg_write_u8(out, (uint8_t)chunk->kind);
    eg_write_u8(out, chunk->depth);
    eg_write_bytes(out, chunk->vector, ENGRAM_BLOCKS);
    eg_write_bytes(out, chunk->correction.data, chunk->correction.size);
    finish(out, body);
}

bool eg_ops_read_chunk(eg_view body, uint64_t *id, eg_new_chunk *chunk)
{
    eg_reader in = eg_reader_make(body.data, body.size);
    *chunk = (eg_new_chunk){0};
    *id = eg_read_u64(&in);
    chunk->version = eg_read_u64(&in);
    chunk->created_ns = eg_read_u64(&in);
    chunk->base = eg_read_u64(&in);
    const uint8_t *fingerprint = eg_read_bytes(&in, sizeof chunk->fingerprint.bytes);
    if (fingerprint != NULL)
        memcpy(chunk->fingerprint.bytes, fingerprint, sizeof chunk->fingerprint.bytes);
    chunk->size = eg_read_u32(&in);
    chunk->spread = eg_read_u32(&in);
    chunk->kind = (eg_correction_kind)eg_read_u8(&in);
    chunk->depth = eg_read_u8(&in);
    chunk->vector = eg_read_bytes(&in, ENGRAM_BLOCKS);
    chunk->correction = (eg_view){.size = eg_reader_left(&in)};
    chunk->correction.data = eg_read_bytes(&in, chunk->correction.size);
    return !in.failed && *id != 0 && chunk->size != 0;
}

void eg_ops_rename(eg_buffer *out, uint64_t directory, eg_view name, uint64_t to_directory,
                   eg_view to_name)
{
    size_t body = start(out, EG_OP_RENAME);
    eg_write_u64(out, directory);
    eg_write_u16(out, (uint16_t)name.size);
    eg_write_bytes(out, name.data, name.size);
    eg_write_u64(out, to_directory);
    eg_write_bytes(out, to_name.data, to_name.size);
    finish(out, body);
}

void eg_ops_snapshot(eg_buffer *out, uint64_t version, eg_view name)
{
    size_t body = start(out, EG_OP_SNAPSHOT);
    eg_write_u64(out, version);
    eg_write_bytes(out, name.data, name.size);
    finish(out, body);
}

void eg_ops_forget(eg_buffer *out, eg_view name)
{
    size_t body = start(out, EG_OP_FORGET);
    eg_write_bytes(out, name.data, name.size);
    finish(out, body);
}
