/* Keyed records: that keys are uniform and independent, that what is stored is found, and how many
 * pairs a record holds, against what theory predicts, on uniform vectors and on real chunks.
 *
 * Prediction. With N pairs in a record every probe collects from the other N - 1 a background of
 * mean N - 1 and variance (N - 1) 255/256, because bound symbols are uniform; the member has 256
 * more. A candidate that shares m of the member's 256 symbols, r = m / 256, collects the same in
 * those blocks, so its score is correlated with the member's by r. With z the member's noise, it
 * loses with probability P(z) = Phi((1 - r) / sqrt(1 - r^2) * (256 / sigma + z)); recall is right
 * with the mean over z of the product of P over the candidates. */
#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engram/hypervector.h"
#include "vsa/random.h"

enum { CANDIDATES = 1000, QUERIES = 250, PIECE = 4096, ENOUGH_REAL = 300 };

/* ---- keys ---- */

/* Chi-square of match counts against Binomial(256, 1/256): bins 0 .. 5 and more. */
static double match_chi_square(const unsigned counts[7], unsigned total)
{
    double p = pow(255.0 / 256, 256), rest = 1, sum = 0;
    for (unsigned m = 0; m < 7; m++) {
        double share = m < 6 ? p : rest, expected = share * total;
        sum += (counts[m] - expected) * (counts[m] - expected) / expected;
        rest -= p;
        p *= (256.0 - m) / (m + 1) / 255;
    }
    return sum;
}

/* Chi-square of the symbols of each block against uniform, as a z. */
static double symbol_z(const uint8_t *keys, unsigned count)
{
    double sum = 0, expected = count / 256.0, freedom = 256 * 255;
    for (unsigned k = 0; k < 256; k++) {
        unsigned seen[256] = {0};
        for (unsigned i = 0; i < count; i++)
            seen[keys[i * 256 + k]]++;
        for (unsigned s = 0; s < 256; s++)
            sum += (seen[s] - expected) * (seen[s] - expected) / expected;
    }
    return (sum - freedom) / sqrt(2 * freedom);
}

static void check_keys(const char *name, const uint8_t *keys, unsigned count)
{
    unsigned between[7] = {0}, within[7] = {0}, pairs = 0, rotations = 0;
    for (unsigned i = 0; i < count; i++) {
        for (unsigned j = 0; j < i && j < 300; j++, pairs++) {
            unsigned m = engram_matches(keys + i * 256, keys + j * 256);
            between[m < 6 ? m : 6]++;
        }
        for (unsigned steps = 1; steps <= 64; steps *= 2, rotations++) {
            uint8_t rotated[ENGRAM_BLOCKS];
            engram_permute(rotated, keys + i * 256, steps);
            unsigned m = engram_matches(keys + i * 256, rotated);
            within[m < 6 ? m : 6]++;
        }
    }
    double symbols = symbol_z(keys, count), two = match_chi_square(between, pairs);
    double one = match_chi_square(within, rotations);
    printf("%-10s symbols z %+.2f; matches of two keys chi2 %.1f, of a key and itself rotated %.1f "
           "(6 degrees)\n",
           name, symbols, two, one);
    assert_true(fabs(symbols) < 5);
    assert_true(two < 35 && one < 35); /* p about 4e-6 */
}

static void keys_are_uniform_and_independent(void **state)
{
    (void)state;
    enum { COUNT = 2000 };
    uint8_t *keys = malloc(COUNT * ENGRAM_BLOCKS);
    assert_non_null(keys);
    uint64_t random = test_seed(0x6b657973);
    engram_codebook codebook;
    engram_codebook_init(&codebook, 42);
    for (unsigned i = 0; i < COUNT; i++)
        engram_key(&codebook, i, keys + i * ENGRAM_BLOCKS);
    check_keys("sequential", keys, COUNT);
    for (unsigned i = 0; i < COUNT; i++)
        engram_key(&codebook, (uint64_t)i << 32, keys + i * ENGRAM_BLOCKS);
    check_keys("high half", keys, COUNT);
    for (unsigned i = 0; i < COUNT; i++)
        engram_key(&codebook, test_random(&random), keys + i * ENGRAM_BLOCKS);
    check_keys("random", keys, COUNT);
    free(keys);
}

static void a_key_is_the_vector_of_the_id(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01};
    uint8_t key[ENGRAM_BLOCKS], vector[ENGRAM_BLOCKS];
    uint32_t spread;
    engram_codebook codebook;
    engram_codebook_init(&codebook, 9);
    engram_key(&codebook, 0x0102030405060708u, key);
    engram_encode(&codebook, bytes, sizeof bytes, vector, &spread);
    assert_memory_equal(key, vector, sizeof key);
}

