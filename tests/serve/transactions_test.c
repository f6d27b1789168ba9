/* Transactions and the history over HTTP: all or nothing, under conditions, and back again. */
#include "serve/rig.h"

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { THREADS = 8, ROUNDS = 10 };

#define TRANSACT "POST /v1/transactions"

static json_t *ask(rig *r, const char *what, const char *body, int status)
{
    rig_reply reply;
    rig_ask(r, what, NULL, body, &reply);
    if (reply.status != status)
        fail_msg("%s %s: %d: %s", what, body != NULL ? body : "", reply.status,
                 (const char *)reply.body.data);
    json_t *d = json_loadb((const char *)reply.body.data, reply.body.size, 0, NULL);
    rig_reply_fini(&reply);
    assert_non_null(d);
    return d;
}

static long long number(const json_t *object, const char *key)
{
    assert_true(json_is_integer(json_object_get(object, key)));
    return json_integer_value(json_object_get(object, key));
}

static long long version_of(rig *r)
{
    json_t *d = ask(r, "GET /v1/info", NULL, 200);
    long long version = number(d, "version");
    json_decref(d);
    return version;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

/* ---- transactions ---- */

static void all_operations(void **state)
{
    static const char first[] =
        "{\"operations\":["
        "{\"op\":\"mkdir\",\"path\":\"d/e\",\"parents\":true,\"mode\":\"0750\"},"
        "{\"op\":\"write\",\"path\":\"d/a\",\"text\":\"one\"},"
        "{\"op\":\"write\",\"path\":\"n/e/"
        "w\",\"base64\":\"AAEC\",\"parents\":true,\"expect\":\"none\"},"
        "{\"op\":\"append\",\"path\":\"d/a\",\"text\":\" two\"},"
        "{\"op\":\"symlink\",\"path\":\"d/s\",\"target\":\"a\"},"
        "{\"op\":\"link\",\"path\":\"d/l\",\"from\":\"d/a\"},"
        "{\"op\":\"write\",\"path_base64\":\"ZC//\",\"text\":\"not UTF-8\"}]}";
    static const char second[] = "{\"operations\":["
                                 "{\"op\":\"mv\",\"from\":\"d/a\",\"to\":\"d/e/b\"},"
                                 "{\"op\":\"truncate\",\"path\":\"d/e/b\",\"size\":5},"
                                 "{\"op\":\"set\",\"path\":\"d/e/"
                                 "b\",\"mode\":\"0600\",\"mtime\":\"2026-01-02T03:04:05Z\",\"mtime_"
                                 "ns\":7,\"uid\":12,\"gid\":13},"
                                 "{\"op\":\"rm\",\"path\":\"d/s\"},"
                                 "{\"op\":\"rm\",\"path\":\"n\",\"recursive\":true}]}";
    rig r;
    (void)state;
    rig_init(&r, NULL);
    long long before = version_of(&r);
    json_t *d = ask(&r, TRANSACT, first, 200);
    assert_int_equal(number(d, "version"), before + 1);
    assert_int_equal(json_array_size(json_object_get(d, "results")), 7);
    json_decref(d);
    rig_expect(&r, "GET /v1/files/d/a", NULL, NULL, 200, "one two");
    rig_expect(&r, "GET /v1/files/d/%FF", NULL, NULL, 200, "not UTF-8");
    rig_expect(&r, "GET /v1/files/d/s?stat", NULL, NULL, 200, "\"target\":\"a\"");
    rig_expect(&r, "GET /v1/files/d/e?stat", NULL, NULL, 200, "\"mode\":\"0750\"");
    rig_expect(&r, "GET /v1/files/n/e/w?stat", NULL, NULL, 200, "\"size\":3");
    d = ask(&r, TRANSACT, second, 200);
    assert_int_equal(number(d, "version"), before + 2);
    json_decref(d);
    rig_expect(&r, "GET /v1/files/d/e/b", NULL, NULL, 200, "one t");
    d = ask(&r, "GET /v1/files/d/e/b?stat", NULL, 200);
    assert_string_equal(text_of(d, "mode"), "0600");
    assert_string_equal(text_of(d, "mtime"), "2026-01-02T03:04:05.000000007Z");
    assert_int_equal(number(d, "uid"), 12);
    assert_int_equal(number(d, "gid"), 13);
    assert_int_equal(number(d, "size"), 5);
    json_decref(d);
    rig_expect(&r, "GET /v1/files/d/s?stat", NULL, NULL, 404, NULL);
    rig_expect(&r, "GET /v1/files/n", NULL, NULL, 404, NULL);
    rig_fini(&r);
}

/* The tokens that are told are those that the files have. */
static void tokens_are_true(void **state)
{
    char body[400], tag[256];
    rig_reply reply;
    rig r;
    (void)state;
    rig_init(&r, NULL);
    json_t *d = ask(&r, TRANSACT,
                    "{\"operations\":[{\"op\":\"write\",\"path\":\"a\",\"text\":\"1\"},"
                    "{\"op\":\"write\",\"path\":\"b\",\"text\":\"2\"}]}",
                    200);
    json_t *results = json_object_get(d, "results");
    for (size_t i = 0; i < 2; i++) {
        const json_t *result = json_array_get(results, i);
        char quoted[80], what[80];
        snprintf(what, sizeof what, "HEAD /v1/files/%s", text_of(result, "path"));
        snprintf(quoted, sizeof quoted, "\"%s\"", text_of(result, "token"));
        rig_ask(&r, what, NULL, NULL, &reply);
        assert_string_equal(rig_header(&reply, "ETag", tag), quoted);
        rig_reply_fini(&reply);
    }
    /* ... and do as an expectation, once. */
    snprintf(
        body, sizeof body,
        "{\"operations\":[{\"op\":\"write\",\"path\":\"a\",\"text\":\"3\",\"expect\":\"%s\"}]}",
        text_of(json_array_get(results, 0), "token"));
    json_decref(ask(&r, TRANSACT, body, 200));
    rig_expect(&r, TRANSACT, NULL, body, 412, "operation 0, write a: ");
    json_decref(d);
    rig_fini(&r);
}

static void all_or_nothing(void **state)
{
    static const struct {
        const char *last;
        int status;
        const char *text;
    } ends[] = {
        {"{\"op\":\"write\",\"path\":\"there\",\"text\":\"\",\"expect\":\"none\"}", 412,
         "operation 1, write there: "},
        {"{\"op\":\"set\",\"path\":\"there\",\"mode\":\"0600\",\"expect\":\"1.99\"}", 412,
         "operation 1, set there: "},
        {"{\"op\":\"rm\",\"path\":\"there\",\"expect\":\"99\"}", 412, "operation 1, rm there: "},
        {"{\"op\":\"rm\",\"path\":\"gone\"}", 404, "operation 1, rm gone: "},
        {"{\"op\":\"mkdir\",\"path\":\"there\"}", 409, "operation 1, mkdir there: "},
        {"{\"op\":\"write\",\"path\":\"no/dir/f\",\"text\":\"\"}", 404,
         "operation 1, write no/dir/f: "},
        {"{\"op\":\"fly\",\"path\":\"there\"}", 400, "operation 1, fly: op: "},
        {"{\"op\":\"write\",\"path\":\"x\"}", 400, "text or base64"},
        {"{\"op\":\"write\",\"path\":\"x\",\"text\":\"\",\"base64\":\"\"}", 400, "one string"},
        {"{\"op\":\"write\",\"path\":\"x\",\"base64\":\"A\"}", 400, "base64"},
        {"{\"op\":\"write\",\"path\":\"../x\",\"text\":\"\"}", 400, "operation 1, write"},
        {"{\"op\":\"write\",\"path\":\"\",\"text\":\"\"}", 400, "below the root"},
        {"{\"op\":\"write\",\"path_base64\":\"YQBi\",\"text\":\"\"}", 400, "zero byte"},
        {"{\"op\":\"write\",\"path\":\"x\",\"text\":\"\",\"mode\":\"0644\"}", 400,
         "'mode' is no member"},
        {"{\"op\":\"truncate\",\"path\":\"there\",\"size\":-1}", 400, "size: "},
        {"{\"op\":\"set\",\"path\":\"there\",\"mode\":\"9\"}", 400, "mode: "},
        {"{\"op\":\"rm\",\"path\":\"d\"}", 400, "operation 1, rm d: "},
        {"{\"op\":\"rm\",\"path\":\"there\",\"recursive\":1}", 400, "recursive: "},
        {"7", 400, "operation 1, ?: op: "},
    };
    char body[400];
    rig r;
    (void)state;
    rig_init(&r, NULL);
    rig_expect(&r, "PUT /v1/files/there", NULL, "old", 201, NULL);
    rig_expect(&r, "PUT /v1/files/d/f", NULL, "old", 201, NULL);
    long long before = version_of(&r);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        snprintf(body, sizeof body,
                 "{\"operations\":[{\"op\":\"write\",\"path\":\"new\",\"text\":\"new\"},%s]}",
                 ends[i].last);
        rig_expect(&r, TRANSACT, NULL, body, ends[i].status, ends[i].text);
    }
    rig_expect(&r, TRANSACT, NULL, "{", 400, "no JSON");
    rig_expect(&r, TRANSACT, NULL, "{\"operations\":{}}", 400, "1 to 10000");
    rig_expect(&r, TRANSACT, NULL,
               "{\"operations\":[{\"op\":\"rm\",\"path\":\"d\"}],\"on_conflict\":\"win\"}", 400,
               "on_conflict");
    rig_expect(&r, "GET /v1/files/new", NULL, NULL, 404, NULL);
    assert_int_equal(version_of(&r), before);
    rig_fini(&r);
}

