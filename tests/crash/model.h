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

#include "base/bytes.h"

typedef struct tree_entry {
    char path[64]; /* "a/b"; of a labelled version: "@NUMBER LABEL"; of a snapshot: "#NUMBER NAME" */
    uint8_t kind;  /* eg_inode_kind; 0: a label or a snapshot */
    uint16_t mode;
    int64_t mtime; /* seconds; 0: the workload did not say */
    uint32_t uid;
    uint64_t size, hash; /* of the content, or for a name of the tree of its version */
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
void tree_remove_all(tree *t, const char *path); /* with all below it */
void tree_rename(tree *t, const char *from, const char *to); /* with all below it */
/* Labels the tree, as it is now, as a version. */
void tree_label(tree *t, const char *text, int64_t version);
/* Over everything but labels and snapshots. */
uint64_t tree_hash(const tree *t);
bool tree_entry_equal(const tree_entry *a, const tree_entry *b);
bool tree_equal(const tree *a, const tree *b);
/* The first difference, in words. */
void tree_difference(const tree *expected, const tree *found, char *out, size_t size);
uint64_t hash_of(const void *bytes, size_t size);
/* Over the attributes before and one more. */
uint64_t hash_attribute(uint64_t before, eg_view name, eg_view value);

typedef enum edit_kind { /* the fields of entry that count; path always */
    EDIT_SET,            /* all */
    EDIT_WRITE,          /* size and hash; mode (0: as it was), mtime: made if it is not there */
    EDIT_WRITE_AT,       /* size and hash of what comes to offset; so do: */
    EDIT_APPEND,
    EDIT_REPLACE_CHUNK,  /* the chunk from offset on */
    EDIT_TRUNCATE,       /* to offset */
    EDIT_REMOVE,
    EDIT_REMOVE_ALL,
    EDIT_RENAME,
    EDIT_LABEL,    /* the label is in path */
    EDIT_SNAPSHOT, /* the name is in path; of number, 0: of this version */
    EDIT_FORGET,   /* likewise */
    EDIT_ROLLBACK  /* to number */
} edit_kind;

typedef struct edit { /* what a transaction does to the tree */
    edit_kind kind;
    tree_entry entry;
    char to[64]; /* RENAME */
    uint64_t offset;
    int64_t number; /* a version */
} edit;

enum { CRASH_CHUNK = 4096 }; /* bytes of every chunk but a file's last */

typedef struct edit_list {
    edit *edits;
    size_t count, capacity;
} edit_list;

void edit_list_add(edit_list *list, edit e);
/* other: the tree of the version that the edit names. Names of versions come when all else is done. */
void tree_apply(tree *t, const edit *e, const tree *other);
void tree_apply_name(tree *t, const edit *e, int64_t version, const tree *other);

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

/* What is not part of versions: rules that are durable on their own. */
typedef struct rule {
    uint64_t value;
    int64_t begin, ack, dead;
} rule;

typedef struct history {
    commit *commits;
    size_t count, capacity;
    rule *rules; /* in the order in which they were set; none: they are not looked at */
    size_t rule_count, rule_capacity;
    bool keeps_all; /* every version of the one found and before can be pinned */
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
/* At least 2; rules: 0 where they are not looked at. */
uint64_t version_digest(int64_t version, const tree *t, uint64_t rules);
/* Whether the tree of a version that is still retained may look like that. */
bool history_knows(const history *h, int64_t step, int64_t version, const tree *found);
/* Whether a reader may find, at step, a version and rules of that digest. */
bool history_allows_digest(history *h, int64_t step, uint64_t digest);
/* The commit that a reader who found this may have found at step, or -1. */
int history_match(const history *h, int64_t step, int64_t version, const tree *found);
/* From `step` on version is what everybody knows to be committed: what is newer was lost. */
void history_observe(history *h, size_t i, int64_t step);

size_t history_add_rule(history *h, uint64_t value, int64_t begin);
bool history_allows_rule(const history *h, int64_t step, uint64_t value);
/* Likewise: these are the rules. */
void history_observe_rule(history *h, uint64_t value, int64_t step);

#endif
