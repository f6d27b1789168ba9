/* Similarity over HTTP: the answers are those of 'engram query', however many ask at once. */
#include "serve/rig.h"

#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { FILES = 12, FILE_SIZE = 40000, THREADS = 16, ROUNDS = 3, ASKED = 5, VECTOR = 256 };

/* Any device gives these answers; this one is there at once. */
static const char *const SCALAR[] = {"--device", "scalar", NULL};
static uint8_t content[FILES][FILE_SIZE];

static json_t *load(const char *text, size_t size)
{
    json_t *d = json_loadb(text, size, 0, NULL);
    if (d == NULL)
        fail_msg("no JSON: %.300s", text);
    return d;
}

/* POST, on a connection of its own. */
static void post(rig *r, const char *target, const char *headers, const void *body, size_t size,
                 rig_reply *reply)
{
    char what[400];
    int fd = rig_connect(r);
    snprintf(what, sizeof what, "POST %s", target);
    rig_ask_on(fd, what, headers, body, size, reply);
    close(fd);
}

static json_t *ask(rig *r, const char *target, const char *headers, const void *body, size_t size)
{
    rig_reply reply;
    post(r, target, headers, body, size, &reply);
    if (reply.status != 200)
        fail_msg("%s: %d: %s", target, reply.status, (const char *)reply.body.data);
    json_t *d = load((const char *)reply.body.data, reply.body.size);
    rig_reply_fini(&reply);
    return d;
}

static void refuse(rig *r, const char *target, const char *headers, const void *body, size_t size,
                   int status, const char *text)
{
    rig_reply reply;
    post(r, target, headers, body, size, &reply);
    if (reply.status != status || strstr((const char *)reply.body.data, text) == NULL)
        fail_msg("%s: %d: %s", target, reply.status, (const char *)reply.body.data);
    rig_reply_fini(&reply);
}

static void put(rig *r, const char *path, const void *bytes, size_t size)
{
    char what[300];
    rig_reply reply;
    int fd = rig_connect(r);
    snprintf(what, sizeof what, "PUT /v1/files/%s", path);
    rig_ask_on(fd, what, NULL, bytes, size, &reply);
    assert_true(reply.status == 200 || reply.status == 201);
    rig_reply_fini(&reply);
    close(fd);
}

/* Random bytes of which a compressor could take something: cut into several chunks. */
static void make_content(uint8_t *bytes, size_t size, uint64_t seed)
{
    rig_fill(bytes, size, seed);
    for (size_t i = 0; i < size; i++)
        bytes[i] &= 0x7F;
}

/* Pairs of files that have three quarters in common; all below some/ but the last four. */
static const char *path_of(unsigned file, char path[32])
{
    snprintf(path, 32, "%sf%02u", file < FILES - 4 ? "some/" : "", file);
    return path;
}

static void fill(rig *r)
{
    char path[32];
    for (unsigned i = 0; i < FILES; i++) {
        make_content(content[i], FILE_SIZE, 40 + i / 2);
        if (i % 2 == 1)
            make_content(content[i] + FILE_SIZE / 4 * 3, FILE_SIZE / 4, 90 + i);
        put(r, path_of(i, path), content[i], FILE_SIZE);
    }
}

/* What must be equal of two answers: all but times and the device. */
static char *essence(const json_t *answer)
{
    static const char *const keys[] = {
        "hits",    "hits_before",  "hits_behind", "by",           "unsure",
        "version", "query_chunks", "chunks_live", "files_scored", "files_looked_at"};
    json_t *d = json_object();
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        json_t *value = json_object_get(answer, keys[i]);
        assert_non_null(value);
        json_object_set(d, keys[i], value);
    }
    char *text = json_dumps(d, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(d);
    return text;
}

