/* Measuring: operations over data made here, against what the machine itself can do in the same
 * run.
 *
 * The limits are the read bandwidth of memory and the core's clock, both measured with as many
 * threads as compute. A scan for one query cannot be faster than memory is read; a batch of queries
 * not faster than 64 bytes a cycle and core are compared; a bundle not faster than one increment a
 * cycle and core; encoding takes at least about one and a half cycles a byte (two multiplications,
 * a comparison). They are the CPU's: for a GPU no limit is given. */
#ifndef EG_CLI_BENCH_H
#define EG_CLI_BENCH_H

#include "cli/cli.h"

typedef struct eg_limits {
    double read_bytes;  /* a second, all threads */
    double core_cycles; /* a second, one core */
    size_t threads;
} eg_limits;

/* Measured anew beside each result, for other work on the machine comes and goes: the median of reading, as of results, and
 * the highest clock so far. buffer: larger than the caches. */
void eg_limits_measure(eg_pool *pool, const uint8_t *buffer, size_t size, eg_limits *limits);

enum { EG_BENCH_LIST_MAX = 16 };

typedef struct eg_bench {
    eg_cli *cli;
    eg_device *device;
    eg_pool *pool;
    unsigned runs; /* timed, after one that is not */
    eg_limits limits;
    eg_layout layout; /* of the vectors that are scanned */
    uint8_t *vectors; /* seeded, uniform in either layout, 64-byte aligned */
    size_t vector_count;
    uint8_t *real; /* likewise: of the distinct chunks of --data at cdc:1024, but for the last, which ask */
    size_t real_count;
    uint8_t *real_queries; /* EG_BENCH_QUERIES_MAX, in rows */
    uint8_t *random, *data; /* bytes to encode; data: of --data, or NULL */
    size_t random_size, data_size;
    size_t rows[EG_BENCH_LIST_MAX], batches[EG_BENCH_LIST_MAX]; /* of queries; each list ends with 0 */
    json_t *results;
} eg_bench;

enum { EG_BENCH_CHUNK = 16384, EG_BENCH_QUERIES_MAX = 4096 };

void eg_bench_update_limits(eg_bench *bench);
/* "planes" or "rows". */
const char *eg_bench_layout_name(const eg_bench *bench);
/* The first count of the uniform ones. */
eg_vectors eg_bench_uniform(const eg_bench *bench, size_t count);

/* Each measures on bench->device and adds to bench->results. */
engram_status eg_bench_encode(eg_bench *bench, engram_error *error);
engram_status eg_bench_bundle(eg_bench *bench, engram_error *error);
engram_status eg_bench_query(eg_bench *bench, engram_error *error);
/* Single queries of several threads, through a batcher; part of query. */
engram_status eg_bench_callers(eg_bench *bench, engram_error *error);

/* bench_data.c: the bytes of a file, or of every regular file below a directory one after another, up to size_max, in
 * fresh memory (eg_free). What cannot be read is passed over. */
engram_status eg_bench_read_tree(const char *path, size_t size_max, uint8_t **bytes, size_t *size, engram_error *error);
/* The vectors of the distinct chunks of bytes at cdc:1024, at most count_max, in fresh memory (eg_free). */
engram_status eg_bench_make_vectors(eg_device *device, const uint8_t *bytes, size_t size, size_t count_max,
                                    uint8_t **vectors, size_t *count, engram_error *error);
/* From rows to planes, in their place. */
engram_status eg_bench_turn(uint8_t *vectors, size_t count, engram_error *error);

/* A whole encode into a fresh engram under --dir, from --data or from random bytes; adds to bench->results. */
engram_status eg_bench_ingest(eg_bench *bench, engram_error *error);
/* "environment" of the document: what the figures were taken on. */
void eg_bench_describe(eg_cli *cli);
/* Results of encode, bundle and query as a chart: throughput against batch size, a panel for each operation. */
engram_status eg_bench_plot(const json_t *results, const char *path, engram_error *error);

/* Durable commits, reads beside them, and replay, under --dir; adds to results. */
engram_status eg_bench_commit(eg_cli *cli, json_t *results, engram_error *error);
/* Chunks of one file replaced, and ranges of it read, one thread, under --dir. */
engram_status eg_bench_update(eg_cli *cli, json_t *results, engram_error *error);
/* Chunks of the engram -e in random order, one thread; adds to results. */
engram_status eg_bench_read(eg_cli *cli, json_t *results, engram_error *error);

#endif
