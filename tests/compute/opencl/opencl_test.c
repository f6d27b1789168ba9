/* The operations of the OpenCL backend against the scalar functions, on the first device there is,
 * with the kernels for CPUs and those for GPUs, and with limits so small that every cut of the work
 * happens.
 *
 * `opencl_test oclgrind` insists on Oclgrind's device, which interprets kernels and reports races
 * and stray accesses, and keeps to inputs small enough for it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "fixture.h"

/* ---- encode ---- */

enum { FILLS = 4 };

static void encode_and_check(eg_backend *backend, const engram_codebook *codebook,
                             const eg_view *chunks, size_t count)
{
    engram_error error = {0};
    uint8_t *vectors = fixture_allocate(count * VECTOR);
    uint32_t *spreads = fixture_allocate(count * sizeof *spreads);
    fixture_require(
        backend->ops->encode(backend, codebook, chunks, count, vectors, spreads, &error), &error);
    fixture_check_encoded(codebook, chunks, count, vectors, spreads);
    eg_free(vectors);
    eg_free(spreads);
}

static const size_t sizes[] = {0,   1,    2,    7,    8,    9,    10,    15,   16,  17,
                               22,  23,   24,   25,   31,   32,   33,    63,   64,  65,
                               127, 128,  129,  255,  256,  257,  511,   512,  513, 1000,
                               0,   4096, 4103, 4104, 4105, 9000, 20000, 70001};

/* Chunks side by side in one buffer (gap 0 or more), then each in its own exact allocation. */
static void encode_sizes(eg_backend *backend)
{
    size_t count = sizeof sizes / sizeof *sizes - (fixture_is_small ? 12 : 0);
    eg_view chunks[sizeof sizes / sizeof *sizes];
    for (unsigned kind = 0; kind < (fixture_is_small ? 1 : FILLS); kind++) {
        engram_codebook codebook;
        engram_codebook_init(&codebook, fixture_next());
        uint8_t *buffer = fixture_allocate(300000);
        fixture_fill(buffer, 300000, kind);
        for (size_t i = 0, at = kind; i < count; at += sizes[i] + 3 * kind, i++)
            chunks[i] = (eg_view){buffer + at, sizes[i]};
        encode_and_check(backend, &codebook, chunks, count);
        for (size_t i = 0; i < count; i++) {
            void *copy = eg_memdup(chunks[i].data, chunks[i].size);
            chunks[i].data = chunks[i].size ? copy : NULL;
            if (!chunks[i].size)
                eg_free(copy);
        }
        encode_and_check(backend, &codebook, chunks, count);
        for (size_t i = 0; i < count; i++)
            eg_free((void *)(uintptr_t)chunks[i].data);
        eg_free(buffer);
    }
    encode_and_check(backend, &(engram_codebook){0}, chunks, 0);
}

static void test_encode_sizes(void **state)
{
    (void)state;
    fixture_with_backends(encode_sizes);
}

/* Codebooks in which some block probes one place for ever. */
static void encode_hostile(eg_backend *backend)
{
    for (unsigned i = 0; i < 12; i++) {
        uint8_t bytes[200];
        engram_codebook codebook = {0, fixture_next() << 32 | (fixture_next() & 255),
                                    i % 3 ? fixture_next() : 0};
        fixture_fill(bytes, sizeof bytes, 0);
        eg_view chunks[] = {{bytes, 3}, {bytes + 3, 8}, {bytes + 11, 40}, {bytes + 51, 149}};
        encode_and_check(backend, &codebook, chunks, 4);
    }
}

static void test_encode_hostile_codebook(void **state)
{
    (void)state;
    fixture_with_backends(encode_hostile);
}