static char *essence_of_cli(rig *r, const void *bytes, size_t size, const char *const *more)
{
    char path[700], said[700];
    const char *arguments[RIG_ARGUMENTS_MAX] = {"query",  "--json", "--device",
                                                "scalar", "-e",     r->engram};
    size_t count = 6, length;
    snprintf(path, sizeof path, "%s/question", r->temp.path);
    FILE *file = fopen(path, "w");
    assert_true(file != NULL && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
    for (; more != NULL && *more != NULL; more++)
        arguments[count++] = *more;
    arguments[count++] = path;
    assert_int_equal(rig_run(r, arguments), 0);
    snprintf(said, sizeof said, "%s/said", r->temp.path);
    char *text = malloc(1 << 20);
    file = fopen(said, "r");
    assert_true(text != NULL && file != NULL);
    length = fread(text, 1, 1 << 20, file);
    fclose(file);
    json_t *d = load(text, length);
    char *result = essence(d);
    json_decref(d);
    free(text);
    return result;
}

/* ---- as the command says it ---- */

static void as_the_command(void **state)
{
    static const struct {
        const char *target;
        const char *arguments[8];
    } asked[] = {
        {"/v1/query", {NULL}},
        {"/v1/query?k=1", {"-k", "1"}},
        {"/v1/query?k=3&skip=1&min=0.1", {"-k", "3", "--skip", "1", "--min", "0.1"}},
        {"/v1/query?by=chunk&k=4", {"--by", "chunk", "-k", "4"}},
        {"/v1/query?prefix=some&exact=0", {"--prefix", "some", "--no-rerank"}},
        {"/v1/query?at=7", {"--at", "7"}},
    };
    rig r;
    (void)state;
    rig_init(&r, NULL);
    fill(&r);
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        size_t size = i == 0 ? 700 : FILE_SIZE;
        char *right = essence_of_cli(&r, content[i], size, asked[i].arguments);
        json_t *d = ask(&r, asked[i].target, NULL, content[i], size);
        char *got = essence(d);
        assert_string_equal(got, right);
        assert_non_null(json_object_get(d, "device_used"));
        json_decref(d);
        free(got);
        free(right);
    }
    rig_fini(&r);
}

/* ---- many at once ---- */

typedef struct crowd {
    rig *r;
    char *right[ASKED];
    atomic_uint wrong, asked;
} crowd;

static void *ask_often(void *argument)
{
    crowd *c = argument;
    int fd = rig_connect(c->r);
    for (unsigned i = 0; i < ROUNDS; i++) {
        rig_reply reply;
        unsigned file = (atomic_fetch_add(&c->asked, 1) * 5 + i) % ASKED;
        rig_ask_on(fd, "POST /v1/query", NULL, content[file], FILE_SIZE, &reply);
        json_t *d = json_loadb((const char *)reply.body.data, reply.body.size, 0, NULL);
        char *got = reply.status == 200 && d != NULL ? essence(d) : NULL;
        if (got == NULL || strcmp(got, c->right[file]) != 0)
            atomic_fetch_add(&c->wrong, 1);
        free(got);
        json_decref(d);
        rig_reply_fini(&reply);
    }
    close(fd);
    return NULL;
}

static void run_crowd(crowd *c, bool merges)
{
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_often, c), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&c->wrong), 0);
    double calls = rig_metric(c->r, "engram_query_scan_calls_total"),
           batches = rig_metric(c->r, "engram_query_scan_batches_total");
    assert_true(calls >= THREADS * ROUNDS);
    assert_true(merges ? batches <= calls : batches == calls);
}

/* With batches, in small ones that wait for nobody, and without. */
static void many_at_once(void **state)
{
    static const char *const ways[][RIG_ARGUMENTS_MAX] = {
        {"--device", "scalar"},
        {"--device", "scalar", "--batch-max", "3", "--batch-delay", "0"},
        {"--device", "scalar", "--batch-max", "1"}};
    rig r;
    crowd c = {.r = &r};
    (void)state;
    rig_init(&r, ways[0]);
    fill(&r);
    for (unsigned i = 0; i < ASKED; i++)
        c.right[i] = essence_of_cli(&r, content[i], FILE_SIZE, NULL);
    for (size_t i = 0; i < 3; i++) {
        run_crowd(&c, i < 2);
        rig_signal(&r, SIGTERM);
        assert_int_equal(rig_wait(&r), 0);
        if (i < 2)
            rig_start(&r, ways[i + 1]);
    }
    for (unsigned i = 0; i < ASKED; i++)
        free(c.right[i]);
    rig_fini(&r);
}

