/* Replays the commits in the order of their versions. */
#include <stdlib.h>
#include <string.h>

#include "linear/linear.h"

typedef struct checker {
    const event **commits, **reads; /* by version, by the version that was pinned */
    size_t commit_count, read_count;
    uint64_t state[LINEAR_FILES];
} checker;

static int by_version(const void *a, const void *b)
{
    const event *x = *(const event *const *)a, *y = *(const event *const *)b;
    return x->version < y->version ? -1 : x->version > y->version;
}

static int by_base(const void *a, const void *b)
{
    const event *x = *(const event *const *)a, *y = *(const event *const *)b;
    return x->base < y->base ? -1 : x->base > y->base;
}

static bool saw_the_state(const checker *c, const event *e)
{
    for (unsigned file = 0; file < LINEAR_FILES; file++)
        if ((e->read & UINT64_C(1) << file) && e->seen[file] != c->state[file])
            return false;
    return true;
}

static const char *replay(checker *c)
{
    size_t read = 0;
    for (size_t i = 0; i <= c->commit_count; i++) {
        uint64_t next = i < c->commit_count ? c->commits[i]->version : UINT64_MAX;
        for (; read < c->read_count && c->reads[read]->base < next; read++)
            if (!saw_the_state(c, c->reads[read]))
                return "a pinned version did not show what had been committed up to it";
        if (i == c->commit_count)
            break;
        const event *e = c->commits[i];
        if (i > 0 && e->version == c->commits[i - 1]->version)
            return "two commits made the same version";
        if (e->version <= e->base)
            return "a commit made a version that is not newer than its base";
        if (!saw_the_state(c, e))
            return "a committed transaction had seen something else than the state before it";
        for (unsigned file = 0; file < LINEAR_FILES; file++)
            if (e->wrote & UINT64_C(1) << file)
                c->state[file] = e->written[file];
    }
    return NULL;
}

typedef struct moment { /* an event begins, or a commit has returned */
    uint64_t at, version;
    bool begins;
} moment;

static int by_time(const void *a, const void *b)
{
    const moment *x = a, *y = b;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return x->begins - y->begins;
}

/* Nobody starts from a version older than one whose commit had returned before. */
static const char *check_time(const history *h)
{
    moment *all = malloc((2 * h->count + 1) * sizeof *all);
    size_t count = 0;
    uint64_t newest = 0;
    const char *wrong = all == NULL ? "out of memory" : NULL;
    for (size_t i = 0; wrong == NULL && i < h->count; i++) {
        const event *e = &h->events[i];
        all[count++] = (moment){e->begin, e->base, true};
        if (e->is_commit)
            all[count++] = (moment){e->end, e->version, false};
    }
    if (count != 0)
        qsort(all, count, sizeof *all, by_time);
    for (size_t i = 0; wrong == NULL && i < count; i++) {
        if (!all[i].begins && all[i].version > newest)
            newest = all[i].version;
        /* A moment has the clock's grain: only what lies strictly before counts. */
        if (all[i].begins && all[i].version < newest)
            wrong = "a version was pinned that is older than one committed before";
    }
    free(all);
    return wrong;
}

const char *history_check(const history *h)
{
    checker c = {.commits = malloc((h->count + 1) * sizeof *c.commits),
                 .reads = malloc((h->count + 1) * sizeof *c.reads)};
    const char *wrong = c.commits == NULL || c.reads == NULL ? "out of memory" : NULL;
    for (size_t i = 0; wrong == NULL && i < h->count; i++) {
        if (h->events[i].is_commit)
            c.commits[c.commit_count++] = &h->events[i];
        else
            c.reads[c.read_count++] = &h->events[i];
    }
    if (c.commit_count != 0)
        qsort(c.commits, c.commit_count, sizeof *c.commits, by_version);
    if (c.read_count != 0)
        qsort(c.reads, c.read_count, sizeof *c.reads, by_base);
    if (wrong == NULL)
        wrong = replay(&c);
    if (wrong == NULL)
        wrong = check_time(h);
    free(c.commits);
    free(c.reads);
    return wrong;
}
