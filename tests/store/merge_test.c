/* Merging, and dropping what is doomed: what stays reads as before, under its id, and nothing gains depth. */
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "store/compact.h"
#include "store/rig.h"

enum { CHUNKS = 240 };

/* About a dozen segments, all sealed. */
static rig *make(uint64_t seed)
{
    rig *r = rig_create(seed, 6000, 900);
    r->options.dedup = true;
    rig_open(r);
    rig_append(r, CHUNKS);
    assert_ok(eg_store_seal(r->store, error));
    assert_true(eg_store_segment_count(r->store) >= 8);
    return r;
}

static eg_share *survey(eg_collection *c, size_t *count)
{
    eg_share *shares;
    assert_ok(eg_collection_survey(c, &shares, count, error));
    return shares;
}

static engram_status try_merge(eg_collection *c, size_t first, size_t count, eg_merge **merge,
                               engram_error *error)
{
    size_t all;
    uint64_t numbers[64];
    eg_merge_options options = {.level = 1, .effort = 3};
    eg_share *shares = survey(c, &all);
    assert_true(first + count <= all && count <= 64);
    for (size_t i = 0; i < count; i++)
        numbers[i] = shares[first + i].segment;
    eg_free(shares);
    return eg_merge_create(c, numbers, count, &options, merge, error);
}

static eg_merged merge(eg_collection *c, size_t first, size_t count)
{
    eg_merge *m;
    assert_ok(try_merge(c, first, count, &m, error));
    assert_ok(eg_merge_adopt(m, error));
    eg_merged done = *eg_merge_get(m);
    eg_merge_free(&m);
    return done;
}

static bool is_doomed(const bool *held, size_t i)
{
    return !held[i];
}

/* Every chunk that is held reads as it was; of the others those that are there do too. */
static size_t check(rig *r, const bool *held)
{
    char message[1200] = "";
    size_t there = 0;
    for (size_t i = 0; i < r->chunk_count; i++) {
        eg_chunk_info info;
        size_t size;
        uint8_t vector[256], expected[256];
        engram_status status = eg_store_get_info(r->store, rig_id(r, i), &info, NULL);
        if (is_doomed(held, i) && status == ENGRAM_NOT_FOUND)
            continue;
        there++;
        assert_int_equal(status, ENGRAM_OK);
        assert_true(info.depth <= r->depths[i]);
        assert_int_equal(rig_bytes(r, i, r->bytes), info.size);
        assert_ok(eg_store_read(r->store, rig_id(r, i), r->other, info.size, &size, error));
        assert_memory_equal(r->bytes, r->other, size);
        assert_ok(eg_store_get_vector(r->store, rig_id(r, i), vector, error));
        rig_vector(r, i, expected);
        assert_memory_equal(vector, expected, sizeof vector);
    }
    if (rig_verify(r, message) != 0)
        fail_msg("verify: %s", message);
    assert_true(eg_store_validate(r->store));
    return there;
}

static void reopen(rig *r)
{
    rig_close(r);
    rig_open(r);
}

static void doom(rig *r, const bool *held, eg_collection **c)
{
    eg_id_set ids = {0};
    assert_ok(eg_collection_begin(r->store, c, error));
    for (size_t i = 0; i < r->chunk_count; i++)
        if (held[i])
            assert_true(eg_id_set_add(&ids, rig_id(r, i)));
    assert_ok(eg_collection_doom(*c, &ids, error));
    eg_id_set_fini(&ids);
}

/* ---- merging alone ---- */

static void a_merge_drops_nothing_by_itself(void **state)
{
    eg_collection *c;
    bool held[CHUNKS + 40];
    (void)state;
    memset(held, true, sizeof held);
    rig *r = make(test_seed(0x3E26));
    size_t segments = eg_store_segment_count(r->store);
    assert_ok(eg_collection_begin(r->store, &c, error));
    eg_merged done = merge(c, 2, 4);
    assert_true(done.dropped == 0 && done.encoded == 0);
    assert_true(done.bytes_after < done.bytes_before);
    eg_collection_end(&c);
    assert_int_equal(eg_store_segment_count(r->store), segments - 3);
    rig_check_exactly(r, CHUNKS);
    rig_append(r, 40); /* the numbers of segments go on */
    assert_ok(eg_store_seal(r->store, error));
    reopen(r);
    rig_check_exactly(r, CHUNKS + 40);
    assert_ok(eg_store_sweep(r->store, error));
    reopen(r);
    rig_check_exactly(r, CHUNKS + 40);
    rig_free(r);
}

