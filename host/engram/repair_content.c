/* Repair: content. The runs of a file ('E') must join from 0 to its size, and the holders ('R') must be
 * what they add up to.
 *
 * Where a run is lost, other versions in which the inode is in the same state are asked; then the holders:
 * if they leave one chunk, it must have stood there, as often as they say. Else a reference to a chunk
 * that never was takes the place, so that offsets stay true and reading names what is missing. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/status.h"
#include "engram/repair.h"

/* ---- runs ---- */

static engram_status add_hole(eg_mending *m, uint64_t inode, uint64_t from, uint64_t to,
                              engram_error *error)
{
    if (!eg_grow((void **)&m->holes, &m->hole_capacity, m->hole_count + 1, sizeof *m->holes))
        return eg_repair_no_memory(error);
    m->holes[m->hole_count++] = (struct eg_hole){.inode = inode, .from = from, .to = to};
    return ENGRAM_OK;
}

/* Whether so much may be missing: a size of which that is not true is no size. */
static bool may_lack(const eg_mending *m, uint64_t bytes)
{
    enum { LOST_REFS_MAX = 1 << 26 };
    return bytes / m->repair->chunker.size_max < LOST_REFS_MAX;
}

static engram_status add_hurt(eg_mending *m, struct eg_hurt hurt, engram_error *error)
{
    if (!eg_grow((void **)&m->hurt, &m->hurt_capacity, m->hurt_count + 1, sizeof *m->hurt))
        return eg_repair_no_memory(error);
    m->hurt[m->hurt_count++] = hurt;
    return ENGRAM_OK;
}

static engram_status put_size(eg_mending *m, uint64_t number, eg_inode *inode, uint64_t size,
                              engram_error *error)
{
    eg_mend_say(m, "inode %" PRIu64 " has %" PRIu64 " bytes of content, not %" PRIu64, number, size,
                inode->size);
    inode->size = size;
    inode->modified_version = m->made;
    inode->modified_ns = m->time_ns;
    return eg_mend_put_inode(m, number, inode, error);
}

/* The inode whose runs have been seen: does its content end at its size? */
static engram_status end_content(eg_mending *m, engram_error *error)
{
    eg_inode inode;
    uint64_t number = m->run.inode;
    if (number == 0 || m->run.skip)
        return ENGRAM_OK;
    if (m->run.chunks != 0)
        EG_TRY(add_hurt(m, (struct eg_hurt){number, m->run.chunks, m->run.bytes, m->run.first_id,
                                            m->run.first_at},
                        error));
    EG_TRY(eg_mend_get_inode(m, number, &inode, error));
    if (m->run.end < inode.size && may_lack(m, inode.size - m->run.end))
        return add_hole(m, number, m->run.end, inode.size, error);
    return m->run.end == inode.size ? ENGRAM_OK : put_size(m, number, &inode, m->run.end, error);
}

static engram_status begin_content(eg_mending *m, uint64_t number, engram_error *error)
{
    eg_inode inode;
    EG_TRY(end_content(m, error));
    memset(&m->run, 0, sizeof m->run);
    m->run.inode = number;
    engram_status status = eg_mend_get_inode(m, number, &inode, error);
    if (status == ENGRAM_OK)
        m->run.skip = inode.kind != EG_KIND_FILE;
    if (status != ENGRAM_NOT_FOUND)
        return status;
    eg_repair_lose(m->repair, "version %" PRIu64 ": inode %" PRIu64 ": its attributes are lost",
                   m->number, number);
    return eg_mend_make_inode(m, number, EG_KIND_FILE, error);
}

/* Bytes of a run; 0: it is none. */
static uint64_t size_of_run(eg_view value)
{
    uint64_t size = 0;
    if (value.size == 0 || value.size % EG_REF_SIZE != 0)
        return 0;
    for (size_t i = 0; i < value.size; i += EG_REF_SIZE) {
        eg_chunk_ref ref = eg_ref_get(value.data + i);
        if (ref.id == 0 || ref.size == 0)
            return 0;
        size += ref.size;
    }
    return size;
}

