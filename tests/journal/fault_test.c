/* Every call to the disk fails once, for ever, or halfway, and every allocation: the failure is
 * reported, it is final, and what a reopened log holds is a prefix with everything that a sync
 * acknowledged. */
#include <errno.h>

#include "base/memory.h"
#include "fault/faulty_io.h"
#include "journal/plain_reader.h"

/* What the owner of a journal would remember of it. */
typedef struct owner {
    eg_journal_start start;
    entries appended;      /* from sequence 1 on */
    uint64_t acknowledged; /* by a sync, or by a rotation, which stands for a checkpoint */
    uint64_t synced;
    engram_status failed; /* of the first call that did */
    unsigned prepares;
    unsigned unprepared; /* failures that are not final */
} owner;

static bool step(owner *o, engram_status status, const engram_error *error)
{
    if (status != ENGRAM_OK && o->failed == ENGRAM_OK) {
        o->failed = status;
        assert_int_equal(error->status, status);
        assert_true(error->message[0] != 0);
    }
    return status == ENGRAM_OK;
}

static bool append(owner *o, eg_journal *journal, unsigned i)
{
    uint8_t operation[64] = {8, 59};
    uint64_t sequence, transaction = i;
    engram_error error = {0};
    operation[5] = (uint8_t)i;
    /* Also what fails may be found later. */
    entries_add(&o->appended,
                (entry){EG_RECORD_COMMITTED, transaction, i, o->appended.count + 1,
                        sizeof operation, hash_bytes(0, operation, sizeof operation)});
    engram_status status = eg_journal_append(
        journal, transaction, i, (eg_view){operation, sizeof operation}, &sequence, &error);
    if (status == ENGRAM_OK)
        assert_int_equal(sequence, o->appended.count);
    return step(o, status, &error);
}

static bool sync_all(owner *o, eg_journal *journal)
{
    engram_error error = {0};
    engram_status status = eg_journal_flush(journal, &error);
    if (status == ENGRAM_OK)
        status = eg_journal_sync(journal, &error);
    if (status == ENGRAM_OK)
        o->acknowledged = o->synced = o->appended.count;
    return step(o, status, &error);
}

static bool rotate(owner *o, eg_journal *journal)
{
    engram_error error = {0};
    eg_journal_start start;
    if (!step(o, eg_journal_rotate(journal, &start, &error), &error))
        return false;
    o->start = start;
    o->acknowledged = o->appended.count;
    return step(o, eg_journal_release(journal, start.file, &error), &error);
}

static bool prepare(owner *o, eg_journal *journal)
{
    engram_error error = {0};
    engram_status status = eg_journal_prepare(journal, &error);
    o->prepares++;
    if (status == ENGRAM_OK || eg_journal_flush(journal, NULL) != ENGRAM_OK)
        return step(o, status, &error);
    assert_int_equal(error.status, status);
    o->unprepared++;
    return true;
}

static bool write_log(owner *o, eg_journal *journal)
{
    for (unsigned i = 0; i < 14; i++) {
        if (!append(o, journal, i) || (i % 3 != 2 && !sync_all(o, journal)))
            return false;
        if (i % 5 == 4 && !rotate(o, journal))
            return false;
        if (i % 6 == 2 && !prepare(o, journal))
            return false;
    }
    return sync_all(o, journal);
}

static engram_status read_owned(eg_io *io, const char *dir, const owner *o, entries *list,
                                eg_journal_end *end, engram_error *error)
{
    return read_log(io, dir, o->start, o->acknowledged, list, end, error);
}

/* Nothing may succeed, or reach the disk, once something failed. */
static void assert_final(owner *o, eg_journal *journal)
{
    uint64_t sequence;
    eg_journal_start start;
    engram_error error = {0};
    assert_int_equal(eg_journal_append(journal, 1, 1, (eg_view){0}, &sequence, &error), o->failed);
    assert_non_null(strstr(error.message, "earlier failure"));
    assert_int_equal(eg_journal_sync(journal, NULL), o->failed);
    assert_int_equal(eg_journal_rotate(journal, &start, NULL), o->failed);
    assert_int_equal(eg_journal_release(journal, 1, NULL), o->failed);
    assert_int_equal(eg_journal_flush(journal, NULL), o->failed);
    assert_int_equal(eg_journal_prepare(journal, NULL), o->failed);
    assert_true(eg_journal_durable(journal) >= o->synced);
}

