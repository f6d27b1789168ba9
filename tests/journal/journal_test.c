/* What is appended is read back, by two readers, over files, restarts, rotation and recycling. */
#include "journal/plain_reader.h"

static const eg_journal_start from_start = {1, 1};

static void assert_readers_agree(const char *dir, eg_journal_start start, const entries *list,
                                 const eg_journal_end *end)
{
    entries plain = {0};
    uint64_t file, offset;
    assert_int_equal(plain_read(dir, start.file, start.sequence, 0, &plain, &file, &offset),
                     PLAIN_TORN);
    assert_int_equal(plain.count, list->count);
    assert_true(entries_equal(plain.items, list->items, list->count));
    assert_int_equal(file, end->file);
    assert_int_equal(offset, end->offset);
    entries_free(&plain);
}

static size_t size_of(const char *dir, uint64_t file)
{
    bytes all = load_file(dir, wal_name(file));
    free(all.data);
    return all.size;
}

static void a_new_log_is_empty(void **state)
{
    entries list = {0};
    eg_journal_end end = read_whole_log(*state, &list);
    assert_int_equal(list.count, 0);
    assert_int_equal(end.sequence, 1);
    assert_int_equal(end.offset, 0);
    eg_journal *journal;
    engram_error error = {0};
    end = (eg_journal_end){0, 0, 1, 0};
    assert_int_equal(eg_journal_open(eg_io_posix(), *state, &end, NULL, &journal, &error), 0);
    assert_int_equal(size_of(*state, 1), 64 << 20);
    assert_int_equal(eg_journal_durable(journal), 0);
    close_log(journal, &end);
    assert_int_equal(size_of(*state, 1), 1);
    assert_int_equal(end.file, 1);
    assert_int_equal(end.offset, 0);
    assert_int_equal(end.sequence, 1);
}

static void a_transaction_comes_back(void **state)
{
    eg_journal *journal = open_log(*state, 4096);
    bytes operations = text_operation("hello");
    assert_int_equal(commit(journal, 42, operations), 1);
    assert_int_equal(commit(journal, 43, (bytes){0}), 2);
    assert_int_equal(eg_journal_size(journal), 61 + operations.size + 61);
    eg_journal_end clean, end;
    close_log(journal, &clean);
    entries list = {0};
    end = read_whole_log(*state, &list);
    assert_int_equal(list.count, 2);
    assert_int_equal(list.items[0].state, EG_RECORD_COMMITTED);
    assert_int_equal(list.items[0].transaction, 42);
    assert_int_equal(list.items[0].time_ns, 1042);
    assert_int_equal(list.items[0].hash, hash_bytes(0, operations.data, operations.size));
    assert_int_equal(list.items[1].size, 0);
    assert_memory_equal(&end, &clean, sizeof end);
    assert_readers_agree(*state, from_start, &list, &end);
    entries_free(&list);
    free(operations.data);
}

static void a_stored_log_is_still_read(void **state)
{
    entries list = {0};
    eg_journal_end end;
    engram_error error;
    (void)state;
    assert_int_equal(read_log(eg_io_posix(), ENGRAM_TEST_DATA "/journal/golden", from_start, 4,
                              &list, &end, &error),
                     ENGRAM_OK);
    assert_int_equal(list.count, 4);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(list.items[i].state, i);
        assert_int_equal(list.items[i].transaction, 0x0102030405060708u + i);
        assert_int_equal(list.items[i].time_ns, 1700000000000000000u + i);
        assert_int_equal(list.items[i].sequence, i + 1);
    }
    assert_int_equal(list.items[3].hash, hash_bytes(0, "\x06\x02\x0c\0\0\0\0\0\0\0", 10));
    entries_free(&list);
}

static void a_log_goes_on_after_reopening(void **state)
{
    entries list = {0};
    for (unsigned round = 0; round < 12; round++) {
        eg_journal *journal = open_log(*state, 300);
        for (unsigned i = 0; i < round % 4; i++)
            commit_text(journal, round, "some text that takes a little room");
        eg_journal_end clean;
        if (round % 3 == 0) {
            crash(journal);
        } else {
            close_log(journal, &clean);
            assert_true(clean.file <= 12);
        }
    }
    eg_journal_end end = read_whole_log(*state, &list);
    assert_int_equal(list.count, 3 * (0 + 1 + 2 + 3));
    assert_int_equal(end.sequence, 19);
    assert_int_equal(end.torn, 0);
    assert_readers_agree(*state, from_start, &list, &end);
    entries_free(&list);
}

/* What the records of a transaction hold, put together, is what was appended. */
typedef struct joined {
    uint64_t transaction, hash;
    size_t size, records;
} joined;

