/* Removing what only older generations needed.
 *
 * A generation is a checkpoint that counts, or has counted: its number is in MANIFEST.json. A
 * reader holds the slot of the one it opened (lock.c). While it opens it needs that checkpoint's
 * file, the journal from where that starts, and the segments that both name; later only the
 * segments. The checkpoint file of a generation stays as long as a reader is there, so the files in
 * checkpoint/ say which slots to try, also to the writer after a crash.
 *
 * A segment file that nothing names now may have been named by any generation before the one at
 * which that was first noticed. Sweeping forgets nothing: what is left for a reader goes with the
 * next sweep after it has closed, of this writer or of the next one. */
#include "base/log.h"
#include "base/memory.h"
#include "base/status.h"
#include "engram/internal.h"

typedef struct live {
    eg_engram *engram;
    uint64_t *kept; /* generations with a reader, rising, and the one that counts */
    size_t count;
    uint64_t journal_file; /* the first that is needed */
    bool held_back;
} live;

/* A reader that is opening needs the journal from its start on. */
static engram_status note_opening(live *l, uint64_t generation, engram_error *error)
{
    eg_journal_start start;
    eg_engram *e = l->engram;
    EG_TRY(eg_checkpoint_peek(e->io, e->dir, generation, &start, error));
    if (start.file < l->journal_file)
        l->journal_file = start.file;
    return ENGRAM_OK;
}

static engram_status find_readers(live *l, eg_file *lock, engram_error *error)
{
    eg_engram *e = l->engram;
    size_t found = 0;
    EG_TRY(eg_checkpoint_list(e->io, e->dir, &l->kept, &found, error));
    for (size_t i = 0; i < found; i++) {
        uint64_t generation = l->kept[i];
        bool is_opening = false, is_open = false;
        if (generation < e->manifest.checkpoint)
            EG_TRY(eg_slot_probe(e->io, lock, generation, &is_opening, &is_open, error));
        if (is_opening)
            EG_TRY(note_opening(l, generation, error));
        if (is_opening || is_open)
            l->held_back = true;
        if (is_opening || is_open || generation == e->manifest.checkpoint)
            l->kept[l->count++] = generation;
    }
    return ENGRAM_OK;
}

/* The last generation that may name a segment which nothing names now; UINT64_MAX: nobody knows. */
static uint64_t last_naming(eg_engram *e, uint64_t segment)
{
    for (size_t i = 0; i < e->leftover_count; i++)
        if (e->leftovers[i].segment == segment)
            return e->leftovers[i].generation;
    if (!eg_grow((void **)&e->leftovers, &e->leftover_capacity, e->leftover_count + 1,
                 sizeof *e->leftovers))
        return UINT64_MAX;
    eg_leftover *made = &e->leftovers[e->leftover_count++];
    *made = (eg_leftover){segment, e->manifest.checkpoint - 1};
    return made->generation;
}

static void forget(eg_engram *e, uint64_t segment)
{
    for (size_t i = 0; i < e->leftover_count; i++)
        if (e->leftovers[i].segment == segment)
            e->leftovers[i] = e->leftovers[--e->leftover_count];
}

static bool is_needed(void *context, uint64_t segment)
{
    live *l = context;
    eg_engram *e = l->engram;
    for (size_t i = 0; i < e->manifest.segment_count; i++)
        if (e->manifest.segments[i].id == segment)
            return true;
    if (l->count == 0 || l->kept[0] <= last_naming(e, segment))
        return true;
    forget(e, segment);
    return false;
}

/* Who reads an older generation may be about to open its node file. */
static engram_status sweep_nodes(live *l, engram_error *error)
{
    eg_engram *e = l->engram;
    if (!e->has_old_nodes || l->held_back)
        return ENGRAM_OK;
    char *dir = eg_path_join(e->dir, "tree");
    if (dir == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
    engram_status status =
        eg_nodes_sweep(e->io, dir, eg_nodes_file_of(e->manifest.state.nodes_end), error);
    eg_free(dir);
    e->has_old_nodes = status != ENGRAM_OK;
    return status;
}

static engram_status sweep(live *l, eg_file *lock, engram_error *error)
{
    eg_engram *e = l->engram;
    EG_TRY(find_readers(l, lock, error));
    engram_status status = eg_journal_release(e->journal, l->journal_file, error);
    if (status != ENGRAM_OK) { /* final for the journal */
        eg_engram_fail(e, status);
        return status;
    }
    EG_TRY(eg_checkpoint_sweep(e->io, e->dir, l->kept, l->count, error));
    EG_TRY(sweep_nodes(l, error));
    return eg_store_sweep_but(e->store, is_needed, l, error);
}

void eg_engram_sweep(eg_engram *engram)
{
    engram_error inner = {0};
    eg_file *lock = NULL;
    live l = {.engram = engram, .journal_file = engram->replay_start.file};
    engram_status status = eg_lock_probing(engram->io, engram->dir, &lock, &inner);
    if (status == ENGRAM_OK)
        status = sweep(&l, lock, &inner);
    engram->io->close(engram->io, &lock);
    engram->held_back = l.held_back;
    eg_free(l.kept);
    if (status != ENGRAM_OK) /* everything committed is safe: only space was not returned */
        eg_log(EG_LOG_WARNING, "%s: old files could not be removed: %s", engram->dir,
               inner.message);
}
