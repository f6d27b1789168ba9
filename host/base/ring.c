/* A circular array under one mutex. Producers sleep on has_room, consumers on has_items; each
 * push wakes one consumer, each pop one producer, and closing wakes them all. */
#include "base/ring.h"

#include <assert.h>
#include <pthread.h>
#include <stdint.h>

#include "base/memory.h"

struct eg_ring {
    pthread_mutex_t mutex; /* guards everything below */
    pthread_cond_t has_room, has_items;
    size_t capacity, first, count;
    bool closed;
    void *items[];
};

engram_status eg_ring_create(size_t capacity, eg_ring **ring)
{
    *ring = NULL;
    if (capacity == 0 || capacity > (SIZE_MAX - sizeof(eg_ring)) / sizeof(void *))
        return ENGRAM_INVALID;
    eg_ring *r = eg_alloc(sizeof *r + capacity * sizeof(void *));
    if (r == NULL)
        return ENGRAM_NO_MEMORY;
    *r = (eg_ring){.mutex = PTHREAD_MUTEX_INITIALIZER,
                   .has_room = PTHREAD_COND_INITIALIZER,
                   .has_items = PTHREAD_COND_INITIALIZER,
                   .capacity = capacity};
    *ring = r;
    return ENGRAM_OK;
}

void eg_ring_free(eg_ring *ring)
{
    if (ring == NULL)
        return;
    pthread_cond_destroy(&ring->has_items);
    pthread_cond_destroy(&ring->has_room);
    pthread_mutex_destroy(&ring->mutex);
    eg_free(ring);
}

bool eg_ring_push(eg_ring *ring, void *item)
{
    assert(item != NULL); /* NULL is how pop says "no more" */
    pthread_mutex_lock(&ring->mutex);
    while (ring->count == ring->capacity && !ring->closed)
        pthread_cond_wait(&ring->has_room, &ring->mutex);
    bool open = !ring->closed;
    if (open) {
        ring->items[(ring->first + ring->count) % ring->capacity] = item;
        ring->count++;
        pthread_cond_signal(&ring->has_items);
    }
    pthread_mutex_unlock(&ring->mutex);
    return open;
}

void *eg_ring_pop(eg_ring *ring)
{
    void *item = NULL;
    pthread_mutex_lock(&ring->mutex);
    while (ring->count == 0 && !ring->closed)
        pthread_cond_wait(&ring->has_items, &ring->mutex);
    if (ring->count > 0) {
        item = ring->items[ring->first];
        ring->first = (ring->first + 1) % ring->capacity;
        ring->count--;
        pthread_cond_signal(&ring->has_room);
    }
    pthread_mutex_unlock(&ring->mutex);
    return item;
}

void eg_ring_close(eg_ring *ring)
{
    pthread_mutex_lock(&ring->mutex);
    ring->closed = true;
    pthread_cond_broadcast(&ring->has_room);
    pthread_cond_broadcast(&ring->has_items);
    pthread_mutex_unlock(&ring->mutex);
}
