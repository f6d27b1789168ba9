/* The stream of changes: to clients over HTTP, and, where it must be known who has read what, the
 * hub and its streams alone. */
#include "serve/rig.h"

#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "serve/events.h"

enum { CLIENTS = 40, WRITERS = 3, WRITES = 25, LAGGING = 200 };

/* ---- a client ---- */

typedef struct event {
    char name[32];
    long long id; /* -1: none */
    json_t *data;
} event;

typedef struct client {
    int fd;
    FILE *lines;
} client;

/* HTTP/1.0: the body is not in chunks. */
static void client_open(rig *r, const char *target, const char *headers, client *c)
{
    char text[600], line[600];
    c->fd = rig_connect(r);
    snprintf(text, sizeof text, "GET %s HTTP/1.0\r\n%s\r\n", target, headers);
    rig_send_text(c->fd, text);
    c->lines = fdopen(c->fd, "r");
    assert_non_null(c->lines);
    assert_non_null(fgets(line, sizeof line, c->lines));
    if (strstr(line, " 200 ") == NULL)
        fail_msg("%s: %s", target, line);
    while (strcmp(line, "\r\n") != 0)
        assert_non_null(fgets(line, sizeof line, c->lines));
}

static void client_close(client *c)
{
    fclose(c->lines);
}

/* False at the end of the stream. */
static bool client_next(client *c, event *e)
{
    char *line = NULL;
    size_t capacity = 0;
    *e = (event){.id = -1};
    while (getline(&line, &capacity, c->lines) > 0 && !(line[0] == '\n' && e->name[0] != 0)) {
        line[strcspn(line, "\n")] = 0;
        if (strncmp(line, "event: ", 7) == 0)
            snprintf(e->name, sizeof e->name, "%s", line + 7);
        else if (strncmp(line, "id: ", 4) == 0)
            e->id = atoll(line + 4);
        else if (strncmp(line, "data: ", 6) == 0)
            e->data = json_loads(line + 6, 0, NULL);
    }
    free(line);
    return e->name[0] != 0 && e->data != NULL;
}

static const char *text_of(const event *e, const char *key)
{
    const char *text = json_string_value(json_object_get(e->data, key));
    return text != NULL ? text : "";
}

static long long number_of(const event *e, const char *key)
{
    return json_integer_value(json_object_get(e->data, key));
}

static void expect_start(client *c, long long version)
{
    event e;
    assert_true(client_next(c, &e));
    assert_string_equal(e.name, "start");
    assert_int_equal(number_of(&e, "version"), version);
    assert_int_equal(e.id, version);
    json_decref(e.data);
}

/* id -1: it is not the last of its version. */
static void expect_change(client *c, const char *letter, const char *path, long long version,
                          long long id)
{
    event e;
    assert_true(client_next(c, &e));
    assert_string_equal(e.name, "change");
    assert_string_equal(text_of(&e, "letter"), letter);
    assert_string_equal(text_of(&e, "path"), path);
    assert_int_equal(number_of(&e, "version"), version);
    assert_int_equal(e.id, id);
    json_decref(e.data);
}

static void put(rig *r, const char *path, const char *text)
{
    char what[300];
    rig_reply reply;
    snprintf(what, sizeof what, "PUT /v1/files/%s", path);
    rig_ask(r, what, NULL, text, &reply);
    assert_true(reply.status == 200 || reply.status == 201);
    rig_reply_fini(&reply);
}

/* ---- over HTTP ---- */

static void as_they_are_committed(void **state)
{
    client c;
    rig r;
    (void)state;
    rig_init(&r, NULL);
    put(&r, "before", "x");
    client_open(&r, "/v1/events", "", &c);
    expect_start(&c, 1);
    put(&r, "a", "1");
    expect_change(&c, "A", "a", 2, 2);
    put(&r, "a", "2");
    rig_expect(&r, "POST /v1/transactions", NULL,
               "{\"operations\":[{\"op\":\"mkdir\",\"path\":\"d\"},{\"op\":\"mv\",\"from\":\"a\","
               "\"to\":\"d/b\"},"
               "{\"op\":\"rm\",\"path\":\"before\"}]}",
               200, NULL);
    expect_change(&c, "M", "a", 3, 3);
    expect_change(&c, "D", "before", 4, -1);
    expect_change(&c, "A", "d", 4, -1);
    expect_change(&c, "R", "d/b", 4, 4);
    assert_true(rig_metric(&r, "engram_event_streams") == 1);
    client_close(&c);
    rig_fini(&r);
}

