/*
 * One of everything that is unusual in a file system, a folder for each sort.
 *
 * What this user or this file system cannot make (device nodes without root, attributes on some
 * file systems) is left out with a warning. Rights are taken away last, because nothing can be made
 * below a folder without them.
 */
#include "files.h"
#include "sets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define MIB         (1u << 20)
#define DEEP_LEVELS 100

static char *make_folder(const char *dir, const char *name)
{
    char *path = path_of("%s/%s", dir, name);
    make_dir(path);
    return path;
}

static void make_in(const char *folder, const char *name, const void *bytes, size_t size)
{
    char *path = path_of("%s/%s", folder, name);
    make_file(path, bytes, size);
    free(path);
}

static void make_text_in(const char *folder, const char *name, rng *r, size_t size)
{
    char *text = take(size);
    rng_text(r, text, size);
    make_in(folder, name, text, size);
    free(text);
}

/* Sizes around every limit a chunker or a block device could have; nothing, one byte, all alike,
 * repeated. */
static void odd_contents(const char *dir, rng *r)
{
    static const size_t sizes[] = {2,    7,    8,    9,     63,    64,    65,    255,   256,  257,
                                   4095, 4096, 4097, 16383, 16384, 16385, 65535, 65536, 65537};
    char *folder = make_folder(dir, "contents");
    uint8_t *bytes = take(MIB);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *name = path_of("random-%zu", sizes[i]);
        rng_bytes(r, bytes, sizes[i]);
        make_in(folder, name, bytes, sizes[i]);
        free(name);
    }
    make_in(folder, "same-1", bytes, 65537);
    make_in(folder, "same-2", bytes, 65537);
    for (size_t i = 0; i < MIB; i++)
        bytes[i] = "abcdefg"[i % 7];
    make_in(folder, "repeated", bytes, MIB);
    memset(bytes, 0, MIB);
    make_in(folder, "empty-1", bytes, 0);
    make_in(folder, "empty-2", bytes, 0);
    make_in(folder, "one-byte-zero", bytes, 1);
    make_in(folder, "one-byte", "x", 1);
    make_in(folder, "zeros-8", bytes, 8);
    make_in(folder, "zeros-65536", bytes, 65536);
    make_in(folder, "zeros-1m", bytes, MIB);
    memset(bytes, 0xff, MIB);
    make_in(folder, "ones-1m", bytes, MIB);
    free(bytes);
    free(folder);
}

static void odd_names(const char *dir, rng *r)
{
    static const char *const names[] = {
        "with space",
        " leading",
        "trailing ",
        "new\nline",
        "\n",
        "tab\there",
        "-rf",
        "--help",
        "back\\slash",
        "quote'and\"double",
        "*?[a]",
        "$HOME",
        "`id`",
        "#comment",
        "a:b",
        ".hidden",
        "...",
        "~",
        "CASE",
        "case",
        "\r",
        "\x01\x02\x7f",
        "\xc3\xa4-nfc",
        "a\xcc\x88-nfd",
        "\xff\xfe",
        "caf\xe9",
        "\xf0\x9f\x98\x80",
        "\xed\xa0\x80",
        "{\"a\": 1}",
        "a|b",
        "semi;colon",
        "100%s",
        "CON",
        "a\xe2\x80\xae"
        "b",
    };
    char *folder = make_folder(dir, "names"), longest[256];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        make_text_in(folder, names[i], r, 100 + i);
    memset(longest, 'n', 255);
    longest[255] = '\0';
    make_text_in(folder, longest, r, 400);
    free(make_folder(folder, "folder\nwith \xff"));
    free(folder);
}

static void odd_folders(const char *dir, rng *r)
{
    char *folder = make_folder(dir, "folders");
    free(make_folder(folder, "empty"));
    char *deep = make_folder(folder, "deep");
    for (int i = 0; i < DEEP_LEVELS; i++) {
        char *next = path_of("%s/level-%03d", deep, i);
        make_dir(next);
        free(deep);
        deep = next;
    }
    make_text_in(deep, "bottom", r, 1000);
    free(deep);
    free(folder);
}

