/* The faulty twin fails when told, as told, and in the real disk's words. */
#include "fault/faulty_io.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/temp_dir.h"
#include "base/test.h"

static temp_dir dir;
static eg_io *real, *io;
static eg_faulty *faulty;

static int set_up(void **state)
{
    (void)state;
    real = eg_io_posix();
    if (temp_dir_init(&dir) != 0 || eg_faulty_create(real, &faulty) != ENGRAM_OK)
        return -1;
    io = eg_faulty_io(faulty);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    eg_faulty_free(faulty);
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

static eg_file *create_file(const char *name)
{
    eg_file *file;
    assert_int_equal(io->open(io, in_dir(name), EG_OPEN_WRITE | EG_OPEN_MAY_CREATE, &file, NULL),
                     ENGRAM_OK);
    return file;
}

static engram_status ignore_name(void *context, const char *name)
{
    (void)context;
    (void)name;
    return ENGRAM_OK;
}

/* One call of the kind, against a table and a file of that table. path does or does not exist. */
static engram_status call_kind(eg_io *table, unsigned kind, eg_file *file, const char *path,
                               engram_error *error)
{
    static char bytes[16];
    static const uint8_t *map;
    uint64_t size;
    size_t got;
    eg_file *opened = NULL;
    engram_status status;
    switch (kind) {
    case EG_FAULTY_OPEN:
        status = table->open(table, path, EG_OPEN_READ, &opened, error);
        table->close(table, &opened);
        return status;
    case EG_FAULTY_READ:
        return table->read(table, file, 4, bytes, 8, error);
    case EG_FAULTY_READ_SOME:
        return table->read_some(table, file, 4, bytes, 8, &got, error);
    case EG_FAULTY_READ_STREAM:
        return table->read_stream(table, file, bytes, 8, &got, error);
    case EG_FAULTY_WRITE:
        return table->write(table, file, 4, bytes, 8, error);
    case EG_FAULTY_SYNC:
        return table->sync(table, file, error);
    case EG_FAULTY_SIZE:
        return table->size(table, file, &size, error);
    case EG_FAULTY_TRUNCATE:
        return table->truncate(table, file, 16, error);
    case EG_FAULTY_ALLOCATE:
        return table->allocate(table, file, 3, 13, error);
    case EG_FAULTY_SYNC_DIR:
        return table->sync_dir(table, path, error);
    case EG_FAULTY_RENAME:
        return table->rename(table, path, in_dir("renamed"), error);
    case EG_FAULTY_UNLINK:
        return table->unlink(table, path, error);
    case EG_FAULTY_MKDIR:
        return table->mkdir(table, path, error);
    case EG_FAULTY_LIST:
        return table->list(table, path, ignore_name, NULL, error);
    case EG_FAULTY_STAT:
        return table->stat(table, path, &size, &size, error);
    case EG_FAULTY_MAP:
        status = table->map(table, file, 0, 16, &map, error);
        if (status == ENGRAM_OK)
            table->unmap(table, map, 16);
        return status;
    case EG_FAULTY_LOCK:
        return table->lock(table, file, 0, EG_LOCK_SHARED, error);
    default:
        fail_msg("no such kind: %u", kind);
        return ENGRAM_INVALID;
    }
}

static void check_same_error(const engram_error *a, const engram_error *b)
{
    assert_string_equal(a->message, b->message);
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->os_error, b->os_error);
}

/* Lets the real disk fail, then the twin with the same errno where the real disk would not. */
static void compare(unsigned kind, eg_file *bad, eg_file *good, const char *bad_path)
{
    engram_error expected = {0}, got = {0};
    engram_status status = call_kind(real, kind, bad, bad_path, &expected);
    assert_int_not_equal(status, ENGRAM_OK);
    assert_int_not_equal(expected.os_error, 0);
    eg_faulty_fail_at(faulty, kind, 1, expected.os_error, EG_FAULTY_ONCE);
    assert_int_equal(call_kind(io, kind, good, bad_path, &got), status);
    assert_int_equal(eg_faulty_hits(faulty), 1);
    check_same_error(&got, &expected);
}

