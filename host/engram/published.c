/* See published.h for the algorithm. */
#include "engram/published.h"

#include "base/memory.h"

#define POINTER_MASK ((UINT64_C(1) << 48) - 1)
#define ONE_READER (UINT64_C(1) << 48)
#define BIAS ((int64_t)1 << 40)

static eg_published *pointer_of(uint64_t word)
{
    return (eg_published *)(uintptr_t)(word & POINTER_MASK);
}

eg_published *eg_published_create(uint64_t version, uint64_t time_ns, eg_root *root)
{
    eg_published *made = eg_alloc_zero(1, sizeof *made);
    if (made == NULL || ((uintptr_t)made & ~POINTER_MASK) != 0) {
        eg_free(made);
        return NULL;
    }
    atomic_init(&made->references, BIAS);
    made->version = version;
    made->time_ns = time_ns;
    made->root = root;
    return made;
}

static void drop(eg_published *published, int64_t count)
{
    if (atomic_fetch_sub_explicit(&published->references, count, memory_order_acq_rel) != count)
        return;
    eg_root_release(published->root);
    eg_free(published);
}

void eg_publication_set(eg_publication *publication, eg_published *next)
{
    uint64_t old = atomic_exchange_explicit(&publication->word, (uint64_t)(uintptr_t)next,
                                            memory_order_acq_rel);
    if (pointer_of(old) != NULL) /* readers underway are counted in the object from here on */
        drop(pointer_of(old), BIAS - (int64_t)(old >> 48));
}

eg_published *eg_publication_get(eg_publication *publication)
{
    uint64_t word =
        atomic_fetch_add_explicit(&publication->word, ONE_READER, memory_order_acq_rel) +
        ONE_READER;
    eg_published *published = pointer_of(word);
    if (published != NULL)
        atomic_fetch_add_explicit(&published->references, 1, memory_order_relaxed);
    while (pointer_of(word) == published)
        if (atomic_compare_exchange_weak_explicit(&publication->word, &word, word - ONE_READER,
                                                  memory_order_acq_rel, memory_order_acquire))
            return published;
    if (published != NULL)
        drop(published, 1);
    return published;
}

void eg_published_release(eg_published *published)
{
    if (published != NULL)
        drop(published, 1);
}
