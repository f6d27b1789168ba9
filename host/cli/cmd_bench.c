/* engram bench: how fast this machine is at what engram does. */
#include <inttypes.h>

#include "base/clock.h"
#include "base/memory.h"
#include "cli/bench.h"

enum { RANDOM_SIZE = 64 << 20, DATA_SIZE_MAX = 1 << 30, RUNS_LEAST = 7, VECTORS = 1000000 };

static const eg_option options[] = {
    {"data", 0, "FILE", "encode this file's bytes too, in chunks of 16 KiB"},
    {"runs", 0, "N", "timed runs of each, 7 or more; default 7"},
    {"dir", 0, "DIR", "commit, update: on this disk; default: the working directory"},
    {"seconds", 0, "N", "commit: for so long each; default 2"},
    {"writers", 0, "N", "commit: only this many; also --readers, --payload, --durability"},
    {"readers", 0, "N", "commit: threads that read 4 KiB files beside the writers"},
    {"payload", 0, "SIZE", "commit: bytes of each new file"},
    {"durability", 0, "MODE", "commit: immediate, group or relaxed"},
    {"small-size", 0, "SIZE", "commit: so much new data travels in the journal; default 64K"},
    {"replay", 0, "SIZE", "commit: only the replay of a journal of this size"},
    {0},
};

static const struct operation {
    const char *name;
    engram_status (*run)(eg_bench *bench, engram_error *error);
} operations[] = {
    {"encode", eg_bench_encode},
    {"bundle", eg_bench_bundle},
    {"query", eg_bench_query},
};
enum { OPERATION_COUNT = sizeof operations / sizeof *operations };

/* Without operands: all but those that write to a disk. */
static engram_status choose(const eg_cli *cli, bool chosen[OPERATION_COUNT], bool *commit, bool *update,
                            engram_error *error)
{
    for (size_t o = 0; o < OPERATION_COUNT; o++)
        chosen[o] = cli->operand_count == 0;
    *commit = *update = false;
    for (int i = 0; i < cli->operand_count; i++) {
        bool all = strcmp(cli->operands[i], "all") == 0;
        *commit |= all || strcmp(cli->operands[i], "commit") == 0;
        *update |= all || strcmp(cli->operands[i], "update") == 0;
        bool known = all || strcmp(cli->operands[i], "commit") == 0 || strcmp(cli->operands[i], "update") == 0;
        for (size_t o = 0; o < OPERATION_COUNT; o++)
            if (all || strcmp(cli->operands[i], operations[o].name) == 0)
                known = chosen[o] = true;
        if (!known)
            return eg_fail(error, ENGRAM_INVALID, "%s: encode, bundle, query, commit, update or all is expected",
                           cli->operands[i]);
    }
    return ENGRAM_OK;
}

/* SplitMix64. */
static void fill_random(uint8_t *bytes, size_t size, uint64_t seed)
{
    for (size_t i = 0; i + 8 <= size; i += 8) {
        uint64_t z = seed += 0x9E3779B97F4A7C15u;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
        z = (z ^ z >> 27) * 0x94D049BB133111EBu;
        eg_put_u64(bytes + i, z ^ z >> 31);
    }
}

