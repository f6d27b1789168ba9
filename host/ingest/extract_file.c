/* Content: chunks out of the store into a file, in pieces of up to a mebibyte. */
#include "base/memory.h"
#include "base/status.h"
#include "ingest/extract_parts.h"

enum { HOLE_SIZE = 4096, RUNS_AT_ONCE = 32 };

/* ---- writing ---- */

static bool is_zero(const uint8_t *bytes, size_t size)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

/* Bytes up to the next hole, or of this hole: blocks as the file system has them. */
static size_t stretch(const uint8_t *bytes, size_t size, uint64_t offset, bool *is_hole)
{
    size_t at = 0;
    *is_hole = false;
    while (at < size) {
        size_t block = HOLE_SIZE - (size_t)((offset + at) % HOLE_SIZE);
        bool hole = block == HOLE_SIZE && size - at >= HOLE_SIZE && is_zero(bytes + at, HOLE_SIZE);
        if (at == 0)
            *is_hole = hole;
        else if (hole != *is_hole)
            break;
        at += block < size - at ? block : size - at;
    }
    return at;
}

static engram_status write_bytes(eg_extract_run *run, eg_file *file, uint64_t offset,
                                 const uint8_t *bytes, size_t size, engram_error *error)
{
    if (!run->options->sparse)
        return size != 0 ? run->io->write(run->io, file, offset, bytes, size, error) : ENGRAM_OK;
    for (size_t at = 0; at < size;) {
        bool is_hole;
        size_t n = stretch(bytes + at, size - at, offset + at, &is_hole);
        if (!is_hole)
            EG_TRY(run->io->write(run->io, file, offset + at, bytes + at, n, error));
        at += n;
    }
    return ENGRAM_OK;
}

/* Holes at the end count towards the size. */
static engram_status set_size(eg_extract_run *run, eg_file *file, uint64_t size,
                              engram_error *error)
{
    return run->options->sparse ? run->io->truncate(run->io, file, size, error) : ENGRAM_OK;
}

/* ---- reading ---- */

/* A stored file that cannot be read is one damaged file: the others can be had. */
static engram_status as_damage(engram_status status, engram_error *error)
{
    if (status == ENGRAM_OK || status == ENGRAM_NO_MEMORY)
        return status;
    return error->status = ENGRAM_DAMAGED;
}

static engram_status read_chunk(eg_extract_run *run, eg_chunk_ref ref, uint8_t *bytes,
                                size_t capacity, engram_error *error)
{
    size_t size = 0;
    EG_TRY(as_damage(
        eg_store_read(eg_engram_store(run->engram), ref.id, bytes, capacity, &size, error), error));
    if (size != ref.size)
        return eg_fail(error, ENGRAM_DAMAGED, "chunk %llu has %zu bytes and is referred to as %lu",
                       (unsigned long long)ref.id, size, (unsigned long)ref.size);
    return ENGRAM_OK;
}

/* Whether a reference is one that the file can hold, at the place where it must be. */
static engram_status check_ref(const eg_extract_run *run, const eg_inode *inode, uint64_t expected,
                               uint64_t offset, eg_chunk_ref ref, engram_error *error)
{
    if (offset != expected || ref.size > run->piece_size || offset > inode->size ||
        ref.size > inode->size - offset)
        return eg_fail(error, ENGRAM_DAMAGED, "its content and its size of %llu bytes do not agree",
                       (unsigned long long)inode->size);
    return ENGRAM_OK;
}

/* After the last reference. */
static engram_status check_end(const eg_inode *inode, uint64_t end, engram_error *error)
{
    if (end != inode->size)
        return eg_fail(error, ENGRAM_DAMAGED, "its content ends at %llu and its size is %llu",
                       (unsigned long long)end, (unsigned long long)inode->size);
    return ENGRAM_OK;
}

/* ---- a file by one worker ---- */

typedef struct content {
    eg_extract_run *run;
    eg_out_worker *worker;
    const eg_inode *inode;
    eg_file *file;
    uint64_t start; /* of what lies in the worker's bytes */
    size_t filled;
    bool write_failed;
} content;

static engram_status flush_piece(content *c, engram_error *error)
{
    engram_status status =
        write_bytes(c->run, c->file, c->start, c->worker->bytes, c->filled, error);
    c->write_failed |= status != ENGRAM_OK;
    c->start += c->filled;
    c->filled = 0;
    return status;
}

static engram_status take_ref(void *context, uint64_t offset, eg_chunk_ref ref, engram_error *error)
{
    content *c = context;
    EG_TRY(check_ref(c->run, c->inode, c->start + c->filled, offset, ref, error));
    if (c->filled + ref.size > c->run->piece_size)
        EG_TRY(flush_piece(c, error));
    EG_TRY(read_chunk(c->run, ref, c->worker->bytes + c->filled, c->run->piece_size - c->filled,
                      error));
    c->filled += ref.size;
    return ENGRAM_OK;
}

