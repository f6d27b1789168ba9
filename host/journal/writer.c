/* Appending and syncing. One file is current; it gets a successor when it is full or on request;
 * see writer.h for who may do what at the same time. Whether bytes of a failed write or sync are on
 * the disk is not known, so nothing may be written behind them. */
#include "journal/writer.h"

#include <assert.h>

#include "base/memory.h"
#include "journal/ops.h"
#include "journal/record.h"

/* SPLIT_SIZE is where a transaction is split: what one copy and one checksum can do within the
 * caches. A single operation may still take EG_JOURNAL_PAYLOAD_MAX. */
enum {
    SPLIT_SIZE = 1 << 20,
    GATHER_SIZE = 1 << 20,
    OPERATION_SIZE_MAX = EG_JOURNAL_PAYLOAD_MAX - 64
};

/* ---- how every public call ends ---- */

engram_status eg_journal_no_memory(const eg_journal *journal, engram_error *cause)
{
    return eg_fail(cause, ENGRAM_NO_MEMORY, "no memory for the journal in %s", journal->dir);
}

engram_status eg_journal_report(eg_journal *journal, engram_status status, engram_error *cause,
                                engram_error *error)
{
    if (status == ENGRAM_OK)
        return ENGRAM_OK;
    eg_fail(cause, status, "the journal in %s failed", journal->dir);
    pthread_mutex_lock(&journal->lock);
    if (!atomic_exchange(&journal->failed, true))
        journal->failure = *cause;
    pthread_mutex_unlock(&journal->lock);
    if (error != NULL && error->status == ENGRAM_OK)
        *error = *cause;
    return status;
}

engram_status eg_journal_check_alive(eg_journal *journal, engram_error *error)
{
    if (!atomic_load(&journal->failed))
        return ENGRAM_OK;
    bool first = error != NULL && error->status == ENGRAM_OK;
    pthread_mutex_lock(&journal->lock);
    engram_status status = journal->failure.status;
    eg_fail(error, status, "the journal stopped at an earlier failure: %s",
            journal->failure.message);
    if (first)
        error->os_error = journal->failure.os_error;
    pthread_mutex_unlock(&journal->lock);
    return status;
}

/* ---- syncing ---- */

static engram_status sync_to(eg_journal *journal, eg_file *file, uint64_t end, engram_error *cause)
{
    EG_TRY(journal->io->sync(journal->io, file, cause));
    atomic_store(&journal->durable, end - 1);
    return ENGRAM_OK;
}

engram_status eg_journal_sync_locked(eg_journal *journal, engram_error *cause)
{
    pthread_mutex_lock(&journal->lock);
    eg_file *file = journal->file, *previous = journal->previous;
    uint64_t end = journal->flushed, previous_end = journal->previous_end;
    pthread_mutex_unlock(&journal->lock);
    if (previous != NULL) {
        EG_TRY(sync_to(journal, previous, previous_end, cause));
        pthread_mutex_lock(&journal->lock);
        journal->previous = NULL;
        pthread_mutex_unlock(&journal->lock);
        journal->io->close(journal->io, &previous);
    }
    return end == atomic_load(&journal->durable) + 1 ? ENGRAM_OK
                                                     : sync_to(journal, file, end, cause);
}

engram_status eg_journal_sync(eg_journal *journal, engram_error *error)
{
    engram_error cause = {0};
    pthread_mutex_lock(&journal->sync_lock);
    engram_status status = eg_journal_check_alive(journal, error);
    if (status == ENGRAM_OK)
        status = eg_journal_report(journal, eg_journal_sync_locked(journal, &cause), &cause, error);
    pthread_mutex_unlock(&journal->sync_lock);
    return status;
}

/* Nothing may be written to a file before all that lies in the one before it is durable. The
 * appending thread alone sets previous. */
static engram_status settle_previous(eg_journal *journal, engram_error *cause)
{
    pthread_mutex_lock(&journal->lock);
    bool settled = journal->previous == NULL;
    pthread_mutex_unlock(&journal->lock);
    if (settled)
        return ENGRAM_OK;
    pthread_mutex_lock(&journal->sync_lock);
    engram_status status = eg_journal_check_alive(journal, cause);
    if (status == ENGRAM_OK)
        status = eg_journal_report(journal, eg_journal_sync_locked(journal, cause), cause, NULL);
    pthread_mutex_unlock(&journal->sync_lock);
    return status;
}

/* ---- writing ---- */

static engram_status flush(eg_journal *journal, engram_error *cause)
{
    if (journal->gathered == 0)
        return ENGRAM_OK;
    EG_TRY(settle_previous(journal, cause));
    EG_TRY(journal->io->write(journal->io, journal->file, journal->offset, journal->buffer,
                              journal->gathered, cause));
    journal->offset += journal->gathered;
    journal->gathered = 0;
    pthread_mutex_lock(&journal->lock);
    journal->flushed = journal->sequence;
    pthread_mutex_unlock(&journal->lock);
    return ENGRAM_OK;
}

/* Room for size more bytes, seal and all, in front of what is gathered: its place. */
static engram_status gather_place(eg_journal *journal, size_t size, uint8_t **at,
                                  engram_error *cause)
{
    if (journal->gathered + size > GATHER_SIZE)
        EG_TRY(flush(journal, cause));
    *at = journal->buffer + journal->gathered;
    journal->gathered += size;
    return ENGRAM_OK;
}