static void from_where_one_was(void **state)
{
    client c, again;
    rig r;
    (void)state;
    rig_init(&r, NULL);
    put(&r, "a", "1");
    put(&r, "b", "2");
    put(&r, "c", "3");
    client_open(&r, "/v1/events?after=1", "", &c);
    expect_start(&c, 1);
    expect_change(&c, "A", "b", 2, 2);
    expect_change(&c, "A", "c", 3, 3);
    put(&r, "d", "4");
    expect_change(&c, "A", "d", 4, 4);
    client_open(&r, "/v1/events", "Last-Event-ID: 2\r\n", &again);
    expect_start(&again, 2);
    expect_change(&again, "A", "c", 3, 3);
    expect_change(&again, "A", "d", 4, 4);
    rig_expect(&r, "DELETE /v1/files/a", NULL, NULL, 204, NULL);
    expect_change(&c, "D", "a", 5, 5);
    expect_change(&again, "D", "a", 5, 5);
    client_close(&c);
    client_close(&again);
    rig_fini(&r);
}

static void not_retained(void **state)
{
    client c;
    event e;
    rig r;
    (void)state;
    rig_init(&r, NULL);
    put(&r, "a", "1");
    client_open(&r, "/v1/events", "Last-Event-ID: 700\r\n", &c);
    expect_start(&c, 700);
    assert_true(client_next(&c, &e));
    assert_string_equal(e.name, "gap");
    assert_int_equal(number_of(&e, "from"), 700);
    assert_int_equal(number_of(&e, "to"), 1);
    assert_int_equal(e.id, 1);
    json_decref(e.data);
    put(&r, "b", "2");
    expect_change(&c, "A", "b", 2, 2);
    client_close(&c);
    rig_expect(&r, "GET /v1/events", "Last-Event-ID: x\r\n", NULL, 400, "Last-Event-ID");
    rig_expect(&r, "GET /v1/events?after=-1", NULL, NULL, 400, "after");
    rig_fini(&r);
}

/* Streams do not keep the server from ending, and it says that they have ended. */
static void ends_with_the_server(void **state)
{
    client clients[4];
    event e;
    rig r;
    (void)state;
    rig_init(&r, (const char *[]){"--workers", "2", NULL});
    for (size_t i = 0; i < 4; i++) { /* more than there are workers */
        client_open(&r, "/v1/events", "", &clients[i]);
        expect_start(&clients[i], 0);
    }
    put(&r, "a", "1");
    for (size_t i = 0; i < 4; i++)
        expect_change(&clients[i], "A", "a", 1, 1);
    rig_signal(&r, SIGTERM);
    assert_int_equal(rig_wait(&r), 0);
    for (size_t i = 0; i < 4; i++) {
        assert_false(client_next(&clients[i], &e));
        client_close(&clients[i]);
    }
    rig_fini(&r);
}

/* ---- many clients ---- */

typedef struct listener {
    client client;
    unsigned seen, odd;
    pthread_t thread;
} listener;

/* Until the file "end" comes. */
static void *listen_on(void *argument)
{
    listener *l = argument;
    event e;
    long long before = 0;
    for (bool ended = false; !ended && client_next(&l->client, &e);) {
        bool is_start = strcmp(e.name, "start") == 0;
        ended = strcmp(text_of(&e, "path"), "end") == 0;
        l->odd += !is_start && strcmp(e.name, "change") != 0;
        l->odd += number_of(&e, "version") < before;
        before = number_of(&e, "version");
        l->seen += !is_start && !ended;
        json_decref(e.data);
    }
    return NULL;
}

typedef struct writing {
    rig *r;
    unsigned number;
    pthread_t thread;
} writing;

static void *write_on(void *argument)
{
    const writing *w = argument;
    for (unsigned i = 0; i < WRITES; i++) {
        char path[32];
        snprintf(path, sizeof path, "w%u-%u", w->number, i);
        put(w->r, path, path);
    }
    return NULL;
}

