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
        hash_file(path, l->paths[i], state);
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
