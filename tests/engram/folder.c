#include "engram/folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/temp_dir.h"
#include "base/test.h"

bool folder_next_data(int file, uint64_t *from, uint64_t *to)
{
    off_t start = lseek(file, (off_t)*to, SEEK_DATA);
    if (start < 0)
        return false;
    *from = (uint64_t)start;
    *to = (uint64_t)lseek(file, start, SEEK_HOLE);
    return true;
}

static void copy_data(int in, int out, uint64_t from, uint64_t to)
{
    char bytes[65536];
    while (from < to) {
        size_t want = to - from < sizeof bytes ? (size_t)(to - from) : sizeof bytes;
        ssize_t got = pread(in, bytes, want, (off_t)from);
        assert_true(got > 0);
        assert_int_equal(pwrite(out, bytes, (size_t)got, (off_t)from), got);
        from += (uint64_t)got;
    }
}

static void copy_file(const char *old_path, const char *new_path)
{
    uint64_t from, to = 0;
    struct stat about;
    int in = open(old_path, O_RDONLY), out = open(new_path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(in >= 0 && out >= 0);
    assert_int_equal(fstat(in, &about), 0);
    assert_int_equal(ftruncate(out, about.st_size), 0);
    while (folder_next_data(in, &from, &to))
        copy_data(in, out, from, to);
    close(in);
    close(out);
}

/* Blocks that are not zero, and where: whether zeros take place on the disk makes no difference. */
static void hash_data(int file, uint64_t from, uint64_t to, XXH3_state_t *state)
{
    static const char zeros[4096];
    char bytes[4096];
    for (uint64_t at = from; at < to; at += sizeof bytes) {
        ssize_t got = pread(file, bytes, sizeof bytes, (off_t)at);
        assert_true(got > 0);
        if (memcmp(bytes, zeros, (size_t)got) == 0)
            continue;
        XXH3_64bits_update(state, &at, sizeof at);
        XXH3_64bits_update(state, bytes, (size_t)got);
    }
}

static void hash_file(const char *path, XXH3_state_t *state)
{
    uint64_t from, to = 0;
    struct stat about;
    int file = open(path, O_RDONLY);
    assert_true(file >= 0);
    assert_int_equal(fstat(file, &about), 0);
    XXH3_64bits_update(state, &about.st_size, sizeof about.st_size);
    while (folder_next_data(file, &from, &to))
        hash_data(file, from, to, state);
    close(file);
}

bool folder_same(const char *dir, const char *name, const char *other_dir, const char *other_name)
{
    const char *dirs[] = {dir, other_dir}, *names[] = {name, other_name};
    uint64_t hashes[2];
    for (size_t i = 0; i < 2; i++) {
        char path[FOLDER_PATH_MAX];
        snprintf(path, sizeof path, "%s/%s", dirs[i], names[i]);
        if (access(path, F_OK) != 0)
            return false;
        XXH3_state_t *state = XXH3_createState();
        XXH3_64bits_reset(state);
        hash_file(path, state);
        hashes[i] = XXH3_64bits_digest(state);
        XXH3_freeState(state);
    }
    return hashes[0] == hashes[1];
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Lists the files below dir/sub. */
static void list(const char *dir, const char *sub, folder_listing *l)
{
    char path[FOLDER_PATH_MAX];
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
        assert_true(l->count < FOLDER_FILES_MAX);
    }
    closedir(d);
}

void folder_list(const char *dir, folder_listing *l)
{
    char path[FOLDER_PATH_MAX];
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
        XXH3_64bits_update(state, l->paths[i], strlen(l->paths[i]));
        hash_file(path, state);
    }
    l->hash = XXH3_64bits_digest(state);
    XXH3_freeState(state);
}

void folder_copy(const char *from, const char *to)
{
    static const char *const folders[] = {"", "journal", "segments", "tree", "checkpoint"};
    char a[FOLDER_PATH_MAX], b[FOLDER_PATH_MAX];
    folder_listing l;
    for (size_t i = 0; i < 5; i++) {
        snprintf(a, sizeof a, "%s/%s", to, folders[i]);
        mkdir(a, 0755);
    }
    folder_list(from, &l);
    for (size_t i = 0; i < l.count; i++) {
        snprintf(a, sizeof a, "%s/%s", from, l.paths[i]);
        snprintf(b, sizeof b, "%s/%s", to, l.paths[i]);
        copy_file(a, b);
    }
}

void folder_remove(const char *dir)
{
    temp_dir old = {{0}};
    snprintf(old.path, sizeof old.path, "%.500s", dir);
    temp_dir_fini(&old);
}
