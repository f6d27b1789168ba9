/* Events as lines: what a browser's EventSource reads.
 *
 *   event: start   once, at the beginning: the version behind which the stream begins
 *   event: change  one change, as 'engram diff --json' says it, with version and time
 *   event: gap     changes that are not told, and what to read instead
 *
 * The last event of a version has its number as id, so that who comes again with Last-Event-ID
 * misses nothing; of a version that was told half it gets all again. */
#include <inttypes.h>
#include <stdio.h>

#include "report/report.h"
#include "serve/events_internal.h"

static void write_text(eg_buffer *out, const char *text)
{
    eg_write_bytes(out, text, strlen(text));
}

static int append(const char *bytes, size_t size, void *out)
{
    eg_write_bytes(out, bytes, size);
    return ((eg_buffer *)out)->failed ? -1 : 0;
}

void eg_events_write_start(eg_buffer *out, uint64_t version)
{
    char text[160];
    snprintf(text, sizeof text,
             "retry: 2000\nevent: start\nid: %" PRIu64 "\ndata: {\"version\":%" PRIu64 "}\n\n",
             version, version);
    write_text(out, text);
}

void eg_events_write_gap(eg_buffer *out, uint64_t from, uint64_t to)
{
    char text[320];
    snprintf(text, sizeof text,
             "event: gap\nid: %" PRIu64 "\ndata: {\"from\":%" PRIu64 ",\"to\":%" PRIu64
             ",\"read\":\"/v1/diff?from=%" PRIu64 "&to=%" PRIu64
             "\",\"otherwise\":\"/v1/files/?at=%" PRIu64 "\"}\n\n",
             to, from, to, from, to, to);
    write_text(out, text);
}

void eg_events_write_change(eg_buffer *out, const engram_event *event)
{
    char id[48], time[EG_TEXT_SIZE];
    unsigned long failures = eg_json_failures();
    json_t *object = eg_change_json(&event->change);
    eg_json_put_number(object, "version", event->version);
    eg_json_put(object, "time", json_string(eg_text_time_ns(time, event->time_ns)));
    snprintf(id, sizeof id, "id: %" PRIu64 "\n", event->version);
    write_text(out, "event: change\n");
    if (event->last)
        write_text(out, id);
    write_text(out, "data: ");
    out->failed |= eg_json_failures() != failures ||
                   json_dump_callback(object, append, out, JSON_COMPACT) != 0;
    write_text(out, "\n\n");
    json_decref(object);
}
