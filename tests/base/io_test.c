/* The real disk through the table: every entry, and what it says when it cannot. */
#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/temp_dir.h"
#include "base/test.h"

static temp_dir dir;
static eg_io *io;

static int set_up(void **state)
{
    (void)state;
    io = eg_io_posix();
    return temp_dir_init(&dir);
}

static int tear_down(void **state)
{
    (void)state;
    eg_alloc_fail_at(0, false);
    temp_dir_fini(&dir);
    return 0;
}

/* The last few paths stay valid. */
static const char *in_dir(const char *name)
{
    static char paths[4][1024];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", dir.path, name);
    return path;
}

static eg_file *open_file(const char *name, int flags)
{
    eg_file *file = NULL;
    engram_error error = {0};
    if (io->open(io, in_dir(name), flags, &file, &error) != ENGRAM_OK)
        fail_msg("%s", error.message);
    return file;
}

static eg_file *create_file(const char *name, const void *bytes, size_t size)
{
    eg_file *file = open_file(name, EG_OPEN_WRITE | EG_OPEN_CREATE);
    assert_int_equal(io->write(io, file, 0, bytes, size, NULL), ENGRAM_OK);
    return file;
}

static uint64_t size_of(eg_file *file)
{
    uint64_t size;
    assert_int_equal(io->size(io, file, &size, NULL), ENGRAM_OK);
    return size;
}

static void opening_follows_its_flags(void **state)
{
    (void)state;
    engram_error error = {0};
    eg_file *file = NULL;
    assert_int_equal(io->open(io, in_dir("a"), EG_OPEN_WRITE, &file, &error), ENGRAM_NOT_FOUND);
    assert_null(file);
    assert_int_equal(error.os_error, ENOENT);
    assert_non_null(strstr(error.message, in_dir("a")));

    file = open_file("a", EG_OPEN_WRITE | EG_OPEN_MAY_CREATE);
    assert_string_equal(eg_file_name(file), in_dir("a"));
    io->close(io, &file);
    assert_null(file);
    io->close(io, &file);

    error = (engram_error){0};
    assert_int_equal(io->open(io, in_dir("a"), EG_OPEN_WRITE | EG_OPEN_CREATE, &file, &error),
                     ENGRAM_EXISTS);
    assert_int_equal(error.status, ENGRAM_EXISTS);
    assert_int_equal(error.os_error, EEXIST);
    file = open_file("a", EG_OPEN_WRITE | EG_OPEN_MAY_CREATE);
    io->close(io, &file);
    file = open_file("b", EG_OPEN_WRITE | EG_OPEN_CREATE);
    io->close(io, &file);
}

static void a_file_for_reading_is_not_written(void **state)
{
    (void)state;
    eg_file *file = create_file("a", "x", 1);
    io->close(io, &file);
    file = open_file("a", EG_OPEN_READ);
    engram_error error = {0};
    assert_int_equal(io->write(io, file, 0, "y", 1, &error), ENGRAM_IO);
    assert_int_equal(error.os_error, EBADF);
    assert_non_null(strstr(error.message, in_dir("a")));
    io->close(io, &file);
}

static void no_memory_leaves_no_descriptor(void **state)
{
    (void)state;
    eg_file *file = NULL;
    engram_error error = {0};
    assert_int_equal(io->open(io, in_dir("there"), EG_OPEN_WRITE | EG_OPEN_CREATE, &file, NULL),
                     ENGRAM_OK);
    io->close(io, &file);
    int own = open(in_dir("there"), O_RDONLY), fd = dup(own);
    close(fd);
    eg_alloc_fail_at(1, false);
    assert_int_equal(io->open(io, in_dir("there"), EG_OPEN_READ, &file, &error), ENGRAM_NO_MEMORY);
    assert_null(file);
    eg_alloc_fail_at(1, false);
    assert_int_equal(io->adopt(io, own, "there", &file, &error), ENGRAM_NO_MEMORY);
    assert_true(fcntl(own, F_GETFD) >= 0); /* still the caller's */
    int again = dup(own);
    close(again);
    close(own);
    assert_int_equal(fd, again);
}

