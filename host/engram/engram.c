/* Creating, opening, closing, pinning. */
#include "engram/core.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/status.h"
#include "engram/internal.h"

const eg_engram_config eg_engram_config_default = {
    .chunk = {EG_CHUNK_CDC, 16384}, .seed = 0, .level = 3};

static const char *const folders[] = {"journal", "segments", "tree", "checkpoint"};
enum { FOLDER_COUNT = sizeof folders / sizeof *folders };

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
}

/* Lets creation go on where an earlier one was cut short, and nowhere else. */
typedef struct create_context {
    bool has_manifest, has_other;
} create_context;

static engram_status create_entry(void *context, const char *name)
{
    create_context *c = context;
    bool ours = strcmp(name, "LOCK") == 0 || strcmp(name, "MANIFEST.json.tmp") == 0;
    for (size_t i = 0; i < FOLDER_COUNT; i++)
        ours |= strcmp(name, folders[i]) == 0;
    c->has_manifest |= strcmp(name, "MANIFEST.json") == 0;
    c->has_other |= !ours;
    return ENGRAM_OK;
}

typedef struct used_context {
    eg_io *io;
    const char *folder;
    bool used;
} used_context;

/* An empty file, or a journal of one byte, is what a creation that was cut short may leave. */
static engram_status note_used(void *context, const char *name)
{
    used_context *c = context;
    uint64_t size = 0, disk_size;
    char *path = eg_path_join(c->folder, name);
    engram_status status =
        path == NULL ? ENGRAM_NO_MEMORY : c->io->stat(c->io, path, &size, &disk_size, NULL);
    eg_free(path);
    c->used |= size > 1;
    return status;
}

bool eg_engram_is_there(eg_io *io, const char *dir)
{
    uint64_t size, disk_size;
    char *path = eg_path_join(dir, "MANIFEST.json");
    bool there = path != NULL && io->stat(io, path, &size, &disk_size, NULL) == ENGRAM_OK;
    eg_free(path);
    return there;
}

engram_status eg_engram_sync_name(eg_io *io, const char *dir, engram_error *error)
{
    size_t size = strlen(dir);
    while (size > 1 && dir[size - 1] == '/')
        size--;
    while (size > 0 && dir[size - 1] != '/')
        size--;
    char *parent = size > 0 ? eg_memdup(dir, size + 1) : eg_strdup(".");
    if (parent == NULL)
        return no_memory(error);
    if (size > 0)
        parent[size] = 0;
    engram_status status = io->sync_dir(io, parent, error);
    eg_free(parent);
    return status;
}

engram_status eg_engram_check_new(eg_io *io, const char *dir, engram_error *error)
{
    create_context seen = {0};
    engram_error inner = {0};
    engram_status status = io->list(io, dir, create_entry, &seen, &inner);
    if (status == ENGRAM_NOT_FOUND)
        return ENGRAM_OK;
    if (status != ENGRAM_OK)
        return eg_fail_like(error, &inner);
    if (seen.has_manifest)
        return eg_fail(error, ENGRAM_EXISTS, "%s is an engram already", dir);
    if (seen.has_other)
        return eg_fail(error, ENGRAM_INVALID, "%s is not empty: name a new or an empty directory",
                       dir);
    return ENGRAM_OK;
}

static engram_status make_folders(eg_io *io, const char *dir, engram_error *error)
{
    engram_error inner = {0};
    engram_status status = io->mkdir(io, dir, &inner);
    if (status != ENGRAM_OK && status != ENGRAM_EXISTS)
        return eg_fail_like(error, &inner);
    EG_TRY(eg_engram_check_new(io, dir, error));
    for (size_t i = 0; i < FOLDER_COUNT; i++) {
        char *path = eg_path_join(dir, folders[i]);
        if (path == NULL)
            return no_memory(error);
        inner = (engram_error){0};
        status = io->mkdir(io, path, &inner);
        /* Chunks or a journal without a manifest: somebody's data, not a creation cut short. */
        used_context c = {.io = io, .folder = path};
        if (status == ENGRAM_EXISTS) {
            inner = (engram_error){0};
            status = i < 2 ? io->list(io, path, note_used, &c, &inner) : ENGRAM_OK;
        }
        eg_free(path);
        if (status != ENGRAM_OK)
            return eg_fail_like(error, &inner);
        if (c.used)
            return eg_fail(error, ENGRAM_INVALID,
                           "%s holds data but no MANIFEST.json: name a new directory", dir);
    }
    return ENGRAM_OK;
}

