/* The format of a segment, versions 1 and 2. Numbers are little-endian.
 *
 *        0  header slot 0, 256 bytes
 *      512  header slot 1, 256 bytes
 *     4096  sections
 *
 * A header slot:
 *        0  magic, 8 bytes "EGSEGMT1"
 *        8  format version u16: 1, or 2 with VECS in planes
 *       10  size of the slot u16 = 256
 *       12  stage u8: 1 active, 2 sealed
 *       13  level u8
 *       14  number of sections u8, at most 6
 *       15  0
 *       16  segment id u32, the number in the file's name
 *       20  generation u32
 *       24  created, u64 nanoseconds since the epoch
 *       32  compacted, likewise, or 0
 *       40  id of the first chunk u64; while active, 0
 *       48  id of the last chunk u64; while active, 0
 *       56  number of chunks u32; while active, 0
 *       60  six sections of 32 bytes, those not used 0:
 *           0 tag, 4 bytes   4 codec u16   6 0, u16   8 offset u64   16 size u64
 *           24 count of items u32   28 CRC-32 u32; while active, count and CRC are 0 and the size
 *           is what is reserved
 *      252  CRC-32 u32 of the 252 bytes before
 * Every later version keeps magic, version, generation and CRC where they are.
 *
 * Sections (codec 0 is plain; that of VECS may be 1; others are for encryption and other layouts):
 *   PAYL  the corrections' bytes, one after another
 *   RECS  a record of 72 bytes for each chunk, ids rising:
 *         0 id u64   8 version u64   16 created u64   24 id of the base u64, or 0
 *         32 fingerprint, 16 bytes   48 size u32   52 spread u32
 *         56 offset of its correction in PAYL u32   60 stored size u32
 *         64 kind u8   65 depth u8   66 check of its vector u16: the halves of the CRC-32
 *         of its symbols xored   68 CRC-32 u32 of the 68 bytes before
 *   VECS  a vector of 256 bytes for each chunk, in the order of RECS; starts on a page of 4096. Codec 0:
 *         symbol after symbol. Codec 1, when sealed: as planes, in groups of 4096 chunks, the last
 *         group of what is left. Plane p of a vector is bit p of its 256 symbols: bit i of byte b
 *         belongs to symbol 32 * i + b. A group is planes 0 and 1 of each of its vectors, 64 bytes
 *         after 64 bytes, then planes 2 to 7 of each, 192 bytes after 192 bytes
 *   FIDX  12 bytes for each chunk: first 8 bytes of the fingerprint as a big-endian number, written
 *         as u64; index in RECS u32; sorted by both. Can be made again from RECS.
 * Other tags are skipped.
 *
 * A header slot is valid when
 *   1. magic and CRC are right.
 * Of the valid ones that with the higher generation counts (slot 0 if equal), and it is right when
 *   2. its version is 1, or 2, which all with VECS in planes have (a higher one: the file is newer than this program);
 *   3. slot size, stage, id and number of sections are as above;
 *   4. sections start at 4096 or later, do not overlap, and no tag is there twice; PAYL, RECS and
 *      VECS are there; those we know have a codec and an alignment as above;
 *   5. when sealed: sections end within the file; there is at least one chunk; counts and sizes of
 *      RECS, VECS and FIDX agree with the number of chunks, and the ids' range has room for it.
 * A record is valid when
 *   6. its CRC is right; its id is higher than the one before and within the header's range;
 *   7. kind is 1, 2 or 3; base and depth are 0 unless kind is 1 and not 0 if it is; depth is at
 *      most 64; size is at most 4 MiB, stored size at most size (equal for kind 3);
 *   8. its correction lies within PAYL, right after the one before.
 *
 * The reader. Who opens a segment knows how many of its chunks are committed; those are the first
 * so many of RECS, in either stage, and nothing beyond is looked at. When sealed, the CRC of VECS
 * is checked before its first use, that of FIDX and of PAYL when the whole is read; each record
 * by its own CRC, each chunk's bytes by its fingerprint. While active, vectors are checked by their
 * 16 bits. A reader beside the writer may find the active regions cut off: then the segment has
 * been sealed, and the header is read again.
 *
 * The writer. An active file is sparse: PAYL grows from 4096, RECS and VECS grow in regions so far
 * behind it that the sealed layout fits before them. The order:
 *   a. slot 0 (active, generation 1), sync, sync of the directory; then chunks are appended;
 *   b. payload at once, records and vectors before a sync; that makes them durable;
 *   c. sealing: RECS, FIDX and VECS, now in planes, are written once more, densely, right after the
 *      payload; sync;
 *   d. slot 1 (sealed, generation 2, CRCs); sync: from here on the file is sealed;
 *   e. the file is cut to its dense end; sync.
 * Nothing that the valid header names is overwritten at any step, so a crash leaves the active
 * segment or the sealed one. The second copy costs a write of about 5 % of the payload (records
 * and vectors of 16 KiB chunks), and buys files whose apparent size is their true size, to ls, to
 * backup programs and to file systems that do not know sparse files. A tail left by a crash
 * between d and e is cut when a writer opens the store. */
