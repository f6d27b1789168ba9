/* One version's tree: entries and names, content and holders, totals, and the root bundle, each
 * counted from two sides. What is counted: every name 'P' has its entry 'D' and there are as many
 * of one as of the other; every reference of content 'E' is counted by its holder 'R' and the sums
 * agree; link counts and sizes follow from these. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/status.h"
#include "engram/internal.h"

typedef struct tree_context {
    eg_engram *engram;
    const eg_version *version;
    const eg_verify_options *options;
    uint64_t *problems;
    eg_tree_totals counted;
    uint64_t entries, names; /* 'D' and 'P' */
    uint64_t refs, held;     /* references in 'E', sum of counts in 'R' */
    /* 'E' keys of one inode come in a row. */
    uint64_t run_inode, run_end;
    uint64_t last_chunk; /* of the 'R' keys, for the root */
    engram_bundle *fresh;
    eg_buffer scratch;
} tree_context;

__attribute__((format(printf, 2, 3))) static void problem(tree_context *c, const char *format, ...)
{
    char text[1000], whole[1100];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    snprintf(whole, sizeof whole, "version %" PRIu64 ": %s", c->version->number, text);
    c->options->problem(c->options->context, whole);
    ++*c->problems;
}

/* With the path, if the tree still tells. */
__attribute__((format(printf, 3, 4))) static void file_problem(tree_context *c, uint64_t inode,
                                                               const char *format, ...)
{
    char text[500];
    eg_buffer path = {0};
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (eg_fs_path(c->version->root, inode, &path, NULL) == ENGRAM_OK)
        problem(c, "%.*s: %s", (int)(path.size < 400 ? path.size : 400), (const char *)path.data,
                text);
    else
        problem(c, "inode %" PRIu64 ": %s", inode, text);
    eg_buffer_fini(&path);
}

static void node_problem(void *context, const char *message)
{
    problem(context, "%s", message);
}

static engram_status check_inode(tree_context *c, uint64_t number, eg_view value)
{
    eg_inode inode;
    if (!eg_inode_decode(value, &inode)) {
        problem(c, "inode %" PRIu64 ": its record cannot be read", number);
        return ENGRAM_OK;
    }
    if (number >= c->counted.next_inode)
        c->counted.next_inode = number + 1;
    uint64_t *count = inode.kind == EG_KIND_FILE        ? &c->counted.files
                      : inode.kind == EG_KIND_DIRECTORY ? &c->counted.directories
                      : inode.kind == EG_KIND_SYMLINK   ? &c->counted.links
                                                        : &c->counted.others;
    ++*count;
    if (inode.kind == EG_KIND_FILE)
        c->counted.bytes_logical += inode.size;
    return ENGRAM_OK;
}

/* Counts the names of an inode and checks that its content ends at its size. */
static engram_status check_links(tree_context *c, uint64_t number, const eg_inode *inode,
                                 engram_error *error)
{
    eg_cursor *cursor = NULL;
    eg_key key = eg_key_parent(number, 0, (eg_view){NULL, 0});
    uint32_t links = number == EG_INODE_ROOT ? 1 : 0;
    EG_TRY(eg_cursor_open(c->version->root, &cursor, error));
    engram_status status = eg_cursor_seek(cursor, eg_key_view(&key), error);
    while (status == ENGRAM_OK && eg_key_has(eg_cursor_key(cursor), 'P', number)) {
        links++;
        status = eg_cursor_next(cursor, error);
    }
    eg_cursor_close(&cursor);
    if (status != ENGRAM_OK && status != ENGRAM_NOT_FOUND)
        return status;
    if (links != inode->link_count)
        problem(c, "inode %" PRIu64 " has %u names but counts %u", number, links,
                inode->link_count);
    return ENGRAM_OK;
}

static engram_status check_entry(tree_context *c, eg_view key, eg_view value, engram_error *error)
{
    eg_view name = {key.data + 9, key.size - 9};
    c->entries++;
    if (value.size != 9 || !eg_name_valid(name)) {
        problem(c, "a directory entry cannot be read");
        return ENGRAM_OK;
    }
    uint64_t directory = eg_get_be64(key.data + 1), number = eg_get_u64(value.data);
    eg_inode inode;
    engram_status status = eg_fs_get(c->version->root, number, &inode, &c->scratch, error);
    if (status == ENGRAM_NOT_FOUND ||
        (status == ENGRAM_OK && inode.kind != (eg_inode_kind)value.data[8]))
        problem(c,
                "directory %" PRIu64 ": '%.*s' names inode %" PRIu64
                ", which is not there or of another kind",
                directory, (int)name.size, (const char *)name.data, number);
    else
        EG_TRY(status);
    eg_key parent = eg_key_parent(number, directory, name);
    status = eg_root_get(c->version->root, eg_key_view(&parent), &c->scratch, error);
    if (status == ENGRAM_NOT_FOUND)
        problem(c, "inode %" PRIu64 " does not know its name '%.*s'", number, (int)name.size,
                (const char *)name.data);
    return status == ENGRAM_NOT_FOUND ? ENGRAM_OK : status;
}

