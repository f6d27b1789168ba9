/* Open addressing, at most half full. */
#include "base/memory.h"
#include "ingest/extract_parts.h"

static struct eg_number_slot *slot_of(const eg_number_map *map, uint64_t number)
{
    size_t mask = map->capacity - 1;
    for (size_t i = (size_t)(number * 0x9E3779B97F4A7C15u >> 20) & mask;; i = (i + 1) & mask)
        if (map->slots[i].number == number || map->slots[i].number == 0)
            return &map->slots[i];
}

static bool grow(eg_number_map *map)
{
    eg_number_map bigger = {.capacity = map->capacity == 0 ? 256 : map->capacity * 2,
                            .count = map->count};
    bigger.slots = eg_alloc_zero(bigger.capacity, sizeof *bigger.slots);
    if (bigger.slots == NULL)
        return false;
    for (size_t i = 0; i < map->capacity; i++)
        if (map->slots[i].number != 0)
            *slot_of(&bigger, map->slots[i].number) = map->slots[i];
    eg_free(map->slots);
    *map = bigger;
    return true;
}

uint64_t *eg_number_map_at(eg_number_map *map, uint64_t number)
{
    if (number == 0) /* which marks a free slot; only a damaged engram has it */
        number = UINT64_MAX;
    if (2 * (map->count + 1) > map->capacity && !grow(map))
        return NULL;
    struct eg_number_slot *slot = slot_of(map, number);
    if (slot->number == 0) {
        slot->number = number;
        map->count++;
    }
    return &slot->value;
}

void eg_number_map_fini(eg_number_map *map)
{
    eg_free(map->slots);
    *map = (eg_number_map){0};
}
