/*
 * What every kind of set needs: seeded random bytes and text, and files written whole or not at
 * all.
 *
 * This program runs where nothing but a C compiler is installed, so it uses no library of the
 * project. Every function ends the program with a message when it cannot do its work: half a set is
 * of no use.
 */
#ifndef DATASETS_FILES_H
#define DATASETS_FILES_H

#include <stddef.h>
#include <stdint.h>

/* SplitMix64: one multiply-and-shift walk over a counter, so that no 64-bit output repeats. */
typedef struct rng {
    uint64_t state;
} rng;

/* Independent streams of one seed: a set's parts do not change when another part grows. */
rng rng_stream(uint64_t seed, uint64_t stream);
uint64_t rng_next(rng *r);
/* 0 .. limit - 1. */
uint64_t rng_below(rng *r, uint64_t limit);
void rng_bytes(rng *r, uint8_t *out, size_t size);
/* Exactly `size` bytes of lines of invented words, the same words in every text. */
void rng_text(rng *r, char *out, size_t size);

_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));
void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Heap memory, never NULL; the caller frees it. */
void *take(size_t size);
/* "folder/name" by printf; the caller frees it. */
char *path_of(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Creates one directory; its parent must be there. */
void make_dir(const char *path);
/* Creates the file, which must not be there, with these bytes. */
void make_file(const char *path, const void *bytes, size_t size);
void set_mtime(const char *path, int64_t seconds, long nanoseconds);

/*
 * Gives every entry below `root`, and `root`, that still has the time of this run a time that
 * depends on its path alone, so that two runs are equal in their times too.
 */
void settle_mtimes(const char *root);

#endif
