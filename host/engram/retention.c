/* Which versions stay. A version is kept if it is named, or labelled by one of the last runs that count, or if any rule
 * keeps it. */
#include <time.h>

#include "engram/internal.h"

#define SECOND UINT64_C(1000000000)

const engram_retention eg_retention_default = {.every_s = 3600};

typedef enum period { HOUR, DAY, WEEK, MONTH, YEAR } period;

/* Which hour, day, ... of UTC a time falls into: a number that differs from one to the next. */
static int64_t period_of(period p, uint64_t time_ns)
{
    time_t seconds = (time_t)(time_ns / SECOND);
    struct tm tm;
    if (p == HOUR)
        return seconds / 3600;
    if (p == DAY)
        return seconds / 86400;
    if (p == WEEK)
        return (seconds / 86400 + 3) / 7; /* weeks begin on Monday; the epoch was a Thursday */
    gmtime_r(&seconds, &tm);
    return p == YEAR ? tm.tm_year : (int64_t)tm.tm_year * 12 + tm.tm_mon;
}

/* Keeps the newest of each of the last `most` periods that have any. */
static void keep_periods(period p, uint32_t most, const eg_retention_entry *entries, size_t count,
                         bool *drop)
{
    int64_t last = INT64_MIN;
    for (size_t i = count; i > 0 && most > 0; i--) {
        int64_t at = period_of(p, entries[i - 1].time_ns);
        if (at == last)
            continue;
        last = at;
        drop[i - 1] = false;
        most--;
    }
}

static void keep_labelled(uint32_t most, const eg_retention_entry *entries, size_t count, bool *drop)
{
    uint32_t left = most == 0 ? UINT32_MAX : most == ENGRAM_RUNS_NONE ? 0 : most;
    for (size_t i = count; i > 0 && left > 0; i--)
        if (entries[i - 1].labelled) {
            drop[i - 1] = false;
            left--;
        }
}

void eg_retention_apply(const engram_retention *rules, uint64_t now_ns,
                        const eg_retention_entry *entries, size_t count, bool *drop)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t age_s = now_ns > entries[i].time_ns ? (now_ns - entries[i].time_ns) / SECOND : 0;
        bool young = age_s < rules->every_s;
        drop[i] = !entries[i].keep && !young && count - i > rules->last;
    }
    if (count != 0) /* the newest is the state of things */
        drop[count - 1] = false;
    keep_labelled(rules->runs, entries, count, drop);
    keep_periods(HOUR, rules->hourly, entries, count, drop);
    keep_periods(DAY, rules->daily, entries, count, drop);
    keep_periods(WEEK, rules->weekly, entries, count, drop);
    keep_periods(MONTH, rules->monthly, entries, count, drop);
    keep_periods(YEAR, rules->yearly, entries, count, drop);
}
