#include "tree/rig.h"

#include <inttypes.h>

uint64_t rig_random(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

uint64_t rig_seed(uint64_t seed)
{
    const char *text = getenv("ENGRAM_TEST_SEED");
    if (text)
        seed = strtoull(text, NULL, 0);
    printf("seed 0x%" PRIx64 "\n", seed);
    return seed;
}

static size_t make_key(uint8_t *key, size_t number, int kind, uint64_t *state)
{
    uint64_t random = rig_random(state);
    unsigned shape = kind == RIG_KEYS_PLAIN ? 0 : random % 16;
    size_t size = (size_t)sprintf((char *)key, "inode/%014zu", number);
    if (shape == 1) /* one or two bytes */
        size = 1 + random / 16 % 2;
    if (shape == 2) { /* long, with a long common prefix */
        memset(key, 'L', EG_TREE_KEY_MAX);
        size = 100 + random / 16 % (EG_TREE_KEY_MAX - 99);
        memcpy(key + size - 20, &random, 8);
    }
    if (shape == 3 || shape == 4) /* nothing in common */
        for (size_t i = 0; i < size; i += 4)
            memcpy(key + i, &random, 4), random = rig_random(state);
    if (shape == 5) { /* a prefix of others, and zeros behind it */
        size = 20 + random / 16 % 5;
        memset(key + 20, 0, 5);
    }
    return size;
}

static int compare_views(const void *a, const void *b)
{
    const eg_view *x = a, *y = b;
    size_t common = x->size < y->size ? x->size : y->size;
    int order = memcmp(x->data, y->data, common);
    return order ? order : (x->size > y->size) - (x->size < y->size);
}

void rig_model_init(rig_model *model, size_t key_count, int kind, uint32_t value_size_max,
                    uint64_t seed)
{
    size_t stride = kind == RIG_KEYS_PLAIN ? 24 : EG_TREE_KEY_MAX + 8, kept = 0;
    *model = (rig_model){.value_size_max = value_size_max};
    model->keys = malloc(key_count * sizeof *model->keys);
    model->bytes = malloc(key_count * stride);
    model->stamps = calloc(key_count, sizeof *model->stamps);
    assert_true(model->keys && model->bytes && model->stamps);
    for (size_t i = 0; i < key_count; i++) {
        uint8_t *key = model->bytes + i * stride;
        model->keys[i] = (eg_view){key, make_key(key, i * 3, kind, &seed)};
    }
    qsort(model->keys, key_count, sizeof *model->keys, compare_views);
    for (size_t i = 0; i < key_count; i++)
        if (kept == 0 || compare_views(&model->keys[kept - 1], &model->keys[i]) != 0)
            model->keys[kept++] = model->keys[i];
    model->key_count = kept;
}

void rig_model_fini(rig_model *model)
{
    free(model->stamps);
    free(model->bytes);
    free(model->keys);
}

uint32_t *rig_model_snapshot(const rig_model *model)
{
    uint32_t *copy = malloc(model->key_count * sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, model->stamps, model->key_count * sizeof *copy);
    return copy;
}

eg_view rig_value(const rig_model *model, uint32_t stamp)
{
    static _Thread_local uint8_t bytes[EG_TREE_VALUE_MAX + 8];
    uint64_t state = stamp, random = rig_random(&state);
    size_t size = random % 81;
    if (random >> 32 & 0xFF && (random >> 32 & 0xFF) < 4)
        size = (random >> 40) % (model->value_size_max + 1ul);
    if (size > model->value_size_max)
        size = model->value_size_max;
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word = i % 64 ? i : rig_random(&state); /* compresses, but not to nothing */
        memcpy(bytes + i, &word, 8);
    }
    return (eg_view){bytes, size};
}

void rig_open(rig *r, uint64_t end, eg_node_ref ref)
{
    engram_error error = {0};
    eg_nodes_options options = {.end = end, .cache_size = r->cache_size};
    if (eg_nodes_open(r->io, r->dir.path, &options, &r->nodes, &error) != ENGRAM_OK)
        fail_msg("%s", error.message);
    assert_int_equal(eg_root_open(r->nodes, ref, &r->root, &error), ENGRAM_OK);
}

void rig_init(rig *r, uint64_t cache_size)
{
    *r = (rig){.io = eg_io_posix(), .cache_size = cache_size};
    assert_int_equal(temp_dir_init(&r->dir), 0);
    rig_open(r, 0, (eg_node_ref){0, 0});
}

void rig_close(rig *r)
{
    eg_root_release(r->root);
    r->root = NULL;
    eg_nodes_close(&r->nodes);
}

void rig_fini(rig *r)
{
    rig_close(r);
    temp_dir_fini(&r->dir);
}

static eg_node_ref flush(rig *r)
{
    engram_error error = {0};
    eg_node_ref ref;
    if (eg_root_flush(r->root, &ref, &error) != ENGRAM_OK)
        fail_msg("%s", error.message);
    return ref;
}

void rig_reopen(rig *r)
{
    eg_node_ref ref = flush(r);
    assert_int_equal(eg_nodes_sync(r->nodes, NULL), ENGRAM_OK);
    uint64_t end = eg_nodes_end(r->nodes);
    rig_close(r);
    rig_open(r, end, ref);
}

void rig_clean(rig *r)
{
    eg_node_ref ref = flush(r);
    eg_root_release(r->root);
    assert_int_equal(eg_root_open(r->nodes, ref, &r->root, NULL), ENGRAM_OK);
}

