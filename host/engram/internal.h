/* What the files of this folder share. */
#ifndef EG_ENGRAM_INTERNAL_H
#define EG_ENGRAM_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "compute/kernels.h"
#include "engram/apply.h"
#include "engram/checks.h"
#include "engram/core.h"
#include "engram/engram.h"
#include "engram/published.h"
#include "engram/stage.h"
#include "engram/watch.h"
#include "journal/group.h"
#include "journal/journal.h"
#include "store/compact.h"

/* A checkpoint file: everything that a restart needs beside the manifest, as of one version. */
typedef struct eg_checkpoint {
    uint64_t version, time_ns;
    uint64_t transaction_next, inode_next, chunk_next;
    eg_journal_start journal; /* where replay starts */
    uint64_t nodes_end;
    eg_node_ref tree, catalog;
} eg_checkpoint;

/* Files that a repair has replaced and that are still to be moved away: DIR/FILE to DIR/quarantine/FOLDER/FILE. */
typedef struct eg_moves {
    char *folder;  /* one name; NULL: nothing is to be moved */
    char **files;  /* "segments/00000003.seg" */
    size_t count;
} eg_moves;

/* MANIFEST.json: the switch. Replaced whole, by rename. */
typedef struct eg_manifest {
    eg_engram_config config;
    uint64_t created_ns;
    uint64_t checkpoint;        /* number of the checkpoint file that counts */
    eg_checkpoint state;        /* what that file says too: repair goes by it when the file is lost */
    eg_segment_state *segments; /* committed at that checkpoint; eg_free */
    size_t segment_count;
    engram_retention retention;
    bool clean;                 /* closed cleanly: the journal must reach clean_end */
    eg_journal_end clean_end;
    eg_moves moves;
} eg_manifest;

/* Whether an engram can be made there: nothing is, or an empty directory. */
engram_status eg_engram_check_new(eg_io *io, const char *dir, engram_error *error);
/* The name of a directory becomes durable. */
engram_status eg_engram_sync_name(eg_io *io, const char *dir, engram_error *error);

engram_status eg_manifest_read(eg_io *io, const char *dir, eg_manifest *manifest, engram_error *error);
engram_status eg_manifest_write(eg_io *io, const char *dir, const eg_manifest *manifest, engram_error *error);
/* The same as text, without its checksum, and without what only MANIFEST.json can say: its clean end. */
engram_status eg_manifest_pack(const eg_manifest *manifest, eg_buffer *text, engram_error *error);
/* name is for the sentence. */
engram_status eg_manifest_unpack(eg_view text, const char *name, eg_manifest *manifest, engram_error *error);
/* What is in memory becomes what was written: all but the config, which never changes and which others read meanwhile. */
void eg_manifest_follow(eg_manifest *manifest, const eg_manifest *written);
void eg_manifest_fini(eg_manifest *manifest);
void eg_moves_fini(eg_moves *moves);

extern const engram_retention eg_retention_default;

engram_status eg_checkpoint_read(eg_io *io, const char *dir, uint64_t number, eg_checkpoint *checkpoint, engram_bundle *bundle, engram_error *error);
/* manifest: the one that will name the file; a copy goes into it. */
engram_status eg_checkpoint_write(eg_io *io, const char *dir, uint64_t number, const eg_checkpoint *checkpoint, const engram_bundle *bundle, const eg_manifest *manifest, engram_error *error);
/* The copy of the manifest in the file. */
engram_status eg_checkpoint_read_manifest(eg_io *io, const char *dir, uint64_t number, eg_manifest *manifest, engram_error *error);
/* The journal's start only, of a checkpoint that need not be the one that counts. */
engram_status eg_checkpoint_peek(eg_io *io, const char *dir, uint64_t number, eg_journal_start *journal, engram_error *error);
/* Numbers of the checkpoint files that are there, rising; eg_free. */
engram_status eg_checkpoint_list(eg_io *io, const char *dir, uint64_t **numbers, size_t *count, engram_error *error);
/* Removes all checkpoint files but those, which rise. */
engram_status eg_checkpoint_sweep(eg_io *io, const char *dir, const uint64_t *keep, size_t keep_count, engram_error *error);

/* LOCK: byte 0 is the writer's; readers hold the slot of their generation, a checkpoint's number. */
engram_status eg_lock_writer(eg_io *io, const char *dir, eg_file **lock, engram_error *error);

/* Keeps writers out, and changes nothing: for who only looks at what a repair would do. */
engram_status eg_lock_looker(eg_io *io, const char *dir, eg_file **lock, engram_error *error);

typedef struct eg_slot { /* both NULL: none */
    eg_file *opening; /* keeps everything that opening reads */
    eg_file *open;    /* keeps the segments */
} eg_slot;

