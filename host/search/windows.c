/* Open addressing over windows that are mixed by a bijection: the mixed value is hash and key at
 * once. Its low bits are the place, its high ones decide who stays in a sample. */
#include "search/windows.h"

#include "base/memory.h"
#include "base/status.h"
#include "vsa/encode.h"

enum { SLOTS_MIN = 1024, SLOTS_MAX = 2 * EG_WINDOWS_MAX, STEPS_MAX = 512, SAMPLE_SHIFT_MAX = 31 };

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for a query");
}

/* The finalizer of MurmurHash3: every value has one origin, and 0 stays 0. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 33) * 0xFF51AFD7ED558CCDu;
    x = (x ^ x >> 33) * 0xC4CEB9FE1A85EC53u;
    return x ^ x >> 33;
}

static bool is_sampled(uint64_t mixed, unsigned shift)
{
    return shift == 0 || mixed >> (64 - shift) == 0;
}

/* The slot that holds mixed or is free for it; SIZE_MAX when too many others are in the way. */
static size_t find_slot(const eg_window_set *set, uint64_t mixed)
{
    size_t at = mixed & set->mask;
    for (unsigned step = 0; step < STEPS_MAX; step++, at = (at + 1) & set->mask)
        if (set->slots[at] == mixed || set->slots[at] == 0)
            return at;
    return SIZE_MAX;
}

static bool set_init(eg_window_set *set)
{
    *set = (eg_window_set){.mask = SLOTS_MIN - 1};
    set->slots = eg_alloc_zero(SLOTS_MIN, sizeof *set->slots);
    return set->slots != NULL;
}

static void place(eg_window_set *set, uint64_t mixed)
{
    size_t at = find_slot(set, mixed);
    if (at == SIZE_MAX) {
        set->crowded = true;
    } else if (set->slots[at] == 0) {
        set->slots[at] = mixed;
        set->count++;
    }
}

/* Twice the slots, or half the windows. */
static engram_status make_room(eg_window_set *set, engram_error *error)
{
    size_t slots = set->mask + 1, more = slots < SLOTS_MAX ? 2 * slots : slots;
    eg_window_set next = *set;
    next.slots = eg_alloc_zero(more, sizeof *next.slots);
    if (next.slots == NULL)
        return no_memory(error);
    next.mask = more - 1;
    next.count = set->has_zero;
    if (more == slots && next.shift < SAMPLE_SHIFT_MAX)
        next.shift++;
    for (size_t i = 0; i < slots; i++)
        if (set->slots[i] != 0 && is_sampled(set->slots[i], next.shift))
            place(&next, set->slots[i]);
    eg_free(set->slots);
    *set = next;
    return ENGRAM_OK;
}

static engram_status set_add(eg_window_set *set, uint64_t mixed, engram_error *error)
{
    if (!is_sampled(mixed, set->shift))
        return ENGRAM_OK;
    if (mixed == 0) {
        set->count += !set->has_zero;
        set->has_zero = true;
        return ENGRAM_OK;
    }
    place(set, mixed);
    return set->count > (set->mask + 1) / 2 ? make_room(set, error) : ENGRAM_OK;
}

typedef engram_status visit_window(eg_windows *windows, uint64_t mixed, engram_error *error);

/* Of a run of one byte only the first window is looked at. */
static engram_status visit(eg_windows *w, eg_view bytes, visit_window *one, engram_error *error)
{
    if (bytes.size < ENGRAM_WINDOW)
        return bytes.size == 0 ? ENGRAM_OK
                               : one(w, mix(eg_short_window(bytes.data, bytes.size)), error);
    uint64_t last = ~eg_get_u64(bytes.data);
    for (size_t i = 0; i + ENGRAM_WINDOW <= bytes.size; i++) {
        uint64_t window = eg_get_u64(bytes.data + i);
        if (window == last)
            continue;
        last = window;
        EG_TRY(one(w, mix(window), error));
    }
    return ENGRAM_OK;
}

static engram_status add_to_query(eg_windows *w, uint64_t mixed, engram_error *error)
{
    return set_add(&w->query, mixed, error);
}

engram_status eg_windows_init(eg_windows *windows, eg_view query, engram_error *error)
{
    *windows = (eg_windows){0};
    if (!set_init(&windows->query) || !set_init(&windows->others)) {
        eg_windows_fini(windows);
        return no_memory(error);
    }
    engram_status status = visit(windows, query, add_to_query, error);
    if (status == ENGRAM_OK) {
        windows->seen = eg_alloc_zero(windows->query.mask / 64 + 1, sizeof *windows->seen);
        status = windows->seen == NULL ? no_memory(error) : ENGRAM_OK;
    }
    if (status != ENGRAM_OK) {
        eg_windows_fini(windows);
        return status;
    }
    eg_windows_begin(windows);
    return ENGRAM_OK;
}

void eg_windows_fini(eg_windows *windows)
{
    eg_free(windows->query.slots);
    eg_free(windows->others.slots);
    eg_free(windows->seen);
    *windows = (eg_windows){0};
}

/* The slots of the others stay as many as a file before needed: a little more to clear, nothing to
 * allocate. */
void eg_windows_begin(eg_windows *windows)
{
    eg_window_set *others = &windows->others;
    memset(windows->seen, 0, (windows->query.mask / 64 + 1) * sizeof *windows->seen);
    if (others->count != 0)
        memset(others->slots, 0, (others->mask + 1) * sizeof *others->slots);
    *others = (eg_window_set){
        .slots = others->slots, .mask = others->mask, .shift = windows->query.shift};
    windows->zero_seen = false;
    windows->common = 0;
}

static engram_status count_window(eg_windows *w, uint64_t mixed, engram_error *error)
{
    if (!is_sampled(mixed, w->query.shift))
        return ENGRAM_OK;
    if (mixed == 0 && w->query.has_zero) {
        w->common += !w->zero_seen;
        w->zero_seen = true;
        return ENGRAM_OK;
    }
    size_t at = mixed != 0 ? find_slot(&w->query, mixed) : SIZE_MAX;
    if (at == SIZE_MAX || w->query.slots[at] == 0)
        return set_add(&w->others, mixed, error);
    uint64_t bit = (uint64_t)1 << (at % 64);
    w->common += (w->seen[at / 64] & bit) == 0;
    w->seen[at / 64] |= bit;
    return ENGRAM_OK;
}

engram_status eg_windows_add(eg_windows *windows, eg_view bytes, engram_error *error)
{
    return visit(windows, bytes, count_window, error);
}

double eg_windows_jaccard(const eg_windows *windows)
{
    double scale = (double)((uint64_t)1 << (windows->others.shift - windows->query.shift));
    double either = (double)windows->query.count + scale * (double)windows->others.count;
    return either > 0 ? (double)windows->common / either : 0;
}

double eg_windows_containment(const eg_windows *windows)
{
    return windows->query.count != 0 ? (double)windows->common / (double)windows->query.count : 0;
}

uint32_t eg_windows_sample(const eg_windows *windows)
{
    bool crowded = windows->query.crowded || windows->others.crowded;
    uint32_t sample = (uint32_t)1 << windows->others.shift; /* never less than the query's */
    return sample == 1 && crowded ? 2 : sample;
}
