/* All workloads are recorded first. Then processes, forked from there, share out the steps of their
 * traces round by round: in round 0 the planned variants and the subsets of few operations, later
 * ever more states drawn by chance, until enough distinct ones were seen. A state is checked once;
 * when it comes again at another step, only whether what was found in it may be found there too.
 *
 * Of some states the recovery itself is recorded, and its steps are explored in the same way, once
 * more and no deeper. A process that dies is a violation at the place where it was. */
#include "crash/explorer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crash/fixed_world.h"
#include "crash/table.h"
#include "crash/util.h"
#include "crash/variants.h"

enum {
    ROUNDS = 24,
    JOBS_MAX = 64,
    SUBSETS_FIRST = 5,   /* operations of which all subsets are tried in round 0 */
    SUBSETS = 10,        /* and later */
    SAMPLES_MAX = 1000,  /* states by chance, a step and round */
    RECOVERY_EVERY = 60, /* of so many states one's recovery is explored, */
    RECOVERY_THIN = 12,  /* of whose states one in so many is checked */
    READER_EVERY = 8,    /* of so many states one is opened to read first */
    HANG_SECONDS = 300,
    DEATHS_MAX = 20
};

typedef struct shared_counts {
    atomic_uint_fast64_t distinct, in_recovery, seen_again, recoveries, violations;
} shared_counts;

typedef struct shared {
    shared_counts counts[WORKLOADS_MAX];
    atomic_uint_fast64_t distinct, violations;
    atomic_int_fast64_t next_step[ROUNDS][WORKLOADS_MAX];
    place at[JOBS_MAX];
} shared;

typedef struct explorer {
    const explorer_options *options;
    world worlds[WORKLOADS_MAX];
    bool is_recorded[WORKLOADS_MAX];
    table table;
    shared *shared;
} explorer;

typedef struct visit { /* a trace being explored by one process */
    explorer *x;
    place *at;
    const eg_engram_options *engram_options;
    history *history;
    unsigned round;
    bool in_recovery;
    uint64_t tried, new; /* states of this round */
} visit;

static bool has_stopped(const explorer *x)
{
    return x->options->stop_at_first && atomic_load(&x->shared->violations) > 0;
}

static bool has_enough(const explorer *x)
{
    return has_stopped(x) || atomic_load(&x->shared->distinct) >= x->options->states;
}

static bool is_chosen(const explorer_options *options, int index)
{
    if (options->liar.what != NULL && workloads[index].cuts)
        return false;
    return options->only < 0 || options->only == index;
}

static shared_counts *counts_of(visit *v)
{
    return &v->x->shared->counts[v->at->workload];
}

/* ---- violations ---- */

static void print_place(const explorer_options *options, const place *where)
{
    printf("  repeat: explore --workload %s --step %" PRId64 " --variant %s",
           workloads[where->workload].name, where->step,
           where->variant[0] != 0 ? where->variant : "all");
    if (where->recovery_step >= 0)
        printf(" --recovery-step %" PRId64 " --recovery-variant %s", where->recovery_step,
               where->recovery_variant[0] != 0 ? where->recovery_variant : "all");
    if (options->liar.what != NULL)
        printf(" --lie %s", options->liar.what->name);
    if (options->liar.at != 0)
        printf(" --lie-at %u", options->liar.at);
    printf("\n");
}

static void print_pending(const platter *p, const choice *choices)
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

static void save(const explorer_options *options, const image *state, uint64_t number)
{
    char path[600];
    if (options->keep == NULL)
        return;
    snprintf(path, sizeof path, "%s/%" PRIu64, options->keep, number);
    int os_error = image_save(state, options->keep);
    if (os_error == 0)
        os_error = image_save(state, path);
    printf("  the disk is in %s%s%s\n", path, os_error != 0 ? ": " : "",
           os_error != 0 ? strerror(os_error) : "");
}

