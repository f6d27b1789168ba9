/* Corrections are zstd frames cut down to what a record does not know already: no magic number,
 * no content size, no dictionary id, no checksum. The size and the fingerprint are in the record.
 * A delta's frame has the base's bytes as its raw prefix. */
#define ZSTD_STATIC_LINKING_ONLY
#include "store/correction.h"

#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/memory.h"

enum {
    LEVEL_MAX = 9,
    /* From this zstd level on (30 MB/s and less) a try at level 1 (1,150 MB/s on random bytes)
     * pays: what it cannot shrink is not tried again. Larger chunks may repeat farther back than
     * level 1 looks, so they are always tried. */
    ZSTD_LEVEL_SLOW = 12,
    TRY_SIZE_MAX = 256 << 10
};

static const int zstd_levels[LEVEL_MAX + 1] = {0, 1, 2, 3, 5, 7, 9, 12, 16, 19};

struct eg_coder {
    int zstd_level;
    ZSTD_CCtx *packer; /* made when first needed, like the other: most coders go one way */
    ZSTD_DCtx *unpacker;
};

static void *allocate(void *context, size_t size)
{
    (void)context;
    return eg_alloc(size);
}

static void release(void *context, void *pointer)
{
    (void)context;
    eg_free(pointer);
}

static const ZSTD_customMem memory = {allocate, release, NULL};

const char *eg_correction_kind_name(eg_correction_kind kind)
{
    static const char *const names[] = {"none", "delta", "packed", "verbatim"};
    return (size_t)kind < sizeof names / sizeof *names ? names[kind] : "unknown";
}

