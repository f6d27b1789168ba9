/* The stream of changes, told to many clients at once.
 *
 * One thread has a subscription of the engram, makes the text of each version's changes once, and keeps the last of it (the
 * ring, bounded in bytes and versions). Streams read from there, each at its own place: a slow one is passed by, never waited
 * for, and is told so by a gap. One that begins at an older version reads the history first, by a subscription of its own.
 * While nobody listens there is no subscription, and changes cost nothing.
 *
 * A stream belongs to a request. It occupies no worker while there is nothing to send: its job is put aside here, and goes back
 * to the workers when there is. */
#ifndef EG_SERVE_EVENTS_H
#define EG_SERVE_EVENTS_H

#include "engram/core.h"
#include "serve/workers.h"

enum { EG_STREAMS_MAX = 1024 };

typedef struct eg_events eg_events;
typedef struct eg_stream eg_stream;

typedef struct eg_events_options { /* zero: the defaults */
    size_t ring_size;     /* bytes of text that are kept; 0: 16 MiB */
    uint32_t keepalive_s; /* seconds after which a stream says that it is still there; 0: 15 */
} eg_events_options;

/* workers are lent until stop. */
engram_status eg_events_create(eg_workers *workers, const eg_events_options *options, eg_events **events, engram_error *error);
/* All streams end, and none begins any more; those put aside go back to the workers. */
void eg_events_stop(eg_events *events);
/* No stream is left. NULL is fine. */
void eg_events_free(eg_events *events);
typedef struct eg_events_figures {
    uint64_t streams, told, gaps; /* streams now; changes, once for all streams; gaps because a stream was too slow */
    uint64_t ring_bytes;
} eg_events_figures;
void eg_events_get_figures(eg_events *events, eg_events_figures *figures);

/* after: everything behind that version; ENGRAM_NEWEST: from now on. ENGRAM_BUSY: too many, or it ends. engram is the same at
 * every call. */
engram_status eg_stream_open(eg_events *events, eg_engram *engram, uint64_t after, eg_stream **stream, engram_error *error);
/* Does not block for long. NULL is fine. */
void eg_stream_close(eg_stream **stream);
/* Text that is there to be sent. *got 0: none now, or the stream has ended. */
engram_status eg_stream_read(eg_stream *stream, void *bytes, size_t size, size_t *got, engram_error *error);
/* Puts job aside until there is something; it may be back with the workers when this returns. False: the stream has ended. */
bool eg_stream_park(eg_stream *stream, eg_job *job);

#endif
