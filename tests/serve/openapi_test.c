/* The description of the interface against the interface: the same routes with the same parameters,
 * and every example does what the description says.
 *
 * A request is made of what an operation requires, and then one more for each example of what it
 * may have. A parameter that makes sense for another path than the operation's example names it in
 * x-example-path. */
#include "serve/rig.h"

#include <ctype.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "serve/routes.h"
#include "serve/schema.h"

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static json_t *fetch(rig *r)
{
    rig_reply reply;
    json_error_t where;
    rig_ask(r, "GET /v1/openapi.json", NULL, NULL, &reply);
    assert_int_equal(reply.status, 200);
    json_t *document =
        json_loadb((const char *)reply.body.data, reply.body.size, JSON_REJECT_DUPLICATES, &where);
    if (document == NULL)
        fail_msg("line %d: %s", where.line, where.text);
    rig_reply_fini(&reply);
    return document;
}

/* ---- the same routes ---- */

static json_t *operation_of(json_t *document, const eg_route *route)
{
    char method[16] = "";
    for (size_t i = 0; route->method[i] != 0; i++)
        method[i] = (char)tolower((unsigned char)route->method[i]);
    json_t *path = json_object_get(json_object_get(document, "paths"), route->pattern);
    return json_object_get(path, method);
}

static bool is_word_of(const char *words, const char *word)
{
    size_t size = strlen(word);
    for (const char *at = words; at != NULL && *at != 0; at += strspn(at, " ")) {
        size_t length = strcspn(at, " ");
        if (length == size && memcmp(at, word, size) == 0)
            return true;
        at += length;
    }
    return false;
}

static size_t count_words(const char *words)
{
    size_t count = 0;
    for (const char *at = words; at != NULL && *at != 0; at += strspn(at, " ")) {
        count += strcspn(at, " ") != 0;
        at += strcspn(at, " ");
    }
    return count;
}

static void check_parameters(const eg_route *route, const json_t *operation)
{
    size_t i, in_query = 0, in_path = 0;
    json_t *p;
    json_array_foreach(json_object_get(operation, "parameters"), i, p)
    {
        bool is_query = strcmp(text_of(p, "in"), "query") == 0;
        in_query += is_query;
        in_path += strcmp(text_of(p, "in"), "path") == 0;
        if (is_query && !is_word_of(route->parameters, text_of(p, "name")))
            fail_msg("%s %s has no parameter %s", route->method, route->pattern,
                     text_of(p, "name"));
    }
    if (in_query != count_words(route->parameters))
        fail_msg("%s %s has %zu parameters, %zu are described", route->method, route->pattern,
                 count_words(route->parameters), in_query);
    assert_int_equal(in_path, strchr(route->pattern, '{') != NULL);
}

static void routes(void **state)
{
    rig r;
    size_t described = 0;
    const char *key;
    json_t *path;
    (void)state;
    rig_init(&r, NULL);
    json_t *document = fetch(&r);
    for (size_t i = 0; i < eg_routes_count(); i++) {
        const eg_route *route = eg_routes_at(i);
        const json_t *operation = operation_of(document, route);
        if (operation == NULL)
            fail_msg("%s %s is not described", route->method, route->pattern);
        check_parameters(route, operation);
        assert_int_equal(json_object_get(operation, "security") != NULL,
                         (route->flags & EG_ROUTE_OPEN) != 0);
        assert_int_equal(json_object_get(operation, "requestBody") != NULL,
                         route->body != EG_BODY_NONE);
    }
    json_object_foreach(json_object_get(document, "paths"), key, path) described +=
        json_object_size(path);
    assert_int_equal(described, eg_routes_count());
    json_decref(document);
    rig_fini(&r);
}

/* ---- a document of its kind ---- */

static void check_references(json_t *document, json_t *value)
{
    size_t i;
    const char *key;
    json_t *one;
    const char *reference = text_of(value, "$ref");
    if (*reference != 0 && schema_find(document, reference) == NULL)
        fail_msg("%s points at nothing", reference);
    json_object_foreach(value, key, one) check_references(document, one);
    json_array_foreach(value, i, one) check_references(document, one);
}

static void check_examples(json_t *document, const char *path, const json_t *operation)
{
    size_t i;
    json_t *p;
    json_array_foreach(json_object_get(operation, "parameters"), i, p)
    {
        char why[256] = "";
        json_t *example = json_object_get(p, "example");
        if (example != NULL && !schema_fits(document, json_object_get(p, "schema"), example, why))
            fail_msg("%s: the example of %s: %s", path, text_of(p, "name"), why);
    }
}

