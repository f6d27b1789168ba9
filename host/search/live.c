/* Which rows count for a query: chunks held, at the version asked, by a file that may be a hit.
 * Filtering in the scan and not after it keeps k answers where k exist. */
#include <stdlib.h>

#include "base/memory.h"
#include "base/status.h"
#include "search/internal.h"

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for a query");
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

typedef struct collect_context {
    const eg_version *version;
    eg_live *live;
    uint64_t *stack; /* directories to visit */
    size_t depth, capacity;
} collect_context;

static engram_status collect_entry(void *context, eg_view name, uint64_t number, eg_inode_kind kind,
                                   engram_error *error)
{
    collect_context *c = context;
    (void)name;
    if (kind == EG_KIND_DIRECTORY) {
        if (!eg_grow((void **)&c->stack, &c->capacity, c->depth + 1, sizeof *c->stack))
            return no_memory(error);
        c->stack[c->depth++] = number;
    } else if (kind == EG_KIND_FILE) {
        eg_live *l = c->live;
        if (!eg_grow((void **)&l->inodes, &l->inode_capacity, l->inode_count + 1,
                     sizeof *l->inodes))
            return no_memory(error);
        l->inodes[l->inode_count++] = number;
    }
    return ENGRAM_OK;
}

/* The files under a stored path. */
static engram_status collect_prefix(const eg_version *version, const char *prefix, eg_live *live,
                                    engram_error *error)
{
    collect_context c = {.version = version, .live = live};
    uint64_t number;
    eg_inode inode;
    eg_buffer scratch = {0};
    EG_TRY(eg_fs_lookup(version->root, (eg_view){(const uint8_t *)prefix, strlen(prefix)}, &number,
                        error));
    engram_status status = eg_fs_get(version->root, number, &inode, &scratch, error);
    eg_buffer_fini(&scratch);
    EG_TRY(status);
    live->inodes = eg_alloc(64 * sizeof *live->inodes); /* a filter even when no file is found */
    if (live->inodes == NULL)
        return no_memory(error);
    live->inode_capacity = 64;
    status = collect_entry(&c, (eg_view){0}, number, inode.kind, error);
    while (status == ENGRAM_OK && c.depth != 0)
        status = eg_fs_list(version->root, c.stack[--c.depth], collect_entry, &c, error);
    eg_free(c.stack);
    qsort(live->inodes, live->inode_count, sizeof *live->inodes, compare_numbers);
    return status;
}

bool eg_live_has(const eg_live *live, uint64_t inode)
{
    if (inode == live->exclude)
        return false;
    return live->inodes == NULL ||
           bsearch(&inode, live->inodes, live->inode_count, sizeof inode, compare_numbers) != NULL;
}

/* Rows and holders both come in rising order of chunk id. */
typedef struct mark_context {
    eg_searcher *searcher;
    eg_live *live;
    size_t span, index; /* the row looked at */
} mark_context;

static engram_status mark_holder(void *context, uint64_t chunk, uint64_t number, uint32_t count,
                                 engram_error *error)
{
    mark_context *c = context;
    eg_searcher *s = c->searcher;
    (void)count;
    (void)error;
    if (!eg_live_has(c->live, number))
        return ENGRAM_OK;
    while (c->span < s->span_count) {
        const eg_row_span *span = &s->spans[c->span];
        const size_t rows = span->vectors.count;
        if (rows == 0 || span->ids[rows - 1] < chunk) {
            c->span++;
            c->index = 0;
            continue;
        }
        while (span->ids[c->index] < chunk)
            c->index++;
        if (span->ids[c->index] == chunk) {
            uint64_t row = span->first + c->index, bit = (uint64_t)1 << (row % 64);
            c->live->count += (c->live->bits[row / 64] & bit) == 0;
            c->live->bits[row / 64] |= bit;
        }
        break;
    }
    return ENGRAM_OK;
}

static engram_status mark_rows(eg_searcher *s, const eg_version *version, eg_live *live,
                               engram_error *error)
{
    mark_context mark = {.searcher = s, .live = live};
    live->bits = eg_alloc_zero(eg_arena_rows(s->arena) / 64 + 1, sizeof *live->bits);
    if (live->bits == NULL)
        return no_memory(error);
    return eg_fs_holders(version->root, 0, mark_holder, &mark, error);
}

engram_status eg_live_init(eg_searcher *searcher, const eg_version *version,
                           const eg_query_options *options, eg_live *live, engram_error *error)
{
    *live = (eg_live){.exclude = options->exclude_inode};
    engram_status status = ENGRAM_OK;
    if (options->prefix != NULL)
        status = collect_prefix(version, options->prefix, live, error);
    if (status == ENGRAM_OK)
        status = mark_rows(searcher, version, live, error);
    if (status != ENGRAM_OK)
        eg_live_fini(live);
    return status;
}

void eg_live_fini(eg_live *live)
{
    eg_free(live->bits);
    eg_free(live->inodes);
    *live = (eg_live){0};
}
