/* The store's inside, shared by its files.
 *
 * Concurrency. Segments are published in a list that only grows; readers load its address and its
 * count, and need no lock: lists and segments stay until close. One thread appends. Another may
 * sync: it takes the active segment's address, which stays good when that is sealed meanwhile,
 * for sealing has synced it by then. Syncs take turns (sync_lock), and a failed one is noted before
 * the next begins: the kernel reports lost pages once, so a later sync of the same file would
 * succeed, and prove nothing. The first failure of append, seal or sync is kept; every later one
 * of these calls gets it. */
#ifndef EG_STORE_INTERNAL_H
#define EG_STORE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "store/dedup.h"
#include "store/segment.h"
#include "store/store.h"

typedef struct eg_segment_list {
    struct eg_segment_list *older; /* outgrown, perhaps still being read */
    size_t capacity;
    atomic_size_t count;
    eg_segment *segments[]; /* by rising id of the first chunk */
} eg_segment_list;

/* A snapshot of the list: what a reader walks over. */
typedef struct eg_segments {
    eg_segment *const *at;
    size_t count;
} eg_segments;

struct eg_scratch;

struct eg_store {
    eg_io *io;
    char *dir;
    eg_store_options options;

    _Atomic(eg_segment_list *) list;
    _Atomic(eg_segment *) active; /* the appending thread's; in the list once it holds a chunk */
    atomic_uint_least64_t next_id;
    uint32_t next_segment;
    eg_buffer stage; /* corrections on their way to the file */
    eg_dedup *dedup; /* NULL without options.dedup */

    pthread_mutex_t sync_lock;
    atomic_uint_least64_t appended; /* counts calls that wrote */
    uint64_t synced;                /* of those; under sync_lock */

    pthread_mutex_t failure_lock;
    atomic_bool failed;
    engram_error failure;

    pthread_mutex_t scratch_lock;
    struct eg_scratch *scratch; /* idle ones */
    size_t scratch_count;
};

/* ---- list.c ---- */

eg_segments eg_store_segments(eg_store *store);
/* Makes room for one more; then eg_store_list_add cannot fail. */
engram_status eg_store_list_reserve(eg_store *store, engram_error *error);
void eg_store_list_add(eg_store *store, eg_segment *segment);
void eg_store_list_free(eg_store *store);
/* The highest id a segment can show. */
uint64_t eg_store_last_id(const eg_segment *segment);
/* The segment in which id would be, or NULL. */
eg_segment *eg_store_segment_of(eg_store *store, uint64_t id);

/* ---- append.c ---- */

/* An eg_segment_syncer; context is the store. */
engram_status eg_store_sync_segment(void *context, eg_segment *segment, engram_error *error);
engram_status eg_store_check_writable(eg_store *store, engram_error *error);

/* ---- recover.c ---- */

/* Finds the first segment number that no file and no state has. */
engram_status eg_store_number_segments(eg_store *store, engram_error *error);
/* Copies what is committed of old into a sealed segment with a number of its own. */
engram_status eg_store_recover_segment(eg_store *store, eg_segment *old, eg_segment **fresh,
                                       engram_error *error);
/* Cuts a tail that a crash left behind a sealed file. */
engram_status eg_store_trim_segment(eg_store *store, eg_segment *segment, engram_error *error);

/* ---- read.c ---- */

void eg_store_free_scratch(eg_store *store);
/* Finds the good record of id and where it is. */
engram_status eg_store_locate(eg_store *store, uint64_t id, eg_segment **segment, uint32_t *index,
                              engram_error *error);

#endif
