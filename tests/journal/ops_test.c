/* Stepping over operations: each kind, every truncation, lengths that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "journal/ops.h"

static void put_tail(eg_buffer *b)
{
    eg_write_u8(b, EG_OP_DELETE_FILE);
    eg_write_u32(b, 4);
    eg_write_bytes(b, "a/bc", 4);
    eg_write_u8(b, EG_OP_UPDATE_ROOT);
    eg_write_bytes(b, "0123456789abcdef0123456789abcdef", 32);
    eg_write_u8(b, EG_OP_BARRIER);
    eg_write_u8(b, EG_OP_FRAME);
    eg_write_u32(b, 2);
    eg_write_u16(b, 7);
    eg_write_u8(b, 255);
    eg_write_u32(b, 0);
}

/* One of each tag. */
static eg_buffer make_all(void)
{
    eg_buffer b = {0};
    eg_write_u8(&b, EG_OP_WRITE_CHUNK);
    eg_write_u64(&b, 11);
    eg_write_bytes(&b, "0123456789abcdef0123456789abcdef", 32);
    eg_write_u64(&b, 4096);
    eg_write_u8(&b, EG_OP_DELETE_CHUNK);
    eg_write_u64(&b, 12);
    eg_write_u8(&b, EG_OP_WRITE_FILE);
    eg_write_u32(&b, 3);
    eg_write_bytes(&b, "x/y", 3);
    eg_write_u32(&b, 2);
    eg_write_u64(&b, 1);
    eg_write_u64(&b, 2);
    eg_write_u64(&b, 8192);
    put_tail(&b);
    assert_false(b.failed);
    return b;
}

static const struct {
    uint8_t tag;
    size_t body, whole;
} expected[] = {{1, 48, 49}, {2, 8, 9}, {3, 35, 36}, {4, 8, 9},
                {5, 32, 33}, {6, 0, 1}, {7, 2, 7},   {255, 0, 5}};
enum { EXPECTED_COUNT = sizeof expected / sizeof *expected };

static void each_kind_is_stepped_over(void **state)
{
    (void)state;
    eg_buffer b = make_all();
    eg_reader reader = eg_reader_make(b.data, b.size);
    eg_op op;
    const uint8_t *at = b.data;
    for (size_t i = 0; i < EXPECTED_COUNT; i++) {
        assert_true(eg_op_next(&reader, &op));
        assert_int_equal(op.tag, expected[i].tag);
        assert_int_equal(op.body.size, expected[i].body);
        assert_int_equal(op.whole.size, expected[i].whole);
        assert_ptr_equal(op.whole.data, at);
        assert_ptr_equal(op.body.data + op.body.size, at + op.whole.size);
        at += op.whole.size;
    }
    assert_false(eg_op_next(&reader, &op));
    assert_false(reader.failed);
    eg_buffer_fini(&b);
}

static void every_truncation_is_told(void **state)
{
    (void)state;
    eg_buffer b = make_all();
    for (size_t size = 0; size < b.size; size++) {
        eg_reader reader = eg_reader_make(b.data, size);
        eg_op op;
        size_t count = 0, end = 0;
        while (eg_op_next(&reader, &op)) {
            end += expected[count].whole;
            count++;
        }
        assert_true(end <= size);
        assert_int_equal(reader.failed, end != size);
        assert_false(eg_op_next(&reader, &op));
    }
    eg_buffer_fini(&b);
}

static void assert_malformed(const void *bytes, size_t size)
{
    eg_reader reader = eg_reader_make(bytes, size);
    eg_op op;
    assert_false(eg_op_next(&reader, &op));
    assert_true(reader.failed);
}

static void lying_lengths_are_malformed(void **state)
{
    (void)state;
    assert_malformed("\0", 1);
    assert_malformed("\x08\xff\xff\xff\xff", 5);
    assert_malformed("\x04\xff\xff\xff\xff", 5);
    assert_malformed("\x03\0\0\0\0\xff\xff\xff\xff........", 17);
    assert_malformed("\x03\xff\xff\xff\xff\xff\xff\xff\xff", 9);
    assert_malformed("\x07\x02\0\0\0x", 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_is_stepped_over),
        cmocka_unit_test(every_truncation_is_told),
        cmocka_unit_test(lying_lengths_are_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
