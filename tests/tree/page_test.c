/* Slotted pages: order, heads, garbage. */
#include "tree/page.h"
#include "tree/rig.h"

static eg_view view(const char *text)
{
    return (eg_view){(const uint8_t *)text, strlen(text)};
}

static void keys_compare_as_bytes_with_prefixes_first(void **state)
{
    (void)state;
    assert_true(eg_key_compare(view("a"), view("b")) < 0);
    assert_true(eg_key_compare(view("a"), view("ab")) < 0);
    assert_true(eg_key_compare(view("\xff"), view("a")) > 0);
    assert_int_equal(eg_key_compare(view("ab"), view("ab")), 0);
    assert_true(eg_key_compare((eg_view){NULL, 0}, view("a")) < 0);
}

static size_t insert(eg_page *page, const char *key, const char *value)
{
    bool found;
    size_t index = eg_page_search(page, view(key), &found);
    assert_false(found);
    assert_true(eg_page_insert(page, index, view(key), view(value)));
    return index;
}

static void a_key_that_does_not_share_the_prefix_is_found(void **state)
{
    (void)state;
    eg_page page;
    bool found;
    assert_true(eg_page_init(&page, 0, 0));
    insert(&page, "prefix/aaaa1", "1");
    insert(&page, "prefix/aaaa3", "3");
    eg_page_tune(&page);
    assert_int_equal(page.skip, 11);
    assert_int_equal(eg_page_search(&page, view("prefix/"), &found), 0);
    assert_int_equal(eg_page_search(&page, view("prefix/aaaa2"), &found), 1);
    assert_int_equal(eg_page_search(&page, view("zzz"), &found), 2);
    assert_int_equal(insert(&page, "pre", "0"), 0);
    assert_int_equal(page.skip, 3);
    assert_int_equal(insert(&page, "prefix/aaaa2", "2"), 2);
    eg_page_search(&page, view("prefix/aaaa3"), &found);
    assert_true(found);
    eg_page_fini(&page);
}

static void first_cell_of_an_internal_page_is_not_searched(void **state)
{
    (void)state;
    eg_page page;
    bool found;
    assert_true(eg_page_init(&page, 0, 1));
    assert_true(eg_page_insert(&page, 0, view("m"), view("")));
    assert_int_equal(eg_page_search(&page, view("a"), &found), 1);
    assert_true(eg_page_insert(&page, 1, view("p"), view("")));
    assert_int_equal(eg_page_search(&page, view("m"), &found), 1);
    assert_false(found);
    assert_int_equal(eg_page_search(&page, view("q"), &found), 2);
    eg_page_fini(&page);
}

static void check_against(const eg_page *page, const uint8_t values[256])
{
    size_t index = 0, live = 0;
    for (unsigned k = 0; k < 256; k++) {
        if (!values[k])
            continue;
        eg_view key = eg_page_key(page, index), value = eg_page_value(page, index);
        assert_int_equal(key.data[3], k);
        assert_int_equal(value.size, values[k]);
        for (size_t i = 0; i < value.size; i++)
            assert_int_equal(value.data[i], values[k]);
        live += eg_page_cell_size(page, index++);
    }
    assert_int_equal(page->count, index);
    assert_int_equal(page->live, live);
    assert_true(page->heap >= page->live);
    assert_true(page->heap + index * EG_SLOT_SIZE <= page->capacity);
}

static void set(eg_page *page, uint8_t k, uint8_t size)
{
    uint8_t key[] = {'k', 'e', 'y', k}, value[255];
    memset(value, size, sizeof value);
    bool found;
    size_t index = eg_page_search(page, (eg_view){key, 4}, &found);
    if (found && size)
        assert_true(eg_page_replace(page, index, (eg_view){value, size}));
    else if (found)
        eg_page_remove(page, index);
    else if (size)
        assert_true(eg_page_insert(page, index, (eg_view){key, 4}, (eg_view){value, size}));
}

static void random_changes_agree_with_an_array(void **state)
{
    (void)state;
    uint64_t random = rig_seed(0x9A6E);
    uint8_t values[256] = {0};
    eg_page page;
    assert_true(eg_page_init(&page, 0, 0));
    for (int i = 0; i < 20000; i++) {
        uint64_t r = rig_random(&random);
        uint8_t k = (uint8_t)r, size = r >> 8 & 1 ? 0 : (uint8_t)(r >> 9 & 0x3F);
        set(&page, k, size);
        values[k] = size;
        check_against(&page, values);
        if (i % 1000 == 0) {
            eg_page copy;
            assert_true(eg_page_init(&copy, eg_page_clone_capacity(&page), 0));
            eg_page_copy(&page, &copy);
            check_against(&copy, values);
            eg_page_fini(&page);
            page = copy;
        }
    }
    eg_page_fini(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_compare_as_bytes_with_prefixes_first),
        cmocka_unit_test(a_key_that_does_not_share_the_prefix_is_found),
        cmocka_unit_test(first_cell_of_an_internal_page_is_not_searched),
        cmocka_unit_test(random_changes_agree_with_an_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
