/* By hand: ingest_bench INPUT ENGRAM [OUTPUT]: a directory into a new engram, the same again, and
 * out of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ingest/extract.h"
#include "ingest/ingest.h"

static eg_engram *engram;
static eg_device *device;
static eg_pool *pool;
static engram_error error;

static void check(engram_status status)
{
    if (status == ENGRAM_OK)
        return;
    fprintf(stderr, "%s: %s\n", engram_status_name(status), error.message);
    exit(1);
}

static void issue(void *context, const char *path, const char *reason)
{
    (void)context;
    fprintf(stderr, "%s: %s\n", path, reason);
}

static double since(uint64_t start)
{
    return (double)(eg_clock_monotonic_ns() - start) / 1e9;
}

static void ingest(const char *input)
{
    uint64_t start = eg_clock_monotonic_ns();
    eg_ingest_options options = {.issue = issue};
    eg_source_options source_options = {.issue = issue};
    eg_ingest *run = NULL;
    eg_source *source = NULL;
    eg_ingest_stats stats = {0};
    check(eg_source_open_path(eg_io_posix(), input, ".", &source_options, &source, &error));
    check(eg_ingest_start(engram, device, pool, &options, &run, &error));
    check(eg_ingest_source(run, source, &error));
    check(eg_ingest_finish(&run, &stats, &error));
    source->close(source);
    double seconds = since(start);
    printf("ingest: %.2f s, %llu files (%llu unchanged), %.0f files/s, %.1f MB/s, %llu chunks "
           "(%llu new), %llu bytes stored\n",
           seconds, (unsigned long long)stats.files, (unsigned long long)stats.files_unchanged,
           (double)stats.files / seconds, (double)stats.bytes_in / 1e6 / seconds,
           (unsigned long long)stats.chunks, (unsigned long long)stats.chunks_new,
           (unsigned long long)stats.bytes_stored);
}

static void walk(const char *input)
{
    uint64_t start = eg_clock_monotonic_ns(), entries = 0;
    eg_source_options source_options = {.issue = issue};
    eg_source *source = NULL;
    eg_entry entry;
    check(eg_source_open_path(eg_io_posix(), input, ".", &source_options, &source, &error));
    while (source->next(source, &entry, &error) == ENGRAM_OK)
        entries++;
    source->close(source);
    printf("walk: %.2f s, %.0f entries/s\n", since(start), (double)entries / since(start));
}

static void extract(const char *output)
{
    uint64_t start = eg_clock_monotonic_ns();
    eg_version version;
    eg_extract_stats stats = {0};
    eg_extract_options options = {.output = output, .issue = issue};
    check(eg_engram_pin(engram, &version, &error));
    check(eg_extract(engram, &version, pool, &options, &stats, &error));
    eg_version_release(&version);
    double seconds = since(start);
    printf("extract: %.2f s, %llu files, %.0f files/s, %.1f MB/s\n", seconds,
           (unsigned long long)stats.files, (double)stats.files / seconds,
           (double)stats.bytes / 1e6 / seconds);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    eg_engram_options open_options = {0};
    check(eg_pool_create(0, &pool, &error));
    check(eg_device_open("avx2", pool, &device, &error));
    check(eg_engram_create(eg_io_posix(), argv[2], &eg_engram_config_default, &error));
    check(eg_engram_open(eg_io_posix(), argv[2], &open_options, &engram, &error));
    walk(argv[1]);
    ingest(argv[1]);
    ingest(argv[1]);
    if (argc > 3)
        extract(argv[3]);
    check(eg_engram_close(&engram, &error));
    eg_device_close(&device);
    eg_pool_free(pool);
    return 0;
}
