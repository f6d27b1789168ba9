/* The tree's contract, case by case. */
#include "tree/rig.h"

static eg_view view(const char *text)
{
    return (eg_view){(const uint8_t *)text, strlen(text)};
}

static void put(eg_edit *edit, const char *key, const char *value)
{
    assert_int_equal(eg_edit_put(edit, view(key), view(value), NULL), ENGRAM_OK);
}

static void assert_get(eg_root *root, const char *key, const char *value)
{
    eg_buffer got = {0};
    engram_status status = eg_root_get(root, view(key), &got, NULL);
    assert_int_equal(status, value ? ENGRAM_OK : ENGRAM_NOT_FOUND);
    if (value) {
        assert_int_equal(got.size, strlen(value));
        assert_memory_equal(got.data, value, got.size);
    }
    eg_buffer_fini(&got);
}

static void an_empty_tree_has_nothing(void **state)
{
    (void)state;
    rig r;
    rig_init(&r, 0);
    assert_get(r.root, "a", NULL);
    eg_cursor *cursor;
    assert_int_equal(eg_cursor_open(r.root, &cursor, NULL), ENGRAM_OK);
    assert_int_equal(eg_cursor_seek(cursor, view("a"), NULL), ENGRAM_NOT_FOUND);
    assert_int_equal(eg_cursor_next(cursor, NULL), ENGRAM_NOT_FOUND);
    assert_int_equal(eg_cursor_key(cursor).size, 0);
    eg_cursor_close(&cursor);
    eg_node_ref ref = {1, 1};
    assert_int_equal(eg_root_flush(r.root, &ref, NULL), ENGRAM_OK);
    assert_int_equal(ref.size, 0);
    assert_int_equal(eg_nodes_end(r.nodes), 0);
    assert_int_equal(eg_nodes_sync(r.nodes, NULL), ENGRAM_OK);
    assert_int_equal(eg_root_dirty_size(r.root), 0);
    assert_int_equal(rig_verify(r.root).nodes, 0);
    rig_fini(&r);
}

static void edits_make_versions_and_leave_old_ones_alone(void **state)
{
    (void)state;
    rig r;
    rig_init(&r, 0);
    eg_root *empty = eg_root_retain(r.root);
    eg_edit *edit = rig_edit(&r);
    put(edit, "a", "1");
    put(edit, "b", "2");
    rig_finish(&r, &edit);
    eg_root *first = eg_root_retain(r.root);
    edit = rig_edit(&r);
    put(edit, "a", "one");
    assert_int_equal(eg_edit_remove(edit, view("b"), NULL), ENGRAM_OK);
    assert_int_equal(eg_edit_remove(edit, view("b"), NULL), ENGRAM_NOT_FOUND);
    put(edit, "c", "");
    rig_finish(&r, &edit);
    assert_get(empty, "a", NULL);
    assert_get(first, "a", "1");
    assert_get(first, "b", "2");
    assert_get(first, "c", NULL);
    assert_get(r.root, "a", "one");
    assert_get(r.root, "b", NULL);
    assert_get(r.root, "c", "");
    eg_root_release(first);
    eg_root_release(empty);
    rig_fini(&r);
}

static void an_edit_sees_itself_and_can_be_aborted(void **state)
{
    (void)state;
    rig r;
    rig_init(&r, 0);
    eg_edit *edit = rig_edit(&r);
    put(edit, "a", "1");
    eg_buffer value = {0};
    assert_int_equal(eg_edit_get(edit, view("a"), &value, NULL), ENGRAM_OK);
    assert_int_equal(value.size, 1);
    assert_int_equal(eg_edit_get(edit, view("b"), &value, NULL), ENGRAM_NOT_FOUND);
    eg_buffer_fini(&value);
    eg_cursor *cursor;
    assert_int_equal(eg_cursor_open_edit(edit, &cursor, NULL), ENGRAM_OK);
    assert_int_equal(eg_cursor_seek(cursor, view("0"), NULL), ENGRAM_OK);
    assert_int_equal(eg_cursor_key(cursor).data[0], 'a');
    assert_int_equal(eg_cursor_next(cursor, NULL), ENGRAM_NOT_FOUND);
    eg_cursor_close(&cursor);
    eg_edit_abort(&edit);
    assert_null(edit);
    eg_edit_abort(&edit);
    assert_get(r.root, "a", NULL);
    rig_fini(&r);
}

