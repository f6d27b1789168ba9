/* What the files about the stream of changes share: the hub, its ring, and a stream. */
#ifndef EG_SERVE_EVENTS_INTERNAL_H
#define EG_SERVE_EVENTS_INTERNAL_H

#include <pthread.h>

#include "base/bytes.h"
#include "serve/events.h"

typedef struct eg_told { /* the text of a version's changes; the ring and each stream that sends it count as one */
    uint32_t references; /* under the lock */
    uint64_t from, to;
    size_t size;
    char text[];
} eg_told;

enum { EG_RING_COUNT = 8192 };

struct eg_events {
    eg_workers *workers;
    eg_events_options options; /* without zeros */
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock;       /* guards all below */
    pthread_cond_t changed;     /* the first stream, or stop */
    bool stopping;
    engram_subscription *subscription; /* made with the first stream; used by the thread alone */
    uint64_t told_to;           /* the version up to which the ring tells */
    eg_told *ring[EG_RING_COUNT]; /* from first on, round */
    size_t first, count, size;
    eg_stream *parked;          /* a list */
    size_t stream_count;
    uint64_t told, gaps;
};

struct eg_stream {
    eg_events *events;
    eg_engram *engram;
    engram_subscription *history; /* NULL: it reads from the ring */
    uint64_t told_to;           /* the version up to which it has sent all, or has it at hand */
    eg_told *current;           /* that is being sent, from at on */
    size_t at;
    eg_buffer own;              /* text that is its own: sent before all else, from own_at on */
    size_t own_at;
    uint64_t sent_ns;           /* when it had something last */
    eg_job *job;                /* put aside, in the list */
    eg_stream *next, **link;
};

/* events_text.c: lines of the protocol (server-sent events); out->failed tells of memory. */
void eg_events_write_start(eg_buffer *out, uint64_t version);
void eg_events_write_gap(eg_buffer *out, uint64_t from, uint64_t to);
void eg_events_write_change(eg_buffer *out, const engram_event *event);

#endif
