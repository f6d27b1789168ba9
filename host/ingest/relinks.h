/* Files of several names in cpio archives.
 *
 * cpio gives the content with the last of the names, behind empty members for the others. The names
 * are collected as they come by; when the content comes it is stored as a file, and they are linked
 * to it after that. */
#ifndef EG_INGEST_RELINKS_H
#define EG_INGEST_RELINKS_H

#include <stddef.h>

#include "base/status.h"

typedef struct eg_relinks {
    struct eg_waiting {
        char *name, *first; /* first: the name that the archive links it to */
    } * waiting;
    size_t waiting_count, waiting_capacity;
    char **due;
    size_t due_count, due_capacity;
    char *lent; /* by the last eg_relinks_next */
} eg_relinks;

void eg_relinks_fini(eg_relinks *relinks);
/* name is one more of `first`, and came without content. Of very many the ones without content yet
 * are forgotten. */
engram_status eg_relinks_wait(eg_relinks *relinks, const char *name, const char *first,
                              engram_error *error);
/* The content of `first` has come under another name: first and all that waited are due. */
engram_status eg_relinks_release(eg_relinks *relinks, const char *first, engram_error *error);
/* The next name that is due, lent until the next call; NULL when there is none. */
const char *eg_relinks_next(eg_relinks *relinks);

#endif
