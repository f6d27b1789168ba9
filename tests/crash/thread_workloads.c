/* Writers that commit at the same time, with checkpoints and seals beside them. What is
 * acknowledged in which order says nothing; the order of versions does. Two recordings differ. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "crash/util.h"
#include "crash/workloads.h"

enum { WRITERS = 8, COMMITS = 4, SYNC_US = 200 };

typedef struct crowd {
    world *world;
    bool large;
    pthread_mutex_t lock; /* guards the history, and what follows */
    engram_error error;
} crowd;

typedef struct one {
    crowd *crowd;
    unsigned index;
} one;

static engram_durability durability_of(unsigned index)
{
    return index == 5   ? ENGRAM_DURABILITY_IMMEDIATE
           : index >= 6 ? ENGRAM_DURABILITY_RELAXED
                        : ENGRAM_DURABILITY_GROUP;
}

/* Own files, and one that all fight for. Contents are shared, so that chunks are found. */
static void fill(writer *t, const one *o, unsigned n)
{
    char path[24];
    snprintf(path, sizeof path, "w%u-%u", o->index, n % 3);
    writer_put(t, path, 10 + (o->index + n) % 6, 700 + 900 * n);
    if (n % 2 == 1 && o->index < 3)
        writer_put(t, "shared", 100 * o->index + n, 300);
    if (o->crowd->large && o->index % 3 == 0)
        writer_put(t, "large", 50 + o->index + n, 14000); /* spilled */
    if (o->crowd->large && o->index % 3 == 1)
        writer_put(t, path, 50 + o->index + n, 8192); /* may find it */
}

static engram_status commit_once(const one *o, unsigned n, engram_error *error)
{
    crowd *c = o->crowd;
    world *w = c->world;
    uint64_t version = 0;
    writer t;
    writer_begin(&t, w->engram, durability_of(o->index));
    fill(&t, o, n);
    int64_t begin = (int64_t)ram_disk_mark(w->disk, "begin of one of many");
    engram_status status = writer_commit(&t, &version);
    if (status == ENGRAM_OK) {
        int64_t ack = (int64_t)ram_disk_mark(w->disk, "acknowledged one of many");
        bool is_relaxed = durability_of(o->index) == ENGRAM_DURABILITY_RELAXED;
        pthread_mutex_lock(&c->lock);
        world_note_commit(w, begin, is_relaxed ? STEP_NEVER : ack, version, &t.edits);
        pthread_mutex_unlock(&c->lock);
    }
    *error = t.error;
    writer_fini(&t);
    return status;
}

static void *run_one(void *context)
{
    const one *o = context;
    engram_error error = {0};
    for (unsigned n = 0; n < COMMITS; n++) {
        engram_status status = commit_once(o, n, &error);
        if (status == ENGRAM_CONFLICT) {
            n--;
        } else if (status != ENGRAM_OK) {
            pthread_mutex_lock(&o->crowd->lock);
            o->crowd->error = error;
            pthread_mutex_unlock(&o->crowd->lock);
            break;
        }
    }
    return NULL;
}

static void run_crowd(world *w, bool large)
{
    crowd c = {.world = w, .large = large, .lock = PTHREAD_MUTEX_INITIALIZER};
    pthread_t threads[WRITERS];
    one ones[WRITERS];
    for (unsigned i = 0; i < WRITERS; i++) {
        ones[i] = (one){.crowd = &c, .index = i};
        if (pthread_create(&threads[i], NULL, run_one, &ones[i]) != 0)
            abort();
    }
    for (unsigned i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    if (c.error.status != ENGRAM_OK)
        world_fail(w, "one of many", &c.error);
}

static void many_writers(world *w, bool large)
{
    world_create(w);
    world_explore(w);
    ram_disk_slow_down(w->disk, SYNC_US);
    run_crowd(w, large);
    ram_disk_slow_down(w->disk, 0);
    world_close(w);
}

void workload_threads(world *w)
{
    many_writers(w, false);
}

void workload_threads_large(world *w)
{
    many_writers(w, true);
}
