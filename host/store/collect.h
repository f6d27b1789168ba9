/* What collect.c and merge.c share. */
#ifndef EG_STORE_COLLECT_H
#define EG_STORE_COLLECT_H

#include "store/compact.h"
#include "store/internal.h"

/* The chunk on which others are encoded that have lost the base they had in common; also, under its own id, one that was
 * encoded anew: its depth is not yet what the store says. */
typedef struct eg_heir {
    uint64_t base; /* or that id; 0: free */
    uint64_t id;
    uint8_t depth; /* its new one */
} eg_heir;

struct eg_collection {
    eg_store *store;
    uint64_t floor;    /* from here on nothing is doomed */
    eg_id_set doomed;
    bool has_doomed;
    eg_heir *heirs;    /* by base, open addressing */
    size_t heir_count, heir_capacity;
    struct eg_likeness *likeness; /* made by the first chunk that wants a new base */
};

static inline bool eg_collection_dooms(const eg_collection *c, uint64_t id)
{
    return c->has_doomed && eg_id_set_has(&c->doomed, id);
}

/* Bytes of a sealed file that go with one chunk. */
static inline uint64_t eg_record_bytes(const eg_chunk_record *record)
{
    return record->stored_size + EG_SEGMENT_RECORD_SIZE + EG_SEGMENT_VECTOR_SIZE + EG_SEGMENT_PAIR_SIZE;
}

/* NULL: none. Lent until the next is added. */
const eg_heir *eg_collection_heir(const eg_collection *collection, uint64_t base);
bool eg_collection_add_heir(eg_collection *collection, eg_heir heir); /* false: no memory */
void eg_collection_forget_heirs(eg_collection *collection);

/* likeness.c: which chunks that stay are like a chunk, best first; at most EG_LIKE_MAX, each with at least a tenth of its
 * content in common as the vectors estimate it. */
enum { EG_LIKE_MAX = 4 };
typedef struct eg_like {
    uint64_t id;
    uint32_t matches;
} eg_like;
engram_status eg_collection_find_like(eg_collection *collection, uint64_t id, eg_like found[EG_LIKE_MAX], size_t *count, engram_error *error);
void eg_likeness_free(struct eg_likeness *likeness);

#endif
