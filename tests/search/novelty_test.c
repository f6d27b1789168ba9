/* What the root says of a probe, against what is known of the collection: made vectors whose true
 * Jaccard similarities are set, at 10, 1,000 and 100,000 members, and real bytes. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "engram/rig.h"
#include "search/novelty.h"

static uint64_t random_state = 1;

static uint64_t next_random(void)
{
    uint64_t z = random_state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static void fill_random(uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i += 8) {
        uint64_t x = next_random();
        memcpy(bytes + i, &x, 8);
    }
}

/* Shares each block with the probe with probability j, as the encoder's winners do. */
static void make_relative(const uint8_t *probe, double j, uint8_t *vector)
{
    fill_random(vector, ENGRAM_BLOCKS);
    for (unsigned k = 0; k < ENGRAM_BLOCKS; k++)
        if ((double)(next_random() >> 11) * 0x1p-53 < j)
            vector[k] = probe[k];
}

typedef struct world {
    engram_bundle *root;
    uint64_t strangers;
} world;

static void world_init(world *w, uint64_t strangers)
{
    uint8_t vector[ENGRAM_BLOCKS];
    w->root = eg_alloc_zero(1, sizeof *w->root);
    assert_non_null(w->root);
    for (uint64_t i = 0; i < strangers; i++) {
        fill_random(vector, sizeof vector);
        engram_bundle_add(w->root, vector, 1);
    }
}

static void ask(const world *w, const uint8_t *vectors, const uint32_t *sizes, size_t count,
                eg_novelty *n)
{
    assert_ok(eg_novelty_of_vectors(w->root, vectors, sizes, count, n, E));
    assert_true(n->members == w->root->count && n->chunks == count);
    assert_true(n->error >= 0 && n->low <= n->high && n->low >= 0 && n->stored_at_most <= 1);
}

/* How estimates fell in many trials: bias and spread in units of the stated error. */
typedef struct tally {
    double sum, squares;
    unsigned trials, covered, told;
} tally;

static void count_trial(tally *t, const eg_novelty *n, double truth)
{
    double z = (n->overlap - truth) / n->error;
    t->sum += z;
    t->squares += z * z;
    t->trials++;
    t->covered += fabs(z) <= 1.96;
    t->told += n->told;
}

enum { TRIALS = 400 };

/* Probes of `chunks` chunks; each has members of the given similarities beside the strangers. */
static tally run_trials(uint64_t members, size_t chunks, const double *js, size_t j_count)
{
    world w;
    tally t = {0};
    uint8_t *vectors = eg_alloc(chunks * ENGRAM_BLOCKS), relative[ENGRAM_BLOCKS];
    uint8_t *added = eg_alloc((chunks * j_count + 1) * ENGRAM_BLOCKS);
    double truth = 0;
    assert_non_null(vectors);
    assert_non_null(added);
    for (size_t i = 0; i < j_count; i++)
        truth += js[i];
    world_init(&w, members - chunks * j_count);
    for (unsigned trial = 0; trial < TRIALS; trial++) {
        eg_novelty n;
        fill_random(vectors, chunks * ENGRAM_BLOCKS);
        for (size_t c = 0; c < chunks; c++)
            for (size_t i = 0; i < j_count; i++) {
                make_relative(vectors + c * ENGRAM_BLOCKS, js[i], relative);
                memcpy(added + (c * j_count + i) * ENGRAM_BLOCKS, relative, ENGRAM_BLOCKS);
            }
        engram_bundle_add(w.root, added, chunks * j_count);
        ask(&w, vectors, NULL, chunks, &n);
        assert_int_equal(n.members, members);
        count_trial(&t, &n, truth);
        engram_bundle_remove(w.root, added, chunks * j_count);
    }
    eg_free(w.root);
    eg_free(vectors);
    eg_free(added);
    print_message("%7llu members, %2zu chunks, overlap %.2f: told %.3f, within 95 %%: %.3f, mean z "
                  "%+.2f, rms z %.2f\n",
                  (unsigned long long)members, chunks, truth, (double)t.told / t.trials,
                  (double)t.covered / t.trials, t.sum / t.trials, sqrt(t.squares / t.trials));
    return t;
}

/* Without bias, and as far off as it says: 400 trials of a true 95 % are within 0.92 and 0.98 in
 * all but a few of a million runs. The floor of the error may only make it more careful. */
static void check_tally(const tally *t)
{
    assert_true(fabs(t->sum / t->trials) < 0.25);
    assert_true(t->covered > 0.91 * t->trials);
    assert_true(sqrt(t->squares / t->trials) < 1.15);
    assert_true(sqrt(t->squares / t->trials) > 0.75);
}