static engram_status check_ref(tree_context *c, uint64_t inode, eg_chunk_ref ref,
                               engram_error *error)
{
    eg_chunk_info info;
    engram_error inner = {0};
    engram_status status = eg_store_get_info(c->engram->store, ref.id, &info, &inner);
    if (status == ENGRAM_NO_MEMORY || status == ENGRAM_IO)
        return eg_fail(error, status, "%s", inner.message);
    if (status == ENGRAM_NOT_FOUND)
        file_problem(c, inode, "chunk %" PRIu64 " of %u bytes is lost", ref.id, ref.size);
    else if (status != ENGRAM_OK)
        file_problem(c, inode, "chunk %" PRIu64 ": %s", ref.id, inner.message);
    else if (info.size != ref.size)
        file_problem(c, inode, "chunk %" PRIu64 " has %u bytes, the file says %u", ref.id, info.size,
                     ref.size);
    eg_key key = eg_key_holder(ref.id, inode);
    status = eg_root_get(c->version->root, eg_key_view(&key), &c->scratch, error);
    if (status == ENGRAM_NOT_FOUND)
        problem(c, "chunk %" PRIu64 " does not know its holder, inode %" PRIu64, ref.id, inode);
    return status == ENGRAM_NOT_FOUND ? ENGRAM_OK : status;
}

/* The content of the inode before ends where its record says. */
static engram_status end_runs(tree_context *c, engram_error *error)
{
    if (c->run_inode == 0)
        return ENGRAM_OK;
    eg_inode inode;
    engram_status status = eg_fs_get(c->version->root, c->run_inode, &inode, &c->scratch, error);
    if (status == ENGRAM_NOT_FOUND)
        problem(c, "content without an inode: %" PRIu64, c->run_inode);
    else if (status == ENGRAM_OK && (inode.kind != EG_KIND_FILE || inode.size != c->run_end))
        problem(c, "inode %" PRIu64 " has %" PRIu64 " bytes of content but says %" PRIu64,
                c->run_inode, c->run_end, inode.size);
    c->run_inode = 0;
    return status == ENGRAM_NOT_FOUND ? ENGRAM_OK : status;
}

static engram_status check_run(tree_context *c, eg_view key, eg_view value, engram_error *error)
{
    if (key.size != 17 || value.size == 0 || value.size % EG_REF_SIZE != 0) {
        problem(c, "a run of content cannot be read");
        return ENGRAM_OK;
    }
    uint64_t inode = eg_get_be64(key.data + 1), end = eg_get_be64(key.data + 9), size = 0;
    if (inode != c->run_inode) {
        EG_TRY(end_runs(c, error));
        c->run_inode = inode;
        c->run_end = 0;
    }
    for (size_t i = 0; i < value.size; i += EG_REF_SIZE) {
        eg_chunk_ref ref = eg_ref_get(value.data + i);
        size += ref.size;
        c->refs++;
        EG_TRY(check_ref(c, inode, ref, error));
    }
    if (end - size != c->run_end)
        problem(c, "inode %" PRIu64 ": a run begins at %" PRIu64 " instead of %" PRIu64, inode,
                end - size, c->run_end);
    c->run_end = end;
    return ENGRAM_OK;
}

static engram_status check_holder(tree_context *c, eg_view key, eg_view value, engram_error *error)
{
    if (key.size != 17 || value.size != 4) {
        problem(c, "a holder cannot be read");
        return ENGRAM_OK;
    }
    uint64_t chunk = eg_get_be64(key.data + 1);
    c->held += eg_get_u32(value.data);
    if (chunk == c->last_chunk)
        return ENGRAM_OK;
    c->last_chunk = chunk;
    uint8_t vector[ENGRAM_BLOCKS];
    engram_error inner = {0};
    engram_status status = eg_store_get_vector(c->engram->store, chunk, vector, &inner);
    if (status == ENGRAM_NO_MEMORY || status == ENGRAM_IO)
        return eg_fail(error, status, "%s", inner.message);
    if (status == ENGRAM_OK)
        engram_bundle_add(c->fresh, vector, 1);
    else if (status != ENGRAM_NOT_FOUND) /* a lost chunk counts nothing; its files tell */
        problem(c, "chunk %" PRIu64 ": %s", chunk, inner.message);
    return ENGRAM_OK;
}

static engram_status check_snapshot(tree_context *c, eg_view key, eg_view value)
{
    eg_view name = {key.data + 1, key.size - 1};
    if (value.size != EG_SNAPSHOT_VALUE_SIZE || !eg_name_valid(name) ||
        eg_get_u64(value.data) > c->version->number)
        problem(c, "a snapshot cannot be read");
    return ENGRAM_OK;
}