static void impossible_sizes_are_refused_and_break_nothing(void **state)
{
    (void)state;
    rig r;
    rig_init(&r, 0);
    static uint8_t bytes[EG_TREE_VALUE_MAX + 1];
    eg_edit *edit = rig_edit(&r);
    engram_error error = {0};
    eg_view none = {bytes, 0}, key = {bytes, 1}, long_key = {bytes, EG_TREE_KEY_MAX + 1};
    assert_int_equal(eg_edit_put(edit, none, none, &error), ENGRAM_INVALID);
    assert_true(strlen(error.message) > 0);
    assert_int_equal(eg_edit_put(edit, long_key, none, NULL), ENGRAM_INVALID);
    assert_int_equal(eg_edit_put(edit, key, (eg_view){bytes, sizeof bytes}, NULL), ENGRAM_INVALID);
    assert_int_equal(eg_edit_remove(edit, long_key, NULL), ENGRAM_INVALID);
    eg_buffer value = {0};
    assert_int_equal(eg_root_get(r.root, none, &value, NULL), ENGRAM_INVALID);
    put(edit, "a", "1");
    rig_finish(&r, &edit);
    assert_get(r.root, "a", "1");
    rig_fini(&r);
}

static const size_t key_sizes[] = {1, 2, 3, 4, 5, 7, 8, 9, 255, 256, 1023, 1024};
static const size_t value_sizes[] = {0, 1, 63, 64, 4000, 8000, 16000, 16384, 65535, 65536, 131072};
enum { KEY_SIZES = sizeof key_sizes / sizeof *key_sizes };
enum { VALUE_SIZES = sizeof value_sizes / sizeof *value_sizes };

static void check_extremes(rig *r, const uint8_t *bytes)
{
    eg_buffer value = {0};
    for (size_t k = 0; k < KEY_SIZES; k++) {
        for (size_t v = 0; v < VALUE_SIZES; v++) {
            uint8_t key[EG_TREE_KEY_MAX];
            memset(key, 'a' + (int)v, sizeof key);
            assert_int_equal(eg_root_get(r->root, (eg_view){key, key_sizes[k]}, &value, NULL),
                             ENGRAM_OK);
            assert_int_equal(value.size, value_sizes[v]);
            if (value.size)
                assert_memory_equal(value.data, bytes + k, value.size);
        }
    }
    eg_buffer_fini(&value);
    assert_int_equal(rig_verify(r->root).entries, KEY_SIZES * VALUE_SIZES);
}

/* Every size of key with every size of value, in an order that puts large cells between small ones.
 */
static void extreme_sizes_are_kept(void **state)
{
    (void)state;
    rig r;
    rig_init(&r, 0);
    uint8_t *bytes = malloc(EG_TREE_VALUE_MAX + KEY_SIZES), key[EG_TREE_KEY_MAX];
    uint64_t random = 1;
    for (size_t i = 0; i < EG_TREE_VALUE_MAX + KEY_SIZES; i++)
        bytes[i] = (uint8_t)rig_random(&random);
    eg_edit *edit = rig_edit(&r);
    for (size_t i = 0; i < KEY_SIZES * VALUE_SIZES; i++) {
        size_t j = i * 53 % (KEY_SIZES * VALUE_SIZES), k = j % KEY_SIZES, v = j / KEY_SIZES;
        memset(key, 'a' + (int)v, sizeof key);
        assert_int_equal(eg_edit_put(edit, (eg_view){key, key_sizes[k]},
                                     (eg_view){bytes + k, value_sizes[v]}, NULL),
                         ENGRAM_OK);
    }
    rig_finish(&r, &edit);
    check_extremes(&r, bytes);
    rig_reopen(&r);
    check_extremes(&r, bytes);
    free(bytes);
    rig_fini(&r);
}

