/* Repair: a fixture engram is damaged in every way that one file can be, and repaired.
 *
 * After it, the engram opens; a file of the newest version is exact, or as some earlier version had it and
 * told so, or reading it fails; verify finds nothing but what is lost; a second repair changes nothing;
 * what was damaged is in the quarantine; and a dry run before it told the same and changed no byte.
 * (--stride N: every N-th byte is flipped.) */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/memory.h"
#include "engram/internal.h"
#include "engram/rig.h"

enum { FILES_MAX = 64, STORED = 7, SECTOR = 512 };
static uint8_t data[60000];
static long stride = 4099;

/* What stored files were in the course of versions. */
typedef struct stored {
    const char *path;
    const uint8_t *states[4]; /* oldest first */
    size_t sizes[4];
    size_t count;
} stored;

static stored model[STORED];

/* ---- the fixture ---- */

static void put(rig *r, size_t index, const char *path, const uint8_t *bytes, size_t size)
{
    stored *s = &model[index];
    s->path = path;
    s->states[s->count] = bytes;
    s->sizes[s->count++] = size;
    assert_ok(rig_put(r, path, bytes, size, E));
}

static void snapshot(rig *r, const char *name)
{
    eg_buffer ops = {0};
    eg_ops_snapshot(&ops, 0, (eg_view){(const uint8_t *)name, strlen(name)});
    assert_ok(eg_engram_commit(r->engram, &ops, NULL, E));
    eg_buffer_fini(&ops);
}

static void label(rig *r, const char *text)
{
    eg_buffer ops = {0};
    eg_ops_label(&ops, (eg_view){(const uint8_t *)text, strlen(text)});
    assert_ok(eg_engram_commit(r->engram, &ops, NULL, E));
    eg_buffer_fini(&ops);
}

static void write_small(rig *r, size_t index, const char *path, const uint8_t *bytes, size_t size)
{
    stored *s = &model[index];
    engram_transaction *tx = NULL;
    s->path = path;
    s->states[s->count] = bytes;
    s->sizes[s->count++] = size;
    assert_ok(engram_begin(r->engram, NULL, &tx, E));
    assert_ok(engram_write(tx, path, bytes, size, NULL, E));
    assert_ok(engram_commit(&tx, NULL, E));
}

static void attribute(rig *r, const char *path)
{
    eg_version v;
    uint64_t number;
    eg_buffer ops = {0};
    assert_ok(eg_engram_pin(r->engram, &v, E));
    assert_ok(eg_fs_lookup(v.root, (eg_view){(const uint8_t *)path, strlen(path)}, &number, E));
    eg_version_release(&v);
    eg_ops_put_xattr(&ops, number, (eg_view){(const uint8_t *)"user.x", 6},
                     (eg_view){(const uint8_t *)"value", 5});
    assert_ok(eg_engram_commit(r->engram, &ops, NULL, E));
    eg_buffer_fini(&ops);
}

/* Two closings, so that there are sealed segments of several, snapshots, a label, and old states. */
static void fill(rig *r)
{
    memset(model, 0, sizeof model);
    assert_ok(rig_mkdir(r, "d", E));
    assert_ok(rig_mkdir(r, "d/e", E));
    put(r, 0, "d/a", data, 9000);
    put(r, 1, "d/e/b", data + 9000, 14000);
    put(r, 2, "c", data + 23000, 5000);
    snapshot(r, "one");
    rig_reopen(r);
    put(r, 3, "d/f", data + 28000, 7000);
    put(r, 2, "c", data + 35000, 3000);
    label(r, "run");
    rig_reopen(r);
    attribute(r, "d/f");
    put(r, 4, "g", data + 38000, 4096);
    put(r, 0, "d/a", data + 42100, 9100);
    rig_reopen(r);
    write_small(r, 5, "h", data + 51300, 6000);
    write_small(r, 6, "d/i", data + 57300, 100);
}

/* ---- directories ---- */