static void encode_random(eg_backend *backend)
{
    enum { CHUNKS = 300 };
    engram_codebook codebook;
    eg_view chunks[CHUNKS];
    uint8_t *buffer = fixture_allocate(1 << 20);
    engram_codebook_init(&codebook, fixture_next());
    fixture_fill(buffer, 1 << 19, 0);
    fixture_fill(buffer + (1 << 19), 1 << 19, 3);
    for (size_t i = 0; i < CHUNKS; i++) {
        size_t size = fixture_next() % (fixture_next() % 4 ? 3000 : 40000);
        chunks[i] = (eg_view){buffer + fixture_next() % ((1 << 20) - size), size};
    }
    encode_and_check(backend, &codebook, chunks, CHUNKS);
    eg_free(buffer);
}

static void test_encode_random(void **state)
{
    (void)state;
    fixture_with_backends(encode_random);
}

static void fill_golden(uint8_t *bytes, size_t size, const char *name)
{
    static const char text[] = "the quick brown fox jumps over the lazy dog. ";
    uint64_t x = size;
    for (size_t i = 0; i < size; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        bytes[i] = strcmp(name, "zeros") == 0  ? 0
                   : strcmp(name, "ramp") == 0 ? (uint8_t)i
                   : strcmp(name, "text") == 0 ? (uint8_t)text[i % (sizeof text - 1)]
                                               : (uint8_t)(x >> 56);
    }
}

static void check_golden(eg_backend *backend, const char *name, uint64_t seed, size_t size,
                         const char *hex, uint32_t spread_expected)
{
    engram_codebook codebook;
    engram_error error = {0};
    uint8_t vector[VECTOR];
    uint32_t spread;
    char got[2 * VECTOR + 1];
    uint8_t *bytes = fixture_allocate(size);
    fill_golden(bytes, size, name);
    engram_codebook_init(&codebook, seed);
    fixture_require(backend->ops->encode(backend, &codebook, &(eg_view){bytes, size}, 1, vector,
                                         &spread, &error),
                    &error);
    for (size_t i = 0; i < VECTOR; i++)
        snprintf(got + 2 * i, 3, "%02x", vector[i]);
    assert_string_equal(got, hex);
    assert_int_equal(spread, spread_expected);
    eg_free(bytes);
}

static void encode_golden(eg_backend *backend)
{
    FILE *file = fopen(ENGRAM_TEST_DATA "/golden/hypervectors.txt", "r");
    char line[1024], name[16], seed[32], hex[2 * VECTOR + 1];
    uint32_t spread;
    size_t size, checked = 0;
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "%15s seed=%31s size=%zu %512s %" SCNu32, name, seed, &size, hex,
                   &spread) != 5)
            continue;
        check_golden(backend, name, strtoull(seed, NULL, 0), size, hex, spread);
        checked++;
    }
    fclose(file);
    assert_true(checked >= 20);
}

static void test_encode_golden(void **state)
{
    (void)state;
    fixture_with_backends(encode_golden);
}

static void test_encode_refuses_giant(void **state)
{
    (void)state;
    fixture_skip();
    engram_error error = {0};
    engram_codebook codebook;
    uint8_t vector[VECTOR];
    uint32_t spread;
    eg_backend *backend = fixture_open(EG_CL_AUTO, false);
    engram_codebook_init(&codebook, 1);
    assert_int_equal(backend->ops->encode(backend, &codebook,
                                          &(eg_view){vector, (size_t)INT32_MAX + 1}, 1, vector,
                                          &spread, &error),
                     ENGRAM_INVALID);
    fixture_close(backend);
}

/* ---- bundle ---- */

