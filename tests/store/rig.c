#define ZSTD_STATIC_LINKING_ONLY
#include "store/rig.h"

#include <pthread.h>
#include <string.h>
#include <zstd.h>

#include "base/memory.h"
#include "store/internal.h"

static engram_status skip_sync(eg_io *io, eg_file *file, engram_error *error)
{
    (void)io, (void)file, (void)error;
    return ENGRAM_OK;
}

static engram_status skip_sync_dir(eg_io *io, const char *path, engram_error *error)
{
    (void)io, (void)path, (void)error;
    return ENGRAM_OK;
}

static eg_io lazy;

static void make_lazy(void)
{
    lazy = *eg_io_posix();
    lazy.sync = skip_sync;
    lazy.sync_dir = skip_sync_dir;
}

eg_io *rig_io(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_lazy);
    return &lazy;
}

rig *rig_create(uint64_t seed, uint64_t segment_size, uint32_t size_max)
{
    rig *r = calloc(1, sizeof *r);
    assert_non_null(r);
    assert_int_equal(temp_dir_init(&r->dir), 0);
    r->io = rig_io();
    r->seed = seed;
    r->size_max = size_max;
    r->options = (eg_store_options){.dedup = true, .segment_size = segment_size};
    r->bytes = malloc(RIG_BYTES_MAX + 1);
    r->other = malloc(RIG_BYTES_MAX + 1);
    r->sizes = calloc(RIG_CHUNKS_MAX, sizeof *r->sizes);
    r->bases = calloc(RIG_CHUNKS_MAX, sizeof *r->bases);
    r->depths = calloc(RIG_CHUNKS_MAX, sizeof *r->depths);
    assert_true(r->bytes != NULL && r->other != NULL);
    assert_true(r->sizes != NULL && r->bases != NULL && r->depths != NULL);
    return r;
}

void rig_free(rig *r)
{
    eg_store_close(&r->store);
    eg_free(r->states);
    temp_dir_fini(&r->dir);
    free(r->bytes);
    free(r->other);
    free(r->sizes);
    free(r->bases);
    free(r->depths);
    free(r);
}

engram_status rig_try_open(rig *r, bool read_only, engram_error *error)
{
    r->options.read_only = read_only;
    r->options.next_id = r->chunk_count == 0 ? 1 : rig_id(r, r->chunk_count - 1) + 1;
    return eg_store_open(r->io, r->dir.path, r->states, r->state_count, &r->options, &r->store,
                         error);
}

void rig_open(rig *r)
{
    assert_ok(rig_try_open(r, false, error));
    assert_true(eg_store_validate(r->store));
}

void rig_open_reader(rig *r)
{
    assert_ok(rig_try_open(r, true, error));
    assert_true(eg_store_validate(r->store));
}

void rig_take_states(rig *r)
{
    eg_free(r->states);
    r->states = NULL;
    assert_ok(eg_store_sync(r->store, error));
    assert_ok(eg_store_get_states(r->store, &r->states, &r->state_count, error));
}

void rig_close(rig *r)
{
    rig_take_states(r);
    eg_store_close(&r->store);
    assert_null(r->store);
}

void rig_wait_for_sealer(rig *r)
{
    eg_sealer *sealer = &r->store->sealer;
    pthread_mutex_lock(&sealer->lock);
    while ((sealer->waiting_count > 0 || sealer->wants_spare || sealer->is_making) &&
           !atomic_load(&r->store->failed))
        pthread_cond_wait(&sealer->changed, &sealer->lock);
    pthread_mutex_unlock(&sealer->lock);
}

char *rig_path(rig *r, uint64_t segment_id)
{
    char *path = malloc(600);
    assert_non_null(path);
    snprintf(path, 600, "%s/%08u.seg", r->dir.path, (unsigned)segment_id);
    return path;
}

uint64_t rig_id(const rig *r, size_t i)
{
    return 1 + i * (r->stride != 0 ? r->stride : 1);
}