/* Flushes the tree of version 0 and writes the checkpoint that holds it. */
static engram_status write_genesis(eg_io *io, const char *dir, uint64_t now, eg_manifest *manifest,
                                   engram_error *error)
{
    eg_nodes *nodes = NULL;
    eg_root *empty = NULL, *root = NULL;
    eg_edit *edit = NULL;
    eg_checkpoint checkpoint = {.time_ns = now,
                                .transaction_next = 1,
                                .inode_next = EG_INODE_ROOT + 1,
                                .chunk_next = 1,
                                .journal = {1, 1}};
    char *path = eg_path_join(dir, "tree");
    engram_bundle *bundle = eg_alloc_zero(1, sizeof *bundle);
    engram_status status = path == NULL || bundle == NULL ? no_memory(error) : ENGRAM_OK;
    if (status == ENGRAM_OK)
        status = eg_nodes_open(io, path, &(eg_nodes_options){0}, &nodes, error);
    if (status == ENGRAM_OK)
        status = eg_root_open(nodes, (eg_node_ref){0}, &empty, error);
    if (status == ENGRAM_OK)
        status = eg_edit_begin(empty, &edit, error);
    if (status == ENGRAM_OK)
        status = eg_apply_genesis(edit, now, error);
    if (status == ENGRAM_OK)
        status = eg_edit_finish(&edit, &root, error);
    if (status == ENGRAM_OK)
        status = eg_root_flush(root, &checkpoint.tree, error);
    if (status == ENGRAM_OK)
        status = eg_nodes_sync(nodes, error);
    if (status == ENGRAM_OK) {
        checkpoint.nodes_end = eg_nodes_end(nodes);
        manifest->state = checkpoint;
        status = eg_checkpoint_write(io, dir, 1, &checkpoint, bundle, manifest, error);
    }
    eg_edit_abort(&edit);
    eg_root_release(root);
    eg_root_release(empty);
    eg_nodes_close(&nodes);
    eg_free(bundle);
    eg_free(path);
    return status;
}

engram_status eg_engram_create(eg_io *io, const char *dir, const eg_engram_config *config,
                               engram_error *error)
{
    eg_chunker chunker;
    EG_TRY(eg_chunker_init(&chunker, &config->chunk, error));
    if (config->level < 1 || config->level > 9)
        return eg_fail(error, ENGRAM_INVALID, "level %d: choose 1 (fast) to 9 (small)",
                       config->level);
    EG_TRY(make_folders(io, dir, error));
    eg_file *lock = NULL;
    EG_TRY(eg_lock_writer(io, dir, &lock, error));
    uint64_t now = eg_clock_wall_ns();
    eg_manifest manifest = {.config = *config,
                            .created_ns = now,
                            .checkpoint = 1,
                            .retention = eg_retention_default};
    char *journal_dir = eg_path_join(dir, "journal");
    engram_status status = journal_dir == NULL ? no_memory(error) : ENGRAM_OK;
    if (status == ENGRAM_OK)
        status = eg_journal_create(io, journal_dir, 1, error);
    if (status == ENGRAM_OK)
        status = write_genesis(io, dir, now, &manifest, error);
    if (status == ENGRAM_OK)
        status = io->sync_dir(io, dir, error);
    eg_free(journal_dir);
    if (status == ENGRAM_OK)
        status = eg_engram_sync_name(io, dir, error);
    if (status == ENGRAM_OK)
        status = eg_manifest_write(io, dir, &manifest, error);
    io->close(io, &lock);
    return status;
}

static void release(eg_engram *e)
{
    eg_compactor_stop(e);
    eg_checkpointer_stop(e);
    eg_commit_stop(e);
    for (size_t i = 0; i < e->retained_count; i++) {
        eg_root_release(e->retained[i].root);
        eg_free(e->retained[i].label);
    }
    eg_free(e->retained);
    eg_publication_set(&e->newest, NULL);
    eg_root_release(e->assigned);
    eg_root_release(e->catalog);
    if (e->journal != NULL)
        eg_journal_close(&e->journal, NULL, NULL);
    eg_workbench_free_all(e);
    eg_tx_free_idle(e);
    eg_store_close(&e->store);
    eg_nodes_close(&e->nodes);
    e->io->close(e->io, &e->lock);
    eg_slot_release(e->io, &e->slot);
    eg_manifest_fini(&e->manifest);
    eg_free(e->leftovers);
    eg_free(e->segments);
    eg_free(e->bundle);
    eg_free(e->dir);
    pthread_mutex_t *locks[] = {&e->pending_lock,    &e->bundle_lock,    &e->checkpoint_lock,
                                &e->history_lock,    &e->workbench_lock, &e->checkpointer.lock,
                                &e->idle_lock,       &e->compact_lock,
                                &e->compactor.lock};
    for (size_t i = 0; i < sizeof locks / sizeof *locks; i++)
        pthread_mutex_destroy(locks[i]);
    pthread_cond_destroy(&e->checkpointer.wake);
    pthread_cond_destroy(&e->checkpointer.done);
    pthread_cond_destroy(&e->compactor.wake);
    pthread_rwlock_destroy(&e->turn);
    eg_watch_fini(&e->watch);
    eg_free(e);
}

