/* engram bench read: chunks of the engram -e in random order, one thread, from their place in a segment to checked bytes. Each
 * was read once before, so what the system keeps of the files is warm. */
#include <inttypes.h>

#include "base/memory.h"
#include "cli/bench.h"
#include "cli/bench_disk.h"
#include "engram/core.h"
#include "store/store.h"

enum { READS = 50000, KINDS = 4, DEPTHS = 256 };

/* Of all reads, or of those of one kind. */
typedef struct tally {
    eg_latencies latencies;
    uint64_t bytes;
} tally;

typedef struct read_bench {
    eg_store *store;
    uint64_t *ids;
    size_t count;
    uint8_t *bytes;
    size_t capacity;
    tally all, by_kind[KINDS];
    uint64_t by_depth[DEPTHS]; /* reads of chunks that rest on so many bases */
} read_bench;

static engram_status gather(read_bench *b, engram_error *error)
{
    eg_store_totals totals;
    EG_TRY(eg_store_get_totals(b->store, &totals, error));
    b->ids = eg_alloc((size_t)totals.chunks * sizeof *b->ids);
    if (b->ids == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for %" PRIu64 " chunk ids", totals.chunks);
    for (size_t i = 0, n = eg_store_segment_count(b->store); i < n; i++) {
        eg_vector_span span;
        EG_TRY(eg_store_get_vectors(b->store, i, &span, error));
        for (size_t row = 0; row < span.vectors.count && b->count < totals.chunks; row++)
            b->ids[b->count++] = span.ids[row];
    }
    return b->count != 0 ? ENGRAM_OK : eg_fail(error, ENGRAM_INVALID, "bench read: there is no chunk in this engram");
}

static engram_status read_one(read_bench *b, uint64_t id, size_t *size, engram_error *error)
{
    return eg_store_read(b->store, id, b->bytes, b->capacity, size, error);
}

static engram_status warm_up(read_bench *b, engram_error *error)
{
    for (size_t i = 0; i < b->count; i++) {
        eg_chunk_info info;
        size_t size;
        EG_TRY(eg_store_get_info(b->store, b->ids[i], &info, error));
        if (info.size > b->capacity) {
            eg_free(b->bytes);
            b->capacity = info.size;
            b->bytes = eg_alloc(b->capacity);
            if (b->bytes == NULL)
                return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for a chunk of %u bytes", info.size);
        }
        EG_TRY(read_one(b, b->ids[i], &size, error));
    }
    return ENGRAM_OK;
}

static void note(tally *t, double us, size_t size)
{
    eg_latencies_note(&t->latencies, us);
    t->bytes += size;
}

static engram_status measure(read_bench *b, engram_error *error)
{
    uint64_t seed = 5, drawn;
    for (unsigned i = 0; i < READS; i++) {
        eg_bench_fill((uint8_t *)&drawn, sizeof drawn, &seed);
        uint64_t id = b->ids[drawn % b->count];
        eg_chunk_info info;
        size_t size;
        double start = eg_bench_now_us();
        EG_TRY(read_one(b, id, &size, error));
        double us = eg_bench_now_us() - start;
        EG_TRY(eg_store_get_info(b->store, id, &info, error));
        note(&b->all, us, size);
        note(&b->by_kind[info.kind % KINDS], us, size);
        b->by_depth[info.depth]++;
    }
    return ENGRAM_OK;
}

static json_t *put_tally(eg_cli *cli, json_t *results, const char *what, tally *t)
{
    size_t reads = atomic_load(&t->latencies.count);
    json_t *item = json_object();
    double bytes = reads != 0 ? (double)t->bytes / (double)reads : 0, p50 = eg_latencies_quantile(&t->latencies, 0.5),
           p99 = eg_latencies_quantile(&t->latencies, 0.99);
    eg_json_put(item, "operation", json_string("chunk read"));
    eg_json_put(item, "kind", json_string(what));
    eg_json_put_number(item, "reads", reads);
    eg_json_put(item, "bytes", json_real(bytes));
    eg_json_put(item, "p50_us", json_real(p50));
    eg_json_put(item, "p99_us", json_real(p99));
    eg_json_put(results, NULL, item);
    eg_output_say(cli, "%-10s %6.2f %% of reads  %8.0f bytes   p50 %7.1f us   p99 %7.1f us\n", what,
                  100.0 * (double)reads / READS, bytes, p50, p99);
    return item;
}

static void report(eg_cli *cli, json_t *results, read_bench *b)
{
    eg_output_say(cli, "chunk read: %d at random of %zu chunks, warm\n", READS, b->count);
    json_t *depths = json_array(), *all = put_tally(cli, results, "all", &b->all);
    for (unsigned kind = 0; kind < KINDS; kind++)
        if (atomic_load(&b->by_kind[kind].latencies.count) != 0)
            put_tally(cli, results, eg_correction_kind_name((eg_correction_kind)kind), &b->by_kind[kind]);
    unsigned deepest = DEPTHS - 1;
    while (b->by_depth[deepest] == 0)
        deepest--;
    for (unsigned depth = 0; depth <= deepest; depth++) {
        json_array_append_new(depths, json_integer((json_int_t)b->by_depth[depth]));
        eg_output_say(cli, "depth %-4u %6.2f %% of reads\n", depth, 100.0 * (double)b->by_depth[depth] / READS);
    }
    eg_json_put(all, "by_depth", depths);
}

static engram_status init(read_bench *b, engram_error *error)
{
    EG_TRY(eg_latencies_init(&b->all.latencies, error));
    for (unsigned kind = 0; kind < KINDS; kind++)
        EG_TRY(eg_latencies_init(&b->by_kind[kind].latencies, error));
    return gather(b, error);
}

static void fini(read_bench *b)
{
    eg_latencies_fini(&b->all.latencies);
    for (unsigned kind = 0; kind < KINDS; kind++)
        eg_latencies_fini(&b->by_kind[kind].latencies);
    eg_free(b->ids);
    eg_free(b->bytes);
}

engram_status eg_bench_read(eg_cli *cli, json_t *results, engram_error *error)
{
    EG_TRY(eg_cli_open(cli, true, error));
    read_bench b = {.store = eg_engram_store(cli->engram)};
    engram_status status = init(&b, error);
    if (status == ENGRAM_OK)
        status = warm_up(&b, error);
    if (status == ENGRAM_OK)
        status = measure(&b, error);
    if (status == ENGRAM_OK)
        report(cli, results, &b);
    fini(&b);
    return status;
}
