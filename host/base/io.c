/* What needs no more of a disk than the table gives: whole small files, and joining paths. */
#include "base/io.h"

#include <inttypes.h>
#include <string.h>

#include "base/memory.h"

char *eg_path_join(const char *dir, const char *name)
{
    size_t dir_size = strlen(dir), name_size = strlen(name);
    bool needs_slash = dir_size > 0 && dir[dir_size - 1] != '/';
    char *path = eg_alloc(dir_size + needs_slash + name_size + 1);
    if (path == NULL)
        return NULL;
    memcpy(path, dir, dir_size);
    if (needs_slash)
        path[dir_size] = '/';
    memcpy(path + dir_size + needs_slash, name, name_size + 1);
    return path;
}

static engram_status read_whole(eg_io *io, eg_file *file, size_t size_max, uint8_t **bytes,
                                size_t *size, engram_error *error)
{
    uint64_t file_size;
    EG_TRY(io->size(io, file, &file_size, error));
    /* One byte is added below, hence SIZE_MAX too is out of reach. */
    if (file_size > size_max || file_size == SIZE_MAX)
        return eg_fail(error, ENGRAM_INVALID, "%s has %" PRIu64 " bytes, at most %zu are allowed",
                       eg_file_name(file), file_size, size_max);
    uint8_t *data = eg_alloc((size_t)file_size + 1);
    if (data == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for the %" PRIu64 " bytes of %s",
                       file_size, eg_file_name(file));
    engram_status status = io->read(io, file, 0, data, (size_t)file_size, error);
    if (status != ENGRAM_OK) {
        eg_free(data);
        return status;
    }
    data[file_size] = 0;
    *bytes = data;
    *size = (size_t)file_size;
    return ENGRAM_OK;
}

engram_status eg_io_read_file(eg_io *io, const char *path, size_t size_max, uint8_t **bytes,
                              size_t *size, engram_error *error)
{
    eg_file *file = NULL;
    *bytes = NULL;
    *size = 0;
    EG_TRY(io->open(io, path, EG_OPEN_READ, &file, error));
    engram_status status = read_whole(io, file, size_max, bytes, size, error);
    io->close(io, &file);
    return status;
}

static engram_status write_whole(eg_io *io, const char *path, const void *bytes, size_t size,
                                 engram_error *error)
{
    engram_status status;
    eg_file *file = NULL;
    /* A crash may have left one behind. */
    EG_TRY(io->open(io, path, EG_OPEN_WRITE | EG_OPEN_MAY_CREATE, &file, error));
    EG_TRY_DONE(io->truncate(io, file, 0, error));
    EG_TRY_DONE(io->write(io, file, 0, bytes, size, error));
    EG_TRY_DONE(io->sync(io, file, error));
done:
    io->close(io, &file);
    return status;
}

static char *concat(const char *a, size_t a_size, const char *b)
{
    size_t b_size = strlen(b);
    char *text = eg_alloc(a_size + b_size + 1);
    if (text) {
        memcpy(text, a, a_size);
        memcpy(text + a_size, b, b_size + 1);
    }
    return text;
}

/* The directory that holds path. */
static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return eg_strdup(".");
    return concat(path, slash == path ? 1 : (size_t)(slash - path), "");
}

engram_status eg_io_replace_file(eg_io *io, const char *path, const void *bytes, size_t size,
                                 engram_error *error)
{
    engram_status status;
    char *temporary = concat(path, strlen(path), ".tmp");
    char *dir = parent_of(path);
    if (temporary == NULL || dir == NULL) {
        status = eg_fail(error, ENGRAM_NO_MEMORY, "no memory to replace %s", path);
        goto done;
    }
    status = write_whole(io, temporary, bytes, size, error);
    if (status == ENGRAM_OK)
        status = io->rename(io, temporary, path, error);
    if (status != ENGRAM_OK) {
        /* Best effort: what stays behind is overwritten next time. */
        io->unlink(io, temporary, NULL);
        goto done;
    }
    status = io->sync_dir(io, dir, error);
done:
    eg_free(dir);
    eg_free(temporary);
    return status;
}