static void init_locks(eg_engram *e)
{
    pthread_mutex_t *locks[] = {&e->pending_lock,    &e->bundle_lock,    &e->checkpoint_lock,
                                &e->history_lock,    &e->workbench_lock, &e->checkpointer.lock,
                                &e->idle_lock,       &e->compact_lock,
                                &e->compactor.lock};
    for (size_t i = 0; i < sizeof locks / sizeof *locks; i++)
        pthread_mutex_init(locks[i], NULL);
    pthread_cond_init(&e->compactor.wake, NULL);
    eg_watch_init(&e->watch);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&e->checkpointer.wake, &monotonic);
    pthread_cond_init(&e->checkpointer.done, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_rwlockattr_t fair; /* one that waits for its turn alone gets it */
    pthread_rwlockattr_init(&fair);
    pthread_rwlockattr_setkind_np(&fair, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&e->turn, &fair);
    pthread_rwlockattr_destroy(&fair);
}

static engram_status allocate(eg_io *io, const char *dir, const eg_engram_options *options,
                              eg_engram **out, engram_error *error)
{
    eg_engram *e = eg_alloc_zero(1, sizeof *e);
    if (e == NULL)
        return no_memory(error);
    init_locks(e);
    e->pending_end = &e->pending;
    e->has_old_nodes = true;
    e->io = io;
    e->options = *options;
    e->dir = eg_strdup(dir);
    e->bundle = eg_alloc_zero(1, sizeof *e->bundle);
    eg_kernels_init(&e->kernels, eg_cpu_flags());
    if (e->dir == NULL || e->bundle == NULL) {
        release(e);
        return no_memory(error);
    }
    *out = e;
    return ENGRAM_OK;
}

/* What a writer needs beside what a reader has. */
static engram_status start_writer(eg_engram *e, engram_error *error)
{
    EG_TRY(eg_commit_start(e, error));
    EG_TRY(eg_checkpointer_start(e, error));
    return eg_compactor_start(e, error);
}

/* Whoever put MANIFEST.json there, or gave a copy its name, may have been killed before that was durable. A parent that may
 * not be read had its names synced by whoever made them. */
static engram_status sync_names(eg_io *io, const char *dir, engram_error *error)
{
    engram_error inner = {0};
    EG_TRY(io->sync_dir(io, dir, error));
    engram_status status = eg_engram_sync_name(io, dir, &inner);
    return status == ENGRAM_OK || inner.os_error == EACCES ? ENGRAM_OK : eg_fail_like(error, &inner);
}

/* *generation: of the manifest it went by. */
static engram_status open_once(eg_io *io, const char *dir, const eg_engram_options *options,
                               eg_engram **engram, uint64_t *generation, engram_error *error)
{
    eg_engram *e = NULL;
    eg_manifest probe;
    EG_TRY(
        eg_manifest_read(io, dir, &probe, error)); /* before LOCK is touched: it may be no engram */
    eg_manifest_fini(&probe);
    EG_TRY(allocate(io, dir, options, &e, error));
    uint64_t start = eg_clock_monotonic_ns();
    engram_status status = options->read_only
                               ? eg_lock_reader(io, dir, &e->manifest, &e->slot, error)
                               : eg_lock_writer(io, dir, &e->lock, error);
    if (status == ENGRAM_OK && !options->read_only)
        status = eg_manifest_read(io, dir, &e->manifest, error);
    *generation = e->manifest.checkpoint;
    if (status == ENGRAM_OK) {
        engram_codebook_init(&e->codebook, e->manifest.config.seed);
        status = eg_chunker_init(&e->chunker, &e->manifest.config.chunk, error);
    }
    if (status == ENGRAM_OK && !options->read_only)
        status = sync_names(io, dir, error);
    if (status == ENGRAM_OK)
        status = eg_engram_recover(e, error);
    if (status == ENGRAM_OK && !options->read_only)
        status = start_writer(e, error);
    if (status != ENGRAM_OK) {
        release(e);
        return status;
    }
    eg_slot_opened(io, &e->slot);
    e->recovery.seconds = (double)(eg_clock_monotonic_ns() - start) / 1e9;
    *engram = e;
    return ENGRAM_OK;
}