typedef struct listing {
    char paths[FILES_MAX][128]; /* relative */
    uint64_t sizes[FILES_MAX];
    size_t count;
    uint64_t hash; /* of everything */
} listing;

static void copy_file(const char *from, const char *to)
{
    char bytes[65536];
    struct stat about;
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(in >= 0 && out >= 0);
    assert_int_equal(fstat(in, &about), 0);
    assert_int_equal(ftruncate(out, about.st_size), 0);
    for (off_t at = lseek(in, 0, SEEK_DATA); at >= 0 && at < about.st_size;) {
        off_t end = lseek(in, at, SEEK_HOLE);
        while (at < end) {
            size_t want = (size_t)(end - at) < sizeof bytes ? (size_t)(end - at) : sizeof bytes;
            ssize_t got = pread(in, bytes, want, at);
            assert_true(got > 0);
            assert_int_equal(pwrite(out, bytes, (size_t)got, at), got);
            at += got;
        }
        at = lseek(in, at, SEEK_DATA);
    }
    close(in);
    close(out);
}

static void hash_file(const char *path, const char *name, XXH3_state_t *state)
{
    char bytes[65536];
    ssize_t got;
    int in = open(path, O_RDONLY);
    assert_true(in >= 0);
    XXH3_64bits_update(state, name, strlen(name));
    while ((got = read(in, bytes, sizeof bytes)) > 0)
        XXH3_64bits_update(state, bytes, (size_t)got);
    close(in);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Lists the files below dir/sub; LOCK is nobody's business. */
static void list(const char *dir, const char *sub, listing *l)
{
    char path[1400];
    snprintf(path, sizeof path, "%s/%s", dir, sub);
    DIR *d = opendir(path);
    assert_non_null(d);
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        char name[128];
        struct stat about;
        if (e->d_name[0] == '.' || strcmp(e->d_name, "LOCK") == 0)
            continue;
        snprintf(name, sizeof name, "%s%s%.60s", sub, *sub ? "/" : "", e->d_name);
        snprintf(path, sizeof path, "%s/%s", dir, name);
        assert_int_equal(stat(path, &about), 0);
        if (S_ISDIR(about.st_mode))
            list(dir, name, l);
        else
            snprintf(l->paths[l->count++], sizeof *l->paths, "%s", name);
        assert_true(l->count < FILES_MAX);
    }
    closedir(d);
}

static void take_listing(const char *dir, listing *l)
{
    char path[1400];
    struct stat about;
    XXH3_state_t *state = XXH3_createState();
    memset(l, 0, sizeof *l);
    list(dir, "", l);
    qsort(l->paths, l->count, sizeof *l->paths, by_text);
    XXH3_64bits_reset(state);
    for (size_t i = 0; i < l->count; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, l->paths[i]);
        assert_int_equal(stat(path, &about), 0);
        l->sizes[i] = (uint64_t)about.st_size;
        hash_file(path, l->paths[i], state);
    }
    l->hash = XXH3_64bits_digest(state);
    XXH3_freeState(state);
}

static void copy_dir(const char *from, const char *to)
{
    static const char *const folders[] = {"", "journal", "segments", "tree", "checkpoint"};
    char a[1400], b[1400];
    listing l;
    for (size_t i = 0; i < 5; i++) {
        snprintf(a, sizeof a, "%s/%s", to, folders[i]);
        mkdir(a, 0755);
    }
    take_listing(from, &l);
    for (size_t i = 0; i < l.count; i++) {
        snprintf(a, sizeof a, "%s/%s", from, l.paths[i]);
        snprintf(b, sizeof b, "%s/%s", to, l.paths[i]);
        copy_file(a, b);
    }
}

/* ---- judging ---- */

typedef struct telling {
    size_t steps, losses;
    char first[400], lost[400];
    uint64_t hash; /* of all sentences */
} telling;

static void note(telling *t, const char *message, const char *kind)
{
    t->hash = XXH3_64bits_withSeed(message, strlen(message), t->hash);
    if (getenv("TELL") != NULL)
        print_message("    %s: %s\n", kind, message);
}

