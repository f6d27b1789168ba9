/* linear_test [--operations N] [--writers N] [--readers N] [--seed S] [--seeds K] [--tamper]
 *
 * Records histories on engrams below TMPDIR, with checkpoints all the while, and checks them. With --tamper each
 * history is falsified in one place at a time, and the checker must see it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/temp_dir.h"
#include "linear/linear.h"

static workload work = {.writers = 16, .readers = 32, .operations = 10000, .seed = 1};
static uint64_t seeds = 1;
static bool tamper;

static bool parse(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--tamper") == 0) {
            tamper = true;
            continue;
        }
        if (i + 1 == argc)
            return false;
        uint64_t value = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--operations") == 0)
            work.operations = value;
        else if (strcmp(argv[i], "--writers") == 0)
            work.writers = (unsigned)value;
        else if (strcmp(argv[i], "--readers") == 0)
            work.readers = (unsigned)value;
        else if (strcmp(argv[i], "--seed") == 0)
            work.seed = value;
        else if (strcmp(argv[i], "--seeds") == 0)
            seeds = value;
        else
            return false;
        i++;
    }
    return work.writers != 0 && work.writers + work.readers < 5000;
}

static event *some(history *h, bool commit, size_t skip)
{
    for (size_t i = 0; i < h->count; i++)
        if (h->events[i].is_commit == commit && h->events[i].base > 2 && skip-- == 0)
            return &h->events[i];
    return NULL;
}

static bool is_found_out(history *h, const char *what)
{
    const char *wrong = history_check(h);
    printf("%s: %s\n", what, wrong != NULL ? wrong : "NOT FOUND OUT");
    return wrong != NULL;
}

/* Each falsification is taken back before the next. */
static bool tampering_is_found_out(history *h)
{
    event *commit = some(h, true, 5), *read = some(h, false, 5);
    if (commit == NULL || read == NULL)
        return false;
    event kept = *commit;
    unsigned file = 0;
    while (!(kept.read & UINT64_C(1) << file))
        file++;
    commit->seen[file] ^= 1;
    bool all = is_found_out(h, "another value seen by a commit");
    *commit = kept;
    commit->version = some(h, true, 9)->version;
    all &= is_found_out(h, "a version made twice");
    *commit = kept;
    commit->base = 1;
    all &= is_found_out(h, "a base that was too old");
    *commit = kept;
    kept = *read;
    read->seen[0] ^= 1;
    all &= is_found_out(h, "another value seen by a reader");
    *read = kept;
    read->base = 0;
    memset(read->seen, 0, sizeof read->seen);
    all &= is_found_out(h, "a pin that was too old");
    *read = kept;
    return all && history_check(h) == NULL;
}

static bool run(const char *dir, uint64_t seed)
{
    struct engram *e = NULL;
    engram_error error = {0};
    engram_settings settings = {.journal_size = 1 << 20, .memory = 3 << 20};
    engram_format format = {.chunk = "cdc:1024", .level = 1};
    history h = {0};
    work.seed = seed;
    if (engram_create(dir, &format, &error) != ENGRAM_OK ||
        engram_open(dir, &settings, &e, &error) != ENGRAM_OK) {
        printf("%s\n", error.message);
        return false;
    }
    bool whole = history_record(e, &work, &h);
    const char *wrong = whole ? history_check(&h) : "a call failed that should not";
    engram_metrics m;
    engram_get_metrics(e, &m);
    printf("seed %" PRIu64 ": %zu commits in %" PRIu64 " groups, %zu conflicts, %zu reads, %" PRIu64
           " checkpoints: %s\n",
           seed, h.commits, m.groups, h.conflicts, h.count - h.commits, m.checkpoints,
           wrong != NULL ? wrong : "linearizable");
    if (wrong == NULL && tamper && !tampering_is_found_out(&h))
        wrong = "tampering was not found out";
    history_free(&h);
    if (engram_close(&e, &error) != ENGRAM_OK)
        wrong = error.message;
    return wrong == NULL;
}

int main(int argc, char **argv)
{
    temp_dir temp;
    char dir[600];
    bool all = true;
    if (!parse(argc, argv))
        return fprintf(stderr, "linear_test: see the top of its source for its options\n"), 2;
    if (temp_dir_init(&temp) != 0)
        return 1;
    for (uint64_t i = 0; i < seeds && all; i++) {
        snprintf(dir, sizeof dir, "%s/%" PRIu64 ".engram", temp.path, i);
        all = run(dir, work.seed + (i != 0));
        fflush(stdout);
    }
    temp_dir_fini(&temp);
    return all ? 0 : 1;
}