/* ---- vectors ---- */

#define AS_VECTOR "Content-Type: application/x-engram-vector\r\n"
#define AS_SPREAD "Content-Type: application/x-engram-vector-spread\r\n"
#define AS_JSON   "Content-Type: application/json\r\n"

static const char *first_path(const json_t *answer)
{
    const json_t *hit = json_array_get(json_object_get(answer, "hits"), 0);
    return hit != NULL ? json_string_value(json_object_get(hit, "path")) : "";
}

static void vectors_of_bytes(void **state)
{
    rig_reply plain, spread;
    rig r;
    (void)state;
    rig_init(&r, SCALAR);
    fill(&r);
    json_t *d = ask(&r, "/v1/vectors", NULL, content[3], FILE_SIZE);
    json_t *vectors = json_object_get(d, "vectors");
    size_t count = json_array_size(vectors), size = 0;
    post(&r, "/v1/vectors", "Accept: application/x-engram-vector\r\n", content[3], FILE_SIZE,
         &plain);
    post(&r, "/v1/vectors", "Accept: application/x-engram-vector-spread\r\n", content[3], FILE_SIZE,
         &spread);
    assert_true(count > 1);
    assert_int_equal(plain.body.size, count * VECTOR);
    assert_int_equal(spread.body.size, count * (VECTOR + 4));
    for (size_t i = 0; i < count; i++) {
        const json_t *v = json_array_get(vectors, i);
        char hex[2 * VECTOR + 1];
        for (size_t b = 0; b < VECTOR; b++)
            snprintf(hex + 2 * b, 3, "%02x", plain.body.data[i * VECTOR + b]);
        assert_string_equal(json_string_value(json_object_get(v, "vector")), hex);
        assert_memory_equal(plain.body.data + i * VECTOR, spread.body.data + i * (VECTOR + 4),
                            VECTOR);
        assert_int_equal(json_integer_value(json_object_get(v, "spread")),
                         eg_get_u32(spread.body.data + i * (VECTOR + 4) + VECTOR));
        assert_int_equal(json_integer_value(json_object_get(v, "offset")), size);
        size += (size_t)json_integer_value(json_object_get(v, "size"));
    }
    assert_int_equal(size, FILE_SIZE);
    json_decref(d);
    rig_reply_fini(&plain);
    rig_reply_fini(&spread);
    rig_fini(&r);
}

/* A vector is asked for as its chunk is: the estimates are equal. */
static void asked_by_vector(void **state)
{
    rig_reply v;
    rig r;
    (void)state;
    rig_init(&r, SCALAR);
    fill(&r);
    post(&r, "/v1/vectors?whole=1", "Accept: application/x-engram-vector-spread\r\n", content[2],
         3000, &v);
    assert_int_equal(v.body.size, VECTOR + 4);
    json_t *bytes = ask(&r, "/v1/query?exact=0", NULL, content[2], 3000);
    json_t *with = ask(&r, "/v1/query", AS_SPREAD, v.body.data, VECTOR + 4);
    json_t *without = ask(&r, "/v1/query", AS_VECTOR, v.body.data, VECTOR);
    json_t *hit = json_array_get(json_object_get(with, "hits"), 0),
           *same = json_array_get(json_object_get(bytes, "hits"), 0),
           *plain = json_array_get(json_object_get(without, "hits"), 0);
    assert_non_null(hit);
    assert_non_null(plain);
    assert_true(
        json_equal(json_object_get(hit, "containment"), json_object_get(same, "containment")));
    assert_true(json_equal(json_object_get(hit, "jaccard"), json_object_get(same, "jaccard")));
    assert_true(json_equal(json_object_get(plain, "jaccard"), json_object_get(same, "jaccard")));
    assert_true(json_real_value(json_object_get(plain, "containment")) <
                json_real_value(json_object_get(hit, "containment")));
    assert_null(json_object_get(hit, "exact_jaccard")); /* there are no bytes to look at */
    refuse(&r, "/v1/query", AS_VECTOR, v.body.data, VECTOR - 1, 400, "vectors of 256 bytes");
    refuse(&r, "/v1/query", AS_VECTOR, "", 0, 400, "vectors of 256 bytes");
    json_decref(bytes);
    json_decref(with);
    json_decref(without);
    rig_reply_fini(&v);
    rig_fini(&r);
}

