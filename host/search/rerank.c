/* From estimates to what the stored bytes say.
 *
 * The windows of the query are put into a set once. Each file is read, whole or around its best
 * pairs of chunks (query.h has the bounds), its windows are held against that set, and the runs of
 * bytes it has in common with the query are looked for in as much of it as is kept at hand. */
#include <stdlib.h>

#include "base/memory.h"
#include "base/status.h"
#include "search/internal.h"
#include "search/windows.h"

enum {
    MIB = 1 << 20,
    WHOLE_BASE = 1 * MIB,
    WHOLE_MAX = 256 * MIB, /* a file read whole */
    TOTAL_BASE = 16 * MIB,
    TOTAL_MAX = 1024 * MIB, /* all of them */
    PART_BASE = 1 * MIB,
    AT_HAND_MAX = 8 * MIB, /* of a file, in memory */
    SCAN_MAX = 16 * MIB,   /* of the query, for ranges, position by position */
    REACH_MIN = 4096,      /* around a pair of chunks */
    FEW_PROBES = 8,
    STEPS = 100, /* by which containments differ that count as different */
};

typedef struct rerank {
    eg_searcher *searcher;
    const eg_version *version;
    const eg_probes *probes;
    eg_view query;
    eg_windows windows;
    uint64_t read_left;      /* bytes that whole files may still have */
    eg_buffer bytes;         /* of the file at hand */
    eg_piece *pieces, *scan; /* what bytes holds; where to look in the query */
    size_t piece_count, piece_capacity, scan_count, scan_capacity;
} rerank;

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for a query");
}

static uint64_t bound(uint64_t base, uint64_t factor, uint64_t size, uint64_t most)
{
    return size < (most - base) / factor ? base + factor * size : most;
}

static engram_status add_piece(eg_piece **pieces, size_t *count, size_t *capacity, uint64_t begin,
                               uint64_t end, engram_error *error)
{
    if (!eg_grow((void **)pieces, capacity, *count + 1, sizeof **pieces))
        return no_memory(error);
    (*pieces)[(*count)++] = (eg_piece){.offset = begin, .size = (size_t)(end - begin)};
    return ENGRAM_OK;
}

