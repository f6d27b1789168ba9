/* Sealing in the background.
 *
 * A full segment is handed to the sealer, a thread that is started when there is first something
 * for it to do, and appending goes on in the next file at once. The sealer makes that file ahead of
 * time, when the active one is half full. When it has not come to it, because it is still sealing,
 * the appending thread makes the file itself: it waits for a seal only when EG_SEALER_WAITING_MAX
 * segments are waiting. They are sealed in the order of their ids, so that they become durable in
 * it.
 *
 * Whatever fails here is the store's failure; then the sealer does nothing more. */
#include <signal.h>

#include "base/memory.h"
#include "store/internal.h"

void eg_sealer_init(eg_sealer *sealer)
{
    pthread_mutex_init(&sealer->lock, NULL);
    pthread_cond_init(&sealer->changed, NULL);
}

/* ---- the thread ---- */

/* Without the lock. */
static engram_status make_segment(eg_store *store, eg_segment **segment, engram_error *error)
{
    eg_segment_plan plan = {.payload_size = store->options.segment_size};
    EG_TRY(eg_store_take_number(store, &plan.id, error));
    return eg_segment_create(store->io, store->dir, &plan, segment, error);
}

/* Under the lock, which it leaves meanwhile; like seal_first. */
static void make_spare(eg_store *store)
{
    eg_sealer *sealer = &store->sealer;
    engram_error reason = {0};
    eg_segment *made;
    sealer->wants_spare = false;
    sealer->is_making = true;
    pthread_mutex_unlock(&sealer->lock);
    engram_status status = make_segment(store, &made, &reason);
    if (status != ENGRAM_OK)
        eg_store_fail(store, status, &reason, NULL);
    pthread_mutex_lock(&sealer->lock);
    sealer->is_making = false;
    if (status == ENGRAM_OK)
        sealer->spare = made;
    pthread_cond_broadcast(&sealer->changed);
}

static void seal_first(eg_store *store)
{
    eg_sealer *sealer = &store->sealer;
    eg_segment *segment = sealer->waiting[0];
    engram_error reason = {0};
    pthread_mutex_unlock(&sealer->lock);
    engram_status status = eg_segment_seal(segment, eg_store_sync_sealing, store, &reason);
    if (status != ENGRAM_OK)
        eg_store_fail(store, status, &reason, NULL);
    pthread_mutex_lock(&sealer->lock);
    if (status != ENGRAM_OK)
        return;
    sealer->waiting_count--;
    for (size_t i = 0; i < sealer->waiting_count; i++)
        sealer->waiting[i] = sealer->waiting[i + 1];
    sealer->sealed++;
    pthread_cond_broadcast(&sealer->changed);
}

/* Others may be waiting for what will not come, when the store has failed. */
static void rest(eg_sealer *sealer)
{
    pthread_cond_broadcast(&sealer->changed);
    pthread_cond_wait(&sealer->changed, &sealer->lock);
}

static void *sealer_main(void *context)
{
    eg_store *store = context;
    eg_sealer *sealer = &store->sealer;
    pthread_mutex_lock(&sealer->lock);
    while (!sealer->stop) {
        bool is_alive = !atomic_load(&store->failed);
        if (is_alive && sealer->wants_spare)
            make_spare(store);
        else if (is_alive && sealer->waiting_count > 0)
            seal_first(store);
        else
            rest(sealer);
    }
    pthread_mutex_unlock(&sealer->lock);
    return NULL;
}

/* Under the lock. Signals are for the threads of the program. */
static engram_status need_thread(eg_store *store, engram_error *error)
{
    sigset_t all, before;
    if (store->sealer.is_started)
        return ENGRAM_OK;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int os_error = pthread_create(&store->sealer.thread, NULL, sealer_main, store);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    store->sealer.is_started = os_error == 0;
    return os_error == 0 ? ENGRAM_OK
                         : eg_fail_os(error, os_error,
                                      "cannot start a thread to seal segments of %s", store->dir);
}

void eg_sealer_fini(eg_store *store)
{
    eg_sealer *sealer = &store->sealer;
    pthread_mutex_lock(&sealer->lock);
    sealer->stop = true;
    pthread_cond_broadcast(&sealer->changed);
    pthread_mutex_unlock(&sealer->lock);
    if (sealer->is_started)
        pthread_join(sealer->thread, NULL);
    eg_segment_free(sealer->spare);
    pthread_mutex_destroy(&sealer->lock);
    pthread_cond_destroy(&sealer->changed);
}

/* ---- its customers ---- */

void eg_sealer_want_spare(eg_store *store)
{
    eg_sealer *sealer = &store->sealer;
    pthread_mutex_lock(&sealer->lock);
    if (sealer->spare == NULL && !sealer->is_making && need_thread(store, NULL) == ENGRAM_OK) {
        sealer->wants_spare = true;
        pthread_cond_broadcast(&sealer->changed);
    }
    pthread_mutex_unlock(&sealer->lock);
}

/* The spare, or NULL when nobody has begun to make one; nobody will then. */
static eg_segment *take_spare(eg_store *store)
{
    eg_sealer *sealer = &store->sealer;
    pthread_mutex_lock(&sealer->lock);
    while (sealer->is_making)
        pthread_cond_wait(&sealer->changed, &sealer->lock);
    eg_segment *spare = sealer->spare;
    sealer->spare = NULL;
    sealer->wants_spare = false;
    pthread_mutex_unlock(&sealer->lock);
    return spare;
}

engram_status eg_sealer_next_segment(eg_store *store, eg_segment **segment, engram_error *error)
{
    *segment = take_spare(store);
    engram_status status = eg_store_check_alive(store, error);
    if (status != ENGRAM_OK) {
        eg_segment_free(*segment);
        *segment = NULL;
        return status;
    }
    return *segment != NULL ? ENGRAM_OK : make_segment(store, segment, error);
}

engram_status eg_sealer_give(eg_store *store, eg_segment *segment, engram_error *error)
{
    eg_sealer *sealer = &store->sealer;
    pthread_mutex_lock(&sealer->lock);
    engram_status status = need_thread(store, error);
    while (status == ENGRAM_OK && sealer->waiting_count == EG_SEALER_WAITING_MAX) {
        status = eg_store_check_alive(store, error);
        if (status == ENGRAM_OK)
            pthread_cond_wait(&sealer->changed, &sealer->lock);
    }
    if (status == ENGRAM_OK) {
        sealer->waiting[sealer->waiting_count++] = segment;
        sealer->given++;
        pthread_cond_broadcast(&sealer->changed);
    }
    pthread_mutex_unlock(&sealer->lock);
    return status;
}

engram_status eg_sealer_wait(eg_store *store, engram_error *error)
{
    eg_sealer *sealer = &store->sealer;
    engram_status status = ENGRAM_OK;
    pthread_mutex_lock(&sealer->lock);
    uint64_t target = sealer->given;
    while (sealer->sealed < target) {
        status = eg_store_check_alive(store, error);
        if (status != ENGRAM_OK)
            break;
        pthread_cond_wait(&sealer->changed, &sealer->lock);
    }
    pthread_mutex_unlock(&sealer->lock);
    return status;
}

engram_status eg_sealer_drop_spare(eg_store *store, engram_error *error)
{
    eg_segment *spare = take_spare(store);
    EG_TRY(eg_store_check_alive(store, error));
    if (spare == NULL)
        return ENGRAM_OK;
    engram_status status = store->io->unlink(store->io, eg_segment_name(spare), error);
    eg_segment_free(spare);
    return status;
}
