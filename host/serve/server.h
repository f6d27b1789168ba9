/* The server: an engram over HTTP, for as long as one process has it open.
 *
 * It listens from open on, and then answers only for its own state (/healthz, /readyz, /metrics); eg_server_ready gives
 * it the engram, and everything is served. eg_server_drain ends that in good order: no new connections, idle ones are
 * closed, requests that have begun are finished. What it does not do: decide about signals, open engrams or devices. */
#ifndef EG_SERVE_SERVER_H
#define EG_SERVE_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "engram/core.h"
#include "search/query.h"

typedef struct eg_server eg_server;

typedef struct eg_server_config { /* strings are lent for as long as the server lives; zero: the default */
    const char *listen;          /* "ADDRESS:PORT", "[ADDRESS]:PORT", port 0: any that is free; NULL or "": not over TCP */
    const char *unix_path;       /* a socket; NULL: none */
    const char *token_file;      /* tokens, one a line, that may do everything; NULL: none */
    const char *read_token_file; /* tokens that may only read */
    const char *access_log;      /* a file, "-": standard error, "none" */
    bool no_auth;                /* no tokens, although others than this machine can reach it */
    uint32_t threads;            /* that talk to clients; 0: one for each core, 4 at most */
    uint32_t workers;            /* that compute and commit; 0: 64 */
    uint32_t queue_max;          /* requests that wait for a worker; 0: 1,024 */
    uint32_t connections_max;    /* 0: 4,096 */
    uint32_t connections_per_address; /* 0: 2,048 */
    uint64_t header_size;        /* most bytes of a request's head; 0: 16 KiB */
    uint64_t body_size;          /* most bytes of a request's body; 0: 64 GiB */
    uint64_t buffers_size;       /* of pieces of bodies and replies, in all; 0: 128 MiB */
    uint64_t event_buffer;       /* bytes of changes kept for clients that lag; 0: 16 MiB */
    uint32_t header_s;           /* seconds for a request's head; 0: 10 */
    uint32_t stall_s;            /* seconds that a body or a reply may lag behind rate_min; 0: 20 */
    uint64_t rate_min;           /* bytes a second; 0: 1 KiB */
    uint32_t idle_s;             /* seconds until a connection without a request is closed; 0: 60 */
    uint32_t drain_s;            /* seconds for requests that have begun, when it ends; 0: 30 */
} eg_server_config;

/* ENGRAM_INVALID: an address, a token file; ENGRAM_IO: the address is taken. */
engram_status eg_server_open(const eg_server_config *config, eg_server **server, engram_error *error);
/* "http://127.0.0.1:7373", or "unix:PATH"; lent. */
const char *eg_server_address(const eg_server *server);
/* All lent until close. searcher: its vectors are resident. */
void eg_server_ready(eg_server *server, eg_engram *engram, eg_device *device, eg_searcher *searcher);
/* Reads token files again and opens the access log anew. On failure the tokens stay as they were. */
engram_status eg_server_reload(eg_server *server, engram_error *error);
/* Returns when no request is under way, when drain_s are over, or when enough (may be NULL), which is asked ten times a
 * second, says so. */
void eg_server_drain(eg_server *server, bool (*enough)(void *context), void *context);
/* Cuts what is left; every handler has ended when it returns. NULL is fine. */
void eg_server_close(eg_server **server);

#endif
