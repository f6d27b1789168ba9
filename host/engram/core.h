/* The versioned engram: chunk store, tree and journal as one.
 *
 * A directory NAME.engram with MANIFEST.json, journal/, segments/, tree/, checkpoint/ and LOCK. Every commit
 * makes the next version. The order that makes a commit durable: chunks synced in their segments, then the
 * journal record synced, then the new root published. A checkpoint writes the tree's new nodes, then the
 * checkpoint file, then MANIFEST.json by rename: the switch; then the journal before it is released.
 *
 * Threads: commits and checkpoints serialise inside. Readers pin a version and share nothing with writers. */
#ifndef EG_ENGRAM_CORE_H
#define EG_ENGRAM_CORE_H

#include "base/io.h"
#include "chunk/chunk.h"
#include "compute/device.h"
#include "engram/fs.h"
#include "engram/hypervector.h"
#include "engram/ops.h"
#include "store/store.h"

typedef struct eg_engram eg_engram;

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
    uint64_t journal_size;    /* bytes of journal after which commits checkpoint; 0: 64 MiB */
    uint64_t cache_size;      /* of tree nodes; 0: 16 MiB */
    uint64_t dirty_size;      /* bytes of changed tree nodes in memory after which commits checkpoint; 0: 32 MiB */
} eg_engram_options;

typedef struct eg_recovery { /* what opening found and did */
    uint64_t records, transactions; /* replayed */
    uint64_t torn_bytes;            /* cut off the journal's end */
    uint64_t segments_rewritten;
    double seconds;
} eg_recovery;

/* io is lent until close. ENGRAM_NOT_ENGRAM, ENGRAM_NEWER, ENGRAM_LOCKED
 * (naming the holder's pid) or ENGRAM_DAMAGED as the case may be. */
engram_status eg_engram_open(eg_io *io, const char *dir, const eg_engram_options *options, eg_engram **engram, engram_error *error);
/* A writer seals, checkpoints and records the clean end. The engram is gone also on failure. */
engram_status eg_engram_close(eg_engram **engram, engram_error *error);

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
    eg_root *root;
} eg_version;

/* The newest version. Release when done. */
engram_status eg_engram_pin(eg_engram *engram, eg_version *version, engram_error *error);
/* A retained version by number: the newest, or a labelled one. */
engram_status eg_engram_pin_number(eg_engram *engram, uint64_t number, eg_version *version, engram_error *error);
void eg_version_release(eg_version *version);

typedef engram_status eg_engram_label(void *context, uint64_t number, uint64_t time_ns, eg_view label, engram_error *error);
/* Labelled versions, oldest first. */
engram_status eg_engram_labels(eg_engram *engram, eg_engram_label *label, void *context, engram_error *error);

/* Commits ops (engram/ops.h) as one transaction: all or nothing, durable when it returns. Validates by applying;
 * ENGRAM_INVALID when they do not fit the tree. *number: the version it made; may be NULL. */
engram_status eg_engram_commit(eg_engram *engram, eg_buffer *ops, uint64_t *number, engram_error *error);
engram_status eg_engram_checkpoint(eg_engram *engram, engram_error *error);
/* A fresh inode number, never given out before in this process's lifetime of the engram. */
uint64_t eg_engram_new_inode(eg_engram *engram);

/* Copies the root bundle (the newest version's) into *bundle. */
void eg_engram_get_bundle(eg_engram *engram, engram_bundle *bundle);
uint64_t eg_engram_journal_syncs(const eg_engram *engram);
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
} eg_verify_options;
engram_status eg_engram_verify(eg_engram *engram, const eg_verify_options *options, uint64_t *problems, engram_error *error);

#endif
