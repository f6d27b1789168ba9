/* Staging: found in the store, found among what waits, or new. */
#include "engram/stage.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/status.h"
#include "engram/internal.h"

enum { TABLE_FIRST = 64 };

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory encoding");
}

/* ---- workbenches ---- */

static void workbench_free(eg_workbench *bench)
{
    eg_coder_free(bench->coder);
    eg_coder_free(bench->fast);
    eg_free(bench->packed);
    eg_free(bench->compare);
    eg_free(bench);
}

static engram_status fill_workbench(eg_engram *engram, eg_workbench *bench, engram_error *error)
{
    size_t size = engram->chunker.size_max;
    int level = engram->manifest.config.level;
    bench->packed = eg_alloc(eg_coder_bound(size));
    bench->compare = eg_alloc(size);
    if (bench->packed == NULL || bench->compare == NULL)
        return no_memory(error);
    EG_TRY(eg_coder_create(level, &bench->coder, error));
    return eg_coder_create(1, &bench->fast, error);
}

engram_status eg_workbench_take(eg_engram *engram, eg_workbench **bench, engram_error *error)
{
    pthread_mutex_lock(&engram->workbench_lock);
    eg_workbench *idle = engram->workbenches;
    if (idle != NULL)
        engram->workbenches = idle->next;
    pthread_mutex_unlock(&engram->workbench_lock);
    if (idle == NULL) {
        idle = eg_alloc_zero(1, sizeof *idle);
        if (idle == NULL)
            return no_memory(error);
        engram_status status = fill_workbench(engram, idle, error);
        if (status != ENGRAM_OK) {
            workbench_free(idle);
            return status;
        }
    }
    *bench = idle;
    return ENGRAM_OK;
}

void eg_workbench_give(eg_engram *engram, eg_workbench *bench)
{
    pthread_mutex_lock(&engram->workbench_lock);
    bench->next = engram->workbenches;
    engram->workbenches = bench;
    pthread_mutex_unlock(&engram->workbench_lock);
}

void eg_workbench_free_all(eg_engram *engram)
{
    while (engram->workbenches != NULL) {
        eg_workbench *bench = engram->workbenches;
        engram->workbenches = bench->next;
        workbench_free(bench);
    }
}

/* ---- the table of what waits ---- */

static size_t slot_of(const eg_stage *s, const eg_fingerprint *fingerprint)
{
    return eg_get_u64(fingerprint->bytes) & (s->table_size - 1);
}

static void enter(eg_stage *s, size_t index)
{
    size_t at = slot_of(s, &s->chunks[index].fingerprint);
    while (s->table[at] != 0)
        at = (at + 1) & (s->table_size - 1);
    s->table[at] = (uint32_t)index + 1;
}

static engram_status reserve(eg_stage *s, engram_error *error)
{
    if (!eg_grow((void **)&s->chunks, &s->capacity, s->count + 1, sizeof *s->chunks) ||
        !eg_grow((void **)&s->bytes, &s->bytes_capacity, s->count + 1, sizeof *s->bytes) ||
        !eg_grow((void **)&s->ids, &s->id_capacity, s->id_count + 1, sizeof *s->ids))
        return no_memory(error);
    if (2 * (s->count + 1) <= s->table_size)
        return ENGRAM_OK;
    size_t size = s->table_size != 0 ? 2 * s->table_size : TABLE_FIRST;
    uint32_t *table = eg_alloc_zero(size, sizeof *table);
    if (table == NULL)
        return no_memory(error);
    eg_free(s->table);
    s->table = table;
    s->table_size = size;
    for (size_t i = 0; i < s->count; i++)
        enter(s, i);
    return ENGRAM_OK;
}

static bool find_waiting(const eg_stage *s, const eg_fingerprint *fingerprint, const uint8_t *bytes,
                         size_t size, uint64_t *id)
{
    for (size_t at = s->table_size != 0 ? slot_of(s, fingerprint) : 0;
         s->table_size != 0 && s->table[at] != 0; at = (at + 1) & (s->table_size - 1)) {
        size_t i = s->table[at] - 1;
        if (s->chunks[i].size == size && memcmp(s->bytes[i], bytes, size) == 0) {
            *id = EG_STAGED_BIT | (s->id_count - s->count + i);
            return true;
        }
    }
    return false;
}

/* ---- one chunk ---- */

/* A stored chunk that cannot be read is no match: the bytes are stored again. */
static engram_status find_stored(eg_stage *s, eg_workbench *bench,
                                 const eg_fingerprint *fingerprint, const uint8_t *bytes,
                                 size_t size, uint64_t *id, engram_error *error)
{
    eg_store *store = s->engram->store;
    uint64_t ids[EG_STORE_CANDIDATES];
    size_t count = eg_store_find(store, fingerprint, (uint32_t)size, ids), got;
    *id = 0;
    for (size_t i = 0; i < count && *id == 0; i++) {
        engram_error inner = {0};
        engram_status status =
            eg_store_read(store, ids[i], bench->compare, s->engram->chunker.size_max, &got, &inner);
        if (status == ENGRAM_NO_MEMORY || status == ENGRAM_IO)
            return eg_fail(error, status, "%s", inner.message);
        if (status == ENGRAM_OK && got == size && memcmp(bench->compare, bytes, size) == 0 &&
            eg_store_use(store, ids[i]))
            *id = ids[i];
    }
    return ENGRAM_OK;
}