static engram_status join(void *context, const eg_record *record, engram_error *error)
{
    (void)error;
    joined *all = context;
    joined *mine = &all[record->transaction];
    mine->transaction = record->transaction;
    if (record->operations.size > 0)
        mine->hash = hash_bytes(mine->hash, record->operations.data, record->operations.size);
    mine->size += record->operations.size;
    mine->records++;
    assert_int_equal(all[0].records, 0);
    if (record->state == EG_RECORD_COMMITTED)
        all[0].transaction = record->transaction; /* the last one that ended */
    else
        assert_int_equal(all[0].transaction, record->transaction - 1);
    return ENGRAM_OK;
}

enum { RANDOM_COUNT = 40 };

static size_t random_size(uint64_t *random, unsigned i)
{
    if (i == 7)
        return 20u << 20;
    return test_random(random) % (i % 8 == 0 ? 3u << 20 : i % 3 == 0 ? 200000 : 300);
}

static void write_random(const char *dir, uint64_t random, joined *written)
{
    eg_journal *journal = open_log(dir, 3u << 20);
    for (unsigned i = 1; i < RANDOM_COUNT; i++) {
        bytes operations = make_operations(&random, i % 10 == 0 ? 0 : random_size(&random, i));
        uint64_t sequence;
        eg_view view = {operations.data, operations.size};
        assert_int_equal(eg_journal_append(journal, i, i, view, &sequence, NULL), ENGRAM_OK);
        written[i] = (joined){i, operations.size ? hash_bytes(0, view.data, view.size) : 0,
                              operations.size, 0};
        if (i % 4 == 0)
            assert_int_equal(eg_journal_sync(journal, NULL), ENGRAM_OK);
        free(operations.data);
        if (i % 13 == 0) {
            close_log(journal, NULL);
            journal = open_log(dir, 3u << 20);
        }
    }
    close_log(journal, NULL);
}

static void random_transactions_come_back(void **state)
{
    static joined written[RANDOM_COUNT], found[RANDOM_COUNT];
    write_random(*state, test_seed(20240607), written);
    eg_journal_end end;
    engram_error error = {0};
    if (eg_journal_read(eg_io_posix(), *state, from_start, 0, join, found, &end, &error))
        fail_msg("%s", error.message);
    assert_int_equal(found[0].transaction, RANDOM_COUNT - 1);
    for (unsigned i = 1; i < RANDOM_COUNT; i++) {
        assert_int_equal(found[i].size, written[i].size);
        assert_int_equal(found[i].hash, written[i].hash);
    }
    assert_true(found[7].records > 2);
    entries list = {0};
    end = read_whole_log(*state, &list);
    assert_readers_agree(*state, from_start, &list, &end);
    entries_free(&list);
}

static void the_largest_operation_fits(void **state)
{
    size_t size = EG_JOURNAL_PAYLOAD_MAX - 64;
    uint8_t *data = calloc(1, size + 1);
    uint64_t sequence;
    engram_error error = {0};
    assert_non_null(data);
    data[0] = 8;
    eg_put_u32(data + 1, (uint32_t)size - 5);
    eg_journal *journal = open_log(*state, 4096);
    assert_int_equal(eg_journal_append(journal, 1, 1, (eg_view){data, size}, &sequence, NULL), 0);
    eg_put_u32(data + 1, (uint32_t)size - 4);
    assert_int_equal(eg_journal_append(journal, 1, 1, (eg_view){data, size + 1}, &sequence, &error),
                     ENGRAM_INVALID);
    assert_non_null(strstr(error.message, "16777153"));
    close_log(journal, NULL);
    entries list = {0};
    read_whole_log(*state, &list);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.items[0].size, size);
    entries_free(&list);
    free(data);
}

static void bad_arguments_are_refused(void **state)
{
    static const struct {
        const char *data;
        size_t size;
    } bad[] = {{"\0", 1}, {"\x02", 1}, {"\x06\x08\xff\xff\xff\xff", 6}, {"\x07\0\0\0\0", 5}};
    eg_journal *journal = open_log(*state, 4096);
    uint64_t sequence;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        eg_view view = {(const uint8_t *)bad[i].data, bad[i].size};
        assert_int_equal(eg_journal_append(journal, 1, 1, view, &sequence, NULL), ENGRAM_INVALID);
    }
    assert_int_equal(commit_text(journal, 1, "not ended by that"), 1);
    close_log(journal, NULL);
    static const eg_journal_end ends[] = {{0, 0, 0, 0}, {0, 5, 1, 0}, {100000000, 0, 1, 0}};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        assert_int_equal(eg_journal_open(eg_io_posix(), *state, &ends[i], NULL, &journal, NULL),
                         ENGRAM_INVALID);
    static const eg_journal_start starts[] = {{0, 1}, {1, 0}, {100000000, 1}};
    entries list = {0};
    eg_journal_end end;
    engram_error error;
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        assert_int_equal(read_log(eg_io_posix(), *state, starts[i], 0, &list, &end, &error),
                         ENGRAM_INVALID);
    entries_free(&list);
}