/* Two files are moved on together by many, each under the tokens it has seen: whoever wins has
 * moved both. */
typedef struct race {
    rig *r;
    atomic_uint won, refused, odd;
} race;

static void move_on(race *c, int fd)
{
    char body[600];
    rig_reply a, b, reply;
    char tag_a[256], tag_b[256];
    rig_ask_on(fd, "GET /v1/files/a", NULL, NULL, 0, &a);
    rig_ask_on(fd, "GET /v1/files/b", NULL, NULL, 0, &b);
    int value = atoi((const char *)a.body.data);
    rig_header(&a, "ETag", tag_a);
    rig_header(&b, "ETag", tag_b);
    snprintf(
        body, sizeof body,
        "{\"operations\":[{\"op\":\"write\",\"path\":\"a\",\"text\":\"%d\",\"expect\":\"%.*s\"},"
        "{\"op\":\"write\",\"path\":\"b\",\"text\":\"%d\",\"expect\":\"%.*s\"}]}",
        value + 1, (int)strlen(tag_a) - 2, tag_a + 1, value + 1, (int)strlen(tag_b) - 2, tag_b + 1);
    rig_ask_on(fd, TRANSACT, NULL, body, strlen(body), &reply);
    atomic_fetch_add(reply.status == 200   ? &c->won
                     : reply.status == 412 ? &c->refused
                                           : &c->odd,
                     1);
    rig_reply_fini(&a);
    rig_reply_fini(&b);
    rig_reply_fini(&reply);
}