static void bundle_random(eg_backend *backend)
{
    enum { VECTORS = 5000 };
    size_t count = fixture_is_small ? 130 : VECTORS;
    engram_error error = {0};
    uint32_t *counters = eg_alloc_zero(COUNTERS, sizeof *counters);
    engram_bundle *expected = eg_alloc_zero(1, sizeof *expected);
    uint8_t *vectors = fixture_allocate(VECTORS * VECTOR);
    assert_true(counters && expected);
    fixture_fill(vectors, VECTORS * VECTOR, 0);
    memset(vectors, 7, 70 * VECTOR); /* one counter a block takes them all */
    const size_t counts[] = {0, 1, 63, count};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        fixture_require(backend->ops->bundle(backend, counters, vectors, counts[i], 1, &error),
                        &error);
        engram_bundle_add(expected, vectors, counts[i]);
        assert_memory_equal(counters, expected->counters, COUNTERS * sizeof *counters);
    }
    /* Below zero: modulo 2^32, and back. */
    fixture_require(backend->ops->bundle(backend, counters, vectors, count, -1, &error), &error);
    fixture_require(backend->ops->bundle(backend, counters, vectors, count, -1, &error), &error);
    fixture_require(backend->ops->bundle(backend, counters, vectors, count, 1, &error), &error);
    engram_bundle_remove(expected, vectors, count);
    assert_memory_equal(counters, expected->counters, COUNTERS * sizeof *counters);
    eg_free(vectors);
    eg_free(expected);
    eg_free(counters);
}

static void test_bundle_random(void **state)
{
    (void)state;
    fixture_with_backends(bundle_random);
}

/* ---- top_k ---- */

static void top_k_symbols(eg_backend *backend, size_t count, unsigned symbols,
                          fixture_layout layout)
{
    fixture_rows r = fixture_rows_make(backend, count, symbols, layout);
    uint64_t *random_live = fixture_allocate((count + 63) / 64 * 8),
             *none = fixture_allocate((count + 63) / 64 * 8);
    uint8_t queries[5 * VECTOR + 1];
    fixture_fill((uint8_t *)random_live, (count + 63) / 64 * 8, 0);
    memset(none, 0, (count + 63) / 64 * 8);
    for (size_t i = 0; i < sizeof queries; i++)
        queries[i] = fixture_symbol(symbols);
    size_t query_count = fixture_is_small || count > 5000 ? 2 : 5;
    const uint32_t ks[] = {10, (uint32_t)count, 1, 100, (uint32_t)count + 5};
    const size_t tried = fixture_is_small ? 1 : count > 5000 ? 2 : sizeof ks / sizeof *ks;
    for (size_t i = 0; i < tried; i++) {
        fixture_check_top_k(backend, &r, queries + 1, query_count, NULL, ks[i], 0);
        fixture_check_top_k(backend, &r, queries + 1, 1, random_live, ks[i], 0);
        fixture_check_top_k(backend, &r, queries + 1, query_count, random_live, ks[i],
                            256 / symbols);
        fixture_check_top_k(backend, &r, queries + 1, query_count, random_live, ks[i], 70);
        fixture_check_top_k(backend, &r, queries + 1, 1, none, ks[i], 0);
    }
    fixture_check_top_k(backend, &r, queries + 1, 1, NULL, 3, 257);
    fixture_check_top_k(backend, &r, queries + 1, 1, NULL, 3, UINT32_MAX);
    fixture_check_top_k(backend, &r, queries + 1, 0, NULL, 3, 0);
    eg_free(random_live);
    eg_free(none);
    fixture_rows_free(backend, &r);
}

static void top_k_random(eg_backend *backend)
{
    const size_t counts[] = {1, 31, 33, 64, 65, 400, 2500};
    const unsigned symbols[] = {1, 2, 5, 256};
    if (fixture_is_small) {
        for (fixture_layout layout = 0; layout < FIXTURE_LAYOUTS; layout++)
            top_k_symbols(backend, 70, 5, layout);
        return;
    }
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        for (size_t j = 0; j < sizeof symbols / sizeof *symbols; j++)
            for (fixture_layout layout = 0; layout < FIXTURE_LAYOUTS; layout++)
                top_k_symbols(backend, counts[i], symbols[j], layout);
}

static void test_top_k_random(void **state)
{
    (void)state;
    fixture_with_backends(top_k_random);
}

