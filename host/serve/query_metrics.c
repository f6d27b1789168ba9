/* How queries were merged, and what the device made of them, as figures. */
#include <stdio.h>

#include "serve/internal.h"

static void write_lane(eg_server *server, eg_buffer *out, eg_operation operation, const char *name)
{
    eg_batcher_metrics m;
    char family[80];
    eg_searcher_get_metrics(server->searcher, operation, &m);
    snprintf(family, sizeof family, "engram_query_%s_calls_total", name);
    eg_metrics_single(out, family, "counter", "What requests asked of the device.",
                      (double)m.calls);
    snprintf(family, sizeof family, "engram_query_%s_batches_total", name);
    eg_metrics_single(out, family, "counter", "Batches in which it was done.", (double)m.batches);
    snprintf(family, sizeof family, "engram_query_%s_items_total", name);
    eg_metrics_single(out, family, "counter", "Chunks of queries in all of them.", (double)m.items);
    snprintf(family, sizeof family, "engram_query_%s_wait_seconds_total", name);
    eg_metrics_single(out, family, "counter", "Time that batches waited for more.",
                      (double)m.wait_ns / 1e9);
}

/* A fallback must not pass for a device's work. */
static void write_device(eg_server *server, eg_buffer *out)
{
    eg_device_stats s;
    eg_device_get_stats(server->device, &s);
    eg_metrics_single(out, "engram_device_batches_total", "counter", "Batches of the device.",
                      (double)s.batches);
    eg_metrics_single(out, "engram_device_fallback_batches_total", "counter",
                      "Of them, those that the CPU did because the device failed.",
                      (double)s.fallback_batches);
    eg_metrics_single(out, "engram_device_checked_batches_total", "counter",
                      "Of them, those that were done again by the CPU and compared.",
                      (double)s.checked_batches);
    eg_metrics_single(out, "engram_device_wrong_batches_total", "counter",
                      "Of the checked ones, those that differed; the CPU does everything since.",
                      (double)s.wrong_batches);
}

void eg_query_metrics_write(eg_server *server, eg_buffer *out)
{
    if (atomic_load(&server->state) == EG_SERVER_STARTING)
        return;
    write_lane(server, out, EG_OPERATION_TOP_K, "scan");
    write_lane(server, out, EG_OPERATION_ENCODE, "encode");
    write_device(server, out);
}
