/* DIR/quarantine: what repairs have replaced.
 *
 * Nothing that a repair replaces is removed. Small things are copied before the switch; whole files are
 * renamed after it, when what was good of them is safe elsewhere. Which ones is part of the switch, in
 * MANIFEST.json, so that a crash in between leaves no file to the sweep: who opens to write next goes on. */
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/status.h"
#include "engram/internal.h"

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
}

static engram_status make(eg_io *io, const char *path, engram_error *error)
{
    engram_error inner = {0};
    engram_status status = io->mkdir(io, path, &inner);
    return status == ENGRAM_OK || status == ENGRAM_EXISTS
               ? ENGRAM_OK
               : eg_fail(error, status, "%s", inner.message);
}

/* DIR/quarantine/FOLDER/NAME, and the folders to it; name may have a folder in it, or be "". */
static engram_status make_place(eg_io *io, const char *dir, const char *folder, const char *name,
                                char **path, engram_error *error)
{
    size_t size = strlen(dir) + strlen(folder) + strlen(name) + sizeof "/quarantine//";
    char *text = eg_alloc(size);
    *path = NULL;
    if (text == NULL)
        return no_memory(error);
    snprintf(text, size, "%s/quarantine/%s/%s", dir, folder, name);
    engram_status status = ENGRAM_OK;
    for (char *slash = text + strlen(dir) + 1; status == ENGRAM_OK && *slash != 0; slash++) {
        if (*slash != '/')
            continue;
        *slash = 0;
        status = make(io, text, error);
        *slash = '/';
    }
    if (status == ENGRAM_OK)
        *path = text;
    else
        eg_free(text);
    return status;
}

/* Names in the quarantine become durable, from the file's folder up to DIR. */
static engram_status sync_place(eg_io *io, const char *dir, char *path, engram_error *error)
{
    engram_status status = ENGRAM_OK;
    for (char *slash = strrchr(path, '/'); status == ENGRAM_OK && strlen(path) > strlen(dir);
         slash = strrchr(path, '/')) {
        *slash = 0;
        status = io->sync_dir(io, path, error);
    }
    return status;
}

/* What is at its place has been moved there before a crash: a file that has its name now is another one. */
static engram_status rename_once(eg_io *io, const char *from, const char *to, engram_error *error)
{
    uint64_t size, disk_size;
    engram_error inner = {0};
    engram_status status = io->stat(io, to, &size, &disk_size, &inner);
    if (status == ENGRAM_OK)
        return ENGRAM_OK;
    if (status == ENGRAM_NOT_FOUND)
        status = io->rename(io, from, to, &inner);
    return status == ENGRAM_OK || status == ENGRAM_NOT_FOUND
               ? ENGRAM_OK
               : eg_fail(error, status, "%s", inner.message);
}

static engram_status move_file(eg_io *io, const char *dir, const char *folder, const char *file,
                               engram_error *error)
{
    char *to = NULL, *from = eg_path_join(dir, file);
    if (from == NULL)
        return no_memory(error);
    engram_status status = make_place(io, dir, folder, file, &to, error);
    if (status == ENGRAM_OK)
        status = rename_once(io, from, to, error);
    if (status == ENGRAM_OK)
        status = sync_place(io, dir, to, error);
    if (status == ENGRAM_OK) {
        *strrchr(from, '/') = 0;
        status = io->sync_dir(io, from, error);
    }
    eg_free(to);
    eg_free(from);
    return status;
}

engram_status eg_quarantine_finish(eg_io *io, const char *dir, eg_manifest *manifest,
                                   engram_error *error)
{
    if (manifest->moves.folder == NULL)
        return ENGRAM_OK;
    EG_TRY(io->sync_dir(io, dir, error)); /* who wrote MANIFEST.json may have been killed before */
    for (size_t i = 0; i < manifest->moves.count; i++)
        EG_TRY(move_file(io, dir, manifest->moves.folder, manifest->moves.files[i], error));
    eg_moves_fini(&manifest->moves);
    return eg_manifest_write(io, dir, manifest, error);
}

static engram_status make_new(eg_io *io, const char *dir, const char *name, engram_error *error)
{
    char *parent = eg_path_join(dir, "quarantine");
    char *path = parent != NULL ? eg_path_join(parent, name) : NULL;
    engram_error inner = {0};
    engram_status status = path == NULL ? no_memory(error) : make(io, parent, error);
    if (status == ENGRAM_OK) {
        status = io->mkdir(io, path, &inner);
        if (status != ENGRAM_OK && status != ENGRAM_EXISTS)
            eg_fail(error, status, "%s", inner.message);
    }
    eg_free(path);
    eg_free(parent);
    return status;
}

engram_status eg_quarantine_create(eg_io *io, const char *dir, char **folder, engram_error *error)
{
    enum { TRIES = 1000 };
    char name[64];
    time_t seconds = (time_t)(eg_clock_wall_ns() / 1000000000u);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t size = strftime(name, sizeof name, "repair-%Y%m%dT%H%M%SZ", &tm);
    engram_status status = make_new(io, dir, name, error);
    for (int i = 2; status == ENGRAM_EXISTS && i < TRIES; i++) {
        snprintf(name + size, sizeof name - size, "-%d", i);
        status = make_new(io, dir, name, error);
    }
    if (status == ENGRAM_EXISTS)
        return eg_fail(error, status, "%s/quarantine is full of repairs of this second", dir);
    EG_TRY(status);
    *folder = eg_strdup(name);
    return *folder == NULL ? no_memory(error) : ENGRAM_OK;
}

engram_status eg_quarantine_keep(eg_io *io, const char *dir, const char *folder, const char *name,
                                 eg_view bytes, engram_error *error)
{
    char *path = NULL;
    EG_TRY(make_place(io, dir, folder, name, &path, error));
    engram_status status = eg_io_replace_file(io, path, bytes.data, bytes.size, error);
    if (status == ENGRAM_OK)
        status = sync_place(io, dir, path, error);
    eg_free(path);
    return status;
}