static void on_step(void *context, const char *message)
{
    telling *t = context;
    if (t->steps++ == 0)
        snprintf(t->first, sizeof t->first, "%.399s", message);
    note(t, message, "step");
}

static void on_lost(void *context, const char *message)
{
    telling *t = context;
    if (t->losses++ == 0)
        snprintf(t->lost, sizeof t->lost, "%.399s", message);
    note(t, message, "lost");
}

static engram_status repair(const rig *r, bool dry_run, telling *t, engram_repaired *done,
                            engram_error *error)
{
    const engram_repair_options o = {
        .dry_run = dry_run, .threads = 1, .context = t, .step = on_step, .lost = on_lost};
    memset(t, 0, sizeof *t);
    return eg_engram_repair(r->io, r->dir, &o, done, error);
}

static const char *damage_name; /* for messages */
static bool may_be_torn;        /* a log that ends early may be a crash: then nobody knows of a loss */

static void fail_here(const char *what, const char *more)
{
    fail_msg("%s: %s: %s", damage_name, what, more);
}

/* Whether it is what it was last. */
static bool check_file(engram_view *view, const stored *s, bool may_be_old)
{
    static uint8_t found[sizeof data];
    size_t got = 0;
    engram_error error = {0};
    engram_status status = engram_read(view, s->path, 0, found, sizeof found, &got, &error);
    if (status == ENGRAM_DAMAGED || (status == ENGRAM_NOT_FOUND && may_be_old)) {
        if (!may_be_old)
            fail_here(s->path, error.message);
        return false;
    }
    if (status != ENGRAM_OK)
        fail_here(s->path, error.message);
    for (size_t i = s->count; i > 0; i--)
        if (got == s->sizes[i - 1] && memcmp(found, s->states[i - 1], got) == 0 &&
            (i == s->count || may_be_old))
            return i == s->count;
    fail_here(s->path, "wrong bytes");
    return false;
}

static size_t check_files(rig *r, bool may_lack)
{
    size_t exact = 0;
    engram_view *view = NULL;
    assert_ok(engram_pin(r->engram, &view, E));
    for (size_t i = 0; i < STORED; i++)
        exact += check_file(view, &model[i], may_lack);
    engram_unpin(&view);
    return exact;
}

static void on_problem(void *context, const char *message)
{
    if (strstr(message, "is lost") == NULL)
        fail_here("verify after repair", message);
    ++*(size_t *)context;
}

static size_t verify(rig *r)
{
    size_t count = 0;
    uint64_t problems;
    eg_verify_options o = {.subset = 1.0, .context = &count, .problem = on_problem};
    engram_error error = {0};
    if (eg_engram_verify(r->engram, &o, &problems, &error) != ENGRAM_OK)
        fail_here("verify fails", error.message);
    return count;
}

static void open_or_fail(rig *r, bool read_only)
{
    engram_error error = {0};
    if (rig_open(r, read_only, &error) != ENGRAM_OK)
        fail_here("cannot be opened after repair", error.message);
}

/* Somebody goes on working with it. */
static void use(rig *r, size_t lost)
{
    open_or_fail(r, false);
    assert_ok(rig_put(r, "later", data + 100, 8000, E));
    rig_expect(r, "later", data + 100, 8000);
    rig_remove(r, "d/a", NULL);
    assert_true(verify(r) <= lost);
    assert_ok(eg_engram_close(&r->engram, E));
}

typedef struct outcome {
    bool needed;
    size_t exact; /* files of the newest version */
    size_t losses;
} outcome;

