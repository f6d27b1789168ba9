/* What a transaction does to the content of files. */
#include "transactions/rig.h"

enum { CHUNK = 4096, LARGE = 5 << 20 };
static uint8_t data[LARGE], expected[LARGE + (1 << 20)];

/* ---- whole files ---- */

static const size_t sizes[] = {
    0, 1, CHUNK - 1, CHUNK, CHUNK + 1, (64 << 10) - 1, 64 << 10, (64 << 10) + 1, LARGE};

static void write_sizes_of(const char *chunk)
{
    rig r;
    char path[32];
    rig_init(&r, chunk);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        snprintf(path, sizeof path, "f%zu", i);
        rig_fill(data, sizes[i], i + 1);
        engram_transaction *tx = rig_begin(&r);
        assert_ok(engram_write(tx, path, data, sizes[i], NULL, E));
        tx_expect(tx, path, data, sizes[i]);
        uint64_t version = rig_commit(tx);
        struct engram_stat stat = rig_stat(&r, path);
        assert_int_equal(stat.version, version);
        assert_int_equal(stat.created_version, version);
        assert_int_equal(stat.kind, ENGRAM_KIND_FILE);
        assert_int_equal(stat.mode, 0644);
        assert_int_equal(stat.links, 1);
        assert_true(sizes[i] == 0 ? stat.chunks == 0 : stat.chunks >= 1);
    }
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            snprintf(path, sizeof path, "f%zu", i);
            rig_fill(data, sizes[i], i + 1);
            rig_expect(&r, path, data, sizes[i]);
        }
        rig_verify(&r);
        if (round == 0)
            rig_crash(&r);
        else
            rig_reopen(&r);
    }
    rig_fini(&r);
}

static void write_sizes(void **state)
{
    (void)state;
    write_sizes_of("fixed:4096");
    write_sizes_of("cdc:16384");
}

static void write_replaces(void **state)
{
    (void)state;
    rig r;
    rig_init(&r, NULL);
    rig_fill(data, 300000, 1);
    rig_put(&r, "f", data, 300000);
    struct engram_stat first = rig_stat(&r, "f");
    engram_transaction *tx = rig_begin(&r);
    assert_ok(engram_set_mode(tx, "f", 0600, E));
    rig_commit(tx);
    rig_put(&r, "f", data + 7, 10);
    struct engram_stat second = rig_stat(&r, "f");
    assert_int_equal(second.inode, first.inode);
    assert_int_equal(second.mode, 0600);
    assert_true(second.version > first.version);
    assert_int_equal(second.created_version, first.created_version);
    rig_expect(&r, "f", data + 7, 10);
    rig_put(&r, "f", NULL, 0);
    rig_expect(&r, "f", "", 0);
    rig_verify(&r);
    rig_fini(&r);
}

static void write_what_is_expected(void **state)
{
    (void)state;
    rig r;
    char words[64];
    rig_init(&r, NULL);
    engram_expected none = {.what = ENGRAM_NONE}, token = {.what = ENGRAM_TOKEN};
    engram_transaction *tx = rig_begin(&r);
    token.version = 1;
    assert_fails(engram_write(tx, "f", "x", 1, &token, E), ENGRAM_CONFLICT, "f");
    assert_ok(engram_write(tx, "f", "one", 3, &none, E));
    assert_fails(engram_write(tx, "f", "two", 3, &none, E), ENGRAM_EXISTS, "f");
    tx_expect_text(tx, "f", "one");
    rig_commit(tx);
    struct engram_stat stat = rig_stat(&r, "f");
    rig_text(&r, "f", "two");
    struct engram_stat now = rig_stat(&r, "f");
    tx = rig_begin(&r);
    token = (engram_expected){ENGRAM_TOKEN, stat.inode, stat.version};
    snprintf(words, sizeof words, "%llu", (unsigned long long)stat.version);
    assert_fails(engram_write(tx, "f", "x", 1, &token, E), ENGRAM_CONFLICT, words);
    snprintf(words, sizeof words, "%llu", (unsigned long long)now.version);
    assert_fails(engram_write(tx, "f", "x", 1, &token, E), ENGRAM_CONFLICT, words);
    assert_fails(engram_write(tx, "f", "x", 1, &token, E), ENGRAM_CONFLICT, "f");
    token = (engram_expected){ENGRAM_TOKEN, now.inode + 1, now.version};
    assert_fails(engram_append(tx, "f", "x", 1, &token, E), ENGRAM_CONFLICT, words);
    token = (engram_expected){ENGRAM_TOKEN, 0, now.version};
    assert_ok(engram_write(tx, "f", "three", 5, &token, E));
    rig_commit(tx);
    rig_expect_text(&r, "f", "three");
    now = rig_stat(&r, "f");
    tx = rig_begin(&r);
    token = (engram_expected){ENGRAM_TOKEN, now.inode, now.version};
    assert_ok(engram_append(tx, "f", "!", 1, &token, E));
    rig_commit(tx);
    rig_expect_text(&r, "f", "three!");
    rig_fini(&r);
}

