/* Listening sockets. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "serve/internal.h"

enum { BACKLOG = 1024 };

static engram_status bad_address(const char *text, engram_error *error)
{
    return eg_fail(error, ENGRAM_INVALID,
                   "--listen %s: an address and a port are expected, as 127.0.0.1:7373 or "
                   "[::1]:7373",
                   text);
}

/* Addresses only: a name could mean another machine tomorrow. */
static engram_status resolve(const char *text, struct addrinfo **found, char host[64],
                             engram_error *error)
{
    const char *colon = strrchr(text, ':');
    size_t size = colon != NULL ? (size_t)(colon - text) : 0;
    if (size == 0 || size >= 60 || colon[1] == 0 || strlen(colon + 1) > 5 ||
        colon[1 + strspn(colon + 1, "0123456789")] != 0 || atoi(colon + 1) > 65535)
        return bad_address(text, error);
    bool bracketed = text[0] == '[' && text[size - 1] == ']';
    char address[64];
    snprintf(address, sizeof address, "%.*s", (int)(bracketed ? size - 2 : size),
             bracketed ? text + 1 : text);
    if (strcmp(address, "localhost") == 0)
        snprintf(address, sizeof address, "127.0.0.1");
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE};
    if (getaddrinfo(address, colon + 1, &hints, found) != 0)
        return bad_address(text, error);
    snprintf(host, 64, bracketed ? "[%s]" : "%s", address);
    return ENGRAM_OK;
}

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

static unsigned port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        return 0;
    return address.ss_family == AF_INET ? ntohs(((struct sockaddr_in *)&address)->sin_port)
                                        : ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
}

engram_status eg_listen_tcp(const char *text, int *fd, bool *is_local, char address[128],
                            char host[64], engram_error *error)
{
    struct addrinfo *found = NULL;
    int on = 1;
    EG_TRY(resolve(text, &found, host, error));
    *is_local = is_loopback(found->ai_addr);
    *fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool listens = *fd >= 0 && setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                   bind(*fd, found->ai_addr, found->ai_addrlen) == 0 && listen(*fd, BACKLOG) == 0;
    int failed = listens ? 0 : errno;
    freeaddrinfo(found);
    if (failed != 0)
        return eg_fail_os(error, failed, "%s cannot be listened on", text);
    snprintf(address, 128, "http://%s:%u", host, port_of(*fd));
    return ENGRAM_OK;
}

/* A socket that a process left behind is replaced; one that somebody answers on is not. */
static engram_status clear_socket(const struct sockaddr_un *at, engram_error *error)
{
    struct stat there;
    if (lstat(at->sun_path, &there) != 0)
        return ENGRAM_OK;
    if (!S_ISSOCK(there.st_mode))
        return eg_fail(error, ENGRAM_EXISTS, "--unix %s: there is something that is no socket",
                       at->sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool answers = fd >= 0 && connect(fd, (const struct sockaddr *)at, sizeof *at) == 0;
    if (fd >= 0)
        close(fd);
    if (answers)
        return eg_fail(error, ENGRAM_BUSY, "--unix %s: another process serves there", at->sun_path);
    return unlink(at->sun_path) == 0
               ? ENGRAM_OK
               : eg_fail_os(error, errno, "--unix %s: cannot be removed", at->sun_path);
}

engram_status eg_listen_unix(const char *path, int *fd, engram_error *error)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof at.sun_path)
        return eg_fail(error, ENGRAM_INVALID, "--unix %s: a socket's path has at most %zu bytes",
                       path, sizeof at.sun_path - 1);
    memcpy(at.sun_path, path, strlen(path) + 1);
    EG_TRY(clear_socket(&at, error));
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool listens = *fd >= 0 && bind(*fd, (struct sockaddr *)&at, sizeof at) == 0 &&
                   chmod(path, 0660) == 0 && listen(*fd, BACKLOG) == 0;
    return listens ? ENGRAM_OK : eg_fail_os(error, errno, "--unix %s: cannot be listened on", path);
}
