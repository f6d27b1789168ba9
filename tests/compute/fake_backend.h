/* A backend that does everything right by the cpu backend, until it is told to fail: the n-th of
 * its calls from now fails, once or for ever, after it has spoilt its outputs. Or to lie: it says
 * that all went well, and one number of the answer is wrong, the last of its kind. Any thread. */
#ifndef TESTS_COMPUTE_FAKE_BACKEND_H
#define TESTS_COMPUTE_FAKE_BACKEND_H

#include <stdatomic.h>

#include "compute/backend.h"

typedef enum fake_lie {
    LIE_NONE,
    LIE_VECTOR,
    LIE_SPREAD,
    LIE_COUNTER,
    LIE_ROW,
    LIE_MATCHES,
    LIE_COUNT, /* one hit fewer */
    LIES
} fake_lie;

typedef struct fake_backend {
    eg_backend base;
    eg_backend *cpu;
    eg_backend_ops ops; /* an entry may be set to NULL */
    atomic_long calls_left; /* before the one that fails; negative: none fails */
    atomic_bool forever;
    _Atomic(fake_lie) lie;
    atomic_uint calls, closed;
    atomic_uint residents; /* alive */
} fake_backend;

/* In place; closing it frees what is inside and counts, so that it can be looked at afterwards. */
void fake_backend_init(fake_backend *fake);

#endif
