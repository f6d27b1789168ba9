/* The new chunks of a transaction, before they have a place in the store.
 *
 * A chunk gets a provisional id, EG_STAGED_BIT and its number; references carry that until the commit
 * knows the real one. Bytes that the store holds already, or that were staged before, are found and not
 * stored again (bytes are compared). Up to a limit the chunks wait in memory and travel in the journal
 * record; a transaction with more data spills them into the store as it goes, and syncs the store before
 * its record is written. One thread at a time, but for the committing thread after the hand-over. */
#ifndef EG_ENGRAM_STAGE_H
#define EG_ENGRAM_STAGE_H

#include "engram/inode.h"
#include "store/store.h"

#define EG_STAGED_BIT (UINT64_C(1) << 63)

struct engram;

typedef struct eg_stage { /* zero-initialise, but for engram */
    struct engram *engram;
    eg_new_chunk *chunks; /* waiting: provisional numbers id_count - count and on */
    uint8_t **bytes;      /* of each: one allocation with its bytes, its vector and, if it is another, its correction */
    size_t count, capacity, bytes_capacity;
    uint64_t *ids; /* by provisional number; 0 while waiting */
    size_t id_count, id_capacity;
    uint32_t *table; /* fingerprint -> index of a waiting chunk + 1; open addressing */
    size_t table_size;
    size_t waiting_size;  /* bytes of the chunks that wait */
    eg_buffer chunk_ops;  /* write-chunk operations of those that were spilled */
    uint64_t found_max;   /* the highest id that was found in the store */
    bool spilled;
    eg_store_hold hold; /* on what was found and stored, from the first look on */
} eg_stage;

/* What is referred to from now on stays, until clear or fini. */
void eg_stage_hold(eg_stage *stage);
void eg_stage_fini(eg_stage *stage);
/* As it was made, but that its lists keep their memory: that much. */
void eg_stage_clear(eg_stage *stage);
size_t eg_stage_memory(const eg_stage *stage);

/* One chunk, 1 to EG_CHUNK_BYTES_MAX bytes: found or staged. */
engram_status eg_stage_chunk(eg_stage *stage, const uint8_t *bytes, size_t size, eg_chunk_ref *ref, engram_error *error);
/* eg_store_check_room for what waits. */
engram_status eg_stage_check_room(const eg_stage *stage, engram_error *error);
/* Everything that waits goes into the store (not synced), and out of memory. */
engram_status eg_stage_spill(eg_stage *stage, engram_error *error);
/* For the committing thread: what waits goes into the store under real ids, as part of a version, and stays in
 * memory for the record. */
engram_status eg_stage_append(eg_stage *stage, uint64_t version, uint64_t time_ns, engram_error *error);
/* The journal operations that carry what waits. */
void eg_stage_write(const eg_stage *stage, eg_buffer *out);
/* The bytes of a chunk, provisional or not; capacity for the largest chunk. */
engram_status eg_stage_read(eg_stage *stage, uint64_t id, uint8_t *bytes, size_t capacity, size_t *size, engram_error *error);
/* Provisional ids in the splices of ops become real ones; all must have one by now. */
void eg_stage_resolve(const eg_stage *stage, uint8_t *ops, size_t size);

/* What encoding a chunk needs; engrams keep idle ones. */
typedef struct eg_workbench {
    struct eg_workbench *next;
    eg_coder *coder;  /* at the engram's level */
    eg_coder *fast;   /* for what a caller waits for */
    uint8_t *packed;  /* room for the largest correction */
    uint8_t *compare; /* room for the largest chunk */
} eg_workbench;
engram_status eg_workbench_take(struct engram *engram, eg_workbench **bench, engram_error *error);
void eg_workbench_give(struct engram *engram, eg_workbench *bench);
void eg_workbench_free_all(struct engram *engram);

#endif
