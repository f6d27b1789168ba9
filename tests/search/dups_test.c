/* Groups of files that are nearly the same, against groups found by comparing all files in the
 * plainest way. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "engram/rig.h"
#include "search/dups.h"
#include "search/internal.h"

enum { CHUNK = 4096, SIZE_MAX_ = 12 * CHUNK, FILES_MAX = 128 };

typedef struct stored {
    char path[64];
    uint8_t bytes[SIZE_MAX_];
    size_t size;
} stored;

typedef struct fixture {
    rig rig;
    eg_device *device;
    eg_searcher *searcher;
} fixture;

static stored files[FILES_MAX];
static size_t file_count;

static void set_up(fixture *f)
{
    rig_init(&f->rig);
    file_count = 0;
    assert_ok(eg_device_open("auto", NULL, &f->device, E));
    assert_ok(rig_mkdir(&f->rig, "a", E));
    assert_ok(rig_mkdir(&f->rig, "b", E));
    assert_ok(eg_searcher_create(f->rig.engram, f->device, &f->searcher, E));
}

static void tear_down(fixture *f)
{
    eg_searcher_free(f->searcher);
    eg_device_close(&f->device);
    rig_fini(&f->rig);
}

/* As the library does it: an equal chunk is stored once. */
static void write_file(fixture *f, const char *path, const void *bytes, size_t size)
{
    engram_transaction *transaction = NULL;
    assert_ok(engram_begin(f->rig.engram, NULL, &transaction, E));
    assert_ok(engram_write(transaction, path, bytes, size, NULL, E));
    assert_ok(engram_commit(&transaction, NULL, E));
}

static stored *put(fixture *f, const char *path, const void *bytes, size_t size)
{
    assert_true(file_count < FILES_MAX && size <= SIZE_MAX_);
    stored *s = &files[file_count++];
    *s = (stored){.size = size};
    snprintf(s->path, sizeof s->path, "%s", path);
    memcpy(s->bytes, bytes, size);
    write_file(f, path, bytes, size);
    return s;
}

/* ---- what is told ---- */

enum { GROUPS_MAX = 64 };
typedef struct told {
    eg_dups_stats stats;
    size_t count;
    size_t counts[GROUPS_MAX], firsts[GROUPS_MAX];
    uint64_t sizes[GROUPS_MAX];
    char paths[FILES_MAX][64];
    double scores[FILES_MAX];
    size_t member_count;
    unsigned begun;
} told;

static engram_status on_begin(void *context, const eg_dups_stats *stats, engram_error *error)
{
    told *t = context;
    (void)error;
    t->stats = *stats;
    t->begun++;
    return ENGRAM_OK;
}

static engram_status on_group(void *context, const eg_dups_group *group, engram_error *error)
{
    told *t = context;
    (void)error;
    assert_true(t->begun == 1 && t->count < GROUPS_MAX);
    t->counts[t->count] = group->count;
    t->sizes[t->count] = group->size;
    t->firsts[t->count++] = t->member_count;
    for (size_t i = 0; i < group->count; i++) {
        const eg_dups_member *m = &group->members[i];
        snprintf(t->paths[t->member_count], sizeof t->paths[0], "%.*s", (int)m->path.size,
                 (const char *)m->path.data);
        t->scores[t->member_count++] = m->score;
    }
    return ENGRAM_OK;
}

static engram_status find(fixture *f, const eg_dups_options *options, told *t, engram_error *error)
{
    eg_version version;
    *t = (told){0};
    assert_ok(eg_engram_pin(f->rig.engram, &version, E));
    engram_status status = eg_searcher_dups(f->searcher, &version, options,
                                            &(eg_dups_visitor){t, on_begin, on_group}, error);
    eg_version_release(&version);
    return status;
}

/* ---- the plain way ---- */

typedef struct coded {
    uint8_t vectors[SIZE_MAX_ / CHUNK][ENGRAM_BLOCKS];
    double windows[SIZE_MAX_ / CHUNK];
    size_t sizes[SIZE_MAX_ / CHUNK], count;
} coded;
static coded codes[FILES_MAX];