static void look_at_refs(eg_mending *m, eg_view value, uint64_t at)
{
    for (size_t i = 0; i < value.size; i += EG_REF_SIZE) {
        eg_chunk_ref ref = eg_ref_get(value.data + i);
        uint32_t size;
        if (!eg_salvage_has(m->repair->salvage, ref.id, &size) || size != ref.size) {
            if (m->run.chunks++ == 0) {
                m->run.first_id = ref.id;
                m->run.first_at = at;
            }
            m->run.bytes += ref.size;
        }
        at += ref.size;
    }
}

static engram_status mend_run(eg_mending *m, eg_view key, eg_view value, engram_error *error)
{
    uint64_t number = eg_get_be64(key.data + 1), size = size_of_run(value);
    uint64_t end = key.size == 17 ? eg_get_be64(key.data + 9) : 0;
    if (number != m->run.inode)
        EG_TRY(begin_content(m, number, error));
    if (m->run.skip || size == 0 || size > end || end - size < m->run.end ||
        !may_lack(m, end - size - m->run.end)) {
        eg_mend_say(m, "inode %" PRIu64 ": a run of content that cannot be is removed", number);
        return eg_builder_remove(&m->builder, key, error);
    }
    if (end - size > m->run.end)
        EG_TRY(add_hole(m, number, m->run.end, end - size, error));
    look_at_refs(m, value, end - size);
    m->run.end = end;
    return ENGRAM_OK;
}

/* Files that have lost all their runs. */
static engram_status find_empty(eg_mending *m, eg_view key, eg_view value, engram_error *error)
{
    eg_inode inode;
    bool any;
    uint64_t number = eg_get_be64(key.data + 1);
    if (!eg_inode_decode(value, &inode) || inode.kind != EG_KIND_FILE || inode.size == 0)
        return ENGRAM_OK;
    EG_TRY(eg_builder_any(&m->builder, 'E', number, &any, error));
    if (any)
        return ENGRAM_OK;
    return may_lack(m, inode.size) ? add_hole(m, number, 0, inode.size, error)
                                   : put_size(m, number, &inode, 0, error);
}

engram_status eg_mend_content(eg_mending *m, engram_error *error)
{
    EG_TRY(eg_mend_pass(m, 'E', mend_run, end_content, error));
    return eg_mend_pass(m, 'I', find_empty, NULL, error);
}

/* ---- holes ---- */

typedef struct filling {
    eg_mending *mending;
    struct eg_hole *hole;
    uint64_t at; /* how far refs reach */
    eg_buffer refs;
    eg_buffer known; /* ids, u64 each, rising for each hole that is asked for */
    bool fits;
} filling;

static engram_status take_ref(void *context, uint64_t offset, eg_chunk_ref ref, engram_error *error)
{
    filling *f = context;
    uint8_t bytes[EG_REF_SIZE];
    (void)error;
    if (offset >= f->hole->to)
        return ENGRAM_CANCELLED;
    f->fits = offset == f->at && ref.size <= f->hole->to - offset;
    if (!f->fits)
        return ENGRAM_CANCELLED;
    eg_ref_put(bytes, ref);
    eg_write_bytes(&f->refs, bytes, sizeof bytes);
    f->at += ref.size;
    return ENGRAM_OK;
}

