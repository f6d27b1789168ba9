/* What the folder decides by itself: patterns of paths, times as people write them, rules of
 * retention. */
#include <time.h>

#include "base/clock.h"
#include "engram/internal.h"
#include "engram/look.h"
#include "engram/time_text.h"
#include "transactions/rig.h"

#define SECOND UINT64_C(1000000000)

typedef struct glob {
    const char *glob, *path;
    bool matches;
} glob;

static const glob globs[] = {
    {"", "", true},
    {"", "a", false},
    {"a", "a", true},
    {"a", "ab", false},
    {"ab", "a", false},
    {"?", "a", true},
    {"?", "", false},
    {"?", "/", false},
    {"a?c", "abc", true},
    {"a?c", "a/c", false},
    {"*", "", true},
    {"*", "abc", true},
    {"*", "a/b", false},
    {"*/b", "a/b", true},
    {"*/b", "a/x/b", false},
    {"*.c", "main.c", true},
    {"*.c", "main.h", false},
    {"*.c", "src/main.c", false},
    {"a*b*c", "aXbYbZc", true},
    {"a*b*c", "aXbYbZ", false},
    {"a*a", "a", false},
    {"**", "", true},
    {"**", "a", true},
    {"**", "a/b/c", true},
    {"**/b", "b", true},
    {"**/b", "a/b", true},
    {"**/b", "a/x/b", true},
    {"**/b", "ab", false},
    {"**/b", "a/xb", false},
    {"**/b", "b/a", false},
    {"a/**", "a/b", true},
    {"a/**", "a/b/c", true},
    {"a/**", "ab", false},
    {"a/**", "b/a/c", false},
    {"a/**/b", "a/b", true},
    {"a/**/b", "a/x/b", true},
    {"a/**/b", "a/x/y/b", true},
    {"a/**/b", "a/xb", false},
    {"a/**/b", "ab", false},
    {"**/*.c", "main.c", true},
    {"**/*.c", "src/main.c", true},
    {"**/*.c", "src/lib/main.c", true},
    {"**/*.c", "src/main.h", false},
    {"src/**/*_test.c", "src/a/b/x_test.c", true},
    {"src/**/*_test.c", "src/x_test.c", true},
    {"src/**/*_test.c", "src/x_test.h", false},
    {"**/a/**/b", "a/b", true},
    {"**/a/**/b", "x/a/y/a/z/b", true},
    {"**/a/**/b", "xa/b", false},
    {"a**b", "ab", true},
    {"a**b", "a/x/b", true},
    {"a**b", "a/x/c", false},
    {"**a", "x/ya", true},
    {"\\*", "*", true},
    {"\\*", "a", false},
    {"a\\?b", "a?b", true},
    {"a\\?b", "axb", false},
    {"a\\\\b", "a\\b", true},
    {"a\\", "a\\", true},
    {"[ab]", "a", false},
    {"[ab]", "[ab]", true},
    {"*\xc3\xa4*", "x\xc3\xa4y", true},
};

static void patterns(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof globs / sizeof *globs; i++)
        if (eg_glob_match(globs[i].glob, globs[i].path) != globs[i].matches)
            fail_msg("'%s' and '%s'", globs[i].glob, globs[i].path);
}

/* Patterns that make simple matchers take years. */
static void patterns_are_fast(void **state)
{
    (void)state;
    char path[4096], pattern[512] = "";
    memset(path, 'a', sizeof path - 1);
    path[sizeof path - 1] = 0;
    for (int i = 0; i < 60; i++)
        strcat(pattern, "*a");
    strcat(pattern, "b");
    assert_false(eg_glob_match(pattern, path));
    for (size_t i = 5; i < sizeof path - 1; i += 6)
        path[i] = '/';
    pattern[0] = 0;
    for (int i = 0; i < 60; i++)
        strcat(pattern, "**/a*");
    strcat(pattern, "b");
    assert_false(eg_glob_match(pattern, path));
}

