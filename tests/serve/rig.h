/* The program as a server in a process of its own, with an engram in a temporary directory, and a client that writes what
 * it likes to a socket. */
#ifndef EG_TESTS_SERVE_RIG_H
#define EG_TESTS_SERVE_RIG_H

#include <stdbool.h>
#include <string.h>
#include <sys/types.h>

#include "base/bytes.h"
#include "base/temp_dir.h"
#include "base/test.h"

enum { RIG_ARGUMENTS_MAX = 24 };

typedef struct rig {
    temp_dir temp;
    char engram[600], log[600], unix_path[600];
    pid_t pid;      /* 0: not running */
    int output;     /* its standard output */
    unsigned port;
} rig;

/* Makes an engram, and starts a server for it on a free port. arguments: more of them, ends with NULL; may be NULL. */
void rig_init(rig *r, const char *const *arguments);
void rig_make(rig *r); /* the engram alone */
void rig_start(rig *r, const char *const *arguments);
/* Runs the program and returns its exit code; what it says goes to the rig's folder, as "said". */
int rig_run(rig *r, const char *const *arguments);
void rig_signal(rig *r, int number);
/* The exit code, or 256 + the signal that ended it. */
int rig_wait(rig *r);
void rig_kill(rig *r);
/* SIGTERM, must end with 0; removes all. */
void rig_fini(rig *r);
/* A file in the rig's folder. */
const char *rig_write_file(rig *r, const char *name, const char *text, char path[700]);

/* ---- a client ---- */

int rig_connect(rig *r);
int rig_connect_unix(rig *r);
/* False when the other side is gone. */
bool rig_send(int fd, const void *bytes, size_t size);
bool rig_send_text(int fd, const char *text);

typedef struct rig_reply {
    int status;     /* 0: the connection was closed without a whole reply */
    char head[8192];
    eg_buffer body; /* followed by a zero byte that size does not count */
    bool is_cut;    /* closed before the end of the body */
} rig_reply;
/* Waits for a reply and reads it. head_only: of a HEAD request. */
void rig_receive(int fd, bool head_only, rig_reply *reply);
void rig_reply_fini(rig_reply *reply);
/* The value of a header, in lent memory of the reply; "" when it is not there. */
const char *rig_header(const rig_reply *reply, const char *name, char value[256]);

/* One request on a connection: method and target, more header lines (each with its \r\n; may be NULL), and a body. */
void rig_ask_on(int fd, const char *what, const char *headers, const void *body, size_t size, rig_reply *reply);
/* The same on a connection of its own. */
void rig_ask(rig *r, const char *what, const char *headers, const char *body, rig_reply *reply);
/* The same, which must have this status, and, unless it is NULL, this text in its body. */
void rig_expect(rig *r, const char *what, const char *headers, const char *body, int status, const char *text);
/* The value of a figure of /metrics. */
double rig_metric(rig *r, const char *name);

/* Seeded bytes that do not repeat. */
void rig_fill(void *bytes, size_t size, uint64_t seed);

#endif
