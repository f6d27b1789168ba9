/* How vectors lie in memory and in files, to be scanned.
 *
 * In rows: 256 bytes after 256 bytes. In planes: a vector is eight planes of 256 bits, of which plane p has bit p of each
 * symbol; bit i of byte b of a plane belongs to block 32 * i + b. The first two planes are its lead, the other six its rest.
 * Vectors lie in groups of EG_GROUP_ROWS, of which the last may have fewer: the leads of a group, one after the other, then
 * its rests. Two vectors that agree by chance do so in a quarter of the blocks in their leads, so that a scan for those with
 * a minimum above that reads a quarter of the bytes.
 *
 * Pure functions, any thread. */
#ifndef EG_VSA_LAYOUT_H
#define EG_VSA_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include "engram/hypervector.h"

enum {
    EG_PLANES = 8,
    EG_PLANE_SIZE = ENGRAM_BLOCKS / 8,
    EG_LEAD_PLANES = 2,
    EG_LEAD_SIZE = EG_LEAD_PLANES * EG_PLANE_SIZE,
    EG_REST_SIZE = ENGRAM_BLOCKS - EG_LEAD_SIZE,
    EG_GROUP_ROWS = 4096
};

typedef enum eg_layout { EG_LAYOUT_ROWS, EG_LAYOUT_PLANES } eg_layout;

/* Some vectors among those that lie together. */
typedef struct eg_vectors {
    const uint8_t *bytes; /* of all of them, aligned to 64 where they are scanned; lent */
    size_t total;         /* so many lie there, total * 256 bytes; in planes it tells where the last group's rests are */
    size_t first, count;  /* of them, these */
    eg_layout layout;
} eg_vectors;

/* Vectors in rows, all of them. */
static inline eg_vectors eg_rows(const uint8_t *bytes, size_t count)
{
    return (eg_vectors){bytes, count, 0, count, EG_LAYOUT_ROWS};
}

static inline eg_vectors eg_vectors_part(eg_vectors of, size_t from, size_t count)
{
    of.first += from;
    of.count = count;
    return of;
}

/* How many vectors from the i-th on, all of these at most, lie in one run, as kernels take them. */
static inline size_t eg_vectors_run(const eg_vectors *vectors, size_t i)
{
    size_t left = vectors->count - i, group = EG_GROUP_ROWS - (vectors->first + i) % EG_GROUP_ROWS;
    return vectors->layout == EG_LAYOUT_ROWS || left < group ? left : group;
}

/* Of vector `row` of all. */
static inline size_t eg_planes_group_rows(size_t total, size_t row)
{
    size_t left = total - row / EG_GROUP_ROWS * EG_GROUP_ROWS;
    return left < EG_GROUP_ROWS ? left : EG_GROUP_ROWS;
}
static inline size_t eg_planes_lead(size_t row) /* where its lead is, in bytes */
{
    return row / EG_GROUP_ROWS * EG_GROUP_ROWS * ENGRAM_BLOCKS + row % EG_GROUP_ROWS * EG_LEAD_SIZE;
}
static inline size_t eg_planes_rest(size_t total, size_t row)
{
    return row / EG_GROUP_ROWS * EG_GROUP_ROWS * ENGRAM_BLOCKS + eg_planes_group_rows(total, row) * EG_LEAD_SIZE +
           row % EG_GROUP_ROWS * EG_REST_SIZE;
}

/* Turns symbols into planes, or planes into symbols: twice is nothing. to may be from. */
void eg_vector_turn(const uint8_t *from, uint8_t *to);

/* Symbols of the i-th of these vectors. */
void eg_vectors_get(const eg_vectors *vectors, size_t i, uint8_t *symbols);
/* Writes one of total vectors that lie in planes. */
void eg_planes_put(uint8_t *bytes, size_t total, size_t row, const uint8_t *symbols);

#endif
