/* Figures in the text format of Prometheus: how they are written, and those of requests. */
#include "serve/metrics.h"

#include <inttypes.h>
#include <stdio.h>

#include "serve/internal.h"
#include "serve/routes.h"

static const unsigned statuses[EG_METRICS_STATUS_COUNT] = {0,   200, 201, 202, 204, 206, 304,
                                                           400, 401, 403, 404, 405, 409, 412,
                                                           413, 416, 431, 500, 503, 507};

/* ---- writing ---- */

static void write_text(eg_buffer *out, const char *text)
{
    eg_write_bytes(out, text, strlen(text));
}

void eg_metrics_family(eg_buffer *out, const char *name, const char *type, const char *help)
{
    char line[512];
    snprintf(line, sizeof line, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
    write_text(out, line);
}

void eg_metrics_value(eg_buffer *out, const char *name, const char *labels, double value)
{
    char text[40];
    write_text(out, name);
    if (*labels != 0) {
        write_text(out, "{");
        write_text(out, labels);
        write_text(out, "}");
    }
    snprintf(text, sizeof text, " %.17g\n", value);
    write_text(out, text);
}

void eg_metrics_single(eg_buffer *out, const char *name, const char *type, const char *help,
                       double value)
{
    eg_metrics_family(out, name, type, help);
    eg_metrics_value(out, name, "", value);
}

/* ---- histograms ---- */

enum { FIRST_US = 64 };

void eg_histogram_add(eg_histogram *h, double seconds)
{
    double us = seconds * 1e6;
    size_t step = 0;
    for (double limit = FIRST_US; step < EG_HISTOGRAM_STEPS && us > limit; limit *= 2)
        step++;
    atomic_fetch_add(&h->counts[step], 1);
    atomic_fetch_add(&h->sum_us, us > 0 ? (uint64_t)us : 0);
}

void eg_histogram_write(eg_buffer *out, const char *name, const char *labels, eg_histogram *h)
{
    char line[256], full[320];
    const char *comma = *labels != 0 ? "," : "";
    uint64_t count = 0;
    snprintf(line, sizeof line, "%s_bucket", name);
    for (size_t i = 0; i <= EG_HISTOGRAM_STEPS; i++) {
        count += atomic_load(&h->counts[i]);
        if (i < EG_HISTOGRAM_STEPS)
            snprintf(full, sizeof full, "%s%sle=\"%g\"", labels, comma,
                     (double)((uint64_t)FIRST_US << i) / 1e6);
        else
            snprintf(full, sizeof full, "%s%sle=\"+Inf\"", labels, comma);
        eg_metrics_value(out, line, full, (double)count);
    }
    snprintf(line, sizeof line, "%s_sum", name);
    eg_metrics_value(out, line, labels, (double)atomic_load(&h->sum_us) / 1e6);
    snprintf(line, sizeof line, "%s_count", name);
    eg_metrics_value(out, line, labels, (double)count);
}

/* ---- requests ---- */

static size_t status_index(unsigned status)
{
    for (size_t i = 0; i < EG_METRICS_STATUS_COUNT; i++)
        if (statuses[i] == status)
            return i;
    return status_index(status / 100 == 4 ? 400 : 500); /* one that nothing here sends */
}

void eg_serve_metrics_count(eg_serve_metrics *m, size_t route, unsigned status, double seconds,
                            uint64_t received, uint64_t sent)
{
    size_t row = route < EG_METRICS_ROUTES_MAX ? route : EG_METRICS_ROUTES_MAX - 1;
    atomic_fetch_add(&m->requests[row][status_index(status)], 1);
    eg_histogram_add(&m->seconds[row], seconds);
    atomic_fetch_add(&m->received, received);
    atomic_fetch_add(&m->sent, sent);
}

static void route_labels(size_t index, char labels[160])
{
    const eg_route *route = eg_routes_at(index);
    snprintf(labels, 160, "method=\"%s\",route=\"%s\"", route != NULL ? route->method : "other",
             route != NULL ? route->pattern : "none");
}

static void write_requests(eg_server *server, eg_buffer *out)
{
    char labels[160], full[200];
    eg_serve_metrics *m = &server->metrics;
    size_t count = eg_routes_count() + 1;
    eg_metrics_family(out, "engram_http_requests_total", "counter",
                      "Requests by route and status; status 0: the client was gone before a reply.");
    for (size_t i = 0; i < count && i < EG_METRICS_ROUTES_MAX; i++) {
        route_labels(i, labels);
        for (size_t s = 0; s < EG_METRICS_STATUS_COUNT; s++) {
            uint64_t n = atomic_load(&m->requests[i][s]);
            snprintf(full, sizeof full, "%s,status=\"%u\"", labels, statuses[s]);
            if (n != 0)
                eg_metrics_value(out, "engram_http_requests_total", full, (double)n);
        }
    }
    eg_metrics_family(out, "engram_http_request_seconds", "histogram",
                      "From a request's first line to the end of its reply.");
    for (size_t i = 0; i < count && i < EG_METRICS_ROUTES_MAX; i++) {
        route_labels(i, labels);
        eg_histogram_write(out, "engram_http_request_seconds", labels, &m->seconds[i]);
    }
}

static void write_server(eg_server *server, eg_buffer *out)
{
    size_t waiting, busy;
    eg_workers_count(server->workers, &waiting, &busy);
    eg_metrics_single(out, "engram_http_received_bytes_total", "counter",
                      "Bytes of requests' bodies.", (double)atomic_load(&server->metrics.received));
    eg_metrics_single(out, "engram_http_sent_bytes_total", "counter", "Bytes of replies' bodies.",
                      (double)atomic_load(&server->metrics.sent));
    eg_metrics_single(out, "engram_http_connections", "gauge", "Connections that are open.",
                      (double)eg_deadlines_connections(server->deadlines));
    eg_metrics_single(out, "engram_http_slow_connections_total", "counter",
                      "Connections cut because the client was too slow.",
                      (double)eg_deadlines_cut_count(server->deadlines));
    eg_metrics_single(out, "engram_http_woken_connections_total", "counter",
                      "Times that a request which waited unread was brought to notice again.",
                      (double)eg_deadlines_wake_count(server->deadlines));
    eg_metrics_single(out, "engram_http_requests_active", "gauge", "Requests under way.",
                      (double)atomic_load(&server->requests_active));
    eg_metrics_single(out, "engram_http_quick_requests_total", "counter",
                      "Requests answered from memory, without a worker.",
                      (double)atomic_load(&server->metrics.quick));
    eg_metrics_single(out, "engram_workers_waiting", "gauge", "Requests that wait for a worker.",
                      (double)waiting);
    eg_metrics_single(out, "engram_workers_busy", "gauge", "Workers that have a request.",
                      (double)busy);
    eg_metrics_single(out, "engram_buffers_bytes", "gauge", "Memory of pieces of bodies and replies.",
                      (double)atomic_load(&server->buffers_used));
}

static void write_engram(eg_server *server, eg_buffer *out)
{
    engram_metrics m;
    if (atomic_load(&server->state) == EG_SERVER_STARTING)
        return;
    engram_get_metrics(server->engram, &m);
    eg_metrics_single(out, "engram_version", "gauge", "The newest version.", (double)m.version);
    eg_metrics_single(out, "engram_commits_total", "counter", "Commits.", (double)m.commits);
    eg_metrics_single(out, "engram_conflicts_total", "counter", "Commits that met a conflict.",
                      (double)m.conflicts);
    eg_metrics_single(out, "engram_commit_groups_total", "counter",
                      "Groups of commits that shared a sync.", (double)m.groups);
    eg_metrics_single(out, "engram_journal_syncs_total", "counter", "Syncs of the journal.",
                      (double)m.syncs);
    eg_metrics_single(out, "engram_journal_sync_seconds", "gauge",
                      "What a sync of the journal takes, smoothed.", m.sync_us / 1e6);
    eg_metrics_single(out, "engram_journal_bytes", "gauge", "Journal since the last checkpoint.",
                      (double)m.journal_bytes);
    eg_metrics_single(out, "engram_checkpoints_total", "counter", "Checkpoints.",
                      (double)m.checkpoints);
}

/* What it holds: a key of the tree and the totals of the segments, in memory. */
static void write_sizes(eg_server *server, eg_buffer *out)
{
    eg_version version;
    eg_tree_totals tree = {0};
    eg_store_totals store = {0};
    if (atomic_load(&server->state) == EG_SERVER_STARTING ||
        eg_engram_pin(server->engram, &version, NULL) != ENGRAM_OK)
        return;
    bool known = eg_fs_totals(version.root, &tree, NULL) == ENGRAM_OK &&
                 eg_store_get_totals(eg_engram_store(server->engram), &store, NULL) == ENGRAM_OK;
    eg_version_release(&version);
    if (!known)
        return;
    eg_metrics_single(out, "engram_files", "gauge", "Files of the newest version.",
                      (double)tree.files);
    eg_metrics_single(out, "engram_logical_bytes", "gauge", "Their bytes.",
                      (double)tree.bytes_logical);
    eg_metrics_single(out, "engram_chunks", "gauge", "Chunks of all versions.",
                      (double)store.chunks);
    eg_metrics_single(out, "engram_correction_bytes", "gauge", "What they are stored in.",
                      (double)store.bytes_payload);
    eg_metrics_single(out, "engram_segments", "gauge", "Files that hold them.",
                      (double)store.segments);
}

eg_metrics_writer *const eg_metrics_writers[] = {write_requests, write_server, write_engram,
                                                 write_sizes, eg_query_metrics_write,
                                                 eg_events_metrics_write, NULL};

void eg_metrics_write(eg_server *server, eg_buffer *out)
{
    for (eg_metrics_writer *const *write = eg_metrics_writers; *write != NULL; write++)
        (*write)(server, out);
}
