/* The server in the test's own process, so that memory and devices can fail under it. Its clients are those of rig.h. */
#ifndef EG_TESTS_SERVE_INSIDE_H
#define EG_TESTS_SERVE_INSIDE_H

#include "search/query.h"
#include "serve/rig.h"
#include "serve/server.h"

typedef struct inside {
    rig rig; /* the folder, and the port for clients; no process */
    eg_engram *engram;
    eg_device *device;
    eg_searcher *searcher;
    eg_server *server;
} inside;

void inside_make(inside *s); /* an engram alone */
/* Opens all. backend: the device that is lost, lies, ...; taken; NULL: the scalar kernels. */
void inside_start(inside *s, eg_backend *backend);
/* Ends as SIGTERM does, and closes the engram. */
void inside_stop(inside *s);
void inside_fini(inside *s);

/* Descriptors that this process has open. */
size_t inside_descriptors(void);

#endif
