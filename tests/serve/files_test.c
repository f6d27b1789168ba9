/* Files over HTTP: what is stored comes back, in whole and in part, at every version, under conditions. */
#include "serve/rig.h"

#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LARGE = 3 << 20, MANY = 24 << 20 };
static uint8_t data[MANY];

static json_t *document(const rig_reply *reply)
{
    json_t *d = json_loadb((const char *)reply->body.data, reply->body.size, 0, NULL);
    assert_non_null(d);
    return d;
}

static const char *ask_tag(rig *r, const char *path, char tag[256])
{
    char what[300];
    rig_reply reply;
    snprintf(what, sizeof what, "HEAD /v1/files/%s", path);
    rig_ask(r, what, NULL, NULL, &reply);
    assert_int_equal(reply.status, 200);
    rig_header(&reply, "ETag", tag);
    rig_reply_fini(&reply);
    return tag;
}

static void put_bytes(rig *r, const char *path, const void *bytes, size_t size, int status)
{
    char what[300];
    rig_reply reply;
    int fd = rig_connect(r);
    snprintf(what, sizeof what, "PUT /v1/files/%s", path);
    rig_ask_on(fd, what, NULL, bytes, size, &reply);
    assert_int_equal(reply.status, status);
    rig_reply_fini(&reply);
    close(fd);
}

static void expect_bytes(rig *r, const char *what, const char *headers, int status,
                         const void *bytes, size_t size)
{
    rig_reply reply;
    rig_ask(r, what, headers, NULL, &reply);
    assert_int_equal(reply.status, status);
    assert_int_equal(reply.body.size, size);
    assert_memory_equal(reply.body.data, bytes, size);
    rig_reply_fini(&reply);
}

/* ---- whole files ---- */

static void sizes_come_back(void **state)
{
    static const size_t sizes[] = {0,      1,      4096,   65536,  131071, 131072, 131073,
                                   262144, 262145, 1 << 20, LARGE};
    char path[64];
    rig r;
    (void)state;
    rig_init(&r, NULL);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        rig_fill(data, sizes[i], i + 1);
        snprintf(path, sizeof path, "f%zu", i);
        put_bytes(&r, path, data, sizes[i], 201);
        snprintf(path, sizeof path, "GET /v1/files/f%zu", i);
        expect_bytes(&r, path, NULL, 200, data, sizes[i]);
    }
    put_bytes(&r, "f3", "short", 5, 200); /* is there already */
    expect_bytes(&r, "GET /v1/files/f3", NULL, 200, "short", 5);
    rig_expect(&r, "GET /v1/files/none", NULL, NULL, 404, "\"status\":\"not found\"");
    rig_fini(&r);
}

/* A body of unknown size, in chunks of all sizes, small and larger than a piece. */
static void chunked_bodies(void **state)
{
    char head[64];
    rig_reply reply;
    rig r;
    (void)state;
    rig_init(&r, NULL);
    for (int i = 0; i < 2; i++) {
        size_t total = i == 0 ? 5000 : 700000, step = i == 0 ? 999 : 65537;
        rig_fill(data, total, 77);
        int fd = rig_connect(&r);
        rig_send_text(fd, "PUT /v1/files/c HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (size_t at = 0; at < total; at += step) {
            size_t size = total - at < step ? total - at : step;
            snprintf(head, sizeof head, "%zx\r\n", size);
            assert_true(rig_send_text(fd, head) && rig_send(fd, data + at, size) && rig_send_text(fd, "\r\n"));
        }
        assert_true(rig_send_text(fd, "0\r\n\r\n"));
        rig_receive(fd, false, &reply);
        assert_int_equal(reply.status, i == 0 ? 201 : 200);
        rig_reply_fini(&reply);
        close(fd);
        expect_bytes(&r, "GET /v1/files/c", NULL, 200, data, total);
    }
    rig_fini(&r);
}

