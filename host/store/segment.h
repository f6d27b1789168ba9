/* One file of chunks: its format, and the file as the store holds it in memory.
 *
 * A segment is active while its writer appends to it, and sealed for ever after. segment.c states
 * the format and the order of syncs; active.c writes, sealed.c opens and reads. Nothing here knows
 * of other segments.
 *
 * Threads: one thread appends to a segment, and when it is done one seals it; any number read it at
 * the same time. The writer publishes chunks by raising count; what lies below count never changes
 * and never moves, but for the vectors, which sealing takes out of memory: they are reached under
 * lock. Any thread may sync: those that do take turns (sync_lock). */
#ifndef EG_STORE_SEGMENT_H
#define EG_STORE_SEGMENT_H

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/io.h"
#include "store/store.h"

enum {
    EG_SEGMENT_VERSION = 2, /* and 1, without planes */
    EG_SEGMENT_SLOT_SIZE = 256,
    EG_SEGMENT_SLOT_STEP = 512, /* each header slot in a sector of its own */
    EG_SEGMENT_PAYLOAD_START = 4096,
    EG_SEGMENT_PAGE = 4096,
    EG_SEGMENT_SECTIONS_MAX = 6,
    EG_SEGMENT_CHUNKS_MAX = 65536, /* a writer seals there; readers take what fits the file */
    EG_SEGMENT_RECORD_SIZE = 72,
    EG_SEGMENT_VECTOR_SIZE = 256,
    EG_SEGMENT_PAIR_SIZE = 12, /* of the fingerprint index */
    EG_SEGMENT_BLOCK = 1024,   /* records in a block of memory */
    EG_CHUNK_BYTES_MAX = 4 << 20,
    EG_CHUNK_DEPTH_MAX = 64
};

#define EG_SEGMENT_ID_MAX 99999999u /* eight digits in the name */
/* Corrections of one segment; offsets in it are 32 bits. */
#define EG_SEGMENT_PAYLOAD_MAX (UINT64_C(2) << 30)

typedef enum eg_segment_stage { EG_SEGMENT_ACTIVE = 1, EG_SEGMENT_SEALED = 2 } eg_segment_stage;

#define EG_SECTION_TAG(a, b, c, d)                                                                 \
    ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)
#define EG_SECTION_PAYLOAD      EG_SECTION_TAG('P', 'A', 'Y', 'L')
#define EG_SECTION_RECORDS      EG_SECTION_TAG('R', 'E', 'C', 'S')
#define EG_SECTION_VECTORS      EG_SECTION_TAG('V', 'E', 'C', 'S')
#define EG_SECTION_FINGERPRINTS EG_SECTION_TAG('F', 'I', 'D', 'X')

typedef enum eg_section_codec { EG_CODEC_PLAIN, EG_CODEC_PLANES } eg_section_codec;

typedef struct eg_section {
    uint32_t tag;
    uint16_t codec;
    uint64_t offset, size;
    uint32_t count, crc;
} eg_section;

typedef struct eg_segment_header {
    uint32_t id;
    uint32_t generation;
    eg_segment_stage stage;
    uint8_t level;
    uint64_t created_ns, compacted_ns;
    uint64_t first_id, last_id;
    uint32_t chunk_count;
    uint32_t section_count;
    eg_section sections[EG_SEGMENT_SECTIONS_MAX];
} eg_segment_header;

/* On disk and in memory alike. */
typedef struct eg_chunk_record {
    uint64_t id, version, created_ns, base;
    uint8_t fingerprint[16];
    uint32_t size, spread;
    uint32_t payload_offset, stored_size;
    uint8_t kind, depth;
    uint16_t vector_check;
    uint32_t crc;
} eg_chunk_record;
static_assert(sizeof(eg_chunk_record) == EG_SEGMENT_RECORD_SIZE, "on disk");

/* In memory, the kind of a record that failed its check. */
enum { EG_RECORD_BAD = 0xFF };

/* ---- the format (segment.c) ---- */

void eg_segment_header_encode(const eg_segment_header *header, uint8_t slot[EG_SEGMENT_SLOT_SIZE]);
/* Reads both slots of the file and checks the one that counts, as segment.c states. id: the file's
 * own, from its name. ENGRAM_DAMAGED, ENGRAM_NEWER, ENGRAM_UNSUPPORTED. */
engram_status eg_segment_header_read(eg_io *io, eg_file *file, uint32_t id,
                                     eg_segment_header *header, engram_error *error);
