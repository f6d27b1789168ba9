/* Where files come from and go to. A released one becomes a spare, if there is a slot, and comes
 * back as a next file under its new number; its old records are told from new ones by salt and
 * sequence. Preparing takes a slot for as long as it works, so that it shares nothing with the
 * others but the moment in which the file gets its name. */
#include <errno.h>
#include <inttypes.h>
#include <sys/random.h>

#include "base/memory.h"
#include "journal/writer.h"

enum { ZEROS_SIZE = 1 << 20 };

engram_status eg_journal_unlink(eg_journal *journal, char *path, engram_error *cause)
{
    if (path == NULL)
        return eg_journal_no_memory(journal, cause);
    engram_status status = journal->io->unlink(journal->io, path, cause);
    eg_free(path);
    return status;
}

static engram_status rename_and_free(eg_journal *journal, char *from, char *to, engram_error *cause)
{
    engram_status status = from != NULL && to != NULL
                               ? journal->io->rename(journal->io, from, to, cause)
                               : eg_journal_no_memory(journal, cause);
    eg_free(from);
    eg_free(to);
    return status;
}

static engram_status open_and_free(eg_journal *journal, char *path, int flags, eg_file **file,
                                   engram_error *cause)
{
    if (path == NULL)
        return eg_journal_no_memory(journal, cause);
    engram_status status = journal->io->open(journal->io, path, flags, file, cause);
    eg_free(path);
    return status;
}

/* ---- blocks ---- */

/* As much as is wanted, less where the disk has not so much, never under what is needed. A file in
 * use is never cut to nothing. */
static engram_status allocate(eg_journal *journal, eg_file *file, uint64_t need, uint64_t *capacity,
                              engram_error *cause)
{
    enum { STEP = 4 };
    for (;; *capacity = *capacity / STEP > need ? *capacity / STEP : need) {
        engram_error inner = {0};
        engram_status status = journal->io->allocate(journal->io, file, 0, *capacity, &inner);
        if (status == ENGRAM_OK)
            return status;
        if (status != ENGRAM_NO_SPACE || *capacity == need) {
            *cause = inner;
            return status;
        }
        EG_TRY(journal->io->truncate(journal->io, file, 1, cause));
    }
}

engram_status eg_journal_reserve(eg_journal *journal, eg_file *file, uint64_t size,
                                 uint64_t *capacity, engram_error *cause)
{
    eg_io *io = journal->io;
    uint64_t old, need = size + EG_RECORD_MARK_SIZE + 1;
    *capacity = journal->file_size > need ? journal->file_size : need;
    EG_TRY(io->size(io, file, &old, cause));
    if (old > *capacity)
        EG_TRY(io->truncate(io, file, *capacity, cause));
    EG_TRY(allocate(journal, file, need, capacity, cause));
    return io->sync(io, file, cause);
}

/* Whether the blocks of a file were all written before it was used is remembered by number; where
 * that is forgotten, some are written once more than needed, or not. */
static void note_rough(eg_journal *journal, uint64_t number)
{
    journal->rough[number % EG_JOURNAL_ROUGH_MAX] = number;
}

static bool is_rough(const eg_journal *journal, uint64_t number)
{
    return journal->rough[number % EG_JOURNAL_ROUGH_MAX] == number;
}

/* ---- slots ---- */

/* Takes a slot of that state: its index, or EG_JOURNAL_SPARES. */
static size_t take_slot(eg_journal *journal, eg_spare state)
{
    size_t i = 0;
    pthread_mutex_lock(&journal->lock);
    while (i < EG_JOURNAL_SPARES && journal->spares[i] != state)
        i++;
    if (i < EG_JOURNAL_SPARES)
        journal->spares[i] = EG_SPARE_TAKEN;
    pthread_mutex_unlock(&journal->lock);
    return i;
}

/* The fullest of the spares first. *state: what it was. */
static size_t take_spare(eg_journal *journal, eg_spare *state)
{
    size_t i = take_slot(journal, *state = EG_SPARE_WRITTEN);
    return i < EG_JOURNAL_SPARES ? i : take_slot(journal, *state = EG_SPARE_ROUGH);
}

static void put_slot(eg_journal *journal, size_t i, eg_spare state)
{
    pthread_mutex_lock(&journal->lock);
    journal->spares[i] = state;
    pthread_mutex_unlock(&journal->lock);
}

static char *slot_path(const eg_journal *journal, size_t i)
{
    return eg_journal_spare_path(journal->dir, i + 1);
}

/* ---- the next file, at once ---- */

engram_status eg_journal_fail_numbers(const eg_journal *journal, engram_error *cause)
{
    return eg_fail(cause, ENGRAM_UNSUPPORTED, "the journal in %s has used up its file numbers",
                   journal->dir);
}

static eg_file *take_prepared(eg_journal *journal, uint64_t *capacity)
{
    pthread_mutex_lock(&journal->lock);
    eg_file *file = journal->prepared;
    *capacity = journal->prepared_capacity;
    journal->prepared = NULL;
    pthread_mutex_unlock(&journal->lock);
    return file;
}

