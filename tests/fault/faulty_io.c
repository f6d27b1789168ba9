/* Every entry asks strike() first: 0 means forward the call, else it is the errno to fail with.
 * The sentences repeat those of the real disk; the test compares the two word by word. */
#include "fault/faulty_io.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>

#include "base/memory.h"

struct eg_faulty {
    eg_io table; /* first, so that a table is its twin */
    eg_io *real;
    pthread_mutex_t mutex; /* guards everything below */
    uint64_t counts[EG_FAULTY_KIND_COUNT];
    unsigned kinds, how; /* the plan */
    uint64_t fail_at, seen, hits;
    int os_error;
    uint64_t unused, total; /* total 0: what the disk says */
};

static eg_faulty *twin_of(eg_io *io)
{
    return (eg_faulty *)io;
}

/* Counts a call; 0, or the errno it has to fail with. */
static int strike(eg_io *io, unsigned kind)
{
    eg_faulty *f = twin_of(io);
    int os_error = 0;
    pthread_mutex_lock(&f->mutex);
    f->counts[__builtin_ctz(kind)]++;
    if (f->fail_at != 0 && (f->kinds & kind) != 0) {
        f->seen++;
        if (f->seen == f->fail_at || (f->seen > f->fail_at && (f->how & EG_FAULTY_FOREVER))) {
            f->hits++;
            os_error = f->os_error;
        }
    }
    pthread_mutex_unlock(&f->mutex);
    return os_error;
}

static bool is_short(eg_io *io)
{
    eg_faulty *f = twin_of(io);
    pthread_mutex_lock(&f->mutex);
    bool result = (f->how & EG_FAULTY_SHORT) != 0;
    pthread_mutex_unlock(&f->mutex);
    return result;
}

/* A failure whose status does not follow from the errno alone. */
static engram_status fail_as(engram_error *error, engram_status status, int os_error,
                             const char *before, const char *name, const char *after)
{
    if (error && error->status == ENGRAM_OK) {
        eg_fail(error, status, "%s%s%s", before, name, after);
        error->os_error = os_error;
    }
    return status;
}

static engram_status faulty_open(eg_io *io, const char *path, int flags, eg_file **file,
                                 engram_error *error)
{
    int os_error = strike(io, EG_FAULTY_OPEN);
    if (os_error != 0)
        *file = NULL;
    if (os_error == EEXIST)
        return fail_as(error, ENGRAM_EXISTS, os_error, "cannot open ", path, ": it exists already");
    if (os_error != 0)
        return eg_fail_os(error, os_error, "cannot open %s", path);
    eg_io *real = twin_of(io)->real;
    return real->open(real, path, flags, file, error);
}

static engram_status faulty_adopt(eg_io *io, int fd, const char *name, eg_file **file,
                                  engram_error *error)
{
    eg_io *real = twin_of(io)->real;
    return real->adopt(real, fd, name, file, error);
}

static void faulty_close(eg_io *io, eg_file **file)
{
    eg_io *real = twin_of(io)->real;
    real->close(real, file);
}

static engram_status faulty_read(eg_io *io, eg_file *file, uint64_t offset, void *bytes,
                                 size_t size, engram_error *error)
{
    int os_error = strike(io, EG_FAULTY_READ);
    if (os_error != 0)
        return eg_fail_os(error, os_error, "cannot read %s at %" PRIu64, eg_file_name(file),
                          offset);
    eg_io *real = twin_of(io)->real;
    return real->read(real, file, offset, bytes, size, error);
}

static engram_status faulty_read_some(eg_io *io, eg_file *file, uint64_t offset, void *bytes,
                                      size_t size, size_t *got, engram_error *error)
{
    int os_error = strike(io, EG_FAULTY_READ_SOME);
    if (os_error != 0) {
        *got = 0;
        return eg_fail_os(error, os_error, "cannot read %s at %" PRIu64, eg_file_name(file),
                          offset);
    }
    eg_io *real = twin_of(io)->real;
    return real->read_some(real, file, offset, bytes, size, got, error);
}

static engram_status faulty_read_stream(eg_io *io, eg_file *file, void *bytes, size_t size,
                                        size_t *got, engram_error *error)
{
    int os_error = strike(io, EG_FAULTY_READ_STREAM);
    if (os_error != 0) {
        *got = 0;
        return eg_fail_os(error, os_error, "cannot read %s", eg_file_name(file));
    }
    eg_io *real = twin_of(io)->real;
    return real->read_stream(real, file, bytes, size, got, error);
}

