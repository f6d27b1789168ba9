/* How queries were merged, as figures. */
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

void eg_query_metrics_write(eg_server *server, eg_buffer *out)
{
    if (atomic_load(&server->state) == EG_SERVER_STARTING)
        return;
    write_lane(server, out, EG_OPERATION_TOP_K, "scan");
    write_lane(server, out, EG_OPERATION_ENCODE, "encode");
}