static void expectations_are_read(void **state)
{
    (void)state;
    engram_expected e;
    static const char *const wrong[] = {"",      "Any", "1.", ".1", "0.5",
                                        "1.2.3", "x",   "-1", "1 ", "99999999999999999999"};
    assert_ok(engram_expected_parse("any", &e, E));
    assert_int_equal(e.what, ENGRAM_ANY);
    assert_ok(engram_expected_parse("none", &e, E));
    assert_int_equal(e.what, ENGRAM_NONE);
    assert_ok(engram_expected_parse("17", &e, E));
    assert_true(e.what == ENGRAM_TOKEN && e.inode == 0 && e.version == 17);
    assert_ok(engram_expected_parse("5.17", &e, E));
    assert_true(e.what == ENGRAM_TOKEN && e.inode == 5 && e.version == 17);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_fails(engram_expected_parse(wrong[i], &e, E), ENGRAM_INVALID, "INODE.VERSION");
}

typedef struct pour {
    size_t at, size, step, fail_at;
} pour;

static engram_status pour_data(void *context, void *bytes, size_t size, size_t *got,
                               engram_error *error)
{
    pour *p = context;
    (void)error;
    if (p->fail_at != 0 && p->at >= p->fail_at)
        return ENGRAM_CANCELLED;
    size_t take = p->size - p->at < p->step ? p->size - p->at : p->step;
    take = take < size ? take : size;
    memcpy(bytes, data + p->at, take);
    p->at += take;
    *got = take;
    return ENGRAM_OK;
}

static void streams(void **state)
{
    (void)state;
    static const char *const chunks[] = {"fixed:4096", "cdc:16384"};
    static const size_t steps[] = {1 << 20, 100001, 4096, 777};
    rig_fill(data, LARGE, 3);
    for (size_t c = 0; c < 2; c++) {
        rig r;
        rig_init(&r, chunks[c]);
        for (size_t i = 0; i < 4; i++) {
            pour p = {.size = i == 3 ? 100000 : LARGE, .step = steps[i]};
            engram_transaction *tx = rig_begin(&r);
            assert_ok(engram_write_stream(tx, "s", pour_data, &p, NULL, E));
            tx_expect(tx, "s", data, p.size);
            rig_commit(tx);
            rig_expect(&r, "s", data, p.size);
        }
        /* The same bytes at once are cut the same, so nothing new is stored. */
        rig_put(&r, "t", data, 100000);
        assert_int_equal(rig_stat(&r, "s").chunks, rig_stat(&r, "t").chunks);
        pour nothing = {.step = 1};
        engram_transaction *tx = rig_begin(&r);
        assert_ok(engram_write_stream(tx, "s", pour_data, &nothing, NULL, E));
        pour broken = {.size = LARGE, .step = 4096, .fail_at = 3 << 20};
        assert_fails(engram_write_stream(tx, "s", pour_data, &broken, NULL, E), ENGRAM_CANCELLED,
                     "");
        tx_expect(tx, "s", "", 0);
        assert_fails(engram_write_stream(tx, "u", pour_data, &broken, NULL, E), ENGRAM_CANCELLED,
                     "");
        tx_expect_absent(tx, "u");
        rig_commit(tx);
        rig_expect(&r, "s", "", 0);
        rig_expect_absent(&r, "u");
        rig_verify(&r);
        rig_fini(&r);
    }
}

/* ---- in place ---- */

typedef struct edit {
    size_t offset, size;
} edit;

