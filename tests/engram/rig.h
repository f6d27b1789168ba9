/* An engram in a temporary directory, and short ways to put files into it. */
#ifndef EG_TESTS_ENGRAM_RIG_H
#define EG_TESTS_ENGRAM_RIG_H

#include "base/temp_dir.h"
#include "base/test.h"
#include "engram/core.h"

#define assert_ok(call)                                                                            \
    do {                                                                                           \
        engram_error assert_ok_error = {0}, *E = &assert_ok_error;                                 \
        engram_status assert_ok_status = (call);                                                   \
        (void)E;                                                                                   \
        if (assert_ok_status != ENGRAM_OK)                                                         \
            fail_msg("%s: %s (%s)", #call, engram_status_name(assert_ok_status),                   \
                     assert_ok_error.message);                                                     \
    } while (0)

typedef struct rig {
    temp_dir temp;
    char dir[600]; /* of the engram */
    eg_io *io;
    eg_engram *engram;
} rig;

void rig_init(rig *r);   /* a new engram, open for writing */
void rig_fini(rig *r);   /* closes if open, removes all */
void rig_reopen(rig *r); /* close and open */
/* As after a crash: what is on disk now becomes the engram, opened anew; the one open is thrown
 * away. */
void rig_crash(rig *r);
engram_status rig_open(rig *r, bool read_only, engram_error *error);

/* Stores bytes as chunks of at most 4 KiB and appends the operations for them. */
engram_status rig_chunks(rig *r, const uint8_t *bytes, size_t size, eg_chunk_ref **refs,
                         size_t *count, eg_buffer *ops, engram_error *error);
/* Writes a regular file (made when it is not there) in one commit. Parents must exist. */
engram_status rig_put(rig *r, const char *path, const uint8_t *bytes, size_t size,
                      engram_error *error);
engram_status rig_mkdir(rig *r, const char *path, engram_error *error);
engram_status rig_remove(rig *r, const char *path, engram_error *error);
/* The file at path in the newest version equals bytes. */
void rig_expect(rig *r, const char *path, const uint8_t *bytes, size_t size);
void rig_expect_absent(rig *r, const char *path);
/* eg_engram_verify finds nothing. */
void rig_verify(rig *r);
/* eg_engram_verify's number of findings. */
uint64_t rig_findings(rig *r);
/* Seeded bytes that do not repeat. */
void rig_fill(uint8_t *bytes, size_t size, uint64_t seed);

#endif
