/* Opening to write: what was read becomes durable, what lies beyond it goes, a new file begins. */
#include <inttypes.h>

#include "base/memory.h"
#include "journal/record.h"
#include "journal/writer.h"

enum { COPY_SIZE = 1 << 20 };
static const uint64_t file_size_default = UINT64_C(64) << 20;

static engram_status open_file(eg_journal *journal, uint64_t number, int flags, eg_file **file,
                               engram_error *cause)
{
    char *path = eg_journal_file_path(journal->dir, number);
    if (path == NULL)
        return eg_journal_no_memory(journal, cause);
    engram_status status = journal->io->open(journal->io, path, flags, file, cause);
    eg_free(path);
    return status;
}

/* ---- the last file ---- */

static engram_status copy_records(eg_journal *journal, eg_file *file, eg_file *copy, uint64_t end,
                                  engram_error *cause)
{
    eg_io *io = journal->io;
    EG_TRY(io->truncate(io, copy, 0, cause)); /* a crash may have left it */
    for (uint64_t offset = 0; offset < end;) {
        size_t size = end - offset < COPY_SIZE ? (size_t)(end - offset) : COPY_SIZE;
        EG_TRY(io->read(io, file, offset, journal->buffer, size, cause));
        EG_TRY(io->write(io, copy, offset, journal->buffer, size, cause));
        offset += size;
    }
    return io->sync(io, copy, cause);
}

static engram_status write_copy(eg_journal *journal, eg_file *file, const char *path, uint64_t end,
                                engram_error *cause)
{
    eg_io *io = journal->io;
    eg_file *copy = NULL;
    EG_TRY(io->open(io, path, EG_OPEN_WRITE | EG_OPEN_MAY_CREATE, &copy, cause));
    engram_status status = copy_records(journal, file, copy, end, cause);
    io->close(io, &copy);
    return status;
}

/* A copy takes the file's place: records that were durable must not be written where they are, or
 * a power cut might tear them. *file becomes the copy. */
static engram_status replace_file(eg_journal *journal, uint64_t number, eg_file **file,
                                  uint64_t end, engram_error *cause)
{
    eg_io *io = journal->io;
    char *temporary = eg_path_join(journal->dir, "tail.tmp");
    engram_status status = temporary != NULL ? write_copy(journal, *file, temporary, end, cause)
                                             : eg_journal_no_memory(journal, cause);
    if (status == ENGRAM_OK)
        status = io->rename(io, temporary, eg_file_name(*file), cause);
    eg_free(temporary);
    EG_TRY(status);
    EG_TRY(io->sync_dir(io, journal->dir, cause));
    io->close(io, file);
    return open_file(journal, number, EG_OPEN_WRITE, file, cause);
}

/* What was read of the last file becomes durable and what lies beyond goes away, at once: the size
 * of a file that was cut says that its records are durable. */
static engram_status cut_file(eg_journal *journal, uint64_t number, eg_file **file, uint64_t end,
                              engram_error *cause)
{
    eg_io *io = journal->io;
    uint64_t size;
    EG_TRY(io->size(io, *file, &size, cause));
    if (size < end)
        return eg_fail(cause, ENGRAM_DAMAGED, "%s ends at %" PRIu64 ", but its records at %" PRIu64,
                       eg_file_name(*file), size, end);
    if (size > end)
        return replace_file(journal, number, file, end, cause);
    /* It may be the copy of one who was killed before the new name was durable. */
    EG_TRY(io->sync(io, *file, cause));
    return io->sync_dir(io, journal->dir, cause);
}

/* Says in the last file that there is a next one, which is there by now. */
static engram_status mark_file(eg_journal *journal, eg_file *file, uint64_t end,
                               engram_error *cause)
{
    uint8_t bytes[EG_RECORD_FRONT_SIZE], mark[EG_RECORD_MARK_SIZE];
    eg_frame frame;
    EG_TRY(journal->io->read(journal->io, file, 0, bytes, sizeof bytes, cause));
    if (!eg_record_peek(bytes, &frame))
        return eg_fail(cause, ENGRAM_DAMAGED, "%s does not start with a record",
                       eg_file_name(file));
    eg_record_seal_mark(mark, journal->sequence, frame.salt, journal->sequence - 1);
    EG_TRY(journal->io->write(journal->io, file, end, mark, sizeof mark, cause));
    return journal->io->sync(journal->io, file, cause);
}

/* ---- what lies behind it ---- */

/* Last file first, so that a crash in between leaves no gap. */
static engram_status remove_listed(eg_journal *journal, const eg_journal_files *files,
                                   uint64_t first, engram_error *cause)
{
    bool removed = files->spare_count > 0;
    for (size_t i = files->count; i > 0 && files->numbers[i - 1] >= first; i--, removed = true)
        EG_TRY(eg_journal_unlink(journal, eg_journal_file_path(journal->dir, files->numbers[i - 1]),
                                 cause));
    for (size_t i = 0; i < files->spare_count; i++)
        EG_TRY(eg_journal_unlink(journal, eg_journal_spare_path(journal->dir, files->spares[i]),
                                 cause));
    return removed ? journal->io->sync_dir(journal->io, journal->dir, cause) : ENGRAM_OK;
}

static engram_status remove_later(eg_journal *journal, uint64_t first, engram_error *cause)
{
    eg_journal_files files = {0};
    engram_status status = eg_journal_files_list(&files, journal->io, journal->dir, cause);
    if (status == ENGRAM_OK)
        status = remove_listed(journal, &files, first, cause);
    eg_journal_files_fini(&files);
    return status;
}