static engram_status open_named(eg_journal *journal, uint64_t number, eg_file **file,
                                engram_error *cause)
{
    eg_spare state;
    size_t i = take_spare(journal, &state);
    bool exists = i < EG_JOURNAL_SPARES;
    if (exists) {
        EG_TRY(rename_and_free(journal, slot_path(journal, i),
                               eg_journal_file_path(journal->dir, number), cause));
        put_slot(journal, i, EG_SPARE_NONE);
    }
    if (!exists || state == EG_SPARE_ROUGH)
        note_rough(journal, number);
    return open_and_free(journal, eg_journal_file_path(journal->dir, number),
                         EG_OPEN_WRITE | (exists ? 0 : EG_OPEN_CREATE), file, cause);
}

static engram_status get_file_locked(eg_journal *journal, uint64_t number, uint64_t size,
                                     eg_file **file, uint64_t *capacity, engram_error *cause)
{
    *file = take_prepared(journal, capacity);
    if (*file != NULL && size + EG_RECORD_MARK_SIZE < *capacity)
        return ENGRAM_OK;
    bool named = *file != NULL;
    if (!named)
        EG_TRY(open_named(journal, number, file, cause));
    journal->named = number;
    engram_status status = eg_journal_reserve(journal, *file, size, capacity, cause);
    if (status == ENGRAM_OK && !named)
        status = journal->io->sync_dir(journal->io, journal->dir, cause);
    if (status != ENGRAM_OK)
        journal->io->close(journal->io, file);
    return status;
}

engram_status eg_journal_get_file(eg_journal *journal, uint64_t number, uint64_t size,
                                  eg_file **file, uint64_t *capacity, engram_error *cause)
{
    if (number > EG_JOURNAL_FILE_MAX)
        return eg_journal_fail_numbers(journal, cause);
    pthread_mutex_lock(&journal->supply_lock);
    engram_status status = get_file_locked(journal, number, size, file, capacity, cause);
    pthread_mutex_unlock(&journal->supply_lock);
    return status;
}

engram_status eg_journal_use_file(eg_journal *journal, uint64_t number, eg_file *file,
                                  uint64_t capacity, engram_error *cause)
{
    if (getrandom(&journal->salt, sizeof journal->salt, 0) != sizeof journal->salt)
        return eg_fail_os(cause, errno, "cannot draw a salt for the journal in %s", journal->dir);
    journal->offset = 0;
    journal->capacity = capacity;
    pthread_mutex_lock(&journal->lock);
    journal->previous = journal->file;
    journal->previous_end = journal->sequence;
    journal->file = file;
    journal->number = number;
    pthread_mutex_unlock(&journal->lock);
    return ENGRAM_OK;
}

/* ---- the next file, ahead of time ---- */

/* In pieces, each synced: a sync of the log beside it waits for one of them at most. */
static engram_status write_zeros(eg_journal *journal, eg_file *file, uint64_t from, uint64_t to,
                                 engram_error *error)
{
    uint8_t *zeros = eg_alloc_zero(1, ZEROS_SIZE);
    engram_status status = zeros != NULL ? ENGRAM_OK : eg_journal_no_memory(journal, error);
    while (from < to && status == ENGRAM_OK) {
        size_t size = to - from < ZEROS_SIZE ? (size_t)(to - from) : ZEROS_SIZE;
        status = eg_journal_check_alive(journal, error);
        if (status == ENGRAM_OK)
            status = journal->io->write(journal->io, file, from, zeros, size, error);
        if (status == ENGRAM_OK)
            status = journal->io->sync(journal->io, file, error);
        from += size;
    }
    eg_free(zeros);
    return status;
}

/* Makes a spare as large as files are, all of its blocks written. */
static engram_status fill(eg_journal *journal, eg_file *file, eg_spare state, engram_error *error)
{
    eg_io *io = journal->io;
    uint64_t old, size = journal->file_size;
    EG_TRY(io->size(io, file, &old, error));
    if (old > size)
        EG_TRY(io->truncate(io, file, size, error));
    EG_TRY(io->allocate(io, file, 0, size, error));
    EG_TRY(io->sync(io, file, error));
    return write_zeros(journal, file, state == EG_SPARE_WRITTEN ? old : 0, size, error);
}

static engram_status make_spare(eg_journal *journal, size_t i, eg_spare state, eg_file **file,
                                engram_error *error)
{
    int flags = EG_OPEN_WRITE | (state == EG_SPARE_NONE ? EG_OPEN_MAY_CREATE : 0);
    engram_status status = open_and_free(journal, slot_path(journal, i), flags, file, error);
    if (status == ENGRAM_OK)
        status = fill(journal, *file, state, error);
    if (status == ENGRAM_OK)
        return status;
    journal->io->close(journal->io, file);
    eg_journal_unlink(journal, slot_path(journal, i), &(engram_error){0}); /* or it is made anew */
    put_slot(journal, i, EG_SPARE_NONE);
    return status;
}

