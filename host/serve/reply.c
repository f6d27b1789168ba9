/* Replies, and what a failure becomes. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "report/report.h"
#include "serve/http.h"

static const unsigned http_statuses[ENGRAM_STATUS_COUNT] = {
    [ENGRAM_OK] = 200,
    [ENGRAM_NOT_FOUND] = 404,
    [ENGRAM_EXISTS] = 409,
    [ENGRAM_CONFLICT] = 409,
    [ENGRAM_DAMAGED] = 500,
    [ENGRAM_IO] = 500,
    [ENGRAM_NO_SPACE] = 507,
    [ENGRAM_NO_MEMORY] = 503,
    [ENGRAM_INVALID] = 400,
    [ENGRAM_BUSY] = 503,
    [ENGRAM_LOCKED] = 503,
    [ENGRAM_UNSUPPORTED] = 501,
    [ENGRAM_DEVICE] = 500,
    [ENGRAM_CANCELLED] = 503,
    [ENGRAM_NOT_ENGRAM] = 500,
    [ENGRAM_NEWER] = 500,
    [ENGRAM_NO_DEVICE] = 500,
    [ENGRAM_PARTIAL] = 500,
    [ENGRAM_DENIED] = 403,
};

unsigned eg_http_status(engram_status status)
{
    return (unsigned)status < ENGRAM_STATUS_COUNT ? http_statuses[status] : 500;
}

static bool is_printable(const char *text)
{
    for (; *text != 0; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7F)
            return false;
    return true;
}

void eg_reply_add_header(eg_reply *reply, const char *name, const char *format, ...)
{
    if (reply->header_count == EG_REPLY_HEADERS_MAX)
        return;
    eg_reply_header *header = &reply->headers[reply->header_count];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(header->value, sizeof header->value, format, args);
    va_end(args);
    if (size < 0 || (size_t)size >= sizeof header->value || !is_printable(header->value))
        return;
    header->name = name;
    reply->header_count++;
}

static void begin(eg_reply *reply, unsigned status, const char *content_type)
{
    reply->status = status;
    reply->content_type = content_type;
    reply->pull = NULL;
    reply->park = NULL;
}

void eg_reply_empty(eg_reply *reply, unsigned status)
{
    begin(reply, status, NULL);
}

static int append(const char *bytes, size_t size, void *body)
{
    eg_write_bytes(body, bytes, size);
    return ((eg_buffer *)body)->failed ? -1 : 0;
}

engram_status eg_reply_json(eg_reply *reply, unsigned status, json_t *document, engram_error *error)
{
    eg_buffer_clear(&reply->body);
    int failed = document == NULL ||
                 json_dump_callback(document, append, &reply->body,
                                    JSON_COMPACT | JSON_REAL_PRECISION(9)) != 0;
    json_decref(document);
    eg_write_u8(&reply->body, '\n');
    if (failed || reply->body.failed)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for the reply");
    begin(reply, status, "application/json");
    return ENGRAM_OK;
}

engram_status eg_reply_document(eg_reply *reply, unsigned status, json_t *document,
                                unsigned long failures, engram_error *error)
{
    if (eg_json_failures() == failures)
        return eg_reply_json(reply, status, document, error);
    json_decref(document);
    return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for the reply");
}

void eg_reply_buffer(eg_reply *reply, unsigned status, const char *content_type, eg_buffer *body)
{
    eg_buffer_fini(&reply->body);
    reply->body = *body;
    *body = (eg_buffer){0};
    begin(reply, status, content_type);
}

void eg_reply_stream(eg_reply *reply, unsigned status, const char *content_type, uint64_t size,
                     eg_pull *pull, void *context)
{
    begin(reply, status, content_type);
    reply->pull = pull;
    reply->pull_context = context;
    reply->size = size;
}

engram_status eg_refuse(eg_reply *reply, unsigned http_status, engram_error *error,
                        engram_status cause, const char *format, ...)
{
    char message[sizeof error->message];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    reply->status = http_status;
    return eg_fail(error, cause, "%s", message);
}

/* Written by hand as far as it must work when memory is short. */
static void write_short(eg_buffer *body, engram_status status)
{
    eg_buffer_fini(body);
    *body = (eg_buffer){0};
    char text[128];
    int size = snprintf(text, sizeof text, "{\"error\":{\"status\":\"%s\",\"message\":\"\"}}\n",
                        engram_status_name(status));
    eg_write_bytes(body, text, (size_t)size);
}

void eg_reply_error(eg_reply *reply, engram_status status, const engram_error *error)
{
    unsigned http = reply->status >= 400 ? reply->status : eg_http_status(status);
    const char *message = *error->message != 0 ? error->message : engram_status_name(status);
    unsigned long failures = eg_json_failures();
    json_t *inner = json_object(), *document = json_object();
    eg_json_put(inner, "status", json_string(engram_status_name(status)));
    eg_json_put(inner, "message", eg_json_text(message, strlen(message)));
    eg_json_put(document, "error", inner);
    if (eg_reply_document(reply, http, document, failures, NULL) != ENGRAM_OK)
        write_short(&reply->body, status);
    begin(reply, http, "application/json");
    if (http == 503)
        eg_reply_add_header(reply, "Retry-After", "1");
}

void eg_reply_fini(eg_reply *reply)
{
    eg_buffer_fini(&reply->body);
    *reply = (eg_reply){0};
}
