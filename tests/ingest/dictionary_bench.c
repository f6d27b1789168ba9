/* What a dictionary of zstd would gain: dictionary_bench ENGRAM [ZSTD_LEVEL].
 *
 * Of the chunks of an engram that are packed alone: trains dictionaries of several sizes on an eighth of them, packs all
 * with each and without, and prints what that saves, less the dictionary itself, as a share of these chunks and of all
 * corrections. Frames have no dictionary id, as the store's have none. By hand; docs/decisions/0025. */
#define ZSTD_STATIC_LINKING_ONLY
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zdict.h>
#include <zstd.h>

#include "engram/core.h"

enum { CLASSES = 4, SHARE = 8, SAMPLES_MAX = 64 << 20 };

static const size_t class_ends[CLASSES] = {2048, 8192, 32768, SIZE_MAX};

typedef struct chunks {
    uint8_t *bytes; /* one behind the other */
    size_t *sizes;
    size_t count, total;
    uint64_t corrections; /* bytes of all, of the whole engram */
} chunks;

static void must(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "dictionary_bench: %s\n", what);
    exit(1);
}

static void load(chunks *c, const char *path)
{
    eg_engram *engram = NULL;
    engram_error error = {0};
    eg_engram_options options = {.read_only = true};
    eg_store_totals totals;
    must(eg_engram_open(eg_io_posix(), path, &options, &engram, &error) == ENGRAM_OK, error.message);
    eg_store *store = eg_engram_store(engram);
    must(eg_store_get_totals(store, &totals, &error) == ENGRAM_OK, error.message);
    c->corrections = totals.bytes_payload;
    c->bytes = malloc((size_t)totals.bytes_logical + 1);
    c->sizes = calloc((size_t)totals.chunks + 1, sizeof *c->sizes);
    must(c->bytes != NULL && c->sizes != NULL, "out of memory");
    for (size_t i = 0; i < eg_store_segment_count(store); i++) {
        eg_vector_span span;
        must(eg_store_get_vectors(store, i, &span, &error) == ENGRAM_OK, error.message);
        for (size_t row = 0; row < span.vectors.count; row++) {
            eg_chunk_info info;
            size_t size;
            must(eg_store_get_info(store, span.ids[row], &info, &error) == ENGRAM_OK, error.message);
            if (info.kind != EG_CORRECTION_PACKED)
                continue;
            must(eg_store_read(store, span.ids[row], c->bytes + c->total, info.size, &size, &error) == ENGRAM_OK, error.message);
            c->sizes[c->count++] = size;
            c->total += size;
        }
    }
    eg_engram_close(&engram, NULL);
}

static size_t train(const chunks *c, uint8_t *dictionary, size_t capacity)
{
    uint8_t *samples = malloc(SAMPLES_MAX);
    size_t *sizes = malloc((c->count + 1) * sizeof *sizes), count = 0, total = 0;
    must(samples != NULL && sizes != NULL, "out of memory");
    for (size_t i = 0, at = 0; i < c->count; at += c->sizes[i++])
        if (i % SHARE == 0 && total + c->sizes[i] <= SAMPLES_MAX) {
            memcpy(samples + total, c->bytes + at, c->sizes[i]);
            total += sizes[count++] = c->sizes[i];
        }
    size_t size = ZDICT_trainFromBuffer(dictionary, capacity, samples, sizes, (unsigned)count);
    free(samples);
    free(sizes);
    must(!ZDICT_isError(size), "too few chunks to train on");
    return size;
}

/* What all take, by class of size; dictionary may be NULL. */
static void pack_all(const chunks *c, int level, const uint8_t *dictionary, size_t dictionary_size, size_t packed[CLASSES])
{
    size_t largest = 0;
    for (size_t i = 0; i < c->count; i++)
        largest = c->sizes[i] > largest ? c->sizes[i] : largest;
    uint8_t *out = malloc(ZSTD_compressBound(largest));
    ZSTD_CCtx *packer = ZSTD_createCCtx();
    must(out != NULL && packer != NULL, "out of memory");
    ZSTD_CCtx_setParameter(packer, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(packer, ZSTD_c_format, ZSTD_f_zstd1_magicless);
    ZSTD_CCtx_setParameter(packer, ZSTD_c_contentSizeFlag, 0);
    ZSTD_CCtx_setParameter(packer, ZSTD_c_dictIDFlag, 0);
    if (dictionary != NULL)
        must(!ZSTD_isError(ZSTD_CCtx_loadDictionary(packer, dictionary, dictionary_size)), "the dictionary cannot be used");
    memset(packed, 0, CLASSES * sizeof *packed);
    for (size_t i = 0, at = 0; i < c->count; at += c->sizes[i++]) {
        size_t class = 0, size = ZSTD_compress2(packer, out, ZSTD_compressBound(largest), c->bytes + at, c->sizes[i]);
        must(!ZSTD_isError(size), "cannot compress");
        while (c->sizes[i] >= class_ends[class])
            class++;
        packed[class] += size < c->sizes[i] ? size : c->sizes[i];
    }
    ZSTD_freeCCtx(packer);
    free(out);
}

static size_t sum(const size_t values[CLASSES])
{
    return values[0] + values[1] + values[2] + values[3];
}

int main(int argc, char **argv)
{
    static const size_t capacities[] = {16 << 10, 64 << 10, 110 << 10, 256 << 10};
    chunks c = {0};
    size_t alone[CLASSES], with[CLASSES];
    must(argc >= 2, "usage: dictionary_bench ENGRAM [ZSTD_LEVEL]");
    int level = argc > 2 ? atoi(argv[2]) : 3;
    load(&c, argv[1]);
    pack_all(&c, level, NULL, 0, alone);
    printf("%zu chunks packed alone, %.2f MB; zstd %d: %.3f MB, of %.3f MB of all corrections\n", c.count, (double)c.total / 1e6, level,
           (double)sum(alone) / 1e6, (double)c.corrections / 1e6);
    for (size_t i = 0; i < sizeof capacities / sizeof *capacities; i++) {
        uint8_t *dictionary = malloc(capacities[i]);
        must(dictionary != NULL, "out of memory");
        size_t size = train(&c, dictionary, capacities[i]);
        pack_all(&c, level, dictionary, size, with);
        double saved = (double)sum(alone) - (double)sum(with) - (double)size;
        printf("dictionary of %6zu bytes: saves %7.0f bytes, %5.2f %% of these, %5.2f %% of all; by size", size, saved,
               100 * saved / (double)sum(alone), 100 * saved / (double)c.corrections);
        for (size_t k = 0; k < CLASSES; k++)
            printf("  %5.1f %%", alone[k] != 0 ? 100 * (1 - (double)with[k] / (double)alone[k]) : 0);
        printf("  (< 2, 8, 32 KiB, more)\n");
        free(dictionary);
    }
    free(c.bytes);
    free(c.sizes);
    return 0;
}