/* Pieces of any size, each from wherever, make what the whole makes. */
static void pieces(void **state)
{
    (void)state;
    static const size_t steps[] = {1, 1000, 128 << 10, LARGE};
    rig r;
    rig_init(&r, "cdc:16384");
    rig_fill(data, LARGE, 9);
    rig_put(&r, "whole", data, LARGE);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        size_t total = steps[i] < 1000 ? 3000 : LARGE;
        uint64_t inode = 0;
        engram_writer *writer = NULL;
        engram_transaction *tx = rig_begin(&r);
        assert_ok(engram_write_open(tx, "p", NULL, &writer, E));
        for (size_t at = 0; at < total; at += steps[i])
            assert_ok(engram_write_add(writer, data + at,
                                       total - at < steps[i] ? total - at : steps[i], E));
        assert_ok(engram_write_close(&writer, &inode, E));
        assert_null(writer);
        uint64_t version = rig_commit(tx);
        rig_expect(&r, "p", data, total);
        struct engram_stat stat = rig_stat(&r, "p");
        assert_int_equal(stat.inode, inode);
        assert_int_equal(stat.version, version);
        if (total == LARGE)
            assert_int_equal(stat.chunks, rig_stat(&r, "whole").chunks);
    }
    rig_verify(&r);
    rig_fini(&r);
}

static void pieces_that_are_refused(void **state)
{
    (void)state;
    const engram_expected none = {ENGRAM_NONE, 0, 0};
    rig r;
    engram_writer *writer = NULL;
    rig_init(&r, NULL);
    rig_text(&r, "f", "old");
    engram_transaction *tx = rig_begin(&r);
    assert_fails(engram_write_open(tx, "f", &none, &writer, E), ENGRAM_EXISTS, "f");
    assert_fails(engram_write_open(tx, "no/f", NULL, &writer, E), ENGRAM_NOT_FOUND, "no");
    assert_fails(engram_write_open(tx, "../f", NULL, &writer, E), ENGRAM_INVALID, "..");
    assert_null(writer);
    assert_ok(engram_write_open(tx, "g", &none, &writer, E));
    assert_ok(engram_write_add(writer, "lost", 4, E));
    engram_write_cancel(&writer);
    assert_ok(engram_write(tx, "h", "kept", 4, NULL, E));
    rig_commit(tx);
    rig_expect_absent(&r, "g");
    rig_expect_text(&r, "f", "old");
    rig_expect_text(&r, "h", "kept");
    rig_verify(&r);
    rig_fini(&r);
}

/* Two who replace the same file: with last_writer_wins the second one does, else it conflicts. */
static void last_writer_wins(void **state)
{
    (void)state;
    rig r;
    rig_init(&r, NULL);
    rig_text(&r, "f", "old");
    for (int wins = 0; wins <= 1; wins++) {
        const engram_transaction_options options = {.last_writer_wins = wins};
        engram_transaction *tx = NULL;
        assert_ok(engram_begin(r.engram, &options, &tx, E));
        assert_ok(engram_write(tx, "f", "late", 4, NULL, E));
        rig_text(&r, "f", "early");
        if (wins)
            assert_ok(engram_commit(&tx, NULL, E));
        else
            assert_fails(engram_commit(&tx, NULL, E), ENGRAM_CONFLICT, "f");
        rig_expect_text(&r, "f", wins ? "late" : "early");
    }
    rig_fini(&r);
}

static void write_at_everywhere(void **state)
{
    (void)state;
    static const edit edits[] = {
        {0, 1},          {5, 10},          {CHUNK - 1, 1},    {CHUNK - 1, 2},
        {CHUNK, CHUNK},  {100, 3 * CHUNK}, {5 * CHUNK, 5000}, {39999, 1},
        {39999, 2},      {30000, 20000},   {60000, 10},       {60010, 0},
        {90000, 100000}, {0, 200000},      {200000, 70000},   {400000, 1}};
    static const char *const chunks[] = {"fixed:4096", "cdc:16384"};
    for (size_t c = 0; c < 2; c++) {
        rig r;
        rig_init(&r, chunks[c]);
        size_t size = 40000;
        memset(expected, 0, sizeof expected);
        rig_fill(expected, size, 9);
        rig_put(&r, "f", expected, size);
        rig_put(&r, "same", expected, size);
        for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
            edit e = edits[i];
            rig_fill(data, e.size, 100 + i);
            memcpy(expected + e.offset, data, e.size);
            if (e.size != 0 && e.offset + e.size > size)
                size = e.offset + e.size;
            engram_transaction *tx = rig_begin(&r);
            assert_ok(engram_write_at(tx, "f", e.offset, data, e.size, NULL, E));
            tx_expect(tx, "f", expected, size);
            rig_commit(tx);
            rig_expect(&r, "f", expected, size);
        }
        rig_crash(&r);
        rig_expect(&r, "f", expected, size);
        rig_fill(data, 40000, 9);
        rig_expect(&r, "same", data, 40000);
        rig_verify(&r);
        rig_fini(&r);
    }
}

