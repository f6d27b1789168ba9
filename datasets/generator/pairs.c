/*
 * Pairs of files whose 8-byte window sets have a known Jaccard similarity.
 *
 * Both files of a pair have the same number of windows. They hold one common run of random bytes at
 * places of their own, and random bytes around it: a run of n + 7 bytes gives n common windows.
 * What the pair really has in common is then counted, window by window, and listed in pairs.tsv,
 * since random neighbours of the run may agree by chance.
 */
#include "files.h"
#include "sets.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW 8

static const size_t window_counts[] = {64, 512, 2048, 8192, 16000};
static const double jaccards[] = {0.1, 0.28, 0.5, 0.818, 0.95};

typedef struct windows {
    uint64_t *values; /* sorted, distinct */
    size_t count;
} windows;

static int compare_words(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static windows windows_of(const uint8_t *bytes, size_t size)
{
    windows w = {take((size - WINDOW + 1) * sizeof(uint64_t)), size - WINDOW + 1};
    for (size_t i = 0; i < w.count; i++)
        memcpy(&w.values[i], bytes + i, WINDOW);
    qsort(w.values, w.count, sizeof *w.values, compare_words);
    size_t distinct = 1;
    for (size_t i = 1; i < w.count; i++)
        if (w.values[i] != w.values[distinct - 1])
            w.values[distinct++] = w.values[i];
    w.count = distinct;
    return w;
}

static size_t windows_common(const windows *a, const windows *b)
{
    size_t common = 0;
    for (size_t i = 0, j = 0; i < a->count && j < b->count;) {
        int order = compare_words(&a->values[i], &b->values[j]);
        common += order == 0;
        i += order <= 0;
        j += order >= 0;
    }
    return common;
}

/* One file of a pair: random bytes with the common run at a random place. */
static uint8_t *pair_member(rng *r, const uint8_t *run, size_t run_size, size_t size)
{
    uint8_t *bytes = take(size);
    rng_bytes(r, bytes, size);
    memcpy(bytes + rng_below(r, size - run_size + 1), run, run_size);
    return bytes;
}

static void list_pair(FILE *list, const char *stem, double wanted, const uint8_t *a,
                      const uint8_t *b, size_t size)
{
    windows in_a = windows_of(a, size), in_b = windows_of(b, size);
    size_t common = windows_common(&in_a, &in_b);
    size_t together = in_a.count + in_b.count - common;
    fprintf(list, "files/%s-a\tfiles/%s-b\t%zu\t%zu\t%zu\t%zu\t%g\t%.9f\n", stem, stem, in_a.count,
            in_b.count, common, together, wanted, (double)common / (double)together);
    free(in_a.values);
    free(in_b.values);
}

static void make_pair(const char *dir, FILE *list, rng r, size_t count, double jaccard,
                      uint64_t number)
{
    size_t size = count + WINDOW - 1;
    size_t common = (size_t)(2 * (double)count * jaccard / (1 + jaccard) + 0.5);
    size_t run_size = common + WINDOW - 1;
    uint8_t *run = take(run_size);
    rng_bytes(&r, run, run_size);
    uint8_t *a = pair_member(&r, run, run_size, size), *b = pair_member(&r, run, run_size, size);
    char *stem = path_of("w%05zu-j%.3f-%03" PRIu64, count, jaccard, number);
    char *path_a = path_of("%s/files/%s-a", dir, stem),
         *path_b = path_of("%s/files/%s-b", dir, stem);
    make_file(path_a, a, size);
    make_file(path_b, b, size);
    list_pair(list, stem, jaccard, a, b, size);
    free(path_b);
    free(path_a);
    free(stem);
    free(b);
    free(a);
    free(run);
}

void set_pairs(const char *dir, uint64_t seed, uint64_t size)
{
    char *files = path_of("%s/files", dir), *list_path = path_of("%s/pairs.tsv", dir);
    make_dir(files);
    FILE *list = fopen(list_path, "wx");
    if (list == NULL)
        die("%s: cannot create the file: %s", list_path, strerror(errno));
    fputs("a\tb\twindows_a\twindows_b\tcommon\tunion\tjaccard_wanted\tjaccard\n", list);
    for (size_t w = 0; w < sizeof window_counts / sizeof *window_counts; w++)
        for (size_t j = 0; j < sizeof jaccards / sizeof *jaccards; j++)
            for (uint64_t n = 0; n < size; n++)
                make_pair(dir, list, rng_stream(seed, (w << 40) | (j << 32) | n), window_counts[w],
                          jaccards[j], n);
    if (ferror(list) || fclose(list) != 0)
        die("%s: cannot write: %s", list_path, strerror(errno));
    settle_mtimes(dir);
    free(list_path);
    free(files);
}
