/* The encoder against stored vectors, against a second encoder written from the definition, and
 * under codebooks made to be hostile. The stored vectors are the format: they never change. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engram/hypervector.h"
#include "vsa/encode.h"
#include "vsa/random.h"

enum { SIZE_MAX_GOLDEN = 65536 };

/* ---- the definition once more, as plainly as possible ---- */

static uint32_t plain_hash(const engram_codebook *codebook, uint64_t x)
{
    uint64_t low, high;
    x = x ^ codebook->s1;
    low = x % 4294967296u, high = x / 4294967296u;
    uint64_t p = (low * high) ^ codebook->s2;
    low = p % 4294967296u, high = p / 4294967296u;
    uint64_t q = low * high;
    return (uint32_t)((q % 4294967296u) ^ (q / 4294967296u));
}

static unsigned plain_source(const engram_codebook *codebook, const int64_t *winners, unsigned k)
{
    for (uint64_t a = 1; a <= 65536; a++) {
        unsigned block = plain_hash(codebook, a << 32 | k) >> 24;
        if (winners[block] >= 0)
            return block;
    }
    for (unsigned step = 1;; step++)
        if (winners[(k + step) % 256] >= 0)
            return (k + step) % 256;
}

static void plain_visit(const engram_codebook *codebook, int64_t *winners, uint64_t window)
{
    uint32_t hash = plain_hash(codebook, window);
    int64_t *winner = &winners[hash >> 24];
    if (*winner < 0 || (hash & 0xFFFFFF) < (*winner & 0xFFFFFF))
        *winner = hash;
}

static void plain_encode(const engram_codebook *codebook, const uint8_t *bytes, size_t size,
                         uint8_t *vector, uint32_t *spread)
{
    int64_t winners[256];
    for (unsigned k = 0; k < 256; k++)
        winners[k] = -1;
    for (size_t i = 0; i == 0 || i + 8 <= size; i++) {
        uint64_t window = size < 8 ? (uint64_t)size << 56 : 0;
        for (size_t b = 0; b < 8 && i + b < size; b++)
            window |= (uint64_t)bytes[i + b] << (8 * b);
        plain_visit(codebook, winners, window);
    }
    *spread = 0;
    for (unsigned k = 0; k < 256; k++) {
        *spread += winners[k] < 0 ? 0xFFFFFF : winners[k] & 0xFFFFFF;
        vector[k] = (uint8_t)winners[k];
        if (winners[k] < 0) {
            uint64_t winner = (uint64_t)winners[plain_source(codebook, winners, k)];
            vector[k] = (uint8_t)plain_hash(codebook, (uint64_t)(k + 1) << 32 | winner);
        }
    }
}

static void assert_as_defined(const engram_codebook *codebook, const uint8_t *bytes, size_t size)
{
    uint8_t expected[ENGRAM_BLOCKS], vector[ENGRAM_BLOCKS];
    uint32_t expected_spread, spread;
    plain_encode(codebook, bytes, size, expected, &expected_spread);
    engram_encode(codebook, bytes, size, vector, &spread);
    if (memcmp(expected, vector, sizeof vector) != 0 || spread != expected_spread)
        fail_msg("size %zu, s1 %016" PRIx64 ", s2 %016" PRIx64 ": not as defined", size,
                 codebook->s1, codebook->s2);
}

/* ---- stored vectors ---- */

static void fill_input(const char *name, uint8_t *bytes, size_t size)
{
    static const char text[] = "the quick brown fox jumps over the lazy dog. ";
    uint64_t x = size;
    for (size_t i = 0; i < size; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        bytes[i] = strcmp(name, "lcg") == 0    ? (uint8_t)(x >> 56)
                   : strcmp(name, "ramp") == 0 ? (uint8_t)i
                   : strcmp(name, "text") == 0 ? (uint8_t)text[i % (sizeof text - 1)]
                                               : 0;
    }
}

static void assert_golden(const char *name, uint64_t seed, size_t size, const char *hex,
                          uint32_t expected_spread)
{
    static uint8_t bytes[SIZE_MAX_GOLDEN];
    engram_codebook codebook;
    uint8_t vector[ENGRAM_BLOCKS];
    char text[2 * ENGRAM_BLOCKS + 1];
    uint32_t spread;
    assert_true(size <= sizeof bytes);
    fill_input(name, bytes, size);
    engram_codebook_init(&codebook, seed);
    engram_encode(&codebook, bytes, size, vector, &spread);
    for (unsigned k = 0; k < ENGRAM_BLOCKS; k++)
        snprintf(text + 2 * k, 3, "%02x", vector[k]);
    assert_string_equal(text, hex);
    assert_int_equal(spread, expected_spread);
}

