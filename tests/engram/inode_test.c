/* The inode record and the order of keys. */
#include "engram/inode.h"

#include <string.h>

#include "base/test.h"

static void record_round_trip(void **state)
{
    (void)state;
    eg_inode in = {.kind = EG_KIND_SYMLINK,
                   .flags = EG_INODE_RACY,
                   .mode = 07755,
                   .uid = 1,
                   .gid = 2,
                   .link_count = 3,
                   .size = 5,
                   .device = 0x1234567890,
                   .mtime = {-5, 999999999},
                   .source_device = 6,
                   .source_inode = 7,
                   .source_ctime = {8, 9},
                   .created_version = 10,
                   .modified_version = 11,
                   .created_ns = 12,
                   .modified_ns = 13,
                   .target = {(const uint8_t *)"a/../b" + 1, 5}};
    eg_inode out;
    eg_buffer record = {0};
    eg_inode_encode(&in, &record);
    assert_true(eg_inode_decode((eg_view){record.data, record.size}, &out));
    assert_int_equal(out.mtime.seconds, -5);
    assert_int_equal(out.modified_ns, 13);
    assert_int_equal(out.target.size, 5);
    assert_memory_equal(out.target.data, in.target.data, 5);
    for (size_t size = 0; size < record.size; size++) /* no prefix is a record */
        assert_false(eg_inode_decode((eg_view){record.data, size}, &out));
    record.data[1] = 9; /* no such kind */
    assert_false(eg_inode_decode((eg_view){record.data, record.size}, &out));
    eg_buffer_fini(&record);
}

static int compare(const eg_key *a, const eg_key *b)
{
    size_t least = a->size < b->size ? a->size : b->size;
    int order = memcmp(a->bytes, b->bytes, least);
    return order != 0 ? order : (a->size > b->size) - (a->size < b->size);
}

static void keys_sort_as_numbers(void **state)
{
    (void)state;
    const uint64_t rising[] = {0, 1, 255, 256, 65535, 1u << 31, (uint64_t)1 << 40, UINT64_MAX};
    for (size_t i = 1; i < sizeof rising / sizeof *rising; i++) {
        eg_key low = eg_key_run(7, rising[i - 1]), high = eg_key_run(7, rising[i]);
        assert_true(compare(&low, &high) < 0);
        low = eg_key_inode(rising[i - 1]);
        high = eg_key_inode(rising[i]);
        assert_true(compare(&low, &high) < 0);
    }
    eg_key key = eg_key_holder(77, 5);
    assert_true(eg_key_has(eg_key_view(&key), 'R', 77));
    assert_false(eg_key_has(eg_key_view(&key), 'R', 78));
}

static void names(void **state)
{
    (void)state;
    uint8_t longest[256];
    memset(longest, 'x', sizeof longest);
    assert_true(eg_name_valid((eg_view){longest, 255}));
    assert_false(eg_name_valid((eg_view){longest, 256}));
    assert_false(eg_name_valid((eg_view){longest, 0}));
    const char *bad[] = {".", "..", "a/b", "/"};
    for (size_t i = 0; i < 4; i++)
        assert_false(eg_name_valid((eg_view){(const uint8_t *)bad[i], strlen(bad[i])}));
    assert_false(eg_name_valid((eg_view){(const uint8_t *)"a\0b", 3}));
    const char *good[] = {"...", ".a", "a\nb", "\xff"};
    for (size_t i = 0; i < 4; i++)
        assert_true(eg_name_valid((eg_view){(const uint8_t *)good[i], strlen(good[i])}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(record_round_trip),
                                       cmocka_unit_test(keys_sort_as_numbers),
                                       cmocka_unit_test(names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
