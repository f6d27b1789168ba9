/* What an engram should hold: trees of files as plain lists, and which of them a reader may find
 * at a step of a trace.
 *
 * Every commit has the version it made, the step at which it was begun, and the step at which it
 * was acknowledged. At a step the newest version found must be that of a commit which was begun
 * (with all before it), and be no older than any that was acknowledged. With several writers
 * versions decide the order: whatever their acknowledgements' order was, what is found is a prefix
 * of the versions. A commit that a power cut undid is *dead* from the step at which that was seen:
 * its version number is given out anew. */
#ifndef EG_TESTS_CRASH_MODEL_H
#define EG_TESTS_CRASH_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct tree_entry {
    char path[64]; /* "a/b"; of a labelled version: "@NUMBER LABEL" */
    uint8_t kind;  /* eg_inode_kind; 0: a label */
    uint16_t mode;
    int64_t mtime; /* seconds */
    uint32_t uid;
    uint64_t size, hash; /* of the content, or for a label of the tree of its version */
    uint64_t attributes; /* hash over the extended attributes; 0: none */
} tree_entry;

typedef struct tree {
    tree_entry *entries; /* sorted by path */
    size_t count, capacity;
} tree;

tree tree_copy(const tree *from);
void tree_fini(tree *t);
void tree_sort(tree *t); /* after tree_add */
void tree_add(tree *t, const tree_entry *entry);
tree_entry *tree_find(const tree *t, const char *path);
void tree_set(tree *t, const tree_entry *entry); /* adds or replaces, in order */
void tree_remove(tree *t, const char *path);
void tree_rename(tree *t, const char *from, const char *to);
/* Labels the tree, as it is now, as a version. */
void tree_label(tree *t, const char *text, int64_t version);
/* Over everything but labels. */
uint64_t tree_hash(const tree *t);
bool tree_equal(const tree *a, const tree *b);
/* The first difference, in words. */
void tree_difference(const tree *expected, const tree *found, char *out, size_t size);
uint64_t hash_of(const void *bytes, size_t size);

typedef enum edit_kind { EDIT_SET, EDIT_REMOVE, EDIT_RENAME, EDIT_LABEL } edit_kind;

typedef struct edit { /* what a transaction does to the tree */
    edit_kind kind;
    tree_entry entry; /* REMOVE, RENAME: path; LABEL: the label in path */
    char to[64];      /* RENAME */
} edit;

typedef struct edit_list {
    edit *edits;
    size_t count, capacity;
} edit_list;

void edit_list_add(edit_list *list, edit e);

enum { VERSION_NONE = -1, STEP_NEVER = -1, STEP_BEFORE = -2 /* before the trace */ };

typedef struct commit {
    int64_t version;          /* VERSION_NONE: there is no engram at all */
    int64_t begin, ack, dead; /* indices of marks, or STEP_NEVER */
    edit_list edits;
    tree tree;
    uint64_t digest; /* of version and tree, once asked for; of a loose one, once learned */
    bool is_loose;   /* somewhere between `tree` and `after`: each path as in the one or as in the
                        other */
    tree after;
} commit;

typedef struct history {
    commit *commits;
    size_t count, capacity;
} history;

/* The new commit's index; its trees and edits are empty. */
size_t history_add(history *h, int64_t version, int64_t begin);
void history_fini(history *h);
/* Fills the trees of commits that have edits, from the version before each. False when one has no
 * predecessor. */
bool history_resolve(history *h);
/* Whether a reader may find commit i when `step` operations were done. */
bool history_allows(const history *h, size_t i, int64_t step);
bool commit_matches(const commit *c, int64_t version, const tree *found);
/* At least 2. */
uint64_t version_digest(int64_t version, const tree *t);
/* Whether a reader may find, at step, a version of that digest. */
bool history_allows_digest(history *h, int64_t step, uint64_t digest);
/* The commit that a reader who found this may have found at step, or -1. */
int history_match(const history *h, int64_t step, int64_t version, const tree *found);
/* From `step` on version is what everybody knows to be committed: what is newer was lost. */
void history_observe(history *h, size_t i, int64_t step);

#endif