static void flushing_appends_only_what_is_new(void **state)
{
    (void)state;
    rig r;
    rig_model model;
    rig_init(&r, 0);
    rig_model_init(&model, 5000, RIG_KEYS_PLAIN, 80, 1);
    eg_edit *edit = rig_edit(&r);
    for (size_t i = 0; i < model.key_count; i++)
        rig_put(edit, &model, i, 1 + (uint32_t)i);
    rig_finish(&r, &edit);
    uint64_t dirty = eg_root_dirty_size(r.root);
    assert_in_range(dirty, 300000, 1200000);
    eg_node_ref ref, again;
    assert_int_equal(eg_root_flush(r.root, &ref, NULL), ENGRAM_OK);
    uint64_t end = eg_nodes_end(r.nodes);
    assert_int_equal(eg_root_dirty_size(r.root), 0);
    assert_int_equal(eg_root_flush(r.root, &again, NULL), ENGRAM_OK);
    assert_int_equal(again.address, ref.address);
    assert_int_equal(eg_nodes_end(r.nodes), end);
    edit = rig_edit(&r);
    rig_put(edit, &model, 17, 999999);
    rig_finish(&r, &edit);
    assert_in_range(eg_root_dirty_size(r.root), 1, 60000);
    rig_clean(&r);
    assert_in_range(eg_nodes_end(r.nodes) - end, 1, 40000);
    rig_check(r.root, &model, model.stamps);
    rig_model_fini(&model);
    rig_fini(&r);
}

/* Many small edits of the same place: what they replace does not count. */
static void dirty_size_does_not_count_what_was_replaced(void **state)
{
    (void)state;
    rig r;
    rig_init(&r, 0);
    for (int i = 0; i < 2000; i++) {
        eg_edit *edit = rig_edit(&r);
        put(edit, "a", i & 1 ? "odd" : "even, and longer");
        rig_finish(&r, &edit);
    }
    assert_in_range(eg_root_dirty_size(r.root), 1, 20000);
    rig_fini(&r);
}

static void what_a_checkpoint_does_not_vouch_for_is_cut(void **state)
{
    (void)state;
    rig r;
    rig_init(&r, 0);
    eg_edit *edit = rig_edit(&r);
    put(edit, "a", "1");
    rig_finish(&r, &edit);
    eg_node_ref ref, lost;
    assert_int_equal(eg_root_flush(r.root, &ref, NULL), ENGRAM_OK);
    uint64_t end = eg_nodes_end(r.nodes);
    edit = rig_edit(&r);
    put(edit, "a", "2");
    rig_finish(&r, &edit);
    assert_int_equal(eg_root_flush(r.root, &lost, NULL), ENGRAM_OK);
    rig_close(&r);
    rig_open(&r, end, ref);
    assert_int_equal(eg_nodes_end(r.nodes), end);
    char path[600];
    uint64_t size, disk_size;
    snprintf(path, sizeof path, "%s/00000001.nodes", r.dir.path);
    assert_int_equal(r.io->stat(r.io, path, &size, &disk_size, NULL), ENGRAM_OK);
    assert_int_equal(size, end);
    assert_get(r.root, "a", "1");
    eg_root *beyond;
    eg_buffer value = {0};
    assert_int_equal(eg_root_open(r.nodes, lost, &beyond, NULL), ENGRAM_OK);
    assert_int_equal(eg_root_get(beyond, view("a"), &value, NULL), ENGRAM_DAMAGED);
    eg_root_release(beyond);
    rig_fini(&r);
}

