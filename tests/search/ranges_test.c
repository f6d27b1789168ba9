/* Ranges against a reference that walks every diagonal, and on bytes made to be expensive. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "search/random.h"
#include "search/ranges.h"

/* Whether the range is equal, and maximal in query and piece. */
static void check_range(const eg_range *r, eg_view query, eg_view file, uint64_t piece_begin,
                        uint64_t piece_end)
{
    uint64_t q = r->query_offset, f = r->file_offset, n = r->size;
    assert_true(n >= EG_RANGE_MIN);
    assert_true(q + n <= query.size && f >= piece_begin && f + n <= piece_end);
    assert_memory_equal(query.data + q, file.data + f, n);
    assert_true(q == 0 || f == piece_begin || query.data[q - 1] != file.data[f - 1]);
    assert_true(q + n == query.size || f + n == piece_end || query.data[q + n] != file.data[f + n]);
}

static void check_order(const eg_ranges *ranges)
{
    assert_true(ranges->count <= EG_RANGES_MAX);
    for (size_t i = 1; i < ranges->count; i++) {
        const eg_range *a = &ranges->items[i - 1], *b = &ranges->items[i];
        assert_true(a->size > b->size ||
                    (a->size == b->size &&
                     (a->query_offset < b->query_offset ||
                      (a->query_offset == b->query_offset && a->file_offset < b->file_offset))));
    }
}

static void find_whole(eg_view query, eg_view file, eg_ranges *ranges)
{
    eg_piece scan = {.size = query.size}, piece = {.size = file.size};
    engram_error error = {0};
    assert_int_equal(eg_ranges_find(query, &scan, 1, file, &piece, 1, ranges, &error), ENGRAM_OK);
    check_order(ranges);
    for (size_t i = 0; i < ranges->count; i++)
        check_range(&ranges->items[i], query, file, 0, file.size);
}

/* Marks the bytes of the query in a common run of EG_RANGE_MIN or more with file[begin .. end). */
static void mark_covered(eg_view query, eg_view file, size_t begin, size_t end, uint8_t *covered)
{
    for (size_t f = begin; f < end; f++) {
        for (size_t q = 0; q < query.size; q++) {
            if (q != 0 && f != begin && query.data[q - 1] == file.data[f - 1])
                continue; /* inside of a run */
            size_t n = 0;
            while (q + n < query.size && f + n < end && query.data[q + n] == file.data[f + n])
                n++;
            if (n >= EG_RANGE_MIN)
                memset(covered + q, 1, n);
        }
    }
}

static uint64_t sum(const uint8_t *flags, size_t count)
{
    uint64_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += flags[i];
    return n;
}

/* Random bytes into which parts of the query are copied. */
static void make_file(uint64_t *seed, eg_view query, uint8_t *file, size_t size, unsigned letters)
{
    for (size_t i = 0; i < size; i++)
        file[i] = (uint8_t)(test_random(seed) % letters);
    for (uint64_t copies = test_random(seed) % 6; copies != 0 && query.size != 0 && size != 0;
         copies--) {
        size_t n = 1 + test_random(seed) % 120;
        n = n < query.size ? n : query.size;
        n = n < size ? n : size;
        memmove(file + test_random(seed) % (size - n + 1),
                query.data + test_random(seed) % (query.size - n + 1), n);
    }
}

static void covers_what_is_common(void **state)
{
    enum { LARGEST = 700, ROUNDS = 3000 };
    static uint8_t query[LARGEST], file[LARGEST], want[LARGEST], got[LARGEST];
    uint64_t seed = test_seed(), complete = 0, ranges_seen = 0;
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        unsigned letters = round % 3 == 0 ? 2 : 256;
        eg_ranges ranges;
        eg_view q = {query, test_random(&seed) % (LARGEST + 1)},
                f = {file, test_random(&seed) % (LARGEST + 1)};
        make_file(&seed, (eg_view){0}, query, q.size, letters);
        make_file(&seed, q, file, f.size, letters);
        if (round % 5 == 0 && q.size > 300) /* the query repeats itself */
            memcpy(query + 200, query, 100);
        find_whole(q, f, &ranges);
        memset(want, 0, LARGEST);
        memset(got, 0, LARGEST);
        mark_covered(q, f, 0, f.size, want);
        for (size_t i = 0; i < ranges.count; i++)
            memset(got + ranges.items[i].query_offset, 1, ranges.items[i].size);
        if (ranges.complete) {
            assert_memory_equal(got, want, LARGEST);
            assert_int_equal(ranges.covered, sum(want, LARGEST));
            complete++;
        }
        ranges_seen += ranges.count;
        eg_free(ranges.items);
    }
    assert_true(complete > ROUNDS * 9 / 10);
    assert_true(ranges_seen > ROUNDS);
}

