/* Writing content in a transaction: whole files, streams, and changes in place.
 *
 * A change in place covers whole chunks: from the start of the first chunk that it touches to the end
 * of the last, or to the end of the file. The bytes of that range are put together, of old ones at
 * its edges and new ones between, and cut anew; the other references stay. */
#include <inttypes.h>

#include "base/memory.h"
#include "base/status.h"
#include "engram/transaction.h"

enum { SPILL_SIZE = 1 << 20, SMALL_SIZE = 64 << 10, PIECE_SIZE = 256 << 10 };

/* ---- cutting ---- */

void eg_cutter_init(eg_cutter *cutter, engram_transaction *tx)
{
    *cutter = (eg_cutter){.tx = tx};
}

void eg_cutter_fini(eg_cutter *cutter)
{
    eg_free(cutter->buffer);
    eg_buffer_fini(&cutter->refs);
}

/* Much data does not wait in memory: once a transaction is large, it goes into the store as it
 * comes. */
static engram_status spill_if_large(engram_transaction *tx, engram_error *error)
{
    uint64_t small = tx->engram->options.small_size;
    uint64_t most = tx->stage.spilled ? SPILL_SIZE : small != 0 ? small : SMALL_SIZE;
    return tx->stage.waiting_size > most ? eg_stage_spill(&tx->stage, error) : ENGRAM_OK;
}

static engram_status add_chunk(eg_cutter *c, const uint8_t *bytes, size_t size, engram_error *error)
{
    uint8_t out[EG_REF_SIZE];
    eg_chunk_ref ref;
    EG_TRY(eg_stage_chunk(&c->tx->stage, bytes, size, &ref, error));
    eg_ref_put(out, ref);
    eg_write_bytes(&c->refs, out, sizeof out);
    c->size += size;
    if (c->refs.failed)
        return eg_tx_no_memory(error);
    return spill_if_large(c->tx, error);
}

/* Cuts what can be cut; at the end of the input, all. *used: bytes that became chunks. */
static engram_status cut(eg_cutter *c, const uint8_t *bytes, size_t size, bool at_end, size_t *used,
                         engram_error *error)
{
    const eg_chunker *chunker = &c->tx->engram->chunker;
    *used = 0;
    while (size - *used >= chunker->size_max || (at_end && *used < size)) {
        size_t length = eg_chunker_cut(chunker, bytes + *used, size - *used);
        EG_TRY(add_chunk(c, bytes + *used, length, error));
        *used += length;
    }
    return ENGRAM_OK;
}

static engram_status reserve_buffer(eg_cutter *c, engram_error *error)
{
    if (c->buffer != NULL)
        return ENGRAM_OK;
    c->capacity = 2 * (size_t)c->tx->engram->chunker.size_max;
    c->buffer = eg_alloc(c->capacity);
    return c->buffer != NULL ? ENGRAM_OK : eg_tx_no_memory(error);
}

engram_status eg_cutter_add(eg_cutter *c, const uint8_t *bytes, size_t size, engram_error *error)
{
    size_t used = 0;
    if (c->fill == 0) /* straight from the caller's memory as far as that goes */
        EG_TRY(cut(c, bytes, size, false, &used, error));
    while (used < size) {
        EG_TRY(reserve_buffer(c, error));
        size_t room = c->capacity - c->fill, take = size - used < room ? size - used : room, done;
        memcpy(c->buffer + c->fill, bytes + used, take);
        c->fill += take;
        used += take;
        EG_TRY(cut(c, c->buffer, c->fill, false, &done, error));
        memmove(c->buffer, c->buffer + done, c->fill - done);
        c->fill -= done;
    }
    return ENGRAM_OK;
}

engram_status eg_cutter_end(eg_cutter *c, engram_error *error)
{
    size_t used;
    EG_TRY(cut(c, c->buffer, c->fill, true, &used, error));
    c->fill = 0;
    return ENGRAM_OK;
}

/* All at once: no copy. */
static engram_status cut_whole(eg_cutter *c, const uint8_t *bytes, size_t size, engram_error *error)
{
    size_t used;
    return cut(c, bytes, size, true, &used, error);
}

void eg_tx_write_splice(eg_buffer *ops, uint64_t number, uint64_t offset, uint64_t removed,
                        bool to_end, eg_view refs)
{
    const size_t most = (size_t)(512 << 10) * EG_REF_SIZE; /* under half a record */
    size_t done = 0;
    do {
        size_t size = refs.size - done < most ? refs.size - done : most;
        eg_chunk_ref none = {0};
        eg_ops_splice(ops, number, offset, done != 0 ? 0 : to_end ? UINT64_MAX : removed, &none, 0);
        uint8_t *body = eg_buffer_extend(ops, size);
        if (body == NULL)
            return;
        if (size != 0)
            memcpy(body, refs.data + done, size);
        eg_put_u32(body - 24 - 4, (uint32_t)(24 + size));
        for (size_t end = done + size; done < end; done += EG_REF_SIZE)
            offset += eg_ref_get(refs.data + done).size;
    } while (done < refs.size);
}

