/* Checks every table of kernels and every backend against the scalar definition, and times them.
 *
 *     check_kernels [--bench] [--device NAME] [--seed N] [--rounds N]
 *
 * Backends are called by their own entries: nothing finishes what they fail. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compute/check.h"

enum { CANDIDATES_MAX = 32 };

typedef struct options {
    bool bench;
    const char *device;
    uint64_t seed;
    unsigned rounds;
} options;

static bool parse_options(int count, char **words, options *o)
{
    *o = (options){.seed = 1, .rounds = 60};
    for (int i = 1; i < count; i++) {
        const char *value = i + 1 < count ? words[i + 1] : NULL;
        if (strcmp(words[i], "--bench") == 0) {
            o->bench = true;
            continue;
        }
        if (value == NULL)
            return false;
        if (strcmp(words[i], "--device") == 0)
            o->device = value;
        else if (strcmp(words[i], "--seed") == 0)
            o->seed = strtoull(value, NULL, 0);
        else if (strcmp(words[i], "--rounds") == 0)
            o->rounds = (unsigned)strtoul(value, NULL, 0);
        else
            return false;
        i++;
    }
    return true;
}

static bool has_operation(const candidate *c, unsigned operation)
{
    if (c->backend == NULL)
        return true;
    const eg_backend_ops *ops = c->backend->ops;
    return operation == 0   ? ops->encode != NULL
           : operation == 1 ? ops->bundle != NULL
                            : ops->top_k != NULL;
}

static void check(const candidate *c, const options *o, check_tally *all)
{
    static const struct {
        const char *name;
        void (*check)(const candidate *, uint64_t, unsigned, check_tally *);
    } checks[] = {{"encode", check_encode}, {"bundle", check_bundle}, {"top_k", check_top_k}};
    for (unsigned i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        check_tally one = {0, 0};
        if (!has_operation(c, i)) {
            printf("%-16s %-7s not offered\n", c->name, checks[i].name);
            continue;
        }
        checks[i].check(c, o->seed, o->rounds, &one);
        printf("%-16s %-7s %u passed, %u failed\n", c->name, checks[i].name, one.passed,
               one.failed);
        fflush(stdout);
        all->passed += one.passed;
        all->failed += one.failed;
    }
}

static void bench(const candidate *c)
{
    candidate scalar = {.name = "scalar"};
    eg_kernels_init(&scalar.kernels, 0);
    if (has_operation(c, 0))
        bench_encode(c, &scalar);
    if (has_operation(c, 1))
        bench_bundle(c, &scalar);
    if (has_operation(c, 2))
        bench_top_k(c, &scalar);
}

int main(int count, char **words)
{
    options o;
    if (!parse_options(count, words, &o)) {
        fprintf(stderr, "usage: %s [--bench] [--device NAME] [--seed N] [--rounds N]\n", words[0]);
        return 2;
    }
    static candidate list[CANDIDATES_MAX];
    check_tally all = {0, 0};
    size_t candidate_count = candidates_open(list, CANDIDATES_MAX, o.device, &all.failed);
    if (candidate_count == 0) {
        fprintf(stderr, "no device '%s'\n", o.device == NULL ? "" : o.device);
        return 2;
    }
    printf("seed %" PRIu64 ", %u rounds\n", o.seed, o.rounds);
    for (size_t i = 0; i < candidate_count; i++) {
        check(&list[i], &o, &all);
        if (o.bench)
            bench(&list[i]);
        candidate_close(&list[i]);
    }
    printf("%u passed, %u failed\n", all.passed, all.failed);
    return all.failed != 0;
}
