#include "ingest/ingest_rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"

static void note_issue(void *context, const char *path, const char *reason)
{
    ingest_rig *r = context;
    if (r->issues.size != 0)
        r->issues.size--;
    eg_write_bytes(&r->issues, path, strlen(path));
    eg_write_bytes(&r->issues, ": ", 2);
    eg_write_bytes(&r->issues, reason, strlen(reason));
    eg_write_bytes(&r->issues, "\n", 2);
    r->issue_count++;
}

void ingest_rig_init(ingest_rig *r)
{
    memset(r, 0, sizeof *r);
    rig_init(&r->engram);
    assert_ok(eg_pool_create(3, &r->pool, E));
    assert_ok(eg_device_open("scalar", r->pool, &r->device, E));
    snprintf(r->in, sizeof r->in, "%s/in", r->engram.temp.path);
    snprintf(r->out, sizeof r->out, "%s/out", r->engram.temp.path);
    assert_int_equal(mkdir(r->in, 0755), 0);
    r->source_options = (eg_source_options){.issue = note_issue, .context = r};
    r->extract_options = (eg_extract_options){.output = r->out, .issue = note_issue, .context = r};
}

static void remove_tree(const char *path)
{
    char command[1500];
    snprintf(command, sizeof command, "chmod -R u+rwx '%s' 2>/dev/null; rm -rf '%s'", path, path);
    assert_int_equal(system(command), 0);
}

void ingest_rig_fini(ingest_rig *r)
{
    eg_buffer_fini(&r->issues);
    remove_tree(r->in);
    remove_tree(r->out);
    eg_engram_close(&r->engram.engram, NULL);
    eg_device_close(&r->device);
    eg_pool_free(r->pool);
    rig_fini(&r->engram);
}

void remove_out(ingest_rig *r)
{
    remove_tree(r->out);
}

/* ---- making trees ---- */

/* Lent until the eighth call after. */
static const char *at(const ingest_rig *r, const char *path)
{
    static char texts[8][5200];
    static int next;
    char *text = texts[next++ % 8];
    snprintf(text, sizeof texts[0], "%s/%s", r->in, path);
    return text;
}

void tree_write(ingest_rig *r, const char *path, const void *bytes, size_t size)
{
    int fd = open(at(r, path), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
    close(fd);
}

void tree_text(ingest_rig *r, const char *path, const char *text)
{
    tree_write(r, path, text, strlen(text));
}

void tree_fill(ingest_rig *r, const char *path, size_t size, uint64_t seed)
{
    uint8_t *bytes = malloc(size + 8);
    assert_non_null(bytes);
    rig_fill(bytes, size, seed);
    tree_write(r, path, bytes, size);
    free(bytes);
}

void tree_mkdir(ingest_rig *r, const char *path)
{
    assert_int_equal(mkdir(at(r, path), 0755), 0);
}

void tree_link(ingest_rig *r, const char *target, const char *path)
{
    assert_int_equal(symlink(target, at(r, path)), 0);
}

void tree_hard_link(ingest_rig *r, const char *from, const char *path)
{
    assert_int_equal(link(at(r, from), at(r, path)), 0);
}

void tree_remove(ingest_rig *r, const char *path)
{
    assert_int_equal(remove(at(r, path)), 0);
}

void tree_time(ingest_rig *r, const char *path, int64_t seconds, long nanoseconds)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {seconds, nanoseconds}};
    assert_int_equal(utimensat(AT_FDCWD, at(r, path), times, AT_SYMLINK_NOFOLLOW), 0);
}

static void deep(ingest_rig *r, int levels)
{
    char path[5000] = "deep";
    tree_mkdir(r, path);
    for (int i = 0; i < levels; i++) {
        strcat(path, "/d");
        tree_mkdir(r, path);
    }
    strcat(path, "/bottom");
    tree_text(r, path, "far down\n");
}

static void odd_kinds(ingest_rig *r)
{
    tree_mkdir(r, "kinds");
    assert_int_equal(mkfifo(at(r, "kinds/fifo"), 0640), 0);
    tree_link(r, "../files/small", "kinds/link");
    tree_link(r, "nowhere/at all", "kinds/dangling");
    tree_link(r, "/etc", "kinds/absolute");
    tree_time(r, "kinds/dangling", 1000000000, 5);
    char target[4096];
    memset(target, 'x', 4095);
    target[4095] = 0;
    tree_link(r, target, "kinds/long");
    if (geteuid() == 0 && mknod(at(r, "kinds/null"), S_IFCHR | 0666, makedev(1, 3)) == 0)
        assert_int_equal(mknod(at(r, "kinds/block"), S_IFBLK | 0600, makedev(7, 300)), 0);
}

static void odd_attributes(ingest_rig *r)
{
    tree_text(r, "attributes", "with attributes");
    setxattr(at(r, "attributes"), "user.one", "1", 1, 0); /* not all file systems have them */
    setxattr(at(r, "attributes"), "user.empty", "", 0, 0);
    char big[1500];
    memset(big, 'b', sizeof big);
    setxattr(at(r, "attributes"), "user.big", big, sizeof big, 0);
    setxattr(at(r, "files"), "user.of-a-directory", "yes", 3, 0);
    if (geteuid() == 0) {
        setxattr(at(r, "attributes"), "trusted.t", "t", 1, 0);
        lsetxattr(at(r, "kinds/link"), "trusted.of-a-link", "l", 1, 0);
        assert_int_equal(lchown(at(r, "files/small"), 1234, 4321), 0);
    }
}

