/* The examples of the description of the interface: each is sent to a server, and the reply is what
 * is described, and what is shown where a reply is shown.
 *
 * Examples belong together by their name. `example` is of the plain request: what an operation
 * requires. An entry of `examples` has a name of its own, and an optional parameter's `example`
 * that of the parameter: the plain request, and this. A parameter that makes sense for another path
 * than the plain request's names it in x-example-path. Each reply that is shown is asked for with
 * its type in Accept. x-base64 says of an example that it stands for bytes, x-part that a reply has
 * more members, x-endless that it has no end.
 *
 * Each request finds the engram in the same state, version 4 (prepare).
 *
 * In the end everything must have had its turn: each example; each success that is described and
 * each type of it, with a reply that is shown. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "report/report.h"
#include "serve/description.h"
#include "serve/likeness.h"
#include "serve/schema.h"

enum { PREPARED_VERSION = 4, MARKS_MAX = 2000 };

static const char plain[] = "plain";

typedef struct world {
    rig r;
    bool is_prepared;
    json_t *document;
    json_t *marks[MARKS_MAX]; /* of the document: what had its turn */
    size_t marks_count;
} world;

typedef struct request {
    world *w;
    const char *pattern, *method; /* lower case */
    json_t *operation;
    const char *name;         /* of the example */
    const char *content_type; /* NULL: no body */
    eg_buffer body;           /* followed by a zero byte */
    int status;               /* that is shown; 0: any that is no failure */
    const char *accept;       /* the type that is shown; NULL: any */
    json_t *media, *shown;
} request;

/* ---- what had its turn ---- */

static bool is_marked(const world *w, json_t *value)
{
    for (size_t i = 0; i < w->marks_count; i++) {
        if (w->marks[i] == value)
            return true;
    }
    return false;
}

static json_t *mark(world *w, json_t *value)
{
    if (value == NULL || is_marked(w, value))
        return value;
    assert_true(w->marks_count < MARKS_MAX);
    return w->marks[w->marks_count++] = value;
}

/* ---- the state that requests find ---- */

static void prepare(world *w)
{
    if (w->is_prepared)
        return;
    rig_fini(&w->r);
    rig_init(&w->r, NULL);
    rig_expect(&w->r, "PUT /v1/files/team/plan.txt", NULL, "first draft of the plan\n", 201, NULL);
    rig_expect(&w->r, "POST /v1/snapshots/monday", NULL, NULL, 201, NULL);
    rig_expect(&w->r, "PUT /v1/files/team/plan.txt", NULL, "second draft of the plan, longer\n",
               200, NULL);
    rig_expect(&w->r, "PUT /v1/files/team/todo.txt", NULL, "read the plan\n", 201, NULL);
    w->is_prepared = true;
}

/* Whether it is still as it was prepared. */
static void look(world *w)
{
    rig_reply reply;
    rig_ask(&w->r, "GET /v1/info", NULL, NULL, &reply);
    json_t *info = json_loadb((const char *)reply.body.data, reply.body.size, 0, NULL);
    json_int_t version = json_integer_value(json_object_get(info, "version"));
    assert_true(version >= PREPARED_VERSION);
    w->is_prepared = version == PREPARED_VERSION;
    json_decref(info);
    rig_reply_fini(&reply);
}

/* ---- a request ---- */

/* The value of `examples` under a name, or what `example` is under the name that it has. */
static json_t *named(json_t *holder, const char *name, const char *example_name)
{
    json_t *value =
        json_object_get(json_object_get(json_object_get(holder, "examples"), name), "value");
    return value == NULL && strcmp(name, example_name) == 0 ? json_object_get(holder, "example")
                                                            : value;
}

/* What the plain request has. */
static json_t *usual(json_t *holder)
{
    json_t *examples = json_object_get(holder, "examples");
    json_t *value = named(holder, plain, plain);
    if (value != NULL || json_object_size(examples) == 0)
        return value;
    return json_object_get(json_object_iter_value(json_object_iter(examples)), "value");
}

static json_t *value_of(const request *q, json_t *parameter)
{
    const char *name = description_text(parameter, "name");
    bool is_required = json_is_true(json_object_get(parameter, "required"));
    json_t *value = named(parameter, q->name, is_required ? plain : name);
    return value == NULL && is_required ? usual(parameter) : value;
}

/* In fresh memory: a string as it is, anything else as JSON. */
static char *example_text(json_t *value)
{
    return json_is_string(value) ? strdup(json_string_value(value))
                                 : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
}

