/* See bench_disk.h. */
#include "cli/bench_disk.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"

enum { LATENCIES = 1 << 20, PROBES = 200 };

engram_status eg_latencies_init(eg_latencies *latencies, engram_error *error)
{
    atomic_init(&latencies->count, 0);
    latencies->us = eg_alloc(LATENCIES * sizeof *latencies->us);
    return latencies->us != NULL ? ENGRAM_OK : eg_fail(error, ENGRAM_NO_MEMORY, "no memory for latencies");
}

void eg_latencies_fini(eg_latencies *latencies)
{
    eg_free(latencies->us);
    latencies->us = NULL;
}

double eg_bench_now_us(void)
{
    return (double)eg_clock_monotonic_ns() / 1e3;
}

void eg_latencies_note(eg_latencies *l, double us)
{
    size_t at = atomic_fetch_add_explicit(&l->count, 1, memory_order_relaxed);
    l->us[at % LATENCIES] = (float)us;
}

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

double eg_latencies_quantile(eg_latencies *l, double q)
{
    size_t count = atomic_load(&l->count);
    count = count < LATENCIES ? count : LATENCIES;
    if (count == 0)
        return 0;
    qsort(l->us, count, sizeof *l->us, compare_floats);
    return (double)l->us[(size_t)(q * (double)(count - 1))];
}

/* ---- the disk itself ---- */

static engram_status write_blocks(eg_io *io, eg_file *file, uint8_t *piece, size_t size,
                                  engram_error *error)
{
    for (uint64_t at = 0; at < (uint64_t)64 << 20; at += size)
        EG_TRY(io->write(io, file, at, piece, size, error));
    return io->sync(io, file, error);
}

engram_status eg_bench_probe_sync(const char *dir, size_t size, double *us, engram_error *error)
{
    eg_io *io = eg_io_posix();
    eg_file *file = NULL;
    char *path = eg_path_join(dir, "engram-bench.probe");
    uint8_t *bytes = eg_alloc_zero(1, EG_BENCH_PAYLOAD_MAX);
    eg_latencies l = {.us = eg_alloc(PROBES * sizeof(float))};
    engram_status status = path != NULL && bytes != NULL && l.us != NULL
                               ? io->open(io, path, EG_OPEN_WRITE | EG_OPEN_MAY_CREATE, &file, error)
                               : eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
    if (status == ENGRAM_OK)
        status = write_blocks(io, file, bytes, EG_BENCH_PAYLOAD_MAX, error);
    uint64_t at = 0;
    for (unsigned i = 0; i < PROBES && status == ENGRAM_OK; i++) {
        double start = eg_bench_now_us();
        for (size_t done = 0; done < size && status == ENGRAM_OK; done += EG_BENCH_PAYLOAD_MAX)
            status = io->write(io, file, (at + done) % ((uint64_t)60 << 20), bytes,
                               size - done < EG_BENCH_PAYLOAD_MAX ? size - done : EG_BENCH_PAYLOAD_MAX, error);
        if (status == ENGRAM_OK)
            status = io->sync(io, file, error);
        l.us[i] = (float)(eg_bench_now_us() - start);
        at += size;
    }
    io->close(io, &file);
    if (path != NULL)
        io->unlink(io, path, NULL);
    atomic_store(&l.count, PROBES);
    *us = status == ENGRAM_OK ? eg_latencies_quantile(&l, 0.5) : 0;
    eg_free(l.us);
    eg_free(bytes);
    eg_free(path);
    return status;
}

void eg_bench_fill(uint8_t *bytes, size_t size, uint64_t *seed)
{
    for (size_t i = 0; i < size; i += 8) {
        uint64_t z = *seed += 0x9E3779B97F4A7C15u;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
        z = (z ^ z >> 27) * 0x94D049BB133111EBu;
        z ^= z >> 31;
        memcpy(bytes + i, &z, size - i < 8 ? size - i : 8);
    }
}

engram_status eg_bench_remove(const char *path, engram_error *error)
{
    pid_t child = fork(); /* rm knows how */
    if (child == 0) {
        execlp("rm", "rm", "-rf", "--", path, (char *)NULL);
        _exit(127);
    }
    int state = 0;
    if (child < 0 || waitpid(child, &state, 0) != child || state != 0)
        return eg_fail(error, ENGRAM_IO, "cannot remove %s", path);
    return ENGRAM_OK;
}
