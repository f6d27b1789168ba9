/* Queries over a small engram: what is like a file, a part of it, a chunk; filters and versions. */
#include <string.h>

#include "base/memory.h"
#include "engram/rig.h"
#include "search/query.h"

enum { FILE_SIZE = 20000, FILES = 30 };

typedef struct fixture {
    rig rig;
    eg_device *device;
    eg_searcher *searcher;
} fixture;

static uint8_t content[FILES][FILE_SIZE];

static void path_of(int i, char path[32])
{
    snprintf(path, 32, "%s/f%02d", i % 2 ? "odd" : "even", i);
}

static void set_up(fixture *f, const char *device)
{
    rig_init(&f->rig);
    assert_ok(eg_device_open(device, NULL, &f->device, E));
    assert_ok(rig_mkdir(&f->rig, "odd", E));
    assert_ok(rig_mkdir(&f->rig, "even", E));
    for (int i = 0; i < FILES; i++) {
        char path[32];
        rig_fill(content[i], FILE_SIZE, 1000 + (uint64_t)i);
        path_of(i, path);
        assert_ok(rig_put(&f->rig, path, content[i], FILE_SIZE, E));
    }
    assert_ok(eg_searcher_create(f->rig.engram, f->device, &f->searcher, E));
}

static void tear_down(fixture *f)
{
    eg_searcher_free(f->searcher);
    eg_device_close(&f->device);
    rig_fini(&f->rig);
}

static void query(fixture *f, const uint8_t *bytes, size_t size, const eg_query_options *options,
                  eg_query_result *result)
{
    eg_version version;
    assert_ok(eg_engram_pin(f->rig.engram, &version, E));
    assert_ok(eg_searcher_query(f->searcher, &version, bytes, size, options, result, E));
    eg_version_release(&version);
}

static void mutated_file(void **state)
{
    (void)state;
    fixture f;
    eg_query_result result;
    uint8_t changed[FILE_SIZE];
    set_up(&f, "auto");
    memcpy(changed, content[7], FILE_SIZE);
    for (size_t i = 100; i < FILE_SIZE; i += 1000)
        changed[i] ^= 0x55;
    query(&f, changed, FILE_SIZE, &(eg_query_options){.min = -1}, &result);
    assert_true(result.hit_count >= 1);
    assert_string_equal(result.hits[0].path, "odd/f07");
    assert_true(result.hits[0].score > 0.9);
    assert_true(result.hits[0].jaccard.low <= result.hits[0].jaccard.value &&
                result.hits[0].jaccard.value <= result.hits[0].jaccard.high);
    assert_int_equal(result.hits[0].pair.query_offset % 4096, 0);
    assert_int_equal(result.hits[0].pair.query_offset, result.hits[0].pair.file_offset);
    assert_false(result.unsure);
    assert_int_equal(result.chunks_live, FILES * 5);
    for (size_t i = 1; i < result.hit_count;
         i++) /* strangers are under the noise floor, or far behind */
        assert_true(result.hits[i].score < 0.3);
    eg_query_result_fini(&result);
    tear_down(&f);
}

static void part_of_a_file(void **state)
{
    (void)state;
    fixture f;
    eg_query_result result;
    set_up(&f, "auto");
    query(&f, content[12] + 4096 + 300, 3000, &(eg_query_options){.min = -1},
          &result); /* inside one chunk */
    assert_true(result.hit_count >= 1);
    assert_string_equal(result.hits[0].path, "even/f12");
    assert_int_equal(result.hits[0].pair.file_offset, 4096);
    assert_true(result.hits[0].containment > 0.8);
    eg_query_result_fini(&result);
    query(&f, content[12] + 5000, 1000, &(eg_query_options){.min = -1}, &result);
    assert_true(result.unsure);
    eg_query_result_fini(&result);
    query(&f, content[0], 0, &(eg_query_options){.min = -1}, &result);
    assert_int_equal(result.hit_count, 0);
    eg_query_result_fini(&result);
    tear_down(&f);
}

