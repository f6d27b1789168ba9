/* Real bytes to measure with, and what the machine is. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/memory.h"
#include "chunk/chunk.h"
#include "cli/bench.h"

/* ---- bytes ---- */

/* nftw has no context. */
static struct gathering {
    uint8_t *bytes;
    size_t size, size_max;
} tree;

static int gather(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)place;
    if (kind != FTW_F || !S_ISREG(status->st_mode))
        return 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t got = fd >= 0 ? 1 : 0;
    while (got > 0 && tree.size < tree.size_max) {
        got = read(fd, tree.bytes + tree.size, tree.size_max - tree.size);
        tree.size += got > 0 ? (size_t)got : 0;
    }
    if (fd >= 0)
        close(fd);
    return tree.size == tree.size_max;
}

engram_status eg_bench_read_tree(const char *path, size_t size_max, uint8_t **bytes, size_t *size, engram_error *error)
{
    enum { DESCRIPTORS = 32 };
    *bytes = NULL;
    *size = 0;
    tree = (struct gathering){.bytes = eg_alloc_aligned(64, size_max), .size_max = size_max};
    if (tree.bytes == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for the bytes of %s", path);
    if (nftw(path, gather, DESCRIPTORS, FTW_PHYS) < 0) {
        int reason = errno;
        eg_free(tree.bytes);
        return eg_fail_os(error, reason, "cannot read %s", path);
    }
    *bytes = tree.bytes;
    *size = tree.size;
    return ENGRAM_OK;
}

/* ---- vectors ---- */

enum { PIECE_CHUNKS = 4096 };

/* Hashes that were there before; 64 bits do for a bench. */
typedef struct seen {
    uint64_t *slots;
    size_t mask;
} seen;

static bool add_seen(seen *s, uint64_t hash)
{
    hash += hash == 0;
    size_t at = hash & s->mask;
    for (; s->slots[at] != 0; at = (at + 1) & s->mask)
        if (s->slots[at] == hash)
            return false;
    s->slots[at] = hash;
    return true;
}

/* The next distinct chunks into views; *at moves on. */
static size_t cut_piece(const eg_chunker *chunker, const uint8_t *bytes, size_t size, size_t *at, seen *s,
                        eg_view *views, size_t most)
{
    size_t count = 0;
    while (*at < size && count < most) {
        size_t length = eg_chunker_cut(chunker, bytes + *at, size - *at);
        if (add_seen(s, XXH3_64bits(bytes + *at, length)))
            views[count++] = (eg_view){bytes + *at, length};
        *at += length;
    }
    return count;
}

static engram_status encode_all(eg_device *device, const eg_chunker *chunker, const uint8_t *bytes, size_t size,
                                size_t count_max, seen *s, uint8_t *vectors, size_t *count, engram_error *error)
{
    engram_codebook codebook;
    engram_codebook_init(&codebook, 0);
    eg_view *views = eg_alloc(PIECE_CHUNKS * sizeof *views);
    uint32_t *spreads = eg_alloc(PIECE_CHUNKS * sizeof *spreads);
    engram_status status =
        views != NULL && spreads != NULL ? ENGRAM_OK : eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
    for (size_t at = 0; at < size && *count < count_max && status == ENGRAM_OK;) {
        size_t most = count_max - *count < PIECE_CHUNKS ? count_max - *count : PIECE_CHUNKS;
        size_t got = cut_piece(chunker, bytes, size, &at, s, views, most);
        status = eg_device_encode(device, &codebook, views, got, vectors + *count * ENGRAM_BLOCKS, spreads, error);
        *count += got;
    }
    eg_free(views);
    eg_free(spreads);
    return status;
}

engram_status eg_bench_make_vectors(eg_device *device, const uint8_t *bytes, size_t size, size_t count_max,
                                    uint8_t **vectors, size_t *count, engram_error *error)
{
    eg_chunk_config config = {EG_CHUNK_CDC, 1024};
    eg_chunker chunker;
    EG_TRY(eg_chunker_init(&chunker, &config, error));
    size_t bound = size / chunker.size_min + 1, slots = 1024;
    bound = bound < count_max ? bound : count_max;
    while (slots < 2 * (size / chunker.size_min + 1))
        slots *= 2;
    seen s = {eg_alloc_zero(slots, sizeof *s.slots), slots - 1};
    *count = 0;
    *vectors = eg_alloc_aligned(64, bound * ENGRAM_BLOCKS);
    engram_status status = s.slots != NULL && *vectors != NULL
                               ? encode_all(device, &chunker, bytes, size, bound, &s, *vectors, count, error)
                               : eg_fail(error, ENGRAM_NO_MEMORY, "no memory for the vectors of --data");
    eg_free(s.slots);
    if (status != ENGRAM_OK) {
        eg_free(*vectors);
        *vectors = NULL;
    }
    return status;
}

engram_status eg_bench_turn(uint8_t *vectors, size_t count, engram_error *error)
{
    uint8_t *group = eg_alloc(EG_GROUP_ROWS * ENGRAM_BLOCKS);
    if (group == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for vectors in planes");
    for (size_t first = 0; first < count; first += EG_GROUP_ROWS) {
        size_t rows = eg_planes_group_rows(count, first);
        memcpy(group, vectors + first * ENGRAM_BLOCKS, rows * ENGRAM_BLOCKS);
        for (size_t i = 0; i < rows; i++)
            eg_planes_put(vectors, count, first + i, group + i * ENGRAM_BLOCKS);
    }
    eg_free(group);
    return ENGRAM_OK;
}

/* ---- the machine ---- */

/* The value of the first line of a file that begins with name; "" when there is none. */
static void find_line(const char *path, const char *name, char *value, size_t size)
{
    char line[512];
    FILE *file = fopen(path, "re");
    *value = 0;
    while (file != NULL && *value == 0 && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, name, strlen(name)) == 0) {
            const char *at = line + strlen(name);
            at += strspn(at, " \t:=\"");
            snprintf(value, size, "%.*s", (int)strcspn(at, "\"\n"), at);
        }
    if (file != NULL)
        fclose(file);
}

void eg_bench_describe(eg_cli *cli)
{
    json_t *object = json_object();
    char model[256], memory[64], distribution[128];
    struct utsname system;
    find_line("/proc/cpuinfo", "model name", model, sizeof model);
    find_line("/proc/meminfo", "MemTotal", memory, sizeof memory);
    find_line("/etc/os-release", "PRETTY_NAME", distribution, sizeof distribution);
    uname(&system);
    eg_json_put(object, "engram", json_string(ENGRAM_VERSION));
    eg_json_put(object, "processor", eg_json_text(model, strlen(model)));
    eg_json_put_number(object, "cores", (uint64_t)sysconf(_SC_NPROCESSORS_ONLN));
    eg_json_put(object, "memory", eg_json_text(memory, strlen(memory)));
    eg_json_put(object, "kernel", json_string(system.release));
    eg_json_put(object, "system", eg_json_text(distribution, strlen(distribution)));
    eg_json_put(object, "compiler", json_string(__VERSION__));
    eg_json_put(cli->document, "environment", object);
    eg_output_say(cli, "engram %s on %s, %ld cores, %s, %s, Linux %s\n", ENGRAM_VERSION, model,
                  sysconf(_SC_NPROCESSORS_ONLN), memory, distribution, system.release);
}
