/* engram serve: an engram over HTTP, until a signal ends it. */
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "serve/config.h"
#include "serve/server.h"

enum { CONFIG_SIZE_MAX = 1 << 20, SECONDS_MAX = 86400, END_S = 5 };

static const eg_option options[] = {
    {"listen", 0, "ADDR:PORT", "where to listen; default 127.0.0.1:7373; port 0: any"},
    {"unix", 0, "PATH", "a socket to listen on too, or alone with --listen ''"},
    {"token-file", 0, "FILE", "tokens, one a line, of clients that may do everything"},
    {"read-token-file", 0, "FILE", "tokens of clients that may only read"},
    {"no-auth", 0, NULL, "no tokens, although other machines can reach the address"},
    {"config", 0, "FILE", "settings: lines as 'listen = 127.0.0.1:7373'"},
    {"access-log", 0, "FILE", "a JSON line for each request; -: standard error; none"},
    {"http-threads", 0, "N", "threads that talk to clients"},
    {"workers", 0, "N", "threads that read, compute and commit; default 64"},
    {"queue", 0, "N", "requests that may wait for one; default 1024"},
    {"connections", 0, "N", "most connections; default 4096"},
    {"connections-per-address", 0, "N", "of them from one address; default 2048"},
    {"header-size", 0, "SIZE", "most bytes of a request's head; default 16K"},
    {"body-size", 0, "SIZE", "most bytes of a request's body; default 64G"},
    {"buffers", 0, "SIZE", "memory for pieces of bodies and replies; default 128M"},
    {"event-buffer", 0, "SIZE", "changes kept for clients of the stream that lag; default 16M"},
    {"header-timeout", 0, "TIME", "for a request's head; default 10s"},
    {"stall-timeout", 0, "TIME", "that a body or reply may lag behind --min-rate; default 20s"},
    {"min-rate", 0, "SIZE", "bytes a second that a client must keep to; default 1K"},
    {"idle-timeout", 0, "TIME", "between two requests of a connection; default 60s"},
    {"drain-timeout", 0, "TIME", "for requests under way when it ends; default 30s"},
    {"batch-max", 0, "N", "most queries in a batch of the device; 1: no batches; default 64"},
    {"batch-delay", 0, "US", "most microseconds a batch waits for those expected; 0: none; default 5000"},
    EG_OPTION_DURABILITY,
    {0},
};

/* ---- configuration ---- */

typedef struct config_file {
    eg_cli *cli;
    const char *path;
} config_file;

static engram_status take_setting(void *context, const char *name, const char *value, size_t line,
                                  engram_error *error)
{
    const config_file *file = context;
    engram_error inner = {0};
    engram_status status = eg_options_add(file->cli, name, value, &inner);
    return status == ENGRAM_OK
               ? ENGRAM_OK
               : eg_fail(error, status, "line %zu: %s", line, inner.message);
}

static engram_status read_config(eg_cli *cli, engram_error *error)
{
    config_file file = {cli, eg_option_text(cli, "config")};
    uint8_t *text = NULL;
    size_t size = 0;
    engram_error inner = {0};
    if (file.path == NULL)
        return ENGRAM_OK;
    EG_TRY(eg_io_read_file(eg_io_posix(), file.path, CONFIG_SIZE_MAX, &text, &size, error));
    engram_status status = eg_config_parse((const char *)text, size, take_setting, &file, &inner);
    eg_free(text);
    return status == ENGRAM_OK ? ENGRAM_OK
                               : eg_fail(error, status, "%s, %s", file.path, inner.message);
}

static engram_status read_count(const eg_cli *cli, const char *name, uint64_t most, uint32_t *count,
                                engram_error *error)
{
    uint64_t number = *count;
    EG_TRY(eg_option_number(cli, name, 1, most, &number, error));
    *count = (uint32_t)number;
    return ENGRAM_OK;
}

static engram_status read_seconds(const eg_cli *cli, const char *name, uint32_t *seconds,
                                  engram_error *error)
{
    uint64_t number = *seconds;
    if (eg_option_text(cli, name) == NULL)
        return ENGRAM_OK;
    EG_TRY(eg_option_duration(cli, name, &number, error));
    if (number < 1 || number > SECONDS_MAX)
        return eg_fail(error, ENGRAM_INVALID, "--%s: 1s to %ds is expected", name, SECONDS_MAX);
    *seconds = (uint32_t)number;
    return ENGRAM_OK;
}

