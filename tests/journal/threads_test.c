/* One thread appends, flushes and rotates; others sync, prepare and release beside it. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "journal/plain_reader.h"

enum { TRANSACTIONS = 6000, FILE_SIZE = 8 << 10, ROTATE_EVERY = 500, FLUSH_EVERY = 7 };

static eg_journal *journal;
static atomic_uint_least64_t flushed, start_file;
static atomic_bool done;

/* cmocka's assertions are for its own thread. */
static void must(engram_status status, const engram_error *error)
{
    if (status == ENGRAM_OK)
        return;
    fprintf(stderr, "%s\n", error->message);
    abort();
}

static void *sync_often(void *context)
{
    (void)context;
    while (!atomic_load(&done)) {
        uint64_t before = atomic_load(&flushed);
        engram_error error = {0};
        must(eg_journal_sync(journal, &error), &error);
        if (eg_journal_durable(journal) < before)
            abort();
    }
    return NULL;
}

static void *supply(void *context)
{
    (void)context;
    while (!atomic_load(&done)) {
        engram_error error = {0};
        must(eg_journal_prepare(journal, &error), &error);
        must(eg_journal_release(journal, atomic_load(&start_file), &error), &error);
        sched_yield();
    }
    return NULL;
}

static eg_journal_start append_all(uint64_t *random, entries *written)
{
    eg_journal_start start = {1, 1};
    for (uint64_t i = 1; i <= TRANSACTIONS; i++) {
        engram_error error = {0};
        bytes operations = make_operations(random, test_random(random) % 200);
        entry item = {EG_RECORD_COMMITTED,
                      i,
                      i,
                      0,
                      operations.size,
                      hash_bytes(0, operations.data, operations.size)};
        must(eg_journal_append(journal, i, i, (eg_view){operations.data, operations.size},
                               &item.sequence, &error),
             &error);
        entries_add(written, item);
        free(operations.data);
        if (i % FLUSH_EVERY == 0) {
            must(eg_journal_flush(journal, &error), &error);
            atomic_store(&flushed, item.sequence);
        }
        if (i % ROTATE_EVERY == 0 && i < TRANSACTIONS) {
            must(eg_journal_rotate(journal, &start, &error), &error);
            atomic_store(&start_file, start.file);
        }
    }
    return start;
}

static void others_beside_an_appender(void **state)
{
    pthread_t threads[3];
    uint64_t random = test_seed(0x3AB);
    entries written = {0}, list = {0};
    eg_journal_end end;
    engram_error error;
    journal = open_log(*state, FILE_SIZE);
    assert_int_equal(pthread_create(&threads[0], NULL, sync_often, NULL), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, sync_often, NULL), 0);
    assert_int_equal(pthread_create(&threads[2], NULL, supply, NULL), 0);
    eg_journal_start start = append_all(&random, &written);
    atomic_store(&done, true);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    close_log(journal, NULL);
    if (read_log(eg_io_posix(), *state, start, TRANSACTIONS, &list, &end, &error))
        fail_msg("%s", error.message);
    assert_int_equal(list.count, TRANSACTIONS + 1 - start.sequence);
    assert_true(entries_equal(list.items, written.items + start.sequence - 1, list.count));
    entries_free(&written);
    entries_free(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(others_beside_an_appender, setup_dir, teardown_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
