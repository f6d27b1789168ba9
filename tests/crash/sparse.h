/* A file's bytes as pages of 4 KiB, shared between copies until one of them is written to.
 *
 * Thousands of disks a second are made from a few, each differing from the next by a sector or a
 * name; so a copy costs a few pointers, and the hash of a page is kept with it. Holes and pages of
 * zeros are the same. Copies may belong to different threads, one copy to one thread at a time.
 * Memory that cannot be had ends the program. */
#ifndef EG_TESTS_CRASH_SPARSE_H
#define EG_TESTS_CRASH_SPARSE_H

#include <stddef.h>
#include <stdint.h>

typedef struct sparse {
    uint64_t size;
    struct sparse_leaf **leaves;
    size_t leaf_count;
} sparse;

sparse sparse_copy(const sparse *from);
void sparse_fini(sparse *s);
/* What lies beyond the size reads as zeros. */
void sparse_read(const sparse *s, uint64_t offset, void *bytes, size_t size);
void sparse_write(sparse *s, uint64_t offset, const void *bytes, size_t size);
void sparse_resize(sparse *s, uint64_t size);
/* Of size and content. */
uint64_t sparse_hash(sparse *s);
uint64_t sparse_bytes_held(const sparse *s);

#endif
