/* A chained hash table; entries are also threaded in the order of their batches, which only rise.
 */
#include "ingest/overlay.h"

#include <pthread.h>
#include <xxhash.h>

#include "base/memory.h"

enum { BUCKETS = 1 << 14 };

typedef struct node {
    struct node *next_in_bucket, *next_in_order;
    uint64_t directory, batch;
    eg_overlay_value value;
    size_t name_size;
    uint8_t name[];
} node;

struct eg_overlay {
    pthread_mutex_t lock;
    node *buckets[BUCKETS];
    node *oldest, *newest;
};

static node **bucket_of(eg_overlay *o, uint64_t directory, eg_view name)
{
    return &o->buckets[XXH3_64bits_withSeed(name.data, name.size, directory) % BUCKETS];
}

/* The newest entry of that name: the chain begins with the latest. */
static node *find(eg_overlay *o, uint64_t directory, eg_view name)
{
    for (node *n = *bucket_of(o, directory, name); n != NULL; n = n->next_in_bucket)
        if (n->directory == directory && n->name_size == name.size &&
            memcmp(n->name, name.data, name.size) == 0)
            return n;
    return NULL;
}

engram_status eg_overlay_create(eg_overlay **overlay)
{
    eg_overlay *o = eg_alloc_zero(1, sizeof *o);
    if (o == NULL)
        return ENGRAM_NO_MEMORY;
    pthread_mutex_init(&o->lock, NULL);
    *overlay = o;
    return ENGRAM_OK;
}

void eg_overlay_free(eg_overlay *overlay)
{
    if (overlay == NULL)
        return;
    eg_overlay_forget(overlay, UINT64_MAX);
    pthread_mutex_destroy(&overlay->lock);
    eg_free(overlay);
}

engram_status eg_overlay_put(eg_overlay *overlay, uint64_t directory, eg_view name,
                             const eg_overlay_value *value, uint64_t batch)
{
    node *n = eg_alloc(sizeof *n + name.size);
    if (n == NULL)
        return ENGRAM_NO_MEMORY;
    *n = (node){.directory = directory, .batch = batch, .value = *value, .name_size = name.size};
    memcpy(n->name, name.data, name.size);
    pthread_mutex_lock(&overlay->lock);
    node **bucket = bucket_of(overlay, directory, name);
    n->next_in_bucket = *bucket;
    *bucket = n;
    if (overlay->newest != NULL)
        overlay->newest->next_in_order = n;
    else
        overlay->oldest = n;
    overlay->newest = n;
    pthread_mutex_unlock(&overlay->lock);
    return ENGRAM_OK;
}

bool eg_overlay_get(eg_overlay *overlay, uint64_t directory, eg_view name, eg_overlay_value *value)
{
    pthread_mutex_lock(&overlay->lock);
    node *n = find(overlay, directory, name);
    if (n != NULL)
        *value = n->value;
    pthread_mutex_unlock(&overlay->lock);
    return n != NULL;
}

static void unlink_from_bucket(eg_overlay *o, node *n)
{
    node **at = bucket_of(o, n->directory, (eg_view){n->name, n->name_size});
    while (*at != n)
        at = &(*at)->next_in_bucket;
    *at = n->next_in_bucket;
}

void eg_overlay_forget(eg_overlay *overlay, uint64_t batch)
{
    pthread_mutex_lock(&overlay->lock);
    while (overlay->oldest != NULL && overlay->oldest->batch <= batch) {
        node *n = overlay->oldest;
        overlay->oldest = n->next_in_order;
        if (overlay->oldest == NULL)
            overlay->newest = NULL;
        unlink_from_bucket(overlay, n);
        eg_free(n);
    }
    pthread_mutex_unlock(&overlay->lock);
}