/* Requests on one connection, sent before the replies to earlier ones are read. */
static void pipelined(void **state)
{
    rig_reply reply;
    rig r;
    (void)state;
    rig_init(&r, NULL);
    int fd = rig_connect(&r);
    rig_send_text(fd, "PUT /v1/files/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\none"
                      "GET /v1/files/a HTTP/1.1\r\nHost: localhost\r\n\r\n"
                      "DELETE /v1/files/a HTTP/1.1\r\nHost: localhost\r\n\r\n"
                      "GET /v1/files/a HTTP/1.1\r\nHost: localhost\r\n\r\n");
    static const int statuses[] = {201, 200, 204, 404};
    for (size_t i = 0; i < 4; i++) {
        rig_receive(fd, false, &reply);
        assert_int_equal(reply.status, statuses[i]);
        if (i == 1)
            assert_memory_equal(reply.body.data, "one", 3);
        rig_reply_fini(&reply);
    }
    close(fd);
    rig_fini(&r);
}

/* What lies under one name is one inode; its parents are made on the way, by small bodies and by large ones. */
static void parents_and_names(void **state)
{
    rig r;
    (void)state;
    rig_init(&r, NULL);
    put_bytes(&r, "a/b/c%20d/%C3%A4%FF", "x", 1, 201);
    expect_bytes(&r, "GET /v1/files/a/b/c%20d/%c3%a4%ff", NULL, 200, "x", 1);
    rig_expect(&r, "GET /v1/files/a/b/c%20d", NULL, NULL, 200, "path_base64");
    rig_fill(data, LARGE, 5);
    put_bytes(&r, "l/m/n", data, LARGE, 201);
    expect_bytes(&r, "GET /v1/files/l/m/n", NULL, 200, data, LARGE);
    rig_expect(&r, "PUT /v1/files/n?mode=0648", NULL, "x", 400, "octal permission bits");
    rig_expect(&r, "PUT /v1/files/a/b", NULL, "x", 400, "only files have content");
    rig_expect(&r, "PUT /v1/files/l/m/n/o", NULL, "x", 400, "no directory");
    rig_expect(&r, "PUT /v1/files/", NULL, "x", 400, "missing");
    rig_expect(&r, "PUT /v1/files/a/", NULL, "x", 400, "empty name");
    rig_expect(&r, "DELETE /v1/files/a", NULL, NULL, 409, "recursive");
    rig_expect(&r, "DELETE /v1/files/a?recursive", NULL, NULL, 204, NULL);
    rig_expect(&r, "DELETE /v1/files/a", NULL, NULL, 404, NULL);
    rig_expect(&r, "DELETE /v1/files/", NULL, NULL, 400, "missing");
    rig_fini(&r);
}

/* ---- conditions ---- */

static void conditions_of_reads(void **state)
{
    char tag[256], header[300];
    rig r;
    (void)state;
    rig_init(&r, NULL);
    put_bytes(&r, "f", "one", 3, 201);
    ask_tag(&r, "f", tag);
    snprintf(header, sizeof header, "If-None-Match: \"1.1\", W/%s\r\n", tag);
    rig_expect(&r, "GET /v1/files/f", header, NULL, 304, NULL);
    rig_expect(&r, "HEAD /v1/files/f", header, NULL, 304, NULL);
    rig_expect(&r, "GET /v1/files/f", "If-None-Match: \"1.1\"\r\n", NULL, 200, "one");
    snprintf(header, sizeof header, "If-Match: %s\r\n", tag);
    rig_expect(&r, "GET /v1/files/f", header, NULL, 200, "one");
    snprintf(header, sizeof header, "If-Match: W/%s\r\n", tag);
    rig_expect(&r, "GET /v1/files/f", header, NULL, 412, "f is at");
    rig_expect(&r, "GET /v1/files/f", "If-Match: \"1.1\"\r\n", NULL, 412, "\\\"1.1\\\"");
    rig_fini(&r);
}

