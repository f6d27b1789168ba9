/* Archives of many formats, made here: what is in them arrives, what is wrong with them is told. */
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "ingest/ingest_rig.h"

typedef struct made {
    struct archive *writer;
    char *bytes;
    size_t size, capacity;
} made;

static void begin(made *m, int (*format)(struct archive *), int (*filter)(struct archive *))
{
    m->capacity = 4 << 20;
    m->bytes = malloc(m->capacity);
    m->writer = archive_write_new();
    assert_int_equal(format(m->writer), ARCHIVE_OK);
    if (filter != NULL)
        assert_int_equal(filter(m->writer), ARCHIVE_OK);
    assert_int_equal(archive_write_open_memory(m->writer, m->bytes, m->capacity, &m->size),
                     ARCHIVE_OK);
}

static void end(made *m)
{
    assert_int_equal(archive_write_close(m->writer), ARCHIVE_OK);
    archive_write_free(m->writer);
}

static struct archive_entry *member(const char *name, mode_t type, mode_t mode)
{
    struct archive_entry *e = archive_entry_new();
    archive_entry_set_pathname(e, name);
    archive_entry_set_filetype(e, type);
    archive_entry_set_perm(e, mode);
    archive_entry_set_mtime(e, 1234567890, 0);
    return e;
}

static void put(made *m, struct archive_entry *e, const void *bytes, size_t size)
{
    archive_entry_set_size(e, (la_int64_t)size);
    int result = archive_write_header(m->writer, e); /* it warns of names that are not in UTF-8 */
    if (result != ARCHIVE_OK && result != ARCHIVE_WARN)
        fail_msg("%s", archive_error_string(m->writer));
    for (size_t done = 0; done < size;) {
        la_ssize_t n = archive_write_data(m->writer, (const char *)bytes + done, size - done);
        assert_true(n > 0);
        done += (size_t)n;
    }
    archive_entry_free(e);
}

static void put_text(made *m, const char *name, const char *text)
{
    put(m, member(name, AE_IFREG, 0640), text, strlen(text));
}

static void put_link(made *m, const char *name, const char *to)
{
    struct archive_entry *e = member(name, AE_IFREG, 0640);
    archive_entry_set_hardlink(e, to);
    put(m, e, NULL, 0);
}

static const char *save(ingest_rig *r, made *m, size_t size)
{
    static char path[800];
    snprintf(path, sizeof path, "%s/archive", r->engram.temp.path);
    FILE *file = fopen(path, "wb");
    assert_int_equal(fwrite(m->bytes, 1, size, file), size);
    fclose(file);
    return path;
}

static engram_status ingest_archive(ingest_rig *r, const char *path, int fd, const char *prefix,
                                    engram_error *error)
{
    eg_source *source;
    eg_ingest_stats stats;
    engram_status status = eg_source_open_archive(r->engram.io, NULL, path, fd, prefix,
                                                  &r->source_options, &source, error);
    if (status == ENGRAM_OK)
        status = ingest_source(r, source, &stats, error);
    return status == ENGRAM_PARTIAL ? error->status : status; /* why it broke off */
}

static void expect_text(ingest_rig *r, const char *path, const char *text)
{
    rig_expect(&r->engram, path, (const uint8_t *)text, strlen(text));
}

static uint64_t number_of(ingest_rig *r, const char *path, eg_inode *inode)
{
    static eg_buffer scratch;
    eg_version version;
    uint64_t number;
    assert_ok(eg_engram_pin(r->engram.engram, &version, E));
    assert_ok(
        eg_fs_lookup(version.root, (eg_view){(const uint8_t *)path, strlen(path)}, &number, E));
    eg_buffer_clear(&scratch);
    assert_ok(eg_fs_get(version.root, number, inode, &scratch, E));
    eg_version_release(&version);
    return number;
}

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

