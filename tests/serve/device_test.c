/* The device is lost, stumbles or lies while many clients ask and one stores: every answer is the
 * CPU's, no request fails, and the figures tell what happened. */
#include "serve/inside.h"

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "compute/fake_backend.h"
#include "compute/opencl/fixture.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { ANSWERS = 30 };
#else
enum { ANSWERS = 60 };
#endif
enum {
    FILES = 10,
    FILE_SIZE = 40000,
    CLIENTS = 6,
    INPUTS = 4,
    FALLBACKS = 8,
    KINDS = 5,
    QUESTIONS = KINDS * INPUTS
};

static uint8_t content[FILES][FILE_SIZE];

typedef struct question {
    char what[100], body[FILE_SIZE];
    const char *headers, *member; /* of the answer: what must be equal */
    size_t size;                  /* 0: no body */
    char *right;
} question;

static question questions[QUESTIONS];

static void make_question(question *q, unsigned kind, unsigned input)
{
    static const char *const targets[KINDS] = {
        "POST /v1/query?prefix=some&k=5", "POST /v1/query?prefix=some&by=chunk&k=7",
        "POST /v1/query/batch?prefix=some&exact=0", "POST /v1/vectors"};
    static const char *const members[KINDS] = {"hits", "hits", "answers", "vectors", "hits"};
    const char *text = (const char *)content[input] + 1000 * input;
    if (kind != 4)
        snprintf(q->what, sizeof q->what, "%s", targets[kind]);
    else
        snprintf(q->what, sizeof q->what, "GET /v1/files/some/f%u?similar=4&at=snap", input);
    q->member = members[kind];
    q->size = kind == 4 ? 0 : 30000;
    memcpy(q->body, text, 30000);
    if (kind != 2)
        return;
    q->headers = "Content-Type: application/json\r\n";
    q->size = (size_t)snprintf(q->body, sizeof q->body,
                               "{\"queries\": [{\"text\": \"%.9000s\"}, {\"text\": \"%.9000s\"}]}",
                               text, text + 9000);
}

/* What must be equal of the reply, as text; NULL: it is no answer. Of a batch, the hits of each. */
static char *essence(const question *q, const rig_reply *reply)
{
    json_t *d = json_loadb((const char *)reply->body.data, reply->body.size, 0, NULL);
    json_t *member = json_object_get(d, q->member);
    for (size_t i = 0; strcmp(q->member, "answers") == 0 && i < json_array_size(member); i++)
        json_array_set(member, i, json_object_get(json_array_get(member, i), "hits"));
    char *text = member != NULL ? json_dumps(member, JSON_SORT_KEYS) : NULL;
    json_decref(d);
    return reply->status == 200 ? text : NULL;
}

static void ask(inside *s, const question *q, rig_reply *reply)
{
    int fd = rig_connect(&s->rig);
    rig_ask_on(fd, q->what, q->headers, q->size != 0 ? q->body : NULL, q->size, reply);
    close(fd);
}

static void put(inside *s, const char *path, const void *bytes, size_t size)
{
    char what[100];
    rig_reply reply;
    int fd = rig_connect(&s->rig);
    snprintf(what, sizeof what, "PUT /v1/files/%s", path);
    rig_ask_on(fd, what, NULL, bytes, size, &reply);
    assert_int_equal(reply.status, 201);
    rig_reply_fini(&reply);
    close(fd);
}

/* Files that have much in common in pairs, and what the CPU answers. */
static void set_up(inside *s)
{
    char path[40];
    inside_make(s);
    inside_start(s, NULL);
    for (unsigned i = 0; i < FILES; i++) {
        rig_fill(content[i], FILE_SIZE, 70 + i / 2);
        if (i % 2 == 1)
            rig_fill(content[i] + FILE_SIZE / 4 * 3, FILE_SIZE / 4, 170 + i);
        for (size_t k = 0; k < FILE_SIZE; k++)
            content[i][k] = 'a' + content[i][k] % 16;
        snprintf(path, sizeof path, "some/f%u", i);
        put(s, path, content[i], FILE_SIZE);
    }
    rig_expect(&s->rig, "POST /v1/snapshots/snap", NULL, "", 201, NULL); /* before others come */
    for (unsigned i = 0; i < QUESTIONS; i++) {
        rig_reply reply;
        make_question(&questions[i], i % KINDS, i / KINDS);
        ask(s, &questions[i], &reply);
        questions[i].right = essence(&questions[i], &reply);
        if (questions[i].right == NULL || strlen(questions[i].right) < 50)
            fail_msg("%s: %d: %s", questions[i].what, reply.status, (const char *)reply.body.data);
        rig_reply_fini(&reply);
    }
    inside_stop(s);
}

static void tear_down(inside *s)
{
    for (unsigned i = 0; i < QUESTIONS; i++)
        free(questions[i].right);
    memset(questions, 0, sizeof questions);
    inside_fini(s);
}

/* ---- the load ---- */

static atomic_bool is_over;
static atomic_uint answered;

typedef struct client {
    pthread_t thread;
    inside *s;
    unsigned number;
    char wrong[400]; /* the first answer that was */
} client;

static void *ask_on(void *context)
{
    client *c = context;
    for (unsigned i = c->number; !atomic_load(&is_over); i++) {
        const question *q = &questions[i * 7 % QUESTIONS];
        rig_reply reply;
        ask(c->s, q, &reply);
        char *text = essence(q, &reply);
        if ((text == NULL || strcmp(text, q->right) != 0) && c->wrong[0] == 0)
            snprintf(c->wrong, sizeof c->wrong, "%s: %d: %.150s instead of %.150s", q->what,
                     reply.status, text != NULL ? text : "nothing", q->right);
        free(text);
        rig_reply_fini(&reply);
        atomic_fetch_add(&answered, 1);
    }
    return NULL;
}

