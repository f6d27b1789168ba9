/* A disk whose user is killed at a named point: before, in the middle of, or after the n-th call of a kind
 * that concerns a part of the engram. The process ends there by SIGKILL, as if from outside. */
#ifndef EG_KILL_DEADLY_IO_H
#define EG_KILL_DEADLY_IO_H

#include "base/io.h"

typedef enum kill_call {
    KILL_WRITE, KILL_SYNC, KILL_ALLOCATE, KILL_TRUNCATE, KILL_OPEN, KILL_RENAME, KILL_UNLINK, KILL_SYNC_DIR,
    KILL_CALLS
} kill_call;
typedef enum kill_place { /* the folder of the file; of a rename, of its new name */
    KILL_JOURNAL, KILL_SEGMENTS, KILL_TREE, KILL_CHECKPOINT, KILL_MANIFEST, KILL_ANYWHERE, KILL_PLACES
} kill_place;
typedef enum kill_when { KILL_BEFORE, KILL_MIDWAY, KILL_AFTER, KILL_WHENS } kill_when; /* midway: of a write */

typedef struct kill_point {
    kill_call call;
    kill_place place;
    kill_when when;
    uint64_t n; /* 0: never */
} kill_point;

/* The one table of this process, over the real disk. Thread-safe once it is set. */
eg_io *deadly_io(const kill_point *point);
/* "after sync 3 of segments", for messages. */
const char *kill_point_text(const kill_point *point, char text[64]);

#endif
