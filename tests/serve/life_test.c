/* From the first moment to the last: ready, draining, killed, many at once. */
#include "serve/rig.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* A request is counted when its connection has done with it, which may be after the client has its reply. */
static void await_metric(rig *r, const char *line)
{
    for (bool is_there = false; !is_there;) {
        rig_reply reply;
        rig_ask(r, "GET /metrics", NULL, NULL, &reply);
        assert_int_equal(reply.status, 200);
        is_there = strstr((const char *)reply.body.data, line) != NULL;
        rig_reply_fini(&reply);
    }
}

static void states(void **state)
{
    rig r;
    (void)state;
    rig_init(&r, NULL);
    rig_expect(&r, "GET /healthz", NULL, NULL, 200, "ok");
    rig_expect(&r, "GET /readyz", NULL, NULL, 200, "ready");
    rig_expect(&r, "GET /v1/info", NULL, NULL, 200, "\"journal_bytes\"");
    rig_expect(&r, "GET /v1/devices", NULL, NULL, 200, "\"scalar\"");
    await_metric(&r, "engram_http_requests_total{method=\"GET\",route=\"/healthz\",status=\"200\"} 1\n");
    rig_expect(&r, "GET /nothing", NULL, NULL, 404, NULL);
    rig_expect(&r, "POST /healthz", NULL, "", 405, NULL);
    rig_fini(&r);
}

/* What cannot be served ends with the exit code of its cause. */
static void refusals(void **state)
{
    char path[700];
    rig r;
    (void)state;
    rig_init(&r, NULL);
    assert_int_equal(rig_run(&r, (const char *[]){"serve", "-e", r.engram, "--listen", "127.0.0.1:0", NULL}), 11);
    assert_int_equal(rig_run(&r, (const char *[]){"serve", "-e", r.temp.path, "--listen", "127.0.0.1:0", NULL}), 10);
    assert_int_equal(rig_run(&r, (const char *[]){"serve", "-e", r.engram, "--listen", "nonsense", NULL}), 2);
    assert_int_equal(rig_run(&r, (const char *[]){"serve", "-e", r.engram, "--listen", "0.0.0.0:0", NULL}), 2);
    assert_int_equal(rig_run(&r, (const char *[]){"serve", "-e", r.engram, "--token-file", r.log, NULL}), 2);
    rig_write_file(&r, "ini", "[serve]\nlisten = 0.0.0.0:0\nno-auth = off\n", path);
    assert_int_equal(rig_run(&r, (const char *[]){"serve", "-e", r.engram, "--config", path, NULL}), 2);
    rig_write_file(&r, "ini", "[serve]\nlisten = 0.0.0.0:0\nno-auth = maybe\n", path);
    assert_int_equal(rig_run(&r, (const char *[]){"serve", "-e", r.engram, "--config", path, NULL}), 2);
    rig_write_file(&r, "ini", "[serve]\nlisten = 127.0.0.1:0\nnothing = 1\n", path);
    assert_int_equal(rig_run(&r, (const char *[]){"serve", "-e", r.engram, "--config", path, NULL}), 2);
    rig_fini(&r);
}

/* A journal that cannot grow is final for writers: they are told, and whoever watches too; reading goes on. */
static void a_failed_disk(void **state)
{
    static char body[50000];
    const struct rlimit none = {0, 0};
    rig_reply reply;
    rig r;
    (void)state;
    rig_init(&r, NULL);
    rig_expect(&r, "PUT /v1/files/before", NULL, "kept", 201, NULL);
    assert_int_equal(prlimit(r.pid, RLIMIT_FSIZE, &none, NULL), 0);
    memset(body, 'x', sizeof body - 1);
    rig_ask(&r, "PUT /v1/files/after", NULL, body, &reply);
    assert_in_range(reply.status, 500, 507);
    rig_reply_fini(&reply);
    rig_expect(&r, "GET /readyz", NULL, NULL, 503, "failed");
    rig_expect(&r, "GET /healthz", NULL, NULL, 200, "ok");
    rig_expect(&r, "GET /v1/files/before", NULL, NULL, 200, "kept");
    rig_expect(&r, "GET /v1/files/after", NULL, NULL, 404, NULL);
    rig_kill(&r);
    rig_start(&r, NULL);
    rig_expect(&r, "GET /readyz", NULL, NULL, 200, "ready");
    rig_expect(&r, "GET /v1/files/before", NULL, NULL, 200, "kept");
    rig_expect(&r, "GET /v1/files/after", NULL, NULL, 404, NULL);
    rig_fini(&r);
}

