/* Order, sharing, refusal, failure: group commit over steps that check their own contract. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "journal/group_rig.h"

enum { THREADS_MAX = 128 };

static rig shared; /* large */

static eg_group_metrics metrics_of(rig *r)
{
    eg_group_metrics m;
    eg_group_get_metrics(r->group, &m);
    return m;
}

static int setup(void **state)
{
    rig_init(&shared, NULL);
    *state = &shared;
    return 0;
}

static int teardown(void **state)
{
    rig_fini(*state);
    return 0;
}

/* ---- crowds ---- */

typedef struct crowd {
    rig *rig;
    unsigned rounds;
    unsigned kinds; /* durabilities drawn from: 1, 2 or 3 of them */
    bool refuses;   /* one in eight */
    bool closes;    /* one in eight, by its caller or by take */
    uint64_t seed;
    atomic_uint members;
    atomic_uint_least64_t ok, refused, failed;
} crowd;

static uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static void draw_commit(crowd *k, commit *c, uint64_t *random)
{
    uint64_t r = draw(random);
    c->entry.durability = (eg_durability)(r % k->kinds);
    c->refuse = k->refuses && (r >> 8) % 8 == 0;
    c->entry.closes = k->closes && (r >> 16) % 16 == 0;
    c->close_at_take = k->closes && (r >> 24) % 16 == 0;
}

static void *run_member(void *context)
{
    crowd *k = context;
    uint64_t random = k->seed + atomic_fetch_add(&k->members, 1);
    for (unsigned i = 0; i < k->rounds; i++) {
        commit c = {0};
        draw_commit(k, &c, &random);
        engram_status status = rig_commit(k->rig, &c);
        atomic_fetch_add(status == ENGRAM_OK         ? &k->ok
                         : status == ENGRAM_CONFLICT ? &k->refused
                                                     : &k->failed,
                         1);
        if (status == ENGRAM_IO)
            break;
    }
    return NULL;
}

static void start_crowd(crowd *k, pthread_t *threads, unsigned count)
{
    const char *text = getenv("ENGRAM_TEST_SEED");
    k->seed = text != NULL ? strtoull(text, NULL, 0) : 0x6C0;
    printf("seed 0x%llx\n", (unsigned long long)k->seed);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_member, k), 0);
}

static void join_crowd(pthread_t *threads, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void run_crowd(crowd *k, unsigned count)
{
    pthread_t threads[THREADS_MAX];
    start_crowd(k, threads, count);
    join_crowd(threads, count);
    eg_group_metrics m = metrics_of(k->rig);
    printf("%llu entries, %llu groups, %llu syncs, %llu waits\n", (unsigned long long)m.entries,
           (unsigned long long)m.groups, (unsigned long long)m.syncs, (unsigned long long)m.waits);
    assert_int_equal(m.groups, m.closed_sync_free + m.closed_full + m.closed_delay +
                                   m.closed_asked + m.closed_boundary);
    if (k->failed == 0) {
        assert_int_equal(m.entries, k->ok);
        assert_int_equal(m.refused, k->refused);
        assert_int_equal(k->rig->published, k->ok);
        assert_int_equal(k->rig->syncs, m.syncs);
    }
}

static void a_hundred_threads_share_syncs(void **state)
{
    crowd k = {.rig = *state, .rounds = 100, .kinds = 1};
    run_crowd(&k, 100);
    assert_int_equal(k.ok, 10000);
    assert_true(shared.covered_max > 10);
    assert_true(shared.syncs < 5000);
}

/* Crowds that come to an end: nobody arrives any more who would do what the last ones wait for. A call to a thread that was busy
 * with a step of its own left them asleep for ever. */
static void the_last_ones_come_back(void **state)
{
    alarm(60); /* who hangs ends here */
    for (unsigned i = 0; i < 150; i++) {
        crowd k = {.rig = *state, .rounds = 12, .kinds = 1};
        rig_fini(*state);
        rig_init(*state, NULL);
        run_crowd(&k, 60);
        assert_int_equal(k.ok, 60 * 12);
    }
    alarm(0);
}

static void everything_at_once(void **state)
{
    crowd k = {.rig = *state, .rounds = 200, .kinds = 3, .refuses = true, .closes = true};
    run_crowd(&k, 32);
    assert_int_equal(k.ok + k.refused, 32 * 200);
    assert_true(k.refused > 0);
}

static void groups_are_bounded(void **state)
{
    rig_fini(*state);
    rig_init(*state, &(eg_group_options){.ops_max = 3});
    crowd k = {.rig = *state, .rounds = 100, .kinds = 1};
    run_crowd(&k, 20);
    for (uint64_t i = 1; i <= shared.groups; i++)
        assert_true(shared.last_of[i] - shared.last_of[i - 1] <= 3);
    assert_true(metrics_of(*state).closed_full > 0);
}

static void immediate_entries_have_groups_and_syncs_of_their_own(void **state)
{
    crowd k = {.rig = *state, .rounds = 20, .kinds = 1};
    committer committers[8][20];
    memset(committers, 0, sizeof committers);
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < 8; i++)
            committer_start(&committers[i][round], k.rig, EG_DURABILITY_IMMEDIATE);
        for (unsigned i = 0; i < 8; i++)
            assert_int_equal(committer_join(&committers[i][round]), ENGRAM_OK);
    }
    assert_int_equal(shared.groups, 160);
    assert_int_equal(shared.syncs, 160);
    assert_int_equal(shared.covered_max, 1);
    assert_int_equal(metrics_of(*state).closed_asked, 160);
}

