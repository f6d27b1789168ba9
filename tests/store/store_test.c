/* Appending and reading back, over segments, reopening and kinds of chunks. */
#include <string.h>

#include "base/memory.h"
#include "store/rig.h"

static void an_empty_store(void **state)
{
    (void)state;
    rig *r = rig_create(1, 4096, 1000);
    rig_open(r);
    assert_int_equal(eg_store_segment_count(r->store), 0);
    assert_int_equal(eg_store_next_id(r->store), 1);
    rig_check_exactly(r, 0);
    assert_ok(eg_store_sync(r->store, error));
    assert_ok(eg_store_seal(r->store, error));
    assert_ok(eg_store_sweep(r->store, error));
    rig_close(r);
    assert_int_equal(r->state_count, 0);
    rig_open_reader(r);
    rig_check_exactly(r, 0);
    rig_free(r);
}

/* Sizes at the edges, among them the largest, in one segment. */
static void sizes_at_the_edges(void **state)
{
    static const uint32_t sizes[] = {
        0, 1, 2, 255, 256, 65535, 65536, 65537, 262144, 300000, RIG_BYTES_MAX, 0, RIG_BYTES_MAX - 1,
        5};
    size_t count = sizeof sizes / sizeof sizes[0];
    (void)state;
    for (uint64_t seed = 1; seed <= 2; seed++) {
        rig *r = rig_create(seed, 0, 0);
        memcpy(r->sizes, sizes, sizeof sizes);
        rig_open(r);
        rig_append(r, count);
        rig_check_exactly(r, count);
        assert_ok(eg_store_seal(r->store, error));
        rig_check_exactly(r, count);
        rig_close(r);
        assert_int_equal(r->state_count, 1);
        rig_open_reader(r);
        rig_check_exactly(r, count);
        rig_free(r);
    }
}

static void thousands_over_many_segments(void **state)
{
    uint64_t seed = test_seed(0x57012E);
    (void)state;
    rig *r = rig_create(seed, 200000, 2000);
    rig_open(r);
    for (int round = 0; round < 4; round++) {
        rig_append(r, 700);
        assert_ok(eg_store_sync(r->store, error));
        assert_true(eg_store_validate(r->store));
        rig_check_exactly(r, r->chunk_count);
        if (round == 1)
            assert_ok(eg_store_seal(r->store, error));
        rig_close(r);
        rig_open_reader(r);
        rig_check_exactly(r, r->chunk_count);
        eg_store_close(&r->store);
        rig_open(r);
        rig_check_exactly(r, r->chunk_count);
        assert_ok(eg_store_sweep(r->store, error));
    }
    assert_true(eg_store_segment_count(r->store) > 8);
    rig_free(r);
}

static engram_status count_entry(void *context, const char *name)
{
    (void)name;
    ++*(size_t *)context;
    return ENGRAM_OK;
}

static size_t files_of(rig *r)
{
    size_t files = 0;
    assert_ok(r->io->list(r->io, r->dir.path, count_entry, &files, error));
    return files;
}

static void sealed_files_have_their_true_size(void **state)
{
    (void)state;
    rig *r = rig_create(3, 100000, 3000);
    rig_open(r);
    rig_append(r, 300);
    assert_ok(eg_store_seal(r->store, error));
    rig_close(r);
    for (size_t s = 0; s < r->state_count; s++) {
        uint64_t size, disk_size, count = r->states[s].chunk_count;
        char *path = rig_path(r, r->states[s].id);
        assert_ok(r->io->stat(r->io, path, &size, &disk_size, error));
        uint64_t data = r->states[s].payload_size + count * (72 + 12 + 256);
        assert_true(size >= 4096 + data && size < 4096 + data + 4096 + 8);
        assert_true(disk_size <= size + 65536);
        free(path);
    }
    assert_int_equal(files_of(r), r->state_count);
    rig_free(r);
}

static void sweep_removes_only_segments_nobody_names(void **state)
{
    static const char *names[] = {"00000777.seg", "00000002.seg.tmp", "notes", "0000001.seg"};
    (void)state;
    rig *r = rig_create(3, 100000, 3000);
    rig_open(r);
    rig_append(r, 10);
    for (size_t i = 0; i < 4; i++) {
        char *path = eg_path_join(r->dir.path, names[i]);
        fclose(fopen(path, "w"));
        eg_free(path);
    }
    assert_int_equal(files_of(r), 5);
    assert_ok(eg_store_sweep(r->store, error));
    assert_int_equal(files_of(r), 4);
    rig_check_exactly(r, 10);
    rig_free(r);
}

