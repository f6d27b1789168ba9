/* What most commands begin with: the engram, a version of it, a device, an input. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "cli/cli.h"

enum { THREADS_MAX = 1024, READ_PIECE = 1 << 20 };

engram_status eg_cli_dir(const eg_cli *cli, const char **dir, engram_error *error)
{
    *dir = eg_option_text(cli, "engram");
    if (*dir == NULL || **dir == 0)
        return eg_fail(error, ENGRAM_INVALID,
                       "%s: which engram? Name it with -e DIR%s, or set ENGRAM_DIR",
                       cli->command->name, cli->command->is_remote ? " or --server URL" : "");
    return ENGRAM_OK;
}

engram_status eg_cli_memory(const eg_cli *cli, uint64_t *memory, engram_error *error)
{
    enum { LEAST = 96 << 20 };
    *memory = 256 << 20;
    EG_TRY(eg_option_size(cli, "memory", memory, error));
    if (*memory < LEAST)
        return eg_fail(error, ENGRAM_INVALID, "--memory: at least 96M are needed");
    return ENGRAM_OK;
}

engram_status eg_cli_open(eg_cli *cli, bool read_only, engram_error *error)
{
    const char *dir = NULL;
    uint64_t memory = 0;
    engram_durability durability;
    EG_TRY(eg_cli_dir(cli, &dir, error));
    EG_TRY(eg_cli_memory(cli, &memory, error));
    EG_TRY(eg_cli_durability(cli, &durability, error));
    const eg_engram_options options = {.read_only = read_only,
                                       .durability = durability,
                                       .cache_size = memory / 16,
                                       .dirty_size = memory / 8};
    return eg_engram_open(eg_io_posix(), dir, &options, &cli->engram, error);
}

engram_status eg_cli_pin(eg_cli *cli, eg_version *version, engram_error *error)
{
    return eg_engram_pin_at(cli->engram, eg_option_text(cli, "at"), version, error);
}

/* Whether -e, or --server, names an engram; as an argument: and is not only in the environment. */
static bool is_named(const eg_cli *cli, const char *name, bool as_argument)
{
    for (size_t i = 0; i < cli->setting_count; i++) {
        const eg_setting *s = &cli->settings[i];
        if (strcmp(s->option->name, name) == 0 && *s->value != 0 &&
            (s->is_argument || !as_argument))
            return true;
    }
    return false;
}

/* An argument says more than the environment. */
static engram_status find_server(const eg_cli *cli, bool *is_server, engram_error *error)
{
    bool server = is_named(cli, "server", false), directory = is_named(cli, "engram", false);
    if (server && directory) {
        server = is_named(cli, "server", true);
        directory = is_named(cli, "engram", true);
        if (server == directory)
            return eg_fail(error, ENGRAM_INVALID,
                           "%s: an engram is named twice: by -e (ENGRAM_DIR) and by --server "
                           "(ENGRAM_SERVER)",
                           cli->command->name);
    }
    *is_server = server;
    return ENGRAM_OK;
}

engram_status eg_cli_check_directory(const eg_cli *cli, const char *what, engram_error *error)
{
    bool is_server = false;
    if (!is_named(cli, "server", true) && is_named(cli, "engram", false))
        return ENGRAM_OK;
    EG_TRY(find_server(cli, &is_server, error));
    return !is_server ? ENGRAM_OK
                      : eg_fail(error, ENGRAM_INVALID,
                                "%s: does not work through a server, only on this machine's "
                                "directories: leave --server (ENGRAM_SERVER) out",
                                what);
}

engram_status eg_cli_check_place(const eg_cli *cli, engram_error *error)
{
    const eg_command *c = cli->command;
    bool fits = c->is_remote || (c->needs_none && !is_named(cli, "server", true));
    return fits ? ENGRAM_OK : eg_cli_check_directory(cli, c->name, error);
}

engram_status eg_cli_access(eg_cli *cli, bool read_only, engram_error *error)
{
    bool is_server = false;
    EG_TRY(find_server(cli, &is_server, error));
    if (!is_server) {
        EG_TRY(eg_cli_open(cli, read_only, error));
        return eg_access_open_local(cli->engram, &cli->access, error);
    }
    const eg_access_server server = {.url = eg_option_text(cli, "server"),
                                     .token_file = eg_option_text(cli, "token-file"),
                                     .cancel = &eg_signals_cancel};
    return eg_access_open_server(&server, &cli->access, error);
}

engram_status eg_cli_access_view(eg_cli *cli, eg_access_view **view, engram_error *error)
{
    EG_TRY(eg_cli_access(cli, true, error));
    return eg_access_pin(cli->access, eg_option_text(cli, "at"), view, error);
}

