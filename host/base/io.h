/* eg_io: the one door to the disk.
 *
 * Everything that an engram keeps on disk is read and written through this table, so that
 * tests can put another one behind it (tests/fault/) and make any call fail, tear or vanish.
 * The real one is eg_io_posix(). All calls take absolute or working-directory-relative paths.
 *
 * Every entry returns ENGRAM_OK or a failure with its sentence, naming the path. EINTR and short
 * transfers are handled inside: read and write move all bytes or fail; a read past the end of the
 * file is ENGRAM_DAMAGED ("ends at N, needed M") unless read_some is used. A table and the files it
 * opens may be used by many threads; one file's writes must not overlap in time with each other
 * on the same range. */
#ifndef EG_BASE_IO_H
#define EG_BASE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct eg_io eg_io;
typedef struct eg_file eg_file;

enum { /* flags of open */
    EG_OPEN_READ = 0,
    EG_OPEN_WRITE = 1,     /* read and write */
    EG_OPEN_CREATE = 2,    /* must not exist */
    EG_OPEN_MAY_CREATE = 4 /* may exist */
};

typedef enum eg_lock_kind { EG_LOCK_SHARED, EG_LOCK_EXCLUSIVE } eg_lock_kind;

struct eg_io {
    /* Regular files only: links are not followed, pipes and devices are ENGRAM_DAMAGED. */
    engram_status (*open)(eg_io *io, const char *path, int flags, eg_file **file, engram_error *error);
    /* Wraps a descriptor opened elsewhere (a source being encoded, a file being extracted); the
     * file owns fd after success. name is for messages. */
    engram_status (*adopt)(eg_io *io, int fd, const char *name, eg_file **file, engram_error *error);
    /* Closes and sets *file to NULL; NULL is fine. Never syncs. */
    void (*close)(eg_io *io, eg_file **file);

    engram_status (*read)(eg_io *io, eg_file *file, uint64_t offset, void *bytes, size_t size, engram_error *error);
    /* Up to size bytes; *got < size only at the end of the file. */
    engram_status (*read_some)(eg_io *io, eg_file *file, uint64_t offset, void *bytes, size_t size, size_t *got, engram_error *error);
    /* Reads from the current position: pipes and terminals. *got 0 at the end. */
    engram_status (*read_stream)(eg_io *io, eg_file *file, void *bytes, size_t size, size_t *got, engram_error *error);
    engram_status (*write)(eg_io *io, eg_file *file, uint64_t offset, const void *bytes, size_t size, engram_error *error);
    /* Lets the system begin to write [offset, offset + size) to the disk, so that a later sync has less to do; waits for
     * nothing and promises nothing. May be NULL. */
    void (*start_writing)(eg_io *io, eg_file *file, uint64_t offset, uint64_t size);
    /* Makes written data and size durable (fdatasync). After a failure the file must not be trusted. */
    engram_status (*sync)(eg_io *io, eg_file *file, engram_error *error);
    engram_status (*size)(eg_io *io, eg_file *file, uint64_t *size, engram_error *error);
    engram_status (*truncate)(eg_io *io, eg_file *file, uint64_t size, engram_error *error);
    /* Reserves blocks for [offset, offset + size) and extends the file; zero-filled. */
    engram_status (*allocate)(eg_io *io, eg_file *file, uint64_t offset, uint64_t size, engram_error *error);

    engram_status (*sync_dir)(eg_io *io, const char *path, engram_error *error);
    engram_status (*rename)(eg_io *io, const char *from, const char *to, engram_error *error);
    engram_status (*unlink)(eg_io *io, const char *path, engram_error *error);
    /* ENGRAM_EXISTS when it is there. */
    engram_status (*mkdir)(eg_io *io, const char *path, engram_error *error);
    /* Calls entry for each name but . and .. in no particular order; stops at the first failure. */
    engram_status (*list)(eg_io *io, const char *path,
                          engram_status (*entry)(void *context, const char *name), void *context, engram_error *error);
    /* ENGRAM_OK and the size and blocks on disk, or ENGRAM_NOT_FOUND. */
    engram_status (*stat)(eg_io *io, const char *path, uint64_t *size, uint64_t *disk_size, engram_error *error);
    /* Bytes of the file system that path is on: those that may be used yet, and all. NULL: it cannot be told. */
    engram_status (*space)(eg_io *io, const char *path, uint64_t *unused, uint64_t *total, engram_error *error);

    /* Maps [offset, offset + size) read-only; offset is page-aligned. A page that cannot be read later (the file was cut
     * short, the disk failed) reads as zeros, and eg_map_guard_lost(*bytes) is true from then on: ask after use. */
    engram_status (*map)(eg_io *io, eg_file *file, uint64_t offset, size_t size, const uint8_t **bytes, engram_error *error);
    void (*unmap)(eg_io *io, const uint8_t *bytes, size_t size);

    /* An open-file-description lock on the byte at offset; never waits. ENGRAM_LOCKED when another
     * holder is in the way. Released by close. */
    engram_status (*lock)(eg_io *io, eg_file *file, uint64_t offset, eg_lock_kind kind, engram_error *error);
};

/* The real disk. Static, shared, never freed. */
eg_io *eg_io_posix(void);

/* From dont_wait on, reads of this thread that would have to wait for the disk fail with ENGRAM_BUSY, where the real disk is
 * behind the table and its file system can tell; where it cannot, all reads fail so. may_wait ends that and says whether one
 * failed: what was done meanwhile is then to be done again, in a thread that may wait. Maps are read as ever. */
void eg_io_dont_wait(void);
bool eg_io_may_wait(void);

/* The name a file was opened under, for messages. */
const char *eg_file_name(const eg_file *file);

/* Whole small files. The reader refuses files over size_max (ENGRAM_INVALID); bytes are freed with
 * eg_free and are followed by a zero byte that size does not count. */
engram_status eg_io_read_file(eg_io *io, const char *path, size_t size_max, uint8_t **bytes, size_t *size, engram_error *error);
/* Writes path.tmp, syncs it, renames it over path, syncs the directory: all or nothing. */
engram_status eg_io_replace_file(eg_io *io, const char *path, const void *bytes, size_t size, engram_error *error);
/* "dir/name" in fresh memory (eg_free), or NULL. */
char *eg_path_join(const char *dir, const char *name);

#endif
