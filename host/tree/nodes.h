/* The node file behind a tree: shared by roots, edits, cursors and flushing. Internal. */
#ifndef EG_TREE_NODES_H
#define EG_TREE_NODES_H

#include <pthread.h>
#include <stdatomic.h>

#include "tree/cache.h"
#include "tree/format.h"
#include "tree/tree.h"

/* Locks: spares_lock, roots_lock and those of the cache's shards are leaves, held for moments; who finds its
 * nodes in memory takes none. write_lock is held by one flush or sync at a time and guards the
 * file's growth; readers and edits take part through the ledger, whose `end` and `durable` move
 * only after the bytes before them were written or synced, and `file`, which is set before any node
 * can refer to it.
 */
struct eg_nodes {
    eg_io *io;
    char *dir, *path;
    uint32_t number;          /* of the file */
    _Atomic(eg_file *) file; /* NULL until it exists */
    bool read_only;
    eg_cache *cache;
    eg_ledger ledger;
    atomic_uint_fast64_t epochs; /* the last one given to an edit */

    pthread_mutex_t spares_lock;
    eg_unpacker *spares;

    pthread_mutex_t roots_lock;
    eg_root *roots; /* all there are */
    size_t root_count;

    pthread_mutex_t write_lock;
    struct eg_flusher *flusher; /* made by the first flush */
    bool lacks_header;          /* of salvage */
    bool dir_unsynced;          /* the file's name is not durable yet */
    engram_status failed;       /* of a write or sync: final */
};

/* A line of versions: what one opened root and the edits from it have in common. */
typedef struct eg_line {
    atomic_uint references;
    _Atomic int64_t flushed; /* of the `made` of the newest root that was flushed */
} eg_line;

struct eg_root {
    atomic_uint references;
    eg_nodes *nodes;
    eg_line *line;
    eg_link top;  /* strong */
    int64_t made; /* bytes of nodes made in this line and not replaced */
    eg_root *next, **from; /* in the list of all, under roots_lock */
};

/* Into the list of all roots; release takes it out. */
void eg_root_enlist(eg_root *root);

struct eg_edit {
    eg_nodes *nodes;
    eg_line *line;
    uint64_t epoch;
    eg_link top; /* strong */
    int64_t made;
    bool broken; /* a change failed: only abort is left */
};

static inline bool eg_link_empty(eg_link link)
{
    return !link.node && link.size == 0;
}

/* A node that may be looked at; held: a reference that came from the cache or the disk, to be
 * released, or NULL when the node is lent by its parent or a visit. */
typedef struct eg_loan {
    eg_node *node;
    eg_node *held;
} eg_loan;

/* Reads ref from disk, past the cache. */
engram_status eg_nodes_read(eg_nodes *nodes, eg_node_ref ref, int level, eg_node **node,
                            engram_error *error);
/* The node a link leads to; level: the expected one, or EG_LEVEL_ANY. In a visit: what is in the
 * cache is lent by the visit. Reading from disk interrupts the visit, and so ends what it lent. */
engram_status eg_nodes_visit(eg_nodes *nodes, eg_link link, int level, eg_visitor **visit,
                             eg_loan *loan, engram_error *error);
/* Outside of visits. */
engram_status eg_nodes_borrow(eg_nodes *nodes, eg_link link, int level, eg_loan *loan,
                              engram_error *error);

void eg_flusher_free(struct eg_flusher *flusher);
/* Appends one clean node that is the caller's alone, its children known by address; *ref: where. What is in the
 * buffer is written by the next, or by eg_nodes_append_end. */
engram_status eg_nodes_append(eg_nodes *nodes, eg_node *node, eg_node_ref *ref, engram_error *error);
engram_status eg_nodes_append_end(eg_nodes *nodes, engram_error *error);

/* The least key that may stand behind a leaf. */
typedef struct eg_bound {
    bool known; /* false: the leaf is the last */
    size_t size;
    uint8_t bytes[EG_TREE_KEY_MAX];
} eg_bound;

/* Down to the leaf that key belongs to, in a visit. bound may be NULL. */
engram_status eg_tree_descend(eg_nodes *nodes, eg_link top, eg_view key, eg_visitor **visit,
                              eg_loan *loan, eg_bound *bound, engram_error *error);
/* The value of key in the tree at top; value may be NULL: only whether it is there. */
engram_status eg_tree_get(eg_nodes *nodes, eg_link top, eg_view key, eg_buffer *value,
                          engram_error *error);
/* ENGRAM_INVALID for a key of no possible size. */
engram_status eg_key_check(eg_view key, engram_error *error);

/* edit.c and shape.c: the path of an edit, from the leaf ([0]) up; nodes are the edit's own. */
typedef struct eg_step {
    eg_node *node;
    size_t index; /* of the child, or of the entry in a leaf */
} eg_step;

typedef struct eg_path {
    size_t height; /* steps in use */
    eg_step steps[EG_LEVELS_MAX + 1];
} eg_path;

/* The child at index of parent (the edit's own), made the edit's own. */
engram_status eg_edit_own(eg_edit *edit, eg_node *parent, size_t index, eg_node **node,
                          engram_error *error);
eg_node *eg_edit_create_node(eg_edit *edit, unsigned level);
engram_status eg_edit_no_memory(engram_error *error);
/* After an insert along path: splits what has become too large. */
engram_status eg_shape_grow(eg_edit *edit, eg_path *path, engram_error *error);
/* After a remove along path: joins what has become small, drops what is empty. */
engram_status eg_shape_shrink(eg_edit *edit, eg_path *path, engram_error *error);

#endif