static void report(visit *v, const platter *p, const choice *choices, const image *state,
                   const char *message)
{
    enum { PRINTED_MAX = 10 };
    uint64_t count = atomic_fetch_add(&v->x->shared->violations, 1);
    uint64_t own = atomic_fetch_add(&counts_of(v)->violations, 1);
    if (v->x->options->quiet || own >= PRINTED_MAX)
        return;
    printf("VIOLATION in %s at step %" PRId64 "%s: %s\n", workloads[v->at->workload].name,
           v->at->step, v->in_recovery ? ", in its recovery" : "", message);
    print_place(v->x->options, v->at);
    print_pending(p, choices);
    save(v->x->options, state, count + 1);
    fflush(stdout);
}

/* ---- a state ---- */

static void explore_recovery(visit *v, const image *state, int64_t step);

/* The same each time, so that a recovery's trace can be repeated. */
static bool run_check(check *c, image *state)
{
    fixed_world_reset(1000);
    alarm(HANG_SECONDS);
    bool ok = check_run(c, state);
    alarm(0);
    return ok;
}

/* The model does not say what exactly is in a loose commit; but it is the same each time. */
static bool learn(history *h, check *c)
{
    commit *found = &h->commits[c->matched];
    if (found->is_loose && found->digest == 0)
        found->digest = c->digest;
    if (!found->is_loose || found->digest == c->digest)
        return true;
    snprintf(c->message, sizeof c->message, "version %" PRId64 " is not what it was elsewhere",
             found->version);
    return false;
}

static bool check_state(visit *v, const platter *p, const choice *choices, image *state,
                        uint64_t hash, table_slot *slot)
{
    check c = {.history = v->history,
               .step = (int64_t)p->step,
               .options = *v->engram_options,
               .read_only_first = hash / 3 % READER_EVERY == 0};
    image copy = image_copy(state);
    bool ok = run_check(&c, &copy) && learn(v->history, &c);
    if (!ok)
        report(v, p, choices, state, c.message);
    atomic_store(&slot->digest, ok ? c.digest : DIGEST_BAD);
    return ok;
}

static void note_place(visit *v, const platter *p, const choice *choices)
{
    if (v->in_recovery) {
        v->at->recovery_step = (int64_t)p->step;
        choices_format(choices, p->pending_count, v->at->recovery_variant, VARIANT_TEXT);
    } else {
        v->at->step = (int64_t)p->step;
        v->at->recovery_step = -1;
        choices_format(choices, p->pending_count, v->at->variant, VARIANT_TEXT);
    }
}

/* Counts a state that nobody had before. */
static void count_new(visit *v)
{
    v->new ++;
    atomic_fetch_add(&v->x->shared->distinct, 1);
    atomic_fetch_add(&counts_of(v)->distinct, 1);
    if (v->in_recovery)
        atomic_fetch_add(&counts_of(v)->in_recovery, 1);
}

static bool is_wanted(const visit *v, uint64_t hash)
{
    uint64_t thin = v->x->options->thin * (v->in_recovery ? RECOVERY_THIN : 1);
    return (hash ^ v->x->options->seed) % thin == 0;
}

static bool visit_state(void *context, const platter *p, const choice *choices)
{
    visit *v = context;
    image state = platter_cut(p, choices);
    uint64_t hash = image_hash(&state) + (uint64_t)v->at->workload * 0x9e3779b97f4a7c15u;
    bool is_new = false;
    hash += hash == 0;
    v->tried++;
    table_slot *slot = is_wanted(v, hash) ? table_claim(&v->x->table, hash, &is_new) : NULL;
    if (slot != NULL) {
        uint64_t digest = atomic_load(&slot->digest);
        note_place(v, p, choices);
        if (is_new)
            count_new(v);
        bool is_fine =
            digest == DIGEST_BAD || history_allows_digest(v->history, (int64_t)p->step, digest);
        if (is_new || !is_fine) {
            bool ok = check_state(v, p, choices, &state, hash, slot);
            if (ok && is_new && !v->in_recovery && hash / 7 % RECOVERY_EVERY == 0)
                explore_recovery(v, &state, (int64_t)p->step);
        } else {
            atomic_fetch_add(&counts_of(v)->seen_again, 1);
        }
    }
    image_fini(&state);
    return v->round == 0 ? !has_stopped(v->x) : !has_enough(v->x);
}

