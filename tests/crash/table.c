#include "crash/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

void *shared_memory(size_t size)
{
    void *bytes =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (bytes == MAP_FAILED) {
        perror("shared memory");
        exit(2);
    }
    return bytes;
}

void shared_memory_free(void *bytes, size_t size)
{
    munmap(bytes, size);
}

void table_fini(table *t)
{
    shared_memory_free(t->slots, (t->mask + 1) * sizeof *t->slots);
}

void table_init(table *t, uint64_t states)
{
    size_t count = 1 << 16;
    while (count < 4 * states)
        count *= 2;
    t->slots = shared_memory(count * sizeof *t->slots);
    t->mask = count - 1;
}

table_slot *table_claim(table *t, uint64_t key, bool *is_new)
{
    for (size_t n = 0, i = key & t->mask; n <= t->mask; n++, i = (i + 1) & t->mask) {
        uint_fast64_t seen = 0;
        *is_new = atomic_compare_exchange_strong(&t->slots[i].key, &seen, key);
        if (*is_new || seen == key)
            return &t->slots[i];
    }
    return NULL;
}