/* Vectors of one place, the later ones first, and some of them twice. */
static void top_k_out_of_order(eg_backend *backend)
{
    enum { HALF = 250 };
    engram_error error = {0};
    for (eg_layout layout = EG_LAYOUT_ROWS; layout <= EG_LAYOUT_PLANES; layout++) {
        fixture_rows r = {.vectors = fixture_allocate(3 * HALF * VECTOR), .count = 3 * HALF};
        uint8_t *bytes = fixture_allocate(2 * HALF * VECTOR);
        fixture_fill(r.vectors, 2 * HALF * VECTOR, 3);
        memcpy(r.vectors + 2 * HALF * VECTOR, r.vectors, HALF * VECTOR);
        for (size_t i = 0, at; i < 2 * HALF; i++) {
            at = (i + HALF) % (2 * HALF);
            if (layout == EG_LAYOUT_ROWS)
                memcpy(bytes + at * VECTOR, r.vectors + i * VECTOR, VECTOR);
            else
                eg_planes_put(bytes, 2 * HALF, at, r.vectors + i * VECTOR);
        }
        fixture_require(backend->ops->resident_create(backend, &r.resident, &error), &error);
        for (size_t i = 0; i < 3; i++) {
            const eg_vectors part = {bytes, 2 * HALF, (i + 1) % 2 * HALF, HALF, layout};
            fixture_require(backend->ops->resident_append(backend, r.resident, part, &error),
                            &error);
        }
        fixture_check_top_k(backend, &r, r.vectors + 17 * VECTOR, 3, NULL, 600, 0);
        fixture_rows_free(backend, &r);
        eg_free(bytes);
    }
}

static void test_top_k_out_of_order(void **state)
{
    (void)state;
    fixture_with_backends(top_k_out_of_order);
}

/* Rows that each beat all before them, so that no bar ever helps, and many sections in a tile. */
static void top_k_rising(eg_backend *backend)
{
    fixture_rows r = {.vectors = fixture_allocate(20000 * VECTOR), .count = 20000};
    uint8_t query[VECTOR] = {0};
    memset(r.vectors, 1, r.count * VECTOR);
    for (size_t row = 0; row < r.count; row++)
        memset(r.vectors + row * VECTOR, 0, row * 256 / r.count);
    for (fixture_layout layout = 0; layout < FIXTURE_LAYOUTS; layout++) {
        fixture_rows_hold(backend, &r, layout);
        fixture_check_top_k(backend, &r, query, 1, NULL, 10, 0);
        fixture_check_top_k(backend, &r, query, 1, NULL, 10, 200);
        fixture_check_top_k(backend, &r, query, 1, NULL, 3000, 0);
        fixture_check_top_k(backend, &r, query, 1, NULL, 19999, 0);
    }
    fixture_rows_free(backend, &r);
}

static void test_top_k_rising(void **state)
{
    (void)state;
    fixture_skip();
    fixture_seed();
    for (eg_cl_form form = 0; form < EG_CL_FORMS; form++) {
        eg_backend *backend = fixture_open(form, false);
        top_k_rising(backend);
        fixture_close(backend);
    }
}

/* Copies, and tiles of whole groups of planes, of a few rows, and of some that are neither: of a
 * device that has no room for all rows, in either form. */
static void test_top_k_far(void **state)
{
    (void)state;
    fixture_skip();
    fixture_seed();
    const size_t tiles[] = {2 * EG_GROUP_ROWS + 200, 1000, EG_GROUP_ROWS};
    for (size_t i = 0; i < 2 * sizeof tiles / sizeof *tiles; i++) {
        engram_error error = {0};
        eg_cl_limits limits;
        eg_cl_form form = i % 2 ? EG_CL_GROUP : EG_CL_ITEM;
        eg_backend *backend;
        eg_cl_limits_init(&limits, form);
        limits.resident_size = 5000 * VECTOR;
        limits.tile_size = tiles[i / 2] * VECTOR;
        fixture_require(eg_cl_open(0, 0, form, &limits, &backend, &error), &error);
        ((eg_opencl *)backend)->shares_memory = false;
        if (i < EG_CL_FORMS)
            top_k_rising(backend);
        for (fixture_layout layout = 0; layout < FIXTURE_LAYOUTS; layout++)
            top_k_symbols(backend, 14000, 5, layout);
        fixture_close(backend);
    }
}

