/* Times and numbers as people write them. */
#include "engram/time_text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

#define SECOND UINT64_C(1000000000)

bool eg_text_number(const char *text, uint64_t *number)
{
    *number = 0;
    for (const char *c = text; *c != 0; c++) {
        unsigned digit = (unsigned)(*c - '0');
        if (digit > 9 || *number > (UINT64_MAX - digit) / 10)
            return false;
        *number = *number * 10 + digit;
    }
    return *text != 0;
}

static uint64_t unit_seconds(const char *unit)
{
    static const struct {
        const char *letter, *word;
        uint64_t seconds;
    } units[] = {{"s", "second", 1},   {"m", "minute", 60},   {"h", "hour", 3600},
                 {"d", "day", 86400}, {"w", "week", 604800}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t size = strlen(units[i].word);
        bool word = strncmp(unit, units[i].word, size) == 0 &&
                    (unit[size] == 0 || strcmp(unit + size, "s") == 0);
        if (word || strcmp(unit, units[i].letter) == 0)
            return units[i].seconds;
    }
    return 0;
}

bool eg_text_duration(const char *text, uint64_t *seconds)
{
    unsigned long long count;
    char unit[16] = "s", rest;
    if (strspn(text, "0123456789") > 18 || text[0] < '0' || text[0] > '9' ||
        sscanf(text, "%18llu %15[a-z]%c", &count, unit, &rest) < 1)
        return false;
    int used = 0;
    sscanf(text, "%*[0-9] %*[a-z]%n", &used);
    bool bare = strspn(text, "0123456789") == strlen(text);
    uint64_t each = unit_seconds(unit);
    if (each == 0 || (!bare && (size_t)used != strlen(text)) || count > UINT64_MAX / each)
        return false;
    *seconds = count * each;
    return true;
}

static bool parse_ago(const char *text, uint64_t *time_ns)
{
    uint64_t now = eg_clock_wall_ns(), seconds;
    char span[64];
    size_t size = strlen(text);
    if (strcmp(text, "now") == 0 || strcmp(text, "yesterday") == 0) {
        *time_ns = now - (*text == 'n' ? 0 : 86400 * SECOND);
        return true;
    }
    if (size < 5 || size >= sizeof span || strcmp(text + size - 4, " ago") != 0)
        return false;
    memcpy(span, text, size - 4);
    span[size - 4] = 0;
    if (!eg_text_duration(span, &seconds) || seconds > now / SECOND)
        return false;
    *time_ns = now - seconds * SECOND;
    return true;
}

/* Whether text begins so, a 0 standing for any digit: sscanf would take blanks and signs too. */
static bool has_shape(const char *text, const char *shape)
{
    for (; *shape != 0; shape++, text++)
        if (*shape == '0' ? *text < '0' || *text > '9' : *text != *shape)
            return false;
    return true;
}

/* "", "Z", "+hh:mm", "-hh:mm"; *local: none was given. */
static bool parse_zone(const char *text, int *offset_s, bool *local)
{
    int hours, minutes;
    *offset_s = 0;
    *local = *text == 0;
    if (*local || strcmp(text, "Z") == 0)
        return true;
    if ((*text != '+' && *text != '-') || !has_shape(text + 1, "00:00") || text[6] != 0 ||
        sscanf(text + 1, "%2d:%2d", &hours, &minutes) != 2 || hours > 23 || minutes > 59)
        return false;
    *offset_s = (hours * 3600 + minutes * 60) * (*text == '-' ? -1 : 1);
    return true;
}

/* ".123" -> ns; *text moves on. */
static uint64_t parse_fraction(const char **text)
{
    uint64_t ns = 0, unit = SECOND / 10;
    if (**text != '.')
        return 0;
    for (++*text; **text >= '0' && **text <= '9'; ++*text, unit /= 10)
        ns += (uint64_t)(**text - '0') * unit;
    return ns;
}

/* tm_mon as people count months. */
static bool is_day(const struct tm *tm)
{
    struct tm day = {.tm_year = tm->tm_year - 1900, .tm_mon = tm->tm_mon - 1, .tm_mday = tm->tm_mday};
    if (tm->tm_mon < 1 || tm->tm_mon > 12 || tm->tm_mday < 1 || tm->tm_mday > 31)
        return false;
    timegm(&day); /* 31 April becomes 1 May */
    return day.tm_mon == tm->tm_mon - 1;
}

/* "T10:00", "T10:00:00", "T10:00:00.5": into tm and *ns; *text moves on. */
static bool parse_clock(const char **text, struct tm *tm, uint64_t *ns)
{
    const char *rest = *text;
    if ((*rest != 'T' && *rest != ' ') || !has_shape(rest + 1, "00:00") ||
        sscanf(rest + 1, "%2d:%2d", &tm->tm_hour, &tm->tm_min) != 2)
        return false;
    rest += 6;
    if (has_shape(rest, ":00")) {
        if (sscanf(rest, ":%2d", &tm->tm_sec) != 1)
            return false;
        rest += 3;
        *ns = parse_fraction(&rest);
    }
    *text = rest;
    return tm->tm_hour <= 23 && tm->tm_min <= 59 && tm->tm_sec <= 60;
}

bool eg_text_time_parse(const char *text, uint64_t *time_ns)
{
    struct tm tm = {.tm_isdst = -1};
    uint64_t ns = 0;
    int offset_s;
    bool local;
    if (parse_ago(text, time_ns))
        return true;
    if (!has_shape(text, "0000-00-00") ||
        sscanf(text, "%4d-%2d-%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday) != 3 || !is_day(&tm))
        return false;
    const char *rest = text + 10;
    bool date_only = *rest == 0;
    if ((!date_only && !parse_clock(&rest, &tm, &ns)) || !parse_zone(rest, &offset_s, &local))
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    if (date_only) /* all of the day */
        tm.tm_mday++;
    time_t seconds = local ? mktime(&tm) : timegm(&tm) - offset_s;
    if (seconds < 0)
        return false;
    *time_ns = (uint64_t)seconds < UINT64_MAX / SECOND
                   ? (uint64_t)seconds * SECOND + ns - (date_only ? 1 : 0)
                   : UINT64_MAX; /* after the year 2554 */
    return true;
}