typedef struct moment {
    const char *text;
    bool is_time;
    int64_t seconds; /* since the epoch, in UTC */
    uint32_t ns;
} moment;

static const moment moments[] = {
    {"1970-01-01T00:00:00Z", true, 0, 0},
    {"2026-11-27T10:00:00Z", true, 1795773600, 0},
    {"2026-11-27T10:00Z", true, 1795773600, 0},
    {"2026-11-27 10:00:00Z", true, 1795773600, 0},
    {"2026-11-27T10:00:00.5Z", true, 1795773600, 500000000},
    {"2026-11-27T10:00:00.123456789Z", true, 1795773600, 123456789},
    {"2026-11-27T10:00:00.1234567891Z", true, 1795773600, 123456789},
    {"2026-11-27T12:30:00+02:30", true, 1795773600, 0},
    {"2026-11-27T08:00:00-02:00", true, 1795773600, 0},
    {"2026-11-27T10:00:00", true, 1795773600, 0}, /* local time: UTC here */
    {"2026-11-27", true, 1795823999, 999999999},  /* its end */
    {"2024-02-29", true, 1709251199, 999999999},
    {"2026-12-31", true, 1798761599, 999999999},
    {"2026-02-29", false, 0, 0},
    {"2026-04-31", false, 0, 0},
    {"2026-13-01", false, 0, 0},
    {"2026-00-01", false, 0, 0},
    {"2026-01-00", false, 0, 0},
    {"2026-01-32", false, 0, 0},
    {"2026-1-1", false, 0, 0},
    {"26-01-01", false, 0, 0},
    {"2026-11-27T24:00:00Z", false, 0, 0},
    {"2026-11-27T10:60:00Z", false, 0, 0},
    {"2026-11-27T10:00:61Z", false, 0, 0},
    {"2026-11-27T10", false, 0, 0},
    {"2026-11-27T1:00Z", false, 0, 0},
    {"2026-11-27T10:00:00Zx", false, 0, 0},
    {"2026-11-27T10:00:00+2:30", false, 0, 0},
    {"2026-11-27T10:00:00+02:60", false, 0, 0},
    {"2026-11-27x", false, 0, 0},
    {"2026-11-27.5", false, 0, 0},
    {"2026-11-27Z", false, 0, 0},
    {"2026-11-27T", false, 0, 0},
    {"2026-11-27T10:00.5Z", false, 0, 0},
    {"0000-01-01", false, 0, 0},
    {" 2026-11-27", false, 0, 0},
    {"2026- 1-01", false, 0, 0},
    {"2026-+1-01", false, 0, 0},
    {"2026-11-27T10:00Z", true, 1795773600, 0},
    {"2026-11-27T10:00+00:00", true, 1795773600, 0},
    {"2026-11-27T10:+1Z", false, 0, 0},
    {"2026-11-27T10:00:+1Z", false, 0, 0},
    {"2026-11-27T10:00:00+02:00x", false, 0, 0},
    {"1969-12-31T23:59:59Z", false, 0, 0},
    {"", false, 0, 0},
    {"17", false, 0, 0},
    {"release", false, 0, 0},
    {"ago", false, 0, 0},
    {" ago", false, 0, 0},
    {"3 ago", true, -3, 0},
    {"3 seconds ago", true, -3, 0},
    {"1 second ago", true, -1, 0},
    {"15m ago", true, -900, 0},
    {"3 hours ago", true, -10800, 0},
    {"3h ago", true, -10800, 0},
    {"2 days ago", true, -172800, 0},
    {"1w ago", true, -604800, 0},
    {"3 years ago", false, 0, 0},
    {"-3 hours ago", false, 0, 0},
    {"three hours ago", false, 0, 0},
    {"3 hours  ago", false, 0, 0},
    {"99999999999 weeks ago", false, 0, 0},
    {"yesterday", true, -86400, 0},
    {"now", true, -0, 0},
    {"nowadays", false, 0, 0},
};

