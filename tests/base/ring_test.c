/* A bounded queue: order, waiting, closing. Items are numbers from 1 as pointers. */
#include "base/ring.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "base/memory.h"
#include "base/test.h"

static void *item(size_t number)
{
    return (void *)(uintptr_t)number;
}

static eg_ring *create(size_t capacity)
{
    eg_ring *ring;
    assert_int_equal(eg_ring_create(capacity, &ring), ENGRAM_OK);
    return ring;
}

static void items_leave_in_order(void **state)
{
    (void)state;
    eg_ring *ring = create(3);
    size_t in = 0, out = 0;
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 1 + round % 3; i++)
            assert_true(eg_ring_push(ring, item(++in)));
        while (out < in)
            assert_ptr_equal(eg_ring_pop(ring), item(++out));
    }
    eg_ring_free(ring);
}

static void a_closed_ring_drains(void **state)
{
    (void)state;
    eg_ring *ring = create(4);
    assert_true(eg_ring_push(ring, item(1)));
    assert_true(eg_ring_push(ring, item(2)));
    eg_ring_close(ring);
    eg_ring_close(ring);
    assert_false(eg_ring_push(ring, item(3)));
    assert_ptr_equal(eg_ring_pop(ring), item(1));
    assert_ptr_equal(eg_ring_pop(ring), item(2));
    assert_null(eg_ring_pop(ring));
    assert_null(eg_ring_pop(ring));
    eg_ring_free(ring);
    eg_ring_free(NULL);
}

static void senseless_rings_are_refused(void **state)
{
    (void)state;
    eg_ring *ring;
    assert_int_equal(eg_ring_create(0, &ring), ENGRAM_INVALID);
    assert_null(ring);
    assert_int_equal(eg_ring_create(SIZE_MAX / 4, &ring), ENGRAM_INVALID);
    eg_alloc_fail_at(1, false);
    assert_int_equal(eg_ring_create(4, &ring), ENGRAM_NO_MEMORY);
    eg_alloc_fail_at(0, false);
    assert_null(ring);
}

typedef struct crew {
    eg_ring *ring;
    size_t capacity, per_producer;
    atomic_size_t number, pushed, popped;
    atomic_bool overfull, refused;
    atomic_uchar seen[8001];
} crew;

static void *produce(void *argument)
{
    crew *c = argument;
    for (size_t i = 0; i < c->per_producer; i++) {
        if (!eg_ring_push(c->ring, item(atomic_fetch_add(&c->number, 1) + 1)))
            atomic_store(&c->refused, true);
        /* An item may have been popped but not been counted yet: hence one for each consumer. */
        if (atomic_fetch_add(&c->pushed, 1) + 1 > atomic_load(&c->popped) + c->capacity + 4)
            atomic_store(&c->overfull, true);
    }
    return NULL;
}

static void *consume(void *argument)
{
    crew *c = argument;
    for (void *got; (got = eg_ring_pop(c->ring)) != NULL;) {
        atomic_fetch_add(&c->popped, 1);
        atomic_fetch_add(&c->seen[(uintptr_t)got], 1);
    }
    return NULL;
}

static void many_threads_lose_nothing(void **state)
{
    (void)state;
    static crew c;
    static const size_t capacities[] = {1, 2, 7, 100};
    for (size_t k = 0; k < 4; k++) {
        memset(&c, 0, sizeof c);
        c.capacity = capacities[k];
        c.ring = create(c.capacity);
        c.per_producer = 2000;
        pthread_t producers[4], consumers[4];
        for (int i = 0; i < 4; i++) {
            assert_int_equal(pthread_create(&producers[i], NULL, produce, &c), 0);
            assert_int_equal(pthread_create(&consumers[i], NULL, consume, &c), 0);
        }
        for (int i = 0; i < 4; i++)
            pthread_join(producers[i], NULL);
        eg_ring_close(c.ring);
        for (int i = 0; i < 4; i++)
            pthread_join(consumers[i], NULL);
        for (size_t i = 1; i <= 8000; i++)
            assert_int_equal(c.seen[i], 1);
        assert_false(c.overfull);
        assert_false(c.refused);
        eg_ring_free(c.ring);
    }
}

static void *push_until_refused(void *argument)
{
    eg_ring *ring = argument;
    uintptr_t refused = 1;
    while (eg_ring_push(ring, item(refused)))
        refused++;
    return item(refused);
}

static void *pop_until_refused(void *argument)
{
    uintptr_t count = 0;
    while (eg_ring_pop(argument))
        count++;
    return item(count);
}

static void closing_wakes_all_who_wait(void **state)
{
    (void)state;
    eg_ring *full = create(2), *empty = create(2);
    pthread_t pushers[3], poppers[3];
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&pushers[i], NULL, push_until_refused, full), 0);
        assert_int_equal(pthread_create(&poppers[i], NULL, pop_until_refused, empty), 0);
    }
    /* Most of them are asleep by then; whoever is not finds the ring closed. */
    for (int i = 0; i < 1000; i++)
        sched_yield();
    eg_ring_close(full);
    eg_ring_close(empty);
    size_t accepted = 0;
    for (int i = 0; i < 3; i++) {
        void *result;
        pthread_join(pushers[i], &result);
        accepted += (uintptr_t)result - 1;
        pthread_join(poppers[i], &result);
        assert_null(result);
    }
    assert_true(accepted <= 2);
    for (size_t i = 0; i < accepted; i++)
        assert_non_null(eg_ring_pop(full));
    assert_null(eg_ring_pop(full));
    eg_ring_free(full);
    eg_ring_free(empty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_leave_in_order),        cmocka_unit_test(a_closed_ring_drains),
        cmocka_unit_test(senseless_rings_are_refused), cmocka_unit_test(many_threads_lose_nothing),
        cmocka_unit_test(closing_wakes_all_who_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
