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

typedef struct fixture_rows {
    uint8_t *vectors;
    size_t count;
    eg_resident *resident;
} fixture_rows;

/* Rows of a given number of symbols (1: all equal), appended in uneven parts. */
fixture_rows fixture_rows_make(eg_backend *backend, size_t count, unsigned symbols);
void fixture_rows_free(eg_backend *backend, fixture_rows *r);
void fixture_check_top_k(eg_backend *backend, const fixture_rows *r, const uint8_t *queries,
                         size_t query_count, const uint64_t *live, uint32_t k, uint32_t minimum);

#endif
