/* What the files of this folder share. */
#ifndef EG_ENGRAM_INTERNAL_H
#define EG_ENGRAM_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "compute/kernels.h"
#include "engram/apply.h"
#include "engram/core.h"
#include "journal/journal.h"

/* MANIFEST.json: the switch. Replaced whole, by rename. */
typedef struct eg_manifest {
    eg_engram_config config;
    uint64_t created_ns;
    uint64_t checkpoint;        /* number of the checkpoint file that counts */
    eg_segment_state *segments; /* committed at that checkpoint; eg_free */
    size_t segment_count;
    bool clean;                 /* closed cleanly: the journal must reach clean_end */
    eg_journal_end clean_end;
} eg_manifest;

engram_status eg_manifest_read(eg_io *io, const char *dir, eg_manifest *manifest, engram_error *error);
engram_status eg_manifest_write(eg_io *io, const char *dir, const eg_manifest *manifest, engram_error *error);
void eg_manifest_fini(eg_manifest *manifest);

/* A checkpoint file: everything else that a restart needs, as of one version. */
typedef struct eg_checkpoint {
    uint64_t version, time_ns;
    uint64_t transaction_next, inode_next, chunk_next;
    eg_journal_start journal; /* where replay starts */
    uint64_t nodes_end;
    eg_node_ref tree, catalog;
} eg_checkpoint;

engram_status eg_checkpoint_read(eg_io *io, const char *dir, uint64_t number, eg_checkpoint *checkpoint, engram_bundle *bundle, engram_error *error);
engram_status eg_checkpoint_write(eg_io *io, const char *dir, uint64_t number, const eg_checkpoint *checkpoint, const engram_bundle *bundle, engram_error *error);
/* Removes all checkpoint files but the one. */
engram_status eg_checkpoint_sweep(eg_io *io, const char *dir, uint64_t keep, engram_error *error);

/* LOCK: byte 0 is the writer's, byte 1 is shared by readers. */
engram_status eg_lock_writer(eg_io *io, const char *dir, eg_file **lock, engram_error *error);
engram_status eg_lock_reader(eg_io *io, const char *dir, eg_file **lock, engram_error *error);
/* Keeps new readers out while files are removed; ENGRAM_LOCKED when readers are there. */
engram_status eg_lock_against_readers(eg_io *io, const char *dir, eg_file **lock, engram_error *error);

typedef struct eg_retained { /* a labelled version not in the catalog yet */
    uint64_t number, time_ns;
    eg_root *root;
    char *label;
    size_t label_size;
} eg_retained;

struct eg_engram {
    eg_io *io;
    char *dir;
    eg_engram_options options;
    eg_file *lock;
    eg_manifest manifest;
    engram_codebook codebook;
    eg_kernels kernels;
    eg_nodes *nodes;
    eg_store *store;
    eg_journal *journal; /* NULL when read-only */
    eg_journal_start replay_start; /* of the checkpoint that counts */
    eg_recovery recovery;

    pthread_mutex_t commit_lock; /* one commit or checkpoint at a time; guards down to `failed` */
    uint64_t transaction_next;
    uint64_t chunk_next; /* above every committed id */
    eg_segment_state *segments; /* as committed */
    size_t segment_count, segment_capacity;
    uint64_t syncs;
    engram_status failed; /* the cause that stopped commits */

    pthread_mutex_t publish_lock; /* held for moments; guards what readers pin */
    eg_root *root;
    uint64_t version, time_ns;
    eg_root *catalog; /* 'V' version u64 -> time u64, node address u64, node size u32, label */
    eg_retained *retained;
    size_t retained_count, retained_capacity;
    engram_bundle *bundle;

    atomic_uint_fast64_t inode_next;
};

/* Moves the committed states on by the segment operations among ops, and chunk_next by the chunks. */
engram_status eg_engram_note_segments(eg_engram *engram, eg_view operations, engram_error *error);
/* Adds and removes vectors of chunks that became live or dead; reverted by swapping the lists. */
engram_status eg_engram_count_root(eg_engram *engram, const eg_ids *live, const eg_ids *dead, engram_error *error);
void eg_engram_hash_root(const eg_engram *engram, uint8_t hash[32]);
/* Makes the applied edit the newest version; consumes *edit, takes the label over. */
engram_status eg_engram_publish(eg_engram *engram, eg_edit **edit, eg_apply *apply, engram_error *error);
/* Checkpoint with commit_lock held. */
engram_status eg_engram_checkpoint_locked(eg_engram *engram, engram_error *error);
/* Removes what no reader and no recovery needs any more; skipped while readers are there. */
void eg_engram_sweep(eg_engram *engram);
/* Opens nodes, store and journal, and replays; everything of `engram` before `nodes` is filled. */
engram_status eg_engram_recover(eg_engram *engram, engram_error *error);
/* verify_tree.c: one version's tree; calls problem and counts. */
engram_status eg_verify_version(eg_engram *engram, const eg_version *version, bool newest, const eg_verify_options *options, uint64_t *problems, engram_error *error);

#endif