static uint64_t of_chunk(rig *r, size_t i, uint64_t salt)
{
    return test_mix(r->seed ^ test_mix((uint64_t)i * 16 + salt));
}

static uint32_t size_of(rig *r, size_t i)
{
    uint64_t x = of_chunk(r, i, 1);
    if (r->size_max == 0)
        return r->sizes[i];
    return x % 16 == 0 ? (uint32_t)(x >> 32) % 3 : (uint32_t)((x >> 32) % r->size_max);
}

/* Half of the chunks do not compress. */
static void fill(uint64_t state, uint8_t *bytes, size_t size)
{
    uint8_t mask = state & 1 ? 0xFF : 0x0F;
    for (size_t k = 0; k < size; k++)
        bytes[k] = (uint8_t)(k % 8 == 0 ? test_random(&state) : state >> (k % 8 * 8)) & mask;
}

uint32_t rig_bytes(rig *r, size_t i, uint8_t *bytes)
{
    if (r->bases[i] != 0) {
        uint32_t size = rig_bytes(r, (size_t)r->bases[i] - 1, bytes);
        bytes[of_chunk(r, i, 2) % size] ^= (uint8_t)(1 + i % 255);
        return size;
    }
    uint32_t size = size_of(r, i);
    fill(of_chunk(r, i, 3), bytes, size);
    return size;
}

void rig_vector(rig *r, size_t i, uint8_t *vector)
{
    fill(of_chunk(r, i, 4) | 1, vector, 256);
}

uint32_t rig_spread(rig *r, size_t i)
{
    return (uint32_t)of_chunk(r, i, 5);
}

size_t rig_pack(const uint8_t *base, size_t base_size, const uint8_t *bytes, size_t size,
                uint8_t *out, size_t capacity)
{
    ZSTD_CCtx *context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, 3);
    ZSTD_CCtx_setParameter(context, ZSTD_c_format, ZSTD_f_zstd1_magicless);
    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
    ZSTD_CCtx_refPrefix(context, base, base_size);
    size_t result = ZSTD_compress2(context, out, capacity, bytes, size);
    ZSTD_freeCCtx(context);
    assert_false(ZSTD_isError(result));
    return result;
}

/* Makes chunk i of the model a delta, when that suits it. */
static size_t try_delta(rig *r, size_t i, uint8_t *out, size_t capacity)
{
    if (i % 5 != 4 || r->size_max == 0)
        return 0;
    size_t base = i - 1 - of_chunk(r, i, 6) % (i < 20 ? i : 20);
    if (r->depths[base] >= 60 || rig_bytes(r, base, r->other) < 64)
        return 0;
    uint32_t base_size = r->sizes[base];
    r->bases[i] = base + 1;
    rig_bytes(r, i, r->bytes);
    size_t size = rig_pack(r->other, base_size, r->bytes, base_size, out, capacity);
    if (size >= base_size) {
        r->bases[i] = 0;
        return 0;
    }
    r->depths[i] = (uint8_t)(r->depths[base] + 1);
    return size;
}

static size_t pack_alone(rig *r, size_t i, uint8_t *out, size_t capacity, eg_new_chunk *chunk)
{
    uint32_t size = r->sizes[i];
    size_t stored_size = rig_pack(NULL, 0, r->bytes, size, out, capacity);
    chunk->kind = EG_CORRECTION_PACKED;
    if (stored_size < size)
        return stored_size;
    chunk->kind = EG_CORRECTION_VERBATIM;
    memcpy(out, r->bytes, size);
    return size;
}

