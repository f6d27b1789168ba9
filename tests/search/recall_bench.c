/* Whether a query finds what it should, and how fast: recall_bench ENGRAM [-n N] [--seed N]
 * [--json] [--misses].
 *
 * Takes N files (default 100) of each sort at random from those stored, makes a query of each and
 * asks: a copy that is changed once in some 1,024 bytes (a byte replaced, or 1 to 8 inserted or
 * removed), a piece of 1 KiB and one of 4 KiB cut from a random place. Files with a zero among
 * their first 8 KiB are binary, others text. The answer is right at rank r when hit r is the file;
 * or one of equal content, for a changed copy; or one that contains the piece. Each query runs
 * twice, with and without a look at stored bytes. By hand, from bench/recall. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "search/query.h"

enum {
    SORTS = 3,
    HEAD = 8192,
    CHANGE_EVERY = 1024,
    COPY_MIN = 2048,
    COPY_MAX = 4 << 20,
    RANKS = 10,
    COUNT_MAX = 100000
};

static const struct sort {
    const char *name;
    uint64_t piece; /* 0: a changed copy */
} sorts[SORTS] = {{"changed copy", 0}, {"piece of 4 KiB", 4096}, {"piece of 1 KiB", 1024}};
static const char *const kinds[2] = {"text", "binary"};

typedef struct file {
    uint64_t inode, size;
} file;

typedef struct figures {       /* of one sort, kind and way of asking */
    uint64_t count, at[RANKS]; /* queries; those answered first at rank 1 + i */
    double *seconds;
} figures;

typedef struct bench {
    eg_io *io;
    eg_engram *engram;
    eg_pool *pool;
    eg_device *device;
    eg_searcher *searcher;
    eg_version version;
    file *files;
    size_t file_count, file_capacity;
    uint64_t *directories;
    size_t depth, depth_capacity;
    uint64_t random;
    uint64_t wanted;
    bool json, misses;
    figures figures[SORTS][2][2];
    uint64_t chunks_live;
} bench;

static void must(bool good, const char *what, const engram_error *error)
{
    if (good)
        return;
    fprintf(stderr, "recall_bench: %s: %s\n", what,
            error != NULL ? error->message : "out of memory");
    exit(1);
}

static void *grown(void *array, size_t *capacity, size_t need, size_t size)
{
    if (need <= *capacity)
        return array;
    *capacity = 2 * need;
    array = realloc(array, *capacity * size);
    must(array != NULL, "files", NULL);
    return array;
}

