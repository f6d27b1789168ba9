/* A twin of a disk that fails on command.
 *
 * It forwards every call to the real table behind it until a planned call comes, and then does
 * what a bad disk does: that call has no effect (or, for a short write, half of it) and returns
 * the status, errno and sentence that eg_io_posix() would give. A test of "survives any failing
 * call" is then a loop:
 *
 *     for (long n = 1;; n++) {
 *         eg_faulty_fail_at(faulty, EG_FAULTY_ANY, n, EIO, EG_FAULTY_ONCE);
 *         status = operation(eg_faulty_io(faulty));
 *         if (eg_faulty_hits(faulty) == 0)
 *             break; // the operation makes fewer than n calls
 *         ... check status and what is on disk ...
 *     }
 *
 * adopt, close and unmap are forwarded without being counted: no disk can make them fail. Files
 * opened through the twin are the real table's own. Thread-safe. */
#ifndef EG_FAULT_FAULTY_IO_H
#define EG_FAULT_FAULTY_IO_H

#include <stdint.h>

#include "base/io.h"

typedef struct eg_faulty eg_faulty;

/* The kinds of calls, to be or-ed. */
enum {
    EG_FAULTY_OPEN = 1 << 0,
    EG_FAULTY_READ = 1 << 1,
    EG_FAULTY_READ_SOME = 1 << 2,
    EG_FAULTY_READ_STREAM = 1 << 3,
    EG_FAULTY_WRITE = 1 << 4,
    EG_FAULTY_SYNC = 1 << 5,
    EG_FAULTY_SIZE = 1 << 6,
    EG_FAULTY_TRUNCATE = 1 << 7,
    EG_FAULTY_ALLOCATE = 1 << 8,
    EG_FAULTY_SYNC_DIR = 1 << 9,
    EG_FAULTY_RENAME = 1 << 10,
    EG_FAULTY_UNLINK = 1 << 11,
    EG_FAULTY_MKDIR = 1 << 12,
    EG_FAULTY_LIST = 1 << 13,
    EG_FAULTY_STAT = 1 << 14,
    EG_FAULTY_MAP = 1 << 15,
    EG_FAULTY_LOCK = 1 << 16,
    EG_FAULTY_KIND_COUNT = 17,
    EG_FAULTY_ANY = (1 << EG_FAULTY_KIND_COUNT) - 1,
    /* What a full disk refuses. */
    EG_FAULTY_GROWING = EG_FAULTY_OPEN | EG_FAULTY_WRITE | EG_FAULTY_TRUNCATE | EG_FAULTY_ALLOCATE |
                        EG_FAULTY_SYNC | EG_FAULTY_RENAME | EG_FAULTY_MKDIR
};

/* How a planned call fails, to be or-ed. */
enum {
    EG_FAULTY_ONCE = 0,
    EG_FAULTY_FOREVER = 1, /* and so do all later calls of these kinds */
    EG_FAULTY_SHORT = 2    /* a failing write has written the first half of its bytes */
};

/* real is lent and must outlive the twin. */
engram_status eg_faulty_create(eg_io *real, eg_faulty **out);
void eg_faulty_free(eg_faulty *faulty);
/* The twin's table; lives as long as the twin. */
eg_io *eg_faulty_io(eg_faulty *faulty);

/* The n-th call from now (1 = next) of any of these kinds fails with os_error; n 0: none does.
 * Replaces the plan before. */
void eg_faulty_fail_at(eg_faulty *faulty, unsigned kinds, uint64_t n, int os_error, unsigned how);
/* What the disk says of its room from now on; total 0: the truth. */
void eg_faulty_set_space(eg_faulty *faulty, uint64_t unused, uint64_t total);
/* Calls that failed by the present plan. */
uint64_t eg_faulty_hits(eg_faulty *faulty);
/* Calls of these kinds since creation, failed ones included. */
uint64_t eg_faulty_count(eg_faulty *faulty, unsigned kinds);

#endif
