/* Stepping over operations. Every length is checked against what is left before it is used. */
#include "journal/ops.h"

static void step_over_write_file(eg_reader *reader)
{
    eg_read_bytes(reader, eg_read_u32(reader));
    eg_read_bytes(reader, (size_t)eg_read_u32(reader) * 8);
    eg_read_u64(reader);
}

static void step_over_fields(eg_reader *reader, uint8_t tag)
{
    switch (tag) {
    case EG_OP_WRITE_CHUNK:
        eg_read_bytes(reader, 8 + 32 + 8);
        break;
    case EG_OP_DELETE_CHUNK:
        eg_read_u64(reader);
        break;
    case EG_OP_WRITE_FILE:
        step_over_write_file(reader);
        break;
    case EG_OP_DELETE_FILE:
        eg_read_bytes(reader, eg_read_u32(reader));
        break;
    case EG_OP_UPDATE_ROOT:
        eg_read_bytes(reader, 32);
        break;
    case EG_OP_BARRIER:
        break;
    default:
        reader->failed = true; /* tag 0 */
    }
}

bool eg_op_next(eg_reader *reader, eg_op *op)
{
    if (eg_reader_left(reader) == 0)
        return false;
    const uint8_t *start = reader->at, *body = start + 1;
    uint8_t tag = eg_read_u8(reader);
    if (tag >= EG_OP_FRAME) {
        body += 4;
        eg_read_bytes(reader, eg_read_u32(reader));
    } else {
        step_over_fields(reader, tag);
    }
    if (reader->failed)
        return false;
    op->tag = tag;
    op->body = (eg_view){body, (size_t)(reader->at - body)};
    op->whole = (eg_view){start, (size_t)(reader->at - start)};
    return true;
}
