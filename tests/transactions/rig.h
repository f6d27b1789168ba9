/* An engram in a temporary directory, used through the public interface, and short ways to write and to look. */
#ifndef EG_TESTS_TRANSACTIONS_RIG_H
#define EG_TESTS_TRANSACTIONS_RIG_H

#include <string.h>

#include "base/temp_dir.h"
#include "base/test.h"
#include "engram/core.h"
#include "engram/engram.h"

#define assert_ok(call)                                                                            \
    do {                                                                                           \
        engram_error assert_ok_error = {0}, *E = &assert_ok_error;                                 \
        engram_status assert_ok_status = (call);                                                   \
        (void)E;                                                                                   \
        if (assert_ok_status != ENGRAM_OK)                                                         \
            fail_msg("%s: %s (%s)", #call, engram_status_name(assert_ok_status),                   \
                     assert_ok_error.message);                                                     \
    } while (0)

/* The call fails with that status, and its sentence contains the words. */
#define assert_fails(call, status, words)                                                          \
    do {                                                                                           \
        engram_error assert_error = {0}, *E = &assert_error;                                       \
        engram_status assert_status = (call);                                                      \
        (void)E;                                                                                   \
        if (assert_status != (status))                                                             \
            fail_msg("%s: %s (%s), expected %s", #call, engram_status_name(assert_status),         \
                     assert_error.message, engram_status_name(status));                            \
        if (strstr(assert_error.message, words) == NULL)                                           \
            fail_msg("%s: the sentence '%s' does not say '%s'", #call, assert_error.message,       \
                     words);                                                                       \
    } while (0)

typedef struct rig {
    temp_dir temp;
    char dir[600]; /* of the engram */
    eg_engram_options options;
    struct engram *engram;
} rig;

/* chunk: as engram_format's; NULL: "fixed:4096". A new engram, open for writing. */
void rig_init(rig *r, const char *chunk);
void rig_fini(rig *r);   /* closes if open, removes all */
void rig_open(rig *r);
void rig_reopen(rig *r); /* close and open */
/* As after a crash: what is on disk now becomes the engram, opened anew; the open one is thrown away. No transaction
 * and no view may be left. */
void rig_crash(rig *r);
/* eg_engram_verify finds nothing. */
void rig_verify(rig *r);
uint64_t rig_newest(rig *r); /* the newest version's number */

/* One transaction with one call in it; committed. */
engram_transaction *rig_begin(rig *r);
uint64_t rig_commit(engram_transaction *tx); /* which must succeed */
uint64_t rig_put(rig *r, const char *path, const void *bytes, size_t size);
uint64_t rig_text(rig *r, const char *path, const char *text);
uint64_t rig_mkdir(rig *r, const char *path);
uint64_t rig_remove(rig *r, const char *path);
uint64_t rig_rename(rig *r, const char *from, const char *to);

/* At the newest version; those that begin with tx: in the transaction; with view: at that version. */
void rig_expect(rig *r, const char *path, const void *bytes, size_t size);
void rig_expect_text(rig *r, const char *path, const char *text);
void rig_expect_absent(rig *r, const char *path);
void tx_expect(engram_transaction *tx, const char *path, const void *bytes, size_t size);
void tx_expect_text(engram_transaction *tx, const char *path, const char *text);
void tx_expect_absent(engram_transaction *tx, const char *path);
void view_expect(engram_view *view, const char *path, const void *bytes, size_t size);
void view_expect_text(engram_view *view, const char *path, const char *text);
void view_expect_absent(engram_view *view, const char *path);
struct engram_stat rig_stat(rig *r, const char *path);
struct engram_stat tx_stat(engram_transaction *tx, const char *path);
/* "a a/b c": paths in the order of the walk, a blank between; of the whole tree, or of what lies below prefix. */
typedef struct rig_names {
    char text[8192];
} rig_names;
engram_status rig_names_visit(void *context, const char *path, const struct engram_stat *stat, engram_error *error);
void rig_expect_names(rig *r, const char *prefix, const char *names);
void tx_expect_names(engram_transaction *tx, const char *prefix, const char *names);

/* Seeded bytes that do not repeat. */
void rig_fill(void *bytes, size_t size, uint64_t seed);
uint64_t rig_random(uint64_t *state);
uint64_t rig_below(uint64_t *state, uint64_t limit);

#endif
