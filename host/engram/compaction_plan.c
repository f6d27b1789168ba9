/* What a compaction does, decided from figures alone.
 *
 * EG_COLLECT writes segments anew of which garbage takes a share that is worth it, and merges those of them that are
 * neighbours. EG_COMPACT merges neighbours as far as they go, and what older programs sealed, whose vectors it puts in planes. EG_LEVELS, which runs by itself, merges four neighbours of
 * a level into one of the next. A new segment has at most EG_MERGE_BYTES_MAX. What has the newest chunks goes first:
 * bases are older than what rests on them, mostly, and can go once that has gone or is encoded anew. */
#include "base/memory.h"
#include "base/status.h"
#include "engram/internal.h"

enum { LEVEL_MAX = 15 };

typedef struct planning {
    eg_compaction what;
    double garbage;
    const eg_share *shares;
    size_t count;
    eg_run *runs;
    size_t run_count, capacity;
} planning;

static bool has_garbage(const planning *p, const eg_share *s)
{
    uint64_t bytes = s->doomed_bytes + s->bound_bytes;
    return bytes > 0 && (double)bytes >= p->garbage * (double)s->bytes;
}

static uint64_t left_of(const eg_share *s)
{
    return s->bytes - s->doomed_bytes;
}

static bool fits(const eg_run *run, uint64_t chunks, const eg_share *s)
{
    return run->bytes + left_of(s) <= EG_MERGE_BYTES_MAX &&
           chunks + s->chunks - s->doomed <= EG_MERGE_CHUNKS_MAX;
}

/* Whether a segment that fits may be of a run. */
static bool belongs(const planning *p, const eg_run *run, const eg_share *s)
{
    switch (p->what) {
    case EG_COLLECT:
        return has_garbage(p, s);
    case EG_LEVELS:
        return s->level == run->level && run->count < EG_COMPACTION_FAN;
    default:
        return true;
    }
}

static bool is_worth_it(const planning *p, const eg_run *run)
{
    bool garbage = false, rows = false;
    for (size_t i = run->first; i < run->first + run->count; i++) {
        garbage |= has_garbage(p, &p->shares[i]);
        rows |= p->shares[i].is_in_rows;
    }
    if (p->what == EG_LEVELS)
        return run->count == EG_COMPACTION_FAN;
    return garbage || (p->what == EG_COMPACT && (run->count > 1 || rows));
}

static engram_status add_run(planning *p, eg_run run, engram_error *error)
{
    if (!is_worth_it(p, &run))
        return ENGRAM_OK;
    if (!eg_grow((void **)&p->runs, &p->capacity, p->run_count + 1, sizeof *p->runs))
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory planning a compaction");
    if (run.count > 1 && run.level < LEVEL_MAX)
        run.level++;
    p->runs[p->run_count++] = run;
    return ENGRAM_OK;
}

/* From place `at` down, as far as it goes; *at: the next place. */
static eg_run gather(const planning *p, size_t *at)
{
    const eg_share *last = &p->shares[*at - 1];
    eg_run run = {.first = *at, .level = last->level};
    uint64_t chunks = 0;
    while (*at > 0) {
        const eg_share *s = &p->shares[*at - 1];
        if (!s->is_sealed || !belongs(p, &run, s) || (run.count > 0 && !fits(&run, chunks, s)))
            break;
        run.first = --*at;
        run.count++;
        run.bytes += left_of(s);
        run.bytes_gained += s->doomed_bytes;
        run.level = s->level > run.level ? s->level : run.level;
        chunks += s->chunks - s->doomed;
    }
    return run;
}

engram_status eg_compaction_plan(eg_compaction what, double garbage, const eg_share *shares,
                                 size_t count, eg_run **runs, size_t *run_count,
                                 engram_error *error)
{
    planning p = {
        .what = what, .garbage = garbage, .shares = shares, .count = count};
    engram_status status = ENGRAM_OK;
    for (size_t at = count; at > 0 && status == ENGRAM_OK;) {
        eg_run run = gather(&p, &at);
        if (run.count == 0)
            at--; /* it stays as it is */
        else
            status = add_run(&p, run, error);
    }
    if (status != ENGRAM_OK) {
        eg_free(p.runs);
        return status;
    }
    *runs = p.runs;
    *run_count = p.run_count;
    return ENGRAM_OK;
}