/* Repairs what is at r->dir, and looks at it from all sides. */
static outcome judge(rig *r)
{
    listing before, after;
    telling dry, real, again;
    engram_repaired would, done;
    engram_error error = {0};
    outcome o;
    take_listing(r->dir, &before);
    if (repair(r, true, &dry, &would, &error) != ENGRAM_OK)
        fail_here("dry run", error.message);
    take_listing(r->dir, &after);
    if (before.hash != after.hash)
        fail_here("a dry run changed something", dry.first);
    if (repair(r, false, &real, &done, &error) != ENGRAM_OK)
        fail_here("repair", error.message);
    if (dry.hash != real.hash || would.needed != done.needed)
        fail_here("the dry run told something else", real.first);
    o = (outcome){.needed = done.needed, .losses = real.losses};
    take_listing(r->dir, &after);
    if (!done.needed && before.hash != after.hash)
        fail_here("changed although nothing was to repair", real.first);
    open_or_fail(r, true);
    o.exact = check_files(r, real.losses != 0 || may_be_torn);
    size_t lost = verify(r);
    if (lost != 0 && real.losses == 0)
        fail_here("something is lost and was not told", "");
    assert_ok(eg_engram_close(&r->engram, E));
    if (repair(r, false, &again, &done, &error) != ENGRAM_OK || done.needed)
        fail_here("a second repair is needed", again.first);
    listing last;
    take_listing(r->dir, &last);
    if (last.hash != after.hash)
        fail_here("a second repair changed something", again.first);
    use(r, lost);
    return o;
}

/* ---- damage ---- */

typedef struct bench {
    rig rig;          /* its dir is the damaged copy */
    temp_dir temp;
    char good[600];   /* the fixture */
    bool crashed;
    listing files;
    size_t tried, needed, whole, losing;
} bench;

static void bench_init(bench *b, bool crashed)
{
    memset(b, 0, sizeof *b);
    b->crashed = crashed;
    rig_init(&b->rig);
    fill(&b->rig);
    snprintf(b->good, sizeof b->good, "%s/good", b->rig.temp.path);
    if (!crashed)
        assert_ok(eg_engram_close(&b->rig.engram, E));
    copy_dir(b->rig.dir, b->good);
    if (crashed) {
        atomic_store(&b->rig.engram->failed, ENGRAM_IO);
        assert_ok(eg_engram_close(&b->rig.engram, E));
    }
    take_listing(b->good, &b->files);
}

static void bench_fini(bench *b)
{
    print_message("%zu damages: %zu needed repair, %zu lost something, %zu left every file exact\n",
                  b->tried, b->needed, b->losing, b->whole);
    rig_fini(&b->rig);
}

static void fresh_copy(bench *b)
{
    static size_t number;
    temp_dir old = {{0}};
    snprintf(old.path, sizeof old.path, "%.500s", b->rig.dir);
    temp_dir_fini(&old);
    snprintf(b->rig.dir, sizeof b->rig.dir, "%.500s/copy-%zu", b->rig.temp.path, number++);
    copy_dir(b->good, b->rig.dir);
}

static outcome judge_copy(bench *b)
{
    outcome o = judge(&b->rig);
    b->tried++;
    b->needed += o.needed;
    b->losing += o.losses != 0;
    b->whole += o.exact == STORED;
    return o;
}

static void path_of(const bench *b, size_t file, char path[1400])
{
    snprintf(path, 1400, "%s/%s", b->rig.dir, b->files.paths[file]);
}

static void name_damage(const bench *b, size_t file, const char *what, uint64_t at)
{
    static char text[300];
    may_be_torn = b->crashed && strncmp(b->files.paths[file], "journal/", 8) == 0;
    snprintf(text, sizeof text, "%s %s %llu", b->files.paths[file], what, (unsigned long long)at);
    damage_name = text;
    if (getenv("TELL") != NULL)
        print_message("%s\n", text);
}

static void cut(bench *b, size_t file, uint64_t size)
{
    char path[1400];
    name_damage(b, file, "cut to", size);
    fresh_copy(b);
    path_of(b, file, path);
    assert_int_equal(truncate(path, (off_t)size), 0);
    judge_copy(b);
}

static void overwrite(bench *b, size_t file, uint64_t at, const void *bytes, size_t size)
{
    char path[1400];
    fresh_copy(b);
    path_of(b, file, path);
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, size, (off_t)at), (ssize_t)size);
    close(fd);
    judge_copy(b);
}

