/* The write-ahead log: the one place where "committed" is decided.
 *
 * Numbered files, journal/00000001.wal and on, hold records one after another. A record is a
 * header of 32 bytes and a payload, a run of operations of which the first is the frame: the
 * file's random salt, the record's sequence number, and the sequence known durable when it was
 * written. Records are never rewritten. Sequence numbers go on from file to file and across
 * reopening. A transaction is any number of pending records and one committed record, next to each
 * other. Nothing here knows what an operation means; ops.h can step over any of them.
 *
 * The log ends at the first record that is not valid or not the next in sequence (in this file and
 * at the head of the next one). That end is damage if a later valid record, or the clean end that the
 * caller remembers, says that the missing sequence had been durable; otherwise it is a torn tail.
 *
 * One process writes. In it one thread at a time appends, flushes and rotates; beside it others may sync,
 * prepare and release, each of these from one thread at a time. A failed write or sync is final: every later
 * call on this journal fails with the same cause, until it is opened again. */
#ifndef EG_JOURNAL_JOURNAL_H
#define EG_JOURNAL_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/io.h"

enum { EG_JOURNAL_PAYLOAD_MAX = 16 << 20 };

typedef enum eg_record_state {
    EG_RECORD_PENDING = 0,
    EG_RECORD_COMMITTED = 1,
    EG_RECORD_CHECKPOINTED = 2,
    EG_RECORD_ABORTED = 3
} eg_record_state;

typedef struct eg_record {
    eg_record_state state;
    uint64_t transaction;
    uint64_t time_ns;
    uint64_t sequence;
    eg_view operations; /* after the frame; lent for the visit */
} eg_record;

/* Where replay starts: the head of a file, and the sequence of the first record wanted there. */
typedef struct eg_journal_start {
    uint64_t file;
    uint64_t sequence;
} eg_journal_start;

typedef struct eg_journal_end {
    uint64_t file;     /* in which the log ends */
    uint64_t offset;   /* of the end in that file */
    uint64_t sequence; /* of the next record to be written */
    uint64_t torn;     /* bytes beyond the end that are not zero: a torn tail to cut */
} eg_journal_end;

typedef engram_status eg_journal_visit(void *context, const eg_record *record, engram_error *error);

/* Reads the log in order and calls visit for every valid record. durable: the highest sequence the
 * caller knows to have been durable (the clean end in MANIFEST), or 0. A log that ends before it
 * or before what a later record claims is ENGRAM_DAMAGED, naming file and offset, after the visits up
 * to there; so is one of which a file is missing or empty, the first one included. Changes nothing on disk. */
engram_status eg_journal_read(eg_io *io, const char *dir, eg_journal_start start, uint64_t durable,
                              eg_journal_visit *visit, void *context, eg_journal_end *end,
                              engram_error *error);

typedef struct eg_journal eg_journal;

typedef struct eg_journal_options {
    uint64_t file_size; /* preallocated; 0: 64 MiB. A record larger than what is left starts a new file */
} eg_journal_options;

/* Makes the first file of a new log in dir, durably: with it, a log that starts there can be read and is empty.
 * number: 1 in a new engram, else above all files that are there. */
engram_status eg_journal_create(eg_io *io, const char *dir, uint64_t number, engram_error *error);

typedef struct eg_journal_rest { /* valid records behind the place where reading had to end */
    uint64_t records, commits; /* commits: of them, those that end a transaction */
    uint64_t sequence_last;    /* the highest of them */
    uint64_t transaction_last;
    uint64_t file_last;        /* the highest number of a file in dir, with records or not; 0: none */
} eg_journal_rest;

/* What of a damaged log lies behind end, as eg_journal_read gave it: looked for, not read. */
engram_status eg_journal_find_rest(eg_io *io, const char *dir, const eg_journal_end *end, eg_journal_rest *rest, engram_error *error);

/* Cuts what lies beyond end (and removes later files), durably, and starts a new file after it; a file without
 * records goes on being used. dir must exist. For a new engram, end is {0, 0, 1, 0}. */
engram_status eg_journal_open(eg_io *io, const char *dir, const eg_journal_end *end,
                              const eg_journal_options *options, eg_journal **journal, engram_error *error);
/* Flushes, syncs, trims the preallocation, removes spare files, closes. *end receives the clean end for MANIFEST. The
 * journal is gone also on failure. end may be NULL. Nobody else is inside. */
engram_status eg_journal_close(eg_journal **journal, eg_journal_end *end, engram_error *error);

/* Appends one transaction: operations (whole ones, as ops.h steps over them, each at most
 * EG_JOURNAL_PAYLOAD_MAX - 64 bytes) in as many pending records as needed and a committed one. They are gathered in
 * memory, 1 MiB at most; then, or when the file is full, they are written. *sequence: of the committed record. */
engram_status eg_journal_append(eg_journal *journal, uint64_t transaction, uint64_t time_ns, eg_view operations,
                                uint64_t *sequence, engram_error *error);
/* Everything appended is written, in one piece; not durable until eg_journal_sync. Where the file has changed since
 * the last sync, that one is synced first: nothing is written behind what may be lost. */
engram_status eg_journal_flush(eg_journal *journal, engram_error *error);
/* Everything flushed before the call is durable when this returns. Any thread, beside any other call; one
 * sync at a time, the others wait. */
engram_status eg_journal_sync(eg_journal *journal, engram_error *error);
uint64_t eg_journal_durable(const eg_journal *journal); /* highest durable sequence; any thread */
uint64_t eg_journal_size(const eg_journal *journal);    /* bytes of records since the last rotate; any thread */

/* Flushes, and starts a new file; the next record is its first. Where a checkpoint lets replay start: the file is there,
 * durably, when this returns. What was appended before is not made durable by it. Cheap when a file is prepared. */
engram_status eg_journal_rotate(eg_journal *journal, eg_journal_start *start, engram_error *error);
/* Makes the next file ready, if it is not, so that rotating and filling up a file cost no more than a write: of a spare, or of
 * new blocks, which are written once with zeros, in pieces, since a sync of written blocks is faster. For a thread in the
 * background; takes a while. A failure before the file gets its name is not final: ENGRAM_NO_SPACE where the disk has no
 * room for it (the journal will make do with less). */
engram_status eg_journal_prepare(eg_journal *journal, engram_error *error);
/* Files numbered below are no longer needed: a few are kept as spares and recycled under a new
 * salt, the rest are removed. May sync. */
engram_status eg_journal_release(eg_journal *journal, uint64_t file, engram_error *error);

#endif
