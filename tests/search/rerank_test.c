/* What a query says after a look at the stored bytes: against a reference that has all of them. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "engram/rig.h"
#include "search/query.h"
#include "search/random.h"
#include "search/windows.h"

typedef struct fixture {
    rig rig;
    eg_device *device;
    eg_searcher *searcher;
} fixture;

static void set_up(fixture *f)
{
    rig_init(&f->rig);
    assert_ok(eg_device_open("auto", NULL, &f->device, E));
    assert_ok(eg_searcher_create(f->rig.engram, f->device, &f->searcher, E));
}

static void tear_down(fixture *f)
{
    eg_searcher_free(f->searcher);
    eg_device_close(&f->device);
    rig_fini(&f->rig);
}

static void query(fixture *f, eg_view bytes, const eg_query_options *options,
                  eg_query_result *result)
{
    eg_version version;
    assert_ok(eg_engram_pin(f->rig.engram, &version, E));
    assert_ok(eg_searcher_query(f->searcher, &version, bytes.data, bytes.size, options, result, E));
    eg_version_release(&version);
}

/* Distinct windows of a, and those of them in b: by looking at all pairs. */
static void count_windows(eg_view a, eg_view b, uint64_t *count, uint64_t *common)
{
    *count = *common = 0;
    for (size_t i = 0; i + 8 <= a.size; i++) {
        size_t first = 0, at = 0;
        while (memcmp(a.data + first, a.data + i, 8) != 0)
            first++;
        if (first != i)
            continue;
        while (at + 8 <= b.size && memcmp(b.data + at, a.data + i, 8) != 0)
            at++;
        (*count)++;
        *common += at + 8 <= b.size;
    }
}

static void expect_exact(const eg_query_hit *hit, eg_view query, eg_view file)
{
    uint64_t in_query, in_file, common, same;
    count_windows(query, file, &in_query, &common);
    count_windows(file, query, &in_file, &same);
    assert_int_equal(common, same);
    assert_true(hit->exact.present && hit->exact.whole);
    assert_int_equal(hit->exact.sample, 1);
    assert_int_equal(hit->exact.looked_at, file.size);
    assert_int_equal(hit->exact.file_size, file.size);
    assert_true(hit->exact.containment == (double)common / (double)in_query);
    assert_true(hit->exact.jaccard == (double)common / (double)(in_query + in_file - common));
}

static void expect_equal_ranges(const eg_query_hit *hit, eg_view query, eg_view file)
{
    for (size_t i = 0; i < hit->exact.ranges.count; i++) {
        const eg_range *r = &hit->exact.ranges.items[i];
        assert_true(r->query_offset + r->size <= query.size &&
                    r->file_offset + r->size <= file.size);
        assert_memory_equal(query.data + r->query_offset, file.data + r->file_offset, r->size);
    }
}

/* Ten files of which the query has ever less; the more it has, the later the file was stored. */
static void exact_values_and_order(void **state)
{
    enum { FILES = 10, SIZE = 9000 };
    static uint8_t asked[SIZE], files[FILES][SIZE];
    char path[32];
    fixture f;
    eg_query_result result;
    (void)state;
    set_up(&f);
    rig_fill(asked, SIZE, 1);
    for (int i = 0; i < FILES; i++) {
        size_t same = (size_t)(i + 1) * 800;
        rig_fill(files[i], SIZE, 100 + (uint64_t)i);
        memcpy(files[i] + 300, asked + 200, same);
        snprintf(path, sizeof path, "f%d", i);
        assert_ok(rig_put(&f.rig, path, files[i], SIZE, E));
    }
    query(&f, (eg_view){asked, SIZE}, &(eg_query_options){.min = -1}, &result);
    assert_true(result.hit_count >= 7); /* the last ones may be under the noise floor */
    assert_int_equal(result.files_looked_at, result.hit_count);
    for (size_t i = 0; i < result.hit_count; i++) {
        const eg_query_hit *hit = &result.hits[i];
        int number = hit->path[1] - '0';
        eg_view file = {files[number], SIZE};
        assert_int_equal(number, FILES - 1 - (int)i);
        expect_exact(hit, (eg_view){asked, SIZE}, file);
        assert_int_equal(hit->exact.ranges.count, 1);
        assert_true(hit->exact.ranges.complete);
        assert_true(hit->exact.ranges.items[0].size >= (size_t)(number + 1) * 800);
        assert_true(hit->exact.ranges.covered == hit->exact.ranges.items[0].size);
        expect_equal_ranges(hit, (eg_view){asked, SIZE}, file);
    }
    eg_query_result_fini(&result);

    query(&f, (eg_view){asked, SIZE}, &(eg_query_options){.min = -1, .estimate_only = true},
          &result);
    assert_true(result.hit_count >= 7);
    assert_int_equal(result.files_looked_at, 0);
    for (size_t i = 0; i < result.hit_count; i++)
        assert_false(result.hits[i].exact.present);
    eg_query_result_fini(&result);
    tear_down(&f);
}