engram_status eg_extract_content(eg_extract_run *run, eg_out_worker *worker, uint64_t number,
                                 const eg_inode *inode, eg_file *file, engram_error *error)
{
    content c = {.run = run, .worker = worker, .inode = inode, .file = file};
    engram_status status = eg_fs_refs(run->root, number, 0, take_ref, &c, error);
    if (status != ENGRAM_OK)
        return c.write_failed ? status : as_damage(status, error);
    EG_TRY(flush_piece(&c, error));
    EG_TRY(check_end(inode, c.start, error));
    return set_size(run, file, inode->size, error);
}

/* ---- a large file by all of them ---- */

typedef struct chunk_run {
    size_t first, count; /* of refs */
    uint64_t offset;
    size_t size;
} chunk_run;

typedef struct large {
    eg_extract_run *run;
    const eg_inode *inode;
    eg_file *file;
    eg_chunk_ref *refs;
    size_t ref_count, ref_capacity;
    chunk_run runs[RUNS_AT_ONCE];
    size_t run_count;
    uint64_t end, written;
    engram_status status; /* of the first failure; guarded by the run's lock */
    engram_error error;
} large;

static engram_status write_run(large *l, const chunk_run *r, eg_out_worker *worker,
                               engram_error *error)
{
    size_t filled = 0;
    for (size_t i = 0; i < r->count; i++) {
        EG_TRY(read_chunk(l->run, l->refs[r->first + i], worker->bytes + filled,
                          l->run->piece_size - filled, error));
        filled += l->refs[r->first + i].size;
    }
    return write_bytes(l->run, l->file, r->offset, worker->bytes, filled, error);
}

static void write_run_task(void *context, size_t index, size_t worker)
{
    large *l = context;
    engram_error error = {0};
    if (eg_extract_stopped(l->run))
        return;
    engram_status status = write_run(l, &l->runs[index], &l->run->workers[worker], &error);
    pthread_mutex_lock(&l->run->lock);
    if (status != ENGRAM_OK && l->status == ENGRAM_OK) {
        l->status = status;
        l->error = error;
    }
    if (status == ENGRAM_OK) {
        l->written += l->runs[index].size;
        l->run->stats.bytes += l->runs[index].size;
    }
    pthread_mutex_unlock(&l->run->lock);
}

static engram_status write_runs(large *l, engram_error *error)
{
    eg_pool_run(l->run->pool, l->run_count, write_run_task, l);
    l->run_count = l->ref_count = 0;
    eg_extract_progress(l->run);
    if (l->status != ENGRAM_OK) {
        *error = l->error;
        return l->status;
    }
    if (eg_extract_stopped(l->run))
        return eg_fail(error, ENGRAM_CANCELLED, "stopped on request");
    return ENGRAM_OK;
}

static engram_status collect_ref(void *context, uint64_t offset, eg_chunk_ref ref,
                                 engram_error *error)
{
    large *l = context;
    EG_TRY(check_ref(l->run, l->inode, l->end, offset, ref, error));
    bool fits =
        l->run_count != 0 && l->runs[l->run_count - 1].size + ref.size <= l->run->piece_size;
    if (!fits && l->run_count == RUNS_AT_ONCE)
        EG_TRY(write_runs(l, error));
    if (!eg_grow((void **)&l->refs, &l->ref_capacity, l->ref_count + 1, sizeof *l->refs))
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to extract a file");
    if (!fits)
        l->runs[l->run_count++] = (chunk_run){.first = l->ref_count, .offset = offset};
    chunk_run *r = &l->runs[l->run_count - 1];
    r->count++;
    r->size += ref.size;
    l->refs[l->ref_count++] = ref;
    l->end = offset + ref.size;
    return ENGRAM_OK;
}

static engram_status write_large(large *l, uint64_t number, engram_error *error)
{
    engram_status status = eg_fs_refs(l->run->root, number, 0, collect_ref, l, error);
    if (status != ENGRAM_OK && status != ENGRAM_CANCELLED && l->status == ENGRAM_OK)
        return as_damage(status, error);
    EG_TRY(status);
    EG_TRY(write_runs(l, error));
    EG_TRY(check_end(l->inode, l->end, error));
    return set_size(l->run, l->file, l->inode->size, error);
}

engram_status eg_extract_large_content(eg_extract_run *run, uint64_t number, const eg_inode *inode,
                                       eg_file *file, engram_error *error)
{
    large l = {.run = run, .inode = inode, .file = file};
    engram_status status = write_large(&l, number, error);
    if (status != ENGRAM_OK) { /* the file goes */
        pthread_mutex_lock(&run->lock);
        run->stats.bytes -= l.written;
        pthread_mutex_unlock(&run->lock);
    }
    eg_free(l.refs);
    return status;
}