/* ---- recovery ---- */

/* What may be found when a recovery begins: what might be found before it. Indices stay. */
static void begin_history(history *h, const history *from, int64_t step)
{
    *h = (history){0};
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
static bool record_recovery(const eg_engram_options *options, const history *before,
                            const image *state, int64_t step, trace *t, history *h)
{
    check c = {.history = before, .step = step, .options = *options, .record = t, .recorded = h};
    image copy = image_copy(state);
    trace_init(t, state);
    begin_history(h, before, step);
    return run_check(&c, &copy);
}

static void explore_recovery(visit *v, const image *state, int64_t step)
{
    trace t;
    history h;
    if (record_recovery(v->engram_options, v->history, state, step, &t, &h)) {
        visit inner = *v;
        platter p;
        inner.history = &h;
        inner.in_recovery = true;
        platter_init(&p, &t);
        while (p.step < t.count && !has_enough(v->x)) {
            platter_advance(&p);
            uint64_t seed = v->x->options->seed + p.step + (uint64_t)step * 7919;
            if (variants_planned(&p, visit_state, &inner))
                variants_random(&p, seed, 40, visit_state, &inner);
        }
        platter_fini(&p);
        v->at->recovery_step = -1;
        atomic_fetch_add(&counts_of(v)->recoveries, 1);
    }
    trace_fini(&t);
    history_fini(&h);
}

/* ---- rounds ---- */

static void explore_step(visit *v, const platter *p)
{
    if (v->round == 0) {
        if (variants_planned(p, visit_state, v))
            variants_subsets(p, SUBSETS_FIRST, visit_state, v);
        return;
    }
    uint64_t samples = UINT64_C(8) << v->round;
    uint64_t seed = v->x->options->seed * 1000003 + v->round * 10007 + p->step;
    if (v->round == 1)
        variants_subsets(p, SUBSETS, visit_state, v);
    variants_random(p, seed, samples < SAMPLES_MAX ? samples : SAMPLES_MAX, visit_state, v);
}

static void explore_workload(explorer *x, visit *v, int index)
{
    world *w = &x->worlds[index];
    platter p;
    platter_init(&p, &w->trace);
    v->at->workload = index;
    v->history = &w->history;
    v->engram_options = &w->options;
    for (;;) {
        int64_t step = atomic_fetch_add(&x->shared->next_step[v->round][index], 1);
        step += w->steps_from + 1;
        bool enough = v->round == 0 ? has_stopped(x) : has_enough(x);
        if (step > (int64_t)w->trace.count || enough)
            break;
        while ((int64_t)p.step < step)
            platter_advance(&p);
        explore_step(v, &p);
    }
    platter_fini(&p);
}

static void work(explorer *x, place *at)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        visit v = {.x = x, .at = at, .round = round};
        for (int i = 0; i < (int)workload_count; i++)
            if (x->is_recorded[i])
                explore_workload(x, &v, i);
        /* Hardly anything new: the traces are exhausted. */
        if (has_enough(x) || (round > 2 && v.new * 1000 < v.tried))
            break;
    }
}

/* ---- processes ---- */

static pid_t start_worker(explorer *x, unsigned index)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    work(x, &x->shared->at[index]);
    fflush(stdout);
    _exit(0);
}

static void note_death(explorer *x, const place *at, int status)
{
    atomic_fetch_add(&x->shared->violations, 1);
    atomic_fetch_add(&x->shared->counts[at->workload].violations, 1);
    printf("VIOLATION in %s at step %" PRId64 ": the process died of %s\n",
           workloads[at->workload].name, at->step,
           WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "an exit");
    print_place(x->options, at);
}