/* ---- many in one request ---- */

static void put_json(json_t *queries, const char *key, const char *text)
{
    json_t *query = json_object();
    json_object_set_new(query, key, json_string(text));
    json_array_append_new(queries, query);
}

static void expect_answer(rig *r, const json_t *answer, const char *target, const char *headers,
                          const void *body, size_t size)
{
    json_t *alone = ask(r, target, headers, body, size);
    char *got = essence(answer), *right = essence(alone);
    assert_string_equal(got, right);
    free(got);
    free(right);
    json_decref(alone);
}

static void batches_of_json(void **state)
{
    static const char text[] = "a text that nobody has stored, with words enough to be one chunk";
    rig r;
    (void)state;
    rig_init(&r, SCALAR);
    fill(&r);
    put(&r, "text", text, sizeof text - 1);
    json_t *vectors = ask(&r, "/v1/vectors", NULL, text, sizeof text - 1);
    json_t *d = json_object(), *queries = json_array();
    json_t *vector = json_array_get(json_object_get(vectors, "vectors"), 0);
    put_json(queries, "text", text);
    put_json(queries, "base64", "YSB0ZXh0IHRoYXQ=");
    put_json(queries, "vector", json_string_value(json_object_get(vector, "vector")));
    put_json(queries, "text", "");
    json_object_set_new(d, "queries", queries);
    char *body = json_dumps(d, 0);
    json_t *all = ask(&r, "/v1/query/batch?k=5&min=0", AS_JSON, body, strlen(body));
    json_t *answers = json_object_get(all, "answers");
    assert_int_equal(json_array_size(answers), 4);
    expect_answer(&r, json_array_get(answers, 0), "/v1/query?k=5&min=0", NULL, text,
                  sizeof text - 1);
    expect_answer(&r, json_array_get(answers, 1), "/v1/query?k=5&min=0", NULL, "a text that", 11);
    expect_answer(&r, json_array_get(answers, 3), "/v1/query?k=5&min=0", NULL, "", 0);
    assert_string_equal(first_path(json_array_get(answers, 0)), "text");
    assert_string_equal(first_path(json_array_get(answers, 2)), "text");
    free(body);
    json_decref(d);
    json_decref(all);
    json_decref(vectors);
    rig_fini(&r);
}

static void batches_of_vectors(void **state)
{
    rig_reply v;
    rig r;
    (void)state;
    rig_init(&r, SCALAR);
    fill(&r);
    post(&r, "/v1/vectors", "Accept: application/x-engram-vector\r\n", content[5], FILE_SIZE, &v);
    size_t count = v.body.size / VECTOR;
    json_t *all = ask(&r, "/v1/query/batch?by=chunk&k=2", AS_VECTOR, v.body.data, v.body.size);
    json_t *answers = json_object_get(all, "answers");
    assert_int_equal(json_array_size(answers), count);
    for (size_t i = 0; i < count; i++)
        expect_answer(&r, json_array_get(answers, i), "/v1/query?by=chunk&k=2", AS_VECTOR,
                      v.body.data + i * VECTOR, VECTOR);
    json_decref(all);
    rig_reply_fini(&v);
    rig_fini(&r);
}

