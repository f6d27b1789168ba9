/* The vectors most like given ones, by comparing with all: exact, and faster than an index while there are few.
 *
 * Memory is 256 bytes a vector. Threads: any number of finders, or one that changes it. */
#ifndef EG_INGEST_NEAREST_H
#define EG_INGEST_NEAREST_H

#include "compute/kernels.h"

typedef struct eg_nearest {
    eg_kernels kernels;
    uint8_t *vectors; /* 64-byte aligned */
    uint64_t *fit;    /* bit n: number n is to be found */
    uint32_t count, room;
} eg_nearest;

enum { EG_NEAREST_QUERIES = 64 };

void eg_nearest_init(eg_nearest *nearest);
void eg_nearest_fini(eg_nearest *nearest);
/* Numbers rise from 0. On failure nothing was added. */
engram_status eg_nearest_add(eg_nearest *nearest, const uint8_t *vector, engram_error *error);
/* It is not found any more. */
void eg_nearest_drop(eg_nearest *nearest, uint32_t number);
/* For each of count <= EG_NEAREST_QUERIES vectors, from number first on, which were added in a row: the k most similar of those
 * before it, with `least` matches or more, best first, of equals the oldest. hits has room for k of each; counts: how many. */
void eg_nearest_find(const eg_nearest *nearest, uint32_t first, size_t count, uint32_t k, uint32_t least, eg_hit *hits,
                     uint32_t *counts);

#endif