/* Whether the inode is in the same state there: all but its count of names. */
static engram_status is_same(eg_mending *m, eg_root *root, uint64_t number, bool *same,
                             engram_error *error)
{
    enum { LINKS_AT = 16, LINKS_END = 20 };
    eg_inode inode;
    engram_error inner = {0};
    eg_key key = eg_key_inode(number);
    *same = false;
    engram_status status = eg_mend_get_inode(m, number, &inode, error);
    if (status != ENGRAM_OK)
        return status == ENGRAM_NOT_FOUND ? ENGRAM_OK : status;
    status = eg_root_get(root, eg_key_view(&key), &m->more, &inner);
    if (eg_repair_is_end(status))
        return eg_fail(error, status, "%s", inner.message);
    if (status != ENGRAM_OK || m->more.size != m->value.size || m->more.size < LINKS_END)
        return ENGRAM_OK;
    *same = memcmp(m->more.data, m->value.data, LINKS_AT) == 0 &&
            memcmp(m->more.data + LINKS_END, m->value.data + LINKS_END,
                   m->more.size - LINKS_END) == 0;
    return ENGRAM_OK;
}

static engram_status put_refs(filling *f, engram_error *error)
{
    eg_mending *m = f->mending;
    uint64_t end = f->hole->from;
    for (size_t i = 0; i < f->refs.size;) {
        size_t most = (size_t)EG_RUN_REFS_MAX * EG_REF_SIZE, left = f->refs.size - i;
        eg_view run = {f->refs.data + i, left < most ? left : most};
        end += size_of_run(run);
        eg_key key = eg_key_run(f->hole->inode, end);
        EG_TRY(eg_builder_put(&m->builder, eg_key_view(&key), run, error));
        i += run.size;
    }
    return ENGRAM_OK;
}

static engram_status from_fallback(filling *f, eg_root *root, bool *done, engram_error *error)
{
    const struct eg_hole *h = f->hole;
    engram_error inner = {0};
    bool same;
    *done = false;
    EG_TRY(is_same(f->mending, root, h->inode, &same, error));
    if (!same)
        return ENGRAM_OK;
    eg_buffer_clear(&f->refs);
    f->at = h->from;
    f->fits = true;
    engram_status status = eg_fs_refs(root, h->inode, h->from, take_ref, f, &inner);
    if (eg_repair_is_end(status))
        return eg_fail(error, status, "%s", inner.message);
    if (f->refs.failed)
        return eg_repair_no_memory(error);
    *done = f->fits && f->at == h->to;
    return *done ? put_refs(f, error) : ENGRAM_OK;
}

/* ---- holes, by what the holders leave ---- */

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = eg_get_u64(a), y = eg_get_u64(b);
    return (x > y) - (x < y);
}

static int compare_holes(const void *a, const void *b)
{
    const struct eg_hole *x = a, *y = b;
    if (x->inode != y->inode)
        return x->inode < y->inode ? -1 : 1;
    return (x->from > y->from) - (x->from < y->from);
}

static bool is_only_hole(const eg_mending *m, size_t i)
{
    return (i == 0 || m->holes[i - 1].inode != m->holes[i].inode) &&
           (i + 1 == m->hole_count || m->holes[i + 1].inode != m->holes[i].inode);
}

/* The first of ids that is not below id. */
static size_t lower(const uint8_t *ids, size_t count, uint64_t id)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (eg_get_u64(ids + middle * 8) < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static uint32_t times_found(const filling *f, const struct eg_hole *h, uint64_t chunk)
{
    const uint8_t *ids = f->known.data + h->known * 8;
    return (uint32_t)(lower(ids, h->known_count, chunk + 1) - lower(ids, h->known_count, chunk));
}

static struct eg_hole *asked_hole(const eg_mending *m, uint64_t inode)
{
    size_t low = 0, high = m->hole_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (m->holes[middle].inode < inode)
            low = middle + 1;
        else
            high = middle;
    }
    return low < m->hole_count && m->holes[low].inode == inode && m->holes[low].is_asked
               ? &m->holes[low]
               : NULL;
}

static engram_status compare_holder(void *context, uint64_t chunk, uint64_t inode, uint32_t count,
                                    engram_error *error)
{
    filling *f = context;
    struct eg_hole *h = asked_hole(f->mending, inode);
    (void)error;
    if (h == NULL)
        return ENGRAM_OK;
    uint32_t found = times_found(f, h, chunk);
    if (found == count)
        return ENGRAM_OK;
    h->several |= h->count != 0 || found > count;
    h->chunk = chunk;
    h->count = count - found;
    return ENGRAM_OK;
}

