/* The format of the write-ahead log, version 1. All numbers are little-endian.
 *
 * A record:
 *
 *   offset size
 *        0    4  magic, the bytes "EMBR"
 *        4    2  version, 1
 *        6    2  flags: 0 pending, 1 committed, 2 checkpointed, 3 aborted
 *        8    8  transaction id
 *       16    8  time, nanoseconds since the epoch
 *       24    4  payload length, 29 to 16 MiB
 *       28    4  CRC-32 (IEEE) over bytes 0 to 27 and the payload
 *       32       payload: operations, of which the first is the frame:
 *       32    1    tag, 7
 *       33    4    length of the rest, 24
 *       37    8    salt of the file
 *       45    8    sequence number of the record, from 1
 *       53    8    highest sequence number known to be durable when this record was written; 0:
 * none 61         operations of the caller
 *
 * Records follow one another without a gap from offset 0 of a file. What lies behind the last one
 * is zero (preallocated), the rest of older records (a recycled file), or the rest of a write that
 * a crash cut short. Files are NNNNNNNN.wal, eight decimal digits, from 00000001; the record after
 * the last one of a file is the first one of the file with the next number. spare-N.wal wait to be
 * recycled and hold nothing.
 *
 * A record at a place where sequence number E is expected is valid when
 *
 *   1. its 32 bytes of header lie in the file, the magic is right;
 *   2. the version is 1 and the flags are 0 to 3;
 *   3. the payload length is 29 to 16 MiB and the payload lies in the file;
 *   4. the CRC is right;
 *   5. the payload starts with a frame of 24 bytes, in which durable < sequence;
 *   6. the salt is that of the first record in the file (which sets it);
 *   7. the sequence number is E.
 *
 * A record of which 1, 3 and 4 hold (with any length) and the version is above 1 was written by a
 * newer program: the reader refuses to go on.
 *
 * The reader starts at the head of a given file with a given E. It takes valid records, adding 1
 * to E each time. At the first that is not valid it tries the head of the next file; when that is
 * not valid either, the log ends after the last valid record. Salt and sequence number together
 * tell stale records of a recycled file from new ones: the first record of a file must carry E,
 * which is above every number in a released file, and those behind it must carry its salt.
 *
 * The end is damage when E had been durable. That is so when the clean end that the caller
 * remembers is E or above, or when some record further on says it: in the rest of the file in
 * which the log ends, at any byte offset, or in any file with a higher number, a record of which 1
 * to 5 hold, with sequence >= E and durable >= E, and the file's salt. When the first record of a
 * file is gone, and its salt with it, any salt will do, except inside the extent that the broken
 * first record still claims: a payload may hold bytes of other journals. Otherwise the end is a
 * torn tail.
 *
 * Order of syncs:
 *
 *   - eg_journal_sync is one sync of the current file. "Durable" moves only when it succeeds.
 *   - Before a file gets a successor it is synced; a failed sync therefore only ever concerns the
 * last file. The successor, created or renamed from a spare, is allocated and synced, then the
 *     directory is synced, and only then is a record written to it.
 *   - A file that holds records is never exactly full, so a size that equals the end of the records
 *     means that they were synced before the file was cut to it.
 *   - Opening to write: unless the last file has that size, a copy of its records is written, synced
 *     and renamed over it, and the directory synced: what was read may be the remains of a failed
 *     sync, in the page cache and not on the disk, and writing in place could tear what is. Later
 *     files and spares are removed and the directory synced. Only then comes the new file: a stale
 *     record with a sequence number that will be given out again must not outlive the cut. Once the
 *     new file's name is durable, a mark behind the last record says that it follows.
 *   - Closing: sync, cut the preallocated rest, sync.
 *   - Releasing needs no sync: a released file that comes back is below the start of replay. */
#include "journal/record.h"

#include <assert.h>

#include "journal/ops.h"

enum { VERSION = 1, FRAME_BODY_SIZE = 24 };

typedef struct disk_header {
    uint8_t magic[4];
    uint16_t version;
    uint16_t flags;
    uint64_t transaction;
    uint64_t time_ns;
    uint32_t payload_size;
    uint32_t crc;
} disk_header;
static_assert(sizeof(disk_header) == EG_RECORD_HEADER_SIZE, "on disk");
static_assert(EG_RECORD_FRAME_SIZE == 1 + 4 + FRAME_BODY_SIZE, "on disk");

static const uint8_t magic[4] = {'E', 'M', 'B', 'R'};

