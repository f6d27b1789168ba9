/* malloc and its family behind a count, so that a test can make the n-th allocation fail.
 *
 * The count is one relaxed atomic: allocation is kept out of hot loops anyway. */
#include "base/memory.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static atomic_long made;
static atomic_long fail_at;
static atomic_bool fail_forever;

static bool is_refused(void)
{
    long n = atomic_fetch_add_explicit(&made, 1, memory_order_relaxed) + 1;
    long at = atomic_load_explicit(&fail_at, memory_order_relaxed);
    if (at == 0 || n < at)
        return false;
    return n == at || atomic_load_explicit(&fail_forever, memory_order_relaxed);
}

void eg_alloc_fail_at(long n, bool forever)
{
    atomic_store(&fail_at, 0);
    atomic_store(&fail_forever, forever);
    atomic_store(&made, 0);
    atomic_store(&fail_at, n);
}

long eg_alloc_count(void)
{
    return atomic_load(&made);
}

void *eg_alloc(size_t size)
{
    return is_refused() ? NULL : malloc(size ? size : 1);
}

void *eg_alloc_zero(size_t count, size_t size)
{
    if (is_refused())
        return NULL;
    if (count == 0 || size == 0)
        return calloc(1, 1);
    /* calloc checks too, but sanitizers take that for a mistake of the program's. */
    return count > SIZE_MAX / size ? NULL : calloc(count, size);
}

void *eg_alloc_aligned(size_t alignment, size_t size)
{
    if (is_refused())
        return NULL;
    void *pointer = NULL;
    size_t at_least = alignment < sizeof(void *) ? sizeof(void *) : alignment;
    return posix_memalign(&pointer, at_least, size ? size : 1) == 0 ? pointer : NULL;
}

void *eg_realloc(void *pointer, size_t size)
{
    return is_refused() ? NULL : realloc(pointer, size ? size : 1);
}

char *eg_strdup(const char *text)
{
    return eg_memdup(text, strlen(text) + 1);
}

void *eg_memdup(const void *bytes, size_t size)
{
    void *copy = eg_alloc(size);
    if (copy && size > 0)
        memcpy(copy, bytes, size);
    return copy;
}

void eg_free(void *pointer)
{
    free(pointer);
}

bool eg_grow(void **array, size_t *capacity, size_t need, size_t item_size)
{
    if (need <= *capacity)
        return true;
    size_t wanted = *capacity > SIZE_MAX / 2 ? SIZE_MAX : *capacity * 2;
    if (wanted < 8)
        wanted = 8;
    if (wanted < need || wanted > SIZE_MAX / item_size)
        wanted = need;
    if (wanted > SIZE_MAX / item_size)
        return false;
    void *grown = eg_realloc(*array, wanted * item_size);
    if (grown == NULL)
        return false;
    *array = grown;
    *capacity = wanted;
    return true;
}