/* Down to one, whatever neighbours are merged first; merged ones again. */
static void merges_of_merges(void **state)
{
    uint64_t seed = test_seed(0x3E27);
    (void)state;
    rig *r = make(seed);
    for (uint64_t n = 0; eg_store_segment_count(r->store) > 1; n++) {
        eg_collection *c;
        size_t all = eg_store_segment_count(r->store);
        size_t count = 2 + test_mix(seed + 2 * n) % 3;
        count = count < all ? count : all;
        assert_ok(eg_collection_begin(r->store, &c, error));
        merge(c, test_mix(seed + 2 * n + 1) % (all - count + 1), count);
        eg_collection_end(&c);
        if (n % 2 == 0)
            reopen(r);
        rig_check_exactly(r, CHUNKS);
    }
    assert_ok(eg_store_sweep(r->store, error));
    reopen(r);
    rig_check_exactly(r, CHUNKS);
    rig_free(r);
}

/* ---- dropping ---- */

static void drop_some(uint64_t seed, unsigned share, bool newest_first)
{
    eg_collection *c;
    bool held[CHUNKS];
    size_t kept = 0;
    rig *r = make(seed);
    for (size_t i = 0; i < CHUNKS; i++) {
        held[i] = test_mix(seed ^ i) % 100 >= share;
        kept += held[i];
    }
    doom(r, held, &c);
    for (size_t at = eg_store_segment_count(r->store) / 2; at-- > 0;) {
        size_t pairs = eg_store_segment_count(r->store);
        merge(c, newest_first ? 2 * at : 0, pairs - 2 * at < 2 || !newest_first ? 1 : 2);
        check(r, held);
    }
    if (eg_store_segment_count(r->store) > 0)
        merge(c, 0, eg_store_segment_count(r->store));
    eg_collection_end(&c);
    assert_int_equal(check(r, held), kept);
    reopen(r);
    assert_int_equal(check(r, held), kept);
    rig_free(r);
}

static void everything_doomed_goes(void **state)
{
    uint64_t seed = test_seed(0xD001);
    (void)state;
    for (unsigned i = 0; i < 12; i++)
        drop_some(seed + i, 5 + 8 * i, i % 2 == 0);
}

static void a_store_may_become_empty(void **state)
{
    eg_collection *c;
    bool held[CHUNKS] = {0};
    (void)state;
    rig *r = make(1);
    doom(r, held, &c);
    merge(c, 0, eg_store_segment_count(r->store));
    eg_collection_end(&c);
    assert_int_equal(eg_store_segment_count(r->store), 0);
    assert_int_equal(check(r, held), 0);
    assert_int_equal(eg_store_next_id(r->store), CHUNKS + 1);
    r->options.next_id = CHUNKS + 1; /* its owner knows it */
    reopen(r);
    assert_ok(eg_store_sweep(r->store, error));
    rig_append(r, 1);
    rig_check(r, CHUNKS);
    rig_free(r);
}

/* ---- pins ---- */

static eg_fingerprint fingerprint_of(rig *r, size_t i, uint32_t *size)
{
    *size = rig_bytes(r, i, r->bytes);
    return eg_fingerprint_of(r->bytes, *size);
}

static bool is_found(rig *r, size_t i)
{
    uint32_t size;
    uint64_t ids[EG_STORE_CANDIDATES];
    eg_fingerprint fingerprint = fingerprint_of(r, i, &size);
    size_t count = eg_store_find(r->store, &fingerprint, size, ids);
    for (size_t k = 0; k < count; k++)
        if (ids[k] == rig_id(r, i))
            return true;
    return false;
}

/* Used before the collection, within it by a holder that ends, and after the dooming. */
static void what_is_used_stays(void **state)
{
    eg_collection *c;
    bool held[CHUNKS] = {0};
    eg_id_set none = {0};
    eg_store_hold before = {0}, within = {0}, after = {0};
    (void)state;
    rig *r = make(2);
    eg_store_hold_begin(r->store, &before);
    assert_true(eg_store_use(r->store, rig_id(r, 10)));
    assert_ok(eg_collection_begin(r->store, &c, error));
    eg_store_hold_begin(r->store, &within);
    assert_true(eg_store_use(r->store, rig_id(r, 50)));
    eg_store_hold_end(r->store, &within);
    eg_store_hold_end(r->store, &before);
    assert_ok(eg_collection_doom(c, &none, error));
    eg_store_hold_begin(r->store, &after);
    assert_false(eg_store_use(r->store, rig_id(r, 90)));
    assert_false(is_found(r, 90));
    assert_true(is_found(r, 10));
    assert_true(eg_store_use(r->store, rig_id(r, 10)));
    held[10] = held[50] = true;
    merge(c, 0, eg_store_segment_count(r->store));
    eg_collection_end(&c);
    assert_int_equal(check(r, held), 2);
    assert_false(is_found(r, 90));
    eg_store_hold_end(r->store, &after);
    rig_free(r);
}

