/* A server under mixed traffic for --seconds N (default 20): files put, read, listed and deleted,
 * queries, transactions, snapshots, history, a stream of changes, on connections that come and go.
 * Every answer is checked; anonymous memory and open descriptors are looked at all the while, and
 * must be flat once it is warm.
 *
 * What clients store comes from a fixed number of contents, and only the last versions are kept, so
 * that the engram does not grow and neither may the server. Flat means: the least memory of the
 * last quarter of the time is not more than that of the quarter before, an eighth of it and
 * --growth MIB (default 8); there are never more than SLACK descriptors beyond the most of the
 * second quarter; and when all clients are gone not more than SLACK beyond those before the first
 * came. */
#include "serve/rig.h"

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    CONTENTS = 300,
    LARGE_EVERY = 25,
    SIZE_MIN = 100,
    SIZE_MAX_SMALL = 40000,
    SIZE_LARGE = 400000
};
enum {
    PATHS = 200,
    SAMPLES = 400,
    PAUSE_US = 2000,
    ON_A_CONNECTION = 40,
    SLACK = 12,
    PATIENCE_S = 60
};

static unsigned seconds = 20;
static double growth_max = 8 << 20; /* bytes */
static rig server;
static atomic_bool is_over;

/* ---- contents ---- */

/* A content begins with its number, so that a reader knows what the rest must be. */
static size_t content_size(uint32_t number)
{
    return number % LARGE_EVERY == 0 ? SIZE_LARGE
                                     : SIZE_MIN + number * 7919 % (SIZE_MAX_SMALL - SIZE_MIN);
}

static void make_content(uint32_t number, uint8_t *bytes)
{
    rig_fill(bytes, content_size(number), number / 4 + 1); /* four of them have much in common */
    memcpy(bytes, &number, sizeof number);
}

static bool is_content(const uint8_t *bytes, size_t size, uint8_t *expected)
{
    uint32_t number;
    if (size < sizeof number)
        return false;
    memcpy(&number, bytes, sizeof number);
    if (number >= CONTENTS || size != content_size(number))
        return false;
    make_content(number, expected);
    return memcmp(bytes, expected, size) == 0;
}

/* ---- clients ---- */

typedef struct client {
    pthread_t thread;
    unsigned number;
    void (*step)(struct client *c);
    uint64_t random;
    int fd;
    unsigned asked; /* on this connection */
    uint64_t requests, events;
    uint8_t *bytes, *expected; /* SIZE_LARGE each */
    char wrong[300];           /* the first thing that was */
} client;

static uint64_t draw(client *c, uint64_t below)
{
    c->random ^= c->random << 13;
    c->random ^= c->random >> 7;
    c->random ^= c->random << 17;
    return c->random % below;
}

#define expect(c, condition, ...)                                                                  \
    do {                                                                                           \
        if (!(condition) && (c)->wrong[0] == 0)                                                    \
            snprintf((c)->wrong, sizeof(c)->wrong, __VA_ARGS__);                                   \
    } while (0)

static int ask(client *c, const char *what, const char *headers, const void *body, size_t size,
               rig_reply *reply)
{
    if (c->fd >= 0 && c->asked++ == ON_A_CONNECTION) {
        close(c->fd);
        c->fd = -1;
    }
    if (c->fd < 0) {
        c->fd = rig_connect(&server);
        c->asked = 1;
    }
    rig_ask_on(c->fd, what, headers, body, size, reply);
    c->requests++;
    expect(c, reply->status != 0 && reply->status < 500 && !reply->is_cut, "%s: %d: %.150s", what,
           reply->status, reply->body.data != NULL ? (const char *)reply->body.data : "");
    return reply->status;
}

static void ask_alone(client *c, const char *what, const char *headers, const void *body,
                      size_t size)
{
    rig_reply reply;
    int status = ask(c, what, headers, body, size, &reply);
    expect(c, status == 200 || status == 201 || status == 204 || status == 404 || status == 409,
           "%s: %d: %.150s", what, status,
           reply.body.data != NULL ? (const char *)reply.body.data : "");
    rig_reply_fini(&reply);
}

static void change_files(client *c)
{
    char what[100];
    uint32_t number = (uint32_t)draw(c, CONTENTS);
    unsigned path = (unsigned)draw(c, PATHS);
    if (draw(c, 5) == 0) {
        snprintf(what, sizeof what, "DELETE /v1/files/d%u/f%u", path % 7, path);
        ask_alone(c, what, NULL, NULL, 0);
        return;
    }
    make_content(number, c->bytes);
    snprintf(what, sizeof what, "PUT /v1/files/d%u/f%u", path % 7, path);
    ask_alone(c, what, NULL, c->bytes, content_size(number));
}

