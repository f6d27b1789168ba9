/* How fast chunks are appended, read and found: store_bench [FILE]. Chunks are the first 16 KiB
 * pieces of the file (a tar of source code, say), over and over if it is short, or random words;
 * then small ones, of 4 KiB. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "store/rig.h"

enum { COUNT = 8000, SIZE = 16384, BATCH = 64, READS = 40000 };

static uint64_t times[READS];

static double seconds(uint64_t since)
{
    return (double)(eg_clock_monotonic_ns() - since) / 1e9;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void must(engram_status status, const engram_error *error)
{
    if (status == ENGRAM_OK)
        return;
    fprintf(stderr, "store_bench: %s\n", error->message);
    exit(1);
}

/* Words, so that matches have the lengths of text. */
static void fill_text(uint64_t *state, uint8_t *bytes)
{
    for (size_t at = 0; at < SIZE;) {
        uint64_t word = test_mix(test_random(state) % 6000);
        size_t size = 3 + word % 9;
        for (size_t k = 0; k < size && at < SIZE; k++)
            bytes[at++] = (uint8_t)('a' + (word >> (k * 5) & 31) % 26);
    }
}

static FILE *input;

static void next_chunk(uint64_t *state, uint8_t *bytes)
{
    if (input == NULL) {
        fill_text(state, bytes);
    } else if (fread(bytes, SIZE, 1, input) != 1) {
        rewind(input);
        if (fread(bytes, SIZE, 1, input) != 1)
            exit(1);
    }
}

static void append_all(eg_store *store)
{
    static uint8_t bytes[SIZE], packed[BATCH][SIZE * 2], vectors[BATCH][256];
    eg_new_chunk chunks[BATCH];
    uint64_t ids[BATCH], state = 1, spent = 0;
    engram_error error = {0};
    eg_coder *coder;
    must(eg_coder_create(1, &coder, &error), &error);
    for (size_t n = 0; n < COUNT; n += BATCH) {
        for (size_t k = 0; k < BATCH; k++) {
            size_t size;
            next_chunk(&state, bytes);
            chunks[k] = (eg_new_chunk){.fingerprint = eg_fingerprint_of(bytes, SIZE),
                                       .vector = vectors[k],
                                       .spread = 1,
                                       .size = SIZE};
            must(eg_coder_pack(coder, bytes, SIZE, packed[k], &chunks[k].kind, &size, &error),
                 &error);
            chunks[k].correction = (eg_view){packed[k], size};
        }
        uint64_t start = eg_clock_monotonic_ns();
        must(eg_store_append(store, chunks, BATCH, ids, &error), &error);
        spent += eg_clock_monotonic_ns() - start;
    }
    eg_coder_free(coder);
    printf("append            %8.0f MB/s of chunks (page cache)\n",
           (double)COUNT * SIZE / ((double)spent / 1e9) / 1e6);
    uint64_t start = eg_clock_monotonic_ns();
    must(eg_store_seal(store, &error), &error);
    printf("seal              %8.1f ms\n", seconds(start) * 1e3);
}

static void read_in_order(eg_store *store)
{
    static uint8_t bytes[SIZE];
    engram_error error = {0};
    size_t size;
    for (int round = 0; round < 3; round++) {
        uint64_t start = eg_clock_monotonic_ns();
        for (uint64_t id = 1; id <= COUNT; id++)
            must(eg_store_read(store, id, bytes, SIZE, &size, &error), &error);
        printf("read in order     %8.0f MB/s\n", (double)COUNT * SIZE / seconds(start) / 1e6);
    }
}

/* What zstd alone takes for the same frames, from memory. */
static void read_bare(void)
{
    static uint8_t bytes[SIZE], packed[SIZE * 2];
    uint64_t state = 1, spent = 0;
    engram_error error = {0};
    eg_coder *coder;
    if (input != NULL)
        rewind(input);
    must(eg_coder_create(1, &coder, &error), &error);
    for (size_t n = 0; n < COUNT; n++) {
        eg_correction_kind kind;
        size_t size;
        next_chunk(&state, bytes);
        must(eg_coder_pack(coder, bytes, SIZE, packed, &kind, &size, &error), &error);
        uint64_t start = eg_clock_monotonic_ns();
        must(eg_coder_unpack(coder, kind, (eg_view){packed, size}, (eg_view){0}, bytes, SIZE,
                             &error),
             &error);
        spent += eg_clock_monotonic_ns() - start;
    }
    eg_coder_free(coder);
    printf("unpack alone      %8.0f MB/s\n", (double)COUNT * SIZE / ((double)spent / 1e9) / 1e6);
}

static void read_at_random(eg_store *store)
{
    static uint8_t bytes[SIZE];
    engram_error error = {0};
    uint64_t state = 2;
    size_t size;
    for (size_t n = 0; n < READS; n++) {
        uint64_t start = eg_clock_monotonic_ns();
        must(eg_store_read(store, 1 + test_random(&state) % COUNT, bytes, SIZE, &size, &error),
             &error);
        times[n] = eg_clock_monotonic_ns() - start;
    }
    qsort(times, READS, sizeof times[0], compare);
    printf("read at random    %8.1f us median, %.1f us p99\n", (double)times[READS / 2] / 1e3,
           (double)times[READS / 100 * 99] / 1e3);
}

static void look_up(eg_store *store)
{
    engram_error error = {0};
    uint64_t state = 3, ids[EG_STORE_CANDIDATES], found = 0;
    eg_chunk_info info;
    uint64_t start = eg_clock_monotonic_ns();
    for (size_t n = 0; n < READS * 10; n++)
        must(eg_store_get_info(store, 1 + test_random(&state) % COUNT, &info, &error), &error);
    printf("info              %8.0f ns\n", seconds(start) * 1e9 / (READS * 10));
    start = eg_clock_monotonic_ns();
    for (size_t n = 0; n < READS * 10; n++)
        found += eg_store_find(store, &info.fingerprint, info.size, ids);
    printf("find, there       %8.0f ns (%d of %d)\n", seconds(start) * 1e9 / (READS * 10),
           (int)found, READS * 10);
}

