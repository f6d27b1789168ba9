/* struct eg_server, for the files that are the server. */
#ifndef EG_SERVE_INTERNAL_H
#define EG_SERVE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "serve/access_log.h"
#include "serve/deadlines.h"
#include "serve/events.h"
#include "serve/metrics.h"
#include "serve/server.h"
#include "serve/tokens.h"
#include "serve/workers.h"

typedef enum eg_server_state { EG_SERVER_STARTING, EG_SERVER_READY, EG_SERVER_DRAINING } eg_server_state;

struct MHD_Daemon;

enum { EG_SERVER_DEVICES_MAX = 64 };

struct eg_server {
    eg_server_config config; /* without zeros */
    _Atomic(eg_server_state) state;
    atomic_bool is_ending;   /* who comes now is turned away */
    eg_engram *engram;       /* these five: set before state is READY */
    eg_device *device;
    eg_searcher *searcher;
    eg_device_info devices[EG_SERVER_DEVICES_MAX]; /* of this machine */
    size_t device_count;
    struct MHD_Daemon *tcp, *local;
    int tcp_fd, local_fd;    /* listening; -1: none */
    char address[128];
    char host[64];           /* of address, without the port */
    bool is_open;            /* no tokens are asked for */
    eg_tokens *tokens;
    eg_workers *workers;
    eg_events *events;
    eg_deadlines *deadlines;
    eg_access_log *access_log;
    eg_serve_metrics metrics;
    uint64_t start_ns;
    atomic_uint_fast64_t buffers_used;
    atomic_uint_fast64_t requests_active;
};

/* Counts size bytes of buffers; false when that would be more than the configuration allows. */
bool eg_server_take_buffer(eg_server *server, size_t size);
void eg_server_give_buffer(eg_server *server, size_t size);

/* listen.c */
engram_status eg_listen_tcp(const char *text, int *fd, bool *is_local, char address[128], char host[64], engram_error *error);
engram_status eg_listen_unix(const char *path, int *fd, engram_error *error);

#endif