static void list_ids(filling *f, eg_view run)
{
    for (size_t i = 0; i + EG_REF_SIZE <= run.size; i += EG_REF_SIZE)
        eg_write_u64(&f->known, eg_ref_get(run.data + i).id);
}

/* What every run of the inode that is left refers to, whatever lies between. */
static engram_status list_known(filling *f, struct eg_hole *h, engram_error *error)
{
    eg_cursor *cursor = NULL;
    eg_key first = eg_key_run(h->inode, 0);
    h->known = f->known.size / 8;
    EG_TRY(eg_cursor_open(f->mending->root, &cursor, error));
    engram_status status = eg_cursor_seek(cursor, eg_key_view(&first), error);
    while (status == ENGRAM_OK && eg_key_has(eg_cursor_key(cursor), 'E', h->inode)) {
        list_ids(f, eg_cursor_value(cursor));
        status = eg_cursor_next(cursor, error);
    }
    eg_cursor_close(&cursor);
    if (f->known.failed)
        return eg_repair_no_memory(error);
    h->known_count = f->known.size / 8 - h->known;
    if (h->known_count > 1)
        qsort(f->known.data + h->known * 8, h->known_count, 8, compare_ids);
    h->is_asked = true;
    return status == ENGRAM_NOT_FOUND ? ENGRAM_OK : status;
}

/* In one pass over all holders. */
static engram_status ask_holders(filling *f, engram_error *error)
{
    eg_mending *m = f->mending;
    bool any = false;
    for (size_t i = 0; i < m->hole_count; i++) {
        if (m->holes[i].filled || !is_only_hole(m, i))
            continue;
        EG_TRY(list_known(f, &m->holes[i], error));
        any = true;
    }
    return any ? eg_fs_holders(m->root, 0, compare_holder, f, error) : ENGRAM_OK;
}

static engram_status from_holders(filling *f, engram_error *error)
{
    eg_mending *m = f->mending;
    struct eg_hole *h = f->hole;
    uint32_t size;
    if (h->several || h->count == 0 || !eg_salvage_has(m->repair->salvage, h->chunk, &size) ||
        h->count * size != h->to - h->from)
        return ENGRAM_OK;
    eg_buffer_clear(&f->refs);
    for (uint64_t i = 0; i < h->count; i++) {
        uint8_t bytes[EG_REF_SIZE];
        eg_ref_put(bytes, (eg_chunk_ref){h->chunk, size});
        eg_write_bytes(&f->refs, bytes, sizeof bytes);
    }
    if (f->refs.failed)
        return eg_repair_no_memory(error);
    h->filled = true;
    eg_mend_say(m, "inode %" PRIu64 ": content from %" PRIu64 " to %" PRIu64
                   " is known from its holders",
                h->inode, h->from, h->to);
    return put_refs(f, error);
}

/* ---- holes that stay ---- */

/* One run of references to a chunk that never is; *at moves on. */
static engram_status put_lost_run(filling *f, uint64_t *at, struct eg_hurt *hurt, engram_error *error)
{
    eg_mending *m = f->mending;
    uint32_t most = m->repair->chunker.size_max;
    eg_buffer_clear(&f->refs);
    for (size_t i = 0; i < EG_RUN_REFS_MAX && *at < f->hole->to; i++) {
        uint8_t bytes[EG_REF_SIZE];
        uint64_t left = f->hole->to - *at;
        uint32_t size = left < most ? (uint32_t)left : most;
        eg_ref_put(bytes, (eg_chunk_ref){hurt->first_id, size});
        eg_write_bytes(&f->refs, bytes, sizeof bytes);
        *at += size;
        hurt->chunks++;
    }
    if (f->refs.failed)
        return eg_repair_no_memory(error);
    eg_key key = eg_key_run(f->hole->inode, *at);
    return eg_builder_put(&m->builder, eg_key_view(&key), (eg_view){f->refs.data, f->refs.size},
                          error);
}

