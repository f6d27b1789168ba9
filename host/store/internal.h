/* The store's inside, shared by its files.
 *
 * Concurrency. Segments are published in a list that only grows; readers load its address and its
 * count, and need no lock: lists and segments stay until close. Appending is done under append_lock.
 * A full segment goes to the sealer's thread, which seals one after the other; readers and syncs of it
 * go on meanwhile. Syncs of one segment take turns under its sync_lock, and a failed one is noted before
 * the next begins: the kernel reports lost pages once, so a later sync of the same file would
 * succeed, and prove nothing. A segment's records and vectors are written to its active regions only
 * when it is synced, under the same lock. Nobody syncs a segment whose predecessors are not durable
 * as a whole. The first failure of append, seal or sync is kept; every later one of these calls gets
 * it.
 *
 * Locks are taken in the order append_lock, the sealer's lock, failure_lock, and sync_lock of a
 * segment, lock of a segment, failure_lock; the sealer seals without its lock. */
#ifndef EG_STORE_INTERNAL_H
#define EG_STORE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "store/dedup.h"
#include "store/pins.h"
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

enum { EG_SEALER_WAITING_MAX = 2 };

typedef struct eg_sealer {
    pthread_mutex_t lock;   /* of what follows */
    pthread_cond_t changed; /* any of it, or the store's failure has been seen */
    pthread_t thread;
    bool is_started, stop;
    eg_segment *waiting[EG_SEALER_WAITING_MAX]; /* the first may be in work */
    size_t waiting_count;
    uint64_t given, sealed;
    bool wants_spare;  /* and nobody has begun to make it */
    bool is_making;    /* the sealer, a spare */
    eg_segment *spare; /* empty, its file is ready */
} eg_sealer;

/* Only of a store that tolerates it. */
typedef struct eg_damage {
    bool is_lost; /* the segment could not be opened; else it is there, but could not be recovered */
    eg_segment_state state; /* of a lost one */
    char *reason;
} eg_damage;

struct eg_scratch;

struct eg_store {
    eg_io *io;
    char *dir;
    eg_store_options options;

    _Atomic(eg_segment_list *) list;
    eg_damage *damages; /* by rising segment id; as they were found by open */
    size_t damage_count, damage_capacity;
    uint64_t opened_id; /* the highest that may have been given out before */

    atomic_uint_least64_t next_id;
    atomic_uint_least64_t last_id;   /* of what was appended */
    atomic_uint_least64_t synced_id; /* only rises */
    eg_dedup *dedup;                 /* NULL without options.dedup */
    eg_pins pins;

    pthread_mutex_t append_lock; /* of what follows, and of the list */
    eg_segment **retired;        /* taken out of the list by a merge; files may be there still */
    size_t retired_count, retired_capacity;
    eg_segment *active;          /* or NULL; in the list once it holds a chunk */
    bool spare_wanted;           /* while this one is active */

    eg_sealer sealer;
    atomic_uint_least32_t next_segment;
    uint32_t first_own_segment; /* numbers from here on were given out since the store was opened */

    /* What eg_store_take_synced has told; its caller's. */
    uint64_t told_id;
    size_t told_from; /* segments before are told whole */

    pthread_mutex_t failure_lock;
    atomic_bool failed;
    engram_error failure;

