/* Every call to the disk fails once, for ever or halfway, and every allocation: the failure is
 * told, it is final for the writer, reads go on, and what an acknowledged sync covered is there
 * when the store is opened again. "For ever" is also a crash: nothing after that call happens. */
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "base/memory.h"
#include "fault/faulty_io.h"
#include "store/rig.h"

typedef struct owner {
    rig *r;
    eg_faulty *faulty;
    size_t durable; /* chunks that r->states covers and a sync has acknowledged */
    engram_status failed;
} owner;

static bool step(owner *o, engram_status status, const engram_error *error)
{
    if (status == ENGRAM_OK)
        return true;
    assert_int_equal(error->status, status);
    assert_true(error->message[0] != 0);
    o->failed = status;
    return false;
}

/* What a caller does after each batch: the states first, then the sync that makes them true. */
static bool commit(owner *o)
{
    engram_error error = {0};
    eg_segment_state *states;
    size_t count;
    if (!step(o, eg_store_get_states(o->r->store, &states, &count, &error), &error))
        return false;
    if (!step(o, eg_store_sync(o->r->store, &error), &error)) {
        eg_free(states);
        return false;
    }
    eg_free(o->r->states);
    o->r->states = states;
    o->r->state_count = count;
    o->durable = o->r->chunk_count;
    return true;
}

static bool append(owner *o, size_t count)
{
    engram_error error = {0};
    return step(o, rig_try_append(o->r, count, &error), &error) && commit(o);
}

static bool seal(owner *o)
{
    engram_error error = {0};
    return step(o, eg_store_seal(o->r->store, &error), &error);
}

static bool open_writer(owner *o)
{
    engram_error error = {0};
    bool opened = step(o, rig_try_open(o->r, false, &error), &error);
    assert_int_equal(opened, o->r->store != NULL);
    return opened && commit(o);
}

static bool read_some(owner *o)
{
    engram_error error = {0};
    size_t size;
    eg_vector_span span;
    for (size_t i = 0; i < o->r->chunk_count; i += 7)
        if (!step(o, eg_store_read(o->r->store, i + 1, o->r->other, RIG_BYTES_MAX, &size, &error),
                  &error))
            return false;
    for (size_t s = 0; s < eg_store_segment_count(o->r->store); s++)
        if (!step(o, eg_store_get_vectors(o->r->store, s, &span, &error), &error))
            return false;
    return true;
}

/* What fails in the background is told by the next call, so it has to be over before that. */
static bool settle(owner *o)
{
    engram_error error = {0};
    rig_wait_for_sealer(o->r);
    return step(o, eg_store_sync(o->r->store, &error), &error);
}

static bool reopen(owner *o)
{
    engram_error error = {0};
    if (!settle(o))
        return false;
    eg_store_close(&o->r->store);
    return open_writer(o) && step(o, eg_store_sweep(o->r->store, &error), &error);
}

/* Two segments filled, an active one recovered, one sealed by hand. */
static bool work(owner *o)
{
    return open_writer(o) && append(o, 30) && append(o, 10) && reopen(o) && read_some(o) &&
           append(o, 12) && settle(o) && seal(o) && append(o, 3) && reopen(o) && read_some(o) &&
           settle(o);
}

/* After a failed write or sync nothing more is taken, and what was there is still read. */
static void check_final(owner *o)
{
    rig *r = o->r;
    if (r->store == NULL)
        return;
    if (eg_store_sync(r->store, NULL) != ENGRAM_OK) {
        assert_int_not_equal(rig_try_append(r, 1, NULL), ENGRAM_OK);
        assert_int_not_equal(eg_store_seal(r->store, NULL), ENGRAM_OK);
        assert_int_not_equal(eg_store_sync(r->store, NULL), ENGRAM_OK);
    }
    assert_true(eg_store_validate(r->store));
    rig_check_all(r, o->durable);
}

static void check_durable(owner *o)
{
    rig *r = o->r;
    r->io = rig_io();
    r->chunk_count = o->durable;
    rig_open_reader(r);
    rig_check_exactly(r, o->durable);
    eg_store_close(&r->store);
    rig_open(r);
    rig_check_exactly(r, o->durable);
    rig_append(r, 5);
    assert_ok(eg_store_sweep(r->store, error));
    rig_check_exactly(r, o->durable + 5);
}

