/* The bounded heap of the k best: the root is the worst row kept, and each parent is worse than
 * its children, or equal in nothing (rows are distinct, so the order is total). */
#include "compute/top.h"

static void sift_up(eg_hit *hits, uint32_t at)
{
    eg_hit hit = hits[at];
    while (at > 0) {
        uint32_t parent = (at - 1) / 2;
        if (!eg_hit_before(hits[parent], hit))
            break;
        hits[at] = hits[parent];
        at = parent;
    }
    hits[at] = hit;
}

/* Places hit in the heap of count entries whose root is free. */
static void sift_down(eg_hit *hits, uint32_t count, eg_hit hit)
{
    uint32_t at = 0;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= count)
            break;
        if (child + 1 < count && eg_hit_before(hits[child], hits[child + 1]))
            child++;
        if (!eg_hit_before(hit, hits[child]))
            break;
        hits[at] = hits[child];
        at = child;
    }
    hits[at] = hit;
}

void eg_top_init(eg_top *top, eg_hit *hits, uint32_t k, uint32_t minimum)
{
    *top = (eg_top){.hits = hits, .k = k, .count = 0, .bar = minimum};
}

void eg_top_offer(eg_top *top, uint64_t row, uint32_t matches)
{
    eg_hit hit = {row, matches};
    if (top->count < top->k) {
        top->hits[top->count++] = hit;
        sift_up(top->hits, top->count - 1);
    } else if (eg_hit_before(hit, top->hits[0])) {
        sift_down(top->hits, top->count, hit);
    }
    /* A row equal to the worst may still enter by its number, so the bar is not one higher. */
    if (top->count == top->k)
        top->bar = top->hits[0].matches;
}

void eg_top_finish(eg_top *top)
{
    for (uint32_t left = top->count; left > 1; left--) {
        eg_hit worst = top->hits[0];
        sift_down(top->hits, left - 1, top->hits[left - 1]);
        top->hits[left - 1] = worst;
    }
}
