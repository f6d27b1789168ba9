/* Repair: what its files share.
 *
 * Opens what there is by its own, tolerant means, all of it only to read; finds what is wrong; makes, in
 * memory and beside what is there, what should be; and switches by one rename of MANIFEST.json. In order:
 *
 *   repair_base.c      MANIFEST.json and the checkpoint, each from the other if need be
 *   repair_journal.c   what the journal holds, up to its damage
 *   store/salvage.h    the chunks
 *   repair_versions.c  the retained versions: which are whole, and what becomes of the others
 *   repair_rebuild.c   one version with damaged nodes: its readable entries, and what other versions know
 *   repair_names.c, repair_content.c   one version made consistent
 *   repair_write.c     writing, and the switch
 *
 * One thread, but for reading chunks. */
#ifndef EG_ENGRAM_REPAIR_H
#define EG_ENGRAM_REPAIR_H

#include "engram/internal.h"
#include "store/salvage.h"
#include "tree/salvage.h"

typedef struct eg_repair_version { /* a retained one, or the newest */
    uint64_t number, time_ns;
    eg_root *root;  /* what it is from now on */
    eg_root *found; /* as it was found, where that is not whole; else NULL */
    char *label;
    size_t label_size;
    bool keep;      /* labelled, or named by a snapshot */
    bool listed;    /* in the catalog */
    bool lost;      /* it goes */
} eg_repair_version;

typedef struct eg_repair {
    eg_io *io;
    const char *dir;
    const engram_repair_options *options;
    engram_repaired *done;
    eg_file *lock;
    eg_pool *pool;
    eg_kernels kernels;
    engram_codebook codebook;
    eg_chunker chunker;
    bool broken; /* something is to be written */

    eg_manifest manifest;     /* as it was, or as it must have been */
    eg_checkpoint state;      /* of the checkpoint that counts */
    engram_bundle *bundle;    /* the root: of that checkpoint; in the end, of the newest version */
    bool has_bundle;
    bool has_hash;            /* the journal says what the root is after its last group */
    uint8_t hash[32];
    uint64_t checkpoint_last; /* highest numbers in use */
    uint64_t journal_last;
    uint64_t sequence_last;   /* of records that are lost; 0: none */
    uint64_t versions_lost;   /* at most so many, made by those records */

    eg_segment_state *segments; /* as committed */
    size_t segment_count, segment_capacity;
    uint64_t chunk_next, transaction_next, inode_next;
    uint64_t chunk_end; /* no chunk that is known has this id or a higher one */
    eg_journal_end end;
    eg_buffer named; /* u64 each, rising: versions that the journal names after their commit */
    bool journal_is_bad; /* it does not say all that it should, or not all could be applied */
    bool is_past;        /* what is there may be older than what was committed: nothing that it does not name is left
                          * to the sweep */

    eg_nodes *nodes;
    eg_store *store;
    eg_salvage *salvage;
    eg_node_ref *bad_nodes;
    size_t bad_node_count, bad_node_capacity;

    eg_repair_version *versions; /* rising; the last is the newest */
    size_t version_count, version_capacity;
    struct eg_restored { uint64_t inode, from; } *restored; /* of the checkpoint's version: as of another one */
    size_t restored_count, restored_capacity;
    eg_moves moves;
    size_t move_capacity;
} eg_repair;

/* Tells a step, or a loss. */
__attribute__((format(printf, 2, 3))) void eg_repair_say(eg_repair *r, const char *format, ...);
__attribute__((format(printf, 2, 3))) void eg_repair_lose(eg_repair *r, const char *format, ...);
engram_status eg_repair_no_memory(engram_error *error);
/* Whether a failure says nothing of what was to be read: then nothing may be concluded. */
static inline bool eg_repair_is_end(engram_status status) { return status == ENGRAM_IO || status == ENGRAM_NO_MEMORY; }
/* Has a file ("journal/00000001.wal") moved away after the switch. */
engram_status eg_repair_move(eg_repair *r, engram_error *error, const char *format, ...) __attribute__((format(printf, 3, 4)));

engram_status eg_repair_find_base(eg_repair *r, engram_error *error);
engram_status eg_repair_scan_journal(eg_repair *r, engram_error *error);
/* From the last of versions, which grow. */
engram_status eg_repair_replay(eg_repair *r, engram_error *error);
engram_status eg_repair_load_versions(eg_repair *r, engram_error *error);
/* Makes the checkpoint's version, the last of them, one that replay can start from. */
engram_status eg_repair_settle_base(eg_repair *r, engram_error *error);
/* Those before the newest. base: index of the one that settle_base made whole. */
engram_status eg_repair_settle_history(eg_repair *r, size_t base, engram_error *error);
engram_status eg_repair_settle_newest(eg_repair *r, size_t base, engram_error *error);
engram_status eg_repair_write(eg_repair *r, engram_error *error);

void eg_repair_drop_version(eg_repair_version *version); /* what it holds */
/* Takes root over, also on failure. */
engram_status eg_repair_add_version(eg_repair *r, uint64_t number, uint64_t time_ns, eg_root *root, eg_view label, engram_error *error);

/* ---- trees ---- */

/* Ranges of keys that cannot be read, rising. */
typedef struct eg_gaps { /* zero: none */
    struct eg_gap { size_t low, low_size, high, high_size; } *list; /* where in keys; high_size 0: to the end */
    size_t count, capacity;
    eg_buffer keys;
} eg_gaps;

