/* What the public header declares of opening, closing and figures: a thin layer. */
#include <string.h>

#include "base/status.h"
#include "engram/internal.h"

engram_status engram_create(const char *directory, const engram_format *format, engram_error *error)
{
    eg_engram_config config = eg_engram_config_default;
    if (format != NULL && format->chunk != NULL)
        EG_TRY(eg_chunk_config_parse(format->chunk, &config.chunk, error));
    if (format != NULL) {
        config.seed = format->seed;
        config.level = format->level != 0 ? format->level : config.level;
    }
    return eg_engram_create(eg_io_posix(), directory, &config, error);
}

engram_status engram_open(const char *directory, const engram_settings *settings,
                          struct engram **opened, engram_error *error)
{
    static const engram_settings none;
    const engram_settings *s = settings != NULL ? settings : &none;
    eg_engram_options options = {.read_only = s->read_only,
                                 .journal_size = s->journal_size,
                                 .cache_size = s->memory / 3,
                                 .dirty_size = s->memory / 3,
                                 .checkpoint_s = s->checkpoint_s,
                                 .small_size = s->small_size,
                                 .group_ops = s->group_ops,
                                 .group_delay_us = s->group_delay_us,
                                 .durability = s->durability,
                                 .no_compaction = s->no_compaction,
                                 .compaction_rate = s->compaction_rate};
    *opened = NULL;
    return eg_engram_open(eg_io_posix(), directory, &options, opened, error);
}

engram_status engram_close(struct engram **opened, engram_error *error)
{
    return eg_engram_close(opened, error);
}

engram_status engram_checkpoint(struct engram *e, engram_error *error)
{
    return eg_engram_checkpoint(e, error);
}

void engram_get_metrics(struct engram *e, engram_metrics *metrics)
{
    eg_group_metrics g = {0};
    eg_version newest;
    eg_engram_pin(e, &newest, NULL);
    if (e->group != NULL)
        eg_group_get_metrics(e->group, &g);
    *metrics = (engram_metrics){.version = newest.number,
                                .commits = atomic_load(&e->commits),
                                .conflicts = atomic_load(&e->conflicts),
                                .groups = g.groups,
                                .syncs = g.syncs,
                                .group_closed_sync_free = g.closed_sync_free,
                                .group_closed_full = g.closed_full,
                                .group_closed_delay = g.closed_delay,
                                .group_closed_asked = g.closed_asked + g.closed_boundary,
                                .device_batches = atomic_load(&e->device_batches),
                                .checkpoints = atomic_load(&e->checkpoints),
                                .journal_bytes = atomic_load(&e->journal_bytes),
                                .sync_us = g.syncs != 0 ? (double)g.sync_ns / 1e3 / (double)g.syncs : 0};
    eg_version_release(&newest);
}

void engram_get_retention(struct engram *e, engram_retention *retention)
{
    pthread_mutex_lock(&e->checkpoint_lock);
    *retention = e->manifest.retention;
    pthread_mutex_unlock(&e->checkpoint_lock);
}

/* The rules are the only thing of MANIFEST.json that changes outside a checkpoint. */
engram_status engram_set_retention(struct engram *e, const engram_retention *retention,
                                   engram_error *error)
{
    EG_TRY(eg_engram_check_writable(e, error));
    pthread_mutex_lock(&e->checkpoint_lock);
    eg_manifest next = e->manifest;
    next.retention = *retention;
    next.clean = false;
    engram_status status = eg_manifest_write(e->io, e->dir, &next, error);
    if (status == ENGRAM_OK)
        eg_manifest_follow(&e->manifest, &next);
    else
        eg_engram_fail(e, status);
    pthread_mutex_unlock(&e->checkpoint_lock);
    return status;
}
