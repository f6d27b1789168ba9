/* What the tests of the OpenCL backend share: inputs, references, and a private cache directory. */
#ifndef FIXTURE_H
#define FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "compute/opencl/opencl.h"

enum { VECTOR = ENGRAM_BLOCKS, COUNTERS = ENGRAM_BLOCKS * ENGRAM_SYMBOLS };

extern bool fixture_is_small;   /* the device interprets: tiny inputs only */
extern char fixture_cache[256]; /* this run's XDG_CACHE_HOME and POCL_CACHE_DIR */

/* Of a test group: make and remove the cache directory. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* Random numbers from ENGRAM_TEST_SEED, or a seed that is printed. */
void fixture_seed(void);
uint64_t fixture_next(void);

void fixture_skip(void); /* the running test, when there is no OpenCL device */
void fixture_require(engram_status status, const engram_error *error);
void *fixture_allocate(size_t size); /* at least size bytes, aligned to 64; eg_free */

/* The first device. tiny: limits so small that all work is cut. close fails the test when an
 * OpenCL object is left. */
eg_backend *fixture_open(eg_cl_form form, bool tiny);
void fixture_close(eg_backend *backend);
/* Calls test with each form of the kernels, with their own and with tiny limits. */
void fixture_with_backends(void (*test)(eg_backend *backend));

/* kind 0: random; 1: zeros; 2: a ramp; else: three letters. */
void fixture_fill(uint8_t *bytes, size_t size, unsigned kind);
void fixture_check_encoded(const engram_codebook *codebook, const eg_view *chunks, size_t count,
                           const uint8_t *vectors, const uint32_t *spreads);

typedef enum fixture_layout { IN_ROWS, IN_PLANES, IN_BOTH, FIXTURE_LAYOUTS } fixture_layout;

typedef struct fixture_rows {
    uint8_t *vectors;
    size_t count;
    eg_resident *resident;
    eg_vectors places[3]; /* the same vectors: in rows, in planes, in planes behind others */
} fixture_rows;

/* One of so many symbols; of more than four, some have the same lead. */
uint8_t fixture_symbol(unsigned symbols);
/* Rows of a given number of symbols (1: all equal), held as fixture_rows_hold does. */
fixture_rows fixture_rows_make(eg_backend *backend, size_t count, unsigned symbols,
                               fixture_layout layout);
/* A resident set of the rows as they are now, appended in uneven parts, some of which go on where
 * the last ended and some of which are elsewhere. */
void fixture_rows_hold(eg_backend *backend, fixture_rows *r, fixture_layout layout);
void fixture_rows_free(eg_backend *backend, fixture_rows *r);
void fixture_check_top_k(eg_backend *backend, const fixture_rows *r, const uint8_t *queries,
                         size_t query_count, const uint64_t *live, uint32_t k, uint32_t minimum);

#endif
