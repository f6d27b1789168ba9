/* Nodes and the links between them.
 *
 * A node is a page, a level (0: leaf) and a count of references. It is either clean, that is read
 * from disk, with children known by where they are stored only; or it was made by an edit, and then
 * holds strong references to those of its children that were not safe on disk when it was made.
 * While an edit runs it changes the nodes that carry its epoch, and nobody else can see them; after
 * it they are frozen for ever.
 *
 * Frozen nodes keep their strong links, even when a flush stores the children. It is the next edit
 * that lets go: what it clones links to stored children by address only. So memory returns as edits
 * go on and old versions are released, and no reader ever sees a link change.
 *
 * The value of an internal node's cell is a link. Its key is the lower bound of the child: the
 * child's keys are >= it and < the next cell's key. The first cell of an internal node repeats the
 * bound under which its parent knows it (empty on the left edge), so joining two neighbours is
 * appending.
 *
 * Threads: references are atomic. Where a node is stored is written by flushing only, under its
 * lock: first stored_size, then stored_address (release), both before the bytes are written. Others
 * load the address (acquire), then the size, and trust them only when the ledger says that the file
 * has got that far. */
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

/* What all nodes of one node file go by: how far the file is written, and the memory of the nodes
 * that edits made. It outlives them. */
typedef struct eg_ledger {
    atomic_uint_fast64_t end;       /* bytes before it are written and can be read */
    atomic_uint_fast64_t durable;   /* and survive: <= end */
    atomic_uint_fast64_t made;      /* bytes of nodes that edits made, alive now */
    atomic_uint_fast64_t unwritten; /* of them not written */
} eg_ledger;

/* In one block with its page, unless the page has grown: what a reader touches comes first. */
struct eg_node {
    eg_page page;
    _Atomic uint64_t stored_address; /* 0: not on disk yet */
    _Atomic(eg_node *) chain;        /* the cache's: changed under the lock of its shard */
    uint32_t stored_size;
    atomic_uint references;
    uint8_t level;
    int8_t run; /* > 0: so many inserts in a row, each behind the last; < 0: each before it */
    _Atomic bool recent;    /* the cache's */
    uint32_t last;          /* index of the last insert */
    uint64_t epoch;         /* the edit that made it; 0: clean */
    eg_ledger *ledger;      /* where its memory counts; NULL: clean */
    uint32_t counted;       /* so much */
    uint32_t inside;        /* bytes behind it in its block */
    eg_node *newer, *older; /* the cache's, under the lock of its shard, as is the next */
    uint64_t tag;           /* of its eviction */
};

/* To a child, or to a whole tree. node: strong, and then the rest does not count; or NULL. All
 * zero: the empty tree. */
typedef struct eg_link {
    uint64_t address;
    uint32_t size;
    eg_node *node;
} eg_link;

/* A clean node, its page with room for need bytes. One reference is the caller's. NULL: no memory.
 */
eg_node *eg_node_create(unsigned level, size_t need);
/* Nodes of an edit. A clone links to children that are safe on disk by their addresses. */
eg_node *eg_node_make(unsigned level, uint64_t epoch, eg_ledger *ledger);
eg_node *eg_node_clone(const eg_node *from, uint64_t epoch, eg_ledger *ledger);
eg_node *eg_node_retain(eg_node *node);
/* Frees at the last reference, and releases the children; NULL is fine. */
void eg_node_release(eg_node *node);
size_t eg_node_memory(const eg_node *node);
/* The ledger follows a node whose page was changed directly. */
void eg_node_recount(eg_node *node);

eg_link eg_node_link(const eg_node *node, size_t index);
/* Does not touch references. */
void eg_node_set_link(eg_node *node, size_t index, eg_link link);
/* The index of the child that key belongs to. */
size_t eg_node_child_index(const eg_node *node, eg_view key);
/* Inserts and remembers in which direction inserts run. False: no memory. */
bool eg_node_insert(eg_node *node, size_t index, eg_view key, eg_view value);
bool eg_node_insert_link(eg_node *node, size_t index, eg_view key, eg_link link);
/* Copies cells of from, from index first on, and links to children as a clone does. False: no
 * memory. */
bool eg_node_append(eg_node *node, const eg_node *from, size_t first);

#endif
