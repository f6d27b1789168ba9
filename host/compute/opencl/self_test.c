/* The start-up self-test: drivers compile wrongly now and then, and an answer that differs from the
 * scalar functions would be stored for ever. A few milliseconds a kernel. */
#include <string.h>

#include "base/memory.h"
#include "base/status.h"
#include "compute/opencl/opencl.h"

enum {
    CHUNKS = 24,
    BYTES = 12288,
    ROWS = 300,
    QUERIES = 5,
    K = 40,
    MINIMUM = 2,
    MINIMUM_PRUNED = 90, /* leads of planes alone tell that most rows have less */
    VECTOR = ENGRAM_BLOCKS
};

typedef struct test {
    engram_codebook codebook;
    uint8_t bytes[BYTES];
    eg_view chunks[CHUNKS];
    _Alignas(64) uint8_t vectors[ROWS * VECTOR];
    _Alignas(64) uint8_t planes[ROWS * VECTOR]; /* the same */
    uint32_t spreads[CHUNKS];
    engram_bundle bundle;
    uint32_t counters[ENGRAM_BLOCKS * ENGRAM_SYMBOLS];
    uint64_t live[(ROWS + 63) / 64];
    eg_hit hits[QUERIES * K];
    uint32_t counts[QUERIES];
} test;

static engram_status fail(eg_opencl *cl, const char *kernel, engram_error *error)
{
    return eg_fail(error, ENGRAM_DEVICE,
                   "%s (%s): self-test of %s failed: the device or its driver "
                   "computes wrongly; use another device",
                   cl->info.spec, cl->info.name, kernel);
}

static uint64_t next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

/* Chunks of 0, 1, 2, 4, 7, 11, ... bytes, so of every kind of end, then the rest as one; half
 * of the bytes repeat. Few distinct symbols in the rows, two of them with the same lead, so that
 * matches tie often. */
static void fill(test *t)
{
    static const uint8_t symbols[] = {0x00, 0x64, 0x9B, 0x2E};
    uint64_t state = 1;
    size_t at = 0;
    engram_codebook_init(&t->codebook, 7);
    for (size_t i = 0; i < BYTES; i++)
        t->bytes[i] = i % 4096 < 2048 ? (uint8_t)next(&state) : (uint8_t)(i & 15);
    for (size_t i = 0; i < CHUNKS; i++) {
        size_t size = i + 1 < CHUNKS ? i * (i + 1) / 2 : BYTES - at;
        t->chunks[i] = (eg_view){t->bytes + at, size};
        at += size;
    }
    for (size_t i = 0; i < ROWS * VECTOR; i++)
        t->vectors[i] = symbols[next(&state) % (2 + i / VECTOR % 3)];
    for (size_t i = 0; i < ROWS; i++)
        eg_planes_put(t->planes, ROWS, i, t->vectors + i * VECTOR);
    for (size_t i = 0; i < ROWS; i++)
        t->live[i / 64] |= (uint64_t)(i % 5 != 3) << i % 64;
}

static engram_status test_encode(eg_opencl *cl, test *t, engram_error *error)
{
    uint8_t vectors[CHUNKS * VECTOR], vector[VECTOR];
    uint32_t spread;
    EG_TRY(eg_cl_encode(&cl->base, &t->codebook, t->chunks, CHUNKS, vectors, t->spreads, error));
    for (size_t i = 0; i < CHUNKS; i++) {
        engram_encode(&t->codebook, t->chunks[i].data, t->chunks[i].size, vector, &spread);
        if (memcmp(vector, vectors + i * VECTOR, VECTOR) != 0 || spread != t->spreads[i])
            return fail(cl, eg_cl_kernel_name(cl, EG_CL_ENCODE), error);
    }
    return ENGRAM_OK;
}

static engram_status test_bundle(eg_opencl *cl, test *t, engram_error *error)
{
    memset(t->counters, 0, sizeof t->counters);
    memset(&t->bundle, 0, sizeof t->bundle);
    engram_bundle_add(&t->bundle, t->vectors, ROWS);
    engram_bundle_remove(&t->bundle, t->vectors, ROWS / 3);
    EG_TRY(eg_cl_bundle(&cl->base, t->counters, t->vectors, ROWS, 1, error));
    EG_TRY(eg_cl_bundle(&cl->base, t->counters, t->vectors, ROWS / 3, -1, error));
    if (memcmp(t->counters, t->bundle.counters, sizeof t->counters) != 0)
        return fail(cl, eg_cl_kernel_name(cl, EG_CL_BUNDLE), error);
    return ENGRAM_OK;
}

/* Whether hits are the K best live rows: selected one by one in order. */
static bool is_top(const test *t, const uint8_t *query, uint32_t minimum, const eg_hit *hits,
                   uint32_t count)
{
    eg_hit last = {0, UINT32_MAX};
    for (uint32_t i = 0; i <= count && i < K; i++) {
        eg_hit best = {UINT64_MAX, 0};
        for (uint64_t row = 0; row < ROWS; row++) {
            eg_hit hit = {row, engram_matches(query, t->vectors + row * VECTOR)};
            bool counts = (t->live[row / 64] >> row % 64 & 1) && hit.matches >= minimum;
            if (counts && (i == 0 || eg_hit_before(last, hit)) && eg_hit_before(hit, best))
                best = hit;
        }
        if (i == count)
            return best.row == UINT64_MAX;
        if (best.row != hits[i].row || best.matches != hits[i].matches)
            return false;
        last = best;
    }
    return count == K;
}

static engram_status test_scan(eg_opencl *cl, test *t, const eg_resident *resident,
                               uint32_t minimum, eg_cl_kernel kernel, engram_error *error)
{
    const uint8_t *queries = t->vectors + 100 * VECTOR;
    EG_TRY(eg_cl_top_k(&cl->base, resident, queries, QUERIES, t->live, K, minimum, t->hits,
                       t->counts, error));
    for (size_t q = 0; q < QUERIES; q++)
        if (!is_top(t, queries + q * VECTOR, minimum, t->hits + q * K, t->counts[q]))
            return fail(cl, eg_cl_kernel_name(cl, kernel), error);
    return ENGRAM_OK;
}

static engram_status test_top_k(eg_opencl *cl, test *t, eg_vectors vectors, eg_cl_kernel kernel,
                                engram_error *error)
{
    eg_resident *resident = NULL;
    engram_status status;
    EG_TRY(eg_cl_resident_create(&cl->base, &resident, error));
    EG_TRY_DONE(eg_cl_resident_append(&cl->base, resident, vectors, error));
    EG_TRY_DONE(test_scan(cl, t, resident, MINIMUM, kernel, error));
    EG_TRY_DONE(test_scan(cl, t, resident, MINIMUM_PRUNED, kernel, error));
done:
    eg_cl_resident_free(&cl->base, resident);
    return status;
}

engram_status eg_cl_self_test(eg_opencl *cl, engram_error *error)
{
    engram_status status;
    test *t = eg_alloc_aligned(64, sizeof *t);
    if (!t)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for the self-test of a device");
    memset(t, 0, sizeof *t);
    fill(t);
    EG_TRY_DONE(test_encode(cl, t, error));
    EG_TRY_DONE(test_bundle(cl, t, error));
    EG_TRY_DONE(test_top_k(cl, t, eg_rows(t->vectors, ROWS), EG_CL_COUNT, error));
    EG_TRY_DONE(test_top_k(cl, t, (eg_vectors){t->planes, ROWS, 0, ROWS, EG_LAYOUT_PLANES},
                           EG_CL_COUNT_PLANES, error));
done:
    eg_free(t);
    return status;
}
