/* The oracle: see campaign.h. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/temp_dir.h"
#include "engram/core.h"
#include "kill/campaign.h"

enum {
    KILLS_PER_ENGRAM = 150, /* then a new one: nothing is collected yet, it would grow for ever */
    VERIFY_ALL_EVERY = 10,
    POINT_WAIT_MS = 400,
    HANGS_AFTER_MS = 60000
};

typedef struct totals {
    uint64_t kills, at_points, while_opening, checkers_killed, acknowledged, checked_all,
        begun_there;
} totals;

typedef struct arguments {
    uint64_t kills, seed;
    const char *dir;
    bool lies;
} arguments;

static uint64_t draw(campaign *c, uint64_t limit)
{
    return load_draw(&c->random) % limit;
}

static void pause_us(uint64_t us)
{
    nanosleep(&(struct timespec){.tv_sec = (time_t)(us / 1000000),
                                 .tv_nsec = (long)(us % 1000000) * 1000},
              NULL);
}

/* ---- engrams ---- */

static bool make_engram(campaign *c)
{
    engram_error error = {0};
    struct engram *e = NULL;
    char chunk[32];
    snprintf(chunk, sizeof chunk, "fixed:%d", LOAD_CHUNK);
    const engram_retention few = {.every_s = 0, .last = 6};
    bool ok =
        engram_create(c->dir, &(engram_format){.chunk = chunk, .level = 1}, &error) == ENGRAM_OK &&
        engram_open(c->dir, NULL, &e, &error) == ENGRAM_OK &&
        load_prepare(e, c->loads, WRITERS, &error) == ENGRAM_OK &&
        engram_set_retention(e, &few, &error) == ENGRAM_OK;
    if (engram_close(&e, &error) != ENGRAM_OK || !ok)
        fprintf(stderr, "kill_campaign: %s\n", error.message);
    return ok && error.status == ENGRAM_OK;
}

static void remove_engram(const campaign *c)
{
    temp_dir dir;
    snprintf(dir.path, sizeof dir.path, "%s", c->dir);
    temp_dir_fini(&dir);
}

static void start_loads(campaign *c)
{
    for (int i = 0; i < WRITERS; i++) {
        char name[16];
        snprintf(name, sizeof name, "w%d", i);
        load_init(&c->loads[i], name, load_draw(&c->random));
    }
    c->version = 0;
}

static void end_loads(campaign *c)
{
    for (int i = 0; i < WRITERS; i++)
        load_fini(&c->loads[i]);
}

/* ---- processes ---- */

static kill_point draw_point(campaign *c)
{
    kill_point p = {.call =
                        draw(c, 3) == 0 ? (kill_call)draw(c, KILL_CALLS) : (kill_call)draw(c, 2),
                    .place = (kill_place)draw(c, KILL_PLACES),
                    .when = (kill_when)draw(c, KILL_WHENS)};
    p.n = 1 + draw(c, (uint64_t)1 << draw(c, 8)); /* as likely one of the first as a later one */
    return p;
}

static void clear_board(board *b)
{
    for (int i = 0; i < WRITERS; i++) {
        atomic_store(&b->writers[i].begun, 0);
        atomic_store(&b->writers[i].acknowledged, 0);
    }
    atomic_store(&b->opened, false);
    atomic_store(&b->checked, false);
}

/* Whether the process ended within the time. */
static bool has_ended(pid_t pid, uint64_t wait_us, int *how)
{
    const uint64_t step = 200;
    for (uint64_t waited = 0; waitpid(pid, how, WNOHANG) == 0; waited += step) {
        if (waited >= wait_us)
            return false;
        pause_us(step);
    }
    return true;
}

/* *how as waitpid. False: it had ended by itself. */
static bool kill_now(pid_t pid, int *how)
{
    kill(pid, SIGKILL);
    waitpid(pid, how, 0);
    return WIFSIGNALED(*how) && WTERMSIG(*how) == SIGKILL;
}

static bool was_killed(int how)
{
    return WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL;
}

/* Runs a worker until it is dead. False when it died of something else. */
static bool run_worker(campaign *c, totals *t)
{
    bool at_point = draw(c, 2) == 0, early = draw(c, 5) == 0, verifies_beside = draw(c, 4) == 0;
    kill_point point = at_point ? draw_point(c) : (kill_point){0};
    uint64_t after_us = draw(c, draw(c, 4) == 0 ? 80000 : 15000);
    int how = 0;
    clear_board(c->board);
    pid_t pid = fork();
    if (pid == 0)
        worker_main(c, &point, verifies_beside);
    if (pid < 0)
        return false;
    for (int i = 0; i < HANGS_AFTER_MS && !early && !at_point && !atomic_load(&c->board->opened) &&
                    !has_ended(pid, 0, &how);
         i++)
        pause_us(1000);
    bool ended = WIFSIGNALED(how) || WIFEXITED(how) ? how != 0 : false;
    if (!ended)
        ended = has_ended(pid, at_point ? POINT_WAIT_MS * 1000 : after_us, &how);
    if (!ended)
        kill_now(pid, &how);
    t->kills++;
    t->at_points += at_point && ended;
    t->while_opening += !atomic_load(&c->board->opened);
    if (was_killed(how))
        return true;
    fprintf(stderr, "kill_campaign: the worker ended by itself (%d): %s\n", how,
            atomic_load(&c->board->has_failed) ? c->board->why : "no reason known");
    return false;
}

