/* One record in memory: sealing it for the disk and judging what the disk gave back. The file
 * record.c states the format. Pure functions over bytes; no I/O, no allocation. */
#ifndef EG_JOURNAL_RECORD_H
#define EG_JOURNAL_RECORD_H

#include "journal/journal.h"

enum {
    EG_RECORD_HEADER_SIZE = 32,
    EG_RECORD_FRAME_SIZE = 29,
    EG_RECORD_FRONT_SIZE = EG_RECORD_HEADER_SIZE + EG_RECORD_FRAME_SIZE,
    EG_RECORD_MARK_SIZE = EG_RECORD_FRONT_SIZE + 1,
    EG_RECORD_SIZE_MAX = EG_RECORD_HEADER_SIZE + EG_JOURNAL_PAYLOAD_MAX
};

typedef struct eg_frame {
    uint64_t salt;
    uint64_t sequence;
    uint64_t durable;
} eg_frame;

typedef enum eg_record_verdict {
    EG_RECORD_INVALID,
    EG_RECORD_VALID,
    EG_RECORD_OF_NEWER_VERSION /* whole, but not for this program to read */
} eg_record_verdict;

/* Writes header and frame in front of about->operations.size bytes of operations, which lie at
 * bytes
 * + EG_RECORD_FRONT_SIZE already. about->sequence goes into the frame. */
void eg_record_seal(uint8_t *bytes, const eg_record *about, uint64_t salt, uint64_t durable);

/* The mark at the end of a file that has a successor. sequence: of the next record. */
void eg_record_seal_mark(uint8_t bytes[EG_RECORD_MARK_SIZE], uint64_t sequence, uint64_t salt,
                         uint64_t durable);
bool eg_record_is_mark(const eg_record *record);

/* The whole size that a header of EG_RECORD_HEADER_SIZE bytes claims; 0: it starts no record. */
size_t eg_record_claimed_size(const uint8_t *header);

/* What EG_RECORD_FRONT_SIZE bytes claim, unchecked by any checksum. False: they start no record of
 * this version. */
bool eg_record_peek(const uint8_t *front, eg_frame *frame);

/* The conditions that need no more than the record itself. size is its claimed size, all of it in
 * bytes; INVALID when it claims another (a file that changes while it is read). record->operations
 * points into bytes. Outputs are set when the verdict is VALID. */
eg_record_verdict eg_record_parse(const uint8_t *bytes, size_t size, eg_record *record,
                                  eg_frame *frame);

#endif