/* Of files that hold all of the query that one is first which holds least beside it; whatever
 * estimates say. */
static void pieces_and_containers(void **state)
{
    enum { SIZE = 60000, PIECE = 3000 };
    static uint8_t large[SIZE], piece[PIECE];
    fixture f;
    eg_query_result result;
    (void)state;
    set_up(&f);
    rig_fill(large, SIZE, 5);
    memcpy(piece, large + 30001, PIECE);
    assert_ok(rig_put(&f.rig, "large", large, SIZE, E));
    assert_ok(rig_put(&f.rig, "middle", large + 29000, 8000, E));
    assert_ok(rig_put(&f.rig, "half", large + 31500, 2000, E));
    query(&f, (eg_view){piece, PIECE}, &(eg_query_options){.min = -1}, &result);
    assert_int_equal(result.hit_count, 3);
    assert_string_equal(result.hits[0].path, "middle");
    assert_string_equal(result.hits[1].path, "large");
    assert_string_equal(result.hits[2].path, "half");
    assert_true(result.hits[1].exact.containment == 1);
    assert_int_equal(result.hits[1].exact.ranges.count, 1);
    assert_int_equal(result.hits[1].exact.ranges.items[0].query_offset, 0);
    assert_int_equal(result.hits[1].exact.ranges.items[0].file_offset, 30001);
    assert_int_equal(result.hits[1].exact.ranges.items[0].size, PIECE);
    eg_query_result_fini(&result);
    tear_down(&f);
}

/* All windows of the query are in both, but only one has it in one piece, and that one is larger.
 */
static void one_piece_before_many(void **state)
{
    enum { SIZE = 4000, HALF = SIZE / 2, ADDED = 3000 };
    static uint8_t asked[SIZE], whole[SIZE + ADDED], parts[SIZE + 7];
    fixture f;
    eg_query_result result;
    (void)state;
    set_up(&f);
    rig_fill(whole, SIZE + ADDED, 3);
    memcpy(asked, whole, SIZE);
    memcpy(parts, asked + HALF, SIZE - HALF);
    memcpy(parts + SIZE - HALF, asked, HALF + 7);
    assert_ok(rig_put(&f.rig, "parts", parts, SIZE + 7, E));
    assert_ok(rig_put(&f.rig, "whole", whole, SIZE + ADDED, E));
    query(&f, (eg_view){asked, SIZE}, &(eg_query_options){.min = -1}, &result);
    assert_int_equal(result.hit_count, 2);
    assert_true(result.hits[0].exact.containment == 1 && result.hits[1].exact.containment == 1);
    assert_true(result.hits[0].exact.jaccard < result.hits[1].exact.jaccard);
    assert_string_equal(result.hits[0].path, "whole");
    eg_query_result_fini(&result);
    tear_down(&f);
}

static void same_hit(const eg_query_hit *a, const eg_query_hit *b)
{
    assert_string_equal(a->path, b->path);
    assert_true(a->score == b->score && a->exact.containment == b->exact.containment);
    assert_int_equal(a->exact.present, b->exact.present);
    assert_int_equal(a->exact.ranges.count, b->exact.ranges.count);
}