    atomic_int_least64_t room; /* bytes that may be appended before the disk is looked at again */

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
/* Takes neighbours out of the list, into those that are retired, and puts fresh in their place, if it is not NULL. On
 * failure nothing has changed. Not beside eg_store_take_synced. */
engram_status eg_store_list_replace(eg_store *store, eg_segment *const *old, size_t count,
                                    eg_segment *fresh, engram_error *error);
/* Sealed, and done with: it has a file and does not change any more. */
bool eg_segment_is_at_rest(eg_segment *segment);
/* Whether its header says that vectors are in rows; they may be in memory besides. */
bool eg_segment_is_in_rows(eg_segment *segment);
bool eg_store_is_retired(eg_store *store, uint32_t number);
/* The highest id a segment can show. */
uint64_t eg_store_last_id(const eg_segment *segment);
/* The segment in which id would be, or NULL. */
eg_segment *eg_store_segment_of(eg_store *store, uint64_t id);

/* ---- sync.c ---- */

/* Keeps the first failure for all later calls, and passes this one on. */
engram_status eg_store_fail(eg_store *store, engram_status status, const engram_error *reason,
                            engram_error *error);
/* ENGRAM_OK, or the failure that was kept. */
engram_status eg_store_check_alive(eg_store *store, engram_error *error);
engram_status eg_store_check_writable(eg_store *store, engram_error *error);
/* An eg_segment_syncer; context is the store. */
engram_status eg_store_sync_sealing(void *context, eg_segment *segment, uint32_t durable,
                                    engram_error *error);

/* ---- sealer.c ---- */

void eg_sealer_init(eg_sealer *sealer);
/* Ends the thread, after what it is at. */
void eg_sealer_fini(eg_store *store);
/* Has the next segment's file made. */
void eg_sealer_want_spare(eg_store *store);
/* An empty segment: the spare, or a fresh one. */
engram_status eg_sealer_next_segment(eg_store *store, eg_segment **segment, engram_error *error);
/* Takes a segment with chunks in it, to be appended to no more; waits while too many wait already. */
engram_status eg_sealer_give(eg_store *store, eg_segment *segment, engram_error *error);
/* Until all is sealed that has been given so far. */
engram_status eg_sealer_wait(eg_store *store, engram_error *error);
/* Removes the spare and its file. */
engram_status eg_sealer_drop_spare(eg_store *store, engram_error *error);

/* ---- append.c ---- */

/* ENGRAM_INVALID: no chunk can be so. place: how many come before it in the same call. */
engram_status eg_store_check_chunk(const eg_new_chunk *chunk, size_t place, engram_error *error);

/* ---- recover.c ---- */

/* Finds the first segment number that no file and no state has. */
engram_status eg_store_number_segments(eg_store *store, engram_error *error);
/* A number of its own for a segment whose file is to be made. */
engram_status eg_store_take_number(eg_store *store, uint32_t *number, engram_error *error);
/* Copies what is committed of old into a sealed segment with a number of its own. */
engram_status eg_store_recover_segment(eg_store *store, eg_segment *old, eg_segment **fresh,
                                       engram_error *error);
/* Cuts a tail that a crash left behind a sealed file. */
engram_status eg_store_trim_segment(eg_store *store, eg_segment *segment, engram_error *error);

/* ---- damage.c ---- */

/* Whether a segment that fails so is passed over. */
bool eg_store_tolerates(const eg_store *store, engram_status status);
/* lost: the state of a segment that is not there; NULL: it is in the list. */
engram_status eg_store_note_damage(eg_store *store, const eg_segment_state *lost,
                                   const engram_error *reason, engram_error *error);
void eg_store_free_damages(eg_store *store);
/* How many chunks the lost segments with higher numbers had. */
uint64_t eg_store_lost_behind(const eg_store *store, uint64_t segment_id);
/* ENGRAM_DAMAGED for an id that a lost segment may have held. */
engram_status eg_store_check_lost(eg_store *store, uint64_t id, engram_error *error);

/* ---- verify.c ---- */

/* One segment, as eg_store_verify does it. */
engram_status eg_store_verify_segment(eg_store *store, eg_segment *segment,
                                      const eg_store_verifier *verifier, engram_error *error);

/* ---- read.c ---- */

void eg_store_free_scratch(eg_store *store);
/* Finds the good record of id and where it is. */
engram_status eg_store_locate(eg_store *store, uint64_t id, eg_segment **segment, uint32_t *index,
                              engram_error *error);

#endif
