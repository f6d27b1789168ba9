/* Any bytes as what a client sends on a connection, to a server in this process: it never fails
 * (5xx, but for 505), and serves the next one. A client that gets nothing for a while goes away:
 * most bytes are no whole request, for whose rest the server waits as long as its deadlines say.
 *
 * Left out is what takes its time rightly: streams of changes, and files made of zeros by the
 * terabyte. */
#include "fuzz/fuzz.h"

#include <ftw.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "base/temp_dir.h"
#include "report/report.h"
#include "serve/server.h"

enum { SILENCE_MS = 20, PATIENCE_MS = 20000 };

static temp_dir temp;
static char socket_path[600];
static eg_engram *engram;
static eg_device *device;
static eg_searcher *searcher;
static eg_server *server;

static void stop(void)
{
    eg_server_close(&server);
    eg_searcher_free(searcher);
    eg_device_close(&device);
    eg_engram_close(&engram, NULL);
    temp_dir_fini(&temp);
}

static void fill(void)
{
    engram_transaction *t = NULL;
    static const char text[] = "what is there from the beginning";
    FUZZ_CHECK(engram_begin(engram, NULL, &t, NULL) == ENGRAM_OK);
    FUZZ_CHECK(engram_mkdir(t, "d", 0755, NULL) == ENGRAM_OK);
    FUZZ_CHECK(engram_write(t, "d/f", text, sizeof text, NULL, NULL) == ENGRAM_OK);
    FUZZ_CHECK(engram_commit(&t, NULL, NULL) == ENGRAM_OK);
}

static void start(void)
{
    char dir[600];
    const eg_engram_options options = {.journal_file_size = 1 << 20};
    signal(SIGPIPE, SIG_IGN);
    eg_log_set_level(EG_LOG_ERROR);
    FUZZ_CHECK(temp_dir_init(&temp) == 0);
    snprintf(dir, sizeof dir, "%s/e.engram", temp.path);
    snprintf(socket_path, sizeof socket_path, "%s/socket", temp.path);
    const eg_server_config config = {.unix_path = socket_path,
                                     .access_log = "none",
                                     .threads = 1,
                                     .workers = 2,
                                     .header_s = 1,
                                     .stall_s = 1};
    FUZZ_CHECK(eg_engram_create(eg_io_posix(), dir, &eg_engram_config_default, NULL) == ENGRAM_OK);
    FUZZ_CHECK(eg_engram_open(eg_io_posix(), dir, &options, &engram, NULL) == ENGRAM_OK);
    fill();
    FUZZ_CHECK(eg_device_open("scalar", NULL, &device, NULL) == ENGRAM_OK);
    FUZZ_CHECK(eg_searcher_create(engram, device, &searcher, NULL) == ENGRAM_OK);
    FUZZ_CHECK(eg_server_open(&config, &server, NULL) == ENGRAM_OK);
    eg_server_ready(server, engram, device, searcher);
    atexit(stop);
}

static int connect_to_it(void)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(at.sun_path, sizeof at.sun_path, "%.100s", socket_path);
    FUZZ_CHECK(fd >= 0 && connect(fd, (const struct sockaddr *)&at, sizeof at) == 0);
    return fd;
}

/* The beginning of what comes back, until the server closes or is silent. */
static void talk(const void *bytes, size_t size, int patience_ms, char head[64])
{
    static char rest[64 << 10];
    size_t got_size = 0;
    int fd = connect_to_it();
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    for (size_t at = 0; at < size;) {
        ssize_t sent = send(fd, (const char *)bytes + at, size - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent <= 0)
            break; /* a refusal may come before all is sent */
        at += (size_t)sent;
    }
    shutdown(fd, SHUT_WR);
    while (poll(&waiting, 1, patience_ms) == 1) {
        ssize_t got = recv(fd, rest, sizeof rest, 0);
        if (got <= 0)
            break;
        size_t room = 63 - got_size, take = (size_t)got < room ? (size_t)got : room;
        memcpy(head + got_size, rest, take);
        got_size += take;
    }
    head[got_size] = 0;
    close(fd);
}

static int status_of(const char *head)
{
    return strncmp(head, "HTTP/1.", 7) == 0 && strlen(head) > 12 ? atoi(head + 9) : 0;
}

static bool has(const uint8_t *data, size_t size, const char *word)
{
    return memmem(data, size, word, strlen(word)) != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char after[] =
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    char head[64];
    if (server == NULL)
        start();
    if (size == 0 || has(data, size, "events") || has(data, size, "truncate"))
        return 0;
    talk(data, size, SILENCE_MS, head);
    int status = status_of(head);
    FUZZ_CHECK(status < 500 || status == 505);
    talk(after, sizeof after - 1, PATIENCE_MS, head);
    FUZZ_CHECK(status_of(head) == 200);
    return 0;
}