/* Lent vectors stay while the segment grows, seals, and others follow. */
static void lent_vectors_stay(void **state)
{
    enum { SPANS = 12 };
    eg_vector_span spans[SPANS];
    size_t starts[SPANS];
    (void)state;
    rig *r = rig_create(9, 300000, 600);
    rig_open(r);
    for (size_t n = 0; n < SPANS; n++) {
        rig_append(r, 300);
        size_t last = eg_store_segment_count(r->store) - 1;
        assert_ok(eg_store_get_vectors(r->store, last, &spans[n], error));
        starts[n] = (size_t)spans[n].ids[0] - 1;
    }
    assert_ok(eg_store_seal(r->store, error));
    rig_check_vectors(r, r->chunk_count);
    for (size_t n = 0; n < SPANS; n++)
        for (size_t k = 0; k < spans[n].vectors.count; k++) {
            uint8_t expected[256];
            rig_vector(r, starts[n] + k, expected);
            uint8_t vector[256];
            eg_vectors_get(&spans[n].vectors, k, vector);
            assert_memory_equal(vector, expected, 256);
            assert_int_equal(spans[n].ids[k], starts[n] + k + 1);
        }
    rig_free(r);
}

static void append_one(rig *r, const eg_new_chunk *chunk, engram_status expected)
{
    uint64_t id;
    assert_int_equal(eg_store_append(r->store, chunk, 1, &id, NULL), expected);
}

static void nonsense_is_refused_and_changes_nothing(void **state)
{
    static const uint8_t vector[256], bytes[8];
    (void)state;
    rig *r = rig_create(9, 300000, 600);
    rig_open(r);
    const eg_new_chunk good = {
        .vector = vector, .size = 8, .kind = EG_CORRECTION_VERBATIM, .correction = {bytes, 8}};
    eg_new_chunk bad = good;
    bad.kind = EG_CORRECTION_NONE;
    append_one(r, &bad, ENGRAM_INVALID);
    bad = good, bad.size = 9;
    append_one(r, &bad, ENGRAM_INVALID);
    bad = good, bad.size = 5 << 20;
    append_one(r, &bad, ENGRAM_INVALID);
    bad = good, bad.base = 1;
    append_one(r, &bad, ENGRAM_INVALID);
    bad = good, bad.kind = EG_CORRECTION_DELTA;
    append_one(r, &bad, ENGRAM_INVALID);
    bad = good, bad.kind = EG_CORRECTION_DELTA, bad.base = 1, bad.depth = 65;
    append_one(r, &bad, ENGRAM_INVALID);
    bad = good, bad.id = UINT64_MAX;
    append_one(r, &bad, ENGRAM_INVALID);
    rig_append(r, 3);
    bad = good, bad.id = 3;
    append_one(r, &bad, ENGRAM_INVALID);
    rig_check_exactly(r, 3);
    rig_close(r);
    rig_open_reader(r);
    assert_int_equal(eg_store_seal(r->store, NULL), ENGRAM_INVALID);
    assert_int_equal(eg_store_sweep(r->store, NULL), ENGRAM_INVALID);
    rig_free(r);
}

static void arguments_are_checked(void **state)
{
    size_t size;
    uint8_t small[4];
    eg_vector_span span;
    (void)state;
    rig *r = rig_create(9, 300000, 0);
    r->sizes[0] = 5;
    rig_open(r);
    rig_append(r, 1);
    assert_int_equal(eg_store_read(r->store, 1, small, 4, &size, NULL), ENGRAM_INVALID);
    assert_int_equal(eg_store_read(r->store, 0, small, 4, &size, NULL), ENGRAM_NOT_FOUND);
    assert_int_equal(eg_store_read(r->store, 2, small, 4, &size, NULL), ENGRAM_NOT_FOUND);
    assert_int_equal(eg_store_read(r->store, UINT64_MAX, small, 4, &size, NULL), ENGRAM_NOT_FOUND);
    assert_int_equal(eg_store_get_vectors(r->store, 1, &span, NULL), ENGRAM_INVALID);
    rig_close(r);
    r->chunk_count = 0; /* an id that is taken would be given out again */
    assert_int_equal(rig_try_open(r, false, NULL), ENGRAM_INVALID);
    r->chunk_count = 1;
    r->options.segment_size = UINT64_MAX;
    assert_int_equal(rig_try_open(r, false, NULL), ENGRAM_INVALID);
    r->options.segment_size = 0;
    r->states[0].id = 0;
    assert_int_equal(rig_try_open(r, false, NULL), ENGRAM_INVALID);
    r->states[0].id = 5;
    assert_int_equal(rig_try_open(r, false, NULL), ENGRAM_DAMAGED);
    rig_free(r);
}

