/* Open buckets: what does not fit into its bucket is left out, which costs a candidate now and then. */
#include "store/bands.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum {
    BANDS = 20,
    NARROW_MAX = 1 << 19,
    SLOTS = 16, /* of a bucket: 64 bytes */
    OF_BAND = 8,
    BUCKETS_LEAST = 64,
    FOUND_MAX = BANDS * OF_BAND
};

typedef struct bucket {
    _Alignas(64) uint32_t slots[SLOTS]; /* 0: free; else (number + 1) << 8 | tag */
} bucket;

struct eg_bands {
    bucket *buckets;
    uint64_t bucket_count;
    unsigned width; /* symbols of a band */
    uint32_t count;
    eg_bands_vector *vector;
    void *context;
};

/* ---- hashing ---- */

/* Two symbols find more; but of a million vectors 15 agree in any two by chance, and crowd out the others. */
static unsigned width_for(uint64_t bucket_count)
{
    return bucket_count * SLOTS / BANDS < NARROW_MAX ? 2 : 3;
}

static uint64_t hash_band(const eg_bands *b, const uint8_t *vector, unsigned band)
{
    const uint8_t *symbols = vector + band * b->width;
    uint64_t key = band;
    for (unsigned i = 0; i < b->width; i++)
        key = key << 8 | symbols[i];
    key = (key + 1) * 0x9E3779B97F4A7C15u;
    key ^= key >> 32;
    return key * 0xD6E8FEB86659FD93u;
}

static bucket *bucket_of(const eg_bands *b, uint64_t hash)
{
    return &b->buckets[(hash >> 32) * b->bucket_count >> 32];
}

static uint32_t tag_of(uint64_t hash)
{
    return (uint32_t)hash >> 8 & 255;
}

/* ---- adding ---- */

/* The newest of a band push out its oldest. */
static void put(bucket *in, uint32_t value)
{
    unsigned of_band = 0, oldest = SLOTS, free = SLOTS;
    for (unsigned i = 0; i < SLOTS; i++) {
        uint32_t slot = in->slots[i];
        if (slot == 0) {
            free = i;
            break;
        }
        if ((slot & 255) != (value & 255))
            continue;
        of_band++;
        if (oldest == SLOTS || slot < in->slots[oldest])
            oldest = i;
    }
    if (of_band >= OF_BAND)
        in->slots[oldest] = value;
    else if (free < SLOTS)
        in->slots[free] = value;
}

static void put_all(eg_bands *b, const uint8_t *vector, uint32_t number)
{
    for (unsigned band = 0; band < BANDS; band++) {
        uint64_t hash = hash_band(b, vector, band);
        put(bucket_of(b, hash), (number + 1) << 8 | tag_of(hash));
    }
}

/* Three quarters of the slots are filled, at most. */
static bool is_full(const eg_bands *b)
{
    return ((uint64_t)b->count + 1) * BANDS * 4 > b->bucket_count * SLOTS * 3;
}

static bucket *make_buckets(uint64_t count, engram_error *error)
{
    bucket *buckets = eg_alloc_aligned(64, count * sizeof *buckets);
    if (buckets == NULL) {
        eg_fail(error, ENGRAM_NO_MEMORY, "no memory for the index of similar chunks");
        return NULL;
    }
    memset(buckets, 0, count * sizeof *buckets);
    return buckets;
}

/* By a quarter, so that memory follows what there is; every vector is asked for again. */
static engram_status grow(eg_bands *b, engram_error *error)
{
    eg_bands larger = *b;
    uint8_t vector[256];
    engram_status status = ENGRAM_OK;
    larger.bucket_count = b->bucket_count + b->bucket_count / 4 + 1;
    larger.width = width_for(larger.bucket_count);
    larger.buckets = make_buckets(larger.bucket_count, error);
    if (larger.buckets == NULL)
        return ENGRAM_NO_MEMORY;
    for (uint32_t number = 0; number < b->count && status == ENGRAM_OK; number++) {
        status = b->vector(b->context, number, vector, error);
        if (status == ENGRAM_OK)
            put_all(&larger, vector, number);
    }
    eg_free(status == ENGRAM_OK ? b->buckets : larger.buckets);
    if (status == ENGRAM_OK)
        *b = larger;
    return status;
}

