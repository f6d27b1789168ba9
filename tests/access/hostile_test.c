/* A server that says what a test wants: replies that are none, that are cut, that never end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "access/access.h"
#include "base/memory.h"

/* Answers every request on a connection with the next of its replies, the last one again and again,
 * and closes it behind one that ends with "!". */
typedef struct peer {
    const char *replies[8];
    size_t count;
    atomic_size_t asked;
    int fd;
    char url[64];
    pthread_t thread;
} peer;

static bool read_request(int fd)
{
    char window[4] = "";
    while (memcmp(window, "\r\n\r\n", 4) != 0) {
        memmove(window, window + 1, 3);
        if (recv(fd, window + 3, 1, 0) != 1)
            return false;
    }
    return true;
}

static void answer(peer *p, int fd)
{
    bool closes = false;
    while (!closes && read_request(fd)) {
        size_t turn = atomic_fetch_add(&p->asked, 1);
        const char *reply = p->replies[turn < p->count ? turn : p->count - 1];
        size_t size = strlen(reply);
        closes = reply[size - 1] == '!';
        if (send(fd, reply, size - closes, MSG_NOSIGNAL) < 0)
            return;
    }
}

static void *serve(void *context)
{
    peer *p = context;
    for (int fd; (fd = accept(p->fd, NULL, NULL)) >= 0; close(fd))
        answer(p, fd);
    return NULL;
}

static void start(peer *p, const char *const *replies)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    *p = (peer){.fd = socket(AF_INET, SOCK_STREAM, 0)};
    for (; replies[p->count] != NULL; p->count++)
        p->replies[p->count] = replies[p->count];
    assert_int_equal(bind(p->fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(p->fd, 8), 0);
    assert_int_equal(getsockname(p->fd, (struct sockaddr *)&at, &size), 0);
    snprintf(p->url, sizeof p->url, "http://127.0.0.1:%u", ntohs(at.sin_port));
    assert_int_equal(pthread_create(&p->thread, NULL, serve, p), 0);
}

static void stop(peer *p)
{
    shutdown(p->fd, SHUT_RDWR);
    pthread_join(p->thread, NULL);
    close(p->fd);
}

static engram_status take(void *context, const void *bytes, size_t size, engram_error *error)
{
    (void)bytes;
    (void)error;
    *(size_t *)context += size;
    return ENGRAM_OK;
}

static engram_status count(void *context, const char *path, const struct engram_stat *stat,
                           const char *target, engram_error *error)
{
    (void)path, (void)stat, (void)target, (void)error;
    ++*(size_t *)context;
    return ENGRAM_OK;
}

typedef engram_status use(eg_access *access, engram_error *error);

static engram_status use_pin(eg_access *access, engram_error *error)
{
    eg_access_view *view = NULL;
    EG_TRY(eg_access_pin(access, NULL, &view, error));
    eg_access_unpin(&view);
    return ENGRAM_OK;
}

static engram_status use_list(eg_access *access, engram_error *error)
{
    eg_access_view *view = NULL;
    size_t entries = 0;
    EG_TRY(eg_access_pin(access, NULL, &view, error));
    engram_status status = eg_access_list(view, "", NULL, count, &entries, error);
    eg_access_unpin(&view);
    return status;
}

static engram_status use_read(eg_access *access, engram_error *error)
{
    eg_access_view *view = NULL;
    struct engram_stat stat;
    size_t size = 0;
    EG_TRY(eg_access_pin(access, NULL, &view, error));
    engram_status status = eg_access_read(view, "f", &stat, take, &size, error);
    eg_access_unpin(&view);
    return status;
}

static engram_status use_remove(eg_access *access, engram_error *error)
{
    const engram_transaction_options options = {0};
    const engram_expected any = {ENGRAM_ANY, 0, 0};
    eg_access_edit *edit = NULL;
    uint64_t version;
    EG_TRY(eg_access_begin(access, &options, &edit, error));
    engram_status status = eg_access_remove(edit, "f", &any, error);
    return eg_access_end(&edit, status, &version, error);
}

static engram_status use_snapshots(eg_access *access, engram_error *error)
{
    return eg_access_snapshots(access, NULL, NULL, error);
}

static void expect(use *function, engram_status status, const char *words,
                   const char *const *replies)
{
    peer p;
    eg_access *access = NULL;
    engram_error error = {0};
    start(&p, replies);
    const eg_access_server server = {.url = p.url};
    assert_int_equal(eg_access_open_server(&server, &access, &error), ENGRAM_OK);
    engram_status got = function(access, &error);
    if (got != status || strstr(error.message, words) == NULL)
        fail_msg("%s: status %d, '%s' instead of %d, '%s'", replies[0], got, error.message, status,
                 words);
    eg_access_close(&access);
    stop(&p);
}

