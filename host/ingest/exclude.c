/* Excludes: globs over names and over stored paths. */
#include <fnmatch.h>

#include "base/memory.h"
#include "base/status.h"
#include "ingest/source_parts.h"

typedef struct eg_exclude {
    char *glob; /* without the slashes at either end */
    bool directories_only;
    bool by_path;  /* over the path's last components, as many as the glob has */
    bool anchored; /* over the whole path */
} eg_exclude;

static bool exclude_init(eg_exclude *exclude, const char *glob)
{
    exclude->anchored = glob[0] == '/';
    exclude->glob = eg_strdup(glob + exclude->anchored);
    if (exclude->glob == NULL)
        return false;
    size_t size = strlen(exclude->glob);
    while (size > 1 && exclude->glob[size - 1] == '/') {
        exclude->glob[--size] = 0;
        exclude->directories_only = true;
    }
    exclude->by_path = exclude->anchored || strchr(exclude->glob, '/') != NULL;
    return true;
}

engram_status eg_excludes_init(eg_excludes *excludes, const char *const *globs, size_t count,
                               engram_error *error)
{
    *excludes = (eg_excludes){0};
    if (count == 0)
        return ENGRAM_OK;
    excludes->items = eg_alloc_zero(count, sizeof *excludes->items);
    if (excludes->items == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for %zu excludes", count);
    for (; excludes->count < count; excludes->count++)
        if (!exclude_init(&excludes->items[excludes->count], globs[excludes->count])) {
            eg_excludes_fini(excludes);
            return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for %zu excludes", count);
        }
    return ENGRAM_OK;
}

void eg_excludes_fini(eg_excludes *excludes)
{
    for (size_t i = 0; i < excludes->count; i++)
        eg_free(excludes->items[i].glob);
    eg_free(excludes->items);
    *excludes = (eg_excludes){0};
}

static bool matches_path(const eg_exclude *exclude, const char *path)
{
    if (fnmatch(exclude->glob, path, FNM_PATHNAME) == 0)
        return true;
    if (exclude->anchored)
        return false;
    for (const char *at = strchr(path, '/'); at != NULL; at = strchr(at + 1, '/'))
        if (fnmatch(exclude->glob, at + 1, FNM_PATHNAME) == 0)
            return true;
    return false;
}

bool eg_excludes_match(const eg_excludes *excludes, const char *path, bool is_directory)
{
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    for (size_t i = 0; i < excludes->count; i++) {
        const eg_exclude *exclude = &excludes->items[i];
        if (exclude->directories_only && !is_directory)
            continue;
        if (exclude->by_path ? matches_path(exclude, path) : fnmatch(exclude->glob, name, 0) == 0)
            return true;
    }
    return false;
}

bool eg_excludes_match_any(const eg_excludes *excludes, char *path, bool is_directory)
{
    if (excludes->count == 0)
        return false;
    for (char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        bool matches = eg_excludes_match(excludes, path, true);
        *slash = '/';
        if (matches)
            return true;
    }
    return eg_excludes_match(excludes, path, is_directory);
}
