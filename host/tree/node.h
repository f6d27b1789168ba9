/* Nodes and the links between them.
 *
 * A node is a page, a level (0: leaf) and a count of references. It is either clean, that is read
 * from disk, with children known by where they are stored only; or it was made by an edit, and then
 * holds strong references to those of its children that are not on disk. While an edit runs it
 * changes the nodes that carry its epoch, and nobody else can see them; after it they are frozen
 * for ever.
 *
 * The value of an internal node's cell is a link. Its key is the lower bound of the child: the
 * child's keys are >= it and < the next cell's key. The first cell of an internal node repeats the
 * bound under which its parent knows it (empty on the left edge), so joining two neighbours is
 * appending.
 *
 * Threads: references are atomic. stored_address and stored_size of a node made by an edit are
 * written by flushing only, under its lock; readers and cloning never need them. */
#ifndef EG_TREE_NODE_H
#define EG_TREE_NODE_H

#include <stdatomic.h>

#include "base/status.h"
#include "tree/page.h"
#include "tree/tree.h"

enum {
    EG_LEVELS_MAX = 24,
    EG_LINK_SIZE = 20, /* of a link in a page: address, size, pointer */
    EG_LEVEL_ANY = -1
};

typedef struct eg_node eg_node;

struct eg_node {
    atomic_uint references;
    uint8_t level;
    int8_t run;     /* > 0: so many inserts in a row, each behind the last; < 0: each before it */
    uint32_t last;  /* index of the last insert */
    uint64_t epoch; /* the edit that made it; 0: clean */
    _Atomic uint64_t stored_address; /* 0: not on disk yet */
    uint32_t stored_size;
    eg_page page;
    /* The cache's, under the lock of its shard. */
    bool recent;
    eg_node *chain, *newer, *older;
};

/* To a child, or to a whole tree. node: strong when the child is not on disk, else NULL. All zero:
 * the empty tree. */
typedef struct eg_link {
    uint64_t address;
    uint32_t size;
    eg_node *node;
} eg_link;

/* One reference is the caller's. NULL: no memory. */
eg_node *eg_node_create(unsigned level, uint64_t epoch, size_t need);
eg_node *eg_node_clone(const eg_node *from, uint64_t epoch);
eg_node *eg_node_retain(eg_node *node);
/* Frees at the last reference, and releases the children; NULL is fine. */
void eg_node_release(eg_node *node);
size_t eg_node_memory(const eg_node *node);

eg_link eg_node_link(const eg_node *node, size_t index);
/* Does not touch references. */
void eg_node_set_link(eg_node *node, size_t index, eg_link link);
/* The index of the child that key belongs to. */
size_t eg_node_child_index(const eg_node *node, eg_view key);
/* Inserts and remembers in which direction inserts run. False: no memory. */
bool eg_node_insert(eg_node *node, size_t index, eg_view key, eg_view value);
bool eg_node_insert_link(eg_node *node, size_t index, eg_view key, eg_link link);
/* Copies cells of from, from index first on, and retains what they link to. False: no memory. */
bool eg_node_append(eg_node *node, const eg_node *from, size_t first);

#endif
