/* The memory of nodes that edits made: it is counted, and it returns once the nodes are safe on
 * disk. */
#include <errno.h>
#include <unistd.h>

#include "fault/faulty_io.h"
#include "tree/rig.h"

enum { KEYS = 30000 };

/* Much more than one path from the top to a leaf needs, much less than the tree. */
static const uint64_t path_memory = 100 << 10;

static void fill(rig *r, rig_model *model)
{
    eg_edit *edit = rig_edit(r);
    for (size_t i = 0; i < model->key_count; i++)
        rig_put(edit, model, i, 1 + (uint32_t)i);
    rig_finish(r, &edit);
}

static void change_one(rig *r, rig_model *model, size_t rank, uint32_t stamp)
{
    eg_edit *edit = rig_edit(r);
    rig_put(edit, model, rank, stamp);
    rig_finish(r, &edit);
}

static void setup(rig *r, rig_model *model)
{
    rig_init(r, 8 << 20);
    rig_model_init(model, KEYS, RIG_KEYS_PLAIN, 400, 11);
    fill(r, model);
}

static void finish(rig *r, rig_model *model)
{
    rig_check(r->root, model, model->stamps);
    eg_root_release(r->root);
    r->root = NULL;
    assert_int_equal(eg_nodes_made_size(r->nodes), 0);
    assert_int_equal(eg_nodes_unwritten_size(r->nodes), 0);
    rig_model_fini(model);
    rig_fini(r);
}

static void counts_follow_the_nodes(void **state)
{
    (void)state;
    rig r;
    rig_model model;
    rig_init(&r, 8 << 20);
    rig_model_init(&model, KEYS, RIG_KEYS_PLAIN, 400, 11);
    eg_edit *edit = rig_edit(&r);
    assert_int_equal(eg_nodes_made_size(r.nodes), 0);
    assert_int_equal(eg_edit_put(edit, model.keys[0], rig_value(&model, 5), NULL), ENGRAM_OK);
    uint64_t one = eg_nodes_made_size(r.nodes);
    assert_in_range(one, 1, 2048);
    for (size_t i = 1; i < 60; i++) /* one leaf grows */
        assert_int_equal(eg_edit_put(edit, model.keys[i], rig_value(&model, 5), NULL), ENGRAM_OK);
    assert_in_range(eg_nodes_made_size(r.nodes), one + 1024, 10 << 10);
    eg_edit_abort(&edit);
    assert_int_equal(eg_nodes_made_size(r.nodes), 0);
    fill(&r, &model);
    uint64_t all = eg_nodes_made_size(r.nodes), need = rig_verify(r.root).bytes;
    assert_in_range(all, need, need * 2);
    assert_int_equal(eg_nodes_unwritten_size(r.nodes), all);
    eg_node_ref ref;
    assert_int_equal(eg_root_flush(r.root, &ref, NULL), ENGRAM_OK);
    assert_int_equal(eg_nodes_unwritten_size(r.nodes), 0);
    assert_int_equal(eg_nodes_made_size(r.nodes), all);
    finish(&r, &model);
}

static void flush_and_sync(rig *r, eg_root *root)
{
    eg_node_ref ref;
    assert_int_equal(eg_root_flush(root, &ref, NULL), ENGRAM_OK);
    assert_int_equal(eg_nodes_sync(r->nodes, NULL), ENGRAM_OK);
}

static void an_edit_lets_go_of_what_was_flushed(void **state)
{
    (void)state;
    rig r;
    rig_model model;
    setup(&r, &model);
    assert_true(eg_nodes_made_size(r.nodes) > 10 * path_memory);
    flush_and_sync(&r, r.root);
    change_one(&r, &model, KEYS / 2, 77);
    assert_in_range(eg_nodes_made_size(r.nodes), 1, path_memory);
    assert_int_equal(eg_nodes_unwritten_size(r.nodes), eg_nodes_made_size(r.nodes));
    finish(&r, &model);
}

