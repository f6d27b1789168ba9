/* Visits: looking at shared things without holding a reference to any of them.
 *
 * A visitor begins, follows pointers to whatever is published, and ends. Who takes something out of
 * what is published may free it only when everyone has left who may have seen it there: it asks for
 * a tag after the taking out, and frees once `tag < eg_visits_oldest()`.
 *
 * Beginning and ending are one write each to a line of memory that no other thread uses meanwhile,
 * so visitors do not slow each other down, and wait for nobody: not for those who add, and not for
 * those who take out. (With more than EG_VISITORS_MAX threads inside at the same moment the next
 * one yields until one leaves. A visit is short: nobody reads from disk in it, or takes a lock.)
 *
 * Why it is right: all that matters here is sequentially consistent. A visitor puts the epoch it
 * read into a slot, then loads pointers. A taker unlinks, then advances the epoch, then loads the
 * slots. If it finds the slot empty, the visitor's loads come after the unlinking and cannot see
 * the thing. If it finds a number in it, that is the tag or less when the visitor may have seen it.
 */
#ifndef EG_TREE_VISITS_H
#define EG_TREE_VISITS_H

#include <stdatomic.h>
#include <stdint.h>

enum { EG_VISITORS_MAX = 64, EG_CACHE_LINE = 64 };

typedef struct eg_visitor {
    _Alignas(EG_CACHE_LINE) atomic_uint_fast64_t since; /* epoch; 0: nobody */
} eg_visitor;

typedef struct eg_visits {
    atomic_uint_fast64_t epoch;
    eg_visitor visitors[EG_VISITORS_MAX];
} eg_visits;

void eg_visits_init(eg_visits *visits);
eg_visitor *eg_visit_begin(eg_visits *visits);
static inline void eg_visit_end(eg_visitor *visitor)
{
    atomic_store_explicit(&visitor->since, 0, memory_order_release);
}
/* For what was taken out just before. */
uint64_t eg_visits_tag(eg_visits *visits);
/* Things with a tag below it have no visitors. */
uint64_t eg_visits_oldest(eg_visits *visits);

#endif