static void code(fixture *f, size_t at)
{
    coded *c = &codes[at];
    c->count = 0;
    for (size_t offset = 0; offset < files[at].size; offset += CHUNK) {
        uint32_t spread;
        size_t left = files[at].size - offset, take = left < CHUNK ? left : CHUNK;
        engram_encode(eg_engram_get_codebook(f->rig.engram), files[at].bytes + offset, take,
                      c->vectors[c->count], &spread);
        c->windows[c->count] = engram_distinct_windows(spread);
        c->sizes[c->count++] = take;
    }
}

static double score_way(const coded *a, const coded *b, unsigned floor)
{
    double sum = 0, total = 0;
    for (size_t i = 0; i < a->count; i++) {
        unsigned best = 0;
        size_t which = 0;
        for (size_t j = 0; j < b->count; j++) {
            unsigned matches = engram_matches(a->vectors[i], b->vectors[j]);
            if (matches > best)
                best = matches, which = j;
        }
        total += (double)a->sizes[i];
        if (best < floor)
            continue;
        double j = engram_jaccard_from_matches(best).value;
        double within = engram_containment(j, a->windows[i], b->windows[which]);
        sum += (double)a->sizes[i] * (j > within ? j : within);
    }
    return sum / total;
}

static double plain_score(size_t a, size_t b, unsigned floor)
{
    double there = score_way(&codes[a], &codes[b], floor);
    double back = score_way(&codes[b], &codes[a], floor);
    return there < back ? there : back;
}

static size_t index_of(const char *path)
{
    for (size_t i = 0; i < file_count; i++)
        if (strcmp(files[i].path, path) == 0)
            return i;
    fail_msg("%s was told and is not stored", path);
    return 0;
}

/* Each file's group is named by its lowest member. */
static void plain_groups(double min, unsigned floor, size_t groups[FILES_MAX])
{
    for (size_t i = 0; i < file_count; i++)
        groups[i] = i;
    for (size_t a = 0; a < file_count; a++)
        for (size_t b = 0; b < a; b++) {
            if (files[a].size == 0 || files[b].size == 0 || plain_score(a, b, floor) < min)
                continue;
            size_t low = groups[a] < groups[b] ? groups[a] : groups[b];
            size_t high = groups[a] < groups[b] ? groups[b] : groups[a];
            for (size_t i = 0; i < file_count; i++)
                if (groups[i] == high)
                    groups[i] = low;
        }
}

static void check_order(const told *t)
{
    for (size_t g = 0; g < t->count; g++) {
        assert_true(t->counts[g] >= 2);
        assert_true(g == 0 || t->counts[g] < t->counts[g - 1] ||
                    (t->counts[g] == t->counts[g - 1] && t->sizes[g] <= t->sizes[g - 1]));
        for (size_t i = 1; i < t->counts[g]; i++)
            assert_true(strcmp(t->paths[t->firsts[g] + i - 1], t->paths[t->firsts[g] + i]) < 0);
    }
}

/* The same groups, and the scores with the first of each. */
static void check(fixture *f, double min)
{
    told t;
    size_t groups[FILES_MAX], grouped = 0;
    uint64_t chunks = 0;
    assert_ok(find(f, &(eg_dups_options){.min = min}, &t, E));
    check_order(&t);
    unsigned floor = eg_noise_floor(t.stats.chunks);
    for (size_t i = 0; i < file_count; i++) {
        code(f, i);
        chunks += codes[i].count;
    }
    assert_true(t.stats.chunks <= chunks); /* equal ones are stored once */
    plain_groups(min, floor, groups);
    for (size_t i = 0; i < file_count; i++) {
        size_t members = 0;
        for (size_t j = 0; j < file_count; j++)
            members += groups[j] == groups[i];
        grouped += members > 1;
    }
    print_message("min %.1f: %zu files of %zu in %zu groups\n", min, grouped, file_count, t.count);
    assert_int_equal(t.member_count, grouped);
    assert_int_equal(t.stats.files_grouped, grouped);
    assert_int_equal(t.stats.groups, t.count);
    for (size_t g = 0; g < t.count; g++) {
        size_t first = index_of(t.paths[t.firsts[g]]);
        for (size_t i = 0; i < t.counts[g]; i++) {
            size_t member = index_of(t.paths[t.firsts[g] + i]);
            assert_int_equal(groups[member], groups[first]);
            double score = i == 0 ? 1 : plain_score(first, member, floor);
            assert_true(t.scores[t.firsts[g] + i] > score - 1e-9 &&
                        t.scores[t.firsts[g] + i] < score + 1e-9);
        }
    }
}

