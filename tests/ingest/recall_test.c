/* Recall in ingest: chunks that are like stored ones become deltas, give their bytes back, and keep the rules of depth. */
#include <string.h>

#include "base/memory.h"
#include "ingest/ingest_rig.h"
#include "ingest/recall.h"
#include "vsa/random.h"

enum { SIZE = 400000, VERSIONS = 9 };

static int set_up(void **state)
{
    ingest_rig *r = malloc(sizeof *r);
    ingest_rig_init(r);
    *state = r;
    return 0;
}

static int tear_down(void **state)
{
    ingest_rig_fini(*state);
    free(*state);
    return 0;
}

static void ingest_ok(ingest_rig *r, eg_ingest_stats *stats)
{
    issues_clear(r);
    tree_settle();
    assert_ok(ingest_in(r, stats, E));
    rig_verify(&r->engram);
}

/* The file as of a version: each differs from the one before in some thirty places. */
static void make_version(uint8_t *bytes, unsigned version)
{
    rig_fill(bytes, SIZE, 77);
    uint64_t seed = 5;
    for (unsigned v = 1; v <= version; v++)
        for (unsigned i = 0; i < 30; i++)
            bytes[test_random(&seed) % SIZE] = (uint8_t)test_random(&seed);
}

static eg_store_totals totals_of(ingest_rig *r)
{
    eg_store_totals totals;
    assert_ok(eg_store_get_totals(eg_engram_store(r->engram.engram), &totals, E));
    return totals;
}

/* Each chunk's base is stored, older and less deep, and no chain is longer than the limit. Returns the greatest depth. */
static unsigned check_depths(ingest_rig *r)
{
    eg_store *store = eg_engram_store(r->engram.engram);
    unsigned greatest = 0;
    for (uint64_t id = 1; id < eg_store_next_id(store); id++) {
        eg_chunk_info info, base;
        assert_ok(eg_store_get_info(store, id, &info, E));
        greatest = info.depth > greatest ? info.depth : greatest;
        if (info.kind != EG_CORRECTION_DELTA)
            continue;
        assert_ok(eg_store_get_info(store, info.base, &base, E));
        assert_true(info.base < info.id);
        assert_true(base.depth < info.depth);
    }
    assert_true(greatest <= EG_RECALL_DEPTH);
    return greatest;
}

/* Random bytes do not pack at all, so what a version costs is its deltas. */
static void test_versions_cost_their_changes(void **state)
{
    ingest_rig *r = *state;
    eg_ingest_stats stats;
    uint8_t *bytes = malloc(SIZE);
    char path[20];
    make_version(bytes, 0);
    tree_write(r, "v0", bytes, SIZE);
    ingest_ok(r, &stats);
    uint64_t first = totals_of(r).bytes_payload;
    assert_true(first >= SIZE);
    for (unsigned v = 1; v < VERSIONS; v++) {
        snprintf(path, sizeof path, "v%u", v);
        make_version(bytes, v);
        tree_write(r, path, bytes, SIZE);
        ingest_ok(r, &stats);
    }
    eg_store_totals totals = totals_of(r);
    assert_true(totals.by_kind[EG_CORRECTION_DELTA] > totals.by_kind[EG_CORRECTION_VERBATIM]);
    assert_true(totals.bytes_payload < first + first / 4);
    assert_int_equal(check_depths(r), EG_RECALL_DEPTH);
    for (unsigned v = 0; v < VERSIONS; v++) {
        snprintf(path, sizeof path, "v%u", v);
        make_version(bytes, v);
        rig_expect(&r->engram, path, bytes, SIZE);
    }
    rig_reopen(&r->engram);
    assert_round_trip(r);
    free(bytes);
}

