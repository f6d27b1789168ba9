/* Planes have the bits they are said to have, where they are said to be, and give the symbols back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vsa/layout.h"
#include "vsa/random.h"

static void turning_moves_each_bit(void **state)
{
    (void)state;
    uint64_t random = test_seed(0x1A70);
    uint8_t symbols[ENGRAM_BLOCKS], planes[ENGRAM_BLOCKS];
    test_fill(&random, symbols, sizeof symbols);
    eg_vector_turn(symbols, planes);
    for (unsigned block = 0; block < ENGRAM_BLOCKS; block++)
        for (unsigned p = 0; p < EG_PLANES; p++) {
            unsigned byte = block % EG_PLANE_SIZE, bit = block / EG_PLANE_SIZE;
            assert_int_equal(planes[p * EG_PLANE_SIZE + byte] >> bit & 1, symbols[block] >> p & 1);
        }
    eg_vector_turn(planes, planes);
    assert_memory_equal(planes, symbols, sizeof symbols);
}

/* Every byte of the memory belongs to one vector, and the last group is as long as what is left. */
static void vectors_fill_their_memory(void **state)
{
    (void)state;
    static const size_t totals[] = {1, 2, 4095, 4096, 4097, 9000};
    uint64_t random = test_seed(0x1A71);
    for (size_t t = 0; t < sizeof totals / sizeof totals[0]; t++) {
        const size_t total = totals[t], size = total * ENGRAM_BLOCKS;
        uint8_t *rows = malloc(size), *planes = malloc(size), symbols[ENGRAM_BLOCKS];
        assert_non_null(rows);
        assert_non_null(planes);
        test_fill(&random, rows, size);
        memset(planes, 0, size);
        for (size_t i = 0; i < total; i++)
            eg_planes_put(planes, total, i, rows + i * ENGRAM_BLOCKS);
        const size_t first = test_random(&random) % total;
        const eg_vectors some = {planes, total, first, total - first, EG_LAYOUT_PLANES};
        const eg_vectors same = eg_vectors_part(eg_rows(rows, total), first, total - first);
        for (size_t i = 0; i < some.count; i++) {
            eg_vectors_get(&some, i, symbols);
            assert_memory_equal(symbols, rows + (first + i) * ENGRAM_BLOCKS, ENGRAM_BLOCKS);
            eg_vectors_get(&same, i, symbols);
            assert_memory_equal(symbols, rows + (first + i) * ENGRAM_BLOCKS, ENGRAM_BLOCKS);
        }
        free(rows);
        free(planes);
    }
}

static void the_first_bytes_are_leads(void **state)
{
    (void)state;
    uint8_t planes[2 * ENGRAM_BLOCKS], symbols[ENGRAM_BLOCKS];
    memset(symbols, 3, sizeof symbols); /* both bits of the lead */
    eg_planes_put(planes, 2, 0, symbols);
    memset(symbols, 252, sizeof symbols); /* all bits of the rest */
    eg_planes_put(planes, 2, 1, symbols);
    for (unsigned i = 0; i < sizeof planes; i++) {
        bool is_set = i < EG_LEAD_SIZE || i >= 2 * EG_LEAD_SIZE + EG_REST_SIZE;
        assert_int_equal(planes[i], is_set ? 0xFF : 0);
    }
}

static void runs_end_with_their_group(void **state)
{
    (void)state;
    const eg_vectors planes = {NULL, 10000, 4000, 5000, EG_LAYOUT_PLANES};
    assert_int_equal(eg_vectors_run(&planes, 0), 96);
    assert_int_equal(eg_vectors_run(&planes, 95), 1);
    assert_int_equal(eg_vectors_run(&planes, 96), 4096);
    assert_int_equal(eg_vectors_run(&planes, 4192), 808);
    const eg_vectors rows = eg_rows(NULL, 10000);
    assert_int_equal(eg_vectors_run(&rows, 1), 9999);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turning_moves_each_bit),
        cmocka_unit_test(vectors_fill_their_memory),
        cmocka_unit_test(the_first_bytes_are_leads),
        cmocka_unit_test(runs_end_with_their_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
