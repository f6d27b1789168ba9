/* What the tests of the tree share: random numbers, a model, and a node file in a directory of its
 * own.
 *
 * The model knows a fixed set of keys by rank (their order), and for each of them a stamp: 0 when
 * the key is not in the map, else a number from which its value is made. A version is a copy of the
 * stamps, so comparing a whole tree with a version is one walk. */
#ifndef EG_TESTS_TREE_RIG_H
#define EG_TESTS_TREE_RIG_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/temp_dir.h"
#include "base/test.h"
#include "tree/tree.h"

uint64_t rig_random(uint64_t *state);
/* seed, or what ENGRAM_TEST_SEED says; printed. */
uint64_t rig_seed(uint64_t seed);

typedef struct rig_model {
    size_t key_count;
    eg_view *keys; /* sorted, distinct */
    uint8_t *bytes;
    uint32_t value_size_max;
    uint32_t *stamps;
} rig_model;

enum { RIG_KEYS_PLAIN, RIG_KEYS_MIXED };

/* Plain keys are a common prefix and a number; mixed ones also short, long and nested. Values have
 * up to value_size_max bytes, most far less. */
void rig_model_init(rig_model *model, size_t key_count, int kind, uint32_t value_size_max,
                    uint64_t seed);
void rig_model_fini(rig_model *model);
uint32_t *rig_model_snapshot(const rig_model *model);
/* The value of a stamp, in memory that the next call on this thread reuses. */
eg_view rig_value(const rig_model *model, uint32_t stamp);

typedef struct rig {
    temp_dir dir;
    eg_io *io;
    uint64_t cache_size;
    eg_nodes *nodes;
    eg_root *root;
} rig;

/* A node file of its own, empty, with an empty root. */
void rig_init(rig *r, uint64_t cache_size);
void rig_fini(rig *r);
/* Opens the node file at end and the root at ref. */
void rig_open(rig *r, uint64_t end, eg_node_ref ref);
void rig_close(rig *r);
/* Flush, sync, close and open again. */
void rig_reopen(rig *r);
/* Lets go of what the root holds in memory: flush, and open what was flushed. */
void rig_clean(rig *r);
/* Ends edit and makes its version the root. */
void rig_finish(rig *r, eg_edit **edit);

eg_edit *rig_edit(rig *r);
void rig_put(eg_edit *edit, rig_model *model, size_t rank, uint32_t stamp);
void rig_remove(eg_edit *edit, rig_model *model, size_t rank);
/* The root is the version that stamps names: every key, by a walk, and a clean bill from verify. */
void rig_check(eg_root *root, const rig_model *model, const uint32_t *stamps);
/* verify finds nothing wrong; its counts. */
eg_tree_check rig_verify(eg_root *root);
/* eg_root_diff of the two roots, which are the versions that the stamps name. How many differ. */
size_t rig_check_diff(const rig_model *model, eg_root *from, const uint32_t *from_stamps, eg_root *to,
                      const uint32_t *to_stamps);
void rig_check_get(eg_root *root, const rig_model *model, const uint32_t *stamps, size_t rank);

#endif