/* The descriptor of a file that is open under this path, or -1. */
static int find_descriptor(const char *path)
{
    int found = -1;
    DIR *list = opendir("/proc/self/fd");
    assert_non_null(list);
    for (struct dirent *d; (d = readdir(list)) != NULL;) {
        char link[300], target[1024];
        snprintf(link, sizeof link, "/proc/self/fd/%s", d->d_name);
        ssize_t size = readlink(link, target, sizeof target - 1);
        if (size > 0 && (target[size] = 0, strcmp(target, path) == 0))
            found = atoi(d->d_name);
    }
    closedir(list);
    return found;
}

static void files_are_not_inherited_by_programs(void **state)
{
    (void)state;
    eg_file *file = create_file("a", "x", 1);
    int fd = find_descriptor(in_dir("a"));
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    io->close(io, &file);
    assert_int_equal(find_descriptor(in_dir("a")), -1);
}

/* A link could lead to a stranger's file, and a pipe would be waited for. */
static void only_regular_files_are_opened(void **state)
{
    (void)state;
    eg_file *file = NULL;
    engram_error error = {0};
    assert_int_equal(symlink("/etc/hostname", in_dir("link")), 0);
    assert_int_not_equal(io->open(io, in_dir("link"), EG_OPEN_READ, &file, &error), ENGRAM_OK);
    assert_int_equal(mkfifo(in_dir("pipe"), 0600), 0);
    assert_int_equal(io->open(io, in_dir("pipe"), EG_OPEN_READ, &file, NULL), ENGRAM_DAMAGED);
    assert_int_equal(io->open(io, dir.path, EG_OPEN_READ, &file, NULL), ENGRAM_DAMAGED);
    assert_null(file);
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    char bytes[10];
    size_t got;
    eg_file *file = create_file("a", "0123456789", 10);
    assert_int_equal(io->write(io, file, 3, "abc", 3, NULL), ENGRAM_OK);
    assert_int_equal(io->write(io, file, 20, "z", 1, NULL), ENGRAM_OK);
    assert_int_equal(size_of(file), 21);
    assert_int_equal(io->read(io, file, 1, bytes, 7, NULL), ENGRAM_OK);
    assert_memory_equal(bytes, "12abc67", 7);
    assert_int_equal(io->read(io, file, 19, bytes, 2, NULL), ENGRAM_OK);
    assert_memory_equal(bytes, "\0z", 2);
    assert_int_equal(io->read_some(io, file, 18, bytes, 10, &got, NULL), ENGRAM_OK);
    assert_int_equal(got, 3);
    assert_int_equal(io->read_some(io, file, 21, bytes, 10, &got, NULL), ENGRAM_OK);
    assert_int_equal(got, 0);
    assert_int_equal(io->read(io, file, 21, bytes, 0, NULL), ENGRAM_OK);
    io->close(io, &file);
}

