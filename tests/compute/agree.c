/* Many chunks through every backend, which must agree with the scalar kernels to the bit.
 *
 *     agree [--chunks N] [--device NAME] [--seed N]
 *
 * Batches of chunks of every fill, most of them short, are encoded by the scalar table over a pool, and by every other
 * backend (check_kernels has their names); vectors and spreads are compared. Of each batch the vectors are then bundled, and
 * scanned for some queries, likewise. Ends with 1 at the first difference, and says where. The campaign is of 100,000,000
 * chunks; the tests run some thousands. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compute/candidate.h"
#include "compute/inputs.h"

enum { BATCH = 8192, SLOW_BATCH = 8, BYTES = 4 << 20, SHORT = 400, LONG = 40000, QUERIES_MAX = 40, K = 10, CANDIDATES_MAX = 32 };
enum { COUNTERS = ENGRAM_BLOCKS * ENGRAM_SYMBOLS };

typedef struct batch {
    uint64_t seed; /* makes it again */
    engram_codebook codebook;
    uint8_t *bytes;
    eg_view chunks[BATCH];
    size_t count;
    bool has_live;
    uint64_t live[BATCH / 64];
    size_t query_count;
    uint32_t minimum;
    uint8_t *planes; /* the vectors that the scalar kernels made, or NULL: they are scanned in rows */
} batch;

typedef struct answers {
    uint8_t *vectors;
    uint32_t *spreads, *counters;
    eg_hit hits[QUERIES_MAX * K];
    uint32_t counts[QUERIES_MAX];
} answers;

static void *need(void *pointer)
{
    if (pointer == NULL) {
        fprintf(stderr, "agree: out of memory\n");
        exit(2);
    }
    return pointer;
}

static void init_answers(answers *a)
{
    a->vectors = need(aligned_alloc(64, (size_t)BATCH * ENGRAM_BLOCKS));
    a->spreads = need(malloc(BATCH * sizeof *a->spreads));
    a->counters = need(malloc(COUNTERS * sizeof *a->counters));
}

static void fini_answers(answers *a)
{
    free(a->vectors);
    free(a->spreads);
    free(a->counters);
}

/* With secrets of zero, which no seed gives, all probes look at block 0. Where no window reached it, each of some 250 empty
 * blocks costs 65,536 hashes: 20 ms a chunk with the scalar kernels, a thousand times what others cost. */
static bool is_slow(const engram_codebook *codebook)
{
    return codebook->s1 == 0 && codebook->s2 == 0;
}

static void fill_batch(batch *b, uint64_t seed)
{
    uint64_t state = b->seed = seed;
    size_t used = 0;
    b->codebook = make_codebook(random_below(&state, 8) == 0 ? (unsigned)random_below(&state, CODEBOOK_KINDS) : 0, &state);
    const size_t count_max = is_slow(&b->codebook) ? SLOW_BATCH : BATCH;
    for (b->count = 0; b->count < count_max && used < BYTES; b->count++) {
        size_t size = random_below(&state, random_below(&state, 256) != 0 ? SHORT : LONG);
        size = size < BYTES - used ? size : BYTES - used;
        fill_bytes(b->bytes + used, size, (fill_kind)random_below(&state, FILL_COUNT), &state);
        b->chunks[b->count] = (eg_view){b->bytes + used, size};
        used += size;
    }
    b->has_live = random_below(&state, 2) != 0;
    for (size_t i = 0; i < BATCH / 64; i++)
        b->live[i] = next_random(&state);
    b->minimum = (uint32_t)random_below(&state, 3) * 60 + 1;
    b->query_count = random_below(&state, 2) != 0 ? 4 : QUERIES_MAX; /* for many there are kernels of their own */
    b->query_count = b->query_count < b->count ? b->query_count : b->count;
}

/* For every other batch. */
static void lay_out(batch *b, uint8_t *planes, const uint8_t *vectors)
{
    b->planes = b->seed % 2 != 0 ? planes : NULL;
    for (size_t i = 0; i < b->count && b->planes != NULL; i++)
        eg_planes_put(planes, b->count, i, vectors + i * ENGRAM_BLOCKS);
}

