/* Repair: MANIFEST.json and the checkpoint. Each holds what is needed when the other is lost, but for the
 * root bundle, which can be computed, and the clean end, which then is not known. A manifest whose checkpoint
 * is not there any more may be an old one: then a later checkpoint counts. */
#include <inttypes.h>

#include "base/memory.h"
#include "base/status.h"
#include "engram/repair.h"

/* Whether a failure says that the file is damaged or missing, and not that it cannot be judged. */
static bool is_bad(engram_status status)
{
    return status == ENGRAM_DAMAGED || status == ENGRAM_NOT_ENGRAM || status == ENGRAM_INVALID ||
           status == ENGRAM_NOT_FOUND;
}

static engram_status move_checkpoint(eg_repair *r, uint64_t number, engram_error *error)
{
    return eg_repair_move(r, error, "checkpoint/%08" PRIu64 ".ckpt", number);
}

/* The one that the manifest names. */
static engram_status read_checkpoint(eg_repair *r, engram_error *error)
{
    engram_error why = {0};
    engram_status status =
        eg_checkpoint_read(r->io, r->dir, r->manifest.checkpoint, &r->state, r->bundle, &why);
    r->has_bundle = status == ENGRAM_OK;
    return status == ENGRAM_OK ? status : eg_fail(error, status, "%s", why.message);
}

/* A repair that ended between its checkpoint and MANIFEST.json had files to move. They are this one's then; segments
 * go with all others that nothing names. */
static engram_status take_moves(eg_repair *r, engram_error *error)
{
    const eg_moves *moves = &r->manifest.moves;
    for (size_t i = 0; i < moves->count; i++)
        if (strncmp(moves->files[i], "segments/", 9) != 0)
            EG_TRY(eg_repair_move(r, error, "%s", moves->files[i]));
    eg_moves_fini(&r->manifest.moves);
    return ENGRAM_OK;
}

/* The newest checkpoint above `above` that can be read, with the manifest in it: *taken, and that is r->manifest. One
 * that no manifest named yet is as good. */
static engram_status take_copy(eg_repair *r, const uint64_t *numbers, size_t count, uint64_t above,
                               bool *taken, engram_error *error)
{
    *taken = false;
    for (size_t i = count; i > 0 && numbers[i - 1] > above && !*taken; i--) {
        engram_error why = {0};
        eg_manifest copy;
        engram_status status =
            eg_checkpoint_read_manifest(r->io, r->dir, numbers[i - 1], &copy, &why);
        *taken = status == ENGRAM_OK;
        if (!*taken && !is_bad(status))
            return eg_fail(error, status, "%s", why.message);
        if (!*taken) {
            eg_repair_say(r, "%s", why.message);
            EG_TRY(move_checkpoint(r, numbers[i - 1], error));
            continue;
        }
        eg_manifest_fini(&r->manifest);
        r->manifest = copy;
        r->broken = r->is_past = true;
        eg_repair_say(r, "MANIFEST.json is made anew from checkpoint/%08" PRIu64 ".ckpt",
                      numbers[i - 1]);
    }
    if (!*taken)
        return ENGRAM_OK;
    EG_TRY(take_moves(r, error));
    return read_checkpoint(r, error);
}

static engram_status rebuild_manifest(eg_repair *r, const uint64_t *numbers, size_t count,
                                      const engram_error *why, engram_error *error)
{
    bool taken;
    if (count == 0)
        return eg_fail(error, why->status, "%s", why->message);
    eg_repair_say(r, "%s", why->message);
    EG_TRY(take_copy(r, numbers, count, 0, &taken, error));
    return taken ? ENGRAM_OK
                 : eg_fail(error, ENGRAM_DAMAGED,
                           "%s: neither MANIFEST.json nor a checkpoint can be read: put back a copy "
                           "of one of them from a backup",
                           r->dir);
}

static bool has(const uint64_t *numbers, size_t count, uint64_t number)
{
    for (size_t i = 0; i < count; i++)
        if (numbers[i] == number)
            return true;
    return false;
}

/* The manifest is good, its checkpoint is not: it may be an old one. */
static engram_status replace_checkpoint(eg_repair *r, const uint64_t *numbers, size_t count,
                                        const engram_error *why, engram_error *error)
{
    bool taken;
    uint64_t number = r->manifest.checkpoint;
    if (has(numbers, count, number))
        EG_TRY(move_checkpoint(r, number, error));
    EG_TRY(take_copy(r, numbers, count, number, &taken, error));
    if (taken)
        return ENGRAM_OK;
    r->state = r->manifest.state;
    r->broken = true;
    eg_repair_say(r, "%s; MANIFEST.json has its figures, and the root is computed anew",
                  why->message);
    return ENGRAM_OK;
}

static engram_status read_manifest(eg_repair *r, const uint64_t *numbers, size_t count,
                                   engram_error *error)
{
    engram_error why = {0};
    engram_status status = eg_manifest_read(r->io, r->dir, &r->manifest, &why);
    if (status == ENGRAM_OK && !r->options->dry_run)
        EG_TRY(eg_quarantine_finish(r->io, r->dir, &r->manifest, error));
    if (is_bad(status))
        return rebuild_manifest(r, numbers, count, &why, error);
    if (status != ENGRAM_OK)
        return eg_fail(error, status, "%s", why.message);
    status = read_checkpoint(r, &why);
    if (is_bad(status))
        return replace_checkpoint(r, numbers, count, &why, error);
    return status == ENGRAM_OK ? status : eg_fail(error, status, "%s", why.message);
}

engram_status eg_repair_find_base(eg_repair *r, engram_error *error)
{
    uint64_t *numbers = NULL;
    size_t count = 0;
    engram_error why = {0};
    engram_status status = eg_checkpoint_list(r->io, r->dir, &numbers, &count, &why);
    if (status != ENGRAM_OK && status != ENGRAM_NOT_FOUND)
        return eg_fail(error, status, "%s", why.message);
    status = read_manifest(r, numbers, count, error);
    if (status == ENGRAM_OK) {
        r->checkpoint_last = count != 0 ? numbers[count - 1] : 0;
        if (r->manifest.checkpoint > r->checkpoint_last)
            r->checkpoint_last = r->manifest.checkpoint;
        r->chunk_next = r->state.chunk_next;
        r->transaction_next = r->state.transaction_next;
        r->inode_next = r->state.inode_next;
        r->segment_count = r->segment_capacity = r->manifest.segment_count;
        r->segments =
            eg_memdup(r->manifest.segments, (r->segment_count + 1) * sizeof *r->segments);
        if (r->segments == NULL)
            status = eg_repair_no_memory(error);
    }
    eg_free(numbers);
    return status;
}