/* The newest version shares nodes with the one that is flushed beside it. */
static void a_flush_of_an_older_root(void **state)
{
    (void)state;
    rig r;
    rig_model model;
    setup(&r, &model);
    eg_root *older = eg_root_retain(r.root);
    for (size_t i = 0; i < KEYS; i += KEYS / 50)
        change_one(&r, &model, i, 1000 + (uint32_t)i);
    uint64_t changed = eg_nodes_unwritten_size(r.nodes);
    flush_and_sync(&r, older);
    assert_in_range(eg_nodes_unwritten_size(r.nodes), 1, changed / 4);
    eg_root_release(older);
    change_one(&r, &model, 3, 78);
    flush_and_sync(&r, r.root);
    assert_int_equal(eg_nodes_unwritten_size(r.nodes), 0);
    change_one(&r, &model, 4, 79);
    assert_in_range(eg_nodes_made_size(r.nodes), 1, path_memory);
    rig_check(r.root, &model, model.stamps);
    /* Removing joins neighbours, whose children are stored. */
    eg_edit *edit = rig_edit(&r);
    for (size_t i = KEYS / 4; i < KEYS - 10; i++)
        rig_remove(edit, &model, i);
    rig_finish(&r, &edit);
    finish(&r, &model);
}

/* After a failed sync, what was written may be gone: it must still be in memory. */
static void what_is_not_durable_is_kept(void **state)
{
    (void)state;
    rig r;
    rig_model model;
    eg_faulty *faulty;
    eg_node_ref ref;
    assert_int_equal(eg_faulty_create(eg_io_posix(), &faulty), ENGRAM_OK);
    rig_init(&r, 16 << 10);
    rig_close(&r);
    r.io = eg_faulty_io(faulty);
    rig_open(&r, 0, (eg_node_ref){0, 0});
    rig_model_init(&model, KEYS, RIG_KEYS_PLAIN, 400, 11);
    fill(&r, &model);
    uint64_t all = eg_nodes_made_size(r.nodes);
    assert_int_equal(eg_root_flush(r.root, &ref, NULL), ENGRAM_OK);
    eg_faulty_fail_at(faulty, EG_FAULTY_SYNC, 1, EIO, EG_FAULTY_ONCE);
    assert_int_equal(eg_nodes_sync(r.nodes, NULL), ENGRAM_IO);
    char path[600];
    snprintf(path, sizeof path, "%s/00000001.nodes", r.dir.path);
    assert_int_equal(truncate(path, 64), 0);
    change_one(&r, &model, KEYS / 2, 77);
    assert_in_range(eg_nodes_made_size(r.nodes), all - path_memory, all + path_memory);
    finish(&r, &model);
    eg_faulty_free(faulty);
}

/* A flush that fails in the middle has given addresses to nodes that it never wrote. False: it has
 * fewer than n writes. */
static bool fail_write(uint64_t n)
{
    rig r;
    rig_model model;
    eg_faulty *faulty;
    eg_node_ref ref;
    assert_int_equal(eg_faulty_create(eg_io_posix(), &faulty), ENGRAM_OK);
    rig_init(&r, 16 << 10);
    rig_close(&r);
    r.io = eg_faulty_io(faulty);
    rig_open(&r, 0, (eg_node_ref){0, 0});
    rig_model_init(&model, KEYS, RIG_KEYS_PLAIN, 60000, 11);
    fill(&r, &model);
    eg_faulty_fail_at(faulty, EG_FAULTY_WRITE, n, EIO, EG_FAULTY_ONCE | EG_FAULTY_SHORT);
    engram_status status = eg_root_flush(r.root, &ref, NULL);
    bool failed = eg_faulty_hits(faulty) == 1;
    assert_int_equal(status, failed ? ENGRAM_IO : ENGRAM_OK);
    assert_int_equal(eg_nodes_unwritten_size(r.nodes) > 0, failed);
    for (size_t i = 0; i < KEYS; i += KEYS / 20)
        change_one(&r, &model, i, 1000 + (uint32_t)i);
    finish(&r, &model);
    eg_faulty_free(faulty);
    return failed;
}

static void a_failed_flush_lets_go_of_nothing_unwritten(void **state)
{
    (void)state;
    uint64_t n = 1;
    while (fail_write(n))
        n++;
    assert_in_range(n, 3, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_follow_the_nodes),
        cmocka_unit_test(an_edit_lets_go_of_what_was_flushed),
        cmocka_unit_test(a_flush_of_an_older_root),
        cmocka_unit_test(what_is_not_durable_is_kept),
        cmocka_unit_test(a_failed_flush_lets_go_of_nothing_unwritten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
