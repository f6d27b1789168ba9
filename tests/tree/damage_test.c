/* Node files that are not what was written: flipped, cut, mixed up, or made to mislead. Whatever is
 * asked then is answered rightly or is ENGRAM_DAMAGED. */
#include "tree/format.h"
#include "tree/rig.h"

typedef struct fixture {
    rig r;
    rig_model model;
    eg_node_ref ref;
    uint64_t end;
    uint8_t *bytes; /* the sound file */
    char path[600];
} fixture;

static void write_file(const fixture *f, const uint8_t *bytes, uint64_t size)
{
    FILE *file = fopen(f->path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

static void fixture_init(fixture *f, size_t keys)
{
    rig_init(&f->r, 0);
    rig_model_init(&f->model, keys, RIG_KEYS_PLAIN, 80, 1);
    snprintf(f->path, sizeof f->path, "%s/00000001.nodes", f->r.dir.path);
    eg_edit *edit = rig_edit(&f->r);
    for (size_t i = 0; i < f->model.key_count; i++)
        rig_put(edit, &f->model, i, 1 + (uint32_t)i % 3);
    rig_finish(&f->r, &edit);
    assert_int_equal(eg_root_flush(f->r.root, &f->ref, NULL), ENGRAM_OK);
    f->end = eg_nodes_end(f->r.nodes);
    rig_close(&f->r);
    f->bytes = malloc(f->end);
    FILE *file = fopen(f->path, "rb");
    assert_int_equal(fread(f->bytes, 1, f->end, file), f->end);
    fclose(file);
}

static void fixture_fini(fixture *f)
{
    free(f->bytes);
    rig_model_fini(&f->model);
    rig_fini(&f->r);
}

static void count_problem(void *context, const char *message)
{
    assert_true(strlen(message) > 0);
    ++*(size_t *)context;
}

/* Right or damaged. */
static void check_gets(fixture *f, eg_root *root)
{
    eg_buffer value = {0};
    for (size_t rank = 0; rank < f->model.key_count; rank += 50) {
        engram_status status = eg_root_get(root, f->model.keys[rank], &value, NULL);
        if (status == ENGRAM_DAMAGED)
            continue;
        assert_int_equal(status, ENGRAM_OK);
        eg_view want = rig_value(&f->model, f->model.stamps[rank]);
        assert_int_equal(value.size, want.size);
        if (want.size)
            assert_memory_equal(value.data, want.data, want.size);
    }
    eg_buffer_fini(&value);
}

static void check_walk(fixture *f, eg_root *root)
{
    eg_cursor *cursor;
    size_t rank = 0;
    assert_int_equal(eg_cursor_open(root, &cursor, NULL), ENGRAM_OK);
    engram_status status = eg_cursor_seek(cursor, f->model.keys[0], NULL);
    for (; status == ENGRAM_OK; status = eg_cursor_next(cursor, NULL), rank++) {
        assert_in_range(rank, 0, f->model.key_count - 1);
        assert_memory_equal(eg_cursor_key(cursor).data, f->model.keys[rank].data, 20);
    }
    assert_true(status == ENGRAM_DAMAGED ||
                (status == ENGRAM_NOT_FOUND && rank == f->model.key_count));
    eg_cursor_close(&cursor);
}

static void check_edit(fixture *f, eg_root *root)
{
    eg_edit *edit;
    assert_int_equal(eg_edit_begin(root, &edit, NULL), ENGRAM_OK);
    engram_status status = ENGRAM_OK;
    for (size_t rank = 0; rank < f->model.key_count && status == ENGRAM_OK; rank += 7)
        status = eg_edit_remove(edit, f->model.keys[rank], NULL);
    assert_true(status == ENGRAM_OK || status == ENGRAM_DAMAGED);
    if (status != ENGRAM_OK) {
        eg_view key = f->model.keys[0];
        eg_root *next;
        assert_int_equal(eg_edit_put(edit, key, key, NULL), ENGRAM_INVALID);
        assert_int_equal(eg_edit_finish(&edit, &next, NULL), ENGRAM_INVALID);
    }
    eg_edit_abort(&edit);
}

/* Whether the damage that is in the file is found by opening or by verify. */
static bool is_found(fixture *f, bool read_only)
{
    eg_nodes_options options = {.read_only = read_only, .end = f->end};
    engram_error error = {0};
    eg_nodes *nodes;
    engram_status status = eg_nodes_open(f->r.io, f->r.dir.path, &options, &nodes, &error);
    if (status != ENGRAM_OK) {
        assert_int_equal(status, ENGRAM_DAMAGED);
        assert_non_null(strstr(error.message, "00000001.nodes"));
        assert_null(nodes);
        return true;
    }
    eg_root *root;
    size_t problems = 0;
    eg_tree_check check = {.context = &problems, .problem = count_problem};
    assert_int_equal(eg_root_open(nodes, f->ref, &root, NULL), ENGRAM_OK);
    assert_int_equal(eg_root_verify(root, &check, &error), ENGRAM_OK);
    check_gets(f, root);
    check_walk(f, root);
    check_edit(f, root);
    eg_root_release(root);
    eg_nodes_close(&nodes);
    return problems > 0;
}

static void every_flipped_byte_is_found(void **state)
{
    (void)state;
    fixture f;
    fixture_init(&f, 600);
    assert_false(is_found(&f, true));
    for (uint64_t i = 0; i < f.end; i++)
        for (int way = 0; way < 2; way++) {
            uint8_t sound = f.bytes[i];
            f.bytes[i] ^= way ? 0xFF : (uint8_t)(1 << i % 8);
            write_file(&f, f.bytes, f.end);
            if (!is_found(&f, true))
                fail_msg("byte %d", (int)i);
            f.bytes[i] = sound;
        }
    fixture_fini(&f);
}

/* Opening already tells. */
static void assert_refused(const fixture *f)
{
    eg_nodes_options options = {.read_only = true, .end = f->end};
    eg_nodes *nodes;
    assert_int_equal(eg_nodes_open(f->r.io, f->r.dir.path, &options, &nodes, NULL), ENGRAM_DAMAGED);
}

static void every_truncation_is_found(void **state)
{
    (void)state;
    fixture f;
    fixture_init(&f, 600);
    for (uint64_t size = 0; size < f.end; size += size < 200 ? 1 : 7) {
        write_file(&f, f.bytes, size);
        assert_refused(&f);
        assert_true(is_found(&f, true));
        assert_true(is_found(&f, false)); /* and a writer does not touch it: */
        assert_true(is_found(&f, true));
    }
    write_file(&f, f.bytes, f.end);
    assert_false(is_found(&f, false));
    fixture_fini(&f);
}

/* Zeroed and exchanged 512-byte sectors, wherever they begin. */
static void lost_and_misplaced_sectors_are_found(void **state)
{
    (void)state;
    fixture f;
    fixture_init(&f, 3000);
    uint8_t *bytes = malloc(f.end);
    for (uint64_t at = 0; at + 1024 <= f.end; at += 512) {
        memcpy(bytes, f.bytes, f.end);
        memset(bytes + at, 0, 512);
        write_file(&f, bytes, f.end);
        assert_true(is_found(&f, true));
        memcpy(bytes + at, f.bytes + at + 512, 512);
        memcpy(bytes + at + 512, f.bytes + at, 512);
        write_file(&f, bytes, f.end);
        assert_true(is_found(&f, true));
    }
    free(bytes);
    fixture_fini(&f);
}

static void a_newer_format_is_refused_untouched(void **state)
{
    (void)state;
    fixture f;
    fixture_init(&f, 600);
    eg_put_u32(f.bytes + 8, EG_NODES_VERSION + 1);
    eg_put_u32(f.bytes + 60, eg_crc32(0, f.bytes, 60));
    write_file(&f, f.bytes, f.end);
    eg_nodes_options options = {.end = f.end};
    engram_error error = {0};
    eg_nodes *nodes;
    assert_int_equal(eg_nodes_open(f.r.io, f.r.dir.path, &options, &nodes, &error), ENGRAM_NEWER);
    assert_non_null(strstr(error.message, "newer"));
    fixture_fini(&f);
}

/* Files made by hand, with right checksums. */
typedef struct craft {
    uint8_t file[1 << 16];
    uint64_t end;
    uint8_t body[1 << 14];
    size_t body_size;
    uint32_t count;
} craft;

static void craft_init(craft *c)
{
    memset(c, 0, sizeof *c);
    eg_nodes_header_pack(c->file);
    c->end = EG_NODES_HEADER_SIZE;
}

static void craft_entry(craft *c, const char *key, uint32_t value_size)
{
    uint8_t *at = c->body + c->body_size;
    eg_put_u16(at, (uint16_t)strlen(key));
    eg_put_u32(at + 2, value_size);
    memcpy(at + 6, key, strlen(key));
    c->body_size += 6 + strlen(key) + (value_size < 100 ? value_size : 0);
    c->count++;
}

static void craft_child(craft *c, const char *key, eg_node_ref ref)
{
    uint8_t *at = c->body + c->body_size;
    eg_put_u16(at, (uint16_t)strlen(key));
    memcpy(at + 2, key, strlen(key));
    eg_put_u64(at + 2 + strlen(key), ref.address);
    eg_put_u32(at + 10 + strlen(key), ref.size);
    c->body_size += 14 + strlen(key);
    c->count++;
}

static eg_node_ref craft_node(craft *c, uint8_t level)
{
    eg_node_header header = {.address = c->end,
                             .size = (uint32_t)(EG_NODE_HEADER_SIZE + c->body_size),
                             .raw_size = (uint32_t)c->body_size,
                             .count = c->count,
                             .level = level};
    memcpy(c->file + c->end + EG_NODE_HEADER_SIZE, c->body, c->body_size);
    eg_node_seal(&header, c->file + c->end);
    c->end += header.size;
    c->body_size = c->count = 0;
    return (eg_node_ref){header.address, header.size};
}

static eg_node_ref craft_leaf(craft *c, const char *a, const char *b)
{
    craft_entry(c, a, 1);
    craft_entry(c, b, 1);
    return craft_node(c, 0);
}

static eg_node_ref bad_order(craft *c)
{
    return craft_leaf(c, "b", "a");
}
static eg_node_ref bad_twins(craft *c)
{
    return craft_leaf(c, "a", "a");
}
static eg_node_ref bad_empty_key(craft *c)
{
    return craft_leaf(c, "", "a");
}

static eg_node_ref bad_value_size(craft *c)
{
    craft_entry(c, "a", 0xFFFFFFFF);
    return craft_node(c, 0);
}

static eg_node_ref bad_left_over(craft *c)
{
    craft_entry(c, "a", 1);
    c->body_size++;
    return craft_node(c, 0);
}

static eg_node_ref bad_count(craft *c)
{
    craft_entry(c, "a", 1);
    c->count = 60000;
    return craft_node(c, 0);
}

static eg_node_ref bad_level(craft *c)
{
    craft_entry(c, "a", 1);
    return craft_node(c, EG_LEVELS_MAX);
}

static eg_node_ref bad_single_child(craft *c)
{
    craft_child(c, "", craft_leaf(c, "a", "b"));
    return craft_node(c, 1);
}

static eg_node_ref bad_child_level(craft *c)
{
    eg_node_ref low = craft_leaf(c, "a", "b"), high = craft_leaf(c, "c", "d");
    craft_child(c, "", low);
    craft_child(c, "c", high);
    return craft_node(c, 2);
}

static eg_node_ref bad_child_is_itself(craft *c)
{
    craft_child(c, "", (eg_node_ref){c->end, 32 + 14 + 15});
    craft_child(c, "c", (eg_node_ref){c->end, 32 + 14 + 15});
    return craft_node(c, 1);
}

/* Two sound leaves, but written after their parent. */
static eg_node_ref bad_child_behind(craft *c)
{
    uint32_t parent_size = 32 + 14 + 15, leaf_size = 32 + 2 * 8;
    uint64_t behind = c->end + parent_size;
    craft_child(c, "", (eg_node_ref){behind, leaf_size});
    craft_child(c, "c", (eg_node_ref){behind + leaf_size, leaf_size});
    eg_node_ref parent = craft_node(c, 1), low = craft_leaf(c, "a", "b");
    eg_node_ref high = craft_leaf(c, "c", "d");
    assert_int_equal(low.address, behind);
    assert_int_equal(high.address, behind + leaf_size);
    return parent;
}

static eg_node_ref bad_child_address(craft *c)
{
    craft_child(c, "", (eg_node_ref){0xFFFFFFFFFFFFFFF0, 64});
    craft_child(c, "c", (eg_node_ref){0, 64});
    return craft_node(c, 1);
}

static eg_node_ref bad_bounds(craft *c)
{
    eg_node_ref low = craft_leaf(c, "a", "x"), high = craft_leaf(c, "c", "d");
    craft_child(c, "", low);
    craft_child(c, "c", high);
    return craft_node(c, 1);
}

static eg_node_ref bad_low_bound(craft *c)
{
    eg_node_ref low = craft_leaf(c, "a", "b"), high = craft_leaf(c, "b", "d");
    craft_child(c, "", low);
    craft_child(c, "c", high);
    return craft_node(c, 1);
}

static eg_node_ref bad_early_key(craft *c)
{
    eg_node_ref low = craft_leaf(c, "a", "b"), high = craft_leaf(c, "bb", "d");
    craft_child(c, "", low);
    craft_child(c, "c", high);
    return craft_node(c, 1);
}

/* Twenty levels, each with both children the same: a million leaves, if one walked them. */
static eg_node_ref bad_sharing(craft *c)
{
    eg_node_ref ref = craft_leaf(c, "a", "b");
    for (uint8_t level = 1; level <= 20; level++) {
        craft_child(c, "", ref);
        craft_child(c, "c", ref);
        ref = craft_node(c, level);
    }
    return ref;
}

static eg_node_ref bad_codec(craft *c)
{
    eg_node_ref ref = craft_leaf(c, "a", "b");
    eg_node_header header = {ref.address, ref.size, ref.size - 32, 2, 7, 0};
    eg_node_seal(&header, c->file + ref.address);
    return ref;
}

static eg_node_ref bad_zstd(craft *c)
{
    eg_node_ref ref = craft_leaf(c, "a", "b");
    eg_node_header header = {ref.address, ref.size, 5000, 2, EG_CODEC_ZSTD, 0};
    eg_node_seal(&header, c->file + ref.address);
    return ref;
}

static eg_node_ref bad_raw_size(craft *c)
{
    eg_node_ref ref = craft_leaf(c, "a", "b");
    eg_node_header header = {ref.address, ref.size, 0xFFFFFFFF, 2, EG_CODEC_RAW, 0};
    eg_node_seal(&header, c->file + ref.address);
    return ref;
}

static eg_node_ref bad_reference(craft *c)
{
    craft_leaf(c, "a", "b");
    return (eg_node_ref){c->end - 10, 0xFFFFFFF0};
}

static eg_node_ref good_tree(craft *c)
{
    eg_node_ref low = craft_leaf(c, "a", "b"), high = craft_leaf(c, "c", "d");
    craft_child(c, "", low);
    craft_child(c, "bz", high);
    return craft_node(c, 1);
}

static eg_node_ref good_leaf(craft *c)
{
    return craft_leaf(c, "a", "b");
}

/* Keys rise, and there is an end. */
static engram_status note_key(void *context, eg_view key, const eg_view *from, const eg_view *to,
                              engram_error *error)
{
    (void)error;
    eg_buffer *last = context;
    assert_true(from || to);
    assert_true(eg_key_compare((eg_view){last->data, last->size}, key) < 0);
    eg_buffer_clear(last);
    eg_write_bytes(last, key.data, key.size);
    return ENGRAM_OK;
}

/* A version with this one key more. */
static engram_status with_key(eg_root *root, const char *name, eg_root **other)
{
    eg_edit *edit;
    eg_view key = {(const uint8_t *)name, strlen(name)};
    EG_TRY(eg_edit_begin(root, &edit, NULL));
    engram_status status = eg_edit_put(edit, key, key, NULL);
    if (status == ENGRAM_OK)
        return eg_edit_finish(&edit, other, NULL);
    eg_edit_abort(&edit);
    return status;
}

/* Against a version of its own, one that shares nothing, and itself. */
static void check_diff(eg_nodes *nodes, eg_root *root)
{
    eg_root *empty, *other;
    eg_buffer last = {0};
    assert_int_equal(eg_root_open(nodes, (eg_node_ref){0, 0}, &empty, NULL), ENGRAM_OK);
    for (int own = 0; own < 2; own++) {
        if (with_key(own ? root : empty, "bc", &other) != ENGRAM_OK)
            continue;
        eg_root_diff(root, other, note_key, &last, NULL);
        eg_root_release(other);
        eg_buffer_clear(&last);
    }
    assert_int_equal(eg_root_diff(root, root, note_key, &last, NULL), ENGRAM_OK);
    assert_int_equal(last.size, 0);
    eg_root_release(empty);
    eg_buffer_fini(&last);
}

/* Everything one can do with it; limited, as a hostile tree may claim to be endless. */
static void use_root(eg_nodes *nodes, eg_root *root)
{
    static const char *names[] = {"a", "b", "bb", "c", "d", "x"};
    eg_buffer value = {0};
    eg_edit *edit;
    eg_cursor *cursor;
    assert_int_equal(eg_edit_begin(root, &edit, NULL), ENGRAM_OK);
    assert_int_equal(eg_cursor_open(root, &cursor, NULL), ENGRAM_OK);
    for (size_t i = 0; i < 6; i++) {
        eg_view key = {(const uint8_t *)names[i], strlen(names[i])};
        eg_root_get(root, key, &value, NULL);
        engram_status status = eg_cursor_seek(cursor, key, NULL);
        for (int n = 0; n < 100 && status == ENGRAM_OK; n++)
            status = eg_cursor_next(cursor, NULL);
        assert_int_not_equal(status, ENGRAM_OK);
        if (i % 2)
            eg_edit_put(edit, key, key, NULL);
        else
            eg_edit_remove(edit, key, NULL);
    }
    check_diff(nodes, root);
    eg_cursor_close(&cursor);
    eg_edit_abort(&edit);
    eg_buffer_fini(&value);
}

static size_t problems_of(fixture *f, craft *c, eg_node_ref ref)
{
    write_file(f, c->file, c->end);
    eg_nodes_options options = {.end = c->end};
    size_t problems = 0;
    eg_tree_check check = {.context = &problems, .problem = count_problem};
    eg_root *root;
    eg_nodes *nodes;
    assert_int_equal(eg_nodes_open(f->r.io, f->r.dir.path, &options, &nodes, NULL), ENGRAM_OK);
    assert_int_equal(eg_root_open(nodes, ref, &root, NULL), ENGRAM_OK);
    use_root(nodes, root);
    engram_status status = eg_root_verify(root, &check, NULL);
    eg_root_release(root);
    eg_nodes_close(&nodes);
    return problems + (status == ENGRAM_DAMAGED);
}

static void misleading_nodes_are_refused(void **state)
{
    (void)state;
    static eg_node_ref (*const bad[])(craft *) = {
        bad_order,         bad_twins,    bad_empty_key, bad_value_size,
        bad_left_over,     bad_count,    bad_level,     bad_single_child,
        bad_child_level,   bad_bounds,   bad_low_bound, bad_child_is_itself,
        bad_child_address, bad_sharing,  bad_codec,     bad_child_behind,
        bad_zstd,          bad_raw_size, bad_reference, bad_early_key};
    fixture f;
    craft *c = malloc(sizeof *c);
    fixture_init(&f, 10);
    craft_init(c);
    assert_int_equal(problems_of(&f, c, good_leaf(c)), 0);
    assert_int_equal(problems_of(&f, c, good_tree(c)), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        craft_init(c);
        if (problems_of(&f, c, bad[i](c)) == 0)
            fail_msg("case %zu passes for sound", i);
    }
    free(c);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_flipped_byte_is_found),
        cmocka_unit_test(every_truncation_is_found),
        cmocka_unit_test(lost_and_misplaced_sectors_are_found),
        cmocka_unit_test(a_newer_format_is_refused_untouched),
        cmocka_unit_test(misleading_nodes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
