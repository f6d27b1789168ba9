/* The process that looks at what is there after a kill. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engram/core.h"
#include "kill/campaign.h"

static void note_problem(void *context, const char *message)
{
    campaign_fail(context, "verify: %s", message);
}

static void verify(campaign *c, struct engram *e, bool all)
{
    uint64_t problems = 0;
    engram_error error = {0};
    eg_verify_options options = {.subset = all ? 1.0 : 0.05, .context = c, .problem = note_problem};
    if (eg_engram_verify(e, &options, &problems, &error) != ENGRAM_OK)
        campaign_fail(c, "verify failed: %s", error.message);
}

/* The writer's load becomes what is there: as acknowledged, or one step more. */
static void settle(campaign *c, struct engram *e, int number)
{
    writer_board *b = &c->board->writers[number];
    load *l = &c->loads[number];
    char why[WHY_SIZE / 3] = "", why_not[WHY_SIZE / 3] = "none had begun";
    if (load_check(e, l, why, sizeof why))
        return;
    if (atomic_load(&b->begun) > atomic_load(&b->acknowledged)) {
        load_step step;
        load_plan(l, &step);
        load_apply(l, &step, 0);
        c->board->took_begun[number] = true;
        if (load_check(e, l, why_not, sizeof why_not))
            return;
    }
    c->board->lost = true;
    campaign_fail(c, "%s is neither as acknowledged after %zu steps (%s) nor one step further (%s)",
                  l->name, (size_t)l->steps, why, why_not);
}

/* Versions rise, and none that was acknowledged is missing. */
static void check_version(campaign *c, struct engram *e)
{
    engram_view *view = NULL;
    uint64_t least = c->version;
    engram_error error = {0};
    if (engram_pin(e, &view, &error) != ENGRAM_OK)
        campaign_fail(c, "the newest version cannot be pinned: %s", error.message);
    c->board->version = engram_view_version(view);
    engram_unpin(&view);
    for (int i = 0; i < WRITERS; i++) {
        writer_board *b = &c->board->writers[i];
        uint64_t count = atomic_load(&b->acknowledged);
        for (uint64_t j = 0; j < count; j++)
            least = b->versions[j] > least ? b->versions[j] : least;
    }
    if (c->board->version < least)
        campaign_fail(c, "version %zu is the newest, but %zu had been acknowledged",
                      (size_t)c->board->version, (size_t)least);
}

_Noreturn void checker_main(campaign *c, const check_plan *plan)
{
    char why[WHY_SIZE / 2];
    engram_error error = {0};
    memset(c->board->took_begun, 0, sizeof c->board->took_begun);
    struct engram *e = campaign_open(c, deadly_io(&plan->point));
    check_version(c, e);
    for (int i = 0; i < WRITERS; i++)
        settle(c, e, i);
    if (!load_check_counters(e, c->loads, WRITERS, why, sizeof why))
        campaign_fail(c, "%s", why);
    verify(c, e, plan->all);
    if (plan->closes && engram_close(&e, &error) != ENGRAM_OK)
        campaign_fail(c, "it cannot be closed: %s", error.message);
    atomic_store(&c->board->checked, true);
    _exit(0);
}
