/* Disks that refuse and memory that runs out, at every call in turn: the failed edit or flush is
 * gone, what was there before is whole. */
#include <errno.h>

#include "base/memory.h"
#include "fault/faulty_io.h"
#include "tree/rig.h"

enum { KEYS = 1500 };

static void fill(rig *r, rig_model *model)
{
    eg_edit *edit = rig_edit(r);
    for (size_t i = 0; i < model->key_count; i += 2)
        rig_put(edit, model, i, 1 + (uint32_t)i);
    rig_finish(r, &edit);
    rig_reopen(r);
}

/* Puts that split, removes that join. stamps is the version that the edit leads to. */
static engram_status make_version(eg_root *root, rig_model *model, uint32_t *stamps, eg_root **next)
{
    eg_edit *edit;
    EG_TRY(eg_edit_begin(root, &edit, NULL));
    engram_status status = ENGRAM_OK;
    memcpy(stamps, model->stamps, model->key_count * sizeof *stamps);
    for (size_t i = 0; i < model->key_count && status == ENGRAM_OK; i++) {
        size_t third = i * 3 / model->key_count;
        if (third == 1 && !stamps[i])
            continue;
        stamps[i] = third == 1 ? 0 : 70000 + (uint32_t)i;
        status = third == 1 ? eg_edit_remove(edit, model->keys[i], NULL)
                            : eg_edit_put(edit, model->keys[i], rig_value(model, stamps[i]), NULL);
    }
    if (status == ENGRAM_OK)
        return eg_edit_finish(&edit, next, NULL);
    eg_edit_abort(&edit);
    return status;
}

static engram_status change_and_flush(rig *r, rig_model *model, uint32_t *stamps, eg_root **next,
                                      eg_node_ref *ref)
{
    EG_TRY(make_version(r->root, model, stamps, next));
    EG_TRY(eg_root_flush(*next, ref, NULL));
    return eg_nodes_sync(r->nodes, NULL);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    rig r;
    rig_model model;
    rig_init(&r, 32 << 10);
    rig_model_init(&model, KEYS, RIG_KEYS_MIXED, 20000, 7);
    fill(&r, &model);
    uint32_t *stamps = rig_model_snapshot(&model);
    long n = 1, failures = 0;
    for (bool reached = true; reached; n += n < 400 ? 1 : 7) {
        eg_root *next = NULL;
        eg_node_ref ref;
        eg_alloc_fail_at(n, false);
        engram_status status = change_and_flush(&r, &model, stamps, &next, &ref);
        reached = eg_alloc_count() >= n;
        eg_alloc_fail_at(0, false);
        assert_true(status == ENGRAM_OK || status == ENGRAM_NO_MEMORY);
        failures += status == ENGRAM_NO_MEMORY;
        if (next) { /* memory is not the disk: flushing again is fine */
            assert_int_equal(eg_root_flush(next, &ref, NULL), ENGRAM_OK);
            rig_check(next, &model, stamps);
            eg_root_release(next);
            assert_int_equal(eg_root_open(r.nodes, ref, &next, NULL), ENGRAM_OK);
            rig_check(next, &model, stamps);
            eg_root_release(next);
        }
        rig_check(r.root, &model, model.stamps);
    }
    printf("%ld allocations, %ld failures seen\n", n, failures);
    assert_true(failures > 100);
    free(stamps);
    rig_model_fini(&model);
    rig_fini(&r);
}

static void opening_and_reading_without_memory(void **state)
{
    (void)state;
    rig r;
    rig_model model;
    rig_init(&r, 32 << 10);
    rig_model_init(&model, KEYS, RIG_KEYS_MIXED, 20000, 7);
    fill(&r, &model);
    eg_node_ref ref;
    assert_int_equal(eg_root_flush(r.root, &ref, NULL), ENGRAM_OK);
    eg_nodes_options options = {.read_only = true, .end = eg_nodes_end(r.nodes)};
    engram_status status = ENGRAM_NO_MEMORY;
    for (long n = 1; status != ENGRAM_OK; n++) {
        eg_nodes *nodes = NULL;
        eg_root *root = NULL;
        eg_cursor *cursor = NULL;
        eg_alloc_fail_at(n, false);
        status = eg_nodes_open(r.io, r.dir.path, &options, &nodes, NULL);
        if (status == ENGRAM_OK)
            status = eg_root_open(nodes, ref, &root, NULL);
        if (status == ENGRAM_OK)
            status = eg_cursor_open(root, &cursor, NULL);
        if (status == ENGRAM_OK)
            status = eg_cursor_seek(cursor, model.keys[0], NULL);
        eg_alloc_fail_at(0, false);
        assert_true(status == ENGRAM_OK || status == ENGRAM_NO_MEMORY);
        eg_cursor_close(&cursor);
        eg_root_release(root);
        eg_nodes_close(&nodes);
    }
    rig_model_fini(&model);
    rig_fini(&r);
}

/* All that one does with a node file, on an unreliable disk. *end and *ref follow what is durable.
 */