static void failures_look_real(void **state)
{
    (void)state;
    eg_file *good, *bad;
    char path[1024];
    snprintf(path, sizeof path, "%s", in_dir("f"));
    good = create_file("f");
    /* No such descriptor: everything gives EBADF. */
    assert_int_equal(real->adopt(real, 1 << 28, path, &bad, NULL), ENGRAM_OK);
    for (int i = 0; i < EG_FAULTY_KIND_COUNT; i++)
        if (1u << i != EG_FAULTY_MAP)
            compare(1u << i, bad, good, in_dir("no/such"));
    real->close(real, &bad);
    /* A mapping asks for the size before, so it needs a file that has one but cannot be read. */
    assert_int_equal(real->truncate(real, good, 16, NULL), ENGRAM_OK);
    assert_int_equal(real->adopt(real, open(path, O_WRONLY), path, &bad, NULL), ENGRAM_OK);
    compare(EG_FAULTY_MAP, bad, good, path);
    real->close(real, &bad);
    real->close(real, &good);
}

static void taken_names_and_locks_look_real(void **state)
{
    (void)state;
    eg_file *a = create_file("f"), *b = create_file("f"), *c = NULL;
    int flags = EG_OPEN_WRITE | EG_OPEN_CREATE;
    engram_error expected = {0}, got = {0};
    assert_int_equal(real->open(real, in_dir("f"), flags, &c, &expected), ENGRAM_EXISTS);
    eg_faulty_fail_at(faulty, EG_FAULTY_OPEN, 1, EEXIST, EG_FAULTY_ONCE);
    assert_int_equal(io->open(io, in_dir("f"), flags, &c, &got), ENGRAM_EXISTS);
    check_same_error(&got, &expected);

    compare(EG_FAULTY_MKDIR, NULL, NULL, dir.path);
    assert_int_equal(real->lock(real, a, 0, EG_LOCK_EXCLUSIVE, NULL), ENGRAM_OK);
    compare(EG_FAULTY_LOCK, b, a, NULL);
    real->close(real, &a);
    real->close(real, &b);
}

/* Whether a failed call left the disk as it was: f has 16 bytes, d is a directory, e is absent. */
static void check_untouched(void)
{
    uint64_t size, disk_size;
    assert_int_equal(real->stat(real, in_dir("f"), &size, &disk_size, NULL), ENGRAM_OK);
    assert_int_equal(size, 16);
    assert_int_equal(real->stat(real, in_dir("d"), &size, &disk_size, NULL), ENGRAM_OK);
    assert_int_equal(real->stat(real, in_dir("e"), &size, &disk_size, NULL), ENGRAM_NOT_FOUND);
    assert_int_equal(real->stat(real, in_dir("renamed"), &size, &disk_size, NULL),
                     ENGRAM_NOT_FOUND);
}

static const char *path_for(unsigned kind)
{
    if (kind == EG_FAULTY_MKDIR)
        return in_dir("e");
    return kind & (EG_FAULTY_SYNC_DIR | EG_FAULTY_LIST) ? in_dir("d") : in_dir("f");
}

static void every_kind_is_counted_and_fails_alone(void **state)
{
    (void)state;
    eg_file *file = create_file("f");
    assert_int_equal(real->truncate(real, file, 16, NULL), ENGRAM_OK);
    assert_int_equal(real->mkdir(real, in_dir("d"), NULL), ENGRAM_OK);
    for (int i = 0; i < EG_FAULTY_KIND_COUNT; i++) {
        unsigned kind = 1u << i;
        uint64_t all = eg_faulty_count(faulty, EG_FAULTY_ANY);
        uint64_t own = eg_faulty_count(faulty, kind);
        eg_faulty_fail_at(faulty, EG_FAULTY_ANY & ~kind, 1, EIO, EG_FAULTY_FOREVER);
        if ((kind & (EG_FAULTY_RENAME | EG_FAULTY_UNLINK | EG_FAULTY_MKDIR)) == 0)
            assert_int_equal(call_kind(io, kind, file, path_for(kind), NULL), ENGRAM_OK);
        eg_faulty_fail_at(faulty, kind, 1, ENOSPC, EG_FAULTY_ONCE);
        assert_int_equal(call_kind(io, kind, file, path_for(kind), NULL), ENGRAM_NO_SPACE);
        check_untouched();
        uint64_t calls = eg_faulty_count(faulty, kind) - own;
        assert_in_range(calls, 1, 2);
        assert_int_equal(eg_faulty_count(faulty, EG_FAULTY_ANY) - all, calls);
    }
    io->close(io, &file);
}

