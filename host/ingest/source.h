/* Sources: where files come from. A directory tree, one file, an archive's members, a stream.
 *
 * A source hands out entries one after another, in a repeatable order, parents before children; the content of
 * the entry at hand is read in sequence. What cannot be read is reported as an issue and passed over. One
 * thread at a time. */
#ifndef EG_INGEST_SOURCE_H
#define EG_INGEST_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/io.h"
#include "engram/inode.h"

typedef struct eg_attribute {
    eg_view name, value;
} eg_attribute;

typedef struct eg_entry {
    eg_view path;       /* as stored: no leading '/', no "." or ".." component; empty: the root, whose names alone count */
    eg_inode inode;     /* kind, mode, owner, mtime, size, device, target, source_*; the rest is zero */
    uint32_t link_count; /* of the source: above 1, another path may be the same inode */
    eg_view hard_link;  /* archives: the path of the earlier member this is a link to; else empty */
    bool size_known;    /* false: the size is known when the content has been read (streams) */
    const eg_attribute *attributes; /* extended attributes, sorted by name */
    size_t attribute_count;
    const eg_view *names; /* of a directory of a file system: every name in it, sorted, also excluded ones */
    size_t name_count;
    bool names_known;     /* names is filled: what is stored here beyond it can be mirrored away */
} eg_entry;

/* Told of each input that cannot be stored: a path and why. */
typedef void eg_source_issue(void *context, const char *path, const char *reason);

typedef struct eg_source eg_source;
struct eg_source {
    /* The next entry, lent until the next call of next. ENGRAM_NOT_FOUND (no sentence) at the end. Other failures end
     * the run: what concerns one input alone is an issue, not a failure. */
    engram_status (*next)(eg_source *source, eg_entry *entry, engram_error *error);
    /* Content of the entry at hand (a regular file), in sequence: fills bytes as far as there is content; *got < size
     * only at its end. A failure concerns this entry alone. The first call opens it. */
    engram_status (*read)(eg_source *source, void *bytes, size_t size, size_t *got, engram_error *error);
    /* After the content was read: whether it changed while it was read. *again: it can be read once more from the start
     * (its entry is refreshed: inode points to the new attributes). */
    engram_status (*finish)(eg_source *source, eg_inode *inode, bool *changed, bool *again, engram_error *error);
    void (*close)(eg_source *source);
};

typedef struct eg_source_options {
    const char *const *excludes; /* globs: without '/' they match any name, with one the stored path (fnmatch, leading
                                    '/' anchors); a trailing '/' matches directories only. Excluded directories are not entered */
    size_t exclude_count;
    bool one_file_system;
    uint64_t skip_device, skip_inode; /* a directory that is not entered (the engram being written); 0: none */
    uint64_t archive_bytes_max;   /* an archive that unpacks to more is refused, named; 0: 1 TiB */
    uint64_t archive_members_max; /* 0: 100 million */
    uint32_t archive_ratio_max;   /* unpacked bytes for each byte of the archive, once past 64 MiB; 0: 1,000 */
    eg_source_issue *issue;
    void *context;
} eg_source_options;

/* A file or directory under base (NULL: the working directory). Stored under path as given, like tar: without leading
 * '/' and without anything up to the last "../". ENGRAM_NOT_FOUND etc. when the input itself is not there. */
engram_status eg_source_open_path(eg_io *io, const char *base, const char *path, const eg_source_options *options, eg_source **source, engram_error *error);
/* An archive (tar, zip, cpio, 7z, ... also compressed; by libarchive): its members under prefix. fd -1: path is opened. Members
 * whose path is absolute or has ".." are issues, so are kinds that cannot be stored. */
engram_status eg_source_open_archive(eg_io *io, const char *base, const char *path, int fd, const char *prefix, const eg_source_options *options, eg_source **source, engram_error *error);
/* All bytes of a descriptor as one file at path (mode 0644, the time of now). */
engram_status eg_source_open_stream(eg_io *io, int fd, const char *path, const eg_source_options *options, eg_source **source, engram_error *error);

/* The stored form of a path as given; ENGRAM_INVALID when nothing is left or a component is too long. out is cleared first. */
engram_status eg_stored_path(const char *given, eg_buffer *out, engram_error *error);

#endif