/* Reads MANIFEST.json and takes the slot of its generation: nothing that it names goes while the slot is held.
 * Where there is no LOCK file the slot stays empty. */
engram_status eg_lock_reader(eg_io *io, const char *dir, eg_manifest *manifest, eg_slot *slot, engram_error *error);
/* All files are open and read as far as opening reads them. */
void eg_slot_opened(eg_io *io, eg_slot *slot);
void eg_slot_release(eg_io *io, eg_slot *slot);
/* For the writer: who is there of a generation older than the one that counts? Slots found free stay closed to
 * readers until *lock is closed. */
engram_status eg_lock_probing(eg_io *io, const char *dir, eg_file **lock, engram_error *error);
engram_status eg_slot_probe(eg_io *io, eg_file *lock, uint64_t generation, bool *is_opening, bool *is_open, engram_error *error);

/* A segment file that nothing names any more, and the last generation that may have named it. */
typedef struct eg_leftover { uint64_t segment, generation; } eg_leftover;

typedef struct eg_retained { /* a version since the last checkpoint that can still be pinned */
    uint64_t number, time_ns;
    eg_root *root;
    bool keep; /* for ever: labelled, or named by a snapshot */
    char *label;
    size_t label_size;
} eg_retained;

/* A commit group between its writing and its publication. */
typedef struct eg_pending {
    struct eg_pending *next;
    uint64_t version, time_ns; /* of its last commit: its ticket */
    eg_published *published;   /* holds the root */
    eg_ids live, dead;         /* what the root bundle counts more and less than before it */
    bool keep;
    char *label;
    size_t label_size;
} eg_pending;

/* One transaction on its way through commit.c; on the stack of the committing thread. */
typedef struct eg_commit {
    eg_group_entry entry; /* first */
    eg_buffer *ops;       /* whole operations; staged chunks under provisional ids */
    eg_stage *stage;      /* NULL: none */
    const eg_checks *checks; /* NULL: applying is all the validation there is */
    uint64_t base;           /* version that checks were made against */
    bool only_written;
    bool alone_on_base; /* a conflict if anything was committed since */
    bool in_store;   /* names chunks that the record does not carry: synced before, extents are journaled */
    uint64_t found_max; /* the highest id found by deduplication, or 0 */
    uint64_t version;   /* out: the version it made */
    eg_view conflict;   /* out: the key that another commit changed; lent by checks */
} eg_commit;

typedef struct eg_checkpointer {
    pthread_t thread;
    bool started;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake, done;
    bool wanted, prepare, stop; /* prepare: a next file for the journal */
    uint64_t finished;    /* checkpoints tried */
} eg_checkpointer;

typedef struct eg_compactor {
    pthread_t thread;
    bool started;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;
    bool wanted;
    uint64_t old_before; /* the thread's: chunks that were not live when it last looked */
} eg_compactor;

/* Threads and locks. The committing side (commit.c) is exclusive by the group engine: at any time one
 * thread is in take, write or at a boundary; fields under "committing" belong to it. `checkpoint_lock`
 * is held through a checkpoint and by whoever needs the set of retained versions to stay;
 * `history_lock` for moments, by whoever looks at or changes the lists of versions. Order:
 * compact_lock, checkpoint_lock, group boundary, history_lock. Readers of the newest version take none of them. */
struct engram {
    eg_io *io;
    char *dir;
    eg_engram_options options;
    eg_file *lock; /* a writer's */
    eg_slot slot;  /* a reader's */
    eg_manifest manifest; /* changes under checkpoint_lock */
    engram_codebook codebook;
    eg_chunker chunker;
    eg_kernels kernels;
    eg_nodes *nodes;
    eg_store *store;
    eg_journal *journal; /* NULL when read-only */
    eg_journal_start replay_start; /* of the checkpoint that counts */
    eg_recovery recovery;
    eg_group *group; /* NULL when read-only, and while opening */

    /* Committing. */
    eg_root *assigned; /* the newest tree, published or on its way */
    uint64_t assigned_version, assigned_time_ns;
    uint64_t transaction_next;
    engram_bundle *bundle;    /* the root, of assigned_version */
    atomic_uint_fast64_t bundle_version; /* moved on by compare-and-swap: from the version counted for to the next */
    struct eg_taking *taking; /* the group at hand */
    uint64_t file_asked;      /* journal_bytes when the next file was asked for last */
    uint64_t loose_clean;     /* appends outside the journal up to this one are durable, and a record tells it */
    eg_segment_state *segments; /* while recovering: as committed */
    size_t segment_count, segment_capacity;
    uint64_t chunk_next; /* likewise: above every committed id */