static owner owner_make(void)
{
    owner o = {.r = rig_create(77, 6000, 700)};
    assert_int_equal(eg_faulty_create(rig_io(), &o.faulty), ENGRAM_OK);
    o.r->io = eg_faulty_io(o.faulty);
    return o;
}

static void owner_end(owner *o)
{
    eg_store_close(&o->r->store);
    eg_faulty_free(o->faulty);
    rig_free(o->r);
}

static void every_call_fails(unsigned kinds, int os_error, engram_status expected, unsigned how)
{
    for (uint64_t n = 1;; n += TEST_STRIDE) {
        owner o = owner_make();
        eg_faulty_fail_at(o.faulty, kinds, n, os_error, how);
        bool done = work(&o);
        bool hit = eg_faulty_hits(o.faulty) > 0;
        assert_int_equal(done, !hit);
        if (hit)
            assert_int_equal(o.failed, expected);
        /* The disk is well again, but the store must not pretend that nothing happened. */
        eg_faulty_fail_at(o.faulty, 0, 0, 0, 0);
        check_final(&o);
        eg_store_close(&o.r->store);
        check_durable(&o);
        owner_end(&o);
        if (!hit) {
            assert_true(n > 30);
            return;
        }
    }
}

static void every_call_fails_once(void **state)
{
    (void)state;
    every_call_fails(EG_FAULTY_ANY, EIO, ENGRAM_IO, EG_FAULTY_ONCE);
}

static void every_call_is_the_last(void **state)
{
    (void)state;
    every_call_fails(EG_FAULTY_ANY, EIO, ENGRAM_IO, EG_FAULTY_FOREVER | EG_FAULTY_SHORT);
}

static void the_disk_is_full(void **state)
{
    (void)state;
    every_call_fails(EG_FAULTY_GROWING, ENOSPC, ENGRAM_NO_SPACE,
                     EG_FAULTY_FOREVER | EG_FAULTY_SHORT);
}

/* The kernel tells of lost pages once. Whatever the next sync would say, this writer has ended. */
static void one_failure_is_final(void **state)
{
    static const unsigned kinds[] = {EG_FAULTY_SYNC, EG_FAULTY_WRITE};
    (void)state;
    for (unsigned k = 0; k < 2; k++) {
        engram_error error = {0};
        owner o = owner_make();
        o.r->options.segment_size = 1 << 20; /* so that nothing happens in the background */
        assert_true(open_writer(&o) && append(&o, 10));
        if (kinds[k] == EG_FAULTY_SYNC)
            rig_append(o.r, 3);
        eg_faulty_fail_at(o.faulty, kinds[k], 1, EIO, EG_FAULTY_ONCE);
        engram_status status = ENGRAM_OK; /* small chunks are gathered: a write comes in a while */
        while (kinds[k] == EG_FAULTY_WRITE && status == ENGRAM_OK)
            status = rig_try_append(o.r, 3, &error);
        if (kinds[k] == EG_FAULTY_SYNC)
            status = eg_store_sync(o.r->store, &error);
        assert_int_equal(status, ENGRAM_IO);
        assert_int_equal(eg_faulty_hits(o.faulty), 1);
        uint64_t calls = eg_faulty_count(o.faulty, EG_FAULTY_SYNC | EG_FAULTY_WRITE);
        assert_int_equal(eg_store_sync(o.r->store, NULL), ENGRAM_IO);
        assert_int_equal(rig_try_append(o.r, 1, NULL), ENGRAM_IO);
        assert_int_equal(eg_store_seal(o.r->store, NULL), ENGRAM_IO);
        assert_int_equal(eg_store_sweep(o.r->store, NULL), ENGRAM_IO);
        assert_int_equal(eg_faulty_count(o.faulty, EG_FAULTY_SYNC | EG_FAULTY_WRITE), calls);
        rig_check_all(o.r, o.durable);
        eg_store_close(&o.r->store);
        check_durable(&o);
        owner_end(&o);
    }
}

/* A disk whose next sync waits for another thread to ask for one, and fails. */
static eg_io failing;
static eg_store *synced_meanwhile;
static pthread_t other_thread;
static bool armed;
static engram_status other_status;

static void *sync_too(void *context)
{
    (void)context;
    other_status = eg_store_sync(synced_meanwhile, NULL);
    return NULL;
}

