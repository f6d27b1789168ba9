/* Callbacks of libarchive over eg_io. */
#include "ingest/archive_input.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/status.h"

enum { BLOCK_SIZE = 256 << 10 };

static int open_input(const char *base, const char *path, int fd)
{
    if (fd >= 0)
        return fcntl(fd, F_DUPFD_CLOEXEC, 0);
    int dir = base != NULL ? open(base, O_PATH | O_DIRECTORY | O_CLOEXEC) : AT_FDCWD;
    if (dir < 0 && dir != AT_FDCWD)
        return -1;
    fd = openat(dir, path, O_RDONLY | O_NOCTTY | O_CLOEXEC);
    int os_error = errno;
    if (dir >= 0)
        close(dir);
    errno = os_error;
    return fd;
}

static engram_status take(eg_archive_input *input, int fd, const char *path, engram_error *error)
{
    struct stat about;
    if (fstat(fd, &about) != 0)
        return eg_fail_os(error, errno, "cannot read %s", path);
    if (S_ISDIR(about.st_mode))
        return eg_fail(error, ENGRAM_INVALID, "%s is a directory, not an archive", path);
    input->seekable = S_ISREG(about.st_mode);
    input->size = input->seekable ? (uint64_t)about.st_size : 0;
    input->bytes = eg_alloc_aligned(4096, BLOCK_SIZE);
    if (input->bytes == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to read %s", path);
    return input->io->adopt(input->io, fd, path, &input->file, error);
}

engram_status eg_archive_input_open(eg_archive_input *input, eg_io *io, const char *base,
                                    const char *path, int fd, engram_error *error)
{
    *input = (eg_archive_input){.io = io};
    int own = open_input(base, path, fd);
    if (own < 0)
        return eg_fail_os(error, errno, "cannot open %s", path);
    engram_status status = take(input, own, path, error);
    if (status != ENGRAM_OK) {
        close(own);
        eg_archive_input_close(input);
    }
    return status;
}

void eg_archive_input_close(eg_archive_input *input)
{
    if (input->file != NULL)
        input->io->close(input->io, &input->file);
    eg_free(input->bytes);
    input->bytes = NULL;
}

static la_ssize_t read_block(struct archive *reader, void *context, const void **bytes)
{
    eg_archive_input *input = context;
    size_t got = 0;
    input->error = (engram_error){0};
    engram_status status = input->seekable
                               ? input->io->read_some(input->io, input->file, input->offset,
                                                      input->bytes, BLOCK_SIZE, &got, &input->error)
                               : input->io->read_stream(input->io, input->file, input->bytes,
                                                        BLOCK_SIZE, &got, &input->error);
    if (status != ENGRAM_OK) {
        archive_set_error(reader, input->error.os_error != 0 ? input->error.os_error : EIO, "%s",
                          input->error.message);
        return -1;
    }
    input->offset += got;
    if (!input->seekable)
        input->size = input->offset;
    *bytes = input->bytes;
    return (la_ssize_t)got;
}

static la_int64_t skip_bytes(struct archive *reader, void *context, la_int64_t request)
{
    eg_archive_input *input = context;
    (void)reader;
    if (!input->seekable || request <= 0 || input->offset >= input->size)
        return 0;
    uint64_t left = input->size - input->offset,
             n = (uint64_t)request < left ? (uint64_t)request : left;
    input->offset += n;
    return (la_int64_t)n;
}

static la_int64_t seek_bytes(struct archive *reader, void *context, la_int64_t offset, int whence)
{
    eg_archive_input *input = context;
    uint64_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? input->offset : input->size;
    (void)reader;
    if (offset < 0 ? (uint64_t) - (offset + 1) + 1 > from : (uint64_t)offset > INT64_MAX - from)
        return ARCHIVE_FATAL;
    input->offset = from + (uint64_t)offset;
    return (la_int64_t)input->offset;
}

/* Left out: what libarchive does by starting a program (grzip, lrzip, and lzop in many builds);
 * `raw`, which takes any bytes, and `empty`, which takes none, for an archive; and `mtree`, a list
 * whose reader opens files that it names. */
static void support(struct archive *reader)
{
    static int (*const setups[])(struct archive *) = {
        archive_read_support_filter_bzip2,   archive_read_support_filter_compress,
        archive_read_support_filter_gzip,    archive_read_support_filter_lz4,
        archive_read_support_filter_lzip,    archive_read_support_filter_lzma,
        archive_read_support_filter_rpm,     archive_read_support_filter_uu,
        archive_read_support_filter_xz,      archive_read_support_filter_zstd,
        archive_read_support_format_7zip,    archive_read_support_format_ar,
        archive_read_support_format_cab,     archive_read_support_format_cpio,
        archive_read_support_format_iso9660, archive_read_support_format_lha,
        archive_read_support_format_rar,     archive_read_support_format_rar5,
        archive_read_support_format_tar,     archive_read_support_format_warc,
        archive_read_support_format_xar,     archive_read_support_format_zip};
    for (size_t i = 0; i < sizeof setups / sizeof *setups; i++)
        setups[i](reader);
}

int eg_archive_input_attach(eg_archive_input *input, struct archive *reader)
{
    support(reader);
    archive_read_set_callback_data(reader, input);
    archive_read_set_read_callback(reader, read_block);
    archive_read_set_skip_callback(reader, skip_bytes);
    if (input->seekable)
        archive_read_set_seek_callback(reader, seek_bytes);
    return archive_read_open1(reader);
}
