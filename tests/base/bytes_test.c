/* Fields, bounded readers, growing buffers, CRC-32. */
#include "base/bytes.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/memory.h"
#include "base/test.h"

static void fields_are_little_endian(void **state)
{
    (void)state;
    uint8_t bytes[8] = {1, 2, 3, 4, 5, 6, 7, 8}, copy[8];
    assert_int_equal(eg_get_u16(bytes), 0x0201);
    assert_int_equal(eg_get_u32(bytes), 0x04030201);
    assert_true(eg_get_u64(bytes) == 0x0807060504030201);
    assert_true(eg_get_be64(bytes) == 0x0102030405060708);
    eg_put_be64(copy, 0x0102030405060708);
    assert_memory_equal(copy, bytes, 8);
    eg_put_u64(copy, 0x0807060504030201);
    assert_memory_equal(copy, bytes, 8);
}

static void a_reader_stops_at_the_end_for_good(void **state)
{
    (void)state;
    static const uint8_t bytes[5] = {1, 2, 3, 4, 5};
    eg_reader r = eg_reader_make(bytes, sizeof bytes);
    assert_int_equal(eg_read_u16(&r), 0x0201);
    assert_int_equal(eg_reader_left(&r), 3);
    assert_int_equal(eg_read_u32(&r), 0);
    assert_true(r.failed);
    assert_int_equal(eg_reader_left(&r), 0);
    assert_int_equal(eg_read_u8(&r), 0);
    assert_null(eg_read_bytes(&r, 0));
    assert_null(eg_read_bytes(&r, SIZE_MAX));
}

static void a_reader_reads_all_and_no_more(void **state)
{
    (void)state;
    static const uint8_t bytes[3] = {1, 2, 3};
    eg_reader r = eg_reader_make(bytes, sizeof bytes);
    assert_ptr_equal(eg_read_bytes(&r, 3), bytes);
    assert_false(r.failed);
    assert_non_null(eg_read_bytes(&r, 0));
    assert_null(eg_read_bytes(&r, 1));
}

static unsigned pick_seed(void)
{
    const char *given = getenv("ENGRAM_TEST_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 0) : (unsigned)time(NULL);
    printf("ENGRAM_TEST_SEED=%u\n", seed);
    return seed;
}

static uint64_t random_u64(unsigned *seed)
{
    uint64_t v = 0;
    for (int i = 0; i < 5; i++)
        v = v << 15 ^ (uint64_t)rand_r(seed);
    return v;
}

static void write_random(eg_buffer *b, unsigned *seed)
{
    uint64_t v = random_u64(seed);
    switch (random_u64(seed) % 5) {
    case 0:
        eg_write_u8(b, (uint8_t)v);
        break;
    case 1:
        eg_write_u16(b, (uint16_t)v);
        break;
    case 2:
        eg_write_u32(b, (uint32_t)v);
        break;
    case 3:
        eg_write_u64(b, v);
        break;
    default:
        eg_write_bytes(b, &v, v % 9);
    }
}

static void check_random(eg_reader *r, unsigned *seed)
{
    uint64_t v = random_u64(seed);
    switch (random_u64(seed) % 5) {
    case 0:
        assert_int_equal(eg_read_u8(r), (uint8_t)v);
        break;
    case 1:
        assert_int_equal(eg_read_u16(r), (uint16_t)v);
        break;
    case 2:
        assert_int_equal(eg_read_u32(r), (uint32_t)v);
        break;
    case 3:
        assert_true(eg_read_u64(r) == v);
        break;
    default:
        assert_memory_equal(eg_read_bytes(r, v % 9), &v, v % 9);
    }
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    unsigned seed = pick_seed(), write_seed = seed, read_seed = seed;
    enum { COUNT = 5000 };
    eg_buffer b = {0};
    for (int i = 0; i < COUNT; i++)
        write_random(&b, &write_seed);
    assert_false(b.failed);
    assert_true(b.size <= b.capacity);
    eg_reader r = eg_reader_make(b.data, b.size);
    for (int i = 0; i < COUNT; i++)
        check_random(&r, &read_seed);
    assert_false(r.failed);
    assert_int_equal(eg_reader_left(&r), 0);
    eg_buffer_fini(&b);
}

static void an_extension_is_room_to_write(void **state)
{
    (void)state;
    eg_buffer b = {0};
    assert_non_null(eg_buffer_extend(&b, 0));
    assert_int_equal(b.size, 0);
    eg_write_bytes(&b, NULL, 0);
    uint8_t *at = eg_buffer_extend(&b, 1000);
    memset(at, 7, 1000);
    assert_int_equal(b.size, 1000);
    assert_int_equal(b.data[999], 7);
    size_t capacity = b.capacity;
    eg_buffer_clear(&b);
    assert_int_equal(b.size, 0);
    assert_int_equal(b.capacity, capacity);
    eg_buffer_fini(&b);
    assert_null(b.data);
    eg_buffer_fini(&b);
}

static void a_buffer_fails_for_good(void **state)
{
    (void)state;
    eg_buffer b = {0};
    eg_write_u32(&b, 1);
    eg_alloc_fail_at(1, false);
    assert_null(eg_buffer_extend(&b, 1000));
    eg_alloc_fail_at(0, false);
    assert_true(b.failed);
    assert_int_equal(b.size, 4);
    eg_write_u8(&b, 1);
    eg_buffer_clear(&b);
    eg_write_u8(&b, 1);
    assert_true(b.failed);
    assert_int_equal(b.size, 0);
    eg_buffer_fini(&b);
}

static void sizes_that_overflow_are_refused(void **state)
{
    (void)state;
    eg_buffer b = {0};
    eg_write_u32(&b, 1);
    assert_null(eg_buffer_extend(&b, SIZE_MAX));
    assert_true(b.failed);
    assert_int_equal(b.size, 4);
    eg_buffer_fini(&b);
}

static void crc32_is_the_known_one(void **state)
{
    (void)state;
    const char *text = "123456789";
    assert_true(eg_crc32(0, text, 9) == 0xcbf43926);
    for (size_t split = 0; split <= 9; split++)
        assert_true(eg_crc32(eg_crc32(0, text, split), text + split, 9 - split) == 0xcbf43926);
    assert_true(eg_crc32(0xcbf43926, NULL, 0) == 0xcbf43926);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_little_endian),
        cmocka_unit_test(a_reader_stops_at_the_end_for_good),
        cmocka_unit_test(a_reader_reads_all_and_no_more),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(an_extension_is_room_to_write),
        cmocka_unit_test(a_buffer_fails_for_good),
        cmocka_unit_test(sizes_that_overflow_are_refused),
        cmocka_unit_test(crc32_is_the_known_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