/* ---- small chunks ---- */

enum { SMALL = 4096, SMALL_COUNT = 24000, DISTINCT = 256, SMALL_READS = 200000 };

static uint8_t small_packed[DISTINCT][SMALL * 2], small_vectors[DISTINCT][256];
static eg_new_chunk small_chunks[DISTINCT];

static void make_small(int level)
{
    static uint8_t bytes[SIZE];
    engram_error error = {0};
    uint64_t state = 9;
    eg_coder *coder;
    if (input != NULL)
        rewind(input);
    must(eg_coder_create(level, &coder, &error), &error);
    for (size_t i = 0; i < DISTINCT; i++) {
        eg_new_chunk *chunk = &small_chunks[i];
        size_t size;
        if (i % (SIZE / SMALL) == 0)
            next_chunk(&state, bytes);
        const uint8_t *piece = bytes + i % (SIZE / SMALL) * SMALL;
        *chunk = (eg_new_chunk){.fingerprint = eg_fingerprint_of(piece, SMALL),
                                .vector = small_vectors[i],
                                .spread = 1,
                                .size = SMALL};
        must(eg_coder_pack(coder, piece, SMALL, small_packed[i], &chunk->kind, &size, &error),
             &error);
        chunk->correction = (eg_view){small_packed[i], size};
    }
    eg_coder_free(coder);
}

static void append_small(eg_store *store, size_t batch)
{
    uint64_t ids[DISTINCT], slowest = 0, start = eg_clock_monotonic_ns();
    engram_error error = {0};
    for (size_t n = 0; n < SMALL_COUNT; n += batch) {
        uint64_t before = eg_clock_monotonic_ns();
        must(eg_store_append(store, small_chunks + n % (DISTINCT - batch), batch, ids, &error),
             &error);
        uint64_t took = eg_clock_monotonic_ns() - before;
        slowest = took > slowest ? took : slowest;
    }
    double took = seconds(start);
    printf("append by %3zu     %8.2f us a chunk of 4 KiB, the slowest batch %.1f ms\n", batch,
           took * 1e6 / SMALL_COUNT, (double)slowest / 1e6);
    start = eg_clock_monotonic_ns();
    must(eg_store_sync(store, &error), &error);
    printf("sync of it        %8.1f ms\n", seconds(start) * 1e3);
}

static eg_store *read_from;

static void *read_small(void *context)
{
    uint8_t bytes[SMALL];
    engram_error error = {0};
    uint64_t state = (uintptr_t)context, count = eg_store_next_id(read_from) - 1;
    size_t size;
    for (size_t n = 0; n < SMALL_READS; n++)
        must(eg_store_read(read_from, 1 + test_random(&state) % count, bytes, SMALL, &size, &error),
             &error);
    return NULL;
}

static void read_small_beside(size_t threads, const char *what)
{
    pthread_t readers[4];
    uint64_t start = eg_clock_monotonic_ns();
    for (size_t i = 0; i < threads; i++)
        pthread_create(&readers[i], NULL, read_small, (void *)(i + 1));
    for (size_t i = 0; i < threads; i++)
        pthread_join(readers[i], NULL);
    double took = seconds(start);
    printf("read %-12s %8.0f a second by %zu threads, %.2f us each\n", what,
           (double)(threads * SMALL_READS) / took, threads, took * 1e6 / SMALL_READS);
}

static void measure_small(int level)
{
    temp_dir dir;
    engram_error error = {0};
    eg_store_options options = {.dedup = true, .next_id = 1};
    if (temp_dir_init(&dir) != 0)
        exit(1);
    must(eg_store_open(eg_io_posix(), dir.path, NULL, 0, &options, &read_from, &error), &error);
    make_small(level);
    printf("level %d, %zu bytes stored of the first\n", level, small_chunks[0].correction.size);
    append_small(read_from, 1);
    append_small(read_from, 10);
    append_small(read_from, 100);
    read_small_beside(1, "active");
    read_small_beside(2, "active");
    must(eg_store_seal(read_from, &error), &error);
    read_small_beside(1, "sealed");
    read_small_beside(2, "sealed");
    eg_store_close(&read_from);
    temp_dir_fini(&dir);
}

int main(int argc, char **argv)
{
    temp_dir dir;
    engram_error error = {0};
    eg_segment_state *states;
    size_t count;
    eg_store *store;
    if (argc > 1 && (input = fopen(argv[1], "rb")) == NULL)
        return 1;
    if (temp_dir_init(&dir) != 0)
        return 1;
    eg_store_options options = {.dedup = true, .next_id = 1};
    must(eg_store_open(eg_io_posix(), dir.path, NULL, 0, &options, &store, &error), &error);
    append_all(store);
    must(eg_store_get_states(store, &states, &count, &error), &error);
    eg_store_close(&store);
    options.next_id = COUNT + 1;
    uint64_t start = eg_clock_monotonic_ns();
    must(eg_store_open(eg_io_posix(), dir.path, states, count, &options, &store, &error), &error);
    printf("open              %8.2f ms, %zu segments, %d chunks\n", seconds(start) * 1e3, count,
           COUNT);
    read_in_order(store);
    read_bare();
    read_at_random(store);
    look_up(store);
    eg_store_close(&store);
    eg_free(states);
    temp_dir_fini(&dir);
    measure_small(1);
    measure_small(3);
    return 0;
}