/* SIGTERM: a request whose body has half come is finished, one that begins is not, and idle connections are closed. */
static void drains(void **state)
{
    static char body[400000];
    rig_reply reply;
    rig r;
    (void)state;
    rig_init(&r, NULL);
    rig_fill(body, sizeof body, 4);
    int idle = rig_connect(&r), fresh = rig_connect(&r), busy = rig_connect(&r);
    rig_ask_on(idle, "GET /healthz", NULL, NULL, 0, &reply);
    rig_reply_fini(&reply);
    rig_send_text(busy, "PUT /v1/files/f HTTP/1.1\r\nHost: localhost\r\nContent-Length: 400000\r\n\r\n");
    rig_send(busy, body, 200000);
    while (rig_metric(&r, "engram_buffers_bytes") < 100000) /* requests that are through may still count as active */
        usleep(10000);
    rig_signal(&r, SIGTERM);
    rig_receive(idle, false, &reply);
    assert_int_equal(reply.status, 0);
    rig_receive(fresh, false, &reply);
    assert_int_equal(reply.status, 0);
    assert_true(rig_send(busy, body + 200000, 200000));
    rig_receive(busy, false, &reply);
    assert_int_equal(reply.status, 201);
    char value[256];
    assert_string_equal(rig_header(&reply, "Connection", value), "close");
    rig_reply_fini(&reply);
    assert_int_equal(rig_wait(&r), 0);
    close(idle), close(fresh), close(busy);
    rig_start(&r, NULL);
    rig_ask(&r, "GET /v1/files/f", NULL, NULL, &reply);
    assert_int_equal(reply.body.size, sizeof body);
    assert_memory_equal(reply.body.data, body, sizeof body);
    rig_reply_fini(&reply);
    rig_fini(&r);
}

/* A request that will never be whole does not keep the server: the time is limited, and a second signal ends it at once. */
/* A request that computes for minutes does not keep it either. */
static void ends_beside_endless_work(void **state)
{
    static const char body[] = "{\"operations\": [{\"op\": \"truncate\", \"path\": \"f\", \"size\": 60000000000}]}";
    char head[200];
    rig r;
    (void)state;
    rig_init(&r, (const char *[]){"--drain-timeout", "1s", NULL});
    rig_expect(&r, "PUT /v1/files/f", NULL, "kept", 201, NULL);
    int fd = rig_connect(&r);
    snprintf(head, sizeof head, "POST /v1/transactions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
             sizeof body - 1);
    rig_send_text(fd, head);
    rig_send_text(fd, body);
    while (rig_metric(&r, "engram_workers_busy") < 1)
        usleep(10000);
    rig_signal(&r, SIGTERM);
    assert_int_equal(rig_wait(&r), 1);
    close(fd);
    rig_start(&r, NULL);
    rig_expect(&r, "GET /v1/files/f", NULL, NULL, 200, "kept");
    rig_fini(&r);
}

static void drains_no_longer_than_it_should(void **state)
{
    rig r;
    (void)state;
    for (int again = 0; again <= 1; again++) {
        rig_init(&r, (const char *[]){"--drain-timeout", again ? "1d" : "1s", "--stall-timeout", "1d", NULL});
        int busy = rig_connect(&r);
        rig_send_text(busy, "PUT /v1/files/f HTTP/1.1\r\nHost: localhost\r\nContent-Length: 400000\r\n\r\nx");
        while (rig_metric(&r, "engram_buffers_bytes") < 1)
            usleep(10000);
        rig_signal(&r, SIGTERM);
        usleep(again ? 300000 : 0);
        if (again)
            rig_signal(&r, SIGTERM);
        assert_int_equal(rig_wait(&r), 0);
        close(busy);
        rig_fini(&r);
    }
}

/* ---- many writers ---- */

enum { WRITERS = 40, PUTS = 25, STOPPED_AFTER = 300 };

typedef struct writer {
    pthread_t thread;
    rig *r;
    int number, puts;
    int acknowledged; /* so many of its files were said to be stored */
} writer;

static atomic_int acknowledged;

static void fill_body(char body[4096], int writer_number, int put)
{
    rig_fill(body, 4096, (uint64_t)writer_number * 1000 + (uint64_t)put + 1);
}

