/* Clean nodes in memory, by address: bounded, in shards.
 *
 * Looking a node up takes no lock: it is a visit (visits.h). Adding and evicting take the lock of
 * the shard, a leaf. The cache holds one reference to each of its nodes, and keeps it until the
 * visitors who may have found the node have left: during a visit what was found stays, and may be
 * retained for longer. Within a shard nodes stand in a list by age; a hit only marks its node, and
 * the mark buys one more round when the node has come to the old end (CLOCK).
 *
 * The bound is exceeded by what was evicted and has visitors still: as a rule, nothing. */
#ifndef EG_TREE_CACHE_H
#define EG_TREE_CACHE_H

#include "tree/node.h"
#include "tree/visits.h"

typedef struct eg_cache eg_cache;

eg_cache *eg_cache_create(uint64_t size); /* NULL: no memory */
void eg_cache_free(eg_cache *cache);

eg_visitor *eg_cache_visit(eg_cache *cache);
/* In a visit: lent until it ends. NULL when it is not there. */
eg_node *eg_cache_find(eg_cache *cache, uint64_t address);
/* Retained for the caller; NULL when it is not there. */
eg_node *eg_cache_get(eg_cache *cache, uint64_t address);
/* Adds node, which holds no child in memory, under its stored address; not one that was in a cache
 * before. If another thread was faster nothing is added. The caller's reference stays the caller's.
 */
void eg_cache_put(eg_cache *cache, eg_node *node);

#endif
