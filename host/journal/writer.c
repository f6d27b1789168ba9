/* Appending. One file is current; it gets a successor when it is full or on request.
 *
 * The journal is alive as long as `failure` is empty. Everything below the public functions passes
 * &journal->failure as its error, so the first failure, wherever it happens, is kept and ends the
 * journal; the caller gets a copy, then and ever after. Whether bytes of a failed write or sync are
 * on the disk is not known, so nothing may be written behind them. */
#include "journal/journal.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <sys/random.h>

#include "base/memory.h"
#include "journal/files.h"
#include "journal/ops.h"
#include "journal/record.h"

/* Where a transaction is split: what one copy and one checksum can do within the caches. A single
 * operation may still take EG_JOURNAL_PAYLOAD_MAX. */
enum {
    SPLIT_SIZE = 1 << 20,
    COPY_SIZE = 1 << 20,
    OPERATION_SIZE_MAX = EG_JOURNAL_PAYLOAD_MAX - 64
};
static const uint64_t file_size_default = UINT64_C(64) << 20;

struct eg_journal {
    eg_io *io;
    char *dir;
    uint64_t file_size;
    uint8_t *buffer; /* one record */

    uint64_t number; /* of the current file */
    eg_file *file;
    uint64_t salt;
    uint64_t offset;   /* where the next record goes */
    uint64_t capacity; /* allocated; records never fill it to the last byte */

    uint64_t sequence; /* of the next record */
    uint64_t durable;
    uint64_t size_since_rotate;
    bool has_spare[EG_JOURNAL_SPARES]; /* spare-1.wal and on */
    engram_error failure;
};

/* ---- how every public call ends ---- */

static engram_status report(eg_journal *journal, engram_status status, engram_error *error)
{
    if (status == ENGRAM_OK)
        return ENGRAM_OK;
    eg_fail(&journal->failure, status, "the journal in %s failed", journal->dir);
    if (error && error->status == ENGRAM_OK)
        *error = journal->failure;
    return status;
}

static engram_status check_alive(const eg_journal *journal, engram_error *error)
{
    if (journal->failure.status == ENGRAM_OK)
        return ENGRAM_OK;
    bool first = error && error->status == ENGRAM_OK;
    eg_fail(error, journal->failure.status, "the journal stopped at an earlier failure: %s",
            journal->failure.message);
    if (first)
        error->os_error = journal->failure.os_error;
    return journal->failure.status;
}

static engram_status fail_memory(eg_journal *journal)
{
    return eg_fail(&journal->failure, ENGRAM_NO_MEMORY, "no memory for the journal in %s",
                   journal->dir);
}

/* ---- files ---- */

static engram_status unlink_and_free(eg_journal *journal, char *path)
{
    if (path == NULL)
        return fail_memory(journal);
    engram_status status = journal->io->unlink(journal->io, path, &journal->failure);
    eg_free(path);
    return status;
}

static engram_status rename_and_free(eg_journal *journal, char *from, char *to)
{
    engram_status status = from && to
                               ? journal->io->rename(journal->io, from, to, &journal->failure)
                               : fail_memory(journal);
    eg_free(from);
    eg_free(to);
    return status;
}

/* The index of a spare slot that is used (or free), or EG_JOURNAL_SPARES. */
static size_t find_spare(const eg_journal *journal, bool used)
{
    size_t i = 0;
    while (i < EG_JOURNAL_SPARES && journal->has_spare[i] != used)
        i++;
    return i;
}

/* *exists: a spare got that number; it holds stale records. */
static engram_status take_spare(eg_journal *journal, uint64_t number, bool *exists)
{
    size_t i = find_spare(journal, true);
    *exists = i < EG_JOURNAL_SPARES;
    if (!*exists)
        return ENGRAM_OK;
    EG_TRY(rename_and_free(journal, eg_journal_spare_path(journal->dir, i + 1),
                           eg_journal_file_path(journal->dir, number)));
    journal->has_spare[i] = false;
    return ENGRAM_OK;
}

