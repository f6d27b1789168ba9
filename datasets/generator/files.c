#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define GOLDEN 0x9e3779b97f4a7c15u
/* The oldest time that settle_mtimes gives: September 2020. */
#define SETTLED_S 1600000000

static time_t run_started_s;
static size_t settle_root_size;

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

rng rng_stream(uint64_t seed, uint64_t stream)
{
    return (rng){.state = mix(seed + GOLDEN) + mix(stream ^ GOLDEN)};
}

uint64_t rng_next(rng *r)
{
    r->state += GOLDEN;
    return mix(r->state);
}

uint64_t rng_below(rng *r, uint64_t limit)
{
    return (uint64_t)(((unsigned __int128)rng_next(r) * limit) >> 64);
}

void rng_bytes(rng *r, uint8_t *out, size_t size)
{
    size_t whole = size / 8 * 8;
    for (size_t i = 0; i < whole; i += 8) {
        uint64_t word = rng_next(r);
        memcpy(out + i, &word, 8);
    }
    if (whole < size) {
        uint64_t word = rng_next(r);
        memcpy(out + whole, &word, size - whole);
    }
}

/* Word n of the invented language: one to four syllables, fixed by n. */
static size_t text_word(uint64_t n, char out[16])
{
    static const char consonants[] = "bdfgklmnprstvz";
    static const char vowels[] = "aeiou";
    uint64_t bits = mix(n + GOLDEN);
    size_t syllables = 1 + bits % 4;
    for (size_t i = 0; i < syllables; i++) {
        bits = mix(bits);
        out[2 * i] = consonants[bits % 14];
        out[2 * i + 1] = vowels[(bits >> 8) % 5];
    }
    return 2 * syllables;
}

void rng_text(rng *r, char *out, size_t size)
{
    size_t filled = 0;
    while (filled < size) {
        char word[16];
        /* The smaller of two draws: some words are common and most are rare, as in a language. */
        uint64_t a = rng_below(r, 4000), b = rng_below(r, 4000);
        size_t word_size = text_word(a < b ? a : b, word);
        word[word_size++] = rng_below(r, 10) == 0 ? '\n' : ' ';
        size_t part = word_size < size - filled ? word_size : size - filled;
        memcpy(out + filled, word, part);
        filled += part;
    }
}

_Noreturn void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("datasets/make: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

void warn(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("datasets/make: warning: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

void *take(size_t size)
{
    void *memory = malloc(size ? size : 1);
    if (memory == NULL)
        die("no memory for %zu bytes", size);
    return memory;
}

char *path_of(const char *format, ...)
{
    char *path;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&path, format, arguments);
    va_end(arguments);
    if (length < 0)
        die("no memory for a path");
    return path;
}

void make_dir(const char *path)
{
    if (mkdir(path, 0755) != 0)
        die("%s: cannot create the directory: %s", path, strerror(errno));
}

void make_file(const char *path, const void *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        die("%s: cannot create the file: %s", path, strerror(errno));
    for (size_t done = 0; done < size;) {
        ssize_t part = write(fd, (const char *)bytes + done, size - done);
        if (part < 0 && errno != EINTR)
            die("%s: cannot write: %s", path, strerror(errno));
        done += part > 0 ? (size_t)part : 0;
    }
    if (close(fd) != 0)
        die("%s: cannot write: %s", path, strerror(errno));
}

void set_mtime(const char *path, int64_t seconds, long nanoseconds)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                {.tv_sec = seconds, .tv_nsec = nanoseconds}};
    if (utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW) != 0)
        die("%s: cannot set the time: %s", path, strerror(errno));
}

static int settle_entry(const char *path, const struct stat *entry, int kind, struct FTW *where)
{
    (void)kind;
    (void)where;
    /* File times come from a clock that may lag behind the one this program reads. */
    if (entry->st_mtime < run_started_s - 2 || entry->st_mtime > run_started_s + 86400)
        return 0;
    uint64_t hash = 0;
    for (const char *c = path + settle_root_size; *c != '\0'; c++)
        hash = mix(hash ^ (unsigned char)*c);
    set_mtime(path, SETTLED_S + (int64_t)(hash % 100000000), (long)((hash >> 32) % 1000000000));
    return 0;
}

void settle_mtimes(const char *root)
{
    settle_root_size = strlen(root);
    if (nftw(root, settle_entry, 64, FTW_DEPTH | FTW_PHYS) != 0)
        die("%s: cannot be walked: %s", root, strerror(errno));
}

__attribute__((constructor)) static void note_start(void)
{
    run_started_s = time(NULL);
}
