/* Vectors resident on a device: every segment's, in rising order of chunk id. */
#include "base/memory.h"
#include "base/status.h"
#include "search/internal.h"

static void init_locks(eg_searcher *s)
{
    pthread_rwlockattr_t fair;
    pthread_rwlockattr_init(&fair);
    pthread_rwlockattr_setkind_np(&fair, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&s->rows_lock, &fair);
    pthread_rwlockattr_destroy(&fair);
    pthread_mutex_init(&s->via_root_lock, NULL);
    eg_lives_init(&s->lives);
}

engram_status eg_searcher_create_batching(eg_engram *engram, eg_device *device,
                                          const eg_batcher_options *batching,
                                          eg_searcher **searcher, engram_error *error)
{
    eg_searcher *s = eg_alloc_zero(1, sizeof *s);
    if (s == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for a query");
    s->engram = engram;
    s->device = device;
    init_locks(s);
    engram_status status =
        eg_chunker_init(&s->chunker, &eg_engram_get_config(engram)->chunk, error);
    if (status == ENGRAM_OK)
        status = eg_arena_create(device, &s->arena, error);
    if (status == ENGRAM_OK)
        status = eg_batcher_create(device, batching, &s->batcher, error);
    if (status != ENGRAM_OK) {
        eg_searcher_free(s);
        return status;
    }
    *searcher = s;
    return ENGRAM_OK;
}

engram_status eg_searcher_create(eg_engram *engram, eg_device *device, eg_searcher **searcher,
                                 engram_error *error)
{
    return eg_searcher_create_batching(engram, device, NULL, searcher, error);
}

void eg_searcher_free(eg_searcher *searcher)
{
    if (searcher == NULL)
        return;
    eg_batcher_free(searcher->batcher);
    eg_lives_fini(&searcher->lives);
    pthread_rwlock_destroy(&searcher->rows_lock);
    pthread_mutex_destroy(&searcher->via_root_lock);
    eg_arena_free(searcher->arena);
    eg_via_root_free(searcher->via_root);
    eg_free(searcher->spans);
    eg_free(searcher);
}

static engram_status add_span(eg_searcher *s, const eg_vector_span *span, engram_error *error)
{
    if (!eg_grow((void **)&s->spans, &s->span_capacity, s->span_count + 1, sizeof *s->spans))
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for a query");
    uint64_t first = eg_arena_rows(s->arena);
    eg_lives_clear(&s->lives); /* they know nothing of new rows */
    EG_TRY(eg_arena_append(s->arena, span->vectors, error));
    s->spans[s->span_count++] = (eg_row_span){first, span->ids, span->vectors};
    s->last_id = span->ids[span->vectors.count - 1];
    return ENGRAM_OK;
}

/* Takes the chunks beyond those that were taken. Segments may be merged meanwhile: rows stay what they are, of chunks
 * that have gone too, which no version holds. Alone. */
static engram_status refresh(eg_searcher *s, engram_error *error)
{
    eg_store *store = eg_engram_store(s->engram);
    EG_TRY(eg_store_check_vectors(store, error));
    for (eg_vector_span span;;) {
        EG_TRY(eg_store_next_vectors(store, s->last_id, &span, error));
        if (span.vectors.count == 0)
            return ENGRAM_OK;
        EG_TRY(add_span(s, &span, error));
    }
}

/* What cannot be read is the refresh's to report. */
static bool is_current(const eg_searcher *s)
{
    eg_store *store = eg_engram_store(s->engram);
    eg_vector_span span;
    engram_error ignored = {0};
    return eg_store_check_vectors(store, &ignored) == ENGRAM_OK &&
           eg_store_next_vectors(store, s->last_id, &span, &ignored) == ENGRAM_OK &&
           span.vectors.count == 0;
}

engram_status eg_searcher_enter(eg_searcher *searcher, engram_error *error)
{
    pthread_rwlock_rdlock(&searcher->rows_lock);
    if (is_current(searcher))
        return ENGRAM_OK;
    pthread_rwlock_unlock(&searcher->rows_lock);
    pthread_rwlock_wrlock(&searcher->rows_lock);
    engram_status status = refresh(searcher, error);
    pthread_rwlock_unlock(&searcher->rows_lock);
    if (status == ENGRAM_OK) /* others may have added more meanwhile, never less */
        pthread_rwlock_rdlock(&searcher->rows_lock);
    return status;
}

void eg_searcher_leave(eg_searcher *searcher)
{
    pthread_rwlock_unlock(&searcher->rows_lock);
}

void eg_searcher_get_metrics(eg_searcher *searcher, eg_operation operation,
                             eg_batcher_metrics *metrics)
{
    eg_batcher_get_metrics(searcher->batcher, operation, metrics);
}

uint64_t eg_searcher_id(const eg_searcher *searcher, uint64_t row)
{
    size_t low = 0, high = searcher->span_count;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (searcher->spans[middle].first <= row)
            low = middle;
        else
            high = middle;
    }
    const eg_row_span *span = &searcher->spans[low];
    return span->ids[row - span->first];
}

engram_status eg_searcher_encode(eg_searcher *searcher, const eg_view *chunks, size_t count,
                                 uint8_t *vectors, uint32_t *spreads, engram_error *error)
{
    return eg_batcher_encode(searcher->batcher, eg_engram_get_codebook(searcher->engram), chunks,
                             count, vectors, spreads, error);
}
