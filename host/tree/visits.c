/* Visits. See visits.h for why this is right. */
#include "tree/visits.h"

#include <sched.h>

void eg_visits_init(eg_visits *visits)
{
    atomic_init(&visits->epoch, 1);
    for (size_t i = 0; i < EG_VISITORS_MAX; i++)
        atomic_init(&visits->visitors[i].since, 0);
}

/* Threads start looking for a free slot at different ones. */
static size_t home(void)
{
    static atomic_uint threads;
    static _Thread_local unsigned number;
    if (number == 0)
        number = atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) + 1;
    return number % EG_VISITORS_MAX;
}

eg_visitor *eg_visit_begin(eg_visits *visits)
{
    for (size_t at = home(), tries = 1;; at = (at + 1) % EG_VISITORS_MAX, tries++) {
        eg_visitor *visitor = &visits->visitors[at];
        uint64_t nobody = 0, now = atomic_load(&visits->epoch);
        if (atomic_compare_exchange_strong(&visitor->since, &nobody, now))
            return visitor;
        if (tries % EG_VISITORS_MAX == 0)
            sched_yield();
    }
}

uint64_t eg_visits_tag(eg_visits *visits)
{
    return atomic_fetch_add(&visits->epoch, 1);
}

uint64_t eg_visits_oldest(eg_visits *visits)
{
    uint64_t oldest = UINT64_MAX;
    for (size_t i = 0; i < EG_VISITORS_MAX; i++) {
        uint64_t since = atomic_load(&visits->visitors[i].since);
        if (since != 0 && since < oldest)
            oldest = since;
    }
    return oldest;
}
