/* A part of a journal file in memory, moved along as the reader goes. It grows to one record at
 * most, and never beyond what the file holds. */
#ifndef EG_JOURNAL_WINDOW_H
#define EG_JOURNAL_WINDOW_H

#include "base/io.h"

typedef struct eg_window {
    eg_io *io;
    const char *dir; /* the caller's, for as long as the window lives */
    eg_file *file;
    char *path;
    uint64_t file_size;
    uint8_t *bytes; /* size of them, from offset on */
    size_t capacity, size;
    uint64_t offset;
} eg_window;

void eg_window_init(eg_window *window, eg_io *io, const char *dir);
void eg_window_fini(eg_window *window);

/* Turns to a file, away from the one before. One that is not there counts as empty. */
engram_status eg_window_open(eg_window *window, uint64_t number, engram_error *error);

/* *at: size bytes at offset, lent until the next call; NULL when the file ends before. */
engram_status eg_window_get(eg_window *window, uint64_t offset, size_t size, const uint8_t **at,
                            engram_error *error);
/* As many as are at hand, a whole record's front or more unless the file ends; *size 0 at its end.
 */
engram_status eg_window_get_some(eg_window *window, uint64_t offset, const uint8_t **at,
                                 size_t *size, engram_error *error);

#endif