/* The file ends here: its last record says so, and goes out with what is gathered. */
static engram_status write_mark(eg_journal *journal, engram_error *cause)
{
    uint8_t *at;
    EG_TRY(gather_place(journal, EG_RECORD_MARK_SIZE, &at, cause));
    eg_record_seal_mark(at, journal->sequence, journal->salt, atomic_load(&journal->durable));
    return flush(journal, cause);
}

static engram_status start_next_file(eg_journal *journal, uint64_t size, engram_error *cause)
{
    eg_file *file = NULL;
    uint64_t capacity, number = journal->number + 1;
    EG_TRY(settle_previous(journal, cause));
    EG_TRY(eg_journal_get_file(journal, number, size, &file, &capacity, cause));
    engram_status status = write_mark(journal, cause);
    if (status == ENGRAM_OK)
        return eg_journal_use_file(journal, number, file, capacity, cause);
    journal->io->close(journal->io, &file);
    return status;
}

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

static engram_status make_room(eg_journal *journal, uint64_t size, engram_error *cause)
{
    uint64_t end = journal->offset + journal->gathered, need = size + EG_RECORD_MARK_SIZE;
    if (need < journal->capacity - end)
        return ENGRAM_OK;
    if (end > 0)
        return start_next_file(journal, size, cause);
    return eg_journal_reserve(journal, journal->file, size, &journal->capacity, cause);
}

static engram_status gather_record(eg_journal *journal, const eg_record *about, engram_error *cause)
{
    size_t size = EG_RECORD_FRONT_SIZE + about->operations.size;
    uint8_t *at;
    assert(size <= EG_RECORD_SIZE_MAX);
    EG_TRY(make_room(journal, size, cause));
    EG_TRY(gather_place(journal, size, &at, cause));
    eg_record record = *about;
    record.sequence = journal->sequence;
    if (about->operations.size > 0)
        memcpy(at + EG_RECORD_FRONT_SIZE, about->operations.data, about->operations.size);
    eg_record_seal(at, &record, journal->salt, atomic_load(&journal->durable));
    atomic_fetch_add(&journal->size_since_rotate, size);
    journal->sequence++;
    return ENGRAM_OK;
}

static engram_status gather_transaction(eg_journal *journal, eg_record about, engram_error *cause)
{
    eg_view rest = about.operations;
    for (;;) {
        size_t size = split(rest);
        about.operations = (eg_view){rest.data, size};
        about.state = size < rest.size ? EG_RECORD_PENDING : EG_RECORD_COMMITTED;
        EG_TRY(gather_record(journal, &about, cause));
        if (about.state == EG_RECORD_COMMITTED)
            return ENGRAM_OK;
        rest = (eg_view){rest.data + size, rest.size - size};
    }
}

engram_status eg_journal_append(eg_journal *journal, uint64_t transaction, uint64_t time_ns,
                                eg_view operations, uint64_t *sequence, engram_error *error)
{
    engram_error cause = {0};
    EG_TRY(eg_journal_check_alive(journal, error));
    EG_TRY(check_operations(operations, error));
    eg_record about = {.transaction = transaction, .time_ns = time_ns, .operations = operations};
    EG_TRY(eg_journal_report(journal, gather_transaction(journal, about, &cause), &cause, error));
    *sequence = journal->sequence - 1;
    return ENGRAM_OK;
}

engram_status eg_journal_flush(eg_journal *journal, engram_error *error)
{
    engram_error cause = {0};
    EG_TRY(eg_journal_check_alive(journal, error));
    return eg_journal_report(journal, flush(journal, &cause), &cause, error);
}

uint64_t eg_journal_durable(const eg_journal *journal)
{
    return atomic_load(&journal->durable);
}

uint64_t eg_journal_size(const eg_journal *journal)
{
    return atomic_load(&journal->size_since_rotate);
}

engram_status eg_journal_rotate(eg_journal *journal, eg_journal_start *start, engram_error *error)
{
    engram_error cause = {0};
    EG_TRY(eg_journal_check_alive(journal, error));
    if (journal->offset + journal->gathered > 0)
        EG_TRY(eg_journal_report(journal, start_next_file(journal, 0, &cause), &cause, error));
    atomic_store(&journal->size_since_rotate, 0);
    *start = (eg_journal_start){journal->number, journal->sequence};
    return ENGRAM_OK;
}

/* ---- closing ---- */

/* An empty file keeps a byte: one of size 0 was emptied by somebody. */
static engram_status trim(eg_journal *journal, engram_error *cause)
{
    eg_io *io = journal->io;
    if (journal->offset == 0)
        EG_TRY(io->write(io, journal->file, 0, "", 1, cause));
    uint64_t size = journal->offset > 0 ? journal->offset : 1;
    EG_TRY(io->truncate(io, journal->file, size, cause));
    return io->sync(io, journal->file, cause);
}

static engram_status finish(eg_journal *journal, engram_error *cause)
{
    EG_TRY(flush(journal, cause));
    EG_TRY(eg_journal_sync_locked(journal, cause)); /* nobody else is inside */
    EG_TRY(trim(journal, cause));
    return eg_journal_remove_supplies(journal, cause);
}

engram_status eg_journal_close(eg_journal **journal, eg_journal_end *end, engram_error *error)
{
    eg_journal *j = *journal;
    engram_error cause = {0};
    *journal = NULL;
    if (j == NULL)
        return ENGRAM_OK;
    engram_status status = eg_journal_check_alive(j, error);
    if (status == ENGRAM_OK)
        status = eg_journal_report(j, finish(j, &cause), &cause, error);
    if (status == ENGRAM_OK && end != NULL)
        *end = (eg_journal_end){.file = j->number, .offset = j->offset, .sequence = j->sequence};
    eg_journal_free(j);
    return status;
}
