/* What the journal's tests share: a directory that goes away, transactions made of random
 * operations, and logs as lists of what was in them. */
#ifndef TESTS_JOURNAL_FIXTURE_H
#define TESTS_JOURNAL_FIXTURE_H

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "journal/journal.h"

uint64_t test_random(uint64_t *state);
/* The given seed or ENGRAM_TEST_SEED, printed. */
uint64_t test_seed(uint64_t seed);

/* cmocka setup and teardown: *state is the path of a fresh directory. */
int setup_dir(void **state);
int teardown_dir(void **state);
void empty_dir(const char *dir);

/* The real disk without its syncs, which only a power cut could tell from it. */
eg_io *quick_io(void);

typedef struct bytes {
    uint8_t *data;
    size_t size;
} bytes;

/* data NULL when there is no such file. free() it. */
bytes load_file(const char *dir, const char *name);
void store_file(const char *dir, const char *name, const void *data, size_t size);
bool has_file(const char *dir, const char *name);
/* "NNNNNNNN.wal" in a buffer of its own until the fourth call from here. */
const char *wal_name(uint64_t number);

/* At most `size` bytes of random whole operations, close to it. free() data. */
bytes make_operations(uint64_t *random, size_t size);

/* One record as it was written or read; contents by hash. */
typedef struct entry {
    unsigned state;
    uint64_t transaction, time_ns, sequence;
    size_t size;
    uint64_t hash;
} entry;

typedef struct entries {
    entry *items;
    size_t count, capacity;
} entries;

uint64_t hash_bytes(uint64_t hash, const void *data, size_t size);
void entries_add(entries *list, entry item);
void entries_free(entries *list);
bool entries_equal(const entry *a, const entry *b, size_t count);

/* Reads into list (emptied first). */
engram_status read_log(eg_io *io, const char *dir, eg_journal_start start, uint64_t durable,
                       entries *list, eg_journal_end *end, engram_error *error);
/* The same on the real disk, from the very first record; must succeed. Without a first file the log is
 * new. */
eg_journal_end read_whole_log(const char *dir, entries *list);

/* Opens for writing where read_whole_log ended. */
eg_journal *open_log(const char *dir, uint64_t file_size);
/* Appends operations of the caller, flushes and syncs; the sequence of the committed record. */
uint64_t commit(eg_journal *journal, uint64_t transaction, bytes operations);
/* An operation of tag 8 that holds text; free() data. */
bytes text_operation(const char *text);
uint64_t commit_text(eg_journal *journal, uint64_t transaction, const char *text);
/* Must succeed. end may be NULL. */
void close_log(eg_journal *journal, eg_journal_end *end);
/* Ends a journal of crash_io() as a killed process does: nothing more reaches the disk. */
void crash(eg_journal *journal);
eg_io *crash_io(void);

#endif
