/* What the benches share that work on a disk: latencies, payloads, and what the disk itself does. */
#ifndef EG_CLI_BENCH_DISK_H
#define EG_CLI_BENCH_DISK_H

#include <stdatomic.h>

#include "cli/cli.h"

enum { EG_BENCH_PAYLOAD_MAX = 1 << 20 };

/* Latencies of one kind of call, from many threads; once there are a million, the oldest give way. */
typedef struct eg_latencies {
    float *us;
    atomic_size_t count;
} eg_latencies;

engram_status eg_latencies_init(eg_latencies *latencies, engram_error *error);
void eg_latencies_fini(eg_latencies *latencies);
void eg_latencies_note(eg_latencies *latencies, double us);
/* q from 0 to 1; 0 when there is none. Not beside note. */
double eg_latencies_quantile(eg_latencies *latencies, double q);

double eg_bench_now_us(void);
/* Random bytes; size a multiple of 8 or not. The seed moves on. */
void eg_bench_fill(uint8_t *bytes, size_t size, uint64_t *seed);
/* An engram's directory that a bench made below --dir. */
engram_status eg_bench_remove(const char *path, engram_error *error);
/* The median time of a write of size bytes and its fdatasync, in a file in dir whose blocks were written before. */
engram_status eg_bench_probe_sync(const char *dir, size_t size, double *us, engram_error *error);

#endif