static engram_status faulty_write(eg_io *io, eg_file *file, uint64_t offset, const void *bytes,
                                  size_t size, engram_error *error)
{
    int os_error = strike(io, EG_FAULTY_WRITE);
    eg_io *real = twin_of(io)->real;
    if (os_error == 0)
        return real->write(real, file, offset, bytes, size, error);
    if (is_short(io))
        EG_TRY(real->write(real, file, offset, bytes, size / 2, error));
    return eg_fail_os(error, os_error, "cannot write %s at %" PRIu64, eg_file_name(file), offset);
}

static engram_status faulty_sync(eg_io *io, eg_file *file, engram_error *error)
{
    int os_error = strike(io, EG_FAULTY_SYNC);
    if (os_error != 0)
        return eg_fail_os(error, os_error, "cannot sync %s", eg_file_name(file));
    eg_io *real = twin_of(io)->real;
    return real->sync(real, file, error);
}

static engram_status faulty_size(eg_io *io, eg_file *file, uint64_t *size, engram_error *error)
{
    int os_error = strike(io, EG_FAULTY_SIZE);
    if (os_error != 0)
        return eg_fail_os(error, os_error, "cannot ask for the size of %s", eg_file_name(file));
    eg_io *real = twin_of(io)->real;
    return real->size(real, file, size, error);
}

static engram_status faulty_truncate(eg_io *io, eg_file *file, uint64_t size, engram_error *error)
{
    int os_error = strike(io, EG_FAULTY_TRUNCATE);
    if (os_error != 0)
        return eg_fail_os(error, os_error, "cannot set the size of %s to %" PRIu64,
                          eg_file_name(file), size);
    eg_io *real = twin_of(io)->real;
    return real->truncate(real, file, size, error);
}

static engram_status faulty_allocate(eg_io *io, eg_file *file, uint64_t offset, uint64_t size,
                                     engram_error *error)
{
    int os_error = strike(io, EG_FAULTY_ALLOCATE);
    if (os_error != 0)
        return eg_fail_os(error, os_error, "cannot reserve %" PRIu64 " bytes in %s at %" PRIu64,
                          size, eg_file_name(file), offset);
    eg_io *real = twin_of(io)->real;
    return real->allocate(real, file, offset, size, error);
}

static engram_status faulty_sync_dir(eg_io *io, const char *path, engram_error *error)
{
    int os_error = strike(io, EG_FAULTY_SYNC_DIR);
    if (os_error != 0)
        return eg_fail_os(error, os_error, "cannot sync directory %s", path);
    eg_io *real = twin_of(io)->real;
    return real->sync_dir(real, path, error);
}

static engram_status faulty_rename(eg_io *io, const char *from, const char *to, engram_error *error)
{
    int os_error = strike(io, EG_FAULTY_RENAME);
    if (os_error != 0)
        return eg_fail_os(error, os_error, "cannot rename %s to %s", from, to);
    eg_io *real = twin_of(io)->real;
    return real->rename(real, from, to, error);
}

static engram_status faulty_unlink(eg_io *io, const char *path, engram_error *error)
{
    int os_error = strike(io, EG_FAULTY_UNLINK);
    if (os_error != 0)
        return eg_fail_os(error, os_error, "cannot remove %s", path);
    eg_io *real = twin_of(io)->real;
    return real->unlink(real, path, error);
}

static engram_status faulty_mkdir(eg_io *io, const char *path, engram_error *error)
{
    int os_error = strike(io, EG_FAULTY_MKDIR);
    if (os_error == EEXIST)
        return fail_as(error, ENGRAM_EXISTS, os_error, "cannot create directory ", path,
                       ": it exists already");
    if (os_error != 0)
        return eg_fail_os(error, os_error, "cannot create directory %s", path);
    eg_io *real = twin_of(io)->real;
    return real->mkdir(real, path, error);
}

static engram_status faulty_list(eg_io *io, const char *path,
                                 engram_status (*entry)(void *context, const char *name),
                                 void *context, engram_error *error)
{
    int os_error = strike(io, EG_FAULTY_LIST);
    if (os_error != 0)
        return eg_fail_os(error, os_error, "cannot list directory %s", path);
    eg_io *real = twin_of(io)->real;
    return real->list(real, path, entry, context, error);
}

static engram_status faulty_stat(eg_io *io, const char *path, uint64_t *size, uint64_t *disk_size,
                                 engram_error *error)
{
    int os_error = strike(io, EG_FAULTY_STAT);
    if (os_error != 0)
        return eg_fail_os(error, os_error, "cannot look at %s", path);
    eg_io *real = twin_of(io)->real;
    return real->stat(real, path, size, disk_size, error);
}