static void filters(void **state)
{
    (void)state;
    fixture f;
    eg_query_result result;
    set_up(&f, "auto");
    query(&f, content[7], FILE_SIZE, &(eg_query_options){.min = -1, .prefix = "even"}, &result);
    for (size_t i = 0; i < result.hit_count; i++)
        assert_memory_equal(result.hits[i].path, "even/", 5);
    assert_int_equal(result.chunks_live, FILES / 2 * 5);
    eg_query_result_fini(&result);

    query(&f, content[7], FILE_SIZE, &(eg_query_options){.min = -1, .prefix = "odd/f07"}, &result);
    assert_int_equal(result.hit_count, 1);
    uint64_t inode = result.hits[0].inode;
    assert_true(result.hits[0].score > 0.999);
    eg_query_result_fini(&result);

    query(&f, content[7], FILE_SIZE, &(eg_query_options){.min = 0.5, .exclude_inode = inode},
          &result);
    assert_int_equal(result.hit_count, 0);
    eg_query_result_fini(&result);
    tear_down(&f);
}

/* A chunk that two files share is found for both; one that is removed is found no more. */
static void holders_and_removal(void **state)
{
    (void)state;
    fixture f;
    eg_query_result result;
    set_up(&f, "auto");
    assert_ok(rig_put(&f.rig, "copy", content[3], FILE_SIZE, E));
    query(&f, content[3], FILE_SIZE, &(eg_query_options){.min = 0.5}, &result);
    assert_int_equal(result.hit_count, 2);
    assert_string_equal(result.hits[0].path, "copy"); /* equal scores: by path */
    assert_string_equal(result.hits[1].path, "odd/f03");
    eg_query_result_fini(&result);
    assert_ok(rig_remove(&f.rig, "copy", E));
    assert_ok(rig_remove(&f.rig, "odd/f03", E));
    query(&f, content[3], FILE_SIZE, &(eg_query_options){.min = 0.5}, &result);
    assert_int_equal(result.hit_count, 0);
    eg_query_result_fini(&result);
    tear_down(&f);
}

static void by_chunk(void **state)
{
    (void)state;
    fixture f;
    eg_query_result result;
    set_up(&f, "auto");
    query(&f, content[20], FILE_SIZE, &(eg_query_options){.min = 0.9, .by_chunk = true, .k = 3},
          &result);
    assert_int_equal(result.hit_count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(result.hits[i].path, "even/f20");
        assert_int_equal(result.hits[i].pair.query_offset, result.hits[i].pair.file_offset);
        assert_int_equal(result.hits[i].pair.matches, 256);
        assert_false(result.hits[i].exact.present);
    }
    uint64_t third = result.hits[2].pair.query_offset;
    eg_query_result_fini(&result);
    query(&f, content[20], FILE_SIZE,
          &(eg_query_options){.min = 0.9, .by_chunk = true, .k = 1, .skip = 2}, &result);
    assert_int_equal(result.hit_count, 1);
    assert_int_equal(result.hits_before, 2);
    assert_int_equal(result.hits[0].pair.query_offset, third);
    eg_query_result_fini(&result);
    tear_down(&f);
}

/* The same answer from every device there is. */
static void devices_agree(void **state)
{
    (void)state;
    eg_device_info infos[16];
    size_t count = eg_device_list(infos, 16);
    char first[2000] = "";
    assert_true(count >= 1);
    for (size_t d = 0; d < count && d < 16; d++) {
        fixture f;
        eg_query_result result;
        eg_device_stats stats;
        char text[2000] = "";
        set_up(&f, infos[d].spec);
        query(&f, content[5] + 500, 9000, &(eg_query_options){.min = -1, .k = 20}, &result);
        for (size_t i = 0; i < result.hit_count; i++)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s %.17g %u;",
                     result.hits[i].path, result.hits[i].score, result.hits[i].pair.matches);
        assert_true(result.hit_count > 0);
        eg_device_get_stats(f.device, &stats);
        assert_int_equal(stats.fallback_batches, 0);
        if (d == 0)
            memcpy(first, text, sizeof first);
        assert_string_equal(first, text);
        eg_query_result_fini(&result);
        tear_down(&f);
        print_message("%s agrees\n", infos[d].spec);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mutated_file), cmocka_unit_test(part_of_a_file),
        cmocka_unit_test(filters),      cmocka_unit_test(holders_and_removal),
        cmocka_unit_test(by_chunk),     cmocka_unit_test(devices_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
