/* The batcher: what is merged and what is not, who comes when, and that everybody gets what the
 * unmerged call would have given. A backend with a gate holds a batch at the device until as many
 * calls wait as a test wants. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/pool.h"
#include "compute/batcher.h"
#include "compute/device_parts.h"
#include "compute/fake_backend.h"
#include "compute/inputs.h"
#include "compute/kernels.h"

enum { ROWS = 2500, K_MOST = 200, QUERIES_MOST = 5, CALLERS_MAX = 24, BATCHES_MAX = 64 };

static uint8_t *rows;
static uint64_t live_words[2][ROWS / 64 + 1];

static int make_rows(void **state)
{
    (void)state;
    uint64_t random = 5;
    rows = aligned_alloc(64, (size_t)ROWS * ENGRAM_BLOCKS);
    if (rows == NULL)
        return -1;
    fill_bytes(rows, (size_t)ROWS * ENGRAM_BLOCKS, FILL_TEXT, &random);
    for (size_t i = 0; i < ROWS / 64 + 1; i++)
        live_words[0][i] = live_words[1][i] = next_random(&random);
    return 0;
}

static int free_rows(void **state)
{
    (void)state;
    free(rows);
    return 0;
}

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

/* ---- the gate ---- */

typedef struct batch_seen {
    size_t count;
    uint32_t k, minimum;
} batch_seen;

