/* libarchive over eg_io: an archive's bytes, from a file that can be read at any place or from a
 * stream. */
#ifndef EG_INGEST_ARCHIVE_INPUT_H
#define EG_INGEST_ARCHIVE_INPUT_H

#include <archive.h>

#include "base/io.h"

typedef struct eg_archive_input {
    eg_io *io;
    eg_file *file;
    uint8_t *bytes; /* lent to libarchive from call to call */
    bool seekable;
    uint64_t offset, size; /* size: of a file; of a stream what was read so far */
    engram_error error;    /* of the last failed call of io */
} eg_archive_input;

/* fd -1: path (under base, which may be NULL) is opened; else fd is duplicated. */
engram_status eg_archive_input_open(eg_archive_input *input, eg_io *io, const char *base,
                                    const char *path, int fd, engram_error *error);
void eg_archive_input_close(eg_archive_input *input);
/* Makes reader read from input and sets up every format and filter that is safe on hostile bytes.
 * ARCHIVE_OK or not. */
int eg_archive_input_attach(eg_archive_input *input, struct archive *reader);

#endif
