/* Cutting a byte string into chunks.
 *
 * Content-defined: a gear hash rolls over the last bytes and a boundary falls where it meets a
 * mask, with a harder mask before about the average size and an easier one after it (FastCDC's
 * normalised chunking, Xia et al. 2016), so that an insertion moves only the boundaries near it.
 * Bytes that are compressed already get longer chunks, of two and a half averages.
 * Or fixed size.
 * The configuration is recorded in the engram: equal bytes are cut equally, however they arrive. */
#ifndef EG_CHUNK_CHUNK_H
#define EG_CHUNK_CHUNK_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef enum eg_chunk_kind { EG_CHUNK_CDC = 1, EG_CHUNK_FIXED = 2 } eg_chunk_kind;

enum { EG_CHUNK_SIZE_MIN = 256, EG_CHUNK_SIZE_MAX = 1 << 20 }; /* of size_average */

typedef struct eg_chunk_config {
    eg_chunk_kind kind;
    uint32_t size_average; /* bytes: the average (a power of two) or the fixed size */
} eg_chunk_config;

typedef struct eg_chunker {
    eg_chunk_config config;
    uint32_t size_min, size_max; /* a quarter and four times the average; equal when fixed */
    uint64_t mask_hard, mask_easy, mask_dense; /* mask_dense: 0 where bytes are not looked at */
    uint64_t gear[256];
} eg_chunker;

/* "cdc:16384", "cdc:16K", "fixed:4096"; k/K and m/M suffixes are binary. ENGRAM_INVALID with what is
 * allowed. */
engram_status eg_chunk_config_parse(const char *text, eg_chunk_config *config, engram_error *error);
/* "cdc:16384" into text[32]. */
void eg_chunk_config_format(const eg_chunk_config *config, char text[32]);

/* ENGRAM_INVALID when the configuration breaks the limits. The gear table comes from SplitMix64
 * started at a constant: part of the format. */
engram_status eg_chunker_init(eg_chunker *chunker, const eg_chunk_config *config, engram_error *error);

/* Length of the first chunk of bytes[0..size). size must be at least size_max unless the input ends
 * there; 0 only when size is 0. At least 3 GB/s a core for content-defined cuts. */
size_t eg_chunker_cut(const eg_chunker *chunker, const uint8_t *bytes, size_t size);

#endif
