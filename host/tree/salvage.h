/* Walking a version of which nodes may be damaged: what can be read, and where what cannot be would lie. */
#ifndef EG_TREE_SALVAGE_H
#define EG_TREE_SALVAGE_H

#include "tree/tree.h"

typedef struct eg_tree_salvage {
    void *context;
    /* Each entry that can be read, in order of keys; lent for the call. */
    engram_status (*entry)(void *context, eg_view key, eg_view value, engram_error *error);
    /* Keys >= low and < high cannot be read; high.data NULL: to the end. node: where the damage is, size 0 when it
     * is in memory. In order, between the entries before and after. */
    engram_status (*gap)(void *context, eg_view low, eg_view high, eg_node_ref node, const char *why, engram_error *error);
} eg_tree_salvage;

/* What entry or gap return ends the walk unless it is ENGRAM_OK. ENGRAM_IO and ENGRAM_NO_MEMORY end it too. */
engram_status eg_root_salvage(eg_root *root, const eg_tree_salvage *salvage, engram_error *error);

/* Calls entry for each entry of each leaf in the file that passes its own check, of whatever tree and version: of the
 * leaf written last first, within a leaf in order. Reads the whole file. Nothing may be written meanwhile. */
engram_status eg_nodes_salvage_leaves(eg_nodes *nodes, const eg_tree_salvage *salvage, engram_error *error);

#endif
