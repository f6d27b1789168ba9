/* How full nodes are, and that trees shrink as they grew. */
#include "tree/page.h"
#include "tree/rig.h"

enum { KEYS = 40000 };

static double fill(rig *r)
{
    eg_tree_check check = rig_verify(r->root);
    return (double)check.bytes / (double)check.nodes / EG_PAGE_SIZE;
}

static uint32_t order_index(const char *order, uint32_t i, uint64_t *random)
{
    switch (order[0]) {
    case 'r': /* rising */
        return i;
    case 'f': /* falling */
        return KEYS - 1 - i;
    case 'm': /* many rising runs, in turn */
        return i % 20 * (KEYS / 20) + i / 20;
    case 'b': /* blocks of a rising run, each somewhere */
        return (i / 500 * 37 % (KEYS / 500)) * 500 + i % 500;
    default:
        return (uint32_t)(rig_random(random) % KEYS);
    }
}

static double fill_in_order(const char *order)
{
    rig r;
    rig_model model;
    uint64_t random = 5;
    rig_init(&r, 0);
    rig_model_init(&model, KEYS, RIG_KEYS_PLAIN, 80, 1);
    eg_edit *edit = rig_edit(&r);
    for (uint32_t i = 0; i < KEYS; i++) {
        rig_put(edit, &model, order_index(order, i, &random), i + 1);
        if (i % 1000 == 999) { /* runs go on over edits */
            rig_finish(&r, &edit);
            edit = rig_edit(&r);
        }
    }
    rig_finish(&r, &edit);
    double share = fill(&r);
    rig_check(r.root, &model, model.stamps);
    rig_model_fini(&model);
    rig_fini(&r);
    printf("%s: nodes are %.0f %% full\n", order, 100 * share);
    return share;
}

static void nodes_are_full_enough_in_every_order(void **state)
{
    (void)state;
    assert_true(fill_in_order("rising") > 0.9);
    assert_true(fill_in_order("falling") > 0.9);
    assert_true(fill_in_order("many runs") > 0.6);
    assert_true(fill_in_order("blocks") > 0.6);
    assert_true(fill_in_order("at random") > 0.6);
}

static void remove_in_order(const char *order, uint64_t cache_size)
{
    rig r;
    rig_model model;
    uint64_t random = 6;
    rig_init(&r, cache_size);
    rig_model_init(&model, KEYS / 2, RIG_KEYS_MIXED, 20000, 1);
    eg_edit *edit = rig_edit(&r);
    for (uint32_t i = 0; i < model.key_count; i++)
        rig_put(edit, &model, i, i + 1);
    rig_finish(&r, &edit);
    rig_clean(&r);
    size_t left = model.key_count;
    edit = rig_edit(&r);
    for (uint32_t i = 0; left > 0; i++) {
        size_t rank = (order[0] == 'r' ? i : order_index(order, i, &random)) % model.key_count;
        if (order[0] == 'f')
            rank = model.key_count - 1 - i;
        left -= model.stamps[rank] != 0;
        rig_remove(edit, &model, rank);
        if (left % 997 == 0 && left > 0) {
            rig_finish(&r, &edit);
            rig_check(r.root, &model, model.stamps);
            edit = rig_edit(&r);
        }
    }
    rig_finish(&r, &edit);
    assert_int_equal(rig_verify(r.root).nodes, 0);
    rig_reopen(&r);
    assert_int_equal(rig_verify(r.root).nodes, 0);
    rig_model_fini(&model);
    rig_fini(&r);
}

static void removing_everything_leaves_nothing(void **state)
{
    (void)state;
    remove_in_order("rising", 0);
    remove_in_order("falling", 0);
    remove_in_order("at random", 64 << 10);
}

/* One in twenty stays: nodes are joined on the way. */
static void a_thinned_tree_is_not_left_hollow(void **state)
{
    (void)state;
    rig r;
    rig_model model;
    rig_init(&r, 0);
    rig_model_init(&model, KEYS, RIG_KEYS_PLAIN, 80, 1);
    eg_edit *edit = rig_edit(&r);
    for (uint32_t i = 0; i < KEYS; i++)
        rig_put(edit, &model, i, i + 1);
    for (uint32_t i = 0; i < KEYS; i++)
        if (i % 20)
            rig_remove(edit, &model, i);
    rig_finish(&r, &edit);
    rig_check(r.root, &model, model.stamps);
    double share = fill(&r);
    printf("thinned: nodes are %.0f %% full\n", 100 * share);
    assert_true(share > 0.4);
    rig_model_fini(&model);
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_are_full_enough_in_every_order),
        cmocka_unit_test(removing_everything_leaves_nothing),
        cmocka_unit_test(a_thinned_tree_is_not_left_hollow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
