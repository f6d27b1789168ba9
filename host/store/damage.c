/* Segments that cannot be opened, in a store that tolerates them.
 *
 * A lost segment is not in the list: those who walk over segments need not know of it. Its state is
 * handed on as it is, and its file is kept. Which ids it held is known by what is missing: an id
 * that was given out before the store was opened, and lies in no segment's range, may have been
 * there. */
#include <inttypes.h>

#include "base/memory.h"
#include "store/internal.h"

bool eg_store_tolerates(const eg_store *store, engram_status status)
{
    return store->options.tolerate && status == ENGRAM_DAMAGED;
}

engram_status eg_store_note_damage(eg_store *store, const eg_segment_state *lost,
                                   const engram_error *reason, engram_error *error)
{
    void *damages = store->damages;
    char *text = eg_strdup(reason->message);
    if (text == NULL || !eg_grow(&damages, &store->damage_capacity, store->damage_count + 1,
                                 sizeof *store->damages)) {
        eg_free(text);
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to open %s", store->dir);
    }
    store->damages = damages;
    store->damages[store->damage_count++] =
        (eg_damage){.is_lost = lost != NULL,
                    .state = lost != NULL ? *lost : (eg_segment_state){0},
                    .reason = text};
    return ENGRAM_OK;
}

void eg_store_free_damages(eg_store *store)
{
    for (size_t i = 0; i < store->damage_count; i++)
        eg_free(store->damages[i].reason);
    eg_free(store->damages);
}

uint64_t eg_store_lost_behind(const eg_store *store, uint64_t segment_id)
{
    uint64_t chunks = 0;
    for (size_t i = 0; i < store->damage_count; i++)
        if (store->damages[i].is_lost && store->damages[i].state.id > segment_id)
            chunks += store->damages[i].state.chunk_count;
    return chunks;
}

/* The lost segment that comes next after this number, or else any. */
static const eg_damage *lost_after(const eg_store *store, uint64_t segment_id)
{
    const eg_damage *found = NULL;
    for (size_t i = 0; i < store->damage_count; i++) {
        const eg_damage *damage = &store->damages[i];
        if (damage->is_lost && (found == NULL || damage->state.id > segment_id))
            found = damage;
        if (found != NULL && found->state.id > segment_id)
            break;
    }
    return found;
}

engram_status eg_store_check_lost(eg_store *store, uint64_t id, engram_error *error)
{
    if (id == 0 || id > store->opened_id)
        return ENGRAM_OK;
    eg_segment *segment = eg_store_segment_of(store, id);
    if (segment != NULL && id <= eg_store_last_id(segment))
        return ENGRAM_OK;
    const eg_damage *lost = lost_after(store, segment != NULL ? segment->id : 0);
    if (lost == NULL)
        return ENGRAM_OK;
    return eg_fail(error, ENGRAM_DAMAGED, "chunk %" PRIu64 " may be in a segment that is lost: %s",
                   id, lost->reason);
}

size_t eg_store_damage_count(eg_store *store)
{
    return store->damage_count;
}

const char *eg_store_get_damage(eg_store *store, size_t index)
{
    return store->damages[index].reason;
}