static uint32_t checksum(const uint8_t *bytes, size_t size)
{
    uint32_t crc = eg_crc32(0, bytes, offsetof(disk_header, crc));
    return eg_crc32(crc, bytes + EG_RECORD_HEADER_SIZE, size - EG_RECORD_HEADER_SIZE);
}

static void write_frame(uint8_t *at, uint64_t salt, uint64_t sequence, uint64_t durable)
{
    at[0] = EG_OP_FRAME;
    eg_put_u32(at + 1, FRAME_BODY_SIZE);
    eg_put_u64(at + 5, salt);
    eg_put_u64(at + 13, sequence);
    eg_put_u64(at + 21, durable);
}

void eg_record_seal(uint8_t *bytes, const eg_record *about, uint64_t salt, uint64_t durable)
{
    assert(about->operations.size <= EG_JOURNAL_PAYLOAD_MAX - EG_RECORD_FRAME_SIZE);
    assert(durable < about->sequence);
    disk_header header = {.version = VERSION,
                          .flags = (uint16_t)about->state,
                          .transaction = about->transaction,
                          .time_ns = about->time_ns,
                          .payload_size =
                              (uint32_t)(EG_RECORD_FRAME_SIZE + about->operations.size)};
    memcpy(header.magic, magic, sizeof magic);
    memcpy(bytes, &header, sizeof header);
    write_frame(bytes + EG_RECORD_HEADER_SIZE, salt, about->sequence, durable);
    eg_put_u32(bytes + offsetof(disk_header, crc),
               checksum(bytes, EG_RECORD_FRONT_SIZE + about->operations.size));
}

void eg_record_seal_mark(uint8_t bytes[EG_RECORD_MARK_SIZE], uint64_t sequence, uint64_t salt,
                         uint64_t durable)
{
    bytes[EG_RECORD_FRONT_SIZE] = EG_OP_BARRIER;
    eg_record mark = {.state = EG_RECORD_CHECKPOINTED,
                      .sequence = sequence,
                      .operations = {bytes + EG_RECORD_FRONT_SIZE, 1}};
    eg_record_seal(bytes, &mark, salt, durable);
}

bool eg_record_is_mark(const eg_record *record)
{
    return record->state == EG_RECORD_CHECKPOINTED && record->transaction == 0 &&
           record->operations.size == 1 && record->operations.data[0] == EG_OP_BARRIER;
}

static disk_header read_header(const uint8_t *bytes)
{
    disk_header header;
    memcpy(&header, bytes, sizeof header);
    return header;
}

static bool is_plausible(const disk_header *header)
{
    return memcmp(header->magic, magic, sizeof magic) == 0 && header->version >= VERSION &&
           header->payload_size <= EG_JOURNAL_PAYLOAD_MAX;
}

static bool is_of_this_version(const disk_header *header)
{
    return is_plausible(header) && header->version == VERSION &&
           header->flags <= EG_RECORD_ABORTED && header->payload_size >= EG_RECORD_FRAME_SIZE;
}

size_t eg_record_claimed_size(const uint8_t *bytes)
{
    disk_header header = read_header(bytes);
    return is_plausible(&header) ? EG_RECORD_HEADER_SIZE + (size_t)header.payload_size : 0;
}

bool eg_record_peek(const uint8_t *front, eg_frame *frame)
{
    disk_header header = read_header(front);
    const uint8_t *at = front + EG_RECORD_HEADER_SIZE;
    if (!is_of_this_version(&header) || at[0] != EG_OP_FRAME ||
        eg_get_u32(at + 1) != FRAME_BODY_SIZE)
        return false;
    *frame = (eg_frame){eg_get_u64(at + 5), eg_get_u64(at + 13), eg_get_u64(at + 21)};
    return frame->durable < frame->sequence;
}

eg_record_verdict eg_record_parse(const uint8_t *bytes, size_t size, eg_record *record,
                                  eg_frame *frame)
{
    disk_header header = read_header(bytes);
    if (size != eg_record_claimed_size(bytes) || header.crc != checksum(bytes, size))
        return EG_RECORD_INVALID;
    if (header.version > VERSION)
        return EG_RECORD_OF_NEWER_VERSION;
    if (size < EG_RECORD_FRONT_SIZE || !eg_record_peek(bytes, frame))
        return EG_RECORD_INVALID;
    *record =
        (eg_record){.state = (eg_record_state)header.flags,
                    .transaction = header.transaction,
                    .time_ns = header.time_ns,
                    .sequence = frame->sequence,
                    .operations = {bytes + EG_RECORD_FRONT_SIZE, size - EG_RECORD_FRONT_SIZE}};
    return EG_RECORD_VALID;
}