static void relaxed_entries_need_no_sync(void **state)
{
    committer committers[16] = {0};
    for (unsigned i = 0; i < 16; i++)
        committer_start(&committers[i], *state, EG_DURABILITY_RELAXED);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(committer_join(&committers[i]), ENGRAM_OK);
    assert_int_equal(shared.published, 16);
    assert_int_equal(shared.syncs, 0);
}

/* ---- one thing at a time ---- */

static void a_lone_writer_pays_one_sync_and_never_waits(void **state)
{
    for (unsigned i = 1; i <= 50; i++) {
        commit c = {0};
        assert_int_equal(rig_commit(*state, &c), ENGRAM_OK);
        assert_int_equal(shared.syncs, i);
        assert_int_equal(shared.groups, i);
    }
    assert_int_equal(metrics_of(*state).waits, 0);
    assert_int_equal(metrics_of(*state).closed_sync_free, 50);
}

static void a_refused_entry_returns_alone(void **state)
{
    commit refused = {.refuse = true}, accepted = {0};
    assert_int_equal(rig_commit(*state, &refused), ENGRAM_CONFLICT);
    assert_int_equal(shared.groups, 0);
    assert_int_equal(shared.syncs, 0);
    assert_int_equal(rig_commit(*state, &accepted), ENGRAM_OK);
    assert_int_equal(metrics_of(*state).refused, 1);
}

/* Holds the first sync while `count` more entries come, and are taken. */
static void start_behind_a_sync(rig *r, committer *committers, unsigned count)
{
    rig_set_gates(r, true, false);
    committer_start(&committers[0], r, EG_DURABILITY_GROUP);
    WAIT_UNTIL(atomic_load(&r->at_sync_gate) == 1);
    for (unsigned i = 1; i <= count; i++)
        committer_start(&committers[i], r, committers[i].commit.entry.durability);
}

static void join_all(committer *committers, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(committer_join(&committers[i]), ENGRAM_OK);
}

static void one_sync_covers_all_groups_written_before_it(void **state)
{
    committer committers[4] = {0};
    committers[1].commit.entry.closes = committers[2].commit.entry.closes = true;
    committers[3].commit.entry.closes = true;
    start_behind_a_sync(*state, committers, 3);
    WAIT_UNTIL(atomic_load(&shared.written_groups) == 4);
    rig_set_gates(*state, false, false);
    join_all(committers, 4);
    assert_int_equal(shared.groups, 4);
    assert_int_equal(shared.syncs, 2);
    assert_int_equal(shared.covered_max, 3);
}

