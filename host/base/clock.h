/* Time. */
#ifndef EG_BASE_CLOCK_H
#define EG_BASE_CLOCK_H

#include <stdint.h>

uint64_t eg_clock_wall_ns(void);      /* since the epoch */
uint64_t eg_clock_monotonic_ns(void); /* for intervals */

#endif