static engram_status open_file(eg_journal *journal, uint64_t number, int flags)
{
    char *path = eg_journal_file_path(journal->dir, number);
    if (path == NULL)
        return fail_memory(journal);
    engram_status status =
        journal->io->open(journal->io, path, flags, &journal->file, &journal->failure);
    eg_free(path);
    return status;
}

/* Blocks for the current file: as much as is wanted, less where the disk has not so much, never
 * under what is needed. */
static engram_status allocate(eg_journal *journal, uint64_t need, uint64_t *capacity)
{
    enum { STEP = 4 };
    for (;; *capacity = *capacity / STEP > need ? *capacity / STEP : need) {
        engram_error inner = {0};
        engram_status status =
            journal->io->allocate(journal->io, journal->file, 0, *capacity, &inner);
        if (status == ENGRAM_OK)
            return status;
        if (status != ENGRAM_NO_SPACE || *capacity == need) {
            journal->failure = inner;
            return status;
        }
        EG_TRY(journal->io->truncate(journal->io, journal->file, 0, &journal->failure));
    }
}

/* Gives the current file, in which no record is yet, room for one of size bytes, durably. */
static engram_status reserve(eg_journal *journal, uint64_t size)
{
    eg_io *io = journal->io;
    uint64_t old, capacity = journal->file_size > size ? journal->file_size : size + 1;
    EG_TRY(io->size(io, journal->file, &old, &journal->failure));
    if (old > capacity)
        EG_TRY(io->truncate(io, journal->file, capacity, &journal->failure));
    EG_TRY(allocate(journal, size + 1, &capacity));
    EG_TRY(io->sync(io, journal->file, &journal->failure));
    journal->capacity = capacity;
    return ENGRAM_OK;
}

static engram_status draw_salt(eg_journal *journal)
{
    if (getrandom(&journal->salt, sizeof journal->salt, 0) != sizeof journal->salt)
        return eg_fail_os(&journal->failure, errno, "cannot draw a salt for the journal in %s",
                          journal->dir);
    return ENGRAM_OK;
}

static engram_status start_file(eg_journal *journal, uint64_t number, uint64_t size)
{
    if (number > EG_JOURNAL_FILE_MAX)
        return eg_fail(&journal->failure, ENGRAM_UNSUPPORTED,
                       "the journal in %s has used up its file numbers", journal->dir);
    bool exists;
    EG_TRY(take_spare(journal, number, &exists));
    EG_TRY(open_file(journal, number, EG_OPEN_WRITE | (exists ? 0 : EG_OPEN_CREATE)));
    journal->number = number;
    journal->offset = 0;
    EG_TRY(draw_salt(journal));
    EG_TRY(reserve(journal, size));
    return journal->io->sync_dir(journal->io, journal->dir, &journal->failure);
}

static engram_status sync_file(eg_journal *journal)
{
    if (journal->durable + 1 == journal->sequence)
        return ENGRAM_OK;
    EG_TRY(journal->io->sync(journal->io, journal->file, &journal->failure));
    journal->durable = journal->sequence - 1;
    return ENGRAM_OK;
}

/* The current file must be durable before it has a successor: a reader takes all but the last file
 * for written. */
static engram_status start_next_file(eg_journal *journal, uint64_t size)
{
    EG_TRY(sync_file(journal));
    journal->io->close(journal->io, &journal->file);
    return start_file(journal, journal->number + 1, size);
}

/* ---- opening ---- */

static engram_status copy_records(eg_journal *journal, eg_file *copy, uint64_t end)
{
    eg_io *io = journal->io;
    EG_TRY(io->truncate(io, copy, 0, &journal->failure)); /* a crash may have left it */
    for (uint64_t offset = 0; offset < end;) {
        size_t size = end - offset < COPY_SIZE ? (size_t)(end - offset) : COPY_SIZE;
        EG_TRY(io->read(io, journal->file, offset, journal->buffer, size, &journal->failure));
        EG_TRY(io->write(io, copy, offset, journal->buffer, size, &journal->failure));
        offset += size;
    }
    return io->sync(io, copy, &journal->failure);
}