/* One life of a journal: read, open, write, close. */
static void live(owner *o, eg_io *io, const char *dir)
{
    entries list = {0};
    eg_journal_end end;
    engram_error error = {0};
    eg_journal *journal = NULL;
    bool ok = step(o, read_owned(io, dir, o, &list, &end, &error), &error);
    entries_free(&list);
    if (!ok)
        return;
    assert_int_equal(end.sequence, o->appended.count + 1);
    ok = step(o, eg_journal_open(io, dir, &end, &(eg_journal_options){400}, &journal, &error),
              &error);
    if (!ok) {
        assert_null(journal);
        return;
    }
    if (!write_log(o, journal))
        assert_final(o, journal);
    bool failed = o->failed != ENGRAM_OK;
    engram_error last = {0};
    engram_status status = eg_journal_close(&journal, &end, &last);
    if (failed)
        assert_int_equal(status, o->failed);
    step(o, status, &last);
}

/* What is on the real disk; the log continues from there. */
static void assert_recovers(owner *o, const char *dir, long n)
{
    entries list = {0};
    eg_journal_end end;
    engram_error error = {0};
    if (read_owned(quick_io(), dir, o, &list, &end, &error))
        fail_msg("call %ld: %s", n, error.message);
    assert_true(end.sequence > o->acknowledged);
    assert_true(end.sequence <= o->appended.count + 1);
    assert_int_equal(list.count, end.sequence - o->start.sequence);
    if (!entries_equal(list.items, o->appended.items + o->start.sequence - 1, list.count))
        fail_msg("call %ld: other records than those written", n);
    o->appended.count = end.sequence - 1;
    o->acknowledged = end.sequence - 1;
    o->failed = ENGRAM_OK;
    live(o, quick_io(), dir);
    assert_int_equal(o->failed, ENGRAM_OK);
    if (read_owned(quick_io(), dir, o, &list, &end, &error))
        fail_msg("call %ld: %s", n, error.message);
    assert_int_equal(end.sequence, o->appended.count + 1);
    entries_free(&list);
}

static owner new_owner(const char *dir)
{
    empty_dir(dir);
    owner o = {.start = {1, 1}};
    assert_int_equal(eg_journal_create(quick_io(), dir, 1, NULL), ENGRAM_OK);
    live(&o, quick_io(), dir); /* so that there is something to reopen */
    assert_int_equal(o.failed, ENGRAM_OK);
    o.prepares = 0;
    return o;
}

/* The state that a killed process leaves: preallocation, a torn record, a later file. */
static void roughen(const char *dir, uint64_t last)
{
    bytes file = load_file(dir, wal_name(last));
    file.data = realloc(file.data, file.size + 40);
    assert_non_null(file.data);
    memset(file.data + file.size, 0x11, 40);
    store_file(dir, wal_name(last), file.data, file.size + 40);
    store_file(dir, wal_name(last + 1), "x", 1);
    store_file(dir, "spare-1.wal", "x", 1);
    free(file.data);
}

static uint64_t last_file(const char *dir)
{
    uint64_t number = 99;
    while (number > 0 && !has_file(dir, wal_name(number)))
        number--;
    return number;
}