eg_edit *rig_edit(rig *r)
{
    eg_edit *edit;
    assert_int_equal(eg_edit_begin(r->root, &edit, NULL), ENGRAM_OK);
    return edit;
}

void rig_finish(rig *r, eg_edit **edit)
{
    eg_root *next;
    assert_int_equal(eg_edit_finish(edit, &next, NULL), ENGRAM_OK);
    assert_null(*edit);
    eg_root_release(r->root);
    r->root = next;
}

void rig_put(eg_edit *edit, rig_model *model, size_t rank, uint32_t stamp)
{
    engram_error error = {0};
    if (eg_edit_put(edit, model->keys[rank], rig_value(model, stamp), &error) != ENGRAM_OK)
        fail_msg("%s", error.message);
    model->stamps[rank] = stamp;
}

void rig_remove(eg_edit *edit, rig_model *model, size_t rank)
{
    engram_error error = {0};
    engram_status want = model->stamps[rank] ? ENGRAM_OK : ENGRAM_NOT_FOUND;
    engram_status got = eg_edit_remove(edit, model->keys[rank], &error);
    if (got != want)
        fail_msg("remove: %s: %s", engram_status_name(got), error.message);
    model->stamps[rank] = 0;
}

static void on_problem(void *context, const char *message)
{
    (void)context;
    fail_msg("verify: %s", message);
}

eg_tree_check rig_verify(eg_root *root)
{
    engram_error error = {0};
    eg_tree_check check = {.problem = on_problem};
    if (eg_root_verify(root, &check, &error) != ENGRAM_OK)
        fail_msg("%s", error.message);
    return check;
}

static void assert_view(eg_view got, eg_view want)
{
    assert_int_equal(got.size, want.size);
    if (want.size)
        assert_memory_equal(got.data, want.data, want.size);
}

void rig_check(eg_root *root, const rig_model *model, const uint32_t *stamps)
{
    uint64_t entries = 0;
    eg_cursor *cursor;
    assert_int_equal(eg_cursor_open(root, &cursor, NULL), ENGRAM_OK);
    engram_status status = eg_cursor_seek(cursor, (eg_view){NULL, 0}, NULL);
    for (size_t rank = 0; rank < model->key_count; rank++) {
        if (!stamps[rank])
            continue;
        assert_int_equal(status, ENGRAM_OK);
        assert_view(eg_cursor_key(cursor), model->keys[rank]);
        assert_view(eg_cursor_value(cursor), rig_value(model, stamps[rank]));
        status = eg_cursor_next(cursor, NULL);
        entries++;
    }
    assert_int_equal(status, ENGRAM_NOT_FOUND);
    eg_cursor_close(&cursor);
    assert_int_equal(rig_verify(root).entries, entries);
}

void rig_check_get(eg_root *root, const rig_model *model, const uint32_t *stamps, size_t rank)
{
    engram_error error = {0};
    eg_buffer value = {0};
    engram_status status = eg_root_get(root, model->keys[rank], &value, &error);
    assert_int_equal(status, stamps[rank] ? ENGRAM_OK : ENGRAM_NOT_FOUND);
    if (stamps[rank])
        assert_view((eg_view){value.data, value.size}, rig_value(model, stamps[rank]));
    else
        assert_int_equal(error.message[0], 0);
    eg_buffer_fini(&value);
}

typedef struct expectation {
    const rig_model *model;
    const uint32_t *from, *to;
    size_t rank, count;
} expectation;

static bool differs(const expectation *e, size_t rank)
{
    static _Thread_local uint8_t copy[EG_TREE_VALUE_MAX];
    if (e->from[rank] == e->to[rank] || !e->from[rank] || !e->to[rank])
        return e->from[rank] != e->to[rank];
    eg_view from = rig_value(e->model, e->from[rank]);
    memcpy(copy, from.data, from.size);
    eg_view to = rig_value(e->model, e->to[rank]);
    return from.size != to.size || memcmp(copy, to.data, to.size) != 0;
}

static size_t next_difference(const expectation *e, size_t rank)
{
    while (rank < e->model->key_count && !differs(e, rank))
        rank++;
    return rank;
}

static engram_status expect(void *context, eg_view key, const eg_view *from, const eg_view *to,
                            engram_error *error)
{
    (void)error;
    expectation *e = context;
    e->rank = next_difference(e, e->rank);
    assert_true(e->rank < e->model->key_count);
    assert_view(key, e->model->keys[e->rank]);
    assert_int_equal(from != NULL, e->from[e->rank] != 0);
    assert_int_equal(to != NULL, e->to[e->rank] != 0);
    if (from)
        assert_view(*from, rig_value(e->model, e->from[e->rank]));
    if (to)
        assert_view(*to, rig_value(e->model, e->to[e->rank]));
    e->rank++;
    e->count++;
    return ENGRAM_OK;
}

size_t rig_check_diff(const rig_model *model, eg_root *from, const uint32_t *from_stamps,
                      eg_root *to, const uint32_t *to_stamps)
{
    engram_error error = {0};
    expectation e = {model, from_stamps, to_stamps, 0, 0};
    if (eg_root_diff(from, to, expect, &e, &error) != ENGRAM_OK)
        fail_msg("diff: %s", error.message);
    assert_int_equal(next_difference(&e, e.rank), model->key_count);
    return e.count;
}
