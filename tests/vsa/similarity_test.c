/* Is the similarity calibrated? Errors of the estimates over many synthetic pairs of known Jaccard
 * similarity: against theory where it holds, and against a simulation of the scheme over a random
 * oracle where few windows leave blocks empty, whose fillings are correlated. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engram/hypervector.h"
#include "vsa/random.h"

enum { WINDOWS_MAX = 65536 };

/* ---- exact properties ---- */

static void estimate_is_as_defined(void **state)
{
    (void)state;
    for (unsigned m = 0; m <= 256; m++) {
        engram_jaccard j = engram_jaccard_from_matches(m);
        double s = m / 256.0, expected = (s - 1 / 256.0) / (1 - 1 / 256.0);
        assert_true(fabs(j.value - (expected < 0 ? 0 : expected)) < 1e-12);
        assert_true(0 <= j.low && j.low <= j.value && j.value <= j.high && j.high <= 1);
        assert_true(j.high - j.low < 0.13 && j.high - j.low > 0.01);
    }
    assert_true(engram_jaccard_from_matches(0).value == 0);
    assert_true(engram_jaccard_from_matches(256).value == 1);
    assert_true(engram_jaccard_from_matches(256).high == 1);
    assert_true(engram_jaccard_from_matches(256).low < 1); /* alike is not identical */
    /* 128 of 256: (1 + z^2/n -+ 2z sqrt(1/4/n + z^2/4/n^2)) / (2 + 2z^2/n) = 0.43920, 0.56080. */
    engram_jaccard half = engram_jaccard_from_matches(128);
    assert_true(fabs(half.low - (0.43920 - 1 / 256.0) / (255 / 256.0)) < 2e-5);
    assert_true(fabs(half.high - (0.56080 - 1 / 256.0) / (255 / 256.0)) < 2e-5);
}

static void matches_are_the_inverse(void **state)
{
    (void)state;
    assert_int_equal(engram_matches_from_jaccard(-1), 0);
    assert_int_equal(engram_matches_from_jaccard(0), 0);
    assert_int_equal(engram_matches_from_jaccard(2), 256);
    for (unsigned m = 2; m <= 256; m++) {
        double value = engram_jaccard_from_matches(m).value;
        assert_int_equal(engram_matches_from_jaccard(value), m);
        assert_int_equal(engram_matches_from_jaccard(nextafter(value, 0)), m);
        if (m < 256)
            assert_int_equal(engram_matches_from_jaccard(nextafter(value, 1)), m + 1);
    }
}

static void distinct_windows_invert_the_mean(void **state)
{
    (void)state;
    for (double n = 1; n < 1e9; n *= 1.1) {
        double t = n / 256;
        uint32_t spread = (uint32_t)(-expm1(-t) / t * 0x1p32);
        double high = engram_distinct_windows(spread), low = engram_distinct_windows(spread + 1);
        assert_true(low <= n * (1 + 1e-6) && high >= n * (1 - 1e-6) && low <= high);
        assert_true(n > 1e7 || high - low < n * 0.01);
    }
    assert_true(engram_distinct_windows(0) >= 0x1p32);
    assert_true(isfinite(engram_distinct_windows(0)));
    assert_true(engram_distinct_windows(256u * ENGRAM_PRIORITY_MAX) == 1);
    assert_true(engram_distinct_windows(UINT32_MAX) == 1);
}

static void containment_is_exact_on_exact_counts(void **state)
{
    (void)state;
    uint64_t random = test_seed(0x636f6e7461);
    for (unsigned trial = 0; trial < 1000; trial++) {
        double both = (double)(test_random(&random) % 1000);
        double only_a = (double)(1 + test_random(&random) % 1000);
        double only_b = (double)(test_random(&random) % 100000);
        double jaccard = both / (both + only_a + only_b);
        double got = engram_containment(jaccard, both + only_a, both + only_b);
        assert_true(fabs(got - both / (both + only_a)) < 1e-9);
    }
    assert_true(engram_containment(0.5, 100, 10000) == 1);
    assert_true(engram_containment(0.5, 0, 100) == 0);
    assert_true(engram_containment(0, 100, 100) == 0);
    assert_true(engram_containment(1, 100, 100) == 1);
}

/* ---- errors of estimates ---- */

typedef struct errors {
    unsigned trials, covered;
    double sum, squares;
} errors;

static void errors_add(errors *e, double jaccard, unsigned matches)
{
    engram_jaccard estimate = engram_jaccard_from_matches(matches);
    double error = estimate.value - jaccard;
    e->trials++;
    e->covered += estimate.low <= jaccard && jaccard <= estimate.high;
    e->sum += error;
    e->squares += error * error;
}

static double errors_rmse(const errors *e)
{
    return sqrt(e->squares / e->trials);
}

static double errors_bias(const errors *e)
{
    return e->sum / e->trials;
}

