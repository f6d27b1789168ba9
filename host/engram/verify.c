/* Checking everything: the journal, the store, every retained version's tree, and the root bundle
 * against a fresh one. */
#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/status.h"
#include "engram/internal.h"

typedef struct store_context {
    eg_engram *engram;
    const eg_verify_options *options;
    eg_damaged *damaged;
    uint64_t bytes_total;
    atomic_uint_fast64_t problems, chunks_read, bytes_read;
    pthread_mutex_t lock;
} store_context;

static void store_problem(void *context, uint64_t chunk_id, const char *message)
{
    store_context *c = context;
    char text[1200];
    if (chunk_id != 0)
        snprintf(text, sizeof text, "chunk %" PRIu64 ": %s", chunk_id, message);
    else
        snprintf(text, sizeof text, "%s", message);
    pthread_mutex_lock(&c->lock);
    c->options->problem(c->options->context, text);
    if (chunk_id != 0)
        eg_damaged_add(c->damaged, chunk_id);
    pthread_mutex_unlock(&c->lock);
    atomic_fetch_add(&c->problems, 1);
}

static bool store_vector(void *context, const uint8_t *bytes, size_t size, const uint8_t *vector,
                         uint32_t spread)
{
    store_context *c = context;
    uint8_t fresh[ENGRAM_BLOCKS];
    uint32_t fresh_spread;
    atomic_fetch_add(&c->chunks_read, 1);
    atomic_fetch_add(&c->bytes_read, size);
    c->engram->kernels.encode(&c->engram->codebook, bytes, size, fresh, &fresh_spread);
    return fresh_spread == spread && memcmp(fresh, vector, sizeof fresh) == 0;
}

static void store_progress(void *context, uint64_t bytes_done)
{
    store_context *c = context;
    if (c->options->progress != NULL)
        c->options->progress(c->options->context, bytes_done, c->bytes_total);
}

static engram_status verify_store(eg_engram *engram, const eg_verify_options *options,
                                  eg_damaged *damaged, uint64_t *problems, engram_error *error)
{
    eg_store_totals totals;
    store_context c = {.engram = engram, .options = options, .damaged = damaged};
    engram_error inner = {0};
    engram_verified *verified = options->verified;
    if (eg_store_get_totals(engram->store, &totals, &inner) == ENGRAM_OK)
        c.bytes_total = totals.bytes_logical;
    verified->segments = totals.segments;
    verified->chunks = totals.chunks;
    pthread_mutex_init(&c.lock, NULL);
    eg_store_verifier verifier = {.subset = options->subset,
                                  .pool = options->pool,
                                  .context = &c,
                                  .problem = store_problem,
                                  .check_vector = store_vector,
                                  .progress = store_progress};
    engram_status status = eg_store_verify(engram->store, &verifier, error);
    pthread_mutex_destroy(&c.lock);
    *problems += atomic_load(&c.problems);
    verified->chunks_read = atomic_load(&c.chunks_read);
    verified->bytes_read = atomic_load(&c.bytes_read);
    return status;
}

/* ---- the journal ---- */

static engram_status count_record(void *context, const eg_record *record, engram_error *error)
{
    engram_verified *verified = context;
    (void)error;
    verified->records++;
    verified->transactions += record->state == EG_RECORD_COMMITTED;
    return ENGRAM_OK;
}

