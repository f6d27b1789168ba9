/* engram bench: how fast this machine is at what engram does. */
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "cli/bench.h"

enum { RANDOM_SIZE = 64 << 20, RUNS_LEAST = 10, VECTORS = 1000000, REAL_MAX = 2000000 };
#define DATA_SIZE_MAX ((size_t)2 << 30)

static const eg_option options[] = {
    {"data", 0, "PATH", "a file or a directory: encode its bytes too, and query its chunks of about 1 KiB"},
    {"runs", 0, "N", "timed runs of each, 10 or more; default 10"},
    {"rows", 0, "LIST", "query: among so many vectors; default 10000,1000000,10000000"},
    {"batch", 0, "LIST", "query: so many at once; default 1,8,64,512"},
    {"layout", 0, "LAYOUT", "query: vectors as planes, as sealed segments have them, or as rows; default planes"},
    {"plot", 0, "FILE.svg", "write a chart: throughput against batch size, with the limits"},
    {"dir", 0, "DIR", "commit, update, ingest: on this disk; default: the working directory"},
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
    {"ingest", eg_bench_ingest},
};
enum { OPERATION_COUNT = sizeof operations / sizeof *operations };

/* These work on a disk, or on an engram, and need no device. */
static const struct disk_operation {
    const char *name;
    engram_status (*run)(eg_cli *cli, json_t *results, engram_error *error);
    bool is_of_all; /* of "all": all but those that need an engram */
} disk_operations[] = {
    {"commit", eg_bench_commit, true},
    {"update", eg_bench_update, true},
    {"read", eg_bench_read, false},
};
enum { DISK_OPERATION_COUNT = sizeof disk_operations / sizeof *disk_operations };

typedef struct choice {
    bool operations[OPERATION_COUNT], disk_operations[DISK_OPERATION_COUNT];
} choice;