static double jaccard_of(size_t count, size_t shared)
{
    return (double)shared / (double)(2 * count - shared);
}

static uint32_t encode(uint64_t seed, const uint8_t *bytes, size_t size, uint8_t *vector)
{
    engram_codebook codebook;
    uint32_t spread;
    engram_codebook_init(&codebook, seed);
    engram_encode(&codebook, bytes, size, vector, &spread);
    return spread;
}

/* Pairs of chunks of random bytes, count windows each, the first `shared` of them the same. */
static errors encode_pairs(uint64_t *random, unsigned trials, size_t count, size_t shared)
{
    static uint8_t a[WINDOWS_MAX + 7], b[WINDOWS_MAX + 7];
    errors e = {0};
    for (unsigned trial = 0; trial < trials; trial++) {
        uint8_t va[ENGRAM_BLOCKS], vb[ENGRAM_BLOCKS];
        uint64_t seed = test_random(random);
        test_fill(random, a, count + 7);
        test_fill(random, b, count + 7);
        memcpy(b, a, shared + 7);
        b[shared + 7] = a[shared + 7] ^ 1;
        encode(seed, a, count + 7, va);
        encode(seed, b, count + 7, vb);
        errors_add(&e, jaccard_of(count, shared), engram_matches(va, vb));
    }
    return e;
}

static void errors_are_those_of_theory(void **state)
{
    (void)state;
    enum { TRIALS = 1500 };
    static const size_t cases[][2] = {{2048, 400},  {2048, 1100}, {2048, 1600}, {2048, 1900},
                                      {4096, 1000}, {4096, 2500}, {4096, 3686}, {8192, 1000}};
    uint64_t random = test_seed(0x7468656f7279);
    unsigned covered = 0, trials = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double jaccard = jaccard_of(cases[i][0], cases[i][1]);
        double theory = sqrt(jaccard * (1 - jaccard) / 256);
        errors e = encode_pairs(&random, TRIALS, cases[i][0], cases[i][1]);
        printf("%zu windows, J %.3f: rmse %.5f, theory %.5f, bias %+.5f, covered %.3f\n",
               cases[i][0], jaccard, errors_rmse(&e), theory, errors_bias(&e),
               (double)e.covered / e.trials);
        assert_true(fabs(errors_rmse(&e) / theory - 1) < 0.10);
        assert_true(fabs(errors_bias(&e)) < 0.12 * theory);
        covered += e.covered;
        trials += e.trials;
    }
    printf("Wilson 95 %% intervals cover %.4f\n", (double)covered / trials);
    assert_true(covered > 0.94 * trials && covered < 0.975 * trials);
}

/* ---- the same scheme over abstract features and a random oracle ---- */

static uint64_t oracle(uint64_t salt, uint64_t x)
{
    return test_mix(test_mix(x ^ salt) + salt * 0x9E3779B97F4A7C15u);
}

static unsigned simulate_source(uint64_t salt, const uint64_t *ranks, uint64_t k)
{
    for (uint64_t attempt = 1;; attempt++) {
        unsigned block = oracle(salt + 1, attempt << 8 | k) >> 56;
        if (ranks[block] != UINT64_MAX)
            return block;
    }
}

static void simulate_vector(uint64_t salt, uint64_t first, size_t count, uint8_t *vector)
{
    uint64_t ranks[ENGRAM_BLOCKS], winners[ENGRAM_BLOCKS] = {0};
    memset(ranks, 0xFF, sizeof ranks);
    for (uint64_t feature = first; feature < first + count; feature++) {
        uint64_t x = oracle(salt, feature), rank = x << 8 >> 8;
        if (rank < ranks[x >> 56]) {
            ranks[x >> 56] = rank;
            winners[x >> 56] = feature;
        }
    }
    for (unsigned k = 0; k < ENGRAM_BLOCKS; k++) {
        bool empty = ranks[k] == UINT64_MAX;
        uint64_t winner = winners[empty ? simulate_source(salt, ranks, k) : k];
        vector[k] = (uint8_t)oracle(salt + 2 + (empty ? k + 1 : 0), winner);
    }
}

static errors simulate_pairs(uint64_t *random, unsigned trials, size_t count, size_t shared)
{
    errors e = {0};
    for (unsigned trial = 0; trial < trials; trial++) {
        uint8_t va[ENGRAM_BLOCKS], vb[ENGRAM_BLOCKS];
        uint64_t salt = test_random(random);
        simulate_vector(salt, 0, count, va);
        simulate_vector(salt, count - shared, count, vb);
        errors_add(&e, jaccard_of(count, shared), engram_matches(va, vb));
    }
    return e;
}