#include "store/segment.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static const uint8_t magic[8] = {'E', 'G', 'S', 'E', 'G', 'M', 'T', '1'};

enum {
    OFFSET_VERSION = 8,
    OFFSET_SLOT_SIZE = 10,
    OFFSET_STAGE = 12,
    OFFSET_LEVEL = 13,
    OFFSET_SECTION_COUNT = 14,
    OFFSET_ID = 16,
    OFFSET_GENERATION = 20,
    OFFSET_CREATED = 24,
    OFFSET_COMPACTED = 32,
    OFFSET_FIRST_ID = 40,
    OFFSET_LAST_ID = 48,
    OFFSET_CHUNK_COUNT = 56,
    OFFSET_SECTIONS = 60,
    SECTION_SIZE = 32,
    OFFSET_CRC = 252
};
static_assert(OFFSET_SECTIONS + EG_SEGMENT_SECTIONS_MAX * SECTION_SIZE == OFFSET_CRC, "on disk");
static_assert(OFFSET_CRC + 4 == EG_SEGMENT_SLOT_SIZE, "on disk");

static void section_encode(const eg_section *section, uint8_t *at)
{
    eg_put_u32(at, section->tag);
    eg_put_u16(at + 4, section->codec);
    eg_put_u64(at + 8, section->offset);
    eg_put_u64(at + 16, section->size);
    eg_put_u32(at + 24, section->count);
    eg_put_u32(at + 28, section->crc);
}

static eg_section section_decode(const uint8_t *at)
{
    return (eg_section){.tag = eg_get_u32(at),
                        .codec = eg_get_u16(at + 4),
                        .offset = eg_get_u64(at + 8),
                        .size = eg_get_u64(at + 16),
                        .count = eg_get_u32(at + 24),
                        .crc = eg_get_u32(at + 28)};
}

/* Programs that know of version 1 only could not read planes. */
static uint16_t version_of(const eg_segment_header *header)
{
    const eg_section *vectors = eg_segment_section(header, EG_SECTION_VECTORS);
    return vectors != NULL && vectors->codec == EG_CODEC_PLANES ? EG_SEGMENT_VERSION : 1;
}

void eg_segment_header_encode(const eg_segment_header *header, uint8_t slot[EG_SEGMENT_SLOT_SIZE])
{
    assert(header->section_count <= EG_SEGMENT_SECTIONS_MAX);
    memset(slot, 0, EG_SEGMENT_SLOT_SIZE);
    memcpy(slot, magic, sizeof magic);
    eg_put_u16(slot + OFFSET_VERSION, version_of(header));
    eg_put_u16(slot + OFFSET_SLOT_SIZE, EG_SEGMENT_SLOT_SIZE);
    slot[OFFSET_STAGE] = (uint8_t)header->stage;
    slot[OFFSET_LEVEL] = header->level;
    slot[OFFSET_SECTION_COUNT] = (uint8_t)header->section_count;
    eg_put_u32(slot + OFFSET_ID, header->id);
    eg_put_u32(slot + OFFSET_GENERATION, header->generation);
    eg_put_u64(slot + OFFSET_CREATED, header->created_ns);
    eg_put_u64(slot + OFFSET_COMPACTED, header->compacted_ns);
    eg_put_u64(slot + OFFSET_FIRST_ID, header->first_id);
    eg_put_u64(slot + OFFSET_LAST_ID, header->last_id);
    eg_put_u32(slot + OFFSET_CHUNK_COUNT, header->chunk_count);
    for (uint32_t i = 0; i < header->section_count; i++)
        section_encode(&header->sections[i], slot + OFFSET_SECTIONS + i * SECTION_SIZE);
    eg_put_u32(slot + OFFSET_CRC, eg_crc32(0, slot, OFFSET_CRC));
}