/* Bytes that are as frequent as each other and windows that do not repeat: nothing for a packer to
 * find. The first is counted in PIECES pieces of PIECE bytes from all over the chunk: the sum of the
 * squared counts spreads by 1.8 % there, and text exceeds what is expected eightfold. The second
 * follows from the spread: 256 t distinct windows have a mean priority of 1 / t in each block. */
static bool looks_random(const uint8_t *bytes, size_t size, uint32_t spread)
{
    enum { PIECES = 64, PIECE = 16, COUNTED = PIECES * PIECE };
    uint16_t counts[256] = {0};
    if (size < COUNTED)
        return false;
    for (size_t p = 0; p < PIECES; p++)
        for (size_t i = 0; i < PIECE; i++)
            counts[bytes[p * (size - PIECE) / (PIECES - 1) + i]]++;
    uint32_t squares = 0;
    for (size_t v = 0; v < 256; v++)
        squares += (uint32_t)counts[v] * counts[v];
    double distinct = 256.0 * 256.0 * (1 << 24) / ((double)spread + 1);
    return squares < 1.08 * (COUNTED + COUNTED * (COUNTED - 1) / 256) &&
           distinct > 0.85 * (double)size;
}

/* What a record carries is packed fast, since a caller waits. Bytes that are kept verbatim stay where they are. */
static engram_status pack(const eg_stage *s, eg_workbench *bench, const uint8_t *bytes,
                          eg_new_chunk *chunk, size_t *packed_size, engram_error *error)
{
    if (s->spilled)
        return eg_coder_pack(bench->coder, bytes, chunk->size, bench->packed, &chunk->kind,
                             packed_size, error);
    if (!looks_random(bytes, chunk->size, chunk->spread))
        return eg_coder_pack(bench->fast, bytes, chunk->size, bench->packed, &chunk->kind,
                             packed_size, error);
    chunk->kind = EG_CORRECTION_VERBATIM;
    *packed_size = chunk->size;
    return ENGRAM_OK;
}

static engram_status add_new(eg_stage *s, eg_workbench *bench, const eg_fingerprint *fingerprint,
                             const uint8_t *bytes, size_t size, engram_error *error)
{
    eg_new_chunk chunk = {.fingerprint = *fingerprint, .size = (uint32_t)size};
    size_t packed_size = 0;
    uint8_t vector[ENGRAM_BLOCKS];
    EG_TRY(reserve(s, error));
    s->engram->kernels.encode(&s->engram->codebook, bytes, size, vector, &chunk.spread);
    EG_TRY(pack(s, bench, bytes, &chunk, &packed_size, error));
    size_t apart = chunk.kind == EG_CORRECTION_VERBATIM ? 0 : packed_size;
    uint8_t *memory = eg_alloc(size + ENGRAM_BLOCKS + apart), *packed = memory + size + ENGRAM_BLOCKS;
    if (memory == NULL)
        return no_memory(error);
    memcpy(memory, bytes, size);
    memcpy(memory + size, vector, sizeof vector);
    memcpy(packed, bench->packed, apart);
    chunk.vector = memory + size;
    chunk.correction = (eg_view){apart != 0 ? packed : memory, packed_size};
    chunk.created_ns = eg_clock_wall_ns();
    s->chunks[s->count] = chunk;
    s->bytes[s->count] = memory;
    s->ids[s->id_count++] = 0;
    enter(s, s->count++);
    s->waiting_size += size;
    return ENGRAM_OK;
}

engram_status eg_stage_chunk(eg_stage *s, const uint8_t *bytes, size_t size, eg_chunk_ref *ref,
                             engram_error *error)
{
    eg_fingerprint fingerprint = eg_fingerprint_of(bytes, size);
    eg_workbench *bench;
    ref->size = (uint32_t)size;
    if (find_waiting(s, &fingerprint, bytes, size, &ref->id))
        return ENGRAM_OK;
    eg_stage_hold(s);
    EG_TRY(eg_workbench_take(s->engram, &bench, error));
    engram_status status = find_stored(s, bench, &fingerprint, bytes, size, &ref->id, error);
    if (status == ENGRAM_OK && ref->id != 0) {
        s->found_max = ref->id > s->found_max ? ref->id : s->found_max;
    } else if (status == ENGRAM_OK) {
        ref->id = EG_STAGED_BIT | s->id_count;
        status = add_new(s, bench, &fingerprint, bytes, size, error);
    }
    eg_workbench_give(s->engram, bench);
    return status;
}

/* ---- into the store ---- */

static void clear_waiting(eg_stage *s)
{
    for (size_t i = 0; i < s->count; i++)
        eg_free(s->bytes[i]);
    s->count = 0;
    s->waiting_size = 0;
    if (s->table_size != 0)
        memset(s->table, 0, s->table_size * sizeof *s->table);
}

