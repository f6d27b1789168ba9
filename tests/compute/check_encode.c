/* encode: chunks that end at an unreadable page, of every awkward size and fill, under ordinary
 * and hostile codebooks; one at a time and in batches. */
#include "compute/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compute/inputs.h"

static const size_t sizes[] = {0,   1,   2,   3,   6,   7,    8,    9,    10,   14,   15,   16,
                               17,  22,  23,  24,  25,  30,   31,   32,   33,   38,   39,   40,
                               63,  64,  65,  71,  72,  127,  128,  135,  136,  137,  255,  256,
                               257, 263, 264, 511, 512, 1023, 1024, 1031, 1032, 4095, 4096, 4103};
enum { SIZE_COUNT = sizeof sizes / sizeof sizes[0], BATCH_MAX = 40, RANDOM_SIZE_MAX = 40000 };

static guarded make_chunk(size_t size, fill_kind kind, uint64_t *state)
{
    guarded chunk = guarded_make(size);
    fill_bytes(chunk.bytes, size, kind, state);
    return chunk;
}

/* Encodes by the definition and by the candidate; true when nothing differs. */
static bool encode_equals(const candidate *c, const engram_codebook *codebook,
                          const eg_view *chunks, size_t count, size_t offset)
{
    sink vectors = sink_make(count * ENGRAM_BLOCKS, offset);
    sink spreads = sink_make(count * sizeof(uint32_t), 4 * (offset % 16));
    engram_status status;
    bool has = candidate_encode(c, codebook, chunks, count, vectors.bytes,
                                (uint32_t *)(void *)spreads.bytes, &status);
    bool is_equal = !has || status == ENGRAM_OK;
    for (size_t i = 0; has && i < count; i++) {
        uint8_t vector[ENGRAM_BLOCKS];
        uint32_t spread;
        engram_encode(codebook, chunks[i].data, chunks[i].size, vector, &spread);
        is_equal =
            is_equal && memcmp(vector, vectors.bytes + i * ENGRAM_BLOCKS, sizeof vector) == 0;
        is_equal = is_equal && memcmp(&spread, spreads.bytes + 4 * i, sizeof spread) == 0;
    }
    is_equal = is_equal && sink_is_whole(&vectors) && sink_is_whole(&spreads);
    sink_free(&vectors);
    sink_free(&spreads);
    return is_equal;
}

static void check_one(const candidate *c, uint64_t seed, size_t size, fill_kind kind, unsigned book,
                      check_tally *tally)
{
    uint64_t state = seed ^ (size << 16) ^ ((uint64_t)kind << 8) ^ book;
    const engram_codebook codebook = make_codebook(book, &state);
    guarded chunk = make_chunk(size, kind, &state);
    const eg_view view = {chunk.bytes, size};
    bool is_equal = encode_equals(c, &codebook, &view, 1, random_below(&state, 64));
    tally_case(tally, is_equal, c, seed, "encode size %zu, fill %s, codebook %u", size,
               fill_names[kind], book);
    guarded_free(&chunk);
}

static void check_batch(const candidate *c, uint64_t seed, unsigned round, check_tally *tally)
{
    uint64_t state = seed + round;
    const engram_codebook codebook = make_codebook(round % CODEBOOK_KINDS, &state);
    guarded chunks[BATCH_MAX];
    eg_view views[BATCH_MAX];
    const size_t count = random_below(&state, BATCH_MAX + 1);
    for (size_t i = 0; i < count; i++) {
        size_t size = random_below(&state, 4) ? random_below(&state, 1000)
                                              : random_below(&state, RANDOM_SIZE_MAX);
        chunks[i] = make_chunk(size, (fill_kind)random_below(&state, FILL_COUNT), &state);
        views[i] = (eg_view){chunks[i].bytes, size};
    }
    tally_case(tally, encode_equals(c, &codebook, views, count, random_below(&state, 64)), c, seed,
               "encode batch of %zu chunks, round %u", count, round);
    for (size_t i = 0; i < count; i++)
        guarded_free(&chunks[i]);
}

void check_encode(const candidate *c, uint64_t seed, unsigned rounds, check_tally *tally)
{
    for (unsigned i = 0; i < SIZE_COUNT; i++)
        for (unsigned kind = 0; kind < FILL_COUNT; kind++)
            check_one(c, seed, sizes[i], (fill_kind)kind, i % 2 + (kind == 0 ? 3 : 0), tally);
    for (unsigned book = 0; book < CODEBOOK_KINDS; book++)
        for (unsigned kind = 0; kind < FILL_COUNT; kind++)
            check_one(c, seed, 300, (fill_kind)kind, book, tally);
    for (unsigned round = 0; round < rounds; round++)
        check_batch(c, seed, round, tally);
}

enum { BENCH_SIZE = 16 << 20 };

typedef struct encode_bench {
    const candidate *c;
    engram_codebook codebook;
    eg_view *chunks;
    size_t count;
    uint8_t *vectors;
    uint32_t *spreads;
} encode_bench;

static void encode_once(void *context)
{
    encode_bench *b = context;
    engram_status status;
    if (candidate_encode(b->c, &b->codebook, b->chunks, b->count, b->vectors, b->spreads,
                         &status) &&
        status != ENGRAM_OK)
        exit(2);
}

static double time_encode(const candidate *c, const uint8_t *bytes, size_t chunk_size)
{
    encode_bench b = {.c = c, .count = BENCH_SIZE / chunk_size};
    engram_codebook_init(&b.codebook, 1);
    b.chunks = malloc(b.count * sizeof *b.chunks);
    b.vectors = malloc(b.count * ENGRAM_BLOCKS);
    b.spreads = malloc(b.count * sizeof *b.spreads);
    if (b.chunks == NULL || b.vectors == NULL || b.spreads == NULL)
        exit(2);
    for (size_t i = 0; i < b.count; i++)
        b.chunks[i] = (eg_view){bytes + i * chunk_size, chunk_size};
    double seconds = median_seconds(encode_once, &b);
    free(b.chunks);
    free(b.vectors);
    free(b.spreads);
    return seconds;
}

void bench_encode(const candidate *c, const candidate *scalar)
{
    static const size_t chunk_sizes[] = {512, 4096, 16384};
    static const fill_kind kinds[] = {FILL_RANDOM, FILL_TEXT};
    uint8_t *bytes = malloc(BENCH_SIZE);
    uint64_t state = 1;
    if (bytes == NULL)
        exit(2);
    for (unsigned k = 0; k < 2; k++) {
        fill_bytes(bytes, BENCH_SIZE, kinds[k], &state);
        for (unsigned i = 0; i < 3; i++) {
            double seconds = time_encode(c, bytes, chunk_sizes[i]);
            double base = time_encode(scalar, bytes, chunk_sizes[i]);
            printf("%-16s encode %-6s %5zu B  %7.3f GB/s  %6.2f x scalar\n", c->name,
                   fill_names[kinds[k]], chunk_sizes[i], BENCH_SIZE / seconds * 1e-9,
                   base / seconds);
        }
    }
    free(bytes);
}