/* ---- whole files ---- */

static engram_status need_file(const eg_place *p, engram_error *error)
{
    return !p->found || p->inode.kind == EG_KIND_FILE
               ? ENGRAM_OK
               : eg_fail(error, ENGRAM_INVALID, "%s is a %s: only files have content", p->path,
                         engram_kind_name((engram_kind)p->inode.kind));
}

engram_status eg_content_find(engram_transaction *tx, const char *path,
                              const engram_expected *expected, bool whole, eg_place *p,
                              engram_error *error)
{
    EG_TRY(eg_tx_find(tx, path, true, p, error));
    if (p->parent == 0)
        return eg_fail(error, ENGRAM_INVALID, "the root directory has no content");
    EG_TRY(eg_tx_expect(p, expected, error));
    EG_TRY(need_file(p, error));
    if (!p->found)
        return eg_tx_need_parent(tx, p, error);
    bool any = expected == NULL || expected->what == ENGRAM_ANY;
    eg_check_kind kind = whole && any && tx->overwrites ? EG_CHECK_PRESENT : EG_CHECK_VALUE;
    return eg_tx_check_inode(tx, p->number, kind, true, error);
}

static void touch_inode(eg_inode *inode)
{
    inode->mtime = eg_tx_now();
    inode->source_device = inode->source_inode = 0; /* it is no longer what was read there */
    inode->source_ctime = (eg_time){0};
    inode->flags &= (uint8_t)~EG_INODE_RACY;
}

engram_status eg_content_put(engram_transaction *tx, eg_place *p, const eg_cutter *c)
{
    eg_inode inode = p->found ? p->inode : (eg_inode){.kind = EG_KIND_FILE, .mode = 0644};
    uint64_t number = p->number = p->found ? p->number : eg_tx_new_inode(tx);
    if (!p->found)
        eg_tx_own(&inode);
    touch_inode(&inode);
    inode.size = c->size;
    eg_ops_put_inode(&tx->ops, number, &inode);
    if (!p->found)
        eg_ops_link(&tx->ops, p->parent, number, EG_KIND_FILE, p->name);
    if (p->found || c->refs.size != 0)
        eg_tx_write_splice(&tx->ops, number, 0, 0, true, (eg_view){c->refs.data, c->refs.size});
    return tx->ops.failed ? ENGRAM_NO_MEMORY : ENGRAM_OK;
}

engram_status engram_write(engram_transaction *tx, const char *path, const void *bytes, size_t size,
                           const engram_expected *expected, engram_error *error)
{
    eg_mark mark;
    eg_place place;
    eg_cutter cutter;
    EG_TRY(eg_tx_enter(tx, &mark, error));
    eg_cutter_init(&cutter, tx);
    engram_status status = eg_content_find(tx, path, expected, true, &place, error);
    if (status == ENGRAM_OK)
        status = cut_whole(&cutter, bytes, size, error);
    if (status == ENGRAM_OK)
        status = eg_content_put(tx, &place, &cutter);
    eg_cutter_fini(&cutter);
    return eg_tx_leave(tx, &mark, status, error);
}

static engram_status pour(eg_cutter *cutter, engram_source *source, void *context,
                          engram_error *error)
{
    uint8_t *piece = eg_alloc(PIECE_SIZE);
    size_t got = 0;
    engram_status status = piece == NULL ? eg_tx_no_memory(error) : ENGRAM_OK;
    while (status == ENGRAM_OK) {
        status = source(context, piece, PIECE_SIZE, &got, error);
        if (status != ENGRAM_OK || got == 0)
            break;
        status = eg_cutter_add(cutter, piece, got, error);
    }
    eg_free(piece);
    return status == ENGRAM_OK ? eg_cutter_end(cutter, error) : status;
}

engram_status engram_write_stream(engram_transaction *tx, const char *path, engram_source *source,
                                  void *context, const engram_expected *expected,
                                  engram_error *error)
{
    eg_mark mark;
    eg_place place;
    eg_cutter cutter;
    EG_TRY(eg_tx_enter(tx, &mark, error));
    eg_cutter_init(&cutter, tx);
    engram_status status = eg_content_find(tx, path, expected, true, &place, error);
    if (status == ENGRAM_OK)
        status = pour(&cutter, source, context, error);
    if (status == ENGRAM_OK)
        status = eg_content_put(tx, &place, &cutter);
    eg_cutter_fini(&cutter);
    return eg_tx_leave(tx, &mark, status, error);
}