static struct gate {
    fake_backend fake; /* what the device owns */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_shut;
    unsigned inside; /* stand before it */
    batch_seen seen[BATCHES_MAX];
    unsigned seen_count;
    engram_status (*top_k)(eg_backend *, const eg_resident *, const uint8_t *, size_t,
                           const uint64_t *, uint32_t, uint32_t, eg_hit *, uint32_t *,
                           engram_error *);
    engram_status (*encode)(eg_backend *, const engram_codebook *, const eg_view *, size_t,
                            uint8_t *, uint32_t *, engram_error *);
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void pass_gate(batch_seen batch)
{
    pthread_mutex_lock(&gate.lock);
    gate.seen[gate.seen_count++ % BATCHES_MAX] = batch;
    gate.inside++;
    pthread_cond_broadcast(&gate.changed);
    while (gate.is_shut)
        pthread_cond_wait(&gate.changed, &gate.lock);
    gate.inside--;
    pthread_mutex_unlock(&gate.lock);
}

static void set_gate(bool is_shut)
{
    pthread_mutex_lock(&gate.lock);
    gate.is_shut = is_shut;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

static void wait_for_one_inside(void)
{
    pthread_mutex_lock(&gate.lock);
    while (gate.inside == 0)
        pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
}

/* The work first, so that what the test changes meanwhile is for those who wait. */
static engram_status gated_top_k(eg_backend *backend, const eg_resident *resident,
                                 const uint8_t *queries, size_t query_count, const uint64_t *live,
                                 uint32_t k, uint32_t minimum, eg_hit *hits, uint32_t *counts,
                                 engram_error *error)
{
    engram_status status =
        gate.top_k(backend, resident, queries, query_count, live, k, minimum, hits, counts, error);
    pass_gate((batch_seen){query_count, k, minimum});
    return status;
}

static engram_status gated_encode(eg_backend *backend, const engram_codebook *codebook,
                                  const eg_view *chunks, size_t count, uint8_t *vectors,
                                  uint32_t *spreads, engram_error *error)
{
    engram_status status = gate.encode(backend, codebook, chunks, count, vectors, spreads, error);
    pass_gate((batch_seen){count, 0, 0});
    return status;
}

/* ---- calls ---- */

typedef struct fixture {
    eg_pool *pool;
    eg_device *device, *plain; /* plain: without the batcher, for what is right */
    eg_arena *arenas[2], *plain_arenas[2];
    eg_batcher *batcher;
} fixture;

typedef struct question {
    fixture *fixture;
    unsigned arena;
    const uint64_t *live;
    uint32_t k, minimum;
    size_t first, count; /* row to begin with; 0 queries: encode */
    size_t chunks;
    uint64_t seed;
    /* Out. */
    engram_status status;
    engram_error error;
    bool is_right;
    pthread_t thread;
} question;

static void fill_chunks(const question *q, eg_view *chunks)
{
    for (size_t i = 0; i < q->chunks; i++)
        chunks[i] = (eg_view){rows + (q->first + i) * 100, 90 + 7 * i};
}

static void ask_encode(question *q)
{
    eg_view chunks[QUERIES_MOST];
    uint8_t vectors[2][QUERIES_MOST * ENGRAM_BLOCKS];
    uint32_t spreads[2][QUERIES_MOST];
    engram_codebook codebook;
    engram_error ignored = {0};
    engram_codebook_init(&codebook, q->seed);
    fill_chunks(q, chunks);
    q->status = eg_batcher_encode(q->fixture->batcher, &codebook, chunks, q->chunks, vectors[0],
                                  spreads[0], &q->error);
    if (q->status != ENGRAM_OK)
        return;
    q->is_right = eg_device_encode(q->fixture->plain, &codebook, chunks, q->chunks, vectors[1],
                                   spreads[1], &ignored) == ENGRAM_OK &&
                  memcmp(vectors[0], vectors[1], q->chunks * ENGRAM_BLOCKS) == 0 &&
                  memcmp(spreads[0], spreads[1], q->chunks * sizeof spreads[0][0]) == 0;
}

static bool are_hits_equal(const question *q, const eg_hit *a, const uint32_t *a_counts,
                           const eg_hit *b, const uint32_t *b_counts)
{
    for (size_t i = 0; i < q->count; i++) {
        if (a_counts[i] != b_counts[i])
            return false;
        for (size_t n = i * q->k; n < i * q->k + a_counts[i]; n++)
            if (a[n].row != b[n].row || a[n].matches != b[n].matches)
                return false;
    }
    return true;
}

static void ask_top_k(question *q)
{
    static _Thread_local eg_hit hits[2][QUERIES_MOST * K_MOST];
    uint32_t counts[2][QUERIES_MOST];
    const uint8_t *queries = rows + q->first * ENGRAM_BLOCKS;
    engram_error ignored = {0};
    q->status =
        eg_batcher_top_k(q->fixture->batcher, q->fixture->arenas[q->arena], queries, q->count,
                         q->live, q->k, q->minimum, hits[0], counts[0], &q->error);
    if (q->status != ENGRAM_OK)
        return;
    q->is_right = eg_arena_top_k(q->fixture->plain_arenas[q->arena], queries, q->count, q->live,
                                 q->k, q->minimum, hits[1], counts[1], &ignored) == ENGRAM_OK &&
                  are_hits_equal(q, hits[0], counts[0], hits[1], counts[1]);
}

static void *ask(void *argument)
{
    question *q = argument;
    q->is_right = false;
    q->error = (engram_error){0};
    if (q->count == 0)
        ask_encode(q);
    else
        ask_top_k(q);
    return NULL;
}

static eg_arena *make_arena(eg_device *device, unsigned number)
{
    eg_arena *arena = NULL;
    engram_error error = {0};
    size_t first = number * 500;
    assert_int_equal(eg_arena_create(device, &arena, &error), ENGRAM_OK);
    assert_int_equal(eg_arena_append(arena, eg_rows(rows + first * ENGRAM_BLOCKS, ROWS - first), &error),
                     ENGRAM_OK);
    return arena;
}

static eg_device *make_device(eg_backend *other, unsigned flags, eg_pool *pool)
{
    const eg_plan plan = eg_plan_all();
    const eg_device_info info = {.spec = "fake:0", .backend = "fake", .name = "FAKE"};
    eg_device *device = NULL;
    engram_error error = {0};
    assert_int_equal(eg_device_create(other, &plan, &info, flags, pool, &device, &error),
                     ENGRAM_OK);
    return device;
}

static void set_up(fixture *f, eg_backend *other, const eg_batcher_options *options)
{
    engram_error error = {0};
    *f = (fixture){0};
    assert_int_equal(eg_pool_create(2, &f->pool, &error), ENGRAM_OK);
    f->device = make_device(other, eg_cpu_flags(), f->pool);
    f->plain = make_device(NULL, eg_cpu_flags(), NULL);
    for (unsigned i = 0; i < 2; i++) {
        f->arenas[i] = make_arena(f->device, i);
        f->plain_arenas[i] = make_arena(f->plain, i);
    }
    assert_int_equal(eg_batcher_create(f->device, options, &f->batcher, &error), ENGRAM_OK);
}

static void set_up_gated(fixture *f, const eg_batcher_options *options)
{
    fake_backend_init(&gate.fake);
    gate.top_k = gate.fake.ops.top_k;
    gate.encode = gate.fake.ops.encode;
    gate.fake.ops.top_k = gated_top_k;
    gate.fake.ops.encode = gated_encode;
    gate.is_shut = false;
    gate.seen_count = 0;
    set_up(f, &gate.fake.base, options);
}

static void tear_down(fixture *f)
{
    eg_batcher_free(f->batcher);
    for (unsigned i = 0; i < 2; i++) {
        eg_arena_free(f->arenas[i]);
        eg_arena_free(f->plain_arenas[i]);
    }
    eg_device_close(&f->device);
    eg_device_close(&f->plain);
    eg_pool_free(f->pool);
}

static eg_batcher_metrics metrics_of(fixture *f, const question *q)
{
    eg_batcher_metrics m;
    eg_batcher_get_metrics(f->batcher, q->count == 0 ? EG_OPERATION_ENCODE : EG_OPERATION_TOP_K,
                           &m);
    return m;
}

static void start(fixture *f, question *q)
{
    q->fixture = f;
    assert_int_equal(pthread_create(&q->thread, NULL, ask, q), 0);
}

/* The first question stands before the gate, the others wait behind it in the order given. */
static void start_in_order(fixture *f, question *questions, size_t count)
{
    set_gate(true);
    start(f, &questions[0]);
    wait_for_one_inside();
    for (size_t i = 1; i < count; i++) {
        start(f, &questions[i]);
        while (metrics_of(f, &questions[i]).waiting != i)
            sleep_ms(1);
    }
}

static void finish(question *questions, size_t count)
{
    set_gate(false);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(pthread_join(questions[i].thread, NULL), 0);
}

static void assert_right(const question *questions, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(questions[i].status, ENGRAM_OK);
        assert_true(questions[i].is_right);
    }
}

static void assert_seen(const size_t *counts, unsigned count)
{
    assert_int_equal(gate.seen_count, count);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(gate.seen[i].count, counts[i]);
}

static question plain_question(size_t first)
{
    return (question){.k = 10, .minimum = 1, .first = first, .count = 1};
}

/* ---- tests ---- */

static const eg_batcher_options at_once = {.never_waits = true};

static void test_merges_those_who_wait(void **state)
{
    (void)state;
    fixture f;
    question q[8];
    set_up_gated(&f, &at_once);
    for (size_t i = 0; i < 8; i++)
        q[i] = plain_question(i * 11);
    start_in_order(&f, q, 8);
    finish(q, 8);
    assert_right(q, 8);
    assert_seen((size_t[]){1, 7}, 2);
    eg_batcher_metrics m = metrics_of(&f, q);
    assert_int_equal(m.calls, 8);
    assert_int_equal(m.items, 8);
    assert_int_equal(m.batches, 2);
    assert_int_equal(m.closed_idle, 2);
    assert_true(m.mean_batch == 4);
    assert_int_equal(m.waiting, 0);
    assert_int_equal(m.waits, 0);
    tear_down(&f);
}

/* What one call holds is never cut, and what does not fit waits for the next batch. */
static void test_full(void **state)
{
    (void)state;
    fixture f;
    question q[8];
    set_up_gated(&f, &(eg_batcher_options){.never_waits = true, .queries_max = 4});
    static const size_t counts[8] = {5, 1, 2, 2, 1, 5, 3, 1};
    for (size_t i = 0; i < 8; i++) {
        q[i] = plain_question(i * 11);
        q[i].count = counts[i];
    }
    start_in_order(&f, q, 8);
    finish(q, 8);
    assert_right(q, 8);
    assert_seen((size_t[]){5, 3, 3, 5, 4}, 5); /* 5 | 1 2 | 2 1 | 5 | 3 1 */
    eg_batcher_metrics m = metrics_of(&f, q);
    assert_int_equal(m.items, 20);
    assert_int_equal(m.closed_full, 5);
    assert_int_equal(m.batches, 5);
    tear_down(&f);
}

/* Those who ask for something else form batches of their own, the oldest first. */
static void test_disagreement(void **state)
{
    (void)state;
    fixture f;
    question q[10];
    set_up_gated(&f, &at_once);
    for (size_t i = 0; i < 10; i++)
        q[i] = plain_question(i * 7);
    q[2].arena = q[6].arena = 1;
    q[3].minimum = q[8].minimum = 3;
    q[4].live = q[7].live = live_words[0];
    q[5].live = live_words[1]; /* equal bits, but who would know */
    start_in_order(&f, q, 10);
    finish(q, 10);
    assert_right(q, 10);
    /* 0 | 1 9 | 2 6 | 3 8 | 4 7 | 5 */
    assert_seen((size_t[]){1, 2, 2, 2, 2, 1}, 6);
    assert_int_equal(gate.seen[3].minimum, 3);
    tear_down(&f);
}

static void test_different_k(void **state)
{
    (void)state;
    fixture f;
    question q[6];
    static const uint32_t ks[6] = {10, 1, 200, 10, 7, 128};
    set_up_gated(&f, &at_once);
    for (size_t i = 0; i < 6; i++) {
        q[i] = plain_question(i * 100);
        q[i].k = ks[i];
        q[i].count = 1 + i % 3;
        q[i].live = live_words[0];
    }
    start_in_order(&f, q, 6);
    finish(q, 6);
    assert_right(q, 6);
    assert_seen((size_t[]){1, 2 + 3 + 1 + 2 + 3}, 2);
    assert_int_equal(gate.seen[1].k, 200);
    tear_down(&f);
}

static void test_encode(void **state)
{
    (void)state;
    fixture f;
    question q[7];
    set_up_gated(&f, &at_once);
    for (size_t i = 0; i < 7; i++)
        q[i] = (question){.first = 3 * i, .chunks = 1 + i % 4, .seed = i == 2 || i == 5 ? 9 : 8};
    start_in_order(&f, q, 7);
    finish(q, 7);
    assert_right(q, 7);
    assert_seen((size_t[]){1, 2 + 4 + 1 + 3, 3 + 2}, 3);
    assert_int_equal(metrics_of(&f, q).items, 16);
    question scans = plain_question(0);
    assert_int_equal(metrics_of(&f, &scans).calls, 0);
    tear_down(&f);
}

/* The one who got an answer is expected again, and does not come. */
static void test_delay(void **state)
{
    (void)state;
    fixture f;
    question q[2] = {plain_question(1), plain_question(2)};
    set_up_gated(&f, NULL);
    start_in_order(&f, q, 2);
    sleep_ms(2); /* so that an eighth of it is worth waiting */
    finish(q, 2);
    assert_right(q, 2);
    eg_batcher_metrics m = metrics_of(&f, q);
    assert_int_equal(m.batches, 2);
    assert_int_equal(m.closed_idle, 1);
    assert_int_equal(m.closed_delay, 1);
    assert_true(m.waits <= 1); /* none when it was woken too late for it */
    tear_down(&f);
}

/* A caller alone goes to the device at once. */
static void test_alone(void **state)
{
    (void)state;
    fixture f;
    set_up(&f, NULL, NULL);
    for (size_t i = 0; i < 20; i++) {
        question q = plain_question(i);
        q.fixture = &f;
        ask(&q);
        assert_right(&q, 1);
    }
    question q = plain_question(0);
    eg_batcher_metrics m = metrics_of(&f, &q);
    assert_int_equal(m.batches, 20);
    assert_int_equal(m.closed_idle, 20);
    assert_int_equal(m.waits, 0);
    tear_down(&f);
}

/* Waiting for those who never come back is given up. */
static void test_waits_are_given_up(void **state)
{
    (void)state;
    fixture f;
    eg_batcher_metrics m;
    unsigned rounds = 0;
    set_up_gated(&f, NULL);
    do {
        question q[2] = {plain_question(1), plain_question(2)};
        start_in_order(&f, q, 2);
        sleep_ms(1);
        finish(q, 2);
        assert_right(q, 2);
        m = metrics_of(&f, q);
        assert_true(++rounds < 1000);
    } while (m.waiting_pays);
    assert_true(m.waits >= 8);
    tear_down(&f);
}

/* A batch that the device fails is the CPU's, once for all its callers. */
static void test_failing_device(void **state)
{
    (void)state;
    fixture f;
    question q[6];
    eg_device_stats stats;
    set_up_gated(&f, &at_once);
    for (size_t i = 0; i < 6; i++)
        q[i] = plain_question(i);
    start_in_order(&f, q, 6);
    gate.fake.calls_left = 0;
    finish(q, 6);
    assert_right(q, 6);
    eg_device_get_stats(f.device, &stats);
    assert_int_equal(stats.batches, 2);
    assert_int_equal(stats.fallback_batches, 1);
    tear_down(&f);
}

/* One allocation fails, or all from there on, while a batch of four runs: all four get the answer,
 * or all four the error; those before and after know nothing of it. */
static void check_memory(long n, bool forever, unsigned *failed)
{
    fixture f;
    question q[5], after = plain_question(9);
    set_up_gated(&f, &at_once);
    for (size_t i = 0; i < 5; i++)
        q[i] = plain_question(i);
    start_in_order(&f, q, 5);
    eg_alloc_fail_at(n, forever);
    set_gate(false);
    for (size_t i = 0; i < 5; i++)
        pthread_join(q[i].thread, NULL);
    eg_alloc_fail_at(0, false);
    for (size_t i = 2; i < 5; i++)
        assert_int_equal(q[i].status, q[1].status);
    if (q[1].status != ENGRAM_OK) {
        assert_int_equal(q[0].status, ENGRAM_OK);
        for (size_t i = 1; i < 5; i++) {
            assert_int_equal(q[i].error.status, ENGRAM_NO_MEMORY);
            assert_non_null(strstr(q[i].error.message, "memory"));
        }
        ++*failed;
    }
    after.fixture = &f;
    ask(&after);
    assert_right(&after, 1);
    tear_down(&f);
}

static void test_memory_runs_out(void **state)
{
    (void)state;
    unsigned failed = 0;
    engram_error error = {0};
    eg_batcher *batcher;
    /* The plain scans that compare allocate too, so which call meets the failure is not known. */
    check_memory(1, true, &failed);
    assert_int_equal(failed, 1);
    for (long n = 1; n < 12; n++)
        check_memory(n, false, &failed);
    assert_true(failed > 1);
    eg_alloc_fail_at(1, false);
    assert_int_equal(eg_batcher_create(NULL, NULL, &batcher, &error), ENGRAM_NO_MEMORY);
    eg_alloc_fail_at(0, false);
    assert_null(batcher);
}

/* Who asks for nonsense is refused alone. */
static void test_bad_arguments(void **state)
{
    (void)state;
    fixture f;
    question q[3] = {plain_question(1), plain_question(2), plain_question(3)};
    eg_hit hit;
    uint32_t count;
    engram_error error = {0};
    set_up_gated(&f, &at_once);
    start_in_order(&f, q, 3);
    finish(q, 3);
    assert_right(q, 3);
    assert_int_equal(
        eg_batcher_top_k(f.batcher, f.arenas[0], rows, 0, NULL, 1, 0, &hit, &count, &error),
        ENGRAM_OK);
    assert_int_equal(eg_batcher_encode(f.batcher, NULL, NULL, 0, NULL, NULL, &error), ENGRAM_OK);
    assert_int_equal(
        eg_batcher_top_k(f.batcher, f.arenas[0], rows, 1, NULL, 0, 0, &hit, &count, &error),
        ENGRAM_INVALID);
    assert_int_equal(eg_batcher_top_k(f.batcher, f.arenas[0], rows, 1, NULL, EG_TOP_K_MAX + 1, 0,
                                      &hit, &count, &error),
                     ENGRAM_INVALID);
    tear_down(&f);
    eg_batcher_free(NULL);
}

/* ---- a crowd ---- */

typedef struct member {
    fixture *fixture;
    unsigned number, rounds;
    uint64_t calls[2], items[2]; /* top_k, encode */
    bool is_right;
    pthread_t thread;
} member;

static question random_question(fixture *f, uint64_t *random)
{
    static const uint32_t ks[] = {1, 10, 10, 128, K_MOST};
    const uint64_t *lives[] = {NULL, NULL, live_words[0], live_words[1]};
    question q = {.fixture = f, .first = random_below(random, ROWS / 2)};
    if (random_below(random, 4) == 0) {
        q.chunks = 1 + random_below(random, QUERIES_MOST);
        q.seed = random_below(random, 2);
        return q;
    }
    q.count = 1 + random_below(random, QUERIES_MOST);
    q.k = ks[random_below(random, 5)];
    q.arena = (unsigned)random_below(random, 4) / 3;
    q.live = lives[random_below(random, 4)];
    q.minimum = random_below(random, 4) == 0 ? 30 : 1;
    return q;
}

static void *take_part(void *argument)
{
    member *m = argument;
    uint64_t random = 100 + m->number;
    m->is_right = true;
    for (unsigned i = 0; i < m->rounds; i++) {
        question q = random_question(m->fixture, &random);
        ask(&q);
        m->is_right &= q.status == ENGRAM_OK && q.is_right;
        m->calls[q.count == 0]++;
        m->items[q.count == 0] += q.count + q.chunks;
    }
    return NULL;
}

static void run_crowd(const eg_batcher_options *options, unsigned width, unsigned rounds)
{
    fixture f;
    member members[CALLERS_MAX] = {0};
    uint64_t calls[2] = {0}, items[2] = {0};
    set_up(&f, NULL, options);
    for (unsigned i = 0; i < width; i++) {
        members[i] = (member){.fixture = &f, .number = i, .rounds = rounds};
        assert_int_equal(pthread_create(&members[i].thread, NULL, take_part, &members[i]), 0);
    }
    for (unsigned i = 0; i < width; i++) {
        assert_int_equal(pthread_join(members[i].thread, NULL), 0);
        assert_true(members[i].is_right);
        for (unsigned n = 0; n < 2; n++) {
            calls[n] += members[i].calls[n];
            items[n] += members[i].items[n];
        }
    }
    for (unsigned n = 0; n < 2; n++) {
        question any = {.count = 1 - n};
        eg_batcher_metrics m = metrics_of(&f, &any);
        assert_int_equal(m.calls, calls[n]);
        assert_int_equal(m.items, items[n]);
        assert_int_equal(m.closed_full + m.closed_idle + m.closed_delay, m.batches);
        assert_true(m.batches <= m.calls);
        assert_int_equal(m.waiting, 0);
    }
    tear_down(&f);
}

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { ROUNDS = 5 };
#else
enum { ROUNDS = 150 };
#endif

static void test_many_threads(void **state)
{
    (void)state;
    run_crowd(NULL, CALLERS_MAX, ROUNDS);
    run_crowd(&at_once, 8, ROUNDS);
    run_crowd(&(eg_batcher_options){.queries_max = 3, .chunks_max = 2, .delay_max_us = 50}, 8,
              ROUNDS);
}

/* A crowd that always asks the same thing keeps nobody from asking something else: this ends. */
typedef struct nagging {
    fixture *fixture;
    atomic_bool *is_over;
    unsigned number;
    bool is_right;
    pthread_t thread;
} nagging;

static void *nag(void *argument)
{
    nagging *n = argument;
    n->is_right = true;
    while (!atomic_load(n->is_over)) {
        question q = plain_question(n->number);
        q.fixture = n->fixture;
        ask(&q);
        n->is_right &= q.is_right;
    }
    return NULL;
}

static void test_nobody_starves(void **state)
{
    (void)state;
    fixture f;
    nagging crowd[6];
    atomic_bool is_over = false;
    set_up(&f, NULL, &(eg_batcher_options){.queries_max = 2});
    for (unsigned i = 0; i < 6; i++) {
        crowd[i] = (nagging){.fixture = &f, .is_over = &is_over, .number = i};
        assert_int_equal(pthread_create(&crowd[i].thread, NULL, nag, &crowd[i]), 0);
    }
    for (unsigned i = 0; i < ROUNDS / 2; i++) {
        question q = plain_question(40 + i);
        q.fixture = &f;
        q.arena = 1;
        ask(&q);
        assert_right(&q, 1);
    }
    atomic_store(&is_over, true);
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(pthread_join(crowd[i].thread, NULL), 0);
        assert_true(crowd[i].is_right);
    }
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merges_those_who_wait),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_disagreement),
        cmocka_unit_test(test_different_k),
        cmocka_unit_test(test_encode),
        cmocka_unit_test(test_delay),
        cmocka_unit_test(test_alone),
        cmocka_unit_test(test_waits_are_given_up),
        cmocka_unit_test(test_failing_device),
        cmocka_unit_test(test_memory_runs_out),
        cmocka_unit_test(test_bad_arguments),
        cmocka_unit_test(test_many_threads),
        cmocka_unit_test(test_nobody_starves),
    };
    eg_log_set_level(EG_LOG_ERROR);
    return cmocka_run_group_tests(tests, make_rows, free_rows);
}