/* The reply to a write that came too late names what was expected and what is there, and nothing was changed. */
static void expect_late(rig *r, const char *headers, const uint8_t *body, size_t size,
                        const char *old, const char *now)
{
    rig_reply reply;
    char found[256];
    int fd = rig_connect(r);
    rig_ask_on(fd, "PUT /v1/files/f", headers, body, size, &reply);
    assert_int_equal(reply.status, 412);
    assert_string_equal(rig_header(&reply, "ETag", found), now);
    char bare[64];
    snprintf(bare, sizeof bare, "%.*s", (int)strlen(old) - 2, old + 1);
    assert_non_null(strstr((const char *)reply.body.data, bare));
    snprintf(bare, sizeof bare, "%.*s", (int)strlen(now) - 2, now + 1);
    assert_non_null(strstr((const char *)reply.body.data, bare));
    rig_reply_fini(&reply);
    close(fd);
}

static void conditions_of_writes(void **state)
{
    static const size_t sizes[] = {5, LARGE};
    char first[256], second[256], header[300];
    rig r;
    (void)state;
    rig_init(&r, NULL);
    rig_fill(data, LARGE, 3);
    for (size_t i = 0; i < 2; i++) {
        rig_expect(&r, "PUT /v1/files/f", "If-None-Match: *\r\n", "one", 201, NULL);
        rig_expect(&r, "PUT /v1/files/f", "If-None-Match: *\r\n", "two", 412, "there already");
        ask_tag(&r, "f", first);
        snprintf(header, sizeof header, "If-Match: \"99.99\", %s\r\n", first);
        rig_expect(&r, "PUT /v1/files/f", header, "three", 200, NULL);
        ask_tag(&r, "f", second);
        assert_string_not_equal(first, second);
        snprintf(header, sizeof header, "If-Match: %s\r\n", first);
        expect_late(&r, header, data, sizes[i], first, second);
        snprintf(header, sizeof header, "Expect: 100-continue\r\nIf-Match: %s\r\n", first);
        expect_late(&r, header, data, sizes[i], first, second);
        rig_expect(&r, "GET /v1/files/f", NULL, NULL, 200, "three");
        rig_expect(&r, "PUT /v1/files/f", "Content-Range: bytes 2-3/4\r\n", "xx", 400, "Content-Range");
        rig_expect(&r, "PUT /v1/files/f", "Content-Encoding: gzip\r\n", "xx", 400, "Content-Encoding");
        rig_expect(&r, "PUT /v1/files/f", "If-Match: *\r\n", "four", 200, NULL);
        rig_expect(&r, "DELETE /v1/files/f", header + strlen("Expect: 100-continue\r\n"), NULL, 412, NULL);
        rig_expect(&r, "DELETE /v1/files/f", "If-Match: *\r\n", NULL, 204, NULL);
        rig_expect(&r, "PUT /v1/files/f", "If-Match: *\r\n", "five", 412, "f is not there, where any version");
        rig_expect(&r, "PUT /v1/files/f", header + strlen("Expect: 100-continue\r\n"), "five", 412, "of it was expected");
    }
    rig_expect(&r, "PUT /v1/files/f", "If-Match: nonsense\r\n", "x", 400, "If-Match");
    rig_expect(&r, "PUT /v1/files/f", "If-None-Match: \"1.1\"\r\n", "x", 400, "If-None-Match");
    rig_fini(&r);
}

/* ---- parts ---- */

typedef struct part {
    const char *range;
    int status;
    size_t begin, size;
    const char *content_range;
} part;

