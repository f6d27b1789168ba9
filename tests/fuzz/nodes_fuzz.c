/* The tree over any bytes as its node file, which exists only in memory: reading, walking,
 * verifying, and editing what was read.
 *
 * The input: a byte of flags, the reference to the top (address 8, size 4), then
 *   without SEAL: the file as it is;
 *   with SEAL: nodes, each as level 1, codec 1, count 2, raw size 2 (0: the body's), body size 2,
 * body. They get headers with right checksums; the top is the last. With LINK the low byte of a
 * child's address in a raw internal node is the index of an earlier node, and the reference is put
 * right. */
#include "fuzz/fuzz.h"

#include <string.h>

#include "base/memory.h"
#include "tree/format.h"

enum {
    SEAL = 1,
    LINK = 2,
    INPUT_HEADER = 13,
    FILE_MAX = 1 << 20,
    NODES_MAX = 256,
    STEPS_MAX = 500
};

struct eg_file {
    uint8_t *data;
    size_t size;
};

static struct eg_file file_in_memory;

/* ---- a disk in memory ---- */

static engram_status fuzz_stat(eg_io *io, const char *path, uint64_t *size, uint64_t *disk_size,
                               engram_error *error)
{
    (void)io, (void)path, (void)error;
    *size = *disk_size = file_in_memory.size;
    return ENGRAM_OK;
}

static engram_status fuzz_open(eg_io *io, const char *path, int flags, eg_file **file,
                               engram_error *error)
{
    (void)io, (void)path, (void)error;
    FUZZ_CHECK(flags == EG_OPEN_READ);
    *file = &file_in_memory;
    return ENGRAM_OK;
}

static void fuzz_close(eg_io *io, eg_file **file)
{
    (void)io;
    *file = NULL;
}

static engram_status fuzz_size(eg_io *io, eg_file *file, uint64_t *size, engram_error *error)
{
    (void)io, (void)error;
    *size = file->size;
    return ENGRAM_OK;
}

static engram_status fuzz_read(eg_io *io, eg_file *file, uint64_t offset, void *bytes, size_t size,
                               engram_error *error)
{
    (void)io;
    if (offset > file->size || size > file->size - offset)
        return eg_fail(error, ENGRAM_DAMAGED, "the file ends before");
    memcpy(bytes, file->data + offset, size);
    return ENGRAM_OK;
}

static eg_io memory_io = {.stat = fuzz_stat,
                          .open = fuzz_open,
                          .close = fuzz_close,
                          .size = fuzz_size,
                          .read = fuzz_read};

/* ---- sealing ---- */

typedef struct maker {
    eg_node_ref refs[NODES_MAX];
    size_t count;
} maker;

static void link_children(const maker *m, uint8_t *body, size_t size)
{
    size_t at = 0;
    while (m->count > 0 && size - at >= 2) {
        size_t key_size = eg_get_u16(body + at);
        if (size - at < 14 + key_size)
            return;
        uint8_t *child = body + at + 2 + key_size;
        eg_node_ref ref = m->refs[child[0] % m->count];
        eg_put_u64(child, ref.address);
        eg_put_u32(child + 8, ref.size);
        at += 14 + key_size;
    }
}

static bool seal_one(maker *m, eg_reader *input, unsigned flags)
{
    eg_node_header header = {.address = file_in_memory.size};
    header.level = eg_read_u8(input);
    header.codec = eg_read_u8(input);
    header.count = eg_read_u16(input);
    header.raw_size = eg_read_u16(input);
    size_t size = eg_read_u16(input);
    const uint8_t *body = eg_read_bytes(input, size);
    header.size = (uint32_t)(EG_NODE_HEADER_SIZE + size);
    if (!body || m->count == NODES_MAX || file_in_memory.size + header.size > FILE_MAX)
        return false;
    if (header.raw_size == 0)
        header.raw_size = (uint32_t)size;
    uint8_t *at = file_in_memory.data + file_in_memory.size;
    memcpy(at + EG_NODE_HEADER_SIZE, body, size);
    if (flags & LINK && header.level > 0 && header.codec == EG_CODEC_RAW)
        link_children(m, at + EG_NODE_HEADER_SIZE, size);
    eg_node_seal(&header, at);
    m->refs[m->count++] = (eg_node_ref){header.address, header.size};
    file_in_memory.size += header.size;
    return true;
}