/* section_count is not checked yet; no more than there is room for are taken. */
static void header_decode(const uint8_t *slot, eg_segment_header *header)
{
    *header = (eg_segment_header){.id = eg_get_u32(slot + OFFSET_ID),
                                  .generation = eg_get_u32(slot + OFFSET_GENERATION),
                                  .stage = slot[OFFSET_STAGE],
                                  .level = slot[OFFSET_LEVEL],
                                  .created_ns = eg_get_u64(slot + OFFSET_CREATED),
                                  .compacted_ns = eg_get_u64(slot + OFFSET_COMPACTED),
                                  .first_id = eg_get_u64(slot + OFFSET_FIRST_ID),
                                  .last_id = eg_get_u64(slot + OFFSET_LAST_ID),
                                  .chunk_count = eg_get_u32(slot + OFFSET_CHUNK_COUNT),
                                  .section_count = slot[OFFSET_SECTION_COUNT]};
    for (uint32_t i = 0; i < header->section_count && i < EG_SEGMENT_SECTIONS_MAX; i++)
        header->sections[i] = section_decode(slot + OFFSET_SECTIONS + i * SECTION_SIZE);
}

static bool slot_is_valid(const uint8_t *slot)
{
    return memcmp(slot, magic, sizeof magic) == 0 &&
           eg_get_u32(slot + OFFSET_CRC) == eg_crc32(0, slot, OFFSET_CRC);
}

/* The slot that counts, or NULL. */
static const uint8_t *choose_slot(const uint8_t *slots)
{
    const uint8_t *second = slots + EG_SEGMENT_SLOT_STEP;
    if (!slot_is_valid(slots))
        return slot_is_valid(second) ? second : NULL;
    bool newer = slot_is_valid(second) &&
                 eg_get_u32(second + OFFSET_GENERATION) > eg_get_u32(slots + OFFSET_GENERATION);
    return newer ? second : slots;
}

const eg_section *eg_segment_section(const eg_segment_header *header, uint32_t tag)
{
    for (uint32_t i = 0; i < header->section_count; i++)
        if (header->sections[i].tag == tag)
            return &header->sections[i];
    return NULL;
}

uint64_t eg_segment_end(const eg_segment_header *header)
{
    uint64_t end = EG_SEGMENT_PAYLOAD_START;
    for (uint32_t i = 0; i < header->section_count; i++) {
        uint64_t section_end = header->sections[i].offset + header->sections[i].size;
        end = section_end > end ? section_end : end;
    }
    return end;
}

static engram_status fail_header(const eg_file *file, const char *what, engram_error *error)
{
    return eg_fail(error, ENGRAM_DAMAGED, "%s: the header %s", eg_file_name(file), what);
}

static bool overlap(const eg_section *a, const eg_section *b)
{
    return a->size > 0 && b->size > 0 && a->offset < b->offset + b->size &&
           b->offset < a->offset + a->size;
}

static bool is_known(uint32_t tag)
{
    return tag == EG_SECTION_PAYLOAD || tag == EG_SECTION_RECORDS || tag == EG_SECTION_VECTORS ||
           tag == EG_SECTION_FINGERPRINTS;
}

static bool knows_codec(const eg_segment_header *header, const eg_section *section)
{
    return section->codec == EG_CODEC_PLAIN ||
           (section->codec == EG_CODEC_PLANES && section->tag == EG_SECTION_VECTORS &&
            header->stage == EG_SEGMENT_SEALED);
}

