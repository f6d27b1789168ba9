/* Logs that were cut, flipped, zeroed, swapped or mixed with older content: what is read is always
 * a prefix of what was written, and a prefix that lost something durable is reported with its
 * place. */
#include "journal/plain_reader.h"

enum { FILES_MAX = 16, RECORDS_MAX = 64, SECTOR = 512 };

typedef struct place {
    uint64_t file;
    size_t offset, size;
} place;

/* A log of transactions of one record each, all synced one by one, as it is on disk. */
typedef struct sample {
    eg_journal_start start;
    entries written;
    place places[RECORDS_MAX];
    bytes files[FILES_MAX]; /* by number */
} sample;

static uint32_t crc_of(const uint8_t *record)
{
    uint32_t length = eg_get_u32(record + 24);
    return eg_crc32(eg_crc32(0, record, 28), record + 32, length);
}

static void find_places(sample *s)
{
    uint64_t file = s->start.file;
    size_t offset = 0;
    for (size_t i = 0; i < s->written.count; i++) {
        const uint8_t *at = s->files[file].data + offset;
        if (offset + 61 > s->files[file].size || memcmp(at, "EMBR", 4) != 0 || at[6] == 2 ||
            eg_get_u64(at + 45) != s->written.items[i].sequence)
            at = s->files[++file].data, offset = 0;
        assert_memory_equal(at, "EMBR", 4);
        assert_int_equal(eg_get_u64(at + 45), s->written.items[i].sequence);
        s->places[i] = (place){file, offset, 32 + eg_get_u32(at + 24)};
        offset += s->places[i].size;
    }
}

static void load_sample(sample *s, const char *dir, eg_journal_start start)
{
    engram_error error;
    eg_journal_end end;
    s->start = start;
    if (read_log(eg_io_posix(), dir, start, 0, &s->written, &end, &error))
        fail_msg("%s", error.message);
    assert_true(s->written.count <= RECORDS_MAX);
    for (uint64_t number = 0; number < FILES_MAX; number++)
        s->files[number] = load_file(dir, wal_name(number));
    find_places(s);
}

static void free_sample(sample *s)
{
    entries_free(&s->written);
    for (unsigned i = 0; i < FILES_MAX; i++)
        free(s->files[i].data);
}

static void commit_some(eg_journal *journal, uint64_t *random, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        bytes operations = make_operations(random, test_random(random) % 120);
        commit(journal, i, operations);
        free(operations.data);
    }
}

static sample make_sample(const char *dir, uint64_t file_size, unsigned count)
{
    sample s = {0};
    uint64_t random = test_seed(77);
    eg_journal *journal = open_log(dir, file_size);
    commit_some(journal, &random, count);
    crash(journal);
    load_sample(&s, dir, (eg_journal_start){1, 1});
    assert_int_equal(s.written.count, count);
    return s;
}

/* Both readers, and what they must say when `keep` records are left and a later one survived or
 * not. */
static void assert_read(const char *dir, const sample *s, uint64_t durable, size_t keep,
                        bool damaged, const char *what, size_t where)
{
    entries list = {0}, plain = {0};
    eg_journal_end end;
    engram_error error;
    uint64_t file, offset;
    char place_text[160];
    engram_status status = read_log(eg_io_posix(), dir, s->start, durable, &list, &end, &error);
    if (status != (damaged ? ENGRAM_DAMAGED : ENGRAM_OK))
        fail_msg("%s %zu: %s: %s", what, where, engram_status_name(status), error.message);
    if (list.count != keep || !entries_equal(list.items, s->written.items, keep))
        fail_msg("%s %zu: %zu records, expected %zu", what, where, list.count, keep);
    snprintf(place_text, sizeof place_text, "%08" PRIu64 ".wal is damaged at offset %" PRIu64 ":",
             end.file, end.offset);
    if (damaged && strstr(error.message, place_text) == NULL)
        fail_msg("%s %zu: %s", what, where, error.message);
    plain_verdict verdict =
        plain_read(dir, s->start.file, s->start.sequence, durable, &plain, &file, &offset);
    if (verdict != (damaged ? PLAIN_DAMAGED : PLAIN_TORN) || plain.count != keep ||
        file != end.file || offset != end.offset ||
        !entries_equal(plain.items, s->written.items, keep))
        fail_msg("%s %zu: the plain reader says %d, %zu", what, where, verdict, plain.count);
    entries_free(&list);
    entries_free(&plain);
}