#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
#define ROOT HEAD "16\r\n\r\n{\"at_version\":7}"
#define FILE_ENTRY                                                                                 \
    "{\"path\":\"f\",\"kind\":\"file\",\"size\":3,\"mode\":\"0644\",\"uid\":0,\"gid\":0,"          \
    "\"mtime\":\"@1\",\"inode\":3,\"links\":1,\"version\":7,\"chunks\":1,\"created_version\":1,"   \
    "\"created\":\"@1\",\"modified\":\"@1\",\"at_version\":7}"

static void replies(void **state)
{
    (void)state;
    expect(use_pin, ENGRAM_IO, "no document", (const char *[]){HEAD "5\r\n\r\nhello", NULL});
    expect(use_pin, ENGRAM_IO, "no document", (const char *[]){HEAD "2\r\n\r\n[]", NULL});
    expect(use_pin, ENGRAM_IO, "'at_version'", (const char *[]){HEAD "2\r\n\r\n{}", NULL});
    expect(use_pin, ENGRAM_IO, "empty reply", (const char *[]){HEAD "0\r\n\r\n", NULL});
    expect(use_pin, ENGRAM_IO, "'at_version'",
           (const char *[]){HEAD "17\r\n\r\n{\"at_version\":-7}", NULL});
    expect(use_pin, ENGRAM_IO, "cut the connection",
           (const char *[]){HEAD "100\r\n\r\n{\"at_version\":7}!", NULL});
    expect(use_pin, ENGRAM_IO, "no word of an engram server",
           (const char *[]){"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n"
                            "Content-Length: 0\r\n\r\n",
                            NULL});
    expect(use_pin, ENGRAM_IO, "no word of an engram server",
           (const char *[]){"HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\nsad\n", NULL});
    expect(use_pin, ENGRAM_DENIED, "--token-file",
           (const char *[]){"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", NULL});
    expect(use_pin, ENGRAM_IO, "", (const char *[]){"SMTP?\r\n!", NULL});
    expect(use_snapshots, ENGRAM_IO, "'snapshots'",
           (const char *[]){HEAD "16\r\n\r\n{\"snapshots\": 1}", NULL});
    expect(use_snapshots, ENGRAM_IO, "'name'",
           (const char *[]){HEAD "18\r\n\r\n{\"snapshots\":[{}]}", NULL});
    expect(use_remove, ENGRAM_IO, "'version'", (const char *[]){HEAD "2\r\n\r\n{}", NULL});
}

/* Pages that lead nowhere, and a content that is not all there. */
static void later_replies(void **state)
{
    char file[700];
    (void)state;
    snprintf(file, sizeof file, HEAD "%zu\r\n\r\n%s", strlen(FILE_ENTRY), FILE_ENTRY);
    expect(use_list, ENGRAM_IO, "'entries'",
           (const char *[]){ROOT, HEAD "28\r\n\r\n{\"entries\":[],\"next\":\"/v1/\"}", NULL});
    expect(use_list, ENGRAM_IO, "'entries'", (const char *[]){ROOT, HEAD "2\r\n\r\n{}", NULL});
    expect(use_list, ENGRAM_IO, "'kind'",
           (const char *[]){ROOT, HEAD "17\r\n\r\n{\"entries\":[\"a\"]}", NULL});
    expect(use_read, ENGRAM_OK, "",
           (const char *[]){ROOT, file, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", NULL});
    expect(use_read, ENGRAM_IO, "cut the connection",
           (const char *[]){ROOT, file, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab!", NULL});
}

/* Each allocation of ours fails once: the cause is told, and nothing is left (the sanitizers look).
 */
static void no_memory(void **state)
{
    static const char *const all[] = {ROOT, NULL};
    peer p;
    (void)state;
    start(&p, all);
    engram_status status = ENGRAM_NO_MEMORY;
    for (long n = 1; status != ENGRAM_OK; n++) {
        eg_access *access = NULL;
        engram_error error = {0};
        const eg_access_server server = {.url = p.url};
        eg_alloc_fail_at(n, false);
        status = eg_access_open_server(&server, &access, &error);
        if (status == ENGRAM_OK)
            status = use_pin(access, &error);
        eg_alloc_fail_at(0, false);
        eg_access_close(&access);
        assert_true(status == ENGRAM_OK || (status == ENGRAM_NO_MEMORY && *error.message != 0));
        assert_true(n < 100);
    }
    stop(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies),
        cmocka_unit_test(later_replies),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