static engram_status read_limits(const eg_cli *cli, eg_server_config *c, engram_error *error)
{
    EG_TRY(read_count(cli, "http-threads", 64, &c->threads, error));
    EG_TRY(read_count(cli, "workers", 1024, &c->workers, error));
    EG_TRY(read_count(cli, "queue", 1 << 20, &c->queue_max, error));
    EG_TRY(read_count(cli, "connections", 1 << 20, &c->connections_max, error));
    EG_TRY(read_count(cli, "connections-per-address", 1 << 20, &c->connections_per_address, error));
    EG_TRY(eg_option_size(cli, "header-size", &c->header_size, error));
    EG_TRY(eg_option_size(cli, "body-size", &c->body_size, error));
    EG_TRY(eg_option_size(cli, "buffers", &c->buffers_size, error));
    EG_TRY(eg_option_size(cli, "event-buffer", &c->event_buffer, error));
    EG_TRY(eg_option_size(cli, "min-rate", &c->rate_min, error));
    EG_TRY(read_seconds(cli, "header-timeout", &c->header_s, error));
    EG_TRY(read_seconds(cli, "stall-timeout", &c->stall_s, error));
    EG_TRY(read_seconds(cli, "idle-timeout", &c->idle_s, error));
    return read_seconds(cli, "drain-timeout", &c->drain_s, error);
}

static engram_status read_server(const eg_cli *cli, eg_server_config *c, engram_error *error)
{
    const char *listen = eg_option_text(cli, "listen");
    *c = (eg_server_config){.listen = listen != NULL ? listen : "127.0.0.1:7373",
                            .unix_path = eg_option_text(cli, "unix"),
                            .token_file = eg_option_text(cli, "token-file"),
                            .read_token_file = eg_option_text(cli, "read-token-file"),
                            .access_log = eg_option_text(cli, "access-log"),
                            .no_auth = eg_option_flag(cli, "no-auth")};
    return read_limits(cli, c, error);
}

/* ---- telling ---- */

static void say_line(eg_cli *cli, const char *what, const char *address)
{
    json_t *line = json_object();
    cli->said_raw = true;
    if (cli->json) {
        eg_json_put(line, what, json_string(address));
        json_dumpf(line, stdout, JSON_COMPACT);
        fputc('\n', stdout);
    } else if (!cli->quiet) {
        printf("%s %s\n", what, address);
    }
    fflush(stdout);
    json_decref(line);
}

/* The protocol of sd_notify: a datagram to the socket that the service manager names. */
static void notify_manager(const char *text)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    size_t size = path != NULL ? strlen(path) : 0;
    if (size < 2 || size >= sizeof at.sun_path)
        return;
    memcpy(at.sun_path, path, size);
    if (*path == '@')
        at.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    if (fd >= 0 && sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&at, length) < 0)
        eg_log(EG_LOG_WARNING, "the service manager at %s does not listen", path);
    if (fd >= 0)
        close(fd);
}

/* ---- running ---- */

/* Opening is not interrupted by the first signal: it is seen when all is ready, and ends the server in good order. */
static void block_signals(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    sigaddset(signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, signals, NULL);
}

static void reload(eg_cli *cli, eg_server *server)
{
    engram_error error = {0};
    if (eg_server_reload(server, &error) != ENGRAM_OK)
        eg_output_note(cli, "not reloaded: %s", error.message);
}

static void wait_for_end(eg_cli *cli, eg_server *server, const sigset_t *signals)
{
    int number = 0;
    while (sigwait(signals, &number) != 0 || number == SIGHUP)
        reload(cli, server);
}

static bool was_asked_again(void *context)
{
    const sigset_t *signals = context;
    const struct timespec at_once = {0};
    int number = sigtimedwait(signals, NULL, &at_once);
    return number == SIGTERM || number == SIGINT;
}

/* A query of nothing much: afterwards kernels have run once and all vectors are where queries look. */
static engram_status warm_up(eg_cli *cli, eg_searcher *searcher, engram_error *error)
{
    static const uint8_t text[] = "the first query of a server, which nobody asked";
    const eg_query_options one = {.k = 1, .min = -1, .estimate_only = true};
    eg_query_result result = {0};
    eg_version version;
    EG_TRY(eg_engram_pin(cli->engram, &version, error));
    engram_status status =
        eg_searcher_query(searcher, &version, text, sizeof text, &one, &result, error);
    eg_query_result_fini(&result);
    eg_version_release(&version);
    return status;
}