static void times(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    for (size_t i = 0; i < sizeof moments / sizeof *moments; i++) {
        const moment *m = &moments[i];
        uint64_t before = eg_clock_wall_ns(), found = 0;
        bool is_time = eg_text_time_parse(m->text, &found);
        uint64_t after = eg_clock_wall_ns();
        if (is_time != m->is_time)
            fail_msg("'%s' is %s time", m->text, is_time ? "a" : "no");
        bool ago = m->seconds < 0 || strcmp(m->text, "now") == 0;
        uint64_t back = (uint64_t)-m->seconds * SECOND;
        uint64_t low = ago ? before - back : (uint64_t)m->seconds * SECOND + m->ns;
        uint64_t high = ago ? after - back : low;
        if (is_time && (found < low || found > high))
            fail_msg("'%s' is %llu", m->text, (unsigned long long)found);
    }
    uint64_t far;
    assert_true(eg_text_time_parse("9999-12-31T23:59:59Z", &far));
    assert_int_equal(far, UINT64_MAX);
    setenv("TZ", "UTC-5", 1); /* five hours ahead */
    tzset();
    uint64_t found;
    assert_true(eg_text_time_parse("2026-11-27T10:00:00", &found));
    assert_int_equal(found / SECOND, 1795773600 - 5 * 3600);
    assert_true(eg_text_time_parse("2026-11-27T10:00:00Z", &found));
    assert_int_equal(found / SECOND, 1795773600);
    assert_true(eg_text_time_parse("2026-11-27", &found));
    assert_int_equal(found / SECOND, 1795823999 - 5 * 3600);
    unsetenv("TZ");
    tzset();
}

typedef struct duration {
    const char *text;
    bool is_one;
    uint64_t seconds;
} duration;

static const duration durations[] = {
    {"0", true, 0},
    {"90", true, 90},
    {"90s", true, 90},
    {"90 s", true, 90},
    {"15m", true, 900},
    {"3h", true, 10800},
    {"2d", true, 172800},
    {"1w", true, 604800},
    {"2 weeks", true, 1209600},
    {"1 hour", true, 3600},
    {"1 minutes", true, 60},
    {"", false, 0},
    {"h", false, 0},
    {"3x", false, 0},
    {"3 h h", false, 0},
    {"3h ", false, 0},
    {" 3h", false, 0},
    {"-3h", false, 0},
    {"3.5h", false, 0},
    {"3hh", false, 0},
    {"3H", false, 0},
    {"3hours2", false, 0},
    {"9999999999999999999", false, 0},
    {"999999999999999999w", false, 0},
    {"3 ", false, 0},
};

static void spans(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof durations / sizeof *durations; i++) {
        uint64_t seconds = 0;
        bool is_one = eg_text_duration(durations[i].text, &seconds);
        if (is_one != durations[i].is_one || (is_one && seconds != durations[i].seconds))
            fail_msg("'%s' is %s: %llu", durations[i].text, is_one ? "a duration" : "none",
                     (unsigned long long)seconds);
    }
    uint64_t number;
    assert_true(eg_text_number("18446744073709551615", &number));
    assert_int_equal(number, UINT64_MAX);
    assert_false(eg_text_number("18446744073709551616", &number));
    assert_false(eg_text_number("", &number));
    assert_false(eg_text_number("1x", &number));
}

/* ---- retention ---- */

enum { MOST = 400 };

typedef struct rule {
    const char *what;
    engram_retention rules;
    const char *kept; /* indices of entries, rising */
} rule;