static void *race_on(void *argument)
{
    race *c = argument;
    int fd = rig_connect(c->r);
    for (unsigned i = 0; i < ROUNDS; i++)
        move_on(c, fd);
    close(fd);
    return NULL;
}

static void concurrent(void **state)
{
    char right[32];
    pthread_t threads[THREADS];
    rig r;
    race c = {.r = &r};
    (void)state;
    rig_init(&r, NULL);
    json_decref(ask(&r, TRANSACT,
                    "{\"operations\":[{\"op\":\"write\",\"path\":\"a\",\"text\":\"0\"},"
                    "{\"op\":\"write\",\"path\":\"b\",\"text\":\"0\"}]}",
                    200));
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, race_on, &c), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&c.odd), 0);
    assert_int_equal(atomic_load(&c.won) + atomic_load(&c.refused), THREADS * ROUNDS);
    snprintf(right, sizeof right, "%u", atomic_load(&c.won));
    rig_expect(&r, "GET /v1/files/a", NULL, NULL, 200, right);
    rig_expect(&r, "GET /v1/files/b", NULL, NULL, 200, right);
    rig_fini(&r);
}

/* ---- history ---- */

static void snapshots(void **state)
{
    rig r;
    (void)state;
    rig_init(&r, NULL);
    rig_expect(&r, "PUT /v1/files/a", NULL, "one", 201, NULL);
    json_t *d = ask(&r, "POST /v1/snapshots/first", NULL, 201);
    assert_string_equal(text_of(d, "name"), "first");
    long long version = number(d, "version");
    json_decref(d);
    rig_expect(&r, "PUT /v1/files/a", NULL, "two", 200, NULL);
    rig_expect(&r, "POST /v1/snapshots/again?at=first", NULL, NULL, 201, "\"name\":\"again\"");
    rig_expect(&r, "POST /v1/snapshots/first", NULL, NULL, 409, "first");
    rig_expect(&r, "POST /v1/snapshots/17", NULL, NULL, 400, NULL);
    rig_expect(&r, "POST /v1/snapshots/x?at=none", NULL, NULL, 404, NULL);
    rig_expect(&r, "GET /v1/files/a?at=first", NULL, NULL, 200, "one");
    d = ask(&r, "GET /v1/snapshots", NULL, 200);
    json_t *list = json_object_get(d, "snapshots");
    assert_int_equal(json_array_size(list), 2);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(number(json_array_get(list, i), "version"), version);
    json_decref(d);
    rig_expect(&r, "DELETE /v1/snapshots/first", NULL, NULL, 204, NULL);
    rig_expect(&r, "DELETE /v1/snapshots/first", NULL, NULL, 404, "first");
    rig_fini(&r);
}