static bool is_in_place(const sample *s, const bytes *changed, size_t i)
{
    place p = s->places[i];
    return p.offset + p.size <= changed[p.file].size &&
           memcmp(s->files[p.file].data + p.offset, changed[p.file].data + p.offset, p.size) == 0;
}

/* Whether record i is in its file from a place on, maybe moved. */
static bool is_anywhere(const sample *s, const bytes *changed, size_t i, size_t from)
{
    place p = s->places[i];
    bytes file = changed[p.file];
    return from < file.size && memmem(file.data + from, file.size - from,
                                      s->files[p.file].data + p.offset, p.size) != NULL;
}

/* What must be read of a changed log: up to the first record that changed; and it is damage if a
 * later one did not. */
static void assert_changed(const char *dir, const sample *s, const bytes *changed, const char *what,
                           size_t where)
{
    size_t keep = 0;
    while (keep < s->written.count && is_in_place(s, changed, keep))
        keep++;
    bool proof = false;
    for (size_t i = keep + 1; i < s->written.count; i++) {
        bool same_file = s->places[i].file == s->places[keep].file;
        proof |= is_anywhere(s, changed, i, same_file ? s->places[keep].offset : 0);
    }
    assert_read(dir, s, 0, keep, proof, what, where);
}

static size_t end_of(const sample *s)
{
    place last = s->places[s->written.count - 1];
    return last.offset + last.size;
}

static size_t whole_records(const sample *s, size_t size)
{
    size_t count = 0;
    while (count < s->written.count && s->places[count].offset + s->places[count].size <= size)
        count++;
    return count;
}

static uint64_t torn_bytes(const sample *s, size_t keep, size_t size)
{
    size_t start = keep ? s->places[keep - 1].offset + s->places[keep - 1].size : 0;
    while (size > start && s->files[1].data[size - 1] == 0)
        size--;
    return size - start;
}

static void every_truncation_is_a_prefix(void **state)
{
    sample s = make_sample(*state, 4096, 12);
    entries list = {0};
    engram_error error;
    for (size_t size = 1; size <= s.files[1].size; size++) {
        if (size > end_of(&s) + 10 && size % 64 != 0)
            continue;
        size_t keep = whole_records(&s, size);
        store_file(*state, wal_name(1), s.files[1].data, size);
        assert_read(*state, &s, 0, keep, false, "cut to", size);
        assert_read(*state, &s, s.written.count, keep, keep < s.written.count, "cut to", size);
        eg_journal_end end;
        assert_int_equal(read_log(eg_io_posix(), *state, s.start, 0, &list, &end, &error), 0);
        assert_int_equal(end.torn, torn_bytes(&s, keep, size));
    }
    entries_free(&list);
    free_sample(&s);
}

static void a_torn_tail_is_cut_and_the_log_goes_on(void **state)
{
    sample s = make_sample(*state, 4096, 6);
    for (size_t size = 1; size <= end_of(&s); size += 1 + size % 7) {
        empty_dir(*state);
        store_file(*state, wal_name(1), s.files[1].data, size);
        store_file(*state, wal_name(2), "what is left of another write", 29);
        size_t keep = whole_records(&s, size);
        eg_journal *journal = open_log(*state, 4096);
        assert_int_equal(commit(journal, 9, (bytes){0}), keep + 1);
        assert_int_equal(commit(journal, 10, (bytes){0}), keep + 2);
        crash(journal);
        bytes first = load_file(*state, wal_name(1));
        if (keep > 0)
            assert_int_equal(first.size, s.places[keep - 1].offset + s.places[keep - 1].size + 62);
        free(first.data);
        entries list = {0};
        read_whole_log(*state, &list);
        assert_int_equal(list.count, keep + 2);
        assert_true(entries_equal(list.items, s.written.items, keep));
        assert_int_equal(list.items[keep].transaction, 9);
        entries_free(&list);
    }
    free_sample(&s);
}