/* What was used by those who have ended goes, and so does what came under them. */
static void holds_end(void **state)
{
    eg_collection *c;
    bool held[CHUNKS + 5] = {0};
    eg_id_set none = {0};
    eg_store_hold hold = {0};
    (void)state;
    rig *r = make(3);
    eg_store_hold_begin(r->store, &hold);
    eg_store_use(r->store, rig_id(r, 10));
    rig_append(r, 5);
    assert_ok(eg_store_seal(r->store, error));
    eg_store_hold_end(r->store, &hold);
    assert_ok(eg_collection_begin(r->store, &c, error));
    assert_ok(eg_collection_doom(c, &none, error));
    merge(c, 0, eg_store_segment_count(r->store));
    eg_collection_end(&c);
    assert_int_equal(check(r, held), 0);
    rig_free(r);
}

/* As long as somebody is there who began before, whatever came since stays. */
static void what_was_appended_under_a_hold_stays(void **state)
{
    eg_collection *c;
    bool held[CHUNKS + 5] = {0};
    eg_id_set none = {0};
    eg_store_hold hold = {0}, other = {0};
    (void)state;
    rig *r = make(4);
    eg_store_hold_begin(r->store, &hold);
    for (int i = 0; i < 5; i++) { /* others come and go */
        eg_store_hold_begin(r->store, &other);
        rig_append(r, 1);
        held[CHUNKS + i] = true;
        eg_store_hold_end(r->store, &other);
    }
    assert_ok(eg_store_seal(r->store, error));
    assert_ok(eg_collection_begin(r->store, &c, error));
    assert_ok(eg_collection_doom(c, &none, error));
    merge(c, 0, eg_store_segment_count(r->store));
    eg_collection_end(&c);
    assert_int_equal(check(r, held), 5);
    eg_store_hold_end(r->store, &hold);
    rig_free(r);
}

/* ---- what fails ---- */

static size_t count_files(rig *r)
{
    size_t count = 0;
    for (uint64_t number = 1; number < 200; number++) {
        char *path = rig_path(r, number);
        count += access(path, F_OK) == 0;
        free(path);
    }
    return count;
}

static void memory_may_fail(void **state)
{
    engram_status status;
    eg_collection *c;
    bool held[CHUNKS];
    (void)state;
    rig *r = make(5);
    for (size_t i = 0; i < CHUNKS; i++)
        held[i] = i % 3 != 0;
    doom(r, held, &c);
    size_t files = count_files(r);
    long n = 0;
    do {
        eg_merge *m = NULL;
        eg_share *shares = NULL;
        size_t all;
        uint64_t numbers[64];
        eg_merge_options options = {.effort = 3};
        shares = survey(c, &all);
        for (size_t i = 0; i < all; i++)
            numbers[i] = shares[i].segment;
        eg_free(shares);
        eg_alloc_fail_at(++n, false);
        status = eg_merge_create(c, numbers, all, &options, &m, NULL);
        if (status == ENGRAM_OK)
            status = eg_merge_adopt(m, NULL);
        eg_merge_free(&m);
        eg_alloc_fail_at(0, false);
        assert_true(status == ENGRAM_OK || status == ENGRAM_NO_MEMORY);
        assert_true(status == ENGRAM_OK || count_files(r) == files);
    } while (status != ENGRAM_OK);
    assert_true(n > 20);
    eg_collection_end(&c);
    check(r, held);
    rig_free(r);
}

/* What is damaged stays as it is: it is the repair's. */
static void a_damaged_segment_is_not_merged(void **state)
{
    eg_collection *c;
    eg_merge *m;
    (void)state;
    rig *r = make(6);
    rig_take_states(r);
    char *path = rig_path(r, r->states[1].id);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    fseek(file, 4096 + 20, SEEK_SET);
    int byte = fgetc(file);
    fseek(file, 4096 + 20, SEEK_SET);
    fputc(byte ^ 4, file);
    fclose(file);
    free(path);
    size_t files = count_files(r);
    assert_ok(eg_collection_begin(r->store, &c, error));
    assert_int_equal(try_merge(c, 0, 3, &m, NULL), ENGRAM_DAMAGED);
    assert_int_equal(count_files(r), files);
    merge(c, 2, 2);
    eg_collection_end(&c);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_merge_drops_nothing_by_itself),
        cmocka_unit_test(merges_of_merges),
        cmocka_unit_test(everything_doomed_goes),
        cmocka_unit_test(a_store_may_become_empty),
        cmocka_unit_test(what_is_used_stays),
        cmocka_unit_test(holds_end),
        cmocka_unit_test(what_was_appended_under_a_hold_stays),
        cmocka_unit_test(memory_may_fail),
        cmocka_unit_test(a_damaged_segment_is_not_merged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