/* ---- tests ---- */

static uint64_t random_state;

static uint64_t next_random(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return random_state >> 33;
}

/* Families of files: each member changes a random share of some chunks of its family's content;
 * some are equal, some are cut short, some hold another as a part. */
static void put_families(fixture *f, size_t families, size_t members)
{
    static uint8_t bytes[SIZE_MAX_], member[SIZE_MAX_];
    for (size_t family = 0; family < families; family++) {
        size_t size = 500 + next_random() % (SIZE_MAX_ - 500);
        rig_fill(bytes, size, next_random());
        for (size_t i = 0; i < members; i++) {
            char path[64];
            memcpy(member, bytes, size);
            size_t changes = next_random() % 6 == 0 ? 0 : next_random() % (size / 256 + 1);
            for (size_t c = 0; c < changes; c++) {
                size_t at = next_random() % size, room = size - at;
                rig_fill(member + at, room < 100 ? room : 100, next_random());
            }
            size_t kept = next_random() % 4 == 0 ? 1 + next_random() % size : size;
            snprintf(path, sizeof path, "%s/%zu-%zu", i % 2 ? "a" : "b", family, i);
            put(f, path, member, kept);
        }
    }
}

static void as_by_hand(void **state)
{
    (void)state;
    static const double minima[] = {0.3, 0.5, 0.8, 1.0};
    for (uint64_t seed = 11; seed < 14; seed++) {
        fixture f;
        random_state = seed;
        set_up(&f);
        put_families(&f, 9, 7);
        put(&f, "empty1", "", 0);
        put(&f, "empty2", "", 0);
        for (size_t i = 0; i < sizeof minima / sizeof *minima; i++)
            check(&f, minima[i]);
        tear_down(&f);
    }
}

/* A part of a file is no duplicate of it; a part of a chunk neither. */
static void a_part_is_no_duplicate(void **state)
{
    (void)state;
    fixture f;
    told t;
    static uint8_t bytes[SIZE_MAX_];
    set_up(&f);
    rig_fill(bytes, sizeof bytes, 5);
    put(&f, "whole", bytes, SIZE_MAX_);
    put(&f, "a/part", bytes, 3 * CHUNK);
    put(&f, "a/little", bytes, 1000);
    put(&f, "b/most", bytes, 10 * CHUNK);
    assert_ok(find(&f, &(eg_dups_options){.min = 0.5}, &t, E));
    assert_int_equal(t.count, 1);
    assert_int_equal(t.counts[0], 2);
    assert_string_equal(t.paths[0], "b/most");
    assert_string_equal(t.paths[1], "whole");
    assert_true(t.scores[1] > 0.8 && t.scores[1] < 0.87); /* ten twelfths */
    assert_int_equal(t.sizes[0], 22 * CHUNK);
    check(&f, 0.5);
    tear_down(&f);
}

