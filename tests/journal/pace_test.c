/* The short wait, on a clock that the test moves: a disk whose sync takes 1 ms, and callers that
 * come back some time after they are released. */
#include <stdio.h>

#include "base/test.h"
#include "journal/pace.h"

enum { US = 1000, MS = 1000 * US };

typedef struct model {
    eg_pace pace;
    uint64_t now;
    unsigned pending;     /* joined, and waiting for the next sync */
    uint64_t coming[256]; /* when each of the others joins */
    unsigned coming_count;
    uint64_t entries, syncs, waits;
} model;

static void join_until(model *m, uint64_t until)
{
    unsigned left = 0;
    for (unsigned i = 0; i < m->coming_count; i++)
        if (m->coming[i] <= until) {
            eg_pace_join(&m->pace, m->coming[i]);
            m->pending++;
        } else {
            m->coming[left++] = m->coming[i];
        }
    m->coming_count = left;
}

static uint64_t next_join(const model *m)
{
    uint64_t next = UINT64_MAX;
    for (unsigned i = 0; i < m->coming_count; i++)
        next = m->coming[i] < next ? m->coming[i] : next;
    return next;
}

static void wait_for_start(model *m)
{
    if (m->pending == 0)
        m->now = next_join(m) > m->now ? next_join(m) : m->now;
    join_until(m, m->now);
    m->waits += !eg_pace_is_due(&m->pace, 0, m->now);
    while (!eg_pace_is_due(&m->pace, 0, m->now)) {
        uint64_t next = next_join(m);
        m->now = next < m->pace.deadline ? next : m->pace.deadline;
        join_until(m, m->now);
    }
}

/* A sync that takes sync_ns; its entries come back back_ns later, each_ns apart. */
static void run_sync(model *m, uint64_t sync_ns, uint64_t back_ns, uint64_t each_ns)
{
    wait_for_start(m);
    unsigned covered = m->pending;
    m->pending = 0;
    join_until(m, m->now += sync_ns);
    eg_pace_release(&m->pace, covered, sync_ns, m->pending > 0, m->now);
    m->entries += covered;
    m->syncs++;
    for (unsigned i = 0; i < covered; i++)
        m->coming[m->coming_count++] = m->now + back_ns + i * each_ns;
}

static model model_make(unsigned callers)
{
    model m = {.now = MS};
    eg_pace_init(&m.pace, 5 * MS);
    for (unsigned i = 0; i < callers; i++)
        m.coming[m.coming_count++] = m.now + i * 300 * US; /* they do not start together */
    return m;
}

static double mean(const model *m)
{
    return (double)m->entries / (double)m->syncs;
}

static void a_lone_caller_never_waits(void **state)
{
    (void)state;
    for (uint64_t back_ns = 10; back_ns < 100 * MS; back_ns *= 10) {
        model m = model_make(1);
        for (unsigned i = 0; i < 3000; i++)
            run_sync(&m, MS, back_ns, 0);
        assert_int_equal(m.waits, 0);
    }
}

static void callers_that_come_back_share_every_sync(void **state)
{
    static const unsigned counts[] = {2, 8, 100};
    (void)state;
    for (unsigned k = 0; k < 3; k++) {
        model m = model_make(counts[k]);
        for (unsigned i = 0; i < 3000; i++)
            run_sync(&m, MS, 10 * US, 2 * US);
        printf("%u callers: %.1f a sync\n", counts[k], mean(&m));
        assert_true(m.pace.waits);
        assert_true(mean(&m) > 0.95 * counts[k]);
    }
}

/* Those who do something else in between gain nothing from a wait for them. */
static void a_wait_that_gains_nothing_is_turned_off(void **state)
{
    (void)state;
    model m = model_make(8);
    for (unsigned i = 0; i < 1000; i++)
        run_sync(&m, MS, 900 * US, 0);
    uint64_t waits = m.waits;
    for (unsigned i = 0; i < 1000; i++)
        run_sync(&m, MS, 900 * US, 0);
    assert_false(m.pace.waits);
    assert_true(m.waits - waits < 150); /* in trials */
}

/* It is turned on again soon when callers come that it helps. */
static void a_change_of_load_is_noticed(void **state)
{
    (void)state;
    model m = model_make(1);
    for (unsigned i = 0; i < 10000; i++)
        run_sync(&m, MS, 10 * US, 0);
    for (unsigned i = 0; i < 15; i++)
        m.coming[m.coming_count++] = m.now + i * 100 * US;
    for (unsigned i = 0; i < 200; i++)
        run_sync(&m, MS, 10 * US, 2 * US);
    m.entries = m.syncs = 0;
    for (unsigned i = 0; i < 200; i++)
        run_sync(&m, MS, 10 * US, 2 * US);
    printf("16 callers: %.1f a sync\n", mean(&m));
    assert_true(mean(&m) > 13);
}

/* A wait ends, whether those it is for come or not. */
static void a_wait_has_an_end(void **state)
{
    static const uint64_t syncs_ns[] = {100 * US, MS, 100 * MS};
    (void)state;
    for (unsigned k = 0; k < 3; k++) {
        eg_pace pace;
        eg_pace_init(&pace, 5 * MS);
        eg_pace_release(&pace, 10, syncs_ns[k], false, MS);
        uint64_t half = syncs_ns[k] / 2, span = half < 5 * MS ? half : 5 * MS;
        for (unsigned i = 0; i < 9; i++)
            eg_pace_join(&pace, MS);
        assert_false(eg_pace_is_due(&pace, 0, MS + span - 1));
        assert_true(eg_pace_is_due(&pace, 1, MS));
        assert_true(eg_pace_is_due(&pace, 0, MS + span));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lone_caller_never_waits),
        cmocka_unit_test(callers_that_come_back_share_every_sync),
        cmocka_unit_test(a_wait_that_gains_nothing_is_turned_off),
        cmocka_unit_test(a_change_of_load_is_noticed),
        cmocka_unit_test(a_wait_has_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
