#include "store/pins.h"

#include <string.h>

void eg_pins_init(eg_pins *pins)
{
    memset(pins, 0, sizeof *pins);
    pthread_mutex_init(&pins->lock, NULL);
}

void eg_pins_fini(eg_pins *pins)
{
    eg_id_set_fini(&pins->used[0]);
    eg_id_set_fini(&pins->used[1]);
    pthread_mutex_destroy(&pins->lock);
}

/* Under lock. */
static void clear(eg_pins *pins, unsigned side, uint64_t next_id)
{
    eg_id_set_fini(&pins->used[side]);
    pins->floor[side] = next_id;
}

unsigned eg_pins_begin(eg_pins *pins, uint64_t next_id)
{
    pthread_mutex_lock(&pins->lock);
    unsigned other = 1 - pins->side;
    if (pins->holds[other] == 0 && !pins->is_collecting) {
        clear(pins, other, next_id);
        pins->side = other;
    }
    unsigned side = pins->side;
    pins->holds[side]++;
    pthread_mutex_unlock(&pins->lock);
    return side;
}

void eg_pins_end(eg_pins *pins, unsigned side)
{
    pthread_mutex_lock(&pins->lock);
    pins->holds[side]--;
    pthread_mutex_unlock(&pins->lock);
}

bool eg_pins_use(eg_pins *pins, uint64_t id)
{
    pthread_mutex_lock(&pins->lock);
    bool may = (pins->doomed == NULL || !eg_id_set_has(pins->doomed, id)) &&
               eg_id_set_add(&pins->used[pins->side], id);
    pthread_mutex_unlock(&pins->lock);
    return may;
}

bool eg_pins_is_doomed(eg_pins *pins, uint64_t id)
{
    pthread_mutex_lock(&pins->lock);
    bool is = pins->doomed != NULL && eg_id_set_has(pins->doomed, id);
    pthread_mutex_unlock(&pins->lock);
    return is;
}

uint64_t eg_pins_collect(eg_pins *pins, uint64_t next_id)
{
    uint64_t floor = next_id;
    pthread_mutex_lock(&pins->lock);
    for (unsigned side = 0; side < 2; side++) {
        if (pins->holds[side] == 0)
            clear(pins, side, next_id);
        floor = pins->floor[side] < floor ? pins->floor[side] : floor;
    }
    pins->is_collecting = true;
    pthread_mutex_unlock(&pins->lock);
    return floor;
}

void eg_pins_doom(eg_pins *pins, eg_id_set *doomed)
{
    pthread_mutex_lock(&pins->lock);
    eg_id_set_subtract(doomed, &pins->used[0]);
    eg_id_set_subtract(doomed, &pins->used[1]);
    pins->doomed = doomed;
    pins->is_collecting = false;
    pthread_mutex_unlock(&pins->lock);
}

void eg_pins_lift(eg_pins *pins)
{
    pthread_mutex_lock(&pins->lock);
    pins->doomed = NULL;
    pins->is_collecting = false;
    pthread_mutex_unlock(&pins->lock);
}
