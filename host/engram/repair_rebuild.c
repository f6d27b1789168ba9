/* Repair: a tree with damaged nodes.
 *
 * What its other nodes hold is taken over as it is. For what lies in the gaps other versions are asked:
 * an inode, and with it its names and content, is the unit, since parts of two states of a file make
 * a file that never was. What they tell of an inode is exact if it has not changed since; whether it has
 * cannot be known of one whose record is lost, so those are told with the version they come from. A name
 * stands in the tree twice, under its directory ('D') and under its inode ('P'), so that what only one of
 * them has lost comes back when the tree is mended. */
#include <inttypes.h>

#include "base/memory.h"
#include "base/status.h"
#include "engram/repair.h"

/* ---- gaps ---- */

engram_status eg_gaps_add(eg_gaps *gaps, eg_view low, eg_view high, engram_error *error)
{
    struct eg_gap gap = {.low = gaps->keys.size, .low_size = low.size};
    eg_write_bytes(&gaps->keys, low.data, low.size);
    gap.high = gaps->keys.size;
    gap.high_size = high.data != NULL ? high.size : 0;
    eg_write_bytes(&gaps->keys, high.data, gap.high_size);
    if (gaps->keys.failed || !eg_grow((void **)&gaps->list, &gaps->capacity, gaps->count + 1,
                                      sizeof *gaps->list))
        return eg_repair_no_memory(error);
    gaps->list[gaps->count++] = gap;
    return ENGRAM_OK;
}

void eg_gaps_fini(eg_gaps *gaps)
{
    eg_buffer_fini(&gaps->keys);
    eg_free(gaps->list);
    *gaps = (eg_gaps){0};
}

