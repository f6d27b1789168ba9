#include "serve/rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 60000 };

/* ---- the server ---- */

/* It does not outlive a test that fails. */
static void run_program(const rig *r, const char **argv, int output)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int log = open(r->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(output, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    execv(ENGRAM_PROGRAM, (char **)(uintptr_t)argv);
    _exit(127);
}

static void fill_arguments(const char **argv, size_t *count, const char *const *more)
{
    for (; more != NULL && *more != NULL; more++) {
        assert_true(*count < RIG_ARGUMENTS_MAX + 8);
        argv[(*count)++] = *more;
    }
    argv[*count] = NULL;
}

int rig_run(rig *r, const char *const *arguments)
{
    const char *argv[RIG_ARGUMENTS_MAX + 9] = {"engram"};
    char said[700];
    size_t count = 1;
    int status;
    fill_arguments(argv, &count, arguments);
    snprintf(said, sizeof said, "%s/said", r->temp.path);
    pid_t pid = fork();
    if (pid == 0) {
        int fd = open(said, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        dup2(fd, STDERR_FILENO);
        run_program(r, argv, fd);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

void rig_make(rig *r)
{
    *r = (rig){.output = -1};
    unsetenv("ENGRAM_DIR");
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(temp_dir_init(&r->temp), 0);
    snprintf(r->engram, sizeof r->engram, "%s/e.engram", r->temp.path);
    snprintf(r->log, sizeof r->log, "%s/log", r->temp.path);
    snprintf(r->unix_path, sizeof r->unix_path, "%s/socket", r->temp.path);
    assert_int_equal(rig_run(r, (const char *[]){"init", "-q", "-e", r->engram, NULL}), 0);
}

/* Lines until the one that says that all is ready. */
static void read_output(rig *r)
{
    char text[1024];
    size_t size = 0;
    while (size < sizeof text - 1) {
        ssize_t got = read(r->output, text + size, sizeof text - 1 - size);
        if (got <= 0)
            fail_msg("the server ended before it was ready; see %s", r->log);
        size += (size_t)got;
        text[size] = 0;
        const char *port = strstr(text, "ready http://127.0.0.1:");
        if (port != NULL && strchr(port, '\n') != NULL) {
            r->port = (unsigned)atoi(port + strlen("ready http://127.0.0.1:"));
            return;
        }
        if (strstr(text, "ready unix:") != NULL)
            return;
    }
    fail_msg("the server says: %s", text);
}

void rig_start(rig *r, const char *const *arguments)
{
    const char *argv[RIG_ARGUMENTS_MAX + 9] = {"engram", "serve",       "-e",           r->engram,
                                               "--listen", "127.0.0.1:0", "--access-log", r->log};
    size_t count = 8;
    int ends[2];
    fill_arguments(argv, &count, arguments);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    r->pid = fork();
    if (r->pid == 0)
        run_program(r, argv, ends[1]);
    close(ends[1]);
    r->output = ends[0];
    read_output(r);
}

void rig_init(rig *r, const char *const *arguments)
{
    rig_make(r);
    rig_start(r, arguments);
}

void rig_signal(rig *r, int number)
{
    assert_int_equal(kill(r->pid, number), 0);
}

int rig_wait(rig *r)
{
    int status;
    assert_int_equal(waitpid(r->pid, &status, 0), r->pid);
    close(r->output);
    r->pid = 0;
    r->output = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

void rig_kill(rig *r)
{
    rig_signal(r, SIGKILL);
    assert_int_equal(rig_wait(r), 256 + SIGKILL);
}

void rig_fini(rig *r)
{
    if (r->pid != 0) {
        rig_signal(r, SIGTERM);
        assert_int_equal(rig_wait(r), 0);
    }
    temp_dir_fini(&r->temp);
}

const char *rig_write_file(rig *r, const char *name, const char *text, char path[700])
{
    snprintf(path, 700, "%s/%s", r->temp.path, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    return path;
}

/* ---- a client ---- */

int rig_connect(rig *r)
{
    const struct sockaddr_in at = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)r->port),
                                   .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    assert_true(fd >= 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

int rig_connect_unix(rig *r)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    assert_true(strlen(r->unix_path) < sizeof at.sun_path);
    memcpy(at.sun_path, r->unix_path, strlen(r->unix_path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

bool rig_send(int fd, const void *bytes, size_t size)
{
    const char *at = bytes;
    while (size != 0) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return false;
        at += sent;
        size -= (size_t)sent;
    }
    return true;
}

bool rig_send_text(int fd, const char *text)
{
    return rig_send(fd, text, strlen(text));
}

/* 0: the end, also by a reset. */
static size_t receive_some(int fd, void *bytes, size_t size)
{
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    if (poll(&waiting, 1, PATIENCE_MS) <= 0)
        fail_msg("a minute without a byte from the server");
    ssize_t got = recv(fd, bytes, size, 0);
    return got > 0 ? (size_t)got : 0;
}

/* One byte at a time: what comes behind a reply is the next one. */
static bool receive_head(int fd, rig_reply *reply)
{
    size_t size = 0;
    while (size < sizeof reply->head - 1) {
        if (receive_some(fd, reply->head + size, 1) == 0)
            return false;
        reply->head[++size] = 0;
        if (size >= 4 && strcmp(reply->head + size - 4, "\r\n\r\n") == 0)
            return true;
    }
    return false;
}

const char *rig_header(const rig_reply *reply, const char *name, char value[256])
{
    size_t size = strlen(name);
    value[0] = 0;
    for (const char *line = strstr(reply->head, "\r\n"); line != NULL;
         line = strstr(line + 2, "\r\n"))
        if (strncasecmp(line + 2, name, size) == 0 && line[2 + size] == ':')
            snprintf(value, 256, "%.*s", (int)strcspn(line + 4 + size, "\r"), line + 4 + size);
    return value;
}

/* malloc: a test may let eg_alloc fail, for the server beside it. */
static void receive_body(int fd, bool has_body, rig_reply *reply)
{
    char text[256];
    uint64_t left = has_body ? strtoull(rig_header(reply, "Content-Length", text), NULL, 10) : 0;
    uint8_t *bytes = malloc((size_t)left + 1);
    assert_non_null(bytes);
    reply->body = (eg_buffer){.data = bytes, .capacity = (size_t)left + 1};
    while (left != 0) {
        size_t got = receive_some(fd, bytes + reply->body.size, (size_t)left);
        reply->is_cut = got == 0;
        if (got == 0)
            break;
        reply->body.size += got;
        left -= got;
    }
    bytes[reply->body.size] = 0;
}

void rig_receive(int fd, bool head_only, rig_reply *reply)
{
    do {
        *reply = (rig_reply){0};
        if (!receive_head(fd, reply))
            return;
        assert_int_equal(sscanf(reply->head, "HTTP/1.1 %d", &reply->status), 1);
    } while (reply->status == 100);
    bool has_body = !head_only && reply->status != 204 && reply->status != 304;
    receive_body(fd, has_body, reply);
}

void rig_reply_fini(rig_reply *reply)
{
    free(reply->body.data);
    reply->body = (eg_buffer){0};
}

void rig_ask_on(int fd, const char *what, const char *headers, const void *body, size_t size,
                rig_reply *reply)
{
    char head[8192], length[64] = "";
    if (body != NULL)
        snprintf(length, sizeof length, "Content-Length: %zu\r\n", size);
    snprintf(head, sizeof head, "%s HTTP/1.1\r\nHost: localhost\r\n%s%s\r\n", what,
             headers != NULL ? headers : "", length);
    bool sent = rig_send_text(fd, head) && (body == NULL || rig_send(fd, body, size));
    (void)sent; /* a refusal may come before all is sent */
    rig_receive(fd, strncmp(what, "HEAD", 4) == 0, reply);
}

void rig_ask(rig *r, const char *what, const char *headers, const char *body, rig_reply *reply)
{
    int fd = rig_connect(r);
    rig_ask_on(fd, what, headers, body, body != NULL ? strlen(body) : 0, reply);
    close(fd);
}

void rig_expect(rig *r, const char *what, const char *headers, const char *body, int status,
                const char *text)
{
    rig_reply reply;
    rig_ask(r, what, headers, body, &reply);
    if (reply.status != status)
        fail_msg("%s: %d instead of %d: %s", what, reply.status, status,
                 reply.body.data != NULL ? (const char *)reply.body.data : "");
    if (text != NULL && strstr((const char *)reply.body.data, text) == NULL)
        fail_msg("%s: the reply has no '%s' in it: %s", what, text, (const char *)reply.body.data);
    rig_reply_fini(&reply);
}

double rig_metric(rig *r, const char *name)
{
    rig_reply reply;
    char line[128];
    rig_ask(r, "GET /metrics", NULL, NULL, &reply);
    assert_int_equal(reply.status, 200);
    snprintf(line, sizeof line, "\n%s ", name);
    const char *at = strstr((const char *)reply.body.data, line);
    if (at == NULL)
        fail_msg("there is no figure %s", name);
    double value = strtod(at + strlen(line), NULL);
    rig_reply_fini(&reply);
    return value;
}

void rig_fill(void *bytes, size_t size, uint64_t seed)
{
    uint8_t *at = bytes;
    for (uint64_t state = seed * 0x9E3779B97F4A7C15u + 1; size-- != 0; at++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *at = (uint8_t)(state >> 32);
    }
}
