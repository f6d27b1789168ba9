#include "crash/replay.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crash/fixed_world.h"
#include "crash/util.h"

enum { HANG_SECONDS = 300 };

void place_print(const explorer_options *options, const place *where)
{
    printf("  repeat: explore --workload %s --step %" PRId64 " --variant %s",
           workloads[where->workload].name, where->step,
           where->variant[0] != 0 ? where->variant : "all");
    if (where->is_killed)
        printf(" --killed");
    if (where->recovery_step >= 0)
        printf(" --recovery-step %" PRId64 " --recovery-variant %s", where->recovery_step,
               where->recovery_variant[0] != 0 ? where->recovery_variant : "all");
    if (options->liar.what != NULL)
        printf(" --lie %s", options->liar.what->name);
    if (options->liar.at != 0)
        printf(" --lie-at %u", options->liar.at);
    printf("\n");
}

void replay_print_pending(const platter *p, const choice *choices)
{
    char text[200];
    if (p->step > 0) {
        op_print(&p->trace->ops[p->step - 1], text, sizeof text);
        printf("  the last operation: %s\n", text);
    }
    for (size_t i = 0; i < p->pending_count; i++) {
        op_print(&p->trace->ops[p->pending[i]], text, sizeof text);
        printf("  %c%-4.0u %s\n", choices[i].kind, choices[i].sectors, text);
    }
}

void replay_save(const explorer_options *options, const image *state, uint64_t number)
{
    char path[600];
    if (options->keep == NULL)
        return;
    snprintf(path, sizeof path, "%s/%" PRIu64, options->keep, number);
    mkdir(options->keep, 0755); /* or it is there, or saving fails */
    int os_error = image_save(state, path);
    printf("  the disk is in %s%s%s\n", path, os_error != 0 ? ": " : "",
           os_error != 0 ? strerror(os_error) : "");
}

/* Traces of threads differ from run to run: how it came to this state must be written down. */
void replay_save_trace(const explorer_options *options, const trace *t, size_t step,
                       const char *what, uint64_t number)
{
    char path[600], text[200];
    if (options->keep == NULL)
        return;
    snprintf(path, sizeof path, "%s/%" PRIu64 ".%s", options->keep, number, what);
    FILE *out = fopen(path, "w");
    for (size_t i = 0; out != NULL && i < step; i++) {
        op_print(&t->ops[i], text, sizeof text);
        fprintf(out, "%4zu %s\n", i + 1, text);
    }
    if (out == NULL || fclose(out) != 0)
        printf("  %s cannot be written\n", path);
}

/* The same each time, so that a recovery's trace can be repeated. */
bool replay_check(check *c, image *state)
{
    fixed_world_reset(1000);
    alarm(HANG_SECONDS);
    bool ok = check_run(c, state);
    alarm(0);
    return ok;
}

/* What may be found when a recovery begins: what might be found before it. Indices stay. */
static void begin_history(history *h, const history *from, int64_t step)
{
    *h = (history){.keeps_all = from->keeps_all};
    for (size_t i = 0; i < from->rule_count; i++) {
        const rule *r = &from->rules[i];
        bool is_dead = r->dead != STEP_NEVER && r->dead < step;
        bool is_begun = r->begin != STEP_NEVER && r->begin < step && !is_dead;
        size_t index = history_add_rule(h, r->value, is_begun ? STEP_BEFORE : STEP_NEVER);
        h->rules[index].ack =
            is_begun && r->ack != STEP_NEVER && r->ack < step ? STEP_BEFORE : STEP_NEVER;
    }
    for (size_t i = 0; i < from->count; i++) {
        const commit *c = &from->commits[i];
        bool is_dead = c->dead != STEP_NEVER && c->dead < step;
        bool is_begun = c->begin == STEP_BEFORE || (c->begin != STEP_NEVER && c->begin < step);
        bool is_known = c->ack == STEP_BEFORE || (c->ack != STEP_NEVER && c->ack < step);
        size_t index = history_add(h, c->version, is_begun && !is_dead ? STEP_BEFORE : STEP_NEVER);
        commit *own = &h->commits[index];
        own->ack = is_known && !is_dead ? STEP_BEFORE : STEP_NEVER;
        own->tree = tree_copy(&c->tree);
        own->after = tree_copy(&c->after);
        own->is_loose = c->is_loose;
        own->digest = c->digest;
    }
}

