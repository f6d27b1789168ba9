/* Room on the disk, asked for before anything is written. */
#include <inttypes.h>

#include "store/internal.h"

enum {
    /* Journal files that are made ahead, the active segment's tail and what sealing adds, a checkpoint's nodes. */
    RESERVE_MAX = 192 << 20,
    RESERVE_SHARE = 16, /* of a small disk */
    LOOK_EVERY = 16 << 20
};

/* With as much again of records and vectors: the active regions, and the sealed ones. */
static uint64_t need_of(uint64_t size, size_t count)
{
    return size + 2 * (uint64_t)count * (EG_SEGMENT_RECORD_SIZE + EG_SEGMENT_VECTOR_SIZE);
}

static engram_status look(eg_store *store, uint64_t need, engram_error *error)
{
    uint64_t unused, total;
    EG_TRY(store->io->space(store->io, store->dir, &unused, &total, error));
    uint64_t reserve = total / RESERVE_SHARE < RESERVE_MAX ? total / RESERVE_SHARE : RESERVE_MAX;
    if (unused < reserve + need)
        return eg_fail(error, ENGRAM_NO_SPACE,
                       "No space left for more in %s: %.1f MB of its disk are free, and %.1f MB stay so that what is under "
                       "way can be ended; make room, or remove files and run 'engram gc'",
                       store->dir, (double)unused / 1e6, (double)reserve / 1e6);
    uint64_t left = (unused - reserve - need) / 4; /* others use it too */
    atomic_store(&store->room, (int_least64_t)(left < LOOK_EVERY ? left : LOOK_EVERY));
    return ENGRAM_OK;
}

engram_status eg_store_check_room(eg_store *store, uint64_t size, size_t count, engram_error *error)
{
    uint64_t need = need_of(size, count);
    if (store->options.read_only || store->io->space == NULL || count == 0)
        return ENGRAM_OK;
    if (need <= INT64_MAX && atomic_fetch_sub(&store->room, (int_least64_t)need) >= (int_least64_t)need)
        return ENGRAM_OK;
    return look(store, need, error);
}