static engram_status faulty_space(eg_io *io, const char *path, uint64_t *unused, uint64_t *total, engram_error *error)
{
    eg_faulty *f = twin_of(io);
    int os_error = strike(io, EG_FAULTY_STAT);
    if (os_error != 0)
        return eg_fail_os(error, os_error, "cannot look at %s", path);
    pthread_mutex_lock(&f->mutex);
    bool is_set = f->total != 0;
    *unused = f->unused;
    *total = f->total;
    pthread_mutex_unlock(&f->mutex);
    return is_set ? ENGRAM_OK : f->real->space(f->real, path, unused, total, error);
}

static engram_status faulty_map(eg_io *io, eg_file *file, uint64_t offset, size_t size,
                                const uint8_t **bytes, engram_error *error)
{
    int os_error = strike(io, EG_FAULTY_MAP);
    if (os_error != 0)
        return eg_fail_os(error, os_error, "cannot map %zu bytes of %s at %" PRIu64, size,
                          eg_file_name(file), offset);
    eg_io *real = twin_of(io)->real;
    return real->map(real, file, offset, size, bytes, error);
}

static void faulty_unmap(eg_io *io, const uint8_t *bytes, size_t size)
{
    eg_io *real = twin_of(io)->real;
    real->unmap(real, bytes, size);
}

static engram_status faulty_lock(eg_io *io, eg_file *file, uint64_t offset, eg_lock_kind kind,
                                 engram_error *error)
{
    int os_error = strike(io, EG_FAULTY_LOCK);
    if (os_error == EAGAIN || os_error == EACCES)
        return fail_as(error, ENGRAM_LOCKED, os_error, "", eg_file_name(file),
                       " is locked by another process");
    if (os_error != 0)
        return eg_fail_os(error, os_error, "cannot lock %s", eg_file_name(file));
    eg_io *real = twin_of(io)->real;
    return real->lock(real, file, offset, kind, error);
}

static const eg_io faulty_table = {
    .open = faulty_open,
    .adopt = faulty_adopt,
    .close = faulty_close,
    .read = faulty_read,
    .read_some = faulty_read_some,
    .read_stream = faulty_read_stream,
    .write = faulty_write,
    .sync = faulty_sync,
    .size = faulty_size,
    .truncate = faulty_truncate,
    .allocate = faulty_allocate,
    .sync_dir = faulty_sync_dir,
    .rename = faulty_rename,
    .unlink = faulty_unlink,
    .mkdir = faulty_mkdir,
    .list = faulty_list,
    .stat = faulty_stat,
    .space = faulty_space,
    .map = faulty_map,
    .unmap = faulty_unmap,
    .lock = faulty_lock,
};

void eg_faulty_set_space(eg_faulty *faulty, uint64_t unused, uint64_t total)
{
    pthread_mutex_lock(&faulty->mutex);
    faulty->unused = unused;
    faulty->total = total;
    pthread_mutex_unlock(&faulty->mutex);
}

engram_status eg_faulty_create(eg_io *real, eg_faulty **out)
{
    *out = NULL;
    eg_faulty *f = eg_alloc(sizeof *f);
    if (f == NULL)
        return ENGRAM_NO_MEMORY;
    *f = (eg_faulty){.table = faulty_table, .real = real, .mutex = PTHREAD_MUTEX_INITIALIZER};
    *out = f;
    return ENGRAM_OK;
}

void eg_faulty_free(eg_faulty *faulty)
{
    if (faulty == NULL)
        return;
    pthread_mutex_destroy(&faulty->mutex);
    eg_free(faulty);
}

eg_io *eg_faulty_io(eg_faulty *faulty)
{
    return &faulty->table;
}

void eg_faulty_fail_at(eg_faulty *faulty, unsigned kinds, uint64_t n, int os_error, unsigned how)
{
    pthread_mutex_lock(&faulty->mutex);
    faulty->kinds = kinds;
    faulty->how = how;
    faulty->fail_at = n;
    faulty->os_error = os_error;
    faulty->seen = 0;
    faulty->hits = 0;
    pthread_mutex_unlock(&faulty->mutex);
}

uint64_t eg_faulty_hits(eg_faulty *faulty)
{
    pthread_mutex_lock(&faulty->mutex);
    uint64_t hits = faulty->hits;
    pthread_mutex_unlock(&faulty->mutex);
    return hits;
}

uint64_t eg_faulty_count(eg_faulty *faulty, unsigned kinds)
{
    uint64_t count = 0;
    pthread_mutex_lock(&faulty->mutex);
    for (int i = 0; i < EG_FAULTY_KIND_COUNT; i++)
        if (kinds & (1u << i))
            count += faulty->counts[i];
    pthread_mutex_unlock(&faulty->mutex);
    return count;
}
