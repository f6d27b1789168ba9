/* Every golden vector, by every table of kernels and every backend. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compute/candidate.h"

enum { GOLDEN_MAX = 1024, CANDIDATES_MAX = 32, LINE_SIZE = 1024 };

typedef struct golden {
    char name[16];
    uint64_t seed;
    uint8_t *bytes;
    size_t size;
    uint8_t vector[ENGRAM_BLOCKS];
    uint32_t spread;
} golden;

static golden goldens[GOLDEN_MAX];
static size_t golden_count;

/* The inputs that the file's first lines describe. */
static uint8_t *make_input(const char *name, size_t size)
{
    static const char text[] = "the quick brown fox jumps over the lazy dog. ";
    uint8_t *bytes = malloc(size + 1);
    uint64_t x = size;
    assert_non_null(bytes);
    for (size_t i = 0; i < size; i++) {
        x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        bytes[i] = strcmp(name, "lcg") == 0    ? (uint8_t)(x >> 56)
                   : strcmp(name, "ramp") == 0 ? (uint8_t)i
                   : strcmp(name, "text") == 0 ? (uint8_t)text[i % (sizeof text - 1)]
                                               : 0;
    }
    return bytes;
}

static void parse_line(const char *line, golden *g)
{
    char digits[2 * ENGRAM_BLOCKS + 1];
    assert_int_equal(sscanf(line, "%15s seed=%" SCNu64 " size=%zu %512s %" SCNu32, g->name,
                            &g->seed, &g->size, digits, &g->spread),
                     5);
    assert_int_equal(strlen(digits), 2 * ENGRAM_BLOCKS);
    for (unsigned k = 0; k < ENGRAM_BLOCKS; k++)
        assert_int_equal(sscanf(digits + 2 * k, "%2hhx", &g->vector[k]), 1);
    g->bytes = make_input(g->name, g->size);
}

static int read_goldens(void **state)
{
    (void)state;
    FILE *file = fopen(ENGRAM_TEST_DATA "/golden/hypervectors.txt", "r");
    char line[LINE_SIZE];
    if (file == NULL)
        return -1;
    while (fgets(line, sizeof line, file) != NULL && golden_count < GOLDEN_MAX)
        if (line[0] != '#')
            parse_line(line, &goldens[golden_count++]);
    fclose(file);
    return golden_count > 300 ? 0 : -1;
}

static int free_goldens(void **state)
{
    (void)state;
    for (size_t i = 0; i < golden_count; i++)
        free(goldens[i].bytes);
    return 0;
}

static void check_golden(const candidate *c, const golden *g)
{
    const eg_view chunk = {g->bytes, g->size};
    engram_codebook codebook;
    uint8_t vector[ENGRAM_BLOCKS] = {0};
    uint32_t spread = 0;
    engram_status status;
    engram_codebook_init(&codebook, g->seed);
    if (!candidate_encode(c, &codebook, &chunk, 1, vector, &spread, &status))
        return;
    if (status != ENGRAM_OK || memcmp(vector, g->vector, sizeof vector) != 0 || spread != g->spread)
        fail_msg("%s: %s, seed %" PRIu64 ", size %zu", c->name, g->name, g->seed, g->size);
}

static void test_goldens(void **state)
{
    (void)state;
    static candidate list[CANDIDATES_MAX];
    unsigned failed = 0;
    size_t count = candidates_open(list, CANDIDATES_MAX, NULL, &failed);
    assert_int_equal(failed, 0);
    for (size_t i = 0; i < count; i++) {
        for (size_t n = 0; n < golden_count; n++)
            check_golden(&list[i], &goldens[n]);
        candidate_close(&list[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_goldens)};
    return cmocka_run_group_tests(tests, read_goldens, free_goldens);
}