engram_status eg_cli_open_view(eg_cli *cli, engram_view **view, engram_error *error)
{
    EG_TRY(eg_cli_open(cli, true, error));
    return engram_pin_at(cli->engram, eg_option_text(cli, "at"), view, error);
}

engram_status eg_cli_durability(const eg_cli *cli, engram_durability *durability,
                                engram_error *error)
{
    static const char *const names[] = {
        [ENGRAM_DURABILITY_GROUP] = "group",
        [ENGRAM_DURABILITY_IMMEDIATE] = "immediate",
        [ENGRAM_DURABILITY_RELAXED] = "relaxed",
    };
    const char *text = eg_option_text(cli, "durability");
    *durability = ENGRAM_DURABILITY_DEFAULT;
    if (text == NULL)
        return ENGRAM_OK;
    for (size_t i = ENGRAM_DURABILITY_GROUP; i < sizeof names / sizeof *names; i++)
        if (strcmp(text, names[i]) == 0)
            *durability = (engram_durability)i;
    return *durability != ENGRAM_DURABILITY_DEFAULT
               ? ENGRAM_OK
               : eg_fail(error, ENGRAM_INVALID,
                         "--durability %s: group, immediate or relaxed is expected", text);
}

/* The nearest of path and its parents that is there, resolved. */
static bool resolve(const char *path, char resolved[PATH_MAX])
{
    char text[PATH_MAX];
    if ((size_t)snprintf(text, sizeof text, "%s", path) >= sizeof text)
        return false;
    for (char *end = text + strlen(text); realpath(text, resolved) == NULL; *end = 0) {
        while (end > text && *--end != '/')
            continue;
        if (end == text)
            return realpath(*text == '/' ? "/" : ".", resolved) != NULL;
    }
    return true;
}

engram_status eg_cli_check_output(const eg_cli *cli, const char *path, engram_error *error)
{
    struct stat home, at;
    char text[PATH_MAX] = "";
    if (cli->engram == NULL || stat(eg_engram_dir(cli->engram), &home) != 0 || !resolve(path, text))
        return ENGRAM_OK; /* said when it is opened */
    for (char *slash; text[0] != 0; *slash = 0) {
        if (stat(text, &at) == 0 && at.st_dev == home.st_dev && at.st_ino == home.st_ino)
            return eg_fail(error, ENGRAM_INVALID,
                           "%s: %s lies in the engram itself; name another place",
                           cli->command->name, path);
        slash = strrchr(text, '/');
    }
    return ENGRAM_OK;
}

engram_status eg_cli_open_pool(eg_cli *cli, engram_error *error)
{
    uint64_t threads = 0;
    EG_TRY(eg_option_number(cli, "threads", 1, THREADS_MAX, &threads, error));
    return cli->pool != NULL ? ENGRAM_OK : eg_pool_create((size_t)threads, &cli->pool, error);
}

engram_status eg_cli_open_device(eg_cli *cli, engram_error *error)
{
    EG_TRY(eg_cli_open_pool(cli, error));
    return eg_device_open(eg_option_text(cli, "device"), cli->pool, &cli->device, error);
}

static engram_status too_large(uint64_t size_max, engram_error *error)
{
    char text[EG_TEXT_SIZE];
    return eg_fail(error, ENGRAM_INVALID,
                   "larger than %s, and it has to be read as a whole; split it",
                   eg_text_bytes(text, size_max));
}

static engram_status cannot_read(int os_error, engram_error *error)
{
    return eg_fail(error, ENGRAM_PARTIAL, "cannot be read: %s", strerrordesc_np(os_error));
}

static engram_status read_all(int fd, uint64_t size_max, uint8_t **bytes, size_t *size,
                              engram_error *error)
{
    size_t capacity = 0;
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size > size_max)
        return too_large(size_max, error);
    for (;;) {
        if (!eg_grow((void **)bytes, &capacity, *size + READ_PIECE, 1))
            return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
        ssize_t got = read(fd, *bytes + *size, READ_PIECE);
        if (got == 0)
            return ENGRAM_OK;
        if (got < 0 && errno != EINTR)
            return cannot_read(errno, error);
        *size += got > 0 ? (size_t)got : 0;
        if (*size > size_max)
            return too_large(size_max, error);
    }
}

engram_status eg_cli_read_input(const char *path, uint64_t size_max, uint8_t **bytes, size_t *size,
                                engram_error *error)
{
    bool is_stream = strcmp(path, "-") == 0;
    int fd = is_stream ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    *bytes = NULL;
    *size = 0;
    if (fd < 0)
        return cannot_read(errno, error);
    engram_status status = read_all(fd, size_max, bytes, size, error);
    if (!is_stream)
        close(fd);
    if (status != ENGRAM_OK) {
        eg_free(*bytes);
        *bytes = NULL;
    }
    return status;
}