/* ---- in place ---- */

/* The range of a file that is cut anew. */
typedef struct range {
    uint64_t begin, end; /* of old bytes; end: the file's, or a chunk's */
    bool to_end;
} range;

static engram_status add_old(eg_cutter *c, const eg_look *look, uint64_t number, uint64_t from,
                             uint64_t to, engram_error *error)
{
    size_t capacity = to - from < PIECE_SIZE ? (size_t)(to - from) : PIECE_SIZE;
    uint8_t *piece = from < to ? eg_alloc(capacity) : NULL;
    if (from < to && piece == NULL)
        return eg_tx_no_memory(error);
    engram_status status = ENGRAM_OK;
    while (from < to && status == ENGRAM_OK) {
        size_t want = to - from < capacity ? (size_t)(to - from) : capacity, got = 0;
        status = eg_look_read(look, number, from, piece, want, &got, error);
        if (status == ENGRAM_OK && got != want)
            status = eg_fail(error, ENGRAM_DAMAGED, "inode %" PRIu64 " ends at %" PRIu64, number,
                             from + got);
        if (status == ENGRAM_OK)
            status = eg_cutter_add(c, piece, got, error);
        from += got;
    }
    eg_free(piece);
    return status;
}

static engram_status add_zeros(eg_cutter *c, uint64_t size, engram_error *error)
{
    static const uint8_t zeros[4096];
    while (size != 0) {
        size_t take = size < sizeof zeros ? (size_t)size : sizeof zeros;
        EG_TRY(eg_cutter_add(c, zeros, take, error));
        size -= take;
    }
    return ENGRAM_OK;
}

/* The chunks that [from, to) touches. What begins at the end of the file takes the last chunk along,
 * so that many small appends do not leave many small chunks. */
static engram_status find_range(const eg_look *look, const eg_place *p, uint64_t from, uint64_t to,
                                range *r, engram_error *error)
{
    uint64_t size = p->inode.size, begin;
    eg_chunk_ref ref;
    *r = (range){.begin = 0, .end = size, .to_end = true};
    if (size == 0)
        return ENGRAM_OK;
    EG_TRY(eg_look_chunk(look, p->number, from < size ? from : size - 1, &begin, &ref, error));
    r->begin = begin;
    if (to >= size)
        return ENGRAM_OK;
    EG_TRY(eg_look_chunk(look, p->number, to > 0 ? to - 1 : 0, &begin, &ref, error));
    r->end = begin + ref.size;
    r->to_end = r->end == size;
    return ENGRAM_OK;
}

/* content[from, from + size) becomes bytes; with `cuts`, the file ends behind them. */
static engram_status change(engram_transaction *tx, eg_place *p, uint64_t from, const void *bytes,
                            size_t size, bool cuts, engram_error *error)
{
    uint64_t old = p->inode.size, to = from + size;
    eg_look look = eg_tx_look(tx);
    eg_cutter c;
    range r;
    EG_TRY(find_range(&look, p, from, cuts ? old : to, &r, error));
    eg_cutter_init(&c, tx);
    uint64_t kept = from < r.end ? from : r.end;
    engram_status status = add_old(&c, &look, p->number, r.begin, kept, error);
    if (status == ENGRAM_OK && from > kept)
        status = add_zeros(&c, from - kept, error);
    if (status == ENGRAM_OK && size != 0)
        status = eg_cutter_add(&c, bytes, size, error);
    if (status == ENGRAM_OK && !cuts && to < r.end)
        status = add_old(&c, &look, p->number, to, r.end, error);
    if (status == ENGRAM_OK)
        status = eg_cutter_end(&c, error);
    if (status == ENGRAM_OK) {
        touch_inode(&p->inode);
        p->inode.size = cuts || to > old ? to : old;
        eg_ops_put_inode(&tx->ops, p->number, &p->inode);
        eg_tx_write_splice(&tx->ops, p->number, r.begin, r.end - r.begin, r.to_end,
                           (eg_view){c.refs.data, c.refs.size});
    }
    eg_cutter_fini(&c);
    return status;
}

/* A file that is not there is made, empty, to be changed like one that is. */
static engram_status make_empty(engram_transaction *tx, eg_place *p, engram_error *error)
{
    eg_cutter none;
    eg_cutter_init(&none, tx);
    EG_TRY(eg_content_put(tx, p, &none));
    EG_TRY(eg_tx_apply(tx, error));
    return eg_tx_find_there(tx, p->path, true, p, error);
}

typedef enum placing { AT, AT_END, CUT } placing;

/* Zeros between the old end and the new bytes are cut and stored like any others, so a slip of the
 * pen by some powers of two would be hours of work. */
