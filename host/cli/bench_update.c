/* engram bench update: one thread, one file of random bytes. Single chunks of it are replaced, a durable
 * transaction each; then ranges of 4 KiB are read at random offsets, from what the system has in memory. */
#include <inttypes.h>
#include <unistd.h>

#include "base/memory.h"
#include "cli/bench.h"
#include "cli/bench_disk.h"
#include "engram/engram.h"

enum { FILE_SIZE = 64 << 20, UPDATES = 1000, READS = 20000, RANGE = 4096, WARM_UP = 50 };

static const char path[] = "file";

static engram_status store_file(struct engram *e, uint64_t *seed, engram_error *error)
{
    engram_transaction *tx = NULL;
    uint8_t *bytes = eg_alloc(FILE_SIZE);
    if (bytes == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for a file to measure with");
    eg_bench_fill(bytes, FILE_SIZE, seed);
    engram_status status = engram_begin(e, NULL, &tx, error);
    if (status == ENGRAM_OK)
        status = engram_write(tx, path, bytes, FILE_SIZE, NULL, error);
    if (status == ENGRAM_OK)
        status = engram_commit(&tx, NULL, error);
    engram_abort(&tx);
    eg_free(bytes);
    return status;
}

static uint64_t draw_offset(uint64_t *seed)
{
    uint64_t random;
    eg_bench_fill((uint8_t *)&random, sizeof random, seed);
    return random % (FILE_SIZE - RANGE);
}

/* Another transaction on each: what a caller of the library would do. */
static engram_status update_one(struct engram *e, uint8_t *bytes, uint64_t *seed, uint64_t *size,
                                engram_error *error)
{
    engram_transaction *tx = NULL;
    uint64_t begin, offset = draw_offset(seed);
    EG_TRY(engram_begin(e, NULL, &tx, error));
    engram_status status = engram_tx_chunk(tx, path, offset, &begin, size, error);
    if (status == ENGRAM_OK) {
        eg_bench_fill(bytes, *size, seed);
        status = engram_update_chunk(tx, path, begin, bytes, *size, NULL, error);
    }
    if (status == ENGRAM_OK)
        status = engram_commit(&tx, NULL, error);
    engram_abort(&tx);
    return status;
}

static engram_status measure_updates(struct engram *e, eg_latencies *latencies, uint64_t *seed, double *mean_size,
                                     engram_error *error)
{
    uint8_t *bytes = eg_alloc(EG_BENCH_PAYLOAD_MAX);
    uint64_t total = 0, size = 0;
    engram_status status =
        bytes != NULL ? ENGRAM_OK : eg_fail(error, ENGRAM_NO_MEMORY, "no memory for a chunk to measure with");
    for (unsigned i = 0; i < WARM_UP + UPDATES && status == ENGRAM_OK; i++) {
        double start = eg_bench_now_us();
        status = update_one(e, bytes, seed, &size, error);
        if (i >= WARM_UP) {
            eg_latencies_note(latencies, eg_bench_now_us() - start);
            total += size;
        }
    }
    *mean_size = (double)total / UPDATES;
    eg_free(bytes);
    return status;
}

static engram_status measure_reads(struct engram *e, eg_latencies *latencies, uint64_t *seed, engram_error *error)
{
    engram_status status = ENGRAM_OK;
    for (unsigned i = 0; i < WARM_UP + READS && status == ENGRAM_OK; i++) {
        engram_view *view = NULL;
        uint8_t bytes[RANGE];
        size_t got;
        uint64_t offset = draw_offset(seed);
        double start = eg_bench_now_us();
        status = engram_pin(e, &view, error);
        if (status == ENGRAM_OK)
            status = engram_read(view, path, offset, bytes, sizeof bytes, &got, error);
        engram_unpin(&view);
        if (i >= WARM_UP)
            eg_latencies_note(latencies, eg_bench_now_us() - start);
    }
    return status;
}

static void report(eg_cli *cli, json_t *results, const char *what, double size, eg_latencies *latencies, double sync_us)
{
    json_t *item = json_object();
    double p50 = eg_latencies_quantile(latencies, 0.5), p99 = eg_latencies_quantile(latencies, 0.99);
    eg_json_put(item, "operation", json_string(what));
    eg_json_put(item, "bytes", json_real(size));
    eg_json_put(item, "p50_us", json_real(p50));
    eg_json_put(item, "p99_us", json_real(p99));
    if (sync_us > 0)
        eg_json_put(item, "sync_us", json_real(sync_us));
    eg_json_put(results, NULL, item);
    if (sync_us > 0)
        eg_output_say(cli, "%-13s %8.0f bytes   p50 %7.1f us   p99 %7.1f us   a bare write and sync %.1f us\n", what,
                      size, p50, p99, sync_us);
    else
        eg_output_say(cli, "%-13s %8.0f bytes   p50 %7.1f us   p99 %7.1f us\n", what, size, p50, p99);
}

static engram_status measure(eg_cli *cli, const char *dir, struct engram *e, json_t *results, engram_error *error)
{
    eg_latencies updates = {0}, reads = {0};
    uint64_t seed = 11;
    double size = 0, sync_us = 0;
    engram_status status = store_file(e, &seed, error);
    if (status == ENGRAM_OK)
        status = eg_latencies_init(&updates, error);
    if (status == ENGRAM_OK)
        status = eg_latencies_init(&reads, error);
    if (status == ENGRAM_OK)
        status = measure_updates(e, &updates, &seed, &size, error);
    if (status == ENGRAM_OK)
        status = eg_bench_probe_sync(dir, (size_t)size, &sync_us, error);
    if (status == ENGRAM_OK)
        status = measure_reads(e, &reads, &seed, error);
    if (status == ENGRAM_OK) {
        report(cli, results, "chunk update", size, &updates, sync_us);
        report(cli, results, "range read", RANGE, &reads, 0);
    }
    eg_latencies_fini(&updates);
    eg_latencies_fini(&reads);
    return status;
}

engram_status eg_bench_update(eg_cli *cli, json_t *results, engram_error *error)
{
    const char *dir = eg_option_text(cli, "dir");
    struct engram *e = NULL;
    char engram[4096];
    if (dir == NULL)
        dir = ".";
    int size = snprintf(engram, sizeof engram, "%s/engram-bench-%ld.engram", dir, (long)getpid());
    if (size < 0 || (size_t)size >= sizeof engram)
        return eg_fail(error, ENGRAM_INVALID, "--dir: the path is too long");
    EG_TRY(engram_create(engram, NULL, error));
    engram_status status = engram_open(engram, NULL, &e, error);
    if (status == ENGRAM_OK)
        status = measure(cli, dir, e, results, error);
    engram_status closing = engram_close(&e, error);
    engram_status removed = eg_bench_remove(engram, error);
    return status != ENGRAM_OK ? status : closing != ENGRAM_OK ? closing : removed;
}
