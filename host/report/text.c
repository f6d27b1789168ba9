/* Sizes, rates and times as people read them. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "report/report.h"

const char *eg_text_bytes(char text[EG_TEXT_SIZE], uint64_t size)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)size;
    size_t unit = 0;
    for (; value >= 999.5 && unit < 6; unit++)
        value /= 1000;
    int digits = unit == 0 || value >= 99.95 ? 0 : 1;
    snprintf(text, EG_TEXT_SIZE, "%.*f %s", digits, value, units[unit]);
    return text;
}

const char *eg_text_rate(char text[EG_TEXT_SIZE], uint64_t size, double seconds)
{
    snprintf(text, EG_TEXT_SIZE, "%.1f MB/s", eg_ratio((double)size / 1e6, seconds));
    return text;
}

const char *eg_text_time(char text[EG_TEXT_SIZE], int64_t seconds, uint32_t nanoseconds,
                         bool precise)
{
    time_t when = (time_t)seconds;
    struct tm parts;
    if (gmtime_r(&when, &parts) == NULL || parts.tm_year < -1900 || parts.tm_year > 9999 - 1900) {
        snprintf(text, EG_TEXT_SIZE, "@%" PRId64, seconds);
        return text;
    }
    size_t size = strftime(text, EG_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &parts);
    if (precise)
        snprintf(text + size, EG_TEXT_SIZE - size, ".%09uZ", nanoseconds % 1000000000u);
    else
        snprintf(text + size, EG_TEXT_SIZE - size, "Z");
    return text;
}

const char *eg_text_time_ns(char text[EG_TEXT_SIZE], uint64_t time_ns)
{
    return eg_text_time(text, (int64_t)(time_ns / 1000000000), (uint32_t)(time_ns % 1000000000),
                        true);
}

const char *eg_text_seconds(char text[EG_TEXT_SIZE], uint64_t seconds)
{
    static const struct {
        uint64_t seconds;
        char letter;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    size_t i = 0;
    while (seconds % units[i].seconds != 0 || (seconds == 0 && i < 3))
        i++;
    snprintf(text, EG_TEXT_SIZE, "%" PRIu64 "%c", seconds / units[i].seconds, units[i].letter);
    return text;
}

double eg_seconds_since(uint64_t start_ns)
{
    return (double)(eg_clock_monotonic_ns() - start_ns) / 1e9;
}

double eg_ratio(double a, double b)
{
    return b != 0 ? a / b : 0;
}