static void prepare(rig *r, size_t i, eg_new_chunk *chunk, uint8_t *vector, uint8_t *out,
                    size_t capacity)
{
    r->bases[i] = 0;
    r->depths[i] = 0;
    *chunk = (eg_new_chunk){.kind = EG_CORRECTION_DELTA, .version = i / 7, .created_ns = i * 11};
    size_t stored_size = try_delta(r, i, out, capacity);
    r->sizes[i] = rig_bytes(r, i, r->bytes);
    if (r->bases[i] == 0)
        stored_size = pack_alone(r, i, out, capacity, chunk);
    rig_vector(r, i, vector);
    chunk->fingerprint = eg_fingerprint_of(r->bytes, r->sizes[i]);
    chunk->id = r->stride != 0 ? rig_id(r, i) : 0;
    chunk->base = r->bases[i] != 0 ? rig_id(r, (size_t)r->bases[i] - 1) : 0;
    chunk->depth = r->depths[i];
    chunk->vector = vector;
    chunk->spread = rig_spread(r, i);
    chunk->size = r->sizes[i];
    chunk->correction = (eg_view){out, stored_size};
}

/* In batches of up to 16, each on memory of its own. */
static engram_status append_batch(rig *r, size_t count, uint8_t *room, size_t capacity,
                                  engram_error *error)
{
    eg_new_chunk chunks[16] = {0};
    uint8_t vectors[16][256];
    uint64_t ids[16];
    uint8_t *corrections[16];
    size_t first = r->chunk_count;
    for (size_t k = 0; k < count; k++) {
        prepare(r, first + k, &chunks[k], vectors[k], room, capacity);
        corrections[k] = malloc(chunks[k].correction.size + 1);
        assert_non_null(corrections[k]);
        memcpy(corrections[k], room, chunks[k].correction.size);
        chunks[k].correction.data = corrections[k];
    }
    engram_status status = eg_store_append(r->store, chunks, count, ids, error);
    for (size_t k = 0; k < count; k++) {
        free(corrections[k]);
        if (status == ENGRAM_OK)
            assert_int_equal(ids[k], rig_id(r, first + k));
    }
    if (status == ENGRAM_OK)
        r->chunk_count += count;
    return status;
}

engram_status rig_try_append(rig *r, size_t count, engram_error *error)
{
    size_t capacity = ZSTD_compressBound(RIG_BYTES_MAX);
    uint8_t *room = malloc(capacity);
    engram_status status = ENGRAM_OK;
    assert_non_null(room);
    assert_true(r->chunk_count + count <= RIG_CHUNKS_MAX);
    while (count > 0 && status == ENGRAM_OK) {
        size_t take = 1 + of_chunk(r, r->chunk_count, 7) % 16;
        take = take < count ? take : count;
        status = append_batch(r, take, room, capacity, error);
        count -= take;
    }
    free(room);
    return status;
}

void rig_append(rig *r, size_t count)
{
    assert_ok(rig_try_append(r, count, error));
}

static void check_found(rig *r, size_t i, const eg_fingerprint *fingerprint, uint32_t size)
{
    uint64_t ids[EG_STORE_CANDIDATES];
    size_t found = eg_store_find(r->store, fingerprint, size, ids);
    bool there = false;
    for (size_t k = 0; k < found; k++)
        there = there || ids[k] == rig_id(r, i);
    assert_true(there || found == EG_STORE_CANDIDATES);
}

void rig_check(rig *r, size_t i)
{
    eg_chunk_info info = {0};
    uint8_t vector[256], expected[256];
    size_t size;
    uint64_t id = rig_id(r, i), base = r->bases[i] != 0 ? rig_id(r, (size_t)r->bases[i] - 1) : 0;
    uint32_t expected_size = rig_bytes(r, i, r->bytes);
    memset(r->other, 0xA5, expected_size + 1);
    assert_ok(eg_store_read(r->store, id, r->other, expected_size, &size, error));
    assert_int_equal(size, expected_size);
    assert_memory_equal(r->other, r->bytes, size);
    assert_int_equal(r->other[size], 0xA5);
    assert_ok(eg_store_get_info(r->store, id, &info, error));
    assert_int_equal(info.id, id);
    assert_int_equal(info.version, i / 7);
    assert_int_equal(info.created_ns, i * 11);
    assert_int_equal(info.base, base);
    assert_int_equal(info.depth, r->depths[i]);
    assert_int_equal(info.size, size);
    assert_int_equal(info.spread, rig_spread(r, i));
    assert_int_equal(info.kind == EG_CORRECTION_DELTA, r->bases[i] != 0);
    assert_ok(eg_store_get_vector(r->store, id, vector, error));
    rig_vector(r, i, expected);
    assert_memory_equal(vector, expected, 256);
    if (r->options.dedup)
        check_found(r, i, &info.fingerprint, info.size);
}