static void ranges(void **state)
{
    static const part parts[] = {
        {"bytes=0-0", 206, 0, 1, "bytes 0-0/1000000"},
        {"bytes=5-9", 206, 5, 5, "bytes 5-9/1000000"},
        {"bytes=999999-", 206, 999999, 1, "bytes 999999-999999/1000000"},
        {"bytes=500000-2000000", 206, 500000, 500000, "bytes 500000-999999/1000000"},
        {"bytes=-7", 206, 999993, 7, "bytes 999993-999999/1000000"},
        {"bytes=-2000000", 206, 0, 1000000, "bytes 0-999999/1000000"},
        {"bytes=1000000-", 416, 0, 0, "bytes */1000000"},
        {"bytes=-0", 416, 0, 0, "bytes */1000000"},
        {"bytes=9-5", 200, 0, 1000000, ""},
        {"bytes=0-1,5-6", 200, 0, 1000000, ""},
        {"bytes=x-", 200, 0, 1000000, ""},
        {"bytes=-", 200, 0, 1000000, ""},
        {"lines=0-1", 200, 0, 1000000, ""},
        {"bytes=99999999999999999999-", 200, 0, 1000000, ""},
    };
    char headers[400], text[256];
    rig_reply reply;
    rig r;
    (void)state;
    rig_init(&r, NULL);
    rig_fill(data, 1000000, 8);
    put_bytes(&r, "f", data, 1000000, 201);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const part *p = &parts[i];
        snprintf(headers, sizeof headers, "Range: %s\r\n", p->range);
        rig_ask(&r, "GET /v1/files/f", headers, NULL, &reply);
        assert_int_equal(reply.status, p->status);
        assert_string_equal(rig_header(&reply, "Content-Range", text), p->content_range);
        if (p->status != 416) {
            assert_int_equal(reply.body.size, p->size);
            assert_memory_equal(reply.body.data, data + p->begin, p->size);
        }
        rig_reply_fini(&reply);
    }
    snprintf(headers, sizeof headers, "Range: bytes=0-0\r\nIf-Range: %s\r\n", ask_tag(&r, "f", text));
    expect_bytes(&r, "GET /v1/files/f", headers, 206, data, 1);
    expect_bytes(&r, "GET /v1/files/f", "Range: bytes=0-0\r\nIf-Range: \"1.1\"\r\n", 200, data, 1000000);
    rig_fini(&r);
}

/* ---- versions ---- */

static void versions(void **state)
{
    char what[400], version[256];
    rig_reply reply;
    rig r;
    (void)state;
    rig_init(&r, NULL);
    put_bytes(&r, "f", "one", 3, 201);
    rig_ask(&r, "GET /v1/files/f", NULL, NULL, &reply);
    rig_header(&reply, "Engram-Version", version);
    rig_reply_fini(&reply);
    put_bytes(&r, "f", "two", 3, 200);
    rig_expect(&r, "DELETE /v1/files/f", NULL, NULL, 204, NULL);
    snprintf(what, sizeof what, "GET /v1/files/f?at=%s", version);
    expect_bytes(&r, what, NULL, 200, "one", 3);
    rig_expect(&r, "GET /v1/files/f", NULL, NULL, 404, NULL);
    rig_expect(&r, "GET /v1/files/f?at=12345", NULL, NULL, 404, "12345");
    rig_expect(&r, "GET /v1/files/f?at=nothing-of-that-name", NULL, NULL, 404, NULL);
    rig_expect(&r, "PUT /v1/files/f?at=1", NULL, "x", 400, "at");
    rig_fini(&r);
}

/* A reply is one version, although the file is replaced while it is read. */
static void one_version_whatever_is_written(void **state)
{
    rig_reply reply;
    rig r;
    (void)state;
    rig_init(&r, NULL);
    rig_fill(data, MANY, 21);
    put_bytes(&r, "f", data, MANY, 201);
    int fd = rig_connect(&r);
    rig_send_text(fd, "GET /v1/files/f HTTP/1.1\r\nHost: localhost\r\n\r\n");
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&waiting, 1, 60000), 1); /* it has begun, and not all fits the sockets */
    for (int i = 0; i < 5; i++)
        put_bytes(&r, "f", "other", 5, 200);
    rig_expect(&r, "DELETE /v1/files/f", NULL, NULL, 204, NULL);
    rig_receive(fd, false, &reply);
    assert_int_equal(reply.status, 200);
    assert_false(reply.is_cut);
    assert_int_equal(reply.body.size, MANY);
    assert_memory_equal(reply.body.data, data, MANY);
    rig_reply_fini(&reply);
    close(fd);
    rig_fini(&r);
}

/* ---- listings ---- */