static void stays_within_pieces(void **state)
{
    enum { SIZE = 600, AT_HAND = 400 };
    static uint8_t query[SIZE], file[SIZE], at_hand[AT_HAND], want[SIZE], got[SIZE];
    /* Bytes 100 .. 299 and 310 .. 509 of the file. */
    const eg_piece pieces[] = {{.offset = 100, .begin = 0, .size = 200},
                               {.offset = 310, .begin = 200, .size = 200}};
    const eg_piece scan = {.size = SIZE};
    uint64_t seed = test_seed();
    (void)state;
    for (int round = 0; round < 500; round++) {
        eg_ranges ranges;
        eg_view q = {query, SIZE}, f = {file, SIZE};
        make_file(&seed, (eg_view){0}, query, SIZE, 256);
        make_file(&seed, q, file, SIZE, 256);
        if (round % 2 == 0)
            memcpy(file + 60, query + 17, 480); /* across both */
        memcpy(at_hand, file + 100, 200);
        memcpy(at_hand + 200, file + 310, 200);
        memcpy(query + 500, at_hand + 150, 100); /* what only seems to be one run */
        assert_int_equal(
            eg_ranges_find(q, &scan, 1, (eg_view){at_hand, AT_HAND}, pieces, 2, &ranges, NULL),
            ENGRAM_OK);
        memset(want, 0, SIZE);
        memset(got, 0, SIZE);
        for (size_t p = 0; p < 2; p++)
            mark_covered(q, f, pieces[p].offset, pieces[p].offset + pieces[p].size, want);
        check_order(&ranges);
        for (size_t i = 0; i < ranges.count; i++) {
            const eg_piece *p = &pieces[ranges.items[i].file_offset >= 310];
            check_range(&ranges.items[i], q, f, p->offset, p->offset + p->size);
            memset(got + ranges.items[i].query_offset, 1, ranges.items[i].size);
        }
        assert_memory_equal(got, want, SIZE);
        eg_free(ranges.items);
    }
}

static void repeat(uint8_t *bytes, size_t size, size_t period)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(i % period == 0 ? i / period % period : i % period);
}

/* Runs of one byte, short periods, and anchors that are everywhere. Without bounds each of these
 * compares terabytes. */
static void expensive_bytes(void **state)
{
    enum { LARGE = 3 << 20, SMALL = 5000 };
    uint8_t *a = calloc(1, LARGE), *b = calloc(1, LARGE);
    eg_ranges ranges;
    (void)state;
    assert_non_null(a);
    assert_non_null(b);
    find_whole((eg_view){a, LARGE}, (eg_view){b, LARGE}, &ranges);
    assert_int_equal(ranges.items[0].size, LARGE);
    assert_int_equal(ranges.covered, LARGE);
    eg_free(ranges.items);
    find_whole((eg_view){a, SMALL}, (eg_view){b, LARGE}, &ranges);
    assert_int_equal(ranges.covered, SMALL);
    eg_free(ranges.items);
    find_whole((eg_view){a, LARGE}, (eg_view){b, SMALL}, &ranges);
    assert_int_equal(ranges.count, EG_RANGES_MAX);
    assert_false(ranges.complete);
    eg_free(ranges.items);
    for (size_t period = 2; period < 5000; period = period * 3 + 1) {
        repeat(a, LARGE, period);
        repeat(b, LARGE, period + 1);
        find_whole((eg_view){a, LARGE}, (eg_view){b, LARGE}, &ranges);
        eg_free(ranges.items);
        find_whole((eg_view){a, LARGE}, (eg_view){a, LARGE}, &ranges);
        assert_int_equal(ranges.items[0].size, LARGE);
        eg_free(ranges.items);
    }
    memset(a, 0, LARGE); /* zeros with something every 40 bytes, at places that differ */
    memset(b, 0, LARGE);
    for (size_t i = 0; i < LARGE; i += 40) {
        a[i] = (uint8_t)(1 + i / 40 % 250);
        b[i + i / 40 % 7] = (uint8_t)(1 + i / 40 % 251);
    }
    find_whole((eg_view){a, LARGE}, (eg_view){b, LARGE}, &ranges);
    assert_true(ranges.count > 0);
    eg_free(ranges.items);
    free(a);
    free(b);
}

static void tiny(void **state)
{
    uint8_t bytes[64] = {1, 2, 3};
    (void)state;
    for (size_t q = 0; q <= sizeof bytes; q++) {
        for (size_t f = 0; f <= sizeof bytes; f++) {
            eg_ranges ranges;
            find_whole((eg_view){bytes, q}, (eg_view){bytes, f}, &ranges);
            size_t least = q < f ? q : f;
            assert_true(least < EG_RANGE_MIN ? ranges.count == 0 : ranges.items[0].size == least);
            eg_free(ranges.items);
        }
    }
}

static void out_of_memory(void **state)
{
    enum { SIZE = 20000 };
    static uint8_t a[SIZE], b[SIZE];
    eg_piece whole = {.size = SIZE};
    uint64_t seed = 3;
    bool done = false;
    (void)state;
    make_file(&seed, (eg_view){0}, a, SIZE, 256);
    memcpy(b, a, SIZE);
    for (size_t i = 50; i < SIZE; i += 100)
        b[i]++;
    for (long n = 1; !done; n++) {
        eg_ranges ranges;
        engram_error error = {0};
        eg_alloc_fail_at(n, false);
        engram_status status = eg_ranges_find((eg_view){a, SIZE}, &whole, 1, (eg_view){b, SIZE},
                                              &whole, 1, &ranges, &error);
        done = eg_alloc_count() < n;
        eg_alloc_fail_at(0, false);
        assert_int_equal(status, done ? ENGRAM_OK : ENGRAM_NO_MEMORY);
        assert_true(done || (ranges.items == NULL && error.message[0] != 0));
        eg_free(ranges.items);
        assert_true(n < 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(covers_what_is_common), cmocka_unit_test(stays_within_pieces),
        cmocka_unit_test(expensive_bytes),       cmocka_unit_test(tiny),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
