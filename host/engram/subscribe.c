/* Changes as they are committed: how each retained version differs from the one before it.
 *
 * A subscription has pinned the version up to which it has told everything. For the next event
 * beyond that it pins the next version that is retained and compares the two, in the thread that
 * asks; so writers do nothing for it but to wake those who wait (watch.h), and one who asks seldom
 * costs them nothing either: it gets fewer and larger steps, since versions between may have gone,
 * and each step is whole. What it holds in memory is one step, of CHANGES_MAX changes at most: a
 * larger one is told as a gap, like one that begins at a version that is not retained. */
#include "base/clock.h"
#include "base/memory.h"
#include "base/status.h"
#include "engram/internal.h"
#include "engram/look.h"

enum { CHANGES_MAX = 65536 };

typedef struct kept_change {
    engram_change change;
    size_t path, old_path; /* in the text, behind a byte that is there so that 0 means none */
} kept_change;

struct engram_subscription {
    eg_engram *engram;
    eg_version at; /* all up to here is told, or in the list */
    uint64_t from; /* what the list tells of begins here */
    bool has_gap;  /* instead of a list */
    kept_change *list;
    size_t next, count, capacity;
    eg_buffer text;
};

/* ---- the next version ---- */

/* The first of the list in memory that is newer, and whether the catalog may have one before it. */
static bool first_in_list(eg_engram *e, uint64_t after, eg_version *version, bool *is_first)
{
    bool found = false;
    pthread_mutex_lock(&e->history_lock);
    size_t i = e->retained_count;
    while (i > 0 && e->retained[i - 1].number > after)
        i--;
    if (i < e->retained_count) {
        const eg_retained *r = &e->retained[i];
        *version = (eg_version){r->number, r->time_ns, eg_root_retain(r->root), NULL};
        found = true;
    }
    *is_first = i == 0;
    pthread_mutex_unlock(&e->history_lock);
    return found;
}

/* *number 0: none. */
static engram_status first_in_catalog(eg_engram *e, uint64_t after, uint64_t *number,
                                      engram_error *error)
{
    eg_cursor *cursor = NULL;
    eg_key key = eg_key_catalog(after + 1);
    *number = 0;
    pthread_mutex_lock(&e->history_lock);
    eg_root *catalog = eg_root_retain(e->catalog);
    pthread_mutex_unlock(&e->history_lock);
    engram_status status = eg_cursor_open(catalog, &cursor, error);
    if (status == ENGRAM_OK)
        status = eg_cursor_seek(cursor, eg_key_view(&key), error);
    if (status == ENGRAM_OK && eg_cursor_key(cursor).size == key.size)
        *number = eg_get_be64(eg_cursor_key(cursor).data + 1);
    eg_cursor_close(&cursor);
    eg_root_release(catalog);
    return status == ENGRAM_NOT_FOUND ? ENGRAM_OK : status;
}

/* The oldest retained version that is newer than `after`, pinned. One of the catalog may be let go
 * of between the look and the pin: then the look is repeated. */
static engram_status pin_next(eg_engram *e, uint64_t after, eg_version *version, bool *found,
                              engram_error *error)
{
    for (;;) {
        uint64_t number = 0;
        bool is_first;
        engram_error inner = {0};
        *found = first_in_list(e, after, version, &is_first);
        if (!is_first)
            return ENGRAM_OK;
        engram_status status = first_in_catalog(e, after, &number, &inner);
        if (status == ENGRAM_OK && (number == 0 || (*found && number >= version->number)))
            return ENGRAM_OK;
        if (*found)
            eg_version_release(version);
        *found = status == ENGRAM_OK;
        if (status == ENGRAM_OK)
            status = eg_engram_pin_number(e, number, version, &inner);
        if (status == ENGRAM_OK)
            return ENGRAM_OK;
        *found = false;
        if (status != ENGRAM_NOT_FOUND)
            return eg_fail(error, status, "%s", inner.message);
    }
}

/* The newest version, where no list has it: it was that already when the engram was opened. */
static bool pin_newest(eg_engram *e, uint64_t after, eg_version *version)
{
    eg_engram_pin(e, version, NULL);
    if (version->number > after)
        return true;
    eg_version_release(version);
    return false;
}

static bool is_there_newer(void *context)
{
    const engram_subscription *s = context;
    eg_version newest;
    eg_engram_pin(s->engram, &newest, NULL);
    bool newer = newest.number > s->at.number;
    eg_version_release(&newest);
    return newer;
}

/* ---- a step ---- */

static size_t keep_text(engram_subscription *s, const char *text)
{
    size_t at = s->text.size;
    if (text == NULL)
        return 0;
    eg_write_bytes(&s->text, text, strlen(text) + 1);
    return at;
}

