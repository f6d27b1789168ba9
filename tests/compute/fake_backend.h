/* A backend that does everything right by the cpu backend, until it is told to fail: the n-th of
 * its calls from now fails, once or for ever, after it has spoilt its outputs. */
#ifndef TESTS_COMPUTE_FAKE_BACKEND_H
#define TESTS_COMPUTE_FAKE_BACKEND_H

#include "compute/backend.h"

typedef struct fake_backend {
    eg_backend base;
    eg_backend *cpu;
    eg_backend_ops ops; /* an entry may be set to NULL */
    long calls_left;    /* before the one that fails; negative: none fails */
    bool forever;
    unsigned calls, closed;
    unsigned residents; /* alive */
} fake_backend;

/* In place; closing it frees what is inside and counts, so that it can be looked at afterwards. */
void fake_backend_init(fake_backend *fake);

#endif
