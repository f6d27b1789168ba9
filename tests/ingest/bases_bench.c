/* How good the bases are that bands find: bases_bench ENGRAM [--level N] [--rows N].
 *
 * Takes the chunks of an engram in the order in which they came, and for each the chunks before it as bases: those that
 * an ingest would try, found by bands (store/bands.h) and chosen by exact similarity; and the EXACT most similar of all,
 * found by comparing with every one. A base saves what a delta on it is smaller than the chunk packed alone. Prints what
 * the chosen ones save as a share of what the best of the exact ones saves, without a bound on chains, which is another
 * matter; then what is stored, under the rules of chains. By hand, from bench/bases. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compute/kernels.h"
#include "engram/core.h"
#include "ingest/recall.h"
#include "store/bands.h"
#include "store/correction.h"

enum { EXACT = 16, TRIES = 2, SIZE_LARGEST = 1 << 20 };

typedef struct bench {
    eg_engram *engram;
    eg_store *store;
    eg_coder *coder;
    eg_bands *bands;
    uint64_t *ids;
    uint8_t *vectors; /* of all chunks, in order */
    size_t count;
    uint8_t *bytes, *base, *out;
} bench;

typedef struct figures {
    uint64_t chunks, bytes, packed, candidates, candidates_text, text;
    uint64_t chosen[TRIES + 1], exact[EXACT + 1]; /* saved by the best of the first so many */
    uint64_t stored;
} figures;

typedef struct candidate {
    uint32_t number, matches;
} candidate;

static void must(bool good, const char *what, const engram_error *error)
{
    if (good)
        return;
    fprintf(stderr, "bases_bench: %s: %s\n", what, error != NULL ? error->message : "out of memory");
    exit(1);
}

static void load_vectors(bench *b, size_t rows)
{
    engram_error error = {0};
    eg_store_totals totals;
    must(eg_store_get_totals(b->store, &totals, &error) == ENGRAM_OK, "totals", &error);
    size_t most = rows != 0 && rows < totals.chunks ? rows : (size_t)totals.chunks;
    b->ids = malloc((most + 1) * sizeof *b->ids);
    b->vectors = aligned_alloc(64, (most + 1) * ENGRAM_BLOCKS);
    must(b->ids != NULL && b->vectors != NULL, "vectors", NULL);
    for (size_t i = 0; i < eg_store_segment_count(b->store); i++) {
        eg_vector_span span;
        must(eg_store_get_vectors(b->store, i, &span, &error) == ENGRAM_OK, "vectors", &error);
        size_t count = span.vectors.count, take = count < most - b->count ? count : most - b->count;
        memcpy(b->ids + b->count, span.ids, take * sizeof *b->ids);
        for (size_t k = 0; k < take; k++)
            eg_vectors_get(&span.vectors, k, b->vectors + (b->count + k) * ENGRAM_BLOCKS);
        b->count += take;
    }
}

/* Into a list of the best `most`, of equals the first. */
static void keep(candidate *list, size_t *count, size_t most, candidate c)
{
    size_t at = *count;
    if (at == most && c.matches <= list[at - 1].matches)
        return;
    at -= at == most;
    for (; at > 0 && list[at - 1].matches < c.matches; at--)
        list[at] = list[at - 1];
    list[at] = c;
    *count += *count < most;
}

static size_t read_chunk(bench *b, uint64_t id, uint8_t *bytes)
{
    engram_error error = {0};
    size_t size = 0;
    must(eg_store_read(b->store, id, bytes, SIZE_LARGEST, &size, &error) == ENGRAM_OK, "a chunk", &error);
    return size;
}

/* Bytes of a delta of the chunk in b->bytes. */
static size_t delta_size(bench *b, size_t size, uint32_t number)
{
    engram_error error = {0};
    size_t stored;
    eg_view base = {b->base, read_chunk(b, b->ids[number], b->base)};
    must(eg_coder_pack_delta(b->coder, b->bytes, size, base, b->out, &stored, &error) == ENGRAM_OK, "a delta", &error);
    return stored;
}

static uint64_t saving(size_t packed, size_t stored)
{
    return stored < packed ? packed - stored : 0;
}

static bool is_text(const uint8_t *bytes, size_t size)
{
    return memchr(bytes, 0, size) == NULL;
}

static void find_chosen(bench *b, uint32_t number, candidate *list, size_t *count, size_t *candidates)
{
    uint32_t numbers[EG_BANDS_CANDIDATES];
    const uint8_t *vector = b->vectors + (size_t)number * ENGRAM_BLOCKS;
    *candidates = eg_bands_find(b->bands, vector, number, numbers);
    *count = 0;
    for (size_t i = 0; i < *candidates; i++)
        keep(list, count, TRIES,
             (candidate){numbers[i], engram_matches(vector, b->vectors + (size_t)numbers[i] * ENGRAM_BLOCKS)});
}

static void find_exact(const bench *b, uint32_t number, candidate *list, size_t *count)
{
    const uint8_t *vector = b->vectors + (size_t)number * ENGRAM_BLOCKS;
    *count = 0;
    for (uint32_t i = 0; i < number; i++)
        keep(list, count, EXACT, (candidate){i, engram_matches(vector, b->vectors + (size_t)i * ENGRAM_BLOCKS)});
}

