/* Which versions a reader may find. */
#include "crash/model.h"

#include <string.h>

#include "base/test.h"

static size_t add(history *h, int64_t version, int64_t begin, int64_t ack)
{
    size_t index = history_add(h, version, begin);
    h->commits[index].ack = ack;
    return index;
}

/* The versions that may be found at step, as digits. */
static void assert_allowed(const history *h, int64_t step, const char *versions)
{
    char found[16] = {0};
    for (size_t i = 0; i < h->count; i++)
        if (history_allows(h, i, step))
            found[strlen(found)] = (char)('0' + h->commits[i].version);
    assert_string_equal(found, versions);
}

static void one_writer(void **state)
{
    (void)state;
    history h = {0};
    add(&h, 0, STEP_BEFORE, STEP_BEFORE);
    add(&h, 1, 10, 20);
    add(&h, 2, 30, 40);
    assert_allowed(&h, 10, "0");
    assert_allowed(&h, 11, "01");
    assert_allowed(&h, 21, "1");
    assert_allowed(&h, 31, "12");
    assert_allowed(&h, 41, "2");
    history_fini(&h);
}

static void several_writers(void **state)
{
    (void)state;
    history h = {0};
    add(&h, 0, STEP_BEFORE, STEP_BEFORE);
    add(&h, 1, 12, 35); /* begun second, told last */
    add(&h, 2, 10, 30);
    add(&h, 3, 14, 32);
    assert_allowed(&h, 11, "0"); /* 2 cannot be there without 1 */
    assert_allowed(&h, 13, "012");
    assert_allowed(&h, 15, "0123");
    assert_allowed(&h, 31, "23");
    assert_allowed(&h, 33, "3");
    assert_allowed(&h, 36, "3");
    history_fini(&h);
}

static void a_lost_version_is_made_anew(void **state)
{
    (void)state;
    history h = {0};
    add(&h, 0, STEP_BEFORE, STEP_BEFORE);
    size_t one = add(&h, 1, 10, 20);
    add(&h, 2, 30, STEP_NEVER);
    history_observe(&h, one, 50);
    add(&h, 2, 60, 70);
    assert_allowed(&h, 31, "12");
    assert_allowed(&h, 51, "1");
    assert_allowed(&h, 61, "12");
    assert_allowed(&h, 71, "2");
    history_fini(&h);
}

static edit set(const char *path, uint64_t size)
{
    edit e = {.kind = EDIT_SET, .entry = {.kind = 1, .size = size}};
    strcpy(e.entry.path, path);
    return e;
}

static void trees_follow_the_order_of_versions(void **state)
{
    (void)state;
    history h = {0};
    size_t second = add(&h, 2, 10, 30), first = add(&h, 1, 12, 35);
    edit_list_add(&h.commits[second].edits, set("a", 2));
    edit_list_add(&h.commits[first].edits, set("a", 1));
    edit_list_add(&h.commits[first].edits, set("b", 1));
    assert_false(history_resolve(&h)); /* the first has no predecessor */
    history_add(&h, 0, STEP_BEFORE);
    assert_true(history_resolve(&h));
    assert_int_equal(h.commits[2].version, 2);
    assert_int_equal(h.commits[2].tree.count, 2);
    assert_int_equal(tree_find(&h.commits[2].tree, "a")->size, 2);
    assert_int_equal(tree_find(&h.commits[1].tree, "a")->size, 1);
    int found = history_match(&h, 13, 1, &h.commits[1].tree);
    assert_int_equal(found, 1);
    assert_int_equal(history_match(&h, 13, 1, &h.commits[2].tree), -1);
    assert_int_equal(history_match(&h, 13, 2, &h.commits[1].tree), -1);
    history_fini(&h);
}

static void differences_are_seen(void **state)
{
    (void)state;
    tree a = {0}, b;
    char text[400];
    edit e = set("x", 5);
    tree_set(&a, &e.entry);
    e = set("w", 6);
    tree_set(&a, &e.entry);
    tree_label(&a, "kept", 3);
    b = tree_copy(&a);
    assert_true(tree_equal(&a, &b));
    assert_int_equal(version_digest(3, &a, 0), version_digest(3, &b, 0));
    tree_find(&b, "x")->mode = 1;
    assert_false(tree_equal(&a, &b));
    assert_int_not_equal(version_digest(3, &a, 0), version_digest(3, &b, 0));
    tree_difference(&a, &b, text, sizeof text);
    assert_non_null(strstr(text, "x: expected"));
    tree_remove(&b, "@3 kept");
    tree_find(&b, "x")->mode = 0;
    tree_difference(&a, &b, text, sizeof text);
    assert_string_equal(text, "@3 kept is missing");
    assert_int_not_equal(version_digest(3, &a, 0), version_digest(3, &b, 0));
    tree_fini(&a);
    tree_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_writer),
        cmocka_unit_test(several_writers),
        cmocka_unit_test(a_lost_version_is_made_anew),
        cmocka_unit_test(trees_follow_the_order_of_versions),
        cmocka_unit_test(differences_are_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