/* NULL when there is none. */
const eg_section *eg_segment_section(const eg_segment_header *header, uint32_t tag);
/* Where the last section ends: the size of a sealed file. */
uint64_t eg_segment_end(const eg_segment_header *header);

uint16_t eg_vector_check(const uint8_t *vector);
uint32_t eg_record_crc(const eg_chunk_record *record);
/* What a record can be asked alone: its check, its kind and its sizes within payload_size. */
bool eg_record_is_valid(const eg_chunk_record *record, uint64_t payload_size);

uint64_t eg_fingerprint_prefix(const uint8_t fingerprint[16]);

/* dir/NNNNNNNN.seg in fresh memory (eg_free), or NULL. */
char *eg_segment_path(const char *dir, uint32_t id);
/* False for a name that is not a segment's. */
bool eg_segment_parse_name(const char *name, uint32_t *id);

/* ---- in memory ---- */

/* The vectors of a segment that are in memory, and the ids beside them: one allocation, which
 * starts with the vectors. That of a segment which is written has room for all that it can take:
 * the pages that are not used cost addresses only, and nothing moves beneath readers. */
typedef struct eg_columns {
    bool lent;        /* stays until the segment is freed */
    uint64_t *ids;    /* after the vectors */
    uint8_t *vectors; /* in rows, 64-byte aligned */
} eg_columns;

typedef struct eg_segment {
    eg_io *io;
    eg_file *file;   /* NULL: in memory only */
    uint8_t *memory; /* the corrections of one without a file */
    uint32_t id;
    uint8_t level;
    uint64_t first_id;                  /* once there is a chunk */
    uint64_t payload_start;             /* in the file */
    bool is_written_here;               /* and not opened */
    atomic_uint_least32_t count;        /* chunks that can be seen */
    atomic_uint_least64_t payload_size; /* of those */
    atomic_uint_least32_t synced;       /* chunks that are durable; raised under sync_lock */
    uint32_t told;                      /* of those, by eg_store_take_synced */

    /* Records, in blocks. Of a sealed segment they are read when first asked for, under lock; then
     * loaded is set. */
    eg_chunk_record **blocks;
    size_t block_count;
    atomic_bool loaded;
    atomic_bool ids_contiguous; /* record i has first_id + i. Read after count */
    atomic_uint_least32_t bad_count;

    pthread_mutex_t lock; /* of what follows, and of loading */
    eg_segment_header header;
    eg_columns *columns;   /* NULL when the vectors are not in memory */
    uint8_t const *mapped; /* the section's vectors in its layout, or NULL */
    uint64_t *mapped_ids;
    bool vectors_checked;

    /* The corrections added last: many small ones make one write. tail is being filled; writing, which
     * lies before it, is on its way to the file. tail_lock is held for moments, tail_write_lock
     * through a write. */
    pthread_mutex_t tail_write_lock, tail_lock;
    eg_buffer tail, writing;
    atomic_uint_least64_t in_file; /* bytes of corrections that the file has */

    pthread_mutex_t sync_lock;
    uint32_t flushed; /* records and vectors that are in the file's active regions; under sync_lock */

    /* The writer's alone. */
    uint32_t appended; /* perhaps not yet published */
    uint64_t payload_written;
    uint64_t payload_capacity;
    uint32_t payload_crc;
} eg_segment;

/* Closes the file and frees everything, lent memory too. NULL is fine. */
void eg_segment_free(eg_segment *segment);
/* For messages. */
const char *eg_segment_name(const eg_segment *segment);

static inline const eg_chunk_record *eg_segment_record(const eg_segment *segment, uint32_t index)
{
    return &segment->blocks[index / EG_SEGMENT_BLOCK][index % EG_SEGMENT_BLOCK];
}

/* NULL: no memory. */
eg_columns *eg_columns_create(size_t capacity);
void eg_columns_free(eg_columns *columns); /* that one */

/* ---- writing (active.c) ---- */

typedef struct eg_segment_plan {
    uint32_t id;
    uint8_t level;
    uint64_t payload_size; /* at which it is to be sealed: one more chunk fits beyond */
} eg_segment_plan;

/* Makes the file, synced and with its name durable. Nothing of it stays in memory on failure; the
 * file may. */
engram_status eg_segment_create(eg_io *io, const char *dir, const eg_segment_plan *plan,
                                eg_segment **segment, engram_error *error);
/* The file of a merge: chunks are added, and it is seen by nobody before it is finished, sealed; see seal.c. Vectors
 * are not kept in memory. */
engram_status eg_segment_create_dense(eg_io *io, const char *dir, const eg_segment_plan *plan,
                                      uint32_t chunks_max, eg_segment **segment,
                                      engram_error *error);
