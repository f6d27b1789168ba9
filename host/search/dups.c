/* From the joined files to the groups that are told. */
#include "search/dups.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/status.h"
#include "search/dups_parts.h"

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory looking for duplicates");
}

/* Files by group: those of one lie together. */
typedef struct grouped {
    uint32_t group, file;
} grouped;

typedef struct extent { /* a group in the list of all */
    size_t first, count;
    uint64_t size;
} extent;

typedef struct groups {
    grouped *files;
    extent *extents;
    size_t count;
} groups;

static int by_group(const void *a, const void *b)
{
    const grouped *x = a, *y = b;
    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    return (x->file > y->file) - (x->file < y->file);
}

static int largest_first(const void *a, const void *b)
{
    const extent *x = a, *y = b;
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    if (x->size != y->size)
        return x->size > y->size ? -1 : 1;
    return (x->first > y->first) - (x->first < y->first);
}

/* Of one file that is like no other nothing is told. */
static void find_extents(const eg_dups *d, groups *g)
{
    for (size_t i = 0, end; i < d->file_count; i = end) {
        extent e = {.first = i};
        for (end = i; end < d->file_count && g->files[end].group == g->files[i].group; end++)
            e.size += d->files[g->files[end].file].size;
        e.count = end - i;
        if (e.count > 1)
            g->extents[g->count++] = e;
    }
    qsort(g->extents, g->count, sizeof *g->extents, largest_first);
}

static engram_status make_groups(eg_dups *d, groups *g, engram_error *error)
{
    g->files = eg_alloc((d->file_count + 1) * sizeof *g->files);
    g->extents = eg_alloc((d->file_count / 2 + 1) * sizeof *g->extents);
    if (g->files == NULL || g->extents == NULL)
        return no_memory(error);
    for (uint32_t i = 0; i < d->file_count; i++)
        g->files[i] = (grouped){eg_dups_group_of(d, i), i};
    qsort(g->files, d->file_count, sizeof *g->files, by_group);
    find_extents(d, g);
    d->stats.groups = g->count;
    for (size_t i = 0; i < g->count; i++)
        d->stats.files_grouped += g->extents[i].count;
    return ENGRAM_OK;
}

/* ---- telling ---- */

typedef struct named {
    eg_buffer path;
    uint32_t file;
} named;

static int by_path(const void *a, const void *b)
{
    const named *x = a, *y = b;
    size_t least = x->path.size < y->path.size ? x->path.size : y->path.size;
    int order = memcmp(x->path.data, y->path.data, least);
    return order != 0 ? order : (x->path.size > y->path.size) - (x->path.size < y->path.size);
}

static engram_status name_files(eg_dups *d, const grouped *files, size_t count, named *names,
                                engram_error *error)
{
    for (size_t i = 0; i < count; i++) {
        names[i].file = files[i].file;
        EG_TRY(eg_fs_path(d->version->root, d->files[files[i].file].inode, &names[i].path, error));
        if (names[i].path.failed)
            return no_memory(error);
    }
    qsort(names, count, sizeof *names, by_path);
    return ENGRAM_OK;
}

static engram_status score_member(eg_dups *d, uint32_t first, uint32_t file, double *score,
                                  engram_error *error)
{
    first = d->files[first].twin;
    file = d->files[file].twin;
    *score = 1;
    return first == file ? ENGRAM_OK : eg_dups_score(d, first, file, 0, score, error);
}

static engram_status tell_group(eg_dups *d, const groups *g, const extent *e,
                                const eg_dups_visitor *visitor, engram_error *error)
{
    named *names = eg_alloc_zero(e->count, sizeof *names);
    eg_dups_member *members = eg_alloc_zero(e->count, sizeof *members);
    engram_status status = names == NULL || members == NULL
                               ? no_memory(error)
                               : name_files(d, g->files + e->first, e->count, names, error);
    for (size_t i = 0; i < e->count && status == ENGRAM_OK; i++) {
        const eg_dup_file *file = &d->files[names[i].file];
        members[i] = (eg_dups_member){.path = {names[i].path.data, names[i].path.size},
                                      .inode = file->inode,
                                      .size = file->size};
        status = score_member(d, names[0].file, names[i].file, &members[i].score, error);
    }
    if (status == ENGRAM_OK)
        status =
            visitor->group(visitor->context, &(eg_dups_group){members, e->count, e->size}, error);
    for (size_t i = 0; names != NULL && i < e->count; i++)
        eg_buffer_fini(&names[i].path);
    eg_free(names);
    eg_free(members);
    return status;
}

static engram_status tell(eg_dups *d, const groups *g, const eg_dups_visitor *visitor,
                          engram_error *error)
{
    EG_TRY(visitor->begin(visitor->context, &d->stats, error));
    for (size_t i = 0; i < g->count; i++)
        EG_TRY(tell_group(d, g, &g->extents[i], visitor, error));
    return ENGRAM_OK;
}

/* ---- all of it ---- */

static engram_status find_groups(eg_dups *d, groups *g, engram_error *error)
{
    uint64_t start = eg_clock_monotonic_ns();
    EG_TRY(eg_dups_list_files(d, error));
    uint32_t wanted = engram_matches_from_jaccard(d->options->min / 2);
    d->floor = eg_noise_floor(d->live.count);
    d->minimum = wanted > d->floor ? wanted : d->floor;
    d->stats.version = d->version->number;
    d->stats.files = d->file_count;
    EG_TRY(eg_dups_scan(d, error));
    EG_TRY(make_groups(d, g, error));
    d->stats.seconds = (double)(eg_clock_monotonic_ns() - start) / 1e9;
    return ENGRAM_OK;
}

engram_status eg_searcher_dups(eg_searcher *searcher, const eg_version *version,
                               const eg_dups_options *options, const eg_dups_visitor *visitor,
                               engram_error *error)
{
    groups g = {0};
    eg_dups d = {.searcher = searcher, .version = version, .options = options};
    EG_TRY(eg_searcher_enter(searcher, error));
    engram_status status = find_groups(&d, &g, error);
    eg_searcher_leave(searcher);
    if (status == ENGRAM_OK)
        status = tell(&d, &g, visitor, error);
    eg_free(g.files);
    eg_free(g.extents);
    eg_free(d.files);
    eg_live_fini(&d.live);
    return status;
}
