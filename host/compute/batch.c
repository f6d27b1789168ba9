/* Merging calls, and giving each its part of the answer.
 *
 * Scans whose k differ are done with the largest. A list of the k best is in total order, so its
 * first j are the j best. But the room for the answers is queries times the largest k, and a call
 * that would make it larger than HITS_MAX waits for another batch. */
#include "compute/batch.h"

#include <string.h>

#include "base/memory.h"

enum { HITS_MAX = 1 << 18 /* 4 MiB */ };
#define BYTES_MAX ((uint64_t)16 << 20) /* of chunks: a tenth of a second on one slow core */

void eg_calls_add(eg_calls *list, eg_call *call)
{
    call->next = NULL;
    if (list->tail != NULL)
        list->tail->next = call;
    else
        list->head = call;
    list->tail = call;
    list->count++;
    list->items += call->count;
}

/* What a batch holds so far. */
typedef struct load {
    size_t items, items_max;
    uint64_t bytes;
    uint32_t k;
} load;

static uint64_t bytes_of(const eg_call *call)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < call->count && call->chunks != NULL; i++)
        bytes += call->chunks[i].size;
    return bytes;
}

static void load_add(load *l, const eg_call *call)
{
    l->items += call->count;
    l->bytes += bytes_of(call);
    l->k = call->scan.k > l->k ? call->scan.k : l->k;
}

static bool load_takes(const load *l, const eg_call *call)
{
    load with = *l;
    load_add(&with, call);
    return with.items <= l->items_max && with.bytes <= BYTES_MAX && with.items * with.k <= HITS_MAX;
}

bool eg_calls_agree(const eg_call *a, const eg_call *b, eg_operation operation)
{
    if (operation == EG_OPERATION_ENCODE)
        return memcmp(a->codebook, b->codebook, sizeof *a->codebook) == 0;
    return a->arena == b->arena && a->scan.live == b->scan.live &&
           a->scan.minimum == b->scan.minimum;
}

eg_calls eg_calls_take(eg_calls *queue, eg_operation operation, size_t items_max, bool *is_full)
{
    eg_calls taken = {0}, left = {0};
    const eg_call *first = queue->head;
    load l = {.items_max = items_max};
    *is_full = false;
    for (eg_call *call = queue->head, *next; call != NULL; call = next) {
        next = call->next;
        bool agrees = call == first || eg_calls_agree(call, first, operation);
        *is_full |= call != first && agrees && !load_takes(&l, call);
        if (agrees &&
            !*is_full) { /* behind one that does not fit nobody fits: they keep their order */
            load_add(&l, call);
            eg_calls_add(&taken, call);
        } else {
            eg_calls_add(&left, call);
        }
    }
    *is_full |= l.items >= items_max;
    *queue = left;
    return taken;
}

void eg_batch_room_fini(eg_batch_room *room)
{
    eg_free(room->vectors);
    eg_free(room->hits);
    eg_free(room->chunks);
    eg_free(room->numbers);
}

static engram_status no_memory(const eg_calls *calls, engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to merge %zu calls into a batch",
                   calls->count);
}

static bool make_room(eg_batch_room *room, size_t items, size_t hits, size_t chunks)
{
    return eg_grow((void **)&room->vectors, &room->vectors_capacity, items, ENGRAM_BLOCKS) &&
           eg_grow((void **)&room->numbers, &room->numbers_capacity, items,
                   sizeof *room->numbers) &&
           eg_grow((void **)&room->hits, &room->hits_capacity, hits, sizeof *room->hits) &&
           eg_grow((void **)&room->chunks, &room->chunks_capacity, chunks, sizeof *room->chunks);
}

static engram_status scan_one(const eg_call *c, engram_error *error)
{
    const eg_scan *s = &c->scan;
    return eg_arena_top_k(c->arena, s->queries, c->count, s->live, s->k, s->minimum, c->hits,
                          c->numbers, error);
}

/* The first lists of room are the call's; k: places of each. */
static void give_hits(const eg_call *call, const eg_hit *hits, const uint32_t *counts, uint32_t k)
{
    for (size_t q = 0; q < call->count; q++) {
        uint32_t count = counts[q] < call->scan.k ? counts[q] : call->scan.k;
        memcpy(call->hits + q * call->scan.k, hits + q * k, count * sizeof *hits);
        call->numbers[q] = count;
    }
}

static engram_status scan_merged(const eg_calls *calls, eg_batch_room *room, engram_error *error)
{
    const eg_call *first = calls->head;
    uint32_t k = 0;
    size_t at = 0;
    for (const eg_call *c = first; c != NULL; c = c->next)
        k = c->scan.k > k ? c->scan.k : k;
    if (!make_room(room, calls->items, calls->items * k, 0))
        return no_memory(calls, error);
    for (const eg_call *c = first; c != NULL; at += c->count, c = c->next)
        memcpy(room->vectors + at * ENGRAM_BLOCKS, c->scan.queries, c->count * ENGRAM_BLOCKS);
    EG_TRY(eg_arena_top_k(first->arena, room->vectors, calls->items, first->scan.live, k,
                          first->scan.minimum, room->hits, room->numbers, error));
    at = 0;
    for (const eg_call *c = first; c != NULL; at += c->count, c = c->next)
        give_hits(c, room->hits + at * k, room->numbers + at, k);
    return ENGRAM_OK;
}

static engram_status encode_one(eg_device *device, const eg_call *c, engram_error *error)
{
    return eg_device_encode(device, c->codebook, c->chunks, c->count, c->vectors, c->numbers,
                            error);
}

static engram_status encode_merged(eg_device *device, const eg_calls *calls, eg_batch_room *room,
                                   engram_error *error)
{
    size_t at = 0;
    if (!make_room(room, calls->items, 0, calls->items))
        return no_memory(calls, error);
    for (const eg_call *c = calls->head; c != NULL; at += c->count, c = c->next)
        memcpy(room->chunks + at, c->chunks, c->count * sizeof *c->chunks);
    EG_TRY(eg_device_encode(device, calls->head->codebook, room->chunks, calls->items,
                            room->vectors, room->numbers, error));
    at = 0;
    for (const eg_call *c = calls->head; c != NULL; at += c->count, c = c->next) {
        memcpy(c->vectors, room->vectors + at * ENGRAM_BLOCKS, c->count * ENGRAM_BLOCKS);
        memcpy(c->numbers, room->numbers + at, c->count * sizeof *c->numbers);
    }
    return ENGRAM_OK;
}

engram_status eg_batch_run(eg_device *device, eg_operation operation, const eg_calls *calls,
                           eg_batch_room *room, engram_error *error)
{
    if (operation == EG_OPERATION_ENCODE)
        return calls->count == 1 ? encode_one(device, calls->head, error)
                                 : encode_merged(device, calls, room, error);
    return calls->count == 1 ? scan_one(calls->head, error) : scan_merged(calls, room, error);
}