static void log_diff_and_rollback(void **state)
{
    char what[100];
    rig r;
    (void)state;
    rig_init(&r, NULL);
    rig_expect(&r, "PUT /v1/files/d/a", NULL, "one", 201, NULL);
    long long first = version_of(&r);
    rig_expect(&r, "PUT /v1/files/d/a", NULL, "two", 200, NULL);
    rig_expect(&r, "PUT /v1/files/b", NULL, "new", 201, NULL);
    json_t *d = ask(&r, "GET /v1/log/d/a", NULL, 200);
    json_t *entries = json_object_get(d, "entries");
    assert_true(json_array_size(entries) >= 2);
    assert_int_equal(number(json_array_get(entries, 0), "version_seen"), first + 1);
    assert_true(json_is_true(json_object_get(d, "complete")));
    json_decref(d);
    d = ask(&r, "GET /v1/log/d/a?limit=1", NULL, 200);
    assert_int_equal(json_array_size(json_object_get(d, "entries")), 1);
    assert_true(json_is_false(json_object_get(d, "complete")));
    json_decref(d);
    rig_expect(&r, "GET /v1/log/none", NULL, NULL, 404, "none");
    snprintf(what, sizeof what, "GET /v1/diff?from=%lld", first);
    d = ask(&r, what, NULL, 200);
    assert_int_equal(number(d, "from"), first);
    assert_int_equal(number(d, "change_count"), json_array_size(json_object_get(d, "changes")));
    assert_string_equal(text_of(json_array_get(json_object_get(d, "changes"), 0), "path"), "b");
    assert_string_equal(text_of(json_array_get(json_object_get(d, "changes"), 0), "letter"), "A");
    json_decref(d);
    rig_expect(&r, "GET /v1/diff", NULL, NULL, 400, "from is missing");
    snprintf(what, sizeof what, "POST /v1/rollback?to=%lld&path=d&dry_run=1", first);
    rig_expect(&r, what, NULL, NULL, 200, "\"change\":\"content\"");
    rig_expect(&r, "GET /v1/files/d/a", NULL, NULL, 200, "two");
    snprintf(what, sizeof what, "POST /v1/rollback?to=%lld&path=d", first);
    d = ask(&r, what, NULL, 200);
    assert_int_equal(number(d, "version"), first + 3);
    assert_int_equal(number(d, "to"), first);
    json_decref(d);
    rig_expect(&r, "GET /v1/files/d/a", NULL, NULL, 200, "one");
    rig_expect(&r, "GET /v1/files/b", NULL, NULL, 200, "new");
    snprintf(what, sizeof what, "POST /v1/rollback?to=%lld", first);
    rig_expect(&r, what, NULL, NULL, 200, NULL);
    rig_expect(&r, "GET /v1/files/b", NULL, NULL, 404, NULL);
    rig_expect(&r, "POST /v1/rollback", NULL, NULL, 400, "to is missing");
    rig_fini(&r);
}

/* A token that may only read reads the history, and changes nothing. */
static void readers_only_read(void **state)
{
    static const char *const refused[] = {TRANSACT, "POST /v1/snapshots/x",
                                          "DELETE /v1/snapshots/x", "POST /v1/rollback?to=1"};
    static const char *const allowed[] = {"GET /v1/snapshots", "GET /v1/diff?from=1"};
    char path[700], read_path[700];
    rig r;
    (void)state;
    rig_make(&r);
    rig_write_file(&r, "tokens", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n", path);
    rig_write_file(&r, "read", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n", read_path);
    rig_start(&r, (const char *[]){"--token-file", path, "--read-token-file", read_path, NULL});
    const char *reader = "Authorization: Bearer bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n";
    rig_expect(&r, "PUT /v1/files/a", "Authorization: Bearer aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n",
               "x", 201, NULL);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        rig_expect(&r, refused[i], reader, i == 0 ? "{}" : NULL, 403, "only read");
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        rig_expect(&r, allowed[i], reader, NULL, 200, NULL);
    rig_expect(&r, "POST /v1/query", reader, "x", 200, "hits");
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_operations),    cmocka_unit_test(tokens_are_true),
        cmocka_unit_test(all_or_nothing),    cmocka_unit_test(concurrent),
        cmocka_unit_test(snapshots),         cmocka_unit_test(log_diff_and_rollback),
        cmocka_unit_test(readers_only_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