static const uint64_t sizes[] = {10, 1000, 100000};

static void strangers(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        tally t = run_trials(sizes[i], 1, NULL, 0);
        check_tally(&t);
        assert_true(t.told < 0.06 * t.trials); /* 2.5 % by chance */
    }
}

/* A copy is seen always among 10 and 1,000, and cannot be told among 100,000: 0.8 errors. Of eight
 * chunks it can be told there in part: 2.3 errors. */
static void one_copy(void **state)
{
    (void)state;
    static const double js[] = {1.0};
    for (size_t i = 0; i < 3; i++) {
        tally t = run_trials(sizes[i], 1, js, 1);
        check_tally(&t);
        double told = (double)t.told / t.trials;
        assert_true(sizes[i] > 1000 ? told > 0.05 && told < 0.3 : told == 1);
    }
    tally t = run_trials(100000, 8, js, 1);
    check_tally(&t);
    assert_true(t.told > 0.5 * t.trials && t.told < 0.8 * t.trials);
    t = run_trials(100000, 50, js, 1);
    check_tally(&t);
    assert_true(t.told > 0.98 * t.trials);
}

static void relatives(void **state)
{
    (void)state;
    static const double few[] = {0.6, 0.3, 0.1}, many[] = {0.9, 0.9, 0.8, 0.7, 0.5, 0.5, 0.3, 0.2};
    for (size_t i = 0; i < 3; i++) {
        tally t = run_trials(sizes[i], 1, few, 3);
        check_tally(&t);
        t = run_trials(sizes[i], 1, many, 8);
        check_tally(&t);
    }
}

/* Members that have the same winner in a block agree there all together: their sum is as exact as a
 * single one's, and the error says so, though there are hundreds. */
static void relatives_of_each_other(void **state)
{
    (void)state;
    enum { FAMILY = 300 };
    tally t = {0};
    world w;
    world_init(&w, 1000);
    uint8_t *family = eg_alloc(FAMILY * ENGRAM_BLOCKS), probe[ENGRAM_BLOCKS];
    assert_non_null(family);
    for (unsigned trial = 0; trial < TRIALS; trial++) {
        eg_novelty n;
        fill_random(probe, sizeof probe);
        make_relative(probe, 0.2, family);
        for (size_t i = 1; i < FAMILY; i++)
            memcpy(family + i * ENGRAM_BLOCKS, family, ENGRAM_BLOCKS);
        engram_bundle_add(w.root, family, FAMILY);
        ask(&w, probe, NULL, 1, &n);
        assert_true(n.error > 4); /* 300 independent ones would have 0.15 */
        count_trial(&t, &n, 0.2 * FAMILY);
        engram_bundle_remove(w.root, family, FAMILY);
    }
    check_tally(&t);
    eg_free(family);
    eg_free(w.root);
}

/* The same chunk over and over is one probe, not many: its error does not average away. */
static void repeated_chunks(void **state)
{
    (void)state;
    enum { REPEATS = 64 };
    world w;
    eg_novelty one, all;
    uint8_t vectors[REPEATS * ENGRAM_BLOCKS];
    world_init(&w, 5000);
    fill_random(vectors, ENGRAM_BLOCKS);
    for (size_t i = 1; i < REPEATS; i++)
        memcpy(vectors + i * ENGRAM_BLOCKS, vectors, ENGRAM_BLOCKS);
    ask(&w, vectors, NULL, 1, &one);
    ask(&w, vectors, NULL, REPEATS, &all);
    assert_true(fabs(one.overlap - all.overlap) < 1e-9 && fabs(one.error - all.error) < 1e-9);
    assert_true(one.error > 0.9 * sqrt(5000) / 255);
    eg_free(w.root);
}

/* S is the sum of the matches, and sizes weigh. */
static void exact_sum(void **state)
{
    (void)state;
    enum { MEMBERS = 777 };
    world w;
    eg_novelty n;
    uint8_t *members = eg_alloc(MEMBERS * ENGRAM_BLOCKS), probes[2 * ENGRAM_BLOCKS];
    double sums[2] = {0, 0};
    assert_non_null(members);
    world_init(&w, 0);
    fill_random(members, MEMBERS * ENGRAM_BLOCKS);
    fill_random(probes, sizeof probes);
    make_relative(probes, 0.5, members);
    engram_bundle_add(w.root, members, MEMBERS);
    for (size_t p = 0; p < 2; p++)
        for (size_t i = 0; i < MEMBERS; i++)
            sums[p] += engram_matches(probes + p * ENGRAM_BLOCKS, members + i * ENGRAM_BLOCKS);
    ask(&w, probes, (uint32_t[]){3000, 1000}, 2, &n);
    assert_true(fabs(n.overlap - (0.75 * sums[0] + 0.25 * sums[1] - MEMBERS) / 255) < 1e-9);
    ask(&w, probes, (uint32_t[]){0, 0}, 2, &n);
    assert_true(fabs(n.overlap - (0.5 * sums[0] + 0.5 * sums[1] - MEMBERS) / 255) < 1e-9);
    eg_free(members);
    eg_free(w.root);
}