    atomic_uint_fast64_t loose_started, loose_finished; /* appends whose chunks no record carries */
    atomic_uint_fast64_t inode_next;
    atomic_int failed; /* the cause that stopped commits, an engram_status */
    atomic_uint_fast64_t journal_bytes; /* since the last checkpoint */

    pthread_mutex_t pending_lock; /* guards the list, and that what is published agrees with it */
    eg_pending *pending, **pending_end; /* oldest first */
    pthread_mutex_t bundle_lock;  /* inside pending_lock; guards bundle and the lists of the group at hand */

    eg_publication newest;
    eg_watch watch; /* rung when it has changed */

    pthread_mutex_t compact_lock; /* one compaction at a time; outside of all others */
    atomic_bool compaction_ends;  /* the engram closes */
    pthread_mutex_t checkpoint_lock;
    eg_leftover *leftovers; /* under checkpoint_lock, like held_back */
    size_t leftover_count, leftover_capacity;
    bool held_back; /* the last sweep left something for a reader */
    bool has_old_nodes;   /* there may be node files that do not count */
    bool wants_new_nodes; /* under compact_lock: when it closes */
    eg_checkpointer checkpointer;
    eg_compactor compactor;
    pthread_mutex_t history_lock;
    eg_root *catalog; /* 'V' version u64 -> time u64, node address u64, node size u32, label */
    eg_retained *retained; /* rising */
    size_t retained_count, retained_capacity;

    pthread_mutex_t workbench_lock;
    eg_workbench *workbenches;
    pthread_mutex_t idle_lock;
    struct engram_transaction *idle; /* ended transactions, kept for the next ones */
    size_t idle_count;
    pthread_rwlock_t turn; /* shared by commits; exclusive for one that lost too often */
    atomic_uint_fast64_t commits, conflicts, checkpoints, device_batches;
};

/* ---- transaction.c ---- */

void eg_tx_free_idle(eg_engram *engram);

/* ---- commit.c ---- */

/* One transaction: validated, applied, durable as its entry says, published. ENGRAM_CONFLICT leaves request->conflict. */
engram_status eg_commit_run(eg_engram *engram, eg_commit *request, engram_error *error);
/* After a commit, by a thread that holds neither turn nor checkpoint_lock: asks for a checkpoint that is due, and waits
 * for it while memory or journal are far over their limits. One that fails is said to the next commit. */
void eg_commit_settle(eg_engram *engram);
eg_durability eg_durability_of(const eg_engram *engram, engram_durability durability);
engram_status eg_commit_start(eg_engram *engram, engram_error *error); /* makes the group engine */
void eg_commit_stop(eg_engram *engram);
/* Adds and removes vectors of chunks that became live or dead, from the given indices on. All or nothing. */
engram_status eg_count_root(eg_engram *engram, engram_bundle *bundle, const eg_ids *live, size_t live_from, const eg_ids *dead, size_t dead_from, engram_error *error);
void eg_hash_root(const engram_bundle *bundle, uint8_t hash[32]);
/* Everything that is refused from now on gets this cause. */
void eg_engram_fail(eg_engram *engram, engram_status status);

/* ---- versions.c ---- */

/* What publishing a version will need, so that publishing cannot fail. Takes root over, also on failure, and
 * the lists of apply on success. */
engram_status eg_pending_create(eg_engram *engram, eg_root *root, uint64_t version, uint64_t time_ns, eg_apply *apply, eg_pending **pending, engram_error *error);
/* Makes it the newest version, retained while the rules say so; consumes pending. */
void eg_engram_publish(eg_engram *engram, eg_pending *pending);
void eg_pending_free(eg_pending *pending);
/* Lets go of what is retained in memory when that has become too much. */
void eg_engram_thin(eg_engram *engram);

/* Versions that snapshots of the newest tree name: rising, in fresh memory. */
engram_status eg_engram_named_versions(eg_root *root, uint64_t **numbers, size_t *count, engram_error *error);
/* One entry of the catalog. */
enum { EG_CATALOG_FIXED = 20 };
eg_key eg_key_catalog(uint64_t number);
/* retention.c: which of the entries, oldest first, no rule and no name keeps: drop[i] is set. */
typedef struct eg_retention_entry { uint64_t number, time_ns; bool keep, labelled; } eg_retention_entry;
void eg_retention_apply(const engram_retention *rules, uint64_t now_ns, const eg_retention_entry *entries, size_t count, bool *drop);

/* ---- checkpointing.c ---- */

