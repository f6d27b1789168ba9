/* Looking for records behind damage. Where a record may start is known by its magic alone; a checksum
 * then tells. Files that were used again hold older records: those have been replayed. */
#include <string.h>

#include "journal/files.h"
#include "journal/record.h"
#include "journal/window.h"

static void count(const eg_record *record, eg_journal_rest *rest)
{
    if (eg_record_is_mark(record))
        return;
    rest->records++;
    rest->commits += record->state == EG_RECORD_COMMITTED;
    if (record->sequence > rest->sequence_last)
        rest->sequence_last = record->sequence;
    if (record->transaction > rest->transaction_last)
        rest->transaction_last = record->transaction;
}

/* *size: of the record at offset that belongs to what is missing; 0: there is none. */
static engram_status look(eg_window *window, uint64_t offset, const eg_journal_end *end,
                          eg_journal_rest *rest, size_t *size, engram_error *error)
{
    const uint8_t *at;
    eg_record record;
    eg_frame frame;
    *size = 0;
    EG_TRY(eg_window_get(window, offset, EG_RECORD_FRONT_SIZE, &at, error));
    if (at == NULL || !eg_record_peek(at, &frame) || frame.sequence < end->sequence)
        return ENGRAM_OK;
    size_t claimed = eg_record_claimed_size(at);
    if (claimed != 0)
        EG_TRY(eg_window_get(window, offset, claimed, &at, error));
    if (claimed == 0 || at == NULL ||
        eg_record_parse(at, claimed, &record, &frame) != EG_RECORD_VALID)
        return ENGRAM_OK;
    count(&record, rest);
    *size = claimed;
    return ENGRAM_OK;
}

static engram_status search_file(eg_window *window, uint64_t offset, const eg_journal_end *end,
                                 eg_journal_rest *rest, engram_error *error)
{
    for (;;) {
        const uint8_t *at;
        size_t size, taken;
        EG_TRY(eg_window_get_some(window, offset, &at, &size, error));
        if (size < EG_RECORD_HEADER_SIZE)
            return ENGRAM_OK;
        const uint8_t *hit = memmem(at, size, "EMBR", 4);
        if (hit == NULL) {
            offset += size - 3;
            continue;
        }
        offset += (uint64_t)(hit - at);
        EG_TRY(look(window, offset, end, rest, &taken, error));
        offset += taken != 0 ? taken : 1;
    }
}

engram_status eg_journal_find_rest(eg_io *io, const char *dir, const eg_journal_end *end,
                                   eg_journal_rest *rest, engram_error *error)
{
    engram_status status;
    eg_journal_files files = {0};
    eg_window window;
    *rest = (eg_journal_rest){0};
    eg_window_init(&window, io, dir);
    EG_TRY_DONE(eg_journal_files_list(&files, io, dir, error));
    for (size_t i = 0; i < files.count; i++) {
        rest->file_last = files.numbers[i];
        if (files.numbers[i] < end->file)
            continue;
        EG_TRY_DONE(eg_window_open(&window, files.numbers[i], error));
        EG_TRY_DONE(search_file(&window, files.numbers[i] == end->file ? end->offset : 0, end, rest,
                                error));
    }
done:
    eg_window_fini(&window);
    eg_journal_files_fini(&files);
    return status;
}