static uint64_t next_random(bench *b)
{
    uint64_t z = b->random += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static engram_status take_entry(void *context, eg_view name, uint64_t number, eg_inode_kind kind,
                                engram_error *error)
{
    bench *b = context;
    (void)name, (void)error;
    if (kind == EG_KIND_DIRECTORY) {
        b->directories =
            grown(b->directories, &b->depth_capacity, b->depth + 1, sizeof *b->directories);
        b->directories[b->depth++] = number;
    } else if (kind == EG_KIND_FILE) {
        b->files = grown(b->files, &b->file_capacity, b->file_count + 1, sizeof *b->files);
        b->files[b->file_count++] = (file){.inode = number};
    }
    return ENGRAM_OK;
}

static uint64_t size_of(bench *b, uint64_t inode)
{
    eg_inode got;
    eg_buffer scratch = {0};
    engram_error error = {0};
    must(eg_fs_get(b->version.root, inode, &got, &scratch, &error) == ENGRAM_OK, "a file", &error);
    eg_buffer_fini(&scratch);
    return got.size;
}

static void list_files(bench *b)
{
    engram_error error = {0};
    uint64_t root;
    must(eg_fs_lookup(b->version.root, (eg_view){(const uint8_t *)"", 0}, &root, &error) ==
             ENGRAM_OK,
         "root", &error);
    take_entry(b, (eg_view){0}, root, EG_KIND_DIRECTORY, NULL);
    while (b->depth != 0) {
        uint64_t directory = b->directories[--b->depth];
        must(eg_fs_list(b->version.root, directory, take_entry, b, &error) == ENGRAM_OK,
             "a directory", &error);
    }
    for (size_t i = 0; i < b->file_count; i++)
        b->files[i].size = size_of(b, b->files[i].inode);
    for (size_t i = b->file_count; i > 1; i--) {
        size_t other = next_random(b) % i;
        file moved = b->files[other];
        b->files[other] = b->files[i - 1];
        b->files[i - 1] = moved;
    }
}

/* Fresh memory. */
static uint8_t *read_part(bench *b, uint64_t inode, uint64_t offset, size_t size)
{
    engram_error error = {0};
    size_t got = 0;
    uint8_t *bytes = malloc(size + 1);
    must(bytes != NULL, "a file", NULL);
    must(eg_engram_read(b->engram, &b->version, inode, offset, bytes, size, &got, &error) ==
                 ENGRAM_OK &&
             got == size,
         "a file", &error);
    return bytes;
}

static bool is_binary(bench *b, const file *f)
{
    size_t head = f->size < HEAD ? (size_t)f->size : HEAD;
    uint8_t *bytes = read_part(b, f->inode, 0, head);
    bool binary = memchr(bytes, 0, head) != NULL;
    free(bytes);
    return binary;
}

/* A changed copy of bytes in fresh memory. */
static uint8_t *change(bench *b, const uint8_t *bytes, size_t *size)
{
    size_t room = *size + (*size / CHANGE_EVERY + 2) * 16, to = 0;
    uint8_t *out = malloc(room);
    must(out != NULL, "a copy", NULL);
    for (size_t from = 0; from < *size;) {
        size_t step = 1 + next_random(b) % (2 * CHANGE_EVERY),
               run = step < *size - from ? step : *size - from;
        memcpy(out + to, bytes + from, run);
        from += run;
        to += run;
        if (from == *size || to + 8 > room - (*size - from))
            continue;
        uint64_t what = next_random(b), count = 1 + what / 3 % 8;
        if (what % 3 == 0)
            out[to - 1] ^= (uint8_t)(1 + what / 24 % 255);
        for (uint64_t i = 0; what % 3 == 1 && i < count; i++)
            out[to++] = bytes[next_random(b) % *size];
        if (what % 3 == 2)
            from += count < *size - from ? count : *size - from;
    }
    *size = to;
    return out;
}

static bool is_answer(bench *b, const eg_query_hit *hit, const file *f, const uint8_t *wanted,
                      size_t wanted_size, bool copy)
{
    if (hit->inode == f->inode)
        return true;
    uint64_t size = size_of(b, hit->inode);
    if (copy ? size != wanted_size : size < wanted_size)
        return false;
    uint8_t *bytes = read_part(b, hit->inode, 0, (size_t)size);
    bool answer = copy ? memcmp(bytes, wanted, wanted_size) == 0
                       : memmem(bytes, (size_t)size, wanted, wanted_size) != NULL;
    free(bytes);
    return answer;
}

/* wanted: what an answer holds. */
static void ask(bench *b, figures *into, const file *f, const uint8_t *query, size_t size,
                const uint8_t *wanted, size_t wanted_size, bool copy, bool estimate_only)
{
    eg_query_result result;
    engram_error error = {0};
    eg_query_options options = {.k = RANKS, .min = -1, .estimate_only = estimate_only};
    uint64_t start = eg_clock_monotonic_ns();
    must(eg_searcher_query(b->searcher, &b->version, query, size, &options, &result, &error) ==
             ENGRAM_OK,
         "query", &error);
    into->seconds[into->count++] = (double)(eg_clock_monotonic_ns() - start) / 1e9;
    b->chunks_live = result.chunks_live;
    size_t rank = 0;
    while (rank < result.hit_count &&
           !is_answer(b, &result.hits[rank], f, wanted, wanted_size, copy))
        rank++;
    if (rank < result.hit_count)
        into->at[rank]++;
    if (b->misses && rank != 0) {
        eg_buffer path = {0};
        must(eg_fs_path(b->version.root, f->inode, &path, &error) == ENGRAM_OK, "path", &error);
        fprintf(stderr, "%s rank %zu of %zu: %.*s (%" PRIu64 " bytes)\n",
                estimate_only ? "estimate" : "look", rank + 1, result.hit_count, (int)path.size,
                (const char *)path.data, f->size);
        for (size_t i = 0; i <= rank && i < result.hit_count && i < 3; i++)
            fprintf(stderr, "    within %.3f J %.3f score %.3f %s\n",
                    result.hits[i].exact.containment, result.hits[i].exact.jaccard,
                    result.hits[i].score, result.hits[i].path);
        eg_buffer_fini(&path);
    }
    eg_query_result_fini(&result);
}

static void try_file(bench *b, size_t sort, const file *f)
{
    uint64_t piece = sorts[sort].piece;
    if (piece == 0 ? f->size < COPY_MIN || f->size > COPY_MAX : f->size < piece)
        return;
    figures *of = b->figures[sort][is_binary(b, f)];
    if (of[0].count == b->wanted)
        return;
    uint64_t offset = piece != 0 ? next_random(b) % (f->size - piece + 1) : 0;
    size_t wanted_size = piece != 0 ? (size_t)piece : (size_t)f->size, size = wanted_size;
    uint8_t *wanted = read_part(b, f->inode, offset, wanted_size);
    uint8_t *query = piece == 0 ? change(b, wanted, &size) : wanted;
    for (int estimate = 0; estimate < 2; estimate++)
        ask(b, &of[estimate], f, query, size, wanted, wanted_size, piece == 0, estimate != 0);
    if (query != wanted)
        free(query);
    free(wanted);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile_ms(figures *f, double share)
{
    qsort(f->seconds, f->count, sizeof *f->seconds, by_value);
    return f->count != 0 ? f->seconds[(size_t)((double)(f->count - 1) * share + 0.5)] * 1e3 : 0;
}

static double recall(const figures *f, size_t ranks)
{
    uint64_t found = 0;
    for (size_t i = 0; i < ranks; i++)
        found += f->at[i];
    return f->count != 0 ? (double)found / (double)f->count : 0;
}

static void print_row(bench *b, size_t sort, int kind, int estimate, bool last)
{
    figures *f = &b->figures[sort][kind][estimate];
    const char *way = estimate != 0 ? "estimate" : "look";
    double median = quantile_ms(f, 0.5), high = quantile_ms(f, 0.95);
    if (b->json)
        printf("  {\"query\": \"%s\", \"kind\": \"%s\", \"rerank\": %s, \"count\": %" PRIu64
               ", \"recall_at_1\": %.4f, "
               "\"recall_at_10\": %.4f, \"median_ms\": %.2f, \"p95_ms\": %.2f}%s\n",
               sorts[sort].name, kinds[kind], estimate != 0 ? "false" : "true", f->count,
               recall(f, 1), recall(f, RANKS), median, high, last ? "" : ",");
    else
        printf("%-16s %-7s %-9s %5" PRIu64 "  %5.1f %%  %5.1f %%  %8.1f ms  %8.1f ms\n",
               sorts[sort].name, kinds[kind], way, f->count, 100 * recall(f, 1),
               100 * recall(f, RANKS), median, high);
}

static void print_all(bench *b)
{
    const char *device = eg_device_get_info(b->device)->spec;
    if (b->json)
        printf("{\"chunks\": %" PRIu64 ", \"files\": %zu, \"device\": \"%s\", \"rows\": [\n",
               b->chunks_live, b->file_count, device);
    else
        printf("%" PRIu64
               " chunks of %zu files, device %s\n%-16s %-7s %-9s %5s  %7s  %7s  %11s  %11s\n",
               b->chunks_live, b->file_count, device, "query", "kind", "answer", "count", "first",
               "in 10", "median", "95 %");
    for (size_t sort = 0; sort < SORTS; sort++)
        for (int kind = 0; kind < 2; kind++)
            for (int estimate = 1; estimate >= 0; estimate--)
                print_row(b, sort, kind, estimate, sort == SORTS - 1 && kind == 1 && estimate == 0);
    if (b->json)
        printf("]}\n");
}

static void open_all(bench *b, const char *dir)
{
    engram_error error = {0};
    eg_engram_options options = {.read_only = true};
    b->io = eg_io_posix();
    must(eg_engram_open(b->io, dir, &options, &b->engram, &error) == ENGRAM_OK, dir, &error);
    must(eg_pool_create((size_t)sysconf(_SC_NPROCESSORS_ONLN), &b->pool, &error) == ENGRAM_OK,
         "threads", &error);
    must(eg_device_open("auto", b->pool, &b->device, &error) == ENGRAM_OK, "device", &error);
    must(eg_searcher_create(b->engram, b->device, &b->searcher, &error) == ENGRAM_OK, "searcher",
         &error);
    must(eg_engram_pin(b->engram, &b->version, &error) == ENGRAM_OK, "pin", &error);
    for (size_t i = 0; i < (size_t)SORTS * 4; i++) {
        figures *f = &b->figures[i / 4][i / 2 % 2][i % 2];
        f->seconds = malloc(b->wanted * sizeof *f->seconds);
        must(f->seconds != NULL, "figures", NULL);
    }
}

static void close_all(bench *b)
{
    engram_error error = {0};
    for (size_t i = 0; i < (size_t)SORTS * 4; i++)
        free(b->figures[i / 4][i / 2 % 2][i % 2].seconds);
    eg_version_release(&b->version);
    eg_searcher_free(b->searcher);
    eg_device_close(&b->device);
    eg_pool_free(b->pool);
    must(eg_engram_close(&b->engram, &error) == ENGRAM_OK, "close", &error);
    free(b->files);
    free(b->directories);
}

static const char *read_arguments(bench *b, int argc, char **argv)
{
    const char *dir = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            b->json = true;
        else if (strcmp(argv[i], "--misses") == 0)
            b->misses = true;
        else if (strcmp(argv[i], "-n") == 0 && i + 1 < argc)
            b->wanted = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            b->random = strtoull(argv[++i], NULL, 10);
        else if (argv[i][0] != '-' && dir == NULL)
            dir = argv[i];
        else
            return NULL;
    }
    return b->wanted != 0 && b->wanted <= COUNT_MAX ? dir : NULL;
}

int main(int argc, char **argv)
{
    bench b = {.wanted = 100, .random = 1};
    const char *dir = read_arguments(&b, argc, argv);
    if (dir == NULL) {
        fprintf(stderr, "recall_bench ENGRAM [-n N] [--seed N] [--json] [--misses]\n");
        return 2;
    }
    open_all(&b, dir);
    list_files(&b);
    for (size_t sort = 0; sort < SORTS; sort++)
        for (size_t i = 0; i < b.file_count; i++) {
            figures(*of)[2] = b.figures[sort];
            if (of[0][0].count == b.wanted && of[1][0].count == b.wanted)
                break;
            try_file(&b, sort, &b.files[i]);
        }
    print_all(&b);
    close_all(&b);
    return 0;
}
