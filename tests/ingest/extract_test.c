/* Extract: parts of a tree, output directories that are not empty, traps laid in them, damage. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "ingest/extract_parts.h"
#include "ingest/ingest_rig.h"

static int set_up(void **state)
{
    ingest_rig *r = malloc(sizeof *r);
    ingest_rig_init(r);
    *state = r;
    return 0;
}

static int tear_down(void **state)
{
    ingest_rig_fini(*state);
    free(*state);
    return 0;
}

static void ingest_ok(ingest_rig *r)
{
    eg_ingest_stats stats;
    assert_ok(ingest_in(r, &stats, E));
    assert_int_equal(r->issue_count, 0);
}

static const char *out(const ingest_rig *r, const char *path)
{
    static char text[8][1024];
    static int turn;
    snprintf(text[++turn % 8], sizeof text[0], "%s/%s", r->out, path);
    return text[turn % 8];
}

static bool there(const ingest_rig *r, const char *path)
{
    struct stat about;
    return lstat(out(r, path), &about) == 0;
}

static void expect_text(const char *path, const char *text)
{
    char bytes[200];
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fail_msg("no file %s", path);
    bytes[fread(bytes, 1, sizeof bytes - 1, file)] = 0;
    fclose(file);
    assert_string_equal(bytes, text);
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void small_tree(ingest_rig *r)
{
    tree_mkdir(r, "a");
    tree_mkdir(r, "a/b");
    tree_text(r, "a/b/f", "a/b/f");
    tree_text(r, "a/g", "a/g");
    tree_mkdir(r, "a/c");
    tree_text(r, "a/c/h", "a/c/h");
    tree_text(r, "i", "i");
    tree_time(r, "a/b", 1000, 5);
    tree_time(r, "a", 2000, 6);
    ingest_ok(r);
}

static engram_status extract_prefixes(ingest_rig *r, const char *const *prefixes, size_t count,
                                      eg_extract_stats *stats, engram_error *error)
{
    remove_out(r);
    r->extract_options.prefixes = prefixes;
    r->extract_options.prefix_count = count;
    return extract_out(r, stats, error);
}

static void test_prefixes(void **state)
{
    ingest_rig *r = *state;
    eg_extract_stats stats;
    struct stat about;
    small_tree(r);
    assert_ok(extract_prefixes(r, (const char *[]){"a/b"}, 1, &stats, E));
    assert_int_equal(stats.files, 1);
    expect_text(out(r, "a/b/f"), "a/b/f");
    assert_false(there(r, "a/g"));
    assert_int_equal(stat(out(r, "a"), &about), 0); /* made, with its attributes */
    assert_int_equal(about.st_mtim.tv_sec, 2000);
    assert_ok(
        extract_prefixes(r, (const char *[]){"a/c", "/a/b/f", "i", "a//c/h", "./i"}, 5, &stats, E));
    assert_int_equal(stats.issues, 0);
    assert_int_equal(stats.files, 3);
    expect_text(out(r, "a/c/h"), "a/c/h");
    expect_text(out(r, "a/b/f"), "a/b/f");
    expect_text(out(r, "i"), "i");
    assert_false(there(r, "a/g"));
    assert_ok(extract_prefixes(r, (const char *[]){"a/b/f", "", "a"}, 3, &stats, E));
    assert_int_equal(stats.issues, 0);
    assert_same_tree(r->in, r->out);
}

static void test_prefix_not_there(void **state)
{
    ingest_rig *r = *state;
    eg_extract_stats stats;
    engram_error error = {0};
    small_tree(r);
    assert_int_equal(extract_prefixes(r, (const char *[]){"i", "a/nothing"}, 2, &stats, &error),
                     ENGRAM_NOT_FOUND);
    assert_non_null(strstr(error.message, "a/nothing"));
    assert_false(there(r, "i"));
    error = (engram_error){0};
    assert_int_equal(extract_prefixes(r, (const char *[]){"a/../i"}, 1, &stats, &error),
                     ENGRAM_NOT_FOUND);
}

