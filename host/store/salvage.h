/* What can be saved of a damaged store.
 *
 * A salvage looks at everything in a store that was opened read-only, with tolerate: which segments are
 * not what they should be, and which chunks of those are good all the same. A chunk is good when its bytes
 * have the fingerprint of its record. Of a file without a usable header, whatever looks like a record is
 * tried. What is good can then be written into new segments, under the same ids; the old files are not
 * touched. One thread. */
#ifndef EG_STORE_SALVAGE_H
#define EG_STORE_SALVAGE_H

#include "store/store.h"

typedef struct eg_salvage eg_salvage;

typedef struct eg_salvage_options {
    const eg_segment_state *states; /* those that the store was opened with; lent */
    size_t state_count;
    uint64_t next_id; /* no committed chunk has this id or a higher one */
    bool exact;       /* a file that holds more than its state says is not whole either */
    int level;        /* of packing what was a delta, as its base may go: 1 ... 9 */
    eg_pool *pool;    /* may be NULL */
    void *context;    /* of the functions */
    void (*encode)(void *context, const uint8_t *bytes, size_t size, uint8_t *vector, uint32_t *spread);
    void (*progress)(void *context, uint64_t bytes_done); /* may be NULL */
} eg_salvage_options;

/* A segment that is not whole. */
typedef struct eg_salvage_segment {
    eg_segment_state state; /* as it should be */
    bool is_missing;        /* there is no such file */
    bool has_more;          /* nothing is wrong but that there is more in the file */
    uint64_t problems;
    const char *reason;     /* the first of them */
    uint64_t good;          /* chunks of it that can be saved */
} eg_salvage_segment;

/* Reads all there is. ENGRAM_IO: the disk failed, nothing can be concluded. */
engram_status eg_salvage_create(eg_store *store, const eg_salvage_options *options, eg_salvage **salvage, engram_error *error);
void eg_salvage_free(eg_salvage *salvage);

size_t eg_salvage_count(const eg_salvage *salvage); /* of damaged segments, by rising id */
const eg_salvage_segment *eg_salvage_get(const eg_salvage *salvage, size_t index);

/* Numbers of segment files on the disk that no state names, rising, in fresh memory (eg_free). Before anything is
 * written. */
engram_status eg_salvage_list_unnamed(const eg_salvage *salvage, uint64_t **numbers, size_t *count, engram_error *error);

/* A copy of a chunk that came from elsewhere (the journal): kept if the store has no good one, and if it can
 * be a chunk at all. They count once they are settled. */
engram_status eg_salvage_offer(eg_salvage *salvage, const eg_new_chunk *chunk, engram_error *error);
engram_status eg_salvage_settle(eg_salvage *salvage, engram_error *error);
/* Whether the chunk is there, good, in a whole segment or to be saved; *size: of its bytes. Fast. */
bool eg_salvage_has(const eg_salvage *salvage, uint64_t id, uint32_t *size);
/* Its hypervector, made anew where its segment is damaged. ENGRAM_NOT_FOUND for a chunk that is lost. */
engram_status eg_salvage_get_vector(eg_salvage *salvage, uint64_t id, uint8_t vector[256], engram_error *error);

/* Writes what is good of damaged segments, what was offered, and what the store holds only in memory into new
 * segments, sealed and synced. Gives the states of everything that is good from then on, by rising id, in fresh
 * memory (eg_free). */
engram_status eg_salvage_write(eg_salvage *salvage, eg_segment_state **states, size_t *count, engram_error *error);

#endif
