/* Who may do what, and how much of it. */
#include "serve/rig.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#define WRITE_TOKEN "write-token-0123456789"
#define READ_TOKEN "read-token-0123456789"
#define BEARER(token) "Authorization: Bearer " token "\r\n"

/* ---- tokens ---- */

static void tokens(void **state)
{
    char write_path[700], read_path[700];
    rig r;
    (void)state;
    rig_make(&r);
    rig_write_file(&r, "write", "# who writes\n\n" WRITE_TOKEN "\r\nanother-token-0123456789\n", write_path);
    rig_write_file(&r, "read", READ_TOKEN, read_path);
    rig_start(&r, (const char *[]){"--token-file", write_path, "--read-token-file", read_path, NULL});
    rig_expect(&r, "PUT /v1/files/f", NULL, "x", 401, "token");
    rig_expect(&r, "PUT /v1/files/f", BEARER("write-token-012345678"), "x", 401, "not authorised");
    rig_expect(&r, "PUT /v1/files/f", BEARER(WRITE_TOKEN "9"), "x", 401, NULL);
    rig_expect(&r, "PUT /v1/files/f", BEARER("# who writes"), "x", 401, NULL);
    rig_expect(&r, "PUT /v1/files/f", "Authorization: Basic " WRITE_TOKEN "\r\n", "x", 401, NULL);
    rig_expect(&r, "PUT /v1/files/f", BEARER(READ_TOKEN), "x", 403, "only read");
    rig_expect(&r, "DELETE /v1/files/f", BEARER(READ_TOKEN), NULL, 403, NULL);
    rig_expect(&r, "GET /v1/files/f", NULL, NULL, 401, NULL);
    rig_expect(&r, "GET /metrics", NULL, NULL, 401, NULL);
    rig_expect(&r, "GET /healthz", NULL, NULL, 200, NULL);
    rig_expect(&r, "GET /readyz", NULL, NULL, 200, NULL);
    rig_expect(&r, "GET /v1/files/f", BEARER(READ_TOKEN), NULL, 404, NULL); /* nothing of all that was stored */
    rig_expect(&r, "PUT /v1/files/f", BEARER(WRITE_TOKEN), "x", 201, NULL);
    rig_expect(&r, "PUT /v1/files/f", BEARER("another-token-0123456789"), "y", 200, NULL);
    rig_expect(&r, "GET /v1/files/f", BEARER(READ_TOKEN), NULL, 200, "y");
    rig_expect(&r, "GET /v1/files/f", BEARER(WRITE_TOKEN), NULL, 200, "y");
    rig_fini(&r);
}

static void wait_for_status(rig *r, const char *headers, int status)
{
    for (int i = 0; i < 600; i++) {
        rig_reply reply;
        rig_ask(r, "GET /v1/files/", headers, NULL, &reply);
        int got = reply.status;
        rig_reply_fini(&reply);
        if (got == status)
            return;
        usleep(100000);
    }
    fail_msg("waited in vain for %d", status);
}

static void tokens_are_read_again(void **state)
{
    char path[700];
    rig r;
    (void)state;
    rig_make(&r);
    rig_write_file(&r, "tokens", WRITE_TOKEN "\n", path);
    rig_start(&r, (const char *[]){"--token-file", path, NULL});
    rig_write_file(&r, "tokens", "a-new-token-0123456789\n", path);
    rig_expect(&r, "GET /v1/files/", BEARER(WRITE_TOKEN), NULL, 200, NULL);
    rig_signal(&r, SIGHUP);
    wait_for_status(&r, BEARER("a-new-token-0123456789"), 200);
    rig_expect(&r, "GET /v1/files/", BEARER(WRITE_TOKEN), NULL, 401, NULL);
    rig_write_file(&r, "tokens", "short\n", path);
    rig_signal(&r, SIGHUP);
    usleep(300000);
    rig_expect(&r, "GET /v1/files/", BEARER("a-new-token-0123456789"), NULL, 200, NULL);
    rig_fini(&r);
}

/* ---- sizes ---- */