static void read_only_edits_in_memory_and_never_writes(void **state)
{
    (void)state;
    rig r;
    rig_init(&r, 0);
    eg_edit *edit = rig_edit(&r);
    put(edit, "a", "1");
    rig_finish(&r, &edit);
    eg_node_ref ref;
    assert_int_equal(eg_root_flush(r.root, &ref, NULL), ENGRAM_OK);
    eg_nodes_options options = {.read_only = true, .end = eg_nodes_end(r.nodes)};
    rig_close(&r);
    assert_int_equal(eg_nodes_open(r.io, r.dir.path, &options, &r.nodes, NULL), ENGRAM_OK);
    assert_int_equal(eg_root_open(r.nodes, ref, &r.root, NULL), ENGRAM_OK);
    edit = rig_edit(&r);
    put(edit, "b", "2");
    rig_finish(&r, &edit);
    assert_get(r.root, "a", "1");
    assert_get(r.root, "b", "2");
    assert_int_equal(eg_root_flush(r.root, &ref, NULL), ENGRAM_INVALID);
    assert_int_equal(eg_nodes_sync(r.nodes, NULL), ENGRAM_OK);
    assert_int_equal(eg_nodes_end(r.nodes), options.end);
    rig_fini(&r);
}

static void read_only_without_a_file_is_the_empty_tree(void **state)
{
    (void)state;
    rig r;
    rig_init(&r, 0);
    rig_close(&r);
    eg_nodes_options options = {.read_only = true};
    assert_int_equal(eg_nodes_open(r.io, r.dir.path, &options, &r.nodes, NULL), ENGRAM_OK);
    assert_int_equal(eg_root_open(r.nodes, (eg_node_ref){0, 0}, &r.root, NULL), ENGRAM_OK);
    assert_get(r.root, "a", NULL);
    rig_close(&r);
    options.end = 4096;
    engram_error error = {0};
    assert_int_equal(eg_nodes_open(r.io, r.dir.path, &options, &r.nodes, &error), ENGRAM_DAMAGED);
    assert_non_null(strstr(error.message, "missing"));
    rig_fini(&r);
}

static void cursors_seek_between_keys_and_outlive_the_root(void **state)
{
    (void)state;
    rig r;
    rig_model model;
    rig_init(&r, 1); /* nothing stays in the cache */
    rig_model_init(&model, 3000, RIG_KEYS_PLAIN, 80, 1);
    eg_edit *edit = rig_edit(&r);
    for (size_t i = 0; i < model.key_count; i += 2)
        rig_put(edit, &model, i, 1 + (uint32_t)i);
    rig_finish(&r, &edit);
    rig_clean(&r);
    eg_cursor *cursor;
    assert_int_equal(eg_cursor_open(r.root, &cursor, NULL), ENGRAM_OK);
    eg_root_release(r.root);
    r.root = NULL;
    for (size_t i = 0; i + 1 < model.key_count; i += 97) {
        assert_int_equal(eg_cursor_seek(cursor, model.keys[i], NULL), ENGRAM_OK);
        eg_view key = eg_cursor_key(cursor), want = model.keys[i + i % 2];
        assert_memory_equal(key.data, want.data, want.size);
    }
    assert_int_equal(eg_cursor_seek(cursor, view("zzz"), NULL), ENGRAM_NOT_FOUND);
    assert_int_equal(eg_cursor_seek(cursor, view("a"), NULL), ENGRAM_OK);
    eg_cursor_close(&cursor);
    rig_model_fini(&model);
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_tree_has_nothing),
        cmocka_unit_test(edits_make_versions_and_leave_old_ones_alone),
        cmocka_unit_test(an_edit_sees_itself_and_can_be_aborted),
        cmocka_unit_test(impossible_sizes_are_refused_and_break_nothing),
        cmocka_unit_test(extreme_sizes_are_kept),
        cmocka_unit_test(flushing_appends_only_what_is_new),
        cmocka_unit_test(dirty_size_does_not_count_what_was_replaced),
        cmocka_unit_test(what_a_checkpoint_does_not_vouch_for_is_cut),
        cmocka_unit_test(read_only_edits_in_memory_and_never_writes),
        cmocka_unit_test(read_only_without_a_file_is_the_empty_tree),
        cmocka_unit_test(cursors_seek_between_keys_and_outlive_the_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