/* However it is asked for, a hit has one place. */
static void pages(void **state)
{
    enum { FILES = 70, SIZE = 5000 };
    static uint8_t asked[SIZE], file[SIZE];
    static const uint32_t steps[] = {1, 3, 10, 20, 33, 1000};
    char path[32];
    fixture f;
    eg_query_result all, page;
    (void)state;
    set_up(&f);
    rig_fill(asked, SIZE, 1);
    for (int i = 0; i < FILES; i++) {
        rig_fill(file, SIZE, 500 + (uint64_t)i);
        memcpy(file, asked, (size_t)(2000 + i * 37 % FILES * 40));
        snprintf(path, sizeof path, "f%d", i);
        assert_ok(rig_put(&f.rig, path, file, SIZE, E));
    }
    query(&f, (eg_view){asked, SIZE}, &(eg_query_options){.min = -1, .k = 1000}, &all);
    assert_int_equal(all.hit_count, FILES);
    assert_int_equal(all.files_looked_at, FILES);
    for (size_t s = 0; s < sizeof steps / sizeof *steps; s++) {
        uint32_t at = 0;
        for (; at < FILES; at += steps[s]) {
            eg_query_options options = {.min = -1, .k = steps[s], .skip = at};
            query(&f, (eg_view){asked, SIZE}, &options, &page);
            assert_int_equal(page.hits_before, at);
            assert_int_equal(page.hits_before + page.hit_count + page.hits_behind, FILES);
            assert_int_equal(page.hit_count, FILES - at < steps[s] ? FILES - at : steps[s]);
            for (size_t i = 0; i < page.hit_count; i++)
                same_hit(&page.hits[i], &all.hits[at + i]);
            eg_query_result_fini(&page);
        }
        query(&f, (eg_view){asked, SIZE}, &(eg_query_options){.min = -1, .skip = at}, &page);
        assert_int_equal(page.hit_count, 0);
        assert_int_equal(page.hits_before, FILES);
        eg_query_result_fini(&page);
    }
    eg_query_result_fini(&all);
    tear_down(&f);
}

/* A file beyond the bounds: only a part is looked at, which is said, and is where the query is. One
 * in memory as a stream: everything is. */
static void large_files(void **state)
{
    enum { SIZE = 12 << 20, PIECE = 20000, PLACE = 7654321, LONG = 3 << 20 };
    uint8_t *large = malloc(SIZE);
    fixture f;
    eg_query_result result;
    (void)state;
    assert_non_null(large);
    set_up(&f);
    rig_fill(large, SIZE, 9);
    assert_ok(rig_put(&f.rig, "large", large, SIZE, E));
    query(&f, (eg_view){large + PLACE, PIECE}, &(eg_query_options){.min = -1}, &result);
    assert_true(result.hit_count >= 1);
    const eg_query_exact *e = &result.hits[0].exact;
    assert_true(e->present && !e->whole && e->jaccard < 0);
    assert_true(e->looked_at < 2 << 20);
    assert_int_equal(e->file_size, SIZE);
    assert_true(e->containment == 1);
    assert_false(e->ranges.complete);
    assert_int_equal(e->ranges.items[0].file_offset, PLACE);
    assert_int_equal(e->ranges.items[0].size, PIECE);
    eg_query_result_fini(&result);

    query(&f, (eg_view){large + PLACE, LONG}, &(eg_query_options){.min = -1}, &result);
    assert_true(result.hit_count >= 1);
    e = &result.hits[0].exact;
    assert_int_equal(e->looked_at, SIZE);
    assert_true(e->containment == 1);
    assert_true(e->sample > 1 && !e->whole);
    assert_true(e->jaccard > 0.248 && e->jaccard < 0.252);
    assert_true(e->ranges.covered > 1 << 20 && !e->ranges.complete);
    expect_equal_ranges(&result.hits[0], (eg_view){large + PLACE, LONG}, (eg_view){large, SIZE});
    eg_query_result_fini(&result);
    free(large);
    tear_down(&f);
}

/* Bytes that are the same everywhere, or hardly there. */
static void odd_bytes(void **state)
{
    enum { SIZE = 300000 };
    static uint8_t bytes[SIZE];
    static const size_t sizes[] = {0, 1, 7, 8, 31, 32, 5000, SIZE};
    fixture f;
    eg_query_result result;
    (void)state;
    set_up(&f);
    assert_ok(rig_put(&f.rig, "zeros", bytes, SIZE, E));
    assert_ok(rig_put(&f.rig, "one", bytes, 1, E));
    assert_ok(rig_put(&f.rig, "empty", bytes, 0, E));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        query(&f, (eg_view){bytes, sizes[i]}, &(eg_query_options){.min = -1}, &result);
        for (size_t h = 0; h < result.hit_count; h++) {
            const eg_query_exact *e = &result.hits[h].exact;
            assert_true(e->present && e->containment >= 0 && e->containment <= 1 &&
                        e->jaccard <= 1);
            if (sizes[i] >= 8 && strcmp(result.hits[h].path, "zeros") == 0)
                assert_true(e->containment == 1 && e->jaccard == 1);
        }
        assert_true(sizes[i] < 8 || result.hit_count >= 1);
        eg_query_result_fini(&result);
    }
    memset(bytes, 1, 100);
    query(&f, (eg_view){bytes, 1}, &(eg_query_options){.min = -1}, &result);
    for (size_t h = 0; h < result.hit_count; h++)
        assert_true(result.hits[h].exact.containment == 0);
    eg_query_result_fini(&result);
    tear_down(&f);
}

