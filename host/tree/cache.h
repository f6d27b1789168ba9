/* Clean nodes in memory, by address: bounded, in shards, each with its lock.
 *
 * The cache holds one reference to each of its nodes, a reader another while it looks: eviction
 * never frees what somebody holds. Within a shard nodes stand in a list by age; a hit only marks
 * its node, and the mark buys one more round when the node has come to the old end (CLOCK). */
#ifndef EG_TREE_CACHE_H
#define EG_TREE_CACHE_H

#include "tree/node.h"

typedef struct eg_cache eg_cache;

eg_cache *eg_cache_create(uint64_t size); /* NULL: no memory */
void eg_cache_free(eg_cache *cache);
/* Retained for the caller; NULL when it is not there. */
eg_node *eg_cache_get(eg_cache *cache, uint64_t address);
/* Adds node, which holds no child in memory, under its stored address. If another thread was faster
 * nothing is added. The caller's reference stays the caller's. */
void eg_cache_put(eg_cache *cache, eg_node *node);

#endif