/* saved[n] grows by what the best delta on the first n bases saves. */
static void note_savings(bench *b, size_t size, size_t packed, const candidate *bases, size_t count, size_t most,
                         uint64_t *saved)
{
    size_t best = SIZE_MAX;
    for (size_t n = 1; n <= most; n++) {
        size_t delta = n <= count ? delta_size(b, size, bases[n - 1].number) : SIZE_MAX;
        best = delta < best ? delta : best;
        saved[n] += saving(packed, best);
    }
}

static void measure_one(bench *b, uint32_t number, figures *f)
{
    engram_error error = {0};
    candidate chosen[TRIES], exact[EXACT];
    size_t chosen_count, exact_count, candidates, packed;
    eg_correction_kind kind;
    eg_chunk_info info;
    must(eg_store_get_info(b->store, b->ids[number], &info, &error) == ENGRAM_OK, "a record", &error);
    size_t size = read_chunk(b, b->ids[number], b->bytes);
    must(eg_coder_pack(b->coder, b->bytes, size, b->out, &kind, &packed, &error) == ENGRAM_OK, "packing", &error);
    find_chosen(b, number, chosen, &chosen_count, &candidates);
    find_exact(b, number, exact, &exact_count);
    note_savings(b, size, packed, chosen, chosen_count, TRIES, f->chosen);
    note_savings(b, size, packed, exact, exact_count, EXACT, f->exact);
    f->stored += saving(packed, info.stored_size);
    f->chunks++;
    f->bytes += size;
    f->packed += packed;
    f->candidates += candidates;
    f->text += is_text(b->bytes, size);
    f->candidates_text += is_text(b->bytes, size) ? candidates : 0;
}

static double share(uint64_t part, uint64_t whole)
{
    return whole != 0 ? (double)part / (double)whole : 0;
}

static void print_line(const char *name, size_t tried, uint64_t saved, uint64_t most)
{
    char text[40];
    snprintf(text, sizeof text, tried != 0 ? "%s, %zu" : "%s", name, tried);
    printf("%-28s %8.2f %8.4f\n", text, (double)saved / 1e6, share(saved, most));
}

static void report(const bench *b, const figures *f)
{
    printf("%" PRIu64 " chunks of %.1f MB, packed alone %.1f MB; %.2f candidates a chunk (%.2f text, %.2f binary), "
           "index %.0f bytes a chunk\n",
           f->chunks, (double)f->bytes / 1e6, (double)f->packed / 1e6, share(f->candidates, f->chunks),
           share(f->candidates_text, f->text), share(f->candidates - f->candidates_text, f->chunks - f->text),
           share(eg_bands_memory(b->bands), b->count));
    printf("%-28s %8s %8s\n", "bases tried", "MB saved", "share");
    static const size_t tried[] = {1, 2, 4, 8, EG_RECALL_BASES, EXACT};
    for (size_t i = 0, n; i < sizeof tried / sizeof *tried && (n = tried[i]) != 0; i++)
        print_line("exact", n, f->exact[n], f->exact[EXACT]);
    for (size_t n = 1; n <= TRIES; n++)
        print_line("by bands", n, f->chosen[n], f->exact[EXACT]);
    print_line("as stored, chains bounded", 0, f->stored, f->exact[EXACT]);
}

static engram_status vector_of(void *context, uint32_t number, uint8_t *vector, engram_error *error)
{
    const bench *b = context;
    (void)error;
    memcpy(vector, b->vectors + (size_t)number * ENGRAM_BLOCKS, ENGRAM_BLOCKS);
    return ENGRAM_OK;
}

int main(int argc, char **argv)
{
    bench b = {0};
    figures f = {0};
    engram_error error = {0};
    eg_engram_options options = {.read_only = true};
    int level = 3;
    size_t rows = 0;
    for (int i = 2; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--level") == 0)
            level = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--rows") == 0)
            rows = strtoull(argv[i + 1], NULL, 10);
    }
    if (argc < 2 || argc % 2 != 0) {
        fprintf(stderr, "usage: bases_bench ENGRAM [--level N] [--rows N]\n");
        return 2;
    }
    must(eg_engram_open(eg_io_posix(), argv[1], &options, &b.engram, &error) == ENGRAM_OK, argv[1], &error);
    b.store = eg_engram_store(b.engram);
    load_vectors(&b, rows);
    must(eg_coder_create(level, &b.coder, &error) == ENGRAM_OK, "coder", &error);
    must(eg_bands_create(b.count, vector_of, &b, &b.bands, &error) == ENGRAM_OK, "bands", &error);
    b.bytes = malloc(SIZE_LARGEST);
    b.base = malloc(SIZE_LARGEST);
    b.out = malloc(eg_coder_bound(SIZE_LARGEST));
    must(b.bytes != NULL && b.base != NULL && b.out != NULL, "buffers", NULL);
    for (size_t i = 0; i < b.count; i++) {
        must(eg_bands_add(b.bands, b.vectors + i * ENGRAM_BLOCKS, &error) == ENGRAM_OK, "bands", &error);
        measure_one(&b, (uint32_t)i, &f);
    }
    report(&b, &f);
    eg_bands_free(b.bands);
    eg_coder_free(b.coder);
    free(b.bytes), free(b.base), free(b.out), free(b.ids), free(b.vectors);
    return eg_engram_close(&b.engram, &error) == ENGRAM_OK ? 0 : 1;
}
