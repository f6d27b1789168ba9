/* Queries that look where bundles promise most: what they report is what they missed. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "engram/rig.h"
#include "search/query.h"

enum {
    CHUNK = 4096,
    FILE_CHUNKS = 120,
    FILE_SIZE = FILE_CHUNKS * CHUNK,
    FILES = 30,
    BUNDLE = 1024
};

typedef struct fixture {
    rig rig;
    eg_device *device;
    eg_searcher *searcher;
} fixture;

static uint8_t content[FILES][FILE_SIZE], changed[FILE_SIZE];

static void put(fixture *f, int i)
{
    char path[32];
    rig_fill(content[i], FILE_SIZE, 5000 + (uint64_t)i);
    snprintf(path, sizeof path, "%s/f%02d", i % 3 == 0 ? "a" : "b", i);
    assert_ok(rig_put(&f->rig, path, content[i], FILE_SIZE, E));
}

static fixture shared; /* filled once: that takes the time */

static int fill(void **state)
{
    (void)state;
    fixture *f = &shared;
    rig_init(&f->rig);
    assert_ok(eg_device_open("auto", NULL, &f->device, E));
    assert_ok(rig_mkdir(&f->rig, "a", E));
    assert_ok(rig_mkdir(&f->rig, "b", E));
    for (int i = 0; i < FILES; i++)
        put(f, i);
    assert_ok(rig_mkdir(&f->rig, "none", E));
    return 0;
}

static int empty(void **state)
{
    (void)state;
    eg_device_close(&shared.device);
    rig_fini(&shared.rig);
    return 0;
}

static void set_up(fixture *f)
{
    *f = shared;
    assert_ok(eg_searcher_create(f->rig.engram, f->device, &f->searcher, E));
}

static void tear_down(fixture *f)
{
    eg_searcher_free(f->searcher);
}

static engram_status ask(fixture *f, const eg_query_options *options, eg_query_result *result,
                         engram_error *error)
{
    eg_version version;
    assert_ok(eg_engram_pin(f->rig.engram, &version, E));
    engram_status status =
        eg_searcher_query(f->searcher, &version, changed, FILE_SIZE, options, result, error);
    eg_version_release(&version);
    return status;
}

/* Every chunk of a file with a tenth of its bytes changed, in a row: J of some 0.8. */
static void change(int i)
{
    memcpy(changed, content[i], FILE_SIZE);
    for (size_t c = 0; c < FILE_CHUNKS; c++)
        rig_fill(changed + c * CHUNK + 1000, 400, 900 + c);
}

static size_t bundles_of(uint64_t chunks)
{
    return (chunks + BUNDLE - 1) / BUNDLE;
}

static void finds_the_file(void **state)
{
    (void)state;
    fixture f;
    eg_query_result r;
    set_up(&f);
    for (int i = 0; i < FILES; i += 7) {
        change(i);
        assert_ok(
            ask(&f, &(eg_query_options){.min = 0.5, .via_root_share = 0.3, .via_root_check = true},
                &r, E));
        assert_int_equal(r.hit_count, 1);
        assert_int_equal(strtol(r.hits[0].path + 3, NULL, 10), i); /* a/f00 */
        assert_true(r.hits[0].score > 0.6);
        assert_int_equal(r.chunks_live, FILES * FILE_CHUNKS);
        assert_int_equal(r.via_root.bundles, bundles_of(FILES * FILE_CHUNKS));
        assert_int_equal(r.via_root.bundles_read, 2);
        assert_true(r.via_root.chunks_read > BUNDLE && r.via_root.chunks_read <= 2 * BUNDLE);
        assert_true(r.via_root.exact_hits >= FILE_CHUNKS && r.via_root.recall > 0.9);
        eg_query_result_fini(&r);
    }
    tear_down(&f);
}

/* A share of all is the exact answer. */
static void all_of_it(void **state)
{
    (void)state;
    fixture f;
    eg_query_result exact, via;
    set_up(&f);
    change(13);
    assert_ok(ask(&f, &(eg_query_options){.min = -1, .by_chunk = true, .k = 1000}, &exact, E));
    assert_ok(ask(
        &f,
        &(eg_query_options){
            .min = -1, .by_chunk = true, .k = 1000, .via_root_share = 1, .via_root_check = true},
        &via, E));
    assert_true(exact.hit_count == via.hit_count && exact.hit_count >= FILE_CHUNKS);
    for (size_t i = 0; i < exact.hit_count; i++)
        assert_int_equal(exact.hits[i].pair.chunk_id, via.hits[i].pair.chunk_id);
    assert_true(via.via_root.recall == 1 && via.via_root.chunks_read == via.chunks_live);
    assert_int_equal(exact.via_root.bundles, 0);
    eg_query_result_fini(&exact);
    eg_query_result_fini(&via);
    tear_down(&f);
}

static bool has_pair(const eg_query_result *r, const eg_query_pair *pair)
{
    for (size_t i = 0; i < r->hit_count; i++)
        if (r->hits[i].pair.chunk_id == pair->chunk_id &&
            r->hits[i].pair.query_offset == pair->query_offset)
            return true;
    return false;
}

