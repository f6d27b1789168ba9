/* A transaction's inside, shared by the files that implement it.
 *
 * It starts from a pinned version, keeps its operations in the order they were asked for, and what it
 * read and wrote as checks. Its own view is that version with the operations applied to a private
 * edit, made when something is read after something was written: a transaction that only writes one
 * file never makes one. New chunks wait in the stage under provisional ids. */
#ifndef EG_ENGRAM_TRANSACTION_H
#define EG_ENGRAM_TRANSACTION_H

#include "engram/internal.h"
#include "engram/look.h"

struct engram_transaction {
    struct engram_transaction *next; /* while it is idle */
    eg_engram *engram;
    engram_transaction_options options;
    eg_version base;
    eg_root *root;    /* strong: base, and the first `applied` bytes of ops */
    size_t applied;
    eg_buffer ops;
    eg_checks checks;
    eg_stage stage;
    uint64_t inode_first; /* inodes from here on are not in base */
    bool overwrites;  /* last writer wins: whole contents are not checked against other writes */
    bool alone_on_base; /* it commits on top of its base or not at all */
    bool has_turn;    /* nobody else commits: engram->turn is held */
    bool holds_checkpoint; /* engram->checkpoint_lock is held */
    engram_status broken; /* only abort is left */
    eg_buffer scratch;
};

/* Where a path leads in the transaction's view. */
typedef struct eg_place {
    const char *path;
    uint64_t parent; /* 0: the path is the root directory's */
    eg_view name;    /* in path */
    bool found;
    uint64_t number;
    eg_inode inode;  /* when found; its target is copied into the place */
    uint8_t target[EG_PATH_MAX + 1];
} eg_place;

/* Before each call that changes something: what to go back to when it fails. */
typedef struct eg_mark {
    size_t ops, checks, check_count;
} eg_mark;
engram_status eg_tx_enter(engram_transaction *tx, eg_mark *mark, engram_error *error);
/* Forgets what the failed call has added, or breaks the transaction. Returns status. */
engram_status eg_tx_leave(engram_transaction *tx, const eg_mark *mark, engram_status status, engram_error *error);

/* Brings root up to ops. */
engram_status eg_tx_apply(engram_transaction *tx, engram_error *error);
static inline eg_look eg_tx_look(engram_transaction *tx) { return (eg_look){tx->engram, tx->root, &tx->stage}; }

/* Whether every name of a path can be one. ENGRAM_INVALID. */
engram_status eg_tx_check_path(const char *path, engram_error *error);
/* Resolves a path, with checks for every name on the way. written: the last name will be changed.
 * ENGRAM_NOT_FOUND when a directory on the way is not there; the last name may be absent. */
engram_status eg_tx_find(engram_transaction *tx, const char *path, bool written, eg_place *place, engram_error *error);
/* As find, and it must be there. */
engram_status eg_tx_find_there(engram_transaction *tx, const char *path, bool written, eg_place *place, engram_error *error);
engram_status eg_tx_check_inode(engram_transaction *tx, uint64_t number, eg_check_kind kind, bool written, engram_error *error);
engram_status eg_tx_check_listing(engram_transaction *tx, uint64_t directory, bool written, engram_error *error);
/* Whether what is at the place is what the caller expects. */
engram_status eg_tx_expect(const eg_place *place, const engram_expected *expected, engram_error *error);
/* The parent, which find has seen to be a directory, must stay. For calls that make a name. */
engram_status eg_tx_need_parent(engram_transaction *tx, const eg_place *place, engram_error *error);
uint64_t eg_tx_new_inode(engram_transaction *tx);
eg_time eg_tx_now(void);
/* Owner and group of this process. */
void eg_tx_own(eg_inode *inode);
engram_status eg_tx_no_memory(engram_error *error);

/* ---- content.c ---- */

/* References for bytes that come piece by piece: cut, found or staged; spills when much has come. */
typedef struct eg_cutter {
    engram_transaction *tx;
    uint8_t *buffer;
    size_t fill, capacity;
    eg_buffer refs; /* 12 bytes each */
    uint64_t size;
} eg_cutter;
void eg_cutter_init(eg_cutter *cutter, engram_transaction *tx);
engram_status eg_cutter_add(eg_cutter *cutter, const uint8_t *bytes, size_t size, engram_error *error);
engram_status eg_cutter_end(eg_cutter *cutter, engram_error *error);
void eg_cutter_fini(eg_cutter *cutter);
/* Finds the file that is to be written, with all that must hold for it. */
engram_status eg_content_find(engram_transaction *tx, const char *path, const engram_expected *expected, bool whole, eg_place *place, engram_error *error);
/* The operations that make the file's content the cutter's references; place->number is then its inode. */
engram_status eg_content_put(engram_transaction *tx, eg_place *place, const eg_cutter *cutter);
/* A splice, in operations that fit a journal record. to_end: all from offset on gives way. */
void eg_tx_write_splice(eg_buffer *ops, uint64_t number, uint64_t offset, uint64_t removed, bool to_end, eg_view refs);

#endif
