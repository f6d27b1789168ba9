#include "compute/avx2/lanes.h"

#define BEFORE(m, i) __builtin_popcount((m) & ((1u << (i)) - 1))
#define LANE(m, i)   ((m) >> (i)&1 ? UINT64_C(i) << (8 * BEFORE(m, i)) : 0)
#define LANES(m)                                                                                   \
    LANE(m, 0) | LANE(m, 1) | LANE(m, 2) | LANE(m, 3) | LANE(m, 4) | LANE(m, 5) | LANE(m, 6) |     \
        LANE(m, 7)
#define FOUR(m)       LANES(m), LANES((m) + 1), LANES((m) + 2), LANES((m) + 3)
#define SIXTEEN(m)    FOUR(m), FOUR((m) + 4), FOUR((m) + 8), FOUR((m) + 12)
#define SIXTY_FOUR(m) SIXTEEN(m), SIXTEEN((m) + 16), SIXTEEN((m) + 32), SIXTEEN((m) + 48)

const uint64_t eg_avx2_lanes[256] = {
    SIXTY_FOUR(0u),
    SIXTY_FOUR(64u),
    SIXTY_FOUR(128u),
    SIXTY_FOUR(192u),
};
