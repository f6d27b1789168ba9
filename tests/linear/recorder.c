/* Threads that do things and take down what they saw. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "linear/linear.h"

typedef struct recorder {
    struct engram *engram;
    atomic_uint_fast64_t *left; /* operations to begin */
    atomic_bool *stop;
    bool writes;
    unsigned number;
    uint64_t random, next;
    event *events;
    size_t count, capacity, conflicts;
    bool failed;
    pthread_t thread;
} recorder;

static uint64_t draw(recorder *r)
{
    r->random = r->random * 6364136223846793005u + 1442695040888963407u;
    return r->random >> 33;
}

static void name(char path[16], unsigned file)
{
    snprintf(path, 16, "f%u", file);
}

static event *add(recorder *r)
{
    if (r->count == r->capacity) {
        r->capacity = r->capacity != 0 ? 2 * r->capacity : 256;
        event *grown = realloc(r->events, r->capacity * sizeof *grown);
        if (grown == NULL)
            return NULL;
        r->events = grown;
    }
    event *e = &r->events[r->count];
    memset(e, 0, sizeof *e);
    return e;
}

/* The content is the number, eight bytes, and as many more as it says itself, so that sizes differ. */
static size_t fill(uint8_t bytes[6000], uint64_t value)
{
    size_t size = 8 + value % 5000;
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word = value ^ i / 8 * UINT64_C(0x0101010101010101);
        memcpy(bytes + i, &word, size - i < 8 ? size - i : 8);
    }
    return size;
}

static bool is_whole(const uint8_t *bytes, size_t size, uint64_t *value)
{
    uint8_t expected[6000];
    memcpy(value, bytes, 8);
    return size >= 8 && fill(expected, *value) == size && memcmp(bytes, expected, size) == 0;
}

static engram_status see(engram_transaction *tx, unsigned file, uint64_t *value)
{
    uint8_t bytes[6000];
    char path[16];
    size_t got = 0;
    engram_error error = {0};
    name(path, file);
    *value = 0;
    engram_status status = engram_tx_read(tx, path, 0, bytes, sizeof bytes, &got, &error);
    if (status == ENGRAM_NOT_FOUND)
        return ENGRAM_OK;
    if (status == ENGRAM_OK && !is_whole(bytes, got, value))
        return ENGRAM_DAMAGED;
    return status;
}

/* What was read says whether the file is there: a removal, a creation or a replacement fits. */
static engram_status change(recorder *r, engram_transaction *tx, unsigned file, event *e)
{
    static const engram_expected none = {.what = ENGRAM_NONE};
    uint8_t bytes[6000];
    char path[16];
    engram_error error = {0};
    name(path, file);
    e->wrote |= UINT64_C(1) << file;
    if (e->seen[file] != 0 && draw(r) % 4 == 0)
        return engram_remove(tx, path, NULL, &error);
    e->written[file] = (uint64_t)(r->number + 1) << 32 | ++r->next;
    size_t size = fill(bytes, e->written[file]);
    return engram_write(tx, path, bytes, size, e->seen[file] == 0 ? &none : NULL, &error);
}

static engram_status act(recorder *r, engram_transaction *tx, event *e)
{
    unsigned count = 1 + (unsigned)(draw(r) % 3);
    for (unsigned i = 0; i < count; i++) {
        unsigned file = (unsigned)(draw(r) % LINEAR_FILES);
        if (e->read & UINT64_C(1) << file)
            continue;
        e->read |= UINT64_C(1) << file;
        engram_status status = see(tx, file, &e->seen[file]);
        if (status == ENGRAM_OK && (i == 0 || draw(r) % 2 == 0))
            status = change(r, tx, file, e);
        if (status != ENGRAM_OK)
            return status;
    }
    return ENGRAM_OK;
}

