/* One line on the terminal, written over again and again, and taken away in the end. */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"

static const uint64_t first_ns = 1000000000, period_ns = 200000000;

void eg_progress_init(eg_progress *progress, bool enabled)
{
    *progress = (eg_progress){.enabled = enabled && isatty(STDERR_FILENO),
                              .start_ns = eg_clock_monotonic_ns()};
    pthread_mutex_init(&progress->lock, NULL);
}

void eg_progress_fini(eg_progress *progress)
{
    eg_progress_pause(progress);
    eg_progress_resume(progress);
    pthread_mutex_destroy(&progress->lock);
}

static void print_line(uint64_t done, uint64_t total, uint64_t out, double seconds)
{
    char done_text[EG_TEXT_SIZE], total_text[EG_TEXT_SIZE], rate[EG_TEXT_SIZE];
    fprintf(stderr, "\r\033[K%s", eg_text_bytes(done_text, done));
    if (total != 0)
        fprintf(stderr, " of %s", eg_text_bytes(total_text, total));
    fprintf(stderr, "  %s", eg_text_rate(rate, done, seconds));
    if (out != 0)
        fprintf(stderr, "  %.2f:1", (double)done / (double)out);
    if (total > done && done != 0) {
        uint64_t left = (uint64_t)(seconds * (double)(total - done) / (double)done + 0.5);
        fprintf(stderr, "  %" PRIu64 ":%02u left", left / 60, (unsigned)(left % 60));
    }
    fflush(stderr);
}

void eg_progress_show(eg_progress *progress, uint64_t done, uint64_t total, uint64_t out)
{
    if (!progress->enabled)
        return;
    uint64_t now = eg_clock_monotonic_ns();
    pthread_mutex_lock(&progress->lock);
    if (now - progress->start_ns >= first_ns && now - progress->shown_ns >= period_ns) {
        progress->shown_ns = now;
        progress->shown = true;
        print_line(done, total, out, eg_seconds_since(progress->start_ns));
    }
    pthread_mutex_unlock(&progress->lock);
}

void eg_progress_pause(eg_progress *progress)
{
    pthread_mutex_lock(&progress->lock);
    if (progress->shown)
        fputs("\r\033[K", stderr);
    progress->shown = false;
}

void eg_progress_resume(eg_progress *progress)
{
    fflush(stderr);
    pthread_mutex_unlock(&progress->lock);
}
