/* Sets of windows against a reference that sorts them all. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "search/random.h"
#include "search/windows.h"
#include "vsa/encode.h"

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Distinct windows in rising order; *count of them, in fresh memory. */
static uint64_t *distinct(const uint8_t *bytes, size_t size, size_t *count)
{
    uint64_t *all = malloc((size + 1) * sizeof *all);
    size_t n = 0, kept = 0;
    assert_non_null(all);
    for (size_t i = 0; i + ENGRAM_WINDOW <= size; i++)
        all[n++] = eg_get_u64(bytes + i);
    if (size != 0 && n == 0)
        all[n++] = eg_short_window(bytes, size);
    qsort(all, n, sizeof *all, compare);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || all[i] != all[i - 1])
            all[kept++] = all[i];
    *count = kept;
    return all;
}

static void reference(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size,
                      double *jaccard, double *containment)
{
    size_t count_a, count_b, common = 0;
    uint64_t *x = distinct(a, a_size, &count_a), *y = distinct(b, b_size, &count_b);
    for (size_t i = 0; i < count_a; i++)
        common += bsearch(&x[i], y, count_b, sizeof *y, compare) != NULL;
    size_t either = count_a + count_b - common;
    *jaccard = either != 0 ? (double)common / (double)either : 0;
    *containment = count_a != 0 ? (double)common / (double)count_a : 0;
    free(x);
    free(y);
}

/* Pieces of this size, each with the last 7 bytes of the one before. */
static void add_in_pieces(eg_windows *w, const uint8_t *bytes, size_t size, size_t piece)
{
    for (size_t at = 0; at < size;) {
        size_t begin = at >= 7 ? at - 7 : 0, take = size - begin < piece ? size - begin : piece;
        assert_int_equal(eg_windows_add(w, (eg_view){bytes + begin, take}, NULL), ENGRAM_OK);
        at = begin + take;
    }
}

static void expect(eg_windows *w, const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    double jaccard, containment;
    reference(a, a_size, b, b_size, &jaccard, &containment);
    for (size_t piece = 64; piece <= 1024; piece *= 4) {
        eg_windows_begin(w);
        add_in_pieces(w, b, b_size, piece);
        assert_true(eg_windows_jaccard(w) == jaccard); /* the same quotient of the same integers */
        assert_true(eg_windows_containment(w) == containment);
        assert_int_equal(eg_windows_sample(w), 1);
    }
}

/* Larger ones have the window of zeros among many others. */
static void fill(uint64_t *state, uint8_t *bytes, size_t size, unsigned letters)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(test_random(state) % letters);
    if (size >= 300 && test_random(state) % 2 == 0)
        memset(bytes + size / 3, 0, 20);
}

static void equals_the_reference(void **state)
{
    enum { LARGEST = 2000 };
    static const size_t sizes[] = {0, 1, 2, 6, 7, 8, 9, 15, 16, 17, 40, 300, LARGEST};
    static uint8_t a[LARGEST], b[LARGEST];
    uint64_t seed = test_seed();
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (unsigned letters = 1; letters <= 256; letters *= 4) {
            eg_windows w;
            fill(&seed, a, sizes[i], letters);
            assert_int_equal(eg_windows_init(&w, (eg_view){a, sizes[i]}, NULL), ENGRAM_OK);
            for (size_t j = 0; j < sizeof sizes / sizeof *sizes; j++) {
                fill(&seed, b, sizes[j], letters);
                size_t least = sizes[i] < sizes[j] ? sizes[i] : sizes[j];
                memcpy(b, a, least / 2);
                expect(&w, a, sizes[i], b, sizes[j]);
            }
            expect(&w, a, sizes[i], a, sizes[i]);
            eg_windows_fini(&w);
        }
    }
}