/* What was acknowledged becomes the loads' state. */
static void take_acknowledged(campaign *c, totals *t)
{
    for (int i = 0; i < WRITERS; i++) {
        writer_board *b = &c->board->writers[i];
        uint64_t count = atomic_load(&b->acknowledged);
        for (uint64_t j = 0; j < count; j++) {
            load_step step;
            load_plan(&c->loads[i], &step);
            load_apply(&c->loads[i], &step, b->versions[j]);
        }
        t->acknowledged += count;
    }
}

/* Forks checkers until one was not killed at its own point. */
static bool run_checker(campaign *c, totals *t)
{
    bool all = t->kills % VERIFY_ALL_EVERY == 0;
    for (int tries = 0;; tries++) {
        check_plan plan = {.all = all, .closes = draw(c, 2) == 0};
        if (tries < 3 && draw(c, 4) == 0)
            plan.point = draw_point(c);
        int how = 0;
        pid_t pid = fork();
        if (pid == 0)
            checker_main(c, &plan);
        if (pid < 0)
            return false;
        if (!has_ended(pid, (uint64_t)HANGS_AFTER_MS * 1000, &how)) {
            kill_now(pid, &how);
            fprintf(stderr, "kill_campaign: the checker hangs\n");
            return false;
        }
        if (atomic_load(&c->board->checked))
            break; /* also if it was killed while closing */
        if (was_killed(how) && plan.point.n != 0) {
            t->checkers_killed++;
            continue;
        }
        fprintf(stderr, "kill_campaign: the checker found (%d): %s\n", how,
                atomic_load(&c->board->has_failed) ? c->board->why : "no reason known");
        return false;
    }
    t->checked_all += all;
    return true;
}

static void take_begun(campaign *c, totals *t)
{
    for (int i = 0; i < WRITERS; i++) {
        load_step step;
        if (!c->board->took_begun[i])
            continue;
        load_plan(&c->loads[i], &step);
        load_apply(&c->loads[i], &step, 0);
        t->begun_there++;
    }
    c->version = c->board->version;
}

/* ---- the campaign ---- */

static bool run_one_engram(campaign *c, totals *t, uint64_t kills)
{
    bool ok = true;
    start_loads(c);
    remove_engram(c);
    ok = make_engram(c);
    for (uint64_t i = 0; i < kills && ok; i++) {
        uint64_t seed = c->random;
        ok = run_worker(c, t);
        if (ok) {
            take_acknowledged(c, t);
            ok = run_checker(c, t);
        }
        if (ok)
            take_begun(c, t);
        else
            fprintf(stderr,
                    "kill_campaign: kill %" PRIu64 " of this engram, random state %" PRIu64 "\n",
                    i + 1, seed);
    }
    end_loads(c);
    return ok;
}

static void read_arguments(arguments *a, int argc, char **argv)
{
    *a = (arguments){.kills = 80, .seed = 1};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--lie") == 0)
            a->lies = true;
        else if (strcmp(argv[i], "--kills") == 0 && i + 1 < argc)
            a->kills = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            a->seed = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--dir") == 0 && i + 1 < argc)
            a->dir = argv[++i];
        else {
            fprintf(stderr, "usage: kill_campaign [--kills N] [--seed S] [--dir DIR] [--lie]\n");
            exit(2);
        }
    }
}

static void report(const arguments *a, const totals *t, const campaign *c, bool ok)
{
    printf("seed %" PRIu64 ": %" PRIu64 " kills (%" PRIu64 " at named points, %" PRIu64
           " while opening, %" PRIu64 " of checkers beside them), %" PRIu64
           " commits acknowledged, %" PRIu64 " begun and there, everything verified %" PRIu64
           " times, %s\n",
           a->seed, t->kills, t->at_points, t->while_opening, t->checkers_killed, t->acknowledged,
           t->begun_there, t->checked_all,
           ok               ? "0 lost"
           : c->board->lost ? "acknowledged commits were LOST"
                            : "FAILED");
}

int main(int argc, char **argv)
{
    arguments a;
    temp_dir temp;
    totals t = {0};
    char dir[600];
    bool ok = true;
    read_arguments(&a, argc, argv);
    if (a.dir == NULL && temp_dir_init(&temp) != 0)
        return 1;
    if (a.dir != NULL && mkdir(a.dir, 0777) != 0 && errno != EEXIST)
        return 1;
    snprintf(dir, sizeof dir, "%s/kill.engram", a.dir != NULL ? a.dir : temp.path);
    campaign c = {.dir = dir, .random = a.seed, .lies = a.lies};
    c.board =
        mmap(NULL, sizeof *c.board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (c.board == MAP_FAILED)
        return 1;
    while (ok && t.kills < a.kills) {
        uint64_t left = a.kills - t.kills;
        ok = run_one_engram(&c, &t, left < KILLS_PER_ENGRAM ? left : KILLS_PER_ENGRAM);
    }
    report(&a, &t, &c, ok);
    if (ok || a.lies) /* what went wrong stays to be looked at */
        remove_engram(&c);
    if (a.dir == NULL && (ok || a.lies))
        temp_dir_fini(&temp);
    return a.lies ? !(c.board->lost && !ok) : !ok;
}