/* Equal bytes under many ids: eight of them are found, before and after reopening. */
static void find_gives_at_most_eight(void **state)
{
    static const uint8_t vector[256];
    uint64_t ids[EG_STORE_CANDIDATES], given[20];
    (void)state;
    rig *r = rig_create(9, 40, 600);
    eg_new_chunk chunks[20];
    eg_fingerprint fingerprint = eg_fingerprint_of("12345678", 8);
    for (int i = 0; i < 20; i++)
        chunks[i] = (eg_new_chunk){.fingerprint = fingerprint,
                                   .vector = vector,
                                   .size = 8,
                                   .kind = EG_CORRECTION_VERBATIM,
                                   .correction = {(const uint8_t *)"12345678", 8}};
    rig_open(r);
    assert_ok(eg_store_append(r->store, chunks, 20, given, error));
    r->chunk_count = 20;
    for (int reopened = 0; reopened < 2; reopened++) {
        assert_int_equal(eg_store_segment_count(r->store), 4);
        assert_int_equal(eg_store_find(r->store, &fingerprint, 8, ids), EG_STORE_CANDIDATES);
        for (uint64_t k = 0; k < EG_STORE_CANDIDATES; k++)
            assert_int_equal(ids[k], k + 1);
        assert_int_equal(eg_store_find(r->store, &fingerprint, 9, ids), 0);
        fingerprint.bytes[15] ^= 1; /* equal prefix, other fingerprint */
        assert_int_equal(eg_store_find(r->store, &fingerprint, 8, ids), 0);
        fingerprint.bytes[15] ^= 1;
        rig_close(r);
        rig_open(r);
    }
    rig_close(r);
    r->options.dedup = false;
    rig_open(r);
    assert_int_equal(eg_store_find(r->store, &fingerprint, 8, ids), 0);
    rig_free(r);
}

static void totals_add_up(void **state)
{
    eg_store_totals totals;
    uint64_t logical = 0, payload = 0, by_kind = 0, bytes_by_kind = 0;
    (void)state;
    rig *r = rig_create(21, 50000, 1500);
    rig_open(r);
    rig_append(r, 500);
    assert_ok(eg_store_get_totals(r->store, &totals, error));
    rig_take_states(r);
    for (size_t i = 0; i < 500; i++)
        logical += r->sizes[i];
    for (size_t s = 0; s < r->state_count; s++)
        payload += r->states[s].payload_size;
    for (int kind = 0; kind < 4; kind++) {
        by_kind += totals.by_kind[kind];
        bytes_by_kind += totals.bytes_by_kind[kind];
    }
    assert_int_equal(totals.bytes_logical, logical);
    assert_int_equal(totals.bytes_payload, payload);
    assert_int_equal(totals.segments, r->state_count);
    assert_int_equal(by_kind, 500);
    assert_int_equal(bytes_by_kind, payload);
    assert_true(totals.by_kind[EG_CORRECTION_DELTA] > 20);
    assert_true(totals.by_kind[EG_CORRECTION_PACKED] > 100);
    rig_free(r);
}

/* More chunks than a segment takes, though they are small. */
static void a_segment_is_full_of_small_chunks(void **state)
{
    enum { BATCH = 16384, BATCHES = 5 };
    static eg_new_chunk chunks[BATCH];
    static uint64_t ids[BATCH];
    static const uint8_t vector[256];
    uint8_t byte;
    size_t size;
    (void)state;
    rig *r = rig_create(21, 0, 1);
    for (size_t i = 0; i < BATCH; i++)
        chunks[i] = (eg_new_chunk){.fingerprint = eg_fingerprint_of("x", 1),
                                   .vector = vector,
                                   .size = 1,
                                   .spread = 1,
                                   .kind = EG_CORRECTION_VERBATIM,
                                   .correction = {(const uint8_t *)"x", 1}};
    r->options.dedup = false;
    rig_open(r);
    for (int n = 0; n < BATCHES; n++)
        assert_ok(eg_store_append(r->store, chunks, n == BATCHES - 1 ? 10 : BATCH, ids, error));
    assert_int_equal(eg_store_segment_count(r->store), 2);
    assert_ok(eg_store_read(r->store, 65536, &byte, 1, &size, error));
    assert_ok(eg_store_read(r->store, 65537, &byte, 1, &size, error));
    r->chunk_count = 65546;
    rig_close(r);
    assert_int_equal(r->states[0].chunk_count, 65536);
    assert_int_equal(r->states[1].chunk_count, 10);
    rig_open(r);
    assert_ok(eg_store_read(r->store, 65546, &byte, 1, &size, error));
    assert_int_equal(rig_verify(r, NULL), 0);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_store),
        cmocka_unit_test(sizes_at_the_edges),
        cmocka_unit_test(thousands_over_many_segments),
        cmocka_unit_test(sealed_files_have_their_true_size),
        cmocka_unit_test(sweep_removes_only_segments_nobody_names),
        cmocka_unit_test(lent_vectors_stay),
        cmocka_unit_test(nonsense_is_refused_and_changes_nothing),
        cmocka_unit_test(arguments_are_checked),
        cmocka_unit_test(find_gives_at_most_eight),
        cmocka_unit_test(totals_add_up),
        cmocka_unit_test(a_segment_is_full_of_small_chunks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
