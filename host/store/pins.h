/* What must stay although no version holds it yet: chunks that transactions and encode runs under way have found,
 * rest deltas on, or have appended.
 *
 * Each of them has a hold from before its first look into the store to its end. An id that a holder uses becomes a bit in
 * one of two sets. Sets are used by turns: the other one is cleared, and becomes the one in use, when no hold is left that
 * began while it was in use before. So a bit stays at least as long as the hold under which it was set, and nobody
 * keeps a list. What a holder appends needs no bit: it is not older than the hold (`floor`).
 *
 * A collection of garbage begins by stopping the turns, so that from then on every use is kept, also of those whose
 * holders end meanwhile. It then finds out what versions hold, and dooms the rest: at that moment what is used, or not
 * older than all holds, is taken out. What is doomed cannot be used from then on. */
#ifndef EG_STORE_PINS_H
#define EG_STORE_PINS_H

#include <pthread.h>

#include "store/id_set.h"

typedef struct eg_pins {
    pthread_mutex_t lock;
    unsigned side;        /* the set in use */
    uint64_t holds[2];    /* that began on this side */
    uint64_t floor[2];    /* the next id when this side was cleared */
    eg_id_set used[2];
    bool is_collecting;   /* between begin and doom: no turns */
    eg_id_set *doomed;    /* lent by the collection, or NULL */
} eg_pins;

void eg_pins_init(eg_pins *pins);
void eg_pins_fini(eg_pins *pins);
/* next_id: of the store, now. Returns the side, for end. */
unsigned eg_pins_begin(eg_pins *pins, uint64_t next_id);
void eg_pins_end(eg_pins *pins, unsigned side);
/* False: it is doomed, or there is no memory to note it. */
bool eg_pins_use(eg_pins *pins, uint64_t id);
bool eg_pins_is_doomed(eg_pins *pins, uint64_t id);

/* Returns the id from which on nothing may be doomed. One collection at a time. */
uint64_t eg_pins_collect(eg_pins *pins, uint64_t next_id);
/* Takes what is used out of doomed, which is lent until it is lifted. */
void eg_pins_doom(eg_pins *pins, eg_id_set *doomed);
/* Ends the collection, whether it came to doom anything or not. */
void eg_pins_lift(eg_pins *pins);

#endif