static void relaxed_entries_wait_for_those_before_them(void **state)
{
    committer committers[2] = {0};
    committers[1].commit.entry.durability = EG_DURABILITY_RELAXED;
    start_behind_a_sync(*state, committers, 1);
    WAIT_UNTIL(atomic_load(&shared.written_groups) == 2);
    assert_false(atomic_load(&committers[1].commit.returned));
    assert_int_equal(shared.published, 0);
    rig_set_gates(*state, false, false);
    join_all(committers, 2);
    assert_int_equal(shared.syncs, 1);
}

/* Those who come while take is busy are handed over together the next time. */
static void start_in_one_run(rig *r, committer *committers, unsigned count)
{
    rig_set_gates(r, true, true);
    committer_start(&committers[0], r, EG_DURABILITY_GROUP);
    WAIT_UNTIL(atomic_load(&r->at_take_gate) == 1);
    for (unsigned i = 1; i <= count; i++)
        committer_start(&committers[i], r, EG_DURABILITY_GROUP);
}

static void nothing_joins_behind_an_entry_that_closes(void **state)
{
    committer committers[6] = {0};
    for (unsigned i = 1; i < 6; i++)
        committers[i].commit.close_at_take = true;
    start_in_one_run(*state, committers, 5);
    rig_set_gates(*state, true, false);
    WAIT_UNTIL(atomic_load(&shared.written) == 6);
    for (unsigned i = 0; i < 6; i++)
        for (unsigned j = 0; j < i; j++)
            if (i > 1 && j > 0)
                assert_int_not_equal(committers[i].commit.group, committers[j].commit.group);
    assert_true(shared.groups == 5 || shared.groups == 6);
    rig_set_gates(*state, false, false);
    join_all(committers, 6);
}

/* ---- failing ---- */

static engram_status mark_run(void *context, engram_error *error)
{
    (void)error;
    *(bool *)context = true;
    return ENGRAM_OK;
}

static void assert_is_final(rig *r)
{
    commit late = {0};
    bool has_run = false;
    engram_error error = {0};
    assert_int_equal(rig_commit(r, &late), ENGRAM_IO);
    assert_int_equal(eg_group_at_boundary(r->group, mark_run, &has_run, &error), ENGRAM_IO);
    assert_string_equal(error.message, "the disk is gone");
    assert_false(has_run);
    memset(&error, 0, sizeof error);
    assert_int_equal(eg_group_drain(r->group, &error), ENGRAM_IO);
    assert_string_equal(error.message, "the disk is gone");
}

static void each_step_fails_at_some_call(void **state)
{
    for (step failing = STEP_TAKE; failing <= STEP_SYNC; failing++)
        for (int n = 1; n < 40; n += 1 + n / 4) {
            rig_fini(*state);
            rig_init(*state, NULL);
            rig_fail_at(*state, failing, n);
            crowd k = {.rig = *state, .rounds = 1000, .kinds = n % 2 ? 1 : 3, .closes = n % 3 == 0};
            run_crowd(&k, 12);
            assert_int_equal(k.failed, 12);
            assert_true(shared.published <= shared.written);
            assert_is_final(*state);
        }
}

/* A group whose sync is under way has a fate of its own. */
static void a_failed_write_leaves_the_sync_before_it_alone(void **state)
{
    committer committers[2] = {0};
    rig_fail_at(*state, STEP_WRITE, 2);
    committers[1].commit.entry.closes = true;
    start_behind_a_sync(*state, committers, 1);
    assert_int_equal(committer_join(&committers[1]), ENGRAM_IO);
    rig_set_gates(*state, false, false);
    assert_int_equal(committer_join(&committers[0]), ENGRAM_OK);
    assert_int_equal(shared.published, 1);
    assert_is_final(*state);
}

static void a_failed_sync_takes_all_behind_it_along(void **state)
{
    committer committers[10] = {0};
    rig_fail_at(*state, STEP_SYNC, 1);
    committers[1].commit.entry.closes = true;
    start_behind_a_sync(*state, committers, 9);
    WAIT_UNTIL(atomic_load(&shared.written_groups) >= 2); /* more on a slow machine, where the others wait too long */
    rig_set_gates(*state, false, false);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(committer_join(&committers[i]), ENGRAM_IO);
    assert_int_equal(shared.published, 0);
    assert_is_final(*state);
}