static void *write_files(void *context)
{
    writer *w = context;
    char what[100], body[4096];
    int fd = rig_connect(w->r);
    for (int i = 0; i < w->puts; i++) {
        rig_reply reply;
        snprintf(what, sizeof what, "PUT /v1/files/w%d/f%d", w->number, i);
        fill_body(body, w->number, i);
        rig_ask_on(fd, what, NULL, body, sizeof body, &reply);
        int status = reply.status;
        rig_reply_fini(&reply);
        if (status != 201)
            break;
        w->acknowledged++;
        atomic_fetch_add(&acknowledged, 1);
    }
    close(fd);
    return NULL;
}

static void start_writers(rig *r, writer *writers, int puts)
{
    atomic_store(&acknowledged, 0);
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (writer){.r = r, .number = i, .puts = puts};
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_files, &writers[i]), 0);
    }
}

static void join_writers(writer *writers)
{
    for (int i = 0; i < WRITERS; i++)
        pthread_join(writers[i].thread, NULL);
}

static void expect_acknowledged(rig *r, const writer *writers)
{
    char what[100], body[4096];
    int fd = rig_connect(r);
    for (int i = 0; i < WRITERS; i++)
        for (int k = 0; k < writers[i].acknowledged; k++) {
            rig_reply reply;
            snprintf(what, sizeof what, "GET /v1/files/w%d/f%d", i, k);
            rig_ask_on(fd, what, NULL, NULL, 0, &reply);
            assert_int_equal(reply.status, 200);
            fill_body(body, i, k);
            assert_int_equal(reply.body.size, sizeof body);
            assert_memory_equal(reply.body.data, body, sizeof body);
            rig_reply_fini(&reply);
        }
    close(fd);
}

static void commits_share_syncs(void **state)
{
    static writer writers[WRITERS];
    rig r;
    (void)state;
    rig_init(&r, NULL);
    start_writers(&r, writers, PUTS);
    join_writers(writers);
    assert_int_equal(atomic_load(&acknowledged), WRITERS * PUTS);
    expect_acknowledged(&r, writers);
    assert_true(rig_metric(&r, "engram_commits_total") >= WRITERS * PUTS);
    assert_true(rig_metric(&r, "engram_commit_groups_total") < WRITERS * PUTS / 2);
    rig_fini(&r);
}

static void killed(void **state)
{
    static writer writers[WRITERS];
    rig r;
    (void)state;
    rig_init(&r, NULL);
    start_writers(&r, writers, 1000000);
    while (atomic_load(&acknowledged) < STOPPED_AFTER)
        usleep(1000);
    rig_kill(&r);
    join_writers(writers);
    rig_start(&r, NULL);
    expect_acknowledged(&r, writers);
    rig_fini(&r);
    assert_true(atomic_load(&acknowledged) >= STOPPED_AFTER);
}

/* ---- many connections ---- */

static void a_thousand_connections(void **state)
{
    enum { COUNT = 1000 };
    static int fds[COUNT];
    static const char request[] = "GET /v1/files/f HTTP/1.1\r\nHost: localhost\r\n\r\n";
    rig r;
    (void)state;
    rig_init(&r, NULL);
    rig_expect(&r, "PUT /v1/files/f", NULL, "all of them", 201, NULL);
    for (int i = 0; i < COUNT; i++)
        fds[i] = rig_connect(&r);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < COUNT; i++)
            assert_true(rig_send_text(fds[i], request));
        for (int i = 0; i < COUNT; i++) {
            rig_reply reply;
            rig_receive(fds[i], false, &reply);
            assert_int_equal(reply.status, 200);
            assert_string_equal((const char *)reply.body.data, "all of them");
            rig_reply_fini(&reply);
        }
    }
    assert_true(rig_metric(&r, "engram_http_connections") >= COUNT);
    for (int i = 0; i < COUNT; i++)
        close(fds[i]);
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states),
        cmocka_unit_test(refusals),
        cmocka_unit_test(a_failed_disk),
        cmocka_unit_test(drains),
        cmocka_unit_test(drains_no_longer_than_it_should),
        cmocka_unit_test(ends_beside_endless_work),
        cmocka_unit_test(commits_share_syncs),
        cmocka_unit_test(killed),
        cmocka_unit_test(a_thousand_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
