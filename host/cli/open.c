/* What most commands begin with: the engram, a version of it, a device, an input. */
#include <errno.h>
#include <fcntl.h>
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
                       "%s: which engram? Name it with -e DIR, or set ENGRAM_DIR",
                       cli->command->name);
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
    EG_TRY(eg_cli_dir(cli, &dir, error));
    EG_TRY(eg_cli_memory(cli, &memory, error));
    const eg_engram_options options = {
        .read_only = read_only, .cache_size = memory / 16, .dirty_size = memory / 8};
    return eg_engram_open(eg_io_posix(), dir, &options, &cli->engram, error);
}

engram_status eg_cli_pin(eg_cli *cli, eg_version *version, engram_error *error)
{
    uint64_t number = UINT64_MAX;
    EG_TRY(eg_option_number(cli, "at", 0, UINT64_MAX - 1, &number, error));
    if (number == UINT64_MAX)
        return eg_engram_pin(cli->engram, version, error);
    return eg_engram_pin_number(cli->engram, number, version, error);
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