static void file_numbers_end(void **state)
{
    eg_journal *journal;
    eg_journal_end end = {99999999, 0, 5, 0};
    eg_journal_start start;
    assert_int_equal(
        eg_journal_open(eg_io_posix(), *state, &end, &(eg_journal_options){512}, &journal, NULL),
        0);
    commit_text(journal, 1, "the last file");
    assert_int_equal(eg_journal_rotate(journal, &start, NULL), ENGRAM_UNSUPPORTED);
    assert_int_equal(eg_journal_close(&journal, &end, NULL), ENGRAM_UNSUPPORTED);
    entries list = {0};
    engram_error error;
    assert_int_equal(
        read_log(eg_io_posix(), *state, (eg_journal_start){99999999, 5}, 5, &list, &end, &error),
        ENGRAM_OK);
    assert_int_equal(list.count, 1);
    entries_free(&list);
}

static void rotation_starts_a_file(void **state)
{
    eg_journal *journal = open_log(*state, 4096);
    eg_journal_start start, again;
    commit_text(journal, 1, "before");
    assert_int_equal(eg_journal_rotate(journal, &start, NULL), ENGRAM_OK);
    assert_int_equal(start.file, 2);
    assert_int_equal(start.sequence, 2);
    assert_int_equal(eg_journal_size(journal), 0);
    assert_int_equal(eg_journal_rotate(journal, &again, NULL), ENGRAM_OK);
    assert_memory_equal(&again, &start, sizeof start);
    crash(journal);
    entries list = {0};
    engram_error error;
    eg_journal_end end;
    assert_int_equal(read_log(eg_io_posix(), *state, start, 1, &list, &end, &error), ENGRAM_OK);
    assert_int_equal(list.count, 0);
    assert_int_equal(end.file, 2);
    assert_int_equal(
        eg_journal_open(crash_io(), *state, &end, &(eg_journal_options){4096}, &journal, NULL),
        ENGRAM_OK);
    commit_text(journal, 2, "after");
    crash(journal);
    assert_int_equal(read_log(eg_io_posix(), *state, start, 0, &list, &end, &error), ENGRAM_OK);
    assert_int_equal(list.count, 1);
    assert_int_equal(read_log(eg_io_posix(), *state, from_start, 0, &list, &end, &error),
                     ENGRAM_OK);
    assert_int_equal(list.count, 2);
    entries_free(&list);
}

static uint64_t salt_of(const char *dir, uint64_t file)
{
    bytes all = load_file(dir, wal_name(file));
    assert_true(all.size >= 61);
    uint64_t salt = eg_get_u64(all.data + 37);
    free(all.data);
    return salt;
}

static unsigned spares_in(const char *dir)
{
    int count = 0;
    for (int i = 1; i < 10; i++) {
        char name[32];
        snprintf(name, sizeof name, "spare-%d.wal", i);
        count += has_file(dir, name);
    }
    return count;
}

/* Records of one size, so that stale ones lie exactly where the next would be. */
static void released_files_are_recycled(void **state)
{
    eg_journal *journal = open_log(*state, 10 * 100);
    eg_journal_start start = {1, 1};
    uint64_t old_salt = 0, transaction = 0;
    for (unsigned round = 0; round < 8; round++) {
        for (unsigned i = 0; i < 25; i++)
            commit_text(journal, ++transaction, "thirty-four characters of content.");
        old_salt = salt_of(*state, start.file);
        assert_int_equal(eg_journal_rotate(journal, &start, NULL), ENGRAM_OK);
        assert_int_equal(eg_journal_release(journal, start.file, NULL), ENGRAM_OK);
        assert_in_range(spares_in(*state), 2, 5);
        assert_false(has_file(*state, wal_name(start.file - 1)));
        assert_true(has_file(*state, wal_name(start.file)));
    }
    commit_text(journal, ++transaction, "thirty-four characters of content.");
    assert_int_not_equal(salt_of(*state, start.file), old_salt);
    for (unsigned i = 0; i < 12; i++)
        commit_text(journal, ++transaction, "thirty-four characters of content.");
    bytes recycled = load_file(*state, wal_name(start.file + 1));
    assert_int_equal(eg_get_u64(recycled.data + 45), start.sequence + 9);
    assert_memory_equal(recycled.data + 400, "EMBR", 4);
    assert_true(eg_get_u64(recycled.data + 400 + 45) < start.sequence);
    free(recycled.data);
    crash(journal);
    entries list = {0};
    engram_error error;
    eg_journal_end end;
    assert_int_equal(read_log(eg_io_posix(), *state, start, transaction, &list, &end, &error), 0);
    assert_int_equal(list.count, 13);
    assert_int_equal(end.sequence, transaction + 1);
    assert_readers_agree(*state, start, &list, &end);
    assert_int_equal(eg_journal_open(crash_io(), *state, &end, NULL, &journal, NULL), ENGRAM_OK);
    assert_int_equal(spares_in(*state), 0);
    close_log(journal, NULL);
    entries_free(&list);
}