static uint8_t byte_at(const bench *b, size_t file, uint64_t at)
{
    char path[1400];
    uint8_t byte = 0;
    snprintf(path, sizeof path, "%s/%s", b->good, b->files.paths[file]);
    int fd = open(path, O_RDONLY);
    assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
    close(fd);
    return byte;
}

/* A sparse file's places that hold something; UINT64_MAX: none from at on. */
static uint64_t next_data(const bench *b, size_t file, uint64_t at)
{
    char path[1400];
    snprintf(path, sizeof path, "%s/%s", b->good, b->files.paths[file]);
    int fd = open(path, O_RDONLY);
    off_t found = lseek(fd, (off_t)at, SEEK_DATA);
    close(fd);
    return found < 0 ? UINT64_MAX : (uint64_t)found;
}

static void nothing_to_do(void **state)
{
    (void)state;
    for (int crashed = 0; crashed < 2; crashed++) {
        bench b;
        bench_init(&b, crashed != 0);
        damage_name = crashed ? "crashed, undamaged" : "undamaged";
        fresh_copy(&b);
        outcome o = judge_copy(&b);
        assert_false(o.needed);
        assert_int_equal(o.exact, STORED);
        bench_fini(&b);
    }
}

static void remove_each(bench *b)
{
    for (size_t i = 0; i < b->files.count; i++) {
        char path[1400];
        name_damage(b, i, "removed", 0);
        fresh_copy(b);
        path_of(b, i, path);
        assert_int_equal(unlink(path), 0);
        judge_copy(b);
    }
}

static void cut_each(bench *b)
{
    for (size_t i = 0; i < b->files.count; i++) {
        uint64_t size = b->files.sizes[i];
        cut(b, i, 0);
        cut(b, i, size / 2);
        cut(b, i, size > 0 ? size - 1 : 0);
        cut(b, i, size > 100 ? 100 : size / 3);
    }
}

static void zero_each_sector(bench *b)
{
    static const uint8_t zeros[SECTOR];
    for (size_t i = 0; i < b->files.count; i++)
        for (uint64_t at = next_data(b, i, 0); at < b->files.sizes[i];
             at = next_data(b, i, at + SECTOR)) {
            uint64_t left = b->files.sizes[i] - at;
            name_damage(b, i, "zeroed at", at);
            overwrite(b, i, at, zeros, left < SECTOR ? (size_t)left : SECTOR);
        }
}

static void flip_by_stride(bench *b)
{
    for (size_t i = 0; i < b->files.count; i++)
        for (uint64_t at = next_data(b, i, (uint64_t)(stride / 3)); at < b->files.sizes[i];
             at = next_data(b, i, at + (uint64_t)stride)) {
            uint8_t byte = byte_at(b, i, at) ^ (uint8_t)(1u << at % 8);
            name_damage(b, i, "flipped at", at);
            overwrite(b, i, at, &byte, 1);
        }
}

static void with_both(void (*damage)(bench *))
{
    for (int crashed = 0; crashed < 2; crashed++) {
        bench b;
        bench_init(&b, crashed != 0);
        damage(&b);
        bench_fini(&b);
    }
}

static void files_removed(void **state)
{
    (void)state;
    with_both(remove_each);
}

static void files_cut(void **state)
{
    (void)state;
    with_both(cut_each);
}

static void sectors_zeroed(void **state)
{
    (void)state;
    with_both(zero_each_sector);
}

static void bits_flipped(void **state)
{
    (void)state;
    with_both(flip_by_stride);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--stride") == 0)
        stride = strtol(argv[2], NULL, 10);
    if (stride < 1)
        return 2;
    if (access("/dev/shm", W_OK) == 0) /* hundreds of engrams: the disk itself is not what is tested */
        setenv("TMPDIR", "/dev/shm", 1);
    rig_fill(data, sizeof data, 31);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_to_do), cmocka_unit_test(files_removed),
        cmocka_unit_test(files_cut),     cmocka_unit_test(sectors_zeroed),
        cmocka_unit_test(bits_flipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
