/* Random steps against a model in memory: property_test [--steps N] [--threads T] [--seed S].
 *
 * Each thread takes N steps of a load of its own (load.h), each step up to four operations in a transaction, on
 * one engram with a small journal, so that checkpoints, rotation and seals happen all the while. Its part of
 * the tree is compared with its model every 50 steps, and all of them after closing and opening again; then the
 * engram is verified. Ten times in a run everything is closed and opened. */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/temp_dir.h"
#include "faults/load.h"

enum { ROUNDS = 10, CHECK_EVERY = 50, THREADS_MAX = 200 };

typedef struct runner {
    struct engram *engram;
    load *load;
    uint64_t steps, conflicts, operations;
    char why[512]; /* what went wrong */
    pthread_t thread;
} runner;

static void *run(void *context)
{
    runner *r = context;
    engram_error error = {0};
    for (uint64_t i = 0; i < r->steps && r->why[0] == 0; i++) {
        load_step step;
        uint64_t version = 0;
        load_plan(r->load, &step);
        if (load_act(r->engram, r->load, &step, &version, &error) != ENGRAM_OK) {
            snprintf(r->why, sizeof r->why, "step %" PRIu64 ": %.400s", r->load->steps,
                     error.message);
            break;
        }
        load_apply(r->load, &step, version);
        r->operations += step.op_count;
        char why[400];
        if (i % CHECK_EVERY == CHECK_EVERY - 1 &&
            !load_check(r->engram, r->load, why, sizeof why))
            snprintf(r->why, sizeof r->why, "after step %" PRIu64 ": %s", r->load->steps, why);
    }
    return NULL;
}

static bool round_of(const char *dir, load *loads, size_t threads, uint64_t steps, bool first,
                     uint64_t *operations)
{
    struct engram *e = NULL;
    engram_error error = {0};
    engram_settings settings = {.journal_size = 2 << 20, .memory = 6 << 20};
    static runner runners[THREADS_MAX];
    char why[512] = "";
    if (engram_open(dir, &settings, &e, &error) != ENGRAM_OK ||
        (first && load_prepare(e, loads, threads, &error) != ENGRAM_OK)) {
        printf("%s\n", error.message);
        return false;
    }
    bool fine = true;
    for (size_t i = 0; i < threads && fine && !first; i++)
        fine = load_check(e, &loads[i], why, sizeof why);
    for (size_t i = 0; i < threads && fine; i++) {
        runners[i] = (runner){.engram = e, .load = &loads[i], .steps = steps};
        pthread_create(&runners[i].thread, NULL, run, &runners[i]);
    }
    for (size_t i = 0; i < threads && fine; i++)
        pthread_join(runners[i].thread, NULL);
    for (size_t i = 0; i < threads && fine; i++) {
        *operations += runners[i].operations;
        fine = runners[i].why[0] == 0;
        if (!fine)
            snprintf(why, sizeof why, "%.500s", runners[i].why);
    }
    if (fine)
        fine = load_check_counters(e, loads, threads, why, sizeof why);
    engram_verified verified = {0};
    if (fine && engram_verify(e, NULL, &verified, &error) != ENGRAM_OK)
        fine = false;
    if (fine && verified.problems != 0) {
        snprintf(why, sizeof why, "verify finds %" PRIu64 " problems", verified.problems);
        fine = false;
    }
    if (engram_close(&e, &error) != ENGRAM_OK)
        fine = false;
    if (!fine)
        printf("%s %s\n", why, error.message);
    return fine;
}

int main(int argc, char **argv)
{
    uint64_t steps = 10000, threads = 1, seed = 1, operations = 0;
    static load loads[THREADS_MAX];
    char dir[600], names[THREADS_MAX][32], chunk[32];
    engram_error error = {0};
    temp_dir temp;
    for (int i = 1; i + 1 < argc; i += 2) {
        uint64_t value = strtoull(argv[i + 1], NULL, 10);
        *(strcmp(argv[i], "--steps") == 0     ? &steps
          : strcmp(argv[i], "--threads") == 0 ? &threads
                                              : &seed) = value;
    }
    if (threads == 0 || threads > THREADS_MAX || temp_dir_init(&temp) != 0)
        return 2;
    printf("seed %" PRIu64 "\n", seed);
    snprintf(dir, sizeof dir, "%s/property.engram", temp.path);
    snprintf(chunk, sizeof chunk, "fixed:%d", LOAD_CHUNK);
    engram_format format = {.chunk = chunk, .level = 1};
    bool fine = engram_create(dir, &format, &error) == ENGRAM_OK;
    for (size_t i = 0; i < threads; i++) {
        snprintf(names[i], sizeof names[i], "load%zu", i);
        load_init(&loads[i], names[i], seed * 1000 + i);
    }
    for (int round = 0; round < ROUNDS && fine; round++)
        fine = round_of(dir, loads, threads, (steps + ROUNDS - 1) / ROUNDS, round == 0, &operations);
    for (size_t i = 0; i < threads; i++)
        load_fini(&loads[i]);
    temp_dir_fini(&temp);
    printf("%" PRIu64 " threads, %" PRIu64 " steps each, %" PRIu64 " operations: %s\n", threads, steps,
           operations, fine ? "as the models say" : "WRONG");
    return fine ? 0 : 1;
}