static void many_clients(void **state)
{
    static listener listeners[CLIENTS];
    writing writers[WRITERS];
    rig r;
    (void)state;
    rig_init(&r, (const char *[]){"--workers", "8", NULL});
    for (size_t i = 0; i < CLIENTS; i++) {
        listeners[i] = (listener){0};
        client_open(&r, i % 4 == 3 ? "/v1/events?after=0" : "/v1/events", "", &listeners[i].client);
        assert_int_equal(pthread_create(&listeners[i].thread, NULL, listen_on, &listeners[i]), 0);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (writing){.r = &r, .number = i};
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_on, &writers[i]), 0);
    }
    for (size_t i = 0; i < WRITERS; i++)
        pthread_join(writers[i].thread, NULL);
    put(&r, "end", "x");
    for (size_t i = 0; i < CLIENTS; i++) {
        pthread_join(listeners[i].thread, NULL);
        assert_int_equal(listeners[i].seen, WRITERS * WRITES);
        assert_int_equal(listeners[i].odd, 0);
        client_close(&listeners[i].client);
    }
    rig_fini(&r);
}

/* ---- the hub alone ---- */

typedef struct hub {
    temp_dir temp;
    struct engram *engram;
    eg_workers *workers;
    eg_events *events;
} hub;

static void hub_init(hub *h, size_t ring_size)
{
    char dir[600];
    engram_error error = {0};
    const eg_events_options options = {.ring_size = ring_size};
    assert_int_equal(temp_dir_init(&h->temp), 0);
    snprintf(dir, sizeof dir, "%s/e.engram", h->temp.path);
    assert_int_equal(engram_create(dir, NULL, &error), ENGRAM_OK);
    assert_int_equal(engram_open(dir, NULL, &h->engram, &error), ENGRAM_OK);
    assert_int_equal(eg_workers_start(2, 100, &h->workers, &error), ENGRAM_OK);
    assert_int_equal(eg_events_create(h->workers, &options, &h->events, &error), ENGRAM_OK);
}

static void hub_fini(hub *h)
{
    eg_events_free(h->events);
    eg_workers_free(h->workers);
    assert_int_equal(engram_close(&h->engram, NULL), ENGRAM_OK);
    temp_dir_fini(&h->temp);
}

static engram_status write_name(void *context, engram_transaction *tx, engram_error *error)
{
    return engram_write(tx, context, "x", 1, NULL, error);
}

static void commit(hub *h, const char *name)
{
    engram_error error = {0};
    assert_int_equal(engram_run(h->engram, NULL, write_name, (void *)(uintptr_t)name, NULL, &error),
                     ENGRAM_OK);
}

static void wait_until_told(hub *h, uint64_t count)
{
    eg_events_figures f = {0};
    while (eg_events_get_figures(h->events, &f), f.told < count)
        usleep(1000);
}

/* All that is there, ended by a zero byte. */
static void read_all(eg_stream *s, size_t step, char *text, size_t capacity)
{
    size_t size = 0, got = 0;
    do {
        assert_int_equal(eg_stream_read(s, text + size, step, &got, NULL), ENGRAM_OK);
        size += got;
        assert_true(size + step < capacity);
    } while (got != 0);
    text[size] = 0;
}

typedef struct waiting {
    eg_job job; /* first */
    atomic_uint runs;
} waiting;

static void note_run(eg_job *job)
{
    atomic_fetch_add(&((waiting *)job)->runs, 1);
}

static size_t count_of(const char *text, const char *what)
{
    size_t count = 0;
    for (const char *at = strstr(text, what); at != NULL; at = strstr(at + 1, what))
        count++;
    return count;
}