/* Stale records are no torn tail as long as nothing was written over them. */
static void a_recycled_file_is_not_torn(void **state)
{
    eg_journal *journal = open_log(*state, 1000);
    eg_journal_start start;
    for (unsigned i = 1; i < 5; i++)
        commit_text(journal, i, "left over");
    assert_int_equal(eg_journal_rotate(journal, &start, NULL), ENGRAM_OK);
    assert_int_equal(eg_journal_release(journal, start.file, NULL), ENGRAM_OK);
    eg_journal_start second = start;
    commit_text(journal, 5, "x");
    assert_int_equal(eg_journal_rotate(journal, &start, NULL), ENGRAM_OK);
    assert_int_equal(start.file, 3);
    crash(journal);
    entries list = {0};
    engram_error error;
    eg_journal_end end;
    assert_int_equal(read_log(eg_io_posix(), *state, second, 5, &list, &end, &error), ENGRAM_OK);
    assert_int_equal(list.count, 1);
    assert_int_equal(end.file, 2);
    assert_int_equal(end.torn, 0);
    entries_free(&list);
}

static void releasing_spares_the_current_file(void **state)
{
    eg_journal *journal = open_log(*state, 4096);
    commit_text(journal, 1, "kept");
    assert_int_equal(eg_journal_release(journal, 99, NULL), ENGRAM_OK);
    assert_true(has_file(*state, wal_name(1)));
    commit_text(journal, 2, "kept too");
    close_log(journal, NULL);
    assert_int_equal(spares_in(*state), 0);
    entries list = {0};
    read_whole_log(*state, &list);
    assert_int_equal(list.count, 2);
    entries_free(&list);
}

static void strange_names_are_left_alone(void **state)
{
    static const char *names[] = {"0000002.wal",
                                  "000000002.wal",
                                  "00000000.wal",
                                  "00000009.wal.bak",
                                  "spare-01.wal",
                                  "spare-.wal",
                                  "x",
                                  "0000000a.wal"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        store_file(*state, names[i], "EMBR", 4);
    store_file(*state, "00000009.wal", "", 0);
    store_file(*state, "spare-9.wal", "", 0);
    eg_journal *journal = open_log(*state, 4096);
    commit_text(journal, 1, "x");
    close_log(journal, NULL);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_true(has_file(*state, names[i]));
    assert_false(has_file(*state, "00000009.wal"));
    assert_false(has_file(*state, "spare-9.wal"));
}

static engram_status stop_at_two(void *context, const eg_record *record, engram_error *error)
{
    *(unsigned *)context += 1;
    return record->sequence < 2 ? ENGRAM_OK : eg_fail(error, ENGRAM_CANCELLED, "enough");
}

static void a_visit_can_stop(void **state)
{
    eg_journal *journal = open_log(*state, 4096);
    for (unsigned i = 1; i < 4; i++)
        commit_text(journal, i, "x");
    close_log(journal, NULL);
    unsigned visits = 0;
    eg_journal_end end;
    engram_error error = {0};
    assert_int_equal(
        eg_journal_read(eg_io_posix(), *state, from_start, 0, stop_at_two, &visits, &end, &error),
        ENGRAM_CANCELLED);
    assert_string_equal(error.message, "enough");
    assert_int_equal(visits, 2);
    assert_int_equal(end.sequence, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_dir, teardown_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_log_is_empty),
        TEST(a_transaction_comes_back),
        TEST(a_stored_log_is_still_read),
        TEST(a_log_goes_on_after_reopening),
        TEST(random_transactions_come_back),
        TEST(the_largest_operation_fits),
        TEST(bad_arguments_are_refused),
        TEST(file_numbers_end),
        TEST(rotation_starts_a_file),
        TEST(released_files_are_recycled),
        TEST(a_recycled_file_is_not_torn),
        TEST(releasing_spares_the_current_file),
        TEST(strange_names_are_left_alone),
        TEST(a_visit_can_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
