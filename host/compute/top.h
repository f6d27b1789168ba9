/* The k best rows of a scan, in total order: matches descending, then row ascending.
 *
 * A list is a bounded heap whose root is the worst kept row, so a scan needs one comparison
 * with `bar` for almost every row. Rows may be offered in any order. */
#ifndef EG_COMPUTE_TOP_H
#define EG_COMPUTE_TOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EG_TOP_K_MAX = 65536 };

typedef struct eg_hit {
    uint64_t row;
    uint32_t matches;
} eg_hit;

typedef struct eg_top {
    eg_hit *hits;   /* the caller's, room for k */
    uint32_t k;     /* >= 1 */
    uint32_t count; /* kept so far */
    uint32_t bar;   /* a row with fewer matches cannot enter; starts at the minimum asked for */
} eg_top;

/* hits: room for k, the caller's. minimum: rows with fewer matches never count. */
void eg_top_init(eg_top *top, eg_hit *hits, uint32_t k, uint32_t minimum);
/* Call only when matches >= top->bar (cheap test first, in the scan). */
void eg_top_offer(eg_top *top, uint64_t row, uint32_t matches);
/* Sorts hits best first. After this, only reading. */
void eg_top_finish(eg_top *top);

/* Whether a comes before b in the total order. */
static inline bool eg_hit_before(eg_hit a, eg_hit b)
{
    return a.matches != b.matches ? a.matches > b.matches : a.row < b.row;
}

#endif
