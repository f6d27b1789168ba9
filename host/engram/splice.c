/* Content references: runs of at most EG_RUN_REFS_MAX under 'E', and who holds a chunk under 'R'.
 *
 * A run's key carries the offset at which the run ends, so one seek finds the run that holds an
 * offset. A splice gathers the references from that run to the end of what it removes, changes the
 * middle, and writes them back as full runs. When the length changes the range must reach the end
 * of the file, so no run behind it has to move. */
#include "base/memory.h"
#include "base/status.h"
#include "engram/apply.h"

typedef struct eg_splice {
    eg_apply *apply;
    uint64_t inode, offset, end;      /* the bytes to be replaced */
    uint64_t start;                   /* offset of the first gathered run */
    uint64_t covered;                 /* bytes gathered: up to start + covered */
    bool more;                        /* runs lie behind what was gathered */
    eg_buffer ends;                   /* u64 each: the gathered runs' keys */
    eg_buffer before, removed, after; /* references, 12 bytes each */
} eg_splice;

static engram_status misfit(const eg_splice *s, engram_error *error)
{
    return eg_fail(error, ENGRAM_INVALID, "splice of inode %llu at %llu is not on chunk boundaries",
                   (unsigned long long)s->inode, (unsigned long long)s->offset);
}

static uint64_t refs_size(eg_view refs)
{
    uint64_t size = 0;
    for (size_t i = 0; i + EG_REF_SIZE <= refs.size; i += EG_REF_SIZE)
        size += eg_ref_get(refs.data + i).size;
    return size;
}

/* Sorts one run's references into before, removed, after. */
static engram_status gather_run(eg_splice *s, eg_view run, engram_error *error)
{
    for (size_t i = 0; i < run.size; i += EG_REF_SIZE) {
        uint64_t from = s->start + s->covered, to = from + eg_ref_get(run.data + i).size;
        eg_buffer *where = to <= s->offset ? &s->before : from >= s->end ? &s->after : &s->removed;
        if (where == &s->removed && (from < s->offset || to > s->end))
            return misfit(s, error);
        eg_write_bytes(where, run.data + i, EG_REF_SIZE);
        s->covered = to - s->start;
    }
    return ENGRAM_OK;
}

/* Takes the run under the cursor; false in *go_on when it lies behind the range. */
static engram_status gather_at(eg_splice *s, eg_cursor *cursor, bool first, bool *go_on,
                               engram_error *error)
{
    eg_view run = eg_cursor_value(cursor);
    uint64_t end = eg_get_be64(eg_cursor_key(cursor).data + 9), size = refs_size(run);
    if (run.size == 0 || run.size % EG_REF_SIZE != 0 || size > end ||
        (!first && end - size != s->start + s->covered))
        return eg_fail(error, ENGRAM_DAMAGED,
                       "inode %llu: the run that ends at %llu does not join the one before",
                       (unsigned long long)s->inode, (unsigned long long)end);
    if (first)
        s->start = end - size;
    *go_on = first || end - size < s->end;
    s->more = !*go_on;
    if (!*go_on)
        return ENGRAM_OK;
    eg_write_u64(&s->ends, end);
    return gather_run(s, run, error);
}

static engram_status gather(eg_splice *s, engram_error *error)
{
    eg_key key = eg_key_run(s->inode, s->offset != 0 ? s->offset : 1);
    eg_cursor *cursor = NULL;
    EG_TRY(eg_cursor_open_edit(s->apply->edit, &cursor, error));
    engram_status status = eg_cursor_seek(cursor, eg_key_view(&key), error);
    bool go_on = true;
    for (bool first = true; status == ENGRAM_OK && eg_cursor_key(cursor).size == 17 &&
                            eg_key_has(eg_cursor_key(cursor), 'E', s->inode);
         first = false) {
        status = gather_at(s, cursor, first, &go_on, error);
        if (status != ENGRAM_OK || !go_on)
            break;
        status = eg_cursor_next(cursor, error);
    }
    eg_cursor_close(&cursor);
    return status == ENGRAM_NOT_FOUND ? ENGRAM_OK : status;
}

static engram_status remove_runs(eg_splice *s, engram_error *error)
{
    for (size_t i = 0; i < s->ends.size; i += 8) {
        eg_key key = eg_key_run(s->inode, eg_get_u64(s->ends.data + i));
        EG_TRY(eg_edit_remove(s->apply->edit, eg_key_view(&key), error));
    }
    return ENGRAM_OK;
}

static engram_status write_runs(eg_splice *s, eg_view refs, engram_error *error)
{
    uint64_t end = s->start;
    for (size_t i = 0; i < refs.size;) {
        size_t most = (size_t)EG_RUN_REFS_MAX * EG_REF_SIZE;
        eg_view run = {refs.data + i, refs.size - i < most ? refs.size - i : most};
        end += refs_size(run);
        eg_key key = eg_key_run(s->inode, end);
        EG_TRY(eg_edit_put(s->apply->edit, eg_key_view(&key), run, error));
        i += run.size;
    }
    return ENGRAM_OK;
}

/* Whether any inode holds the chunk. */
static engram_status chunk_held(eg_apply *a, uint64_t chunk, bool *held, engram_error *error)
{
    eg_key key = eg_key_holder(chunk, 0);
    eg_cursor *cursor = NULL;
    EG_TRY(eg_cursor_open_edit(a->edit, &cursor, error));
    engram_status status = eg_cursor_seek(cursor, eg_key_view(&key), error);
    *held = status == ENGRAM_OK && eg_key_has(eg_cursor_key(cursor), 'R', chunk);
    eg_cursor_close(&cursor);
    return status == ENGRAM_NOT_FOUND ? ENGRAM_OK : status;
}

