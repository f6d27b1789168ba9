/* One client's stream of changes: from the history until it is where the ring begins, then from the
 * ring.
 *
 * A stream is its request's: one thread at a time uses it. The lock of the hub guards what both
 * see: the ring, and the list of those put aside. */
#include "base/clock.h"
#include "base/memory.h"
#include "serve/events_internal.h"

enum { OWN_ENOUGH = 64 << 10 };

/* ---- its life ---- */

/* Under the lock. */
static engram_status enter(eg_events *e, eg_engram *engram, engram_error *error)
{
    if (e->stopping || e->stream_count == EG_STREAMS_MAX)
        return eg_fail(error, ENGRAM_BUSY,
                       e->stopping ? "the server ends: try again in a second"
                                   : "%d streams of changes are open, which is the most",
                       EG_STREAMS_MAX);
    if (e->subscription == NULL) {
        EG_TRY(engram_subscribe(engram, ENGRAM_NEWEST, &e->subscription, error));
        e->told_to = engram_subscription_version(e->subscription);
    }
    e->stream_count++;
    pthread_cond_signal(&e->changed);
    return ENGRAM_OK;
}

engram_status eg_stream_open(eg_events *e, eg_engram *engram, uint64_t after, eg_stream **stream,
                             engram_error *error)
{
    eg_stream *s = *stream = eg_alloc_zero(1, sizeof *s);
    if (s == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for a stream of changes");
    pthread_mutex_lock(&e->lock);
    engram_status status = enter(e, engram, error);
    s->told_to = after != ENGRAM_NEWEST ? after : e->told_to;
    pthread_mutex_unlock(&e->lock);
    if (status != ENGRAM_OK) {
        eg_free(s);
        *stream = NULL;
        return status;
    }
    s->events = e;
    s->engram = engram;
    s->sent_ns = eg_clock_monotonic_ns();
    eg_events_write_start(&s->own, s->told_to);
    if (after != ENGRAM_NEWEST)
        status = engram_subscribe(engram, after, &s->history, error);
    if (status != ENGRAM_OK)
        eg_stream_close(stream);
    return status;
}

/* Under the lock. */
static void let_go(eg_stream *s)
{
    if (s->current != NULL && --s->current->references == 0)
        eg_free(s->current);
    s->current = NULL;
}

void eg_stream_close(eg_stream **stream)
{
    eg_stream *s = *stream;
    if (s == NULL)
        return;
    pthread_mutex_lock(&s->events->lock);
    let_go(s);
    s->events->stream_count--;
    pthread_mutex_unlock(&s->events->lock);
    engram_unsubscribe(&s->history);
    eg_buffer_fini(&s->own);
    eg_free(s);
    *stream = NULL;
}

/* ---- what there is to send ---- */

/* Whole versions of the history, until enough is at hand or it has caught up. */
static engram_status read_history(eg_stream *s, engram_error *error)
{
    for (bool last = true; s->own.size < OWN_ENOUGH || !last;) {
        engram_event event;
        engram_error inner = {0};
        engram_status status = engram_next_event(s->history, 0, &event, &inner);
        if (status == ENGRAM_BUSY) {
            s->told_to = engram_subscription_version(s->history);
            engram_unsubscribe(&s->history);
            return ENGRAM_OK;
        }
        if (status != ENGRAM_OK)
            return eg_fail(error, status, "%s", inner.message);
        last = event.last;
        if (event.what == ENGRAM_EVENT_GAP)
            eg_events_write_gap(&s->own, event.from, event.version);
        else
            eg_events_write_change(&s->own, &event);
    }
    return ENGRAM_OK;
}

/* The place in the ring of the first text that ends behind what was told; count: none. */
static size_t find(const eg_events *e, uint64_t told_to)
{
    size_t low = 0, high = e->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (e->ring[(e->first + middle) % EG_RING_COUNT]->to > told_to)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* The next text of the ring becomes current; what has gone before it was reached is a gap. Under
 * the lock. */
static void take_next(eg_stream *s)
{
    eg_events *e = s->events;
    size_t place = find(e, s->told_to);
    let_go(s);
    s->at = 0;
    if (place == e->count)
        return;
    eg_told *next = e->ring[(e->first + place) % EG_RING_COUNT];
    if (next->from > s->told_to && place == 0) {
        eg_events_write_gap(&s->own, s->told_to, next->from);
        s->told_to = next->from;
        e->gaps++;
        return;
    }
    s->current = next;
    next->references++;
    s->told_to = next->to;
}

static void keep_alive(eg_stream *s)
{
    uint64_t silent_ns = (uint64_t)s->events->options.keepalive_s * 1000000000;
    if (eg_clock_monotonic_ns() - s->sent_ns >= silent_ns)
        eg_write_bytes(&s->own, ":\n\n", 3);
}

/* Something more into own or current, if there is anything. */
static engram_status fetch(eg_stream *s, engram_error *error)
{
    eg_buffer_clear(&s->own);
    s->own_at = 0;
    if (s->history != NULL)
        EG_TRY(read_history(s, error));
    if (s->own.size != 0)
        return ENGRAM_OK;
    pthread_mutex_lock(&s->events->lock);
    take_next(s);
    pthread_mutex_unlock(&s->events->lock);
    return ENGRAM_OK;
}

/* ---- sending ---- */

static size_t copy(void *to, size_t room, const void *text, size_t size, size_t *at)
{
    size_t left = size - *at, take = left < room ? left : room;
    if (take != 0)
        memcpy(to, (const char *)text + *at, take);
    *at += take;
    return take;
}

static size_t copy_some(eg_stream *s, void *to, size_t room)
{
    size_t own = copy(to, room, s->own.data, s->own.size, &s->own_at);
    if (own != 0 || s->current == NULL)
        return own;
    return copy(to, room, s->current->text, s->current->size, &s->at);
}

static bool has_ended(eg_stream *s)
{
    pthread_mutex_lock(&s->events->lock);
    bool ended = s->events->stopping;
    pthread_mutex_unlock(&s->events->lock);
    return ended;
}

engram_status eg_stream_read(eg_stream *s, void *bytes, size_t size, size_t *got,
                             engram_error *error)
{
    *got = 0;
    if (has_ended(s))
        return ENGRAM_OK;
    while (*got < size) {
        size_t took = copy_some(s, (char *)bytes + *got, size - *got);
        *got += took;
        if (took != 0)
            continue;
        EG_TRY(fetch(s, error));
        if (s->own.size == 0 && s->current == NULL)
            break;
    }
    if (*got == 0) {
        keep_alive(s);
        *got = copy_some(s, bytes, size);
    }
    if (*got != 0)
        s->sent_ns = eg_clock_monotonic_ns();
    return s->own.failed ? eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for a stream of changes")
                         : ENGRAM_OK;
}

bool eg_stream_park(eg_stream *s, eg_job *job)
{
    eg_events *e = s->events;
    pthread_mutex_lock(&e->lock);
    bool ended = e->stopping, has_news = find(e, s->told_to) != e->count || s->history != NULL;
    if (!ended && !has_news) {
        s->job = job;
        s->next = e->parked;
        s->link = &e->parked;
        if (s->next != NULL)
            s->next->link = &s->next;
        e->parked = s;
    } else if (!ended) {
        eg_workers_push(e->workers, job, true);
    }
    pthread_mutex_unlock(&e->lock);
    return !ended;
}
