/* The walk over a file system: order, what is passed over and why, and files that do not keep
 * still. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

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

static eg_source *open_in(ingest_rig *r)
{
    eg_source *source;
    assert_ok(eg_source_open_path(r->engram.io, r->in, ".", &r->source_options, &source, E));
    return source;
}

static bool next(eg_source *source, eg_entry *entry)
{
    engram_error error = {0};
    engram_status status = source->next(source, entry, &error);
    if (status != ENGRAM_OK && status != ENGRAM_NOT_FOUND)
        fail_msg("%s", error.message);
    return status == ENGRAM_OK;
}

/* All paths of a walk, a line each. */
static char *walk(ingest_rig *r)
{
    static char text[1 << 16];
    eg_source *source = open_in(r);
    eg_entry entry;
    size_t used = 0;
    while (next(source, &entry))
        used += (size_t)snprintf(text + used, sizeof text - used, "%.*s\n", (int)entry.path.size,
                                 (const char *)entry.path.data);
    source->close(source);
    return text;
}

static eg_source *open_at(ingest_rig *r, const char *path, eg_entry *entry)
{
    eg_source *source = open_in(r);
    while (next(source, entry))
        if (entry->path.size == strlen(path) &&
            memcmp(entry->path.data, path, entry->path.size) == 0)
            return source;
    fail_msg("no entry %s", path);
    return NULL;
}

static const char *full(const ingest_rig *r, const char *path)
{
    static char text[4][1024];
    static int turn;
    snprintf(text[++turn % 4], sizeof text[0], "%s/%s", r->in, path);
    return text[turn % 4];
}

static void test_order(void **state)
{
    ingest_rig *r = *state;
    tree_mkdir(r, "b");
    tree_text(r, "b/z", "");
    tree_text(r, "b/a", "");
    tree_mkdir(r, "b/m");
    tree_text(r, "b/m/x", "");
    tree_text(r, "b.c", "");
    tree_text(r, "a", "");
    tree_text(r, "\xff", "");
    tree_text(r, "B", "");
    assert_string_equal(walk(r), "\nB\na\nb\nb/a\nb/m\nb/m/x\nb/z\nb.c\n\xff\n");
}

static void test_names_hold_all(void **state)
{
    ingest_rig *r = *state;
    const char *globs[] = {"*.o", "sub/"};
    r->source_options.excludes = globs;
    r->source_options.exclude_count = 2;
    tree_text(r, "a.o", "");
    tree_text(r, "b", "");
    tree_mkdir(r, "sub");
    tree_text(r, "sub/below", "");
    assert_string_equal(walk(r), "\nb\n");
    eg_entry entry;
    eg_source *source = open_at(r, "", &entry);
    assert_true(entry.names_known);
    assert_int_equal(entry.name_count, 3);
    assert_memory_equal(entry.names[0].data, "a.o", 3);
    assert_memory_equal(entry.names[2].data, "sub", 3);
    source->close(source);
}

static void test_socket(void **state)
{
    ingest_rig *r = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "engram-test-socket"};
    char before[4096];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(r->in), 0);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(chdir(before), 0);
    assert_string_equal(walk(r), "\n");
    assert_true(issues_have(r, "engram-test-socket: socket, skipped"));
    close(fd);
}

static void test_skipped_directory(void **state)
{
    ingest_rig *r = *state;
    struct stat about;
    tree_mkdir(r, "skip");
    tree_text(r, "skip/f", "");
    tree_text(r, "t", "");
    assert_int_equal(stat(full(r, "skip"), &about), 0);
    r->source_options.skip_device = about.st_dev;
    r->source_options.skip_inode = about.st_ino;
    assert_string_equal(walk(r), "\nt\n");
    assert_int_equal(r->issue_count, 0);
}