static int compare(eg_view a, eg_view b)
{
    size_t least = a.size < b.size ? a.size : b.size;
    int order = least != 0 ? memcmp(a.data, b.data, least) : 0;
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static eg_view low_of(const eg_gaps *gaps, size_t i)
{
    return (eg_view){gaps->keys.data + gaps->list[i].low, gaps->list[i].low_size};
}

static eg_view high_of(const eg_gaps *gaps, size_t i)
{
    return (eg_view){gaps->keys.data + gaps->list[i].high, gaps->list[i].high_size};
}

/* The first gap that does not end at or before key; count: none. */
static size_t gap_from(const eg_gaps *gaps, eg_view key)
{
    size_t low = 0, high = gaps->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (gaps->list[middle].high_size != 0 && compare(high_of(gaps, middle), key) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool eg_gaps_has(const eg_gaps *gaps, eg_view key)
{
    size_t i = gap_from(gaps, key);
    return i < gaps->count && compare(low_of(gaps, i), key) <= 0;
}

bool eg_gaps_touch(const eg_gaps *gaps, char tag, uint64_t number)
{
    eg_key first = eg_key_inode(number);
    first.bytes[0] = (uint8_t)tag;
    size_t i = gap_from(gaps, eg_key_view(&first));
    if (i == gaps->count)
        return false;
    eg_view low = low_of(gaps, i);
    return compare(low, eg_key_view(&first)) <= 0 ||
           (low.size >= first.size && memcmp(low.data, first.bytes, first.size) == 0);
}

/* ---- the builder ---- */

enum { PENDING_MAX = 50000 };

engram_status eg_builder_begin(eg_builder *b, eg_repair *r, eg_root *root, engram_error *error)
{
    *b = (eg_builder){.repair = r, .root = eg_root_retain(root)};
    return eg_edit_begin(b->root, &b->edit, error);
}

/* What has been made goes to disk; nothing refers to it before the switch. */
static engram_status flush(eg_builder *b, engram_error *error)
{
    eg_node_ref ref;
    eg_root *flushed;
    if (b->repair->options->dry_run)
        return ENGRAM_OK;
    EG_TRY(eg_root_flush(b->root, &ref, error));
    EG_TRY(eg_nodes_sync(b->repair->nodes, error));
    EG_TRY(eg_root_open(b->repair->nodes, ref, &flushed, error));
    eg_root_release(b->root);
    b->root = flushed;
    return ENGRAM_OK;
}

static engram_status end_edit(eg_builder *b, engram_error *error)
{
    eg_root *root;
    EG_TRY(eg_edit_finish(&b->edit, &root, error));
    eg_root_release(b->root);
    b->root = root;
    b->pending = 0;
    return ENGRAM_OK;
}

static engram_status count_change(eg_builder *b, engram_error *error)
{
    b->changes++;
    if (++b->pending < PENDING_MAX)
        return ENGRAM_OK;
    EG_TRY(end_edit(b, error));
    EG_TRY(flush(b, error));
    return eg_edit_begin(b->root, &b->edit, error);
}

engram_status eg_builder_get(eg_builder *b, const eg_key *key, eg_buffer *value,
                             engram_error *error)
{
    return eg_edit_get(b->edit, eg_key_view(key), value, error);
}

engram_status eg_builder_put(eg_builder *b, eg_view key, eg_view value, engram_error *error)
{
    EG_TRY(eg_edit_put(b->edit, key, value, error));
    return count_change(b, error);
}

engram_status eg_builder_remove(eg_builder *b, eg_view key, engram_error *error)
{
    engram_status status = eg_edit_remove(b->edit, key, error);
    if (status == ENGRAM_NOT_FOUND)
        return ENGRAM_OK;
    return status == ENGRAM_OK ? count_change(b, error) : status;
}

/* The first key with that beginning, into *key; *found. */
static engram_status first_key(eg_builder *b, char tag, uint64_t number, eg_buffer *key,
                               bool *found, engram_error *error)
{
    eg_cursor *cursor = NULL;
    eg_key first = eg_key_inode(number);
    first.bytes[0] = (uint8_t)tag;
    EG_TRY(eg_cursor_open_edit(b->edit, &cursor, error));
    engram_status status = eg_cursor_seek(cursor, eg_key_view(&first), error);
    *found = status == ENGRAM_OK && eg_key_has(eg_cursor_key(cursor), tag, number);
    if (*found && key != NULL) {
        eg_buffer_clear(key);
        eg_write_bytes(key, eg_cursor_key(cursor).data, eg_cursor_key(cursor).size);
    }
    eg_cursor_close(&cursor);
    return status == ENGRAM_NOT_FOUND ? ENGRAM_OK : status;
}

engram_status eg_builder_any(eg_builder *b, char tag, uint64_t number, bool *any,
                             engram_error *error)
{
    return first_key(b, tag, number, NULL, any, error);
}

engram_status eg_builder_remove_all(eg_builder *b, char tag, uint64_t number, engram_error *error)
{
    eg_buffer key = {0};
    bool found = true;
    engram_status status = ENGRAM_OK;
    while (status == ENGRAM_OK && found) {
        status = first_key(b, tag, number, &key, &found, error);
        if (status == ENGRAM_OK && found)
            status = key.failed ? eg_repair_no_memory(error)
                                : eg_builder_remove(b, (eg_view){key.data, key.size}, error);
    }
    eg_buffer_fini(&key);
    return status;
}

engram_status eg_builder_finish(eg_builder *b, eg_root **root, engram_error *error)
{
    EG_TRY(end_edit(b, error));
    *root = b->root;
    b->root = NULL;
    return ENGRAM_OK;
}

void eg_builder_abort(eg_builder *b)
{
    eg_edit_abort(&b->edit);
    eg_root_release(b->root);
    b->root = NULL;
}

/* ---- rebuilding ---- */

typedef struct rebuilding {
    eg_repair *repair;
    eg_builder builder;
    eg_gaps gaps;
    uint64_t number;
    const eg_fallback *from; /* the one at hand */
    uint64_t taken;          /* inodes, from that one */
    eg_buffer value, other, record;
} rebuilding;

static engram_status copy_entry(void *context, eg_view key, eg_view value, engram_error *error)
{
    rebuilding *b = context;
    return eg_builder_put(&b->builder, key, value, error);
}

static engram_status copy_gap(void *context, eg_view low, eg_view high, eg_node_ref node,
                              const char *why, engram_error *error)
{
    rebuilding *b = context;
    (void)node, (void)why;
    return eg_gaps_add(&b->gaps, low, high, error);
}

static engram_status has_key(rebuilding *b, const eg_key *key, bool *has, engram_error *error)
{
    engram_status status = eg_builder_get(&b->builder, key, &b->value, error);
    *has = status == ENGRAM_OK;
    return status == ENGRAM_NOT_FOUND ? ENGRAM_OK : status;
}

/* Where the readable content of an inode ends; *whole: none of it lies in a gap. */
static engram_status content_end(rebuilding *b, uint64_t inode, uint64_t *end, bool *whole,
                                 engram_error *error)
{
    eg_cursor *cursor = NULL;
    eg_key first = eg_key_run(inode, 0);
    *end = 0;
    *whole = !eg_gaps_touch(&b->gaps, 'E', inode);
    EG_TRY(eg_cursor_open_edit(b->builder.edit, &cursor, error));
    engram_status status = eg_cursor_seek(cursor, eg_key_view(&first), error);
    while (status == ENGRAM_OK && eg_key_has(eg_cursor_key(cursor), 'E', inode)) {
        if (eg_cursor_key(cursor).size == 17)
            *end = eg_get_be64(eg_cursor_key(cursor).data + 9);
        status = eg_cursor_next(cursor, error);
    }
    eg_cursor_close(&cursor);
    return status == ENGRAM_NOT_FOUND ? ENGRAM_OK : status;
}

/* Whether the inode can have been there in the version that is rebuilt. */
static engram_status may_exist(rebuilding *b, uint64_t number, const eg_inode *inode, bool *may,
                               engram_error *error)
{
    *may = number == EG_INODE_ROOT || eg_gaps_touch(&b->gaps, 'P', number);
    if (b->from->number > b->number && inode->modified_version > b->number)
        *may = false; /* a later state */
    else if (!*may)
        return eg_builder_any(&b->builder, 'P', number, may, error);
    return ENGRAM_OK;
}

static engram_status pass_ref(void *context, uint64_t offset, eg_chunk_ref ref, engram_error *error)
{
    (void)error;
    *(uint64_t *)context = offset + ref.size;
    return ENGRAM_OK;
}

/* Whether the version at hand knows all content of the inode. */
static engram_status is_whole_there(rebuilding *b, uint64_t number, uint64_t size, bool *is_whole,
                                    engram_error *error)
{
    uint64_t end = 0;
    engram_error inner = {0};
    engram_status status = eg_fs_refs(b->from->root, number, 0, pass_ref, &end, &inner);
    if (eg_repair_is_end(status))
        return eg_fail(error, status, "%s", inner.message);
    *is_whole = status == ENGRAM_OK && end == size;
    return ENGRAM_OK;
}

/* Its content stays if that can be read whole; else it comes with the record, from the same version, if that
 * has it. */
static engram_status take_inode(rebuilding *b, eg_view key, eg_view value, engram_error *error)
{
    eg_inode inode;
    bool may, whole = true, whole_there = true;
    uint64_t number = eg_get_be64(key.data + 1), end = 0;
    if (!eg_inode_decode(value, &inode))
        return ENGRAM_OK;
    EG_TRY(may_exist(b, number, &inode, &may, error));
    if (!may)
        return ENGRAM_OK;
    if (inode.kind == EG_KIND_FILE)
        EG_TRY(content_end(b, number, &end, &whole, error));
    if (inode.kind == EG_KIND_FILE && whole)
        inode.size = end;
    if (!whole)
        EG_TRY(is_whole_there(b, number, inode.size, &whole_there, error));
    if (!whole_there)
        return ENGRAM_OK;
    if (!whole)
        EG_TRY(eg_builder_remove_all(&b->builder, 'E', number, error));
    eg_buffer_clear(&b->record);
    eg_inode_encode(&inode, &b->record);
    if (b->record.failed)
        return eg_repair_no_memory(error);
    b->taken++;
    return eg_builder_put(&b->builder, key, (eg_view){b->record.data, b->record.size}, error);
}

/* Whether the inode was changed last in the same version here and there. */
static engram_status is_as_there(rebuilding *b, uint64_t number, bool *is_same, engram_error *error)
{
    eg_inode here, there;
    engram_error inner = {0};
    eg_key record = eg_key_inode(number);
    EG_TRY(has_key(b, &record, is_same, error));
    if (!*is_same)
        return ENGRAM_OK;
    engram_status status = eg_root_get(b->from->root, eg_key_view(&record), &b->other, &inner);
    if (eg_repair_is_end(status))
        return eg_fail(error, status, "%s", inner.message);
    *is_same = status == ENGRAM_OK &&
               eg_inode_decode((eg_view){b->value.data, b->value.size}, &here) &&
               eg_inode_decode((eg_view){b->other.data, b->other.size}, &there) &&
               here.modified_version == there.modified_version;
    return ENGRAM_OK;
}

/* An attribute of an inode that is in the same state here and there. */
static engram_status take_attribute(rebuilding *b, eg_view key, eg_view value, engram_error *error)
{
    bool is_same;
    EG_TRY(is_as_there(b, eg_get_be64(key.data + 1), &is_same, error));
    return is_same ? eg_builder_put(&b->builder, key, value, error) : ENGRAM_OK;
}

static engram_status take_first(void *context, eg_view key, eg_view value, engram_error *error)
{
    rebuilding *b = context;
    eg_key copy = {.size = key.size};
    bool has;
    if (key.size > sizeof copy.bytes || !eg_gaps_has(&b->gaps, key))
        return ENGRAM_OK;
    memcpy(copy.bytes, key.data, key.size);
    EG_TRY(has_key(b, &copy, &has, error));
    if (has)
        return ENGRAM_OK;
    if (key.data[0] == 'I' && key.size == 9)
        return take_inode(b, key, value, error);
    if (key.data[0] == 'N' && b->from->number <= b->number)
        return eg_builder_put(&b->builder, key, value, error);
    return ENGRAM_OK;
}

/* A name of which both entries are lost here, of an inode that has no other. */
static engram_status take_name(rebuilding *b, eg_view key, eg_view value, engram_error *error)
{
    bool has, any;
    if (value.size != 9 || key.size <= 9)
        return ENGRAM_OK;
    uint64_t directory = eg_get_be64(key.data + 1), number = eg_get_u64(value.data);
    eg_view name = {key.data + 9, key.size - 9};
    eg_key parent = eg_key_parent(number, directory, name), record = eg_key_inode(number);
    if (!eg_name_valid(name) || !eg_gaps_has(&b->gaps, eg_key_view(&parent)))
        return ENGRAM_OK;
    EG_TRY(has_key(b, &record, &has, error));
    EG_TRY(eg_builder_any(&b->builder, 'P', number, &any, error));
    if (!has || any)
        return ENGRAM_OK;
    EG_TRY(eg_builder_put(&b->builder, key, value, error));
    return eg_builder_put(&b->builder, eg_key_view(&parent), (eg_view){value.data, 0}, error);
}

static engram_status take_second(void *context, eg_view key, eg_view value, engram_error *error)
{
    rebuilding *b = context;
    eg_key copy = {.size = key.size};
    bool has;
    if ((key.data[0] != 'D' && key.data[0] != 'X') || key.size < 9 ||
        key.size > sizeof copy.bytes || !eg_gaps_has(&b->gaps, key))
        return ENGRAM_OK;
    memcpy(copy.bytes, key.data, key.size);
    EG_TRY(has_key(b, &copy, &has, error));
    if (has)
        return ENGRAM_OK;
    return key.data[0] == 'X' ? take_attribute(b, key, value, error)
                              : take_name(b, key, value, error);
}

static engram_status pass_gap(void *context, eg_view low, eg_view high, eg_node_ref node,
                              const char *why, engram_error *error)
{
    (void)context, (void)low, (void)high, (void)node, (void)why, (void)error;
    return ENGRAM_OK;
}

static engram_status ask(rebuilding *b, const eg_fallback *from, engram_error *error)
{
    const eg_tree_salvage first = {b, take_first, pass_gap}, second = {b, take_second, pass_gap};
    b->from = from;
    b->taken = 0;
    EG_TRY(eg_root_salvage(from->root, &first, error));
    EG_TRY(eg_root_salvage(from->root, &second, error));
    b->repair->done->inodes_restored += b->taken;
    if (b->taken != 0)
        eg_repair_lose(b->repair,
                       "version %" PRIu64 ": %" PRIu64
                       " files and directories are as of version %" PRIu64
                       ", what changed them since is lost",
                       b->number, b->taken, from->number);
    return ENGRAM_OK;
}

engram_status eg_repair_rebuild(eg_repair *r, eg_root *found, uint64_t number,
                                const eg_fallback *fallbacks, size_t count, eg_root **root,
                                engram_error *error)
{
    engram_status status;
    rebuilding b = {.repair = r, .number = number};
    const eg_tree_salvage copy = {&b, copy_entry, copy_gap};
    eg_root *empty = NULL;
    EG_TRY(eg_root_open(r->nodes, (eg_node_ref){0}, &empty, error));
    EG_TRY_DONE(eg_builder_begin(&b.builder, r, empty, error));
    EG_TRY_DONE(eg_root_salvage(found, &copy, error));
    for (size_t i = 0; i < count; i++)
        EG_TRY_DONE(ask(&b, &fallbacks[i], error));
    EG_TRY_DONE(eg_builder_finish(&b.builder, root, error));
done:
    eg_builder_abort(&b.builder);
    eg_root_release(empty);
    eg_gaps_fini(&b.gaps);
    eg_buffer_fini(&b.value);
    eg_buffer_fini(&b.other);
    eg_buffer_fini(&b.record);
    return status;
}