static engram_status prepare(eg_bench *b, engram_error *error)
{
    const char *file = eg_option_text(b->cli, "data");
    engram_error inner = {0};
    b->vector_count = VECTORS;
    b->random_size = RANDOM_SIZE;
    b->vectors = eg_alloc_aligned(64, b->vector_count * ENGRAM_BLOCKS);
    b->random = eg_alloc_aligned(64, b->random_size);
    if (b->vectors == NULL || b->random == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for a million vectors (256 MB)");
    fill_random(b->vectors, b->vector_count * ENGRAM_BLOCKS, 1);
    fill_random(b->random, b->random_size, 2);
    if (file == NULL)
        return ENGRAM_OK;
    engram_status status = eg_cli_read_input(file, DATA_SIZE_MAX, &b->data, &b->data_size, &inner);
    if (status == ENGRAM_OK && b->data_size == 0)
        status = eg_fail(&inner, ENGRAM_INVALID, "empty");
    return status == ENGRAM_OK ? ENGRAM_OK : eg_fail(error, status, "%s: %s", file, inner.message);
}

static engram_status bench_device(eg_bench *b, const char *spec, const bool chosen[OPERATION_COUNT],
                                  engram_error *error)
{
    engram_status status = eg_device_open(spec, b->pool, &b->device, error);
    for (size_t o = 0; o < OPERATION_COUNT && status == ENGRAM_OK; o++)
        if (chosen[o])
            status = operations[o].run(b, error);
    eg_device_close(&b->device);
    return status;
}

/* Each of the devices between commas. */
static engram_status bench_devices(eg_bench *b, const bool chosen[OPERATION_COUNT],
                                   engram_error *error)
{
    const char *list = eg_option_text(b->cli, "device");
    char *specs = eg_strdup(list != NULL && *list != 0 ? list : "auto");
    if (specs == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
    engram_status status = ENGRAM_OK;
    char *rest = NULL;
    for (char *spec = strtok_r(specs, ",", &rest); spec != NULL && status == ENGRAM_OK;
         spec = strtok_r(NULL, ",", &rest))
        status = bench_device(b, spec, chosen, error);
    eg_free(specs);
    return status;
}

void eg_bench_update_limits(eg_bench *bench)
{
    eg_limits_measure(bench->pool, bench->vectors, bench->vector_count * ENGRAM_BLOCKS,
                      &bench->limits);
}

static void report_limits(eg_bench *b)
{
    const eg_limits *l = &b->limits;
    json_t *machine = json_object();
    eg_json_put(machine, "read_bytes_per_second", json_real(l->read_bytes));
    eg_json_put(machine, "cycles_per_second", json_real(l->core_cycles));
    eg_json_put_number(machine, "threads", l->threads);
    eg_json_put(b->cli->document, "machine", machine);
    eg_output_say(b->cli, "this machine: reads %.1f GB/s with %zu threads, a core at %.2f GHz\n\n",
                  l->read_bytes / 1e9, l->threads, l->core_cycles / 1e9);
    eg_output_say(b->cli, "%-7s %-8s %-12s %7s %7s %8s  %10s %-11s %10s %6s %11s %11s\n", "op",
                  "input", "device", "threads", "batch", "rows", "value", "unit", "limit", "ratio",
                  "median ms", "p99 ms");
}

static engram_status bench_compute(eg_cli *cli, const bool chosen[OPERATION_COUNT], json_t *results,
                                   engram_error *error)
{
    uint64_t runs = RUNS_LEAST;
    EG_TRY(eg_option_number(cli, "runs", RUNS_LEAST, 1000, &runs, error));
    EG_TRY(eg_cli_open_pool(cli, error));
    eg_bench bench = {.cli = cli, .pool = cli->pool, .runs = (unsigned)runs, .results = results};
    engram_status status = prepare(&bench, error);
    if (status == ENGRAM_OK) {
        eg_bench_update_limits(&bench);
        report_limits(&bench);
        status = bench_devices(&bench, chosen, error);
    }
    eg_free(bench.vectors);
    eg_free(bench.random);
    eg_free(bench.data);
    return status;
}

static engram_status run(eg_cli *cli, engram_error *error)
{
    bool chosen[OPERATION_COUNT], commit = false, update = false, compute = false;
    json_t *results = json_array();
    engram_status status = choose(cli, chosen, &commit, &update, error);
    for (size_t o = 0; o < OPERATION_COUNT; o++)
        compute |= chosen[o];
    if (status == ENGRAM_OK && compute)
        status = bench_compute(cli, chosen, results, error);
    if (status == ENGRAM_OK && commit)
        status = eg_bench_commit(cli, results, error);
    if (status == ENGRAM_OK && update)
        status = eg_bench_update(cli, results, error);
    eg_json_put(cli->document, "results", results);
    return status;
}

const eg_command eg_command_bench = {
    .name = "bench",
    .operands = "[encode|bundle|query|commit|update|all]...",
    .summary = "Measure this machine at what engram does",
    .details = "Over seeded random bytes and a million uniform vectors made in memory: a warm-up, "
               "then 7 or more\n"
               "runs, of which the median counts. --device takes several, between commas. Each "
               "value stands beside\n"
               "a limit of the same run and its ratio to it: read bandwidth of memory for a query "
               "alone, 64 bytes a\n"
               "cycle and core for a batch of them, an increment a cycle for bundles, 1.5 cycles a "
               "byte for encode.\n"
               "callers: single queries of one thread and of eight at once, which are merged into batches.\n"
               "\n"
               "commit makes engrams below --dir and removes them again: new files of random bytes, "
               "a transaction each,\n"
               "by 1 to 100 writers in each durability, beside writers / t_sync, t_sync being a bare "
               "write and fdatasync\n"
               "of as many bytes; reads beside 100 writers; and the replay of a journal. update replaces single chunks of a\n"
               "file there, durably, and reads ranges of it.\n",
    .examples = "  engram bench\n  engram bench query --device scalar,avx2,avx512 --threads 1\n"
                "  engram bench encode --data /usr/lib/libc.so --json\n"
                "  engram bench commit --dir /var/tmp --writers 100 --payload 4K --seconds 60\n",
    .options = options,
    .operand_max = -1,
    .run = run,
};
