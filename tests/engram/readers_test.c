/* Readers beside a writer that removes: what a reader opened stays whole to its end, and the space
 * returns once nobody needs it.
 *
 * Slots are tested one by one, then with real processes: readers open at every moment beside
 * writers that commit, checkpoint, recycle and recover all the time, some of them killed. Version v
 * stores the file v % FILES, so that every reader knows what its version must hold.
 * (--episodes N: so many writers, one after another.) */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "engram/internal.h"
#include "engram/rig.h"

enum { FILES = 8, FILE_SIZE_MAX = 12000, READERS = 6 };

static uint8_t data[FILE_SIZE_MAX + 256 * 37];
static uint64_t seed = 1;
static long episodes = 12;

static uint64_t draw(uint64_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (seed >> 33) % below;
}

/* ---- what a version holds ---- */

static const uint8_t *content(uint64_t version, size_t *size)
{
    *size = (size_t)(1 + version * 7919 % FILE_SIZE_MAX);
    return data + version % 256 * 37;
}

static void store_next(rig *r)
{
    char name[8];
    size_t size;
    eg_version newest;
    assert_ok(eg_engram_pin(r->engram, &newest, E));
    uint64_t number = newest.number + 1;
    eg_version_release(&newest);
    const uint8_t *bytes = content(number, &size);
    snprintf(name, sizeof name, "f%d", (int)(number % FILES));
    if (number % 3 == 0) {
        assert_ok(rig_put(r, name, bytes, size, E));
        return;
    }
    engram_transaction *tx = NULL;
    assert_ok(engram_begin(r->engram, NULL, &tx, E));
    assert_ok(engram_write(tx, name, bytes, size, NULL, E));
    assert_ok(engram_commit(&tx, NULL, E));
}

/* Empty when every file of the pinned version is exact, else what is wrong. */
static const char *check_version(rig *r)
{
    static char wrong[1100];
    static uint8_t found[FILE_SIZE_MAX + 1];
    engram_view *view = NULL;
    engram_error error = {0};
    if (engram_pin(r->engram, &view, &error) != ENGRAM_OK)
        return "cannot pin";
    uint64_t version = engram_view_version(view);
    wrong[0] = 0;
    for (uint64_t v = version; v > 0 && v + FILES > version; v--) {
        char name[8];
        size_t size, got = 0;
        const uint8_t *bytes = content(v, &size);
        snprintf(name, sizeof name, "f%d", (int)(v % FILES));
        if (engram_read(view, name, 0, found, sizeof found, &got, &error) != ENGRAM_OK ||
            got != size || memcmp(found, bytes, size) != 0)
            snprintf(wrong, sizeof wrong, "version %llu: %s: %s", (unsigned long long)version, name,
                     error.message);
    }
    engram_unpin(&view);
    return wrong;
}

static engram_status open_small(rig *r, bool read_only, engram_error *error)
{
    eg_engram_options options = {.read_only = read_only,
                                 .segment_size = 64 << 10,
                                 .journal_size = 48 << 10,
                                 .journal_file_size = 16 << 10};
    return eg_engram_open(r->io, r->dir, &options, &r->engram, error);
}

/* ---- files ---- */

static size_t count_files(const rig *r, const char *folder)
{
    char path[700];
    size_t count = 0;
    snprintf(path, sizeof path, "%s/%s", r->dir, folder);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *d = readdir(dir); d != NULL; d = readdir(dir))
        count += d->d_name[0] != '.';
    closedir(dir);
    return count;
}

static bool has_file(const rig *r, const char *folder, uint64_t number, const char *ending)
{
    char path[700];
    snprintf(path, sizeof path, "%s/%s/%08llu.%s", r->dir, folder, (unsigned long long)number,
             ending);
    return access(path, F_OK) == 0;
}

static void checkpoint_anew(rig *r)
{
    store_next(r);
    assert_ok(eg_engram_checkpoint(r->engram, E));
}

/* A writer without a thread of its own. */
static void init_by_hand(rig *r)
{
    rig_init(r);
    assert_ok(eg_engram_close(&r->engram, E));
    eg_engram_options options = {
        .segment_size = 64 << 10, .journal_file_size = 16 << 10, .by_hand = true};
    assert_ok(eg_engram_open(r->io, r->dir, &options, &r->engram, E));
}

static void take(rig *r, eg_slot *slot, uint64_t *generation)
{
    eg_manifest manifest;
    assert_ok(eg_lock_reader(r->io, r->dir, &manifest, slot, E));
    *generation = manifest.checkpoint;
    eg_manifest_fini(&manifest);
}

/* ---- tests of slots ---- */