static void expect_paths(rig *r, const char *what, const char *paths)
{
    char found[4096] = "";
    rig_reply reply;
    size_t i;
    json_t *entry;
    rig_ask(r, what, NULL, NULL, &reply);
    assert_int_equal(reply.status, 200);
    json_t *d = document(&reply);
    json_array_foreach(json_object_get(d, "entries"), i, entry)
    {
        strcat(found, i != 0 ? " " : "");
        strcat(found, json_string_value(json_object_get(entry, "path")));
    }
    assert_string_equal(found, paths);
    json_decref(d);
    rig_reply_fini(&reply);
}

static void fill(rig *r)
{
    put_bytes(r, "src/main.c", "12345", 5, 201);
    put_bytes(r, "src/lib/a.c", "", 0, 201);
    put_bytes(r, "src/lib/b%20c.h", "123456789", 9, 201);
    put_bytes(r, "read", "x", 1, 201);
}

static void listings(void **state)
{
    rig r;
    (void)state;
    rig_init(&r, NULL);
    fill(&r);
    expect_paths(&r, "GET /v1/files/", "read src src/lib src/lib/a.c src/lib/b c.h src/main.c");
    expect_paths(&r, "GET /v1/files/src", "src/lib src/lib/a.c src/lib/b c.h src/main.c");
    expect_paths(&r, "GET /v1/files/src/", "src/lib src/lib/a.c src/lib/b c.h src/main.c");
    expect_paths(&r, "GET /v1/files/?prefix=src/lib", "src/lib/a.c src/lib/b c.h");
    expect_paths(&r, "GET /v1/files/?depth=1", "read src");
    expect_paths(&r, "GET /v1/files/?glob=**/*.c", "src/lib/a.c src/main.c");
    expect_paths(&r, "GET /v1/files/?kind=directory", "src src/lib");
    expect_paths(&r, "GET /v1/files/?kind=directory&kind=file&depth=1", "read src");
    expect_paths(&r, "GET /v1/files/?size_min=5&kind=file", "src/lib/b c.h src/main.c");
    expect_paths(&r, "GET /v1/files/?size_max=5&kind=file", "read src/lib/a.c src/main.c");
    expect_paths(&r, "GET /v1/files/?newer=yesterday&depth=1", "read src");
    expect_paths(&r, "GET /v1/files/?older=yesterday", "");
    expect_paths(&r, "GET /v1/files/?changed_after=3&kind=file", "read");
    expect_paths(&r, "GET /v1/files/?at=1&kind=file", "src/main.c");
    expect_paths(&r, "GET /v1/files/?prefix=read", "read");
    rig_expect(&r, "GET /v1/files/read?glob=*", NULL, NULL, 400, "glob");
    rig_expect(&r, "GET /v1/files/src?stat", NULL, NULL, 200, "\"kind\":\"directory\"");
    rig_expect(&r, "GET /v1/files/?kind=thing", NULL, NULL, 400, "kind");
    rig_expect(&r, "GET /v1/files/?newer=soon", NULL, NULL, 400, "newer");
    rig_expect(&r, "GET /v1/files/?limit=0", NULL, NULL, 400, "limit");
    rig_expect(&r, "GET /v1/files/?prefix=../x", NULL, NULL, 400, "..");
    rig_expect(&r, "GET /v1/files/src?prefix=lib", NULL, NULL, 400, "prefix");
    rig_expect(&r, "GET /v1/files/?prefix=none", NULL, NULL, 404, "none");
    rig_fini(&r);
}

