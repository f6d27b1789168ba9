/* Requests through libcurl: what it calls back for, and what its failures mean. */
#include "access/http.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/io.h"
#include "base/memory.h"

enum {
    DOCUMENT_SIZE_MAX = 64 << 20,
    TOKEN_FILE_SIZE_MAX = 128 << 10,
    TOKEN_SIZE_MAX = 256,
    CONNECT_SECONDS = 30,
    URL_SIZE_MAX = 2048
};

struct eg_http {
    CURL *curl;
    char *base;         /* the URL without a slash at its end */
    const char *socket; /* NULL: the URL says where */
    const char *name;   /* for messages */
    const atomic_bool *cancel;
    struct curl_slist *authorization; /* NULL: none */
    char reason[CURL_ERROR_SIZE];
};

/* One request under way. */
typedef struct transfer {
    eg_http *http;
    const eg_http_call *call;
    eg_buffer body; /* of a reply that is a document, or a refusal */
    eg_buffer sent; /* the request's document */
    bool is_too_large;
    engram_status status; /* of the source or the sink; then also error */
    engram_error *error;
} transfer;

/* ---- opening ---- */

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for a request");
}

static engram_status set_server(eg_http *http, const char *url, engram_error *error)
{
    bool is_unix = strncmp(url, "unix:", 5) == 0;
    bool is_http = strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0;
    size_t size = strlen(url);
    if ((!is_unix && !is_http) || size > URL_SIZE_MAX || strpbrk(url, "?#") != NULL || size < 8)
        return eg_fail(error, ENGRAM_INVALID,
                       "--server %.200s: http://HOST:PORT or unix:/PATH is expected", url);
    http->name = url;
    http->socket = is_unix ? url + 5 : NULL;
    http->base = eg_strdup(is_unix ? "http://localhost" : url);
    if (http->base == NULL)
        return no_memory(error);
    for (char *end = http->base + strlen(http->base); end[-1] == '/'; end--)
        end[-1] = 0;
    return ENGRAM_OK;
}

/* The first line that is neither empty nor a comment. */
static bool find_token(const char *text, char token[TOKEN_SIZE_MAX + 1])
{
    while (*text != 0) {
        size_t line = strcspn(text, "\r\n"), size = strcspn(text, " \t\r\n");
        if (line != 0 && *text != '#') {
            for (size_t i = 0; i < size; i++)
                if (text[i] <= ' ' || text[i] > '~')
                    return false;
            snprintf(token, TOKEN_SIZE_MAX + 1, "%.*s", (int)size, text);
            return size != 0 && size <= TOKEN_SIZE_MAX;
        }
        text += line + strspn(text + line, "\r\n");
    }
    return false;
}

static engram_status set_token(eg_http *http, const char *path, engram_error *error)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    char token[TOKEN_SIZE_MAX + 1], header[TOKEN_SIZE_MAX + 32];
    engram_error inner = {0};
    engram_status status =
        eg_io_read_file(eg_io_posix(), path, TOKEN_FILE_SIZE_MAX, &bytes, &size, &inner);
    if (status == ENGRAM_NOT_FOUND) /* 5 is for what is stored */
        status = ENGRAM_INVALID;
    if (status != ENGRAM_OK)
        return eg_fail(error, status, "--token-file: %s", inner.message);
    char *text = eg_realloc(bytes, size + 1);
    if (text == NULL) {
        eg_free(bytes);
        return no_memory(error);
    }
    text[size] = 0;
    bool found = find_token(text, token);
    eg_free(text);
    if (!found)
        return eg_fail(error, ENGRAM_INVALID,
                       "--token-file %s: there is no token in it; a token is a line of up to %d "
                       "printable characters",
                       path, TOKEN_SIZE_MAX);
    snprintf(header, sizeof header, "Authorization: Bearer %s", token);
    http->authorization = curl_slist_append(NULL, header);
    return http->authorization != NULL ? ENGRAM_OK : no_memory(error);
}

static int on_progress(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const eg_http *http = context;
    (void)a, (void)b, (void)c, (void)d;
    return http->cancel != NULL && atomic_load(http->cancel);
}

engram_status eg_http_open(const eg_access_server *server, eg_http **http, engram_error *error)
{
    *http = NULL;
    eg_http *made = eg_alloc_zero(1, sizeof *made);
    if (made == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        eg_free(made);
        return no_memory(error);
    }
    made->cancel = server->cancel;
    made->curl = curl_easy_init();
    engram_status status =
        made->curl != NULL ? set_server(made, server->url, error) : no_memory(error);
    if (status == ENGRAM_OK && server->token_file != NULL)
        status = set_token(made, server->token_file, error);
    if (status == ENGRAM_OK)
        *http = made;
    else
        eg_http_close(&made);
    return status;
}

