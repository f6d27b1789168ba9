#include "crash/contents.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crash/model.h"
#include "crash/util.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static content *known;
static size_t known_count, known_capacity;

void fill_bytes(uint8_t *bytes, size_t size, uint64_t seed)
{
    seed = seed * 2654435761u + 1;
    for (size_t i = 0; i < size; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        bytes[i] = i % 1024 < 512 ? (uint8_t)(seed >> 56) : (uint8_t)(i / 1024);
    }
}

static const content *find(uint64_t hash)
{
    for (size_t i = known_count; i > 0; i--)
        if (known[i - 1].hash == hash)
            return &known[i - 1];
    return NULL;
}

uint64_t contents_add(const uint8_t *bytes, size_t size)
{
    uint64_t hash = hash_of(bytes, size);
    pthread_mutex_lock(&lock);
    if (find(hash) == NULL) {
        known = crash_grow(known, &known_capacity, known_count + 1, sizeof *known);
        uint8_t *copy = crash_alloc(size);
        if (size > 0)
            memcpy(copy, bytes, size);
        known[known_count++] = (content){hash, size, copy};
    }
    pthread_mutex_unlock(&lock);
    return hash;
}

uint64_t contents_add_drawn(uint64_t seed, size_t size)
{
    uint8_t *bytes = crash_alloc(size);
    fill_bytes(bytes, size, seed);
    uint64_t hash = contents_add(bytes, size);
    free(bytes);
    return hash;
}

content contents_get(uint64_t hash)
{
    pthread_mutex_lock(&lock);
    const content *found = find(hash);
    if (found == NULL) {
        fprintf(stderr, "a content that was never made\n");
        abort();
    }
    content c = *found;
    pthread_mutex_unlock(&lock);
    return c;
}