static void check_operation(const char *path, const char *method, const json_t *operation)
{
    const char *key;
    json_t *response;
    json_t *responses = json_object_get(operation, "responses");
    if (*text_of(operation, "summary") == 0 || json_object_size(responses) == 0)
        fail_msg("%s %s has no summary or no responses", method, path);
    json_object_foreach(responses, key, response)
    {
        if (*text_of(response, "description") == 0)
            fail_msg("%s %s: %s has no description", method, path, key);
    }
}

static void form(void **state)
{
    rig r;
    const char *path, *method;
    json_t *item, *operation;
    (void)state;
    rig_init(&r, NULL);
    json_t *document = fetch(&r), *info = json_object_get(document, "info");
    assert_memory_equal(text_of(document, "openapi"), "3.1.", 4);
    assert_true(*text_of(info, "title") != 0 && *text_of(info, "version") != 0);
    json_object_foreach(json_object_get(document, "paths"), path, item)
    {
        assert_int_equal(path[0], '/');
        json_object_foreach(item, method, operation)
        {
            check_operation(path, method, operation);
            check_examples(document, path, operation);
        }
    }
    check_references(document, document);
    json_decref(document);
    rig_fini(&r);
}

/* ---- examples ---- */

typedef struct example {
    json_t *document;
    const char *pattern, *method; /* lower case */
    json_t *operation;
    json_t *extra; /* a parameter beside those that are required; NULL: none */
    const char *content_type;
    char *body; /* NULL: none */
} example;

/* In fresh memory: a string as it is, anything else as JSON. */
static char *example_text(const json_t *value)
{
    return json_is_string(value) ? strdup(json_string_value(value))
                                 : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
}

static void add(char *out, size_t room, const char *before, const char *name, const char *between,
                const json_t *value, const char *behind)
{
    char *text = example_text(value);
    size_t size = strlen(out);
    snprintf(out + size, room - size, "%s%s%s%s%s", before, name, between, text, behind);
    free(text);
}

static void make_target(const example *e, char *target, size_t room)
{
    size_t i;
    json_t *p, *path = NULL;
    const char *brace = strchr(e->pattern, '{');
    json_t *parameters = json_object_get(e->operation, "parameters");
    json_array_foreach(parameters, i, p) if (strcmp(text_of(p, "in"), "path") == 0) path =
        json_object_get(p, "example");
    if (json_object_get(e->extra, "x-example-path") != NULL)
        path = json_object_get(e->extra, "x-example-path");
    snprintf(target, room, "%.*s", (int)(brace != NULL ? brace - e->pattern : 1000), e->pattern);
    if (brace != NULL)
        add(target, room, "", "", "", path, "");
    json_array_foreach(parameters, i, p)
    {
        bool wanted = json_is_true(json_object_get(p, "required")) || p == e->extra;
        if (wanted && strcmp(text_of(p, "in"), "query") == 0)
            add(target, room, strchr(target, '?') == NULL ? "?" : "&", text_of(p, "name"), "=",
                json_object_get(p, "example"), "");
    }
}

static void make_headers(const example *e, char *headers, size_t room)
{
    headers[0] = 0;
    if (e->content_type != NULL)
        snprintf(headers, room, "Content-Type: %s\r\n", e->content_type);
    if (e->extra != NULL && strcmp(text_of(e->extra, "in"), "header") == 0)
        add(headers, room, "", text_of(e->extra, "name"), ": ",
            json_object_get(e->extra, "example"), "\r\n");
}

static void check_body(const example *e, const char *what, const rig_reply *reply, json_t *response)
{
    char type[256], why[256] = "";
    json_t *content = json_object_get(response, "content");
    rig_header(reply, "Content-Type", type);
    type[strcspn(type, ";")] = 0;
    json_t *media = json_object_get(content, type);
    if ((content == NULL) != (*type == 0) || (content != NULL && media == NULL))
        fail_msg("%s: '%s' is no content that is described", what, type);
    if (strcmp(type, "application/json") != 0 ||
        json_is_true(json_object_get(e->operation, "x-endless")))
        return;
    json_t *value = json_loadb((const char *)reply->body.data, reply->body.size, 0, NULL);
    if (!schema_fits(e->document, json_object_get(media, "schema"), value, why))
        fail_msg("%s: %s: %s", what, why, (const char *)reply->body.data);
    json_decref(value);
}

static void check_headers(const char *what, const rig_reply *reply, json_t *response)
{
    const char *name;
    char value[256];
    json_t *header;
    json_object_foreach(json_object_get(response, "headers"), name, header)
    {
        bool is_required = json_is_true(json_object_get(header, "required"));
        if (is_required && *rig_header(reply, name, value) == 0)
            fail_msg("%s: the header %s is missing", what, name);
    }
}

