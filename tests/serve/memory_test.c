/* The n-th allocation of the server fails while it answers a request, for every n (--stride N:
 * every N-th) and each kind of request: once, and all from then on. Then: the answer is right, or a
 * failure of the server, or the connection is closed; what was answered with success is on disk;
 * afterwards the same request is answered, nothing of the failed one is left, and when all is
 * closed no memory and no descriptor is. */
#include "serve/inside.h"

#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "base/memory.h"
#include "report/report.h"
#include "serve/counted.h"
#include "serve/internal.h"

enum { TEXT = 24000, LARGE = 300000, HANGS_AFTER_S = 120, FILES_MAX = 20000, PATH_SIZE = 64 };

static unsigned stride = 1;
static uint8_t text[TEXT], large[LARGE];

/* ---- what must be there ---- */

typedef struct file {
    char path[PATH_SIZE];
    const uint8_t *bytes;
    size_t size;
} file;

static file stored[FILES_MAX]; /* was said to be */
static size_t stored_count;

static void note_stored(const char *path, const void *bytes, size_t size)
{
    assert_true(stored_count < FILES_MAX);
    file *f = &stored[stored_count++];
    snprintf(f->path, sizeof f->path, "%.63s", path);
    f->bytes = bytes;
    f->size = size;
}

static void expect_file(engram_view *view, const file *f)
{
    static uint8_t bytes[LARGE + 1];
    struct engram_stat stat;
    engram_error error = {0};
    size_t got = 0;
    if (engram_stat(view, f->path, &stat, &error) != ENGRAM_OK ||
        engram_read_inode(view, stat.inode, 0, bytes, sizeof bytes, &got, &error) != ENGRAM_OK)
        fail_msg("%s was said to be stored: %s", f->path, error.message);
    assert_int_equal(got, f->size);
    assert_memory_equal(bytes, f->bytes, got);
}

static void run_command(const char *format, const char *a, const char *b)
{
    char command[2000];
    snprintf(command, sizeof command, format, a, b);
    assert_int_equal(system(command), 0);
}

static void print_problem(void *context, const char *message)
{
    (void)context;
    print_message("verify: %s\n", message);
}

/* As if the process had been killed here: all that was acknowledged is on disk. */
static void expect_stored(inside *s)
{
    char copy[700];
    eg_engram *engram = NULL;
    engram_view *view = NULL;
    engram_error error = {0};
    uint64_t problems = 0;
    const eg_engram_options options = {.read_only = true};
    const eg_verify_options verify = {.subset = 1, .problem = print_problem};
    snprintf(copy, sizeof copy, "%s/copy", s->rig.temp.path);
    run_command("cp -r --sparse=always '%s' '%s'", s->rig.engram, copy);
    if (eg_engram_open(eg_io_posix(), copy, &options, &engram, &error) != ENGRAM_OK)
        fail_msg("the copy cannot be opened: %s", error.message);
    assert_int_equal(engram_pin(engram, &view, &error), ENGRAM_OK);
    for (size_t i = 0; i < stored_count; i++)
        expect_file(view, &stored[i]);
    engram_unpin(&view);
    assert_int_equal(eg_engram_verify(engram, &verify, &problems, &error), ENGRAM_OK);
    assert_int_equal(problems, 0);
    assert_int_equal(eg_engram_close(&engram, &error), ENGRAM_OK);
    run_command("rm -rf '%s'%s", copy, "");
}

/* ---- the server ---- */

static void put(inside *s, const char *path, const void *bytes, size_t size)
{
    char what[200];
    rig_reply reply;
    int fd = rig_connect(&s->rig);
    snprintf(what, sizeof what, "PUT /v1/files/%s", path);
    rig_ask_on(fd, what, NULL, bytes, size, &reply);
    if (reply.status != 201 && reply.status != 200)
        fail_msg("%s: %d: %s", what, reply.status, (const char *)reply.body.data);
    rig_reply_fini(&reply);
    close(fd);
    note_stored(path, bytes, size);
}

