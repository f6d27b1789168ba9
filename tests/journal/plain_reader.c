#include "journal/plain_reader.h"

enum { FILES = 40 };

typedef struct plain_record {
    unsigned version, flags;
    uint64_t transaction, time_ns, salt, sequence, durable;
    size_t length;
} plain_record;

static uint64_t number_at(const uint8_t *p, unsigned size)
{
    uint64_t n = 0;
    while (size-- > 0)
        n = n << 8 | p[size];
    return n;
}

static uint32_t crc_bits(uint32_t crc, const uint8_t *p, size_t size)
{
    static uint32_t table[256];
    for (uint32_t i = 0; table[255] == 0 && i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++)
            c = c & 1 ? c >> 1 ^ 0xEDB88320u : c >> 1;
        table[i] = c;
    }
    crc = ~crc;
    for (size_t i = 0; i < size; i++)
        crc = table[(crc ^ p[i]) & 0xFF] ^ crc >> 8;
    return ~crc;
}

/* Conditions 1, 3 and 4, whatever the version. */
static bool plain_whole(bytes file, size_t at, plain_record *r)
{
    if (at + 32 > file.size || memcmp(file.data + at, "EMBR", 4) != 0)
        return false;
    const uint8_t *p = file.data + at;
    r->version = (unsigned)number_at(p + 4, 2);
    r->flags = (unsigned)number_at(p + 6, 2);
    r->transaction = number_at(p + 8, 8);
    r->time_ns = number_at(p + 16, 8);
    r->length = number_at(p + 24, 4);
    if (r->length > 16 * 1024 * 1024 || r->length > file.size - at - 32)
        return false;
    return crc_bits(crc_bits(0, p, 28), p + 32, r->length) == number_at(p + 28, 4);
}

/* Conditions 2 and 5, and the lower bound of 3. */
static bool plain_framed(bytes file, size_t at, plain_record *r)
{
    const uint8_t *p = file.data + at + 32;
    if (r->version != 1 || r->flags > 3 || r->length < 29 || p[0] != 7 || number_at(p + 1, 4) != 24)
        return false;
    r->salt = number_at(p + 5, 8);
    r->sequence = number_at(p + 13, 8);
    r->durable = number_at(p + 21, 8);
    return r->durable < r->sequence;
}

typedef struct plain_log {
    bytes files[FILES];
    uint64_t file, offset, sequence;
    uint64_t salt;
    bool salted;
    size_t mark; /* of the mark behind offset, or 0 */
} plain_log;

static bool plain_visit_file(plain_log *log, uint64_t number, entries *list, bool *newer)
{
    bytes file = log->files[number];
    plain_record r;
    size_t at = 0;
    uint64_t salt = 0;
    while (plain_whole(file, at, &r)) {
        if (r.version > 1) {
            *newer = true;
            break;
        }
        if (!plain_framed(file, at, &r) || r.sequence != log->sequence ||
            (at > 0 && r.salt != salt))
            break;
        if (at > 0 && r.flags == 2 && r.transaction == 0 && r.length == 30 &&
            file.data[at + 61] == 6) {
            log->mark = 62;
            break;
        }
        entries_add(list, (entry){r.flags, r.transaction, r.time_ns, r.sequence, r.length - 29,
                                  hash_bytes(0, file.data + at + 61, r.length - 29)});
        salt = r.salt;
        at += 32 + r.length;
        log->file = number;
        log->offset = at;
        log->salt = salt;
        log->salted = true;
        log->sequence++;
        log->mark = 0;
    }
    return at > 0;
}

static bool plain_proves(const plain_log *log, bytes file, size_t start, bool salted, uint64_t salt)
{
    size_t extent = 0;
    plain_record r;
    if (!salted && file.size >= 61 && memcmp(file.data, "EMBR", 4) == 0) {
        r.version = (unsigned)number_at(file.data + 4, 2);
        r.flags = (unsigned)number_at(file.data + 6, 2);
        r.length = number_at(file.data + 24, 4);
        if (r.length <= 16 * 1024 * 1024 && plain_framed(file, 0, &r) &&
            r.sequence >= log->sequence) {
            salt = r.salt;
            extent = plain_whole(file, 0, &r) ? SIZE_MAX : 32 + r.length;
        }
    }
    for (size_t at = start; at + 61 <= file.size; at++)
        if (plain_whole(file, at, &r) && plain_framed(file, at, &r) &&
            r.sequence >= log->sequence && r.durable >= log->sequence &&
            (salted ? r.salt == salt : r.salt == salt || at >= extent))
            return true;
    return false;
}

static plain_verdict plain_judge(const plain_log *log, uint64_t start, uint64_t durable)
{
    if (log->sequence <= durable || log->files[start].size == 0)
        return PLAIN_DAMAGED;
    if (log->mark > 0 && log->files[log->file + 1].size == 0)
        return PLAIN_DAMAGED;
    if (plain_proves(log, log->files[log->file], log->offset + log->mark, log->salted, log->salt))
        return PLAIN_DAMAGED;
    for (uint64_t number = log->file + 1; number < FILES; number++)
        if (plain_proves(log, log->files[number], 0, false, 0))
            return PLAIN_DAMAGED;
    return PLAIN_TORN;
}

plain_verdict plain_read(const char *dir, uint64_t file, uint64_t sequence, uint64_t durable,
                         entries *list, uint64_t *end_file, uint64_t *end_offset)
{
    plain_log log = {.file = file, .sequence = sequence};
    bool newer = false;
    list->count = 0;
    for (uint64_t number = file; number < FILES; number++)
        log.files[number] = load_file(dir, wal_name(number));
    plain_visit_file(&log, file, list, &newer);
    for (uint64_t number = file + 1;
         !newer && number < FILES && plain_visit_file(&log, number, list, &newer); number++)
        ;
    plain_verdict verdict = newer ? PLAIN_NEWER : plain_judge(&log, file, durable);
    *end_file = log.file;
    *end_offset = log.offset;
    for (uint64_t number = 0; number < FILES; number++)
        free(log.files[number].data);
    return verdict;
}
