/* Bitmaps that several queries share.
 *
 * The rows that count are found by a walk over all holders, and scans are merged only if they name
 * the same bitmap. So queries with equal version, prefix and exclusion share one: the first makes
 * it, others wait for it meanwhile, and when nobody uses it, a few are kept for those who ask next.
 * A refresh adds rows, so it drops them all: nobody is inside then.
 *
 * What failed is in the list no more, but its waiters hold it until the last has read the cause. */
#include <assert.h>

#include "base/memory.h"
#include "base/status.h"
#include "search/internal.h"

enum { IDLE_MAX = 4 };

struct eg_shared_live {
    eg_shared_live *next;
    eg_live live;
    uint64_t version, exclude;
    char *prefix; /* NULL: all */
    size_t users;
    uint64_t used; /* when it was last given back, by the list's count */
    bool is_made;
    engram_status status;
    engram_error error;
};

void eg_lives_init(eg_lives *lives)
{
    *lives = (eg_lives){0};
    pthread_mutex_init(&lives->lock, NULL);
    pthread_cond_init(&lives->made, NULL);
}

static void free_shared(eg_shared_live *l)
{
    eg_live_fini(&l->live);
    eg_free(l->prefix);
    eg_free(l);
}

void eg_lives_clear(eg_lives *lives)
{
    for (eg_shared_live *l = lives->first, *next; l != NULL; l = next) {
        next = l->next;
        assert(l->users == 0);
        free_shared(l);
    }
    lives->first = NULL;
}

void eg_lives_fini(eg_lives *lives)
{
    eg_lives_clear(lives);
    pthread_cond_destroy(&lives->made);
    pthread_mutex_destroy(&lives->lock);
}

static eg_shared_live *find(const eg_lives *lives, const eg_version *version,
                            const eg_query_options *o)
{
    eg_shared_live *l = lives->first;
    while (l != NULL && (l->version != version->number || l->exclude != o->exclude_inode ||
                         (l->prefix == NULL) != (o->prefix == NULL) ||
                         (l->prefix != NULL && strcmp(l->prefix, o->prefix) != 0)))
        l = l->next;
    return l;
}

static void unlink_shared(eg_lives *lives, const eg_shared_live *l)
{
    eg_shared_live **link = &lives->first;
    while (*link != l)
        link = &(*link)->next;
    *link = l->next;
}

static eg_shared_live *add(eg_lives *lives, const eg_version *version, const eg_query_options *o)
{
    eg_shared_live *l = eg_alloc_zero(1, sizeof *l);
    char *prefix = l != NULL && o->prefix != NULL ? eg_strdup(o->prefix) : NULL;
    if (l == NULL || (o->prefix != NULL && prefix == NULL)) {
        eg_free(l);
        return NULL;
    }
    l->version = version->number;
    l->exclude = o->exclude_inode;
    l->prefix = prefix;
    l->next = lives->first;
    lives->first = l;
    return l;
}

/* Locked before and after. */
static void make(eg_searcher *s, const eg_version *version, const eg_query_options *o,
                 eg_shared_live *l)
{
    eg_lives *lives = &s->lives;
    pthread_mutex_unlock(&lives->lock);
    l->status = eg_live_init(s, version, o, &l->live, &l->error);
    pthread_mutex_lock(&lives->lock);
    l->is_made = true;
    if (l->status != ENGRAM_OK)
        unlink_shared(lives, l);
    pthread_cond_broadcast(&lives->made);
}

/* The caller's part of what failed. */
static engram_status give_failure(eg_shared_live *l, engram_error *error)
{
    engram_status status = l->status;
    if (error != NULL && error->status == ENGRAM_OK)
        *error = l->error;
    if (--l->users == 0)
        free_shared(l);
    return status;
}

engram_status eg_lives_take(eg_searcher *searcher, const eg_version *version,
                            const eg_query_options *options, const eg_live **live,
                            engram_error *error)
{
    eg_lives *lives = &searcher->lives;
    engram_status status = ENGRAM_OK;
    pthread_mutex_lock(&lives->lock);
    eg_shared_live *l = find(lives, version, options);
    bool is_new = l == NULL;
    if (is_new)
        l = add(lives, version, options);
    if (l == NULL) {
        pthread_mutex_unlock(&lives->lock);
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for a query");
    }
    l->users++;
    if (is_new)
        make(searcher, version, options, l);
    while (!l->is_made)
        pthread_cond_wait(&lives->made, &lives->lock);
    if (l->status != ENGRAM_OK)
        status = give_failure(l, error);
    else
        *live = &l->live;
    pthread_mutex_unlock(&lives->lock);
    return status;
}

/* The one that was given back first is the first to go. */
static void drop_idle(eg_lives *lives)
{
    eg_shared_live *oldest = NULL;
    size_t idle = 0;
    for (eg_shared_live *l = lives->first; l != NULL; l = l->next) {
        if (l->users != 0)
            continue;
        idle++;
        if (oldest == NULL || l->used < oldest->used)
            oldest = l;
    }
    if (idle <= IDLE_MAX)
        return;
    unlink_shared(lives, oldest);
    free_shared(oldest);
}

void eg_lives_give(eg_searcher *searcher, const eg_live *live)
{
    eg_lives *lives = &searcher->lives;
    if (live == NULL)
        return;
    pthread_mutex_lock(&lives->lock);
    eg_shared_live *l = lives->first;
    while (&l->live != live)
        l = l->next;
    l->users--;
    l->used = ++lives->count;
    drop_idle(lives);
    pthread_mutex_unlock(&lives->lock);
}
