/* Refilling reads ahead as much as fits, so that small records cost no system call each. */
#include "journal/window.h"

#include "base/memory.h"
#include "journal/files.h"
#include "journal/record.h"

enum { CAPACITY_MIN = 256 << 10 };

void eg_window_init(eg_window *window, eg_io *io, const char *dir)
{
    *window = (eg_window){.io = io, .dir = dir};
}

static void leave_file(eg_window *window)
{
    window->io->close(window->io, &window->file);
    eg_free(window->path);
    window->path = NULL;
    window->file_size = window->offset = 0;
    window->size = 0;
}

void eg_window_fini(eg_window *window)
{
    leave_file(window);
    eg_free(window->bytes);
    window->bytes = NULL;
}

engram_status eg_window_open(eg_window *window, uint64_t number, engram_error *error)
{
    leave_file(window);
    window->path = eg_journal_file_path(window->dir, number);
    if (window->path == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to read the journal in %s", window->dir);
    if (number > EG_JOURNAL_FILE_MAX)
        return ENGRAM_OK;
    /* A missing file is no failure and must leave error as it is. */
    engram_error cause = {0};
    engram_status status =
        window->io->open(window->io, window->path, EG_OPEN_READ, &window->file, &cause);
    if (status == ENGRAM_NOT_FOUND)
        return ENGRAM_OK;
    if (status == ENGRAM_OK)
        return window->io->size(window->io, window->file, &window->file_size, error);
    if (error && error->status == ENGRAM_OK)
        *error = cause;
    return eg_fail(error, status, "cannot open %s", window->path);
}

static engram_status reserve(eg_window *window, size_t size, engram_error *error)
{
    size_t capacity = size < CAPACITY_MIN ? CAPACITY_MIN : size;
    if (capacity <= window->capacity)
        return ENGRAM_OK;
    uint8_t *bytes = eg_alloc(capacity);
    if (bytes == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for a record of %zu bytes in %s", size,
                       window->path);
    eg_free(window->bytes);
    window->bytes = bytes;
    window->capacity = capacity;
    window->size = 0;
    return ENGRAM_OK;
}

static engram_status refill(eg_window *window, uint64_t offset, size_t size, engram_error *error)
{
    EG_TRY(reserve(window, size, error));
    window->offset = offset;
    window->size = 0;
    return window->io->read_some(window->io, window->file, offset, window->bytes, window->capacity,
                                 &window->size, error);
}

/* How many bytes from offset on are in the window. */
static size_t at_hand(const eg_window *window, uint64_t offset)
{
    if (offset < window->offset || offset - window->offset > window->size)
        return 0;
    return window->size - (size_t)(offset - window->offset);
}

static uint64_t left_in_file(const eg_window *window, uint64_t offset)
{
    return offset < window->file_size ? window->file_size - offset : 0;
}

engram_status eg_window_get(eg_window *window, uint64_t offset, size_t size, const uint8_t **at,
                            engram_error *error)
{
    *at = NULL;
    if (left_in_file(window, offset) < size)
        return ENGRAM_OK;
    if (at_hand(window, offset) < size)
        EG_TRY(refill(window, offset, size, error));
    if (at_hand(window, offset) >= size)
        *at = window->bytes + (offset - window->offset);
    return ENGRAM_OK;
}

engram_status eg_window_get_some(eg_window *window, uint64_t offset, const uint8_t **at,
                                 size_t *size, engram_error *error)
{
    uint64_t left = left_in_file(window, offset);
    *size = 0;
    if (left == 0)
        return ENGRAM_OK;
    size_t wanted = left < EG_RECORD_FRONT_SIZE ? (size_t)left : EG_RECORD_FRONT_SIZE;
    if (at_hand(window, offset) < wanted)
        EG_TRY(refill(window, offset, wanted, error));
    *size = at_hand(window, offset);
    *at = window->bytes + (offset - window->offset);
    return ENGRAM_OK;
}
