/* Random operations against the model, with old versions kept, flushes, reopening, and a cache that
 * is too small. */
#include "tree/rig.h"

enum { OPERATIONS = 240000 / TEST_STRIDE, BATCH_MAX = 800, KEYS = 9000, KEPT_MAX = 6 };

typedef struct kept {
    eg_root *root;
    uint32_t *stamps;
} kept;

typedef struct play {
    rig r;
    rig_model model;
    uint64_t random;
    uint32_t stamp;
    kept kept[KEPT_MAX];
    size_t kept_count, operations;
} play;

static size_t below(play *p, size_t limit)
{
    return (size_t)(rig_random(&p->random) % limit);
}

static void check_edit_get(play *p, eg_edit *edit, size_t rank)
{
    eg_buffer value = {0};
    engram_status status = eg_edit_get(edit, p->model.keys[rank], &value, NULL);
    assert_int_equal(status, p->model.stamps[rank] ? ENGRAM_OK : ENGRAM_NOT_FOUND);
    if (status == ENGRAM_OK) {
        eg_view want = rig_value(&p->model, p->model.stamps[rank]);
        assert_int_equal(value.size, want.size);
        if (want.size)
            assert_memory_equal(value.data, want.data, want.size);
    }
    eg_buffer_fini(&value);
}

static void check_edit_walk(play *p, eg_edit *edit, size_t rank, size_t steps)
{
    eg_cursor *cursor;
    assert_int_equal(eg_cursor_open_edit(edit, &cursor, NULL), ENGRAM_OK);
    engram_status status = eg_cursor_seek(cursor, p->model.keys[rank], NULL);
    for (; steps > 0 && status == ENGRAM_OK; steps--) {
        while (!p->model.stamps[rank])
            rank++;
        eg_view key = eg_cursor_key(cursor);
        assert_int_equal(key.size, p->model.keys[rank].size);
        assert_memory_equal(key.data, p->model.keys[rank].data, key.size);
        status = eg_cursor_next(cursor, NULL);
        rank++;
    }
    for (; steps > 0 && rank < p->model.key_count; rank++)
        assert_int_equal(p->model.stamps[rank], 0);
    eg_cursor_close(&cursor);
}

static void one_operation(play *p, eg_edit *edit, size_t rank, unsigned removals)
{
    size_t dice = below(p, 100);
    if (dice < removals)
        rig_remove(edit, &p->model, rank);
    else if (dice < 80)
        rig_put(edit, &p->model, rank, ++p->stamp);
    else if (dice < 95)
        check_edit_get(p, edit, rank);
    else
        check_edit_walk(p, edit, rank, below(p, 40));
    p->operations++;
}

static void change(play *p, eg_edit *edit)
{
    size_t count = 1 + below(p, BATCH_MAX), at = below(p, p->model.key_count);
    size_t way = below(p, 5);
    unsigned removals = below(p, 6) == 0 ? 75 : 28; /* now and then it shrinks */
    for (size_t i = 0; i < count; i++) {
        size_t step = way == 0 ? 1 : way == 1 ? p->model.key_count - 1 : 0;
        at = step ? (at + step) % p->model.key_count : below(p, p->model.key_count);
        one_operation(p, edit, at, removals);
    }
}

static void drop_kept(play *p, size_t index)
{
    rig_check(p->kept[index].root, &p->model, p->kept[index].stamps);
    eg_root_release(p->kept[index].root);
    free(p->kept[index].stamps);
    p->kept[index] = p->kept[--p->kept_count];
}

static void keep(play *p)
{
    if (p->kept_count == KEPT_MAX)
        drop_kept(p, below(p, KEPT_MAX));
    p->kept[p->kept_count++] = (kept){eg_root_retain(p->r.root), rig_model_snapshot(&p->model)};
}

/* What changed since a kept version, and back; shared nodes in memory, stored, and both. */
static void compare_kept(play *p)
{
    for (size_t i = 0; i < p->kept_count; i++) {
        kept *k = &p->kept[i];
        rig_check_diff(&p->model, k->root, k->stamps, p->r.root, p->model.stamps);
        rig_check_diff(&p->model, p->r.root, p->model.stamps, k->root, k->stamps);
    }
}

/* The root goes on as it is: its next edits let go of what was stored. */
static void checkpoint(play *p)
{
    eg_node_ref ref;
    assert_int_equal(eg_root_flush(p->r.root, &ref, NULL), ENGRAM_OK);
    assert_int_equal(eg_nodes_sync(p->r.nodes, NULL), ENGRAM_OK);
    assert_int_equal(eg_nodes_end(p->r.nodes) > 0, ref.size > 0);
}

/* A kept version in memory is exchanged for what is stored of it. */
static void flush_kept(play *p)
{
    if (p->kept_count == 0)
        return;
    kept *k = &p->kept[below(p, p->kept_count)];
    eg_node_ref ref;
    assert_int_equal(eg_root_flush(k->root, &ref, NULL), ENGRAM_OK);
    eg_root_release(k->root);
    assert_int_equal(eg_root_open(p->r.nodes, ref, &k->root, NULL), ENGRAM_OK);
}

static void reopen(play *p)
{
    eg_node_ref refs[KEPT_MAX];
    for (size_t i = 0; i < p->kept_count; i++) {
        assert_int_equal(eg_root_flush(p->kept[i].root, &refs[i], NULL), ENGRAM_OK);
        eg_root_release(p->kept[i].root);
    }
    rig_reopen(&p->r);
    for (size_t i = 0; i < p->kept_count; i++)
        assert_int_equal(eg_root_open(p->r.nodes, refs[i], &p->kept[i].root, NULL), ENGRAM_OK);
}

static void batch(play *p)
{
    eg_edit *edit = rig_edit(&p->r);
    bool abort = below(p, 10) == 0;
    uint32_t *before = abort ? rig_model_snapshot(&p->model) : NULL;
    change(p, edit);
    if (abort) {
        eg_edit_abort(&edit);
        memcpy(p->model.stamps, before, p->model.key_count * sizeof *before);
        free(before);
    } else {
        rig_finish(&p->r, &edit);
    }
    rig_check(p->r.root, &p->model, p->model.stamps);
    for (int i = 0; i < 20; i++)
        rig_check_get(p->r.root, &p->model, p->model.stamps, below(p, p->model.key_count));
    switch (below(p, 12)) {
    case 0:
        reopen(p);
        break;
    case 1:
    case 2:
        rig_clean(&p->r);
        break;
    case 3:
        flush_kept(p);
        break;
    case 6:
    case 7:
        checkpoint(p);
        break;
    case 8:
        compare_kept(p);
        break;
    case 4:
    case 5:
        keep(p);
        break;
    default:
        break;
    }
}

static void random_operations_agree_with_the_model(void **state)
{
    (void)state;
    play p = {.random = rig_seed(0x7EE5)};
    rig_init(&p.r, 48 << 10);
    rig_model_init(&p.model, KEYS, RIG_KEYS_MIXED, 30000, p.random);
    while (p.operations < OPERATIONS)
        batch(&p);
    while (p.kept_count > 0)
        drop_kept(&p, 0);
    rig_model_fini(&p.model);
    rig_fini(&p.r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations_agree_with_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
