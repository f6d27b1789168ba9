#include "serve/inside.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>

#include "base/io.h"
#include "compute/device_parts.h"

#define need_ok(call)                                                                              \
    do {                                                                                           \
        engram_error need_error = {0}, *E = &need_error;                                           \
        if ((call) != ENGRAM_OK)                                                                   \
            fail_msg("%s: %s", #call, need_error.message);                                         \
    } while (0)

void inside_make(inside *s)
{
    *s = (inside){0};
    rig_make(&s->rig);
}

static void open_device(inside *s, eg_backend *backend)
{
    const eg_device_info info = {.spec = "test:0", .backend = "test", .name = "TEST"};
    const eg_plan plan = eg_plan_all();
    if (backend == NULL)
        need_ok(eg_device_open("scalar", NULL, &s->device, E));
    else
        need_ok(eg_device_create(backend, &plan, &info, 0, NULL, &s->device, E));
}

void inside_start(inside *s, eg_backend *backend)
{
    const eg_server_config config = {.listen = "127.0.0.1:0",
                                     .access_log = s->rig.log,
                                     .threads = 2,
                                     .workers = 8,
                                     .drain_s = 20};
    const eg_engram_options options = {.journal_file_size = 4 << 20};
    need_ok(eg_engram_open(eg_io_posix(), s->rig.engram, &options, &s->engram, E));
    open_device(s, backend);
    need_ok(eg_searcher_create(s->engram, s->device, &s->searcher, E));
    need_ok(eg_server_open(&config, &s->server, E));
    eg_server_ready(s->server, s->engram, s->device, s->searcher);
    s->rig.port = (unsigned)atoi(strrchr(eg_server_address(s->server), ':') + 1);
}

void inside_stop(inside *s)
{
    eg_server_drain(s->server, NULL, NULL);
    eg_server_close(&s->server);
    eg_searcher_free(s->searcher);
    s->searcher = NULL;
    eg_device_close(&s->device);
    eg_engram_close(&s->engram, NULL);
}

void inside_fini(inside *s)
{
    if (s->server != NULL)
        inside_stop(s);
    rig_fini(&s->rig);
}

size_t inside_descriptors(void)
{
    size_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}