static void add(char *out, size_t room, const char *before, const char *name, const char *between,
                json_t *value, const char *behind)
{
    char *text = example_text(value);
    size_t size = strlen(out);
    int length =
        snprintf(out + size, room - size, "%s%s%s%s%s", before, name, between, text, behind);
    assert_true((size_t)length < room - size);
    free(text);
}

static json_t *path_of(const request *q)
{
    size_t i;
    json_t *p;
    json_t *path = NULL, *other = NULL;
    json_array_foreach(json_object_get(q->operation, "parameters"), i, p)
    {
        if (strcmp(description_text(p, "in"), "path") == 0)
            path = value_of(q, p);
        if (strcmp(description_text(p, "name"), q->name) == 0)
            other = json_object_get(p, "x-example-path");
    }
    return other != NULL ? other : mark(q->w, path);
}

/* "GET /v1/files/team?depth=1" */
static void make_what(const request *q, char *what, size_t room)
{
    size_t i;
    json_t *p;
    const char *brace = strchr(q->pattern, '{');
    snprintf(what, room, "%s %.*s", q->method,
             (int)(brace != NULL ? brace - q->pattern : (ptrdiff_t)strlen(q->pattern)), q->pattern);
    for (i = 0; what[i] != ' '; i++)
        what[i] = (char)toupper((unsigned char)what[i]);
    if (brace != NULL)
        add(what, room, "", "", "", path_of(q), "");
    json_array_foreach(json_object_get(q->operation, "parameters"), i, p)
    {
        json_t *value = value_of(q, p);
        if (value != NULL && strcmp(description_text(p, "in"), "query") == 0)
            add(what, room, strchr(what, '?') == NULL ? "?" : "&", description_text(p, "name"), "=",
                mark(q->w, value), "");
    }
}

static void make_headers(const request *q, char *headers, size_t room)
{
    size_t i;
    json_t *p;
    headers[0] = 0;
    if (q->content_type != NULL)
        snprintf(headers, room, "Content-Type: %s\r\n", q->content_type);
    if (q->accept != NULL)
        snprintf(headers + strlen(headers), room - strlen(headers), "Accept: %s\r\n", q->accept);
    json_array_foreach(json_object_get(q->operation, "parameters"), i, p)
    {
        json_t *value = value_of(q, p);
        if (value != NULL && strcmp(description_text(p, "in"), "header") == 0)
            add(headers, room, "", description_text(p, "name"), ": ", mark(q->w, value), "\r\n");
    }
}

/* The bytes that an example of a media type stands for, with a zero byte that size does not count.
 */
static eg_buffer bytes_of(json_t *media, const char *name, json_t *value)
{
    eg_buffer bytes = {0};
    json_t *holder = json_object_get(json_object_get(media, "examples"), name);
    holder = holder == NULL ? media : holder;
    char *text = example_text(value);
    if (json_is_true(json_object_get(holder, "x-base64")))
        assert_true(eg_base64_read(text, strlen(text), &bytes));
    else
        eg_write_bytes(&bytes, text, strlen(text));
    eg_write_bytes(&bytes, "", 1);
    bytes.size--;
    free(text);
    return bytes;
}

static void make_body(request *q)
{
    const char *type;
    json_t *media;
    json_t *value = NULL, *from = NULL;
    json_t *content = json_object_get(json_object_get(q->operation, "requestBody"), "content");
    json_object_foreach(content, type, media)
    {
        json_t *own = named(media, q->name, plain);
        if (own == NULL && (value != NULL || usual(media) == NULL))
            continue;
        value = own != NULL ? own : usual(media);
        from = media;
        q->content_type = type;
        if (own != NULL)
            break;
    }
    if (value != NULL)
        q->body = bytes_of(from, q->name, mark(q->w, value));
}

/* ---- a reply ---- */

static void ask(const request *q, const char *what, const char *headers, rig_reply *reply)
{
    int fd = rig_connect(&q->w->r);
    rig_ask_on(fd, what, headers, q->body.data, q->body.size, reply);
    close(fd);
}

static size_t count_events(const char *text)
{
    size_t count = 0;
    for (const char *at = strstr(text, "\n\n"); at != NULL; at = strstr(at + 2, "\n\n"))
        count++;
    return count;
}

