/* The identities that binding, permuting and comparing must keep. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engram/hypervector.h"
#include "vsa/random.h"

enum { TRIALS = 200 };

typedef struct vectors {
    uint8_t a[ENGRAM_BLOCKS], b[ENGRAM_BLOCKS], c[ENGRAM_BLOCKS];
} vectors;

static vectors draw(uint64_t *random)
{
    vectors v;
    test_fill(random, v.a, sizeof v.a);
    test_fill(random, v.b, sizeof v.b);
    test_fill(random, v.c, sizeof v.c);
    for (unsigned k = 0; k < ENGRAM_BLOCKS;
         k++) /* random vectors share one symbol, these a third */
        v.b[k] = test_random(random) % 3 ? v.b[k] : v.a[k];
    return v;
}

static void binding_is_a_commutative_group(void **state)
{
    (void)state;
    uint64_t random = test_seed(0x62696e64);
    for (unsigned trial = 0; trial < TRIALS; trial++) {
        vectors v = draw(&random);
        uint8_t x[ENGRAM_BLOCKS], y[ENGRAM_BLOCKS], zero[ENGRAM_BLOCKS] = {0};
        engram_bind(x, v.a, v.b);
        engram_bind(y, v.b, v.a);
        assert_memory_equal(x, y, sizeof x);
        engram_bind(x, x, v.c); /* out may be an input */
        engram_bind(y, v.b, v.c);
        engram_bind(y, v.a, y);
        assert_memory_equal(x, y, sizeof x);
        engram_unbind(x, x, v.c);
        engram_unbind(x, x, v.b);
        assert_memory_equal(x, v.a, sizeof x);
        engram_bind(x, v.a, zero);
        assert_memory_equal(x, v.a, sizeof x);
        engram_unbind(x, v.a, v.a);
        assert_memory_equal(x, zero, sizeof x);
    }
}

static void binding_adds_modulo_256(void **state)
{
    (void)state;
    uint8_t a[ENGRAM_BLOCKS], b[ENGRAM_BLOCKS], x[ENGRAM_BLOCKS];
    for (unsigned k = 0; k < ENGRAM_BLOCKS; k++) {
        a[k] = (uint8_t)k;
        b[k] = 200;
    }
    engram_bind(x, a, b);
    for (unsigned k = 0; k < ENGRAM_BLOCKS; k++)
        assert_int_equal(x[k], (k + 200) % 256);
    engram_unbind(x, a, b);
    for (unsigned k = 0; k < ENGRAM_BLOCKS; k++)
        assert_int_equal(x[k], (k + 56) % 256);
}

static void permuting_moves_blocks_up(void **state)
{
    (void)state;
    uint64_t random = test_seed(0x7065726d);
    for (unsigned trial = 0; trial < TRIALS; trial++) {
        vectors v = draw(&random);
        unsigned n = trial * 7, m = (unsigned)(test_random(&random) % 1000);
        uint8_t x[ENGRAM_BLOCKS], y[ENGRAM_BLOCKS], z[ENGRAM_BLOCKS];
        engram_permute(x, v.a, n);
        for (unsigned k = 0; k < ENGRAM_BLOCKS; k++)
            assert_int_equal(x[(k + n) % 256], v.a[k]);
        engram_permute(y, x, m);
        engram_permute(z, v.a, n + m);
        assert_memory_equal(y, z, sizeof y);
        engram_permute(y, x, 512 * 7 - n);
        assert_memory_equal(y, v.a, sizeof y);
        engram_bind(y, v.a, v.b); /* distributes over binding */
        engram_permute(z, y, n);
        engram_permute(y, v.b, n);
        engram_bind(x, x, y);
        assert_memory_equal(x, z, sizeof x);
    }
}

static void similarity_counts_and_is_kept(void **state)
{
    (void)state;
    uint64_t random = test_seed(0x73696d);
    for (unsigned trial = 0; trial < TRIALS; trial++) {
        vectors v = draw(&random);
        uint8_t x[ENGRAM_BLOCKS], y[ENGRAM_BLOCKS];
        unsigned matches = engram_matches(v.a, v.b), expected = 0;
        for (unsigned k = 0; k < ENGRAM_BLOCKS; k++)
            expected += v.a[k] == v.b[k] ? 1 : 0;
        assert_int_equal(matches, expected);
        assert_int_equal(engram_matches(v.b, v.a), matches);
        engram_bind(x, v.a, v.c);
        engram_bind(y, v.b, v.c);
        assert_int_equal(engram_matches(x, y), matches);
        engram_permute(x, v.a, trial);
        engram_permute(y, v.b, trial);
        assert_int_equal(engram_matches(x, y), matches);
        assert_int_equal(engram_matches(v.a, v.a), 256);
        for (unsigned k = 0; k < ENGRAM_BLOCKS; k++)
            x[k] = v.a[k] ^ 0x80;
        assert_int_equal(engram_matches(x, v.a), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(binding_is_a_commutative_group),
        cmocka_unit_test(binding_adds_modulo_256),
        cmocka_unit_test(permuting_moves_blocks_up),
        cmocka_unit_test(similarity_counts_and_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