engram_status eg_coder_create(int level, eg_coder **coder, engram_error *error)
{
    *coder = NULL;
    if (level < 1 || level > LEVEL_MAX)
        return eg_fail(error, ENGRAM_INVALID, "level %d is not between 1 and %d", level, LEVEL_MAX);
    eg_coder *made = eg_alloc_zero(1, sizeof *made);
    if (made == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for a coder");
    made->zstd_level = zstd_levels[level];
    *coder = made;
    return ENGRAM_OK;
}

void eg_coder_free(eg_coder *coder)
{
    if (coder == NULL)
        return;
    ZSTD_freeCCtx(coder->packer);
    ZSTD_freeDCtx(coder->unpacker);
    eg_free(coder);
}

size_t eg_coder_bound(size_t size)
{
    return ZSTD_compressBound(size);
}

static engram_status need_packer(eg_coder *coder, engram_error *error)
{
    if (coder->packer != NULL)
        return ENGRAM_OK;
    ZSTD_CCtx *packer = ZSTD_createCCtx_advanced(memory);
    if (packer == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to compress");
    ZSTD_CCtx_setParameter(packer, ZSTD_c_format, ZSTD_f_zstd1_magicless);
    ZSTD_CCtx_setParameter(packer, ZSTD_c_contentSizeFlag, 0);
    ZSTD_CCtx_setParameter(packer, ZSTD_c_dictIDFlag, 0);
    ZSTD_CCtx_setParameter(packer, ZSTD_c_checksumFlag, 0);
    coder->packer = packer;
    return ENGRAM_OK;
}

static engram_status need_unpacker(eg_coder *coder, engram_error *error)
{
    if (coder->unpacker != NULL)
        return ENGRAM_OK;
    ZSTD_DCtx *unpacker = ZSTD_createDCtx_advanced(memory);
    if (unpacker == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to decompress");
    ZSTD_DCtx_setParameter(unpacker, ZSTD_d_format, ZSTD_f_zstd1_magicless);
    coder->unpacker = unpacker;
    return ENGRAM_OK;
}

static engram_status status_of(size_t result)
{
    return ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation ? ENGRAM_NO_MEMORY
                                                                     : ENGRAM_DAMAGED;
}

static engram_status compress(eg_coder *coder, int zstd_level, const uint8_t *bytes, size_t size,
                              uint8_t *out, size_t *stored_size, engram_error *error)
{
    ZSTD_CCtx_setParameter(coder->packer, ZSTD_c_compressionLevel, zstd_level);
    size_t result = ZSTD_compress2(coder->packer, out, eg_coder_bound(size), bytes, size);
    if (ZSTD_isError(result))
        return eg_fail(error, ENGRAM_NO_MEMORY, "cannot compress %zu bytes: %s", size,
                       ZSTD_getErrorName(result));
    *stored_size = result;
    return ENGRAM_OK;
}

engram_status eg_coder_pack(eg_coder *coder, const uint8_t *bytes, size_t size, uint8_t *out,
                            eg_correction_kind *kind, size_t *stored_size, engram_error *error)
{
    size_t packed_size = size;
    EG_TRY(need_packer(coder, error));
    bool is_slow = coder->zstd_level >= ZSTD_LEVEL_SLOW && size <= TRY_SIZE_MAX;
    if (size > 0 && is_slow)
        EG_TRY(compress(coder, 1, bytes, size, out, &packed_size, error));
    if (size > 0 && (!is_slow || packed_size < size))
        EG_TRY(compress(coder, coder->zstd_level, bytes, size, out, &packed_size, error));
    if (packed_size < size) {
        *kind = EG_CORRECTION_PACKED;
        *stored_size = packed_size;
        return ENGRAM_OK;
    }
    if (size > 0)
        memcpy(out, bytes, size);
    *kind = EG_CORRECTION_VERBATIM;
    *stored_size = size;
    return ENGRAM_OK;
}

/* The window that reaches from the end of the bytes to the beginning of the base; 0: zstd's own, which does for small
 * chunks at every level. */
static int window_for(size_t size)
{
    enum { LOG_DEFAULT = 17 };
    int log = LOG_DEFAULT;
    while ((size_t)1 << log < size)
        log++;
    return log > LOG_DEFAULT ? log : 0;
}

engram_status eg_coder_pack_delta(eg_coder *coder, const uint8_t *bytes, size_t size, eg_view base, uint8_t *out,
                                  size_t *stored_size, engram_error *error)
{
    EG_TRY(need_packer(coder, error));
    *stored_size = SIZE_MAX;
    if (size == 0)
        return ENGRAM_OK;
    size_t result = ZSTD_CCtx_refPrefix(coder->packer, base.data, base.size);
    if (ZSTD_isError(result))
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to compress");
    ZSTD_CCtx_setParameter(coder->packer, ZSTD_c_windowLog, window_for(size + base.size));
    engram_status status = compress(coder, coder->zstd_level, bytes, size, out, &result, error);
    ZSTD_CCtx_setParameter(coder->packer, ZSTD_c_windowLog, 0);
    if (status != ENGRAM_OK)
        ZSTD_CCtx_refPrefix(coder->packer, NULL, 0); /* a failure leaves it for the next */
    else if (result < size)
        *stored_size = result;
    return status;
}

bool eg_delta_is_obvious(size_t size, size_t delta_size)
{
    enum { OBVIOUS = 16 }; /* a delta of so small a part of the chunk */
    return delta_size <= size / OBVIOUS;
}

/* On a base that stands alone nearly every gain is taken, since the chunk can still be a base of two more in a row. */
bool eg_delta_pays(size_t delta_size, size_t packed_size, unsigned depth)
{
    const double pays = depth <= 1 ? 0.95 : depth == 2 ? 0.75 : 0.6;
    return delta_size != SIZE_MAX && (double)delta_size < pays * (double)packed_size;
}

static engram_status decompress(eg_coder *coder, eg_view correction, eg_view base, uint8_t *bytes,
                                size_t size, engram_error *error)
{
    EG_TRY(need_unpacker(coder, error));
    /* Also without a base: it takes away what an earlier failure left behind. */
    size_t result = ZSTD_DCtx_refPrefix(coder->unpacker, base.data, base.size);
    if (ZSTD_isError(result))
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to decompress");
    result = ZSTD_decompressDCtx(coder->unpacker, bytes, size, correction.data, correction.size);
    if (ZSTD_isError(result))
        return eg_fail(error, status_of(result), "the correction cannot be decoded: %s",
                       ZSTD_getErrorName(result));
    if (result != size)
        return eg_fail(error, ENGRAM_DAMAGED, "the correction gives %zu bytes instead of %zu",
                       result, size);
    return ENGRAM_OK;
}

static engram_status copy(eg_view correction, uint8_t *bytes, size_t size, engram_error *error)
{
    if (correction.size != size)
        return eg_fail(error, ENGRAM_DAMAGED, "the correction has %zu bytes instead of %zu",
                       correction.size, size);
    if (size > 0)
        memcpy(bytes, correction.data, size);
    return ENGRAM_OK;
}

engram_status eg_coder_unpack(eg_coder *coder, eg_correction_kind kind, eg_view correction,
                              eg_view base, uint8_t *bytes, size_t size, engram_error *error)
{
    switch (kind) {
    case EG_CORRECTION_VERBATIM:
        return copy(correction, bytes, size, error);
    case EG_CORRECTION_PACKED:
        return decompress(coder, correction, (eg_view){0}, bytes, size, error);
    case EG_CORRECTION_DELTA:
        return decompress(coder, correction, base, bytes, size, error);
    default:
        return eg_fail(error, ENGRAM_DAMAGED, "a correction of unknown kind %d", (int)kind);
    }
}