static int by_offset(const void *a, const void *b)
{
    const eg_piece *x = a, *y = b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* In rising order, and none touches another. */
static void merge_pieces(eg_piece *pieces, size_t *count)
{
    size_t kept = 0;
    if (*count != 0)
        qsort(pieces, *count, sizeof *pieces, by_offset);
    for (size_t i = 0; i < *count; i++) {
        eg_piece *last = kept != 0 ? &pieces[kept - 1] : NULL;
        if (last == NULL || pieces[i].offset > last->offset + last->size)
            pieces[kept++] = pieces[i];
        else if (pieces[i].offset + pieces[i].size > last->offset + last->size)
            last->size = (size_t)(pieces[i].offset + pieces[i].size - last->offset);
    }
    *count = kept;
}

static int by_value(const void *a, const void *b)
{
    const eg_place *x = a, *y = b;
    if (x->value != y->value)
        return x->value > y->value ? -1 : 1;
    if (x->probe != y->probe)
        return x->probe < y->probe ? -1 : 1;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* [offset, offset + size) and as much before and behind it, within limit. */
static engram_status add_surroundings(eg_piece **pieces, size_t *count, size_t *capacity,
                                      uint64_t offset, uint64_t size, uint64_t reach,
                                      uint64_t limit, engram_error *error)
{
    uint64_t begin = offset > reach ? offset - reach : 0, end = offset + size + reach;
    return add_piece(pieces, count, capacity, begin, end < limit ? end : limit, error);
}

/* How much around a pair of chunks is looked at as well. Of a query with many chunks the neighbours
 * have pairs of their own. */
static uint64_t reach_of(const rerank *r, const eg_place *place)
{
    uint32_t size = r->probes->items[place->probe].size;
    uint64_t larger = place->size > size ? place->size : size;
    return larger > REACH_MIN && r->probes->count <= FEW_PROBES ? larger : REACH_MIN;
}

/* The surroundings of the best pairs, while they are less than size bytes of the file. */
static engram_status take_places(rerank *r, const eg_place *places, size_t count,
                                 uint64_t file_size, uint64_t size, engram_error *error)
{
    uint64_t taken = 0;
    for (size_t i = 0; i < count && places[i].value > 0; i++) {
        const eg_place *p = &places[i];
        const eg_probe *probe = &r->probes->items[p->probe];
        uint64_t reach = reach_of(r, p);
        taken += p->size + 2 * reach;
        if (taken > size)
            break;
        EG_TRY(add_surroundings(&r->pieces, &r->piece_count, &r->piece_capacity, p->offset, p->size,
                                reach, file_size, error));
        EG_TRY(add_surroundings(&r->scan, &r->scan_count, &r->scan_capacity, probe->offset,
                                probe->size, reach, r->query.size, error));
    }
    merge_pieces(r->pieces, &r->piece_count);
    merge_pieces(r->scan, &r->scan_count);
    return ENGRAM_OK;
}

static engram_status choose_pieces(rerank *r, uint64_t inode, uint64_t file_size, uint64_t size,
                                   engram_error *error)
{
    eg_query_hit hit;
    bool found;
    size_t count = r->probes->count * EG_PLACES;
    eg_place *places = eg_alloc_zero(count, sizeof *places);
    if (places == NULL)
        return no_memory(error);
    engram_status status =
        eg_score_file(r->searcher, r->version, r->probes, inode, &hit, &found, places, error);
    if (status == ENGRAM_OK) {
        qsort(places, count, sizeof *places, by_value);
        status = take_places(r, places, count, file_size, size, error);
    }
    eg_free(places);
    return status;
}

/* Appends bytes of the file to what is at hand. */
static engram_status read_more(rerank *r, uint64_t inode, uint64_t offset, size_t size,
                               engram_error *error)
{
    size_t got;
    uint8_t *into = eg_buffer_extend(&r->bytes, size);
    if (into == NULL)
        return no_memory(error);
    EG_TRY(eg_engram_read(r->searcher->engram, r->version, inode, offset, into, size, &got, error));
    return got == size ? ENGRAM_OK
                       : eg_fail(error, ENGRAM_DAMAGED, "a file is shorter than its size");
}

/* Block by block; each begins with the last bytes of the one before, so that no window is missed.
 */
static engram_status count_stream(rerank *r, uint64_t inode, uint64_t file_size,
                                  engram_error *error)
{
    enum { OVERLAP = ENGRAM_WINDOW - 1 };
    for (uint64_t at = 0; at < file_size;) {
        uint64_t begin = at > OVERLAP ? at - OVERLAP : 0,
                 size = file_size - begin < MIB ? file_size - begin : MIB;
        eg_buffer_clear(&r->bytes);
        EG_TRY(read_more(r, inode, begin, (size_t)size, error));
        EG_TRY(eg_windows_add(&r->windows, (eg_view){r->bytes.data, r->bytes.size}, error));
        at = begin + size;
    }
    return ENGRAM_OK;
}

static engram_status read_pieces(rerank *r, uint64_t inode, engram_error *error)
{
    eg_buffer_clear(&r->bytes);
    for (size_t i = 0; i < r->piece_count; i++) {
        r->pieces[i].begin = r->bytes.size;
        EG_TRY(read_more(r, inode, r->pieces[i].offset, r->pieces[i].size, error));
    }
    return ENGRAM_OK;
}

static engram_status count_pieces(rerank *r, engram_error *error)
{
    for (size_t i = 0; i < r->piece_count; i++)
        EG_TRY(eg_windows_add(
            &r->windows, (eg_view){r->bytes.data + r->pieces[i].begin, r->pieces[i].size}, error));
    return ENGRAM_OK;
}

/* What is to be at hand of the file, and where ranges are looked for in the query. */
static engram_status plan(rerank *r, uint64_t inode, uint64_t file_size, bool whole,
                          engram_error *error)
{
    bool at_hand = whole && file_size <= AT_HAND_MAX, scan_all = r->query.size <= SCAN_MAX;
    r->piece_count = r->scan_count = 0;
    if (!at_hand || !scan_all) {
        uint64_t size = whole ? AT_HAND_MAX : bound(PART_BASE, 4, r->query.size, AT_HAND_MAX);
        EG_TRY(choose_pieces(r, inode, file_size, size, error));
    }
    if (at_hand) {
        r->piece_count = 0;
        EG_TRY(add_piece(&r->pieces, &r->piece_count, &r->piece_capacity, 0, file_size, error));
    }
    if (scan_all) {
        r->scan_count = 0;
        EG_TRY(add_piece(&r->scan, &r->scan_count, &r->scan_capacity, 0, r->query.size, error));
    }
    return ENGRAM_OK;
}

/* The windows of the file, and its bytes at hand. */
static engram_status read_file(rerank *r, uint64_t inode, uint64_t file_size, bool whole,
                               engram_error *error)
{
    EG_TRY(plan(r, inode, file_size, whole, error));
    eg_windows_begin(&r->windows);
    if (whole && file_size > AT_HAND_MAX) {
        EG_TRY(count_stream(r, inode, file_size, error));
        return read_pieces(r, inode, error);
    }
    EG_TRY(read_pieces(r, inode, error));
    return count_pieces(r, error);
}

static uint64_t size_at_hand(const rerank *r)
{
    uint64_t size = 0;
    for (size_t i = 0; i < r->piece_count; i++)
        size += r->pieces[i].size;
    return size;
}

static engram_status look_at(rerank *r, eg_query_hit *hit, uint64_t file_size, bool whole,
                             engram_error *error)
{
    eg_query_exact *exact = &hit->exact;
    EG_TRY(read_file(r, hit->inode, file_size, whole, error));
    EG_TRY(eg_ranges_find(r->query, r->scan, r->scan_count, (eg_view){r->bytes.data, r->bytes.size},
                          r->pieces, r->piece_count, &exact->ranges, error));
    exact->present = true;
    exact->file_size = file_size;
    exact->looked_at = whole ? file_size : size_at_hand(r);
    exact->sample = eg_windows_sample(&r->windows);
    exact->whole = exact->looked_at == file_size && exact->sample == 1;
    exact->jaccard = exact->looked_at == file_size ? eg_windows_jaccard(&r->windows) : -1;
    exact->containment = eg_windows_containment(&r->windows);
    if (size_at_hand(r) != file_size || r->query.size > SCAN_MAX)
        exact->ranges.complete = false;
    return ENGRAM_OK;
}

/* A file with damaged bytes keeps its estimates. */
static engram_status look_at_hit(rerank *r, eg_query_hit *hit, engram_error *error)
{
    eg_inode inode;
    eg_buffer scratch = {0};
    engram_error inner = {0};
    engram_status status = eg_fs_get(r->version->root, hit->inode, &inode, &scratch, error);
    eg_buffer_fini(&scratch);
    EG_TRY(status);
    bool whole =
        inode.size <= bound(WHOLE_BASE, 4, r->query.size, WHOLE_MAX) && inode.size <= r->read_left;
    r->read_left -= whole ? inode.size : 0;
    status = look_at(r, hit, inode.size, whole, &inner);
    if (status == ENGRAM_DAMAGED || status == ENGRAM_NOT_FOUND)
        return ENGRAM_OK;
    return status == ENGRAM_OK ? ENGRAM_OK : eg_fail(error, status, "%s", inner.message);
}

/* How much of the query is in the file, as far as is known. */
static double within(const eg_query_hit *hit)
{
    const eg_query_exact *e = &hit->exact;
    if (!e->present)
        return hit->score;
    return e->jaccard >= 0 || e->containment > hit->score ? e->containment : hit->score;
}

static uint64_t longest_run(const eg_query_hit *hit)
{
    return hit->exact.ranges.count != 0 ? hit->exact.ranges.items[0].size : 0;
}

/* How much of the query is in the file, in hundredths; then the longest run of it, since its
 * windows may be there here and there; then the file that has least beside it. */
static int compare_exact(const void *a, const void *b)
{
    const eg_query_hit *x = a, *y = b;
    double within_x = within(x), within_y = within(y);
    int steps_x = (int)(within_x * STEPS), steps_y = (int)(within_y * STEPS);
    if (steps_x != steps_y)
        return steps_x > steps_y ? -1 : 1;
    if (longest_run(x) != longest_run(y))
        return longest_run(x) > longest_run(y) ? -1 : 1;
    if (x->exact.jaccard != y->exact.jaccard)
        return x->exact.jaccard > y->exact.jaccard ? -1 : 1;
    if (within_x != within_y)
        return within_x > within_y ? -1 : 1;
    return eg_compare_hits(a, b);
}

engram_status eg_rerank_hits(eg_searcher *searcher, const eg_version *version,
                             const eg_probes *probes, eg_view query, eg_query_hit *hits,
                             size_t count, engram_error *error)
{
    rerank r = {.searcher = searcher, .version = version, .probes = probes, .query = query};
    EG_TRY(eg_windows_init(&r.windows, query, error));
    engram_status status = ENGRAM_OK;
    for (size_t i = 0; i < count && status == ENGRAM_OK; i++) {
        if (i % EG_QUERY_RERANK == 0)
            r.read_left = bound(TOTAL_BASE, 32, query.size, TOTAL_MAX);
        status = look_at_hit(&r, &hits[i], error);
    }
    for (size_t i = 0; i < count && status == ENGRAM_OK; i += EG_QUERY_RERANK) {
        size_t block = count - i < EG_QUERY_RERANK ? count - i : EG_QUERY_RERANK;
        qsort(&hits[i], block, sizeof *hits, compare_exact);
    }
    eg_windows_fini(&r.windows);
    eg_buffer_fini(&r.bytes);
    eg_free(r.pieces);
    eg_free(r.scan);
    return status;
}
