/* The process that is killed. */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engram/core.h"
#include "kill/campaign.h"

enum { FAILED_EXIT = 3 };

_Noreturn void campaign_fail(campaign *c, const char *format, ...)
{
    va_list arguments;
    if (!atomic_exchange(&c->board->has_failed, true)) {
        va_start(arguments, format);
        vsnprintf(c->board->why, sizeof c->board->why, format, arguments);
        va_end(arguments);
    }
    _exit(FAILED_EXIT);
}

struct engram *campaign_open(campaign *c, eg_io *io)
{
    engram_error error = {0};
    struct engram *e = NULL;
    eg_engram_options options = {.segment_size = 1 << 20,
                                 .journal_size = 256 << 10,
                                 .journal_file_size = 64 << 10,
                                 .cache_size = 256 << 10,
                                 .dirty_size = 512 << 10,
                                 .small_size = 8 << 10};
    if (eg_engram_open(io, c->dir, &options, &e, &error) != ENGRAM_OK)
        campaign_fail(c, "it cannot be opened: %s", error.message);
    return e;
}

typedef struct writer {
    pthread_t thread;
    campaign *campaign;
    struct engram *engram;
    int number;
} writer;

static void acknowledge(writer_board *b, uint64_t step, uint64_t version)
{
    b->versions[step] = version;
    atomic_store(&b->acknowledged, step + 1);
}

static void *write_steps(void *context)
{
    writer *w = context;
    campaign *c = w->campaign;
    writer_board *b = &c->board->writers[w->number];
    load *l = &c->loads[w->number];
    for (uint64_t i = 0; i < STEPS_MAX; i++) {
        load_step step;
        uint64_t version;
        engram_error error = {0};
        load_plan(l, &step);
        atomic_store(&b->begun, i + 1);
        if (c->lies)
            acknowledge(b, i, 0);
        if (load_act(w->engram, l, &step, &version, &error) != ENGRAM_OK)
            campaign_fail(c, "step %zu of %s failed: %s", (size_t)l->steps, l->name, error.message);
        if (!c->lies)
            acknowledge(b, i, version);
        load_apply(l, &step, c->lies ? 0 : version);
    }
    return NULL;
}

static void note_problem(void *context, const char *message)
{
    campaign_fail(context, "verify beside commits: %s", message);
}

static void verify_beside(campaign *c, struct engram *e)
{
    for (;;) {
        uint64_t problems;
        engram_error error = {0};
        eg_verify_options options = {.subset = 0.02, .context = c, .problem = note_problem};
        if (eg_engram_verify(e, &options, &problems, &error) != ENGRAM_OK)
            campaign_fail(c, "verify beside commits failed: %s", error.message);
        usleep(1000);
    }
}

_Noreturn void worker_main(campaign *c, const kill_point *point, bool verifies_beside)
{
    static writer writers[WRITERS];
    struct engram *e = campaign_open(c, deadly_io(point));
    atomic_store(&c->board->opened, true);
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (writer){.campaign = c, .engram = e, .number = i};
        if (pthread_create(&writers[i].thread, NULL, write_steps, &writers[i]) != 0)
            campaign_fail(c, "no thread for a writer");
    }
    if (verifies_beside)
        verify_beside(c, e);
    for (;;)
        pause();
}
