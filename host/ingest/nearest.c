/* One scan for all queries of a call, which share it in the caches; those between them are looked at singly. */
#include "ingest/nearest.h"

#include <string.h>

#include "base/memory.h"
#include "base/status.h"

enum { ROOM_FIRST = 1024 };

void eg_nearest_init(eg_nearest *nearest)
{
    *nearest = (eg_nearest){0};
    eg_kernels_init(&nearest->kernels, eg_cpu_flags());
}

void eg_nearest_fini(eg_nearest *nearest)
{
    eg_free(nearest->vectors);
    eg_free(nearest->fit);
    nearest->vectors = NULL;
    nearest->fit = NULL;
    nearest->count = nearest->room = 0;
}

static engram_status grow(eg_nearest *n, engram_error *error)
{
    uint32_t room = n->room != 0 ? 2 * n->room : ROOM_FIRST;
    uint8_t *vectors = eg_alloc_aligned(64, (size_t)room * ENGRAM_BLOCKS);
    uint64_t *fit = eg_alloc_zero(room / 64, sizeof *fit);
    if (vectors == NULL || fit == NULL) {
        eg_free(vectors);
        eg_free(fit);
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to look for similar chunks");
    }
    if (n->count != 0) {
        memcpy(vectors, n->vectors, (size_t)n->count * ENGRAM_BLOCKS);
        memcpy(fit, n->fit, n->room / 64 * sizeof *fit);
    }
    eg_free(n->vectors);
    eg_free(n->fit);
    n->vectors = vectors;
    n->fit = fit;
    n->room = room;
    return ENGRAM_OK;
}

engram_status eg_nearest_add(eg_nearest *nearest, const uint8_t *vector, engram_error *error)
{
    uint32_t number = nearest->count;
    if (number == nearest->room)
        EG_TRY(grow(nearest, error));
    memcpy(nearest->vectors + (size_t)number * ENGRAM_BLOCKS, vector, ENGRAM_BLOCKS);
    nearest->fit[number / 64] |= (uint64_t)1 << number % 64;
    nearest->count++;
    return ENGRAM_OK;
}

void eg_nearest_drop(eg_nearest *nearest, uint32_t number)
{
    nearest->fit[number / 64] &= ~((uint64_t)1 << number % 64);
}

static bool is_fit(const eg_nearest *n, uint32_t number)
{
    return n->fit[number / 64] >> number % 64 & 1;
}

void eg_nearest_find(const eg_nearest *nearest, uint32_t first, size_t count, uint32_t k, uint32_t least, eg_hit *hits,
                     uint32_t *counts)
{
    eg_top tops[EG_NEAREST_QUERIES];
    const uint8_t *queries = nearest->vectors + (size_t)first * ENGRAM_BLOCKS;
    for (size_t i = 0; i < count; i++)
        eg_top_init(&tops[i], hits + i * k, k, least);
    nearest->kernels.top_k(queries, count, eg_rows(nearest->vectors, first), 0, nearest->fit, tops);
    for (size_t i = 0; i < count; i++) {
        for (uint32_t j = 0; j < i; j++) {
            uint32_t matches = engram_matches(queries + i * ENGRAM_BLOCKS, queries + j * ENGRAM_BLOCKS);
            if (is_fit(nearest, first + j) && matches >= tops[i].bar)
                eg_top_offer(&tops[i], first + j, matches);
        }
        eg_top_finish(&tops[i]);
        counts[i] = tops[i].count;
    }
}