static void slow_ones_are_passed_by(void **state)
{
    static char text[1 << 20];
    char name[32];
    eg_stream *slow = NULL, *quick = NULL;
    eg_events_figures f;
    hub h;
    (void)state;
    hub_init(&h, 4096);
    commit(&h, "before");
    assert_int_equal(eg_stream_open(h.events, h.engram, ENGRAM_NEWEST, &slow, NULL), ENGRAM_OK);
    assert_int_equal(eg_stream_open(h.events, h.engram, ENGRAM_NEWEST, &quick, NULL), ENGRAM_OK);
    size_t seen = 0;
    for (int i = 0; i < LAGGING; i++) {
        snprintf(name, sizeof name, "f%d", i);
        commit(&h, name);
        wait_until_told(&h, (uint64_t)i + 1);
        read_all(quick, 100, text, sizeof text);
        seen += count_of(text, "event: change\n");
        assert_null(strstr(text, "event: gap"));
    }
    assert_int_equal(seen, LAGGING);
    read_all(slow, 7, text, sizeof text);
    assert_int_equal(count_of(text, "event: gap\n"), 1);
    assert_non_null(strstr(text, "event: gap\nid: "));
    assert_non_null(strstr(text, "\"from\":1,"));
    assert_non_null(strstr(text, "\"path\":\"f199\""));
    assert_null(strstr(text, "\"path\":\"f0\""));
    /* From the gap's end on all is there. */
    long long to = atoll(strstr(text, "\"to\":") + 5);
    assert_int_equal(count_of(text, "event: change\n"), LAGGING + 1 - to);
    eg_events_get_figures(h.events, &f);
    assert_int_equal(f.gaps, 1);
    assert_true(f.ring_bytes <= 4096);
    eg_stream_close(&slow);
    eg_stream_close(&quick);
    hub_fini(&h);
}

static void put_aside_and_woken(void **state)
{
    static char text[65536];
    eg_stream *s = NULL;
    waiting w = {.job.run = note_run};
    hub h;
    (void)state;
    hub_init(&h, 0);
    assert_int_equal(eg_stream_open(h.events, h.engram, ENGRAM_NEWEST, &s, NULL), ENGRAM_OK);
    read_all(s, 100, text, sizeof text);
    assert_non_null(strstr(text, "event: start\n"));
    for (unsigned i = 1; i <= 20; i++) {
        assert_true(eg_stream_park(s, &w.job));
        commit(&h, i % 2 == 0 ? "even" : "odd");
        while (atomic_load(&w.runs) < i)
            usleep(500);
        read_all(s, 100, text, sizeof text);
        assert_int_equal(count_of(text, "event: change\n"), 1);
    }
    /* News that came before it was put aside. */
    commit(&h, "news");
    wait_until_told(&h, 21);
    assert_true(eg_stream_park(s, &w.job));
    while (atomic_load(&w.runs) < 21)
        usleep(500);
    read_all(s, 100, text, sizeof text);
    /* The end wakes it, and then it is not put aside. */
    assert_true(eg_stream_park(s, &w.job));
    eg_events_stop(h.events);
    while (atomic_load(&w.runs) < 22)
        usleep(500);
    assert_false(eg_stream_park(s, &w.job));
    assert_int_equal(eg_stream_open(h.events, h.engram, ENGRAM_NEWEST, &(eg_stream *){NULL}, NULL),
                     ENGRAM_BUSY);
    eg_stream_close(&s);
    hub_fini(&h);
}

static void only_so_many(void **state)
{
    static eg_stream *streams[EG_STREAMS_MAX];
    eg_stream *more = NULL;
    engram_error error = {0};
    hub h;
    (void)state;
    hub_init(&h, 0);
    for (size_t i = 0; i < EG_STREAMS_MAX; i++)
        assert_int_equal(eg_stream_open(h.events, h.engram, ENGRAM_NEWEST, &streams[i], NULL),
                         ENGRAM_OK);
    assert_int_equal(eg_stream_open(h.events, h.engram, ENGRAM_NEWEST, &more, &error), ENGRAM_BUSY);
    assert_null(more);
    eg_stream_close(&streams[0]);
    assert_int_equal(eg_stream_open(h.events, h.engram, ENGRAM_NEWEST, &streams[0], NULL),
                     ENGRAM_OK);
    for (size_t i = 0; i < EG_STREAMS_MAX; i++)
        eg_stream_close(&streams[i]);
    hub_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_they_are_committed), cmocka_unit_test(from_where_one_was),
        cmocka_unit_test(not_retained),          cmocka_unit_test(ends_with_the_server),
        cmocka_unit_test(many_clients),          cmocka_unit_test(slow_ones_are_passed_by),
        cmocka_unit_test(put_aside_and_woken),   cmocka_unit_test(only_so_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