void tree_odd(ingest_rig *r, int deep_levels)
{
    tree_mkdir(r, "files");
    tree_text(r, "files/empty", "");
    tree_text(r, "files/small", "hello\n");
    tree_fill(r, "files/medium", 300000, 1);
    tree_fill(r, "files/large", 9 << 20, 2);
    tree_mkdir(r, "empty");
    tree_text(r, "new\nline", "n");
    tree_text(r, "\xff\xfe not UTF-8", "u");
    tree_text(r, "-rf", "dash");
    tree_text(r, " ", "space");
    char name[256];
    memset(name, 'n', 255);
    name[255] = 0;
    tree_text(r, name, "a name of 255 bytes");
    tree_hard_link(r, "files/medium", "hard");
    tree_hard_link(r, "files/medium", "empty/hard too");
    odd_kinds(r);
    tree_hard_link(r, "kinds/link", "kinds/link2");
    odd_attributes(r);
    deep(r, deep_levels);
    tree_time(r, "files/small", -86400 * 365 * 20, 999999999);
    tree_time(r, "files/empty", 4102444800, 1);
    assert_int_equal(chmod(at(r, "files/small"), 06755), 0);
    assert_int_equal(chmod(at(r, "files/empty"), geteuid() == 0 ? 0 : 0400), 0);
    tree_time(r, "empty", 12345, 6789);
    assert_int_equal(chmod(at(r, "empty"), 01777), 0);
    tree_time(r, "files", 77, 7);
}

void tree_settle(void)
{
    const struct timespec pause = {.tv_nsec = 60000000};
    nanosleep(&pause, NULL);
}

/* ---- issues ---- */

void issues_clear(ingest_rig *r)
{
    eg_buffer_clear(&r->issues);
    r->issue_count = 0;
}

bool issues_have(const ingest_rig *r, const char *text)
{
    return r->issues.size != 0 && strstr((const char *)r->issues.data, text) != NULL;
}

/* ---- runs ---- */

engram_status ingest_source(ingest_rig *r, eg_source *source, eg_ingest_stats *stats,
                            engram_error *error)
{
    eg_ingest_options options = {
        .mirror = r->mirror, .issue = note_issue, .context = r, .batch_chunks = 64};
    eg_ingest *run = NULL;
    *stats = (eg_ingest_stats){0};
    engram_status status =
        eg_ingest_start(r->engram.engram, r->device, r->pool, &options, &run, error);
    if (status == ENGRAM_OK) {
        engram_error later = {0};
        status = eg_ingest_source(run, source, error);
        engram_status finished = eg_ingest_finish(&run, stats, &later);
        if (status == ENGRAM_OK && finished != ENGRAM_OK) {
            status = finished;
            *error = later;
        }
    }
    source->close(source);
    return status;
}

engram_status ingest_in(ingest_rig *r, eg_ingest_stats *stats, engram_error *error)
{
    eg_source *source;
    engram_status status =
        eg_source_open_path(r->engram.io, r->in, ".", &r->source_options, &source, error);
    return status == ENGRAM_OK ? ingest_source(r, source, stats, error) : status;
}

engram_status extract_out(ingest_rig *r, eg_extract_stats *stats, engram_error *error)
{
    eg_version version;
    engram_status status = eg_engram_pin(r->engram.engram, &version, error);
    if (status != ENGRAM_OK)
        return status;
    status = eg_extract(r->engram.engram, &version, r->pool, &r->extract_options, stats, error);
    eg_version_release(&version);
    return status;
}

/* ---- comparing ---- */

typedef struct seen_file { /* of a file of several names: which two inodes are the same file */
    ino_t a, b;
} seen_file;

typedef struct comparison {
    seen_file seen[64];
    size_t seen_count;
} comparison;

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char **list_names(const char *path, size_t *count)
{
    size_t capacity = 0;
    char **names = NULL;
    DIR *dir = opendir(path);
    if (dir == NULL)
        fail_msg("cannot open %s: %s", path, strerror(errno));
    *count = 0;
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        assert_true(eg_grow((void **)&names, &capacity, *count + 1, sizeof *names));
        names[(*count)++] = eg_strdup(d->d_name);
    }
    closedir(dir);
    if (*count != 0)
        qsort(names, *count, sizeof *names, by_name);
    return names;
}

static void assert_same_content(const char *a, const char *b)
{
    static char x[1 << 16], y[1 << 16];
    FILE *f = fopen(a, "rb"), *g = fopen(b, "rb");
    assert_non_null(f);
    assert_non_null(g);
    for (size_t n = 1; n != 0;) {
        n = fread(x, 1, sizeof x, f);
        if (fread(y, 1, sizeof y, g) != n || memcmp(x, y, n) != 0)
            fail_msg("content differs: %s", b);
    }
    fclose(f);
    fclose(g);
}