static void opening_needs_the_journal(void **state)
{
    (void)state;
    rig r;
    eg_slot slot;
    uint64_t generation;
    init_by_hand(&r);
    checkpoint_anew(&r);
    uint64_t journal = r.engram->replay_start.file;
    take(&r, &slot, &generation);
    for (int i = 0; i < 5; i++)
        checkpoint_anew(&r);
    assert_true(has_file(&r, "checkpoint", generation, "ckpt"));
    assert_true(has_file(&r, "journal", journal, "wal"));
    assert_int_equal(count_files(&r, "checkpoint"), 2);

    eg_slot_opened(r.io, &slot);
    checkpoint_anew(&r);
    assert_true(has_file(&r, "checkpoint", generation, "ckpt"));
    assert_false(has_file(&r, "journal", journal, "wal"));
    assert_true(count_files(&r, "journal") <= 6); /* the one at hand, five spares */

    eg_slot_release(r.io, &slot);
    checkpoint_anew(&r);
    assert_false(has_file(&r, "checkpoint", generation, "ckpt"));
    assert_int_equal(count_files(&r, "checkpoint"), 1);
    rig_fini(&r);
}

/* The newest generation's slot alone keeps nothing back. */
static void the_current_generation_keeps_nothing(void **state)
{
    (void)state;
    rig r;
    eg_slot slot;
    uint64_t generation;
    init_by_hand(&r);
    checkpoint_anew(&r);
    take(&r, &slot, &generation);
    eg_engram_sweep(r.engram);
    assert_false(r.engram->held_back);
    assert_int_equal(count_files(&r, "checkpoint"), 1);
    eg_slot_release(r.io, &slot);
    rig_fini(&r);
}

/* A segment that a recovery wrote anew stays for who opened the old one, and goes after that. */
static void a_rewritten_segment_stays(void **state)
{
    (void)state;
    rig r;
    eg_slot old, recent;
    uint64_t generation, later;
    init_by_hand(&r);
    take(&r, &old, &generation);
    eg_slot_opened(r.io, &old);
    assert_ok(rig_put(&r, "a", data, 9000, E));
    assert_true(has_file(&r, "segments", 1, "seg"));
    atomic_store(&r.engram->failed, ENGRAM_IO); /* as if killed: nothing is sealed */
    assert_ok(eg_engram_close(&r.engram, E));
    eg_engram_options options = {.by_hand = true};
    assert_ok(eg_engram_open(r.io, r.dir, &options, &r.engram, E));
    assert_int_equal(eg_engram_get_recovery(r.engram)->segments_rewritten, 1);
    assert_true(has_file(&r, "segments", 1, "seg"));

    take(&r, &recent, &later);
    assert_true(later > generation);
    eg_slot_release(r.io, &old);
    checkpoint_anew(&r); /* the newer reader never needed it */
    assert_false(has_file(&r, "segments", 1, "seg"));
    assert_true(has_file(&r, "checkpoint", later, "ckpt"));
    eg_slot_release(r.io, &recent);
    rig_fini(&r);
}

/* Of each generation exactly what some reader holds is kept. */
static void a_thousand_slots(void **state)
{
    (void)state;
    enum { SLOTS = 1000, GENERATIONS = 50 };
    static eg_slot slots[SLOTS];
    static uint64_t generations[SLOTS];
    struct rlimit files = {0};
    rig r;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    size_t count = files.rlim_cur > SLOTS + 100 ? SLOTS : (size_t)files.rlim_cur - 100;
    init_by_hand(&r);
    for (size_t i = 0; i < count; i++) {
        if (i % (count / GENERATIONS) == 0)
            checkpoint_anew(&r);
        take(&r, &slots[i], &generations[i]);
        eg_slot_opened(r.io, &slots[i]);
    }
    for (int round = 0; round < 5; round++) {
        for (size_t i = 0; i < count; i++)
            if (draw(2) == 0)
                eg_slot_release(r.io, &slots[i]);
        checkpoint_anew(&r);
        for (uint64_t g = 1; g < r.engram->manifest.checkpoint; g++) {
            bool held = false;
            for (size_t i = 0; i < count && !held; i++)
                held = slots[i].open != NULL && generations[i] == g;
            assert_int_equal(has_file(&r, "checkpoint", g, "ckpt"), held);
        }
    }
    for (size_t i = 0; i < count; i++)
        eg_slot_release(r.io, &slots[i]);
    checkpoint_anew(&r);
    assert_int_equal(count_files(&r, "checkpoint"), 1);
    rig_fini(&r);
}

/* A disk on which the writer makes a checkpoint just before a reader's lock is taken. */
typedef struct slow_reader {
    eg_io table;
    rig *rig;
    int left; /* times to do so */
} slow_reader;

static engram_status lock_late(eg_io *io, eg_file *file, uint64_t offset, eg_lock_kind kind,
                               engram_error *error)
{
    slow_reader *s = (slow_reader *)io;
    if (s->left > 0) {
        s->left--;
        checkpoint_anew(s->rig);
    }
    return s->rig->io->lock(s->rig->io, file, offset, kind, error);
}

