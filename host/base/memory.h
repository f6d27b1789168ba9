/* Allocation that can be made to fail (tests), and is counted. Thread-safe. */
#ifndef EG_BASE_MEMORY_H
#define EG_BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* NULL when memory is short. eg_free(NULL) is fine. Zero sizes give a unique pointer. */
void *eg_alloc(size_t size);
void *eg_alloc_zero(size_t count, size_t size); /* NULL also when count * size overflows */
void *eg_alloc_aligned(size_t alignment, size_t size); /* power of two; freed by eg_free */
void *eg_realloc(void *pointer, size_t size);
char *eg_strdup(const char *text);
void *eg_memdup(const void *bytes, size_t size);
void eg_free(void *pointer);

/* Grows an array to hold at least need items, doubling. *capacity counts items. False: no memory,
 * the array is as before. */
bool eg_grow(void **array, size_t *capacity, size_t need, size_t item_size);

/* Tests: the n-th allocation from now (1 = next) fails; 0 turns it off. With forever, that one
 * and all later fail. Counts over all threads. */
void eg_alloc_fail_at(long n, bool forever);
/* Allocations made since the last eg_alloc_fail_at. */
long eg_alloc_count(void);

#endif
