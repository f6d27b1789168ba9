/* Clients that take their time: those that keep to the rate have it, the others are cut, however they go about it. */
#include "serve/rig.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* Whether the server closes the connection without a word. */
static bool is_closed(int fd)
{
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    char byte;
    return poll(&waiting, 1, 20000) == 1 && recv(fd, &byte, 1, 0) <= 0;
}

/* Sends one byte after the other, each in time for a timer that begins anew with each. True when it was cut. */
static bool dribble(int fd, const char *text)
{
    char byte;
    for (int i = 0; i < 200; i++) {
        if (!rig_send(fd, &text[i % strlen(text)], 1))
            return true;
        usleep(100000);
        if (recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0)
            return true;
    }
    return false;
}

static const char *const hurried[] = {"--header-timeout", "1s", "--stall-timeout", "1s", "--idle-timeout", "1s", NULL};

static void a_slow_head_is_cut(void **state)
{
    rig_reply reply;
    rig r;
    (void)state;
    rig_init(&r, hurried);
    int fd = rig_connect(&r);
    assert_true(dribble(fd, "GET"));
    close(fd);
    fd = rig_connect(&r);
    rig_send_text(fd, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n");
    assert_true(dribble(fd, "X: x\r\n"));
    close(fd);
    fd = rig_connect(&r);
    rig_ask_on(fd, "GET /healthz", NULL, NULL, 0, &reply);
    rig_reply_fini(&reply);
    rig_send_text(fd, "GET /healthz HTTP/1.1\r\n"); /* the second request of a connection likewise */
    assert_true(dribble(fd, "X: x\r\n"));
    close(fd);
    assert_true(rig_metric(&r, "engram_http_slow_connections_total") >= 3);
    rig_fini(&r);
}

static void a_slow_body_is_cut(void **state)
{
    rig r;
    (void)state;
    rig_init(&r, hurried);
    for (int i = 0; i < 2; i++) { /* with a small body, and with one that is stored as it comes */
        int fd = rig_connect(&r);
        rig_send_text(fd, i == 0 ? "PUT /v1/files/f HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
                                 : "PUT /v1/files/f HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n");
        static char begin[300000];
        if (i == 1)
            rig_send(fd, begin, sizeof begin);
        assert_true(dribble(fd, "x"));
        close(fd);
    }
    while (rig_metric(&r, "engram_http_requests_active") > 1)
        usleep(10000);
    rig_expect(&r, "GET /v1/files/f", NULL, NULL, 404, NULL);
    rig_expect(&r, "PUT /v1/files/f", NULL, "x", 201, NULL);
    rig_fini(&r);
}

/* One that keeps to the rate has more time than the stall. */
static void a_steady_body_is_not_cut(void **state)
{
    rig_reply reply;
    char piece[1000] = "";
    rig r;
    (void)state;
    rig_init(&r, hurried);
    int fd = rig_connect(&r);
    rig_send_text(fd, "PUT /v1/files/f HTTP/1.1\r\nHost: localhost\r\nContent-Length: 15000\r\n\r\n");
    for (int i = 0; i < 15; i++) {
        usleep(100000);
        assert_true(rig_send(fd, piece, sizeof piece));
    }
    rig_receive(fd, false, &reply);
    assert_int_equal(reply.status, 201);
    rig_reply_fini(&reply);
    close(fd);
    rig_fini(&r);
}

/* Who does not read is cut, and lets go of what it had. */
static void a_slow_reader_is_cut(void **state)
{
    static uint8_t body[24 << 20];
    rig_reply reply;
    rig r;
    (void)state;
    rig_init(&r, hurried);
    rig_fill(body, sizeof body, 2);
    int fd = rig_connect(&r);
    rig_ask_on(fd, "PUT /v1/files/f", NULL, body, sizeof body, &reply);
    assert_int_equal(reply.status, 201);
    rig_reply_fini(&reply);
    rig_send_text(fd, "GET /v1/files/f HTTP/1.1\r\nHost: localhost\r\n\r\n");
    while (rig_metric(&r, "engram_http_slow_connections_total") < 1)
        usleep(10000);
    rig_receive(fd, false, &reply);
    assert_true(reply.is_cut);
    rig_reply_fini(&reply);
    close(fd);
    rig_fini(&r);
}

static void an_idle_connection_is_closed(void **state)
{
    rig_reply reply;
    rig r;
    (void)state;
    rig_init(&r, hurried);
    int fd = rig_connect(&r);
    rig_ask_on(fd, "GET /healthz", NULL, NULL, 0, &reply);
    rig_reply_fini(&reply);
    assert_true(is_closed(fd));
    close(fd);
    assert_true(rig_metric(&r, "engram_http_slow_connections_total") == 0);
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slow_head_is_cut),
        cmocka_unit_test(a_slow_body_is_cut),
        cmocka_unit_test(a_steady_body_is_not_cut),
        cmocka_unit_test(a_slow_reader_is_cut),
        cmocka_unit_test(an_idle_connection_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
