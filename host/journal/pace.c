/* A measurement is SYNCS syncs in a row under one choice. Every `interval` measurements one is made
 * under the other choice; the interval doubles as long as the answer stays the same, so that trials
 * cost little, and is cut short when the load changes. */
#include "journal/pace.h"

enum { SYNCS = 16, SETTLE = 2, INTERVAL_MIN = 8, INTERVAL_MAX = 128, WAIT_SHARE = 2 };

/* What a wait must gain to be worth its delay. */
static const double gain_min = 1.03;

void eg_pace_init(eg_pace *pace, uint64_t wait_max_ns)
{
    *pace = (eg_pace){.wait_max_ns = wait_max_ns,
                      .idle = true,
                      .waits = true,
                      .interval = INTERVAL_MIN,
                      .until_trial = INTERVAL_MIN};
}

bool eg_pace_waits(const eg_pace *pace)
{
    return pace->waits != pace->trying;
}

static uint64_t wait_span(const eg_pace *pace)
{
    uint64_t span = pace->sync_ns / WAIT_SHARE;
    return span < pace->wait_max_ns ? span : pace->wait_max_ns;
}

void eg_pace_join(eg_pace *pace, uint64_t now)
{
    /* A pause is nobody's busy time, but for one as short as the wait, which takes its place. */
    if (pace->idle && now > pace->busy_since && now - pace->busy_since > wait_span(pace))
        pace->busy_since = now;
    pace->idle = false;
    pace->joined++;
}

bool eg_pace_is_due(const eg_pace *pace, uint64_t coming, uint64_t now)
{
    return !eg_pace_waits(pace) || pace->joined + coming >= pace->released || now >= pace->deadline;
}

static void start_measuring(eg_pace *pace)
{
    pace->settle = SETTLE;
    pace->syncs = 0;
    pace->entries = pace->busy_ns = 0;
}

static void judge_trial(eg_pace *pace, double rate)
{
    bool better = pace->waits ? rate * gain_min >= pace->rate : rate > pace->rate * gain_min;
    pace->trying = false;
    if (better) {
        pace->waits = !pace->waits;
        pace->rate = rate;
        pace->interval = INTERVAL_MIN;
    } else if (pace->interval < INTERVAL_MAX) {
        pace->interval *= 2;
    }
    pace->until_trial = pace->interval;
    pace->load = 0;
}

static bool has_load_changed(const eg_pace *pace, double load)
{
    return pace->load > 0 && (load > 1.5 * pace->load || 1.5 * load < pace->load);
}

static void note_rate(eg_pace *pace, double rate, double load)
{
    if (has_load_changed(pace, load)) {
        pace->rate = 0;
        pace->load = 0;
        pace->interval = INTERVAL_MIN;
        pace->until_trial = 1;
    }
    if (pace->load == 0)
        pace->load = load;
    pace->rate = pace->rate > 0 ? (3 * pace->rate + rate) / 4 : rate;
    if (--pace->until_trial == 0)
        pace->trying = true;
}

static void end_measurement(eg_pace *pace)
{
    double rate = (double)pace->entries / (double)(pace->busy_ns + 1);
    if (pace->trying)
        judge_trial(pace, rate);
    else
        note_rate(pace, rate, (double)pace->entries / SYNCS);
    start_measuring(pace);
}

static void measure(eg_pace *pace, uint64_t entries, uint64_t busy_ns)
{
    if (pace->settle > 0) {
        pace->settle--;
        return;
    }
    pace->entries += entries;
    pace->busy_ns += busy_ns;
    if (++pace->syncs == SYNCS)
        end_measurement(pace);
}

void eg_pace_release(eg_pace *pace, uint64_t entries, uint64_t sync_ns, bool pending, uint64_t now)
{
    pace->sync_ns = pace->sync_ns == 0 ? sync_ns : (7 * pace->sync_ns + sync_ns) / 8;
    measure(pace, entries, now > pace->busy_since ? now - pace->busy_since : 0);
    pace->released = entries;
    pace->joined = 0;
    pace->busy_since = now;
    pace->idle = !pending;
    pace->deadline = now + wait_span(pace);
}