static void flip_all(const char *dir, const sample *s, uint64_t number)
{
    bytes file = s->files[number];
    for (size_t at = 0; at < file.size; at++)
        for (unsigned bit = 0; bit <= 8; bit++) {
            uint8_t old = file.data[at], mask = bit < 8 ? (uint8_t)(1 << bit) : 0xFF;
            bytes changed[FILES_MAX];
            memcpy(changed, s->files, sizeof changed);
            changed[number].data = malloc(file.size);
            assert_non_null(changed[number].data);
            memcpy(changed[number].data, file.data, file.size);
            changed[number].data[at] = old ^ mask;
            store_file(dir, wal_name(number), changed[number].data, file.size);
            assert_changed(dir, s, changed, "flip at", at);
            free(changed[number].data);
            if (at >= 61 && old == 0 && bit == 0)
                break; /* zeros are alike */
        }
    store_file(dir, wal_name(number), file.data, file.size);
}

static void every_flip_is_found(void **state)
{
    sample s = make_sample(*state, 1100, 10);
    flip_all(*state, &s, 1);
    free_sample(&s);
}

static void every_flip_in_many_files_is_found(void **state)
{
    sample s = make_sample(*state, 300, 9);
    assert_non_null(s.files[3].data);
    for (uint64_t number = 1; s.files[number].data; number++)
        flip_all(*state, &s, number);
    free_sample(&s);
}

static bytes copy_of(bytes from)
{
    bytes copy = {malloc(from.size), from.size};
    assert_non_null(copy.data);
    memcpy(copy.data, from.data, from.size);
    return copy;
}

static void try_sectors(const char *dir, const sample *s, uint64_t number, size_t a, size_t b)
{
    bytes changed[FILES_MAX];
    memcpy(changed, s->files, sizeof changed);
    changed[number] = copy_of(s->files[number]);
    if (a == b) {
        memset(changed[number].data + a, 0, SECTOR);
    } else {
        memcpy(changed[number].data + a, s->files[number].data + b, SECTOR);
        memcpy(changed[number].data + b, s->files[number].data + a, SECTOR);
    }
    store_file(dir, wal_name(number), changed[number].data, changed[number].size);
    assert_changed(dir, s, changed, "sector", a);
    free(changed[number].data);
}

static void zeroed_and_swapped_sectors_are_found(void **state)
{
    sample s = make_sample(*state, 8192, 50);
    for (size_t a = 0; a < s.files[1].size; a += SECTOR)
        for (size_t b = a; b < s.files[1].size; b += SECTOR)
            try_sectors(*state, &s, 1, a, b);
    free_sample(&s);
}

/* Both readers miss file `number`, and go no further. */
static void assert_missed(const char *dir, const sample *s, uint64_t number, const char *how)
{
    entries list = {0};
    eg_journal_end end;
    engram_error error;
    uint64_t file, offset;
    char text[64];
    size_t keep = 0;
    while (keep < s->written.count && s->places[keep].file < number)
        keep++;
    assert_int_equal(read_log(eg_io_posix(), dir, s->start, 0, &list, &end, &error),
                     ENGRAM_DAMAGED);
    snprintf(text, sizeof text, "%08" PRIu64 ".wal is %s, though", number, how);
    if (strstr(error.message, text) == NULL)
        fail_msg("%s", error.message);
    assert_int_equal(list.count, keep);
    assert_int_equal(plain_read(dir, s->start.file, s->start.sequence, 0, &list, &file, &offset),
                     PLAIN_DAMAGED);
    assert_int_equal(list.count, keep);
    entries_free(&list);
}

