/* A bounded queue of pointers between threads; full means wait. Many producers and consumers. */
#ifndef EG_BASE_RING_H
#define EG_BASE_RING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

typedef struct eg_ring eg_ring;

engram_status eg_ring_create(size_t capacity, eg_ring **ring);
void eg_ring_free(eg_ring *ring); /* nobody may be waiting; items left are the caller's */

/* Waits for room. False when the ring was closed: item stays the caller's. */
bool eg_ring_push(eg_ring *ring, void *item);
/* Waits for an item. NULL when the ring is closed and empty. */
void *eg_ring_pop(eg_ring *ring);
/* Wakes everyone; pushes fail from now on, pops drain what is left. Idempotent. */
void eg_ring_close(eg_ring *ring);

#endif