static void set_up(inside *s)
{
    static const char small[] = "small";
    inside_make(s);
    inside_start(s, NULL);
    stored_count = 0;
    rig_fill(text, sizeof text, 5);
    rig_fill(large, sizeof large, 6);
    put(s, "d/text", text, TEXT);
    put(s, "d/more", text + 1000, TEXT - 1000);
    put(s, "d/small", small, sizeof small - 1);
    put(s, "d/large", large, LARGE);
    rig_expect(&s->rig, "POST /v1/snapshots/snap", NULL, "", 201, NULL);
    put(s, "m/back", small, sizeof small - 1);
    rig_expect(&s->rig, "POST /v1/snapshots/later", NULL, "", 201, NULL);
}

/* Nothing of a request is left: no buffer, no connection. */
static void wait_until_idle(inside *s)
{
    while (atomic_load(&s->server->requests_active) != 0 ||
           atomic_load(&s->server->buffers_used) != 0 ||
           eg_deadlines_connections(s->server->deadlines) != 0)
        usleep(200);
}

/* A commit that failed half-way is final for the writer: then the server is started anew, as its
 * operator would. */
static void restart_if_stopped(inside *s, unsigned *stops)
{
    if (eg_engram_check_writable(s->engram, NULL) == ENGRAM_OK)
        return;
    rig_expect(&s->rig, "GET /readyz", NULL, NULL, 503, "failed");
    rig_expect(&s->rig, "GET /v1/files/d/small", NULL, NULL, 200, "small");
    expect_stored(s);
    inside_stop(s);
    inside_start(s, NULL);
    (*stops)++;
}

/* ---- kinds of requests ---- */

typedef struct kind {
    const char *what; /* %u: the number of the try */
    const char *headers;
    int status;
    const char *body; /* of at most so many bytes as size says, if that is not 0; may have %u */
    size_t size;
    const char *path;   /* under which the body is stored then */
    const char *before; /* a file that is stored before */
    const char
        *same; /* what must be as without a failure: "" all of the reply, or a member of its JSON */
} kind;

#define JSON "Content-Type: application/json\r\n"

static const kind reads[] = {
    {.what = "GET /v1/files/d/small", .status = 200, .same = ""},
    {.what = "GET /v1/files/d/large", .status = 200, .same = ""},
    {.what = "GET /v1/files/d/large",
     .headers = "Range: bytes=70-200000\r\n",
     .status = 206,
     .same = ""},
    {.what = "HEAD /v1/files/d/text", .status = 200},
    {.what = "GET /v1/files/d/text?stat&at=snap", .status = 200, .same = ""},
    {.what = "GET /v1/files/?prefix=d&at=snap", .status = 200, .same = ""},
    {.what = "GET /v1/snapshots", .status = 200, .same = "snapshots"},
    {.what = "GET /v1/log/d/small", .status = 200, .same = ""},
    {.what = "GET /v1/diff?from=snap&to=later", .status = 200, .same = ""},
    {.what = "POST /v1/rollback?to=snap&path=d&dry_run",
     .status = 200,
     .body = "",
     .same = "changes"},
    {.what = "GET /v1/versions", .status = 200},
    {.what = "GET /v1/info", .status = 200, .same = "chunks"},
    {.what = "GET /v1/devices", .status = 200, .same = "devices"},
    {.what = "GET /metrics", .status = 200},
    {.what = "GET /healthz", .status = 200, .same = ""},
    {.what = "GET /readyz", .status = 200, .same = ""},
    {.what = "GET /", .status = 200, .same = ""},
    {.what = "GET /v1/openapi.json", .status = 200, .same = ""},
    {.what = "POST /v1/query?prefix=d",
     .status = 200,
     .body = (const char *)text,
     .size = TEXT,
     .same = "hits"},
    {.what = "POST /v1/query?by=chunk&at=snap",
     .status = 200,
     .body = (const char *)text,
     .size = TEXT,
     .same = "hits"},
    {.what = "POST /v1/query/batch?prefix=d&exact=0",
     .headers = JSON,
     .status = 200,
     .body = "{\"queries\": [{\"text\": \"some words\"}, {\"base64\": \"c21hbGw=\"}]}",
     .same = "answers"},
    {.what = "POST /v1/vectors",
     .status = 200,
     .body = (const char *)text,
     .size = TEXT,
     .same = "vectors"},
    {.what = "GET /v1/files/d/text?similar=3&at=snap", .status = 200, .same = "hits"},
    {.what = "GET /v1/files/d/nothing", .status = 404},
    {.what = "GET /v1/files/d/small?nothing=1", .status = 400},
};

