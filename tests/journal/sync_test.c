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

static void append_small(eg_journal *journal, uint64_t transaction)
{
    uint64_t sequence;
    assert_int_equal(eg_journal_append(journal, transaction, 1, (eg_view){0}, &sequence, NULL),
                     ENGRAM_OK);
}

static uint64_t rotate(eg_journal *journal)
{
    eg_journal_start start;
    assert_int_equal(eg_journal_rotate(journal, &start, NULL), ENGRAM_OK);
    return start.file;
}

static void files_are_changed_in_order(void **state)
{
    eg_io io = make_tracing_io();
    eg_journal *journal = open_traced(&io, *state);
    assert_traced("wtasd");
    commit_text(journal, 1, "x");
    assert_traced("ws");
    uint64_t file = rotate(journal);
    assert_traced("asdw");
    append_small(journal, 2);
    assert_int_equal(eg_journal_release(journal, file, NULL), ENGRAM_OK);
    assert_traced("sr");
    file = rotate(journal);
    assert_traced("rasdw");
    assert_int_equal(eg_journal_release(journal, file, NULL), ENGRAM_OK);
    append_small(journal, 3);
    close_log(journal, NULL);
    assert_traced("srwstsu");
}

/* What is gathered goes out in one write, and behind what is durable. */
static void a_file_is_written_when_the_one_before_is_durable(void **state)
{
    eg_io io = make_tracing_io();
    eg_journal *journal = open_traced(&io, *state);
    assert_traced("wtasd");
    append_small(journal, 1);
    append_small(journal, 2);
    assert_traced("");
    assert_int_equal(eg_journal_flush(journal, NULL), ENGRAM_OK);
    assert_int_equal(eg_journal_flush(journal, NULL), ENGRAM_OK);
    assert_traced("w");
    rotate(journal);
    append_small(journal, 3);
    assert_traced("asdw");
    assert_int_equal(eg_journal_flush(journal, NULL), ENGRAM_OK);
    assert_traced("sw");
    assert_int_equal(eg_journal_durable(journal), 2);
    rotate(journal);
    assert_traced("asdw");
    assert_int_equal(eg_journal_sync(journal, NULL), ENGRAM_OK);
    assert_traced("s");
    assert_int_equal(eg_journal_durable(journal), 3);
    append_small(journal, 4);
    assert_int_equal(eg_journal_flush(journal, NULL), ENGRAM_OK);
    assert_traced("w");
    close_log(journal, NULL);
}

static void a_prepared_file_costs_a_write(void **state)
{
    eg_io io = make_tracing_io();
    eg_journal *journal = open_traced(&io, *state);
    assert_traced("wtasd");
    commit_text(journal, 1, "x");
    assert_traced("ws");
    assert_int_equal(eg_journal_prepare(journal, NULL), ENGRAM_OK);
    assert_traced("aswsrd");
    assert_true(has_file(*state, wal_name(2)));
    assert_int_equal(eg_journal_prepare(journal, NULL), ENGRAM_OK);
    assert_traced("");
    uint64_t file = rotate(journal);
    assert_int_equal(file, 2);
    assert_traced("w");
    assert_int_equal(eg_journal_release(journal, file, NULL), ENGRAM_OK);
    assert_traced("sr");
    assert_int_equal(eg_journal_prepare(journal, NULL), ENGRAM_OK);
    assert_traced("aswsrd"); /* the first file's blocks were not written */
    commit_text(journal, 2, "y");
    file = rotate(journal);
    assert_int_equal(eg_journal_release(journal, file, NULL), ENGRAM_OK);
    assert_traced("wswsr");
    assert_int_equal(eg_journal_prepare(journal, NULL), ENGRAM_OK);
    assert_traced("asrd"); /* the second one's were */
    assert_int_equal(eg_journal_release(journal, file, NULL), ENGRAM_OK);
    close_log(journal, NULL);
    assert_traced("wtsu");
    assert_false(has_file(*state, wal_name(4)));
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
    assert_traced("twsrduuudwtasdws");
    commit_text(journal, 2, "y");
    assert_traced("ws");
    close_log(journal, NULL);
    assert_traced("ts");
    journal = open_traced(&io, *state);
    assert_traced("sdwtasdws");
    close_log(journal, NULL);
    assert_traced("wts");
    journal = open_traced(&io, *state);
    assert_traced("twsrdudwtasdws"); /* the empty file goes, and the mark before it */
    close_log(journal, NULL);
}

/* The last file may be a copy that took its place just before its maker was killed: its name becomes durable before the
 * files behind it go, or a power cut could leave the old one, which says that they follow. */
static void a_name_is_durable_before_others_go(void **state)
{
    eg_io io = make_tracing_io();
    eg_journal *journal = open_log(*state, 4096);
    commit_text(journal, 1, "x");
    close_log(journal, NULL);
    store_file(*state, wal_name(2), "y", 1);
    journal = open_traced(&io, *state);
    assert_traced("sdudwtasdws");
    close_log(journal, NULL);
}

/* Replay may start there: it must not be missing for a moment. */
static void an_empty_file_goes_on_being_used(void **state)
{
    eg_io io = make_tracing_io();
    eg_journal *journal = open_log(*state, 4096);
    close_log(journal, NULL);
    journal = open_traced(&io, *state);
    assert_traced("wtasd");
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

/* The pages of a failed sync may be in memory only, and clean: they must be written again. Two more
 * writes are those of the new file and of the mark that leads to it. */
static void what_a_crash_left_is_written_again(void **state)
{
    eg_journal *journal = open_log(*state, 4096);
    commit_text(journal, 1, "perhaps in memory only");
    crash(journal);
    assert_int_equal(writes_of_opening(*state), 3);
    journal = open_log(*state, 4096);
    commit_text(journal, 2, "durable");
    close_log(journal, NULL);
    assert_int_equal(writes_of_opening(*state), 2);
    entries list = {0};
    read_whole_log(*state, &list);
    assert_int_equal(list.count, 2);
    entries_free(&list);
}

static uint8_t first_byte(const char *dir, uint64_t number)
{
    bytes file = load_file(dir, wal_name(number));
    assert_true(file.size > 0);
    uint8_t byte = file.data[0];
    free(file.data);
    return byte;
}

/* Only the last file with records may hold what is not durable. */
static void a_full_file_is_durable_before_the_next(void **state)
{
    eg_journal *journal = open_log(*state, 300);
    uint64_t i = 0;
    while (!has_file(*state, wal_name(2)))
        append_small(journal, ++i);
    assert_int_equal(i, 4);
    assert_int_equal(eg_journal_durable(journal), 0);
    assert_int_equal(first_byte(*state, 2), 0);
    assert_int_equal(eg_journal_flush(journal, NULL), ENGRAM_OK);
    assert_int_equal(eg_journal_durable(journal), 3);
    assert_int_equal(first_byte(*state, 2), 'E');
    crash(journal);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_dir, teardown_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_commit_costs_one_sync),
        TEST(files_are_changed_in_order),
        TEST(a_file_is_written_when_the_one_before_is_durable),
        TEST(a_prepared_file_costs_a_write),
        TEST(a_torn_log_is_mended_in_order),
        TEST(a_name_is_durable_before_others_go),
        TEST(an_empty_file_goes_on_being_used),
        TEST(what_a_crash_left_is_written_again),
        TEST(a_full_file_is_durable_before_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