static void make_symlink(const char *folder, const char *name, const char *target)
{
    char *path = path_of("%s/%s", folder, name);
    if (symlink(target, path) != 0)
        die("%s: cannot create the symbolic link: %s", path, strerror(errno));
    free(path);
}

static void odd_links(const char *dir, rng *r)
{
    char *folder = make_folder(dir, "links"), *inner = make_folder(folder, "inner");
    char *file = path_of("%s/file", folder), *second = path_of("%s/second-name", folder);
    char *third = path_of("%s/third-name", inner), long_target[1001];
    make_text_in(folder, "file", r, 5000);
    if (link(file, second) != 0 || link(file, third) != 0)
        die("%s: cannot create a hard link: %s", file, strerror(errno));
    make_symlink(folder, "to-file", "file");
    make_symlink(folder, "to-folder", "inner");
    make_symlink(inner, "to-parent", "..");
    make_symlink(folder, "to-here", ".");
    make_symlink(folder, "dangling", "no such file");
    make_symlink(folder, "absolute", "/dev/null");
    make_symlink(folder, "absolute-dangling", "/no/such/file");
    make_symlink(folder, "outside", "../../../../../../../../../../etc/hostname");
    make_symlink(folder, "self", "self");
    make_symlink(folder, "loop-a", "loop-b");
    make_symlink(folder, "loop-b", "loop-a");
    make_symlink(folder, "to-bytes", "\xff\n ");
    memset(long_target, 't', 1000);
    long_target[1000] = '\0';
    make_symlink(folder, "to-long", long_target);
    free(third);
    free(second);
    free(file);
    free(inner);
    free(folder);
}

static void make_node(const char *folder, const char *name, mode_t mode, dev_t device)
{
    char *path = path_of("%s/%s", folder, name);
    if (mknod(path, mode, device) != 0)
        warn("%s: left out: %s", path, strerror(errno));
    free(path);
}

static void odd_kinds(const char *dir)
{
    char *folder = make_folder(dir, "kinds");
    make_node(folder, "fifo", S_IFIFO | 0640, 0);
    if (geteuid() == 0) {
        make_node(folder, "character-device", S_IFCHR | 0666, makedev(1, 3));
        make_node(folder, "block-device", S_IFBLK | 0600, makedev(7, 200));
    } else {
        warn("%s: device nodes are left out: they need root", folder);
    }
    free(folder);
}

/* Data in the middle and at the end of holes, and nothing but a hole. */
static void odd_sparse(const char *dir, rng *r, uint64_t size)
{
    char *folder = make_folder(dir, "sparse"), *path = path_of("%s/islands", folder), text[5000];
    make_file(path, "", 0);
    make_in(folder, "hole", "", 0);
    rng_text(r, text, sizeof text);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && ftruncate(fd, (off_t)size) == 0;
    if (ok && size >= 2 * sizeof text)
        ok = pwrite(fd, text, sizeof text, (off_t)(size / 2)) == (ssize_t)sizeof text &&
             pwrite(fd, text, 1000, (off_t)(size - 1000)) == 1000;
    if (!ok || close(fd) != 0)
        die("%s: cannot write: %s", path, strerror(errno));
    free(path);
    path = path_of("%s/hole", folder);
    if (truncate(path, (off_t)size) != 0)
        die("%s: cannot give the file its size: %s", path, strerror(errno));
    free(path);
    free(folder);
}

static bool set_attribute(const char *path, const char *name, const void *value, size_t size)
{
    if (setxattr(path, name, value, size, 0) == 0)
        return true;
    warn("%s: attribute %s is left out: %s", path, name, strerror(errno));
    return false;
}