/* A change in the middle of a large file costs the chunks it touches. */
static void write_at_costs_its_change(void **state)
{
    (void)state;
    rig r;
    rig_init(&r, NULL);
    eg_store_totals before, after;
    rig_fill(data, LARGE, 4);
    rig_put(&r, "f", data, LARGE);
    assert_ok(eg_store_get_totals(eg_engram_store(r.engram), &before, E));
    engram_transaction *tx = rig_begin(&r);
    assert_ok(engram_write_at(tx, "f", 1000000, "changed", 7, NULL, E));
    rig_commit(tx);
    assert_ok(eg_store_get_totals(eg_engram_store(r.engram), &after, E));
    assert_true(after.chunks - before.chunks <= 2);
    memcpy(data + 1000000, "changed", 7);
    rig_expect(&r, "f", data, LARGE);
    rig_fini(&r);
}

static void makes_files_in_place(void **state)
{
    (void)state;
    rig r;
    rig_init(&r, NULL);
    engram_transaction *tx = rig_begin(&r);
    engram_expected none = {.what = ENGRAM_NONE};
    assert_ok(engram_write_at(tx, "gap", 10000, "x", 1, &none, E));
    assert_ok(engram_append(tx, "end", "abc", 3, &none, E));
    assert_ok(engram_append(tx, "end", "def", 3, NULL, E));
    assert_ok(engram_append(tx, "empty", NULL, 0, NULL, E));
    assert_ok(engram_write_at(tx, "empty2", 7, NULL, 0, NULL, E));
    assert_fails(engram_truncate(tx, "no", 0, NULL, E), ENGRAM_NOT_FOUND, "no");
    assert_fails(engram_append(tx, "end", "x", 1, &none, E), ENGRAM_EXISTS, "end");
    rig_commit(tx);
    memset(expected, 0, 10000);
    expected[10000] = 'x';
    rig_expect(&r, "gap", expected, 10001);
    rig_expect_text(&r, "end", "abcdef");
    rig_expect_text(&r, "empty", "");
    rig_expect_text(&r, "empty2", "");
    rig_verify(&r);
    rig_fini(&r);
}

static void far_offsets_are_refused(void **state)
{
    (void)state;
    rig r;
    rig_init(&r, NULL);
    rig_text(&r, "f", "abc");
    engram_transaction *tx = rig_begin(&r);
    assert_fails(engram_write_at(tx, "f", UINT64_MAX, "x", 1, NULL, E), ENGRAM_INVALID, "f");
    assert_fails(engram_write_at(tx, "f", UINT64_MAX - 1, "x", 1, NULL, E), ENGRAM_INVALID, "f");
    assert_fails(engram_write_at(tx, "f", INT64_MAX, "x", 1, NULL, E), ENGRAM_INVALID, "f");
    assert_fails(engram_write_at(tx, "new", UINT64_MAX, "x", 1, NULL, E), ENGRAM_INVALID, "new");
    assert_fails(engram_truncate(tx, "f", UINT64_MAX, NULL, E), ENGRAM_INVALID, "f");
    assert_fails(engram_truncate(tx, "f", (uint64_t)1 << 50, NULL, E), ENGRAM_INVALID, "64 GiB");
    assert_fails(engram_write_at(tx, "f", (uint64_t)1 << 50, "x", 1, NULL, E), ENGRAM_INVALID,
                 "64 GiB");
    tx_expect_absent(tx, "new");
    tx_expect_text(tx, "f", "abc");
    assert_ok(engram_append(tx, "f", "d", 1, NULL, E));
    rig_commit(tx);
    rig_expect_text(&r, "f", "abcd");
    rig_fini(&r);
}

