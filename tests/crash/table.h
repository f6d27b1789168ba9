/* States seen, shared by processes: the hash of each, and the digest of the version found in it. */
#ifndef EG_TESTS_CRASH_TABLE_H
#define EG_TESTS_CRASH_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DIGEST_UNKNOWN = 0 /* being checked */, DIGEST_BAD = 1 /* a violation, told once */ };

typedef struct table_slot {
    atomic_uint_fast64_t key, digest; /* key 0: free */
} table_slot;

typedef struct table {
    table_slot *slots;
    size_t mask;
} table;

/* Memory of size bytes, zero, that child processes share. */
void *shared_memory(size_t size);
void shared_memory_free(void *bytes, size_t size);

void table_init(table *t, uint64_t states);
void table_fini(table *t);
/* The slot of key; *is_new: nobody had it before. NULL: the table is full. */
table_slot *table_claim(table *t, uint64_t key, bool *is_new);

#endif