static size_t attribute_text(const char *path, char *text, size_t room)
{
    char names[8192], *list[64];
    size_t count = 0, used = 0;
    ssize_t size = llistxattr(path, names, sizeof names);
    for (ssize_t i = 0; i < size; i += (ssize_t)strlen(names + i) + 1)
        list[count++] = names + i;
    if (count != 0)
        qsort(list, count, sizeof *list, by_name);
    for (size_t i = 0; i < count; i++) {
        used += (size_t)snprintf(text + used, room - used, "%s=", list[i]);
        ssize_t n = lgetxattr(path, list[i], text + used, room - used);
        assert_true(n >= 0);
        used += (size_t)n;
    }
    return used;
}

static void assert_same_attributes(const char *a, const char *b)
{
    static char x[1 << 16], y[1 << 16];
    size_t x_size = attribute_text(a, x, sizeof x), y_size = attribute_text(b, y, sizeof y);
    if (x_size != y_size || memcmp(x, y, x_size) != 0)
        fail_msg("extended attributes differ: %s", b);
}

static void assert_same_links(comparison *c, const struct stat *a, const struct stat *b,
                              const char *path)
{
    if (a->st_nlink != b->st_nlink)
        fail_msg("link counts differ: %s has %lu and %lu", path, (unsigned long)a->st_nlink,
                 (unsigned long)b->st_nlink);
    if (a->st_nlink < 2)
        return;
    for (size_t i = 0; i < c->seen_count; i++)
        if (c->seen[i].a == a->st_ino || c->seen[i].b == b->st_ino) {
            if (c->seen[i].a != a->st_ino || c->seen[i].b != b->st_ino)
                fail_msg("a name of another file: %s", path);
            return;
        }
    assert_true(c->seen_count < 64);
    c->seen[c->seen_count++] = (seen_file){a->st_ino, b->st_ino};
}

static void assert_same_target(const char *a, const char *b)
{
    char x[5000] = {0}, y[5000] = {0};
    assert_true(readlink(a, x, sizeof x - 1) > 0);
    assert_true(readlink(b, y, sizeof y - 1) > 0);
    assert_string_equal(x, y);
}

static void compare_trees(comparison *c, char *a, char *b, bool is_top);

static void compare_below(comparison *c, char *a, char *b)
{
    size_t a_size = strlen(a), b_size = strlen(b), count, b_count;
    char **names = list_names(a, &count), **b_names = list_names(b, &b_count);
    for (size_t i = 0; i < count && i < b_count; i++)
        if (strcmp(names[i], b_names[i]) != 0)
            fail_msg("names differ in %s: %s and %s", b, names[i], b_names[i]);
    if (count != b_count)
        fail_msg("%s has %zu names, not %zu", b, b_count, count);
    for (size_t i = 0; i < count; i++) {
        sprintf(a + a_size, "/%s", names[i]);
        sprintf(b + b_size, "/%s", names[i]);
        compare_trees(c, a, b, false);
        a[a_size] = b[b_size] = 0;
        eg_free(names[i]);
        eg_free(b_names[i]);
    }
    eg_free(names);
    eg_free(b_names);
}

static void compare_trees(comparison *c, char *a, char *b, bool is_top)
{
    struct stat x, y;
    if (lstat(a, &x) != 0 || lstat(b, &y) != 0)
        fail_msg("cannot look at %s: %s", b, strerror(errno));
    if (!is_top) {
        if (x.st_mode != y.st_mode || x.st_uid != y.st_uid || x.st_gid != y.st_gid)
            fail_msg("mode or owner differ: %s has %o, not %o", b, y.st_mode, x.st_mode);
        if (x.st_mtim.tv_sec != y.st_mtim.tv_sec || x.st_mtim.tv_nsec != y.st_mtim.tv_nsec)
            fail_msg("times differ: %s has %ld.%09ld, not %ld.%09ld", b, (long)y.st_mtim.tv_sec,
                     y.st_mtim.tv_nsec, (long)x.st_mtim.tv_sec, x.st_mtim.tv_nsec);
        if (S_ISCHR(x.st_mode) || S_ISBLK(x.st_mode))
            assert_int_equal(x.st_rdev, y.st_rdev);
        assert_same_attributes(a, b);
    }
    if (S_ISDIR(x.st_mode)) {
        compare_below(c, a, b);
        return;
    }
    assert_same_links(c, &x, &y, b);
    if (S_ISREG(x.st_mode))
        assert_same_content(a, b);
    if (S_ISLNK(x.st_mode))
        assert_same_target(a, b);
}

void assert_same_tree(const char *a, const char *b)
{
    static char x[8192], y[8192];
    comparison c = {0};
    strcpy(x, a);
    strcpy(y, b);
    compare_trees(&c, x, y, true);
}

void assert_round_trip(ingest_rig *r)
{
    eg_extract_stats stats;
    remove_out(r);
    assert_ok(extract_out(r, &stats, E));
    assert_int_equal(stats.issues, 0);
    assert_same_tree(r->in, r->out);
}
