/* Vectors resident on a device: every segment's, in rising order of chunk id. */
#include "base/memory.h"
#include "base/status.h"
#include "search/internal.h"

engram_status eg_searcher_create(eg_engram *engram, eg_device *device, eg_searcher **searcher,
                                 engram_error *error)
{
    eg_searcher *s = eg_alloc_zero(1, sizeof *s);
    if (s == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for a query");
    s->engram = engram;
    s->device = device;
    engram_status status =
        eg_chunker_init(&s->chunker, &eg_engram_get_config(engram)->chunk, error);
    if (status == ENGRAM_OK)
        status = eg_arena_create(device, &s->arena, error);
    if (status != ENGRAM_OK) {
        eg_searcher_free(s);
        return status;
    }
    *searcher = s;
    return ENGRAM_OK;
}

void eg_searcher_free(eg_searcher *searcher)
{
    if (searcher == NULL)
        return;
    eg_arena_free(searcher->arena);
    eg_via_root_free(searcher->via_root);
    eg_free(searcher->spans);
    eg_free(searcher->loaded);
    eg_free(searcher->all_bits);
    eg_free(searcher);
}

uint64_t eg_searcher_id(const eg_searcher *searcher, uint64_t row)
{
    size_t low = 0, high = searcher->span_count;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (searcher->spans[middle].first <= row)
            low = middle;
        else
            high = middle;
    }
    const eg_row_span *span = &searcher->spans[low];
    return span->ids[row - span->first];
}