/* A chunk id that is never given out to anything stands for all of it. */
static engram_status from_nothing(filling *f, engram_error *error)
{
    eg_mending *m = f->mending;
    const struct eg_hole *h = f->hole;
    eg_inode inode;
    struct eg_hurt hurt = {h->inode, 0, h->to - h->from, m->repair->chunk_next++, h->from};
    for (uint64_t at = h->from; at < h->to;)
        EG_TRY(put_lost_run(f, &at, &hurt, error));
    EG_TRY(add_hurt(m, hurt, error));
    EG_TRY(eg_mend_get_inode(m, h->inode, &inode, error));
    inode.modified_version = m->made;
    inode.modified_ns = m->time_ns;
    return eg_mend_put_inode(m, h->inode, &inode, error);
}

static engram_status from_fallbacks(filling *f, engram_error *error)
{
    eg_mending *m = f->mending;
    struct eg_hole *h = f->hole;
    for (size_t i = 0; i < m->fallback_count && !h->filled; i++) {
        EG_TRY(from_fallback(f, m->fallbacks[i].root, &h->filled, error));
        if (h->filled)
            eg_mend_say(m, "inode %" PRIu64 ": content from %" PRIu64 " to %" PRIu64
                           " is taken from version %" PRIu64 ", where it is the same",
                        h->inode, h->from, h->to, m->fallbacks[i].number);
    }
    return ENGRAM_OK;
}

static engram_status fill_holes(filling *f, engram_error *error)
{
    eg_mending *m = f->mending;
    struct eg_hole *end = m->holes + m->hole_count;
    if (m->hole_count > 1)
        qsort(m->holes, m->hole_count, sizeof *m->holes, compare_holes);
    for (f->hole = m->holes; f->hole < end; f->hole++)
        EG_TRY(from_fallbacks(f, error));
    EG_TRY(ask_holders(f, error));
    for (f->hole = m->holes; f->hole < end; f->hole++) {
        if (!f->hole->filled)
            EG_TRY(from_holders(f, error));
        if (!f->hole->filled)
            EG_TRY(from_nothing(f, error));
    }
    return ENGRAM_OK;
}

static engram_status no_key(eg_mending *m, eg_view key, eg_view value, engram_error *error)
{
    (void)m, (void)key, (void)value, (void)error;
    return ENGRAM_OK;
}

static engram_status fill_all(eg_mending *m, engram_error *error)
{
    filling f = {.mending = m};
    engram_status status = fill_holes(&f, error);
    eg_buffer_fini(&f.refs);
    eg_buffer_fini(&f.known);
    return status;
}

engram_status eg_mend_fill(eg_mending *m, engram_error *error)
{
    return m->hole_count == 0 ? ENGRAM_OK : eg_mend_pass(m, 'S', no_key, fill_all, error);
}

/* ---- holders ---- */

enum { PAIR_SIZE = 16 }; /* chunk and inode of a holder's key */

static int compare_pairs(const void *a, const void *b)
{
    return memcmp(a, b, PAIR_SIZE);
}

static engram_status check_holder(eg_mending *m, uint64_t chunk, uint64_t inode, uint32_t count,
                                  engram_error *error)
{
    uint8_t value[4];
    eg_key key = eg_key_holder(chunk, inode);
    if (m->listed != NULL) {
        eg_write_bytes(m->listed, key.bytes + 1, PAIR_SIZE);
        return m->listed->failed ? eg_repair_no_memory(error) : ENGRAM_OK;
    }
    engram_status status = eg_builder_get(&m->builder, &key, &m->value, error);
    m->holders++;
    if (status != ENGRAM_OK && status != ENGRAM_NOT_FOUND)
        return status;
    if (status == ENGRAM_OK && m->value.size == 4 && eg_get_u32(m->value.data) == count)
        return ENGRAM_OK;
    eg_mend_say(m, "chunk %" PRIu64 " is held %u times by inode %" PRIu64, chunk, count, inode);
    eg_put_u32(value, count);
    return eg_builder_put(&m->builder, eg_key_view(&key), (eg_view){value, sizeof value}, error);
}

