/* Corrections: what turns a prediction into a chunk's exact bytes.
 *
 * A coder owns reusable compression state and belongs to one thread at a time. */
#ifndef EG_STORE_CORRECTION_H
#define EG_STORE_CORRECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"

typedef enum eg_correction_kind {
    EG_CORRECTION_NONE = 0,     /* identical to the base (reserved) */
    EG_CORRECTION_DELTA = 1,    /* zstd with the base as prefix */
    EG_CORRECTION_PACKED = 2,   /* zstd alone */
    EG_CORRECTION_VERBATIM = 3  /* the bytes themselves */
} eg_correction_kind;

const char *eg_correction_kind_name(eg_correction_kind kind);

typedef struct eg_coder eg_coder;

/* level: 1 fast ... 9 small (mapped to zstd's levels in one table). */
engram_status eg_coder_create(int level, eg_coder **coder, engram_error *error);
void eg_coder_free(eg_coder *coder);

/* Packs bytes into out (capacity >= eg_coder_bound(size)); VERBATIM when zstd does not make it smaller
 * (out then holds the bytes). Skips the attempt cheaply for input that does not compress, if measured to pay. */
size_t eg_coder_bound(size_t size);
engram_status eg_coder_pack(eg_coder *coder, const uint8_t *bytes, size_t size, uint8_t *out,
                            eg_correction_kind *kind, size_t *stored_size, engram_error *error);
/* Packs bytes as a delta on base, the other way round of unpack with DELTA; out as for pack. *stored_size is SIZE_MAX
 * when that is no shorter than the bytes. */
engram_status eg_coder_pack_delta(eg_coder *coder, const uint8_t *bytes, size_t size, eg_view base, uint8_t *out,
                                  size_t *stored_size, engram_error *error);
/* Whether a delta is kept, of a chunk of size bytes that takes packed_size alone, which would have this depth. It uses up a
 * place in the chain of bases, which others may need more; the naive rule, any delta that is smaller, costs half of the
 * gain. When it is obvious nobody need find out what packing alone would give. */
bool eg_delta_is_obvious(size_t size, size_t delta_size);
bool eg_delta_pays(size_t delta_size, size_t packed_size, unsigned depth);
/* Restores exactly size bytes, or ENGRAM_DAMAGED. base is empty unless kind is DELTA. Never writes past size. */
engram_status eg_coder_unpack(eg_coder *coder, eg_correction_kind kind, eg_view correction, eg_view base,
                              uint8_t *bytes, size_t size, engram_error *error);

#endif