static engram_status keep_change(void *context, const engram_change *change, engram_error *error)
{
    engram_subscription *s = context;
    s->has_gap = s->count == CHANGES_MAX;
    if (s->has_gap)
        return ENGRAM_CANCELLED;
    if (!eg_grow((void **)&s->list, &s->capacity, s->count + 1, sizeof *s->list))
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for changes");
    s->list[s->count++] = (kept_change){.change = *change,
                                        .path = keep_text(s, change->path),
                                        .old_path = keep_text(s, change->old_path)};
    return s->text.failed ? eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for changes")
                          : ENGRAM_OK;
}

static void clear(engram_subscription *s)
{
    s->next = s->count = 0;
    s->has_gap = false;
    eg_buffer_clear(&s->text);
    s->text.failed = false;
    eg_write_u8(&s->text, 0);
}

static struct engram_view view_of(const engram_subscription *s, const eg_version *version)
{
    return (struct engram_view){.engram = s->engram,
                                .root = version->root,
                                .number = version->number,
                                .time_ns = version->time_ns};
}

/* From where the subscription is to `to`, which it takes over; on failure it stays where it is. */
static engram_status step(engram_subscription *s, eg_version *to, engram_error *error)
{
    struct engram_view before = view_of(s, &s->at), after = view_of(s, to);
    clear(s);
    engram_status status = engram_diff(&before, &after, "", keep_change, s, error);
    if (status != ENGRAM_OK && !s->has_gap) {
        eg_version_release(to);
        clear(s);
        return status;
    }
    s->from = s->at.number;
    eg_version_release(&s->at);
    s->at = *to;
    return ENGRAM_OK;
}

/* ---- callers ---- */

engram_status engram_subscribe(struct engram *e, uint64_t after, engram_subscription **subscription,
                               engram_error *error)
{
    engram_status status = ENGRAM_NOT_FOUND;
    engram_error inner = {0};
    engram_subscription *s = *subscription = eg_alloc_zero(1, sizeof *s);
    if (s == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for a subscription");
    s->engram = e;
    if (after != ENGRAM_NEWEST)
        status = eg_engram_pin_number(e, after, &s->at, &inner);
    if (status == ENGRAM_NOT_FOUND) {
        s->has_gap = after != ENGRAM_NEWEST;
        s->from = after;
        status = eg_engram_pin(e, &s->at, &inner);
    }
    if (status == ENGRAM_OK)
        return ENGRAM_OK;
    eg_free(s);
    *subscription = NULL;
    return eg_fail(error, status, "%s", inner.message);
}

void engram_unsubscribe(engram_subscription **subscription)
{
    engram_subscription *s = *subscription;
    if (s == NULL)
        return;
    eg_version_release(&s->at);
    eg_buffer_fini(&s->text);
    eg_free(s->list);
    eg_free(s);
    *subscription = NULL;
}

uint64_t engram_subscription_version(const engram_subscription *s)
{
    return s->next < s->count || s->has_gap ? s->from : s->at.number;
}

static void give(engram_subscription *s, engram_event *event)
{
    *event = (engram_event){.what = s->has_gap ? ENGRAM_EVENT_GAP : ENGRAM_EVENT_CHANGE,
                            .from = s->from,
                            .version = s->at.number,
                            .time_ns = s->at.time_ns,
                            .last = true};
    if (s->has_gap) {
        clear(s);
        return;
    }
    const kept_change *kept = &s->list[s->next++];
    const char *text = (const char *)s->text.data;
    event->last = s->next == s->count;
    event->change = kept->change;
    event->change.path = text + kept->path;
    event->change.old_path = kept->old_path != 0 ? text + kept->old_path : NULL;
}

engram_status engram_next_event(engram_subscription *s, uint32_t timeout_ms, engram_event *event,
                                engram_error *error)
{
    uint64_t deadline_ns = eg_clock_monotonic_ns() + (uint64_t)timeout_ms * 1000000;
    while (s->next == s->count && !s->has_gap) {
        eg_version next;
        bool found;
        EG_TRY(pin_next(s->engram, s->at.number, &next, &found, error));
        if (found ||
            pin_newest(s->engram, s->at.number, &next)) /* a version that only has a new name
                                                           changes nothing: then on to the next */
            EG_TRY(step(s, &next, error));
        else if (timeout_ms == 0 ||
                 !eg_watch_wait(&s->engram->watch, is_there_newer, s, deadline_ns))
            return eg_fail(error, ENGRAM_BUSY, "nothing was committed in the time that was given");
    }
    give(s, event);
    return ENGRAM_OK;
}
