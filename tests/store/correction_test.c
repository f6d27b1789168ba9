/* Corrections: every level and size gives the bytes back, nothing is written past them, and a
 * damaged correction is refused or decodes to something of the right size. */
#include <string.h>

#include "base/memory.h"
#include "base/test.h"
#include "store/correction.h"
#include "vsa/random.h"

enum { BYTES_MAX = 4 << 20, GUARD = 64 };

static uint8_t *bytes, *packed, *back;

static int setup(void **state)
{
    (void)state;
    bytes = malloc(BYTES_MAX);
    packed = malloc(eg_coder_bound(BYTES_MAX));
    back = malloc(BYTES_MAX + GUARD);
    return bytes == NULL || packed == NULL || back == NULL;
}

static int teardown(void **state)
{
    (void)state;
    free(bytes);
    free(packed);
    free(back);
    return 0;
}

static void fill(uint64_t seed, size_t size, uint8_t mask)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)test_random(&seed) & mask;
}

static eg_correction_kind round_trip(eg_coder *coder, size_t size, size_t *stored_size)
{
    engram_error error = {0};
    eg_correction_kind kind;
    assert_int_equal(eg_coder_pack(coder, bytes, size, packed, &kind, stored_size, &error), 0);
    assert_true(*stored_size <= size);
    memset(back, 0xA5, size + GUARD);
    assert_int_equal(eg_coder_unpack(coder, kind, (eg_view){packed, *stored_size}, (eg_view){0},
                                     back, size, &error),
                     ENGRAM_OK);
    assert_memory_equal(back, bytes, size);
    for (size_t i = 0; i < GUARD; i++)
        assert_int_equal(back[size + i], 0xA5);
    return kind;
}

/* A base of any size, of which the bytes are an edited copy or nothing at all. */
static void deltas_give_the_bytes_back(void **state)
{
    static const size_t sizes[] = {1, 7, 100, 4096, 16384, 70000, 1 << 20};
    enum { COUNT = sizeof sizes / sizeof *sizes };
    uint8_t *base = malloc(1 << 20);
    uint64_t seed = 3;
    (void)state;
    for (int level = 2; level <= 9; level += level < 3 ? 1 : 2) {
        eg_coder *coder;
        engram_error error = {0};
        assert_int_equal(eg_coder_create(level, &coder, &error), ENGRAM_OK);
        for (size_t b = 0; b < COUNT; b++)
            for (size_t n = 0; n < COUNT; n++) {
                size_t size = sizes[n], stored_size;
                fill(7, 1 << 20, 0xFF);
                memcpy(base, bytes, sizes[b]);
                for (size_t edits = size / 500 + 1; edits > 0; edits--)
                    bytes[test_random(&seed) % size] ^= 1;
                assert_int_equal(eg_coder_pack_delta(coder, bytes, size, (eg_view){base, sizes[b]}, packed,
                                                     &stored_size, &error),
                                 ENGRAM_OK);
                if (size >= 4096 && sizes[b] >= size && sizes[b] < 20 * size) /* as chunks of one engram differ */
                    if (stored_size >= size / 8)
                        fail_msg("level %d: a delta of %zu bytes for %zu on %zu", level, stored_size, size, sizes[b]);
                if (stored_size == SIZE_MAX)
                    continue;
                memset(back, 0xA5, size + GUARD);
                assert_int_equal(eg_coder_unpack(coder, EG_CORRECTION_DELTA, (eg_view){packed, stored_size},
                                                 (eg_view){base, sizes[b]}, back, size, &error),
                                 ENGRAM_OK);
                assert_memory_equal(back, bytes, size);
                assert_int_equal(back[size], 0xA5);
                /* The base is not remembered. */
                eg_correction_kind kind = round_trip(coder, size, &stored_size);
                assert_int_equal(kind, stored_size < size ? EG_CORRECTION_PACKED : EG_CORRECTION_VERBATIM);
            }
        eg_coder_free(coder);
    }
    free(base);
}

static void every_level_gives_the_bytes_back(void **state)
{
    static const size_t sizes[] = {0, 1, 2, 7, 63, 100, 4096, 16384, 70000, 300000};
    size_t stored_size;
    (void)state;
    for (int level = 1; level <= 9; level++) {
        eg_coder *coder;
        assert_int_equal(eg_coder_create(level, &coder, NULL), ENGRAM_OK);
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            fill(i, sizes[i], 0xFF);
            assert_int_equal(round_trip(coder, sizes[i], &stored_size), EG_CORRECTION_VERBATIM);
            assert_int_equal(stored_size, sizes[i]);
            fill(i, sizes[i], 0x03);
            eg_correction_kind kind = round_trip(coder, sizes[i], &stored_size);
            assert_int_equal(kind, sizes[i] < 100 ? EG_CORRECTION_VERBATIM : EG_CORRECTION_PACKED);
        }
        eg_coder_free(coder);
    }
}

static void the_largest_chunk(void **state)
{
    eg_coder *coder;
    size_t stored_size;
    (void)state;
    assert_int_equal(eg_coder_create(3, &coder, NULL), ENGRAM_OK);
    fill(1, BYTES_MAX, 0x0F);
    assert_int_equal(round_trip(coder, BYTES_MAX, &stored_size), EG_CORRECTION_PACKED);
    assert_true(stored_size < BYTES_MAX * 6 / 10);
    fill(1, BYTES_MAX, 0xFF);
    assert_int_equal(round_trip(coder, BYTES_MAX, &stored_size), EG_CORRECTION_VERBATIM);
    eg_coder_free(coder);
}