static const kind writes[] = {
    {.what = "PUT /v1/files/m/p%u",
     .status = 201,
     .body = (const char *)text,
     .size = TEXT,
     .path = "m/p%u"},
    {.what = "PUT /v1/files/m/n%u/p",
     .headers = "If-None-Match: *\r\n",
     .status = 201,
     .body = (const char *)text,
     .size = 100,
     .path = "m/n%u/p"},
    {.what = "PUT /v1/files/m/l%u",
     .status = 201,
     .body = (const char *)large,
     .size = LARGE,
     .path = "m/l%u"},
    {.what = "PUT /v1/files/m/o%u",
     .status = 200,
     .body = (const char *)large,
     .size = 5000,
     .path = "m/o%u",
     .before = "m/o%u"},
    {.what = "DELETE /v1/files/m/x%u", .status = 204, .before = "m/x%u"},
    {.what = "POST /v1/transactions",
     .headers = JSON,
     .status = 200,
     .body = "{\"operations\": [{\"op\": \"write\", \"path\": \"m/t%u/a\", \"parents\": true, "
             "\"text\": \"one\"},"
             " {\"op\": \"append\", \"path\": \"m/t%u/a\", \"text\": \"two\"},"
             " {\"op\": \"mv\", \"from\": \"m/t%u/a\", \"to\": \"m/t%u/b\"}]}",
     .path = "m/t%u/b"},
    {.what = "POST /v1/snapshots/s%u", .status = 201, .body = ""},
    {.what = "POST /v1/rollback?to=snap&path=m/r%u", .status = 200, .body = "", .before = "m/r%u"},
};

/* A pattern with the number in it. */
static const char *numbered(const char *pattern, unsigned n, char out[1000])
{
    char number[16];
    size_t at = 0;
    snprintf(number, sizeof number, "%u", n);
    for (const char *p = pattern; *p != 0; p++) {
        bool is_number = p[0] == '%' && p[1] == 'u';
        at += (size_t)snprintf(out + at, 1000 - at, is_number ? "%s" : "%.1s",
                               is_number ? number : p);
        p += is_number;
    }
    out[at] = 0;
    return out;
}

static void ask(inside *s, const kind *k, unsigned n, rig_reply *reply)
{
    char what[1000], body[1000];
    const char *bytes = k->body;
    size_t size = k->size;
    if (bytes != NULL && size == 0) {
        bytes = numbered(k->body, n, body);
        size = strlen(bytes);
    }
    int fd = rig_connect(&s->rig);
    rig_ask_on(fd, numbered(k->what, n, what), k->headers, bytes, size, reply);
    close(fd);
}

/* ---- the answer ---- */

/* The part of an answer that is always the same, as text to be freed; NULL: it has none. */
static char *essence(const kind *k, const rig_reply *reply)
{
    if (*k->same == 0)
        return eg_strdup((const char *)reply->body.data);
    json_t *d = json_loadb((const char *)reply->body.data, reply->body.size, 0, NULL);
    json_t *member = json_object_get(d, k->same);
    for (size_t i = 0; strcmp(k->same, "answers") == 0 && i < json_array_size(member); i++)
        json_array_set(member, i, json_object_get(json_array_get(member, i), "hits"));
    char *found = member != NULL ? json_dumps(member, JSON_ENCODE_ANY | JSON_SORT_KEYS) : NULL;
    json_decref(d);
    return found;
}

static void expect_same(const kind *k, unsigned n, const rig_reply *reply, const rig_reply *right)
{
    bool is_text = k->same != NULL && *k->same == 0;
    if (k->same == NULL)
        return;
    if (is_text && reply->body.size == right->body.size &&
        memcmp(reply->body.data, right->body.data, right->body.size) == 0)
        return;
    char *mine = essence(k, reply), *its = essence(k, right);
    if (is_text || mine == NULL || its == NULL || strcmp(mine, its) != 0)
        fail_msg("%s, %u: the answer is %.600s\ninstead of %.600s", k->what, n, mine, its);
    eg_free(mine);
    eg_free(its);
}

