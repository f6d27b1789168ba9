/* Differences between versions, and what they cost. */
#include <errno.h>

#include "base/memory.h"
#include "fault/faulty_io.h"
#include "tree/rig.h"

enum { KEYS = 20000 };

/* Two versions of one line. */
typedef struct pair {
    rig r;
    rig_model model;
    eg_faulty *faulty;
    eg_root *from;
    uint32_t *from_stamps;
} pair;

static void init(pair *p)
{
    assert_int_equal(eg_faulty_create(eg_io_posix(), &p->faulty), ENGRAM_OK);
    rig_init(&p->r, 16 << 10); /* next to no cache: every node is read */
    rig_close(&p->r);
    p->r.io = eg_faulty_io(p->faulty);
    rig_open(&p->r, 0, (eg_node_ref){0, 0});
    rig_model_init(&p->model, KEYS, RIG_KEYS_MIXED, 3000, 5);
    eg_edit *edit = rig_edit(&p->r);
    for (size_t i = 0; i < p->model.key_count; i++)
        rig_put(edit, &p->model, i, 1 + (uint32_t)i);
    rig_finish(&p->r, &edit);
    rig_clean(&p->r);
    p->from = eg_root_retain(p->r.root);
    p->from_stamps = rig_model_snapshot(&p->model);
}

static void fini(pair *p)
{
    free(p->from_stamps);
    eg_root_release(p->from);
    rig_model_fini(&p->model);
    rig_fini(&p->r);
    eg_faulty_free(p->faulty);
}

/* The difference both ways. *reads: of the first. */
static size_t compare(pair *p, uint64_t *reads)
{
    uint64_t before = eg_faulty_count(p->faulty, EG_FAULTY_READ);
    size_t count = rig_check_diff(&p->model, p->from, p->from_stamps, p->r.root, p->model.stamps);
    *reads = eg_faulty_count(p->faulty, EG_FAULTY_READ) - before;
    assert_int_equal(rig_check_diff(&p->model, p->r.root, p->model.stamps, p->from, p->from_stamps),
                     count);
    return count;
}

static void the_cost_follows_the_changes(void **state)
{
    (void)state;
    pair p;
    uint64_t reads;
    init(&p);
    uint64_t nodes = rig_verify(p.from).nodes;
    assert_int_equal(compare(&p, &reads), 0);
    assert_int_equal(reads, 0);
    for (size_t changes = 1; changes < 100; changes *= 3) {
        eg_edit *edit = rig_edit(&p.r);
        for (size_t i = 0; i < changes; i++) {
            size_t rank = (2 * i + 1) * p.model.key_count / (2 * changes);
            if (i % 3)
                rig_put(edit, &p.model, rank, 500000 + (uint32_t)(changes + i));
            else
                rig_remove(edit, &p.model, rank);
        }
        rig_finish(&p.r, &edit);
        /* A few levels on each side for each change; from memory the newer side costs nothing. */
        for (int stored = 0; stored < 2; stored++) {
            size_t count = compare(&p, &reads);
            printf("%zu changes, %zu reads of %zu nodes\n", count, (size_t)reads, (size_t)nodes);
            assert_in_range(count, 1, 2 * changes);
            assert_in_range(reads, 1, (stored + 1) * 3 * count + 3);
            assert_true(reads < nodes);
            rig_clean(&p.r);
        }
    }
    fini(&p);
}

/* Heights that differ, down to nothing. */
static void versions_of_very_different_sizes(void **state)
{
    (void)state;
    pair p;
    uint64_t reads;
    init(&p);
    size_t all = p.model.key_count, kept = all;
    while (kept > 0) {
        kept /= 5;
        size_t first = (all - kept) / 2;
        eg_edit *edit = rig_edit(&p.r);
        for (size_t i = 0; i < all; i++)
            if (i < first || i >= first + kept)
                rig_remove(edit, &p.model, i);
        rig_finish(&p.r, &edit);
        assert_int_equal(compare(&p, &reads), all - kept);
        if (kept % 2)
            rig_clean(&p.r);
    }
    fini(&p);
}

static engram_status count_to_three(void *context, eg_view key, const eg_view *from,
                                    const eg_view *to, engram_error *error)
{
    (void)key, (void)from, (void)to;
    int *count = context;
    return ++*count < 3 ? ENGRAM_OK : eg_fail(error, ENGRAM_CANCELLED, "three");
}

static void the_callback_can_end_it(void **state)
{
    (void)state;
    pair p;
    engram_error error = {0};
    int count = 0;
    init(&p);
    eg_root *empty;
    assert_int_equal(eg_root_open(p.r.nodes, (eg_node_ref){0, 0}, &empty, NULL), ENGRAM_OK);
    assert_int_equal(eg_root_diff(empty, p.from, count_to_three, &count, &error), ENGRAM_CANCELLED);
    assert_int_equal(count, 3);
    assert_string_equal(error.message, "three");
    eg_root_release(empty);
    fini(&p);
}

static engram_status count_all(void *context, eg_view key, const eg_view *from, const eg_view *to,
                               engram_error *error)
{
    (void)key, (void)from, (void)to, (void)error;
    ++*(int *)context;
    return ENGRAM_OK;
}

/* No memory for a node, or no reading it: the first so many differences were right. */
static void every_call_may_fail(void **state)
{
    (void)state;
    pair p;
    init(&p);
    eg_edit *edit = rig_edit(&p.r);
    for (size_t i = 0; i < p.model.key_count; i += 400)
        rig_remove(edit, &p.model, i);
    rig_finish(&p.r, &edit);
    rig_clean(&p.r);
    int whole = 0, count;
    engram_status status = eg_root_diff(p.from, p.r.root, count_all, &whole, NULL);
    assert_int_equal(status, ENGRAM_OK);
    status = ENGRAM_IO;
    for (uint64_t n = 1; status != ENGRAM_OK; n++) {
        eg_faulty_fail_at(p.faulty, EG_FAULTY_READ, n, EIO, EG_FAULTY_ONCE);
        status = eg_root_diff(p.from, p.r.root, count_all, (count = 0, &count), NULL);
        assert_int_equal(status, eg_faulty_hits(p.faulty) ? ENGRAM_IO : ENGRAM_OK);
        assert_in_range(count, status == ENGRAM_OK ? whole : 0, whole);
    }
    eg_faulty_fail_at(p.faulty, 0, 0, 0, 0);
    status = ENGRAM_NO_MEMORY;
    for (long n = 1; status != ENGRAM_OK; n++) {
        eg_alloc_fail_at(n, false);
        status = eg_root_diff(p.from, p.r.root, count_all, (count = 0, &count), NULL);
        bool reached = eg_alloc_count() >= n;
        eg_alloc_fail_at(0, false);
        assert_int_equal(status, reached ? ENGRAM_NO_MEMORY : ENGRAM_OK);
    }
    fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cost_follows_the_changes),
        cmocka_unit_test(versions_of_very_different_sizes),
        cmocka_unit_test(the_callback_can_end_it),
        cmocka_unit_test(every_call_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