/* Many equal files: one group, without a comparison; two names of a file are one. */
static void copies(void **state)
{
    (void)state;
    fixture f;
    told t;
    static uint8_t bytes[SIZE_MAX_];
    set_up(&f);
    rig_fill(bytes, sizeof bytes, 6);
    for (int i = 0; i < 60; i++) {
        char path[64];
        snprintf(path, sizeof path, "a/copy%02d", i);
        put(&f, path, bytes, 5 * CHUNK + 7);
    }
    put(&f, "b/other", bytes + 6 * CHUNK, 2000);
    assert_ok(find(&f, &(eg_dups_options){.min = 1}, &t, E));
    assert_true(t.count == 1 && t.counts[0] == 60 && t.stats.pairs_scored == 0);
    assert_int_equal(t.stats.chunks, 7);
    for (size_t i = 0; i < 60; i++)
        assert_true(t.scores[i] == 1);
    uint64_t number, directory;
    eg_version version;
    assert_ok(eg_engram_pin(f.rig.engram, &version, E));
    assert_ok(eg_fs_lookup(version.root, (eg_view){(const uint8_t *)"b/other", 7}, &number, E));
    assert_ok(eg_fs_lookup(version.root, (eg_view){(const uint8_t *)"b", 1}, &directory, E));
    eg_version_release(&version);
    eg_buffer ops = {0};
    eg_ops_link(&ops, directory, number, EG_KIND_FILE, (eg_view){(const uint8_t *)"link", 4});
    assert_ok(eg_engram_commit(f.rig.engram, &ops, NULL, E));
    eg_buffer_fini(&ops);
    assert_ok(find(&f, &(eg_dups_options){.min = 1}, &t, E));
    assert_true(t.count == 1 && t.stats.files == 61);
    tear_down(&f);
}

/* Each is like the next, and the last is not like the first: one group, whose scores tell. */
static void a_chain(void **state)
{
    (void)state;
    enum { LINKS = 12 };
    fixture f;
    told t;
    static uint8_t bytes[LINKS + 1][CHUNK], file[LINKS * CHUNK];
    set_up(&f);
    for (int i = 0; i <= LINKS; i++)
        rig_fill(bytes[i], CHUNK, 100 + (uint64_t)i);
    for (int i = 0; i < 8; i++) { /* two of three chunks are the next one's too */
        char path[64];
        for (int c = 0; c < 3; c++)
            memcpy(file + c * CHUNK, bytes[i + c], CHUNK);
        snprintf(path, sizeof path, "a/%d", i);
        put(&f, path, file, 3 * CHUNK);
    }
    assert_ok(find(&f, &(eg_dups_options){.min = 0.6}, &t, E));
    assert_true(t.count == 1 && t.counts[0] == 8);
    assert_true(t.scores[1] > 0.66 && t.scores[7] < 0.05);
    check(&f, 0.6);
    assert_ok(find(&f, &(eg_dups_options){.min = 0.7}, &t, E));
    assert_int_equal(t.count, 0);
    assert_int_equal(t.begun, 1);
    tear_down(&f);
}

/* Only files below the prefix; what was removed, or came later, is seen as of the version. */
static void filters(void **state)
{
    (void)state;
    fixture f;
    told t;
    static uint8_t bytes[SIZE_MAX_];
    set_up(&f);
    assert_ok(find(&f, &(eg_dups_options){.min = 0.5}, &t, E)); /* nothing is stored */
    assert_true(t.count == 0 && t.stats.files == 0);
    rig_fill(bytes, sizeof bytes, 7);
    put(&f, "a/1", bytes, 20000);
    put(&f, "b/1", bytes, 20000);
    bytes[5] ^= 1;
    put(&f, "b/2", bytes, 20000);
    assert_ok(find(&f, &(eg_dups_options){.min = 0.5}, &t, E));
    assert_int_equal(t.counts[0], 3);
    assert_ok(find(&f, &(eg_dups_options){.min = 0.5, .prefix = "b"}, &t, E));
    assert_true(t.count == 1 && t.counts[0] == 2 && t.stats.files == 2);
    assert_string_equal(t.paths[0], "b/1");
    assert_ok(find(&f, &(eg_dups_options){.min = 0.5, .prefix = "a"}, &t, E));
    assert_int_equal(t.count, 0);
    assert_int_equal(find(&f, &(eg_dups_options){.min = 0.5, .prefix = "c"}, &t, NULL),
                     ENGRAM_NOT_FOUND);
    assert_ok(rig_remove(&f.rig, "b/2", E));
    assert_ok(find(&f, &(eg_dups_options){.min = 0.5, .prefix = "b"}, &t, E));
    assert_int_equal(t.count, 0);
    tear_down(&f);
}

