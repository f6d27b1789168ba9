/* The hub: one thread that makes the text of each version and wakes the streams that wait for it.
 */
#include "serve/events_internal.h"

#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

enum {
    WAIT_MS = 250, /* for a commit; then it looks whether anybody listens */
    WAKE_NS =
        20000000, /* between two wake-ups of the streams: what comes meanwhile goes with the next */
    RING_SIZE = 16 << 20,
    KEEPALIVE_S = 15,
    PAUSE_MS = 100 /* after a failure */
};

/* ---- the ring, under the lock ---- */

static void release(eg_told *told)
{
    if (told != NULL && --told->references == 0)
        eg_free(told);
}

static void drop_oldest(eg_events *e)
{
    eg_told *told = e->ring[e->first];
    e->size -= told->size;
    e->first = (e->first + 1) % EG_RING_COUNT;
    e->count--;
    release(told);
}

static void clear_ring(eg_events *e)
{
    while (e->count != 0)
        drop_oldest(e);
}

/* Takes told. The newest stays, however large it is. */
static void append(eg_events *e, eg_told *told)
{
    while (e->count == EG_RING_COUNT ||
           (e->count != 0 && e->size + told->size > e->options.ring_size))
        drop_oldest(e);
    e->ring[(e->first + e->count++) % EG_RING_COUNT] = told;
    e->size += told->size;
}

/* ---- waking ---- */

static void unpark(eg_stream *s)
{
    *s->link = s->next;
    if (s->next != NULL)
        s->next->link = s->link;
    s->next = NULL;
    s->link = NULL;
}

/* All of them, or those that were silent for too long. Jobs are pushed under the lock: a stream
 * that is not in the list is somebody else's already. */
static void wake(eg_events *e, bool all)
{
    uint64_t now = eg_clock_monotonic_ns(),
             silent_ns = (uint64_t)e->options.keepalive_s * 1000000000;
    for (eg_stream *s = e->parked, *next; s != NULL; s = next) {
        next = s->next;
        if (!all && now - s->sent_ns < silent_ns)
            continue;
        eg_job *job = s->job;
        unpark(s);
        eg_workers_push(e->workers, job, true);
    }
}

/* ---- the thread ---- */

static eg_told *make_told(const eg_buffer *text, uint64_t from, uint64_t to)
{
    eg_told *told = !text->failed ? eg_alloc(sizeof *told + text->size) : NULL;
    if (told == NULL)
        return NULL;
    *told = (eg_told){.references = 1, .from = from, .to = to, .size = text->size};
    memcpy(told->text, text->data, text->size);
    return told;
}

/* What was gathered of a version goes into the ring, behind what is there: versions without changes
 * are passed over. Without memory for it the ring begins anew behind that version, and streams find
 * a gap. */
static void tell(eg_events *e, eg_buffer *text, uint64_t version, uint64_t changes)
{
    pthread_mutex_lock(&e->lock);
    eg_told *told = make_told(text, e->told_to, version);
    if (told != NULL)
        append(e, told);
    else
        clear_ring(e);
    e->told_to = version;
    e->told += changes;
    pthread_mutex_unlock(&e->lock);
    eg_buffer_clear(text);
    text->failed = false;
}

static void write_event(eg_buffer *text, const engram_event *event)
{
    if (event->what == ENGRAM_EVENT_GAP)
        eg_events_write_gap(text, event->from, event->version);
    else
        eg_events_write_change(text, event);
}

static bool is_listened_to(eg_events *e)
{
    pthread_mutex_lock(&e->lock);
    bool is = !e->stopping && e->stream_count != 0;
    pthread_mutex_unlock(&e->lock);
    return is;
}

/* Milliseconds to wait for the next event: until the streams are to be woken, when there is news
 * for them. */
static uint32_t patience(bool has_news, uint64_t woken_ns)
{
    uint64_t passed = eg_clock_monotonic_ns() - woken_ns;
    return !has_news           ? WAIT_MS
           : passed >= WAKE_NS ? 0
                               : (uint32_t)((WAKE_NS - passed) / 1000000 + 1);
}

typedef struct listening {
    eg_events *events;
    eg_buffer text;
    uint64_t changes; /* in text */
    bool is_whole;    /* text has no part of a version */
    bool has_news;    /* since the streams were woken */
    uint64_t woken_ns;
} listening;