static engram_status work(rig *r, eg_io *io, rig_model *model, uint32_t *stamps, uint64_t *end,
                          eg_node_ref *ref)
{
    eg_nodes_options options = {.end = *end, .cache_size = 32 << 10};
    eg_nodes *nodes = NULL;
    eg_root *root = NULL, *next = NULL;
    eg_node_ref new_ref;
    engram_status status;
    EG_TRY(eg_nodes_open(io, r->dir.path, &options, &nodes, NULL));
    EG_TRY_DONE(eg_root_open(nodes, *ref, &root, NULL));
    EG_TRY_DONE(make_version(root, model, stamps, &next));
    EG_TRY_DONE(eg_root_flush(next, &new_ref, NULL));
    EG_TRY_DONE(eg_nodes_sync(nodes, NULL));
    *end = eg_nodes_end(nodes);
    *ref = new_ref;
done:
    if (status != ENGRAM_OK && next) { /* what is in memory can still be read */
        rig_check_get(next, model, stamps, 0);
        assert_int_equal(eg_nodes_end(nodes) >= *end, true);
    }
    eg_root_release(next);
    eg_root_release(root);
    eg_nodes_close(&nodes);
    return status;
}

static void fail_every_call(unsigned how, int os_error, bool from_nothing)
{
    rig r;
    rig_model model;
    eg_faulty *faulty;
    rig_init(&r, 32 << 10);
    rig_model_init(&model, KEYS, RIG_KEYS_MIXED, 20000, 7);
    assert_int_equal(eg_faulty_create(eg_io_posix(), &faulty), ENGRAM_OK);
    eg_node_ref ref = {0, 0};
    if (!from_nothing) {
        fill(&r, &model);
        assert_int_equal(eg_root_flush(r.root, &ref, NULL), ENGRAM_OK);
    }
    uint64_t end = eg_nodes_end(r.nodes), failures = 0;
    rig_close(&r);
    uint32_t *stamps = rig_model_snapshot(&model);
    for (uint64_t n = 1;; n++) {
        eg_faulty_fail_at(faulty, EG_FAULTY_ANY, n, os_error, how);
        engram_status status = work(&r, eg_faulty_io(faulty), &model, stamps, &end, &ref);
        if (eg_faulty_hits(faulty) == 0) {
            assert_int_equal(status, ENGRAM_OK);
            break;
        }
        failures++;
        assert_int_equal(status, os_error == ENOSPC ? ENGRAM_NO_SPACE : ENGRAM_IO);
        rig_open(&r, end, ref);
        rig_check(r.root, &model, model.stamps);
        rig_close(&r);
    }
    rig_open(&r, end, ref);
    rig_check(r.root, &model, stamps);
    printf("%d calls failed\n", (int)failures);
    assert_true(failures >= 5);
    free(stamps);
    eg_faulty_free(faulty);
    rig_model_fini(&model);
    rig_fini(&r);
}

static void every_disk_call_may_fail(void **state)
{
    (void)state;
    fail_every_call(EG_FAULTY_ONCE, EIO, false);
    fail_every_call(EG_FAULTY_FOREVER | EG_FAULTY_SHORT, EIO, false);
    fail_every_call(EG_FAULTY_ONCE | EG_FAULTY_SHORT, ENOSPC, false);
    fail_every_call(EG_FAULTY_ONCE, EIO, true);
}

/* Later flushes must not build on nodes that were never written. */
static void a_failed_write_or_sync_is_final(void **state)
{
    (void)state;
    for (unsigned kind = EG_FAULTY_WRITE; kind <= EG_FAULTY_SYNC; kind <<= 1) {
        rig r;
        eg_faulty *faulty;
        engram_error error = {0};
        eg_node_ref ref;
        assert_int_equal(eg_faulty_create(eg_io_posix(), &faulty), ENGRAM_OK);
        rig_init(&r, 0);
        rig_close(&r);
        r.io = eg_faulty_io(faulty);
        rig_open(&r, 0, (eg_node_ref){0, 0});
        eg_edit *edit = rig_edit(&r);
        eg_view key = {(const uint8_t *)"key", 3};
        assert_int_equal(eg_edit_put(edit, key, key, NULL), ENGRAM_OK);
        rig_finish(&r, &edit);
        eg_faulty_fail_at(faulty, kind, 1, EIO, EG_FAULTY_ONCE);
        engram_status status = eg_root_flush(r.root, &ref, NULL);
        if (status == ENGRAM_OK)
            status = eg_nodes_sync(r.nodes, NULL);
        assert_int_equal(status, ENGRAM_IO);
        assert_int_equal(eg_root_flush(r.root, &ref, &error), ENGRAM_IO);
        assert_non_null(strstr(error.message, "earlier"));
        assert_int_equal(eg_nodes_sync(r.nodes, NULL), ENGRAM_IO);
        eg_buffer value = {0};
        assert_int_equal(eg_root_get(r.root, key, &value, NULL), ENGRAM_OK);
        eg_buffer_fini(&value);
        rig_fini(&r);
        eg_faulty_free(faulty);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(opening_and_reading_without_memory),
        cmocka_unit_test(every_disk_call_may_fail),
        cmocka_unit_test(a_failed_write_or_sync_is_final),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
