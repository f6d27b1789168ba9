/* Clock and chance without chance: linked with --wrap, so that a workload's trace is the same, byte
 * for byte, whenever it is recorded, and a step of it can be named. */
#ifndef EG_TESTS_CRASH_FIXED_WORLD_H
#define EG_TESTS_CRASH_FIXED_WORLD_H

#include <stdint.h>

enum { FIXED_WORLD_BEGINS = 1700000000 /* seconds */ };

void fixed_world_reset(uint64_t seed);

#endif
