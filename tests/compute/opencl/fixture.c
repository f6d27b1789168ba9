#include "fixture.h"

#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"

bool fixture_is_small;
char fixture_cache[256];
static uint64_t random_state;

/* What drivers keep is not for us to free; eg_cl_live_count shows what we keep of theirs. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libpocl\nleak:libLLVM\nleak:libclang\nleak:libOpenCL\n";
}

uint64_t fixture_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

void fixture_seed(void)
{
    const char *given = getenv("ENGRAM_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : eg_clock_wall_ns();
    random_state = seed | 1;
    print_message("ENGRAM_TEST_SEED=%" PRIu64 "\n", seed);
}

void *fixture_allocate(size_t size)
{
    void *p = eg_alloc_aligned(64, size + 64);
    assert_non_null(p);
    return p;
}

void fixture_require(engram_status status, const engram_error *error)
{
    if (status != ENGRAM_OK)
        fail_msg("%s: %s", engram_status_name(status), error->message);
}

static const eg_cl_limits tiny_limits = {.staging_size = 5000,
                                         .chunk_count = 7,
                                         .bundle_count = 100,
                                         .query_count = 3,
                                         .pairs_first = 200,
                                         .pairs_max = 1500,
                                         .span_size = 150 * VECTOR,
                                         .resident_size = 400 * VECTOR,
                                         .tile_size = 500 * VECTOR};

eg_backend *fixture_open(eg_cl_form form, bool tiny)
{
    engram_error error = {0};
    eg_backend *backend;
    fixture_require(eg_cl_open(0, 0, form, tiny ? &tiny_limits : NULL, &backend, &error), &error);
    return backend;
}

void fixture_skip(void)
{
    if (eg_opencl_list(NULL, 0) == 0)
        skip();
}

void fixture_close(eg_backend *backend)
{
    backend->ops->close(backend);
    assert_int_equal(eg_cl_live_count(), 0);
}

/* Calls test with each form of the kernels, with ordinary and with tiny limits. */
void fixture_with_backends(void (*test)(eg_backend *backend))
{
    fixture_skip();
    fixture_seed();
    for (int tiny = 0; tiny < (fixture_is_small ? 1 : 2); tiny++)
        for (eg_cl_form form = 0; form < EG_CL_FORMS; form++) {
            eg_backend *backend = fixture_open(form, tiny);
            test(backend);
            fixture_close(backend);
        }
}

void fixture_fill(uint8_t *bytes, size_t size, unsigned kind)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = kind == 0   ? (uint8_t)fixture_next()
                   : kind == 1 ? 0
                   : kind == 2 ? (uint8_t)i
                               : "abc"[fixture_next() % 3];
}

void fixture_check_encoded(const engram_codebook *codebook, const eg_view *chunks, size_t count,
                           const uint8_t *vectors, const uint32_t *spreads)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t vector[VECTOR];
        uint32_t spread;
        engram_encode(codebook, chunks[i].data, chunks[i].size, vector, &spread);
        if (memcmp(vector, vectors + i * VECTOR, VECTOR) != 0 || spread != spreads[i])
            fail_msg("chunk %zu of %zu (%zu bytes) differs", i, count, chunks[i].size);
    }
}

static int compare_hits(const void *a, const void *b)
{
    const eg_hit *x = a, *y = b;
    return eg_hit_before(*x, *y) ? -1 : eg_hit_before(*y, *x);
}

/* All rows that count, sorted. */
static uint32_t reference(const uint8_t *vectors, size_t rows, const uint8_t *query,
                          const uint64_t *live, uint32_t k, uint32_t minimum, eg_hit *hits)
{
    size_t count = 0;
    for (size_t row = 0; row < rows; row++) {
        uint32_t matches = engram_matches(query, vectors + row * VECTOR);
        if (matches >= minimum && (!live || live[row / 64] >> row % 64 & 1))
            hits[count++] = (eg_hit){row, matches};
    }
    qsort(hits, count, sizeof *hits, compare_hits);
    return count < k ? (uint32_t)count : k;
}