/* New vectors for the device, which no question is about. */
static void *store(void *context)
{
    client *c = context;
    static uint8_t bytes[FILE_SIZE];
    for (unsigned i = 0; !atomic_load(&is_over); i++) {
        char path[40];
        rig_fill(bytes, sizeof bytes, 1000 + i);
        snprintf(path, sizeof path, "other/%d-%u", (int)getpid(), i);
        rig_reply reply;
        char what[100];
        int fd = rig_connect(&c->s->rig);
        snprintf(what, sizeof what, "PUT /v1/files/%s", path);
        rig_ask_on(fd, what, NULL, bytes, sizeof bytes, &reply);
        if (reply.status != 201 && reply.status != 200)
            snprintf(c->wrong, sizeof c->wrong, "%s: %d", what, reply.status);
        rig_reply_fini(&reply);
        close(fd);
        usleep(2000);
    }
    return NULL;
}

static void wait_for_answers(unsigned count)
{
    unsigned until = atomic_load(&answered) + count;
    while (atomic_load(&answered) < until)
        usleep(500);
}

static void lie(void *context); /* is found out when each batch is done again */

/* Lets clients ask while the device works, disturbs it, and lets them go on. */
static void run(inside *s, eg_backend *backend, void (*disturb)(void *context), void *context)
{
    static client clients[CLIENTS + 1];
    inside_start(s, backend);
    if (disturb == lie)
        eg_device_set_check_interval(s->device, 1);
    atomic_store(&is_over, false);
    atomic_store(&answered, 0);
    for (unsigned i = 0; i <= CLIENTS; i++) {
        clients[i] = (client){.s = s, .number = i};
        assert_int_equal(
            pthread_create(&clients[i].thread, NULL, i < CLIENTS ? ask_on : store, &clients[i]), 0);
    }
    wait_for_answers(ANSWERS);
    assert_true(rig_metric(&s->rig, "engram_device_batches_total") > 0);
    assert_true(rig_metric(&s->rig, "engram_device_fallback_batches_total") == 0);
    disturb(context);
    wait_for_answers(ANSWERS);
    atomic_store(&is_over, true);
    for (unsigned i = 0; i <= CLIENTS; i++)
        pthread_join(clients[i].thread, NULL);
    for (unsigned i = 0; i <= CLIENTS; i++)
        if (clients[i].wrong[0] != 0)
            fail_msg("%s", clients[i].wrong);
    assert_true(rig_metric(&s->rig, "engram_device_fallback_batches_total") > 0);
    rig_expect(&s->rig, "GET /readyz", NULL, NULL, 200, "ready");
}

/* ---- how it is disturbed ---- */

static void lose(void *context)
{
    fake_backend *fake = context;
    fake->forever = true;
    fake->calls_left = 0;
}

static void stumble(void *context)
{
    fake_backend *fake = context;
    for (unsigned i = 0; i < ANSWERS; i++) {
        fake->calls_left = i % 7;
        usleep(2000);
    }
}

static void lie(void *context)
{
    fake_backend *fake = context;
    fake->lie = LIE_MATCHES;
}

static void lose_opencl(void *context)
{
    (void)context;
    eg_cl_fail_from(1);
}

/* Until it has failed some batches: how long that takes is the machine's affair. */
static void stumble_opencl(void *context)
{
    const inside *s = context;
    eg_device_stats stats = {0};
    for (long i = 0; stats.fallback_batches < FALLBACKS; i++) {
        eg_cl_fail_at(1 + i % 23);
        usleep(2000);
        eg_device_get_stats(s->device, &stats);
    }
    eg_cl_fail_at(0);
}

static void with_fake(void (*disturb)(void *context), bool is_wrong)
{
    static inside s;
    static fake_backend fake;
    set_up(&s);
    fake_backend_init(&fake);
    run(&s, &fake.base, disturb, &fake);
    assert_true((rig_metric(&s.rig, "engram_device_wrong_batches_total") > 0) == is_wrong);
    inside_stop(&s);
    assert_int_equal(fake.closed, 1);
    tear_down(&s);
}

static void a_device_is_lost(void **state)
{
    (void)state;
    with_fake(lose, false);
}

static void a_device_stumbles(void **state)
{
    (void)state;
    with_fake(stumble, false);
}

static void a_device_lies(void **state)
{
    (void)state;
    with_fake(lie, true);
}

static void with_opencl(void (*disturb)(void *context))
{
    static inside s;
    fixture_skip();
    set_up(&s);
    eg_backend *backend = fixture_open(EG_CL_AUTO, false);
    run(&s, backend, disturb, &s);
    inside_stop(&s);
    eg_cl_fail_at(0);
    assert_int_equal(eg_cl_live_count(), 0);
    tear_down(&s);
}

static void an_opencl_device_is_lost(void **state)
{
    (void)state;
    with_opencl(lose_opencl);
}

static void an_opencl_device_stumbles(void **state)
{
    (void)state;
    with_opencl(stumble_opencl);
}

int main(void)
{
    eg_log_set_level(EG_LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_is_lost),
        cmocka_unit_test(a_device_stumbles),
        cmocka_unit_test(a_device_lies),
        cmocka_unit_test(an_opencl_device_is_lost),
        cmocka_unit_test(an_opencl_device_stumbles),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