static void test_implied_parents_are_plain(void **state)
{
    ingest_rig *r = *state;
    eg_ingest_stats ingested;
    eg_extract_stats stats;
    eg_source *source;
    struct stat about;
    tree_text(r, "f", "text");
    char path[800];
    snprintf(path, sizeof path, "%s/f", r->in);
    int fd = open(path, O_RDONLY);
    assert_ok(eg_source_open_stream(r->engram.io, fd, "x/y/f", &r->source_options, &source, E));
    close(fd);
    assert_ok(ingest_source(r, source, &ingested, E));
    mode_t before = umask(027);
    assert_ok(extract_out(r, &stats, E));
    umask(before);
    expect_text(out(r, "x/y/f"), "text");
    assert_int_equal(stat(out(r, "x/y"), &about), 0);
    assert_int_equal(about.st_mode & 07777, 0750);
    assert_int_equal(stat(out(r, "x/y/f"), &about), 0);
    assert_int_equal(about.st_mode & 07777, 0644); /* stored, so not the umask's */
}

static void test_existing_files(void **state)
{
    ingest_rig *r = *state;
    eg_extract_stats stats;
    small_tree(r);
    assert_int_equal(mkdir(r->out, 0755), 0);
    assert_int_equal(mkdir(out(r, "a"), 0700), 0);
    write_text(out(r, "a/g"), "mine");
    assert_int_equal(mkdir(out(r, "i"), 0755), 0);
    assert_ok(extract_out(r, &stats, E));
    assert_int_equal(stats.issues, 2);
    assert_true(issues_have(r, "a/g: exists already"));
    assert_true(issues_have(r, "i: a directory is there already"));
    expect_text(out(r, "a/g"), "mine");
    expect_text(out(r, "a/c/h"), "a/c/h");
    issues_clear(r);
    r->extract_options.overwrite = true;
    assert_ok(extract_out(r, &stats, E));
    assert_int_equal(stats.issues, 1);
    assert_true(issues_have(r, "i: a directory is there already"));
    assert_int_equal(rmdir(out(r, "i")), 0);
    assert_ok(extract_out(r, &stats, E));
    assert_same_tree(r->in, r->out);
}

/* Links in the output that lead out of it: nothing goes through them. */
static void test_traps(void **state)
{
    ingest_rig *r = *state;
    eg_extract_stats stats;
    char outside[800], file[900];
    snprintf(outside, sizeof outside, "%s/outside", r->engram.temp.path);
    snprintf(file, sizeof file, "%s/outside/file", r->engram.temp.path);
    small_tree(r);
    for (int overwrite = 0; overwrite < 2; overwrite++) {
        remove_out(r);
        issues_clear(r);
        assert_int_equal(mkdir(outside, 0755), overwrite ? -1 : 0);
        write_text(file, "untouched");
        assert_int_equal(mkdir(r->out, 0755), 0);
        assert_int_equal(symlink(outside, out(r, "a")), 0);
        assert_int_equal(symlink(file, out(r, "i")), 0);
        r->extract_options.overwrite = overwrite;
        assert_ok(extract_out(r, &stats, E));
        assert_true(issues_have(r, "a: a symbolic link is there where a directory is needed"));
        assert_int_equal(stats.issues, overwrite ? 1 : 2);
        expect_text(file, "untouched");
        char other[900];
        snprintf(other, sizeof other, "%s/g", outside);
        assert_int_not_equal(access(other, F_OK), 0);
        if (overwrite)
            expect_text(out(r, "i"), "i"); /* the link was replaced, not followed */
    }
}

static void test_stored_link_is_not_followed(void **state)
{
    ingest_rig *r = *state;
    eg_extract_stats stats;
    small_tree(r);
    assert_ok(extract_out(r, &stats, E));
    remove_out(r);
    tree_link(r, "/etc", "z");
    ingest_ok(r);
    engram_error error = {0};
    assert_int_equal(extract_prefixes(r, (const char *[]){"z/passwd"}, 1, &stats, &error),
                     ENGRAM_NOT_FOUND);
    assert_ok(extract_prefixes(r, NULL, 0, &stats, E));
    assert_same_tree(r->in, r->out);
}

