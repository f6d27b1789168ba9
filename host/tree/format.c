/* Node files, format version 1. All numbers are little-endian.
 *
 * A file is a header and then nodes, one directly behind the other, appended and never rewritten. A
 * node is found only through a reference (address u64, stored size u32): from a parent, or from a
 * checkpoint for the top of a tree. What no reference reaches is garbage.
 *
 * File header, 64 bytes
 *    0  magic        8 bytes "EGNODES1"
 *    8  version      u32, 1
 *   12  reserved     48 bytes, zero
 *   60  check        u32, CRC-32 (IEEE) of bytes 0 .. 59
 *
 * Node, `size` bytes
 *    0  magic        u32, bytes "NODE"
 *    4  size         u32, of the whole node as stored, this header included
 *    8  check        u64, XXH3-64 of bytes 16 .. size - 1
 *   16  address      u64, the node's own: byte offset in the low 48 bits, file number - 1 above
 *   24  raw size     u32, of the cells
 *   28  count        u16, of the cells
 *   30  codec        u8, 0 raw, 1 zstd (one frame)
 *   31  level        u8, 0 leaf
 *   32  body         size - 32 bytes: the cells, encoded by the codec
 *
 * Cell of a leaf              Cell of an internal node
 *    key size   u16              key size      u16
 *    value size u32              key
 *    key                         child address u64
 *    value                       child size    u32, stored
 *
 * A node is valid for a reference and an expected level when
 *    1  the reference is sane: offset >= 64, file number 1, size from 33 to 32 + 132,102, and its
 * end is not beyond the end of the file that the checkpoint vouches for; 2  magic, size and address
 * agree with the reference, and the check is right; 3  the level is the expected one (a child's is
 * its parent's - 1; the top's is free), below 24; 4  codec is known; raw size is at most 132,102;
 * the body decodes to exactly raw size bytes; 5  count cells fill those bytes exactly; a leaf has
 * at least one, an internal node two; 6  keys have 1 .. 1,024 bytes (the first of an internal node
 * may have 0), values at most 131,072; keys rise strictly, as unsigned bytes, a prefix first; 7
 * references to children are sane, and each child ends at or before this node's own address.
 * Between nodes: the keys of a child are >= its cell's key and < the next cell's, or the bound that
 * the parent itself stands under; the first key of an internal node equals the key of the cell that
 * refers to it, and is empty at the top.
 *
 * Reader: check the file header once: magic, check, then version (a higher one is refused). For a
 * node, read `size` bytes at the offset and check 1 to 7 before using any of it. 7 makes cycles
 * impossible.
 *
 * Writer: children before parents, then sync, and only then a checkpoint that refers to the top. A
 * writer that opens a file cuts it at the end that the last checkpoint vouches for. */
#include "tree/format.h"

#include <assert.h>
#include <string.h>
#include <xxhash.h>
#include <zstd.h>

#include "base/memory.h"

static const char file_magic[8] = "EGNODES1";
static const char node_magic[4] = "NODE";

enum { CHILD_SIZE = 12 };

static_assert(EG_NODE_RAW_MAX == 132102, "on disk");
static_assert(EG_NODES_HEADER_SIZE == 64 && EG_NODE_HEADER_SIZE == 32, "on disk");

void eg_nodes_header_pack(uint8_t bytes[EG_NODES_HEADER_SIZE])
{
    memset(bytes, 0, EG_NODES_HEADER_SIZE);
    memcpy(bytes, file_magic, sizeof file_magic);
    eg_put_u32(bytes + 8, EG_NODES_VERSION);
    eg_put_u32(bytes + 60, eg_crc32(0, bytes, 60));
}

engram_status eg_nodes_header_check(const uint8_t bytes[EG_NODES_HEADER_SIZE], const char *name,
                                    engram_error *error)
{
    if (memcmp(bytes, file_magic, sizeof file_magic) != 0)
        return eg_fail(error, ENGRAM_DAMAGED, "%s: not a node file (offset 0)", name);
    if (eg_get_u32(bytes + 60) != eg_crc32(0, bytes, 60))
        return eg_fail(error, ENGRAM_DAMAGED, "%s: the header fails its check (offset 0)", name);
    uint32_t version = eg_get_u32(bytes + 8);
    if (version > EG_NODES_VERSION)
        return eg_fail(error, ENGRAM_NEWER,
                       "%s: format version %u, this program knows %d: use a newer one", name,
                       version, EG_NODES_VERSION);
    if (version < EG_NODES_VERSION)
        return eg_fail(error, ENGRAM_DAMAGED, "%s: format version %u does not exist", name,
                       version);
    return ENGRAM_OK;
}