static void forwarded_calls_do_their_work(void **state)
{
    (void)state;
    uint64_t size, disk_size;
    eg_file *file = create_file("f");
    io->close(io, &file);
    assert_int_equal(io->mkdir(io, in_dir("e"), NULL), ENGRAM_OK);
    assert_int_equal(io->rename(io, in_dir("f"), in_dir("renamed"), NULL), ENGRAM_OK);
    assert_int_equal(io->stat(io, in_dir("e"), &size, &disk_size, NULL), ENGRAM_OK);
    assert_int_equal(io->stat(io, in_dir("renamed"), &size, &disk_size, NULL), ENGRAM_OK);
    assert_int_equal(io->unlink(io, in_dir("renamed"), NULL), ENGRAM_OK);
    assert_int_equal(io->stat(io, in_dir("renamed"), &size, &disk_size, NULL), ENGRAM_NOT_FOUND);
    assert_int_equal(io->adopt(io, open("/dev/null", O_RDONLY), "null", &file, NULL), ENGRAM_OK);
    assert_int_equal(eg_faulty_count(faulty, EG_FAULTY_ANY), 7);
    io->close(io, &file);
    assert_null(file);
}

/* Which of eight syncs fail, as bits. */
static unsigned failing_syncs(eg_file *file)
{
    unsigned failed = 0;
    for (int i = 0; i < 8; i++)
        if (io->sync(io, file, NULL) != ENGRAM_OK)
            failed |= 1u << i;
    return failed;
}

static void plans_fail_once_or_for_ever(void **state)
{
    (void)state;
    eg_file *file = create_file("f");
    assert_int_equal(failing_syncs(file), 0);
    eg_faulty_fail_at(faulty, EG_FAULTY_SYNC, 3, EIO, EG_FAULTY_ONCE);
    assert_int_equal(failing_syncs(file), 1 << 2);
    assert_int_equal(eg_faulty_hits(faulty), 1);
    eg_faulty_fail_at(faulty, EG_FAULTY_ANY, 7, EIO, EG_FAULTY_FOREVER);
    assert_int_equal(failing_syncs(file), 3 << 6);
    assert_int_equal(eg_faulty_hits(faulty), 2);
    eg_faulty_fail_at(faulty, EG_FAULTY_ANY, 0, EIO, EG_FAULTY_FOREVER);
    assert_int_equal(failing_syncs(file), 0);
    assert_int_equal(eg_faulty_hits(faulty), 0);
    assert_int_equal(eg_faulty_count(faulty, EG_FAULTY_SYNC), 32);
    assert_int_equal(eg_faulty_count(faulty, EG_FAULTY_SYNC | EG_FAULTY_OPEN), 33);
    io->close(io, &file);
}

static void short_writes_write_half(void **state)
{
    (void)state;
    char bytes[16];
    size_t got;
    engram_error error = {0};
    eg_file *file = create_file("f");
    eg_faulty_fail_at(faulty, EG_FAULTY_WRITE, 1, ENOSPC, EG_FAULTY_SHORT);
    assert_int_equal(io->write(io, file, 2, "abcdefg", 7, &error), ENGRAM_NO_SPACE);
    assert_int_equal(error.os_error, ENOSPC);
    assert_int_equal(io->read_some(io, file, 0, bytes, 16, &got, NULL), ENGRAM_OK);
    assert_int_equal(got, 5);
    assert_memory_equal(bytes, "\0\0abc", 5);
    assert_int_equal(io->write(io, file, 2, "ABCDEFG", 7, NULL), ENGRAM_OK);
    io->close(io, &file);
}