static void read_files(client *c)
{
    char what[100];
    rig_reply reply;
    unsigned path = (unsigned)draw(c, PATHS);
    snprintf(what, sizeof what, "GET /v1/files/d%u/f%u", path % 7, path);
    int status = ask(c, what, NULL, NULL, 0, &reply);
    expect(c,
           status == 404 ||
               (status == 200 && is_content(reply.body.data, reply.body.size, c->expected)),
           "%s: %d, and not what was stored", what, status);
    rig_reply_fini(&reply);
}

static void ask_for_likeness(client *c)
{
    static const char *const targets[] = {"POST /v1/query?k=5", "POST /v1/query?by=chunk&k=5",
                                          "POST /v1/vectors"};
    uint32_t number = (uint32_t)draw(c, CONTENTS);
    size_t size = content_size(number) < 9000 ? content_size(number) : 9000;
    make_content(number, c->bytes);
    ask_alone(c, targets[draw(c, 3)], NULL, c->bytes, size);
}

static void look_around(client *c)
{
    static const char *const targets[] = {"GET /v1/files/",    "GET /v1/files/?glob=*1*",
                                          "GET /v1/info",      "GET /v1/versions",
                                          "GET /v1/log/d1/f1", "GET /metrics",
                                          "GET /v1/snapshots", "GET /"};
    char what[100];
    unsigned name = (unsigned)draw(c, 5);
    switch (draw(c, 4)) {
    case 0:
        snprintf(what, sizeof what, "POST /v1/snapshots/s%u", name);
        ask_alone(c, what, NULL, "", 0);
        break;
    case 1:
        snprintf(what, sizeof what, "DELETE /v1/snapshots/s%u", name);
        ask_alone(c, what, NULL, NULL, 0);
        break;
    default:
        ask_alone(c, targets[draw(c, 8)], NULL, NULL, 0);
    }
}

static void transact(client *c)
{
    char body[400];
    unsigned n = (unsigned)draw(c, 20);
    snprintf(body, sizeof body,
             "{\"operations\": [{\"op\": \"write\", \"path\": \"t/a%u\", \"parents\": true, "
             "\"text\": \"%u\"}, {\"op\": \"mv\","
             " \"from\": \"t/a%u\", \"to\": \"t/b%u\"}, {\"op\": \"symlink\", \"path\": \"t/l%u\", "
             "\"target\": \"b\"},"
             " {\"op\": \"rm\", \"path\": \"t/l%u\"}]}",
             n, n, n, n, n, n);
    ask_alone(c, "POST /v1/transactions", "Content-Type: application/json\r\n", body, strlen(body));
}

/* Streams of some hundred pieces, one after the other. */
static void listen_to_changes(client *c)
{
    int fd = rig_connect(&server);
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    bool sent = rig_send_text(fd, "GET /v1/events HTTP/1.0\r\n\r\n");
    expect(c, sent, "the stream of changes: it cannot be asked for");
    for (int i = 0; i < 300 && !atomic_load(&is_over); i++) {
        if (poll(&waiting, 1, 100) != 1)
            continue;
        ssize_t got = recv(fd, c->bytes, SIZE_LARGE, 0);
        expect(c, got > 0, "the stream of changes was cut");
        c->events += got > 0;
        if (got <= 0)
            break;
    }
    close(fd);
}

static void *work(void *context)
{
    client *c = context;
    while (!atomic_load(&is_over) && c->wrong[0] == 0) {
        c->step(c);
        usleep(PAUSE_US);
    }
    if (c->fd >= 0)
        close(c->fd);
    return NULL;
}

static void (*const steps[])(client *c) = {change_files, change_files,     read_files,
                                           read_files,   ask_for_likeness, look_around,
                                           transact,     listen_to_changes};
enum { CLIENTS = sizeof steps / sizeof *steps };
static client clients[CLIENTS];

static void start_clients(void)
{
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] = (client){.number = i,
                              .step = steps[i],
                              .random = 88172645463325252u * (i + 1),
                              .fd = -1,
                              .bytes = malloc(SIZE_LARGE),
                              .expected = malloc(SIZE_LARGE)};
        assert_int_equal(pthread_create(&clients[i].thread, NULL, work, &clients[i]), 0);
    }
}

static void stop_clients(void)
{
    atomic_store(&is_over, true);
    for (unsigned i = 0; i < CLIENTS; i++) {
        pthread_join(clients[i].thread, NULL);
        free(clients[i].bytes);
        free(clients[i].expected);
    }
}

