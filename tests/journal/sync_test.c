/* Which calls reach the disk, and in which order. */
#include "fault/faulty_io.h"
#include "journal/fixture.h"

static void one_commit_costs_one_sync(void **state)
{
    eg_faulty *faulty;
    eg_journal *journal;
    eg_journal_end end = {0, 0, 1, 0};
    assert_int_equal(eg_faulty_create(eg_io_posix(), &faulty), ENGRAM_OK);
    eg_io *io = eg_faulty_io(faulty);
    assert_int_equal(eg_journal_open(io, *state, &end, NULL, &journal, NULL), ENGRAM_OK);
    for (unsigned i = 1; i < 5; i++) {
        uint64_t all = eg_faulty_count(faulty, EG_FAULTY_ANY);
        uint64_t syncs = eg_faulty_count(faulty, EG_FAULTY_SYNC);
        commit_text(journal, i, "small");
        assert_int_equal(eg_faulty_count(faulty, EG_FAULTY_SYNC) - syncs, 1);
        assert_int_equal(eg_faulty_count(faulty, EG_FAULTY_ANY) - all, 2);
        assert_int_equal(eg_journal_sync(journal, NULL), ENGRAM_OK);
        assert_int_equal(eg_faulty_count(faulty, EG_FAULTY_ANY) - all, 2);
    }
    close_log(journal, NULL);
    eg_faulty_free(faulty);
}

/* ---- the order of syncs: each call that changes the disk leaves a letter ---- */

static char trace[64];

static void note(char letter)
{
    size_t size = strlen(trace);
    assert_true(size + 1 < sizeof trace);
    trace[size] = letter;
}

static engram_status trace_write(eg_io *io, eg_file *file, uint64_t offset, const void *data,
                                 size_t size, engram_error *error)
{
    note('w');
    return quick_io()->write(io, file, offset, data, size, error);
}

static engram_status trace_sync(eg_io *io, eg_file *file, engram_error *error)
{
    note('s');
    return quick_io()->sync(io, file, error);
}

static engram_status trace_sync_dir(eg_io *io, const char *path, engram_error *error)
{
    note('d');
    return quick_io()->sync_dir(io, path, error);
}

static engram_status trace_allocate(eg_io *io, eg_file *file, uint64_t offset, uint64_t size,
                                    engram_error *error)
{
    note('a');
    return quick_io()->allocate(io, file, offset, size, error);
}

static engram_status trace_truncate(eg_io *io, eg_file *file, uint64_t size, engram_error *error)
{
    note('t');
    return quick_io()->truncate(io, file, size, error);
}

static engram_status trace_rename(eg_io *io, const char *from, const char *to, engram_error *error)
{
    note('r');
    return quick_io()->rename(io, from, to, error);
}

static engram_status trace_unlink(eg_io *io, const char *path, engram_error *error)
{
    note('u');
    return quick_io()->unlink(io, path, error);
}

static eg_io make_tracing_io(void)
{
    eg_io io = *quick_io();
    io.write = trace_write;
    io.sync = trace_sync;
    io.sync_dir = trace_sync_dir;
    io.allocate = trace_allocate;
    io.truncate = trace_truncate;
    io.rename = trace_rename;
    io.unlink = trace_unlink;
    return io;
}

static void assert_traced(const char *expected)
{
    assert_string_equal(trace, expected);
    memset(trace, 0, sizeof trace);
}

static eg_journal *open_traced(eg_io *io, const char *dir)
{
    entries list = {0};
    eg_journal *journal;
    eg_journal_end end = read_whole_log(dir, &list);
    entries_free(&list);
    memset(trace, 0, sizeof trace);
    assert_int_equal(eg_journal_open(io, dir, &end, &(eg_journal_options){4096}, &journal, NULL),
                     ENGRAM_OK);
    return journal;
}

static void files_are_changed_in_order(void **state)
{
    eg_io io = make_tracing_io();
    eg_journal_start start;
    uint64_t sequence;
    eg_journal *journal = open_traced(&io, *state);
    assert_traced("asd");
    commit_text(journal, 1, "x");
    assert_traced("ws");
    assert_int_equal(eg_journal_rotate(journal, &start, NULL), ENGRAM_OK);
    assert_traced("asd");
    assert_int_equal(eg_journal_append(journal, 2, 2, (eg_view){0}, &sequence, NULL), ENGRAM_OK);
    assert_int_equal(eg_journal_release(journal, start.file, NULL), ENGRAM_OK);
    assert_traced("wr");
    assert_int_equal(eg_journal_rotate(journal, &start, NULL), ENGRAM_OK);
    assert_traced("srasd");
    assert_int_equal(eg_journal_release(journal, start.file, NULL), ENGRAM_OK);
    assert_int_equal(eg_journal_append(journal, 3, 3, (eg_view){0}, &sequence, NULL), ENGRAM_OK);
    close_log(journal, NULL);
    assert_traced("rwstsu");
}

static void a_torn_log_is_mended_in_order(void **state)
{
    eg_io io = make_tracing_io();
    eg_journal *journal = open_log(*state, 4096);
    commit_text(journal, 1, "x");
    crash(journal);
    store_file(*state, wal_name(2), "y", 1);
    store_file(*state, wal_name(4), "y", 1);
    store_file(*state, "spare-1.wal", "y", 1);
    journal = open_traced(&io, *state);
    assert_traced("twsrduuudasd");
    close_log(journal, NULL);
    assert_traced("ts");
    journal = open_traced(&io, *state);
    assert_traced("sudasd"); /* the empty file goes */
    close_log(journal, NULL);
}

static uint64_t writes_of_opening(const char *dir)
{
    eg_faulty *faulty;
    eg_journal *journal;
    entries list = {0};
    eg_journal_end end = read_whole_log(dir, &list);
    assert_int_equal(eg_faulty_create(eg_io_posix(), &faulty), ENGRAM_OK);
    assert_int_equal(eg_journal_open(eg_faulty_io(faulty), dir, &end, &(eg_journal_options){4096},
                                     &journal, NULL),
                     ENGRAM_OK);
    uint64_t writes = eg_faulty_count(faulty, EG_FAULTY_WRITE);
    close_log(journal, NULL);
    eg_faulty_free(faulty);
    entries_free(&list);
    return writes;
}

/* The pages of a failed sync may be in memory only, and clean: they must be written again. */
static void what_a_crash_left_is_written_again(void **state)
{
    eg_journal *journal = open_log(*state, 4096);
    commit_text(journal, 1, "perhaps in memory only");
    crash(journal);
    assert_int_equal(writes_of_opening(*state), 1);
    assert_int_equal(writes_of_opening(*state), 0);
    entries list = {0};
    read_whole_log(*state, &list);
    assert_int_equal(list.count, 1);
    entries_free(&list);
}

/* Only the last file may hold what is not durable. */
static void a_full_file_is_durable_before_the_next(void **state)
{
    eg_journal *journal = open_log(*state, 300);
    uint64_t sequence;
    for (unsigned i = 0; !has_file(*state, wal_name(2)); i++)
        assert_int_equal(eg_journal_append(journal, i, i, (eg_view){0}, &sequence, NULL), 0);
    assert_int_equal(eg_journal_durable(journal), sequence - 1);
    bytes first = load_file(*state, wal_name(1));
    assert_int_equal(first.data[first.size - 1], 0);
    free(first.data);
    crash(journal);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_dir, teardown_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_commit_costs_one_sync),
        TEST(files_are_changed_in_order),
        TEST(a_torn_log_is_mended_in_order),
        TEST(what_a_crash_left_is_written_again),
        TEST(a_full_file_is_durable_before_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
