/* Transactions on an engram, told to the model as they are made.
 *
 * With writer.c and raw.c the one place that knows how the library is written to. A writer is a
 * transaction of engram/engram.h (writer_begin, then the writer_ functions), or a run of operations
 * such as ingest commits (raw_begin, then the raw_ functions). Paths are "a/b"; directories must
 * exist. */
#ifndef EG_TESTS_CRASH_WRITER_H
#define EG_TESTS_CRASH_WRITER_H

#include "crash/contents.h"
#include "crash/model.h"
#include "engram/core.h"

typedef struct writer_name { /* what a raw run made of a path */
    char path[64];
    uint64_t inode; /* 0: removed */
} writer_name;

typedef struct writer {
    eg_engram *engram;
    engram_transaction *transaction; /* NULL: raw */
    eg_buffer ops;
    writer_name names[32];
    size_t name_count;
    edit_list edits;      /* the caller takes them, or writer_fini */
    engram_status status; /* of the first failure; later calls do nothing */
    engram_error error;
} writer;

void writer_begin(writer *w, eg_engram *engram, engram_durability durability);
/* The whole content: size bytes drawn from seed. With odd seeds also mode and mtime. */
void writer_put(writer *w, const char *path, uint64_t seed, size_t size);
/* As put, through a stream. */
void writer_pour(writer *w, const char *path, uint64_t seed, size_t size);
/* In place, of a file that is there. */
void writer_write_at(writer *w, const char *path, uint64_t offset, uint64_t seed, size_t size);
void writer_append(writer *w, const char *path, uint64_t seed, size_t size);
void writer_truncate(writer *w, const char *path, uint64_t size);
/* The chunk from offset on. */
void writer_update_chunk(writer *w, const char *path, uint64_t offset, uint64_t seed, size_t size);
void writer_mkdir(writer *w, const char *path);
void writer_remove(writer *w, const char *path); /* files */
void writer_rmdir(writer *w, const char *path);
void writer_remove_all(writer *w, const char *path);
void writer_rename(writer *w, const char *from, const char *to); /* not over directories */
void writer_rollback(writer *w, int64_t version);                /* everything */

void raw_begin(writer *w, eg_engram *engram);
/* A regular file, new or replaced. Each chunk is stored anew. */
void raw_put(writer *w, const char *path, uint64_t seed, size_t size);
/* An extended attribute of a file put in the same run: size bytes drawn from seed. */
void raw_put_attribute(writer *w, const char *path, const char *name, uint64_t seed, size_t size);
void raw_mkdir(writer *w, const char *path);
void raw_remove(writer *w, const char *path); /* files and empty directories */
void raw_label(writer *w, const char *label);
/* An operation that no tree fits: the commit must be refused. */
void raw_spoil(writer *w);

/* ENGRAM_OK: as version *number; durable when it returns, unless relaxed. */
engram_status writer_commit(writer *w, uint64_t *number);
void writer_fini(writer *w);

/* For writer.c and raw.c. */
bool writer_failed(writer *w, engram_status status);
tree_entry writer_entry(const char *path);
edit *writer_note(writer *w, edit_kind kind, const char *path);

#endif
