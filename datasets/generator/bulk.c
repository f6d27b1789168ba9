/* Much data: two big files, many tiny ones, and a tree that changes a little ten times. */
#include "files.h"
#include "sets.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_SIZE     (4u << 20)
#define VERSION_COUNT   10
#define TEXT_SIZE_MIN   200
#define TEXT_SIZE_SPAN  40000
#define INSERT_SIZE_MAX 200

static int create(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        die("%s: cannot create the file: %s", path, strerror(errno));
    return fd;
}

/* SplitMix64 repeats no 64-bit word, so no aligned word of the file occurs twice and nothing in it
 * compresses. */
static void make_distinct(const char *path, uint64_t seed, uint64_t size)
{
    int fd = create(path);
    uint8_t *buffer = take(BUFFER_SIZE);
    rng r = rng_stream(seed, 0);
    for (uint64_t left = size; left > 0;) {
        size_t part = left < BUFFER_SIZE ? (size_t)left : BUFFER_SIZE;
        rng_bytes(&r, buffer, part);
        for (size_t done = 0; done < part;) {
            ssize_t written = write(fd, buffer + done, part - done);
            if (written < 0 && errno != EINTR)
                die("%s: cannot write: %s", path, strerror(errno));
            done += written > 0 ? (size_t)written : 0;
        }
        left -= part;
    }
    free(buffer);
    if (close(fd) != 0)
        die("%s: cannot write: %s", path, strerror(errno));
}

static void make_holes(const char *path, uint64_t size)
{
    int fd = create(path);
    if (ftruncate(fd, (off_t)size) != 0 || close(fd) != 0)
        die("%s: cannot give the file its size: %s", path, strerror(errno));
}

void set_big(const char *dir, uint64_t seed, uint64_t size)
{
    char *distinct = path_of("%s/distinct", dir), *holes = path_of("%s/holes", dir);
    make_distinct(distinct, seed, size);
    make_holes(holes, size);
    settle_mtimes(dir);
    free(holes);
    free(distinct);
}

void set_tiny(const char *dir, uint64_t seed, uint64_t size)
{
    rng r = rng_stream(seed, 0);
    for (uint64_t i = 0; i < size; i++) {
        char text[200];
        size_t text_size = (size_t)rng_below(&r, sizeof text + 1);
        rng_text(&r, text, text_size);
        char *folder = path_of("%s/%03" PRIu64, dir, i / 100),
             *path = path_of("%s/%05" PRIu64, folder, i);
        if (i % 100 == 0)
            make_dir(folder);
        make_file(path, text, text_size);
        free(path);
        free(folder);
    }
    settle_mtimes(dir);
}

typedef struct text {
    char *bytes; /* NULL: deleted */
    size_t size;
    uint64_t number; /* gives the name; a renamed text gets a new one */
    int64_t changed_s;
} text;

/* Replaces `removed` bytes at `at` with `added` new ones. */
static void text_splice(text *t, rng *r, size_t at, size_t removed, size_t added)
{
    size_t size = t->size - removed + added;
    char *bytes = take(size);
    memcpy(bytes, t->bytes, at);
    rng_text(r, bytes + at, added);
    memcpy(bytes + at + added, t->bytes + at + removed, t->size - at - removed);
    free(t->bytes);
    t->bytes = bytes;
    t->size = size;
}

static void text_edit(text *t, rng *r)
{
    for (uint64_t edits = 1 + rng_below(r, 5); edits > 0; edits--) {
        size_t at = (size_t)rng_below(r, t->size + 1);
        size_t removed = (size_t)rng_below(r, INSERT_SIZE_MAX);
        if (removed > t->size - at)
            removed = t->size - at;
        text_splice(t, r, at, removed, (size_t)rng_below(r, INSERT_SIZE_MAX));
    }
}

static void text_create(text *t, rng *r, uint64_t number)
{
    t->size = TEXT_SIZE_MIN + (size_t)rng_below(r, TEXT_SIZE_SPAN);
    t->bytes = take(t->size);
    t->number = number;
    rng_text(r, t->bytes, t->size);
}

static void text_delete(text *t)
{
    free(t->bytes);
    t->bytes = NULL;
}

/* One version's changes: of a hundred texts four are edited, one is renamed and one deleted or
 * created. */
static void texts_change(text *texts, uint64_t count, rng *r, uint64_t *number, int64_t time_s)
{
    for (uint64_t i = 0; i < count; i++) {
        text *t = &texts[i];
        uint64_t chance = rng_below(r, 100);
        if (chance > 5)
            continue;
        if (t->bytes == NULL)
            text_create(t, r, (*number)++);
        else if (chance == 0)
            text_delete(t);
        else if (chance == 1)
            t->number = (*number)++;
        else
            text_edit(t, r);
        t->changed_s = time_s;
    }
}

static void texts_write(const char *dir, const text *texts, uint64_t count, int version)
{
    char *root = path_of("%s/v%02d", dir, version);
    make_dir(root);
    for (uint64_t i = 0; i < count; i++) {
        if (texts[i].bytes == NULL)
            continue;
        char *folder = path_of("%s/%02" PRIu64, root, texts[i].number % 10);
        char *path = path_of("%s/text-%05" PRIu64, folder, texts[i].number);
        if (access(folder, F_OK) != 0)
            make_dir(folder);
        make_file(path, texts[i].bytes, texts[i].size);
        set_mtime(path, texts[i].changed_s, (long)texts[i].number);
        free(path);
        free(folder);
    }
    free(root);
}

void set_versions(const char *dir, uint64_t seed, uint64_t size)
{
    const int64_t first_s = 1600000000, day_s = 86400;
    rng r = rng_stream(seed, 0);
    text *texts = take(size * sizeof *texts);
    uint64_t number = 0;
    for (uint64_t i = 0; i < size; i++) {
        text_create(&texts[i], &r, number++);
        texts[i].changed_s = first_s;
    }
    for (int version = 0; version < VERSION_COUNT; version++) {
        if (version > 0)
            texts_change(texts, size, &r, &number, first_s + version * day_s);
        texts_write(dir, texts, size, version);
    }
    for (uint64_t i = 0; i < size; i++)
        free(texts[i].bytes);
    free(texts);
    settle_mtimes(dir);
}
