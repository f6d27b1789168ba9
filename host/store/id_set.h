/* A set of chunk ids: one bit each, in pages of 4 KiB that are there where ids are.
 *
 * Ids are given out in order, so that ten million of them take little more than a megabyte. Memory follows the number
 * of ids that were added, never their size. One thread at a time. */
#ifndef EG_STORE_ID_SET_H
#define EG_STORE_ID_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EG_ID_PAGE_BITS = 32768 };

typedef struct eg_id_page {
    uint64_t number; /* holds the ids number * EG_ID_PAGE_BITS and on */
    uint64_t bits[EG_ID_PAGE_BITS / 64];
} eg_id_page;

typedef struct eg_id_set { /* zero: empty */
    eg_id_page **pages;    /* by rising number */
    size_t page_count, capacity;
    uint64_t count;        /* ids in it */
} eg_id_set;

/* False: no memory, and the set is as before. */
bool eg_id_set_add(eg_id_set *set, uint64_t id);
void eg_id_set_remove(eg_id_set *set, uint64_t id);
bool eg_id_set_has(const eg_id_set *set, uint64_t id);
/* Takes out of set what is in other. */
void eg_id_set_subtract(eg_id_set *set, const eg_id_set *other);
void eg_id_set_fini(eg_id_set *set); /* empty again, without memory */

#endif