void eg_http_close(eg_http **http)
{
    if (*http == NULL)
        return;
    curl_slist_free_all((*http)->authorization);
    curl_easy_cleanup((*http)->curl);
    curl_global_cleanup();
    eg_free((*http)->base);
    eg_free(*http);
    *http = NULL;
}

/* ---- what libcurl asks for ---- */

static bool is_success(const transfer *t)
{
    long code = 0;
    curl_easy_getinfo(t->http->curl, CURLINFO_RESPONSE_CODE, &code);
    return code >= 200 && code < 300;
}

static size_t on_body(char *bytes, size_t one, size_t size, void *context)
{
    transfer *t = context;
    (void)one;
    if (t->call->sink != NULL && is_success(t)) {
        t->status = t->call->sink(t->call->sink_context, bytes, size, t->error);
        return t->status == ENGRAM_OK ? size : CURL_WRITEFUNC_ERROR;
    }
    t->is_too_large = size > DOCUMENT_SIZE_MAX - t->body.size;
    if (t->is_too_large)
        return CURL_WRITEFUNC_ERROR;
    eg_write_bytes(&t->body, bytes, size);
    return t->body.failed ? CURL_WRITEFUNC_ERROR : size;
}

static size_t on_source(char *bytes, size_t one, size_t size, void *context)
{
    transfer *t = context;
    size_t got = 0;
    t->status = t->call->source(t->call->source_context, bytes, one * size, &got, t->error);
    return t->status == ENGRAM_OK ? got : CURL_READFUNC_ABORT;
}

static int append(const char *bytes, size_t size, void *out)
{
    eg_write_bytes(out, bytes, size);
    return ((eg_buffer *)out)->failed ? -1 : 0;
}

/* ---- one request ---- */

static CURLcode set_bytes(CURL *curl, eg_view bytes)
{
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)bytes.size);
    return curl_easy_setopt(curl, CURLOPT_POSTFIELDS,
                            bytes.data != NULL ? (const char *)bytes.data : "");
}

static CURLcode set_body(transfer *t)
{
    CURL *curl = t->http->curl;
    const eg_http_call *call = t->call;
    if (call->document != NULL) {
        if (json_dump_callback(call->document, append, &t->sent, JSON_COMPACT) != 0)
            return CURLE_OUT_OF_MEMORY;
        return set_bytes(curl, (eg_view){t->sent.data, t->sent.size});
    }
    if (call->bytes != NULL)
        return set_bytes(curl, *call->bytes);
    if (call->source == NULL)
        return CURLE_OK;
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_source);
    return curl_easy_setopt(curl, CURLOPT_READDATA, t);
}

static struct curl_slist *copy_list(const struct curl_slist *list, const char *more)
{
    struct curl_slist *copy = NULL;
    if (list != NULL)
        copy = curl_slist_append(copy, list->data);
    struct curl_slist *longer = curl_slist_append(copy, more);
    if (longer == NULL)
        curl_slist_free_all(copy);
    return longer;
}

static struct curl_slist *headers_of(const transfer *t)
{
    const char *line = t->call->condition;
    if (line == NULL && t->call->bytes != NULL)
        line = "Content-Type: application/octet-stream";
    if (line == NULL)
        line = t->call->document != NULL ? "Content-Type: application/json"
                                         : "Accept: application/json, */*";
    return copy_list(t->http->authorization, line);
}

static CURLcode set_options(transfer *t, const char *url, struct curl_slist *headers)
{
    CURL *curl = t->http->curl;
    bool reads = strcmp(t->call->method, "GET") == 0;
    curl_easy_reset(curl); /* connections stay */
    t->http->reason[0] = 0;
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, t->http->reason);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, t->http);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, reads ? NULL : t->call->method);
    CURLcode code = curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    if (code == CURLE_OK)
        code = curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, t->http->socket);
    return code == CURLE_OK ? curl_easy_setopt(curl, CURLOPT_URL, url) : code;
}