/* The ids that the inode at hand refers to are in m->more. */
static engram_status end_holders(eg_mending *m, engram_error *error)
{
    size_t count = m->more.size / 8;
    if (m->more.failed)
        return eg_repair_no_memory(error);
    if (count > 1)
        qsort(m->more.data, count, 8, compare_ids);
    for (size_t i = 0, same; i < count; i += same) {
        uint64_t id = eg_get_u64(m->more.data + i * 8);
        for (same = 1; i + same < count && eg_get_u64(m->more.data + (i + same) * 8) == id;)
            same++;
        EG_TRY(check_holder(m, id, m->run.inode, (uint32_t)same, error));
    }
    eg_buffer_clear(&m->more);
    return ENGRAM_OK;
}

static engram_status gather_refs(eg_mending *m, eg_view key, eg_view value, engram_error *error)
{
    uint64_t number = eg_get_be64(key.data + 1);
    uint8_t bytes[8];
    if (number != m->run.inode)
        EG_TRY(end_holders(m, error));
    m->run.inode = number;
    for (size_t i = 0; i + EG_REF_SIZE <= value.size; i += EG_REF_SIZE) {
        eg_put_u64(bytes, eg_ref_get(value.data + i).id);
        eg_write_bytes(&m->more, bytes, sizeof bytes);
    }
    return ENGRAM_OK;
}

static engram_status count_holder(eg_mending *m, eg_view key, eg_view value, engram_error *error)
{
    (void)value;
    if (key.size == 17) {
        m->totals.others++;
        return ENGRAM_OK;
    }
    return eg_builder_remove(&m->builder, key, error);
}

static engram_status drop_holder(eg_mending *m, eg_view key, eg_view value, engram_error *error)
{
    (void)value;
    if (m->listed->size != 0 && bsearch(key.data + 1, m->listed->data, m->listed->size / PAIR_SIZE,
                                        PAIR_SIZE, compare_pairs) != NULL)
        return ENGRAM_OK;
    eg_mend_say(m, "chunk %" PRIu64 " is not held by inode %" PRIu64, eg_get_be64(key.data + 1),
                eg_get_be64(key.data + 9));
    return eg_builder_remove(&m->builder, key, error);
}

static engram_status drop_holders(eg_mending *m, engram_error *error)
{
    eg_buffer listed = {0};
    m->listed = &listed;
    m->run.inode = 0;
    engram_status status = eg_mend_pass(m, 'E', gather_refs, end_holders, error);
    if (listed.size > PAIR_SIZE)
        qsort(listed.data, listed.size / PAIR_SIZE, PAIR_SIZE, compare_pairs);
    if (status == ENGRAM_OK)
        status = eg_mend_pass(m, 'R', drop_holder, NULL, error);
    m->listed = NULL;
    eg_buffer_fini(&listed);
    return status;
}

engram_status eg_mend_holders(eg_mending *m, engram_error *error)
{
    eg_buffer_clear(&m->more);
    m->run.inode = 0;
    EG_TRY(eg_mend_pass(m, 'E', gather_refs, end_holders, error));
    m->totals = (eg_tree_totals){0};
    EG_TRY(eg_mend_pass(m, 'R', count_holder, NULL, error));
    bool too_many = m->totals.others != m->holders;
    m->totals = (eg_tree_totals){0};
    return too_many ? drop_holders(m, error) : ENGRAM_OK;
}
