/* A mapped file that is cut short under its reader: zeros and a flag, no signal's death. */
#include "base/map_guard.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "base/memory.h"
#include "base/temp_dir.h"
#include "base/test.h"

enum { SIZE = 1 << 20 };

typedef struct mapping {
    eg_io *io;
    eg_file *file;
    const uint8_t *bytes;
} mapping;

static mapping map_new(const temp_dir *dir, const char *name)
{
    mapping m = {.io = eg_io_posix()};
    char *path = eg_path_join(dir->path, name);
    static uint8_t ones[SIZE];
    memset(ones, 1, sizeof ones);
    assert_int_equal(m.io->open(m.io, path, EG_OPEN_WRITE | EG_OPEN_CREATE, &m.file, NULL),
                     ENGRAM_OK);
    assert_int_equal(m.io->write(m.io, m.file, 0, ones, SIZE, NULL), ENGRAM_OK);
    assert_int_equal(m.io->map(m.io, m.file, 0, SIZE, &m.bytes, NULL), ENGRAM_OK);
    eg_free(path);
    return m;
}

static void unmap(mapping *m)
{
    m->io->unmap(m->io, m->bytes, SIZE);
    m->io->close(m->io, &m->file);
}

static uint64_t sum(const uint8_t *bytes)
{
    uint64_t total = 0;
    for (size_t i = 0; i < SIZE; i++)
        total += ((const volatile uint8_t *)bytes)[i];
    return total;
}

static void cut_short(void **state)
{
    (void)state;
    temp_dir dir;
    assert_int_equal(temp_dir_init(&dir), 0);
    mapping m = map_new(&dir, "cut"), other = map_new(&dir, "whole");
    assert_int_equal(sum(m.bytes), SIZE);
    assert_false(eg_map_guard_lost(m.bytes));
    assert_int_equal(m.io->truncate(m.io, m.file, SIZE / 4, NULL), ENGRAM_OK);
    assert_int_equal(sum(m.bytes), SIZE / 4);
    assert_true(eg_map_guard_lost(m.bytes));
    assert_int_equal(sum(other.bytes), SIZE);
    assert_false(eg_map_guard_lost(other.bytes));
    unmap(&m);
    m = map_new(&dir, "again"); /* the flag goes with the mapping */
    assert_false(eg_map_guard_lost(m.bytes));
    unmap(&m);
    unmap(&other);
    temp_dir_fini(&dir);
}

static void *sum_on_thread(void *bytes)
{
    return (void *)(uintptr_t)sum(bytes);
}

static void many_threads(void **state)
{
    (void)state;
    temp_dir dir;
    pthread_t threads[4];
    assert_int_equal(temp_dir_init(&dir), 0);
    mapping m = map_new(&dir, "shared");
    assert_int_equal(m.io->truncate(m.io, m.file, 0, NULL), ENGRAM_OK);
    for (int i = 0; i < 4; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, sum_on_thread, (void *)(uintptr_t)m.bytes), 0);
    for (int i = 0; i < 4; i++) {
        void *total;
        pthread_join(threads[i], &total);
        assert_null(total);
    }
    assert_true(eg_map_guard_lost(m.bytes));
    unmap(&m);
    temp_dir_fini(&dir);
}

/* A bus error that is not ours still ends the process. */
static void strangers_die(void **state)
{
    (void)state;
    temp_dir dir;
    assert_int_equal(temp_dir_init(&dir), 0);
    mapping m = map_new(&dir, "stranger");
    eg_map_guard_remove(m.bytes);
    assert_int_equal(m.io->truncate(m.io, m.file, 0, NULL), ENGRAM_OK);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGBUS, SIG_DFL); /* the test runner's own */
        map_new(&dir, "known");  /* the guard stands before it now */
        _exit(sum(m.bytes) != 0);
    }
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGBUS);
    unmap(&m);
    temp_dir_fini(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(cut_short), cmocka_unit_test(many_threads),
                                       cmocka_unit_test(strangers_die)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