/* A reader may look while the writer is halfway through a record, or may meet the records of a later
 * generation, whose segments are others: it is damage only if it stays. */
static engram_status open_reader(eg_io *io, const char *dir, const eg_engram_options *options,
                                 eg_engram **engram, engram_error *error)
{
    enum { TRIES = 4, TRIES_MAX = 1000 };
    engram_status status = ENGRAM_OK;
    uint64_t generation = 0, before = 0;
    for (int tries = 1, all = 1;; tries++, all++) {
        *error = (engram_error){0};
        status = open_once(io, dir, options, engram, &generation, error);
        if (generation != before)
            tries = 1;
        before = generation;
        if (status != ENGRAM_DAMAGED || tries >= TRIES || all >= TRIES_MAX)
            return status;
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
}

engram_status eg_engram_open(eg_io *io, const char *dir, const eg_engram_options *options,
                             eg_engram **engram, engram_error *error)
{
    engram_error inner = {0};
    uint64_t generation = 0;
    engram_status status = options->read_only
                               ? open_reader(io, dir, options, engram, &inner)
                               : open_once(io, dir, options, engram, &generation, &inner);
    return status == ENGRAM_OK ? status : eg_fail_like(error, &inner);
}

static engram_status close_writer(eg_engram *e, engram_error *error)
{
    eg_compactor_stop(e);
    eg_checkpointer_stop(e);
    if (atomic_load(&e->failed) != ENGRAM_OK)
        return ENGRAM_OK; /* said when it happened; recovery tells what holds */
    EG_TRY(eg_group_drain(e->group, error));
    EG_TRY(eg_store_seal(e->store, error));
    EG_TRY(eg_engram_checkpoint(e, error));
    EG_TRY(eg_engram_renew_nodes(e, error));
    EG_TRY(eg_journal_close(&e->journal, &e->manifest.clean_end, error));
    e->manifest.clean = true;
    return eg_manifest_write(e->io, e->dir, &e->manifest, error);
}

engram_status eg_engram_close(eg_engram **engram, engram_error *error)
{
    eg_engram *e = *engram;
    if (e == NULL)
        return ENGRAM_OK;
    engram_status status = e->options.read_only ? ENGRAM_OK : close_writer(e, error);
    release(e);
    *engram = NULL;
    return status;
}

const eg_engram_config *eg_engram_get_config(const eg_engram *engram)
{
    return &engram->manifest.config;
}
const engram_codebook *eg_engram_get_codebook(const eg_engram *engram)
{
    return &engram->codebook;
}
const eg_recovery *eg_engram_get_recovery(const eg_engram *engram)
{
    return &engram->recovery;
}
const char *eg_engram_dir(const eg_engram *engram)
{
    return engram->dir;
}
eg_store *eg_engram_store(eg_engram *engram)
{
    return engram->store;
}
eg_io *eg_engram_io(eg_engram *engram)
{
    return engram->io;
}
uint64_t eg_engram_new_inode(eg_engram *engram)
{
    return atomic_fetch_add(&engram->inode_next, 1);
}

typedef struct usage_context {
    eg_io *io;
    const char *folder;
    uint64_t size, disk_size;
} usage_context;

static engram_status usage_entry(void *context, const char *name)
{
    usage_context *c = context;
    uint64_t size = 0, disk_size = 0;
    char *path = eg_path_join(c->folder, name);
    engram_status status =
        path == NULL ? ENGRAM_NO_MEMORY : c->io->stat(c->io, path, &size, &disk_size, NULL);
    eg_free(path);
    c->size += size;
    c->disk_size += disk_size;
    return status == ENGRAM_NOT_FOUND ? ENGRAM_OK : status; /* gone since it was listed */
}

engram_status eg_engram_disk_usage(eg_engram *engram, uint64_t *size, uint64_t *disk_size,
                                   engram_error *error)
{
    usage_context c = {.io = engram->io, .folder = engram->dir};
    EG_TRY(engram->io->list(engram->io, engram->dir, usage_entry, &c, error));
    for (size_t i = 0; i < FOLDER_COUNT; i++) {
        char *path = eg_path_join(engram->dir, folders[i]);
        if (path == NULL)
            return no_memory(error);
        c.folder = path;
        engram_status status = engram->io->list(engram->io, path, usage_entry, &c, error);
        eg_free(path);
        EG_TRY(status);
    }
    *size = c.size;
    *disk_size = c.disk_size;
    return ENGRAM_OK;
}