/* ---- recall ---- */

static engram_bundle *bundle_create(void)
{
    engram_bundle *bundle = calloc(1, sizeof *bundle);
    assert_non_null(bundle);
    return bundle;
}

static void few_pairs_are_always_found(void **state)
{
    (void)state;
    enum { PAIRS = 64 };
    uint8_t values[PAIRS * ENGRAM_BLOCKS], keys[PAIRS * ENGRAM_BLOCKS];
    static const engram_bundle empty;
    engram_bundle *record = bundle_create();
    engram_codebook codebook;
    engram_codebook_init(&codebook, 3);
    uint64_t random = test_seed(0x666577), score;
    test_fill(&random, values, sizeof values);
    for (unsigned i = 0; i < PAIRS; i++) {
        engram_key(&codebook, i, keys + i * 256);
        engram_record_add(record, values + i * 256, keys + i * 256);
    }
    assert_int_equal(record->count, PAIRS);
    for (unsigned i = 0; i < PAIRS; i++) {
        assert_int_equal(engram_record_recall(record, keys + i * 256, values, PAIRS, &score), i);
        assert_in_range(score, 256, 256 + 3 * PAIRS);
    }
    for (unsigned i = 0; i < PAIRS; i++)
        engram_record_remove(record, values + i * 256, keys + i * 256);
    assert_memory_equal(record, &empty, sizeof empty);
    free(record);
}

static void ties_go_to_the_lowest_index(void **state)
{
    (void)state;
    engram_bundle *record = bundle_create();
    uint8_t candidates[4 * ENGRAM_BLOCKS], key[ENGRAM_BLOCKS];
    uint64_t random = test_seed(0x746965), score = 1;
    test_fill(&random, candidates, sizeof candidates);
    test_fill(&random, key, sizeof key);
    memcpy(candidates + 3 * 256, candidates + 2 * 256, ENGRAM_BLOCKS);
    assert_int_equal(engram_record_recall(record, key, candidates, 4, &score), 0);
    assert_int_equal(score, 0);
    engram_record_add(record, candidates + 2 * 256, key);
    assert_int_equal(engram_record_recall(record, key, candidates, 4, &score), 2);
    assert_int_equal(score, 256);
    assert_int_equal(engram_record_recall(record, key, candidates + 3 * 256, 1, &score), 0);
    free(record);
}

/* ---- capacity ---- */

static double phi(double x)
{
    return 0.5 * erfc(-x * 0.70710678118654752);
}

/* The probability, with pairs in the record, that candidates[index] is recalled. */
static double predict(const uint8_t *candidates, size_t count, size_t index, double pairs)
{
    unsigned shares[ENGRAM_BLOCKS + 1] = {0};
    for (size_t i = 0; i < count; i++)
        if (i != index)
            shares[engram_matches(candidates + i * 256, candidates + index * 256)]++;
    double sigma = sqrt((pairs - 1) * 255 / 256), sum = 0, weights = 0;
    for (double z = -5; z <= 5; z += 0.125) {
        double weight = exp(-z * z / 2), logarithm = 0;
        for (unsigned m = 0; m < 256; m++) {
            double r = m / 256.0;
            if (shares[m] > 0)
                logarithm += shares[m] * log(phi(sqrt((1 - r) / (1 + r)) * (256 / sigma + z)));
        }
        sum += weight * exp(logarithm);
        weights += weight;
    }
    return sum / weights;
}

typedef struct tally {
    unsigned right;
    double predicted, variance, score;
} tally;

/* A record of the given number of pairs, in which the candidates take turns as values, and QUERIES
 * recalls from it. */
static tally measure(const uint8_t *candidates, size_t count, unsigned pairs)
{
    engram_bundle *record = bundle_create();
    engram_codebook codebook;
    engram_codebook_init(&codebook, pairs);
    uint8_t key[ENGRAM_BLOCKS];
    tally t = {0};
    for (unsigned id = 0; id < pairs; id++) {
        engram_key(&codebook, id, key);
        engram_record_add(record, candidates + id % count * 256, key);
    }
    for (unsigned id = 0; id < QUERIES; id++) {
        uint64_t score;
        size_t index = id % count;
        engram_key(&codebook, id, key);
        t.right += engram_record_recall(record, key, candidates, count, &score) == index;
        engram_record_recall(record, key, candidates + index * 256, 1, &score);
        t.score += ((double)score - pairs) / sqrt(pairs) / QUERIES;
        double p = predict(candidates, count, index, pairs);
        t.predicted += p;
        t.variance += p * (1 - p);
    }
    free(record);
    return t;
}