static void errors_of_few_windows_are_those_simulated(void **state)
{
    (void)state;
    enum { TRIALS = 4000 };
    static const size_t cases[][2] = {{64, 28}, {64, 57}, {512, 224}, {512, 460}, {8, 4}};
    uint64_t random = test_seed(0x73696d756c);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double jaccard = jaccard_of(cases[i][0], cases[i][1]);
        double theory = sqrt(jaccard * (1 - jaccard) / 256);
        unsigned trials = cases[i][0] < 64 ? TRIALS / 2 : TRIALS; /* few windows, long fillings */
        errors e = encode_pairs(&random, trials, cases[i][0], cases[i][1]);
        errors s = simulate_pairs(&random, trials, cases[i][0], cases[i][1]);
        printf("%zu windows, J %.3f: rmse %.5f, simulated %.5f, of uncorrelated blocks %.5f, bias "
               "%+.5f\n",
               cases[i][0], jaccard, errors_rmse(&e), errors_rmse(&s), theory, errors_bias(&e));
        assert_true(fabs(errors_rmse(&e) / errors_rmse(&s) - 1) < 0.10);
        assert_true(fabs(errors_bias(&e)) < 0.10 * errors_rmse(&s));
    }
}

/* ---- counting windows ---- */

static void distinct_windows_are_within_seven_percent(void **state)
{
    (void)state;
    enum { TRIALS = 300 };
    static const size_t counts[] = {250, 1000, 4000, 16000, 65000};
    static uint8_t bytes[WINDOWS_MAX + 7];
    uint64_t random = test_seed(0x64697374);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        double sum = 0, squares = 0;
        for (unsigned trial = 0; trial < TRIALS; trial++) {
            uint8_t vector[ENGRAM_BLOCKS];
            test_fill(&random, bytes, counts[i] + 7);
            uint32_t spread = encode(test_random(&random), bytes, counts[i] + 7, vector);
            double error = engram_distinct_windows(spread) / (double)counts[i] - 1;
            sum += error;
            squares += error * error;
        }
        printf("%zu windows: rmse %.2f %%, bias %+.2f %%\n", counts[i],
               100 * sqrt(squares / TRIALS), 100 * sum / TRIALS);
        assert_true(sqrt(squares / TRIALS) < 0.07);
        assert_true(fabs(sum / TRIALS) < 0.02);
    }
}

/* What is repeated counts once. */
static void repeated_windows_count_once(void **state)
{
    (void)state;
    uint8_t bytes[16000], vector[ENGRAM_BLOCKS];
    uint64_t random = test_seed(0x726570);
    test_fill(&random, bytes, 1000);
    for (size_t i = 1000; i < sizeof bytes; i++)
        bytes[i] = bytes[i - 1000];
    double n = engram_distinct_windows(encode(1, bytes, sizeof bytes, vector));
    assert_true(n > 800 && n < 1200);
    memset(bytes, 'x', sizeof bytes);
    assert_true(engram_distinct_windows(encode(1, bytes, sizeof bytes, vector)) < 3);
}

/* A part of 2 KiB in a chunk of 16 KiB has a J of 1/8 and yet is wholly contained. */
static void a_part_is_contained(void **state)
{
    (void)state;
    enum { TRIALS = 200, WHOLE = 16384, PART = 2048 };
    static uint8_t whole[WHOLE], other[PART];
    uint64_t random = test_seed(0x70617274);
    double part_sum = 0, other_sum = 0;
    for (unsigned trial = 0; trial < TRIALS; trial++) {
        uint8_t vw[ENGRAM_BLOCKS], vp[ENGRAM_BLOCKS], vo[ENGRAM_BLOCKS];
        uint64_t seed = test_random(&random), at = test_random(&random) % (WHOLE - PART);
        test_fill(&random, whole, WHOLE);
        test_fill(&random, other, PART);
        double nw = engram_distinct_windows(encode(seed, whole, WHOLE, vw));
        double np = engram_distinct_windows(encode(seed, whole + at, PART, vp));
        double no = engram_distinct_windows(encode(seed, other, PART, vo));
        double jp = engram_jaccard_from_matches(engram_matches(vp, vw)).value;
        double jo = engram_jaccard_from_matches(engram_matches(vo, vw)).value;
        part_sum += engram_containment(jp, np, nw);
        other_sum += engram_containment(jo, no, nw);
    }
    printf("containment of a part %.3f, of a stranger %.3f\n", part_sum / TRIALS,
           other_sum / TRIALS);
    assert_true(part_sum / TRIALS > 0.9);
    assert_true(other_sum / TRIALS < 0.05);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(estimate_is_as_defined),
        cmocka_unit_test(matches_are_the_inverse),
        cmocka_unit_test(distinct_windows_invert_the_mean),
        cmocka_unit_test(containment_is_exact_on_exact_counts),
        cmocka_unit_test(errors_are_those_of_theory),
        cmocka_unit_test(errors_of_few_windows_are_those_simulated),
        cmocka_unit_test(distinct_windows_are_within_seven_percent),
        cmocka_unit_test(repeated_windows_count_once),
        cmocka_unit_test(a_part_is_contained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