/* Condition 4. */
static engram_status check_places(const eg_file *file, const eg_segment_header *header,
                                  engram_error *error)
{
    for (uint32_t i = 0; i < header->section_count; i++) {
        const eg_section *s = &header->sections[i];
        if (s->offset < EG_SEGMENT_PAYLOAD_START || s->offset > INT64_MAX ||
            s->size > INT64_MAX - s->offset)
            return fail_header(file, "places a section where none can be", error);
        for (uint32_t j = 0; j < i; j++)
            if (header->sections[j].tag == s->tag || overlap(&header->sections[j], s))
                return fail_header(file, "names sections that overlap", error);
    }
    for (uint32_t i = 0; i < header->section_count; i++)
        if (is_known(header->sections[i].tag) && !knows_codec(header, &header->sections[i]))
            return eg_fail(error, ENGRAM_NEWER, "%s: section %u has codec %u, unknown to this program: use a newer one",
                           eg_file_name(file), i, header->sections[i].codec);
    const eg_section *vectors = eg_segment_section(header, EG_SECTION_VECTORS);
    if (eg_segment_section(header, EG_SECTION_PAYLOAD) == NULL || vectors == NULL ||
        eg_segment_section(header, EG_SECTION_RECORDS) == NULL)
        return fail_header(file, "lacks a section", error);
    if (vectors->offset % EG_SEGMENT_PAGE != 0)
        return fail_header(file, "places the vectors off a page", error);
    return ENGRAM_OK;
}

static bool holds(const eg_segment_header *header, uint32_t tag, uint64_t item_size)
{
    const eg_section *s = eg_segment_section(header, tag);
    return s == NULL ||
           (s->count == header->chunk_count && s->size == header->chunk_count * item_size);
}

/* Condition 5. */
static engram_status check_sealed(eg_io *io, eg_file *file, const eg_segment_header *header,
                                  engram_error *error)
{
    uint64_t file_size;
    EG_TRY(io->size(io, file, &file_size, error));
    uint64_t end = eg_segment_end(header);
    if (end > file_size)
        return eg_fail(error, ENGRAM_DAMAGED, "%s ends at %" PRIu64 ", its header says %" PRIu64,
                       eg_file_name(file), file_size, end);
    if (header->chunk_count == 0 || !holds(header, EG_SECTION_RECORDS, EG_SEGMENT_RECORD_SIZE) ||
        !holds(header, EG_SECTION_VECTORS, EG_SEGMENT_VECTOR_SIZE) ||
        !holds(header, EG_SECTION_FINGERPRINTS, EG_SEGMENT_PAIR_SIZE))
        return fail_header(file, "contradicts itself on the number of chunks", error);
    if (header->first_id == 0 || header->last_id < header->first_id ||
        header->last_id - header->first_id < header->chunk_count - 1)
        return fail_header(file, "names an impossible range of ids", error);
    if (eg_segment_section(header, EG_SECTION_PAYLOAD)->size > EG_SEGMENT_PAYLOAD_MAX)
        return fail_header(file, "names too many bytes of corrections", error);
    return ENGRAM_OK;
}

/* Conditions 2 and 3. */
static engram_status check_basics(const eg_file *file, const uint8_t *slot, uint32_t id,
                                  const eg_segment_header *header, engram_error *error)
{
    unsigned version = eg_get_u16(slot + OFFSET_VERSION);
    if (version > EG_SEGMENT_VERSION)
        return eg_fail(error, ENGRAM_NEWER,
                       "%s has format version %u, this program reads up to %d: use a newer one",
                       eg_file_name(file), version, EG_SEGMENT_VERSION);
    if (version == 0 || eg_get_u16(slot + OFFSET_SLOT_SIZE) != EG_SEGMENT_SLOT_SIZE ||
        header->section_count > EG_SEGMENT_SECTIONS_MAX ||
        (header->stage != EG_SEGMENT_ACTIVE && header->stage != EG_SEGMENT_SEALED))
        return fail_header(file, "is not one of version 1 or 2", error);
    if (header->id != id)
        return eg_fail(error, ENGRAM_DAMAGED, "%s: the header is that of segment %" PRIu32,
                       eg_file_name(file), header->id);
    return ENGRAM_OK;
}