static void test_formats(void **state)
{
    ingest_rig *r = *state;
    static const struct {
        const char *name;
        int (*format)(struct archive *), (*filter)(struct archive *);
    } kinds[] = {{"ustar", archive_write_set_format_ustar, NULL},
                 {"pax.gz", archive_write_set_format_pax, archive_write_add_filter_gzip},
                 {"gnutar.zst", archive_write_set_format_gnutar, archive_write_add_filter_zstd},
                 {"cpio.xz", archive_write_set_format_cpio_newc, archive_write_add_filter_xz},
                 {"zip", archive_write_set_format_zip, NULL},
                 {"7z", archive_write_set_format_7zip, NULL},
                 {"tar.bz2", archive_write_set_format_ustar, archive_write_add_filter_bzip2}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        made m = {0};
        char path[64];
        uint8_t *big = malloc(300008);
        rig_fill(big, 300000, i + 1);
        begin(&m, kinds[i].format, kinds[i].filter);
        put(&m, member("d/", AE_IFDIR, 0750), NULL, 0);
        put_text(&m, "d/text", kinds[i].name);
        put(&m, member("d/big", AE_IFREG, 0600), big, 300000);
        put_text(&m, "empty", "");
        end(&m);
        assert_ok(ingest_archive(r, save(r, &m, m.size), -1, kinds[i].name, E));
        snprintf(path, sizeof path, "%s/d/text", kinds[i].name);
        expect_text(r, path, kinds[i].name);
        snprintf(path, sizeof path, "%s/d/big", kinds[i].name);
        rig_expect(&r->engram, path, big, 300000);
        snprintf(path, sizeof path, "%s/empty", kinds[i].name);
        expect_text(r, path, "");
        free(big);
        free(m.bytes);
    }
    assert_int_equal(r->issue_count, 0);
    rig_verify(&r->engram);
}

static void put_odd(made *m)
{
    struct archive_entry *e = member("./dir/link", AE_IFLNK, 0777);
    archive_entry_set_symlink(e, "../file\n");
    put(m, e, NULL, 0);
    put(m, member("dir/fifo", AE_IFIFO, 0622), NULL, 0);
    e = member("dir/null", AE_IFCHR, 0666);
    archive_entry_set_rdevmajor(e, 1);
    archive_entry_set_rdevminor(e, 3);
    put(m, e, NULL, 0);
    e = member("file\n\xff", AE_IFREG, 04755);
    archive_entry_set_mtime(e, -3, 123456789);
    archive_entry_set_uid(e, 77);
    archive_entry_set_gid(e, 88);
    archive_entry_xattr_add_entry(e, "user.b", "2", 1);
    archive_entry_xattr_add_entry(e, "user.a", "1", 1);
    archive_entry_xattr_add_entry(e, "security.selinux", "x", 1);
    put(m, e, "content", 7);
    put_link(m, "dir/again", "file\n\xff");
}

static engram_status collect(void *context, eg_view name, eg_view value, engram_error *error)
{
    char *text = context;
    (void)error;
    sprintf(text + strlen(text), "%.*s=%.*s;", (int)name.size, (const char *)name.data,
            (int)value.size, (const char *)value.data);
    return ENGRAM_OK;
}

static void test_odd_members(void **state)
{
    ingest_rig *r = *state;
    made m = {0};
    eg_inode inode, other;
    begin(&m, archive_write_set_format_pax, NULL);
    put_odd(&m);
    end(&m);
    assert_ok(ingest_archive(r, save(r, &m, m.size), -1, "some/prefix", E));
    assert_int_equal(r->issue_count, 0);
    uint64_t number = number_of(r, "some/prefix/file\n\xff", &inode);
    assert_int_equal(inode.mode, 04755);
    assert_int_equal(inode.mtime.seconds, -3);
    assert_int_equal(inode.mtime.nanoseconds, 123456789);
    assert_int_equal(inode.uid, 77);
    assert_int_equal(inode.gid, 88);
    assert_int_equal(inode.source_inode, 0);
    assert_int_equal(inode.link_count, 2);
    assert_int_equal(number_of(r, "some/prefix/dir/again", &other), number);
    eg_version version;
    char text[200] = "";
    assert_ok(eg_engram_pin(r->engram.engram, &version, E));
    assert_ok(eg_fs_attributes(version.root, number, collect, text, E));
    eg_version_release(&version);
    assert_string_equal(text, "user.a=1;user.b=2;");
    number_of(r, "some/prefix/dir/link", &inode);
    assert_int_equal(inode.kind, EG_KIND_SYMLINK);
    assert_int_equal(inode.target.size, 8);
    number_of(r, "some/prefix/dir/fifo", &inode);
    assert_int_equal(inode.kind, EG_KIND_FIFO);
    number_of(r, "some/prefix/dir/null", &inode);
    assert_int_equal(inode.kind, EG_KIND_CHAR_DEVICE);
    assert_int_equal(inode.device, 0x103);
    rig_verify(&r->engram);
    free(m.bytes);
}