/* ---- boundaries and draining ---- */

typedef struct checkpoint {
    rig *rig;
    bool drains;
    uint64_t written;
} checkpoint;

/* Looks for a while whether anything moves. */
static engram_status watch_boundary(void *context, engram_error *error)
{
    checkpoint *c = context;
    rig *r = c->rig;
    (void)error;
    if (atomic_fetch_add(&r->inside, 1) != 0 || atomic_load(&r->half_taken))
        abort();
    c->written = atomic_load(&r->written);
    if (c->drains && (eg_group_drain(r->group, NULL) || r->published != c->written))
        abort();
    for (int i = 0; i < 50; i++)
        sched_yield();
    if (atomic_load(&r->written) != c->written || atomic_load(&r->half_taken))
        abort();
    atomic_fetch_sub(&r->inside, 1);
    return ENGRAM_CANCELLED;
}

static void work_at_a_boundary_is_alone(void **state)
{
    pthread_t threads[THREADS_MAX];
    crowd k = {.rig = *state, .rounds = 300, .kinds = 3, .closes = true};
    start_crowd(&k, threads, 16);
    for (unsigned i = 0; i < 60; i++) {
        checkpoint c = {.rig = *state, .drains = i % 2 == 0};
        assert_int_equal(eg_group_at_boundary(shared.group, watch_boundary, &c, NULL),
                         ENGRAM_CANCELLED);
        if (i % 3 == 0) {
            assert_int_equal(eg_group_drain(shared.group, NULL), ENGRAM_OK);
            assert_true(atomic_load(&shared.published) >= c.written);
        }
    }
    join_crowd(threads, 16);
    assert_int_equal(k.ok, 16 * 300);
}

static void *run_boundaries(void *context)
{
    rig *r = context;
    for (unsigned i = 0; i < 50; i++) {
        checkpoint c = {.rig = r, .drains = i % 2 == 0};
        if (eg_group_at_boundary(r->group, watch_boundary, &c, NULL) != ENGRAM_CANCELLED)
            abort();
    }
    return NULL;
}

static void boundaries_take_turns(void **state)
{
    pthread_t threads[THREADS_MAX], others[3];
    crowd k = {.rig = *state, .rounds = 100, .kinds = 2};
    start_crowd(&k, threads, 8);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&others[i], NULL, run_boundaries, *state), 0);
    join_crowd(threads, 8);
    join_crowd(others, 3);
    assert_int_equal(k.ok, 800);
}

static void a_boundary_closes_the_group_at_hand(void **state)
{
    committer committers[2] = {0};
    bool has_run = false;
    start_behind_a_sync(*state, committers, 1);
    WAIT_UNTIL(atomic_load(&shared.half_taken));
    assert_int_equal(eg_group_at_boundary(shared.group, mark_run, &has_run, NULL), ENGRAM_OK);
    assert_true(has_run);
    assert_int_equal(shared.groups, 2);
    assert_int_equal(metrics_of(*state).closed_boundary, 1);
    rig_set_gates(*state, false, false);
    join_all(committers, 2);
    assert_int_equal(eg_group_drain(shared.group, NULL), ENGRAM_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_lone_writer_pays_one_sync_and_never_waits),
        TEST(a_refused_entry_returns_alone),
        TEST(a_hundred_threads_share_syncs),
        TEST(the_last_ones_come_back),
        TEST(everything_at_once),
        TEST(groups_are_bounded),
        TEST(immediate_entries_have_groups_and_syncs_of_their_own),
        TEST(relaxed_entries_need_no_sync),
        TEST(one_sync_covers_all_groups_written_before_it),
        TEST(relaxed_entries_wait_for_those_before_them),
        TEST(nothing_joins_behind_an_entry_that_closes),
        TEST(each_step_fails_at_some_call),
        TEST(a_failed_write_leaves_the_sync_before_it_alone),
        TEST(a_failed_sync_takes_all_behind_it_along),
        TEST(work_at_a_boundary_is_alone),
        TEST(boundaries_take_turns),
        TEST(a_boundary_closes_the_group_at_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
