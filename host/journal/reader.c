/* Replay: record after record, file after file, to the end of the log; then, was that the end? */
#include <inttypes.h>
#include <stdio.h>

#include "journal/files.h"
#include "journal/record.h"
#include "journal/search.h"
#include "journal/window.h"

typedef struct replay {
    eg_window window;
    eg_journal_visit *visit;
    void *context;
    eg_journal_end end; /* of what has been visited */
    bool has_salt;      /* end.file holds a record that was visited, and salt is its */
    uint64_t salt;
    size_t mark_size; /* of the mark at the end, or 0 */
} replay;

/* The bytes of the record that may start at offset; *at NULL: there is none. */
static engram_status get_record(replay *r, uint64_t offset, const uint8_t **at, size_t *size,
                                engram_error *error)
{
    EG_TRY(eg_window_get(&r->window, offset, EG_RECORD_HEADER_SIZE, at, error));
    if (*at == NULL)
        return ENGRAM_OK;
    *size = eg_record_claimed_size(*at);
    if (*size == 0) {
        *at = NULL;
        return ENGRAM_OK;
    }
    return eg_window_get(&r->window, offset, *size, at, error);
}

/* The record at offset, if it is the next in sequence and, unless salt is NULL, of that salt. *size
 * 0: it is not. */
static engram_status read_next(replay *r, uint64_t offset, const uint64_t *salt, eg_record *record,
                               eg_frame *frame, size_t *size, engram_error *error)
{
    const uint8_t *at;
    size_t claimed;
    *size = 0;
    EG_TRY(get_record(r, offset, &at, &claimed, error));
    if (at == NULL)
        return ENGRAM_OK;
    eg_record_verdict verdict = eg_record_parse(at, claimed, record, frame);
    if (verdict == EG_RECORD_OF_NEWER_VERSION)
        return eg_fail(error, ENGRAM_NEWER,
                       "%s holds a record of a newer version at offset %" PRIu64
                       ": use the program that wrote it",
                       r->window.path, offset);
    if (verdict == EG_RECORD_VALID && frame->sequence == r->end.sequence &&
        (salt == NULL || *salt == frame->salt))
        *size = claimed;
    return ENGRAM_OK;
}

/* A file that is sure to have been there, with a byte at least, when it was last synced. */
static engram_status check_present(const replay *r, uint64_t number, const char *proof,
                                   engram_error *error)
{
    if (r->window.file_size > 0)
        return ENGRAM_OK;
    return eg_fail(error, ENGRAM_DAMAGED,
                   "%s/%08" PRIu64 ".wal is %s, though %s: it was removed or emptied",
                   r->window.dir, number, r->window.file != NULL ? "empty" : "missing", proof);
}

/* From offset on, which is 0 or where the visited records of this file end. */
static engram_status visit_file(replay *r, uint64_t number, uint64_t offset, engram_error *error)
{
    bool found = offset != 0;
    EG_TRY(eg_window_open(&r->window, number, error));
    if (r->mark_size > 0 && number == r->end.file + 1)
        EG_TRY(check_present(r, number, "the file before it says that it follows", error));
    for (;;) {
        eg_record record;
        eg_frame frame;
        size_t size;
        EG_TRY(read_next(r, offset, found ? &r->salt : NULL, &record, &frame, &size, error));
        if (size == 0)
            return ENGRAM_OK;
        if (found && eg_record_is_mark(&record)) {
            r->mark_size = size;
            return ENGRAM_OK;
        }
        EG_TRY(r->visit(r->context, &record, error));
        offset += size;
        r->end =
            (eg_journal_end){.file = number, .offset = offset, .sequence = record.sequence + 1};
        r->salt = frame.salt;
        r->has_salt = found = true;
        r->mark_size = 0;
    }
}

/* Goes on from r->end. A file without records does not end the log by itself. */
static engram_status visit_files(replay *r, engram_error *error)
{
    uint64_t first = r->end.file;
    EG_TRY(visit_file(r, first, r->end.offset, error));
    for (uint64_t number = first + 1; r->end.file == number - 1; number++)
        EG_TRY(visit_file(r, number, 0, error));
    return ENGRAM_OK;
}

static engram_status judge_end(replay *r, uint64_t durable, engram_error *error)
{
    if (r->end.sequence <= durable) {
        char proof[96];
        snprintf(proof, sizeof proof, "the log was closed cleanly after record %" PRIu64, durable);
        return eg_journal_fail_damaged(r->window.dir, &r->end, proof, error);
    }
    return eg_journal_search(&r->window, &r->end, r->mark_size, r->has_salt ? &r->salt : NULL,
                             &r->end.torn, error);
}

/* Visits and judges. Where a writer is at work, the record that ends the log may have been half
 * written when it was read and whole by the time a later one vouched for it: it is looked at again
 * before it is called damage. */
static engram_status read_to_end(replay *r, uint64_t durable, engram_error *error)
{
    EG_TRY(eg_window_open(&r->window, r->end.file, error));
    EG_TRY(check_present(r, r->end.file, "the log starts in it", error));
    for (;;) {
        engram_error inner = {0};
        EG_TRY(visit_files(r, error));
        uint64_t sequence = r->end.sequence;
        engram_status status = judge_end(r, durable, &inner);
        if (status == ENGRAM_DAMAGED) {
            EG_TRY(visit_files(r, error));
            if (r->end.sequence != sequence)
                continue;
        }
        return status == ENGRAM_OK ? status : eg_fail(error, status, "%s", inner.message);
    }
}

engram_status eg_journal_read(eg_io *io, const char *dir, eg_journal_start start, uint64_t durable,
                              eg_journal_visit *visit, void *context, eg_journal_end *end,
                              engram_error *error)
{
    if (start.file == 0 || start.file > EG_JOURNAL_FILE_MAX || start.sequence == 0)
        return eg_fail(error, ENGRAM_INVALID,
                       "a journal cannot start at file %" PRIu64 ", record %" PRIu64, start.file,
                       start.sequence);
    replay r = {.visit = visit,
                .context = context,
                .end = {.file = start.file, .sequence = start.sequence}};
    eg_window_init(&r.window, io, dir);
    engram_status status = read_to_end(&r, durable, error);
    *end = r.end;
    eg_window_fini(&r.window);
    return status;
}