static engram_status check_gap(const char *path, uint64_t old, uint64_t from, engram_error *error)
{
    const uint64_t gap_max = (uint64_t)64 << 30;
    return from <= old || from - old <= gap_max
               ? ENGRAM_OK
               : eg_fail(error, ENGRAM_INVALID,
                         "%s: %" PRIu64 " bytes of zeros between its end and offset %" PRIu64
                         ": at most 64 GiB at once",
                         path, from - old, from);
}

static engram_status change_at(engram_transaction *tx, const char *path, placing how, uint64_t at,
                               const void *bytes, size_t size, const engram_expected *expected,
                               engram_error *error)
{
    bool cuts = how == CUT;
    eg_mark mark;
    eg_place place;
    EG_TRY(eg_tx_enter(tx, &mark, error));
    engram_status status = eg_content_find(tx, path, expected, false, &place, error);
    if (status == ENGRAM_OK && !place.found && cuts)
        status = eg_fail(error, ENGRAM_NOT_FOUND, "no such path: %s", path);
    uint64_t from = at;
    if (status == ENGRAM_OK && how == AT_END)
        from = place.found ? place.inode.size : 0;
    if (status == ENGRAM_OK && (size > INT64_MAX || from > INT64_MAX - size))
        status = eg_fail(error, ENGRAM_INVALID, "%s: offset %" PRIu64 " is too large", path, from);
    if (status == ENGRAM_OK)
        status = check_gap(path, place.found ? place.inode.size : 0, from, error);
    if (status == ENGRAM_OK && !place.found)
        status = make_empty(tx, &place, error);
    if (status == ENGRAM_OK && (size != 0 || cuts))
        status = change(tx, &place, from, bytes, size, cuts, error);
    if (status != ENGRAM_OK && tx->applied > mark.ops) /* the empty file is in the view already */
        tx->broken = status;
    return eg_tx_leave(tx, &mark, status, error);
}

engram_status engram_write_at(engram_transaction *tx, const char *path, uint64_t offset,
                              const void *bytes, size_t size, const engram_expected *expected,
                              engram_error *error)
{
    return change_at(tx, path, AT, offset, bytes, size, expected, error);
}

engram_status engram_append(engram_transaction *tx, const char *path, const void *bytes,
                            size_t size, const engram_expected *expected, engram_error *error)
{
    return change_at(tx, path, AT_END, 0, bytes, size, expected, error);
}

engram_status engram_truncate(engram_transaction *tx, const char *path, uint64_t size,
                              const engram_expected *expected, engram_error *error)
{
    return change_at(tx, path, CUT, size, NULL, 0, expected, error);
}

static engram_status replace_chunk(engram_transaction *tx, eg_place *p, uint64_t offset,
                                   const void *bytes, size_t size, engram_error *error)
{
    eg_look look = eg_tx_look(tx);
    uint64_t begin;
    eg_chunk_ref old, fresh;
    uint8_t ref[EG_REF_SIZE];
    engram_status status = eg_look_chunk(&look, p->number, offset, &begin, &old, error);
    if (status == ENGRAM_NOT_FOUND)
        return eg_fail(error, status, "%s has no chunk at offset %" PRIu64, p->path, offset);
    EG_TRY(status);
    bool last = begin + old.size == p->inode.size;
    if (size == 0 || size > tx->engram->chunker.size_max || (!last && size != old.size))
        return eg_fail(error, ENGRAM_INVALID,
                       "%s: the chunk at %" PRIu64 " has %u bytes, and so must what replaces it",
                       p->path, begin, old.size);
    EG_TRY(eg_stage_chunk(&tx->stage, bytes, size, &fresh, error));
    EG_TRY(spill_if_large(tx, error));
    eg_ref_put(ref, fresh);
    touch_inode(&p->inode);
    p->inode.size = p->inode.size - old.size + size;
    eg_ops_put_inode(&tx->ops, p->number, &p->inode);
    eg_tx_write_splice(&tx->ops, p->number, begin, old.size, last, (eg_view){ref, sizeof ref});
    return ENGRAM_OK;
}

engram_status engram_update_chunk(engram_transaction *tx, const char *path, uint64_t offset,
                                  const void *bytes, size_t size, const engram_expected *expected,
                                  engram_error *error)
{
    eg_mark mark;
    eg_place place;
    EG_TRY(eg_tx_enter(tx, &mark, error));
    engram_status status = eg_content_find(tx, path, expected, false, &place, error);
    if (status == ENGRAM_OK && !place.found)
        status = eg_fail(error, ENGRAM_NOT_FOUND, "no such path: %s", path);
    if (status == ENGRAM_OK)
        status = replace_chunk(tx, &place, offset, bytes, size, error);
    return eg_tx_leave(tx, &mark, status, error);
}
