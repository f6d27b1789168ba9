#include "crash/util.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *or_die(void *bytes)
{
    if (bytes == NULL) {
        fprintf(stderr, "out of memory\n");
        abort();
    }
    return bytes;
}

void *crash_alloc(size_t size)
{
    return or_die(malloc(size + 1));
}

void *crash_grow(void *array, size_t *capacity, size_t need, size_t item_size)
{
    if (need <= *capacity)
        return array;
    *capacity = need > 2 * *capacity ? need : 2 * *capacity;
    return or_die(realloc(array, *capacity * item_size));
}

void crash_text(char *out, size_t size, const char *from)
{
    size_t length = strnlen(from, size - 1);
    memcpy(out, from, length);
    out[length] = 0;
}

/* splitmix64 */
uint64_t crash_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}