static void malformed(void **state)
{
    static const struct {
        const char *target, *headers, *body, *text;
    } bad[] = {
        {"/v1/query?k=0", NULL, "x", "from 1 to"},
        {"/v1/query?by=word", NULL, "x", "file or chunk"},
        {"/v1/query?min=2", NULL, "x", "a share"},
        {"/v1/query?colour=red", NULL, "x", "no parameter"},
        {"/v1/query/batch", NULL, "x", "content type"},
        {"/v1/query/batch", AS_JSON, "{", "no JSON"},
        {"/v1/query/batch", AS_JSON, "[]", "queries"},
        {"/v1/query/batch", AS_JSON, "{\"queries\":[]}", "1 to 4096"},
        {"/v1/query/batch", AS_JSON, "{\"queries\":[7]}", "query 0: one string"},
        {"/v1/query/batch", AS_JSON,
         "{\"queries\":[{\"text\":\"a\"},{\"text\":\"a\",\"base64\":\"\"}]}",
         "query 1: one string"},
        {"/v1/query/batch", AS_JSON, "{\"queries\":[{\"base64\":\"YQ=\"}]}", "query 0: base64"},
        {"/v1/query/batch", AS_JSON, "{\"queries\":[{\"base64\":\"YR==\"}]}", "query 0: base64"},
        {"/v1/query/batch", AS_JSON, "{\"queries\":[{\"vector\":\"00\"}]}", "query 0: vector"},
        {"/v1/query/batch", AS_JSON, "{\"queries\":[{\"text\":\"a\",\"spread\":-1}]}",
         "query 0: spread"},
        {"/v1/query/batch?k=60000", AS_JSON, "{\"queries\":[{\"text\":\"a\"},{\"text\":\"b\"}]}",
         "at most 65536 hits"},
    };
    rig r;
    (void)state;
    rig_init(&r, SCALAR);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refuse(&r, bad[i].target, bad[i].headers, bad[i].body, strlen(bad[i].body), 400,
               bad[i].text);
    refuse(&r, "/v1/query?at=900", NULL, "x", 1, 404, "not retained");
    rig_fini(&r);
}

/* ---- what was just stored, and what is like it ---- */

static void new_files_are_found(void **state)
{
    rig r;
    (void)state;
    rig_init(&r, SCALAR);
    put(&r, "first", "", 0);
    for (unsigned i = 0; i < 4; i++) {
        char path[32], at[64];
        make_content(content[0], FILE_SIZE, 500 + i);
        json_t *d = ask(&r, "/v1/query", NULL, content[0], FILE_SIZE);
        assert_string_equal(first_path(d), "");
        json_decref(d);
        snprintf(path, sizeof path, "new%u", i);
        put(&r, path, content[0], FILE_SIZE);
        d = ask(&r, "/v1/query", NULL, content[0], FILE_SIZE);
        assert_string_equal(first_path(d), path);
        snprintf(at, sizeof at, "/v1/query?at=%lld",
                 (long long)json_integer_value(json_object_get(d, "version")) - 1);
        json_decref(d);
        d = ask(&r, at, NULL, content[0], FILE_SIZE);
        assert_string_equal(first_path(d), "");
        json_decref(d);
    }
    rig_fini(&r);
}

static void like_a_file(void **state)
{
    rig_reply reply;
    rig r;
    (void)state;
    rig_init(&r, SCALAR);
    fill(&r);
    rig_ask(&r, "GET /v1/files/some/f02?similar=5", NULL, NULL, &reply);
    assert_int_equal(reply.status, 200);
    json_t *d = load((const char *)reply.body.data, reply.body.size);
    assert_string_equal(first_path(d), "some/f03");
    assert_null(strstr((const char *)reply.body.data, "some/f02"));
    json_decref(d);
    rig_reply_fini(&reply);
    rig_expect(&r, "GET /v1/files/some?similar=5", NULL, NULL, 400, "regular files");
    rig_expect(&r, "GET /v1/files/some/f02?similar=none", NULL, NULL, 400, "whole number");
    rig_expect(&r, "GET /v1/files/some/f77?similar=1", NULL, NULL, 404, "f77");
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_command),   cmocka_unit_test(many_at_once),
        cmocka_unit_test(vectors_of_bytes), cmocka_unit_test(asked_by_vector),
        cmocka_unit_test(batches_of_json),  cmocka_unit_test(batches_of_vectors),
        cmocka_unit_test(malformed),        cmocka_unit_test(new_files_are_found),
        cmocka_unit_test(like_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
