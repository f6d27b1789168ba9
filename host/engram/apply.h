/* Applying a transaction's operations to an edit of the tree: at commit and at replay alike.
 *
 * Validates as it goes: what does not fit the tree is ENGRAM_INVALID (a caller's mistake at commit, damage at
 * replay, as the caller sees it) and the edit must then be aborted. */
#ifndef EG_ENGRAM_APPLY_H
#define EG_ENGRAM_APPLY_H

#include "engram/ops.h"
#include "tree/tree.h"

typedef struct eg_ids { /* a growing list */
    uint64_t *ids;
    size_t count, capacity;
} eg_ids;

typedef struct eg_apply {
    eg_edit *edit;          /* lent */
    uint64_t version;       /* the version being made */
    uint64_t time_ns;
    eg_tree_totals totals;  /* read at init, written by finish */
    eg_ids live, dead;      /* chunks that gained their first, lost their last holder; an id may be in both */
    eg_buffer label;        /* the label, when labelled */
    bool labelled;
    bool keep;              /* labelled, or named by a snapshot: to be retained for ever */
    bool has_root_hash;
    uint8_t root_hash[32];  /* of the last update-root */
    eg_buffer value, scratch; /* of the functions inside */
} eg_apply;

/* version and time_ns may be moved on between runs: a commit group is one edit with several versions. */
engram_status eg_apply_init(eg_apply *apply, eg_edit *edit, uint64_t version, uint64_t time_ns, engram_error *error);
engram_status eg_apply_run(eg_apply *apply, eg_view operations, engram_error *error);
/* Whether run knows an operation; one that it does not know is ENGRAM_NEWER. */
bool eg_apply_knows(uint8_t tag);
/* Writes the totals. */
engram_status eg_apply_finish(eg_apply *apply, engram_error *error);
void eg_apply_fini(eg_apply *apply);

/* splice.c: content references. */
engram_status eg_apply_splice(eg_apply *apply, uint64_t inode, uint64_t offset, uint64_t removed,
                              const uint8_t *refs, size_t count, engram_error *error);

/* An empty tree: the root directory and totals. */
engram_status eg_apply_genesis(eg_edit *edit, uint64_t time_ns, engram_error *error);

#endif