static void reading_past_the_end_is_damage(void **state)
{
    (void)state;
    char bytes[10], expected[1200];
    eg_file *file = create_file("a", "0123456789", 10);
    static const struct {
        uint64_t offset;
        const char *needed;
    } cases[] = {{3, "13"},
                 {10, "20"},
                 {1000, "1010"},
                 {INT64_MAX - 3, "9223372036854775814"},
                 {UINT64_MAX - 3, "18446744073709551615"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        engram_error error = {0};
        assert_int_equal(io->read(io, file, cases[i].offset, bytes, 10, &error), ENGRAM_DAMAGED);
        snprintf(expected, sizeof expected, "%s ends at 10, needed %s", in_dir("a"),
                 cases[i].needed);
        assert_string_equal(error.message, expected);
        size_t got = 1;
        assert_int_equal(io->read_some(io, file, cases[i].offset, bytes, 10, &got, NULL),
                         ENGRAM_OK);
        assert_int_equal(got, cases[i].offset == 3 ? 7 : 0);
    }
    io->close(io, &file);
}

static void offsets_no_file_can_have_are_refused(void **state)
{
    (void)state;
    eg_file *file = create_file("a", "x", 1);
    static const uint64_t offsets[] = {INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX};
    for (int i = 0; i < 3; i++) {
        engram_error error = {0};
        const uint8_t *bytes;
        assert_int_equal(io->write(io, file, offsets[i], "yy", 2, &error), ENGRAM_IO);
        assert_int_equal(error.os_error, EFBIG);
        assert_int_equal(io->allocate(io, file, offsets[i], 2, NULL), ENGRAM_IO);
        assert_int_equal(io->truncate(io, file, offsets[i], NULL), ENGRAM_IO);
        assert_int_equal(io->map(io, file, offsets[i], 2, &bytes, NULL), ENGRAM_DAMAGED);
    }
    assert_int_equal(size_of(file), 1);
    io->close(io, &file);
}

static void sizes_are_set(void **state)
{
    (void)state;
    char bytes[8];
    eg_file *file = create_file("a", "0123456789", 10);
    assert_int_equal(io->truncate(io, file, 4, NULL), ENGRAM_OK);
    assert_int_equal(size_of(file), 4);
    assert_int_equal(io->truncate(io, file, 8, NULL), ENGRAM_OK);
    assert_int_equal(io->read(io, file, 0, bytes, 8, NULL), ENGRAM_OK);
    assert_memory_equal(bytes, "0123\0\0\0\0", 8);
    io->close(io, &file);
}

static void reserving_extends_and_keeps(void **state)
{
    (void)state;
    char bytes[4];
    uint64_t size, disk_size;
    eg_file *file = create_file("a", "0123", 4);
    assert_int_equal(io->allocate(io, file, 0, 0, NULL), ENGRAM_OK);
    assert_int_equal(size_of(file), 4);
    assert_int_equal(io->allocate(io, file, 0, 1 << 20, NULL), ENGRAM_OK);
    assert_int_equal(size_of(file), 1 << 20);
    assert_int_equal(io->allocate(io, file, 0, 100, NULL), ENGRAM_OK);
    assert_int_equal(size_of(file), 1 << 20);
    assert_int_equal(io->read(io, file, 0, bytes, 4, NULL), ENGRAM_OK);
    assert_memory_equal(bytes, "0123", 4);
    assert_int_equal(io->read(io, file, (1 << 20) - 4, bytes, 4, NULL), ENGRAM_OK);
    assert_memory_equal(bytes, "\0\0\0\0", 4);
    assert_int_equal(io->stat(io, in_dir("a"), &size, &disk_size, NULL), ENGRAM_OK);
    assert_int_equal(size, 1 << 20);
    io->close(io, &file);
}

static void stat_tells_size_and_blocks(void **state)
{
    (void)state;
    uint64_t size, disk_size;
    engram_error error = {0};
    eg_file *file = create_file("a", "x", 1);
    assert_int_equal(io->write(io, file, 1 << 24, "x", 1, NULL), ENGRAM_OK);
    assert_int_equal(io->sync(io, file, NULL), ENGRAM_OK);
    io->close(io, &file);
    assert_int_equal(io->stat(io, in_dir("a"), &size, &disk_size, NULL), ENGRAM_OK);
    assert_int_equal(size, (1 << 24) + 1);
    assert_int_equal(disk_size % 512, 0);
    assert_true(disk_size > 0);
    assert_int_equal(io->stat(io, in_dir("b"), &size, &disk_size, &error), ENGRAM_NOT_FOUND);
    assert_int_equal(error.status, ENGRAM_NOT_FOUND);
}

static void streams_are_read_to_their_end(void **state)
{
    (void)state;
    int ends[2];
    char bytes[8];
    size_t got;
    eg_file *file;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(io->adopt(io, ends[0], "(pipe)", &file, NULL), ENGRAM_OK);
    assert_string_equal(eg_file_name(file), "(pipe)");
    assert_int_equal(write(ends[1], "abcde", 5), 5);
    close(ends[1]);
    assert_int_equal(io->read_stream(io, file, bytes, 3, &got, NULL), ENGRAM_OK);
    assert_int_equal(got, 3);
    assert_int_equal(io->read_stream(io, file, bytes + 3, 5, &got, NULL), ENGRAM_OK);
    assert_int_equal(got, 2);
    assert_memory_equal(bytes, "abcde", 5);
    assert_int_equal(io->read_stream(io, file, bytes, 8, &got, NULL), ENGRAM_OK);
    assert_int_equal(got, 0);
    io->close(io, &file);
    assert_int_equal(fcntl(ends[0], F_GETFD), -1);
}

static void names_are_moved_and_removed(void **state)
{
    (void)state;
    eg_file *file = create_file("a", "a", 1);
    io->close(io, &file);
    file = create_file("b", "bb", 2);
    io->close(io, &file);
    assert_int_equal(io->rename(io, in_dir("a"), in_dir("b"), NULL), ENGRAM_OK);
    assert_int_equal(io->sync_dir(io, dir.path, NULL), ENGRAM_OK);
    file = open_file("b", EG_OPEN_READ);
    assert_int_equal(size_of(file), 1);
    io->close(io, &file);

    engram_error error = {0};
    assert_int_equal(io->rename(io, in_dir("a"), in_dir("c"), &error), ENGRAM_NOT_FOUND);
    assert_non_null(strstr(error.message, in_dir("c")));
    assert_int_equal(io->unlink(io, in_dir("b"), NULL), ENGRAM_OK);
    assert_int_equal(io->unlink(io, in_dir("b"), NULL), ENGRAM_NOT_FOUND);
    assert_int_equal(io->sync_dir(io, in_dir("b"), NULL), ENGRAM_NOT_FOUND);
}

static void a_file_is_no_directory(void **state)
{
    (void)state;
    engram_error error = {0};
    eg_file *file = create_file("a", "a", 1);
    io->close(io, &file);
    assert_int_equal(io->sync_dir(io, in_dir("a"), &error), ENGRAM_IO);
    assert_int_equal(error.os_error, ENOTDIR);
}

static engram_status note_name(void *context, const char *name)
{
    strcat(context, name);
    return ENGRAM_OK;
}

static engram_status refuse_second(void *context, const char *name)
{
    (void)name;
    return ++*(int *)context == 2 ? ENGRAM_CANCELLED : ENGRAM_OK;
}

static void directories_are_made_and_listed(void **state)
{
    (void)state;
    char names[64] = "";
    int calls = 0;
    engram_error error = {0};
    assert_int_equal(io->mkdir(io, in_dir("d"), NULL), ENGRAM_OK);
    assert_int_equal(io->mkdir(io, in_dir("d"), &error), ENGRAM_EXISTS);
    assert_int_equal(error.os_error, EEXIST);
    assert_int_equal(io->mkdir(io, in_dir("no/d"), NULL), ENGRAM_NOT_FOUND);
    assert_int_equal(io->list(io, in_dir("d"), note_name, names, NULL), ENGRAM_OK);
    assert_string_equal(names, "");
    for (int i = 0; i < 3; i++) {
        eg_file *file =
            open_file((const char *[]){"d/x", "d/.y", "d/..z"}[i], EG_OPEN_WRITE | EG_OPEN_CREATE);
        io->close(io, &file);
    }
    assert_int_equal(io->list(io, in_dir("d"), note_name, names, NULL), ENGRAM_OK);
    assert_int_equal(strlen(names), 6);
    assert_non_null(strstr(names, "x"));
    assert_non_null(strstr(names, ".y"));
    assert_non_null(strstr(names, "..z"));
    assert_int_equal(io->list(io, in_dir("d"), refuse_second, &calls, NULL), ENGRAM_CANCELLED);
    assert_int_equal(calls, 2);
    assert_int_equal(io->list(io, in_dir("no"), note_name, names, NULL), ENGRAM_NOT_FOUND);
}

static void maps_show_what_is_written(void **state)
{
    (void)state;
    static const char page[4096] = "first";
    const uint8_t *bytes;
    eg_file *file = create_file("a", page, sizeof page);
    assert_int_equal(io->write(io, file, 4096, "second", 6, NULL), ENGRAM_OK);
    assert_int_equal(io->map(io, file, 4096, 6, &bytes, NULL), ENGRAM_OK);
    assert_memory_equal(bytes, "second", 6);
    assert_int_equal(io->write(io, file, 4096, "SE", 2, NULL), ENGRAM_OK);
    assert_memory_equal(bytes, "SEcond", 6);
    io->unmap(io, bytes, 6);

    engram_error error = {0};
    assert_int_equal(io->map(io, file, 4096, 7, &bytes, &error), ENGRAM_DAMAGED);
    assert_non_null(strstr(error.message, "ends at 4102, needed 4103"));
    error = (engram_error){0};
    assert_int_equal(io->map(io, file, 1, 7, &bytes, &error), ENGRAM_IO);
    assert_int_equal(error.os_error, EINVAL);
    io->close(io, &file);
}

static engram_status lock(eg_file *file, uint64_t offset, eg_lock_kind kind)
{
    engram_error error = {0};
    engram_status status = io->lock(io, file, offset, kind, &error);
    assert_int_equal(error.status, status);
    return status;
}

static void locks_belong_to_open_files(void **state)
{
    (void)state;
    eg_file *a = open_file("l", EG_OPEN_WRITE | EG_OPEN_MAY_CREATE);
    eg_file *b = open_file("l", EG_OPEN_WRITE | EG_OPEN_MAY_CREATE);
    assert_int_equal(lock(a, 0, EG_LOCK_EXCLUSIVE), ENGRAM_OK);
    assert_int_equal(lock(a, 0, EG_LOCK_EXCLUSIVE), ENGRAM_OK);
    assert_int_equal(lock(b, 0, EG_LOCK_EXCLUSIVE), ENGRAM_LOCKED);
    assert_int_equal(lock(b, 0, EG_LOCK_SHARED), ENGRAM_LOCKED);
    assert_int_equal(lock(b, 1, EG_LOCK_EXCLUSIVE), ENGRAM_OK);
    assert_int_equal(lock(a, 1, EG_LOCK_SHARED), ENGRAM_LOCKED);
    io->close(io, &a);
    assert_int_equal(lock(b, 0, EG_LOCK_SHARED), ENGRAM_OK);
    a = open_file("l", EG_OPEN_WRITE);
    assert_int_equal(lock(a, 0, EG_LOCK_SHARED), ENGRAM_OK);
    assert_int_equal(lock(a, 0, EG_LOCK_EXCLUSIVE), ENGRAM_LOCKED);
    io->close(io, &b);
    assert_int_equal(lock(a, 0, EG_LOCK_EXCLUSIVE), ENGRAM_OK);
    io->close(io, &a);
}

static void small_files_are_read_whole(void **state)
{
    (void)state;
    uint8_t *bytes;
    size_t size;
    engram_error error = {0};
    eg_file *file = create_file("a", "12345", 5);
    io->close(io, &file);
    assert_int_equal(eg_io_read_file(io, in_dir("a"), 5, &bytes, &size, NULL), ENGRAM_OK);
    assert_int_equal(size, 5);
    assert_memory_equal(bytes, "12345", 6);
    eg_free(bytes);
    assert_int_equal(eg_io_read_file(io, in_dir("a"), 4, &bytes, &size, &error), ENGRAM_INVALID);
    assert_null(bytes);
    assert_non_null(strstr(error.message, in_dir("a")));
    assert_int_equal(eg_io_read_file(io, in_dir("b"), 4, &bytes, &size, NULL), ENGRAM_NOT_FOUND);
    for (long n = 1; n <= 2; n++) {
        eg_alloc_fail_at(n, false);
        assert_int_equal(eg_io_read_file(io, in_dir("a"), 5, &bytes, &size, NULL),
                         ENGRAM_NO_MEMORY);
        assert_null(bytes);
    }
}

static void check_content(const char *path, const char *text)
{
    uint8_t *bytes;
    size_t size;
    assert_int_equal(eg_io_read_file(io, path, 1000, &bytes, &size, NULL), ENGRAM_OK);
    assert_int_equal(size, strlen(text));
    assert_string_equal((char *)bytes, text);
    eg_free(bytes);
}

static void small_files_are_replaced_whole(void **state)
{
    (void)state;
    uint64_t size, disk_size;
    char path[1024];
    snprintf(path, sizeof path, "%s", in_dir("a"));
    assert_int_equal(eg_io_replace_file(io, path, "old one", 7, NULL), ENGRAM_OK);
    check_content(path, "old one");
    /* A longer one left behind by a crash. */
    eg_file *file = create_file("a.tmp", "left behind", 11);
    io->close(io, &file);
    assert_int_equal(eg_io_replace_file(io, path, "new", 3, NULL), ENGRAM_OK);
    check_content(path, "new");
    assert_int_equal(io->stat(io, in_dir("a.tmp"), &size, &disk_size, NULL), ENGRAM_NOT_FOUND);
    for (long n = 1; n <= 3; n++) {
        eg_alloc_fail_at(n, false);
        assert_int_equal(eg_io_replace_file(io, path, "x", 1, NULL), ENGRAM_NO_MEMORY);
        eg_alloc_fail_at(0, false);
        check_content(path, "new");
    }
    assert_int_equal(eg_io_replace_file(io, in_dir("no/a"), "x", 1, NULL), ENGRAM_NOT_FOUND);
}

static void replacing_works_without_a_directory_in_the_path(void **state)
{
    (void)state;
    char before[4096];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(dir.path), 0);
    engram_status status = eg_io_replace_file(io, "plain", "x", 1, NULL);
    assert_int_equal(chdir(before), 0);
    assert_int_equal(status, ENGRAM_OK);
    check_content(in_dir("plain"), "x");
}

