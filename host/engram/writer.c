/* Content that comes when it comes: the caller brings the pieces, and waits for more between two of them without a
 * thread that waits. All that a whole write decides is decided at open; close adds the operations. */
#include "base/memory.h"
#include "base/status.h"
#include "engram/transaction.h"

struct engram_writer {
    engram_transaction *tx;
    eg_mark mark;
    eg_cutter cutter;
    eg_place place;
    char path[EG_PATH_MAX + 1]; /* what the place points into */
};

static engram_status begin(engram_writer *w, const engram_expected *expected, engram_error *error)
{
    EG_TRY(eg_tx_enter(w->tx, &w->mark, error));
    engram_status status =
        eg_content_find(w->tx, w->path, expected, true, &w->place, error);
    return eg_tx_leave(w->tx, &w->mark, status, error);
}

engram_status engram_write_open(engram_transaction *transaction, const char *path,
                                const engram_expected *expected, engram_writer **writer,
                                engram_error *error)
{
    *writer = NULL;
    EG_TRY(eg_tx_check_path(path, error));
    engram_writer *w = eg_alloc_zero(1, sizeof *w);
    if (w == NULL)
        return eg_tx_no_memory(error);
    w->tx = transaction;
    memcpy(w->path, path, strlen(path) + 1);
    eg_cutter_init(&w->cutter, transaction);
    engram_status status = begin(w, expected, error);
    if (status != ENGRAM_OK)
        engram_write_cancel(&w);
    *writer = w;
    return status;
}

engram_status engram_write_add(engram_writer *w, const void *bytes, size_t size,
                               engram_error *error)
{
    if (w->tx->broken != ENGRAM_OK)
        return eg_fail(error, w->tx->broken, "an earlier piece could not be stored: cancel it");
    engram_status status = eg_cutter_add(&w->cutter, bytes, size, error);
    return eg_tx_leave(w->tx, &w->mark, status, error);
}

static engram_status finish(engram_writer *w, engram_error *error)
{
    EG_TRY(eg_cutter_end(&w->cutter, error));
    return eg_content_put(w->tx, &w->place, &w->cutter);
}

engram_status engram_write_close(engram_writer **writer, uint64_t *inode, engram_error *error)
{
    engram_writer *w = *writer;
    engram_status status = w->tx->broken;
    if (status != ENGRAM_OK)
        eg_fail(error, status, "an earlier piece could not be stored: abort the transaction");
    else
        status = eg_tx_leave(w->tx, &w->mark, finish(w, error), error);
    if (inode != NULL)
        *inode = w->place.number;
    engram_write_cancel(writer);
    return status;
}

void engram_write_cancel(engram_writer **writer)
{
    if (*writer == NULL)
        return;
    eg_cutter_fini(&(*writer)->cutter);
    eg_free(*writer);
    *writer = NULL;
}
