/* The kinds of set. Each fills the empty directory `dir` from `seed`; what `size` counts is said at
 * each. */
#ifndef DATASETS_SETS_H
#define DATASETS_SETS_H

#include <stdint.h>

/* Pairs of files that share a counted part of their 8-byte windows; `size` pairs of each sort. */
void set_pairs(const char *dir, uint64_t seed, uint64_t size);
/* Everything that is unusual about names, kinds, times, rights and contents; `size` is the sparse
 * file's. */
void set_odd(const char *dir, uint64_t seed, uint64_t size);
/* A file of `size` distinct bytes and one of `size` bytes of holes. */
void set_big(const char *dir, uint64_t seed, uint64_t size);
/* `size` files of at most 200 bytes. */
void set_tiny(const char *dir, uint64_t seed, uint64_t size);
/* Ten versions of a tree of `size` texts, a few of which change from one version to the next. */
void set_versions(const char *dir, uint64_t seed, uint64_t size);

#endif
