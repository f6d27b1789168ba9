/* The contents of files that workloads have made, by their hash: what a change in place makes of a
 * file is worked out by the model from these, without the engram. Kept for the program's life. Any
 * number of threads. */
#ifndef EG_TESTS_CRASH_CONTENTS_H
#define EG_TESTS_CRASH_CONTENTS_H

#include <stddef.h>
#include <stdint.h>

typedef struct content {
    uint64_t hash;
    size_t size;
    uint8_t *bytes;
} content;

/* Bytes drawn from seed; half of them compress. */
void fill_bytes(uint8_t *bytes, size_t size, uint64_t seed);
/* Remembers them (copied); returns their hash. */
uint64_t contents_add(const uint8_t *bytes, size_t size);
uint64_t contents_add_drawn(uint64_t seed, size_t size);
/* Those that were remembered; bytes live on. Ends the program when there are none. */
content contents_get(uint64_t hash);

#endif
