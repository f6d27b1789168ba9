/* A million files and ten million chunks: scale_bench DIR [FILES [CHUNKS_PER_FILE]].
 *
 * Makes an engram of generated 4 KiB chunks, all different, by two threads in transactions of a
 * thousand files; prints rates and anonymous memory, closes, opens again, and prints how long that
 * took and what it holds in memory then. Reads some files back and compares them. By hand. */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engram/engram.h"

enum { CHUNK = 4096, BATCH = 1000, THREADS = 2, CHUNKS_MAX = 64 };

static struct engram *engram;
static uint64_t files = 1000000, chunks = 10;

static void stop(const char *what, const engram_error *error)
{
    fprintf(stderr, "%s: %s\n", what, error->message);
    exit(1);
}

/* Different for each chunk, and small when packed. */
static void fill(uint8_t *bytes, uint64_t file)
{
    for (uint64_t c = 0; c < chunks; c++) {
        uint8_t *at = bytes + c * CHUNK;
        uint64_t z = (file * chunks + c + 1) * 0x9E3779B97F4A7C15u;
        for (size_t i = 0; i < 64; i += 8) {
            z ^= z >> 29;
            z *= 0xBF58476D1CE4E5B9u;
            memcpy(at + i, &z, 8);
        }
        for (size_t done = 64; done < CHUNK; done *= 2)
            memcpy(at + done, at, done);
    }
}

static void name(char path[64], uint64_t file)
{
    snprintf(path, 64, "d%04" PRIu64 "/f%07" PRIu64, file / BATCH, file);
}

static void store_batch(uint64_t first, uint8_t *bytes)
{
    engram_transaction *tx = NULL;
    engram_error error = {0};
    engram_transaction_options options = {.durability = ENGRAM_DURABILITY_RELAXED};
    char path[64];
    if (engram_begin(engram, &options, &tx, &error) != ENGRAM_OK)
        stop("begin", &error);
    name(path, first);
    *strchr(path, '/') = 0;
    if (engram_mkdir(tx, path, 0755, &error) != ENGRAM_OK)
        stop(path, &error);
    for (uint64_t f = first; f < first + BATCH && f < files; f++) {
        name(path, f);
        fill(bytes, f);
        if (engram_write(tx, path, bytes, chunks * CHUNK, NULL, &error) != ENGRAM_OK)
            stop(path, &error);
    }
    if (engram_commit(&tx, NULL, &error) != ENGRAM_OK)
        stop("commit", &error);
}

static void *store_share(void *context)
{
    uint8_t *bytes = malloc((size_t)CHUNKS_MAX * CHUNK);
    for (uint64_t b = (uint64_t)(uintptr_t)context; bytes != NULL && b * BATCH < files; b += THREADS)
        store_batch(b * BATCH, bytes);
    free(bytes);
    return NULL;
}

static double anonymous_mb(void)
{
    char line[256];
    long kb = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status != NULL && fgets(line, sizeof line, status) != NULL)
        sscanf(line, "RssAnon: %ld", &kb);
    if (status != NULL)
        fclose(status);
    return (double)kb / 1024;
}

static void read_some(void)
{
    engram_view *view = NULL;
    engram_error error = {0};
    uint8_t *want = malloc(chunks * CHUNK), *got_bytes = malloc(chunks * CHUNK);
    char path[64];
    size_t got;
    if (want == NULL || got_bytes == NULL || engram_pin(engram, &view, &error) != ENGRAM_OK)
        stop("pin", &error);
    for (uint64_t i = 0; i < 1000; i++) {
        uint64_t file = i * 7919 % files;
        name(path, file);
        fill(want, file);
        if (engram_read(view, path, 0, got_bytes, chunks * CHUNK, &got, &error) != ENGRAM_OK)
            stop(path, &error);
        if (got != chunks * CHUNK || memcmp(want, got_bytes, got) != 0) {
            fprintf(stderr, "%s: other bytes\n", path);
            exit(1);
        }
    }
    engram_unpin(&view);
    free(want);
    free(got_bytes);
}

static void open_engram(const char *dir)
{
    engram_error error = {0};
    uint64_t start = eg_clock_monotonic_ns();
    if (engram_open(dir, NULL, &engram, &error) != ENGRAM_OK)
        stop(dir, &error);
    printf("opened in %.2f s, %.0f MB anonymous memory\n",
           (double)(eg_clock_monotonic_ns() - start) / 1e9, anonymous_mb());
}

int main(int argc, char **argv)
{
    engram_error error = {0};
    engram_format format = {.chunk = "fixed:4096", .level = 1};
    pthread_t threads[THREADS];
    if (argc < 2)
        return fprintf(stderr, "usage: scale_bench DIR [FILES [CHUNKS_PER_FILE]]\n"), 2;
    if (argc > 2)
        files = strtoull(argv[2], NULL, 10);
    if (argc > 3)
        chunks = strtoull(argv[3], NULL, 10);
    if (files == 0 || chunks == 0 || chunks > CHUNKS_MAX)
        return fprintf(stderr, "scale_bench: 1 or more files of 1 to %d chunks\n", CHUNKS_MAX), 2;
    if (engram_create(argv[1], &format, &error) != ENGRAM_OK)
        stop(argv[1], &error);
    open_engram(argv[1]);
    double before = anonymous_mb();
    uint64_t start = eg_clock_monotonic_ns();
    for (uintptr_t t = 0; t < THREADS; t++)
        pthread_create(&threads[t], NULL, store_share, (void *)t);
    for (uintptr_t t = 0; t < THREADS; t++)
        pthread_join(threads[t], NULL);
    double seconds = (double)(eg_clock_monotonic_ns() - start) / 1e9;
    double grown = anonymous_mb() - before;
    printf("%" PRIu64 " files, %" PRIu64 " chunks in %.0f s: %.0f MB/s; %.0f MB more anonymous memory, "
           "%.0f bytes a chunk\n",
           files, files * chunks, seconds, (double)(files * chunks * CHUNK) / 1e6 / seconds, grown,
           grown * 1048576 / (double)(files * chunks));
    fflush(stdout);
    if (engram_close(&engram, &error) != ENGRAM_OK)
        stop("close", &error);
    printf("closed\n");
    open_engram(argv[1]);
    read_some();
    printf("1,000 files read and compared, %.0f MB anonymous memory\n", anonymous_mb());
    return engram_close(&engram, &error) == ENGRAM_OK ? 0 : 1;
}