static void check_absent(const char *name)
{
    uint64_t size, disk_size;
    assert_int_equal(real->stat(real, in_dir(name), &size, &disk_size, NULL), ENGRAM_NOT_FOUND);
}

static void check_old_or_new(const char *path, engram_status status)
{
    uint8_t *bytes;
    size_t size;
    assert_int_equal(eg_io_read_file(real, path, 100, &bytes, &size, NULL), ENGRAM_OK);
    bool is_new = strcmp((char *)bytes, "the new content") == 0;
    bool is_old = strcmp((char *)bytes, "old") == 0;
    eg_free(bytes);
    assert_true(is_new || (is_old && status != ENGRAM_OK));
}

static void replacing_a_file_is_all_or_nothing(void **state)
{
    (void)state;
    static const unsigned hows[] = {EG_FAULTY_ONCE, EG_FAULTY_FOREVER, EG_FAULTY_SHORT,
                                    EG_FAULTY_SHORT | EG_FAULTY_FOREVER};
    char path[1024];
    snprintf(path, sizeof path, "%s", in_dir("f"));
    for (int h = 0; h < 4; h++)
        for (uint64_t n = 1;; n++) {
            assert_int_equal(eg_io_replace_file(real, path, "old", 3, NULL), ENGRAM_OK);
            engram_error error = {0};
            eg_faulty_fail_at(faulty, EG_FAULTY_ANY, n, EIO, hows[h]);
            engram_status status = eg_io_replace_file(io, path, "the new content", 15, &error);
            check_old_or_new(path, status);
            if (eg_faulty_hits(faulty) == 0) {
                assert_int_equal(status, ENGRAM_OK);
                /* open, truncate, write, sync, rename, sync_dir */
                assert_int_equal(n, 7);
                break;
            }
            assert_int_equal(status, ENGRAM_IO);
            assert_int_equal(error.os_error, EIO);
            /* A disk that fails once lets the cleaning up through. */
            if (!(hows[h] & EG_FAULTY_FOREVER))
                check_absent("f.tmp");
        }
}

static void *ask_500_times(void *file)
{
    uintptr_t failed = 0;
    for (int i = 0; i < 500; i++)
        failed += io->size(io, file, &(uint64_t){0}, NULL) != ENGRAM_OK;
    return (void *)failed;
}

static void threads_share_a_plan(void **state)
{
    (void)state;
    eg_file *file = create_file("f");
    pthread_t threads[4];
    uintptr_t failed = 0;
    eg_faulty_fail_at(faulty, EG_FAULTY_SIZE, 1234, EIO, EG_FAULTY_ONCE);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_500_times, file), 0);
    for (int i = 0; i < 4; i++) {
        void *result;
        pthread_join(threads[i], &result);
        failed += (uintptr_t)result;
    }
    assert_int_equal(failed, 1);
    assert_int_equal(eg_faulty_count(faulty, EG_FAULTY_SIZE), 2000);
    io->close(io, &file);
}

static void creation_can_fail(void **state)
{
    (void)state;
    eg_faulty *none;
    eg_alloc_fail_at(1, false);
    assert_int_equal(eg_faulty_create(real, &none), ENGRAM_NO_MEMORY);
    eg_alloc_fail_at(0, false);
    assert_null(none);
    eg_faulty_free(NULL);
}

#define FAULTY_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAULTY_TEST(failures_look_real),
        FAULTY_TEST(taken_names_and_locks_look_real),
        FAULTY_TEST(every_kind_is_counted_and_fails_alone),
        FAULTY_TEST(forwarded_calls_do_their_work),
        FAULTY_TEST(plans_fail_once_or_for_ever),
        FAULTY_TEST(short_writes_write_half),
        FAULTY_TEST(replacing_a_file_is_all_or_nothing),
        FAULTY_TEST(threads_share_a_plan),
        FAULTY_TEST(creation_can_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
