/* Directories put together of an engram's parts at different moments: what a restored backup, a
 * copy that was made while it was in use, or a lazy synchronisation may leave.
 *
 * Every part (MANIFEST.json, journal, segments, tree, checkpoint) comes from one of two moments,
 * in all 30 ways, for many pairs of moments, of which some are clean closings and some crashes.
 * Opening either says that something is wrong, or verification does, or what is there is one of
 * the states that the engram once had, whole. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "faults/trial.h"

enum { MOMENTS = TEST_STRIDE == 1 ? 8 : 5, STEPS_BETWEEN = 9, PARTS = 5, STATES = MOMENTS * STEPS_BETWEEN + 1 };

static const char *const parts[PARTS] = {"MANIFEST.json", "journal", "segments", "tree",
                                         "checkpoint"};

typedef struct rig {
    temp_dir temp;
    char moments[MOMENTS][600], mix[600];
    load states[STATES]; /* after each step */
    size_t state_count;
    size_t mixes, refused, found, whole; /* by opening, by verification; a state that was */
} rig;

static eg_engram *open_engram(const char *dir, bool read_only, engram_error *error)
{
    eg_engram *engram = NULL;
    eg_engram_options options = trial_options();
    options.read_only = read_only;
    options.by_hand = true;
    eg_engram_open(eg_io_posix(), dir, &options, &engram, error);
    return engram;
}

static void take_steps(rig *r, eg_engram *engram)
{
    for (int i = 0; i < STEPS_BETWEEN; i++) {
        load_step step;
        uint64_t version;
        engram_error error = {0};
        load *next = &r->states[r->state_count];
        load_copy(next, next - 1);
        load_plan(next, &step);
        if (load_act(engram, next, &step, &version, &error) != ENGRAM_OK)
            fail_msg("%s", error.message);
        load_apply(next, &step, 0);
        r->state_count++;
    }
}

/* Every other moment is a clean closing. */
static void record_moments(rig *r, const char *dir)
{
    engram_error error = {0};
    eg_engram *engram = open_engram(dir, false, &error);
    assert_non_null(engram);
    if (load_prepare(engram, &r->states[0], 1, &error) != ENGRAM_OK)
        fail_msg("%s", error.message);
    for (int i = 0; i < MOMENTS; i++) {
        take_steps(r, engram);
        char parent[sizeof r->temp.path];
        memcpy(parent, r->temp.path, sizeof parent);
        snprintf(r->moments[i], sizeof r->moments[i], "%s/moment-%d", parent, i);
        if (i % 2 == 1)
            assert_int_equal(eg_engram_close(&engram, NULL), ENGRAM_OK);
        trial_copy(dir, r->moments[i]);
        if (engram == NULL)
            engram = open_engram(dir, false, &error);
        assert_non_null(engram);
    }
    assert_int_equal(eg_engram_close(&engram, NULL), ENGRAM_OK);
}

static void rig_init(rig *r, uint64_t seed)
{
    char dir[600];
    engram_error error = {0};
    assert_int_equal(temp_dir_init(&r->temp), 0);
    snprintf(dir, sizeof dir, "%s/origin", r->temp.path);
    snprintf(r->mix, sizeof r->mix, "%s/mix", r->temp.path);
    if (engram_create(dir, &(engram_format){.chunk = "fixed:4096"}, &error) != ENGRAM_OK)
        fail_msg("%s", error.message);
    load_init(&r->states[0], "load", seed);
    r->state_count = 1;
    record_moments(r, dir);
}

static void rig_fini(rig *r)
{
    for (size_t i = 0; i < r->state_count; i++)
        load_fini(&r->states[i]);
    temp_dir_fini(&r->temp);
}

static void make_mix(rig *r, const char *a, const char *b, unsigned from_b)
{
    assert_int_equal(mkdir(r->mix, 0777), 0);
    for (int i = 0; i < PARTS; i++) {
        char from[700], to[700];
        snprintf(from, sizeof from, "%s/%s", from_b & 1u << i ? b : a, parts[i]);
        snprintf(to, sizeof to, "%s/%s", r->mix, parts[i]);
        trial_copy(from, to);
    }
}

static void ignore_problem(void *context, const char *message)
{
    (void)context, (void)message;
}

static bool is_clean(eg_engram *engram)
{
    uint64_t problems = 0;
    eg_verify_options options = {.subset = 1.0, .problem = ignore_problem};
    return eg_engram_verify(engram, &options, &problems, NULL) == ENGRAM_OK && problems == 0;
}

/* It opens and verifies: then it is a state that was. */
static void look_at(rig *r, eg_engram *engram, const char *what)
{
    char why[512];
    for (size_t i = r->state_count; i > 0; i--)
        if (load_check(engram, &r->states[i - 1], why, sizeof why)) {
            r->whole++;
            return;
        }
    fail_msg("%s opens and verifies, but is no state that was: not the first: %s", what, why);
}

static void try_mix(rig *r, int a, int b, unsigned from_b, bool read_only)
{
    char what[200];
    engram_error error = {0};
    snprintf(what, sizeof what, "parts %#x of moment %d, the rest of moment %d, to %s", from_b, b,
             a, read_only ? "read" : "write");
    make_mix(r, r->moments[a], r->moments[b], from_b);
    r->mixes++;
    eg_engram *engram = open_engram(r->mix, read_only, &error);
    if (engram == NULL) {
        if (error.status != ENGRAM_DAMAGED && error.status != ENGRAM_NOT_FOUND)
            fail_msg("%s: %s", what, error.message);
        r->refused++;
    } else if (is_clean(engram)) {
        look_at(r, engram, what);
    } else {
        r->found++;
    }
    eg_engram_close(&engram, NULL);
    trial_remove(r->mix);
}

static void parts_of_two_moments(void **state)
{
    static rig r;
    (void)state;
    alarm(250);
    rig_init(&r, 5);
    for (int a = 0; a < MOMENTS; a++)
        for (int b = a + 1; b < MOMENTS; b += 1 + a % 2)
            for (unsigned from_b = 1; from_b < (1u << PARTS) - 1; from_b++)
                try_mix(&r, a, b, from_b, (a + b + (int)from_b) % 4 == 0);
    print_message("%zu mixes: %zu are refused, verification finds %zu, %zu are a state that was\n",
                  r.mixes, r.refused, r.found, r.whole);
    assert_true(r.refused > 0 && r.whole > 0);
    rig_fini(&r);
    alarm(0);
}

int main(void)
{
    if (access("/dev/shm", W_OK) == 0) /* hundreds of engrams: the disk is not what is tested */
        setenv("TMPDIR", "/dev/shm", 1);
    const struct CMUnitTest tests[] = {cmocka_unit_test(parts_of_two_moments)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