/* Vectors are scanned, and asked with, that the scalar kernels made: so each operation is on its own. */
static bool compute(const candidate *c, const batch *b, const answers *scalar, answers *a, bool *has_top_k)
{
    engram_status status = ENGRAM_OK;
    const uint8_t *vectors = scalar->vectors;
    size_t rows = b->count;
    const eg_vectors run =
        b->planes == NULL ? eg_rows(vectors, rows) : (eg_vectors){b->planes, rows, 0, rows, EG_LAYOUT_PLANES};
    const scan_set set = {&run, 1};
    const scan_query query = {vectors, b->query_count, b->has_live ? b->live : NULL, K, b->minimum};
    memset(a->hits, 0, sizeof a->hits);
    memset(a->counts, 0, sizeof a->counts);
    if (!candidate_encode(c, &b->codebook, b->chunks, b->count, a->vectors, a->spreads, &status) || status != ENGRAM_OK)
        return false;
    memset(a->counters, 0, COUNTERS * sizeof *a->counters);
    if (candidate_bundle(c, a->counters, vectors, b->count, 1, &status) && status != ENGRAM_OK)
        return false;
    *has_top_k = candidate_top_k(c, &set, &query, a->hits, a->counts, &status);
    return !*has_top_k || status == ENGRAM_OK;
}

static bool are_equal(const answers *a, const answers *b, size_t count, bool has_top_k)
{
    bool equal = memcmp(a->vectors, b->vectors, count * ENGRAM_BLOCKS) == 0 &&
                 memcmp(a->spreads, b->spreads, count * sizeof *a->spreads) == 0 &&
                 memcmp(a->counters, b->counters, COUNTERS * sizeof *a->counters) == 0 &&
                 memcmp(a->counts, b->counts, sizeof a->counts) == 0;
    for (size_t q = 0; q < QUERIES_MAX && equal && has_top_k; q++)
        for (uint32_t i = 0; i < a->counts[q] && equal; i++)
            equal = a->hits[q * K + i].row == b->hits[q * K + i].row && a->hits[q * K + i].matches == b->hits[q * K + i].matches;
    return equal;
}

/* Batches from a seed on until there were enough chunks. */
static bool run(const candidate *scalar, const candidate *list, size_t count, uint64_t seed, uint64_t chunks)
{
    batch b = {.bytes = need(malloc(BYTES))};
    uint8_t *planes = need(aligned_alloc(64, (size_t)BATCH * ENGRAM_BLOCKS));
    answers right = {0}, other = {0};
    uint64_t done = 0, told = 0;
    bool agree = true;
    init_answers(&right);
    init_answers(&other);
    while (done < chunks && agree) {
        bool has_top_k = false;
        fill_batch(&b, seed++);
        b.planes = NULL;
        if (!compute(scalar, &b, &right, &right, &has_top_k)) {
            fprintf(stderr, "agree: %s fails\n", scalar->name);
            exit(2);
        }
        lay_out(&b, planes, right.vectors);
        for (size_t i = 0; i < count && agree; i++) {
            agree = compute(&list[i], &b, &right, &other, &has_top_k) && are_equal(&right, &other, b.count, has_top_k);
            if (!agree)
                printf("%s differs from %s: --seed %" PRIu64 " --chunks 1\n", list[i].name, scalar->name, b.seed);
        }
        done += b.count;
        if (done / 1000000 != told) {
            told = done / 1000000;
            printf("%" PRIu64 " chunks\n", done);
            fflush(stdout);
        }
    }
    printf("%" PRIu64 " chunks, %s\n", done, agree ? "0 mismatches" : "a mismatch");
    fini_answers(&right);
    fini_answers(&other);
    free(b.bytes);
    free(planes);
    return agree;
}

int main(int argc, char **argv)
{
    static candidate scalar[CANDIDATES_MAX], list[CANDIDATES_MAX];
    uint64_t chunks = 100000000, seed = 1;
    const char *device = NULL;
    unsigned failed = 0;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--chunks") == 0)
            chunks = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--device") == 0)
            device = argv[i + 1];
    }
    size_t there = candidates_open(scalar, CANDIDATES_MAX, "cpu-scalar-pool", &failed);
    size_t count = candidates_open(list, CANDIDATES_MAX, device, &failed);
    if (there != 1 || count == 0 || failed != 0) {
        fprintf(stderr, "agree: no device '%s', or one that cannot be opened\n", device == NULL ? "" : device);
        return 2;
    }
    for (size_t i = 0; i < count; i++)
        printf("%s%s", list[i].name, i + 1 < count ? ", " : "\n");
    bool agree = run(scalar, list, count, seed, chunks);
    for (size_t i = 0; i < count; i++)
        candidate_close(&list[i]);
    candidate_close(scalar);
    return agree ? 0 : 1;
}