/* ---- the first file to be written ---- */

/* Replay may start at a file without records, so it is never removed, nor ever empty: one byte of
 * zero stays. */
static engram_status empty_file(eg_io *io, eg_file *file, engram_error *cause)
{
    EG_TRY(io->write(io, file, 0, "", 1, cause));
    return io->truncate(io, file, 1, cause);
}

static engram_status start_file(eg_journal *journal, uint64_t number, engram_error *cause)
{
    eg_file *file = NULL;
    uint64_t capacity;
    EG_TRY(open_file(journal, number, EG_OPEN_WRITE | EG_OPEN_MAY_CREATE, &file, cause));
    journal->rough[number % EG_JOURNAL_ROUGH_MAX] = number;
    journal->named = number;
    engram_status status = empty_file(journal->io, file, cause);
    if (status == ENGRAM_OK)
        status = eg_journal_reserve(journal, file, 0, &capacity, cause);
    if (status == ENGRAM_OK)
        status = journal->io->sync_dir(journal->io, journal->dir, cause);
    if (status == ENGRAM_OK)
        return eg_journal_use_file(journal, number, file, capacity, cause);
    journal->io->close(journal->io, &file);
    return status;
}

static engram_status start_behind(eg_journal *journal, const eg_journal_end *end,
                                  engram_error *cause)
{
    eg_file *last = NULL;
    EG_TRY(open_file(journal, end->file, EG_OPEN_WRITE, &last, cause));
    engram_status status = cut_file(journal, end->file, &last, end->offset, cause);
    if (status == ENGRAM_OK)
        status = remove_later(journal, end->file + 1, cause);
    if (status == ENGRAM_OK)
        status = start_file(journal, end->file + 1, cause);
    if (status == ENGRAM_OK)
        status = mark_file(journal, last, end->offset, cause);
    journal->io->close(journal->io, &last);
    return status;
}

static engram_status start_after(eg_journal *journal, const eg_journal_end *end,
                                 engram_error *cause)
{
    if (end->sequence == 0 || end->file > EG_JOURNAL_FILE_MAX ||
        (end->offset > 0 && end->file == 0))
        return eg_fail(cause, ENGRAM_INVALID,
                       "a journal cannot end in file %" PRIu64 " at offset %" PRIu64
                       " before record %" PRIu64,
                       end->file, end->offset, end->sequence);
    if (end->offset > 0)
        return end->file < EG_JOURNAL_FILE_MAX ? start_behind(journal, end, cause)
                                               : eg_journal_fail_numbers(journal, cause);
    uint64_t first = end->file > 0 ? end->file : 1;
    EG_TRY(remove_later(journal, first + 1, cause));
    return start_file(journal, first, cause);
}

/* ---- the whole ---- */

void eg_journal_free(eg_journal *journal)
{
    journal->io->close(journal->io, &journal->file);
    journal->io->close(journal->io, &journal->previous);
    journal->io->close(journal->io, &journal->prepared);
    pthread_mutex_destroy(&journal->lock);
    pthread_mutex_destroy(&journal->sync_lock);
    pthread_mutex_destroy(&journal->supply_lock);
    eg_free(journal->buffer);
    eg_free(journal->dir);
    eg_free(journal);
}

static eg_journal *create(eg_io *io, const char *dir, const eg_journal_end *end, uint64_t file_size)
{
    eg_journal *journal = eg_alloc_zero(1, sizeof *journal);
    if (journal == NULL)
        return NULL;
    journal->io = io;
    journal->dir = eg_strdup(dir);
    journal->file_size = file_size;
    journal->buffer = eg_alloc(EG_RECORD_SIZE_MAX);
    journal->sequence = journal->flushed = end->sequence;
    atomic_store(&journal->durable, end->sequence - 1);
    pthread_mutex_init(&journal->lock, NULL);
    pthread_mutex_init(&journal->sync_lock, NULL);
    pthread_mutex_init(&journal->supply_lock, NULL);
    if (journal->dir != NULL && journal->buffer != NULL)
        return journal;
    eg_journal_free(journal);
    return NULL;
}

engram_status eg_journal_open(eg_io *io, const char *dir, const eg_journal_end *end,
                              const eg_journal_options *options, eg_journal **journal,
                              engram_error *error)
{
    engram_error cause = {0};
    uint64_t file_size = options && options->file_size > 0 ? options->file_size : file_size_default;
    *journal = NULL;
    eg_journal *j = create(io, dir, end, file_size);
    if (j == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for the journal in %s", dir);
    engram_status status = eg_journal_report(j, start_after(j, end, &cause), &cause, error);
    if (status == ENGRAM_OK)
        *journal = j;
    else
        eg_journal_free(j);
    return status;
}

engram_status eg_journal_create(eg_io *io, const char *dir, uint64_t number, engram_error *error)
{
    eg_file *file = NULL;
    char *path = eg_journal_file_path(dir, number);
    if (path == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for the journal in %s", dir);
    engram_status status = io->open(io, path, EG_OPEN_WRITE | EG_OPEN_MAY_CREATE, &file, error);
    eg_free(path);
    if (status == ENGRAM_OK)
        status = empty_file(io, file, error);
    if (status == ENGRAM_OK)
        status = io->sync(io, file, error);
    io->close(io, &file);
    return status == ENGRAM_OK ? io->sync_dir(io, dir, error) : status;
}
