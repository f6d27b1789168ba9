/* Writing a segment: create, append, seal. segment.c states the order of syncs. */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "store/segment.h"

enum {
    TAIL_SIZE = 256 << 10, /* small corrections are gathered up to this before they are written */
    TAIL_MAX = 8 * TAIL_SIZE, /* by others; then by the appending thread itself */
    IN_TAIL_MAX = 64 << 10   /* a larger one goes straight to the file */
};

uint64_t eg_segment_align(uint64_t offset, uint64_t to)
{
    return (offset + to - 1) / to * to;
}

/* ---- create ---- */

/* Where an active segment keeps what: so far behind that the sealed layout fits before it. */
static void reserve_regions(eg_segment_header *header, uint64_t payload_capacity)
{
    uint64_t chunks = EG_SEGMENT_CHUNKS_MAX;
    uint64_t dense =
        payload_capacity + 3 * EG_SEGMENT_PAGE +
        chunks * (EG_SEGMENT_RECORD_SIZE + EG_SEGMENT_VECTOR_SIZE + EG_SEGMENT_PAIR_SIZE);
    uint64_t records = eg_segment_align(EG_SEGMENT_PAYLOAD_START + dense, EG_SEGMENT_PAGE);
    uint64_t vectors = eg_segment_align(records + chunks * EG_SEGMENT_RECORD_SIZE, EG_SEGMENT_PAGE);
    header->section_count = 3;
    header->sections[0] = (eg_section){
        .tag = EG_SECTION_PAYLOAD, .offset = EG_SEGMENT_PAYLOAD_START, .size = payload_capacity};
    header->sections[1] = (eg_section){
        .tag = EG_SECTION_RECORDS, .offset = records, .size = chunks * EG_SEGMENT_RECORD_SIZE};
    header->sections[2] = (eg_section){
        .tag = EG_SECTION_VECTORS, .offset = vectors, .size = chunks * EG_SEGMENT_VECTOR_SIZE};
}

engram_status eg_segment_write_slot(eg_segment *segment, const eg_segment_header *header,
                                uint64_t offset, engram_error *error)
{
    uint8_t slot[EG_SEGMENT_SLOT_SIZE];
    eg_segment_header_encode(header, slot);
    return segment->io->write(segment->io, segment->file, offset, slot, sizeof slot, error);
}