static void test_unreadable(void **state)
{
    ingest_rig *r = *state;
    tree_mkdir(r, "closed");
    tree_text(r, "closed/f", "");
    tree_text(r, "secret", "s");
    tree_text(r, "z", "z");
    assert_int_equal(chmod(full(r, "closed"), 0), 0);
    assert_int_equal(chmod(full(r, "secret"), 0), 0);
    assert_int_equal(chmod(r->engram.temp.path, 0755), 0);
    bool is_root = geteuid() == 0;
    if (is_root)
        assert_int_equal(seteuid(65534), 0);
    char *text = walk(r);
    eg_entry entry;
    eg_source *source = open_at(r, "closed", &entry);
    bool names_known = entry.names_known;
    source->close(source);
    source = open_at(r, "secret", &entry);
    size_t got;
    uint8_t bytes[8];
    engram_error error = {0};
    engram_status status = source->read(source, bytes, sizeof bytes, &got, &error);
    source->close(source);
    if (is_root)
        assert_int_equal(seteuid(0), 0);
    assert_string_equal(text, "\nclosed\nsecret\nz\n");
    assert_false(names_known);
    assert_true(issues_have(r, "closed: cannot be opened: Permission denied"));
    assert_int_equal(status, ENGRAM_IO);
    assert_non_null(strstr(error.message, "Permission denied"));
}

static void test_one_file_system(void **state)
{
    ingest_rig *r = *state;
    struct stat dev, shm;
    if (stat("/dev", &dev) != 0 || stat("/dev/shm", &shm) != 0 || dev.st_dev == shm.st_dev)
        skip();
    char name[] = "/dev/shm/engram-test-XXXXXX";
    int fd = mkstemp(name);
    if (fd < 0)
        skip();
    for (int one = 0; one < 2; one++) {
        eg_source *source;
        eg_entry entry;
        bool file = false, directory = false;
        r->source_options.one_file_system = one;
        assert_ok(eg_source_open_path(r->engram.io, "/dev", ".", &r->source_options, &source, E));
        while (next(source, &entry)) {
            file |= entry.path.size == strlen(name) - 5 &&
                    memcmp(entry.path.data, name + 5, entry.path.size) == 0;
            directory |= entry.path.size == 3 && memcmp(entry.path.data, "shm", 3) == 0;
        }
        source->close(source);
        assert_true(directory);
        assert_int_equal(file, !one);
    }
    close(fd);
    unlink(name);
}

/* A chain of directories with a file behind each. */
static void make_chain(ingest_rig *r, int levels)
{
    char path[5000] = "";
    for (int i = 0; i < levels; i++) {
        strcat(path, i == 0 ? "d" : "/d");
        tree_mkdir(r, path);
        size_t size = strlen(path);
        strcpy(path + size, "z");
        tree_text(r, path, "z");
        path[size] = 0;
    }
}

static size_t count_entries(eg_source *source)
{
    eg_entry entry;
    size_t count = 0;
    while (next(source, &entry))
        count++;
    return count;
}

static void test_few_descriptors(void **state)
{
    ingest_rig *r = *state;
    struct rlimit before, few;
    make_chain(r, 1200);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = 150;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    eg_source *source = open_in(r);
    size_t count = count_entries(source);
    source->close(source);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(count, 2401);
    assert_int_equal(r->issue_count, 0);
}

/* d^100 (the directory a hundred levels down) is moved away with all below it, and from there
 * d^130: the thirty between are found neither from above nor from below, and all the others are. */
static void test_moved_under_the_walk(void **state)
{
    ingest_rig *r = *state;
    eg_entry entry;
    char from[1024];
    make_chain(r, 200);
    eg_source *source = open_in(r);
    for (int i = 0; i <= 200; i++) /* down to the last directory */
        assert_true(next(source, &entry));
    strcpy(from, r->in);
    for (int i = 0; i < 100; i++)
        strcat(from, "/d");
    assert_int_equal(rename(from, full(r, "elsewhere")), 0);
    strcpy(from, full(r, "elsewhere"));
    for (int i = 0; i < 30; i++)
        strcat(from, "/d");
    assert_int_equal(rename(from, full(r, "third")), 0);
    size_t rest = count_entries(source);
    source->close(source);
    assert_true(issues_have(r, "the directory was moved or removed"));
    assert_int_equal(r->issue_count, 30);
    assert_int_equal(rest, 170);
}

static void read_all(eg_source *source, char *text, size_t room)
{
    size_t got;
    assert_ok(source->read(source, text, room, &got, E));
    text[got] = 0;
}

