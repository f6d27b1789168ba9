/* Routes about the server itself and about the engram as a whole. */
#include "base/clock.h"
#include "base/memory.h"
#include "report/report.h"
#include "serve/internal.h"
#include "serve/routes.h"


static engram_status say_status(eg_reply *reply, unsigned status, const char *text,
                                engram_error *error)
{
    unsigned long failures = eg_json_failures();
    json_t *document = json_object();
    eg_json_put(document, "status", json_string(text));
    eg_reply_add_header(reply, "Cache-Control", "no-store");
    return eg_reply_document(reply, status, document, failures, error);
}

static engram_status healthz(eg_request *request, eg_reply *reply, engram_error *error)
{
    (void)request;
    return say_status(reply, 200, "ok", error);
}

static engram_status readyz(eg_request *request, eg_reply *reply, engram_error *error)
{
    static const char *const names[] = {"starting", "ready", "draining"};
    eg_server_state state = atomic_load(&request->server->state);
    if (state == EG_SERVER_READY && eg_engram_check_writable(request->engram, NULL) != ENGRAM_OK)
        return say_status(reply, 503, "failed: it reads, and takes no commits until it is started again", error);
    return say_status(reply, state == EG_SERVER_READY ? 200 : 503, names[state], error);
}

static engram_status metrics(eg_request *request, eg_reply *reply, engram_error *error)
{
    eg_buffer text = {0};
    eg_metrics_write(request->server, &text);
    if (text.failed) {
        eg_buffer_fini(&text);
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for the figures");
    }
    eg_reply_buffer(reply, 200, "text/plain; version=0.0.4", &text);
    return ENGRAM_OK;
}

static json_t *server_json(const eg_server *server)
{
    json_t *object = json_object();
    eg_json_put(object, "engram_version", json_string(ENGRAM_VERSION));
    eg_json_put_number(object, "uptime_seconds",
                       (eg_clock_monotonic_ns() - server->start_ns) / 1000000000);
    eg_json_put_number(object, "workers", server->config.workers);
    eg_json_put_number(object, "body_size_max", server->config.body_size);
    return object;
}

static engram_status info(eg_request *request, eg_reply *reply, engram_error *error)
{
    eg_version version;
    eg_info gathered = {0};
    unsigned long failures = eg_json_failures();
    EG_TRY(eg_engram_pin_at(request->engram, eg_request_parameter(request, "at"), &version, error));
    engram_status status = eg_info_gather(request->engram, &version, &gathered, error);
    eg_version_release(&version);
    EG_TRY(status);
    eg_info_judge(request->engram, &gathered);
    json_t *document = json_object();
    eg_info_fill(document, request->engram, &gathered);
    eg_json_put(document, "server", server_json(request->server));
    return eg_reply_document(reply, 200, document, failures, error);
}

/* What the server computes on, with its counts: a fallback must not pass for a device's work. */
static json_t *used_json(eg_device *device)
{
    eg_device_stats stats;
    json_t *object = json_object();
    eg_device_get_stats(device, &stats);
    eg_json_put(object, "device_used", eg_json_text(stats.device_used, strlen(stats.device_used)));
    eg_json_put_number(object, "batches", stats.batches);
    eg_json_put_number(object, "fallback_batches", stats.fallback_batches);
    eg_json_put_number(object, "checked_batches", stats.checked_batches);
    eg_json_put_number(object, "wrong_batches", stats.wrong_batches);
    eg_json_put(object, "is_bad", json_boolean(stats.is_bad));
    return object;
}

static engram_status devices(eg_request *request, eg_reply *reply, engram_error *error)
{
    unsigned long failures = eg_json_failures();
    json_t *list = json_array(), *document = json_object();
    for (size_t i = 0; i < request->server->device_count; i++)
        eg_json_put(list, NULL, eg_device_json(&request->server->devices[i]));
    eg_json_put(document, "devices", list);
    if (request->server->device != NULL)
        eg_json_put(document, "used", used_json(request->server->device));
    return eg_reply_document(reply, 200, document, failures, error);
}

const eg_route eg_routes_operations[] = {
    {.method = "GET",
     .pattern = "/healthz",
     .flags = EG_ROUTE_OPEN | EG_ROUTE_INLINE | EG_ROUTE_EARLY,
     .handle = healthz},
    {.method = "GET",
     .pattern = "/readyz",
     .flags = EG_ROUTE_OPEN | EG_ROUTE_INLINE | EG_ROUTE_EARLY,
     .handle = readyz},
    {.method = "GET",
     .pattern = "/metrics",
     .flags = EG_ROUTE_INLINE | EG_ROUTE_EARLY,
     .handle = metrics},
    {.method = "GET", .pattern = "/v1/info", .parameters = "at", .handle = info},
    {.method = "GET", .pattern = "/v1/devices", .handle = devices},
    {0},
};