/* One that no file belongs to; it is never synced nor sealed. */
engram_status eg_segment_create_in_memory(eg_io *io, const eg_segment_plan *plan,
                                          eg_segment **segment, engram_error *error);
/* Room for count more chunks in memory. */
engram_status eg_segment_reserve(eg_segment *segment, uint32_t count, engram_error *error);
/* Places one chunk in memory, and its correction in the tail or the file; not seen until
 * published. */
engram_status eg_segment_add(eg_segment *segment, eg_chunk_record *record, const uint8_t *vector,
                             const uint8_t *correction, engram_error *error);
/* Writes the tail to the file. Any thread. */
engram_status eg_segment_write_tail(eg_segment *segment, engram_error *error);
/* So long that writing it is worth while. Any thread. */
bool eg_segment_has_long_tail(eg_segment *segment);
/* Lets readers see what was added. */
void eg_segment_publish(eg_segment *segment);
bool eg_segment_is_full(const eg_segment *segment);
bool eg_segment_is_half_full(const eg_segment *segment);
/* Writes the records and vectors of the first count chunks to the active regions, so far as that
 * has not been done. Under sync_lock; for a segment that is not sealed. */
engram_status eg_segment_flush(eg_segment *segment, uint32_t count, engram_error *error);

/* A whole header slot, at an offset; records [from, to), which lie in blocks, at one, *crc continued. Shared with
 * sealing. */
engram_status eg_segment_write_slot(eg_segment *segment, const eg_segment_header *header,
                                    uint64_t offset, engram_error *error);
engram_status eg_segment_write_records(eg_segment *segment, uint32_t from, uint32_t to,
                                       uint64_t offset, uint32_t *crc, engram_error *error);
uint64_t eg_segment_align(uint64_t offset, uint64_t to);

/* ---- sealing (seal.c) ---- */

/* Called at each of the points where the order matters; see segment.c. When it succeeds, durable
 * chunks are (0: nobody can tell). */
typedef engram_status eg_segment_syncer(void *context, eg_segment *segment, uint32_t durable,
                                        engram_error *error);
engram_status eg_segment_seal(eg_segment *segment, eg_segment_syncer *sync, void *context,
                              engram_error *error);

/* Vectors [first, first + count) of the segment's chunks, in rows. */
typedef engram_status eg_segment_vectors(void *context, uint32_t first, uint32_t count,
                                         uint8_t *vectors, engram_error *error);
/* Ends a segment that was created dense: its sections, its header, synced; its name too. It is as one that was
 * opened sealed. After a failure the file is worth nothing. */
engram_status eg_segment_finish_dense(eg_segment *segment, const char *dir,
                                      eg_segment_vectors *vectors, void *context,
                                      engram_error *error);

/* ---- reading (sealed.c) ---- */

/* Opens the file as committed state says; see eg_store_open. A file that is still active is read
 * into memory, records and vectors; of a sealed one only the header is read. */
engram_status eg_segment_open(eg_io *io, const char *dir, const eg_segment_state *state,
                              eg_segment **segment, engram_error *error);
/* Sealed, and nothing in it that is not committed. */
bool eg_segment_is_exact(const eg_segment *segment);
/* Reads the records, once. Those that fail their check are marked, not an error. */
engram_status eg_segment_load(eg_segment *segment, engram_error *error);
/* Where the good record of id is. ENGRAM_NOT_FOUND, ENGRAM_DAMAGED. */
engram_status eg_segment_find(eg_segment *segment, uint64_t id, uint32_t *index,
                              engram_error *error);
/* The correction of a record. */
engram_status eg_segment_read_payload(eg_segment *segment, const eg_chunk_record *record,
                                      uint8_t *bytes, engram_error *error);
engram_status eg_segment_get_vectors(eg_segment *segment, eg_vector_span *span,
                                     engram_error *error);
engram_status eg_segment_get_vector(eg_segment *segment, uint32_t index, uint8_t *vector,
                                    engram_error *error);
/* Compares a section's bytes, read from the file, with its CRC. */
engram_status eg_segment_check_section(eg_segment *segment, const eg_section *section,
                                       engram_error *error);
/* Reads a whole section and checks it; bytes in fresh memory (eg_free). */
engram_status eg_segment_read_section(eg_segment *segment, const eg_section *section,
                                      uint8_t **bytes, engram_error *error);
/* ENGRAM_DAMAGED, naming the record's place in the file. */
engram_status eg_segment_fail_record(eg_segment *segment, uint32_t index, const char *what,
                                     engram_error *error);

#endif
