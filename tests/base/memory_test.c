/* Allocation: odd sizes, overflows, and failing on command. */
#include "base/memory.h"

#include <pthread.h>
#include <string.h>

#include "base/test.h"

static int no_failures(void **state)
{
    (void)state;
    eg_alloc_fail_at(0, false);
    return 0;
}

static void zero_sizes_give_unique_pointers(void **state)
{
    (void)state;
    void *all[] = {
        eg_alloc(0),         eg_alloc(0),        eg_alloc_zero(0, 8),    eg_alloc_zero(8, 0),
        eg_realloc(NULL, 0), eg_memdup(NULL, 0), eg_alloc_aligned(64, 0)};
    enum { COUNT = sizeof all / sizeof *all };
    for (int i = 0; i < COUNT; i++) {
        assert_non_null(all[i]);
        for (int j = 0; j < i; j++)
            assert_ptr_not_equal(all[i], all[j]);
    }
    /* Shrinking to nothing is not freeing. */
    all[0] = eg_realloc(all[0], 0);
    assert_non_null(all[0]);
    for (int i = 0; i < COUNT; i++)
        eg_free(all[i]);
    eg_free(NULL);
}

static void products_that_overflow_are_refused(void **state)
{
    (void)state;
    size_t volatile half = SIZE_MAX / 2 + 1;
    assert_null(eg_alloc_zero(half, 2));
    assert_null(eg_alloc_zero(half, half));
}

static void zeroed_memory_is_zero(void **state)
{
    (void)state;
    unsigned char *bytes = eg_alloc_zero(100, 3);
    assert_non_null(bytes);
    for (int i = 0; i < 300; i++)
        assert_int_equal(bytes[i], 0);
    eg_free(bytes);
}

static void alignment_is_kept(void **state)
{
    (void)state;
    for (size_t alignment = 1; alignment <= 65536; alignment *= 2)
        for (size_t size = 1; size < 300; size += 99) {
            unsigned char *bytes = eg_alloc_aligned(alignment, size);
            assert_non_null(bytes);
            assert_int_equal((uintptr_t)bytes % alignment, 0);
            memset(bytes, 0xaa, size);
            eg_free(bytes);
        }
}

static void copies_are_copies(void **state)
{
    (void)state;
    char text[] = "text";
    char *a = eg_strdup(text);
    char *b = eg_memdup(text, 2);
    text[0] = 'n';
    assert_string_equal(a, "text");
    assert_memory_equal(b, "te", 2);
    a = eg_realloc(a, 4000);
    assert_string_equal(a, "text");
    eg_free(a);
    eg_free(b);
}

static void arrays_grow_by_doubling(void **state)
{
    (void)state;
    uint64_t *items = NULL;
    size_t capacity = 0, grown = 0;
    for (size_t i = 0; i < 10000; i++) {
        size_t before = capacity;
        void *array = items;
        assert_true(eg_grow(&array, &capacity, i + 1, sizeof *items));
        items = array;
        grown += capacity != before;
        items[i] = i;
    }
    assert_true(grown < 15);
    for (size_t i = 0; i < 10000; i++)
        assert_int_equal(items[i], i);
    eg_free(items);
}

static void one_large_step_is_taken_at_once(void **state)
{
    (void)state;
    void *array = NULL;
    size_t capacity = 0;
    assert_true(eg_grow(&array, &capacity, 1000, 3));
    assert_in_range(capacity, 1000, 2000);
    eg_free(array);
}

static void growth_that_fails_leaves_the_array(void **state)
{
    (void)state;
    void *array = NULL;
    size_t capacity = 0;
    assert_true(eg_grow(&array, &capacity, 4, 8));
    memset(array, 0x5a, capacity * 8);
    void *array_before = array;
    size_t capacity_before = capacity;
    assert_false(eg_grow(&array, &capacity, SIZE_MAX / 8 + 1, 8));
    assert_false(eg_grow(&array, &capacity, SIZE_MAX, 8));
    eg_alloc_fail_at(1, false);
    assert_false(eg_grow(&array, &capacity, capacity + 1, 8));
    assert_ptr_equal(array, array_before);
    assert_int_equal(capacity, capacity_before);
    assert_int_equal(((unsigned char *)array)[capacity * 8 - 1], 0x5a);
    eg_free(array);
}

static void the_nth_allocation_fails(void **state)
{
    (void)state;
    eg_alloc_fail_at(3, false);
    void *a = eg_alloc(1), *b = eg_alloc_zero(1, 1), *c = eg_alloc(1), *d = eg_alloc(1);
    assert_non_null(a);
    assert_non_null(b);
    assert_null(c);
    assert_non_null(d);
    assert_int_equal(eg_alloc_count(), 4);
    eg_free(a);
    eg_free(b);
    eg_free(d);
}

static void every_function_can_fail(void **state)
{
    (void)state;
    eg_alloc_fail_at(1, true);
    assert_null(eg_alloc(1));
    assert_null(eg_alloc_zero(1, 1));
    assert_null(eg_alloc_aligned(64, 64));
    assert_null(eg_realloc(NULL, 1));
    assert_null(eg_strdup("x"));
    assert_null(eg_memdup("x", 1));
    assert_int_equal(eg_alloc_count(), 6);
    eg_alloc_fail_at(0, false);
    void *pointer = eg_alloc(1);
    assert_non_null(pointer);
    eg_free(pointer);
    assert_int_equal(eg_alloc_count(), 1);
}

static void *allocate_1000(void *failures)
{
    for (int i = 0; i < 1000; i++) {
        void *pointer = eg_alloc(8);
        if (pointer == NULL)
            ++*(int *)failures;
        eg_free(pointer);
    }
    return NULL;
}

static void the_count_is_over_all_threads(void **state)
{
    (void)state;
    pthread_t threads[4];
    int failures[4] = {0};
    eg_alloc_fail_at(2500, false);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, allocate_1000, &failures[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(eg_alloc_count(), 4000);
    assert_int_equal(failures[0] + failures[1] + failures[2] + failures[3], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(zero_sizes_give_unique_pointers, no_failures),
        cmocka_unit_test_teardown(products_that_overflow_are_refused, no_failures),
        cmocka_unit_test_teardown(zeroed_memory_is_zero, no_failures),
        cmocka_unit_test_teardown(alignment_is_kept, no_failures),
        cmocka_unit_test_teardown(copies_are_copies, no_failures),
        cmocka_unit_test_teardown(arrays_grow_by_doubling, no_failures),
        cmocka_unit_test_teardown(one_large_step_is_taken_at_once, no_failures),
        cmocka_unit_test_teardown(growth_that_fails_leaves_the_array, no_failures),
        cmocka_unit_test_teardown(the_nth_allocation_fails, no_failures),
        cmocka_unit_test_teardown(every_function_can_fail, no_failures),
        cmocka_unit_test_teardown(the_count_is_over_all_threads, no_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
