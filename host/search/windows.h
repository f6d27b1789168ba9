/* Sets of windows, counted on bytes: what hypervectors estimate.
 *
 * A window is one of the overlapping runs of 8 bytes, as in vsa/encode.h, with the same single window for what is
 * shorter. The query's distinct windows are kept; a file's bytes then go by, in pieces, and the distinct windows of the
 * file that are in the query's set, and those that are not, are counted.
 *
 * Memory is bounded. A set that would outgrow EG_WINDOWS_MAX keeps only the windows whose hash begins with a zero bit,
 * then two, and so on: a sample of one in 2, 4, ... of them, that does not depend on their order. Then the figures are
 * estimates, from at least a million windows: a standard error of 0.0005 at most. Time is bounded for hostile bytes
 * too: a window whose place is too crowded is left out, which counts as a sample. */
#ifndef EG_SEARCH_WINDOWS_H
#define EG_SEARCH_WINDOWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "engram/status.h"

enum { EG_WINDOWS_MAX = 1 << 21 }; /* of a set; twice as many slots of 8 bytes */

typedef struct eg_window_set {
    uint64_t *slots; /* mixed windows; 0: free */
    size_t mask, count;
    unsigned shift;  /* one window in 2^shift is kept */
    bool has_zero;   /* the window of zeros, which no slot can hold; among count */
    bool crowded;    /* windows were left out */
} eg_window_set;

typedef struct eg_windows {
    eg_window_set query;
    eg_window_set others; /* of the file, not in the query */
    uint64_t *seen;       /* a bit for each slot of the query: it is in the file */
    bool zero_seen;
    uint64_t common;      /* windows of the query in the file */
} eg_windows;

/* Takes the query's windows; bytes are not needed any more afterwards. No bytes, no windows. */
engram_status eg_windows_init(eg_windows *windows, eg_view query, engram_error *error);
void eg_windows_fini(eg_windows *windows);

/* The next file begins. */
void eg_windows_begin(eg_windows *windows);
/* Its bytes, or some of them. Windows do not go from one call to the next: pieces that follow one another overlap by
 * 7 bytes. Fewer than 8 bytes are a whole file. About 100 MB/s where little is in common. */
engram_status eg_windows_add(eg_windows *windows, eg_view bytes, engram_error *error);

/* Of the query and the bytes added since begin: windows in both by windows in either; windows in both by the query's.
 * 0 for an empty query. */
double eg_windows_jaccard(const eg_windows *windows);
double eg_windows_containment(const eg_windows *windows);
/* One window in so many was counted; 1: all, the figures are exact. */
uint32_t eg_windows_sample(const eg_windows *windows);

#endif