static engram_status check_key(tree_context *c, eg_view key, eg_view value, engram_error *error)
{
    switch (key.data[0]) {
    case 'D':
        return check_entry(c, key, value, error);
    case 'E':
        return check_run(c, key, value, error);
    case 'I':
        return check_inode(c, eg_get_be64(key.data + 1), value);
    case 'P':
        c->names++;
        return ENGRAM_OK;
    case 'R':
        return check_holder(c, key, value, error);
    case 'N':
        return check_snapshot(c, key, value);
    case 'S':
    case 'X':
        return ENGRAM_OK;
    default:
        problem(c, "a key of unknown kind %u", key.data[0]);
        return ENGRAM_OK;
    }
}

static engram_status check_inode_links(tree_context *c, eg_view key, eg_view value,
                                       engram_error *error)
{
    eg_inode inode;
    if (key.data[0] != 'I' || !eg_inode_decode(value, &inode))
        return ENGRAM_OK;
    uint64_t number = eg_get_be64(key.data + 1);
    if (inode.kind == EG_KIND_FILE && inode.size != 0) { /* an empty inode has no run to tell */
        eg_key run = eg_key_run(number, inode.size);
        engram_status status = eg_root_get(c->version->root, eg_key_view(&run), &c->scratch, error);
        if (status == ENGRAM_NOT_FOUND)
            problem(c, "inode %" PRIu64 " has no content that ends at its size, %" PRIu64, number,
                    inode.size);
        else
            EG_TRY(status);
    }
    return check_links(c, number, &inode, error);
}

typedef engram_status check_fn(tree_context *c, eg_view key, eg_view value, engram_error *error);

static engram_status for_all_keys(tree_context *c, const char *from, check_fn *check,
                                  engram_error *error)
{
    eg_cursor *cursor = NULL;
    EG_TRY(eg_cursor_open(c->version->root, &cursor, error));
    engram_status status = eg_cursor_seek(cursor, (eg_view){(const uint8_t *)from, 1}, error);
    bool at_end = status == ENGRAM_NOT_FOUND;
    while (status == ENGRAM_OK) {
        eg_view key = eg_cursor_key(cursor);
        if (key.size < 9 && key.data[0] != 'S' && key.data[0] != 'N')
            problem(c, "a key of %zu bytes", key.size);
        else
            status = check(c, key, eg_cursor_value(cursor), error);
        if (status == ENGRAM_OK) {
            status = eg_cursor_next(cursor, error);
            at_end = status == ENGRAM_NOT_FOUND;
        }
    }
    eg_cursor_close(&cursor);
    return at_end ? ENGRAM_OK : status;
}

static engram_status check_totals(tree_context *c, const engram_bundle *bundle,
                                  engram_error *error)
{
    eg_tree_totals stored;
    EG_TRY(eg_fs_totals(c->version->root, &stored, error));
    if (c->entries != c->names)
        problem(c, "%" PRIu64 " directory entries but %" PRIu64 " names", c->entries, c->names);
    if (c->refs != c->held)
        problem(c, "%" PRIu64 " references to chunks but %" PRIu64 " counted", c->refs, c->held);
    c->counted.next_inode =
        stored.next_inode < c->counted.next_inode ? c->counted.next_inode : stored.next_inode;
    if (memcmp(&stored, &c->counted, sizeof stored) != 0)
        problem(c, "the totals do not agree with what is there");
    if (bundle != NULL && (c->fresh->count != bundle->count ||
                           memcmp(c->fresh->counters, bundle->counters, sizeof bundle->counters) != 0))
        problem(c, "the root bundle differs from a fresh bundle of the live chunks");
    return ENGRAM_OK;
}

engram_status eg_verify_version(eg_engram *engram, const eg_version *version,
                                const engram_bundle *bundle, const eg_verify_options *options,
                                uint64_t *problems, engram_error *error)
{
    tree_context c = {
        .engram = engram, .version = version, .options = options, .problems = problems};
    eg_tree_check nodes = {.context = &c, .problem = node_problem};
    EG_TRY(eg_root_verify(version->root, &nodes, error));
    options->verified->nodes += nodes.nodes;
    options->verified->keys += nodes.entries;
    c.fresh = eg_alloc_zero(1, sizeof *c.fresh);
    if (c.fresh == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory verifying");
    engram_status status = for_all_keys(&c, "A", check_key, error);
    if (status == ENGRAM_OK)
        status = end_runs(&c, error);
    if (status == ENGRAM_OK)
        status = for_all_keys(&c, "I", check_inode_links, error);
    if (status == ENGRAM_OK)
        status = check_totals(&c, bundle, error);
    eg_free(c.fresh);
    eg_buffer_fini(&c.scratch);
    return status;
}