engram_status eg_segment_header_read(eg_io *io, eg_file *file, uint32_t id,
                                     eg_segment_header *header, engram_error *error)
{
    uint8_t slots[EG_SEGMENT_SLOT_STEP + EG_SEGMENT_SLOT_SIZE];
    EG_TRY(io->read(io, file, 0, slots, sizeof slots, error));
    const uint8_t *slot = choose_slot(slots);
    if (slot == NULL)
        return eg_fail(error, ENGRAM_DAMAGED,
                       "%s: neither header, at 0 or at %d, is that of a segment",
                       eg_file_name(file), EG_SEGMENT_SLOT_STEP);
    header_decode(slot, header);
    EG_TRY(check_basics(file, slot, id, header, error));
    EG_TRY(check_places(file, header, error));
    return header->stage == EG_SEGMENT_SEALED ? check_sealed(io, file, header, error) : ENGRAM_OK;
}

uint16_t eg_vector_check(const uint8_t *vector)
{
    uint32_t crc = eg_crc32(0, vector, EG_SEGMENT_VECTOR_SIZE);
    return (uint16_t)(crc ^ crc >> 16);
}

uint32_t eg_record_crc(const eg_chunk_record *record)
{
    return eg_crc32(0, record, offsetof(eg_chunk_record, crc));
}

bool eg_record_is_valid(const eg_chunk_record *record, uint64_t payload_size)
{
    bool is_delta = record->kind == EG_CORRECTION_DELTA;
    if (record->crc != eg_record_crc(record) || record->kind < EG_CORRECTION_DELTA ||
        record->kind > EG_CORRECTION_VERBATIM || record->size > EG_CHUNK_BYTES_MAX ||
        record->stored_size > record->size || record->depth > EG_CHUNK_DEPTH_MAX)
        return false;
    if (record->kind == EG_CORRECTION_VERBATIM && record->stored_size != record->size)
        return false;
    if (is_delta != (record->base != 0) || is_delta != (record->depth != 0))
        return false;
    return record->payload_offset <= payload_size &&
           record->stored_size <= payload_size - record->payload_offset;
}

uint64_t eg_fingerprint_prefix(const uint8_t fingerprint[16])
{
    return eg_get_be64(fingerprint);
}

char *eg_segment_path(const char *dir, uint32_t id)
{
    char name[32];
    snprintf(name, sizeof name, "%08" PRIu32 ".seg", id);
    return eg_path_join(dir, name);
}

bool eg_segment_parse_name(const char *name, uint32_t *id)
{
    size_t digits = strspn(name, "0123456789");
    if (digits != 8 || strcmp(name + digits, ".seg") != 0)
        return false;
    *id = (uint32_t)strtoul(name, NULL, 10);
    return *id != 0;
}

eg_columns *eg_columns_create(size_t capacity)
{
    size_t ids_at = capacity * EG_SEGMENT_VECTOR_SIZE;
    size_t self_at = ids_at + capacity * sizeof(uint64_t);
    uint8_t *memory = eg_alloc_aligned(64, self_at + sizeof(eg_columns));
    if (memory == NULL)
        return NULL;
    eg_columns *columns = (eg_columns *)(memory + self_at);
    *columns = (eg_columns){.ids = (uint64_t *)(memory + ids_at), .vectors = memory};
    return columns;
}

void eg_columns_free(eg_columns *columns)
{
    if (columns != NULL)
        eg_free(columns->vectors);
}

const char *eg_segment_name(const eg_segment *segment)
{
    return segment->file != NULL ? eg_file_name(segment->file) : "a segment in memory";
}

void eg_segment_free(eg_segment *segment)
{
    if (segment == NULL)
        return;
    eg_io *io = segment->io;
    if (segment->mapped != NULL)
        io->unmap(io, segment->mapped,
                  (size_t)eg_segment_section(&segment->header, EG_SECTION_VECTORS)->size);
    eg_free(segment->mapped_ids);
    eg_columns_free(segment->columns);
    eg_free(segment->memory);
    eg_buffer_fini(&segment->tail);
    eg_buffer_fini(&segment->writing);
    for (size_t i = 0; i < segment->block_count; i++)
        eg_free(segment->blocks[i]);
    eg_free(segment->blocks);
    io->close(io, &segment->file);
    pthread_mutex_destroy(&segment->lock);
    pthread_mutex_destroy(&segment->sync_lock);
    pthread_mutex_destroy(&segment->tail_lock);
    pthread_mutex_destroy(&segment->tail_write_lock);
    eg_free(segment);
}