void eg_stage_hold(eg_stage *s)
{
    eg_store_hold_begin(s->engram->store, &s->hold);
}

static void let_go(eg_stage *s)
{
    if (s->hold.is_held)
        eg_store_hold_end(s->engram->store, &s->hold);
}

void eg_stage_clear(eg_stage *s)
{
    clear_waiting(s);
    let_go(s);
    s->id_count = 0;
    s->found_max = 0;
    s->spilled = false;
    s->chunk_ops.size = 0;
}

size_t eg_stage_memory(const eg_stage *s)
{
    return s->capacity * sizeof *s->chunks + s->bytes_capacity * sizeof *s->bytes + s->id_capacity * sizeof *s->ids +
           s->table_size * sizeof *s->table + s->chunk_ops.capacity;
}

void eg_stage_fini(eg_stage *s)
{
    clear_waiting(s);
    let_go(s);
    eg_free(s->chunks);
    eg_free(s->bytes);
    eg_free(s->ids);
    eg_free(s->table);
    eg_buffer_fini(&s->chunk_ops);
}

engram_status eg_stage_append(eg_stage *s, uint64_t version, uint64_t time_ns, engram_error *error)
{
    if (s->count == 0)
        return ENGRAM_OK;
    for (size_t i = 0; i < s->count; i++) {
        s->chunks[i].version = version;
        s->chunks[i].created_ns = time_ns;
    }
    engram_status status = eg_store_append(s->engram->store, s->chunks, s->count,
                                           s->ids + s->id_count - s->count, error);
    if (status != ENGRAM_OK && status != ENGRAM_INVALID) /* the store takes nothing more */
        eg_engram_fail(s->engram, status);
    return status;
}

void eg_stage_write(const eg_stage *s, eg_buffer *out)
{
    if (s->count == 0)
        return;
    const uint64_t *ids = s->ids + s->id_count - s->count;
    for (size_t i = 0; i < s->count; i++)
        eg_ops_chunk(out, ids[i], &s->chunks[i]);
}

engram_status eg_stage_check_room(const eg_stage *s, engram_error *error)
{
    uint64_t size = 0;
    for (size_t i = 0; i < s->count; i++)
        size += s->chunks[i].correction.size;
    return eg_store_check_room(s->engram->store, size, s->count, error);
}

engram_status eg_stage_spill(eg_stage *s, engram_error *error)
{
    eg_engram *e = s->engram;
    if (s->count == 0)
        return ENGRAM_OK;
    EG_TRY(eg_stage_check_room(s, error));
    const uint64_t *ids = s->ids + s->id_count - s->count;
    s->spilled = true;
    eg_version newest;
    EG_TRY(eg_engram_pin(e, &newest, error));
    uint64_t version = newest.number + 1; /* or a later one: it is not known yet */
    eg_version_release(&newest);
    atomic_fetch_add(&e->loose_started, 1);
    engram_status status = eg_stage_append(s, version, eg_clock_wall_ns(), error);
    atomic_fetch_add(&e->loose_finished, 1);
    for (size_t i = 0; i < s->count && status == ENGRAM_OK; i++)
        eg_ops_write_chunk(&s->chunk_ops, ids[i], &s->chunks[i].fingerprint, s->chunks[i].size);
    if (status == ENGRAM_OK && s->chunk_ops.failed)
        status = no_memory(error);
    if (status == ENGRAM_OK)
        clear_waiting(s);
    return status;
}

static uint64_t real_id(const eg_stage *s, uint64_t id)
{
    return id & EG_STAGED_BIT ? s->ids[id & ~EG_STAGED_BIT] : id;
}

engram_status eg_stage_read(eg_stage *s, uint64_t id, uint8_t *bytes, size_t capacity, size_t *size,
                            engram_error *error)
{
    size_t first = s->id_count - s->count, number = (size_t)(id & ~EG_STAGED_BIT);
    if ((id & EG_STAGED_BIT) == 0 || number < first)
        return eg_store_read(s->engram->store, real_id(s, id), bytes, capacity, size, error);
    *size = s->chunks[number - first].size;
    if (*size > capacity)
        return eg_fail(error, ENGRAM_INVALID, "no room for a chunk of %zu bytes", *size);
    memcpy(bytes, s->bytes[number - first], *size);
    return ENGRAM_OK;
}

void eg_stage_resolve(const eg_stage *s, uint8_t *ops, size_t size)
{
    enum { SPLICE_FIXED = 24 };
    eg_reader in = eg_reader_make(ops, size);
    eg_op op;
    while (eg_op_next(&in, &op)) {
        if (op.tag != EG_OP_SPLICE)
            continue;
        uint8_t *refs = ops + (op.body.data - ops) + SPLICE_FIXED;
        for (size_t i = 0; i + SPLICE_FIXED < op.body.size; i += EG_REF_SIZE) {
            eg_chunk_ref ref = eg_ref_get(refs + i);
            ref.id = real_id(s, ref.id);
            eg_ref_put(refs + i, ref);
        }
    }
}