/* A slow level does not pass over what only repeats far apart. */
static void far_repetition_is_found(void **state)
{
    eg_coder *coder;
    size_t stored_size;
    (void)state;
    assert_int_equal(eg_coder_create(9, &coder, NULL), ENGRAM_OK);
    fill(1, 1 << 20, 0xFF);
    memcpy(bytes + (1 << 20), bytes, 1 << 20);
    assert_int_equal(round_trip(coder, 2 << 20, &stored_size), EG_CORRECTION_PACKED);
    assert_true(stored_size < (1 << 20) + 4096);
    eg_coder_free(coder);
}

static void levels_have_limits(void **state)
{
    eg_coder *coder;
    (void)state;
    assert_int_equal(eg_coder_create(0, &coder, NULL), ENGRAM_INVALID);
    assert_null(coder);
    assert_int_equal(eg_coder_create(10, &coder, NULL), ENGRAM_INVALID);
    eg_coder_free(NULL);
}

static void wrong_sizes_are_refused(void **state)
{
    eg_coder *coder;
    eg_correction_kind kind;
    size_t stored_size;
    (void)state;
    assert_int_equal(eg_coder_create(1, &coder, NULL), ENGRAM_OK);
    fill(1, 1000, 0x03);
    assert_int_equal(eg_coder_pack(coder, bytes, 1000, packed, &kind, &stored_size, NULL), 0);
    for (size_t size = 0; size < 2000; size++) {
        memset(back, 0xA5, size + GUARD);
        engram_status status = eg_coder_unpack(coder, kind, (eg_view){packed, stored_size},
                                               (eg_view){0}, back, size, NULL);
        assert_int_equal(status, size == 1000 ? ENGRAM_OK : ENGRAM_DAMAGED);
        assert_int_equal(back[size], 0xA5);
    }
    assert_int_equal(eg_coder_unpack(coder, EG_CORRECTION_VERBATIM, (eg_view){packed, 10},
                                     (eg_view){0}, back, 11, NULL),
                     ENGRAM_DAMAGED);
    assert_int_equal(eg_coder_unpack(coder, EG_CORRECTION_NONE, (eg_view){packed, 10}, (eg_view){0},
                                     back, 10, NULL),
                     ENGRAM_DAMAGED);
    assert_int_equal(eg_coder_unpack(coder, (eg_correction_kind)77, (eg_view){packed, 10},
                                     (eg_view){0}, back, 10, NULL),
                     ENGRAM_DAMAGED);
    eg_coder_free(coder);
}

static void damage_stays_within_bounds(void **state)
{
    uint64_t seed = test_seed(0x5EED);
    eg_coder *coder;
    eg_correction_kind kind;
    size_t stored_size;
    (void)state;
    assert_int_equal(eg_coder_create(1, &coder, NULL), ENGRAM_OK);
    fill(1, 3000, 0x07);
    assert_int_equal(eg_coder_pack(coder, bytes, 3000, packed, &kind, &stored_size, NULL), 0);
    for (int n = 0; n < 5000; n++) {
        size_t at = test_random(&seed) % stored_size;
        uint8_t flip = (uint8_t)(1 + test_random(&seed) % 255);
        packed[at] ^= flip;
        memset(back + 3000, 0xA5, GUARD);
        engram_status status = eg_coder_unpack(coder, kind, (eg_view){packed, stored_size},
                                               (eg_view){0}, back, 3000, NULL);
        assert_true(status == ENGRAM_OK || status == ENGRAM_DAMAGED);
        assert_int_equal(back[3000], 0xA5);
        packed[at] ^= flip;
    }
    /* And what came before leaves nothing behind in the coder. */
    assert_int_equal(eg_coder_unpack(coder, kind, (eg_view){packed, stored_size}, (eg_view){0},
                                     back, 3000, NULL),
                     ENGRAM_OK);
    assert_memory_equal(back, bytes, 3000);
    eg_coder_free(coder);
}

static engram_status use(void)
{
    eg_coder *coder = NULL;
    eg_correction_kind kind;
    size_t stored_size;
    engram_error error = {0};
    engram_status status = eg_coder_create(4, &coder, &error);
    if (status == ENGRAM_OK)
        status = eg_coder_pack(coder, bytes, 5000, packed, &kind, &stored_size, &error);
    if (status == ENGRAM_OK)
        status = eg_coder_unpack(coder, kind, (eg_view){packed, stored_size}, (eg_view){0}, back,
                                 5000, &error);
    eg_coder_free(coder);
    assert_int_equal(status, error.status);
    return status;
}

static void memory_may_run_out(void **state)
{
    long n = 0;
    engram_status status;
    (void)state;
    fill(1, 5000, 0x07);
    do {
        eg_alloc_fail_at(++n, false);
        status = use();
        eg_alloc_fail_at(0, false);
        assert_true(status == ENGRAM_OK || status == ENGRAM_NO_MEMORY);
    } while (status != ENGRAM_OK);
    assert_true(n >= 4); /* the coder, two contexts, their memory */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_level_gives_the_bytes_back),
        cmocka_unit_test(deltas_give_the_bytes_back),
        cmocka_unit_test(the_largest_chunk),
        cmocka_unit_test(far_repetition_is_found),
        cmocka_unit_test(levels_have_limits),
        cmocka_unit_test(wrong_sizes_are_refused),
        cmocka_unit_test(damage_stays_within_bounds),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
