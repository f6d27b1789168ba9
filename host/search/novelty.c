/* The overlap of a probe with the root, and its error. */
#include "search/novelty.h"

#include <math.h>

#include "base/memory.h"
#include "base/status.h"

#define NORMAL_95 1.959963984540054 /* two-sided 95 % of the normal distribution */

static double weight_of(const uint32_t *sizes, size_t count, double total, size_t i)
{
    return total > 0 ? sizes[i] / total : 1.0 / (double)count;
}

/* One block: the weighted sum of the counters that the probes name, and its variance were the
 * members unrelated to the probes. Probes that share a symbol share its counter. */
static double sum_block(const uint32_t *row, const uint8_t *symbols, const double *weights,
                        size_t count, double members, double *variance)
{
    double by_symbol[ENGRAM_SYMBOLS] = {0}, sum = 0, squares = 0;
    for (size_t i = 0; i < count; i++)
        by_symbol[symbols[i * ENGRAM_BLOCKS]] += weights[i];
    for (unsigned v = 0; v < ENGRAM_SYMBOLS; v++) {
        sum += by_symbol[v] * row[v];
        squares += by_symbol[v] * by_symbol[v];
    }
    *variance += members / ENGRAM_SYMBOLS * fmax(0, squares - 1.0 / ENGRAM_SYMBOLS);
    return sum;
}

/* From S with its standard error. */
static void conclude(double sum, double error, eg_novelty *n)
{
    const double others = ENGRAM_BLOCKS - 1;
    n->overlap = (sum - (double)n->members) / others;
    n->error = error / others;
    n->low = fmax(0, n->overlap - NORMAL_95 * n->error);
    n->high = fmax(0, n->overlap + NORMAL_95 * n->error);
    n->told = n->low > 0;
    n->stored_at_most = fmin(1, n->high);
    n->copy_errors = n->error > 0 ? 1 / n->error : 0;
    if (n->members != 0) {
        n->similarity = n->overlap / (double)n->members;
        n->similarity_error = n->error / (double)n->members;
    }
}

static void measure(const engram_bundle *root, const uint8_t *vectors, const double *weights,
                    size_t count, eg_novelty *n)
{
    double sums[ENGRAM_BLOCKS], sum = 0, unrelated = 0, squares = 0;
    for (unsigned k = 0; k < ENGRAM_BLOCKS; k++) {
        sums[k] = sum_block(root->counters + k * ENGRAM_SYMBOLS, vectors + k, weights, count,
                            (double)root->count, &unrelated);
        sum += sums[k];
    }
    for (unsigned k = 0; k < ENGRAM_BLOCKS; k++)
        squares += (sums[k] - sum / ENGRAM_BLOCKS) * (sums[k] - sum / ENGRAM_BLOCKS);
    double between = squares * ENGRAM_BLOCKS / (ENGRAM_BLOCKS - 1); /* variance of the sum */
    *n = (eg_novelty){.members = root->count, .chunks = count};
    conclude(sum, sqrt(fmax(between, unrelated)), n);
}

engram_status eg_novelty_of_vectors(const engram_bundle *root, const uint8_t *vectors,
                                    const uint32_t *sizes, size_t count, eg_novelty *novelty,
                                    engram_error *error)
{
    double total = 0, *weights = eg_alloc(count * sizeof *weights);
    if (weights == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
    for (size_t i = 0; sizes != NULL && i < count; i++)
        total += sizes[i];
    for (size_t i = 0; i < count; i++)
        weights[i] = weight_of(sizes, count, total, i);
    measure(root, vectors, weights, count, novelty);
    eg_free(weights);
    return ENGRAM_OK;
}

/* ---- bytes ---- */

typedef struct probe {
    eg_view *chunks;
    uint32_t *sizes, *spreads;
    uint8_t *vectors;
    size_t count, chunk_capacity, size_capacity;
} probe;

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for a probe");
}

static engram_status cut(eg_engram *e, const uint8_t *bytes, size_t size, probe *p,
                         engram_error *error)
{
    eg_chunker chunker;
    EG_TRY(eg_chunker_init(&chunker, &eg_engram_get_config(e)->chunk, error));
    for (size_t at = 0; at < size || p->count == 0;) {
        size_t take = size != 0 ? eg_chunker_cut(&chunker, bytes + at, size - at) : 0;
        if (!eg_grow((void **)&p->chunks, &p->chunk_capacity, p->count + 1, sizeof *p->chunks) ||
            !eg_grow((void **)&p->sizes, &p->size_capacity, p->count + 1, sizeof *p->sizes))
            return no_memory(error);
        p->chunks[p->count] = (eg_view){bytes + at, take};
        p->sizes[p->count++] = (uint32_t)take;
        at += take;
    }
    return ENGRAM_OK;
}

static engram_status encode(eg_engram *e, eg_device *device, probe *p, engram_error *error)
{
    p->vectors = eg_alloc_aligned(64, p->count * ENGRAM_BLOCKS);
    p->spreads = eg_alloc(p->count * sizeof *p->spreads);
    if (p->vectors == NULL || p->spreads == NULL)
        return no_memory(error);
    return eg_device_encode(device, eg_engram_get_codebook(e), p->chunks, p->count, p->vectors,
                            p->spreads, error);
}

static engram_status ask_root(eg_engram *e, const probe *p, eg_novelty *novelty,
                              engram_error *error)
{
    eg_version version = {0};
    engram_bundle *root = eg_alloc(sizeof *root);
    if (root == NULL)
        return no_memory(error);
    engram_status status = eg_engram_pin_counted(e, &version, root, error);
    if (status == ENGRAM_OK) {
        status = eg_novelty_of_vectors(root, p->vectors, p->sizes, p->count, novelty, error);
        novelty->version = version.number;
        eg_version_release(&version);
    }
    eg_free(root);
    return status;
}

engram_status eg_novelty_of_bytes(eg_engram *engram, eg_device *device, const uint8_t *bytes,
                                  size_t size, eg_novelty *novelty, engram_error *error)
{
    probe p = {0};
    engram_status status = cut(engram, bytes, size, &p, error);
    if (status == ENGRAM_OK)
        status = encode(engram, device, &p, error);
    if (status == ENGRAM_OK)
        status = ask_root(engram, &p, novelty, error);
    eg_free(p.chunks);
    eg_free(p.sizes);
    eg_free(p.spreads);
    eg_free(p.vectors);
    return status;
}