engram_status eg_checkpointer_start(eg_engram *engram, engram_error *error);
void eg_checkpointer_stop(eg_engram *engram);
/* A checkpoint at whose boundary the merged segment takes the place of the old ones; merge is adopted from then on. */
engram_status eg_engram_checkpoint_adopting(eg_engram *engram, eg_merge *merge, engram_error *error);
/* Asks for one, if it is due when the thread comes to it, or only for the journal's next file; returns at once. */
void eg_checkpointer_ask(eg_engram *engram);
void eg_checkpointer_ask_file(eg_engram *engram);
/* Waits until the next one has ended. */
void eg_checkpointer_wait(eg_engram *engram);
/* Whether the limits of journal or memory ask for one; far: by so much that commits should wait. */
bool eg_checkpoint_due(eg_engram *engram, bool far);

/* ---- reach.c ---- */

/* Which chunks any version holds that can be read in this process now, or that is retained. */
engram_status eg_engram_reach(eg_engram *engram, eg_id_set *held, engram_error *error);
/* Which chunks would be held if the rules of retention were applied now. */
engram_status eg_engram_reach_retained(eg_engram *engram, eg_id_set *held, engram_error *error);

/* ---- compacting.c ---- */

enum { EG_COMPACTION_FAN = 4 }; /* so many neighbours of a level become one */
typedef enum eg_compaction { EG_COLLECT, EG_COMPACT, EG_LEVELS } eg_compaction;
/* Neighbours that become one segment, or one that is written again without its garbage. */
typedef struct eg_run { size_t first, count; uint64_t bytes, bytes_gained; uint8_t level; } eg_run;
engram_status eg_engram_compact(eg_engram *engram, eg_compaction what, const engram_compact_options *options, engram_compacted *done, engram_error *error);
/* compaction_plan.c: what a compaction would do, in places of shares; those that go first come first. Fresh memory (eg_free). */
engram_status eg_compaction_plan(eg_compaction what, double garbage, const eg_share *shares, size_t count, eg_run **runs, size_t *run_count, engram_error *error);

/* Whether four neighbours of a level wait to be merged. */
bool eg_engram_levels_due(eg_engram *engram);

/* ---- compactor.c ---- */

engram_status eg_compactor_start(eg_engram *engram, engram_error *error);
/* Ends also a compaction that another thread asked for. */
void eg_compactor_stop(eg_engram *engram);
/* Has it look whether something is to be done; returns at once. */
void eg_compactor_ask(eg_engram *engram);

/* ---- renew.c ---- */

/* Bytes of the node file, as of the last checkpoint, and those of nodes that are kept. */
engram_status eg_engram_measure_nodes(eg_engram *engram, uint64_t *size, uint64_t *kept, engram_error *error);
/* Of a writer that closes, after its last checkpoint: a new node file, if one is wanted. A failure before the switch is
 * none. */
engram_status eg_engram_renew_nodes(eg_engram *engram, engram_error *error);

/* ---- quarantine.c ---- */

/* Does the moves that MANIFEST.json says are left, and says there that they are done. Again after a crash. */
engram_status eg_quarantine_finish(eg_io *io, const char *dir, eg_manifest *manifest, engram_error *error);
/* Makes DIR/quarantine/FOLDER, which is not there yet; folder is for eg_free. */
engram_status eg_quarantine_create(eg_io *io, const char *dir, char **folder, engram_error *error);
/* Copies bytes that are to be replaced, durably: to DIR/quarantine/FOLDER/NAME. */
engram_status eg_quarantine_keep(eg_io *io, const char *dir, const char *folder, const char *name, eg_view bytes, engram_error *error);

/* ---- sweep.c ---- */

/* Removes what no reader and no recovery needs any more. Under checkpoint_lock, or while opening. */
void eg_engram_sweep(eg_engram *engram);

/* ---- recovery.c ---- */

/* What the journal allocates in advance for one of its files. */
uint64_t eg_engram_journal_file_size(const eg_engram *engram);

/* Opens nodes, store and journal, and replays; everything of `engram` before `nodes` is filled. */
engram_status eg_engram_recover(eg_engram *engram, engram_error *error);

/* ---- verify_tree.c ---- */

/* One version's tree; calls problem and counts. bundle: the root bundle that it should have, or NULL. */
/* verify_files.c: chunks that cannot be read, and the files of a version that hold them, a problem each. Chunks that were
 * found in a file are taken out, so that further versions tell of the rest only. */
enum { EG_DAMAGED_MAX = 1 << 20 };
typedef struct eg_damaged {
    uint64_t *ids;
    size_t count, capacity;
    bool is_cut; /* there are more */
} eg_damaged;
void eg_damaged_add(eg_damaged *damaged, uint64_t id);
engram_status eg_verify_name_files(const eg_version *version, bool newest, eg_damaged *damaged, const eg_verify_options *options, uint64_t *problems, engram_error *error);
engram_status eg_verify_version(eg_engram *engram, const eg_version *version, const engram_bundle *bundle, const eg_verify_options *options, uint64_t *problems, engram_error *error);

#endif