static engram_status write_new_file(eg_segment *segment, const char *dir, engram_error *error)
{
    eg_io *io = segment->io;
    char *path = eg_segment_path(dir, segment->id);
    if (path == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for a segment");
    engram_status status =
        io->open(io, path, EG_OPEN_WRITE | EG_OPEN_CREATE, &segment->file, error);
    eg_free(path);
    EG_TRY(status);
    /* The second slot is there from the start, so that both can always be read. */
    uint8_t empty[EG_SEGMENT_SLOT_STEP] = {0};
    EG_TRY(io->write(io, segment->file, EG_SEGMENT_SLOT_STEP, empty, sizeof empty, error));
    EG_TRY(eg_segment_write_slot(segment, &segment->header, 0, error));
    EG_TRY(io->sync(io, segment->file, error));
    return io->sync_dir(io, dir, error);
}

static engram_status allocate(eg_segment *segment, uint32_t chunks_max, bool is_dense)
{
    segment->block_count = (chunks_max + (size_t)EG_SEGMENT_BLOCK - 1) / EG_SEGMENT_BLOCK;
    segment->blocks = eg_alloc_zero(segment->block_count, sizeof *segment->blocks);
    if (segment->blocks == NULL) {
        segment->block_count = 0;
        return ENGRAM_NO_MEMORY;
    }
    if (is_dense)
        return ENGRAM_OK;
    segment->columns = eg_columns_create(chunks_max);
    return segment->columns != NULL ? ENGRAM_OK : ENGRAM_NO_MEMORY;
}

static eg_segment *segment_new(eg_io *io, const eg_segment_plan *plan, uint32_t chunks_max,
                               bool is_dense)
{
    eg_segment *segment = eg_alloc_zero(1, sizeof *segment);
    if (segment == NULL)
        return NULL;
    segment->io = io;
    segment->id = plan->id;
    segment->level = plan->level;
    segment->payload_start = EG_SEGMENT_PAYLOAD_START;
    segment->payload_capacity = plan->payload_size;
    segment->is_written_here = true;
    segment->ids_contiguous = true;
    segment->loaded = true;
    pthread_mutex_init(&segment->lock, NULL);
    pthread_mutex_init(&segment->sync_lock, NULL);
    pthread_mutex_init(&segment->tail_lock, NULL);
    pthread_mutex_init(&segment->tail_write_lock, NULL);
    segment->header = (eg_segment_header){.id = plan->id,
                                          .generation = 1,
                                          .stage = EG_SEGMENT_ACTIVE,
                                          .level = plan->level,
                                          .created_ns = eg_clock_wall_ns()};
    reserve_regions(&segment->header, plan->payload_size + EG_CHUNK_BYTES_MAX);
    if (allocate(segment, chunks_max, is_dense) != ENGRAM_OK) {
        eg_segment_free(segment);
        return NULL;
    }
    return segment;
}

engram_status eg_segment_create(eg_io *io, const char *dir, const eg_segment_plan *plan,
                                eg_segment **segment, engram_error *error)
{
    *segment = NULL;
    eg_segment *made = segment_new(io, plan, EG_SEGMENT_CHUNKS_MAX, false);
    if (made == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for a segment");
    engram_status status = write_new_file(made, dir, error);
    if (status != ENGRAM_OK) {
        eg_segment_free(made);
        return status;
    }
    *segment = made;
    return ENGRAM_OK;
}

/* A name of its own, and nothing else: no header, no regions. */
static engram_status make_bare_file(eg_segment *segment, const char *dir, engram_error *error)
{
    char *path = eg_segment_path(dir, segment->id);
    if (path == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for a segment");
    engram_status status = segment->io->open(segment->io, path, EG_OPEN_WRITE | EG_OPEN_CREATE,
                                             &segment->file, error);
    if (status != ENGRAM_OK && status != ENGRAM_EXISTS) /* it may be there for all that */
        segment->io->unlink(segment->io, path, NULL);
    eg_free(path);
    return status;
}

engram_status eg_segment_create_dense(eg_io *io, const char *dir, const eg_segment_plan *plan,
                                      uint32_t chunks_max, eg_segment **segment,
                                      engram_error *error)
{
    *segment = NULL;
    eg_segment *made = segment_new(io, plan, chunks_max, true);
    if (made == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for a segment");
    made->header.generation = 0; /* the sealed one is the first */
    made->header.compacted_ns = made->header.created_ns;
    engram_status status = make_bare_file(made, dir, error);
    if (status != ENGRAM_OK) {
        eg_segment_free(made);
        return status;
    }
    *segment = made;
    return ENGRAM_OK;
}

engram_status eg_segment_create_in_memory(eg_io *io, const eg_segment_plan *plan,
                                          eg_segment **segment, engram_error *error)
{
    *segment = NULL;
    eg_segment *made = segment_new(io, plan, EG_SEGMENT_CHUNKS_MAX, false);
    if (made != NULL)
        made->memory = eg_alloc(plan->payload_size + EG_CHUNK_BYTES_MAX);
    if (made == NULL || made->memory == NULL) {
        eg_segment_free(made);
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for a segment");
    }
    *segment = made;
    return ENGRAM_OK;
}

/* ---- append ---- */

engram_status eg_segment_reserve(eg_segment *segment, uint32_t count, engram_error *error)
{
    size_t need = (size_t)segment->appended + count;
    assert(need <= segment->block_count * EG_SEGMENT_BLOCK);
    for (size_t i = segment->appended / EG_SEGMENT_BLOCK; i * EG_SEGMENT_BLOCK < need; i++) {
        if (segment->blocks[i] != NULL)
            continue;
        segment->blocks[i] = eg_alloc(EG_SEGMENT_BLOCK * sizeof **segment->blocks);
        if (segment->blocks[i] == NULL)
            return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for the records of a segment");
    }
    return ENGRAM_OK;
}

/* What a failed write leaves in `writing` stays: readers have it from there. */
static engram_status write_taken(eg_segment *segment, engram_error *error)
{
    pthread_mutex_lock(&segment->tail_lock);
    if (segment->writing.size == 0) {
        eg_buffer empty = segment->writing;
        segment->writing = segment->tail;
        segment->tail = empty;
    }
    uint64_t at = atomic_load(&segment->in_file);
    pthread_mutex_unlock(&segment->tail_lock);
    if (segment->writing.size == 0)
        return ENGRAM_OK;
    EG_TRY(segment->io->write(segment->io, segment->file, segment->payload_start + at,
                              segment->writing.data, segment->writing.size, error));
    if (segment->io->start_writing != NULL)
        segment->io->start_writing(segment->io, segment->file, segment->payload_start + at,
                                   segment->writing.size);
    pthread_mutex_lock(&segment->tail_lock);
    atomic_store(&segment->in_file, at + segment->writing.size);
    eg_buffer_clear(&segment->writing);
    pthread_mutex_unlock(&segment->tail_lock);
    return ENGRAM_OK;
}

engram_status eg_segment_write_tail(eg_segment *segment, engram_error *error)
{
    pthread_mutex_lock(&segment->tail_write_lock);
    engram_status status = write_taken(segment, error);
    pthread_mutex_unlock(&segment->tail_write_lock);
    return status;
}

bool eg_segment_has_long_tail(eg_segment *segment)
{
    pthread_mutex_lock(&segment->tail_lock);
    bool is_long = segment->tail.size >= TAIL_SIZE;
    pthread_mutex_unlock(&segment->tail_lock);
    return is_long;
}

/* Past the tail. */
static engram_status write_large(eg_segment *segment, const uint8_t *correction, size_t size,
                                 engram_error *error)
{
    pthread_mutex_lock(&segment->tail_write_lock);
    engram_status status = write_taken(segment, error);
    if (status == ENGRAM_OK)
        status = segment->io->write(segment->io, segment->file,
                                    segment->payload_start + segment->payload_written, correction,
                                    size, error);
    if (status == ENGRAM_OK)
        atomic_fetch_add(&segment->in_file, size);
    pthread_mutex_unlock(&segment->tail_write_lock);
    return status;
}

/* The appending thread alone fills the tail. */
static engram_status write_payload(eg_segment *segment, const uint8_t *correction, size_t size,
                                   engram_error *error)
{
    if (size > IN_TAIL_MAX)
        return write_large(segment, correction, size, error);
    pthread_mutex_lock(&segment->tail_lock);
    bool full = segment->tail.size + size > TAIL_MAX;
    pthread_mutex_unlock(&segment->tail_lock);
    if (full)
        EG_TRY(eg_segment_write_tail(segment, error));
    pthread_mutex_lock(&segment->tail_lock);
    eg_write_bytes(&segment->tail, correction, size);
    bool failed = segment->tail.failed;
    pthread_mutex_unlock(&segment->tail_lock);
    return failed ? eg_fail(error, ENGRAM_NO_MEMORY, "no memory to write a segment") : ENGRAM_OK;
}

static engram_status add_payload(eg_segment *segment, const uint8_t *correction, size_t size,
                                 engram_error *error)
{
    if (segment->memory == NULL) {
        EG_TRY(write_payload(segment, correction, size, error));
        segment->payload_crc = eg_crc32(segment->payload_crc, correction, size);
    } else if (size > 0) {
        memcpy(segment->memory + segment->payload_written, correction, size);
    }
    segment->payload_written += size;
    return ENGRAM_OK;
}

static void add_vector(eg_columns *columns, uint32_t index, uint64_t id, const uint8_t *vector)
{
    memcpy(columns->vectors + (size_t)index * EG_SEGMENT_VECTOR_SIZE, vector,
           EG_SEGMENT_VECTOR_SIZE);
    columns->ids[index] = id;
}

engram_status eg_segment_add(eg_segment *segment, eg_chunk_record *record, const uint8_t *vector,
                             const uint8_t *correction, engram_error *error)
{
    uint32_t index = segment->appended;
    record->payload_offset = (uint32_t)segment->payload_written;
    EG_TRY(add_payload(segment, correction, record->stored_size, error));
    record->vector_check = eg_vector_check(vector);
    record->crc = eg_record_crc(record);
    segment->blocks[index / EG_SEGMENT_BLOCK][index % EG_SEGMENT_BLOCK] = *record;
    if (segment->columns != NULL)
        add_vector(segment->columns, index, record->id, vector);
    if (index == 0)
        segment->first_id = record->id;
    if (record->id != segment->first_id + index)
        atomic_store(&segment->ids_contiguous, false);
    segment->appended = index + 1;
    return ENGRAM_OK;
}

/* Records [from, to), which lie in blocks, to the file; *crc is continued. */
engram_status eg_segment_write_records(eg_segment *segment, uint32_t from, uint32_t to, uint64_t offset,
                                   uint32_t *crc, engram_error *error)
{
    while (from < to) {
        uint32_t block_end = from / EG_SEGMENT_BLOCK * EG_SEGMENT_BLOCK + EG_SEGMENT_BLOCK;
        uint32_t end = block_end < to ? block_end : to;
        size_t size = (end - from) * sizeof(eg_chunk_record);
        const eg_chunk_record *records = eg_segment_record(segment, from);
        EG_TRY(segment->io->write(segment->io, segment->file, offset, records, size, error));
        *crc = eg_crc32(*crc, records, size);
        offset += size;
        from = end;
    }
    return ENGRAM_OK;
}

engram_status eg_segment_flush(eg_segment *segment, uint32_t count, engram_error *error)
{
    uint32_t from = segment->flushed, crc = 0;
    EG_TRY(eg_segment_write_tail(segment, error));
    if (from >= count)
        return ENGRAM_OK;
    uint64_t records = eg_segment_section(&segment->header, EG_SECTION_RECORDS)->offset;
    uint64_t vectors = eg_segment_section(&segment->header, EG_SECTION_VECTORS)->offset;
    size_t vectors_from = (size_t)from * EG_SEGMENT_VECTOR_SIZE;
    EG_TRY(eg_segment_write_records(segment, from, count, records + (uint64_t)from * sizeof(eg_chunk_record),
                         &crc, error));
    EG_TRY(segment->io->write(segment->io, segment->file, vectors + vectors_from,
                              segment->columns->vectors + vectors_from,
                              (size_t)(count - from) * EG_SEGMENT_VECTOR_SIZE, error));
    segment->flushed = count;
    return ENGRAM_OK;
}

void eg_segment_publish(eg_segment *segment)
{
    atomic_store(&segment->payload_size, segment->payload_written);
    atomic_store_explicit(&segment->count, segment->appended, memory_order_release);
}

bool eg_segment_is_full(const eg_segment *segment)
{
    return segment->appended == EG_SEGMENT_CHUNKS_MAX ||
           segment->payload_written >= segment->payload_capacity;
}

bool eg_segment_is_half_full(const eg_segment *segment)
{
    return segment->appended >= EG_SEGMENT_CHUNKS_MAX / 2 ||
           segment->payload_written >= segment->payload_capacity / 2;
}