void fixture_check_top_k(eg_backend *backend, const fixture_rows *r, const uint8_t *queries,
                         size_t query_count, const uint64_t *live, uint32_t k, uint32_t minimum)
{
    engram_error error = {0};
    eg_hit *hits = fixture_allocate(query_count * k * sizeof *hits);
    eg_hit *expected = fixture_allocate(r->count * sizeof *expected);
    uint32_t *counts = fixture_allocate(query_count * sizeof *counts);
    fixture_require(backend->ops->top_k(backend, r->resident, queries, query_count, live, k,
                                        minimum, hits, counts, &error),
                    &error);
    for (size_t q = 0; q < query_count; q++) {
        uint32_t count =
            reference(r->vectors, r->count, queries + q * VECTOR, live, k, minimum, expected);
        assert_int_equal(counts[q], count);
        for (uint32_t i = 0; i < count; i++) {
            const eg_hit *got = &hits[q * k + i];
            if (got->row != expected[i].row || got->matches != expected[i].matches)
                fail_msg("query %zu hit %u of %u: row %" PRIu64 " (%u), not %" PRIu64 " (%u)", q, i,
                         count, got->row, got->matches, expected[i].row, expected[i].matches);
        }
    }
    eg_free(counts);
    eg_free(expected);
    eg_free(hits);
}

static eg_vectors make_planes(const fixture_rows *r, size_t first, size_t behind)
{
    const size_t total = first + r->count + behind;
    uint8_t *bytes = fixture_allocate(total * VECTOR);
    memset(bytes, (int)(fixture_next() & 0xFF), total * VECTOR);
    for (size_t i = 0; i < r->count; i++)
        eg_planes_put(bytes, total, first + i, r->vectors + i * VECTOR);
    return (eg_vectors){bytes, total, first, r->count, EG_LAYOUT_PLANES};
}

static void drop(eg_backend *backend, fixture_rows *r)
{
    backend->ops->resident_free(backend, r->resident);
    r->resident = NULL;
    for (size_t i = 1; i < 3; i++) {
        eg_free((void *)(uintptr_t)r->places[i].bytes);
        r->places[i].bytes = NULL;
    }
}

static const eg_vectors *choose_place(const fixture_rows *r, fixture_layout layout)
{
    return &r->places[layout == IN_ROWS     ? 0
                      : layout == IN_PLANES ? 1 + fixture_next() % 2
                                            : fixture_next() % 3];
}

void fixture_rows_hold(eg_backend *backend, fixture_rows *r, fixture_layout layout)
{
    engram_error error = {0};
    drop(backend, r);
    r->places[0] = eg_rows(r->vectors, r->count);
    r->places[1] = make_planes(r, 0, 0);
    r->places[2] = make_planes(r, 2 * EG_GROUP_ROWS - r->count / 2 % EG_GROUP_ROWS, 5);
    fixture_require(backend->ops->resident_create(backend, &r->resident, &error), &error);
    for (size_t at = 0, part; at < r->count; at += part) {
        part = 1 + fixture_next() % r->count;
        part = part < r->count - at ? part : r->count - at;
        fixture_require(
            backend->ops->resident_append(backend, r->resident,
                                          eg_vectors_part(*choose_place(r, layout), at, part),
                                          &error),
            &error);
    }
}

uint8_t fixture_symbol(unsigned symbols)
{
    return (uint8_t)(fixture_next() % symbols * 37);
}

fixture_rows fixture_rows_make(eg_backend *backend, size_t count, unsigned symbols,
                               fixture_layout layout)
{
    fixture_rows r = {.vectors = fixture_allocate(count * VECTOR), .count = count};
    for (size_t i = 0; i < count * VECTOR; i++)
        r.vectors[i] = fixture_symbol(symbols);
    fixture_rows_hold(backend, &r, layout);
    return r;
}

void fixture_rows_free(eg_backend *backend, fixture_rows *r)
{
    drop(backend, r);
    eg_free(r->vectors);
}

int fixture_setup(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    snprintf(fixture_cache, sizeof fixture_cache, "%s/engram-opencl-XXXXXX",
             tmp && tmp[0] ? tmp : "/tmp");
    if (!mkdtemp(fixture_cache))
        return -1;
    return setenv("XDG_CACHE_HOME", fixture_cache, 1) | setenv("POCL_CACHE_DIR", fixture_cache, 1);
}

static int remove_one(const char *path, const struct stat *s, int kind, struct FTW *at)
{
    (void)s, (void)kind, (void)at;
    return remove(path);
}

int fixture_teardown(void **state)
{
    (void)state;
    return nftw(fixture_cache, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
