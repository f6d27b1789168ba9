/* Disks that lie about syncs, and programs that slip: what the explorer must catch.
 *
 * A lie is the disk's, told through eg_io. A slip is a step that the program leaves out or does in
 * the wrong order, at a call between its parts (linked with --wrap). Both happen from where a
 * workload is explored to its end, never while a state is checked. */
#ifndef EG_TESTS_CRASH_LIES_H
#define EG_TESTS_CRASH_LIES_H

#include "crash/ram_disk.h"

typedef enum slip {
    SLIP_NONE,
    SLIP_STORE_SYNC, /* eg_store_sync does nothing */
    SLIP_CARRY,      /* a record names a chunk and does not carry it */
    SLIP_EXTENTS,    /* extents are told when they are written, not when they are synced */
    SLIP_ORDER,      /* two records of a group change places */
    SLIP_FLUSH,      /* what is gathered is written after the sync that is to cover it */
    SLIP_SWEEP       /* segments that were merged go before the manifest names what took their place */
} slip;

typedef struct named_lie {
    const char *name;
    const char *about;
    slip slip; /* or a lie, by: */
    op_kind kind;
    const char *ending; /* of the file's or directory's name */
    lie how;
} named_lie;

extern const named_lie named_lies[];
extern const size_t named_lie_count;

const named_lie *named_lie_find(const char *name);

typedef struct liar {
    const named_lie *what; /* NULL: none */
    unsigned at;           /* only the n-th such call; 0: all */
    unsigned seen;
} liar;

ram_disk_liar liar_ask; /* its context is a liar */

/* From now on the program slips, or no longer (NULL). */
void slips_begin(const liar *l);
void slips_end(void);

#endif
