/* Runs of equal bytes that two byte strings have in common.
 *
 * A range is maximal: the bytes before it and behind it differ, or one side ends there. Blocks of 16 bytes of the file
 * are the anchors; the query is looked through position by position, and what an anchor finds is extended both ways.
 *
 * Unless a bound was met, which ranges.complete tells, every byte of the query that lies in a common run of
 * EG_RANGE_MIN bytes or more lies in a range. Not every such run is listed: of repetitive bytes there would be as many as
 * the product of both sizes. A range is listed when it covers a byte of the query that those found before do not.
 *
 * Bounds: of equal blocks 16 are tried, 4,096 ranges are found, the longest EG_RANGES_MAX kept, and at most
 * 64 MiB + 32 times what is scanned and what is at hand compared. */
#ifndef EG_SEARCH_RANGES_H
#define EG_SEARCH_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "engram/status.h"

enum { EG_RANGE_MIN = 32, EG_RANGES_MAX = 64 };

typedef struct eg_range {
    uint64_t query_offset, file_offset, size;
} eg_range;

/* Bytes [offset, offset + size) of a file lie at begin of the bytes at hand. */
typedef struct eg_piece {
    uint64_t offset;
    size_t begin, size;
} eg_piece;

typedef struct eg_ranges {
    eg_range *items; /* longest first; of equal length in order of the query, then of the file; eg_free */
    size_t count;
    uint64_t covered; /* bytes of the query in ranges, also in those not kept */
    bool complete;
} eg_ranges;

/* bytes: less than 4 GiB, what is at hand of the file, in pieces that do not touch each other; scan: where to look in the
 * query (offset and size; begin is not used), in rising order. Ranges do not leave a piece. On failure ranges is empty. */
engram_status eg_ranges_find(eg_view query, const eg_piece *scan, size_t scan_count, eg_view bytes, const eg_piece *pieces,
                             size_t piece_count, eg_ranges *ranges, engram_error *error);

#endif