static void appends_do_not_leave_crumbs(void **state)
{
    (void)state;
    static const char *const chunks[] = {"fixed:4096", "cdc:16384"};
    for (size_t c = 0; c < 2; c++) {
        rig r;
        rig_init(&r, chunks[c]);
        rig_fill(data, 200000, 5);
        size_t size = 0;
        for (int i = 0; i < 20; i++) { /* in one transaction */
            engram_transaction *tx = rig_begin(&r);
            for (int j = 0; j < 100; j++, size += 97)
                assert_ok(engram_append(tx, "log", data + size, 97, NULL, E));
            tx_expect(tx, "log", data, size);
            rig_commit(tx);
        }
        rig_expect(&r, "log", data, size);
        assert_true(rig_stat(&r, "log").chunks <= 1 + size / 2048);
        rig_put(&r, "whole", data, size);
        assert_true(rig_stat(&r, "log").chunks <= 2 * rig_stat(&r, "whole").chunks);
        rig_verify(&r);
        rig_fini(&r);
    }
}

static void truncates(void **state)
{
    (void)state;
    static const size_t to[] = {100000, 99999, 98304, 98303, 50000, 4097, 4096,   4095,
                                1,      0,     0,     1,     5000,  4096, 300000, 300000};
    static const char *const chunks[] = {"fixed:4096", "cdc:16384"};
    for (size_t c = 0; c < 2; c++) {
        rig r;
        rig_init(&r, chunks[c]);
        memset(expected, 0, sizeof expected);
        rig_fill(expected, 100000, 6);
        rig_put(&r, "f", expected, 100000);
        for (size_t i = 0; i < sizeof to / sizeof *to; i++) {
            memset(expected + to[i], 0, sizeof expected - to[i]);
            engram_transaction *tx = rig_begin(&r);
            assert_ok(engram_truncate(tx, "f", to[i], NULL, E));
            tx_expect(tx, "f", expected, to[i]);
            rig_commit(tx);
            rig_expect(&r, "f", expected, to[i]);
        }
        rig_verify(&r);
        rig_fini(&r);
    }
}

static void updates_a_chunk(void **state)
{
    (void)state;
    rig r;
    uint64_t begin, size;
    rig_init(&r, NULL);
    rig_fill(data, 10000, 7);
    rig_put(&r, "a", data, 10000);
    rig_put(&r, "b", data, 10000);
    engram_transaction *tx = rig_begin(&r);
    assert_ok(engram_tx_chunk(tx, "a", 5000, &begin, &size, E));
    assert_true(begin == CHUNK && size == CHUNK);
    assert_ok(engram_tx_chunk(tx, "a", 9999, &begin, &size, E));
    assert_true(begin == 2 * CHUNK && size == 10000 - 2 * CHUNK);
    assert_fails(engram_tx_chunk(tx, "a", 10000, &begin, &size, E), ENGRAM_NOT_FOUND, "a");
    memcpy(expected, data, 10000);
    rig_fill(expected + CHUNK, CHUNK, 8);
    assert_ok(engram_update_chunk(tx, "a", 5000, expected + CHUNK, CHUNK, NULL, E));
    assert_fails(engram_update_chunk(tx, "a", 0, "x", 1, NULL, E), ENGRAM_INVALID, "4096");
    assert_fails(engram_update_chunk(tx, "a", 9000, "x", 0, NULL, E), ENGRAM_INVALID, "a");
    assert_fails(engram_update_chunk(tx, "a", 10000, "x", 1, NULL, E), ENGRAM_NOT_FOUND, "a");
    assert_fails(engram_update_chunk(tx, "no", 0, "x", 1, NULL, E), ENGRAM_NOT_FOUND, "no");
    assert_fails(engram_update_chunk(tx, "a", 9000, data, CHUNK + 1, NULL, E), ENGRAM_INVALID, "a");
    tx_expect(tx, "a", expected, 10000);
    rig_fill(expected + 2 * CHUNK, 300, 9);
    assert_ok(engram_update_chunk(tx, "a", 9000, expected + 2 * CHUNK, 300, NULL, E));
    tx_expect(tx, "a", expected, 2 * CHUNK + 300);
    rig_commit(tx);
    rig_expect(&r, "a", expected, 2 * CHUNK + 300);
    rig_expect(&r, "b", data, 10000);
    rig_verify(&r);
    rig_fini(&r);
}