/* The recall that is told is the share of the exact answer that the narrowed one holds. */
static void recall_is_true(void **state)
{
    (void)state;
    fixture f;
    set_up(&f);
    bool missed = false;
    for (int i = 0; i < 4; i++) { /* of four files in turn, so that bundles cannot hold it all */
        eg_query_result exact, via;
        for (size_t c = 0; c < FILE_CHUNKS; c++)
            memcpy(changed + c * CHUNK, content[(i + 7 * c) % FILES] + c * CHUNK, CHUNK - 100);
        const eg_query_options options = {.min = -1, .by_chunk = true, .k = 10};
        eg_query_options narrow = options;
        narrow.via_root_share = 0.25 + 0.2 * i;
        narrow.via_root_check = true;
        assert_ok(ask(&f, &options, &exact, E));
        assert_ok(ask(&f, &narrow, &via, E));
        narrow.k = 1000;
        eg_query_result all_via, all_exact;
        assert_ok(ask(&f, &narrow, &all_via, E));
        narrow.via_root_share = 0;
        assert_ok(ask(&f, &narrow, &all_exact, E));
        uint64_t found = 0, in_top = 0;
        for (size_t h = 0; h < all_exact.hit_count;
             h++) { /* all hits: no chunk has more than ten */
            in_top++;
            found += has_pair(&all_via, &all_exact.hits[h].pair);
        }
        assert_int_equal(in_top, via.via_root.exact_hits);
        assert_int_equal(found, via.via_root.found_hits);
        missed = missed || found < in_top;
        eg_query_result_fini(&exact);
        eg_query_result_fini(&via);
        eg_query_result_fini(&all_via);
        eg_query_result_fini(&all_exact);
    }
    assert_true(missed);
    tear_down(&f);
}

/* Rows that come between two queries are counted, also in a bundle that was not full. */
static void rows_that_come_later(void **state)
{
    (void)state;
    fixture f;
    eg_query_result r;
    set_up(&f);
    change(5);
    const eg_query_options options = {.min = 0.5, .via_root_share = 0.01, .via_root_check = true};
    assert_ok(ask(&f, &options, &r, E));
    assert_int_equal(r.hit_count, 1);
    eg_query_result_fini(&r);
    for (size_t c = 0; c < FILE_CHUNKS; c++)
        rig_fill(changed + c * CHUNK, CHUNK, 70000 + c);
    assert_ok(rig_put(&f.rig, "late", changed, FILE_SIZE, E));
    assert_ok(ask(&f, &options, &r, E));
    assert_int_equal(r.hit_count, 1);
    assert_string_equal(r.hits[0].path, "late");
    assert_true(r.via_root.recall > 0.95 && r.via_root.bundles_read == 1);
    assert_int_equal(r.via_root.bundles, bundles_of((FILES + 1) * FILE_CHUNKS));
    eg_query_result_fini(&r);
    tear_down(&f);
}

/* The share is of what may be a hit. */
static void with_a_prefix(void **state)
{
    (void)state;
    fixture f;
    eg_query_result r;
    set_up(&f);
    change(13);
    assert_ok(ask(&f,
                  &(eg_query_options){
                      .min = 0.5, .prefix = "a", .via_root_share = 0.2, .via_root_check = true},
                  &r, E));
    assert_int_equal(r.hit_count, 0); /* f13 is in b */
    assert_int_equal(r.chunks_live, FILES / 3 * FILE_CHUNKS);
    assert_true(r.via_root.chunks_read < r.chunks_live / 2 && r.via_root.share >= 0.2);
    eg_query_result_fini(&r);
    assert_ok(ask(&f,
                  &(eg_query_options){
                      .min = 0.5, .prefix = "none", .via_root_share = 0.2, .via_root_check = true},
                  &r, E));
    assert_true(r.hit_count == 0 && r.via_root.chunks_read == 0 && r.via_root.bundles == 0);
    eg_query_result_fini(&r);
    tear_down(&f);
}

static void out_of_memory(void **state)
{
    (void)state;
    fixture f;
    eg_query_result r;
    set_up(&f);
    change(2);
    engram_status status = ENGRAM_NO_MEMORY;
    for (long at = 1; status == ENGRAM_NO_MEMORY; at++) { /* what was counted so far stays right */
        eg_version version;
        assert_ok(eg_engram_pin(f.rig.engram, &version, E));
        eg_alloc_fail_at(at, false);
        status = eg_searcher_query(
            f.searcher, &version, changed, FILE_SIZE,
            &(eg_query_options){.min = 0.5, .via_root_share = 0.3, .via_root_check = true}, &r,
            NULL);
        eg_alloc_fail_at(0, false);
        eg_version_release(&version);
    }
    assert_int_equal(status, ENGRAM_OK);
    assert_int_equal(r.hit_count, 1);
    assert_int_equal(r.via_root.bundles, bundles_of(FILES * FILE_CHUNKS));
    eg_query_result_fini(&r);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_file), cmocka_unit_test(all_of_it),
        cmocka_unit_test(recall_is_true), cmocka_unit_test(with_a_prefix),
        cmocka_unit_test(out_of_memory),  cmocka_unit_test(rows_that_come_later),
    };
    return cmocka_run_group_tests(tests, fill, empty);
}