static void test_changed_while_read(void **state)
{
    ingest_rig *r = *state;
    eg_entry entry;
    char text[100];
    bool changed, again;
    tree_text(r, "f", "first");
    eg_source *source = open_at(r, "f", &entry);
    eg_inode inode = entry.inode;
    read_all(source, text, sizeof text - 1);
    assert_string_equal(text, "first");
    tree_text(r, "f", "second one");
    assert_ok(source->finish(source, &inode, &changed, &again, E));
    assert_true(changed);
    assert_true(again);
    assert_int_equal(inode.size, 10);
    read_all(source, text, sizeof text - 1);
    assert_string_equal(text, "second one");
    assert_ok(source->finish(source, &inode, &changed, &again, E));
    assert_false(changed);
    source->close(source);
}

static void test_never_still(void **state)
{
    ingest_rig *r = *state;
    eg_entry entry;
    char text[100];
    bool changed = true, again = true;
    int tries = 0;
    tree_text(r, "f", "0");
    eg_source *source = open_at(r, "f", &entry);
    eg_inode inode = entry.inode;
    for (; again; tries++) {
        read_all(source, text, sizeof text - 1);
        int fd = open(full(r, "f"), O_WRONLY | O_APPEND);
        assert_int_equal(write(fd, "more", 4), 4);
        close(fd);
        assert_ok(source->finish(source, &inode, &changed, &again, E));
        assert_true(changed);
    }
    assert_int_equal(tries, 3);
    source->close(source);
}

/* Same size, and the old time put back: the change of status gives it away. */
static void test_changed_in_secret(void **state)
{
    ingest_rig *r = *state;
    eg_entry entry;
    char text[100];
    bool changed, again;
    tree_text(r, "f", "aaaaa");
    tree_time(r, "f", 1000, 1);
    eg_source *source = open_at(r, "f", &entry);
    eg_inode inode = entry.inode;
    read_all(source, text, sizeof text - 1);
    tree_settle();
    tree_text(r, "f", "bbbbb");
    tree_time(r, "f", 1000, 1);
    assert_ok(source->finish(source, &inode, &changed, &again, E));
    assert_true(changed);
    source->close(source);
}

static void expect_refused(ingest_rig *r, void (*replace)(ingest_rig *r))
{
    eg_entry entry;
    uint8_t bytes[8];
    size_t got;
    engram_error error = {0};
    tree_text(r, "f", "first");
    eg_source *source = open_at(r, "f", &entry);
    replace(r);
    assert_int_not_equal(source->read(source, bytes, sizeof bytes, &got, &error), ENGRAM_OK);
    assert_true(error.message[0] != 0);
    source->close(source);
    tree_remove(r, "f");
}

static void replace_by_file(ingest_rig *r)
{
    tree_text(r, "g", "other");
    assert_int_equal(rename(full(r, "g"), full(r, "f")), 0);
}

static void replace_by_fifo(ingest_rig *r)
{
    tree_remove(r, "f");
    assert_int_equal(mkfifo(full(r, "f"), 0644), 0);
}

static void replace_by_link(ingest_rig *r)
{
    tree_remove(r, "f");
    tree_link(r, "/etc/passwd", "f");
}

static void test_replaced_before_read(void **state)
{
    expect_refused(*state, replace_by_file);
    expect_refused(*state, replace_by_fifo);
    expect_refused(*state, replace_by_link);
}

static void test_changing_file_is_not_stored(void **state)
{
    ingest_rig *r = *state;
    eg_entry entry;
    tree_text(r, "f", "0123456789");
    eg_source *source = open_at(r, "f", &entry);
    uint8_t bytes[4];
    size_t got;
    bool changed, again;
    eg_inode inode = entry.inode;
    assert_ok(source->read(source, bytes, sizeof bytes, &got, E));
    assert_int_equal(got, 4);
    tree_text(r, "f", "01");
    assert_ok(source->read(source, bytes, sizeof bytes, &got, E));
    assert_int_equal(got, 0); /* cut short under our eyes */
    assert_ok(source->finish(source, &inode, &changed, &again, E));
    assert_true(changed);
    source->close(source);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_order),
        TEST(test_names_hold_all),
        TEST(test_socket),
        TEST(test_skipped_directory),
        TEST(test_unreadable),
        TEST(test_one_file_system),
        TEST(test_few_descriptors),
        TEST(test_moved_under_the_walk),
        TEST(test_changed_while_read),
        TEST(test_never_still),
        TEST(test_changed_in_secret),
        TEST(test_replaced_before_read),
        TEST(test_changing_file_is_not_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
