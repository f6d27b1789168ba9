/* serve_load PORT KIND CONNECTIONS SECONDS [FILE]: a closed loop of requests to a server on this
 * machine.
 *
 * Every connection sends a request, waits for the whole reply, and sends the next. One thread
 * serves all of them (epoll), so that what it takes is small beside the server; with KIND
 *
 *   query     POST /v1/query with 4 KiB from a place of FILE, another one each time
 *   vector    POST /v1/query?by=chunk with a hypervector from a place of FILE, which holds some
 *   get       GET of the file "small"
 *   put       PUT of 4 KiB that nobody has stored, to a file of the connection's own
 *   transact  POST /v1/transactions with 250 new links
 *   events    no loop: streams of changes, whose events are counted
 *
 * Prints one line of JSON: requests (or events) a second, and the times of requests in
 * milliseconds. Those of the first half second count in nothing. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    REQUEST_MAX = 64 << 10,
    HEAD_MAX = 4096,
    BODY = 4096,
    ALIGN = 1024, /* chunks of bench/serve begin there */
    VECTOR = 256,
    LINKS = 250,
    SAMPLES_MAX = 1 << 24,
    WARM_MS = 500,
    EVENTS = 64
};

typedef struct connection {
    int fd;
    unsigned number, sent_count;
    size_t size, sent; /* of the request */
    char head[HEAD_MAX];
    size_t head_size;
    bool in_body, is_stream;
    uint64_t left; /* bytes of the reply's body */
    uint64_t start_ns;
    char *request; /* REQUEST_MAX */
} connection;

static const char MARK[] = "event: change\n", GAP[] = "event: gap\n";
static const char *kind;
static uint8_t *data;
static size_t data_size;
static uint64_t random_state = 88172645463325252u, warm_until, requests, failures, events, gaps;
static uint32_t *samples; /* microseconds */
static size_t sample_count;

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t draw(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static void die(const char *what)
{
    fprintf(stderr, "serve_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- requests ---- */

static void add_body(connection *c, const char *what, const char *type, const void *body,
                     size_t size)
{
    int head = snprintf(
        c->request, HEAD_MAX,
        "%s HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n", what,
        type, size);
    memcpy(c->request + head, body, size);
    c->size = (size_t)head + size;
}

static size_t make_links(const connection *c, char *body)
{
    size_t size = (size_t)sprintf(body, "{\"operations\":[");
    for (int i = 0; i < LINKS; i++)
        size += (size_t)sprintf(
            body + size, "%s{\"op\":\"symlink\",\"path\":\"l/%u-%u-%d\",\"target\":\"t\"%s}",
            i != 0 ? "," : "", c->number, c->sent_count, i, i == 0 ? ",\"parents\":true" : "");
    return size + (size_t)sprintf(body + size, "]}");
}

static void make_request(connection *c)
{
    static const char get[] = "GET /v1/files/small HTTP/1.1\r\nHost: localhost\r\n\r\n";
    static const char stream[] = "GET /v1/events HTTP/1.0\r\n\r\n";
    static char body[REQUEST_MAX];
    char what[100];
    if (strcmp(kind, "query") == 0) {
        add_body(c, "POST /v1/query?k=10", "application/octet-stream",
                 data + draw() % ((data_size - BODY) / ALIGN) * ALIGN, BODY);
    } else if (strcmp(kind, "vector") == 0) {
        add_body(c, "POST /v1/query?by=chunk&k=10", "application/x-engram-vector",
                 data + draw() % (data_size / VECTOR) * VECTOR, VECTOR);
    } else if (strcmp(kind, "put") == 0) {
        for (size_t i = 0; i < BODY / 8; i++)
            memcpy(body + 8 * i, &(uint64_t){draw()}, 8);
        snprintf(what, sizeof what, "PUT /v1/files/put/%u", c->number);
        add_body(c, what, "application/octet-stream", body, BODY);
    } else if (strcmp(kind, "transact") == 0) {
        size_t size = make_links(c, body);
        add_body(c, "POST /v1/transactions", "application/json", body, size);
    } else {
        const char *text = c->is_stream ? stream : get;
        c->size = strlen(text);
        memcpy(c->request, text, c->size);
    }
    c->sent_count++;
    c->sent = c->head_size = 0;
    c->in_body = false;
    c->start_ns = now_ns();
}

/* ---- replies ---- */

static void note(const connection *c, bool failed)
{
    uint64_t now = now_ns();
    if (now < warm_until)
        return;
    requests++;
    failures += failed;
    if (sample_count < SAMPLES_MAX)
        samples[sample_count++] = (uint32_t)((now - c->start_ns) / 1000);
}

static size_t count_marks(const char *text, size_t size, const char *mark)
{
    size_t count = 0, length = strlen(mark);
    for (const char *at = text, *end = text + size;
         (at = memmem(at, (size_t)(end - at), mark, length)) != NULL; at += length)
        count++;
    return count;
}

static void count_events(connection *c, const char *bytes, size_t size)
{
    static char text[HEAD_MAX + (256 << 10)];
    /* What the last piece ended with, up to a mark's length, was kept in head. */
    memcpy(text, c->head, c->head_size);
    memcpy(text + c->head_size, bytes, size);
    size_t all = c->head_size + size, keep = sizeof MARK - 2 < all ? sizeof MARK - 2 : all;
    if (now_ns() >= warm_until) {
        events += count_marks(text, all, MARK);
        gaps += count_marks(text, all, GAP);
    }
    memcpy(c->head, text + all - keep, keep);
    c->head_size = keep;
}

/* Takes bytes of a reply; true at its end. */
static bool take(connection *c, const char *bytes, size_t size)
{
    while (size != 0 && !c->in_body) {
        if (c->head_size == HEAD_MAX - 1)
            die("a head that is too long");
        c->head[c->head_size++] = *bytes++;
        size--;
        c->head[c->head_size] = 0;
        if (c->head_size < 4 || memcmp(c->head + c->head_size - 4, "\r\n\r\n", 4) != 0)
            continue;
        const char *length = strcasestr(c->head, "\r\nContent-Length:");
        c->left = length != NULL ? strtoull(length + 17, NULL, 10) : 0;
        c->in_body = true;
    }
    c->left -= size < c->left ? size : c->left;
    return c->in_body && c->left == 0;
}

static bool send_more(connection *c)
{
    while (c->sent < c->size) {
        ssize_t sent = send(c->fd, c->request + c->sent, c->size - c->sent, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN)
            return true;
        if (sent < 0)
            return false;
        c->sent += (size_t)sent;
    }
    return true;
}

static void serve(connection *c)
{
    static char bytes[256 << 10];
    for (;;) {
        if (!send_more(c))
            die("sending");
        ssize_t got = recv(c->fd, bytes, sizeof bytes, 0);
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0)
            die("a connection was closed");
        if (c->is_stream) {
            count_events(c, bytes, (size_t)got);
        } else if (take(c, bytes, (size_t)got)) {
            bool is_good = strncmp(c->head, "HTTP/1.1 2", 10) == 0;
            note(c, !is_good);
            make_request(c);
        }
    }
}

/* ---- all of them ---- */

static void open_connection(connection *c, unsigned number, int port, int poll)
{
    const struct sockaddr_in at = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int on = 1;
    *c = (connection){.fd = socket(AF_INET, SOCK_STREAM, 0),
                      .number = number,
                      .is_stream = strcmp(kind, "events") == 0};
    c->request = malloc(REQUEST_MAX + HEAD_MAX);
    if (c->fd < 0 || c->request == NULL ||
        connect(c->fd, (const struct sockaddr *)&at, sizeof at) != 0)
        die("connecting");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, c->fd, &event) != 0)
        die("epoll");
    make_request(c);
}