static void take_event(listening *l, const engram_event *event)
{
    write_event(&l->text, event);
    l->changes += event->what == ENGRAM_EVENT_CHANGE;
    l->is_whole = event->last;
    if (!event->last)
        return;
    tell(l->events, &l->text, event->version, l->changes);
    l->changes = 0;
    l->has_news = true;
}

/* is_idle: nothing came for a while, and it is time to look who was silent for too long. */
static void wake_streams(listening *l, bool is_idle)
{
    uint64_t now = eg_clock_monotonic_ns();
    bool is_due = l->has_news && now - l->woken_ns >= WAKE_NS;
    if (!is_due && !is_idle)
        return;
    pthread_mutex_lock(&l->events->lock);
    wake(l->events, is_due);
    pthread_mutex_unlock(&l->events->lock);
    l->woken_ns = is_due ? now : l->woken_ns;
    l->has_news &= !is_due;
}

static void listen(eg_events *e)
{
    listening l = {.events = e, .is_whole = true};
    while (!l.is_whole || is_listened_to(e)) {
        engram_event event;
        engram_error error = {0};
        engram_status status =
            engram_next_event(e->subscription, patience(l.has_news, l.woken_ns), &event, &error);
        if (status == ENGRAM_OK)
            take_event(&l, &event);
        else if (status != ENGRAM_BUSY)
            eg_log(EG_LOG_WARNING, "the stream of changes: %s", error.message);
        if (status != ENGRAM_OK && status != ENGRAM_BUSY)
            nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
        if (l.is_whole)
            wake_streams(&l, status != ENGRAM_OK);
    }
    eg_buffer_fini(&l.text);
}

static void *run(void *context)
{
    eg_events *e = context;
    pthread_mutex_lock(&e->lock);
    for (;;) {
        while (!e->stopping && e->stream_count == 0)
            pthread_cond_wait(&e->changed, &e->lock);
        if (e->stopping)
            break;
        pthread_mutex_unlock(&e->lock);
        listen(e);
        pthread_mutex_lock(&e->lock);
        if (e->stream_count == 0) {
            engram_unsubscribe(&e->subscription);
            clear_ring(e);
        }
    }
    pthread_mutex_unlock(&e->lock);
    return NULL;
}

/* ---- its life ---- */

engram_status eg_events_create(eg_workers *workers, const eg_events_options *options,
                               eg_events **events, engram_error *error)
{
    const eg_events_options o = options != NULL ? *options : (eg_events_options){0};
    eg_events *e = *events = eg_alloc_zero(1, sizeof *e);
    if (e == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for the stream of changes");
    e->workers = workers;
    e->options =
        (eg_events_options){.ring_size = o.ring_size != 0 ? o.ring_size : RING_SIZE,
                            .keepalive_s = o.keepalive_s != 0 ? o.keepalive_s : KEEPALIVE_S};
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->changed, NULL);
    int failed = pthread_create(&e->thread, NULL, run, e);
    e->has_thread = failed == 0;
    if (failed == 0)
        return ENGRAM_OK;
    eg_events_free(e);
    *events = NULL;
    return eg_fail_os(error, failed, "the thread of the stream of changes cannot be started");
}

void eg_events_stop(eg_events *e)
{
    if (e == NULL)
        return;
    pthread_mutex_lock(&e->lock);
    e->stopping = true;
    wake(e, true);
    pthread_cond_broadcast(&e->changed);
    pthread_mutex_unlock(&e->lock);
    if (e->has_thread)
        pthread_join(e->thread, NULL);
    e->has_thread = false;
    engram_unsubscribe(&e->subscription);
}

void eg_events_free(eg_events *e)
{
    if (e == NULL)
        return;
    eg_events_stop(e);
    clear_ring(e);
    pthread_mutex_destroy(&e->lock);
    pthread_cond_destroy(&e->changed);
    eg_free(e);
}

void eg_events_get_figures(eg_events *e, eg_events_figures *figures)
{
    pthread_mutex_lock(&e->lock);
    *figures = (eg_events_figures){
        .streams = e->stream_count, .told = e->told, .gaps = e->gaps, .ring_bytes = e->size};
    pthread_mutex_unlock(&e->lock);
}
