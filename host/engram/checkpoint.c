/* checkpoint/NNNNNNNN.ckpt: what a restart needs beside the manifest, as of one version.
 * Little-endian.
 *
 *   0   8  magic "EGCHKPT1"
 *   8   4  CRC-32 of all bytes from 12 on
 *   12  4  size of the packed root bundle (at the end of the file)
 *   16  8  version               24  8  time, ns since the epoch
 *   32  8  next transaction id   40  8  next inode number         48  8  next chunk id
 *   56  8  journal file          64  8  sequence of its first record
 *   72  8  end of the node file
 *   80  8  tree: node address    88  4  its size
 *   92  8  catalog: address     100  4  its size
 *   104 8  members of the root bundle
 *   112 .. the root bundle: zstd over 65,536 counters of u32, block by block
 *       .. to the end: what MANIFEST.json says that names this file, as JSON, but for its clean end
 *
 * Valid when 1. the magic agrees, 2. the file holds 112 bytes and the packed bundle, 3. the CRC
 * agrees, 4. the bundle unpacks to exactly 256 KiB. The manifest is for repair; MANIFEST.json in turn
 * has all of this but the bundle, which can be computed. Written by temporary name, sync, rename, directory sync;
 * MANIFEST.json names the one that counts, so a file without the manifest's word is an unfinished
 * checkpoint and means nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

#include "base/memory.h"
#include "base/status.h"
#include "engram/internal.h"

enum {
    HEADER_SIZE = 112,
    COUNTERS_SIZE = ENGRAM_BLOCKS * ENGRAM_SYMBOLS * 4,
    FILE_SIZE_MAX = 66 << 20 /* a manifest may have 64 MiB */
};
static const char magic[8] = {'E', 'G', 'C', 'H', 'K', 'P', 'T', '1'};

static char *checkpoint_path(const char *dir, uint64_t number)
{
    char name[48];
    snprintf(name, sizeof name, "checkpoint/%08llu.ckpt", (unsigned long long)number);
    return eg_path_join(dir, name);
}

static void write_header(eg_buffer *out, const eg_checkpoint *c, uint64_t members,
                         uint32_t packed_size)
{
    eg_write_bytes(out, magic, sizeof magic);
    eg_write_u32(out, 0);
    eg_write_u32(out, packed_size);
    const uint64_t fields[] = {c->version,    c->time_ns,      c->transaction_next, c->inode_next,
                               c->chunk_next, c->journal.file, c->journal.sequence, c->nodes_end};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        eg_write_u64(out, fields[i]);
    eg_write_u64(out, c->tree.address);
    eg_write_u32(out, c->tree.size);
    eg_write_u64(out, c->catalog.address);
    eg_write_u32(out, c->catalog.size);
    eg_write_u64(out, members);
}

engram_status eg_checkpoint_write(eg_io *io, const char *dir, uint64_t number,
                                  const eg_checkpoint *checkpoint, const engram_bundle *bundle,
                                  const eg_manifest *manifest, engram_error *error)
{
    engram_status status = ENGRAM_NO_MEMORY;
    eg_buffer out = {0};
    char *path = checkpoint_path(dir, number);
    size_t bound = ZSTD_compressBound(COUNTERS_SIZE);
    write_header(&out, checkpoint, bundle->count, 0);
    uint8_t *packed = eg_buffer_extend(&out, bound);
    if (path == NULL || packed == NULL) {
        eg_fail(error, status, "out of memory writing a checkpoint");
        goto done;
    }
    size_t packed_size = ZSTD_compress(packed, bound, bundle->counters, COUNTERS_SIZE, 1);
    if (ZSTD_isError(packed_size)) {
        eg_fail(error, status, "cannot pack the root bundle: %s", ZSTD_getErrorName(packed_size));
        goto done;
    }
    out.size = HEADER_SIZE + packed_size;
    status = eg_manifest_pack(manifest, &out, error);
    if (status != ENGRAM_OK)
        goto done;
    eg_put_u32(out.data + 12, (uint32_t)packed_size);
    eg_put_u32(out.data + 8, eg_crc32(0, out.data + 12, out.size - 12));
    status = eg_io_replace_file(io, path, out.data, out.size, error);
done:
    eg_buffer_fini(&out);
    eg_free(path);
    return status;
}

static engram_status parse(const uint8_t *bytes, size_t size, const char *path, eg_checkpoint *c,
                           engram_bundle *bundle, engram_error *error)
{
    eg_reader in = eg_reader_make(bytes, size);
    if (size < HEADER_SIZE || memcmp(eg_read_bytes(&in, 8), magic, 8) != 0)
        return eg_fail(error, ENGRAM_DAMAGED, "%s: not a checkpoint (offset 0)", path);
    if (eg_read_u32(&in) != eg_crc32(0, bytes + 12, size - 12))
        return eg_fail(error, ENGRAM_DAMAGED, "%s: the CRC at offset 8 does not agree", path);
    uint32_t packed_size = eg_read_u32(&in);
    uint64_t *fields[] = {&c->version,    &c->time_ns,      &c->transaction_next, &c->inode_next,
                          &c->chunk_next, &c->journal.file, &c->journal.sequence, &c->nodes_end};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        *fields[i] = eg_read_u64(&in);
    c->tree.address = eg_read_u64(&in);
    c->tree.size = eg_read_u32(&in);
    c->catalog.address = eg_read_u64(&in);
    c->catalog.size = eg_read_u32(&in);
    bundle->count = eg_read_u64(&in);
    if (eg_reader_left(&in) < packed_size ||
        ZSTD_decompress(bundle->counters, COUNTERS_SIZE, in.at, packed_size) != COUNTERS_SIZE)
        return eg_fail(error, ENGRAM_DAMAGED, "%s: the root bundle at offset %d cannot be unpacked",
                       path, HEADER_SIZE);
    return ENGRAM_OK;
}