static CURLcode perform(transfer *t)
{
    size_t size = strlen(t->http->base) + strlen(t->call->target) + 1;
    char *url = eg_alloc(size);
    struct curl_slist *headers = headers_of(t);
    CURLcode code = CURLE_OUT_OF_MEMORY;
    if (url != NULL && headers != NULL) {
        snprintf(url, size, "%s%s", t->http->base, t->call->target);
        code = set_options(t, url, headers);
    }
    if (code == CURLE_OK)
        code = set_body(t);
    if (code == CURLE_OK)
        code = curl_easy_perform(t->http->curl);
    curl_slist_free_all(headers);
    eg_free(url);
    return code;
}

/* ---- what became of it ---- */

static const char *reason_of(const transfer *t, CURLcode code)
{
    return t->http->reason[0] != 0 ? t->http->reason : curl_easy_strerror(code);
}

static engram_status failed(const transfer *t, CURLcode code)
{
    const char *name = t->http->name;
    if (t->status != ENGRAM_OK)
        return t->status; /* said by the source or the sink */
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return eg_fail(t->error, ENGRAM_CANCELLED, "interrupted");
    if (code == CURLE_OUT_OF_MEMORY || t->body.failed || t->sent.failed)
        return no_memory(t->error);
    if (t->is_too_large)
        return eg_fail(t->error, ENGRAM_IO, "%s: the reply is larger than any should be", name);
    if (code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST)
        return eg_fail(t->error, ENGRAM_IO,
                       "%s: cannot be reached: %s; is 'engram serve' running there?", name,
                       reason_of(t, code));
    if (code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR || code == CURLE_GOT_NOTHING)
        return eg_fail(t->error, ENGRAM_IO,
                       "%s: the server cut the connection before the end: %s; its log says why",
                       name, reason_of(t, code));
    return eg_fail(t->error, ENGRAM_IO, "%s: %s", name, reason_of(t, code));
}

static engram_status status_named(const char *name)
{
    for (engram_status s = ENGRAM_OK + 1; s < ENGRAM_STATUS_COUNT; s++)
        if (name != NULL && strcmp(engram_status_name(s), name) == 0)
            return s;
    return ENGRAM_IO;
}

static engram_status refused(const transfer *t, const json_t *document, long code)
{
    const json_t *inner = json_object_get(document, "error");
    const char *message = json_string_value(json_object_get(inner, "message"));
    engram_status status = status_named(json_string_value(json_object_get(inner, "status")));
    if (code == 401 || code == 403)
        return eg_fail(t->error, ENGRAM_DENIED, "%s: %s%s", t->http->name,
                       message != NULL ? message : "not authorised",
                       code == 401 ? "; name a file that holds one with --token-file" : "");
    if (message == NULL)
        return eg_fail(t->error, ENGRAM_IO, "%s: HTTP status %ld, and no word of an engram server",
                       t->http->name, code);
    return eg_fail(t->error, status, "%s", message);
}

static engram_status finish(transfer *t, json_t **reply)
{
    long code = 0;
    curl_easy_getinfo(t->http->curl, CURLINFO_RESPONSE_CODE, &code);
    bool succeeded = is_success(t);
    json_t *document = t->body.size == 0 ? NULL
                                         : json_loadb((const char *)t->body.data, t->body.size,
                                                      JSON_REJECT_DUPLICATES, NULL);
    engram_status status = ENGRAM_OK;
    if (!succeeded)
        status = refused(t, document, code);
    else if (t->body.size != 0 && !json_is_object(document))
        status = eg_fail(t->error, ENGRAM_IO, "%s: the reply is no document of an engram server",
                         t->http->name);
    if (status == ENGRAM_OK && reply != NULL)
        *reply = document;
    else
        json_decref(document);
    return status;
}

engram_status eg_http_do(eg_http *http, const eg_http_call *call, json_t **reply,
                         engram_error *error)
{
    engram_error unheard = {0};
    transfer t = {.http = http, .call = call, .error = error != NULL ? error : &unheard};
    if (reply != NULL)
        *reply = NULL;
    CURLcode code = perform(&t);
    engram_status status = code == CURLE_OK ? finish(&t, reply) : failed(&t, code);
    eg_buffer_fini(&t.body);
    eg_buffer_fini(&t.sent);
    return status;
}

engram_status eg_http_get(eg_http *http, const char *target, json_t **reply, engram_error *error)
{
    const eg_http_call call = {.method = "GET", .target = target};
    EG_TRY(eg_http_do(http, &call, reply, error));
    return *reply != NULL ? ENGRAM_OK : eg_fail(error, ENGRAM_IO, "%s: an empty reply", http->name);
}
