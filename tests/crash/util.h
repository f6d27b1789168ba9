/* Memory that ends the program when there is none, and text that is cut to its room. */
#ifndef EG_TESTS_CRASH_UTIL_H
#define EG_TESTS_CRASH_UTIL_H

#include <stddef.h>
#include <stdint.h>

void *crash_alloc(size_t size);
/* An array with room for need items. */
void *crash_grow(void *array, size_t *capacity, size_t need, size_t item_size);
void crash_text(char *out, size_t size, const char *from);
uint64_t crash_random(uint64_t *state);

#endif