/* The first third in common, of more windows than a set holds. */
static void samples_what_is_large(void **state)
{
    enum { SIZE = 5 << 20 };
    uint8_t *a = malloc(SIZE), *b = malloc(SIZE);
    uint64_t seed = test_seed();
    eg_windows w;
    (void)state;
    assert_non_null(a);
    assert_non_null(b);
    for (size_t i = 0; i < SIZE; i += 8) {
        eg_put_u64(a + i, test_random(&seed));
        eg_put_u64(b + i, test_random(&seed));
    }
    memcpy(b, a, SIZE / 3);
    assert_int_equal(eg_windows_init(&w, (eg_view){a, SIZE}, NULL), ENGRAM_OK);
    assert_true(w.query.count <= EG_WINDOWS_MAX);
    add_in_pieces(&w, b, SIZE, 1 << 20);
    assert_true(w.others.count <= EG_WINDOWS_MAX);
    assert_true(eg_windows_sample(&w) == 4);
    assert_true(eg_windows_containment(&w) > 0.33 && eg_windows_containment(&w) < 0.337);
    assert_true(eg_windows_jaccard(&w) > 0.198 && eg_windows_jaccard(&w) < 0.202);

    /* A small file afterwards: still on the query's sample, all of it found. */
    eg_windows_begin(&w);
    assert_int_equal(eg_windows_add(&w, (eg_view){a, SIZE}, NULL), ENGRAM_OK);
    assert_true(eg_windows_containment(&w) == 1 && eg_windows_jaccard(&w) == 1);
    eg_windows_fini(&w);

    /* A small query, exact although the file is sampled. */
    assert_int_equal(eg_windows_init(&w, (eg_view){a, 10000}, NULL), ENGRAM_OK);
    assert_int_equal(eg_windows_add(&w, (eg_view){a, SIZE}, NULL), ENGRAM_OK);
    assert_true(eg_windows_sample(&w) > 1);
    assert_true(eg_windows_containment(&w) == 1);
    assert_true(eg_windows_jaccard(&w) > 0.0018 && eg_windows_jaccard(&w) < 0.002);
    eg_windows_fini(&w);
    free(a);
    free(b);
}

static uint64_t inverse(uint64_t odd)
{
    uint64_t x = odd;
    for (int i = 0; i < 6; i++)
        x *= 2 - odd * x;
    return x;
}

/* The window that is mixed to this value. */
static uint64_t unmix(uint64_t y)
{
    y ^= y >> 33;
    y *= inverse(0xC4CEB9FE1A85EC53u);
    y ^= y >> 33;
    y *= inverse(0xFF51AFD7ED558CCDu);
    return y ^ y >> 33;
}

/* Windows made to want one place: left out beyond a bound, instead of a search that grows with
 * their square. */
static void crowds(void **state)
{
    enum { COUNT = 100000 };
    uint8_t *bytes = malloc(COUNT * 8);
    eg_windows w;
    (void)state;
    assert_non_null(bytes);
    for (uint64_t i = 0; i < COUNT; i++)
        eg_put_u64(bytes + 8 * i, unmix((i + 1) << 30 | 5));
    assert_int_equal(eg_windows_init(&w, (eg_view){bytes, COUNT * 8}, NULL), ENGRAM_OK);
    assert_true(w.query.crowded);
    assert_true(eg_windows_sample(&w) > 1);
    assert_int_equal(eg_windows_add(&w, (eg_view){bytes, COUNT * 8}, NULL), ENGRAM_OK);
    assert_true(eg_windows_containment(&w) == 1);
    eg_windows_fini(&w);
    free(bytes);
}

static void repetition_is_no_crowd(void **state)
{
    enum { SIZE = 3 << 20 };
    uint8_t *zeros = calloc(1, SIZE);
    eg_windows w;
    (void)state;
    assert_non_null(zeros);
    assert_int_equal(eg_windows_init(&w, (eg_view){zeros, SIZE}, NULL), ENGRAM_OK);
    assert_int_equal(w.query.count, 1);
    expect(&w, zeros, 100, zeros, 200);
    eg_windows_fini(&w);
    free(zeros);
}

static void out_of_memory(void **state)
{
    enum { SIZE = 20000 };
    static uint8_t bytes[SIZE];
    uint64_t seed = 1;
    bool done = false;
    (void)state;
    fill(&seed, bytes, SIZE, 256);
    for (long n = 1; !done; n++) {
        eg_windows w;
        engram_error error = {0};
        eg_alloc_fail_at(n, false);
        engram_status status = eg_windows_init(&w, (eg_view){bytes, SIZE / 2}, &error);
        if (status == ENGRAM_OK) {
            status = eg_windows_add(&w, (eg_view){bytes, SIZE}, &error);
            done = status == ENGRAM_OK && eg_alloc_count() < n;
            eg_windows_fini(&w);
        }
        eg_alloc_fail_at(0, false);
        assert_true(status == ENGRAM_OK || (status == ENGRAM_NO_MEMORY && error.message[0] != 0));
        assert_true(n < 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_the_reference),
        cmocka_unit_test(samples_what_is_large),
        cmocka_unit_test(crowds),
        cmocka_unit_test(repetition_is_no_crowd),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
