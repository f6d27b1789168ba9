/* Operations: the grammar of a journal payload.
 *
 *   tag 1 write-chunk   id u64, hash 32 bytes, length u64
 *   tag 2 delete-chunk  id u64
 *   tag 3 write-file    path length u32, path, chunk count u32, ids u64 each, size u64
 *   tag 4 delete-file   path length u32, path
 *   tag 5 update-root   hash 32 bytes
 *   tag 6 barrier       nothing
 *   tag 7 frame         body length u32 = 24: salt u64, sequence u64, durable sequence u64
 *   tags 8 .. 255       body length u32, body; their meaning is the engram's (engram/ops.h)
 *
 * A tag is one byte. A reader can step over any operation; tag 0 is invalid. */
#ifndef EG_JOURNAL_OPS_H
#define EG_JOURNAL_OPS_H

#include "base/bytes.h"

enum {
    EG_OP_WRITE_CHUNK = 1,
    EG_OP_DELETE_CHUNK = 2,
    EG_OP_WRITE_FILE = 3,
    EG_OP_DELETE_FILE = 4,
    EG_OP_UPDATE_ROOT = 5,
    EG_OP_BARRIER = 6,
    EG_OP_FRAME = 7
};

typedef struct eg_op {
    uint8_t tag;
    eg_view body; /* the fields; for tags from 7 on without the length */
    eg_view whole; /* tag, length and body */
} eg_op;

/* The next operation. False at the end and on a malformed one: then reader->failed tells which. */
bool eg_op_next(eg_reader *reader, eg_op *op);

#endif
