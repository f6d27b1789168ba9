/* A short list, looked through for each file of several names that comes with content. */
#include "ingest/relinks.h"

#include <string.h>

#include "base/memory.h"

enum { WAITING_MAX = 4096 };

void eg_relinks_fini(eg_relinks *relinks)
{
    for (size_t i = 0; i < relinks->waiting_count; i++) {
        eg_free(relinks->waiting[i].name);
        eg_free(relinks->waiting[i].first);
    }
    for (size_t i = 0; i < relinks->due_count; i++)
        eg_free(relinks->due[i]);
    eg_free(relinks->waiting);
    eg_free(relinks->due);
    eg_free(relinks->lent);
    *relinks = (eg_relinks){0};
}

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for hard links");
}

static void drop(eg_relinks *relinks, size_t i)
{
    eg_free(relinks->waiting[i].name);
    eg_free(relinks->waiting[i].first);
    relinks->waiting[i] = relinks->waiting[--relinks->waiting_count];
}

engram_status eg_relinks_wait(eg_relinks *relinks, const char *name, const char *first,
                              engram_error *error)
{
    if (relinks->waiting_count == WAITING_MAX)
        drop(relinks, 0);
    struct eg_waiting waiting = {eg_strdup(name), eg_strdup(first)};
    if (waiting.name == NULL || waiting.first == NULL ||
        !eg_grow((void **)&relinks->waiting, &relinks->waiting_capacity, relinks->waiting_count + 1,
                 sizeof waiting)) {
        eg_free(waiting.name);
        eg_free(waiting.first);
        return no_memory(error);
    }
    relinks->waiting[relinks->waiting_count++] = waiting;
    return ENGRAM_OK;
}

static engram_status add_due(eg_relinks *relinks, const char *name, engram_error *error)
{
    char *copy = eg_strdup(name);
    if (copy == NULL || !eg_grow((void **)&relinks->due, &relinks->due_capacity,
                                 relinks->due_count + 1, sizeof *relinks->due)) {
        eg_free(copy);
        return no_memory(error);
    }
    relinks->due[relinks->due_count++] = copy;
    return ENGRAM_OK;
}

engram_status eg_relinks_release(eg_relinks *relinks, const char *first, engram_error *error)
{
    EG_TRY(add_due(relinks, first, error));
    for (size_t i = relinks->waiting_count; i-- > 0;)
        if (strcmp(relinks->waiting[i].first, first) == 0) {
            EG_TRY(add_due(relinks, relinks->waiting[i].name, error));
            drop(relinks, i);
        }
    return ENGRAM_OK;
}

const char *eg_relinks_next(eg_relinks *relinks)
{
    eg_free(relinks->lent);
    relinks->lent = relinks->due_count != 0 ? relinks->due[--relinks->due_count] : NULL;
    return relinks->lent;
}