static engram_status write_copy(eg_journal *journal, const char *path, uint64_t end)
{
    eg_io *io = journal->io;
    eg_file *copy = NULL;
    EG_TRY(io->open(io, path, EG_OPEN_WRITE | EG_OPEN_MAY_CREATE, &copy, &journal->failure));
    engram_status status = copy_records(journal, copy, end);
    io->close(io, &copy);
    return status;
}

/* A copy takes the file's place: records that were durable must not be written where they are, or
 * a power cut might tear them. */
static engram_status replace_file(eg_journal *journal, uint64_t end)
{
    char *temporary = eg_path_join(journal->dir, "tail.tmp");
    engram_status status =
        temporary != NULL ? write_copy(journal, temporary, end) : fail_memory(journal);
    if (status == ENGRAM_OK)
        status = journal->io->rename(journal->io, temporary, eg_file_name(journal->file),
                                     &journal->failure);
    eg_free(temporary);
    EG_TRY(status);
    return journal->io->sync_dir(journal->io, journal->dir, &journal->failure);
}

/* What was read of the last file becomes durable and what lies beyond goes away, at once: the size
 * of a file that was cut says that its records are durable. */
static engram_status cut_file(eg_journal *journal, uint64_t end)
{
    eg_io *io = journal->io;
    uint64_t size;
    EG_TRY(io->size(io, journal->file, &size, &journal->failure));
    if (size < end)
        return eg_fail(&journal->failure, ENGRAM_DAMAGED,
                       "%s ends at %" PRIu64 ", but its records at %" PRIu64,
                       eg_file_name(journal->file), size, end);
    return size > end ? replace_file(journal, end)
                      : io->sync(io, journal->file, &journal->failure);
}

static engram_status secure_end(eg_journal *journal, const eg_journal_end *end)
{
    EG_TRY(open_file(journal, end->file, EG_OPEN_WRITE));
    engram_status status = cut_file(journal, end->offset);
    journal->io->close(journal->io, &journal->file);
    return status;
}

/* Last file first, so that a crash in between leaves no gap. */
static engram_status remove_listed(eg_journal *journal, const eg_journal_files *files,
                                   uint64_t first)
{
    bool removed = files->spare_count > 0;
    for (size_t i = files->count; i > 0 && files->numbers[i - 1] >= first; i--, removed = true)
        EG_TRY(unlink_and_free(journal, eg_journal_file_path(journal->dir, files->numbers[i - 1])));
    for (size_t i = 0; i < files->spare_count; i++)
        EG_TRY(unlink_and_free(journal, eg_journal_spare_path(journal->dir, files->spares[i])));
    return removed ? journal->io->sync_dir(journal->io, journal->dir, &journal->failure)
                   : ENGRAM_OK;
}

static engram_status remove_later(eg_journal *journal, uint64_t first)
{
    eg_journal_files files = {0};
    engram_status status =
        eg_journal_files_list(&files, journal->io, journal->dir, &journal->failure);
    if (status == ENGRAM_OK)
        status = remove_listed(journal, &files, first);
    eg_journal_files_fini(&files);
    return status;
}

/* A last file in which no record is left makes room for the new one under its number: replay may
 * start there, and no empty file comes to lie between two others. */
static engram_status start_after(eg_journal *journal, const eg_journal_end *end)
{
    uint64_t first = end->offset > 0 ? end->file + 1 : end->file > 0 ? end->file : 1;
    if (end->sequence == 0 || end->file > EG_JOURNAL_FILE_MAX ||
        (end->offset > 0 && end->file == 0))
        return eg_fail(&journal->failure, ENGRAM_INVALID,
                       "a journal cannot end in file %" PRIu64 " at offset %" PRIu64
                       " before record %" PRIu64,
                       end->file, end->offset, end->sequence);
    if (end->offset > 0)
        EG_TRY(secure_end(journal, end));
    EG_TRY(remove_later(journal, first));
    return start_file(journal, first, 0);
}