static char synced_dir[64];

static engram_status open_elsewhere(eg_io *table, const char *path, int flags, eg_file **file,
                                    engram_error *error)
{
    (void)path;
    return eg_io_posix()->open(table, in_dir("elsewhere"), flags, file, error);
}

static engram_status rename_nothing(eg_io *table, const char *from, const char *to,
                                    engram_error *error)
{
    (void)table, (void)from, (void)to, (void)error;
    return ENGRAM_OK;
}

static engram_status note_sync_dir(eg_io *table, const char *path, engram_error *error)
{
    (void)table, (void)error;
    snprintf(synced_dir, sizeof synced_dir, "%s", path);
    return ENGRAM_OK;
}

static void replacing_syncs_the_directory_of_the_file(void **state)
{
    (void)state;
    eg_io table = *io;
    table.open = open_elsewhere;
    table.rename = rename_nothing;
    table.sync_dir = note_sync_dir;
    static const char *const cases[][2] = {
        {"a", "."}, {"/a", "/"}, {"b/a", "b"}, {"/c/b/a", "/c/b"}, {"./a", "."}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(eg_io_replace_file(&table, cases[i][0], "x", 1, NULL), ENGRAM_OK);
        assert_string_equal(synced_dir, cases[i][1]);
    }
}

static void paths_are_joined(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"/", "b", "/b"}, {"", "b", "b"}, {"a", "", "a/"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *path = eg_path_join(cases[i][0], cases[i][1]);
        assert_string_equal(path, cases[i][2]);
        eg_free(path);
    }
    eg_alloc_fail_at(1, false);
    assert_null(eg_path_join("a", "b"));
}

