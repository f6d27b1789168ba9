/* The versioned engram as the rest of the program sees it: chunk store, tree and journal as one. What users of the
 * library see, and transactions, is include/engram/engram.h.
 *
 * A directory NAME.engram with MANIFEST.json, journal/, segments/, tree/, checkpoint/ and LOCK. Every commit
 * makes the next version; commits that wait at the same time share a sync. The order that makes a commit durable:
 * chunks synced in their segments or written into the journal record, then the record synced, then the new root
 * published. A checkpoint writes the tree's new nodes, then the checkpoint file, then MANIFEST.json by rename: the
 * switch; then the journal before it is released.
 *
 * Threads: any. Readers pin a version and share nothing with writers. */
#ifndef EG_ENGRAM_CORE_H
#define EG_ENGRAM_CORE_H

#include "base/io.h"
#include "chunk/chunk.h"
#include "compute/device.h"
#include "engram/engram.h"
#include "engram/fs.h"
#include "engram/hypervector.h"
#include "engram/ops.h"
#include "store/store.h"

typedef struct engram eg_engram;

typedef struct eg_engram_config { /* fixed at creation, but for level */
    eg_chunk_config chunk;
    uint64_t seed;
    int level; /* 1 fast ... 9 small */
} eg_engram_config;

extern const eg_engram_config eg_engram_config_default; /* cdc:16384, seed 0, level 3 */

/* Makes the directory and an empty engram in it, durably. ENGRAM_EXISTS when there is one; a directory that
 * holds anything else is ENGRAM_INVALID. */
engram_status eg_engram_create(eg_io *io, const char *dir, const eg_engram_config *config, engram_error *error);

/* Whether dir has a manifest. */
bool eg_engram_is_there(eg_io *io, const char *dir);

typedef struct eg_engram_options {
    bool read_only;
    uint64_t segment_size;    /* 0: 64 MiB */
    uint64_t journal_size;    /* bytes of journal after which a checkpoint is made; 0: 256 MiB */
    uint64_t journal_file_size; /* bytes of one file of it, allocated in advance; 0: 64 MiB or journal_size */
    uint64_t cache_size;      /* of tree nodes; 0: 16 MiB */
    uint64_t dirty_size;      /* bytes of changed tree nodes in memory after which a checkpoint is made; 0: 32 MiB */
    uint32_t checkpoint_s;    /* seconds after which one is made if anything was committed; 0: 300 */
    uint64_t small_size;      /* up to so many bytes of new data travel in the journal record; 0: 64 KiB */
    uint32_t group_ops;       /* most commits of a group; 0: 1,024 */
    uint32_t group_delay_us;  /* most time a group stays open; 0: 5,000 */
    engram_durability durability; /* of commits that do not say; default: group */
    bool no_compaction;       /* only when asked */
    uint64_t compaction_rate; /* bytes a second that one by itself reads and writes; 0: 32 MiB */
    bool by_hand;             /* checkpoints and compactions only when asked: no thread (tests) */
} eg_engram_options;

typedef struct eg_recovery { /* what opening found and did */
    uint64_t checkpoint, checkpoint_version; /* where it began */
    uint64_t records, transactions, chunks; /* replayed; chunks: brought by records */
    uint64_t torn_bytes;            /* cut off the journal's end */
    uint64_t segments_rewritten;
    double seconds;
} eg_recovery;

/* io is lent until close. ENGRAM_NOT_ENGRAM, ENGRAM_NEWER, ENGRAM_LOCKED
 * (naming the holder's pid) or ENGRAM_DAMAGED as the case may be. */
engram_status eg_engram_open(eg_io *io, const char *dir, const eg_engram_options *options, eg_engram **engram, engram_error *error);
/* A writer seals, checkpoints and records the clean end. The engram is gone also on failure. */
engram_status eg_engram_close(eg_engram **engram, engram_error *error);
/* Whether commits are taken: not of one that was opened read-only, nor after one has failed, until it is opened again. */
engram_status eg_engram_check_writable(eg_engram *engram, engram_error *error);