static void write_once(recorder *r)
{
    engram_transaction *tx = NULL;
    engram_error error = {0};
    event *e = add(r);
    if (e == NULL) {
        r->failed = true;
        return;
    }
    e->is_commit = true;
    e->begin = eg_clock_monotonic_ns();
    engram_status status = engram_begin(r->engram, NULL, &tx, &error);
    if (status == ENGRAM_OK) {
        e->base = engram_tx_version(tx);
        status = act(r, tx, e);
    }
    if (status == ENGRAM_OK)
        status = engram_commit(&tx, &e->version, &error);
    engram_abort(&tx);
    e->end = eg_clock_monotonic_ns();
    if (status == ENGRAM_OK)
        r->count++;
    else if (status == ENGRAM_CONFLICT)
        r->conflicts++;
    else
        r->failed = true;
}

static bool read_view(engram_view *view, event *e)
{
    for (unsigned file = 0; file < LINEAR_FILES; file++) {
        uint8_t bytes[6000];
        char path[16];
        size_t got = 0;
        name(path, file);
        engram_status status = engram_read(view, path, 0, bytes, sizeof bytes, &got, NULL);
        if (status != ENGRAM_NOT_FOUND &&
            (status != ENGRAM_OK || !is_whole(bytes, got, &e->seen[file])))
            return false;
    }
    return true;
}

static void read_once(recorder *r)
{
    engram_view *view = NULL;
    engram_error error = {0};
    event *e = add(r);
    if (e == NULL) {
        r->failed = true;
        return;
    }
    e->begin = eg_clock_monotonic_ns();
    r->failed = engram_pin(r->engram, &view, &error) != ENGRAM_OK;
    if (r->failed)
        return;
    e->base = engram_view_version(view);
    e->read = (UINT64_C(1) << LINEAR_FILES) - 1;
    r->failed = !read_view(view, e);
    e->end = eg_clock_monotonic_ns();
    engram_unpin(&view);
    r->count++;
}

/* Without pauses a thousand readers leave the writers next to nothing of two cores. */
static void pause_for(uint64_t ns)
{
    struct timespec pause = {.tv_nsec = (long)ns};
    nanosleep(&pause, NULL);
}

static void *record(void *context)
{
    recorder *r = context;
    enum { READS_MAX = 2000, PAUSE_MAX_NS = 200000000 };
    while (!r->failed && r->writes) {
        uint64_t left = atomic_load(r->left);
        while (left != 0 && !atomic_compare_exchange_weak(r->left, &left, left - 1))
            ;
        if (left == 0)
            break;
        write_once(r);
    }
    while (!r->failed && !r->writes && !atomic_load(r->stop) && r->count < READS_MAX) {
        read_once(r);
        pause_for(draw(r) % PAUSE_MAX_NS);
    }
    return NULL;
}

static bool gather(history *h, recorder *all, unsigned count)
{
    size_t total = 0;
    bool failed = false;
    for (unsigned i = 0; i < count; i++)
        total += all[i].count;
    h->events = malloc((total + 1) * sizeof *h->events);
    for (unsigned i = 0; i < count; i++) {
        for (size_t k = 0; h->events != NULL && k < all[i].count; k++)
            h->events[h->count++] = all[i].events[k];
        h->commits += all[i].writes ? all[i].count : 0;
        h->conflicts += all[i].conflicts;
        failed |= all[i].failed;
        free(all[i].events);
    }
    return h->events != NULL && !failed;
}

bool history_record(struct engram *e, const workload *w, history *h)
{
    unsigned count = w->writers + w->readers, started = 0;
    atomic_uint_fast64_t left = w->operations;
    atomic_bool stop = false;
    recorder *all = calloc(count + 1, sizeof *all);
    *h = (history){0};
    if (all == NULL)
        return false;
    for (; started < count; started++) {
        all[started] = (recorder){.engram = e,
                                  .left = &left,
                                  .stop = &stop,
                                  .writes = started < w->writers,
                                  .number = started,
                                  .random = w->seed * 1000003 + started};
        if (pthread_create(&all[started].thread, NULL, record, &all[started]) != 0)
            break;
    }
    for (unsigned i = 0; i < started && i < w->writers; i++)
        pthread_join(all[i].thread, NULL);
    atomic_store(&stop, true);
    for (unsigned i = w->writers; i < started; i++)
        pthread_join(all[i].thread, NULL);
    bool whole = gather(h, all, started) && started == count;
    free(all);
    return whole;
}

void history_free(history *h)
{
    free(h->events);
    *h = (history){0};
}
