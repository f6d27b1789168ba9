#include "crash/fixed_world.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/types.h>

#include "crash/util.h"

static atomic_uint_fast64_t ticks, draws;

void fixed_world_reset(uint64_t seed)
{
    atomic_store(&ticks, seed * UINT64_C(1000000000));
    atomic_store(&draws, seed << 32);
}

uint64_t __wrap_eg_clock_wall_ns(void);
ssize_t __wrap_getrandom(void *bytes, size_t size, unsigned flags);

uint64_t __wrap_eg_clock_wall_ns(void)
{
    return (uint64_t)FIXED_WORLD_BEGINS * 1000000000 + atomic_fetch_add(&ticks, 1000);
}

ssize_t __wrap_getrandom(void *bytes, size_t size, unsigned flags)
{
    uint8_t *to = bytes;
    (void)flags;
    for (size_t done = 0; done < size;) {
        uint64_t state = atomic_fetch_add(&draws, 1), value = crash_random(&state);
        size_t take = size - done < sizeof value ? size - done : sizeof value;
        memcpy(to + done, &value, take);
        done += take;
    }
    return (ssize_t)size;
}
