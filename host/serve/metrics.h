/* Figures for a monitoring system, in the text format of Prometheus (version 0.0.4).
 *
 * A family of figures is written by whoever has them: /metrics asks each function of eg_metrics_writers (metrics.c) for its
 * lines. Counters are the writer's own atomic numbers; eg_histogram is one for durations. Writers do not block. */
#ifndef EG_SERVE_METRICS_H
#define EG_SERVE_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/bytes.h"

typedef struct eg_server eg_server;

/* ---- writing ---- */

/* "# HELP" and "# TYPE"; type: counter, gauge, histogram. */
void eg_metrics_family(eg_buffer *out, const char *name, const char *type, const char *help);
/* labels: "a=\"b\",c=\"d\"", or "" for none. */
void eg_metrics_value(eg_buffer *out, const char *name, const char *labels, double value);
/* A family of one value. */
void eg_metrics_single(eg_buffer *out, const char *name, const char *type, const char *help, double value);

/* Durations, in steps of two from 64 us to 67 s. Zero-initialise. Any thread. */
enum { EG_HISTOGRAM_STEPS = 21 };
typedef struct eg_histogram {
    atomic_uint_fast64_t counts[EG_HISTOGRAM_STEPS + 1]; /* the last: longer */
    atomic_uint_fast64_t sum_us;
} eg_histogram;
void eg_histogram_add(eg_histogram *histogram, double seconds);
void eg_histogram_write(eg_buffer *out, const char *name, const char *labels, eg_histogram *histogram);

typedef void eg_metrics_writer(eg_server *server, eg_buffer *out);
eg_metrics_writer eg_query_metrics_write, eg_events_metrics_write;
extern eg_metrics_writer *const eg_metrics_writers[]; /* ends with NULL */
void eg_metrics_write(eg_server *server, eg_buffer *out);

/* ---- what the server counts of requests ---- */

enum { EG_METRICS_ROUTES_MAX = 64, EG_METRICS_STATUS_COUNT = 20 };
typedef struct eg_serve_metrics {
    atomic_uint_fast64_t requests[EG_METRICS_ROUTES_MAX][EG_METRICS_STATUS_COUNT];
    eg_histogram seconds[EG_METRICS_ROUTES_MAX];
    atomic_uint_fast64_t received, sent;
    atomic_uint_fast64_t quick; /* answered from memory, without a worker */
} eg_serve_metrics;
/* route: index of eg_routes_at, or their count for none. status 0: no reply was sent. */
void eg_serve_metrics_count(eg_serve_metrics *metrics, size_t route, unsigned status, double seconds, uint64_t received, uint64_t sent);

#endif
