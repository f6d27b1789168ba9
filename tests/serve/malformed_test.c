/* What is no request, or none that may be served: always a refusal of the client (4xx; 505 for another version of HTTP), or a
 * connection that is closed; never a failure of the server, and afterwards it serves as before. */
#include "serve/rig.h"

#include <sys/socket.h>
#include <unistd.h>

static const char *const hurried[] = {"--header-timeout", "1s", "--stall-timeout", "1s", NULL};

typedef struct wrong {
    const char *bytes;
    size_t size; /* 0: strlen */
} wrong;

#define H "Host: localhost\r\n"
static const wrong corpus[] = {
    {"\r\n\r\n\r\n", 0},
    {"GET\r\n\r\n", 0},
    {"GET /healthz\r\n\r\n", 0},
    {"GET /healthz HTTP/9.9\r\n" H "\r\n", 0},
    {"GET /healthz HTTP/1.1\r\n\r\n", 0},
    {"GET /healthz XTTP/1.1\r\n" H "\r\n", 0},
    {"GET healthz HTTP/1.1\r\n" H "\r\n", 0},
    {"GET ftp://localhost/healthz HTTP/1.1\r\n" H "\r\n", 0},
    {"PUT /v1/files/f HTTP/1.0\r\n" H "\r\nabc", 0},
    {"PUT /v1/files/f HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 0},
    {"PUT /v1/files/f HTTP/1.1\r\n" H "If-Match: *\r\nIf-Match: \"1.1\"\r\nContent-Length: 1\r\n\r\nx", 0},
    {"OPTIONS * HTTP/1.1\r\n" H "\r\n", 0},
    {"BREW /v1/files/f HTTP/1.1\r\n" H "\r\n", 0},
    {"PATCH /v1/files/f HTTP/1.1\r\n" H "Content-Length: 1\r\n\r\nx", 0},
    {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11},
    {"GET /healthz HTTP/1.1\r\n" H "no colon\r\n\r\n", 0},
    {"GET /v1/files/../x HTTP/1.1\r\n" H "\r\n", 0},
    {"GET /v1/files/a/../../x HTTP/1.1\r\n" H "\r\n", 0},
    {"GET /v1/files/%2e%2e/x HTTP/1.1\r\n" H "\r\n", 0},
    {"GET /v1/files/a/%2E%2E%2Fx HTTP/1.1\r\n" H "\r\n", 0},
    {"GET /v1/files/./x HTTP/1.1\r\n" H "\r\n", 0},
    {"GET /v1/files//x HTTP/1.1\r\n" H "\r\n", 0},
    {"GET /v1/files/a%00b HTTP/1.1\r\n" H "\r\n", 0},
    {"GET /v1/files/a%0 HTTP/1.1\r\n" H "\r\n", 0},
    {"GET /v1/files/a%zz HTTP/1.1\r\n" H "\r\n", 0},
    {"GET /v1/files/a\0b HTTP/1.1\r\n" H "\r\n", sizeof "GET /v1/files/a\0b HTTP/1.1\r\n" H "\r\n" - 1},
    {"GET /v1/files/?glob=%00 HTTP/1.1\r\n" H "\r\n", 0},
    {"GET /v1/files/?at=%zz HTTP/1.1\r\n" H "\r\n", 0},
    {"GET /v1/files/?unknown=1 HTTP/1.1\r\n" H "\r\n", 0},
    {"GET /v1/files/?limit=-1 HTTP/1.1\r\n" H "\r\n", 0},
    {"GET /v1/files/?limit=99999999999999999999 HTTP/1.1\r\n" H "\r\n", 0},
    {"GET /v1/files/?depth=x HTTP/1.1\r\n" H "\r\n", 0},
    {"GET /v1/files/?after=../x HTTP/1.1\r\n" H "Content-Length: 1\r\n\r\nx", 0},
    {"GET /healthz HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello", 0},
    {"PUT /v1/files/f HTTP/1.1\r\n" H "Content-Length: x\r\n\r\nhello", 0},
    {"PUT /v1/files/f HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\nhello", 0},
    {"PUT /v1/files/f HTTP/1.1\r\n" H "Content-Length: 99999999999999999999\r\n\r\nhello", 0},
    {"PUT /v1/files/f HTTP/1.1\r\n" H "Content-Length: 999999999999999999\r\n\r\nhello", 0},
    {"PUT /v1/files/f HTTP/1.1\r\n" H "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", 0},
    {"PUT /v1/files/f HTTP/1.1\r\n" H "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0},
    {"PUT /v1/files/f HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 0},
    {"PUT /v1/files/f HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n", 0},
    {"PUT /v1/files/f HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nhello\r\n", 0},
    {"PUT /v1/files/f HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n", 0},
    {"GET /v1/files/f HTTP/1.1\r\n" H "Host: other\r\n\r\n", 0},
    {"GET /v1/files/f HTTP/1.1\r\n" H "Authorization: a\r\nAuthorization: b\r\n\r\n", 0},
    {"GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n", 0},
    {"GET /healthz HTTP/1.1\r\n" H "Origin: http://evil.example\r\n\r\n", 0},
    {"PUT /v1/files/f HTTP/1.1\r\n" H "Origin: null\r\nContent-Length: 1\r\n\r\nx", 0},
};

/* All that comes back, until the connection ends; a client that has nothing more to say says so. */
static void expect_refusal(rig *r, const char *name, const void *bytes, size_t size)
{
    rig_reply reply;
    int fd = rig_connect(r);
    if (rig_send(fd, bytes, size))
        shutdown(fd, SHUT_WR);
    rig_receive(fd, false, &reply);
    if (reply.status != 0 && reply.status != 505 && (reply.status < 400 || reply.status > 499))
        fail_msg("%s: the answer is %d", name, reply.status);
    rig_reply_fini(&reply);
    close(fd);
}

static void corpus_is_refused(void **state)
{
    rig r;
    (void)state;
    rig_init(&r, hurried);
    for (size_t i = 0; i < sizeof corpus / sizeof *corpus; i++) {
        const wrong *w = &corpus[i];
        expect_refusal(&r, w->bytes, w->bytes, w->size != 0 ? w->size : strlen(w->bytes));
        rig_expect(&r, "GET /healthz", NULL, NULL, 200, NULL);
    }
    rig_expect(&r, "GET /v1/files/f", NULL, NULL, 404, NULL); /* nothing of it was stored */
    while (rig_metric(&r, "engram_http_requests_active") > 1 || rig_metric(&r, "engram_buffers_bytes") > 0)
        usleep(10000); /* and nothing of it is left */
    rig_fini(&r);
}

/* Requests of which only a beginning comes. */
static void cut_short(void **state)
{
    static const char request[] =
        "PUT /v1/files/f HTTP/1.1\r\n" H "Content-Length: 5\r\nIf-None-Match: *\r\n\r\nhell";
    rig r;
    (void)state;
    rig_init(&r, hurried);
    for (size_t size = 0; size < sizeof request - 1; size += 11)
        expect_refusal(&r, "cut short", request, size);
    rig_expect(&r, "GET /v1/files/f", NULL, NULL, 404, NULL);
    rig_fini(&r);
}

/* Seeded bytes, and seeded damage to a good request. */
static void random_bytes(void **state)
{
    static const char request[] =
        "PUT /v1/files/dir/file?x=1 HTTP/1.1\r\n" H "Content-Length: 5\r\nRange: bytes=1-2\r\n\r\nhello";
    unsigned char bytes[400];
    rig r;
    (void)state;
    rig_init(&r, hurried);
    for (uint64_t seed = 1; seed <= 60; seed++) {
        rig_fill(bytes, sizeof bytes, seed);
        size_t size = bytes[0] + 1u;
        if (seed % 3 != 0) {
            unsigned char noise[8];
            memcpy(noise, bytes, sizeof noise);
            size = sizeof request - 1;
            memcpy(bytes, request, size);
            for (size_t i = 0; i + 1 < sizeof noise; i += 2)
                bytes[noise[i] % size] = noise[i + 1];
        }
        char name[64];
        snprintf(name, sizeof name, "seed %d", (int)seed);
        expect_refusal(&r, name, bytes, size);
    }
    rig_expect(&r, "GET /healthz", NULL, NULL, 200, NULL);
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(corpus_is_refused),
        cmocka_unit_test(cut_short),
        cmocka_unit_test(random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