/* Rows that cannot be lent, more than there is room for copies of, and behind them some that can. */
static void test_top_k_far_before_lent(void **state)
{
    (void)state;
    fixture_skip();
    fixture_seed();
    engram_error error = {0};
    eg_backend *backend = fixture_open(EG_CL_ITEM, true);
    fixture_rows r = {.vectors = fixture_allocate(700 * VECTOR), .count = 700};
    uint8_t *askew = fixture_allocate(601 * VECTOR);
    fixture_fill(r.vectors, 700 * VECTOR, 3);
    memcpy(askew + 4, r.vectors, 600 * VECTOR);
    fixture_require(backend->ops->resident_create(backend, &r.resident, &error), &error);
    const eg_vectors parts[] = {eg_rows(askew + 4, 600), eg_rows(r.vectors + 600 * VECTOR, 100)};
    for (size_t i = 0; i < 2; i++)
        fixture_require(backend->ops->resident_append(backend, r.resident, parts[i], &error),
                        &error);
    fixture_check_top_k(backend, &r, r.vectors, 3, NULL, 500, 0);
    fixture_rows_free(backend, &r);
    eg_free(askew);
    fixture_close(backend);
}

static void test_top_k_without_rows(void **state)
{
    (void)state;
    fixture_skip();
    engram_error error = {0};
    uint32_t count = 9;
    uint8_t query[VECTOR] = {0};
    uint64_t live = 0;
    eg_hit hit;
    eg_resident *resident;
    eg_backend *backend = fixture_open(EG_CL_AUTO, false);
    fixture_require(backend->ops->resident_create(backend, &resident, &error), &error);
    fixture_require(backend->ops->resident_append(backend, resident, eg_rows(NULL, 0), &error), &error);
    fixture_require(
        backend->ops->top_k(backend, resident, query, 1, &live, 1, 0, &hit, &count, &error),
        &error);
    assert_int_equal(count, 0);
    backend->ops->resident_free(backend, resident);
    backend->ops->resident_free(backend, NULL);
    fixture_close(backend);
}

static void test_is_oclgrind(void **state)
{
    (void)state;
    eg_device_info info = {0};
    assert_true(eg_opencl_list(&info, 1) > 0);
    assert_non_null(strstr(info.driver, "Oclgrind"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest small[] = {
        cmocka_unit_test(test_is_oclgrind), cmocka_unit_test(test_encode_sizes),
        cmocka_unit_test(test_bundle_random), cmocka_unit_test(test_top_k_random)};
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_encode_sizes),         cmocka_unit_test(test_encode_hostile_codebook),
        cmocka_unit_test(test_encode_random),        cmocka_unit_test(test_encode_golden),
        cmocka_unit_test(test_encode_refuses_giant), cmocka_unit_test(test_bundle_random),
        cmocka_unit_test(test_top_k_random),         cmocka_unit_test(test_top_k_rising),
        cmocka_unit_test(test_top_k_out_of_order),   cmocka_unit_test(test_top_k_far),
        cmocka_unit_test(test_top_k_far_before_lent), cmocka_unit_test(test_top_k_without_rows),
    };
    fixture_is_small = argc > 1 && strcmp(argv[1], "oclgrind") == 0;
    if (fixture_is_small)
        return cmocka_run_group_tests(small, fixture_setup, fixture_teardown);
    return cmocka_run_group_tests(all, fixture_setup, fixture_teardown);
}
