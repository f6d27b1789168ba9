/* What a transaction read and wrote, to be looked at again when it commits.
 *
 * A check names a key of the tree, or all keys with a prefix, and what stood there in the version that
 * the transaction started from. It holds at commit if the same stands there still. Keys say everything:
 * a name in a directory, an inode with the version of its last change, a whole directory for a listing
 * (no phantoms). */
#ifndef EG_ENGRAM_CHECKS_H
#define EG_ENGRAM_CHECKS_H

#include "engram/inode.h"
#include "tree/tree.h"

typedef enum eg_check_kind {
    EG_CHECK_VALUE = 1, /* the key has the same value, or is absent as before */
    EG_CHECK_PRESENT,   /* the key is there */
    EG_CHECK_RANGE      /* the keys that begin so, and their values, are the same */
} eg_check_kind;

typedef struct eg_checks { /* zero-initialise */
    eg_buffer list;
    size_t count;
    eg_buffer scratch;
} eg_checks;

void eg_checks_fini(eg_checks *checks);
/* Takes down what stands in root. written: part of the write set, checked under every isolation. */
engram_status eg_checks_add(eg_checks *checks, eg_root *root, eg_check_kind kind, bool written, const eg_key *key, engram_error *error);

/* Whether all hold in the edit. *failed: the key of the first that does not, lent by checks.
 * only_written: snapshot isolation. */
engram_status eg_checks_hold(const eg_checks *checks, eg_edit *edit, bool only_written, eg_buffer *scratch, bool *hold, eg_view *failed, engram_error *error);

#endif