/* Tolerances: each rate within four standard deviations and 0.03 of the prediction, the members'
 * mean z within 0.4 (over five standard deviations) of 256 / sqrt(N), all hits together within z
 * = 6. */
static void assert_capacity(const char *name, const uint8_t *candidates, size_t count)
{
    double right = 0, predicted = 0, variance = 0;
    printf("%s, %zu candidates\n    N    recall  predicted  z of members  256/sqrt(N)\n", name,
           count);
    for (unsigned pairs = 512; pairs <= 16384; pairs *= 2) {
        tally t = measure(candidates, count, pairs);
        double rate = (double)t.right / QUERIES, expected = t.predicted / QUERIES;
        printf("%5u  %8.3f  %9.3f  %12.2f  %11.2f\n", pairs, rate, expected, t.score,
               256 / sqrt(pairs));
        assert_true(fabs(rate - expected) <= 4 * sqrt(t.variance) / QUERIES + 0.03);
        assert_true(fabs(t.score - 256 / sqrt(pairs)) < 0.4);
        right += t.right;
        predicted += t.predicted;
        variance += t.variance;
    }
    printf("all hits %.0f, predicted %.1f: z %+.2f\n", right, predicted,
           (right - predicted) / sqrt(variance));
    assert_true(fabs(right - predicted) < 6 * sqrt(variance));
}

static void uniform_vectors_are_recalled_as_predicted(void **state)
{
    (void)state;
    uint8_t *candidates = malloc(CANDIDATES * ENGRAM_BLOCKS);
    assert_non_null(candidates);
    uint64_t random = test_seed(0x636170);
    test_fill(&random, candidates, CANDIDATES * ENGRAM_BLOCKS);
    assert_capacity("uniform vectors", candidates, CANDIDATES);
    free(candidates);
}

/* ---- real chunks ---- */

static bool known(const uint8_t *vectors, size_t count, const uint8_t *vector)
{
    for (size_t i = 0; i < count; i++)
        if (engram_matches(vectors + i * 256, vector) == ENGRAM_BLOCKS)
            return true;
    return false;
}

/* Adds the distinct vectors of up to `most` pieces of a file. */
static size_t take_file(const char *path, const engram_codebook *codebook, uint8_t *vectors,
                        size_t count, unsigned most)
{
    uint8_t piece[PIECE];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return count;
    for (unsigned i = 0; i < most && count < CANDIDATES; i++) {
        uint32_t spread;
        if (pread(fd, piece, PIECE, (off_t)i * 7 * PIECE) != PIECE)
            break;
        engram_encode(codebook, piece, PIECE, vectors + count * 256, &spread);
        count += !known(vectors, count, vectors + count * 256);
    }
    close(fd);
    return count;
}

static size_t take_folder(const char *folder, const engram_codebook *codebook, uint8_t *vectors,
                          size_t count)
{
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return count;
    for (struct dirent *entry; count < CANDIDATES && (entry = readdir(dir)) != NULL;) {
        char path[4096];
        if (snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) < (int)sizeof path)
            count = take_file(path, codebook, vectors, count, 10);
    }
    closedir(dir);
    return count;
}

static void real_chunks_are_recalled_as_predicted(void **state)
{
    (void)state;
    static const char *const folders[] = {"/usr/share/common-licenses", "/usr/bin",
                                          "/usr/lib/x86_64-linux-gnu", "/usr/lib"};
    uint8_t *candidates = malloc(CANDIDATES * ENGRAM_BLOCKS);
    assert_non_null(candidates);
    engram_codebook codebook;
    engram_codebook_init(&codebook, 1);
    size_t count = 0;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        count = take_folder(folders[i], &codebook, candidates, count);
    if (count >= ENOUGH_REAL)
        assert_capacity("real chunks", candidates, count);
    else
        printf("only %zu chunks in this machine's files: not measured\n", count);
    free(candidates);
    if (count < ENOUGH_REAL)
        skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_uniform_and_independent),
        cmocka_unit_test(a_key_is_the_vector_of_the_id),
        cmocka_unit_test(few_pairs_are_always_found),
        cmocka_unit_test(ties_go_to_the_lowest_index),
        cmocka_unit_test(uniform_vectors_are_recalled_as_predicted),
        cmocka_unit_test(real_chunks_are_recalled_as_predicted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