/* More rows than a batch, and files of more chunks than are asked with. */
static void large_files(void **state)
{
    (void)state;
    enum { SIZE = 1500 * CHUNK };
    fixture f;
    told t;
    uint8_t *bytes = eg_alloc(SIZE);
    assert_non_null(bytes);
    set_up(&f);
    rig_fill(bytes, SIZE, 8);
    write_file(&f, "a/1", bytes, SIZE);
    for (size_t c = 0; c < 1500; c += 3) /* every third is another */
        rig_fill(bytes + c * CHUNK, CHUNK, 3000 + c);
    write_file(&f, "a/2", bytes, SIZE);
    rig_fill(bytes, SIZE / 2 + 100 * CHUNK, 99);
    write_file(&f, "a/3", bytes, SIZE);
    assert_ok(find(&f, &(eg_dups_options){.min = 0.5}, &t, E));
    assert_true(t.count == 1 && t.counts[0] == 2 && t.stats.chunks == 1500 + 500 + 850);
    assert_true(t.scores[1] > 0.60 && t.scores[1] < 0.73);
    tear_down(&f);
    eg_free(bytes);
}

typedef struct stop {
    unsigned calls, last;
    uint64_t done, total;
} stop;

static bool on_progress(void *context, uint64_t done, uint64_t total)
{
    stop *s = context;
    assert_true(done >= s->done && done <= total);
    s->done = done;
    s->total = total;
    return ++s->calls < s->last;
}

static void stops_when_asked(void **state)
{
    (void)state;
    fixture f;
    told t;
    static uint8_t bytes[SIZE_MAX_];
    set_up(&f);
    for (int i = 0; i < 50; i++) {
        char path[64];
        rig_fill(bytes, sizeof bytes, 400 + (uint64_t)i);
        snprintf(path, sizeof path, "a/%02d", i);
        put(&f, path, bytes, SIZE_MAX_);
    }
    stop s = {.last = 2};
    assert_int_equal(
        find(&f, &(eg_dups_options){.min = 0.5, .context = &s, .progress = on_progress}, &t, NULL),
        ENGRAM_CANCELLED);
    assert_true(s.calls == 2 && t.begun == 0 && s.done > 0 && s.done < s.total);
    s = (stop){.last = 100};
    assert_ok(
        find(&f, &(eg_dups_options){.min = 0.5, .context = &s, .progress = on_progress}, &t, E));
    assert_int_equal(t.count, 0);
    tear_down(&f);
}

static void out_of_memory(void **state)
{
    (void)state;
    fixture f;
    told t;
    random_state = 3;
    set_up(&f);
    put_families(&f, 2, 3);
    engram_status status = ENGRAM_NO_MEMORY;
    long at = 1;
    for (; status == ENGRAM_NO_MEMORY; at++) {
        eg_version version;
        t = (told){0};
        assert_ok(eg_engram_pin(f.rig.engram, &version, E));
        eg_alloc_fail_at(at, false);
        status = eg_searcher_dups(f.searcher, &version, &(eg_dups_options){.min = 0.5},
                                  &(eg_dups_visitor){&t, on_begin, on_group}, NULL);
        eg_alloc_fail_at(0, false);
        eg_version_release(&version);
    }
    assert_int_equal(status, ENGRAM_OK);
    assert_true(at > 20 && t.count >= 1);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_by_hand),       cmocka_unit_test(a_part_is_no_duplicate),
        cmocka_unit_test(copies),           cmocka_unit_test(a_chain),
        cmocka_unit_test(filters),          cmocka_unit_test(large_files),
        cmocka_unit_test(stops_when_asked), cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
