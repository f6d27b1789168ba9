/* The chunk store: chunk id -> bytes, fingerprint, hypervector, spread.
 *
 * A log of segments (segment.h has the format). Chunks are appended to the active segment, which
 * seals when full; sealed segments never change. The store does not decide what is committed: the
 * caller passes, at open, how many chunks of each segment are (from its checkpoint and journal), and
 * everything beyond is invisible and is dropped by recovery. Ids rise in the order of appending, and
 * segments hold rising, disjoint ranges of ids; an id may be skipped.
 *
 * What is appended becomes durable in the order of ids. A caller that keeps the chunks elsewhere too
 * (in its journal) need not wait for that: it notes the extents that are durable as they grow, and
 * after a crash appends the rest again.
 *
 * Threads: any number append, sync and seal, any number read at the same time, also what was
 * appended and is not yet synced. eg_store_take_synced and eg_store_sweep are for one thread each.
 *
 * Compaction (store/compact.h) merges sealed segments beside all that, and drops chunks that nobody needs. */
#ifndef EG_STORE_STORE_H
#define EG_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/io.h"
#include "base/pool.h"
#include "store/correction.h"
#include "vsa/layout.h"

typedef struct eg_store eg_store;

typedef struct eg_fingerprint { /* XXH3-128, canonical (big-endian) bytes */
    uint8_t bytes[16];
} eg_fingerprint;

eg_fingerprint eg_fingerprint_of(const void *bytes, size_t size);

typedef struct eg_chunk_info {
    uint64_t id;
    uint64_t version;    /* engram version that stored it */
    uint64_t created_ns;
    uint64_t base;       /* id its delta rests on, or 0 */
    eg_fingerprint fingerprint;
    uint32_t size;       /* bytes of the chunk */
    uint32_t spread;
    uint32_t stored_size; /* bytes of its correction */
    eg_correction_kind kind;
    uint8_t depth;       /* 0 unless delta; depth(base) < depth */
} eg_chunk_info;

/* What the caller knows of a segment: kept in checkpoints, moved on by the journal. */
typedef struct eg_segment_state {
    uint64_t id;
    uint64_t chunk_count;  /* that count; chunks beyond are invisible */
    uint64_t payload_size; /* bytes of their corrections */
    uint8_t level;
} eg_segment_state;

typedef struct eg_store_options {
    bool read_only;
    bool dedup;             /* load the fingerprint index (a writer's) */
    bool tolerate;          /* open without the segments that cannot be opened; see eg_store_damage_count */
    uint64_t segment_size;  /* corrections' bytes at which a segment seals; 0: 64 MiB */
    uint64_t next_id;       /* the first id to give out, higher than all in states; 0: the first such */
} eg_store_options;

/* dir is the folder of segment files; states in rising id order. A writer (not read_only) also
 * recovers: a segment whose file is not sealed at exactly the committed count is copied, committed
 * chunks only, into a new sealed and synced segment; segment files that states does not name are left
 * alone until eg_store_sweep. Check eg_store_get_states afterwards: ids of segments may have changed;
 * the caller makes them durable in its checkpoint, then sweeps. ENGRAM_DAMAGED names file and offset. */
engram_status eg_store_open(eg_io *io, const char *dir, const eg_segment_state *states, size_t state_count,
                            const eg_store_options *options, eg_store **store, engram_error *error);
/* Never syncs. A writer that wants its segments sealed calls eg_store_seal first; a segment that is being
 * sealed is done with, others that wait stay as they are. */
void eg_store_close(eg_store **store);

typedef struct eg_new_chunk {
    uint64_t id; /* eg_store_next_id or higher, which leaves a gap; 0: the next one */
    eg_fingerprint fingerprint;
    uint64_t version, created_ns;
    uint64_t base;        /* of a delta */
    uint32_t base_before; /* or, instead: the base comes so many places before it in the same call; else 0 */
    const uint8_t *vector; /* 256 bytes */
    uint32_t spread;
    uint32_t size;
    eg_correction_kind kind;
    uint8_t depth;
    eg_view correction;    /* stored_size bytes */
} eg_new_chunk;

/* Whether the disk has room for count chunks more, whose corrections take size bytes, beside a reserve: so much stays free
 * that what is under way can be ended, and files removed, after new data is refused with ENGRAM_NO_SPACE. An append that
 * meets a full disk is the end of a store; one that is refused before it is not begun. Looks at the disk now and then. */