engram_status eg_bands_add(eg_bands *bands, const uint8_t *vector, engram_error *error)
{
    if (bands->count == EG_BANDS_NUMBERS_MAX)
        return eg_fail(error, ENGRAM_INVALID, "the index of similar chunks is full");
    if (is_full(bands))
        EG_TRY(grow(bands, error));
    put_all(bands, vector, bands->count);
    bands->count++;
    return ENGRAM_OK;
}

/* ---- finding ---- */

static int compare_numbers(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static size_t gather(const eg_bands *b, const uint8_t *vector, uint32_t below, uint32_t found[FOUND_MAX])
{
    uint64_t hashes[BANDS];
    size_t count = 0;
    for (unsigned band = 0; band < BANDS; band++) {
        hashes[band] = hash_band(b, vector, band);
        __builtin_prefetch(bucket_of(b, hashes[band]));
    }
    for (unsigned band = 0; band < BANDS; band++) {
        const bucket *in = bucket_of(b, hashes[band]);
        unsigned of_band = 0;
        for (unsigned i = 0; i < SLOTS && in->slots[i] != 0 && of_band < OF_BAND; i++) {
            uint32_t slot = in->slots[i];
            if ((slot & 255) != tag_of(hashes[band]) || (slot >> 8) - 1 >= below)
                continue;
            found[count++] = (slot >> 8) - 1;
            of_band++;
        }
    }
    return count;
}

typedef struct candidate {
    uint32_t number, bands;
} candidate;

static bool is_better(candidate a, candidate b)
{
    return a.bands != b.bands ? a.bands > b.bands : a.number > b.number;
}

/* Into a short list, best first. */
static size_t insert(candidate *list, size_t count, candidate c)
{
    size_t at = count;
    while (at > 0 && is_better(c, list[at - 1]))
        at--;
    if (at == EG_BANDS_CANDIDATES)
        return count;
    size_t kept = count < EG_BANDS_CANDIDATES ? count : EG_BANDS_CANDIDATES - 1;
    memmove(list + at + 1, list + at, (kept - at) * sizeof *list);
    list[at] = c;
    return kept + 1;
}

size_t eg_bands_find(const eg_bands *bands, const uint8_t *vector, uint32_t below,
                     uint32_t numbers[EG_BANDS_CANDIDATES])
{
    uint32_t found[FOUND_MAX];
    candidate list[EG_BANDS_CANDIDATES];
    size_t count = gather(bands, vector, below, found), kept = 0;
    qsort(found, count, sizeof *found, compare_numbers);
    for (size_t i = 0; i < count;) {
        size_t end = i + 1;
        while (end < count && found[end] == found[i])
            end++;
        kept = insert(list, kept, (candidate){found[i], (uint32_t)(end - i)});
        i = end;
    }
    for (size_t i = 0; i < kept; i++)
        numbers[i] = list[i].number;
    return kept;
}

/* ---- the whole ---- */

engram_status eg_bands_create(uint64_t expected, eg_bands_vector *vector, void *context, eg_bands **bands,
                              engram_error *error)
{
    eg_bands *made = eg_alloc_zero(1, sizeof *made);
    if (made == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for the index of similar chunks");
    uint64_t capped = expected < EG_BANDS_NUMBERS_MAX ? expected : EG_BANDS_NUMBERS_MAX;
    made->bucket_count = capped * BANDS * 4 / (SLOTS * 3) + BUCKETS_LEAST;
    made->width = width_for(made->bucket_count);
    made->buckets = make_buckets(made->bucket_count, error);
    made->vector = vector;
    made->context = context;
    if (made->buckets == NULL) {
        eg_free(made);
        return ENGRAM_NO_MEMORY;
    }
    *bands = made;
    return ENGRAM_OK;
}

void eg_bands_free(eg_bands *bands)
{
    if (bands == NULL)
        return;
    eg_free(bands->buckets);
    eg_free(bands);
}

uint32_t eg_bands_count(const eg_bands *bands)
{
    return bands->count;
}

size_t eg_bands_memory(const eg_bands *bands)
{
    return sizeof *bands + bands->bucket_count * sizeof *bands->buckets;
}