static void only_files_have_content(void **state)
{
    (void)state;
    rig r;
    rig_init(&r, NULL);
    engram_transaction *tx = rig_begin(&r);
    assert_ok(engram_mkdir(tx, "d", 0755, E));
    assert_ok(engram_symlink(tx, "d", "l", E));
    assert_ok(engram_write(tx, "f", "x", 1, NULL, E));
    static const char *const paths[] = {"d", "l", ""};
    for (size_t i = 0; i < 3; i++) {
        uint8_t byte;
        size_t got;
        assert_fails(engram_write(tx, paths[i], "x", 1, NULL, E), ENGRAM_INVALID, "content");
        assert_fails(engram_append(tx, paths[i], "x", 1, NULL, E), ENGRAM_INVALID, "content");
        assert_fails(engram_truncate(tx, paths[i], 1, NULL, E), ENGRAM_INVALID, "content");
        assert_fails(engram_update_chunk(tx, paths[i], 0, "x", 1, NULL, E), ENGRAM_INVALID,
                     "content");
        assert_fails(engram_tx_read(tx, paths[i], 0, &byte, 1, &got, E), ENGRAM_INVALID, "content");
    }
    assert_fails(engram_write(tx, "f/below", "x", 1, NULL, E), ENGRAM_INVALID, "f");
    assert_fails(engram_append(tx, "f/below", "x", 1, NULL, E), ENGRAM_INVALID, "f");
    assert_fails(engram_write(tx, "l/below", "x", 1, NULL, E), ENGRAM_INVALID, "l");
    assert_fails(engram_write(tx, "no/below", "x", 1, NULL, E), ENGRAM_NOT_FOUND, "no");
    assert_ok(engram_write(tx, "d/below", "x", 1, NULL, E));
    rig_commit(tx);
    rig_expect_names(&r, "", "d d/below f l");
    rig_verify(&r);
    rig_fini(&r);
}

/* More than fits a journal record, spilled into the store while it comes. */
static void large_transactions(void **state)
{
    (void)state;
    rig r;
    char path[32];
    rig_init(&r, "cdc:16384");
    rig_fill(data, LARGE, 10);
    engram_transaction *tx = rig_begin(&r);
    for (int i = 0; i < 8; i++) {
        snprintf(path, sizeof path, "f%d", i);
        data[0] = (uint8_t)i;
        rig_fill(data + 100000, 1000000, 50 + (uint64_t)i);
        assert_ok(engram_write(tx, path, data, LARGE, NULL, E));
    }
    tx_expect(tx, path, data, LARGE);
    rig_commit(tx);
    rig_crash(&r);
    rig_expect(&r, path, data, LARGE);
    rig_verify(&r);
    tx = rig_begin(&r); /* and one that is given up */
    rig_fill(data, LARGE, 11);
    assert_ok(engram_write(tx, "gone", data, LARGE, NULL, E));
    engram_abort(&tx);
    rig_expect_absent(&r, "gone");
    rig_put(&r, "again", data, LARGE); /* finds what the other one left */
    rig_crash(&r);
    rig_expect(&r, "again", data, LARGE);
    rig_verify(&r);
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(write_sizes),
        cmocka_unit_test(write_replaces),
        cmocka_unit_test(write_what_is_expected),
        cmocka_unit_test(expectations_are_read),
        cmocka_unit_test(streams),
        cmocka_unit_test(pieces),
        cmocka_unit_test(pieces_that_are_refused),
        cmocka_unit_test(last_writer_wins),
        cmocka_unit_test(write_at_everywhere),
        cmocka_unit_test(write_at_costs_its_change),
        cmocka_unit_test(makes_files_in_place),
        cmocka_unit_test(far_offsets_are_refused),
        cmocka_unit_test(appends_do_not_leave_crumbs),
        cmocka_unit_test(truncates),
        cmocka_unit_test(updates_a_chunk),
        cmocka_unit_test(only_files_have_content),
        cmocka_unit_test(large_transactions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