static void odd_attributes(const char *dir, rng *r)
{
    char *folder = make_folder(dir, "attributes"), *path = path_of("%s/file", folder), name[128];
    uint8_t value[1024];
    make_text_in(folder, "file", r, 3000);
    rng_bytes(r, value, sizeof value);
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    memcpy(name, "user.", 5);
    if (set_attribute(folder, "user.folder", "of a folder", 11)) {
        set_attribute(path, "user.text", "plain", 5);
        set_attribute(path, "user.empty", "", 0);
        set_attribute(path, "user.bytes", value, 256);
        set_attribute(path, "user.large", value, sizeof value);
        set_attribute(path, "user.n\xff\n", "odd name", 8);
        set_attribute(path, name, "long name", 9);
    }
    free(path);
    free(folder);
}

static void odd_times(const char *dir, rng *r)
{
    static const struct {
        const char *name;
        int64_t seconds;
        long nanoseconds;
    } times[] = {
        {"epoch", 0, 0},
        {"epoch-and-1ns", 0, 1},
        {"before-epoch", -1, 999999999},
        {"year-1901", -2147483648, 1},
        {"year-1950", -631152000, 123456789},
        {"year-2001", 1000000000, 987654321},
        {"after-2038", 2147483648, 5},
        {"year-2100", 4102444800, 999999999},
        {"last-second", 1599999999, 999999999},
    };
    char *folder = make_folder(dir, "times");
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        char *path = path_of("%s/%s", folder, times[i].name);
        make_text_in(folder, times[i].name, r, 50);
        set_mtime(path, times[i].seconds, times[i].nanoseconds);
        free(path);
    }
    char *path = path_of("%s/link", folder);
    make_symlink(folder, "link", "epoch");
    set_mtime(path, -5, 7);
    set_mtime(folder, -100000, 1);
    free(path);
    free(folder);
}

/* Files and folders of `rights`, named after their mode. Folders that cannot be entered hold a file
 * all the same. */
static const mode_t file_modes[] = {0000, 0200, 0400,  0444,  0555,  0600,
                                    0666, 0777, 04755, 02755, 06755, 01644};
static const mode_t folder_modes[] = {0000, 0100, 0555, 0700, 0777, 01777, 02775};

static void odd_rights(const char *dir, rng *r)
{
    char *folder = make_folder(dir, "rights");
    for (size_t i = 0; i < sizeof file_modes / sizeof *file_modes; i++) {
        char *name = path_of("file-%04o", (unsigned)file_modes[i]);
        make_text_in(folder, name, r, 300 + i);
        free(name);
    }
    for (size_t i = 0; i < sizeof folder_modes / sizeof *folder_modes; i++) {
        char *name = path_of("folder-%04o", (unsigned)folder_modes[i]),
             *inner = make_folder(folder, name);
        make_text_in(inner, "inside", r, 200 + i);
        free(inner);
        free(name);
    }
    char *owned = path_of("%s/owned", folder);
    make_text_in(folder, "owned", r, 100);
    if (geteuid() == 0 && lchown(owned, 12345, 54321) != 0)
        warn("%s: has no other owner: %s", owned, strerror(errno));
    free(owned);
    free(folder);
}

static void set_mode(const char *dir, const char *sort, mode_t mode)
{
    char *path = path_of("%s/rights/%s-%04o", dir, sort, (unsigned)mode);
    if (chmod(path, mode) != 0)
        warn("%s: has not its mode: %s", path, strerror(errno));
    free(path);
}

static void odd_rights_apply(const char *dir)
{
    for (size_t i = 0; i < sizeof file_modes / sizeof *file_modes; i++)
        set_mode(dir, "file", file_modes[i]);
    for (size_t i = 0; i < sizeof folder_modes / sizeof *folder_modes; i++)
        set_mode(dir, "folder", folder_modes[i]);
}

void set_odd(const char *dir, uint64_t seed, uint64_t size)
{
    rng r = rng_stream(seed, 0);
    odd_contents(dir, &r);
    odd_names(dir, &r);
    odd_folders(dir, &r);
    odd_links(dir, &r);
    odd_kinds(dir);
    odd_sparse(dir, &r, size);
    odd_attributes(dir, &r);
    odd_times(dir, &r);
    odd_rights(dir, &r);
    settle_mtimes(dir);
    odd_rights_apply(dir);
}