/* Pages of one entry, by the addresses that they give, are the listing as it was when the first was asked for. */
static void pages(void **state)
{
    static const char *const paths[] = {"read", "src", "src/lib", "src/lib/a.c", "src/lib/b c.h", "src/main.c"};
    char what[2048] = "GET /v1/files/?limit=1";
    rig_reply reply;
    rig r;
    (void)state;
    rig_init(&r, NULL);
    fill(&r);
    for (size_t i = 0; i < 6; i++) {
        rig_ask(&r, what, NULL, NULL, &reply);
        assert_int_equal(reply.status, 200);
        json_t *d = document(&reply), *entries = json_object_get(d, "entries");
        assert_int_equal(json_array_size(entries), 1);
        assert_string_equal(json_string_value(json_object_get(json_array_get(entries, 0), "path")), paths[i]);
        const char *next = json_string_value(json_object_get(d, "next"));
        assert_true((next != NULL) == (i < 5));
        snprintf(what, sizeof what, "GET %s", next != NULL ? next : "");
        json_decref(d);
        rig_reply_fini(&reply);
        put_bytes(&r, "added", "x", 1, i == 0 ? 201 : 200);
    }
    rig_fini(&r);
}

/* The link to the next page is text, whatever came in the target. */
static void pages_of_raw_bytes(void **state)
{
    rig_reply reply;
    rig r;
    (void)state;
    rig_init(&r, NULL);
    rig_expect(&r, "PUT /v1/files/d%FF/1", NULL, "1", 201, NULL);
    rig_expect(&r, "PUT /v1/files/d%FF/2", NULL, "2", 201, NULL);
    rig_ask(&r, "GET /v1/files/d\xFF?limit=1", NULL, NULL, &reply);
    assert_int_equal(reply.status, 200);
    json_t *d = document(&reply);
    const char *next = json_string_value(json_object_get(d, "next"));
    assert_non_null(next);
    assert_int_equal(strncmp(next, "/v1/files/d%FF?at=2&", 20), 0);
    char what[1024];
    snprintf(what, sizeof what, "GET %s", next);
    rig_expect(&r, what, NULL, NULL, 200, "\"size\":1");
    json_decref(d);
    rig_reply_fini(&reply);
    rig_signal(&r, 15);
    assert_int_equal(rig_wait(&r), 0);
    rig_fini(&r);
}

/* If-Match: * says that the file is there, not which version. */
static void *put_there(void *context)
{
    int *wrong = NULL;
    rig_reply reply;
    rig *r = context;
    static int failed = 1;
    int fd = rig_connect(r);
    for (int i = 0; i < 60; i++) {
        rig_ask_on(fd, "PUT /v1/files/f", "If-Match: *\r\n", "some", 4, &reply);
        if (reply.status != 200)
            wrong = &failed;
        rig_reply_fini(&reply);
    }
    close(fd);
    return wrong;
}

static void any_version_is_no_version(void **state)
{
    pthread_t threads[6];
    rig r;
    (void)state;
    rig_init(&r, NULL);
    rig_expect(&r, "PUT /v1/files/f", "If-Match: *\r\n", "no", 412, NULL);
    rig_expect(&r, "PUT /v1/files/f", NULL, "one", 201, NULL);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, put_there, &r), 0);
    for (size_t i = 0; i < 6; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    rig_fini(&r);
}

/* ---- from memory, without a worker ---- */

static bool is_in_memory(int fd)
{
    unsigned char page = 0;
    void *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(map != MAP_FAILED);
    assert_int_equal(mincore(map, 4096, &page), 0);
    munmap(map, 4096);
    return page & 1;
}

/* What the system keeps of the engram's files goes, as far as it is on the disk. False: it stays (a file system in memory). */
static bool forget(rig *r)
{
    static const char *const folders[] = {"segments", "tree"};
    bool all = true;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char folder[700], path[1000];
        snprintf(folder, sizeof folder, "%s/%s", r->engram, folders[i]);
        DIR *d = opendir(folder);
        assert_non_null(d);
        for (struct dirent *entry; (entry = readdir(d)) != NULL;) {
            snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
            int fd = entry->d_name[0] != '.' ? open(path, O_RDONLY) : -1;
            if (fd < 0)
                continue;
            fdatasync(fd);
            posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
            all &= !is_in_memory(fd);
            close(fd);
        }
        closedir(d);
    }
    return all;
}

static double count_quick(rig *r)
{
    return rig_metric(r, "engram_http_quick_requests_total");
}

