/* The files that are compared, and which of them are one group. */
#include <stdlib.h>

#include "base/memory.h"
#include "base/status.h"
#include "search/dups_parts.h"

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory looking for duplicates");
}

/* ---- groups: union-find ---- */

uint32_t eg_dups_group_of(eg_dups *dups, uint32_t file)
{
    eg_dup_file *files = dups->files;
    uint32_t at = files[file].twin;
    for (; files[at].parent != at; at = files[at].parent)
        files[at].parent = files[files[at].parent].parent; /* halves the way */
    return at;
}

/* The lower number becomes the root: the same groups have the same root, in whatever order they
 * were joined. */
void eg_dups_join(eg_dups *dups, uint32_t a, uint32_t b)
{
    a = eg_dups_group_of(dups, a);
    b = eg_dups_group_of(dups, b);
    dups->files[a < b ? b : a].parent = a < b ? a : b;
}

/* ---- the list ---- */

/* A file's references, folded into a fingerprint piece by piece. */
typedef struct fold {
    eg_dup_file *file;
    eg_buffer *bytes;
} fold;

enum { FOLD_SIZE = 64 << 10 };

static void fold_bytes(fold *f)
{
    f->file->key = eg_fingerprint_of(f->bytes->data, f->bytes->size);
    f->bytes->size = 0;
    eg_write_bytes(f->bytes, f->file->key.bytes, sizeof f->file->key.bytes);
}

static engram_status fold_ref(void *context, uint64_t offset, eg_chunk_ref ref, engram_error *error)
{
    fold *f = context;
    (void)offset;
    eg_write_u64(f->bytes, ref.id);
    eg_write_u32(f->bytes, ref.size);
    f->file->size += ref.size;
    f->file->chunks++;
    if (f->bytes->failed)
        return no_memory(error);
    if (f->bytes->size >= FOLD_SIZE)
        fold_bytes(f);
    return ENGRAM_OK;
}

static engram_status add_file(eg_dups *d, uint64_t inode, eg_buffer *bytes, engram_error *error)
{
    if (!eg_grow((void **)&d->files, &d->file_capacity, d->file_count + 1, sizeof *d->files))
        return no_memory(error);
    eg_dup_file *file = &d->files[d->file_count];
    fold f = {file, bytes};
    *file = (eg_dup_file){.inode = inode};
    file->twin = file->parent = (uint32_t)d->file_count;
    bytes->size = 0;
    EG_TRY(eg_fs_refs(d->version->root, inode, 0, fold_ref, &f, error));
    fold_bytes(&f);
    d->file_count += file->size != 0;
    return ENGRAM_OK;
}

static engram_status add_files(eg_dups *d, engram_error *error)
{
    engram_status status = ENGRAM_OK;
    eg_buffer bytes = {0};
    const eg_live *live = &d->live;
    if (live->inode_count >= UINT32_MAX)
        status = eg_fail(error, ENGRAM_UNSUPPORTED,
                         "more than 4,294,967,294 files; give --prefix to take fewer at once");
    for (size_t i = 0; i < live->inode_count && status == ENGRAM_OK; i++)
        if (i == 0 || live->inodes[i] != live->inodes[i - 1]) /* else another name of it */
            status = add_file(d, live->inodes[i], &bytes, error);
    eg_buffer_fini(&bytes);
    return status;
}

typedef struct content { /* a file by its content */
    eg_fingerprint key;
    uint32_t file;
} content;

static int by_content(const void *a, const void *b)
{
    const content *x = a, *y = b;
    int order = memcmp(&x->key, &y->key, sizeof x->key);
    return order != 0 ? order : (x->file > y->file) - (x->file < y->file);
}

static engram_status find_twins(eg_dups *d, engram_error *error)
{
    content *all = eg_alloc((d->file_count + 1) * sizeof *all);
    if (all == NULL)
        return no_memory(error);
    for (uint32_t i = 0; i < d->file_count; i++)
        all[i] = (content){d->files[i].key, i};
    qsort(all, d->file_count, sizeof *all, by_content);
    for (size_t i = 1; i < d->file_count; i++)
        if (memcmp(&all[i].key, &all[i - 1].key, sizeof all[i].key) == 0)
            d->files[all[i].file].twin = d->files[all[i - 1].file].twin;
    eg_free(all);
    return ENGRAM_OK;
}

engram_status eg_dups_list_files(eg_dups *d, engram_error *error)
{
    const char *prefix = d->options->prefix != NULL ? d->options->prefix : "";
    EG_TRY(eg_live_init(d->searcher, d->version, &(eg_query_options){.prefix = prefix}, &d->live,
                        error));
    EG_TRY(add_files(d, error));
    return find_twins(d, error);
}

uint32_t eg_dups_find_file(const eg_dups *d, uint64_t inode)
{
    size_t low = 0, high = d->file_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (d->files[middle].inode < inode)
            low = middle + 1;
        else
            high = middle;
    }
    return low < d->file_count && d->files[low].inode == inode ? (uint32_t)low : UINT32_MAX;
}
