/* Allocations fail at random while many clients put, get, delete, query and list, and one listens:
 * an answer is right or a failure of the server; what was answered with success stays, also when
 * the server is started anew; afterwards all is served as before, and nothing is left. --rounds N,
 * --seed N. */
#include "serve/inside.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "report/report.h"
#include "serve/counted.h"

enum { CLIENTS = 6, FILES = 6, SIZE_MAX_PUT = 200000, FAILURES = 30, HANGS_AFTER_S = 120 };

static unsigned rounds = 12;
static uint64_t seed = 1;
static atomic_bool is_over;
static atomic_uint refused, answered;

static uint64_t draw(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* What may be at a path: the seed of its bytes, 0: nothing. Two of them after a write that was
 * refused: that is known when the path is read again, but for the writes that stopped the writer,
 * which show when the server is started anew. */
typedef struct place {
    uint64_t is, or_else;
} place;

typedef struct client {
    pthread_t thread;
    inside *s;
    unsigned number;
    uint64_t random;
    place places[FILES];
    uint8_t *bytes, *expected; /* SIZE_MAX_PUT */
    char wrong[300];           /* the first thing that was */
} client;

#define wrong(c, ...)                                                                              \
    do {                                                                                           \
        if ((c)->wrong[0] == 0)                                                                    \
            snprintf((c)->wrong, sizeof(c)->wrong, __VA_ARGS__);                                   \
    } while (0)

static size_t size_of(uint64_t content)
{
    return content % 8 == 0 ? SIZE_MAX_PUT : 1 + content % 20000;
}

static int ask(client *c, const char *what, const void *body, size_t size, rig_reply *reply)
{
    int fd = rig_connect(&c->s->rig);
    rig_ask_on(fd, what, NULL, body, size, reply);
    close(fd);
    bool is_refused =
        reply->status == 0 || reply->is_cut || reply->status == 500 || reply->status == 503;
    atomic_fetch_add(is_refused ? &refused : &answered, 1);
    return is_refused ? 0 : reply->status;
}

static void put(client *c, unsigned i, const char *path)
{
    char what[100];
    rig_reply reply;
    place *p = &c->places[i];
    uint64_t content = draw(&c->random) | 1;
    snprintf(what, sizeof what, "PUT /v1/files/%s", path);
    rig_fill(c->bytes, size_of(content), content);
    int status = ask(c, what, c->bytes, size_of(content), &reply);
    if (status == 200 || status == 201)
        *p = (place){content, content};
    else if (status == 0)
        *p = (place){p->is, content};
    else
        wrong(c, "%s: %d", what, status);
    rig_reply_fini(&reply);
}

static bool is_content(client *c, const rig_reply *reply, uint64_t content)
{
    if (content == 0 || reply->body.size != size_of(content))
        return false;
    rig_fill(c->expected, size_of(content), content);
    return memcmp(reply->body.data, c->expected, reply->body.size) == 0;
}

static void get(client *c, unsigned i, const char *path, bool must_answer)
{
    char what[100];
    rig_reply reply;
    place *p = &c->places[i];
    snprintf(what, sizeof what, "GET /v1/files/%s", path);
    int status = ask(c, what, NULL, 0, &reply);
    bool is_it = status == 404 ? p->is == 0 : is_content(c, &reply, p->is);
    bool is_other = status == 404 ? p->or_else == 0 : is_content(c, &reply, p->or_else);
    if (status == 0 && must_answer)
        wrong(c, "%s: no answer", what);
    else if (status != 0 && ((status != 200 && status != 404) || (!is_it && !is_other)))
        wrong(c, "%s: %d, %zu bytes, and not what was stored", what, status, reply.body.size);
    else if (status != 0 && eg_engram_check_writable(c->s->engram, NULL) == ENGRAM_OK)
        *p = is_it ? (place){p->is, p->is} : (place){p->or_else, p->or_else};
    rig_reply_fini(&reply);
}

static void delete (client *c, unsigned i, const char *path)
{
    char what[100];
    rig_reply reply;
    place *p = &c->places[i];
    snprintf(what, sizeof what, "DELETE /v1/files/%s", path);
    get(c, i, path, false); /* so that not more than two things may be there */
    int status = p->is == p->or_else ? ask(c, what, NULL, 0, &reply) : -1;
    if (status == -1)
        return;
    if (status == 204 && p->is != 0)
        *p = (place){0, 0};
    else if (status == 0)
        *p = (place){p->is, 0};
    else if (status != 404 || p->is != 0)
        wrong(c, "%s: %d", what, status);
    rig_reply_fini(&reply);
}

static void look(client *c)
{
    static const char *const targets[] = {"GET /v1/files/", "GET /v1/info", "GET /v1/versions",
                                          "GET /metrics"};
    rig_reply reply;
    unsigned which = (unsigned)(draw(&c->random) % 5);
    const char *what = which < 4 ? targets[which] : "POST /v1/query?k=3";
    int status = ask(c, what, which < 4 ? NULL : c->bytes, which < 4 ? 0 : 9000, &reply);
    if (status != 0 && status != 200)
        wrong(c, "%s: %d", what, status);
    rig_reply_fini(&reply);
}

static void *work(void *context)
{
    client *c = context;
    while (!atomic_load(&is_over) && c->wrong[0] == 0) {
        char path[40];
        unsigned i = (unsigned)(draw(&c->random) % FILES), what = (unsigned)(draw(&c->random) % 8);
        snprintf(path, sizeof path, "w%u/f%u", c->number, i);
        if (c->places[i].is != c->places[i].or_else || what < 3)
            get(c, i, path, false);
        else if (what < 5)
            put(c, i, path);
        else if (what < 6)
            delete (c, i, path);
        else
            look(c);
    }
    return NULL;
}

static void expect_places(client *clients)
{
    for (unsigned k = 0; k < CLIENTS; k++)
        for (unsigned i = 0; i < FILES; i++) {
            char path[40];
            snprintf(path, sizeof path, "w%u/f%u", k, i);
            get(&clients[k], i, path, true);
            if (clients[k].wrong[0] != 0)
                fail_msg("seed %llu: %s", (unsigned long long)seed, clients[k].wrong);
        }
}

/* ---- the stream ---- */

static int open_stream(inside *s)
{
    int fd = rig_connect(&s->rig);
    assert_true(rig_send_text(fd, "GET /v1/events HTTP/1.0\r\n\r\n"));
    return fd;
}

/* Reads until word comes; false: the stream has ended, or has said that it left something out. */
static bool hears(int fd, const char *word)
{
    static char heard[1 << 20];
    size_t size = 0;
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    while (poll(&waiting, 1, HANGS_AFTER_S * 1000) == 1) {
        ssize_t got = recv(fd, heard + size, sizeof heard - 1 - size, 0);
        if (got <= 0)
            return false;
        size += (size_t)got;
        heard[size] = 0;
        if (strstr(heard, word) != NULL || strstr(heard, "event: gap") != NULL)
            return strstr(heard, word) != NULL;
        size_t keep = size < 200 ? size : 200;
        memmove(heard, heard + size - keep, keep);
        size = keep;
    }
    fail_msg("the stream is silent");
    return false;
}

/* A stream that is not cut goes on; one that is opened now begins. */
static void expect_stream(inside *s, int old)
{
    hears(old, "\"path\":\"after\"");
    int fd = open_stream(s);
    assert_true(hears(fd, "event: start"));
    rig_expect(&s->rig, "PUT /v1/files/again", NULL, "x", 201, NULL);
    assert_true(hears(fd, "\"path\":\"again\""));
    close(fd);
}

/* ---- rounds ---- */

static void let_fail(inside *s, uint64_t *random)
{
    for (int i = 0; i < FAILURES && eg_engram_check_writable(s->engram, NULL) == ENGRAM_OK; i++) {
        eg_alloc_fail_at((long)(1 + draw(random) % 200), draw(random) % 16 == 0);
        usleep(2000);
    }
    eg_alloc_fail_at(0, false);
}

static bool run_round(inside *s, client *clients, uint64_t *random)
{
    alarm(HANGS_AFTER_S);
    inside_start(s, NULL);
    expect_places(clients); /* what was said to be stored, after a start */
    int stream = open_stream(s);
    assert_true(hears(stream, "event: start"));
    atomic_store(&is_over, false);
    for (unsigned i = 0; i < CLIENTS; i++)
        assert_int_equal(pthread_create(&clients[i].thread, NULL, work, &clients[i]), 0);
    let_fail(s, random);
    atomic_store(&is_over, true);
    for (unsigned i = 0; i < CLIENTS; i++)
        pthread_join(clients[i].thread, NULL);
    bool stopped = eg_engram_check_writable(s->engram, NULL) != ENGRAM_OK;
    expect_places(clients);
    if (!stopped) {
        rig_expect(&s->rig, "PUT /v1/files/after", NULL, "x", 201, NULL);
        expect_stream(s, stream);
        rig_expect(&s->rig, "DELETE /v1/files/after", NULL, NULL, 204, NULL);
        rig_expect(&s->rig, "DELETE /v1/files/again", NULL, NULL, 204, NULL);
    }
    close(stream);
    inside_stop(s);
    alarm(0);
    return stopped;
}

static void storm(void **state)
{
    static client clients[CLIENTS];
    static inside s;
    unsigned stops = 0;
    uint64_t random = seed * 0x9E3779B97F4A7C15u + 1;
    (void)state;
    inside_make(&s);
    for (unsigned i = 0; i < CLIENTS; i++)
        clients[i] = (client){.s = &s,
                              .number = i,
                              .random = draw(&random),
                              .bytes = malloc(SIZE_MAX_PUT),
                              .expected = malloc(SIZE_MAX_PUT)};
    inside_start(&s, NULL);
    inside_stop(&s);
    long in_use = counted_in_use();
    size_t descriptors = inside_descriptors();
    for (unsigned i = 0; i < rounds; i++) {
        stops += run_round(&s, clients, &random);
        assert_int_equal(counted_in_use(), in_use);
        assert_int_equal(inside_descriptors(), descriptors);
    }
    print_message("seed %llu: %u answers, %u refusals, the writer stopped in %u of %u rounds\n",
                  (unsigned long long)seed, atomic_load(&answered), atomic_load(&refused), stops,
                  rounds);
    assert_true(atomic_load(&refused) != 0);
    for (unsigned i = 0; i < CLIENTS; i++) {
        free(clients[i].bytes);
        free(clients[i].expected);
    }
    inside_fini(&s);
}

int main(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--rounds") == 0)
            rounds = (unsigned)strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 10);
    }
    eg_log_set_level(EG_LOG_ERROR);
    eg_json_start();
    const struct CMUnitTest tests[] = {cmocka_unit_test(storm)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
