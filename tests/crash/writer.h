/* Transactions on an engram, told to the model as they are made.
 *
 * The one place that knows how the library is written to: begin, put, mkdir, remove, rename, label,
 * commit. Paths are "a/b"; directories must exist. */
#ifndef EG_TESTS_CRASH_WRITER_H
#define EG_TESTS_CRASH_WRITER_H

#include "crash/model.h"
#include "engram/core.h"

typedef struct writer_name { /* what the transaction made of a path */
    char path[64];
    uint64_t inode; /* 0: removed */
} writer_name;

typedef struct writer {
    eg_engram *engram;
    eg_buffer ops;
    writer_name names[32];
    size_t name_count;
    edit_list edits;      /* the caller takes them, or writer_fini */
    engram_status status; /* of the first failure; later calls do nothing */
    engram_error error;
} writer;

void writer_begin(writer *w, eg_engram *engram);
/* A regular file of `size` bytes drawn from seed, new or replaced; half of them compress. */
void writer_put(writer *w, const char *path, uint64_t seed, size_t size);
/* An extended attribute of a file put in the same transaction: size bytes drawn from seed. */
void writer_put_attribute(writer *w, const char *path, const char *name, uint64_t seed,
                          size_t size);
void writer_mkdir(writer *w, const char *path);
void writer_remove(writer *w, const char *path);                 /* files and empty directories */
void writer_rename(writer *w, const char *from, const char *to); /* files */
void writer_label(writer *w, const char *label);
/* An operation that no tree fits: the commit must be refused. */
void writer_spoil(writer *w);
/* Durable when it returns ENGRAM_OK, as version *number. */
engram_status writer_commit(writer *w, uint64_t *number);
void writer_fini(writer *w);

/* The newest version's number, its files, and all labelled versions, read back in full. */
engram_status engram_dump(eg_engram *engram, int64_t *version, tree *out, engram_error *error);
void fill_bytes(uint8_t *bytes, size_t size, uint64_t seed);

#endif
