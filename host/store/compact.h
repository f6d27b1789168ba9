/* Compaction of a store: dropping chunks that nobody needs, and merging segments.
 *
 * A collection knows what is garbage. Its caller begins it, finds out which chunks any version holds, and dooms the
 * rest; what is pinned is spared (pins.h). Doomed chunks are not found by deduplication any more, so nobody comes to need
 * them; they can be read until a merge drops them. A collection that dooms nothing only merges.
 *
 * A merge writes the chunks of neighbouring sealed segments that stay, under their ids, into one new file, which is
 * complete, synced and named by nothing. Its adoption puts it into the store in place of the old ones, whose files the
 * sweep may then remove; the caller makes that durable. Chunks whose base is doomed are encoded anew.
 *
 * Invariants: the base of every chunk in the store is in the store; no chunk gains depth. Threads: one collection at a
 * time, used by one thread, beside everything else that a store does. */
#ifndef EG_STORE_COMPACT_H
#define EG_STORE_COMPACT_H

#include "store/id_set.h"
#include "store/store.h"

typedef struct eg_collection eg_collection;

/* From here on what is used stays: to be called before anybody looks at what versions hold. */
engram_status eg_collection_begin(eg_store *store, eg_collection **collection, engram_error *error);
/* Dooms what is in none of the two sets of those that must stay: what versions hold, and what is pinned. */
engram_status eg_collection_doom(eg_collection *collection, const eg_id_set *held, engram_error *error);
/* What was doomed and is still there counts as any other chunk again. NULL is fine. */
void eg_collection_end(eg_collection **collection);

/* What a segment has. Bytes are those of its file that go with chunks. */
typedef struct eg_share {
    uint64_t segment; /* its number */
    uint8_t level;
    bool is_sealed;
    bool is_in_rows; /* sealed by a program that knew no planes */
    uint64_t chunks, bytes;
    uint64_t doomed, doomed_bytes;
    uint64_t bound_bytes; /* of doomed chunks elsewhere that only stay because chunks of this one rest on them */
} eg_share;
/* By rising ids of chunks; fresh memory (eg_free). */
engram_status eg_collection_survey(eg_collection *collection, eg_share **shares, size_t *count, engram_error *error);

enum { EG_MERGE_CHUNKS_MAX = 1 << 20 }; /* of one file */
#define EG_MERGE_BYTES_MAX (UINT64_C(1) << 30)

typedef struct eg_merge eg_merge;

typedef struct eg_merge_options {
    uint8_t level;   /* of the new segment */
    int effort;      /* of encoding anew: 1 ... 9 */
    void *context;
    /* After each megabyte or so that was read or written; other than ENGRAM_OK ends the merge. May be NULL. */
    engram_status (*pace)(void *context, uint64_t bytes, engram_error *error);
} eg_merge_options;

typedef struct eg_merged {
    uint64_t chunks, dropped, encoded; /* chunks that stay; those that do not; those of the first encoded anew */
    uint64_t bytes_before, bytes_after; /* of files */
} eg_merged;

/* segments: numbers of sealed neighbours. ENGRAM_DAMAGED: one of them is, and stays as it is for a repair. On failure
 * no file is left, unless the disk forbids that too. */
engram_status eg_merge_create(eg_collection *collection, const uint64_t *segments, size_t count, const eg_merge_options *options, eg_merge **merge, engram_error *error);
const eg_merged *eg_merge_get(const eg_merge *merge);
/* The store has the new segment, if any chunk stayed, in place of the old ones. Not beside eg_store_take_synced. On failure
 * nothing has changed. */
engram_status eg_merge_adopt(eg_merge *merge, engram_error *error);
/* Removes the file of one that was not adopted. */
void eg_merge_free(eg_merge **merge);

#endif