/* Changes one byte of the stored copy of these bytes, in whichever segment file it is. */
static void damage(const rig *r, const uint8_t *bytes, size_t size)
{
    static uint8_t segment[4 << 20];
    for (int i = 1; i < 100; i++) {
        char path[700];
        snprintf(path, sizeof path, "%s/segments/%08d.seg", r->dir, i);
        int fd = open(path, O_RDWR);
        if (fd < 0)
            continue;
        ssize_t got = pread(fd, segment, sizeof segment, 0);
        uint8_t *at = got > 0 ? memmem(segment, (size_t)got, bytes, size) : NULL;
        if (at != NULL) {
            uint8_t changed = (uint8_t)(*at + 1);
            assert_int_equal(pwrite(fd, &changed, 1, at - segment), 1);
            assert_int_equal(close(fd), 0);
            return;
        }
        assert_int_equal(close(fd), 0);
    }
    fail_msg("the bytes are in no segment");
}

/* A file with damaged bytes is a hit by its estimate; the others are looked at as ever. */
static void damaged_bytes(void **state)
{
    enum { SIZE = 9000 };
    static uint8_t bytes[SIZE];
    fixture f;
    eg_query_result result;
    (void)state;
    set_up(&f);
    rig_fill(bytes, SIZE, 77);
    assert_ok(rig_put(&f.rig, "whole", bytes, SIZE, E));
    bytes[4000]++;
    assert_ok(rig_put(&f.rig, "damaged", bytes, SIZE, E));
    eg_searcher_free(f.searcher);
    rig_reopen(&f.rig);
    damage(&f.rig, bytes + 3900, 200);
    assert_ok(eg_searcher_create(f.rig.engram, f.device, &f.searcher, E));
    query(&f, (eg_view){bytes, SIZE}, &(eg_query_options){.min = 0.5}, &result);
    assert_int_equal(result.hit_count, 2);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(result.hits[i].exact.present, strcmp(result.hits[i].path, "whole") == 0);
    eg_query_result_fini(&result);
    tear_down(&f);
}

/* Every allocation of a query fails once: an error with a sentence, and nothing is lost; the next
 * one succeeds. */
static void out_of_memory(void **state)
{
    enum { FILES = 3, SIZE = 20000, STEP = TEST_STRIDE == 1 ? 1 : 23 };
    static uint8_t bytes[SIZE];
    fixture f;
    bool done = false;
    (void)state;
    set_up(&f);
    for (int i = 0; i < FILES; i++) {
        char path[16];
        snprintf(path, sizeof path, "f%d", i);
        rig_fill(bytes, SIZE, 40);
        rig_fill(bytes + 10000, 3000, 50 + (uint64_t)i);
        assert_ok(rig_put(&f.rig, path, bytes, SIZE, E));
    }
    for (long n = 1; !done; n += STEP) {
        eg_version version;
        eg_query_result result;
        engram_error error = {0};
        assert_ok(eg_engram_pin(f.rig.engram, &version, E));
        eg_alloc_fail_at(n, false);
        engram_status status = eg_searcher_query(f.searcher, &version, bytes, SIZE,
                                                 &(eg_query_options){.min = -1}, &result, &error);
        done = eg_alloc_count() < n;
        eg_alloc_fail_at(0, false);
        if (status == ENGRAM_OK)
            assert_int_equal(result.hit_count, FILES);
        else
            assert_true(status == ENGRAM_NO_MEMORY && error.message[0] != 0 && result.hits == NULL);
        eg_query_result_fini(&result);
        eg_version_release(&version);
        assert_true(n < 5000);
    }
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_values_and_order),
        cmocka_unit_test(pieces_and_containers),
        cmocka_unit_test(one_piece_before_many),
        cmocka_unit_test(pages),
        cmocka_unit_test(large_files),
        cmocka_unit_test(odd_bytes),
        cmocka_unit_test(damaged_bytes),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