static void free_journal(eg_journal *journal)
{
    journal->io->close(journal->io, &journal->file);
    eg_free(journal->buffer);
    eg_free(journal->dir);
    eg_free(journal);
}

static eg_journal *create(eg_io *io, const char *dir, const eg_journal_end *end, uint64_t file_size)
{
    eg_journal *journal = eg_alloc_zero(1, sizeof *journal);
    if (journal == NULL)
        return NULL;
    *journal = (eg_journal){.io = io,
                            .dir = eg_strdup(dir),
                            .file_size = file_size,
                            .buffer = eg_alloc(EG_RECORD_SIZE_MAX),
                            .sequence = end->sequence,
                            .durable = end->sequence - 1};
    if (journal->dir && journal->buffer)
        return journal;
    free_journal(journal);
    return NULL;
}

engram_status eg_journal_open(eg_io *io, const char *dir, const eg_journal_end *end,
                              const eg_journal_options *options, eg_journal **journal,
                              engram_error *error)
{
    uint64_t file_size = options && options->file_size > 0 ? options->file_size : file_size_default;
    *journal = NULL;
    eg_journal *j = create(io, dir, end, file_size);
    if (j == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for the journal in %s", dir);
    engram_status status = report(j, start_after(j, end), error);
    if (status == ENGRAM_OK)
        *journal = j;
    else
        free_journal(j);
    return status;
}

/* ---- appending ---- */

static engram_status check_operations(eg_view operations, engram_error *error)
{
    eg_reader reader = eg_reader_make(operations.data, operations.size);
    eg_op op;
    while (eg_op_next(&reader, &op)) {
        if (op.tag == EG_OP_FRAME)
            return eg_fail(error, ENGRAM_INVALID, "a frame is no operation of a transaction");
        if (op.whole.size > OPERATION_SIZE_MAX)
            return eg_fail(error, ENGRAM_INVALID,
                           "an operation has %zu bytes, the journal takes at most %d",
                           op.whole.size, OPERATION_SIZE_MAX);
    }
    if (reader.failed)
        return eg_fail(error, ENGRAM_INVALID, "the operations of a transaction are malformed");
    return ENGRAM_OK;
}

/* How many bytes of whole operations the next record takes. */
static size_t split(eg_view operations)
{
    if (operations.size <= SPLIT_SIZE)
        return operations.size;
    eg_reader reader = eg_reader_make(operations.data, operations.size);
    eg_op op;
    size_t size = 0;
    while (eg_op_next(&reader, &op) && (size == 0 || size + op.whole.size <= SPLIT_SIZE))
        size += op.whole.size;
    return size;
}

static engram_status make_room(eg_journal *journal, uint64_t size)
{
    if (size < journal->capacity - journal->offset)
        return ENGRAM_OK;
    return journal->offset == 0 ? reserve(journal, size) : start_next_file(journal, size);
}

static engram_status write_record(eg_journal *journal, const eg_record *about)
{
    size_t size = EG_RECORD_FRONT_SIZE + about->operations.size;
    assert(size <= EG_RECORD_SIZE_MAX);
    EG_TRY(make_room(journal, size));
    eg_record record = *about;
    record.sequence = journal->sequence;
    if (about->operations.size > 0)
        memcpy(journal->buffer + EG_RECORD_FRONT_SIZE, about->operations.data,
               about->operations.size);
    eg_record_seal(journal->buffer, &record, journal->salt, journal->durable);
    EG_TRY(journal->io->write(journal->io, journal->file, journal->offset, journal->buffer, size,
                              &journal->failure));
    journal->offset += size;
    journal->size_since_rotate += size;
    journal->sequence++;
    return ENGRAM_OK;
}

static engram_status write_transaction(eg_journal *journal, eg_record about)
{
    eg_view rest = about.operations;
    for (;;) {
        size_t size = split(rest);
        about.operations = (eg_view){rest.data, size};
        about.state = size < rest.size ? EG_RECORD_PENDING : EG_RECORD_COMMITTED;
        EG_TRY(write_record(journal, &about));
        if (about.state == EG_RECORD_COMMITTED)
            return ENGRAM_OK;
        rest = (eg_view){rest.data + size, rest.size - size};
    }
}

engram_status eg_journal_append(eg_journal *journal, uint64_t transaction, uint64_t time_ns,
                                eg_view operations, uint64_t *sequence, engram_error *error)
{
    EG_TRY(check_alive(journal, error));
    EG_TRY(check_operations(operations, error));
    eg_record about = {.transaction = transaction, .time_ns = time_ns, .operations = operations};
    EG_TRY(report(journal, write_transaction(journal, about), error));
    *sequence = journal->sequence - 1;
    return ENGRAM_OK;
}

engram_status eg_journal_sync(eg_journal *journal, engram_error *error)
{
    EG_TRY(check_alive(journal, error));
    return report(journal, sync_file(journal), error);
}

uint64_t eg_journal_durable(const eg_journal *journal)
{
    return journal->durable;
}

uint64_t eg_journal_size(const eg_journal *journal)
{
    return journal->size_since_rotate;
}

/* ---- rotating and releasing ---- */

engram_status eg_journal_rotate(eg_journal *journal, eg_journal_start *start, engram_error *error)
{
    EG_TRY(check_alive(journal, error));
    if (journal->offset > 0)
        EG_TRY(report(journal, start_next_file(journal, 0), error));
    journal->size_since_rotate = 0;
    *start = (eg_journal_start){journal->number, journal->sequence};
    return ENGRAM_OK;
}

static engram_status release_file(eg_journal *journal, uint64_t number)
{
    char *path = eg_journal_file_path(journal->dir, number);
    size_t i = find_spare(journal, false);
    if (i == EG_JOURNAL_SPARES)
        return unlink_and_free(journal, path);
    EG_TRY(rename_and_free(journal, path, eg_journal_spare_path(journal->dir, i + 1)));
    journal->has_spare[i] = true;
    return ENGRAM_OK;
}

static engram_status release_below(eg_journal *journal, uint64_t file)
{
    eg_journal_files files = {0};
    engram_status status =
        eg_journal_files_list(&files, journal->io, journal->dir, &journal->failure);
    for (size_t i = 0; status == ENGRAM_OK && i < files.count && files.numbers[i] < file; i++)
        status = release_file(journal, files.numbers[i]);
    eg_journal_files_fini(&files);
    return status;
}

engram_status eg_journal_release(eg_journal *journal, uint64_t file, engram_error *error)
{
    EG_TRY(check_alive(journal, error));
    uint64_t below = file < journal->number ? file : journal->number;
    return report(journal, release_below(journal, below), error);
}

/* ---- closing ---- */

static engram_status finish(eg_journal *journal)
{
    eg_io *io = journal->io;
    EG_TRY(sync_file(journal));
    EG_TRY(io->truncate(io, journal->file, journal->offset, &journal->failure));
    EG_TRY(io->sync(io, journal->file, &journal->failure));
    for (size_t i = find_spare(journal, true); i < EG_JOURNAL_SPARES;
         i = find_spare(journal, true)) {
        EG_TRY(unlink_and_free(journal, eg_journal_spare_path(journal->dir, i + 1)));
        journal->has_spare[i] = false;
    }
    return ENGRAM_OK;
}

engram_status eg_journal_close(eg_journal **journal, eg_journal_end *end, engram_error *error)
{
    eg_journal *j = *journal;
    *journal = NULL;
    if (j == NULL)
        return ENGRAM_OK;
    engram_status status = check_alive(j, error);
    if (status == ENGRAM_OK)
        status = report(j, finish(j), error);
    if (status == ENGRAM_OK && end != NULL)
        *end = (eg_journal_end){.file = j->number, .offset = j->offset, .sequence = j->sequence};
    free_journal(j);
    return status;
}