static void sizes(void **state)
{
    static char large[20000];
    char header[20100];
    rig_reply reply;
    rig r;
    (void)state;
    rig_init(&r, (const char *[]){"--header-size", "4K", "--body-size", "10000", NULL});
    memset(large, 'x', sizeof large - 1);
    snprintf(header, sizeof header, "X: %.5000s\r\n", large);
    rig_expect(&r, "GET /healthz", header, NULL, 431, NULL);
    int fd = rig_connect(&r);
    rig_ask_on(fd, "PUT /v1/files/f", NULL, large, 10000, &reply);
    assert_int_equal(reply.status, 201);
    rig_reply_fini(&reply);
    rig_ask_on(fd, "PUT /v1/files/g", NULL, large, 10001, &reply);
    assert_int_equal(reply.status, 413);
    rig_reply_fini(&reply);
    rig_ask_on(fd, "GET /healthz", NULL, NULL, 0, &reply); /* the connection is as good as before */
    assert_int_equal(reply.status, 200);
    rig_reply_fini(&reply);
    close(fd);
    fd = rig_connect(&r);
    rig_send_text(fd, "PUT /v1/files/g HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2711\r\n");
    rig_send(fd, large, 10001);
    rig_send_text(fd, "\r\n0\r\n\r\n");
    rig_receive(fd, false, &reply);
    assert_int_equal(reply.status, 413);
    rig_reply_fini(&reply);
    close(fd);
    rig_expect(&r, "GET /v1/files/g", NULL, NULL, 404, NULL);
    rig_fini(&r);
}

/* Who gets no buffer is told to come again, and finds it when others have gone. */
static void buffers(void **state)
{
    enum { SIZE = 200000, SENT = 150000 }; /* more than a piece */
    static char body[SIZE];
    rig_reply reply;
    rig r;
    (void)state;
    rig_init(&r, (const char *[]){"--buffers", "300K", NULL});
    int fds[2] = {rig_connect(&r), rig_connect(&r)};
    for (int i = 0; i < 2; i++) {
        rig_send_text(fds[i], "PUT /v1/files/f HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000\r\n\r\n");
        rig_send(fds[i], body, SENT);
    }
    while (rig_metric(&r, "engram_buffers_bytes") < 256 << 10)
        usleep(10000);
    int fd = rig_connect(&r);
    rig_ask_on(fd, "PUT /v1/files/g", NULL, body, SIZE, &reply);
    char value[256];
    assert_int_equal(reply.status, 503);
    assert_string_equal(rig_header(&reply, "Retry-After", value), "1");
    rig_reply_fini(&reply);
    close(fds[1]);
    while (rig_metric(&r, "engram_buffers_bytes") > 128 << 10)
        usleep(10000);
    rig_ask_on(fd, "PUT /v1/files/g", NULL, body, SIZE, &reply);
    assert_int_equal(reply.status, 201);
    rig_reply_fini(&reply);
    close(fd);
    close(fds[0]);
    rig_fini(&r);
}

/* Those who announce much and send little leave room for others. */
static void buffers_of_slow_senders(void **state)
{
    enum { SENDERS = 24, SIZE = 100000 };
    static uint8_t body[SIZE];
    rig_reply reply;
    int fds[SENDERS];
    rig r;
    (void)state;
    rig_init(&r, (const char *[]){"--buffers", "1M", NULL});
    rig_fill(body, sizeof body, 3);
    for (int i = 0; i < SENDERS; i++) {
        fds[i] = rig_connect(&r);
        rig_send_text(fds[i], "PUT /v1/files/f HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n");
        rig_send(fds[i], body, 1000);
    }
    while (rig_metric(&r, "engram_buffers_bytes") < SENDERS * 1000)
        usleep(10000);
    int fd = rig_connect(&r);
    rig_ask_on(fd, "PUT /v1/files/g", NULL, body, SIZE, &reply);
    assert_int_equal(reply.status, 201);
    rig_reply_fini(&reply);
    rig_send(fds[0], body + 1000, SIZE - 1000); /* and have their own when they go on */
    rig_receive(fds[0], false, &reply);
    assert_int_equal(reply.status, 201);
    rig_reply_fini(&reply);
    rig_ask_on(fd, "GET /v1/files/f", NULL, NULL, 0, &reply);
    assert_int_equal(reply.body.size, SIZE);
    assert_memory_equal(reply.body.data, body, SIZE);
    rig_reply_fini(&reply);
    for (int i = 0; i < SENDERS; i++)
        close(fds[i]);
    close(fd);
    rig_fini(&r);
}