/* A refusal says why, or nothing when there is no memory for that. */
static void expect_refusal(const kind *k, unsigned n, const rig_reply *reply)
{
    if (reply->status != 500 && reply->status != 503)
        fail_msg("%s, %u: the answer is %d: %.600s", k->what, n, reply->status,
                 (const char *)reply->body.data);
    if (reply->body.size == 0 || strncmp(k->what, "HEAD", 4) == 0)
        return;
    json_t *d = json_loadb((const char *)reply->body.data, reply->body.size, 0, NULL);
    if (json_object_get(json_object_get(d, "error"), "message") == NULL)
        fail_msg("%s, %u: %d without a reason: %.600s", k->what, n, reply->status,
                 (const char *)reply->body.data);
    json_decref(d);
}

/* Whether the request was done. */
static bool check_answer(const kind *k, unsigned n, bool struck, const rig_reply *reply,
                         const rig_reply *right)
{
    if (struck && (reply->status == 0 || reply->is_cut))
        return false;
    if (struck && reply->status != k->status) {
        expect_refusal(k, n, reply);
        return false;
    }
    if (reply->status != k->status || reply->is_cut)
        fail_msg("%s, %u: the answer is %d: %.600s", k->what, n, reply->status,
                 reply->body.data != NULL ? (const char *)reply->body.data : "");
    if (right != NULL)
        expect_same(k, n, reply, right);
    return true;
}

/* ---- the tries ---- */

static bool try_one(inside *s, const kind *k, unsigned n, bool forever, const rig_reply *right)
{
    char path[1000];
    unsigned name = forever ? n + 1000000 : n;
    rig_reply reply;
    alarm(HANGS_AFTER_S);
    if (k->before != NULL) {
        put(s, numbered(k->before, name, path), text, 3000);
        stored_count--; /* it will be something else */
    }
    wait_until_idle(s);
    eg_alloc_fail_at(n, forever);
    ask(s, k, name, &reply);
    wait_until_idle(s);
    bool struck = eg_alloc_count() >= n;
    eg_alloc_fail_at(0, false);
    bool done = check_answer(k, n, struck, &reply, right);
    rig_reply_fini(&reply);
    if (done && k->path != NULL) {
        bool is_text = k->size == 0;
        note_stored(numbered(k->path, name, path), is_text ? "onetwo" : k->body,
                    is_text ? 6 : k->size);
    }
    alarm(0);
    return struck;
}

static void try_all(inside *s, const kind *k, bool forever, bool is_read)
{
    unsigned n = 1, stops = 0, tries = 0;
    rig_reply right;
    if (is_read) {
        ask(s, k, 0, &right);
        check_answer(k, 0, false, &right, NULL);
    }
    for (; try_one(s, k, n, forever, is_read ? &right : NULL); n += stride, tries++)
        restart_if_stopped(s, &stops);
    if (is_read)
        rig_reply_fini(&right);
    else
        expect_stored(s);
    print_message("%s: %u of %u tries%s, the writer stopped %u times\n", k->what, tries, n,
                  forever ? " for ever" : "", stops);
}

static void try_kinds(const kind *kinds, size_t count, bool is_read)
{
    static inside s;
    set_up(&s);
    inside_stop(&s); /* what is made once in a process is there now */
    long in_use = counted_in_use();
    size_t descriptors = inside_descriptors();
    for (int forever = 0; forever <= 1; forever++)
        for (size_t i = 0; i < count; i++) {
            inside_start(&s, NULL);
            try_all(&s, &kinds[i], forever, is_read);
            inside_stop(&s);
            if (counted_in_use() != in_use)
                fail_msg("%s: %ld allocations are left", kinds[i].what, counted_in_use() - in_use);
            assert_int_equal(inside_descriptors(), descriptors);
        }
    inside_fini(&s);
}

static void reading(void **state)
{
    (void)state;
    try_kinds(reads, sizeof reads / sizeof *reads, true);
}

static void writing(void **state)
{
    (void)state;
    try_kinds(writes, sizeof writes / sizeof *writes, false);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--stride") == 0)
        stride = (unsigned)strtoul(argv[2], NULL, 10);
    eg_log_set_level(EG_LOG_ERROR);
    eg_json_start(); /* documents take part */
    const struct CMUnitTest tests[] = {cmocka_unit_test(reading), cmocka_unit_test(writing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