/* Without operands: all but those that write to a disk. */
static engram_status choose(const eg_cli *cli, choice *chosen, engram_error *error)
{
    *chosen = (choice){0};
    for (size_t o = 0; o < OPERATION_COUNT; o++)
        chosen->operations[o] = cli->operand_count == 0 && operations[o].run != eg_bench_ingest;
    for (int i = 0; i < cli->operand_count; i++) {
        const char *name = cli->operands[i];
        bool all = strcmp(name, "all") == 0, known = all;
        for (size_t o = 0; o < OPERATION_COUNT; o++)
            if (all || strcmp(name, operations[o].name) == 0)
                known = chosen->operations[o] = true;
        for (size_t o = 0; o < DISK_OPERATION_COUNT; o++)
            if ((all && disk_operations[o].is_of_all) || strcmp(name, disk_operations[o].name) == 0)
                known = chosen->disk_operations[o] = true;
        if (!known)
            return eg_fail(error, ENGRAM_INVALID,
                           "%s: encode, bundle, query, ingest, commit, update, read or all is expected", name);
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

/* Numbers between commas, rising or not. */
static engram_status read_list(const eg_cli *cli, const char *name, const char *fallback, size_t most,
                               size_t list[EG_BENCH_LIST_MAX], engram_error *error)
{
    const char *text = eg_option_text(cli, name), *at = text != NULL ? text : fallback;
    for (size_t i = 0; i + 1 < EG_BENCH_LIST_MAX; i++) {
        char *end;
        unsigned long long number = strtoull(at, &end, 10);
        if (end == at || number == 0 || number > most || (*end != 0 && *end != ','))
            return eg_fail(error, ENGRAM_INVALID, "--%s %s: numbers from 1 to %zu between commas are expected", name, text, most);
        list[i] = (size_t)number;
        list[i + 1] = 0;
        if (*end == 0)
            return ENGRAM_OK;
        at = end + 1;
    }
    return eg_fail(error, ENGRAM_INVALID, "--%s: at most %d numbers", name, EG_BENCH_LIST_MAX - 1);
}

static engram_status read_layout(eg_bench *b, engram_error *error)
{
    const char *layout = eg_option_text(b->cli, "layout");
    if (layout == NULL || strcmp(layout, "planes") == 0)
        b->layout = EG_LAYOUT_PLANES;
    else if (strcmp(layout, "rows") != 0)
        return eg_fail(error, ENGRAM_INVALID, "--layout %s: planes or rows is expected", layout);
    return ENGRAM_OK;
}

/* Vectors may take half of the machine's memory; rows beyond are left out, and said to be. */
static engram_status fit_rows(eg_bench *b, engram_error *error)
{
    size_t half = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE) / 2 / ENGRAM_BLOCKS, kept = 0;
    for (size_t i = 0; b->rows[i] != 0; i++) {
        size_t rows = b->rows[i];
        if (rows > half)
            eg_output_note(b->cli, "%zu vectors would take more than half of the memory: left out", rows);
        else
            b->rows[kept++] = rows;
        if (rows <= half && rows > b->vector_count)
            b->vector_count = rows;
    }
    b->rows[kept] = 0;
    return kept != 0 ? ENGRAM_OK : eg_fail(error, ENGRAM_INVALID, "--rows: fewer vectors are needed than fit half of the memory");
}

static engram_status read_data(eg_bench *b, engram_error *error)
{
    const char *path = eg_option_text(b->cli, "data");
    if (path == NULL)
        return ENGRAM_OK;
    EG_TRY(eg_bench_read_tree(path, DATA_SIZE_MAX, &b->data, &b->data_size, error));
    return b->data_size != 0 ? ENGRAM_OK : eg_fail(error, ENGRAM_INVALID, "%s: nothing in it can be read", path);
}

static engram_status prepare(eg_bench *b, const bool chosen[OPERATION_COUNT], engram_error *error)
{
    bool query = false, encode = false;
    for (size_t o = 0; o < OPERATION_COUNT; o++) {
        query |= chosen[o] && operations[o].run == eg_bench_query;
        encode |= chosen[o] && operations[o].run == eg_bench_encode;
    }
    EG_TRY(read_list(b->cli, "rows", "10000,1000000,10000000", SIZE_MAX / ENGRAM_BLOCKS, b->rows, error));
    EG_TRY(read_list(b->cli, "batch", "1,8,64,512", 4096, b->batches, error));
    EG_TRY(read_layout(b, error));
    b->vector_count = VECTORS;
    if (query)
        EG_TRY(fit_rows(b, error));
    b->random_size = RANDOM_SIZE;
    b->vectors = eg_alloc_aligned(64, b->vector_count * ENGRAM_BLOCKS);
    b->random = eg_alloc_aligned(64, b->random_size);
    if (b->vectors == NULL || b->random == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for %zu vectors: give fewer with --rows", b->vector_count);
    fill_random(b->vectors, b->vector_count * ENGRAM_BLOCKS, 1);
    fill_random(b->random, b->random_size, 2);
    return query || encode ? read_data(b, error) : ENGRAM_OK;
}

const char *eg_bench_layout_name(const eg_bench *bench)
{
    return bench->layout == EG_LAYOUT_PLANES ? "planes" : "rows";
}

eg_vectors eg_bench_uniform(const eg_bench *bench, size_t count)
{
    return (eg_vectors){bench->vectors, count, 0, count, bench->layout};
}

/* With the first device, for all of them: bits are equal. */
static engram_status make_real(eg_bench *b, bool query, engram_error *error)
{
    enum { QUERIES = EG_BENCH_QUERIES_MAX };
    if (b->data == NULL || b->real != NULL || !query)
        return ENGRAM_OK;
    EG_TRY(eg_bench_make_vectors(b->device, b->data, b->data_size, REAL_MAX, &b->real, &b->real_count, error));
    if (b->real_count <= QUERIES)
        return eg_fail(error, ENGRAM_INVALID,
                       "--data has only %zu distinct chunks of about 1 KiB: more than %d are needed", b->real_count, QUERIES);
    b->real_count -= QUERIES;
    b->real_queries = eg_memdup(b->real + b->real_count * ENGRAM_BLOCKS, (size_t)QUERIES * ENGRAM_BLOCKS);
    if (b->real_queries == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for the vectors of --data");
    return b->layout == EG_LAYOUT_PLANES ? eg_bench_turn(b->real, b->real_count, error) : ENGRAM_OK;
}

static engram_status bench_device(eg_bench *b, const char *spec, const bool chosen[OPERATION_COUNT],
                                  engram_error *error)
{
    engram_status status = eg_device_open(spec, b->pool, &b->device, error);
    if (status == ENGRAM_OK)
        status = make_real(b, chosen[2], error);
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
    engram_status status = specs[strspn(specs, ",")] != 0
                               ? ENGRAM_OK
                               : eg_fail(error, ENGRAM_INVALID, "--device %s: a device is expected", list);
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
    eg_output_say(b->cli, "this machine: reads %.1f GB/s with %zu threads, a core at %.2f GHz; queries: vectors in %s\n\n",
                  l->read_bytes / 1e9, l->threads, l->core_cycles / 1e9, eg_bench_layout_name(b));
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
    engram_status status = prepare(&bench, chosen, error);
    if (status == ENGRAM_OK) {
        eg_bench_update_limits(&bench);
        report_limits(&bench);
        status = bench_devices(&bench, chosen, error);
    }
    eg_free(bench.vectors);
    eg_free(bench.random);
    eg_free(bench.data);
    eg_free(bench.real);
    eg_free(bench.real_queries);
    return status;
}

static engram_status run(eg_cli *cli, engram_error *error)
{
    choice chosen;
    bool compute = false;
    json_t *results = json_array();
    engram_status status = choose(cli, &chosen, error);
    for (size_t o = 0; o < OPERATION_COUNT; o++)
        compute |= chosen.operations[o];
    if (status == ENGRAM_OK)
        eg_bench_describe(cli);
    if (status == ENGRAM_OK && compute)
        status = bench_compute(cli, chosen.operations, results, error);
    for (size_t o = 0; o < DISK_OPERATION_COUNT && status == ENGRAM_OK; o++)
        if (chosen.disk_operations[o])
            status = disk_operations[o].run(cli, results, error);
    const char *plot = eg_option_text(cli, "plot");
    if (status == ENGRAM_OK && plot != NULL)
        status = eg_bench_plot(results, plot, error);
    eg_json_put(cli->document, "results", results);
    return status;
}

const eg_command eg_command_bench = {
    .name = "bench",
    .operands = "[encode|bundle|query|ingest|commit|update|read|all]...",
    .summary = "Measure this machine at what engram does",
    .details = "Over seeded random bytes and uniform vectors made in memory, and over --data: a warm-up, then 10 or\n"
               "more runs, of which the median counts. --device takes several, between commas. Each value stands beside\n"
               "a limit of the same run and its ratio to it: read bandwidth of memory for a query "
               "alone, 64 bytes a\n"
               "cycle and core for a batch of them, an increment a cycle for bundles, 1.5 cycles a "
               "byte for encode.\n"
               "Ten million vectors take 2.6 GB and minutes: --rows and --batch choose. ingest encodes --data into\n"
               "engrams below --dir, beside reading the same files.\n"
               "callers: single queries of one thread and of eight at once, which are merged into batches.\n"
               "\n"
               "commit makes engrams below --dir and removes them again: new files of random bytes, "
               "a transaction each,\n"
               "by 1 to 100 writers in each durability, beside writers / t_sync, t_sync being a bare "
               "write and fdatasync\n"
               "of as many bytes; reads beside 100 writers; and the replay of a journal. update replaces single chunks of a\n"
               "file there, durably, and reads ranges of it.\n"
               "read reads chunks of the engram -e in random order, and tells of each kind of correction.\n",
    .examples = "  engram bench\n  engram bench query --device scalar,avx2,avx512 --threads 1\n"
                "  engram bench query --data /usr --rows 1000000 --plot query.svg\n"
                "  engram bench commit --dir /var/tmp --writers 100 --payload 4K --seconds 60\n",
    .options = options,
    .operand_max = -1,
    .needs_none = true,
    .run = run,
};