/* The whole file, checked; *bytes is for eg_free. */
static engram_status read_file(eg_io *io, const char *path, eg_checkpoint *checkpoint,
                               engram_bundle *bundle, uint8_t **bytes, size_t *size,
                               engram_error *error)
{
    engram_error inner = {0};
    engram_status status = eg_io_read_file(io, path, FILE_SIZE_MAX, bytes, size, &inner);
    if (status == ENGRAM_NOT_FOUND || status == ENGRAM_INVALID)
        return eg_fail(error, ENGRAM_DAMAGED, "%s: the checkpoint is missing or too large", path);
    if (status != ENGRAM_OK)
        return eg_fail(error, status, "%s", inner.message);
    status = parse(*bytes, *size, path, checkpoint, bundle, error);
    if (status != ENGRAM_OK) {
        eg_free(*bytes);
        *bytes = NULL;
    }
    return status;
}

engram_status eg_checkpoint_read(eg_io *io, const char *dir, uint64_t number,
                                 eg_checkpoint *checkpoint, engram_bundle *bundle,
                                 engram_error *error)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    *checkpoint = (eg_checkpoint){0};
    char *path = checkpoint_path(dir, number);
    if (path == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
    engram_status status = read_file(io, path, checkpoint, bundle, &bytes, &size, error);
    eg_free(bytes);
    eg_free(path);
    return status;
}

engram_status eg_checkpoint_read_manifest(eg_io *io, const char *dir, uint64_t number,
                                          eg_manifest *manifest, engram_error *error)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    eg_checkpoint checkpoint;
    char *path = checkpoint_path(dir, number);
    engram_bundle *bundle = eg_alloc(sizeof *bundle);
    engram_status status = path == NULL || bundle == NULL
                               ? eg_fail(error, ENGRAM_NO_MEMORY, "out of memory")
                               : read_file(io, path, &checkpoint, bundle, &bytes, &size, error);
    if (status == ENGRAM_OK) {
        size_t at = HEADER_SIZE + eg_get_u32(bytes + 12);
        status = eg_manifest_unpack((eg_view){bytes + at, size - at}, path, manifest, error);
    }
    eg_free(bytes);
    eg_free(bundle);
    eg_free(path);
    return status;
}

engram_status eg_checkpoint_peek(eg_io *io, const char *dir, uint64_t number,
                                 eg_journal_start *journal, engram_error *error)
{
    eg_checkpoint checkpoint;
    engram_bundle *bundle = eg_alloc(sizeof *bundle);
    if (bundle == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
    engram_status status = eg_checkpoint_read(io, dir, number, &checkpoint, bundle, error);
    *journal = checkpoint.journal;
    eg_free(bundle);
    return status;
}

/* ---- the folder ---- */

/* Eight digits and the ending, not 0; else false. */
static bool parse_name(const char *name, uint64_t *number)
{
    enum { DIGITS = 8 };
    if (strspn(name, "0123456789") != DIGITS || strcmp(name + DIGITS, ".ckpt") != 0)
        return false;
    *number = strtoull(name, NULL, 10);
    return *number != 0;
}

typedef struct number_list {
    uint64_t *numbers;
    size_t count, capacity;
} number_list;

static engram_status list_one(void *context, const char *name)
{
    number_list *list = context;
    uint64_t number;
    if (!parse_name(name, &number))
        return ENGRAM_OK;
    if (!eg_grow((void **)&list->numbers, &list->capacity, list->count + 1, sizeof number))
        return ENGRAM_NO_MEMORY;
    list->numbers[list->count++] = number;
    return ENGRAM_OK;
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

engram_status eg_checkpoint_list(eg_io *io, const char *dir, uint64_t **numbers, size_t *count,
                                 engram_error *error)
{
    number_list list = {0};
    char *folder = eg_path_join(dir, "checkpoint");
    engram_status status =
        folder == NULL ? ENGRAM_NO_MEMORY : io->list(io, folder, list_one, &list, error);
    if (status != ENGRAM_OK)
        eg_fail(error, status, "cannot list the checkpoints of %s", dir);
    eg_free(folder);
    if (status != ENGRAM_OK) {
        eg_free(list.numbers);
        list = (number_list){0};
    }
    if (list.count != 0)
        qsort(list.numbers, list.count, sizeof *list.numbers, compare_numbers);
    *numbers = list.numbers;
    *count = list.count;
    return status;
}

typedef struct sweep_context {
    eg_io *io;
    const char *folder;
    const uint64_t *keep;
    size_t keep_count;
} sweep_context;

static engram_status sweep_one(void *context, const char *name)
{
    sweep_context *c = context;
    uint64_t number;
    if (parse_name(name, &number) &&
        bsearch(&number, c->keep, c->keep_count, sizeof number, compare_numbers) != NULL)
        return ENGRAM_OK;
    char *path = eg_path_join(c->folder, name);
    engram_status status = path == NULL ? ENGRAM_NO_MEMORY : c->io->unlink(c->io, path, NULL);
    eg_free(path);
    return status;
}

engram_status eg_checkpoint_sweep(eg_io *io, const char *dir, const uint64_t *keep,
                                  size_t keep_count, engram_error *error)
{
    char *folder = eg_path_join(dir, "checkpoint");
    if (folder == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
    sweep_context c = {.io = io, .folder = folder, .keep = keep, .keep_count = keep_count};
    engram_status status = io->list(io, folder, sweep_one, &c, error);
    if (status != ENGRAM_OK)
        eg_fail(error, status, "cannot remove old files of %s", folder);
    eg_free(folder);
    return status;
}