const eg_engram_config *eg_engram_get_config(const eg_engram *engram);
const engram_codebook *eg_engram_get_codebook(const eg_engram *engram);
const eg_recovery *eg_engram_get_recovery(const eg_engram *engram);
const char *eg_engram_dir(const eg_engram *engram);
eg_store *eg_engram_store(eg_engram *engram);
eg_io *eg_engram_io(eg_engram *engram);

/* A pinned version. */
typedef struct eg_version {
    uint64_t number;
    uint64_t time_ns;
    eg_root *root;              /* lent by held */
    struct eg_published *held;  /* of the newest version when it was pinned, or NULL: then root is its own */
} eg_version;

/* The newest version. Release when done. Waits for nobody. */
engram_status eg_engram_pin(eg_engram *engram, eg_version *version, engram_error *error);
/* The same, and the root bundle of just it. */
engram_status eg_engram_pin_counted(eg_engram *engram, eg_version *version, engram_bundle *bundle, engram_error *error);
/* A retained version by number. ENGRAM_NOT_FOUND names the retained ones beside it. */
engram_status eg_engram_pin_number(eg_engram *engram, uint64_t number, eg_version *version, engram_error *error);
/* By number, snapshot or time; as engram_pin_at. */
engram_status eg_engram_pin_at(eg_engram *engram, const char *text, eg_version *version, engram_error *error);
void eg_version_release(eg_version *version);
/* The version that a view has pinned, lent by it: not to be released. */
eg_version eg_view_lend(const engram_view *view);

typedef engram_status eg_engram_label(void *context, uint64_t number, uint64_t time_ns, eg_view label, engram_error *error);
/* Labelled versions, oldest first. */
engram_status eg_engram_labels(eg_engram *engram, eg_engram_label *label, void *context, engram_error *error);

/* A device's batch is about to be committed: counted beside the groups. */
void eg_engram_note_batch(eg_engram *engram);
/* Commits ops (engram/ops.h) as one transaction: all or nothing, durable when it returns. Chunks that it names are
 * in the store. Validates by applying; ENGRAM_INVALID when they do not fit the tree. *number: the version it made;
 * may be NULL. */
engram_status eg_engram_commit(eg_engram *engram, eg_buffer *ops, uint64_t *number, engram_error *error);
engram_status eg_engram_checkpoint(eg_engram *engram, engram_error *error);
/* A fresh inode number, never given out before in this process's lifetime of the engram. */
uint64_t eg_engram_new_inode(eg_engram *engram);

/* Bytes of everything in the directory: sizes, and blocks on disk. */
engram_status eg_engram_disk_usage(eg_engram *engram, uint64_t *size, uint64_t *disk_size, engram_error *error);

/* Reads a file's bytes [offset, offset + size) at a version; *got < size only at its end. */
engram_status eg_engram_read(eg_engram *engram, const eg_version *version, uint64_t inode, uint64_t offset, void *bytes, size_t size, size_t *got, engram_error *error);

/* Checks everything: store, tree nodes of every retained version, references, reverse references, totals, link counts, the root
 * bundle against a fresh one. problem is called for each finding; the count is in *problems. */
typedef struct eg_verify_options {
    double subset; /* 1.0: all */
    eg_pool *pool;
    void *context;
    void (*problem)(void *context, const char *message);
    void (*progress)(void *context, uint64_t bytes_done, uint64_t bytes_total);
    engram_verified *verified; /* out: what was looked at; may be NULL */
} eg_verify_options;
engram_status eg_engram_verify(eg_engram *engram, const eg_verify_options *options, uint64_t *problems, engram_error *error);

/* engram_repair, through io. */
engram_status eg_engram_repair(eg_io *io, const char *dir, const engram_repair_options *options, engram_repaired *repaired, engram_error *error);

#endif