/* Ages in seconds of the entries, oldest first; now is Wednesday 2026-11-25 12:00 UTC. */
#define NOW UINT64_C(1795608000)
static const uint64_t ages[] = {
    400 * 86400,   /* 0: 2025-10-21 */
    329 * 86400,   /* 1: 2025-12-31 */
    328 * 86400,   /* 2: 2026-01-01 */
    60 * 86400,    /* 3: 2026-09-26 */
    26 * 86400,    /* 4: 2026-10-30 */
    25 * 86400,    /* 5: 2026-10-31 */
    10 * 86400,    /* 6: Sunday 2026-11-15 */
    9 * 86400,     /* 7: Monday 2026-11-16 */
    86400 + 43201, /* 8: 2026-11-23 23:59:59 */
    86400 + 43200, /* 9: 2026-11-24 00:00 */
    7200,          /* 10: 10:00 */
    3601,          /* 11: 10:59:59 */
    3600,          /* 12: 11:00 */
    60,            /* 13 */
    5,             /* 14 */
};

static const rule rules[] = {
    {"nothing but the newest", {0}, "14"},
    {"an hour", {.every_s = 3600}, "13 14"},
    {"a second more", {.every_s = 3601}, "12 13 14"},
    {"the last three", {.last = 3}, "12 13 14"},
    {"more than there are", {.last = 100}, "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14"},
    {"two hours", {.hourly = 2}, "11 14"},
    {"three days", {.daily = 3}, "8 9 14"},
    {"days that have any", {.daily = 5}, "6 7 8 9 14"},
    {"weeks", {.weekly = 3}, "6 7 14"},
    {"months", {.monthly = 3}, "3 5 14"},
    {"years", {.yearly = 2}, "1 14"},
    {"all years", {.yearly = 9}, "1 14"},
    {"several rules", {.every_s = 100, .last = 1, .hourly = 1, .yearly = 2}, "1 13 14"},
};

static void retention_rules(void **state)
{
    (void)state;
    enum { COUNT = sizeof ages / sizeof *ages };
    for (size_t r = 0; r < sizeof rules / sizeof *rules; r++) {
        for (int named = 0; named < 2; named++) {
            eg_retention_entry entries[COUNT];
            bool drop[COUNT];
            char kept[256] = "";
            for (size_t i = 0; i < COUNT; i++)
                entries[i] = (eg_retention_entry){i + 1, (NOW - ages[i]) * SECOND, named && i == 3, false};
            eg_retention_apply(&rules[r].rules, NOW * SECOND, entries, COUNT, drop);
            if (named) {
                assert_false(drop[3]);
                continue;
            }
            for (size_t i = 0; i < COUNT; i++)
                if (!drop[i])
                    snprintf(kept + strlen(kept), sizeof kept - strlen(kept), "%s%zu",
                             kept[0] != 0 ? " " : "", i);
            if (strcmp(kept, rules[r].kept) != 0)
                fail_msg("%s: kept %s, not %s", rules[r].what, kept, rules[r].kept);
        }
    }
    eg_retention_apply(&rules[0].rules, NOW, NULL, 0, NULL);
}

/* Applied again and again, as checkpoints do, the rules keep what they keep when applied once. */
static void retention_over_time(void **state)
{
    (void)state;
    engram_retention r = {.every_s = 600, .hourly = 3, .daily = 2};
    static eg_retention_entry kept[MOST];
    static bool drop[MOST];
    size_t count = 0;
    uint64_t now = NOW;
    for (int i = 0; i < 3 * 1440; i++) { /* a version each minute, for three days */
        now += 60;
        kept[count++] = (eg_retention_entry){(uint64_t)i + 1, now * SECOND, false, false};
        eg_retention_apply(&r, now * SECOND, kept, count, drop);
        size_t left = 0;
        for (size_t j = 0; j < count; j++)
            if (!drop[j])
                kept[left++] = kept[j];
        count = left;
        assert_true(count < 20);
    }
    /* It is 12:00. Ten minutes of all, in two hours; 10:59; 23:59 of yesterday. */
    assert_int_equal(count, 10 + 1 + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns),        cmocka_unit_test(patterns_are_fast),
        cmocka_unit_test(times),           cmocka_unit_test(spans),
        cmocka_unit_test(retention_rules), cmocka_unit_test(retention_over_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