static void test_members_that_would_leave(void **state)
{
    ingest_rig *r = *state;
    made m = {0};
    begin(&m, archive_write_set_format_ustar, NULL);
    put_text(&m, "good", "1");
    put_text(&m, "../x", "2");
    put_text(&m, "/abs", "3");
    put_text(&m, "a/../../y", "4");
    put_text(&m, "a/..", "5");
    put_link(&m, "link", "../../etc/passwd");
    put_link(&m, "dangling", "not here");
    put_text(&m, "also good", "6");
    end(&m);
    assert_ok(ingest_archive(r, save(r, &m, m.size), -1, "p", E));
    expect_text(r, "p/good", "1");
    expect_text(r, "p/also good", "6");
    assert_int_equal(r->issue_count, 6);
    assert_true(issues_have(r, ":../x: would leave the output directory"));
    assert_true(issues_have(r, ":/abs: would leave the output directory"));
    assert_true(issues_have(r, ":a/../../y: would leave the output directory"));
    assert_true(issues_have(r, ":link: would leave the output directory"));
    assert_true(issues_have(r, "p/dangling: a hard link to"));
    rig_expect_absent(&r->engram, "p/link");
    rig_expect_absent(&r->engram, "x");
    rig_expect_absent(&r->engram, "y");
    rig_expect_absent(&r->engram, "abs");
    rig_verify(&r->engram);
    free(m.bytes);
}

/* The content comes with the last of three names. */
static void test_cpio_hard_links(void **state)
{
    ingest_rig *r = *state;
    made m = {0};
    eg_inode inode;
    begin(&m, archive_write_set_format_cpio_newc, NULL);
    for (int i = 0; i < 3; i++) {
        struct archive_entry *e = member(i == 0 ? "a" : i == 1 ? "b" : "c", AE_IFREG, 0644);
        archive_entry_set_nlink(e, 3);
        archive_entry_set_dev(e, 5);
        archive_entry_set_ino(e, 99);
        put(&m, e, "shared", i == 2 ? 6 : 0);
        if (i == 1)
            put_text(&m, "between", "-");
    }
    end(&m);
    assert_ok(ingest_archive(r, save(r, &m, m.size), -1, NULL, E));
    assert_int_equal(r->issue_count, 0);
    expect_text(r, "a", "shared");
    expect_text(r, "b", "shared");
    expect_text(r, "c", "shared");
    uint64_t number = number_of(r, "a", &inode);
    assert_int_equal(inode.link_count, 3);
    assert_int_equal(number_of(r, "b", &inode), number);
    assert_int_equal(number_of(r, "c", &inode), number);
    rig_verify(&r->engram);
    free(m.bytes);
}

static void test_excluded_members(void **state)
{
    ingest_rig *r = *state;
    const char *globs[] = {"skip/", "*.o"};
    made m = {0};
    r->source_options.excludes = globs;
    r->source_options.exclude_count = 2;
    begin(&m, archive_write_set_format_ustar, archive_write_add_filter_gzip);
    put_text(&m, "skip/a", "1");
    put_text(&m, "b.o", "2");
    put_text(&m, "c", "3");
    end(&m);
    assert_ok(ingest_archive(r, save(r, &m, m.size), -1, NULL, E));
    rig_expect_absent(&r->engram, "skip");
    rig_expect_absent(&r->engram, "b.o");
    expect_text(r, "c", "3");
    free(m.bytes);
}

/* As tar -r makes it: f, a hard link to f, then f anew. The link keeps the old content. */
static void test_name_given_again(void **state)
{
    ingest_rig *r = *state;
    made m = {0};
    begin(&m, archive_write_set_format_pax, NULL);
    put_text(&m, "f", "one");
    put_link(&m, "h", "f");
    put_text(&m, "f", "two");
    end(&m);
    assert_ok(ingest_archive(r, save(r, &m, m.size), -1, NULL, E));
    expect_text(r, "f", "two");
    expect_text(r, "h", "one");
    rig_verify(&r->engram);
    free(m.bytes);
}

static void make_bomb(made *m, size_t size)
{
    char *zeros = calloc(1, size);
    begin(m, archive_write_set_format_ustar, archive_write_add_filter_gzip);
    put(m, member("zeros", AE_IFREG, 0644), zeros, size);
    put_text(m, "after", "it");
    end(m);
    free(zeros);
}

static void expect_limit(ingest_rig *r, made *m, const char *words)
{
    engram_error error = {0};
    issues_clear(r);
    assert_int_equal(ingest_archive(r, save(r, m, m->size), -1, NULL, &error), ENGRAM_INVALID);
    assert_non_null(strstr(error.message, words));
    assert_non_null(strstr(error.message, "archive"));
    rig_expect_absent(&r->engram, "zeros");
    rig_expect_absent(&r->engram, "after");
    rig_verify(&r->engram);
}