/* ---- not waiting for the disk ---- */

static bool is_in_memory(int fd, size_t size)
{
    unsigned char pages[64];
    void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(map != MAP_FAILED && size <= sizeof pages * 4096);
    assert_int_equal(mincore(map, size, pages), 0);
    munmap(map, size);
    return (pages[0] & 1) != 0;
}

/* Whether the file system below can tell at all. */
static bool can_tell(int fd)
{
    uint8_t byte;
    struct iovec part = {&byte, 1};
    return preadv2(fd, &part, 1, 0, RWF_NOWAIT) == 1;
}

static void what_is_not_in_memory_is_not_waited_for(void **state)
{
    enum { SIZE = 65536 };
    static uint8_t bytes[SIZE], read[SIZE];
    engram_error error = {0};
    (void)state;
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (uint8_t)(i * 7 >> 3);
    eg_file *file = open_file("cold", EG_OPEN_WRITE | EG_OPEN_CREATE);
    assert_int_equal(io->write(io, file, 0, bytes, SIZE, &error), ENGRAM_OK);
    assert_int_equal(io->sync(io, file, &error), ENGRAM_OK);
    int fd = open(in_dir("cold"), O_RDONLY);
    assert_true(fd >= 0);
    if (!can_tell(fd)) {
        close(fd);
        io->close(io, &file);
        skip();
    }
    eg_io_dont_wait();
    assert_int_equal(io->read(io, file, 0, read, SIZE, &error), ENGRAM_OK);
    assert_false(eg_io_may_wait());
    assert_memory_equal(read, bytes, SIZE);
    /* A fast disk may be there before the system looks for what it fetched: not every time. */
    bool left_it = false, goes = false;
    for (int i = 0; i < 500 && !left_it; i++) {
        assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
        if (is_in_memory(fd, SIZE))
            continue;
        goes = true;
        eg_io_dont_wait();
        engram_status status = io->read(io, file, 0, read, SIZE, &error);
        left_it = eg_io_may_wait();
        assert_int_equal(status, left_it ? ENGRAM_BUSY : ENGRAM_OK);
    }
    assert_int_equal(left_it, goes); /* in a file system that lives in memory nothing goes */
    assert_true(!goes || strstr(error.message, "not in memory") != NULL);
    assert_int_equal(io->read(io, file, 0, read, SIZE, &error), ENGRAM_OK);
    assert_memory_equal(read, bytes, SIZE);
    eg_io_dont_wait();
    assert_false(eg_io_may_wait()); /* of this time, not of the one before */
    close(fd);
    io->close(io, &file);
}