static void fail_each_call(const char *dir, int os_error, unsigned how, engram_status expected)
{
    eg_faulty *faulty;
    assert_int_equal(eg_faulty_create(quick_io(), &faulty), ENGRAM_OK);
    long n = 1, survived = 0, not_prepared = 0;
    uint64_t allocations = 0, prepares = 0;
    for (bool reached = true; reached; n++) {
        owner o = new_owner(dir);
        roughen(dir, last_file(dir));
        eg_faulty_fail_at(faulty, EG_FAULTY_ANY, (uint64_t)n, os_error, how);
        uint64_t before = eg_faulty_count(faulty, EG_FAULTY_ALLOCATE);
        live(&o, eg_faulty_io(faulty), dir);
        allocations = eg_faulty_count(faulty, EG_FAULTY_ALLOCATE) - before;
        prepares = o.prepares;
        reached = eg_faulty_hits(faulty) > 0;
        /* A disk that has no room for the whole preallocation is asked for less. */
        bool smaller = reached && o.failed == ENGRAM_OK && expected == ENGRAM_NO_SPACE &&
                       (how & EG_FAULTY_FOREVER) == 0 && o.unprepared == 0;
        bool unprepared = reached && o.failed == ENGRAM_OK && o.unprepared == 1;
        survived += smaller;
        not_prepared += unprepared;
        if (!smaller && !unprepared && o.failed != (reached ? expected : ENGRAM_OK))
            fail_msg("call %ld: %s", n, engram_status_name(o.failed));
        if (how == EG_FAULTY_ONCE && reached)
            assert_int_equal(eg_faulty_hits(faulty), 1);
        assert_recovers(&o, dir, n);
        entries_free(&o.appended);
    }
    printf("%ld calls, %ld survived, %ld files not prepared\n", n - 2, survived, not_prepared);
    assert_true(n > 70);
    bool room_left = expected == ENGRAM_NO_SPACE && (how & EG_FAULTY_FOREVER) == 0;
    assert_int_equal(survived, room_left ? allocations - prepares : 0);
    assert_true(how & EG_FAULTY_FOREVER || not_prepared >= 10);
    eg_faulty_free(faulty);
}

static void each_call_fails_once(void **state)
{
    fail_each_call(*state, EIO, EG_FAULTY_ONCE, ENGRAM_IO);
}

static void each_call_fails_for_ever(void **state)
{
    fail_each_call(*state, ENOSPC, EG_FAULTY_FOREVER, ENGRAM_NO_SPACE);
}

static void each_call_stops_halfway(void **state)
{
    fail_each_call(*state, ENOSPC, EG_FAULTY_SHORT, ENGRAM_NO_SPACE);
}

static void each_allocation_fails(void **state)
{
    long n = 1;
    for (bool reached = true; reached; n++) {
        owner o = new_owner(*state);
        roughen(*state, last_file(*state));
        eg_alloc_fail_at(n, false);
        live(&o, quick_io(), *state);
        reached = eg_alloc_count() >= n;
        eg_alloc_fail_at(0, false);
        bool final = reached && o.unprepared == 0;
        assert_int_equal(o.failed, final ? ENGRAM_NO_MEMORY : ENGRAM_OK);
        assert_recovers(&o, *state, n);
        entries_free(&o.appended);
    }
    assert_true(n > 20);
}

/* The failure that rotation meets, in the middle of a transaction too, ends the journal. */
static void a_failed_sync_is_never_repeated(void **state)
{
    eg_faulty *faulty;
    owner o = new_owner(*state);
    assert_int_equal(eg_faulty_create(quick_io(), &faulty), ENGRAM_OK);
    entries list = {0};
    eg_journal_end end;
    engram_error error = {0};
    eg_journal *journal;
    eg_io *io = eg_faulty_io(faulty);
    assert_int_equal(read_owned(io, *state, &o, &list, &end, &error), ENGRAM_OK);
    assert_int_equal(eg_journal_open(io, *state, &end, NULL, &journal, NULL), ENGRAM_OK);
    assert_true(append(&o, journal, 1));
    eg_faulty_fail_at(faulty, EG_FAULTY_SYNC, 1, EIO, EG_FAULTY_ONCE);
    assert_false(rotate(&o, journal));
    uint64_t calls = eg_faulty_count(faulty, EG_FAULTY_ANY);
    assert_final(&o, journal);
    assert_int_equal(eg_journal_close(&journal, &end, NULL), ENGRAM_IO);
    assert_int_equal(eg_faulty_count(faulty, EG_FAULTY_ANY), calls);
    eg_faulty_free(faulty);
    entries_free(&list);
    entries_free(&o.appended);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_dir, teardown_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_call_fails_once),
        TEST(each_call_fails_for_ever),
        TEST(each_call_stops_halfway),
        TEST(each_allocation_fails),
        TEST(a_failed_sync_is_never_repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