/* Those who do not read what they asked for leave room for others. */
static void buffers_of_slow_readers(void **state)
{
    enum { READERS = 24, LARGE = 12 << 20, SMALL = 100000 };
    static uint8_t body[LARGE];
    rig_reply reply;
    int fds[READERS];
    rig r;
    (void)state;
    rig_init(&r, (const char *[]){"--buffers", "1M", NULL});
    rig_fill(body, sizeof body, 3);
    int fd = rig_connect(&r);
    rig_ask_on(fd, "PUT /v1/files/large", NULL, body, LARGE, &reply);
    assert_int_equal(reply.status, 201);
    rig_reply_fini(&reply);
    rig_ask_on(fd, "PUT /v1/files/small", NULL, body, SMALL, &reply);
    assert_int_equal(reply.status, 201);
    rig_reply_fini(&reply);
    for (int i = 0; i < READERS; i++) {
        fds[i] = rig_connect(&r);
        rig_send_text(fds[i], "GET /v1/files/large HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
    while (rig_metric(&r, "engram_buffers_bytes") < 512 << 10 || rig_metric(&r, "engram_workers_busy") != 0 ||
           rig_metric(&r, "engram_workers_waiting") != 0)
        usleep(10000);
    rig_ask_on(fd, "GET /v1/files/small", NULL, NULL, 0, &reply);
    assert_int_equal(reply.status, 200);
    assert_int_equal(reply.body.size, SMALL);
    assert_memory_equal(reply.body.data, body, SMALL);
    rig_reply_fini(&reply);
    for (int i = 0; i < READERS; i++) {
        struct pollfd waiting = {.fd = fds[i], .events = POLLIN};
        char head[13] = "";
        assert_int_equal(poll(&waiting, 1, 20000), 1);
        assert_int_equal(recv(fds[i], head, sizeof head - 1, MSG_WAITALL), sizeof head - 1);
        assert_string_equal(head, "HTTP/1.1 200");
        close(fds[i]);
    }
    close(fd);
    rig_fini(&r);
}

/* ---- connections ---- */

/* Whether the server closes the connection without a word. */
static bool is_closed(int fd)
{
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    char byte;
    return poll(&waiting, 1, 20000) == 1 && recv(fd, &byte, 1, 0) <= 0;
}

static void connections_of_an_address(void **state)
{
    rig_reply reply;
    int fds[3];
    rig r;
    (void)state;
    rig_init(&r, (const char *[]){"--connections-per-address", "3", NULL});
    for (int i = 0; i < 3; i++) {
        fds[i] = rig_connect(&r);
        rig_ask_on(fds[i], "GET /healthz", NULL, NULL, 0, &reply);
        assert_int_equal(reply.status, 200);
        rig_reply_fini(&reply);
    }
    int refused = rig_connect(&r);
    assert_true(is_closed(refused));
    close(refused);
    for (int i = 0; i < 3; i++) {
        rig_ask_on(fds[i], "GET /healthz", NULL, NULL, 0, &reply);
        assert_int_equal(reply.status, 200);
        rig_reply_fini(&reply);
        close(fds[i]);
    }
    rig_fini(&r);
}

/* ---- the queue ---- */

/* One worker, and room for one request that waits: of many at once some are told to come again. Returns how many. */
static int ask_at_once(rig *r)
{
    enum { COUNT = 64 };
    static const char request[] = "PUT /v1/files/f HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx";
    int fds[COUNT], refused = 0;
    for (int i = 0; i < COUNT; i++)
        fds[i] = rig_connect(r);
    for (int i = 0; i < COUNT; i++)
        assert_true(rig_send_text(fds[i], request));
    for (int i = 0; i < COUNT; i++) {
        rig_reply reply;
        char value[256];
        rig_receive(fds[i], false, &reply);
        bool is_refused = reply.status == 503;
        assert_true(is_refused || reply.status == 200 || reply.status == 201);
        assert_true(!is_refused || strcmp(rig_header(&reply, "Retry-After", value), "1") == 0);
        refused += is_refused;
        rig_reply_fini(&reply);
        close(fds[i]);
    }
    return refused;
}

static void the_queue_is_bounded(void **state)
{
    rig r;
    (void)state;
    rig_init(&r, (const char *[]){"--workers", "1", "--queue", "1", NULL});
    int refused = 0;
    for (int round = 0; round < 200 && refused == 0; round++)
        refused = ask_at_once(&r);
    assert_true(refused > 0);
    rig_expect(&r, "PUT /v1/files/f", NULL, "y", 200, NULL);
    rig_fini(&r);
}

/* ---- settings ---- */

/* A value of a document takes a hundred times the memory of its text, so there is a bound before it is read. */
static void values_of_a_document(void **state)
{
    enum { VALUES = 300000 };
    static char body[3 * VALUES + 100];
    rig r;
    (void)state;
    rig_init(&r, NULL);
    char *at = body + sprintf(body, "{\"queries\":[{}");
    for (int i = 0; i < VALUES; i++)
        at += sprintf(at, ",{}");
    strcpy(at, "]}");
    rig_expect(&r, "POST /v1/query/batch", "Content-Type: application/json\r\n", body, 400, "more than 32768 values");
    rig_expect(&r, "POST /v1/transactions", "Content-Type: application/json\r\n", body, 400, "more than 200000 values");
    rig_expect(&r, "POST /v1/transactions", "Content-Type: application/json\r\n",
               "{\"operations\":[{\"op\":\"write\",\"path\":\"a\",\"text\":\",{[\\\",{[\"}]}", 200, NULL);
    rig_expect(&r, "GET /v1/files/a", NULL, NULL, 200, ",{[\",{[");
    rig_fini(&r);
}

static void settings(void **state)
{
    char path[700], text[2000], line[2000];
    rig r;
    (void)state;
    rig_make(&r);
    snprintf(text, sizeof text,
             "# the server\n[serve]\n body-size = 5\n; a comment\nlisten = 127.0.0.1:1\nheader-size=8K\n");
    rig_write_file(&r, "ini", text, path);
    rig_start(&r, (const char *[]){"--config", path, NULL}); /* --listen of the arguments wins */
    rig_expect(&r, "PUT /v1/files/f", NULL, "12345", 201, NULL);
    rig_expect(&r, "PUT /v1/files/f", NULL, "123456", 413, NULL);
    rig_signal(&r, SIGTERM);
    assert_int_equal(rig_wait(&r), 0);
    setenv("ENGRAM_BODY_SIZE", "6", 1); /* and so does the environment */
    rig_start(&r, (const char *[]){"--config", path, NULL});
    unsetenv("ENGRAM_BODY_SIZE");
    rig_expect(&r, "PUT /v1/files/f", NULL, "123456", 200, NULL);
    rig_signal(&r, SIGTERM);
    assert_int_equal(rig_wait(&r), 0);
    FILE *log = fopen(r.log, "r");
    int requests = 0;
    while (fgets(line, sizeof line, log) != NULL)
        requests += strstr(line, "\"target\":\"/v1/files/f\"") != NULL && line[0] == '{';
    fclose(log);
    assert_int_equal(requests, 3);
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens),
        cmocka_unit_test(tokens_are_read_again),
        cmocka_unit_test(sizes),
        cmocka_unit_test(buffers),
        cmocka_unit_test(buffers_of_slow_senders),
        cmocka_unit_test(buffers_of_slow_readers),
        cmocka_unit_test(connections_of_an_address),
        cmocka_unit_test(the_queue_is_bounded),
        cmocka_unit_test(values_of_a_document),
        cmocka_unit_test(settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
