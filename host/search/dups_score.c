/* How alike two files are: each in turn is the query, and its chunks look for their best in the
 * other, which is read in pieces. A large one asks with a sample of its chunks. */
#include "base/memory.h"
#include "base/status.h"
#include "search/dups_parts.h"

enum {
    PROBES_MAX = 1024, /* of a mean of so many the standard error is at most 0.016 */
    PIECE_ROWS = 4096
};

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory looking for duplicates");
}

typedef struct best {
    uint64_t id;
    uint32_t matches;
} best;

typedef struct direction {
    eg_dups *dups;
    /* The asking side: every so many of its chunks. */
    uint8_t *probes;
    uint64_t *ids;
    uint32_t *sizes;
    best *bests;
    size_t probe_count;
    uint64_t seen, step;
    /* The other side: the piece at hand. */
    uint8_t *rows;
    uint64_t *row_ids;
    size_t row_count, row_capacity;
    eg_hit *hits;
    uint32_t *counts;
} direction;

static void direction_fini(direction *d)
{
    void *const all[] = {d->probes, d->ids,     d->sizes, d->bests,
                         d->rows,   d->row_ids, d->hits,  d->counts};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        eg_free(all[i]);
}

static engram_status direction_init(direction *d, eg_dups *dups, uint64_t from, uint64_t to,
                                    engram_error *error)
{
    size_t probes = from < PROBES_MAX ? from : PROBES_MAX;
    size_t rows = to < PIECE_ROWS ? to : PIECE_ROWS;
    *d = (direction){
        .dups = dups, .step = (from + PROBES_MAX - 1) / PROBES_MAX, .row_capacity = rows};
    d->probes = eg_alloc(probes * ENGRAM_BLOCKS);
    d->ids = eg_alloc(probes * sizeof *d->ids);
    d->sizes = eg_alloc(probes * sizeof *d->sizes);
    d->bests = eg_alloc_zero(probes, sizeof *d->bests);
    d->rows = eg_alloc_aligned(64, rows * ENGRAM_BLOCKS);
    d->row_ids = eg_alloc(rows * sizeof *d->row_ids);
    d->hits = eg_alloc(probes * sizeof *d->hits);
    d->counts = eg_alloc_zero(probes, sizeof *d->counts);
    return d->probes == NULL || d->ids == NULL || d->sizes == NULL || d->bests == NULL ||
                   d->rows == NULL || d->row_ids == NULL || d->hits == NULL || d->counts == NULL
               ? no_memory(error)
               : ENGRAM_OK;
}

/* A chunk that was lost has no vector, and is like nothing: *found false. */
static engram_status get_vector(direction *d, uint64_t id, uint8_t *vector, bool *found,
                                engram_error *error)
{
    engram_error inner = {0};
    engram_status status =
        eg_store_get_vector(eg_engram_store(d->dups->searcher->engram), id, vector, &inner);
    *found = status == ENGRAM_OK;
    if (status == ENGRAM_OK || status == ENGRAM_NOT_FOUND)
        return ENGRAM_OK;
    return eg_fail(error, status, "%s", inner.message);
}

static engram_status take_probe(void *context, uint64_t offset, eg_chunk_ref ref,
                                engram_error *error)
{
    direction *d = context;
    bool found;
    (void)offset;
    if (d->seen++ % d->step != 0)
        return ENGRAM_OK;
    uint8_t *vector = d->probes + d->probe_count * ENGRAM_BLOCKS;
    EG_TRY(get_vector(d, ref.id, vector, &found, error));
    d->ids[d->probe_count] = found ? ref.id : 0;
    if (!found)
        memset(vector, 0, ENGRAM_BLOCKS);
    d->sizes[d->probe_count++] = ref.size;
    return ENGRAM_OK;
}