static void test_bombs(void **state)
{
    ingest_rig *r = *state;
    made m = {0};
    make_bomb(&m, 100 << 20);
    r->source_options.archive_ratio_max = 500;
    expect_limit(r, &m, "500 times its size");
    r->source_options.archive_ratio_max = 0;
    r->source_options.archive_bytes_max = 5 << 20;
    expect_limit(r, &m, "5242880 bytes");
    const char *globs[] = {"zeros"}; /* nobody reads it, and it is unpacked all the same */
    r->source_options.excludes = globs;
    r->source_options.exclude_count = 1;
    expect_limit(r, &m, "5242880 bytes");
    r->source_options.archive_bytes_max = 0;
    r->source_options.archive_ratio_max = 5000;
    assert_ok(ingest_archive(r, save(r, &m, m.size), -1, NULL, E));
    expect_text(r, "after", "it");
    free(m.bytes);
}

static void test_many_members(void **state)
{
    ingest_rig *r = *state;
    made m = {0};
    char name[20];
    begin(&m, archive_write_set_format_ustar, NULL);
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "m%d", i);
        put_text(&m, name, "");
    }
    end(&m);
    r->source_options.archive_members_max = 20;
    engram_error error = {0};
    assert_int_equal(ingest_archive(r, save(r, &m, m.size), -1, NULL, &error), ENGRAM_INVALID);
    assert_non_null(strstr(error.message, "20"));
    rig_verify(&r->engram);
    free(m.bytes);
}

/* Cut at many places: never a crash, never half a member, and the archive is named. */
static void test_truncated(void **state)
{
    ingest_rig *r = *state;
    made m = {0};
    uint8_t *big = malloc(200008);
    rig_fill(big, 200000, 5);
    begin(&m, archive_write_set_format_pax, archive_write_add_filter_gzip);
    put_text(&m, "first", "1");
    put(&m, member("big", AE_IFREG, 0600), big, 200000);
    end(&m);
    for (size_t size = 1; size < m.size - 8; size = size * 3 / 2 + 7) {
        engram_error error = {0};
        eg_version version;
        uint64_t number;
        engram_status status = ingest_archive(r, save(r, &m, size), -1, NULL, &error);
        assert_int_not_equal(status, ENGRAM_OK);
        assert_true(error.status == ENGRAM_DAMAGED || error.status == ENGRAM_INVALID);
        assert_non_null(strstr(error.message, "/archive"));
        assert_ok(eg_engram_pin(r->engram.engram, &version, E));
        assert_int_equal(
            eg_fs_lookup(version.root, (eg_view){(const uint8_t *)"big", 3}, &number, NULL),
            ENGRAM_NOT_FOUND);
        eg_version_release(&version);
    }
    rig_verify(&r->engram);
    free(big);
    free(m.bytes);
}

static void test_no_archive(void **state)
{
    ingest_rig *r = *state;
    made m = {.bytes = strdup("just some text, and not an archive at all\n"), .size = 42};
    engram_error error = {0};
    assert_int_equal(ingest_archive(r, save(r, &m, m.size), -1, NULL, &error), ENGRAM_INVALID);
    assert_non_null(strstr(error.message, "is not an archive"));
    error = (engram_error){0};
    assert_int_equal(ingest_archive(r, save(r, &m, 0), -1, NULL, &error), ENGRAM_INVALID);
    error = (engram_error){0};
    assert_int_equal(ingest_archive(r, "/not/there", -1, NULL, &error), ENGRAM_NOT_FOUND);
    error = (engram_error){0};
    assert_int_equal(ingest_archive(r, r->in, -1, NULL, &error), ENGRAM_INVALID);
    free(m.bytes);
}

/* Through a pipe nothing can be sought. */
static void test_streamed(void **state)
{
    ingest_rig *r = *state;
    made m = {0};
    int ends[2];
    begin(&m, archive_write_set_format_zip, NULL);
    put_text(&m, "a", "in a zip, in a pipe");
    put_text(&m, "b", "");
    end(&m);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], m.bytes, m.size), m.size);
    close(ends[1]);
    assert_ok(ingest_archive(r, "stdin", ends[0], "from", E));
    close(ends[0]);
    expect_text(r, "from/a", "in a zip, in a pipe");
    expect_text(r, "from/b", "");
    free(m.bytes);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_formats),
        TEST(test_odd_members),
        TEST(test_members_that_would_leave),
        TEST(test_cpio_hard_links),
        TEST(test_excluded_members),
        TEST(test_name_given_again),
        TEST(test_bombs),
        TEST(test_many_members),
        TEST(test_truncated),
        TEST(test_no_archive),
        TEST(test_streamed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