static void a_slot_taken_late_is_taken_again(void **state)
{
    (void)state;
    rig r;
    init_by_hand(&r);
    checkpoint_anew(&r);
    for (int late = 1; late < 8; late++) {
        slow_reader s = {.table = *r.io, .rig = &r, .left = late};
        s.table.lock = lock_late;
        eg_manifest manifest;
        eg_slot slot;
        assert_ok(eg_lock_reader(&s.table, r.dir, &manifest, &slot, E));
        assert_int_equal(s.left, 0);
        assert_int_equal(manifest.checkpoint, r.engram->manifest.checkpoint);
        eg_manifest_fini(&manifest);
        eg_slot_release(r.io, &slot);
    }
    rig_fini(&r);
}

static void without_a_lock_file(void **state)
{
    (void)state;
    rig r;
    char path[700];
    rig_init(&r);
    store_next(&r);
    assert_ok(eg_engram_close(&r.engram, E));
    snprintf(path, sizeof path, "%s/LOCK", r.dir);
    assert_int_equal(unlink(path), 0);
    assert_ok(rig_open(&r, true, E));
    assert_string_equal(check_version(&r), "");
    rig_fini(&r);
}

/* ---- processes ---- */

static void fail_child(const char *what, const char *why)
{
    print_error("%s: %s\n", what, why);
    _exit(1);
}

/* Opens, looks at everything, waits, looks again, closes; until told to stop. */
static void read_for_ever(rig r, int stop_fd, uint64_t number)
{
    char byte;
    long opened = 0;
    seed += number;
    while (read(stop_fd, &byte, 1) < 0 && errno == EAGAIN) {
        engram_error error = {0};
        if (open_small(&r, true, &error) != ENGRAM_OK)
            fail_child("a reader cannot open", error.message);
        for (uint64_t looks = draw(4); looks > 0; looks--) {
            const char *wrong = check_version(&r);
            if (wrong[0] != 0)
                fail_child("a reader", wrong);
            nanosleep(&(struct timespec){.tv_nsec = (long)draw(60) * 1000000}, NULL);
        }
        if (rig_findings(&r) != 0)
            fail_child("a reader", "verify finds something");
        engram_status status = eg_engram_close(&r.engram, &error);
        if (status != ENGRAM_OK)
            fail_child("a reader cannot close", error.message);
        opened++;
    }
    _exit(opened > 0 ? 0 : 1);
}

static void write_some(rig r, uint64_t number)
{
    engram_error error = {0};
    seed += number;
    if (open_small(&r, false, &error) != ENGRAM_OK)
        fail_child("a writer cannot open", error.message);
    for (uint64_t left = 40 + draw(120); left > 0; left--)
        store_next(&r);
    if (number % 2 == 0)
        kill(getpid(), SIGKILL);
    if (eg_engram_close(&r.engram, &error) != ENGRAM_OK)
        fail_child("a writer cannot close", error.message);
    _exit(0);
}

static pid_t start_reader(const rig *r, int stop[2], uint64_t number)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid != 0)
        return pid;
    close(stop[1]);
    read_for_ever(*r, stop[0], number);
    return 0;
}

static void run_writer(const rig *r, uint64_t number)
{
    int how = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        write_some(*r, number);
    assert_int_equal(waitpid(pid, &how, 0), pid);
    bool killed = WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL;
    assert_true(number % 2 == 0 ? killed : WIFEXITED(how) && WEXITSTATUS(how) == 0);
}

static void processes(void **state)
{
    (void)state;
    rig r;
    int stop[2], how;
    pid_t readers[READERS];
    rig_init(&r);
    assert_ok(eg_engram_close(&r.engram, E));
    assert_int_equal(pipe2(stop, O_NONBLOCK), 0);
    for (uint64_t i = 0; i < READERS; i++)
        readers[i] = start_reader(&r, stop, i);
    for (long i = 0; i < episodes; i++)
        run_writer(&r, (uint64_t)i);
    close(stop[1]);
    close(stop[0]);
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(waitpid(readers[i], &how, 0), readers[i]);
        assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    }
    assert_ok(open_small(&r, false, E));
    rig_verify(&r);
    assert_string_equal(check_version(&r), "");
    assert_ok(eg_engram_checkpoint(r.engram, E));
    assert_ok(eg_engram_close(&r.engram, E));
    assert_int_equal(count_files(&r, "checkpoint"), 1);
    assert_int_equal(count_files(&r, "journal"), 1);
    assert_ok(open_small(&r, true, E));
    assert_int_equal(count_files(&r, "segments"), r.engram->manifest.segment_count);
    print_message("%ld writers, version %llu\n", episodes,
                  (unsigned long long)r.engram->assigned_version);
    rig_fini(&r);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--episodes") == 0)
        episodes = strtol(argv[2], NULL, 10);
    if (access("/dev/shm", W_OK) == 0) /* readers meet the writer more often */
        setenv("TMPDIR", "/dev/shm", 1);
    seed = (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)seed);
    rig_fill(data, sizeof data, 21);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening_needs_the_journal),
        cmocka_unit_test(the_current_generation_keeps_nothing),
        cmocka_unit_test(a_rewritten_segment_stays),
        cmocka_unit_test(a_thousand_slots),
        cmocka_unit_test(a_slot_taken_late_is_taken_again),
        cmocka_unit_test(without_a_lock_file),
        cmocka_unit_test(processes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