static void run_workers(explorer *x)
{
    pid_t pids[JOBS_MAX] = {0};
    unsigned jobs = x->options->jobs < JOBS_MAX ? x->options->jobs : JOBS_MAX, deaths = 0;
    for (unsigned i = 0; i < jobs; i++)
        pids[i] = start_worker(x, i);
    for (unsigned left = jobs; left > 0;) {
        int status;
        pid_t pid = wait(&status);
        unsigned i = 0;
        while (i < jobs && pids[i] != pid)
            i++;
        if (i == jobs)
            continue;
        left--;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
            continue;
        note_death(x, &x->shared->at[i], status);
        if (++deaths > DEATHS_MAX || x->options->stop_at_first)
            continue;
        pids[i] = start_worker(x, i);
        left++;
    }
}

static void note_failure(explorer *x, int index)
{
    atomic_fetch_add(&x->shared->violations, 1);
    atomic_fetch_add(&x->shared->counts[index].violations, 1);
    if (!x->options->quiet)
        printf("VIOLATION in %s: it cannot be recorded: %s\n", workloads[index].name,
               x->worlds[index].failure);
}

static void record_all(explorer *x)
{
    for (int i = 0; i < (int)workload_count; i++) {
        liar l = x->options->liar;
        if (!is_chosen(x->options, i))
            continue;
        fixed_world_reset((uint64_t)i + 1);
        x->is_recorded[i] = world_record(&x->worlds[i], &workloads[i], liar_ask, &l);
        if (!x->is_recorded[i])
            note_failure(x, i);
    }
}

static void take_counts(const shared_counts *from, explorer_counts *to, explorer_counts *sum)
{
    *to = (explorer_counts){atomic_load(&from->distinct), atomic_load(&from->in_recovery),
                            atomic_load(&from->seen_again), atomic_load(&from->recoveries),
                            atomic_load(&from->violations)};
    sum->distinct += to->distinct;
    sum->in_recovery += to->in_recovery;
    sum->seen_again += to->seen_again;
    sum->recoveries += to->recoveries;
    sum->violations += to->violations;
}

void explorer_run(const explorer_options *options, explorer_report *result)
{
    explorer *x = crash_alloc(sizeof *x);
    memset(x, 0, sizeof *x);
    memset(result, 0, sizeof *result);
    x->options = options;
    x->shared = shared_memory(sizeof *x->shared);
    table_init(&x->table, options->states > 200000 ? options->states : 200000);
    record_all(x);
    run_workers(x);
    for (size_t i = 0; i < workload_count; i++) {
        result->steps[i] = (int64_t)x->worlds[i].trace.count - x->worlds[i].steps_from;
        take_counts(&x->shared->counts[i], &result->by_workload[i], &result->all);
        if (x->worlds[i].disk != NULL)
            world_fini(&x->worlds[i]);
    }
    shared_memory_free(x->shared, sizeof *x->shared);
    table_fini(&x->table);
    free(x);
}

/* ---- one state again ---- */

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
        print_pending(&p, choices);
        image_print(&state);
        if (deeper == NULL)
            save(options, &state, 0);
        ok = run_check(&c, &copy);
        printf("  %s\n", ok ? "as it should be" : c.message);
        if (ok)
            printf("  version %" PRId64 "\n", h->commits[c.matched].version);
        if (ok && deeper != NULL) {
            trace inner;
            history inner_history;
            ok = record_recovery(engram_options, h, &state, step, &inner, &inner_history) &&
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
    bool ok = world_record(&w, &workloads[where->workload], liar_ask, &l);
    if (ok)
        ok = replay_at(options, &w.trace, &w.history, &w.options, where->step, where->variant,
                       where->recovery_step >= 0 ? where : NULL);
    else
        printf("it cannot be recorded: %s\n", w.failure);
    world_fini(&w);
    return ok;
}