void rig_check_all(rig *r, size_t count)
{
    for (size_t i = 0; i < count; i++)
        rig_check(r, i);
}

void rig_check_vectors(rig *r, size_t count)
{
    size_t i = 0;
    for (size_t s = 0; s < eg_store_segment_count(r->store); s++) {
        eg_vector_span span;
        assert_ok(eg_store_get_vectors(r->store, s, &span, error));
        assert_int_equal((uintptr_t)span.vectors.bytes % 64, 0);
        for (size_t k = 0; k < span.vectors.count; k++, i++) {
            uint8_t expected[256];
            rig_vector(r, i, expected);
            assert_int_equal(span.ids[k], rig_id(r, i));
            uint8_t vector[256];
            eg_vectors_get(&span.vectors, k, vector);
            assert_memory_equal(vector, expected, 256);
        }
    }
    assert_int_equal(i, count);
}

void rig_check_exactly(rig *r, size_t count)
{
    eg_chunk_info info;
    eg_store_totals totals;
    char message[1200] = "";
    rig_check_all(r, count);
    rig_check_vectors(r, count);
    for (size_t i = count; i < count + 20; i++)
        assert_int_equal(eg_store_get_info(r->store, rig_id(r, i), &info, NULL), ENGRAM_NOT_FOUND);
    for (size_t i = 0; i < count && r->stride > 1; i++)
        assert_int_equal(eg_store_get_info(r->store, rig_id(r, i) + 1, &info, NULL),
                         ENGRAM_NOT_FOUND);
    assert_ok(eg_store_get_totals(r->store, &totals, error));
    assert_int_equal(totals.chunks, count);
    if (rig_verify(r, message) != 0)
        fail_msg("verify: %s", message);
    assert_true(eg_store_validate(r->store));
}

typedef struct findings {
    rig *r;
    size_t count;
    char *message;
} findings;

static void note_problem(void *context, uint64_t chunk_id, const char *message)
{
    findings *f = context;
    (void)chunk_id;
    if (f->count++ == 0 && f->message != NULL)
        snprintf(f->message, 1200, "%s", message);
}

/* The rig's vectors are not of the bytes; their spread is at least known to go with them. */
static bool agree(void *context, const uint8_t *bytes, size_t size, const uint8_t *vector,
                  uint32_t spread)
{
    (void)context;
    (void)bytes;
    (void)size;
    return vector != NULL && spread != 0;
}

size_t rig_verify(rig *r, char message[1200])
{
    findings f = {r, 0, message};
    eg_store_verifier verifier = {.subset = 1.0,
                                  .pool = r->pool,
                                  .context = &f,
                                  .problem = note_problem,
                                  .check_vector = agree};
    assert_ok(eg_store_verify(r->store, &verifier, error));
    return f.count;
}

/* Where the segments' counts and sizes would stand after count chunks. */
void rig_commit_only(rig *r, size_t count)
{
    rig all = *r;
    size_t kept = 0, left = count;
    all.store = NULL;
    all.options.dedup = false;
    rig_open_reader(&all);
    for (size_t s = 0; s < r->state_count && left > 0; s++) {
        size_t take = left < r->states[s].chunk_count ? left : (size_t)r->states[s].chunk_count;
        uint64_t size = 0;
        for (size_t k = 0; k < take; k++) {
            eg_chunk_info info;
            assert_ok(eg_store_get_info(all.store, rig_id(r, count - left + k), &info, error));
            size += info.stored_size;
        }
        r->states[s].chunk_count = take;
        r->states[s].payload_size = size;
        left -= take;
        kept = s + 1;
    }
    eg_store_close(&all.store);
    r->state_count = kept;
    r->chunk_count = count;
}