static void test_hard_links_over_what_is_there(void **state)
{
    ingest_rig *r = *state;
    eg_extract_stats stats;
    struct stat one, two, three;
    tree_text(r, "a", "shared");
    tree_hard_link(r, "a", "b");
    tree_hard_link(r, "a", "c");
    ingest_ok(r);
    assert_int_equal(mkdir(r->out, 0755), 0);
    write_text(out(r, "a"), "in the way");
    assert_ok(extract_out(r, &stats, E));
    assert_int_equal(stats.issues, 1);
    expect_text(out(r, "a"), "in the way");
    expect_text(out(r, "b"), "shared"); /* whoever was first */
    r->extract_options.overwrite = true;
    assert_ok(extract_out(r, &stats, E));
    assert_int_equal(stats.files, 3);
    assert_int_equal(stats.bytes, 6);
    assert_int_equal(lstat(out(r, "a"), &one), 0);
    assert_int_equal(lstat(out(r, "b"), &two), 0);
    assert_int_equal(lstat(out(r, "c"), &three), 0);
    assert_int_equal(one.st_nlink, 3);
    assert_true(one.st_ino == two.st_ino && two.st_ino == three.st_ino);
}

static void test_sparse(void **state)
{
    ingest_rig *r = *state;
    eg_extract_stats stats;
    struct stat about;
    static uint8_t bytes[8 << 20];
    memset(bytes + 5000, 1, 100);
    memset(bytes + (4 << 20) + 17, 2, 4096);
    tree_write(r, "holes", bytes, sizeof bytes);
    tree_write(r, "small", bytes, 20000);
    tree_write(r, "zeros", bytes + 6000, 10000);
    ingest_ok(r);
    r->extract_options.sparse = true;
    assert_ok(extract_out(r, &stats, E));
    assert_int_equal(stats.bytes, sizeof bytes + 30000);
    assert_same_tree(r->in, r->out);
    FILE *file = fopen(out(r, "reference"), "wb");
    assert_int_equal(ftruncate(fileno(file), sizeof bytes), 0);
    fclose(file);
    assert_int_equal(stat(out(r, "reference"), &about), 0);
    if ((size_t)about.st_blocks * 512 >= sizeof bytes)
        return; /* a file system without holes */
    assert_int_equal(stat(out(r, "holes"), &about), 0);
    assert_true(about.st_blocks * 512 <= 64 << 10);
}

/* Bytes of a segment are turned: the files in it are issues and are not left behind; the others
 * arrive. */
static void test_damaged_content(void **state)
{
    ingest_rig *r = *state;
    eg_extract_stats stats;
    char command[2000];
    tree_fill(r, "large", 6 << 20, 3);
    tree_fill(r, "small", 20000, 4);
    tree_text(r, "empty", "");
    ingest_ok(r);
    assert_ok(eg_engram_close(&r->engram.engram, E));
    snprintf(command, sizeof command,
             "for f in '%s'/segments/*; do s=$(stat -c %%s \"$f\"); for i in 1 2 3 4 5 6 7; do "
             "printf XXXX | dd of=\"$f\" bs=1 seek=$((s*i/8)) conv=notrunc status=none; done; done",
             r->engram.dir);
    assert_int_equal(system(command), 0);
    engram_error error = {0};
    if (rig_open(&r->engram, true, &error) != ENGRAM_OK)
        fail_msg("%s", error.message);
    assert_ok(extract_out(r, &stats, E));
    assert_true(stats.issues >= 1);
    assert_true(issues_have(r, "large: "));
    assert_false(there(r, "large"));
    assert_true(there(r, "empty"));
    assert_true(stats.bytes <= 20000);
}