engram_status eg_store_check_room(eg_store *store, uint64_t size, size_t count, engram_error *error);
/* Appends count chunks, side by side: chunks of other threads come before or after; ids[i] are their
 * ids, rising. They can be read and found at once, in this process; durable after eg_store_sync. Seals and
 * starts segments as needed. ENGRAM_INVALID for what no chunk can be, or an id that is too low: nothing has
 * happened. On any other failure the store takes no more appends (reads go on).
 *
 * Of a store that was opened read-only the chunks stay in memory, until close, and no file changes: that is
 * how a reader follows a journal. Everything that reads finds them; they have no states, and are never synced. */
engram_status eg_store_append(eg_store *store, const eg_new_chunk *chunks, size_t count, uint64_t *ids, engram_error *error);
/* Everything appended before the call is durable when it returns. Costs a few loads when nothing is to do.
 * Waits neither for append nor makes it wait. */
engram_status eg_store_sync(eg_store *store, engram_error *error);
/* Writes corrections that have gathered in memory, when they are many: for callers of append that nobody waits for.
 * Where nobody calls it, append does it now and then. A write that fails is the store's failure, which the next call
 * tells. */
void eg_store_write_behind(eg_store *store);
/* Seals the active segment, if it holds anything, waits until those before are sealed too, and removes the
 * empty file that was made ready for the next. Otherwise full segments are sealed in the background, two may
 * wait for it. A seal that fails is the store's failure, which the next call tells. */
engram_status eg_store_seal(eg_store *store, engram_error *error);

/* Every chunk with an id up to this one is durable in its segment. Only rises; one load. */
uint64_t eg_store_synced_id(eg_store *store);
/* The durable extents of the segments whose extent has grown since the last call or since open, by rising
 * segment id, in fresh memory (eg_free); NULL and 0 when there are none. An extent stands for all chunks
 * with ids up to its last: no segment before it has chunks that are not durable. On failure nothing counts
 * as taken. One caller. */
engram_status eg_store_take_synced(eg_store *store, eg_segment_state **states, size_t *count, engram_error *error);
/* Every chunk with an id up to this one is covered by what was taken. For the caller of the former. */
uint64_t eg_store_told_id(const eg_store *store);
/* The durable extents of all segments, for a checkpoint. Fresh memory (eg_free). */
engram_status eg_store_get_synced_states(eg_store *store, eg_segment_state **states, size_t *count, engram_error *error);
/* Segments with all that has been appended to them so far: on disk only after a sync. Fresh memory
 * (eg_free). */
engram_status eg_store_get_states(eg_store *store, eg_segment_state **states, size_t *count, engram_error *error);
/* The sealed segments by rising ids of chunks, which need not be that of their numbers. Fresh memory (eg_free). */
engram_status eg_store_get_levels(eg_store *store, eg_segment_state **states, size_t *count, engram_error *error);
/* What a store that was opened with tolerate does without: segments whose file is missing or damaged, so that it
 * could not be opened, and such as could not be recovered; what the disk cannot read is ENGRAM_IO as ever. Ids that
 * may have been in a lost segment, since no other has them, are ENGRAM_DAMAGED wherever they are asked for; its
 * state stays among the states, and its file is left alone. Where the last segments are lost, give next_id, which
 * cannot be told then. The reason names the file; lent until close. */
size_t eg_store_damage_count(eg_store *store);
const char *eg_store_get_damage(eg_store *store, size_t index);
uint64_t eg_store_next_id(eg_store *store);
/* No id below next_id is given out from now on. */
void eg_store_raise_next_id(eg_store *store, uint64_t next_id);
/* Removes segment files that no state names: what a crash or a recovery left behind. */
engram_status eg_store_sweep(eg_store *store, engram_error *error);
/* The same, but for files of which keep says that somebody still needs them. */
typedef bool eg_store_keep(void *context, uint64_t segment_id);
engram_status eg_store_sweep_but(eg_store *store, eg_store_keep *keep, void *context, engram_error *error);