/* All at once: bases in the same batch, and in those before. */
static void test_in_one_run(void **state)
{
    ingest_rig *r = *state;
    eg_ingest_stats stats;
    uint8_t *bytes = malloc(SIZE);
    char path[20];
    for (unsigned v = 0; v < VERSIONS; v++) {
        snprintf(path, sizeof path, "v%u", v);
        make_version(bytes, v);
        tree_write(r, path, bytes, SIZE);
    }
    ingest_ok(r, &stats);
    eg_store_totals totals = totals_of(r);
    assert_true(totals.bytes_payload < SIZE + SIZE / 2);
    check_depths(r);
    assert_round_trip(r);
    rig_crash(&r->engram);
    assert_round_trip(r);
    free(bytes);
}

/* What is stored does not depend on how many threads there are. */
static void test_threads_decide_nothing(void **state)
{
    ingest_rig *r = *state;
    eg_ingest_stats stats;
    uint8_t *bytes = malloc(SIZE);
    char path[20], command[1500];
    eg_store_totals totals[2];
    for (unsigned v = 0; v < VERSIONS; v++) {
        snprintf(path, sizeof path, "v%u", v);
        make_version(bytes, v);
        tree_write(r, path, bytes, SIZE);
    }
    for (unsigned round = 0; round < 2; round++) {
        assert_ok(eg_engram_close(&r->engram.engram, E));
        snprintf(command, sizeof command, "rm -rf '%s'", r->engram.dir);
        assert_int_equal(system(command), 0);
        assert_ok(eg_engram_create(r->engram.io, r->engram.dir, &eg_engram_config_default, E));
        assert_ok(rig_open(&r->engram, false, E));
        eg_pool_free(r->pool);
        assert_ok(eg_pool_create(round == 0 ? 1 : 7, &r->pool, E));
        eg_device_close(&r->device);
        assert_ok(eg_device_open("scalar", r->pool, &r->device, E));
        ingest_ok(r, &stats);
        totals[round] = totals_of(r);
    }
    assert_memory_equal(totals[0].by_kind, totals[1].by_kind, sizeof totals[0].by_kind);
    assert_memory_equal(totals[0].bytes_by_kind, totals[1].bytes_by_kind, sizeof totals[0].bytes_by_kind);
    free(bytes);
}

/* A delta that is hardly smaller than the chunk packed alone is not worth its place: here all bytes are easy to pack. */
static void test_what_packs_well_needs_no_base(void **state)
{
    ingest_rig *r = *state;
    eg_ingest_stats stats;
    uint8_t *bytes = malloc(SIZE);
    for (unsigned v = 0; v < 2; v++) {
        for (size_t i = 0; i < SIZE; i++)
            bytes[i] = (uint8_t)(i / 64 + v * (i % 20000 == 0));
        tree_write(r, v == 0 ? "a" : "b", bytes, SIZE);
        ingest_ok(r, &stats);
    }
    assert_round_trip(r);
    check_depths(r);
    free(bytes);
}

/* An allocation that fails anywhere ends the run, and the engram is whole. */
static void test_without_memory(void **state)
{
    ingest_rig *r = *state;
    eg_ingest_stats stats;
    engram_error error = {0};
    uint8_t *bytes = malloc(SIZE);
    engram_status status = ENGRAM_NO_MEMORY;
    unsigned failures = 0;
    make_version(bytes, 0);
    tree_write(r, "v0", bytes, SIZE);
    ingest_ok(r, &stats);
    make_version(bytes, 1);
    tree_write(r, "v1", bytes, SIZE);
    for (int n = 1; status != ENGRAM_OK; n += 7) {
        error = (engram_error){0};
        issues_clear(r);
        eg_alloc_fail_at(n, false);
        status = ingest_in(r, &stats, &error);
        eg_alloc_fail_at(0, false);
        if (status == ENGRAM_OK && r->issue_count == 0)
            break;
        failures++;
        status = ENGRAM_NO_MEMORY;
        engram_error closing = {0};
        eg_engram_close(&r->engram.engram, &closing); /* it may have failed for good */
        assert_ok(rig_open(&r->engram, false, E));
        rig_verify(&r->engram);
    }
    assert_true(failures > 3);
    assert_round_trip(r);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_versions_cost_their_changes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_in_one_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_threads_decide_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_packs_well_needs_no_base, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_without_memory, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
