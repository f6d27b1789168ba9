/* A recorded history of transactions and reads over a few files, and its checker.
 *
 * A file's content is one number, never written twice; 0 stands for no file. A transaction reads some of
 * the files and writes some. The history is linearizable if the commits, replayed in the order of
 * their versions, explain everything that was seen: each transaction saw of what it read the state
 * just before its own version; each pinned version shows the state after all commits up to it; and
 * whoever began after a commit had returned started from that version or a later one. */
#ifndef EG_TESTS_LINEAR_H
#define EG_TESTS_LINEAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engram/engram.h"

enum { LINEAR_FILES = 48 };

typedef struct event {
    bool is_commit;       /* else a read of a pinned version */
    uint64_t begin, end;  /* monotonic ns around the call that gave base, and the one that committed */
    uint64_t base;        /* version that it started from, or that was pinned */
    uint64_t version;     /* that it made */
    uint64_t read, wrote; /* bits of files */
    uint64_t seen[LINEAR_FILES], written[LINEAR_FILES];
} event;

typedef struct history {
    event *events;
    size_t count, commits, conflicts;
} history;

typedef struct workload {
    unsigned writers, readers;
    uint64_t operations; /* of the writers, all together */
    uint64_t seed;
} workload;

/* Runs it on an open engram that has no files. */
bool history_record(struct engram *e, const workload *w, history *h);
void history_free(history *h);
/* NULL: linearizable; else what is not, static. */
const char *history_check(const history *h);

#endif
