/* engram bench ingest: --data encoded into fresh engrams under --dir, from the first byte read to the engram closed,
 * beside reading the same files once. What the system has of them in memory is warm. */
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "cli/bench.h"
#include "cli/bench_disk.h"
#include "ingest/ingest.h"
#include "ingest/source.h"

enum { RUNS_MAX = 1000 };
#define READ_MAX ((size_t)2 << 30)

typedef struct ingest_bench {
    eg_bench *bench;
    const char *data;
    char engram[4096];
    eg_ingest_stats stats;
} ingest_bench;

/* Passed over, as encode does; the figures count what was read. */
static void pass_over(void *context, const char *path, const char *reason)
{
    (void)context, (void)path, (void)reason;
}

static engram_status encode_source(ingest_bench *b, eg_engram *e, engram_error *error)
{
    eg_ingest_options options = {.issue = pass_over, .label = "bench"};
    eg_source_options source_options = {.issue = pass_over};
    eg_source *source = NULL;
    eg_ingest *ingest = NULL;
    EG_TRY(eg_source_open_path(eg_io_posix(), NULL, b->data, &source_options, &source, error));
    engram_status status = eg_ingest_start(e, b->bench->device, b->bench->pool, &options, &ingest, error);
    if (status == ENGRAM_OK) {
        status = eg_ingest_source(ingest, source, error);
        engram_status finish = eg_ingest_finish(&ingest, &b->stats, error);
        status = status == ENGRAM_OK ? finish : status;
    }
    source->close(source);
    return status;
}

static engram_status encode_once(ingest_bench *b, double *seconds, engram_error *error)
{
    eg_engram *e = NULL;
    EG_TRY(engram_create(b->engram, NULL, error));
    uint64_t start = eg_clock_monotonic_ns();
    EG_TRY(engram_open(b->engram, NULL, &e, error));
    engram_status status = encode_source(b, e, error);
    engram_status closing = engram_close(&e, error);
    *seconds = eg_seconds_since(start);
    engram_status removed = eg_bench_remove(b->engram, error);
    return status != ENGRAM_OK ? status : closing != ENGRAM_OK ? closing : removed;
}

static engram_status read_once(ingest_bench *b, double *seconds, engram_error *error)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    uint64_t start = eg_clock_monotonic_ns();
    EG_TRY(eg_bench_read_tree(b->data, READ_MAX, &bytes, &size, error));
    *seconds = eg_seconds_since(start) * (double)b->stats.bytes_in / (double)(size + 1);
    eg_free(bytes);
    return ENGRAM_OK;
}

static int compare_seconds(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(ingest_bench *b, const double *seconds, double read_seconds)
{
    eg_bench *bench = b->bench;
    unsigned runs = bench->runs;
    double median = (seconds[(runs - 1) / 2] + seconds[runs / 2]) / 2, p99 = seconds[(runs * 99 + 99) / 100 - 1];
    double value = (double)b->stats.bytes_in / median, limit = (double)b->stats.bytes_in / read_seconds;
    const char *spec = eg_device_get_info(bench->device)->spec;
    json_t *object = json_object();
    eg_json_put(object, "op", json_string("ingest"));
    eg_json_put(object, "input", json_string("data"));
    eg_json_put(object, "device", json_string(spec));
    eg_json_put_number(object, "bytes", b->stats.bytes_in);
    eg_json_put_number(object, "bytes_stored", b->stats.bytes_stored);
    eg_json_put_number(object, "files", b->stats.files);
    eg_json_put_number(object, "runs", runs);
    eg_json_put(object, "value", json_real(value));
    eg_json_put(object, "unit", json_string("bytes/s"));
    eg_json_put(object, "limit", json_real(limit));
    eg_json_put(object, "ratio", json_real(value / limit));
    eg_json_put(object, "seconds_median", json_real(median));
    eg_json_put(object, "seconds_p99", json_real(p99));
    eg_json_put(bench->results, NULL, object);
    eg_output_say(bench->cli, "%-7s %-8s %-12s %7zu %7s %8s  %10.3f %-11s %10.3f %6.2f %11.3f %11.3f\n", "ingest", "data",
                  spec, bench->limits.threads, "-", "-", value / 1e9, "GB/s", limit / 1e9, value / limit, median * 1e3,
                  p99 * 1e3);
}

engram_status eg_bench_ingest(eg_bench *bench, engram_error *error)
{
    const char *dir = eg_option_text(bench->cli, "dir");
    ingest_bench b = {.bench = bench, .data = eg_option_text(bench->cli, "data")};
    double seconds[RUNS_MAX], read_seconds;
    if (b.data == NULL)
        return eg_fail(error, ENGRAM_INVALID, "bench ingest encodes --data: name a file or a directory");
    int size = snprintf(b.engram, sizeof b.engram, "%s/engram-bench-%ld.engram", dir != NULL ? dir : ".", (long)getpid());
    if (size < 0 || (size_t)size >= sizeof b.engram)
        return eg_fail(error, ENGRAM_INVALID, "--dir: the path is too long");
    EG_TRY(encode_once(&b, &seconds[0], error)); /* warm */
    if (b.stats.bytes_in == 0)
        return eg_fail(error, ENGRAM_INVALID, "%s: nothing in it can be encoded", b.data);
    for (unsigned i = 0; i < bench->runs; i++)
        EG_TRY(encode_once(&b, &seconds[i], error));
    EG_TRY(read_once(&b, &read_seconds, error));
    qsort(seconds, bench->runs, sizeof *seconds, compare_seconds);
    report(&b, seconds, read_seconds);
    return ENGRAM_OK;
}