static void small_files_need_no_worker(void **state)
{
    enum { SMALL = 65536 };
    rig r;
    (void)state;
    rig_init(&r, NULL);
    rig_fill(data, LARGE, 77);
    put_bytes(&r, "small", data, SMALL, 201);
    put_bytes(&r, "large", data, LARGE, 201);
    rig_signal(&r, 15); /* a checkpoint: all is on the disk */
    assert_int_equal(rig_wait(&r), 0);
    rig_start(&r, NULL);
    expect_bytes(&r, "GET /v1/files/small", NULL, 200, data, SMALL);
    expect_bytes(&r, "GET /v1/files/small", NULL, 200, data, SMALL);
    double before = count_quick(&r);
    if (before == 0) { /* a file system that cannot tell what is in memory */
        rig_fini(&r);
        skip();
    }
    expect_bytes(&r, "GET /v1/files/small", NULL, 200, data, SMALL);
    expect_bytes(&r, "GET /v1/files/large", "Range: bytes=100-299\r\n", 206, data + 100, 200);
    rig_expect(&r, "GET /v1/files/none", NULL, NULL, 404, "not found");
    rig_expect(&r, "GET /v1/files/small?stat=1", NULL, NULL, 200, "\"size\":65536");
    assert_true(count_quick(&r) == before + 4);
    expect_bytes(&r, "GET /v1/files/large", NULL, 200, data, LARGE);
    rig_expect(&r, "GET /v1/files/", NULL, NULL, 200, "\"large\"");
    rig_expect(&r, "GET /v1/files/small?similar=3", NULL, NULL, 200, "large");
    assert_true(count_quick(&r) == before + 4);
    /* From the disk: a worker's, unless the disk was as fast as the look. */
    bool by_worker = false, goes = false;
    for (int i = 0; i < 100 && !by_worker; i++) {
        before = count_quick(&r);
        if (!forget(&r))
            continue;
        goes = true;
        expect_bytes(&r, "GET /v1/files/small", NULL, 200, data, SMALL);
        by_worker = count_quick(&r) == before;
    }
    assert_int_equal(by_worker, goes);
    before = count_quick(&r);
    expect_bytes(&r, "GET /v1/files/small", NULL, 200, data, SMALL);
    assert_true(count_quick(&r) == before + 1);
    rig_fini(&r);
}

/* ---- another way in ---- */

static void unix_socket(void **state)
{
    rig_reply reply;
    rig r;
    (void)state;
    rig_make(&r);
    rig_start(&r, (const char *[]){"--unix", r.unix_path, NULL});
    int fd = rig_connect_unix(&r);
    rig_ask_on(fd, "PUT /v1/files/f", NULL, "one", 3, &reply);
    assert_int_equal(reply.status, 201);
    rig_reply_fini(&reply);
    close(fd);
    rig_expect(&r, "GET /v1/files/f", NULL, NULL, 200, "one");
    rig_signal(&r, 15);
    assert_int_equal(rig_wait(&r), 0);
    assert_int_not_equal(access(r.unix_path, F_OK), 0);
    rig_start(&r, (const char *[]){"--listen", "", "--unix", r.unix_path, NULL});
    fd = rig_connect_unix(&r);
    rig_ask_on(fd, "GET /v1/files/f", NULL, NULL, 0, &reply);
    assert_int_equal(reply.status, 200);
    rig_reply_fini(&reply);
    close(fd);
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_come_back),
        cmocka_unit_test(chunked_bodies),
        cmocka_unit_test(pipelined),
        cmocka_unit_test(parents_and_names),
        cmocka_unit_test(conditions_of_reads),
        cmocka_unit_test(conditions_of_writes),
        cmocka_unit_test(ranges),
        cmocka_unit_test(versions),
        cmocka_unit_test(one_version_whatever_is_written),
        cmocka_unit_test(listings),
        cmocka_unit_test(pages),
        cmocka_unit_test(pages_of_raw_bytes),
        cmocka_unit_test(any_version_is_no_version),
        cmocka_unit_test(small_files_need_no_worker),
        cmocka_unit_test(unix_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