size_t eg_node_raw_size(const eg_node *node)
{
    if (node->level == 0)
        return node->page.live;
    size_t cell_extra = EG_CELL_HEADER + EG_LINK_SIZE - 2 - CHILD_SIZE;
    return node->page.live - node->page.count * cell_extra;
}

static uint8_t *pack_child(const eg_node *node, size_t index, uint8_t *at)
{
    eg_view key = eg_page_key(&node->page, index);
    eg_link link = eg_node_link(node, index);
    if (link.node) {
        link.address = atomic_load_explicit(&link.node->stored_address, memory_order_relaxed);
        link.size = link.node->stored_size;
    }
    eg_put_u16(at, (uint16_t)key.size);
    memcpy(at + 2, key.data, key.size);
    eg_put_u64(at + 2 + key.size, link.address);
    eg_put_u32(at + 2 + key.size + 8, link.size);
    return at + 2 + key.size + CHILD_SIZE;
}

void eg_node_pack(const eg_node *node, uint8_t *raw)
{
    for (size_t i = 0; i < node->page.count; i++) {
        if (node->level > 0) {
            raw = pack_child(node, i, raw);
            continue;
        }
        size_t size = eg_page_cell_size(&node->page, i);
        memcpy(raw, eg_page_cell(&node->page, i), size);
        raw += size;
    }
}

void eg_node_seal(const eg_node_header *header, uint8_t *bytes)
{
    memcpy(bytes, node_magic, 4);
    eg_put_u32(bytes + 4, header->size);
    eg_put_u64(bytes + 16, header->address);
    eg_put_u32(bytes + 24, header->raw_size);
    eg_put_u16(bytes + 28, (uint16_t)header->count);
    bytes[30] = header->codec;
    bytes[31] = header->level;
    eg_put_u64(bytes + 8, XXH3_64bits(bytes + 16, header->size - 16));
}

eg_unpacker *eg_unpacker_create(void)
{
    eg_unpacker *unpacker = eg_alloc_zero(1, sizeof *unpacker);
    if (!unpacker)
        return NULL;
    unpacker->stored = eg_alloc(EG_NODE_STORED_MAX);
    unpacker->raw = eg_alloc(EG_NODE_RAW_MAX);
    unpacker->decompressor = ZSTD_createDCtx();
    if (unpacker->stored && unpacker->raw && unpacker->decompressor)
        return unpacker;
    eg_unpacker_free(unpacker);
    return NULL;
}

void eg_unpacker_free(eg_unpacker *unpacker)
{
    if (!unpacker)
        return;
    ZSTD_freeDCtx(unpacker->decompressor);
    eg_free(unpacker->raw);
    eg_free(unpacker->stored);
    eg_free(unpacker);
}

bool eg_node_ref_ok(eg_node_ref ref)
{
    return eg_nodes_offset_of(ref.address) >= EG_NODES_HEADER_SIZE &&
           ref.size > EG_NODE_HEADER_SIZE && ref.size <= EG_NODE_STORED_MAX;
}

/* Conditions 2 to 4, but for decoding. NULL: all well. */
static const char *check_header(const uint8_t *bytes, eg_node_ref ref, int level)
{
    if (memcmp(bytes, node_magic, 4) != 0)
        return "no node begins here";
    if (eg_get_u32(bytes + 4) != ref.size || eg_get_u64(bytes + 16) != ref.address)
        return "another node than the one referred to";
    if (eg_get_u64(bytes + 8) != XXH3_64bits(bytes + 16, ref.size - 16))
        return "the checksum is wrong";
    if (bytes[31] >= EG_LEVELS_MAX || (level != EG_LEVEL_ANY && bytes[31] != level))
        return "the level is wrong";
    if (eg_get_u32(bytes + 24) > EG_NODE_RAW_MAX)
        return "the size of the cells is out of range";
    if (eg_get_u16(bytes + 28) < (bytes[31] ? 2 : 1))
        return "too few entries";
    return NULL;
}