static void empty_root(void **state)
{
    (void)state;
    world w;
    eg_novelty n;
    uint8_t probe[ENGRAM_BLOCKS];
    world_init(&w, 0);
    fill_random(probe, sizeof probe);
    ask(&w, probe, NULL, 1, &n);
    assert_true(n.overlap == 0 && n.error == 0 && !n.told && n.stored_at_most == 0);
    eg_free(w.root);
}

/* ---- an engram ---- */

enum { CHUNK = 4096, CHUNKS = 1000 };
static uint8_t content[CHUNKS * CHUNK], probe_bytes[8 * CHUNK];

static void store(rig *r, size_t chunks)
{
    rig_fill(content, sizeof content, 77);
    assert_ok(rig_put(r, "f", content, chunks * CHUNK, E));
}

static void ask_engram(rig *r, eg_device *device, const uint8_t *bytes, size_t size, eg_novelty *n)
{
    assert_ok(eg_novelty_of_bytes(r->engram, device, bytes, size, n, E));
}

/* Overlap by what is known of the bytes: half of a probe chunk in common with a stored one is J of
 * about a third, since each has as much again of its own. */
static void real_chunks(void **state)
{
    (void)state;
    static const size_t counts[] = {10, CHUNKS};
    for (size_t i = 0; i < 2; i++) {
        rig r;
        eg_device *device = NULL;
        eg_novelty n;
        rig_init(&r);
        assert_ok(eg_device_open("auto", NULL, &device, E));
        store(&r, counts[i]);
        ask_engram(&r, device, content, 8 * CHUNK, &n);
        assert_int_equal(n.members, counts[i]);
        assert_int_equal(n.chunks, 8);
        assert_true(n.told && fabs(n.overlap - 1) < 3 * n.error + 1e-9);
        rig_fill(probe_bytes, sizeof probe_bytes, 123);
        ask_engram(&r, device, probe_bytes, sizeof probe_bytes, &n);
        assert_true(fabs(n.overlap) < 3 * n.error && n.stored_at_most < 0.5);
        for (size_t c = 0; c < 8; c++)
            memcpy(probe_bytes + c * CHUNK, content + c * CHUNK, CHUNK / 2);
        ask_engram(&r, device, probe_bytes, sizeof probe_bytes, &n);
        assert_true(n.told && fabs(n.overlap - 1.0 / 3) < 3 * n.error);
        assert_true(n.stored_at_most < 0.75); /* nothing of it is stored as it is */
        assert_ok(rig_remove(&r, "f", E));    /* the root forgets */
        ask_engram(&r, device, content, 8 * CHUNK, &n);
        assert_true(n.members == 0 && n.overlap == 0 && !n.told);
        ask_engram(&r, device, content, 0, &n); /* an empty probe is one empty chunk */
        assert_int_equal(n.chunks, 1);
        eg_device_close(&device);
        rig_fini(&r);
    }
}

static void out_of_memory(void **state)
{
    (void)state;
    rig r;
    eg_device *device = NULL;
    eg_novelty n;
    rig_init(&r);
    assert_ok(eg_device_open("scalar", NULL, &device, E));
    store(&r, 4);
    engram_status status = ENGRAM_NO_MEMORY;
    long at = 1;
    for (; status == ENGRAM_NO_MEMORY; at++) {
        eg_alloc_fail_at(at, false);
        status = eg_novelty_of_bytes(r.engram, device, content, 4 * CHUNK, &n, NULL);
        eg_alloc_fail_at(0, false);
    }
    assert_int_equal(status, ENGRAM_OK);
    assert_true(at > 5);
    eg_device_close(&device);
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strangers),       cmocka_unit_test(one_copy),
        cmocka_unit_test(relatives),       cmocka_unit_test(relatives_of_each_other),
        cmocka_unit_test(repeated_chunks), cmocka_unit_test(exact_sum),
        cmocka_unit_test(empty_root),      cmocka_unit_test(real_chunks),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
