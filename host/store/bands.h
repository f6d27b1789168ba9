/* Which of many vectors share much with a given one: candidates by bands.
 *
 * A band is some symbols of a vector at fixed blocks; vectors that agree in a band are candidates for each other. Of two
 * chunks with Jaccard similarity 0.5, 20 bands of two symbols find 99.7 %, with 0.3 85 %; of three symbols, which half a
 * million vectors and more have, 93 % and 42 % (Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, ch. 3). The index keeps no vectors, only numbers of 24 bits beside 8 bits of a
 * hash, in buckets of one cache line: 107 to 133 bytes a vector. In one bucket a band keeps the newest 8: what very many
 * vectors share (zero pages, boilerplate) costs no more than what few do.
 *
 * A hint: the caller compares vectors. Threads: any number of finders, or one that adds. */
#ifndef EG_STORE_BANDS_H
#define EG_STORE_BANDS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct eg_bands eg_bands;

enum { EG_BANDS_CANDIDATES = 16, EG_BANDS_NUMBERS_MAX = (1 << 24) - 2 };

/* The vector of a number that was added, 256 bytes; called again when the index grows. */
typedef engram_status eg_bands_vector(void *context, uint32_t number, uint8_t *vector, engram_error *error);

/* expected: how many will be added soon, or 0. */
engram_status eg_bands_create(uint64_t expected, eg_bands_vector *vector, void *context, eg_bands **bands, engram_error *error);
void eg_bands_free(eg_bands *bands);
/* Numbers rise from 0 without gaps, up to EG_BANDS_NUMBERS_MAX. On failure it was not added. */
engram_status eg_bands_add(eg_bands *bands, const uint8_t *vector, engram_error *error);
uint32_t eg_bands_count(const eg_bands *bands);
/* Those below `below` that agree in most bands, at most EG_BANDS_CANDIDATES; of equals the newest. Their number. */
size_t eg_bands_find(const eg_bands *bands, const uint8_t *vector, uint32_t below, uint32_t numbers[EG_BANDS_CANDIDATES]);
/* Bytes of memory. */
size_t eg_bands_memory(const eg_bands *bands);

#endif
