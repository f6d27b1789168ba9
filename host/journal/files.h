/* The names in a journal's directory. */
#ifndef EG_JOURNAL_FILES_H
#define EG_JOURNAL_FILES_H

#include "base/io.h"

#define EG_JOURNAL_FILE_MAX UINT64_C(99999999)
enum { EG_JOURNAL_SPARES = 5 }; /* what a busy writer fills between two checkpoints */

/* "dir/NNNNNNNN.wal", number <= EG_JOURNAL_FILE_MAX, and "dir/spare-N.wal"; eg_free. NULL: no
 * memory. */
char *eg_journal_file_path(const char *dir, uint64_t number);
char *eg_journal_spare_path(const char *dir, uint64_t number);

/* What a directory holds; zero-initialise, end with eg_journal_files_fini. */
typedef struct eg_journal_files {
    uint64_t *numbers; /* of NNNNNNNN.wal, rising */
    size_t count, capacity;
    uint64_t *spares; /* of spare-N.wal, in no order */
    size_t spare_count, spare_capacity;
} eg_journal_files;

engram_status eg_journal_files_list(eg_journal_files *files, eg_io *io, const char *dir,
                                    engram_error *error);
void eg_journal_files_fini(eg_journal_files *files);

#endif
