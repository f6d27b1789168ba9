/* The node cache. */
#include "tree/cache.h"

#include <pthread.h>

#include "base/memory.h"

enum { SHARDS_MAX = 16, SHARD_SIZE_MIN = 1 << 20, NODE_SIZE_USUAL = 8 << 10 };

typedef struct eg_shard {
    pthread_mutex_t lock;
    eg_node **buckets; /* chains */
    size_t mask;
    eg_node *newest, *oldest;
    uint64_t size, size_max;
} eg_shard;

struct eg_cache {
    size_t shard_count; /* a power of two */
    eg_shard shards[SHARDS_MAX];
};

static uint64_t mix(uint64_t address)
{
    address *= 0x9E3779B97F4A7C15u;
    return address ^ address >> 29;
}

static bool shard_init(eg_shard *shard, uint64_t size)
{
    size_t count = 16;
    while (count < size / NODE_SIZE_USUAL && count < (size_t)1 << 24)
        count *= 2;
    shard->buckets = eg_alloc_zero(count, sizeof *shard->buckets);
    shard->mask = count - 1;
    shard->size_max = size;
    pthread_mutex_init(&shard->lock, NULL);
    return shard->buckets != NULL;
}

eg_cache *eg_cache_create(uint64_t size)
{
    eg_cache *cache = eg_alloc_zero(1, sizeof *cache);
    if (!cache)
        return NULL;
    size_t count = 1;
    while (count < SHARDS_MAX && size / (2 * count) >= SHARD_SIZE_MIN)
        count *= 2;
    for (; cache->shard_count < count; cache->shard_count++)
        if (!shard_init(&cache->shards[cache->shard_count], size / count)) {
            cache->shard_count++;
            eg_cache_free(cache);
            return NULL;
        }
    return cache;
}

static void shard_fini(eg_shard *shard)
{
    while (shard->newest) {
        eg_node *node = shard->newest;
        shard->newest = node->older;
        eg_node_release(node);
    }
    pthread_mutex_destroy(&shard->lock);
    eg_free(shard->buckets);
}

void eg_cache_free(eg_cache *cache)
{
    if (!cache)
        return;
    for (size_t i = 0; i < cache->shard_count; i++)
        shard_fini(&cache->shards[i]);
    eg_free(cache);
}

static uint64_t address_of(const eg_node *node)
{
    return atomic_load_explicit(&node->stored_address, memory_order_relaxed);
}

static eg_shard *shard_of(eg_cache *cache, uint64_t address)
{
    return &cache->shards[mix(address) & (cache->shard_count - 1)];
}

static eg_node **bucket_of(eg_shard *shard, uint64_t address)
{
    return &shard->buckets[mix(address) >> 4 & shard->mask];
}

static eg_node *find(eg_shard *shard, uint64_t address)
{
    eg_node *node = *bucket_of(shard, address);
    while (node && address_of(node) != address)
        node = node->chain;
    return node;
}

eg_node *eg_cache_get(eg_cache *cache, uint64_t address)
{
    eg_shard *shard = shard_of(cache, address);
    pthread_mutex_lock(&shard->lock);
    eg_node *node = find(shard, address);
    if (node) {
        node->recent = true;
        eg_node_retain(node);
    }
    pthread_mutex_unlock(&shard->lock);
    return node;
}

static void list_add(eg_shard *shard, eg_node *node)
{
    node->newer = NULL;
    node->older = shard->newest;
    if (shard->newest)
        shard->newest->newer = node;
    else
        shard->oldest = node;
    shard->newest = node;
}

static void list_remove_oldest(eg_shard *shard)
{
    eg_node *node = shard->oldest;
    shard->oldest = node->newer;
    if (node->newer)
        node->newer->older = NULL;
    else
        shard->newest = NULL;
}

static void evict_one(eg_shard *shard)
{
    eg_node *node = shard->oldest;
    list_remove_oldest(shard);
    if (node->recent) {
        node->recent = false;
        list_add(shard, node);
        return;
    }
    eg_node **at = bucket_of(shard, address_of(node));
    while (*at != node)
        at = &(*at)->chain;
    *at = node->chain;
    shard->size -= eg_node_memory(node);
    eg_node_release(node);
}

void eg_cache_put(eg_cache *cache, eg_node *node)
{
    uint64_t address = address_of(node);
    eg_shard *shard = shard_of(cache, address);
    pthread_mutex_lock(&shard->lock);
    if (!find(shard, address)) {
        eg_node **bucket = bucket_of(shard, address);
        node->recent = false;
        node->chain = *bucket;
        *bucket = eg_node_retain(node);
        list_add(shard, node);
        shard->size += eg_node_memory(node);
        while (shard->size > shard->size_max && shard->oldest)
            evict_one(shard);
    }
    pthread_mutex_unlock(&shard->lock);
}