static void lose_each_file(const char *dir, const sample *s)
{
    for (uint64_t number = s->start.file; s->files[number].data; number++) {
        char path[4200];
        snprintf(path, sizeof path, "%s/%s", dir, wal_name(number));
        assert_int_equal(remove(path), 0);
        assert_missed(dir, s, number, "missing");
        store_file(dir, wal_name(number), "", 0);
        assert_missed(dir, s, number, "empty");
        store_file(dir, wal_name(number), s->files[number].data, s->files[number].size);
    }
}

static void lost_files_are_found(void **state)
{
    sample s = make_sample(*state, 300, 9);
    assert_non_null(s.files[3].data);
    lose_each_file(*state, &s);
    free_sample(&s);
}

/* Files that begin when a log is opened again, after crashes and clean ends. */
static void lost_files_of_many_lives_are_found(void **state)
{
    sample s = {0};
    for (unsigned i = 0; i < 6; i++) {
        eg_journal *journal = open_log(*state, 4096);
        commit_text(journal, i, "a life");
        if (i % 2)
            crash(journal);
        else
            close_log(journal, NULL);
    }
    load_sample(&s, *state, (eg_journal_start){1, 1});
    assert_non_null(s.files[6].data);
    lose_each_file(*state, &s);
    free_sample(&s);
}

/* A checkpoint's start, in which nothing has been written yet. */
static void a_lost_start_is_found(void **state)
{
    sample s = {0};
    eg_journal *journal = open_log(*state, 4096);
    commit_text(journal, 1, "before the checkpoint");
    assert_int_equal(eg_journal_rotate(journal, &s.start, NULL), ENGRAM_OK);
    crash(journal);
    s.files[s.start.file] = load_file(*state, wal_name(s.start.file));
    lose_each_file(*state, &s);
    entries list = {0};
    eg_journal_end end;
    engram_error error;
    assert_int_equal(read_log(eg_io_posix(), *state, s.start, 1, &list, &end, &error), ENGRAM_OK);
    assert_int_equal(eg_journal_open(crash_io(), *state, &end, NULL, &journal, NULL), ENGRAM_OK);
    close_log(journal, NULL);
    free(s.files[s.start.file].data);
    s.files[s.start.file] = load_file(*state, wal_name(s.start.file));
    assert_int_equal(s.files[s.start.file].size, 1);
    lose_each_file(*state, &s);
    free_sample(&s);
}

/* A recycled file, and the same file as it was before, sector by sector. */
static void stale_sectors_are_found(void **state)
{
    uint64_t random = test_seed(78);
    sample s = {0};
    eg_journal_start start;
    eg_journal *journal = open_log(*state, 4096);
    commit_some(journal, &random, 30);
    bytes old = load_file(*state, wal_name(1));
    assert_int_equal(eg_journal_rotate(journal, &start, NULL), ENGRAM_OK);
    assert_int_equal(eg_journal_release(journal, start.file, NULL), ENGRAM_OK);
    commit_some(journal, &random, 5);
    assert_int_equal(eg_journal_rotate(journal, &start, NULL), ENGRAM_OK);
    assert_int_equal(start.file, 3);
    commit_some(journal, &random, 20);
    crash(journal);
    load_sample(&s, *state, start);
    for (size_t at = 0; at < s.files[3].size; at += SECTOR) {
        bytes changed[FILES_MAX];
        memcpy(changed, s.files, sizeof changed);
        changed[3] = copy_of(s.files[3]);
        memcpy(changed[3].data + at, old.data + at, SECTOR);
        store_file(*state, wal_name(3), changed[3].data, changed[3].size);
        assert_changed(*state, &s, changed, "stale sector", at);
        free(changed[3].data);
    }
    free(old.data);
    free_sample(&s);
}