engram_status eg_gaps_add(eg_gaps *gaps, eg_view low, eg_view high, engram_error *error);
void eg_gaps_fini(eg_gaps *gaps);
bool eg_gaps_has(const eg_gaps *gaps, eg_view key);
/* Whether a key that begins with tag and number may be in one. */
bool eg_gaps_touch(const eg_gaps *gaps, char tag, uint64_t number);
/* Finds them, and remembers the nodes. */
engram_status eg_repair_find_gaps(eg_repair *r, eg_root *root, eg_gaps *gaps, engram_error *error);

/* A tree in the making, of any size: what is written goes to disk from time to time, unless it is a dry run. */
typedef struct eg_builder {
    eg_repair *repair;
    eg_root *root;
    eg_edit *edit;
    size_t pending;
    uint64_t changes; /* keys put or removed */
} eg_builder;

engram_status eg_builder_begin(eg_builder *b, eg_repair *r, eg_root *root, engram_error *error); /* root: retained */
engram_status eg_builder_get(eg_builder *b, const eg_key *key, eg_buffer *value, engram_error *error);
engram_status eg_builder_put(eg_builder *b, eg_view key, eg_view value, engram_error *error);
engram_status eg_builder_remove(eg_builder *b, eg_view key, engram_error *error); /* absent: fine */
/* Whether any key begins with tag and number. */
engram_status eg_builder_any(eg_builder *b, char tag, uint64_t number, bool *any, engram_error *error);
engram_status eg_builder_remove_all(eg_builder *b, char tag, uint64_t number, engram_error *error);
engram_status eg_builder_finish(eg_builder *b, eg_root **root, engram_error *error);
void eg_builder_abort(eg_builder *b); /* after failure or finish */

/* The readable entries of one version, and for its gaps what the others know, nearest first. */
typedef struct eg_fallback { uint64_t number; eg_root *root; } eg_fallback;
engram_status eg_repair_rebuild(eg_repair *r, eg_root *found, uint64_t number, const eg_fallback *fallbacks, size_t count, eg_root **root, engram_error *error);

/* Names, content, counts of one version brought into agreement. */
typedef struct eg_mending {
    eg_repair *repair;
    uint64_t number;      /* of the version */
    uint64_t made;        /* what changes now says that it was changed in this version */
    uint64_t time_ns;
    const eg_fallback *fallbacks;
    size_t fallback_count;
    bool tells;           /* files of which content is lost are told */

    eg_root *root;        /* after the passes so far */
    eg_builder builder;   /* of the pass at hand */
    uint64_t changes, told;
    uint64_t lost_and_found; /* its inode, or 0 */
    char folder[24];         /* and its name */
    struct { uint64_t inode, end, chunks, bytes, first_id, first_at; bool skip; } run; /* content at hand; lost chunks of it */
    struct eg_hole {
        uint64_t inode, from, to;
        bool filled;
        /* By the holders: the chunk that is held more often than it is found, and how often. */
        bool is_asked, several;
        uint64_t chunk, count;
        size_t known, known_count; /* ids that the inode refers to, in the list of all such */
    } *holes;
    size_t hole_count, hole_capacity;
    struct eg_hurt { uint64_t inode, chunks, bytes, first_id, first_at; } *hurt; /* chunks 0: a hole */
    size_t hurt_count, hurt_capacity;
    uint64_t holders; /* that content asks for */
    eg_buffer *listed; /* where these are listed: chunk and inode as in their keys; NULL: they are checked */
    eg_tree_totals totals;
    eg_buffer value, scratch, more;
} eg_mending;

/* *root is replaced if anything changes; plan is lent, and says what. */
engram_status eg_repair_mend(eg_repair *r, const eg_mending *plan, eg_root **root, uint64_t *changes, engram_error *error);

typedef engram_status eg_mend_key(eg_mending *m, eg_view key, eg_view value, engram_error *error);
typedef engram_status eg_mend_end(eg_mending *m, engram_error *error);
/* Calls each for every key with the tag, of the tree before the pass, then end (may be NULL); changes go to m->builder. */
engram_status eg_mend_pass(eg_mending *m, char tag, eg_mend_key *each, eg_mend_end *end, engram_error *error);
/* Tells a change; many are only counted. */
__attribute__((format(printf, 2, 3))) void eg_mend_say(eg_mending *m, const char *format, ...);
/* As it is by now. ENGRAM_NOT_FOUND also when it cannot be decoded. inode->target lies in m->value. */
engram_status eg_mend_get_inode(eg_mending *m, uint64_t number, eg_inode *inode, engram_error *error);
engram_status eg_mend_put_inode(eg_mending *m, uint64_t number, const eg_inode *inode, engram_error *error);
/* A new one for a number whose record is lost. */
engram_status eg_mend_make_inode(eg_mending *m, uint64_t number, eg_inode_kind kind, engram_error *error);
engram_status eg_mend_names(eg_mending *m, engram_error *error);   /* before content */
engram_status eg_mend_content(eg_mending *m, engram_error *error);
engram_status eg_mend_fill(eg_mending *m, engram_error *error);    /* the holes that content found */
engram_status eg_mend_holders(eg_mending *m, engram_error *error);
engram_status eg_mend_orphans(eg_mending *m, engram_error *error); /* after content */

#endif
