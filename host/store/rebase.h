/* Encoding a chunk anew that has lost its base. */
#ifndef EG_STORE_REBASE_H
#define EG_STORE_REBASE_H

#include "store/collect.h"

typedef struct eg_rebase {
    eg_collection *collection;
    eg_coder *coder;
    eg_buffer bytes, base, packed, delta, trial;
} eg_rebase;

engram_status eg_rebase_init(eg_rebase *rebase, eg_collection *collection, int effort, engram_error *error);
void eg_rebase_fini(eg_rebase *rebase);
/* record: of a delta on a doomed base. Changes kind, base, depth and stored size; the depth never rises. *correction
 * is lent until the next call. */
engram_status eg_rebase_run(eg_rebase *rebase, eg_chunk_record *record, eg_view *correction, engram_error *error);

#endif
