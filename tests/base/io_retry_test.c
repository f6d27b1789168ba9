/* Interrupted and short system calls. The linker sends the library's calls here; `nuisances` says
 * what the next ones do instead of their work. */
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/temp_dir.h"
#include "base/test.h"

enum { SHORT = -1, NOTHING = -2 }; /* else an errno */

static const int *nuisances; /* ends with 0 */
static int calls;

static int next_nuisance(void)
{
    calls++;
    return nuisances && *nuisances ? *nuisances++ : 0;
}

ssize_t __real_pread(int, void *, size_t, off_t);
ssize_t __real_pwrite(int, const void *, size_t, off_t);
ssize_t __real_read(int, void *, size_t);
int __real_fdatasync(int);
int __real_ftruncate(int, off_t);
int __real_fallocate(int, int, off_t, off_t);
ssize_t __wrap_pread(int, void *, size_t, off_t);
ssize_t __wrap_pwrite(int, const void *, size_t, off_t);
ssize_t __wrap_read(int, void *, size_t);
int __wrap_fdatasync(int);
int __wrap_ftruncate(int, off_t);
int __wrap_fallocate(int, int, off_t, off_t);

/* Returns from the wrapper when the call is to fail, and makes it short when it is to be so. */
#define SUFFER(size)                                                                               \
    do {                                                                                           \
        int nuisance = next_nuisance();                                                            \
        if (nuisance == NOTHING)                                                                   \
            return 0;                                                                              \
        if (nuisance > 0) {                                                                        \
            errno = nuisance;                                                                      \
            return -1;                                                                             \
        }                                                                                          \
        if (nuisance == SHORT)                                                                     \
            (size) = (size) / 3 + 1;                                                               \
    } while (0)

ssize_t __wrap_pread(int fd, void *bytes, size_t size, off_t offset)
{
    SUFFER(size);
    return __real_pread(fd, bytes, size, offset);
}

ssize_t __wrap_pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    SUFFER(size);
    return __real_pwrite(fd, bytes, size, offset);
}

ssize_t __wrap_read(int fd, void *bytes, size_t size)
{
    SUFFER(size);
    return __real_read(fd, bytes, size);
}

int __wrap_fdatasync(int fd)
{
    size_t unused = 0;
    SUFFER(unused);
    return __real_fdatasync(fd);
}

int __wrap_ftruncate(int fd, off_t size)
{
    size_t unused = 0;
    SUFFER(unused);
    return __real_ftruncate(fd, size);
}

int __wrap_fallocate(int fd, int mode, off_t offset, off_t size)
{
    size_t unused = 0;
    SUFFER(unused);
    return __real_fallocate(fd, mode, offset, size);
}

static temp_dir dir;
static eg_io *io;
static eg_file *file;

static int set_up(void **state)
{
    (void)state;
    nuisances = NULL;
    io = eg_io_posix();
    if (temp_dir_init(&dir) != 0)
        return -1;
    char path[1024];
    snprintf(path, sizeof path, "%s/f", dir.path);
    return io->open(io, path, EG_OPEN_WRITE | EG_OPEN_CREATE, &file, NULL) == ENGRAM_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    nuisances = NULL;
    io->close(io, &file);
    temp_dir_fini(&dir);
    return 0;
}

static void suffer(const int *list)
{
    nuisances = list;
    calls = 0;
}

static const char text[] = "all of these bytes must arrive, and in this order";

static void writes_go_on(void **state)
{
    (void)state;
    char bytes[sizeof text];
    suffer((const int[]){EINTR, SHORT, EINTR, EINTR, SHORT, 0});
    assert_int_equal(io->write(io, file, 5, text, sizeof text, NULL), ENGRAM_OK);
    assert_int_equal(calls, 6);
    assert_int_equal(io->read(io, file, 5, bytes, sizeof bytes, NULL), ENGRAM_OK);
    assert_memory_equal(bytes, text, sizeof text);
}