static engram_status note(eg_ids *list, uint64_t id, engram_error *error)
{
    if (!eg_grow((void **)&list->ids, &list->capacity, list->count + 1, sizeof *list->ids))
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory changing the tree");
    list->ids[list->count++] = id;
    return ENGRAM_OK;
}

static engram_status hold(eg_apply *a, uint64_t chunk, uint64_t inode, engram_error *error)
{
    eg_key key = eg_key_holder(chunk, inode);
    engram_status status = eg_edit_get(a->edit, eg_key_view(&key), &a->value, error);
    uint32_t count = 1;
    if (status == ENGRAM_OK && a->value.size == 4) {
        count = eg_get_u32(a->value.data) + 1;
    } else if (status == ENGRAM_NOT_FOUND) {
        bool held;
        EG_TRY(chunk_held(a, chunk, &held, error));
        if (!held)
            EG_TRY(note(&a->live, chunk, error));
    } else {
        return status == ENGRAM_OK
                   ? eg_fail(error, ENGRAM_DAMAGED, "bad holder count of chunk %llu",
                             (unsigned long long)chunk)
                   : status;
    }
    uint8_t value[4];
    eg_put_u32(value, count);
    return eg_edit_put(a->edit, eg_key_view(&key), (eg_view){value, sizeof value}, error);
}

static engram_status let_go(eg_apply *a, uint64_t chunk, uint64_t inode, engram_error *error)
{
    eg_key key = eg_key_holder(chunk, inode);
    engram_status status = eg_edit_get(a->edit, eg_key_view(&key), &a->value, error);
    if (status == ENGRAM_NOT_FOUND || (status == ENGRAM_OK && a->value.size != 4))
        return eg_fail(error, ENGRAM_DAMAGED, "inode %llu holds chunk %llu without being counted",
                       (unsigned long long)inode, (unsigned long long)chunk);
    EG_TRY(status);
    uint32_t count = eg_get_u32(a->value.data);
    if (count > 1) {
        uint8_t value[4];
        eg_put_u32(value, count - 1);
        return eg_edit_put(a->edit, eg_key_view(&key), (eg_view){value, sizeof value}, error);
    }
    EG_TRY(eg_edit_remove(a->edit, eg_key_view(&key), error));
    bool held;
    EG_TRY(chunk_held(a, chunk, &held, error));
    return held ? ENGRAM_OK : note(&a->dead, chunk, error);
}

static engram_status check_lengths(eg_splice *s, eg_view refs, bool to_end, engram_error *error)
{
    for (size_t i = 0; i < refs.size; i += EG_REF_SIZE) {
        eg_chunk_ref ref = eg_ref_get(refs.data + i);
        if (ref.id == 0 || ref.size == 0)
            return eg_fail(error, ENGRAM_INVALID, "empty chunk reference in a splice of inode %llu",
                           (unsigned long long)s->inode);
    }
    uint64_t added = refs_size(refs);
    uint64_t removed = refs_size((eg_view){s->removed.data, s->removed.size});
    bool reached = s->start + s->covered >= s->offset;
    bool at_tail = s->after.size == 0 && !s->more;
    if (!reached || (!to_end && (removed != s->end - s->offset || (added != removed && !at_tail))))
        return misfit(s, error);
    return ENGRAM_OK;
}

static engram_status replace(eg_splice *s, eg_view refs, engram_error *error)
{
    EG_TRY(remove_runs(s, error));
    eg_write_bytes(&s->before, refs.data, refs.size);
    eg_write_bytes(&s->before, s->after.data, s->after.size);
    if (s->before.failed)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory changing the tree");
    EG_TRY(write_runs(s, (eg_view){s->before.data, s->before.size}, error));
    for (size_t i = 0; i < refs.size; i += EG_REF_SIZE)
        EG_TRY(hold(s->apply, eg_ref_get(refs.data + i).id, s->inode, error));
    for (size_t i = 0; i < s->removed.size; i += EG_REF_SIZE)
        EG_TRY(let_go(s->apply, eg_ref_get(s->removed.data + i).id, s->inode, error));
    return ENGRAM_OK;
}

engram_status eg_apply_splice(eg_apply *apply, uint64_t inode, uint64_t offset, uint64_t removed,
                              const uint8_t *refs, size_t count, engram_error *error)
{
    bool to_end = removed > UINT64_MAX - offset;
    eg_splice s = {.apply = apply,
                   .inode = inode,
                   .offset = offset,
                   .end = to_end ? UINT64_MAX : offset + removed};
    eg_view added = {refs, count * EG_REF_SIZE};
    engram_status status = gather(&s, error);
    if (status == ENGRAM_OK &&
        (s.before.failed || s.removed.failed || s.after.failed || s.ends.failed))
        status = eg_fail(error, ENGRAM_NO_MEMORY, "out of memory changing the tree");
    if (status == ENGRAM_OK)
        status = check_lengths(&s, added, to_end || removed == UINT64_MAX, error);
    if (status == ENGRAM_OK)
        status = replace(&s, added, error);
    eg_buffer_fini(&s.ends);
    eg_buffer_fini(&s.before);
    eg_buffer_fini(&s.removed);
    eg_buffer_fini(&s.after);
    return status;
}