/* A reader has read it whole when it opened, and keeps none of it since. */
static engram_status verify_journal(eg_engram *e, engram_verified *verified, engram_error *error)
{
    eg_journal_end end;
    if (e->options.read_only) {
        verified->records = e->recovery.records;
        verified->transactions = e->recovery.transactions;
        return ENGRAM_OK;
    }
    char *path = eg_path_join(e->dir, "journal");
    if (path == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory verifying");
    pthread_mutex_lock(&e->checkpoint_lock);
    engram_status status = eg_journal_read(e->io, path, e->replay_start, 0, count_record, verified,
                                           &end, error);
    pthread_mutex_unlock(&e->checkpoint_lock);
    eg_free(path);
    return status;
}

/* ---- versions ---- */

typedef struct version_list {
    struct { uint64_t number; bool kept; } *list;
    size_t count, capacity;
} version_list;

static engram_status collect_version(void *context, const engram_retained *r, engram_error *error)
{
    version_list *all = context;
    if (!eg_grow((void **)&all->list, &all->capacity, all->count + 1, sizeof *all->list))
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory verifying");
    all->list[all->count].number = r->version;
    all->list[all->count++].kept = *r->label != 0 || *r->snapshot != 0;
    return ENGRAM_OK;
}

/* A failure inside one version is a finding; memory and the disk are not. */
static engram_status as_finding(engram_status status, engram_error *inner,
                                const eg_verify_options *options, uint64_t *problems,
                                engram_error *error)
{
    if (status == ENGRAM_OK)
        return ENGRAM_OK;
    if (status == ENGRAM_NO_MEMORY || status == ENGRAM_IO || status == ENGRAM_CANCELLED)
        return eg_fail(error, status, "%s", inner->message);
    options->problem(options->context, inner->message);
    ++*problems;
    return ENGRAM_OK;
}

static engram_status count_change(void *context, eg_view key, const eg_view *from,
                                  const eg_view *to, engram_error *error)
{
    engram_verified *verified = context;
    (void)key, (void)from, (void)to, (void)error;
    verified->keys++;
    return ENGRAM_OK;
}

typedef struct walk {
    eg_engram *engram;
    const eg_verify_options *options;
    uint64_t *problems;
    eg_version before; /* the version looked at last; no root at first */
} walk;

/* In full what is kept for ever; of the others, which are many and share nearly all, the nodes that
 * differ from those of the version before. */
static engram_status verify_one(walk *w, uint64_t number, bool kept, engram_error *error)
{
    eg_version version = {0};
    engram_error inner = {0};
    engram_status status = eg_engram_pin_number(w->engram, number, &version, &inner);
    if (status == ENGRAM_NOT_FOUND) /* let go of since it was listed */
        return ENGRAM_OK;
    if (status == ENGRAM_OK && !kept && w->before.root != NULL)
        status = eg_root_diff(w->before.root, version.root, count_change, w->options->verified,
                              &inner);
    else if (status == ENGRAM_OK)
        status = eg_verify_version(w->engram, &version, NULL, w->options, w->problems, &inner);
    w->options->verified->versions++;
    if (version.root != NULL) {
        if (w->before.root != NULL)
            eg_version_release(&w->before);
        w->before = version;
    }
    return as_finding(status, &inner, w->options, w->problems, error);
}

static engram_status verify_newest(walk *w, engram_error *error)
{
    eg_version newest = {0};
    engram_error inner = {0};
    engram_bundle *bundle = eg_alloc(sizeof *bundle);
    if (bundle == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory verifying");
    engram_status status = eg_engram_pin_counted(w->engram, &newest, bundle, &inner);
    if (status == ENGRAM_OK)
        status = eg_verify_version(w->engram, &newest, bundle, w->options, w->problems, &inner);
    w->options->verified->versions++;
    if (newest.root != NULL)
        eg_version_release(&newest);
    eg_free(bundle);
    return as_finding(status, &inner, w->options, w->problems, error);
}

static engram_status verify_versions(eg_engram *engram, const eg_verify_options *options,
                                     uint64_t *problems, engram_error *error)
{
    version_list all = {0};
    walk w = {.engram = engram, .options = options, .problems = problems};
    engram_error inner = {0};
    eg_version newest;
    EG_TRY(eg_engram_pin(engram, &newest, error));
    uint64_t last = newest.number;
    eg_version_release(&newest);
    engram_status status = as_finding(engram_versions(engram, collect_version, &all, &inner),
                                      &inner, options, problems, error);
    for (size_t i = 0; i < all.count && status == ENGRAM_OK; i++)
        if (all.list[i].number != last)
            status = verify_one(&w, all.list[i].number, all.list[i].kept, error);
    if (w.before.root != NULL)
        eg_version_release(&w.before);
    if (status == ENGRAM_OK)
        status = verify_newest(&w, error);
    eg_free(all.list);
    return status;
}

/* Newest first, so that a file is told of once, as it is now. */
static engram_status name_files(eg_engram *e, eg_damaged *damaged, const eg_verify_options *options,
                                uint64_t *problems, engram_error *error)
{
    version_list all = {0};
    engram_error inner = {0};
    if (damaged->count == 0)
        return ENGRAM_OK;
    engram_status status = engram_versions(e, collect_version, &all, &inner);
    for (size_t i = all.count; i-- > 0 && damaged->count > 0 && status == ENGRAM_OK;) {
        eg_version version;
        status = eg_engram_pin_number(e, all.list[i].number, &version, &inner);
        if (status == ENGRAM_OK) {
            status = eg_verify_name_files(&version, i + 1 == all.count, damaged, options, problems, &inner);
            eg_version_release(&version);
        } else if (status == ENGRAM_NOT_FOUND) { /* let go of since it was listed */
            status = ENGRAM_OK;
        }
    }
    eg_free(all.list);
    if (damaged->is_cut)
        options->problem(options->context, "there are more damaged chunks than files were looked up for");
    return as_finding(status, &inner, options, problems, error);
}

engram_status eg_engram_verify(eg_engram *engram, const eg_verify_options *options,
                               uint64_t *problems, engram_error *error)
{
    engram_verified unasked, *verified = options->verified != NULL ? options->verified : &unasked;
    eg_verify_options o = *options;
    engram_error inner = {0};
    *verified = (engram_verified){0};
    *problems = 0;
    o.verified = verified;
    engram_status status = verify_journal(engram, verified, &inner);
    EG_TRY(as_finding(status, &inner, &o, problems, error));
    eg_damaged damaged = {0};
    status = verify_store(engram, &o, &damaged, problems, error);
    if (status == ENGRAM_OK)
        status = verify_versions(engram, &o, problems, error);
    if (status == ENGRAM_OK)
        status = name_files(engram, &damaged, &o, problems, error);
    eg_free(damaged.ids);
    verified->problems = *problems;
    return status;
}

/* ---- the public one ---- */

static void no_problem(void *context, const char *message)
{
    (void)context, (void)message;
}

engram_status engram_verify(struct engram *e, const engram_verify_options *options,
                            engram_verified *verified, engram_error *error)
{
    static const engram_verify_options none;
    const engram_verify_options *from = options != NULL ? options : &none;
    eg_verify_options o = {.subset = from->subset > 0 ? from->subset : 1.0,
                           .context = from->context,
                           .problem = from->problem != NULL ? from->problem : no_problem,
                           .progress = from->progress,
                           .verified = verified};
    uint64_t problems = 0;
    if (!(from->subset >= 0 && from->subset <= 1.0))
        return eg_fail(error, ENGRAM_INVALID, "a subset of %g: choose 0 to 1", from->subset);
    EG_TRY(eg_pool_create(from->threads, &o.pool, error));
    engram_status status = eg_engram_verify(e, &o, &problems, error);
    eg_pool_free(o.pool);
    return status;
}
