/* The newest version, published to any number of readers without a lock.
 *
 * One 64-bit word holds a pointer and, in its upper 16 bits, how many readers are between loading
 * the pointer and having counted themselves in what it points to. A reader adds one there, which
 * keeps the object alive, counts itself in the object, and takes the one back; if the publisher
 * has exchanged the word meanwhile, it has moved those counts into the object, and the reader takes
 * its one back there. An object starts with a bias that goes with the publisher's hold, so that
 * readers alone never bring it to zero while it is published. */
#ifndef EG_ENGRAM_PUBLISHED_H
#define EG_ENGRAM_PUBLISHED_H

#include <stdatomic.h>
#include <stdint.h>

#include "tree/tree.h"

typedef struct eg_published { /* immutable but for its count */
    _Atomic int64_t references;
    uint64_t version, time_ns;
    eg_root *root; /* strong */
} eg_published;

typedef struct eg_publication { /* zero: nothing published */
    _Atomic uint64_t word;
} eg_publication;

/* Takes root over. NULL: no memory, and root stays the caller's. */
eg_published *eg_published_create(uint64_t version, uint64_t time_ns, eg_root *root);
/* next, fresh from create, becomes the newest; what was before goes when its last reader does. One
 * thread at a time. next NULL: nothing is published any more. */
void eg_publication_set(eg_publication *publication, eg_published *next);
/* The newest, counted for the caller; NULL when there is none. Any thread, wait-free but for a
 * compare-and-swap that fails only when others succeed. */
eg_published *eg_publication_get(eg_publication *publication);
void eg_published_release(eg_published *published); /* NULL is fine */

#endif
