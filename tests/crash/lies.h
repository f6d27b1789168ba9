/* Disks that lie about syncs: what the explorer must catch. */
#ifndef EG_TESTS_CRASH_LIES_H
#define EG_TESTS_CRASH_LIES_H

#include "crash/ram_disk.h"

typedef struct named_lie {
    const char *name;
    const char *about;
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

#endif