/* A reference that gives a chunk another size than it has: nothing of it may arrive. */
static void test_wrong_reference(void **state)
{
    ingest_rig *r = *state;
    eg_extract_stats stats;
    uint8_t bytes[3000];
    eg_chunk_ref *refs = NULL;
    size_t count = 0;
    eg_buffer ops = {0};
    eg_inode inode = {.kind = EG_KIND_FILE, .mode = 0644, .size = 2000};
    uint64_t number = eg_engram_new_inode(r->engram.engram);
    rig_fill(bytes, 2992, 1);
    assert_ok(rig_chunks(&r->engram, bytes, 2992, &refs, &count, &ops, E));
    refs[0].size = 2000;
    eg_ops_put_inode(&ops, number, &inode);
    eg_ops_splice(&ops, number, 0, 0, refs, 1);
    eg_ops_link(&ops, EG_INODE_ROOT, number, EG_KIND_FILE, (eg_view){(const uint8_t *)"f", 1});
    assert_ok(eg_engram_commit(r->engram.engram, &ops, NULL, E));
    assert_ok(extract_out(r, &stats, E));
    assert_int_equal(stats.issues, 1);
    assert_int_equal(stats.files, 0);
    assert_false(there(r, "f"));
    eg_buffer_fini(&ops);
    eg_free(refs);
}

static void test_open_beneath(void **state)
{
    ingest_rig *r = *state;
    int top = open(r->in, O_RDONLY | O_DIRECTORY), fd;
    char path[8200] = "";
    tree_mkdir(r, "a");
    tree_mkdir(r, "a/b");
    tree_link(r, "a", "link");
    tree_link(r, "/", "root");
    tree_link(r, "../..", "a/up");
    static const char *const refused[] = {"link", "link/b",       "root/etc", "a/up", "a/../..",
                                          "..",   "a/b/../../..", "/etc",     "none"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (eg_open_beneath(top, refused[i]) >= 0)
            fail_msg("opened %s", refused[i]);
    fd = eg_open_beneath(top, "a/b");
    assert_true(fd >= 0);
    close(fd);
    /* Longer than one call of the system takes; and with a link in it. */
    char name[201];
    memset(name, 'n', 200);
    name[200] = 0;
    fd = dup(top);
    for (int i = 0; i < 30; i++) {
        assert_int_equal(mkdirat(fd, name, 0755), 0);
        int next = openat(fd, name, O_RDONLY | O_DIRECTORY);
        close(fd);
        fd = next;
        strcat(strcat(path, i == 0 ? "" : "/"), name);
    }
    assert_int_equal(symlinkat("/", fd, "out"), 0);
    close(fd);
    fd = eg_open_beneath(top, path);
    assert_true(fd >= 0);
    close(fd);
    assert_true(eg_open_beneath(top, strcat(path, "/out")) < 0);
    close(top);
}

static void test_output_that_cannot_be(void **state)
{
    ingest_rig *r = *state;
    eg_extract_stats stats;
    engram_error error = {0};
    small_tree(r);
    write_text(r->out, "a file");
    assert_int_not_equal(extract_out(r, &stats, &error), ENGRAM_OK);
    assert_non_null(strstr(error.message, r->out));
    expect_text(r->out, "a file");
}

typedef struct progress {
    uint64_t calls, last, total;
} progress;

static void note_progress(void *context, const eg_extract_stats *stats, uint64_t bytes_total)
{
    progress *p = *(progress **)context;
    p->calls++;
    p->total = bytes_total;
    p->last = stats->bytes;
}

static void test_progress(void **state)
{
    ingest_rig *r = *state;
    eg_extract_stats stats;
    progress p = {0}, *pointer = &p;
    small_tree(r);
    r->extract_options.progress = note_progress;
    r->extract_options.issue = NULL;
    r->extract_options.context = &pointer;
    assert_ok(extract_out(r, &stats, E));
    assert_true(p.calls > 0);
    assert_int_equal(p.last, 14);
    assert_int_equal(p.total, 14);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_prefixes),
        TEST(test_prefix_not_there),
        TEST(test_implied_parents_are_plain),
        TEST(test_existing_files),
        TEST(test_traps),
        TEST(test_stored_link_is_not_followed),
        TEST(test_hard_links_over_what_is_there),
        TEST(test_sparse),
        TEST(test_damaged_content),
        TEST(test_wrong_reference),
        TEST(test_open_beneath),
        TEST(test_output_that_cannot_be),
        TEST(test_progress),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
