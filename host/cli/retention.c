/* The rules by which versions are kept: from options, for programs, for people. */
#include <inttypes.h>

#include "cli/cli.h"

typedef struct period {
    const char *name; /* of the option and of the member */
    const char *unit;
    size_t offset;
} period;

static const period periods[] = {
    {"hourly", "hour", offsetof(engram_retention, hourly)},
    {"daily", "day", offsetof(engram_retention, daily)},
    {"weekly", "week", offsetof(engram_retention, weekly)},
    {"monthly", "month", offsetof(engram_retention, monthly)},
    {"yearly", "year", offsetof(engram_retention, yearly)},
};
enum { PERIOD_COUNT = sizeof periods / sizeof *periods };

static uint32_t *count_of(const engram_retention *retention, size_t i)
{
    return (uint32_t *)((char *)(uintptr_t)retention + periods[i].offset);
}

static engram_status read_count(const eg_cli *cli, const char *name, uint32_t *count, bool *changed,
                                engram_error *error)
{
    uint64_t number = *count;
    EG_TRY(eg_option_number(cli, name, 0, UINT32_MAX, &number, error));
    *count = (uint32_t)number;
    *changed |= eg_option_text(cli, name) != NULL;
    return ENGRAM_OK;
}

/* "all", which is 0 in the rules, or a number. */
static engram_status read_runs(const eg_cli *cli, engram_retention *retention, bool *changed,
                               engram_error *error)
{
    const char *text = eg_option_text(cli, "runs");
    uint32_t count = 0;
    if (text == NULL)
        return ENGRAM_OK;
    *changed = true;
    retention->runs = 0;
    if (strcmp(text, "all") == 0)
        return ENGRAM_OK;
    EG_TRY(read_count(cli, "runs", &count, changed, error));
    retention->runs = count == 0 ? ENGRAM_RUNS_NONE : count;
    return ENGRAM_OK;
}

engram_status eg_retention_read(const eg_cli *cli, engram_retention *retention, bool *changed,
                                engram_error *error)
{
    *changed = eg_option_text(cli, "every") != NULL;
    EG_TRY(eg_option_duration(cli, "every", &retention->every_s, error));
    EG_TRY(read_count(cli, "last", &retention->last, changed, error));
    for (size_t i = 0; i < PERIOD_COUNT; i++)
        EG_TRY(read_count(cli, periods[i].name, count_of(retention, i), changed, error));
    return read_runs(cli, retention, changed, error);
}

static uint64_t member(const json_t *retention, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(retention, name));
}

void eg_retention_say(eg_cli *cli, const json_t *retention)
{
    char text[EG_TEXT_SIZE];
    const char *between = "";
    uint64_t every_s = member(retention, "every_seconds"), last = member(retention, "last");
    if (every_s != 0) {
        eg_output_say(cli, "every version of the last %s", eg_text_seconds(text, every_s));
        between = ", ";
    }
    if (last != 0) {
        eg_output_say(cli, "%sthe last %" PRIu64, between, last);
        between = ", ";
    }
    for (size_t i = 0; i < PERIOD_COUNT; i++) {
        uint64_t count = member(retention, periods[i].name);
        if (count == 0)
            continue;
        eg_output_say(cli, "%s1 of each of the last %" PRIu64 " %ss", between, count,
                      periods[i].unit);
        between = ", ";
    }
    const json_t *runs = json_object_get(retention, "runs");
    if (!json_is_integer(runs))
        eg_output_say(cli, "%ssnapshots, labelled versions, the newest\n", between);
    else if (json_integer_value(runs) == 0)
        eg_output_say(cli, "%ssnapshots, the newest\n", between);
    else
        eg_output_say(cli, "%ssnapshots, the last %" JSON_INTEGER_FORMAT " labelled versions, the newest\n", between,
                      json_integer_value(runs));
}