/* Runs recovery, and what a check does after it, once more, recording it. */
bool replay_record_recovery(const eg_engram_options *options, const history *before,
                            const image *state, int64_t step, trace *t, history *h)
{
    check c = {.history = before, .step = step, .options = *options, .record = t, .recorded = h};
    image copy = image_copy(state);
    begin_history(h, before, step);
    return replay_check(&c, &copy);
}

size_t replay_begin_kill(const platter *p, trace *t, image *all)
{
    choice *choices = crash_alloc((p->pending_count + 1) * sizeof *choices);
    for (size_t i = 0; i < p->pending_count; i++)
        choices[i] = (choice){.kind = CHOICE_KEEP};
    *all = platter_cut(p, choices);
    free(choices);
    trace_init(t, &p->durable);
    for (size_t i = 0; i < p->pending_count; i++)
        trace_add_copy(t, &p->trace->ops[p->pending[i]]);
    return t->count;
}

/* A platter at a step, and choices from their text (freed by the caller); NULL: they do not fit. */
static choice *go_to(platter *p, const trace *t, int64_t step, const char *variant)
{
    platter_init(p, t);
    while ((int64_t)p->step < step && p->step < t->count)
        platter_advance(p);
    choice *choices = crash_alloc((p->pending_count + 1) * sizeof *choices);
    if ((int64_t)p->step == step && choices_parse(variant, choices, p->pending_count))
        return choices;
    printf("there is no step %" PRId64 " with the variant %s: %zu operations are pending at %zu\n",
           step, variant, p->pending_count, p->step);
    free(choices);
    return NULL;
}

static bool replay_at(const explorer_options *options, const trace *t, const history *h,
                      const eg_engram_options *engram_options, int64_t step, const char *variant,
                      const place *deeper)
{
    platter p;
    bool ok = false;
    choice *choices = go_to(&p, t, step, variant);
    if (choices != NULL) {
        image state = platter_cut(&p, choices), copy = image_copy(&state);
        check c = {.history = h, .step = step, .options = *engram_options, .read_only_first = true};
        replay_print_pending(&p, choices);
        image_print(&state);
        if (deeper == NULL)
            replay_save(options, &state, 0);
        ok = replay_check(&c, &copy);
        printf("  %s\n", ok ? "as it should be" : c.message);
        if (ok)
            printf("  version %" PRId64 "\n", h->commits[c.matched].version);
        if (ok && deeper != NULL) {
            trace inner;
            history inner_history;
            image all = {0};
            if (deeper->is_killed)
                replay_begin_kill(&p, &inner, &all);
            else
                trace_init(&inner, &state);
            image_fini(&all);
            ok = replay_record_recovery(engram_options, h, &state, step, &inner, &inner_history) &&
                 replay_at(options, &inner, &inner_history, engram_options, deeper->recovery_step,
                           deeper->recovery_variant, NULL);
            trace_fini(&inner);
            history_fini(&inner_history);
        }
        image_fini(&state);
    }
    free(choices);
    platter_fini(&p);
    return ok;
}

bool explorer_replay(const explorer_options *options, const place *where)
{
    world w;
    liar l = options->liar;
    fixed_world_reset((uint64_t)where->workload + 1);
    bool ok = world_record(&w, &workloads[where->workload], &l);
    if (ok)
        ok = replay_at(options, &w.trace, &w.history, &w.options, where->step, where->variant,
                       where->recovery_step >= 0 ? where : NULL);
    else
        printf("it cannot be recorded: %s\n", w.failure);
    world_fini(&w);
    return ok;
}
