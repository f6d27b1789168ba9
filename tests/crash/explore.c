/* explore: what power cuts leave of an engram, tried out. See trace.h for the model. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "crash/explorer.h"
#include "crash/fixed_world.h"
#include "crash/util.h"

static const char usage[] =
    "usage: explore [--states N] [--seed S] [--workload NAME] [--jobs N] [--thin N]\n"
    "               [--keep DIR] [--lie NAME [--lie-at N]]\n"
    "       explore --workload NAME --step S --variant V [--killed] [--recovery-step S "
    "--recovery-variant V]\n"
    "       explore --mutants [--states N]\n"
    "       explore --list [--workload NAME]\n"
    "\n"
    "Records workloads on a disk in memory, rebuilds what a power cut could leave at each step, "
    "and\n"
    "opens it. Exit code 0: everything was as it should be; 1: violations; 2: wrong usage.\n"
    "\n"
    "  --states N    distinct states to try (20000)\n"
    "  --thin N      one in N of the planned states (1)\n"
    "  --keep DIR    save the disks of violations, or the one that is repeated\n"
    "  --lie NAME    the disk lies about a kind of sync; --lie-at N: only about the N-th such "
    "call\n"
    "  --mutants     each kind of lie in turn, told at all calls and only at the first, second "
    "and\n"
    "                third: all must be found out; shows by which workload\n"
    "  --list        the workloads and lies; with --workload its operations\n";

static int find_workload(const char *name)
{
    for (size_t i = 0; i < workload_count; i++)
        if (strcmp(workloads[i].name, name) == 0)
            return (int)i;
    fprintf(stderr, "explore: no workload %s\n", name);
    exit(2);
}

static const named_lie *find_lie(const char *name)
{
    const named_lie *found = named_lie_find(name);
    if (found == NULL) {
        fprintf(stderr, "explore: no lie %s\n", name);
        exit(2);
    }
    return found;
}

typedef struct arguments {
    explorer_options options;
    place where; /* step -1: none */
    bool mutants, list;
} arguments;

static bool read_option(arguments *a, const char *name, const char *value)
{
    uint64_t number = strtoull(value, NULL, 0);
    if (strcmp(name, "--states") == 0)
        a->options.states = number;
    else if (strcmp(name, "--seed") == 0)
        a->options.seed = number;
    else if (strcmp(name, "--thin") == 0)
        a->options.thin = number > 0 ? number : 1;
    else if (strcmp(name, "--jobs") == 0)
        a->options.jobs = number > 0 ? (unsigned)number : 1;
    else if (strcmp(name, "--workload") == 0)
        a->options.only = a->where.workload = find_workload(value);
    else if (strcmp(name, "--keep") == 0)
        a->options.keep = value;
    else if (strcmp(name, "--lie") == 0)
        a->options.liar.what = find_lie(value);
    else if (strcmp(name, "--lie-at") == 0)
        a->options.liar.at = (unsigned)number;
    else if (strcmp(name, "--step") == 0)
        a->where.step = (int64_t)number;
    else if (strcmp(name, "--variant") == 0)
        crash_text(a->where.variant, sizeof a->where.variant, value);
    else if (strcmp(name, "--recovery-step") == 0)
        a->where.recovery_step = (int64_t)number;
    else if (strcmp(name, "--recovery-variant") == 0)
        crash_text(a->where.recovery_variant, sizeof a->where.recovery_variant, value);
    else
        return false;
    return true;
}

static void read_arguments(arguments *a, int argc, char **argv)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    a->options = (explorer_options){
        .states = 20000, .seed = 1, .thin = 1, .jobs = cores > 0 ? (unsigned)cores : 1, .only = -1};
    a->where =
        (place){.step = -1, .recovery_step = -1, .variant = "all", .recovery_variant = "all"};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--mutants") == 0)
            a->mutants = true;
        else if (strcmp(argv[i], "--list") == 0)
            a->list = true;
        else if (strcmp(argv[i], "--killed") == 0)
            a->where.is_killed = true;
        else if (i + 1 < argc && read_option(a, argv[i], argv[i + 1]))
            i++;
        else {
            fputs(usage, stderr);
            exit(2);
        }
    }
}

