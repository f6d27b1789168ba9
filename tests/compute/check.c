#include "compute/check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

enum { RUNS = 9 };

void tally_case(check_tally *tally, bool is_equal, const candidate *c, uint64_t seed,
                const char *format, ...)
{
    if (is_equal) {
        tally->passed++;
        return;
    }
    tally->failed++;
    printf("FAILED %s, --seed %" PRIu64 ": ", c->name, seed);
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}

static int compare_times(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

double median_seconds(void (*task)(void *context), void *context)
{
    uint64_t times[RUNS];
    task(context);
    for (unsigned i = 0; i < RUNS; i++) {
        uint64_t start = eg_clock_monotonic_ns();
        task(context);
        times[i] = eg_clock_monotonic_ns() - start;
    }
    qsort(times, RUNS, sizeof times[0], compare_times);
    return (double)times[RUNS / 2] * 1e-9;
}
