/* Two processes: one writes. */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults/trial.h"

typedef struct rig {
    temp_dir temp;
    char dir[600];
} rig;

static void rig_init(rig *r)
{
    assert_int_equal(temp_dir_init(&r->temp), 0);
    snprintf(r->dir, sizeof r->dir, "%s/lock.engram", r->temp.path);
    assert_int_equal(engram_create(r->dir, NULL, NULL), ENGRAM_OK);
}

/* Opens in a process of its own, and holds it there until killed. Returns when it is open. */
static pid_t open_elsewhere(rig *r, bool read_only, engram_status *status)
{
    int pipe_ends[2];
    assert_int_equal(pipe(pipe_ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct engram *e = NULL;
        const engram_settings settings = {.read_only = read_only};
        engram_status opened = engram_open(r->dir, &settings, &e, NULL);
        if (write(pipe_ends[1], &opened, sizeof opened) != sizeof opened)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(pipe_ends[0], status, sizeof *status), sizeof *status);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    return pid;
}

static void end_process(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void the_second_writer_is_told_who_writes(void **state)
{
    rig r;
    engram_status status;
    engram_error error = {0};
    struct engram *e = NULL;
    char pid_text[32];
    (void)state;
    rig_init(&r);
    pid_t pid = open_elsewhere(&r, false, &status);
    assert_int_equal(status, ENGRAM_OK);
    assert_int_equal(engram_open(r.dir, NULL, &e, &error), ENGRAM_LOCKED);
    snprintf(pid_text, sizeof pid_text, "process %d", (int)pid);
    assert_non_null(strstr(error.message, pid_text));
    assert_null(e);
    end_process(pid); /* the lock goes with the process, however it ends */
    assert_int_equal(engram_open(r.dir, NULL, &e, NULL), ENGRAM_OK);
    pid = open_elsewhere(&r, false, &status);
    assert_int_equal(status, ENGRAM_LOCKED);
    end_process(pid);
    assert_int_equal(engram_close(&e, NULL), ENGRAM_OK);
    pid = open_elsewhere(&r, false, &status);
    assert_int_equal(status, ENGRAM_OK);
    end_process(pid);
    temp_dir_fini(&r.temp);
}

static void readers_and_the_writer_leave_each_other_alone(void **state)
{
    rig r;
    engram_status status;
    struct engram *e = NULL;
    const engram_settings reading = {.read_only = true};
    (void)state;
    rig_init(&r);
    pid_t reader = open_elsewhere(&r, true, &status);
    assert_int_equal(status, ENGRAM_OK);
    pid_t writer = open_elsewhere(&r, false, &status);
    assert_int_equal(status, ENGRAM_OK);
    assert_int_equal(engram_open(r.dir, &reading, &e, NULL), ENGRAM_OK);
    assert_int_equal(engram_close(&e, NULL), ENGRAM_OK);
    end_process(reader);
    end_process(writer);
    temp_dir_fini(&r.temp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_second_writer_is_told_who_writes),
        cmocka_unit_test(readers_and_the_writer_leave_each_other_alone)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
