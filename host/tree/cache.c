/* The node cache. */
#include "tree/cache.h"

#include <pthread.h>
#include <string.h>

#include "base/memory.h"

enum {
    SHARDS_MAX = 16,
    SHARD_SIZE_MIN = 1 << 20,
    NODE_SIZE_USUAL = 8 << 10,
    PREFETCH_LINES = 12 /* the slots of most nodes */
};

typedef _Atomic(eg_node *) eg_chain;

typedef struct eg_shard {
    eg_chain *buckets;
    size_t mask;
    pthread_mutex_t lock; /* for changes; of the rest */
    eg_node *newest, *oldest;
    eg_node *retired, *retired_last; /* evicted, perhaps still visited; by age */
    uint64_t size, size_max;
} eg_shard;

struct eg_cache {
    size_t shard_count; /* a power of two */
    eg_shard shards[SHARDS_MAX];
    eg_visits visits;
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
    eg_cache *cache = eg_alloc_aligned(EG_CACHE_LINE, sizeof *cache);
    if (!cache)
        return NULL;
    memset(cache, 0, sizeof *cache);
    eg_visits_init(&cache->visits);
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

/* Through `older`. */
static void release_list(eg_node *node)
{
    while (node) {
        eg_node *next = node->older;
        eg_node_release(node);
        node = next;
    }
}

static void shard_fini(eg_shard *shard)
{
    release_list(shard->newest);
    release_list(shard->retired);
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

static eg_chain *bucket_of(eg_shard *shard, uint64_t address)
{
    return &shard->buckets[mix(address) >> 4 & shard->mask];
}

/* A search jumps about in the slots, which stand behind the node: they are asked for at once. node
 * may be NULL, and need not be the right one. */
static void prefetch_slots(const eg_node *node)
{
    uintptr_t slots = (uintptr_t)node + sizeof *node;
    for (unsigned i = 0; i < PREFETCH_LINES; i++)
        __builtin_prefetch((const void *)(slots + i * EG_CACHE_LINE));
}

static eg_node *find(eg_shard *shard, uint64_t address)
{
    eg_node *node = atomic_load(bucket_of(shard, address));
    prefetch_slots(node);
    while (node && address_of(node) != address)
        node = atomic_load(&node->chain);
    return node;
}

eg_visitor *eg_cache_visit(eg_cache *cache)
{
    return eg_visit_begin(&cache->visits);
}

eg_node *eg_cache_find(eg_cache *cache, uint64_t address)
{
    eg_node *node = find(shard_of(cache, address), address);
    if (node && !atomic_load_explicit(&node->recent, memory_order_relaxed))
        atomic_store_explicit(&node->recent, true, memory_order_relaxed);
    return node;
}

eg_node *eg_cache_get(eg_cache *cache, uint64_t address)
{
    eg_visitor *visit = eg_cache_visit(cache);
    eg_node *node = eg_cache_find(cache, address);
    if (node)
        eg_node_retain(node);
    eg_visit_end(visit);
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

static void unlink_node(eg_shard *shard, const eg_node *node)
{
    eg_chain *at = bucket_of(shard, address_of(node));
    while (atomic_load(at) != node)
        at = &atomic_load(at)->chain;
    atomic_store(at, atomic_load(&node->chain)); /* who stands on node still finds the rest */
}

static void retire(eg_cache *cache, eg_shard *shard, eg_node *node)
{
    unlink_node(shard, node);
    node->tag = eg_visits_tag(&cache->visits);
    node->older = NULL;
    if (shard->retired)
        shard->retired_last->older = node;
    else
        shard->retired = node;
    shard->retired_last = node;
    shard->size -= eg_node_memory(node);
}

static void evict_one(eg_cache *cache, eg_shard *shard)
{
    eg_node *node = shard->oldest;
    list_remove_oldest(shard);
    if (!atomic_load_explicit(&node->recent, memory_order_relaxed)) {
        retire(cache, shard, node);
        return;
    }
    atomic_store_explicit(&node->recent, false, memory_order_relaxed);
    list_add(shard, node);
}

/* Evicts down to the bound. Returns what nobody visits any more, to be released. */
static eg_node *shrink(eg_cache *cache, eg_shard *shard)
{
    while (shard->size > shard->size_max && shard->oldest)
        evict_one(cache, shard);
    if (!shard->retired)
        return NULL;
    uint64_t oldest = eg_visits_oldest(&cache->visits);
    eg_node *first = shard->retired, *last = NULL;
    while (shard->retired && shard->retired->tag < oldest) {
        last = shard->retired;
        shard->retired = last->older;
    }
    if (!last)
        return NULL;
    last->older = NULL;
    return first;
}

static void add(eg_shard *shard, eg_node *node)
{
    eg_chain *bucket = bucket_of(shard, address_of(node));
    atomic_store_explicit(&node->recent, false, memory_order_relaxed);
    atomic_store_explicit(&node->chain, atomic_load(bucket), memory_order_relaxed);
    atomic_store(bucket, eg_node_retain(node));
    list_add(shard, node);
    shard->size += eg_node_memory(node);
}

void eg_cache_put(eg_cache *cache, eg_node *node)
{
    uint64_t address = address_of(node);
    eg_shard *shard = shard_of(cache, address);
    eg_node *gone = NULL;
    pthread_mutex_lock(&shard->lock);
    if (!find(shard, address)) {
        add(shard, node);
        gone = shrink(cache, shard);
    }
    pthread_mutex_unlock(&shard->lock);
    release_list(gone);
}
