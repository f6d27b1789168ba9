/* The writing side's inside, shared by writer.c, opening.c and supply.c.
 *
 * Concurrency. Three parties: the appending thread, a syncing one, and those that prepare and
 * release. `lock` guards what they share, for a few instructions at a time. `sync_lock` is held for
 * the whole of a sync, and a failed one is noted before it is let go: the kernel reports lost pages
 * once, so a later sync of the same file would succeed, and prove nothing. A file that was current
 * is closed under sync_lock only, so a sync may go on with one that has just been left. At most one
 * left file is not durable (`previous`): nothing is written to its successor before it is.
 * `supply_lock` is held while the name of the next file is made or taken. Order: sync_lock or
 * supply_lock, then lock. The first failure is kept, and ends the journal. */
#ifndef EG_JOURNAL_WRITER_H
#define EG_JOURNAL_WRITER_H

#include <pthread.h>
#include <stdatomic.h>

#include "journal/files.h"
#include "journal/journal.h"
#include "journal/record.h"

enum { EG_JOURNAL_ROUGH_MAX = 8 };

typedef enum eg_spare { EG_SPARE_NONE, EG_SPARE_ROUGH, EG_SPARE_WRITTEN, EG_SPARE_TAKEN } eg_spare;

struct eg_journal {
    eg_io *io;
    char *dir;
    uint64_t file_size;

    /* The appending thread's. */
    uint8_t *buffer; /* gathered records, or one large one */
    size_t gathered;
    uint64_t salt;
    uint64_t offset;   /* in the file, of the first byte gathered */
    uint64_t capacity; /* allocated; records never fill it to the last byte */
    uint64_t sequence; /* of the next record */

    pthread_mutex_t sync_lock;
    pthread_mutex_t supply_lock;
    uint64_t named; /* the highest number that is a file's name; under supply_lock */
    pthread_mutex_t lock; /* guards the rest, but for atomics */
    uint64_t number;      /* of the current file */
    eg_file *file;
    uint64_t flushed; /* the next sequence to be written */
    eg_file *previous;
    uint64_t previous_end; /* the next sequence when it was left */
    eg_file *prepared;     /* the next file, or NULL */
    uint64_t prepared_capacity;
    eg_spare spares[EG_JOURNAL_SPARES];    /* spare-1.wal and on */
    uint64_t rough[EG_JOURNAL_ROUGH_MAX]; /* numbers of files whose blocks were not all written */
    engram_error failure;

    atomic_bool failed;
    atomic_uint_least64_t durable;
    atomic_uint_least64_t size_since_rotate;
};

/* ---- writer.c ---- */

engram_status eg_journal_no_memory(const eg_journal *journal, engram_error *cause);
/* Keeps a failure, if it is the first, and hands cause to the caller. */
engram_status eg_journal_report(eg_journal *journal, engram_status status, engram_error *cause,
                                engram_error *error);
engram_status eg_journal_check_alive(eg_journal *journal, engram_error *error);
/* Syncs what is flushed; previous is closed. The caller holds sync_lock, and notes a failure before it
 * lets go. */
engram_status eg_journal_sync_locked(eg_journal *journal, engram_error *cause);
void eg_journal_free(eg_journal *journal);

/* ---- supply.c ---- */

engram_status eg_journal_fail_numbers(const eg_journal *journal, engram_error *cause);

/* Gives a file in which no record is yet room for size bytes of records, durably. */
engram_status eg_journal_reserve(eg_journal *journal, eg_file *file, uint64_t size,
                                 uint64_t *capacity, engram_error *cause);
/* The file of that number, the next one, with room for size bytes; durable, as is its name. */
engram_status eg_journal_get_file(eg_journal *journal, uint64_t number, uint64_t size,
                                  eg_file **file, uint64_t *capacity, engram_error *cause);
/* Lets number be the current file. */
engram_status eg_journal_use_file(eg_journal *journal, uint64_t number, eg_file *file,
                                  uint64_t capacity, engram_error *cause);
engram_status eg_journal_unlink(eg_journal *journal, char *path, engram_error *cause); /* frees path */
/* Removes spares and the prepared file. */
engram_status eg_journal_remove_supplies(eg_journal *journal, engram_error *cause);

#endif
