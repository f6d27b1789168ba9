/* Whether a request may be served: decided from its head, before a byte of its body is read.
 *
 * In this order: what it says about its own size, the target, the route, who asks, and whether the server is ready. Nothing
 * of the engram is touched for a request that is refused here. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "serve/exchange.h"

/* ---- framing ---- */

typedef struct framing {
    unsigned lengths, encodings, hosts, authorizations, matches, none_matches;
    const char *length, *encoding;
} framing;

static enum MHD_Result count_header(void *context, enum MHD_ValueKind kind, const char *name,
                                    const char *value)
{
    framing *f = context;
    (void)kind;
    if (strcasecmp(name, "Content-Length") == 0) {
        f->lengths++;
        f->length = value;
    } else if (strcasecmp(name, "Transfer-Encoding") == 0) {
        f->encodings++;
        f->encoding = value;
    }
    f->hosts += strcasecmp(name, "Host") == 0;
    f->authorizations += strcasecmp(name, "Authorization") == 0;
    f->matches += strcasecmp(name, "If-Match") == 0;
    f->none_matches += strcasecmp(name, "If-None-Match") == 0;
    return MHD_YES;
}

/* Where a body ends must not be a matter of opinion: two readers of one connection that disagree can be played off against
 * each other. */
static engram_status check_framing(eg_exchange *x, const char *method, const char *version, engram_error *error)
{
    framing f = {0};
    MHD_get_connection_values(x->connection, MHD_HEADER_KIND, count_header, &f);
    x->body_size = EG_SIZE_UNKNOWN; /* for one that is refused here nobody knows when it ends */
    if (f.lengths > 1 || f.encodings > 1 || f.hosts > 1 || f.authorizations > 1 || f.matches > 1 || f.none_matches > 1)
        return eg_fail(error, ENGRAM_INVALID, "a header that may be there once is there twice");
    if (f.length != NULL && f.encoding != NULL)
        return eg_fail(error, ENGRAM_INVALID,
                       "Content-Length and Transfer-Encoding contradict each other");
    if (f.encoding != NULL && strcasecmp(f.encoding, "chunked") != 0)
        return eg_fail(error, ENGRAM_INVALID, "Transfer-Encoding: chunked is all that is known");
    if (f.length == NULL && f.encoding == NULL && strcmp(version, MHD_HTTP_VERSION_1_0) == 0 &&
        (strcmp(method, "PUT") == 0 || strcmp(method, "POST") == 0))
        return eg_refuse(&x->reply, 411, error, ENGRAM_INVALID, "a body of HTTP/1.0 needs a Content-Length");
    if (f.encoding == NULL)
        x->body_size = 0;
    if (f.length == NULL)
        return ENGRAM_OK;
    size_t digits = strspn(f.length, "0123456789");
    if (digits == 0 || digits > 18 || f.length[digits] != 0)
        return eg_fail(error, ENGRAM_INVALID, "Content-Length is no number of bytes");
    x->body_size = strtoull(f.length, NULL, 10);
    return ENGRAM_OK;
}

static engram_status check_head_size(eg_exchange *x, engram_error *error)
{
    uint64_t most = x->request.server->config.header_size;
    size_t size = MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE)
                      ->header_size;
    return size <= most ? ENGRAM_OK
                        : eg_refuse(&x->reply, 431, error, ENGRAM_INVALID,
                                    "the request's head has %zu bytes, %llu are the most", size,
                                    (unsigned long long)most);
}

static engram_status check_body(eg_exchange *x, engram_error *error)
{
    const eg_route *route = x->request.route;
    uint64_t most = route->body == EG_BODY_STREAM ? x->request.server->config.body_size
                    : route->body_max != 0        ? route->body_max
                                                  : EG_PIECE_SIZE;
    if (route->body == EG_BODY_NONE && x->body_size != 0)
        return eg_fail(error, ENGRAM_INVALID, "this request has no body");
    if (x->body_size != EG_SIZE_UNKNOWN && x->body_size > most)
        return eg_refuse(&x->reply, 413, error, ENGRAM_INVALID,
                         "the body has %llu bytes, %llu are the most",
                         (unsigned long long)x->body_size, (unsigned long long)most);
    return ENGRAM_OK;
}

/* ---- the route ---- */

static engram_status find_route(eg_exchange *x, const char *method, engram_error *error)
{
    eg_request *r = &x->request;
    eg_match match = eg_routes_find(method, r->uri.path);
    x->route_index = match.index;
    r->route = match.route;
    if (match.route == NULL && match.allowed[0] != 0) {
        eg_reply_add_header(&x->reply, "Allow", "%s", match.allowed);
        return eg_refuse(&x->reply, 405, error, ENGRAM_INVALID,
                         "this path does not do that: %s are what it does", match.allowed);
    }
    if (match.route == NULL)
        return eg_fail(error, ENGRAM_NOT_FOUND, "there is nothing at this path of the server");
    r->method = strcmp(method, "HEAD") == 0 ? "HEAD" : match.route->method;
    EG_TRY(eg_uri_decode_operand(&r->uri, match.operand, error));
    r->operand = strchr(match.route->pattern, '{') != NULL ? r->uri.operand : "";
    return ENGRAM_OK;
}