/* How queries that come at the same time are merged. */
static engram_status read_batching(const eg_cli *cli, eg_batcher_options *o, engram_error *error)
{
    uint64_t delay_us = 5000;
    *o = (eg_batcher_options){.queries_max = 64};
    EG_TRY(read_count(cli, "batch-max", 4096, &o->queries_max, error));
    EG_TRY(eg_option_number(cli, "batch-delay", 0, 1000000, &delay_us, error));
    o->chunks_max = o->queries_max == 1 ? 1 : 0;
    o->delay_max_us = (uint32_t)delay_us;
    o->never_waits = delay_us == 0 || o->queries_max == 1;
    return ENGRAM_OK;
}

static engram_status open_all(eg_cli *cli, const eg_batcher_options *batching,
                              eg_searcher **searcher, engram_error *error)
{
    EG_TRY(eg_cli_open(cli, false, error));
    EG_TRY(eg_cli_open_device(cli, error));
    EG_TRY(eg_searcher_create_batching(cli->engram, cli->device, batching, searcher, error));
    return warm_up(cli, *searcher, error);
}

/* Work that nobody can stop, such as zeros by the gigabyte, does not keep a server that is to end: it is as after kill -9. */
static void give_up(int number)
{
    static const char text[] = "engram: requests under way do not end: ended without them; what was answered is stored\n";
    (void)number;
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
        _exit(1);
    _exit(1);
}

static engram_status serve(eg_cli *cli, const eg_server_config *config,
                           const eg_batcher_options *batching, engram_error *error)
{
    sigset_t signals;
    eg_server *server = NULL;
    eg_searcher *searcher = NULL;
    block_signals(&signals);
    EG_TRY(eg_server_open(config, &server, error));
    say_line(cli, "listening", eg_server_address(server));
    engram_status status = open_all(cli, batching, &searcher, error);
    if (status == ENGRAM_OK) {
        eg_server_ready(server, cli->engram, cli->device, searcher);
        say_line(cli, "ready", eg_server_address(server));
        notify_manager("READY=1");
        wait_for_end(cli, server, &signals);
        notify_manager("STOPPING=1");
        eg_server_drain(server, was_asked_again, &signals);
    }
    signal(SIGALRM, give_up);
    alarm(END_S);
    eg_server_close(&server);
    alarm(0);
    eg_searcher_free(searcher);
    return status;
}

static engram_status run(eg_cli *cli, engram_error *error)
{
    eg_server_config config;
    eg_batcher_options batching;
    const char *dir;
    EG_TRY(read_config(cli, error));
    EG_TRY(eg_cli_dir(cli, &dir, error));
    EG_TRY(read_server(cli, &config, error));
    EG_TRY(read_batching(cli, &batching, error));
    return serve(cli, &config, &batching, error);
}

const eg_command eg_command_serve = {
    .name = "serve",
    .operands = "",
    .summary = "Serve an engram over HTTP",
    .details =
        "Has the engram open, so that no other process writes to it, and answers requests until "
        "SIGTERM or\n"
        "SIGINT: then requests under way are finished, all is committed, and it ends with 0. "
        "SIGHUP reads the\n"
        "token files again and opens the access log anew.\n"
        "  GET, HEAD, PUT, DELETE /v1/files/PATH   with ETag, If-Match, Range, ?at=WHEN\n"
        "  GET /v1/files/?prefix=DIR               what is below, with the conditions of 'engram "
        "ls'\n"
        "  POST /v1/query /v1/query/batch /v1/vectors   what is stored that is like the body\n"
        "  POST /v1/transactions   operations, all or nothing\n"
        "  GET, POST, DELETE /v1/snapshots; GET /v1/log/PATH /v1/diff?from=WHEN; POST /v1/rollback?to=WHEN\n"
        "  GET /v1/events          every change as it is committed, as server-sent events\n"
        "  GET /   a page for people;  GET /v1/openapi.json   all of this, described\n"
        "  GET /v1/info /v1/versions /v1/devices /metrics /healthz /readyz\n"
        "It listens on this machine alone unless told otherwise, and then wants tokens. Every "
        "option but\n"
        "--config can stand in the configuration file; arguments and variables win over it.\n",
    .examples = "  engram serve -e my.engram\n"
                "  engram serve -e my.engram --listen 0.0.0.0:7373 --token-file tokens\n"
                "  engram serve --config /etc/engram/serve.ini\n"
                "  curl -T plan.txt http://127.0.0.1:7373/v1/files/notes/plan.txt\n",
    .options = options,
    .run = run,
};