static engram_status failing_sync(eg_io *io, eg_file *file, engram_error *error)
{
    (void)io;
    if (!armed)
        return ENGRAM_OK;
    armed = false;
    pthread_create(&other_thread, NULL, sync_too, NULL);
    usleep(20000);
    return eg_fail_os(error, EIO, "cannot sync %s", eg_file_name(file));
}

/* The other thread's sync of the same file would succeed, with the pages lost. */
static void a_failed_sync_is_known_to_the_next(void **state)
{
    (void)state;
    rig *r = rig_create(1, 1 << 20, 500);
    failing = *rig_io();
    failing.sync = failing_sync;
    r->io = &failing;
    rig_open(r);
    rig_append(r, 5);
    synced_meanwhile = r->store;
    armed = true;
    assert_int_equal(eg_store_seal(r->store, NULL), ENGRAM_IO);
    pthread_join(other_thread, NULL);
    assert_int_equal(other_status, ENGRAM_IO);
    rig_check_all(r, 5);
    rig_free(r);
}

static void every_allocation_fails(bool forever)
{
    for (long n = 1;; n += TEST_STRIDE) {
        owner o = owner_make();
        eg_alloc_fail_at(n, forever);
        bool done = work(&o);
        bool hit = eg_alloc_count() >= n;
        eg_alloc_fail_at(0, false);
        assert_int_equal(done, !hit);
        if (hit)
            assert_int_equal(o.failed, ENGRAM_NO_MEMORY);
        check_final(&o);
        eg_store_close(&o.r->store);
        check_durable(&o);
        owner_end(&o);
        if (!hit) {
            assert_true(n > 50);
            return;
        }
    }
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    every_allocation_fails(false);
}

static void memory_is_gone_for_good(void **state)
{
    (void)state;
    every_allocation_fails(true);
}

/* Reading and verifying: a failure is told and passes. */
static void failing_reads_pass(void **state)
{
    (void)state;
    owner o = owner_make();
    assert_true(work(&o));
    eg_store_close(&o.r->store);
    for (uint64_t n = 1;; n += TEST_STRIDE) {
        rig_open(o.r);
        eg_faulty_fail_at(o.faulty, EG_FAULTY_ANY, n, EIO, EG_FAULTY_ONCE);
        o.failed = ENGRAM_OK;
        bool done = read_some(&o);
        size_t findings = rig_verify(o.r, NULL);
        bool hit = eg_faulty_hits(o.faulty) > 0;
        assert_int_equal(!done || findings > 0, hit);
        eg_faulty_fail_at(o.faulty, 0, 0, 0, 0);
        rig_check_exactly(o.r, o.r->chunk_count);
        rig_close(o.r);
        if (!hit)
            break;
    }
    owner_end(&o);
}

static void ignore_problem(void *context, uint64_t chunk_id, const char *message)
{
    (void)context;
    (void)chunk_id;
    (void)message;
}

static engram_status verify(rig *r, engram_error *error)
{
    eg_store_verifier verifier = {.subset = 1.0, .problem = ignore_problem};
    return eg_store_verify(r->store, &verifier, error);
}

static void verify_without_memory(void **state)
{
    engram_status status;
    long n = 0;
    (void)state;
    owner o = owner_make();
    assert_true(work(&o));
    rig_close(o.r);
    do {
        engram_error error = {0};
        rig_open_reader(o.r);
        eg_alloc_fail_at(n += TEST_STRIDE, false);
        status = verify(o.r, &error);
        eg_alloc_fail_at(0, false);
        assert_true(status == ENGRAM_OK || status == ENGRAM_NO_MEMORY);
        assert_int_equal(status, error.status);
        eg_store_close(&o.r->store);
    } while (status != ENGRAM_OK);
    assert_true(n > 10);
    owner_end(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_fails_once),
        cmocka_unit_test(every_call_is_the_last),
        cmocka_unit_test(the_disk_is_full),
        cmocka_unit_test(one_failure_is_final),
        cmocka_unit_test(a_failed_sync_is_known_to_the_next),
        cmocka_unit_test(every_allocation_fails_once),
        cmocka_unit_test(memory_is_gone_for_good),
        cmocka_unit_test(failing_reads_pass),
        cmocka_unit_test(verify_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