static bool is_listed(const char *names, const char *name)
{
    size_t size = strlen(name);
    for (const char *at = names; at != NULL && *at != 0; at += strspn(at, " ")) {
        size_t length = strcspn(at, " ");
        if (length == size && memcmp(at, name, size) == 0)
            return true;
        at += length;
    }
    return false;
}

static engram_status check_parameters(const eg_request *r, engram_error *error)
{
    for (size_t i = 0; i < r->uri.count; i++)
        if (!is_listed(r->route->parameters, r->uri.parameters[i].name))
            return eg_fail(error, ENGRAM_INVALID, "'%.100s' is no parameter of this request%s%s",
                           r->uri.parameters[i].name,
                           r->route->parameters != NULL ? "; there are: " : "",
                           r->route->parameters != NULL ? r->route->parameters : "");
    return ENGRAM_OK;
}

/* ---- who asks ---- */

/* "localhost:80" is "localhost", "[::1]:80" is "[::1]". */
static size_t host_size(const char *host)
{
    const char *end = *host == '[' ? strchr(host, ']') : NULL;
    return end != NULL ? (size_t)(end - host) + 1 : strcspn(host, ":");
}

static bool is_host(const char *host, const char *name)
{
    size_t size = strlen(name);
    return host_size(host) == size && strncasecmp(host, name, size) == 0;
}

/* Without tokens whoever reaches the server may do everything. A page in a browser on this machine reaches it too, under a
 * name of its own that it lets point here; that name is then what Host says. */
static engram_status check_host(eg_exchange *x, engram_error *error)
{
    const eg_server *server = x->request.server;
    const char *host = eg_request_header(&x->request, "Host");
    bool is_local = strcmp(x->link->remote, "unix") == 0;
    if (!server->is_open || server->config.no_auth || is_local || host == NULL)
        return ENGRAM_OK;
    if (is_host(host, "localhost") || is_host(host, server->host) || is_host(host, "127.0.0.1") ||
        is_host(host, "[::1]"))
        return ENGRAM_OK;
    return eg_refuse(&x->reply, 403, error, ENGRAM_DENIED,
                     "without tokens the server answers to localhost and its own address only");
}

/* No page of another origin is served. */
static engram_status check_origin(eg_exchange *x, engram_error *error)
{
    const char *origin = eg_request_header(&x->request, "Origin");
    const char *host = eg_request_header(&x->request, "Host");
    const char *name = origin != NULL ? strstr(origin, "://") : NULL;
    if (origin == NULL || (name != NULL && host != NULL && strcasecmp(name + 3, host) == 0))
        return ENGRAM_OK;
    return eg_refuse(&x->reply, 403, error, ENGRAM_DENIED,
                     "requests from pages of other origins are not served");
}

static engram_status check_token(eg_exchange *x, engram_error *error)
{
    const eg_server *server = x->request.server;
    const eg_route *route = x->request.route;
    if (server->is_open || (route->flags & EG_ROUTE_OPEN))
        return ENGRAM_OK;
    const char *header = eg_request_header(&x->request, "Authorization");
    bool is_bearer = header != NULL && strncasecmp(header, "Bearer ", 7) == 0;
    eg_right right = is_bearer ? eg_tokens_check(server->tokens, header + 7) : EG_RIGHT_NONE;
    if (right == EG_RIGHT_NONE) {
        eg_reply_add_header(&x->reply, "WWW-Authenticate", "Bearer");
        return eg_refuse(&x->reply, 401, error, ENGRAM_DENIED,
                         "a token is needed: Authorization: Bearer TOKEN");
    }
    if (right == EG_RIGHT_READ && (route->flags & EG_ROUTE_WRITES))
        return eg_refuse(&x->reply, 403, error, ENGRAM_DENIED, "this token may only read");
    return ENGRAM_OK;
}

static engram_status check_state(eg_exchange *x, engram_error *error)
{
    const eg_server *server = x->request.server;
    if (atomic_load(&server->state) != EG_SERVER_STARTING)
        x->request.engram = server->engram;
    if (x->request.engram != NULL || (x->request.route->flags & EG_ROUTE_EARLY))
        return ENGRAM_OK;
    return eg_fail(error, ENGRAM_BUSY, "the engram is being opened: try again in a second");
}

engram_status eg_exchange_accept(eg_exchange *x, const char *method, const char *version,
                                 engram_error *error)
{
    x->request.method = strcmp(method, "HEAD") == 0 ? "HEAD" : "?";
    if (strcmp(version, "HTTP/1.1") != 0 && strcmp(version, "HTTP/1.0") != 0)
        return eg_refuse(&x->reply, 400, error, ENGRAM_INVALID, "HTTP/1.1 is spoken here");
    engram_status framed = check_framing(x, method, version, error);
    x->closes |= framed != ENGRAM_OK;
    EG_TRY(framed);
    EG_TRY(check_head_size(x, error));
    EG_TRY(eg_uri_parse(x->target, &x->request.uri, error));
    EG_TRY(check_host(x, error));
    EG_TRY(check_origin(x, error));
    EG_TRY(find_route(x, method, error));
    EG_TRY(check_token(x, error));
    EG_TRY(check_parameters(&x->request, error));
    EG_TRY(check_body(x, error));
    return check_state(x, error);
}
