/* Parallel loops: each index once, worker numbers apart, loops side by side and nested. */
#include "base/pool.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/test.h"

/* The linker sends the library's pthread_create here. */
static int creations_left = -1;

int __real_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
int __wrap_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument)
{
    if (creations_left == 0)
        return EAGAIN;
    if (creations_left > 0)
        creations_left--;
    return __real_pthread_create(thread, attributes, start, argument);
}

enum { WIDTH_MAX = 8 };

typedef struct loop {
    size_t width;
    atomic_uchar done[2000];
    atomic_bool busy[WIDTH_MAX];
    atomic_bool clashed;
} loop;

static void visit(void *context, size_t index, size_t worker)
{
    loop *l = context;
    if (worker >= l->width || atomic_exchange(&l->busy[worker], true)) {
        atomic_store(&l->clashed, true);
        return;
    }
    atomic_fetch_add(&l->done[index], 1);
    if (index % 16 == 0)
        sched_yield();
    atomic_store(&l->busy[worker], false);
}

/* Asserts nothing itself: a failed assertion must not jump out of another thread. */
static bool runs_well(eg_pool *pool, size_t count)
{
    loop *l = calloc(1, sizeof *l);
    if (l == NULL)
        return false;
    l->width = eg_pool_width(pool);
    eg_pool_run(pool, count, visit, l);
    bool well = !l->clashed;
    for (size_t i = 0; i < 2000; i++)
        well = well && l->done[i] == (i < count);
    free(l);
    return well;
}

static eg_pool *create(size_t threads)
{
    eg_pool *pool;
    engram_error error = {0};
    assert_int_equal(eg_pool_create(threads, &pool, &error), ENGRAM_OK);
    return pool;
}

static void each_index_is_run_once(void **state)
{
    (void)state;
    static const size_t widths[] = {1, 2, 3, 8};
    static const size_t counts[] = {0, 1, 2, 3, 7, 8, 9, 2000};
    for (size_t w = 0; w < 4; w++) {
        eg_pool *pool = create(widths[w]);
        assert_int_equal(eg_pool_width(pool), widths[w]);
        for (int round = 0; round < 20; round++)
            for (size_t c = 0; c < 8; c++)
                assert_true(runs_well(pool, counts[c]));
        eg_pool_free(pool);
    }
}

static void no_pool_is_a_plain_loop(void **state)
{
    (void)state;
    assert_int_equal(eg_pool_width(NULL), 1);
    assert_true(runs_well(NULL, 100));
    eg_pool_free(NULL);
}

static void zero_threads_means_the_cores(void **state)
{
    (void)state;
    eg_pool *pool = create(0);
    cpu_set_t set;
    assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
    assert_int_equal(eg_pool_width(pool), CPU_COUNT(&set));
    eg_pool_free(pool);
}

static void meet(void *context, size_t index, size_t worker)
{
    (void)index;
    (void)worker;
    pthread_barrier_wait(context);
}

/* Would hang if fewer than width threads took part. */
static void the_whole_width_works_at_once(void **state)
{
    (void)state;
    eg_pool *pool = create(4);
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, 4);
    for (int round = 0; round < 50; round++)
        eg_pool_run(pool, 4, meet, &barrier);
    pthread_barrier_destroy(&barrier);
    eg_pool_free(pool);
}

/* NULL when all went well. */
static void *run_many(void *pool)
{
    for (int round = 0; round < 100; round++)
        if (!runs_well(pool, (size_t)(round * 7 % 50)))
            return pool;
    return NULL;
}

static void loops_run_side_by_side(void **state)
{
    (void)state;
    eg_pool *pool = create(3);
    pthread_t callers[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&callers[i], NULL, run_many, pool), 0);
    for (int i = 0; i < 4; i++) {
        void *bad;
        pthread_join(callers[i], &bad);
        assert_null(bad);
    }
    eg_pool_free(pool);
}

typedef struct nest {
    eg_pool *pool;
    int depth;
    atomic_size_t leaves;
} nest;

static void descend(void *context, size_t index, size_t worker);

static void run_level(nest *parent, int depth)
{
    nest inner = {.pool = parent->pool, .depth = depth};
    eg_pool_run(inner.pool, 5, descend, &inner);
    atomic_fetch_add(&parent->leaves, atomic_load(&inner.leaves));
}

static void descend(void *context, size_t index, size_t worker)
{
    (void)index;
    (void)worker;
    nest *n = context;
    if (n->depth == 0)
        atomic_fetch_add(&n->leaves, 1);
    else
        run_level(n, n->depth - 1);
}

static void loops_nest(void **state)
{
    (void)state;
    for (size_t width = 1; width <= 5; width++) {
        nest root = {.pool = create(width)};
        run_level(&root, 4);
        assert_int_equal(root.leaves, 5 * 5 * 5 * 5 * 5);
        eg_pool_free(root.pool);
    }
}

static void pools_that_cannot_be_are_refused(void **state)
{
    (void)state;
    eg_pool *pool;
    engram_error error = {0};
    assert_int_equal(eg_pool_create(1000000, &pool, &error), ENGRAM_INVALID);
    assert_null(pool);
    error = (engram_error){0};
    eg_alloc_fail_at(1, false);
    assert_int_equal(eg_pool_create(4, &pool, &error), ENGRAM_NO_MEMORY);
    eg_alloc_fail_at(0, false);
    assert_null(pool);
    assert_int_equal(error.status, ENGRAM_NO_MEMORY);
}

static void threads_that_do_not_start_are_told(void **state)
{
    (void)state;
    for (int started = 0; started < 3; started++) {
        eg_pool *pool;
        engram_error error = {0};
        creations_left = started;
        engram_status status = eg_pool_create(4, &pool, &error);
        creations_left = -1;
        assert_int_equal(status, ENGRAM_IO);
        assert_int_equal(error.os_error, EAGAIN);
        assert_null(pool);
    }
}

typedef struct masks {
    pthread_barrier_t barrier;
    int blocked[2];
} masks;

static void note_blocked(void *context, size_t index, size_t worker)
{
    masks *m = context;
    sigset_t blocked;
    (void)index;
    pthread_barrier_wait(&m->barrier);
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    m->blocked[worker] = sigismember(&blocked, SIGTERM);
}

static void workers_leave_signals_to_the_program(void **state)
{
    (void)state;
    eg_pool *pool = create(2);
    masks m = {.blocked = {-1, -1}};
    pthread_barrier_init(&m.barrier, NULL, 2);
    eg_pool_run(pool, 2, note_blocked, &m);
    pthread_barrier_destroy(&m.barrier);
    assert_int_equal(m.blocked[0], 0);
    assert_int_equal(m.blocked[1], 1);
    eg_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_index_is_run_once),
        cmocka_unit_test(no_pool_is_a_plain_loop),
        cmocka_unit_test(zero_threads_means_the_cores),
        cmocka_unit_test(the_whole_width_works_at_once),
        cmocka_unit_test(loops_run_side_by_side),
        cmocka_unit_test(loops_nest),
        cmocka_unit_test(pools_that_cannot_be_are_refused),
        cmocka_unit_test(threads_that_do_not_start_are_told),
        cmocka_unit_test(workers_leave_signals_to_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