/* ---- what is looked at ---- */

typedef struct sample {
    double at_s, memory;
    unsigned descriptors;
} sample;

static sample samples[SAMPLES];
static size_t sample_count;

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double anonymous_memory(void)
{
    char path[64], line[200];
    double kilobytes = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)server.pid);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "RssAnon:", 8) == 0)
            kilobytes = atof(line + 8);
    fclose(file);
    assert_true(kilobytes > 0);
    return kilobytes * 1024;
}

static unsigned descriptor_count(void)
{
    char path[64];
    unsigned count = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)server.pid);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count - 2;
}

static bool all_well(void)
{
    for (unsigned i = 0; i < CLIENTS; i++)
        if (clients[i].wrong[0] != 0)
            return false;
    return true;
}

static void watch(void)
{
    double start = now_s(), every = (double)seconds / SAMPLES, shown = 0;
    while (sample_count < SAMPLES && now_s() - start < seconds && all_well()) {
        sample *s = &samples[sample_count++];
        *s = (sample){now_s() - start, anonymous_memory(), descriptor_count()};
        if (s->at_s - shown >= seconds / 20.0) {
            print_message("%7.1f s  %7.1f MiB  %4u descriptors\n", s->at_s, s->memory / (1 << 20),
                          s->descriptors);
            fflush(stdout);
            shown = s->at_s;
        }
        usleep((useconds_t)(every * 1e6));
    }
}

/* What is in use at least: checkpoints and compactions come and go above it. */
static double least_memory(size_t first, size_t end)
{
    double least = samples[first].memory;
    for (size_t i = first; i < end; i++)
        least = samples[i].memory < least ? samples[i].memory : least;
    return least;
}

static unsigned most_descriptors(size_t first, size_t end)
{
    unsigned most = 0;
    for (size_t i = first; i < end; i++)
        most = samples[i].descriptors > most ? samples[i].descriptors : most;
    return most;
}

/* What is not; NULL: all is. */
static const char *find_growth(void)
{
    size_t half = sample_count / 2, last = sample_count / 4 * 3;
    double before = least_memory(half, last), after = least_memory(last, sample_count);
    unsigned opened_before = most_descriptors(sample_count / 4, half),
             opened = most_descriptors(half, sample_count);
    print_message("memory: at least %.1f MiB in the third quarter, %.1f MiB in the last one\n",
                  before / (1 << 20), after / (1 << 20));
    print_message("descriptors: at most %u in the second quarter, %u afterwards\n", opened_before,
                  opened);
    return after > before + before / 8 + growth_max ? "memory is not flat"
           : opened > opened_before + SLACK         ? "descriptors are not flat"
                                                    : NULL;
}

/* ---- */

static void soak(void **state)
{
    (void)state;
    rig_make(&server);
    const char *const keep[] = {"snapshot", "keep",   "-e", server.engram, "--every",
                                "0",        "--last", "10", NULL};
    assert_int_equal(rig_run(&server, keep), 0);
    rig_start(&server, (const char *[]){"--device", "scalar", "--memory", "96M", NULL});
    rig_expect(&server, "GET /healthz", NULL, NULL, 200, NULL);
    unsigned at_first = descriptor_count();
    start_clients();
    watch();
    stop_clients();
    uint64_t requests = 0, events = 0;
    for (unsigned i = 0; i < CLIENTS; i++) {
        if (clients[i].wrong[0] != 0)
            fail_msg("%s", clients[i].wrong);
        requests += clients[i].requests;
        events += clients[i].events;
    }
    print_message(
        "%llu requests, %llu pieces of the stream, %.0f commits, %.0f chunks, %.0f checkpoints\n",
        (unsigned long long)requests, (unsigned long long)events,
        rig_metric(&server, "engram_commits_total"), rig_metric(&server, "engram_chunks"),
        rig_metric(&server, "engram_checkpoints_total"));
    assert_true(requests > 0 && events > 0);
    const char *growth = find_growth();
    for (int i = 0; i < PATIENCE_S * 10 && descriptor_count() > at_first + SLACK; i++)
        usleep(100000); /* a stream whose client is gone is noticed by and by */
    print_message("descriptors: %u at first, %u at last\n", at_first, descriptor_count());
    assert_true(descriptor_count() <= at_first + SLACK);
    rig_fini(&server);
    if (growth != NULL)
        fail_msg("%s", growth);
}

int main(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seconds") == 0)
            seconds = (unsigned)strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--growth") == 0)
            growth_max = strtod(argv[i + 1], NULL) * (1 << 20);
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(soak)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