static eg_node_ref make_file(const uint8_t *data, size_t size)
{
    unsigned flags = data[0];
    eg_node_ref top = {eg_get_u64(data + 1), eg_get_u32(data + 9)};
    eg_reader input = eg_reader_make(data + INPUT_HEADER, size - INPUT_HEADER);
    if (!(flags & SEAL)) {
        file_in_memory.size = size - INPUT_HEADER < FILE_MAX ? size - INPUT_HEADER : FILE_MAX;
        memcpy(file_in_memory.data, data + INPUT_HEADER, file_in_memory.size);
        return top;
    }
    static maker m;
    m.count = 0;
    eg_nodes_header_pack(file_in_memory.data);
    file_in_memory.size = EG_NODES_HEADER_SIZE;
    while (seal_one(&m, &input, flags))
        ;
    return m.count ? m.refs[m.count - 1] : top;
}

/* ---- use ---- */

static void count_problem(void *context, const char *message)
{
    FUZZ_CHECK(message[0]);
    ++*(size_t *)context;
}

static bool is_sound(eg_root *root)
{
    size_t problems = 0;
    eg_tree_check check = {.context = &problems, .problem = count_problem};
    return eg_root_verify(root, &check, NULL) == ENGRAM_OK && problems == 0;
}

/* Keys come out in order, whatever the file says. Changes are made at the keys that are there. */
static void walk(eg_root *root, eg_edit *edit)
{
    eg_cursor *cursor;
    uint8_t last[EG_TREE_KEY_MAX];
    size_t last_size = 0;
    bool broken = false;
    FUZZ_CHECK(eg_cursor_open(root, &cursor, NULL) == ENGRAM_OK);
    engram_status status = eg_cursor_seek(cursor, (eg_view){NULL, 0}, NULL);
    for (unsigned i = 0; i < STEPS_MAX && status == ENGRAM_OK; i++) {
        eg_view key = eg_cursor_key(cursor), value = eg_cursor_value(cursor);
        FUZZ_CHECK(key.size >= 1 && key.size <= EG_TREE_KEY_MAX);
        FUZZ_CHECK(eg_key_compare((eg_view){last, last_size}, key) < 0);
        FUZZ_CHECK(value.size <= EG_TREE_VALUE_MAX);
        memcpy(last, key.data, last_size = key.size);
        if (!broken) {
            status = i % 3 ? eg_edit_remove(edit, key, NULL) : eg_edit_put(edit, key, key, NULL);
            broken = status != ENGRAM_OK && status != ENGRAM_NOT_FOUND;
        }
        status = eg_cursor_next(cursor, NULL);
    }
    eg_cursor_close(&cursor);
}

static void use(eg_root *root)
{
    bool sound = is_sound(root);
    eg_edit *edit;
    eg_root *next;
    FUZZ_CHECK(eg_edit_begin(root, &edit, NULL) == ENGRAM_OK);
    walk(root, edit);
    engram_status status = eg_edit_finish(&edit, &next, NULL);
    if (status != ENGRAM_OK) {
        FUZZ_CHECK(!sound && status == ENGRAM_INVALID);
        return;
    }
    FUZZ_CHECK(!sound || is_sound(next));
    eg_root_release(next);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < INPUT_HEADER)
        return 0;
    file_in_memory.data = calloc(1, FILE_MAX);
    FUZZ_CHECK(file_in_memory.data);
    eg_node_ref ref = make_file(data, size);
    eg_nodes_options options = {.read_only = true, .end = file_in_memory.size, .cache_size = 4096};
    eg_nodes *nodes;
    eg_root *root;
    if (eg_nodes_open(&memory_io, "memory", &options, &nodes, NULL) == ENGRAM_OK) {
        FUZZ_CHECK(eg_root_open(nodes, ref, &root, NULL) == ENGRAM_OK);
        use(root);
        eg_root_release(root);
        eg_nodes_close(&nodes);
    }
    free(file_in_memory.data);
    return 0;
}