/* Written, but never synced: any part may be missing, in any order. */
static void unsynced_records_may_be_lost_in_any_order(void **state)
{
    sample s = {0};
    uint64_t random = test_seed(79), sequence;
    eg_journal *journal = open_log(*state, 4096);
    commit_some(journal, &random, 3);
    for (unsigned i = 0; i < 6; i++) {
        bytes operations = make_operations(&random, 100);
        eg_view view = {operations.data, operations.size};
        assert_int_equal(eg_journal_append(journal, i, i, view, &sequence, NULL), ENGRAM_OK);
        free(operations.data);
    }
    assert_int_equal(eg_journal_flush(journal, NULL), ENGRAM_OK);
    crash(journal);
    load_sample(&s, *state, (eg_journal_start){1, 1});
    for (unsigned lost = 1; lost < 1 << 6; lost++) {
        bytes file = copy_of(s.files[1]);
        for (unsigned i = 0; i < 6; i++)
            if (lost & 1u << i)
                memset(file.data + s.places[3 + i].offset, lost % 2 ? 0 : 0x45,
                       s.places[3 + i].size);
        store_file(*state, wal_name(1), file.data, file.size);
        assert_read(*state, &s, 0, 3 + (size_t)__builtin_ctz(lost), false, "lost set", lost);
        free(file.data);
    }
    free_sample(&s);
}

/* ---- records within records ---- */

/* An operation that holds a whole journal with high sequence numbers, as a copy of one would. */
static bytes make_nested(const char *dir)
{
    eg_journal *journal;
    eg_journal_end end = {0, 0, 100, 0};
    assert_int_equal(
        eg_journal_open(crash_io(), dir, &end, &(eg_journal_options){512}, &journal, NULL), 0);
    for (unsigned i = 0; i < 5; i++)
        commit(journal, i, (bytes){0});
    crash(journal);
    bytes inner = load_file(dir, wal_name(1)), outer = {malloc(600), 5 + inner.size};
    assert_non_null(outer.data);
    outer.data[0] = 8;
    eg_put_u32(outer.data + 1, (uint32_t)inner.size);
    memcpy(outer.data + 5, inner.data, inner.size);
    free(inner.data);
    empty_dir(dir);
    return outer;
}

static void a_nested_journal_proves_nothing(void **state)
{
    bytes nested = make_nested(*state);
    for (unsigned before = 0; before < 3; before++) {
        sample s = {0};
        uint64_t random = 1;
        empty_dir(*state);
        eg_journal *journal = open_log(*state, 2048);
        commit_some(journal, &random, before);
        commit(journal, 1, nested);
        crash(journal);
        load_sample(&s, *state, (eg_journal_start){1, 1});
        for (size_t size = 45 + 8 * 2; size < end_of(&s); size++) {
            store_file(*state, wal_name(1), s.files[1].data, size);
            assert_read(*state, &s, 0, whole_records(&s, size), false, "cut to", size);
        }
        bytes file = copy_of(s.files[1]);
        file.data[s.places[before].offset + 70] ^= 1;
        store_file(*state, wal_name(1), file.data, file.size);
        assert_read(*state, &s, 0, before, false, "flip in nested", before);
        free(file.data);
        free_sample(&s);
    }
    free(nested.data);
}

/* ---- other versions, hostile files ---- */

static void a_newer_version_is_refused(void **state)
{
    sample s = make_sample(*state, 4096, 5);
    entries list = {0}, plain = {0};
    eg_journal_end end;
    engram_error error;
    uint64_t file, offset;
    for (size_t i = 0; i < 5; i++) {
        bytes changed = copy_of(s.files[1]);
        uint8_t *record = changed.data + s.places[i].offset;
        record[4] = 2;
        eg_put_u32(record + 28, crc_of(record));
        store_file(*state, wal_name(1), changed.data, changed.size);
        assert_int_equal(read_log(eg_io_posix(), *state, s.start, 0, &list, &end, &error),
                         ENGRAM_NEWER);
        assert_int_equal(list.count, i);
        assert_int_equal(plain_read(*state, 1, 1, 0, &plain, &file, &offset), PLAIN_NEWER);
        record[30] ^= 1;
        store_file(*state, wal_name(1), changed.data, changed.size);
        assert_read(*state, &s, 0, i, i < 4, "broken newer record", i);
        free(changed.data);
    }
    entries_free(&list);
    entries_free(&plain);
    free_sample(&s);
}

