/* A disk in memory behind eg_io, which can write down what is done to it and lose its power.
 *
 * Directories, files, sparse content, locks between open files, mappings (copies of the bytes as
 * they are when mapped). No links, no descriptors to adopt. Syncs cost nothing and change nothing:
 * what they mean is for a trace's reader to say. Thread-safe; operations of several threads are
 * recorded in the order in which they took effect. */
#ifndef EG_TESTS_CRASH_RAM_DISK_H
#define EG_TESTS_CRASH_RAM_DISK_H

#include "base/io.h"
#include "crash/trace.h"

typedef struct ram_disk ram_disk;

/* Takes the image over. All files must be closed before it is freed. */
ram_disk *ram_disk_create(image *contents);
void ram_disk_free(ram_disk *disk);
eg_io *ram_disk_io(ram_disk *disk);
image ram_disk_copy(ram_disk *disk);

/* From now on every operation that changes something, and every sync, goes into the trace, which
 * is lent until recording ends (trace NULL). */
void ram_disk_record(ram_disk *disk, trace *t);
/* Adds a mark to the trace; returns its index. 0 when nothing is recorded. */
size_t ram_disk_mark(ram_disk *disk, const char *text);

/* The power goes before the n-th operation from now that would be recorded (1: the next): it and
 * all later ones fail. 0: it stays on. */
void ram_disk_cut_at(ram_disk *disk, uint64_t n);
bool ram_disk_is_off(ram_disk *disk);
/* Power on again, with what choices (as choices_parse reads them) of the trace so far leave. Needs
 * a trace, and that all files were closed. False when the choices do not fit. */
bool ram_disk_restart(ram_disk *disk, const char *choices);
/* Operations that are pending. */
size_t ram_disk_pending(ram_disk *disk);
/* Power on again, and nothing was lost: what was not synced is still pending. All files were closed.
 */
void ram_disk_go_on(ram_disk *disk);

/* A sync takes so long, so that others do something meanwhile. */
void ram_disk_slow_down(ram_disk *disk, unsigned sync_us);

/* What a lying disk does with an operation. */
typedef enum lie {
    LIE_NOT,
    LIE_SKIP, /* it says that it was done, but it was not */
    LIE_LATE  /* a sync that is done only after the next sync that is not late */
} lie;
/* Asked before every operation; name is the file's (its last one) or the directory's. */
typedef lie ram_disk_liar(void *context, op_kind kind, const char *name);
void ram_disk_lie(ram_disk *disk, ram_disk_liar *liar, void *context);

#endif
