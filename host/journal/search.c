/* Every place with the magic is weighed by what its header and frame claim; only a claim that would
 * prove damage is worth a checksum. A hostile file can make many such claims, each 16 MiB long, so
 * the bytes put through the checksum are limited; a crash cannot leave that many behind. */
#include "journal/search.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "journal/files.h"
#include "journal/record.h"

static const uint64_t checksum_budget = UINT64_C(1) << 30;

typedef struct search {
    eg_window *window;
    const eg_journal_end *end;
    uint64_t salt, salt_until; /* candidates before that offset must carry salt */
    uint64_t budget;
    uint64_t torn;
} search;

engram_status eg_journal_fail_damaged(const char *dir, const eg_journal_end *end, const char *proof,
                                      engram_error *error)
{
    return eg_fail(error, ENGRAM_DAMAGED,
                   "%s/%08" PRIu64 ".wal is damaged at offset %" PRIu64 ": record %" PRIu64
                   " is not there, though %s",
                   dir, end->file, end->offset, end->sequence, proof);
}

static engram_status fail_found(const search *s, uint64_t offset, const char *verb,
                                engram_error *error)
{
    char proof[768];
    snprintf(proof, sizeof proof, "%s %s at offset %" PRIu64 " that it had been durable",
             s->window->path, verb, offset);
    return eg_journal_fail_damaged(s->window->dir, s->end, proof, error);
}

/* The claim of the record that may start at offset; *size 0: there is none. */
static engram_status peek(search *s, uint64_t offset, eg_frame *frame, size_t *size,
                          engram_error *error)
{
    const uint8_t *at;
    *size = 0;
    EG_TRY(eg_window_get(s->window, offset, EG_RECORD_FRONT_SIZE, &at, error));
    if (at != NULL && eg_record_peek(at, frame))
        *size = eg_record_claimed_size(at);
    return ENGRAM_OK;
}

static engram_status is_valid(search *s, uint64_t offset, size_t size, bool *valid,
                              engram_error *error)
{
    const uint8_t *at;
    eg_record record;
    eg_frame frame;
    EG_TRY(eg_window_get(s->window, offset, size, &at, error));
    *valid = at != NULL && eg_record_parse(at, size, &record, &frame) == EG_RECORD_VALID;
    return ENGRAM_OK;
}

static engram_status weigh(search *s, uint64_t offset, engram_error *error)
{
    eg_frame frame;
    size_t size;
    EG_TRY(peek(s, offset, &frame, &size, error));
    if (size == 0 || frame.sequence < s->end->sequence || frame.durable < s->end->sequence)
        return ENGRAM_OK;
    if (frame.salt != s->salt && offset < s->salt_until)
        return ENGRAM_OK;
    if (size > s->budget)
        return fail_found(s, offset, "holds more claims than a crash leaves, such as", error);
    s->budget -= size;
    bool valid;
    EG_TRY(is_valid(s, offset, size, &valid, error));
    return valid ? fail_found(s, offset, "says", error) : ENGRAM_OK;
}

/* How much of bytes is left when the zeros at its end are taken off. */
static size_t trim_zeros(const uint8_t *bytes, size_t size)
{
    if (size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0))
        return 0;
    while (bytes[size - 1] == 0)
        size--;
    return size;
}

/* How far to go on in bytes: just behind the first magic, or (*found false) to where the next one
 * may start, since its first bytes may be the last ones at hand. */
static size_t find_magic(const uint8_t *bytes, size_t size, bool at_end, bool *found)
{
    const uint8_t *hit = memmem(bytes, size, "EMBR", 4);
    *found = hit != NULL;
    if (hit)
        return (size_t)(hit - bytes) + 1;
    return at_end || size < 4 ? size : size - 3;
}

static engram_status search_from(search *s, uint64_t start, engram_error *error)
{
    uint64_t offset = start, torn_before = s->torn;
    for (;;) {
        const uint8_t *at;
        size_t size;
        EG_TRY(eg_window_get_some(s->window, offset, &at, &size, error));
        if (size == 0)
            return ENGRAM_OK;
        size_t used = trim_zeros(at, size);
        if (used > 0) {
            bool found;
            size = find_magic(at, size, offset + size >= s->window->file_size, &found);
            s->torn = torn_before + (offset - start) + (used < size ? used : size);
            if (found)
                EG_TRY(weigh(s, offset + size - 1, error));
        }
        offset += size;
    }
}

/* Learns the salt of a file from its head; *stale: the head is from before the file was recycled.
 */
static engram_status learn_salt(search *s, bool *stale, engram_error *error)
{
    eg_frame frame;
    size_t size;
    bool valid = false;
    *stale = false;
    s->salt_until = 0;
    EG_TRY(peek(s, 0, &frame, &size, error));
    if (size > 0)
        EG_TRY(is_valid(s, 0, size, &valid, error));
    if (size == 0 || frame.sequence < s->end->sequence) {
        *stale = valid;
        return ENGRAM_OK;
    }
    s->salt = frame.salt;
    s->salt_until = valid ? UINT64_MAX : size;
    return ENGRAM_OK;
}

static engram_status search_end(search *s, size_t mark_size, const uint64_t *salt,
                                engram_error *error)
{
    bool stale;
    EG_TRY(eg_window_open(s->window, s->end->file, error));
    if (salt != NULL) {
        s->salt = *salt;
        s->salt_until = UINT64_MAX;
    } else {
        EG_TRY(learn_salt(s, &stale, error));
    }
    return search_from(s, s->end->offset + mark_size, error);
}

static engram_status search_later(search *s, uint64_t number, engram_error *error)
{
    bool stale;
    uint64_t torn = s->torn;
    EG_TRY(eg_window_open(s->window, number, error));
    EG_TRY(learn_salt(s, &stale, error));
    EG_TRY(search_from(s, 0, error));
    if (stale)
        s->torn = torn; /* nothing was written here since it was recycled */
    return ENGRAM_OK;
}

engram_status eg_journal_search(eg_window *window, const eg_journal_end *end, size_t mark_size,
                                const uint64_t *salt, uint64_t *torn, engram_error *error)
{
    engram_status status;
    eg_journal_files files = {0};
    search s = {.window = window, .end = end, .budget = checksum_budget};
    EG_TRY_DONE(search_end(&s, mark_size, salt, error));
    EG_TRY_DONE(eg_journal_files_list(&files, window->io, window->dir, error));
    for (size_t i = 0; i < files.count; i++)
        if (files.numbers[i] > end->file)
            EG_TRY_DONE(search_later(&s, files.numbers[i], error));
    *torn = s.torn;
done:
    eg_journal_files_fini(&files);
    return status;
}