static engram_status compare_piece(direction *d, engram_error *error)
{
    eg_arena *arena = NULL;
    if (d->row_count == 0)
        return ENGRAM_OK;
    EG_TRY(eg_arena_create(d->dups->searcher->device, &arena, error));
    engram_status status = eg_arena_append(arena, eg_rows(d->rows, d->row_count), error);
    if (status == ENGRAM_OK)
        status = eg_arena_top_k(arena, d->probes, d->probe_count, NULL, 1, d->dups->floor, d->hits,
                                d->counts, error);
    eg_arena_free(arena);
    EG_TRY(status);
    for (size_t i = 0; i < d->probe_count; i++)
        if (d->counts[i] != 0 && d->hits[i].matches > d->bests[i].matches)
            d->bests[i] = (best){d->row_ids[d->hits[i].row], d->hits[i].matches};
    d->row_count = 0;
    return ENGRAM_OK;
}

static engram_status take_row(void *context, uint64_t offset, eg_chunk_ref ref, engram_error *error)
{
    direction *d = context;
    bool found;
    (void)offset;
    EG_TRY(get_vector(d, ref.id, d->rows + d->row_count * ENGRAM_BLOCKS, &found, error));
    if (!found)
        return ENGRAM_OK;
    d->row_ids[d->row_count++] = ref.id;
    return d->row_count < d->row_capacity ? ENGRAM_OK : compare_piece(d, error);
}

/* The value of chunk a's best, b: how alike they are, or how much of a lies in b. */
static engram_status value_of(eg_dups *dups, uint64_t a, uint64_t b, uint32_t matches,
                              double *value, engram_error *error)
{
    eg_store *store = eg_engram_store(dups->searcher->engram);
    eg_chunk_info info_a, info_b;
    EG_TRY(eg_store_get_info(store, a, &info_a, error));
    EG_TRY(eg_store_get_info(store, b, &info_b, error));
    double jaccard = engram_jaccard_from_matches(matches).value;
    double within = engram_containment(jaccard, engram_distinct_windows(info_a.spread),
                                       engram_distinct_windows(info_b.spread));
    *value = jaccard > within ? jaccard : within;
    return ENGRAM_OK;
}

static engram_status sum_up(direction *d, double *score, engram_error *error)
{
    double sum = 0, total = 0, value;
    for (size_t i = 0; i < d->probe_count; i++) {
        total += d->sizes[i];
        if (d->ids[i] == 0 || d->bests[i].matches == 0)
            continue;
        EG_TRY(value_of(d->dups, d->ids[i], d->bests[i].id, d->bests[i].matches, &value, error));
        sum += value * d->sizes[i];
    }
    *score = total > 0 ? sum / total : 0;
    return ENGRAM_OK;
}

/* How much of from is like to. */
static engram_status score_direction(eg_dups *dups, const eg_dup_file *from, const eg_dup_file *to,
                                     double *score, engram_error *error)
{
    direction d;
    eg_root *root = dups->version->root;
    engram_status status = direction_init(&d, dups, from->chunks, to->chunks, error);
    if (status == ENGRAM_OK)
        status = eg_fs_refs(root, from->inode, 0, take_probe, &d, error);
    if (status == ENGRAM_OK)
        status = eg_fs_refs(root, to->inode, 0, take_row, &d, error);
    if (status == ENGRAM_OK)
        status = compare_piece(&d, error);
    if (status == ENGRAM_OK)
        status = sum_up(&d, score, error);
    direction_fini(&d);
    return status;
}

engram_status eg_dups_score(eg_dups *dups, uint32_t a, uint32_t b, double least, double *score,
                            engram_error *error)
{
    const eg_dup_file *x = &dups->files[a], *y = &dups->files[b];
    double back;
    dups->stats.pairs_scored++;
    EG_TRY(score_direction(dups, x, y, score, error));
    if (*score < least)
        return ENGRAM_OK;
    EG_TRY(score_direction(dups, y, x, &back, error));
    *score = back < *score ? back : *score;
    return ENGRAM_OK;
}

engram_status eg_dups_score_chunks(eg_dups *dups, uint64_t a, uint64_t b, uint32_t matches,
                                   double *score, engram_error *error)
{
    double there, back;
    dups->stats.pairs_scored++;
    EG_TRY(value_of(dups, a, b, matches, &there, error));
    EG_TRY(value_of(dups, b, a, matches, &back, error));
    *score = there < back ? there : back;
    return ENGRAM_OK;
}