/* Of a reply without an end as many events as are shown. HTTP/1.0: not in chunks. */
static void ask_endless(const request *q, const char *what, const char *headers, rig_reply *reply)
{
    char head[8192];
    size_t size = 0, wanted = q->shown != NULL ? count_events(json_string_value(q->shown)) : 0;
    int fd = rig_connect(&q->w->r);
    *reply = (rig_reply){0};
    snprintf(head, sizeof head, "%s HTTP/1.0\r\nHost: localhost\r\n%s\r\n", what, headers);
    assert_true(rig_send_text(fd, head));
    while (strstr(reply->head, "\r\n\r\n") == NULL && size < sizeof reply->head - 1) {
        assert_int_equal(read(fd, reply->head + size, 1), 1);
        reply->head[++size] = 0;
    }
    assert_int_equal(sscanf(reply->head, "HTTP/1.1 %d", &reply->status), 1);
    eg_write_bytes(&reply->body, "", 1);
    while (count_events((const char *)reply->body.data) < wanted) {
        uint8_t *end = eg_buffer_extend(&reply->body, 1);
        assert_int_equal(read(fd, end - 1, 1), 1);
        *end = 0;
    }
    reply->body.size--;
    close(fd);
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

static void check_json(const request *q, const char *what, const rig_reply *reply, json_t *media)
{
    char why[256] = "";
    bool is_part = json_is_true(json_object_get(media, "x-part"));
    json_t *schema = json_object_get(media, "schema");
    json_t *value = json_loadb((const char *)reply->body.data, reply->body.size, 0, NULL);
    if (!schema_fits(q->w->document, schema, value, why))
        fail_msg("%s: %s: %s", what, why, (const char *)reply->body.data);
    if (q->shown == NULL) {
        json_decref(value);
        return;
    }
    if (!schema_fits(q->w->document, schema, q->shown, why))
        fail_msg("%s: what is shown: %s", what, why);
    if (!likeness_json(q->shown, value, is_part, why))
        fail_msg("%s: not as shown: %s: %s", what, why, (const char *)reply->body.data);
    json_decref(value);
}

static void check_bytes(const request *q, const char *what, const char *type,
                        const rig_reply *reply)
{
    char why[256] = "";
    if (q->shown == NULL)
        return;
    eg_buffer wanted = bytes_of(q->media, q->name, q->shown);
    bool is_text = strncmp(type, "text/", 5) == 0;
    bool is_like =
        is_text ? likeness_text((const char *)wanted.data, (const char *)reply->body.data, why)
                : wanted.size == reply->body.size &&
                      memcmp(wanted.data, reply->body.data, wanted.size) == 0;
    if (!is_like)
        fail_msg("%s: not as shown: %s: %s", what, why, (const char *)reply->body.data);
    eg_buffer_fini(&wanted);
}

static void check_body(const request *q, const char *what, const rig_reply *reply, json_t *response)
{
    char type[256];
    json_t *content = json_object_get(response, "content");
    rig_header(reply, "Content-Type", type);
    type[strcspn(type, ";")] = 0;
    json_t *media = json_object_get(content, type);
    if ((content == NULL) != (*type == 0) || (content != NULL && media == NULL))
        fail_msg("%s: '%s' is no content that is described", what, type);
    if (q->accept != NULL && strcmp(type, q->accept) != 0)
        fail_msg("%s: %s and not %s, which is shown", what, type, q->accept);
    if (strcmp(type, "application/json") == 0)
        check_json(q, what, reply, media);
    else
        check_bytes(q, what, type, reply);
    if (q->shown != NULL)
        mark(q->w, media);
    mark(q->w, q->shown);
}

static void run(request *q)
{
    char what[2100], headers[1024], status[16];
    rig_reply reply;
    prepare(q->w);
    make_body(q);
    make_what(q, what, sizeof what);
    make_headers(q, headers, sizeof headers);
    if (json_is_true(json_object_get(q->operation, "x-endless")))
        ask_endless(q, what, headers, &reply);
    else
        ask(q, what, headers, &reply);
    snprintf(status, sizeof status, "%d", reply.status);
    json_t *response = json_object_get(json_object_get(q->operation, "responses"), status);
    if (response == NULL || (q->status != 0 ? reply.status != q->status : reply.status >= 400))
        fail_msg("%s with %s: status %s: %s", what, headers, status,
                 reply.body.data != NULL ? (const char *)reply.body.data : "");
    check_headers(what, &reply, response);
    check_body(q, what, &reply, response);
    mark(q->w, response);
    rig_reply_fini(&reply);
    eg_buffer_fini(&q->body);
    look(q->w);
}

/* ---- all of them ---- */

static void collect(json_t *names, json_t *holder, const char *example_name)
{
    const char *name;
    json_t *one;
    if (json_object_get(holder, "example") != NULL)
        json_object_set_new(names, example_name, json_true());
    json_object_foreach(json_object_get(holder, "examples"), name, one)
        json_object_set_new(names, name, json_true());
}

static void collect_parameter(json_t *names, const char *where, json_t *parameter)
{
    const char *name = description_text(parameter, "name");
    if (json_object_get(parameter, "example") == NULL &&
        json_object_size(json_object_get(parameter, "examples")) == 0)
        fail_msg("%s: the parameter %s has no example", where, name);
    collect(names, parameter, json_is_true(json_object_get(parameter, "required")) ? plain : name);
}

/* The names of an operation's examples, in a new object. A body that has only named ones has no
 * plain request. */
static json_t *collect_all(const char *where, json_t *operation)
{
    size_t i;
    const char *type;
    json_t *one, *names = json_object();
    json_t *content = json_object_get(json_object_get(operation, "requestBody"), "content");
    if (content == NULL)
        json_object_set_new(names, plain, json_true());
    json_object_foreach(content, type, one)
    {
        if (usual(one) == NULL)
            fail_msg("%s: %s has no example", where, type);
        collect(names, one, plain);
    }
    json_array_foreach(json_object_get(operation, "parameters"), i, one)
        collect_parameter(names, where, one);
    return names;
}

/* One request for each reply that is shown under the name, or one when there is none. */
static void run_name(const request *base)
{
    const char *status, *type;
    json_t *response, *media;
    size_t count = 0;
    json_object_foreach(json_object_get(base->operation, "responses"), status, response)
    {
        json_object_foreach(json_object_get(response, "content"), type, media)
        {
            request q = *base;
            q.shown = named(media, q.name, plain);
            if (q.shown == NULL)
                continue;
            q.status = atoi(status);
            q.accept = type;
            q.media = media;
            run(&q);
            count++;
        }
    }
    request q = *base;
    if (count == 0)
        run(&q);
}

/* Starting and ending are too short for a client that does not know when: life_test looks at them.
 */
static bool is_excused(const char *pattern, const char *status)
{
    return strcmp(status, "default") == 0 ||
           (strcmp(pattern, "/readyz") == 0 && strcmp(status, "503") == 0);
}

static void check_replies(const world *w, const char *pattern, const char *where, json_t *operation)
{
    const char *status, *type;
    json_t *response, *media;
    json_object_foreach(json_object_get(operation, "responses"), status, response)
    {
        if (is_excused(pattern, status))
            continue;
        if (!is_marked(w, response))
            fail_msg("%s: no example gives %s", where, status);
        json_object_foreach(json_object_get(response, "content"), type, media)
        {
            if (!is_marked(w, media))
                fail_msg("%s: no example shows %s of %s", where, type, status);
        }
    }
}

static void run_operation(world *w, const char *pattern, const char *method, json_t *operation)
{
    char where[200];
    const char *name;
    json_t *one;
    snprintf(where, sizeof where, "%s %s", method, pattern);
    json_t *names = collect_all(where, operation);
    json_object_foreach(names, name, one)
    {
        const request base = {
            .w = w, .pattern = pattern, .method = method, .operation = operation, .name = name};
        run_name(&base);
    }
    check_replies(w, pattern, where, operation);
    json_decref(names);
}

static void check_turns(const world *w, const char *where, json_t *value)
{
    size_t i;
    const char *key, *name;
    json_t *one, *example;
    json_object_foreach(value, key, one)
    {
        if (strcmp(key, "example") == 0 && !is_marked(w, one))
            fail_msg("an example in %s was never run", where);
        if (strcmp(key, "examples") != 0) {
            check_turns(w, key, one);
            continue;
        }
        json_object_foreach(one, name, example)
        {
            if (!is_marked(w, json_object_get(example, "value")))
                fail_msg("the example %s in %s was never run", name, where);
        }
    }
    json_array_foreach(value, i, one) check_turns(w, where, one);
}

static void examples(void **state)
{
    static world w;
    const char *pattern, *method;
    json_t *item, *operation;
    (void)state;
    rig_init(&w.r, NULL);
    w.document = description_fetch(&w.r);
    json_object_foreach(json_object_get(w.document, "paths"), pattern, item)
    {
        json_object_foreach(item, method, operation) run_operation(&w, pattern, method, operation);
    }
    check_turns(&w, "the document", w.document);
    json_decref(w.document);
    rig_fini(&w.r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