/* ENGRAM_NOT_FOUND for an id that is not there; ENGRAM_DAMAGED for a record that fails its check. */
engram_status eg_store_get_info(eg_store *store, uint64_t id, eg_chunk_info *info, engram_error *error);
/* The chunk's bytes, checked against its fingerprint; bytes has room for capacity. ENGRAM_INVALID when the chunk
 * is larger; ENGRAM_DAMAGED, with file and offset, when they are not what was stored. */
engram_status eg_store_read(eg_store *store, uint64_t id, void *bytes, size_t capacity, size_t *size, engram_error *error);
engram_status eg_store_get_vector(eg_store *store, uint64_t id, uint8_t *vector, engram_error *error);

/* The chunk as eg_store_append takes it, under its id: into *chunk, which lends vector and *correction (cleared and
 * filled). Not checked against the fingerprint. */
engram_status eg_store_export(eg_store *store, uint64_t id, eg_new_chunk *chunk, uint8_t vector[256], eg_buffer *correction, engram_error *error);

/* Whoever is about to refer to chunks that no version holds yet has a hold: from before it looks for the first to
 * after its commit. What it has used meanwhile, and what is appended meanwhile, is not dropped. Never fails nor waits. */
typedef struct eg_store_hold {
    bool is_held;
    unsigned side;
} eg_store_hold;
void eg_store_hold_begin(eg_store *store, eg_store_hold *hold); /* nothing when it is held */
void eg_store_hold_end(eg_store *store, eg_store_hold *hold);   /* nothing when it is not */
/* Under a hold, of a chunk that was found: whether it may be referred to, or be a base. False: it is on its way out, as
 * if it had not been found. */
bool eg_store_use(eg_store *store, uint64_t id);

enum { EG_STORE_CANDIDATES = 8 };
/* Ids of chunks with this fingerprint and size, at most EG_STORE_CANDIDATES; a hint: compare bytes. Needs dedup. */
size_t eg_store_find(eg_store *store, const eg_fingerprint *fingerprint, uint32_t size, uint64_t ids[EG_STORE_CANDIDATES]);

/* For scans: segment by segment, in rising id order. vectors (64-byte aligned) and ids are lent until
 * eg_store_close; the active segment's part covers what was appended when called. Checks the vectors' CRC once. */
typedef struct eg_vector_span {
    eg_vectors vectors;
    const uint64_t *ids; /* vectors.count, rising */
} eg_vector_span;
/* The first of those with chunks beyond an id, from there on; count 0: there are none. */
engram_status eg_store_next_vectors(eg_store *store, uint64_t after, eg_vector_span *span, engram_error *error);
/* Whether all vectors that were lent can still be read: to be asked after a scan, whose answer does not count if not. */
engram_status eg_store_check_vectors(eg_store *store, engram_error *error);
size_t eg_store_segment_count(eg_store *store);
engram_status eg_store_get_vectors(eg_store *store, size_t segment_index, eg_vector_span *span, engram_error *error);

typedef struct eg_store_totals {
    uint64_t segments, chunks;
    uint64_t bytes_logical;  /* sum of chunk sizes */
    uint64_t bytes_payload;  /* sum of stored sizes */
    uint64_t by_kind[4], bytes_by_kind[4]; /* indexed by eg_correction_kind: count and stored bytes */
} eg_store_totals;
engram_status eg_store_get_totals(eg_store *store, eg_store_totals *totals, engram_error *error);

/* Reads everything: headers, every section's CRC, every record, every chunk's bytes and fingerprint, order of
 * ids and of depths. subset: 1.0 all, less: that share of the chunks' bytes, chosen by id. Calls problem for each
 * finding (chunk id 0 when it is about a segment) and goes on; fails only when it cannot. Vectors and spreads are
 * re-encoded by check_vector when that is not NULL (returns whether they agree). */
typedef struct eg_store_verifier {
    double subset;
    bool ends_with_disk; /* a disk that cannot be read ends it with ENGRAM_IO, and is no finding */
    eg_pool *pool;       /* may be NULL */
    void *context;
    void (*problem)(void *context, uint64_t chunk_id, const char *message);
    bool (*check_vector)(void *context, const uint8_t *bytes, size_t size, const uint8_t *vector, uint32_t spread);
    void (*progress)(void *context, uint64_t bytes_done);
} eg_store_verifier;
engram_status eg_store_verify(eg_store *store, const eg_store_verifier *verifier, engram_error *error);

/* Walks invariants (tests). */
bool eg_store_validate(eg_store *store);

#endif
