/* The fingerprint index. Tables are chosen by the top bits of a mixed prefix, places in them by the
 * bits below, scaled to the capacity, which need not be a power of two; collisions go to the next
 * place. What follows an entry that is removed moves up, so that searches still end at a free place. */
#include "store/dedup.h"

#include <pthread.h>

#include "base/memory.h"

enum { TABLE_BITS = 8, TABLES = 1 << TABLE_BITS, CAPACITY_MIN = 10 };

typedef struct entry {
    uint64_t prefix;
    uint64_t id; /* 0: free */
} entry;

typedef struct table {
    entry *entries;
    size_t capacity, used;
} table;

struct eg_dedup {
    pthread_rwlock_t lock;
    table tables[TABLES];
};

/* Fingerprints are spread evenly by themselves; but they come from files. */
static uint64_t mix(uint64_t prefix)
{
    prefix *= UINT64_C(0x9E3779B97F4A7C15);
    return prefix ^ prefix >> 29;
}

static table *table_of(eg_dedup *dedup, uint64_t mixed)
{
    return &dedup->tables[mixed >> (64 - TABLE_BITS)];
}

static size_t place_of(const table *t, uint64_t mixed)
{
    return (size_t)(((mixed << TABLE_BITS >> 32) * t->capacity) >> 32);
}

static size_t next_place(const table *t, size_t place)
{
    return place + 1 == t->capacity ? 0 : place + 1;
}

static void place_entry(table *t, entry e)
{
    size_t place = place_of(t, mix(e.prefix));
    while (t->entries[place].id != 0)
        place = next_place(t, place);
    t->entries[place] = e;
    t->used++;
}

static bool resize(table *t, size_t capacity)
{
    table grown = {.entries = eg_alloc_zero(capacity, sizeof(entry)), .capacity = capacity};
    if (grown.entries == NULL)
        return false;
    /* From a free place on, so that entries of equal prefix keep their order. */
    size_t start = 0;
    while (start < t->capacity && t->entries[start].id != 0)
        start++;
    for (size_t i = 0; i < t->capacity; i++) {
        entry e = t->entries[(start + i) % t->capacity];
        if (e.id != 0)
            place_entry(&grown, e);
    }
    eg_free(t->entries);
    *t = grown;
    return true;
}

engram_status eg_dedup_create(uint64_t expected, eg_dedup **dedup, engram_error *error)
{
    *dedup = NULL;
    eg_dedup *made = eg_alloc_zero(1, sizeof *made);
    if (made == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for the fingerprint index");
    pthread_rwlock_init(&made->lock, NULL);
    size_t capacity = (size_t)(expected / TABLES * 4 / 3);
    for (size_t i = 0; i < TABLES && capacity > CAPACITY_MIN; i++) {
        if (!resize(&made->tables[i], capacity)) {
            eg_dedup_free(made);
            return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for the fingerprint index");
        }
    }
    *dedup = made;
    return ENGRAM_OK;
}

void eg_dedup_free(eg_dedup *dedup)
{
    if (dedup == NULL)
        return;
    for (size_t i = 0; i < TABLES; i++)
        eg_free(dedup->tables[i].entries);
    pthread_rwlock_destroy(&dedup->lock);
    eg_free(dedup);
}

static size_t find(const table *t, uint64_t mixed, uint64_t prefix,
                   uint64_t ids[EG_STORE_CANDIDATES])
{
    size_t found = 0;
    if (t->capacity == 0)
        return 0;
    for (size_t place = place_of(t, mixed);
         t->entries[place].id != 0 && found < EG_STORE_CANDIDATES; place = next_place(t, place))
        if (t->entries[place].prefix == prefix)
            ids[found++] = t->entries[place].id;
    return found;
}

size_t eg_dedup_find(eg_dedup *dedup, uint64_t prefix, uint64_t ids[EG_STORE_CANDIDATES])
{
    uint64_t mixed = mix(prefix);
    pthread_rwlock_rdlock(&dedup->lock);
    size_t found = find(table_of(dedup, mixed), mixed, prefix, ids);
    pthread_rwlock_unlock(&dedup->lock);
    return found;
}

static bool make_room(table *t)
{
    if ((t->used + 1) * 5 <= t->capacity * 4)
        return true;
    size_t capacity = t->capacity + t->capacity / 5;
    return resize(t, capacity < CAPACITY_MIN ? CAPACITY_MIN : capacity);
}

engram_status eg_dedup_add(eg_dedup *dedup, uint64_t prefix, uint64_t id, engram_error *error)
{
    uint64_t ids[EG_STORE_CANDIDATES];
    uint64_t mixed = mix(prefix);
    table *t = table_of(dedup, mixed);
    bool room = true;
    pthread_rwlock_wrlock(&dedup->lock);
    if (find(t, mixed, prefix, ids) < EG_STORE_CANDIDATES) {
        room = make_room(t);
        if (room)
            place_entry(t, (entry){prefix, id});
    }
    pthread_rwlock_unlock(&dedup->lock);
    return room ? ENGRAM_OK
                : eg_fail(error, ENGRAM_NO_MEMORY, "no memory for the fingerprint index");
}

/* How far a place lies behind another, around the end. */
static size_t distance(const table *t, size_t from, size_t to)
{
    return to >= from ? to - from : to + t->capacity - from;
}

/* Entries behind the hole whose search passes it move into it, in their order. */
static void close_hole(table *t, size_t hole)
{
    for (size_t at = next_place(t, hole); t->entries[at].id != 0; at = next_place(t, at)) {
        size_t home = place_of(t, mix(t->entries[at].prefix));
        if (distance(t, home, at) < distance(t, hole, at))
            continue;
        t->entries[hole] = t->entries[at];
        hole = at;
    }
    t->entries[hole] = (entry){0};
    t->used--;
}

void eg_dedup_remove(eg_dedup *dedup, uint64_t prefix, uint64_t id)
{
    uint64_t mixed = mix(prefix);
    table *t = table_of(dedup, mixed);
    pthread_rwlock_wrlock(&dedup->lock);
    size_t place = t->capacity == 0 ? 0 : place_of(t, mixed);
    while (t->capacity != 0 && t->entries[place].id != 0) {
        if (t->entries[place].id == id && t->entries[place].prefix == prefix) {
            close_hole(t, place);
            break;
        }
        place = next_place(t, place);
    }
    pthread_rwlock_unlock(&dedup->lock);
}

static bool validate_table(const table *t)
{
    size_t used = 0;
    for (size_t i = 0; i < t->capacity; i++) {
        if (t->entries[i].id == 0)
            continue;
        used++;
        for (size_t at = place_of(t, mix(t->entries[i].prefix)); at != i; at = next_place(t, at))
            if (t->entries[at].id == 0)
                return false;
    }
    return used == t->used && (used == 0 || used < t->capacity);
}

bool eg_dedup_validate(eg_dedup *dedup)
{
    bool valid = true;
    pthread_rwlock_rdlock(&dedup->lock);
    for (size_t i = 0; i < TABLES; i++)
        valid = valid && validate_table(&dedup->tables[i]);
    pthread_rwlock_unlock(&dedup->lock);
    return valid;
}
