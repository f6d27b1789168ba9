/* The route of the stream of changes. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "serve/events.h"
#include "serve/internal.h"
#include "serve/routes.h"

static engram_status pull(void *context, uint64_t offset, void *bytes, size_t size, size_t *got,
                          engram_error *error)
{
    (void)offset;
    return eg_stream_read(context, bytes, size, got, error);
}

static bool park(void *context, eg_job *job)
{
    return eg_stream_park(context, job);
}

/* Last-Event-ID, as a browser sends it when it comes again, or the parameter `after`. */
static engram_status read_after(const eg_request *request, uint64_t *after, engram_error *error)
{
    const char *id = eg_request_header(request, "Last-Event-ID");
    char *end = NULL;
    if (id == NULL)
        return eg_request_number(request, "after", 0, INT64_MAX, after, error);
    errno = 0;
    unsigned long long number = strtoull(id, &end, 10);
    if (!isdigit((unsigned char)*id) || *end != 0 || errno != 0 || number > INT64_MAX)
        return eg_fail(error, ENGRAM_INVALID, "Last-Event-ID: the number of a version is expected");
    *after = number;
    return ENGRAM_OK;
}

static engram_status events(eg_request *request, eg_reply *reply, engram_error *error)
{
    uint64_t after = ENGRAM_NEWEST;
    eg_stream *stream = NULL;
    EG_TRY(read_after(request, &after, error));
    EG_TRY(eg_stream_open(request->server->events, request->engram, after, &stream, error));
    request->state = stream;
    eg_reply_add_header(reply, "Cache-Control", "no-store");
    eg_reply_add_header(reply, "X-Accel-Buffering", "no");
    eg_reply_stream(reply, 200, "text/event-stream", EG_SIZE_UNKNOWN, pull, stream);
    reply->park = park;
    return ENGRAM_OK;
}

static void done(eg_request *request)
{
    eg_stream *stream = request->state;
    eg_stream_close(&stream);
    request->state = NULL;
}

void eg_events_metrics_write(eg_server *server, eg_buffer *out)
{
    eg_events_figures f;
    eg_events_get_figures(server->events, &f);
    eg_metrics_single(out, "engram_event_streams", "gauge", "Streams of changes that are open.",
                      (double)f.streams);
    eg_metrics_single(out, "engram_events_total", "counter",
                      "Changes that were told, once for all streams.", (double)f.told);
    eg_metrics_single(out, "engram_event_gaps_total", "counter",
                      "Gaps of streams whose clients were too slow.", (double)f.gaps);
    eg_metrics_single(out, "engram_event_buffer_bytes", "gauge", "Text of changes that is kept.",
                      (double)f.ring_bytes);
}

const eg_route eg_routes_events[] = {
    {.method = "GET",
     .pattern = "/v1/events",
     .parameters = "after",
     .handle = events,
     .done = done},
    {0},
};