/* The cells, in place or decompressed; NULL when they cannot be. */
static const uint8_t *decode(eg_unpacker *unpacker, uint32_t size)
{
    const uint8_t *body = unpacker->stored + EG_NODE_HEADER_SIZE;
    uint32_t body_size = size - EG_NODE_HEADER_SIZE;
    uint32_t raw_size = eg_get_u32(unpacker->stored + 24);
    if (unpacker->stored[30] == EG_CODEC_RAW)
        return body_size == raw_size ? body : NULL;
    if (unpacker->stored[30] != EG_CODEC_ZSTD)
        return NULL;
    size_t got =
        ZSTD_decompressDCtx(unpacker->decompressor, unpacker->raw, raw_size, body, body_size);
    return !ZSTD_isError(got) && got == raw_size ? unpacker->raw : NULL;
}

typedef struct eg_cell {
    eg_view key, value;
    uint8_t link[EG_LINK_SIZE];
} eg_cell;

static const char *read_child(eg_reader *reader, uint64_t own_address, eg_cell *cell)
{
    size_t key_size = eg_read_u16(reader);
    cell->key = (eg_view){eg_read_bytes(reader, key_size), key_size};
    eg_node_ref ref = {.address = eg_read_u64(reader)};
    ref.size = eg_read_u32(reader);
    if (reader->failed)
        return "an entry goes beyond the node";
    if (!eg_node_ref_ok(ref) || ref.address + ref.size > own_address)
        return "a child is where none can be";
    memset(cell->link, 0, sizeof cell->link);
    eg_put_u64(cell->link, ref.address);
    eg_put_u32(cell->link + 8, ref.size);
    cell->value = (eg_view){cell->link, sizeof cell->link};
    return NULL;
}

static const char *read_entry(eg_reader *reader, eg_cell *cell)
{
    size_t key_size = eg_read_u16(reader);
    size_t value_size = eg_read_u32(reader);
    cell->key = (eg_view){eg_read_bytes(reader, key_size), key_size};
    cell->value = (eg_view){eg_read_bytes(reader, value_size), value_size};
    if (reader->failed)
        return "an entry goes beyond the node";
    return value_size > EG_TREE_VALUE_MAX ? "a value is too long" : NULL;
}

static const char *check_key(const eg_node *node, eg_view key)
{
    size_t count = node->page.count;
    if (key.size > EG_TREE_KEY_MAX)
        return "a key is too long";
    if (key.size == 0 && (node->level == 0 || count > 0))
        return "a key is empty";
    if (count > 0 && eg_key_compare(eg_page_key(&node->page, count - 1), key) >= 0)
        return "keys are not in order";
    return NULL;
}

/* Conditions 5 to 7. The page was made large enough for any cells of that size and count. */
static engram_status read_cells(eg_node *node, eg_reader reader, size_t count, eg_node_ref ref,
                                const char **why)
{
    eg_cell cell;
    for (size_t i = 0; i < count; i++) {
        *why = node->level ? read_child(&reader, ref.address, &cell) : read_entry(&reader, &cell);
        if (!*why)
            *why = check_key(node, cell.key);
        if (*why)
            return ENGRAM_DAMAGED;
        if (!eg_page_insert(&node->page, i, cell.key, cell.value))
            return ENGRAM_NO_MEMORY;
    }
    if (eg_reader_left(&reader) == 0)
        return ENGRAM_OK;
    *why = "bytes are left over";
    return ENGRAM_DAMAGED;
}

engram_status eg_node_unpack(eg_unpacker *unpacker, eg_node_ref ref, int level, eg_node **node,
                             const char **why)
{
    const uint8_t *header = unpacker->stored;
    *why = check_header(header, ref, level);
    const uint8_t *raw = *why ? NULL : decode(unpacker, ref.size);
    if (!raw && !*why)
        *why = "the cells cannot be decoded";
    if (*why)
        return ENGRAM_DAMAGED;
    size_t raw_size = eg_get_u32(header + 24), count = eg_get_u16(header + 28);
    size_t cell_extra = header[31] ? EG_CELL_HEADER + EG_LINK_SIZE - 2 - CHILD_SIZE : 0;
    eg_node *made = eg_node_create(header[31], raw_size + count * (EG_SLOT_SIZE + cell_extra));
    if (!made)
        return ENGRAM_NO_MEMORY;
    engram_status status = read_cells(made, eg_reader_make(raw, raw_size), count, ref, why);
    if (status != ENGRAM_OK) {
        eg_node_release(made);
        return status;
    }
    eg_page_tune(&made->page);
    atomic_store_explicit(&made->stored_address, ref.address, memory_order_relaxed);
    made->stored_size = ref.size;
    *node = made;
    return ENGRAM_OK;
}