static void reads_go_on(void **state)
{
    (void)state;
    char bytes[sizeof text] = "";
    assert_int_equal(io->write(io, file, 5, text, sizeof text, NULL), ENGRAM_OK);
    suffer((const int[]){SHORT, EINTR, SHORT, SHORT, EINTR, 0});
    assert_int_equal(io->read(io, file, 5, bytes, sizeof bytes, NULL), ENGRAM_OK);
    assert_int_equal(calls, 6);
    assert_memory_equal(bytes, text, sizeof text);
}

static void failures_in_the_middle_are_told(void **state)
{
    (void)state;
    char bytes[sizeof text];
    engram_error error = {0};
    suffer((const int[]){SHORT, ENOSPC, 0});
    assert_int_equal(io->write(io, file, 0, text, sizeof text, &error), ENGRAM_NO_SPACE);
    assert_int_equal(error.os_error, ENOSPC);
    error = (engram_error){0};
    suffer((const int[]){SHORT, EIO, 0});
    assert_int_equal(io->read(io, file, 0, bytes, sizeof bytes, &error), ENGRAM_IO);
    assert_int_equal(error.os_error, EIO);
    suffer((const int[]){SHORT, NOTHING, 0});
    assert_int_equal(io->write(io, file, 0, text, sizeof text, NULL), ENGRAM_IO);
}

static void streams_go_on(void **state)
{
    (void)state;
    char bytes[sizeof text];
    size_t got;
    engram_error error = {0};
    assert_int_equal(io->write(io, file, 0, text, sizeof text, NULL), ENGRAM_OK);
    suffer((const int[]){EINTR, EINTR, SHORT, 0});
    assert_int_equal(io->read_stream(io, file, bytes, sizeof bytes, &got, NULL), ENGRAM_OK);
    assert_int_equal(got, sizeof text / 3 + 1);
    suffer((const int[]){EIO, 0});
    assert_int_equal(io->read_stream(io, file, bytes, sizeof bytes, &got, &error), ENGRAM_IO);
    assert_int_equal(got, 0);
}

static void syncs_and_sizes_go_on(void **state)
{
    (void)state;
    suffer((const int[]){EINTR, EINTR, 0});
    assert_int_equal(io->sync(io, file, NULL), ENGRAM_OK);
    assert_int_equal(calls, 3);
    suffer((const int[]){EINTR, 0});
    assert_int_equal(io->truncate(io, file, 9, NULL), ENGRAM_OK);
    assert_int_equal(calls, 2);
    engram_error error = {0};
    suffer((const int[]){EIO, 0});
    assert_int_equal(io->sync(io, file, &error), ENGRAM_IO);
    assert_int_equal(error.os_error, EIO);
    /* A failed sync is never repeated: the second one would lie. */
    assert_int_equal(calls, 1);
}

static uint64_t file_size(void)
{
    uint64_t size;
    assert_int_equal(io->size(io, file, &size, NULL), ENGRAM_OK);
    return size;
}

static void reserving_falls_back_to_the_size(void **state)
{
    (void)state;
    suffer((const int[]){EINTR, EOPNOTSUPP, 0});
    assert_int_equal(io->allocate(io, file, 100, 900, NULL), ENGRAM_OK);
    assert_int_equal(file_size(), 1000);
    suffer((const int[]){EOPNOTSUPP, 0});
    assert_int_equal(io->allocate(io, file, 0, 10, NULL), ENGRAM_OK);
    assert_int_equal(file_size(), 1000);
    engram_error error = {0};
    suffer((const int[]){EOPNOTSUPP, EFBIG, 0});
    assert_int_equal(io->allocate(io, file, 0, 2000, &error), ENGRAM_IO);
    assert_int_equal(error.os_error, EFBIG);
    suffer((const int[]){ENOSPC, 0});
    assert_int_equal(io->allocate(io, file, 0, 2000, NULL), ENGRAM_NO_SPACE);
    assert_int_equal(file_size(), 1000);
}

#define RETRY_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RETRY_TEST(writes_go_on),
        RETRY_TEST(reads_go_on),
        RETRY_TEST(failures_in_the_middle_are_told),
        RETRY_TEST(streams_go_on),
        RETRY_TEST(syncs_and_sizes_go_on),
        RETRY_TEST(reserving_falls_back_to_the_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