/* From here on its name is not certain when something fails. *file is the journal's after success.
 */
static engram_status name_spare(eg_journal *journal, size_t i, eg_file **file, engram_error *cause)
{
    uint64_t number = journal->named + 1;
    if (number > EG_JOURNAL_FILE_MAX) { /* the last one is in use */
        put_slot(journal, i, EG_SPARE_WRITTEN);
        return ENGRAM_OK;
    }
    EG_TRY(rename_and_free(journal, slot_path(journal, i),
                           eg_journal_file_path(journal->dir, number), cause));
    EG_TRY(journal->io->sync_dir(journal->io, journal->dir, cause));
    put_slot(journal, i, EG_SPARE_NONE);
    journal->named = number;
    pthread_mutex_lock(&journal->lock);
    journal->prepared = *file;
    journal->prepared_capacity = journal->file_size;
    pthread_mutex_unlock(&journal->lock);
    *file = NULL;
    return ENGRAM_OK;
}

static bool is_prepared(eg_journal *journal)
{
    pthread_mutex_lock(&journal->lock);
    bool prepared = journal->prepared != NULL;
    pthread_mutex_unlock(&journal->lock);
    return prepared;
}

engram_status eg_journal_prepare(eg_journal *journal, engram_error *error)
{
    engram_error cause = {0};
    eg_file *file = NULL;
    EG_TRY(eg_journal_check_alive(journal, error));
    if (is_prepared(journal))
        return ENGRAM_OK;
    eg_spare state;
    size_t i = take_spare(journal, &state);
    if (i == EG_JOURNAL_SPARES)
        i = take_slot(journal, state = EG_SPARE_NONE);
    if (i == EG_JOURNAL_SPARES)
        return ENGRAM_OK;
    EG_TRY(make_spare(journal, i, state, &file, error));
    pthread_mutex_lock(&journal->supply_lock);
    engram_status status =
        eg_journal_report(journal, name_spare(journal, i, &file, &cause), &cause, error);
    pthread_mutex_unlock(&journal->supply_lock);
    journal->io->close(journal->io, &file);
    return status;
}

/* ---- giving back ---- */

static engram_status release_file(eg_journal *journal, uint64_t number, engram_error *cause)
{
    char *path = eg_journal_file_path(journal->dir, number);
    size_t i = take_slot(journal, EG_SPARE_NONE);
    if (i == EG_JOURNAL_SPARES)
        return eg_journal_unlink(journal, path, cause);
    EG_TRY(rename_and_free(journal, path, slot_path(journal, i), cause));
    put_slot(journal, i, is_rough(journal, number) ? EG_SPARE_ROUGH : EG_SPARE_WRITTEN);
    return ENGRAM_OK;
}

static engram_status release_below(eg_journal *journal, uint64_t file, engram_error *cause)
{
    eg_journal_files files = {0};
    engram_status status = eg_journal_files_list(&files, journal->io, journal->dir, cause);
    for (size_t i = 0; status == ENGRAM_OK && i < files.count && files.numbers[i] < file; i++)
        status = release_file(journal, files.numbers[i], cause);
    eg_journal_files_fini(&files);
    return status;
}

/* A file that is still to be synced is not given back before. */
static engram_status close_previous(eg_journal *journal, uint64_t *number, engram_error *error)
{
    engram_error cause = {0};
    pthread_mutex_lock(&journal->sync_lock);
    pthread_mutex_lock(&journal->lock);
    bool has_previous = journal->previous != NULL;
    *number = journal->number;
    pthread_mutex_unlock(&journal->lock);
    engram_status status = eg_journal_check_alive(journal, error);
    if (status == ENGRAM_OK && has_previous)
        status = eg_journal_report(journal, eg_journal_sync_locked(journal, &cause), &cause, error);
    pthread_mutex_unlock(&journal->sync_lock);
    return status;
}

engram_status eg_journal_release(eg_journal *journal, uint64_t file, engram_error *error)
{
    engram_error cause = {0};
    uint64_t number;
    EG_TRY(close_previous(journal, &number, error));
    uint64_t below = file < number ? file : number;
    return eg_journal_report(journal, release_below(journal, below, &cause), &cause, error);
}

engram_status eg_journal_remove_supplies(eg_journal *journal, engram_error *cause)
{
    uint64_t capacity;
    eg_file *file = take_prepared(journal, &capacity);
    if (file != NULL) {
        journal->io->close(journal->io, &file);
        EG_TRY(
            eg_journal_unlink(journal, eg_journal_file_path(journal->dir, journal->named), cause));
    }
    for (size_t i = 0; i < EG_JOURNAL_SPARES; i++)
        if (journal->spares[i] != EG_SPARE_NONE) {
            EG_TRY(eg_journal_unlink(journal, slot_path(journal, i), cause));
            journal->spares[i] = EG_SPARE_NONE;
        }
    return ENGRAM_OK;
}