static void print_trace(const arguments *a)
{
    world w;
    liar l = a->options.liar;
    char text[200];
    fixed_world_reset((uint64_t)a->options.only + 1);
    if (!world_record(&w, &workloads[a->options.only], &l))
        printf("cannot be recorded: %s\n", w.failure);
    platter p;
    platter_init(&p, &w.trace);
    for (size_t i = 0; i < w.trace.count; i++) {
        platter_advance(&p);
        op_print(&w.trace.ops[i], text, sizeof text);
        printf("%4zu %3zu pending  %s\n", i + 1, p.pending_count, text);
    }
    platter_fini(&p);
    world_fini(&w);
}

static int list(const arguments *a)
{
    if (a->options.only >= 0) {
        print_trace(a);
        return 0;
    }
    printf("workloads:\n");
    for (size_t i = 0; i < workload_count; i++)
        printf("  %-16s %s\n", workloads[i].name, workloads[i].about);
    printf("lies:\n");
    for (size_t i = 0; i < named_lie_count; i++)
        printf("  %-16s %s\n", named_lies[i].name, named_lies[i].about);
    return 0;
}

static int explore(const arguments *a)
{
    explorer_report report;
    printf("seed %" PRIu64 "\n", a->options.seed);
    explorer_run(&a->options, &report);
    printf("%-16s %6s %9s %12s %11s %11s %10s\n", "workload", "steps", "distinct", "in recovery",
           "recoveries", "seen again", "violations");
    for (size_t i = 0; i < workload_count; i++) {
        const explorer_counts *c = &report.by_workload[i];
        if (a->options.only < 0 || a->options.only == (int)i)
            printf("%-16s %6" PRId64 " %9" PRIu64 " %12" PRIu64 " %11" PRIu64 " %11" PRIu64
                   " %10" PRIu64 "\n",
                   workloads[i].name, report.steps[i], c->distinct, c->in_recovery, c->recoveries,
                   c->seen_again, c->violations);
    }
    printf("%" PRIu64 " distinct states, %" PRIu64 " of them in %" PRIu64 " recoveries; %" PRIu64
           " violations\n",
           report.all.distinct, report.all.in_recovery, report.all.recoveries,
           report.all.violations);
    return report.all.violations == 0 ? 0 : 1;
}

/* Which workload found the lie out, told at the n-th call of its kind (0: at all); NULL: none. */
static const char *find_out(arguments *a, const named_lie *what, unsigned at)
{
    explorer_report report;
    a->options.liar = (liar){.what = what, .at = at};
    explorer_run(&a->options, &report);
    for (size_t i = 0; i < workload_count; i++)
        if (report.by_workload[i].violations > 0)
            return workloads[i].name;
    return NULL;
}

static bool run_mutant(arguments *a, const named_lie *what)
{
    enum { CALLS = 4 };
    unsigned missed = 0;
    printf("%-16s", what->name);
    for (unsigned at = 0; at < CALLS; at++) {
        const char *finder = find_out(a, what, at);
        missed += finder == NULL;
        printf(" %u: %-14s", at, finder != NULL ? finder : "MISSED");
        fflush(stdout);
    }
    printf(" %s\n", what->about);
    return missed == 0;
}

/* Every lie must be found out, be it told always or once. */
static int run_mutants(arguments *a)
{
    const named_lie *only = a->options.liar.what;
    bool all_found = true;
    a->options.stop_at_first = true;
    a->options.quiet = true;
    for (size_t i = 0; i < named_lie_count; i++)
        if (only == NULL || only == &named_lies[i])
            all_found &= run_mutant(a, &named_lies[i]);
    return all_found ? 0 : 1;
}

int main(int argc, char **argv)
{
    arguments a = {.list = false};
    read_arguments(&a, argc, argv);
    eg_log_set_level(EG_LOG_ERROR);
    if (a.list)
        return list(&a);
    if (a.mutants)
        return run_mutants(&a);
    if (a.where.step < 0)
        return explore(&a);
    if (a.options.only < 0) {
        fputs(usage, stderr);
        return 2;
    }
    return explorer_replay(&a.options, &a.where) ? 0 : 1;
}
