/* The files that damaged chunks are in: who only reads chunk numbers knows little. By the holders (inode.h) of the newest
 * version, and for chunks that it does not hold, of the retained ones before it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/status.h"
#include "engram/internal.h"

typedef struct held {
    uint64_t inode, chunk;
} held;

typedef struct naming {
    const eg_version *version;
    held *list;
    size_t count, capacity;
} naming;

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int compare_held(const void *a, const void *b)
{
    const held *x = a, *y = b;
    int by_inode = compare_ids(&x->inode, &y->inode);
    return by_inode != 0 ? by_inode : compare_ids(&x->chunk, &y->chunk);
}

void eg_damaged_add(eg_damaged *damaged, uint64_t id)
{
    if (damaged->count == EG_DAMAGED_MAX ||
        !eg_grow((void **)&damaged->ids, &damaged->capacity, damaged->count + 1, sizeof *damaged->ids))
        damaged->is_cut = true;
    else
        damaged->ids[damaged->count++] = id;
}

static void sort_out(eg_damaged *d)
{
    size_t kept = 0;
    qsort(d->ids, d->count, sizeof *d->ids, compare_ids);
    for (size_t i = 0; i < d->count; i++)
        if (kept == 0 || d->ids[kept - 1] != d->ids[i])
            d->ids[kept++] = d->ids[i];
    d->count = kept;
}

static engram_status note(void *context, uint64_t chunk, uint64_t inode, uint32_t count, engram_error *error)
{
    naming *n = context;
    (void)count;
    if (!eg_grow((void **)&n->list, &n->capacity, n->count + 1, sizeof *n->list))
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory naming damaged files");
    n->list[n->count++] = (held){inode, chunk};
    return ENGRAM_OK;
}

/* Of the ids those that nobody holds stay. */
static engram_status find_holders(naming *n, eg_damaged *d, engram_error *error)
{
    size_t left = 0;
    for (size_t i = 0; i < d->count; i++) {
        size_t before = n->count;
        EG_TRY(eg_fs_holders(n->version->root, d->ids[i], note, n, error));
        if (n->count == before)
            d->ids[left++] = d->ids[i];
    }
    d->count = left;
    return ENGRAM_OK;
}

static engram_status name_file(const naming *n, bool newest, const held *first, size_t count,
                               const eg_verify_options *options, engram_error *error)
{
    eg_buffer path = {0}, line = {0};
    char text[64];
    engram_status status = eg_fs_path(n->version->root, first->inode, &path, error);
    if (status == ENGRAM_OK) {
        int size = newest ? 0 : snprintf(text, sizeof text, "version %" PRIu64 ": ", n->version->number);
        eg_write_bytes(&line, text, (size_t)size);
        eg_write_bytes(&line, path.data, path.size);
        size = snprintf(text, sizeof text, ": %zu of its chunks cannot be read, chunk %" PRIu64 "%s", count, first->chunk,
                        count > 1 ? " the first" : "");
        eg_write_bytes(&line, text, (size_t)size + 1);
        if (path.failed || line.failed)
            status = eg_fail(error, ENGRAM_NO_MEMORY, "out of memory naming damaged files");
        else
            options->problem(options->context, (const char *)line.data);
    }
    eg_buffer_fini(&path);
    eg_buffer_fini(&line);
    return status;
}

engram_status eg_verify_name_files(const eg_version *version, bool newest, eg_damaged *damaged,
                                   const eg_verify_options *options, uint64_t *problems, engram_error *error)
{
    naming n = {.version = version};
    sort_out(damaged);
    engram_status status = find_holders(&n, damaged, error);
    if (status == ENGRAM_OK)
        qsort(n.list, n.count, sizeof *n.list, compare_held);
    for (size_t i = 0, end; i < n.count && status == ENGRAM_OK; i = end) {
        for (end = i + 1; end < n.count && n.list[end].inode == n.list[i].inode; end++)
            continue;
        status = name_file(&n, newest, &n.list[i], end - i, options, error);
        ++*problems;
    }
    eg_free(n.list);
    return status;
}