static void stored_vectors_agree(void **state)
{
    (void)state;
    FILE *file = fopen(ENGRAM_TEST_DATA "/golden/hypervectors.txt", "r");
    assert_non_null(file);
    char line[1024], name[16], hex[2 * ENGRAM_BLOCKS + 1];
    unsigned count = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        uint64_t seed;
        size_t size;
        uint32_t spread;
        if (line[0] == '#')
            continue;
        assert_int_equal(sscanf(line, "%15s seed=%" SCNu64 " size=%zu %512s %" SCNu32, name, &seed,
                                &size, hex, &spread),
                         5);
        assert_golden(name, seed, size, hex, spread);
        count++;
    }
    fclose(file);
    assert_int_equal(count, 312);
}

/* ---- the definition ---- */

static void random_chunks_are_as_defined(void **state)
{
    (void)state;
    uint64_t random = test_seed(0x656e636f6465);
    uint8_t bytes[4200];
    for (unsigned trial = 0; trial < 300; trial++) {
        engram_codebook codebook;
        engram_codebook_init(&codebook, test_random(&random));
        size_t size = trial < 40 ? trial : test_random(&random) % (trial % 3 ? 300 : sizeof bytes);
        uint8_t mask = trial % 4 ? 0xFF : 0x03;
        for (size_t i = 0; i < size; i++)
            bytes[i] = test_random(&random) & mask;
        assert_as_defined(&codebook, bytes, size);
    }
}

/* h names block 0 for every attempt of every block, or of one block alone: the attempts run out
 * and the next block that a window reached lends its winner. */
static void hostile_codebooks_end(void **state)
{
    (void)state;
    static const engram_codebook hostile[] = {
        {0, 0, 0},
        {0, 1, 0},
        {0, 0, 0x00000000FFFFFFFFu},
        {0, 0, 0xFFFFFFFF00000000u},
        {0, 0x1234567800000011u, 0x9E3779B97F4A7C15u},
        {0, 0xFFFFFFFF000000FFu, 0xFFFFFFFFFFFFFFFFu},
    };
    uint8_t bytes[40];
    fill_input("lcg", bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        assert_as_defined(&hostile[i], bytes, 1);
        assert_as_defined(&hostile[i], bytes, 9);
        assert_as_defined(&hostile[i], bytes, sizeof bytes);
    }
}

/* The same for one block among random ones, which is settled without the attempts. */
static void constant_paths_are_as_defined(void **state)
{
    (void)state;
    uint64_t random = test_seed(0x636f6e7374);
    uint8_t bytes[64];
    for (unsigned trial = 0; trial < 100; trial++) {
        engram_codebook codebook = {0, test_random(&random) << 32 | trial * 51 % 256,
                                    test_random(&random)};
        test_fill(&random, bytes, sizeof bytes);
        assert_as_defined(&codebook, bytes, 8 + trial % 57);
    }
}

/* With s1 = 6 and s2 = C << 32 attempt a of block 7 hashes to C a: it looks at block 0 until C a
 * reaches 2^24, which is at a = 65,536 for C = 256, the last attempt, and too late for C = 255. */
static void attempts_end_after_65536(void **state)
{
    (void)state;
    for (uint64_t factor = 255; factor <= 256; factor++) {
        engram_codebook codebook = {0, 6, factor << 32};
        uint32_t minima[ENGRAM_BLOCKS], spread;
        uint32_t winner = factor == 256 ? 1u << 24 | 0x123456 : 200u << 24 | 0x654321;
        uint8_t vector[ENGRAM_BLOCKS];
        memset(minima, 0xFF, sizeof minima);
        minima[1] = 0x123456;
        minima[200] = 0x654321;
        eg_encode_finish(&codebook, minima, vector, &spread);
        assert_int_equal(vector[7], (uint8_t)plain_hash(&codebook, (uint64_t)8 << 32 | winner));
        assert_int_equal(spread, 254u * 0xFFFFFF + 0x123456 + 0x654321);
    }
}

static void all_blocks_lead_to_the_only_one(void **state)
{
    (void)state;
    engram_codebook codebook;
    engram_codebook_init(&codebook, 7);
    for (unsigned block = 0; block < ENGRAM_BLOCKS; block += 51) {
        uint32_t minima[ENGRAM_BLOCKS], spread, winner = (uint32_t)block << 24 | 0xFFFFFF;
        uint8_t vector[ENGRAM_BLOCKS];
        memset(minima, 0xFF, sizeof minima);
        minima[block] = 0xFFFFFF;
        eg_encode_finish(&codebook, minima, vector, &spread);
        assert_int_equal(spread, 256u * 0xFFFFFF);
        for (unsigned k = 0; k < ENGRAM_BLOCKS; k++)
            assert_int_equal(
                vector[k], k == block
                               ? 0xFF
                               : (uint8_t)plain_hash(&codebook, (uint64_t)(k + 1) << 32 | winner));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stored_vectors_agree),
        cmocka_unit_test(random_chunks_are_as_defined),
        cmocka_unit_test(hostile_codebooks_end),
        cmocka_unit_test(constant_paths_are_as_defined),
        cmocka_unit_test(attempts_end_after_65536),
        cmocka_unit_test(all_blocks_lead_to_the_only_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
