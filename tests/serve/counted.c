#include "serve/counted.h"

#include <stdatomic.h>

#include "base/memory.h"

void *__real_eg_alloc(size_t size);
void *__real_eg_alloc_zero(size_t count, size_t size);
void *__real_eg_alloc_aligned(size_t alignment, size_t size);
void *__real_eg_realloc(void *pointer, size_t size);
char *__real_eg_strdup(const char *text);
void *__real_eg_memdup(const void *bytes, size_t size);
void __real_eg_free(void *pointer);
bool __real_eg_grow(void **array, size_t *capacity, size_t need, size_t item_size);
void *__wrap_eg_alloc(size_t size);
void *__wrap_eg_alloc_zero(size_t count, size_t size);
void *__wrap_eg_alloc_aligned(size_t alignment, size_t size);
void *__wrap_eg_realloc(void *pointer, size_t size);
char *__wrap_eg_strdup(const char *text);
void *__wrap_eg_memdup(const void *bytes, size_t size);
void __wrap_eg_free(void *pointer);
bool __wrap_eg_grow(void **array, size_t *capacity, size_t need, size_t item_size);

static atomic_long in_use;

long counted_in_use(void)
{
    return atomic_load(&in_use);
}

static void *take(void *pointer)
{
    atomic_fetch_add(&in_use, pointer != NULL);
    return pointer;
}

void *__wrap_eg_alloc(size_t size)
{
    return take(__real_eg_alloc(size));
}

void *__wrap_eg_alloc_zero(size_t count, size_t size)
{
    return take(__real_eg_alloc_zero(count, size));
}

void *__wrap_eg_alloc_aligned(size_t alignment, size_t size)
{
    return take(__real_eg_alloc_aligned(alignment, size));
}

void *__wrap_eg_realloc(void *pointer, size_t size)
{
    void *now = __real_eg_realloc(pointer, size);
    return pointer == NULL ? take(now) : now;
}

char *__wrap_eg_strdup(const char *text)
{
    return take(__real_eg_strdup(text));
}

void *__wrap_eg_memdup(const void *bytes, size_t size)
{
    return take(__real_eg_memdup(bytes, size));
}

void __wrap_eg_free(void *pointer)
{
    atomic_fetch_sub(&in_use, pointer != NULL);
    __real_eg_free(pointer);
}

bool __wrap_eg_grow(void **array, size_t *capacity, size_t need, size_t item_size)
{
    bool was_there = *array != NULL, grown = __real_eg_grow(array, capacity, need, item_size);
    if (!was_there)
        take(*array);
    return grown;
}