static void assert_last_refused(const char *dir, const sample *s, size_t at, uint16_t value)
{
    size_t last = s->written.count - 1;
    bytes changed = copy_of(s->files[1]);
    uint8_t *record = changed.data + s->places[last].offset;
    eg_put_u16(record + at, value);
    eg_put_u32(record + 28, crc_of(record));
    store_file(dir, wal_name(1), changed.data, changed.size);
    assert_read(dir, s, 0, last, false, "field at", at);
    free(changed.data);
}

/* Each condition on its own, the checksum being right. */
static void each_field_is_checked(void **state)
{
    sample s = make_sample(*state, 4096, 5);
    assert_last_refused(*state, &s, 4, 0);       /* version */
    assert_last_refused(*state, &s, 6, 4);       /* flags */
    assert_last_refused(*state, &s, 24, 28);     /* payload length */
    assert_last_refused(*state, &s, 32, 0x1808); /* tag of the frame */
    assert_last_refused(*state, &s, 33, 25);     /* length of the frame */
    assert_last_refused(*state, &s, 37, 0);      /* salt */
    assert_last_refused(*state, &s, 45, 4);      /* sequence */
    assert_last_refused(*state, &s, 45, 6);
    assert_last_refused(*state, &s, 53, 5); /* durable */
    free_sample(&s);
}

static void a_file_of_claims_ends_soon(void **state)
{
    size_t size = 24u << 20;
    bytes file = {calloc(1, size), size};
    assert_non_null(file.data);
    for (size_t at = 1; at + 61 < size; at += 61) {
        uint8_t *record = file.data + at;
        memcpy(record, "EMBR\1\0\1\0", 8);
        eg_put_u32(record + 24, 16 << 20);
        record[32] = 7;
        eg_put_u32(record + 33, 24);
        eg_put_u64(record + 45, 99);
        eg_put_u64(record + 53, 98);
    }
    store_file(*state, wal_name(1), file.data, file.size);
    free(file.data);
    entries list = {0};
    eg_journal_end end;
    engram_error error;
    assert_int_equal(
        read_log(eg_io_posix(), *state, (eg_journal_start){1, 1}, 0, &list, &end, &error),
        ENGRAM_DAMAGED);
    assert_non_null(strstr(error.message, "more claims than a crash leaves"));
    entries_free(&list);
}

/* The search must find what lies across the edge of what it has in memory. */
static void proof_is_found_anywhere(void **state)
{
    sample s = make_sample(*state, 4096, 3);
    place proof = s.places[2];
    size_t size = 600000,
           edge = (256 << 10) + s.places[1].offset; /* of the first 256 KiB searched */
    for (size_t at = edge - 80; at < edge + 80; at++) {
        bytes file = {calloc(1, size), size};
        assert_non_null(file.data);
        memset(file.data + s.places[1].offset, 'E', 300000);
        memcpy(file.data, s.files[1].data, s.places[1].offset);
        memcpy(file.data + at, s.files[1].data + proof.offset, proof.size);
        store_file(*state, wal_name(1), file.data, file.size);
        free(file.data);
        entries list = {0};
        eg_journal_end end;
        engram_error error;
        assert_int_equal(read_log(eg_io_posix(), *state, s.start, 0, &list, &end, &error),
                         ENGRAM_DAMAGED);
        char text[64];
        snprintf(text, sizeof text, "says at offset %zu that", at);
        assert_non_null(strstr(error.message, text));
        entries_free(&list);
    }
    free_sample(&s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_dir, teardown_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_truncation_is_a_prefix),
        TEST(a_torn_tail_is_cut_and_the_log_goes_on),
        TEST(every_flip_is_found),
        TEST(every_flip_in_many_files_is_found),
        TEST(zeroed_and_swapped_sectors_are_found),
        TEST(lost_files_are_found),
        TEST(lost_files_of_many_lives_are_found),
        TEST(a_lost_start_is_found),
        TEST(stale_sectors_are_found),
        TEST(unsynced_records_may_be_lost_in_any_order),
        TEST(a_nested_journal_proves_nothing),
        TEST(a_newer_version_is_refused),
        TEST(each_field_is_checked),
        TEST(a_file_of_claims_ends_soon),
        TEST(proof_is_found_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
