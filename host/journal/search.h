/* What lies beyond the end of the log: a torn tail, or proof that records are missing. */
#ifndef EG_JOURNAL_SEARCH_H
#define EG_JOURNAL_SEARCH_H

#include "journal/journal.h"
#include "journal/window.h"

/* Looks through the rest of the end's file and all files numbered above it. mark_size: of the
 * mark at the end, or 0. salt: of the end's file, or NULL when no record was read from it. ENGRAM_DAMAGED when a record there says that the
 * missing sequence had been durable; else *torn is how many bytes a torn tail takes, up to its last
 * byte that is not zero. Linear in the size of the files, whatever they hold. */
engram_status eg_journal_search(eg_window *window, const eg_journal_end *end, size_t mark_size,
                                const uint64_t *salt, uint64_t *torn, engram_error *error);

/* ENGRAM_DAMAGED: the log ends at end, though `proof` says that the next record had been durable.
 */
engram_status eg_journal_fail_damaged(const char *dir, const eg_journal_end *end, const char *proof,
                                      engram_error *error);

#endif
