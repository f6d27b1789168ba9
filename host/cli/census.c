/* Counting with fts, which neither follows links nor changes the working directory here. */
#include "cli/census.h"

#include <fts.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/memory.h"

/* False when it cannot be counted: a stream has no size. */
static bool count_input(eg_census *census, const char *input)
{
    if (strcmp(input, "-") == 0)
        return false;
    char *path = census->base != NULL && *input != '/' ? eg_path_join(census->base, input)
                                                       : eg_strdup(input);
    char *const roots[] = {path, NULL};
    FTS *walk = path != NULL ? fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL) : NULL;
    if (walk != NULL) {
        for (FTSENT *entry; !atomic_load(&census->stop) && (entry = fts_read(walk)) != NULL;)
            if (entry->fts_info == FTS_F)
                atomic_fetch_add(&census->size, (uint64_t)entry->fts_statp->st_size);
        fts_close(walk);
    }
    eg_free(path);
    return walk != NULL;
}

static void *count_all(void *argument)
{
    eg_census *census = argument;
    for (int i = 0; i < census->input_count; i++)
        if (!count_input(census, census->inputs[i]))
            return NULL;
    atomic_store(&census->done, true);
    return NULL;
}

void eg_census_start(eg_census *census, const char *base, char **inputs, int input_count)
{
    census->base = base;
    census->inputs = inputs;
    census->input_count = input_count;
    if (input_count != 0)
        census->started = pthread_create(&census->thread, NULL, count_all, census) == 0;
}

uint64_t eg_census_total(eg_census *census)
{
    return atomic_load(&census->done) ? atomic_load(&census->size) : 0;
}

void eg_census_stop(eg_census *census)
{
    atomic_store(&census->stop, true);
    if (census->started)
        pthread_join(census->thread, NULL);
    census->started = false;
}