#define IO_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IO_TEST(opening_follows_its_flags),
        IO_TEST(a_file_for_reading_is_not_written),
        IO_TEST(no_memory_leaves_no_descriptor),
        IO_TEST(files_are_not_inherited_by_programs),
        IO_TEST(only_regular_files_are_opened),
        IO_TEST(what_is_written_is_read),
        IO_TEST(reading_past_the_end_is_damage),
        IO_TEST(offsets_no_file_can_have_are_refused),
        IO_TEST(sizes_are_set),
        IO_TEST(reserving_extends_and_keeps),
        IO_TEST(stat_tells_size_and_blocks),
        IO_TEST(streams_are_read_to_their_end),
        IO_TEST(names_are_moved_and_removed),
        IO_TEST(a_file_is_no_directory),
        IO_TEST(directories_are_made_and_listed),
        IO_TEST(maps_show_what_is_written),
        IO_TEST(locks_belong_to_open_files),
        IO_TEST(small_files_are_read_whole),
        IO_TEST(small_files_are_replaced_whole),
        IO_TEST(replacing_works_without_a_directory_in_the_path),
        IO_TEST(replacing_syncs_the_directory_of_the_file),
        IO_TEST(paths_are_joined),
        IO_TEST(what_is_not_in_memory_is_not_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
