/* LOCK: who may write, and who is reading what.
 *
 * Byte 0 is held exclusively by the one writing process, whose pid is the file's text. Every
 * generation, which is the number of a checkpoint, has a slot of two bytes, far behind the text:
 * byte 64 + 2 * generation is held shared by who is opening the engram at that generation, the one
 * behind it by who has it open. So the place of a lock says what its holder needs, without a byte
 * written.
 *
 * A reader reads MANIFEST.json, takes the slot of the generation that it names, and reads it again:
 * if that has not moved, then whoever moves it later finds the lock. The writer moves it first, and
 * then tries the slots of the older generations, those of which a checkpoint file is there; a byte
 * that it gets nobody holds. Open-file-description locks: they end with the process. */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/status.h"
#include "engram/internal.h"

enum { WRITER_BYTE = 0, PID_OFFSET = 2, SLOTS_OFFSET = 64 };
#define GENERATION_MAX (UINT64_C(1) << 61)

static engram_status open_lock(eg_io *io, const char *dir, int flags, eg_file **lock,
                               engram_error *error)
{
    char *path = eg_path_join(dir, "LOCK");
    if (path == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
    engram_status status = io->open(io, path, flags, lock, error);
    eg_free(path);
    return status;
}

static engram_status locked_by(eg_io *io, const char *dir, eg_file *lock, engram_error *error)
{
    char pid[24] = {0};
    size_t got = 0;
    if (io->read_some(io, lock, PID_OFFSET, pid, sizeof pid - 1, &got, NULL) != ENGRAM_OK ||
        got == 0)
        snprintf(pid, sizeof pid, "?");
    pid[strcspn(pid, "\n")] = 0;
    return eg_fail(error, ENGRAM_LOCKED,
                   "%s is being written by process %s: wait for it, or open it read-only", dir,
                   pid);
}

engram_status eg_lock_writer(eg_io *io, const char *dir, eg_file **lock, engram_error *error)
{
    EG_TRY(open_lock(io, dir, EG_OPEN_WRITE | EG_OPEN_MAY_CREATE, lock, error));
    engram_status status = io->lock(io, *lock, WRITER_BYTE, EG_LOCK_EXCLUSIVE, NULL);
    if (status == ENGRAM_OK) {
        char text[32];
        int size = snprintf(text, sizeof text, "\n\n%ld\n", (long)getpid());
        status = io->truncate(io, *lock, 0, error);
        if (status == ENGRAM_OK)
            status = io->write(io, *lock, 0, text, (size_t)size, error);
    } else if (status == ENGRAM_LOCKED) {
        status = locked_by(io, dir, *lock, error);
    } else {
        eg_fail(error, status, "cannot lock %s/LOCK", dir);
    }
    if (status != ENGRAM_OK)
        io->close(io, lock);
    return status;
}

engram_status eg_lock_looker(eg_io *io, const char *dir, eg_file **lock, engram_error *error)
{
    engram_error inner = {0};
    engram_status status = open_lock(io, dir, EG_OPEN_READ, lock, &inner);
    if (status == ENGRAM_NOT_FOUND)
        return ENGRAM_OK;
    if (status == ENGRAM_OK)
        status = io->lock(io, *lock, WRITER_BYTE, EG_LOCK_SHARED, &inner);
    if (status == ENGRAM_OK)
        return status;
    status = status == ENGRAM_LOCKED ? locked_by(io, dir, *lock, error)
                                     : eg_fail(error, status, "%s", inner.message);
    io->close(io, lock);
    return status;
}

static uint64_t slot_byte(uint64_t generation, bool opening)
{
    return SLOTS_OFFSET + 2 * generation + (opening ? 0 : 1);
}

static engram_status take(eg_io *io, const char *dir, uint64_t byte, eg_file **lock,
                          engram_error *error)
{
    EG_TRY(open_lock(io, dir, EG_OPEN_READ, lock, error));
    engram_status status = io->lock(io, *lock, byte, EG_LOCK_SHARED, error);
    if (status != ENGRAM_OK)
        io->close(io, lock);
    return status;
}

static engram_status take_slot(eg_io *io, const char *dir, uint64_t generation, eg_slot *slot,
                               engram_error *error)
{
    if (generation > GENERATION_MAX)
        return eg_fail(error, ENGRAM_DAMAGED, "%s/MANIFEST.json: the checkpoint is out of range",
                       dir);
    EG_TRY(take(io, dir, slot_byte(generation, true), &slot->opening, error));
    engram_status status = take(io, dir, slot_byte(generation, false), &slot->open, error);
    if (status != ENGRAM_OK)
        eg_slot_release(io, slot);
    return status;
}

/* Takes the slot of the manifest that was read; *held: and nothing it names can have gone. */
static engram_status try_slot(eg_io *io, const char *dir, eg_manifest *manifest, eg_slot *slot,
                              bool *held, engram_error *error)
{
    engram_error inner = {0};
    eg_manifest again;
    *held = false;
    engram_status status = take_slot(io, dir, manifest->checkpoint, slot, &inner);
    if (status ==
        ENGRAM_LOCKED) /* the writer is clearing that generation up: there is a newer one */
        return ENGRAM_OK;
    if (status == ENGRAM_NOT_FOUND) { /* a copy on read-only media: nobody writes there */
        *held = true;
        return ENGRAM_OK;
    }
    if (status != ENGRAM_OK)
        return eg_fail(error, status, "cannot take a reader's slot: %s", inner.message);
    status = eg_manifest_read(io, dir, &again, error);
    *held = status == ENGRAM_OK && again.checkpoint == manifest->checkpoint;
    if (*held) {
        eg_manifest_fini(manifest);
        *manifest = again;
        return ENGRAM_OK;
    }
    eg_slot_release(io, slot);
    eg_manifest_fini(&again);
    return status;
}

engram_status eg_lock_reader(eg_io *io, const char *dir, eg_manifest *manifest, eg_slot *slot,
                             engram_error *error)
{
    enum { TRIES = 500 }; /* each that fails stands for a checkpoint that was made meanwhile */
    bool held = false;
    *slot = (eg_slot){0};
    for (int i = 0; i < TRIES; i++) {
        EG_TRY(eg_manifest_read(io, dir, manifest, error));
        engram_status status = try_slot(io, dir, manifest, slot, &held, error);
        if (status == ENGRAM_OK && held)
            return ENGRAM_OK;
        eg_manifest_fini(manifest);
        EG_TRY(status);
    }
    return eg_fail(error, ENGRAM_LOCKED,
                   "%s changes faster than it can be opened; try again in a moment", dir);
}

void eg_slot_opened(eg_io *io, eg_slot *slot)
{
    io->close(io, &slot->opening);
}

void eg_slot_release(eg_io *io, eg_slot *slot)
{
    io->close(io, &slot->opening);
    io->close(io, &slot->open);
}

/* Whether somebody holds the byte; if not, nobody can until lock is closed. */
static engram_status probe(eg_io *io, eg_file *lock, uint64_t byte, bool *is_held,
                           engram_error *error)
{
    engram_status status = io->lock(io, lock, byte, EG_LOCK_EXCLUSIVE, NULL);
    *is_held = status == ENGRAM_LOCKED;
    if (status == ENGRAM_OK || *is_held)
        return ENGRAM_OK;
    return eg_fail(error, status, "cannot look for readers in %s", eg_file_name(lock));
}

engram_status eg_lock_probing(eg_io *io, const char *dir, eg_file **lock, engram_error *error)
{
    return open_lock(io, dir, EG_OPEN_WRITE, lock, error);
}

engram_status eg_slot_probe(eg_io *io, eg_file *lock, uint64_t generation, bool *is_opening,
                            bool *is_open, engram_error *error)
{
    EG_TRY(probe(io, lock, slot_byte(generation, true), is_opening, error));
    return probe(io, lock, slot_byte(generation, false), is_open, error);
}