/* What examples are about: a file, its directory, and a name for a version. */
static void prepare(rig *r, const example *e)
{
    rig_reply reply;
    bool names = strcmp(e->pattern, "/v1/snapshots/{name}") == 0 && strcmp(e->method, "post") == 0;
    bool stores = strcmp(e->method, "put") == 0;
    if (!stores)
        rig_ask(r, "PUT /v1/files/team/plan.txt", NULL, "first draft of the plan\n", &reply);
    else
        rig_ask(r, "GET /healthz", NULL, NULL, &reply);
    rig_reply_fini(&reply);
    rig_ask(r, names ? "DELETE /v1/snapshots/monday" : "POST /v1/snapshots/monday", NULL, NULL,
            &reply);
    rig_reply_fini(&reply);
}

/* Of a reply without an end only the head. */
static void ask_head(rig *r, const char *what, const char *headers, rig_reply *reply)
{
    char head[8192];
    size_t size = 0;
    int fd = rig_connect(r);
    *reply = (rig_reply){0};
    snprintf(head, sizeof head, "%s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", what, headers);
    assert_true(rig_send_text(fd, head));
    while (strstr(reply->head, "\r\n\r\n") == NULL && size < sizeof reply->head - 1) {
        ssize_t got = recv(fd, reply->head + size, 1, 0);
        assert_int_equal(got, 1);
        reply->head[size += (size_t)got] = 0;
    }
    assert_int_equal(sscanf(reply->head, "HTTP/1.1 %d", &reply->status), 1);
    close(fd);
}

static void run_example(rig *r, const example *e)
{
    char target[2048], what[2100], headers[1024], status[16];
    rig_reply reply;
    prepare(r, e);
    make_target(e, target, sizeof target);
    make_headers(e, headers, sizeof headers);
    snprintf(what, sizeof what, "%s %s", e->method, target);
    for (size_t i = 0; what[i] != ' '; i++)
        what[i] = (char)toupper((unsigned char)what[i]);
    if (json_is_true(json_object_get(e->operation, "x-endless")))
        ask_head(r, what, headers, &reply);
    else
        rig_ask(r, what, headers, e->body, &reply);
    snprintf(status, sizeof status, "%d", reply.status);
    json_t *response = json_object_get(json_object_get(e->operation, "responses"), status);
    if (response == NULL || reply.status >= 400)
        fail_msg("%s with %s: status %s: %s", what, headers, status,
                 reply.body.data != NULL ? (const char *)reply.body.data : "");
    check_headers(what, &reply, response);
    check_body(e, what, &reply, response);
    rig_reply_fini(&reply);
}

/* With a body: once for each example of it, the last of which stays in e. */
static size_t run_bodies(rig *r, example *e)
{
    const char *type, *name;
    json_t *media, *one;
    json_t *content = json_object_get(json_object_get(e->operation, "requestBody"), "content");
    size_t count = content == NULL;
    if (content == NULL)
        run_example(r, e);
    json_object_foreach(content, type, media)
    {
        json_t *examples = json_object_get(media, "examples"),
               *single = json_object_get(media, "example");
        e->content_type = single != NULL || examples != NULL ? type : e->content_type;
        json_object_foreach(examples, name, one)
        {
            free(e->body);
            e->body = example_text(json_object_get(one, "value"));
            run_example(r, e);
            count++;
        }
        if (single == NULL)
            continue;
        free(e->body);
        e->body = example_text(single);
        run_example(r, e);
        count++;
    }
    return count;
}

static size_t run_operation(rig *r, json_t *document, const char *pattern, const char *method,
                            json_t *operation)
{
    size_t i;
    json_t *p;
    example e = {
        .document = document, .pattern = pattern, .method = method, .operation = operation};
    size_t count = run_bodies(r, &e);
    if (count == 0)
        fail_msg("%s %s has no example", method, pattern);
    json_array_foreach(json_object_get(operation, "parameters"), i, p)
    {
        bool is_path = strcmp(text_of(p, "in"), "path") == 0;
        if (is_path || json_object_get(p, "example") == NULL)
            continue;
        e.extra = p;
        run_example(r, &e);
        count++;
    }
    free(e.body);
    return count;
}

static void examples(void **state)
{
    static const char *const methods[] = {"put", "post", "get", "delete"};
    rig r;
    size_t count = 0;
    const char *pattern;
    json_t *item;
    (void)state;
    rig_init(&r, NULL);
    json_t *document = fetch(&r);
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        json_object_foreach(json_object_get(document, "paths"), pattern, item)
        {
            json_t *operation = json_object_get(item, methods[i]);
            if (operation != NULL)
                count += run_operation(&r, document, pattern, methods[i], operation);
        }
    }
    assert_true(count > 60);
    json_decref(document);
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes),
        cmocka_unit_test(form),
        cmocka_unit_test(examples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