static void run_until(int poll, uint64_t end_ns)
{
    struct epoll_event ready[EVENTS];
    for (uint64_t now; (now = now_ns()) < end_ns;) {
        int count = epoll_wait(poll, ready, EVENTS, (int)((end_ns - now) / 1000000) + 1);
        for (int i = 0; i < count; i++)
            serve(ready[i].data.ptr);
    }
}

static void load_data(const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0)
        die(path);
    data_size = (size_t)ftell(file);
    rewind(file);
    data = malloc(data_size + 1);
    if (data == NULL || data_size <= BODY || fread(data, 1, data_size, file) != data_size)
        die(path);
    fclose(file);
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double percentile(double share)
{
    if (sample_count == 0)
        return 0;
    size_t at = (size_t)(share * (double)sample_count);
    return samples[at < sample_count ? at : sample_count - 1] / 1000.0;
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(
            stderr,
            "serve_load PORT query|vector|get|put|transact|events CONNECTIONS SECONDS [FILE]\n");
        return 2;
    }
    unsigned count = (unsigned)atoi(argv[3]);
    double seconds = atof(argv[4]);
    int poll = epoll_create1(0);
    kind = argv[2];
    if (argc > 5)
        load_data(argv[5]);
    connection *connections = calloc(count, sizeof *connections);
    samples = malloc(SAMPLES_MAX * sizeof *samples);
    if (connections == NULL || samples == NULL || poll < 0)
        die("memory");
    uint64_t start;
    warm_until = UINT64_MAX;
    for (unsigned i = 0; i < count; i++)
        open_connection(&connections[i], i, atoi(argv[1]), poll);
    run_until(poll, now_ns() + (uint64_t)WARM_MS * 1000000);
    start = warm_until = now_ns();
    run_until(poll, start + (uint64_t)(seconds * 1e9));
    double took = (double)(now_ns() - start) / 1e9;
    qsort(samples, sample_count, sizeof *samples, compare);
    printf("{\"kind\":\"%s\",\"connections\":%u,\"seconds\":%.2f,\"requests_per_second\":%.1f,"
           "\"failures\":%llu,"
           "\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,\"events_per_second\":%.1f,\"gaps\":%"
           "llu}\n",
           kind, count, took, (double)requests / took, (unsigned long long)failures,
           percentile(0.5), percentile(0.99), percentile(1), (double)events / took / count,
           (unsigned long long)gaps);
    return failures != 0;
}
