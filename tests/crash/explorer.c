/* All workloads are recorded first. Then processes, forked from there, share out the steps of their
 * traces round by round: in round 0 the planned variants and the subsets of few operations, later
 * ever more states drawn by chance, until enough distinct ones were seen. A state is checked once;
 * when it comes again at another step, only whether what was found in it may be found there too.
 *
 * Of some states the recovery itself is recorded, and its steps are explored in the same way, once
 * more and no deeper. The same is done at some steps as if the process had died there and not the
 * power: what was pending then is so for the recovery too. A process that dies is a violation at
 * the place where it was. */
#include "crash/explorer.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crash/fixed_world.h"
#include "crash/replay.h"
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
    KILL_EVERY = 7,    /* at one step in so many also the process dies: what is pending still is */
    PENDING_MUCH = 16, /* where more is pending, the states of a step are thinned */
    READER_EVERY = 8,  /* of so many states one is opened to read first */
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
    uint64_t number;     /* of states offered at this step */
} visit;

static bool has_stopped(const explorer *x)
{
    return x->options->stop_at_first && atomic_load(&x->shared->violations) > 0;
}

static bool has_enough(const explorer *x)
{
    return has_stopped(x) || atomic_load(&x->shared->distinct) >= x->options->states;
}

/* What is planned is tried in any case. */
static bool is_over(const visit *v)
{
    return v->round == 0 ? has_stopped(v->x) : has_enough(v->x);
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
    place_print(v->x->options, v->at);
    replay_print_pending(p, choices);
    replay_save(v->x->options, state, count + 1);
    replay_save_trace(v->x->options, &v->x->worlds[v->at->workload].trace, (size_t)v->at->step,
                      "trace", count + 1);
    if (v->in_recovery)
        replay_save_trace(v->x->options, p->trace, p->step, "recovery", count + 1);
    fflush(stdout);
}

/* ---- a state ---- */

static void explore_recovery(visit *v, const image *state, int64_t step);

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
    bool ok = replay_check(&c, &copy) && learn(v->history, &c);
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

/* Chosen by number and not by what they are, since states are costly to make. */
static bool is_left_out(visit *v, const platter *p)
{
    uint64_t much = 1 + p->pending_count / PENDING_MUCH;
    uint64_t thin = v->x->options->thin * (v->in_recovery ? RECOVERY_THIN : 1) * much;
    uint64_t draw = v->x->options->seed * 1000003 + p->step * 10007 + v->number++;
    return thin > 1 && crash_random(&draw) % thin != 0;
}

static bool visit_state(void *context, const platter *p, const choice *choices)
{
    visit *v = context;
    if (is_left_out(v, p))
        return true;
    image state = platter_cut(p, choices);
    uint64_t hash = image_hash(&state) + (uint64_t)v->at->workload * 0x9e3779b97f4a7c15u;
    bool is_new = false;
    hash += hash == 0;
    v->tried++;
    table_slot *slot = table_claim(&v->x->table, hash, &is_new);
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
    return !is_over(v);
}

/* ---- recovery ---- */

/* Explores from the first step of a trace on. */
static void explore_trace(visit *v, const trace *t, history *h, size_t first, int64_t step)
{
    visit inner = *v;
    platter p;
    inner.history = h;
    inner.in_recovery = true;
    platter_init(&p, t);
    while (p.step < t->count && !is_over(v)) {
        platter_advance(&p);
        uint64_t seed = v->x->options->seed + p.step + (uint64_t)step * 7919;
        inner.number = 0;
        if (p.step > first && variants_planned(&p, visit_state, &inner))
            variants_random(&p, seed, 40, visit_state, &inner);
    }
    platter_fini(&p);
    v->at->recovery_step = -1;
    atomic_fetch_add(&counts_of(v)->recoveries, 1);
}

static void explore_recovery(visit *v, const image *state, int64_t step)
{
    trace t;
    history h;
    trace_init(&t, state);
    if (replay_record_recovery(v->engram_options, v->history, state, step, &t, &h))
        explore_trace(v, &t, &h, 0, step);
    trace_fini(&t);
    history_fini(&h);
}

static void explore_kill(visit *v, const platter *p)
{
    trace t;
    history h;
    image all;
    size_t first = replay_begin_kill(p, &t, &all);
    v->at->step = (int64_t)p->step;
    v->at->is_killed = true;
    crash_text(v->at->variant, VARIANT_TEXT, "all");
    if (replay_record_recovery(v->engram_options, v->history, &all, (int64_t)p->step, &t, &h))
        explore_trace(v, &t, &h, first, (int64_t)p->step);
    v->at->is_killed = false;
    image_fini(&all);
    trace_fini(&t);
    history_fini(&h);
}

/* ---- rounds ---- */

static void explore_step(visit *v, const platter *p)
{
    v->number = 0;
    if ((p->step + v->x->options->seed + v->round) % KILL_EVERY == 0)
        explore_kill(v, p);
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
        if (step > (int64_t)w->trace.count || is_over(v))
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
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* not to outlive a parent that was stopped */
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
    place_print(x->options, at);
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
        x->is_recorded[i] = world_record(&x->worlds[i], &workloads[i], &l);
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
