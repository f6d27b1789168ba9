/* Recall: for a new chunk, the stored chunks that predict it best.
 *
 * The new chunk's vector decides. While the stored chunks are few, it is compared with all of them (nearest.h); later bands
 * give candidates (store/bands.h), and exact similarity chooses among them. Chunks of the batch at hand can be bases too,
 * of those behind them. A base is less deep than eg_recall_depth, so that reading a
 * chunk touches at most that many others. Everything is a hint: the correction is made on the base's bytes and kept only
 * when it pays.
 *
 * Threads: find from any number; the rest from one, and not beside find. */
#ifndef EG_INGEST_RECALL_H
#define EG_INGEST_RECALL_H

#include "store/store.h"

enum { EG_RECALL_DEPTH = 3, EG_RECALL_BASES = 12 };

typedef struct eg_recall eg_recall;

typedef struct eg_base {
    uint64_t id;     /* of a stored chunk; 0: */
    uint32_t place;  /* of one in the batch at hand */
    uint32_t matches;
    uint8_t depth;   /* of a stored one */
} eg_base;

typedef struct eg_bases {
    eg_base list[EG_RECALL_BASES]; /* best first */
    size_t count;
} eg_bases;

enum { EG_RECALL_AT_ONCE = 64 };

typedef struct eg_recall_effort {
    size_t exact_max; /* chunks, up to which all are compared with */
    size_t bases;     /* to be found for a chunk, 1 to EG_RECALL_BASES */
} eg_recall_effort;

/* Takes in every chunk that the store has. */
engram_status eg_recall_create(eg_store *store, eg_recall_effort effort, eg_recall **recall, engram_error *error);
void eg_recall_free(eg_recall *recall);
/* The batch at hand: vectors of its new chunks, lent until end. */
engram_status eg_recall_begin(eg_recall *recall, const uint8_t *vectors, size_t count, engram_error *error);
/* The best bases of count <= EG_RECALL_AT_ONCE chunks of the batch, from place on. */
engram_status eg_recall_find(eg_recall *recall, size_t place, size_t count, eg_bases *found, engram_error *error);
/* The batch's chunks have these ids in the store now. */
engram_status eg_recall_end(eg_recall *recall, const uint64_t *ids, engram_error *error);

#endif
