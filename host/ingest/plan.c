/* The first stage's decisions: what an entry means against what is stored.
 *
 * A name is looked up among those this run has decided on (overlay), then in the newest committed
 * version. The version is pinned again whenever a batch was committed since, before it is asked:
 * what the overlay forgot is in it. Removing whole directories needs everything committed, so it
 * drains the pipeline first. */
#include <stdio.h>

#include "base/memory.h"
#include "base/status.h"
#include "ingest/internal.h"

/* The directories on the way to the last entry: most entries lie beside the one before. */
typedef struct eg_trail {
    eg_buffer path;
    struct {
        size_t end; /* of this component in path */
        uint64_t number;
    } * steps;
    size_t count, capacity;
} eg_trail;

/* Open addressing: (device, inode) of sources with several names -> inode number. */
typedef struct eg_linked {
    struct linked_slot {
        uint64_t device, inode, number; /* number 0: free */
    } * slots;
    size_t count, capacity;
} eg_linked;

/* What is stored under a name. */
typedef struct stored {
    bool found, committed; /* committed: inode is filled */
    uint64_t number;
    eg_inode_kind kind;
    uint32_t link_count;
    uint64_t source_device, source_inode;
    eg_inode inode;
} stored;

engram_status eg_plan_init(eg_ingest *ingest, engram_error *error)
{
    ingest->trail = eg_alloc_zero(1, sizeof *ingest->trail);
    ingest->linked = eg_alloc_zero(1, sizeof *ingest->linked);
    if (ingest->trail == NULL || ingest->linked == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory starting a run");
    return ENGRAM_OK;
}

void eg_plan_fini(eg_ingest *ingest)
{
    if (ingest->trail != NULL) {
        eg_buffer_fini(&ingest->trail->path);
        eg_free(ingest->trail->steps);
    }
    if (ingest->linked != NULL)
        eg_free(ingest->linked->slots);
    eg_free(ingest->trail);
    eg_free(ingest->linked);
}

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory planning a batch");
}

static struct linked_slot *linked_slot(const eg_linked *linked, uint64_t device, uint64_t inode)
{
    uint64_t hash = (inode * 0x9E3779B97F4A7C15u) ^ (device * 0xC2B2AE3D27D4EB4Fu);
    for (size_t i = (hash >> 20) % linked->capacity;; i = (i + 1) % linked->capacity) {
        struct linked_slot *slot = &linked->slots[i];
        if (slot->number == 0 || (slot->device == device && slot->inode == inode))
            return slot;
    }
}

static uint64_t linked_get(const eg_linked *linked, const eg_inode *inode)
{
    if (linked->capacity == 0 || inode->source_inode == 0)
        return 0;
    return linked_slot(linked, inode->source_device, inode->source_inode)->number;
}

static engram_status linked_grow(eg_linked *linked, engram_error *error)
{
    eg_linked bigger = {.capacity = linked->capacity == 0 ? 1024 : linked->capacity * 2,
                        .count = linked->count};
    bigger.slots = eg_alloc_zero(bigger.capacity, sizeof *bigger.slots);
    if (bigger.slots == NULL)
        return no_memory(error);
    for (size_t i = 0; i < linked->capacity; i++)
        if (linked->slots[i].number != 0)
            *linked_slot(&bigger, linked->slots[i].device, linked->slots[i].inode) =
                linked->slots[i];
    eg_free(linked->slots);
    *linked = bigger;
    return ENGRAM_OK;
}

static engram_status linked_put(eg_linked *linked, const eg_inode *inode, uint64_t number,
                                engram_error *error)
{
    if (inode->source_inode == 0)
        return ENGRAM_OK;
    if (2 * (linked->count + 1) > linked->capacity)
        EG_TRY(linked_grow(linked, error));
    struct linked_slot *slot = linked_slot(linked, inode->source_device, inode->source_inode);
    linked->count += slot->number == 0;
    *slot = (struct linked_slot){inode->source_device, inode->source_inode, number};
    return ENGRAM_OK;
}

static engram_status refresh_pin(eg_ingest *ingest, engram_error *error)
{
    pthread_mutex_lock(&ingest->lock);
    uint64_t committed = ingest->committed;
    pthread_mutex_unlock(&ingest->lock);
    if (committed == ingest->pinned_committed)
        return ENGRAM_OK;
    eg_version_release(&ingest->pinned);
    ingest->pinned_committed = committed;
    return eg_engram_pin(ingest->engram, &ingest->pinned, error);
}

static engram_status look_up(eg_ingest *ingest, uint64_t directory, eg_view name, stored *s,
                             engram_error *error)
{
    eg_overlay_value value;
    *s = (stored){0};
    if (eg_overlay_get(ingest->overlay, directory, name, &value)) {
        *s = (stored){.found = true,
                      .number = value.number,
                      .kind = value.kind,
                      .link_count = value.link_count,
                      .source_device = value.source_device,
                      .source_inode = value.source_inode};
        return ENGRAM_OK;
    }
    EG_TRY(refresh_pin(ingest, error));
    engram_status status = eg_fs_child(ingest->pinned.root, directory, name, &s->number, error);
    if (status == ENGRAM_NOT_FOUND)
        return ENGRAM_OK;
    EG_TRY(status);
    eg_buffer scratch = {0};
    status = eg_fs_get(ingest->pinned.root, s->number, &s->inode, &scratch, error);
    s->inode.target = (eg_view){0};
    eg_buffer_fini(&scratch);
    s->found = s->committed = true;
    s->kind = s->inode.kind;
    s->link_count = s->inode.link_count;
    s->source_device = s->inode.source_device;
    s->source_inode = s->inode.source_inode;
    return status == ENGRAM_NOT_FOUND
               ? eg_fail(error, ENGRAM_DAMAGED,
                         "a directory entry names inode %llu, which is missing",
                         (unsigned long long)s->number)
               : status;
}

/* Adds the operations written since ops_offset as an event. */
static engram_status add_ops(eg_ingest *ingest, size_t ops_offset, engram_error *error)
{
    return eg_batch_add_event(ingest->batch, EG_EVENT_OPS, 0, 0, ops_offset, error);
}

static engram_status remember(eg_ingest *ingest, uint64_t directory, eg_view name,
                              const eg_overlay_value *value, engram_error *error)
{
    engram_status status =
        eg_overlay_put(ingest->overlay, directory, name, value, ingest->batch->sequence);
    return status == ENGRAM_OK ? ENGRAM_OK : no_memory(error);
}

/* A directory that only the path implies. */
static engram_status make_implied(eg_ingest *ingest, uint64_t directory, eg_view name,
                                  uint64_t *number, engram_error *error)
{
    eg_inode inode = {.kind = EG_KIND_DIRECTORY, .flags = EG_INODE_IMPLIED, .mode = 0755};
    size_t ops_offset = ingest->batch->ops.size;
    *number = eg_engram_new_inode(ingest->engram);
    eg_ops_put_inode(&ingest->batch->ops, *number, &inode);
    eg_ops_link(&ingest->batch->ops, directory, *number, EG_KIND_DIRECTORY, name);
    EG_TRY(remember(ingest, directory, name,
                    &(eg_overlay_value){.number = *number, .kind = EG_KIND_DIRECTORY}, error));
    return add_ops(ingest, ops_offset, error);
}

static engram_status step_into(eg_ingest *ingest, uint64_t directory, eg_view name,
                               uint64_t *number, engram_error *error)
{
    stored s;
    EG_TRY(look_up(ingest, directory, name, &s, error));
    if (!s.found)
        return make_implied(ingest, directory, name, number, error);
    if (s.kind != EG_KIND_DIRECTORY)
        return eg_fail(error, ENGRAM_INVALID,
                       "'%.*s' on its way is stored as something other than a directory",
                       (int)name.size, (const char *)name.data);
    *number = s.number;
    return ENGRAM_OK;
}

/* How many of the trail's steps lead towards path. */
static size_t common_steps(const eg_trail *trail, eg_view path)
{
    size_t n = 0;
    while (n < trail->count) {
        size_t end = trail->steps[n].end;
        if (end > path.size || memcmp(trail->path.data, path.data, end) != 0 ||
            (end < path.size && path.data[end] != '/'))
            break;
        n++;
    }
    return n;
}

/* The inode number of a directory path, making what is missing. */
static engram_status walk_to(eg_ingest *ingest, eg_view path, uint64_t *number, engram_error *error)
{
    eg_trail *trail = ingest->trail;
    trail->count = common_steps(trail, path);
    size_t at = trail->count != 0 ? trail->steps[trail->count - 1].end + 1 : 0;
    *number = trail->count != 0 ? trail->steps[trail->count - 1].number : EG_INODE_ROOT;
    trail->path.size = at < trail->path.size ? at : trail->path.size;
    while (at < path.size) {
        size_t end = at;
        while (end < path.size && path.data[end] != '/')
            end++;
        EG_TRY(step_into(ingest, *number, (eg_view){path.data + at, end - at}, number, error));
        if (!eg_grow((void **)&trail->steps, &trail->capacity, trail->count + 1,
                     sizeof *trail->steps))
            return no_memory(error);
        trail->steps[trail->count].end = end;
        trail->steps[trail->count++].number = *number;
        at = end + 1;
    }
    eg_buffer_clear(&trail->path);
    eg_write_bytes(&trail->path, path.data, path.size);
    if (trail->path.failed) {
        trail->count = 0;
        return no_memory(error);
    }
    return ENGRAM_OK;
}

static bool same_time(eg_time a, eg_time b)
{
    return a.seconds == b.seconds && a.nanoseconds == b.nanoseconds;
}

static bool unchanged(const stored *s, const eg_inode *now)
{
    const eg_inode *was = &s->inode;
    return s->committed && now->source_inode != 0 &&
           (was->flags & (EG_INODE_RACY | EG_INODE_IMPLIED)) == 0 &&
           was->source_device == now->source_device && was->source_inode == now->source_inode &&
           was->size == now->size && was->mode == now->mode && was->uid == now->uid &&
           was->gid == now->gid && same_time(was->mtime, now->mtime) &&
           same_time(was->source_ctime, now->source_ctime);
}

/* Names below a directory, collected so that the tree is not changed under a cursor. */
typedef struct removal {
    eg_ingest *ingest;
    uint64_t directory;
    eg_buffer *ops;
    uint64_t count;
    int depth;
} removal;

static engram_status remove_entry(void *context, eg_view name, uint64_t number, eg_inode_kind kind,
                                  engram_error *error)
{
    removal *r = context;
    if (kind == EG_KIND_DIRECTORY) {
        removal below = {
            .ingest = r->ingest, .directory = number, .ops = r->ops, .depth = r->depth + 1};
        if (below.depth > EG_PATH_MAX / 2)
            return eg_fail(error, ENGRAM_DAMAGED, "directories are nested without end");
        EG_TRY(eg_fs_list(r->ingest->pinned.root, number, remove_entry, &below, error));
        r->count += below.count;
    }
    eg_ops_unlink(r->ops, r->directory, name);
    r->count++;
    return r->ops->failed ? no_memory(error) : ENGRAM_OK;
}

/* Writes the operations that remove a name and all below it. Everything must be committed when it
 * is a directory. */
static engram_status remove_name(eg_ingest *ingest, uint64_t directory, eg_view name,
                                 uint64_t number, eg_inode_kind kind, engram_error *error)
{
    size_t ops_offset = ingest->batch->ops.size;
    removal r = {.ingest = ingest, .directory = directory, .ops = &ingest->batch->ops};
    EG_TRY(remove_entry(&r, name, number, kind, error));
    ingest->batch->delta.removed += r.count;
    ingest->trail->count = 0;
    return add_ops(ingest, ops_offset, error);
}

/* What is in the way of an entry of another kind, or of a name that must become another inode,
 * goes. */
static engram_status clear_name(eg_ingest *ingest, uint64_t directory, eg_view name,
                                const stored *s, engram_error *error)
{
    if (s->kind == EG_KIND_DIRECTORY) {
        EG_TRY(eg_ingest_drain(ingest, error));
        EG_TRY(refresh_pin(ingest, error));
    }
    return remove_name(ingest, directory, name, s->number, s->kind, error);
}

/* An entry that is one more name of an inode that this run has stored already. */
static engram_status plan_link(eg_ingest *ingest, const eg_entry *entry, eg_plan *plan,
                               const stored *s, uint64_t target, engram_error *error)
{
    plan->unchanged = true; /* nothing to read */
    plan->number = target;
    if (s->found && s->number == target)
        return ENGRAM_OK;
    if (s->found)
        EG_TRY(clear_name(ingest, plan->directory, plan->name, s, error));
    size_t ops_offset = ingest->batch->ops.size;
    eg_ops_link(&ingest->batch->ops, plan->directory, target, entry->inode.kind, plan->name);
    eg_overlay_value value = {target, entry->inode.kind, entry->link_count,
                              entry->inode.source_device, entry->inode.source_inode};
    EG_TRY(remember(ingest, plan->directory, plan->name, &value, error));
    return add_ops(ingest, ops_offset, error);
}

/* An archive's hard link: by the path of the earlier member. */
static engram_status plan_member_link(eg_ingest *ingest, const eg_entry *entry, eg_plan *plan,
                                      const stored *s, engram_error *error)
{
    size_t slash = entry->hard_link.size;
    while (slash > 0 && entry->hard_link.data[slash - 1] != '/')
        slash--;
    uint64_t directory;
    stored target;
    EG_TRY(walk_to(ingest, (eg_view){entry->hard_link.data, slash != 0 ? slash - 1 : 0}, &directory,
                   error));
    EG_TRY(look_up(ingest, directory,
                   (eg_view){entry->hard_link.data + slash, entry->hard_link.size - slash}, &target,
                   error));
    if (!target.found || target.kind == EG_KIND_DIRECTORY)
        return eg_fail(error, ENGRAM_INVALID, "a hard link to '%.*s', which is not stored",
                       (int)entry->hard_link.size, (const char *)entry->hard_link.data);
    eg_entry as = *entry;
    as.inode.kind = target.kind;
    return plan_link(ingest, &as, plan, s, target.number, error);
}

static engram_status split_path(eg_ingest *ingest, const eg_entry *entry, eg_plan *plan,
                                engram_error *error)
{
    size_t slash = entry->path.size;
    while (slash > 0 && entry->path.data[slash - 1] != '/')
        slash--;
    plan->name = (eg_view){entry->path.data + slash, entry->path.size - slash};
    if (!eg_name_valid(plan->name))
        return eg_fail(error, ENGRAM_INVALID, "not a name that can be stored");
    return walk_to(ingest, (eg_view){entry->path.data, slash != 0 ? slash - 1 : 0},
                   &plan->directory, error);
}

/* May the stored inode take the entry's content, or does another name rely on it? */
static bool in_place(const stored *s, const eg_inode *now)
{
    bool same_source = now->source_inode != 0 && s->source_device == now->source_device &&
                       s->source_inode == now->source_inode;
    bool names_unknown =
        !s->committed && now->source_inode == 0; /* an archive's: links may wait in the pipeline */
    return s->found && s->kind == now->kind && (s->kind == EG_KIND_DIRECTORY || !names_unknown) &&
           (s->kind == EG_KIND_DIRECTORY || s->link_count <= 1 || same_source);
}

engram_status eg_plan_entry(eg_ingest *ingest, const eg_entry *entry, eg_plan *plan,
                            engram_error *error)
{
    stored s;
    if (entry->path.size ==
        0) { /* the root itself: always there, and its own attributes are not an input's */
        *plan = (eg_plan){.number = EG_INODE_ROOT, .unchanged = true};
        return ENGRAM_OK;
    }
    EG_TRY(split_path(ingest, entry, plan, error));
    EG_TRY(look_up(ingest, plan->directory, plan->name, &s, error));
    if (entry->hard_link.size != 0)
        return plan_member_link(ingest, entry, plan, &s, error);
    bool shared = entry->link_count > 1 && entry->inode.kind != EG_KIND_DIRECTORY;
    uint64_t target = shared ? linked_get(ingest->linked, &entry->inode) : 0;
    if (target != 0)
        return plan_link(ingest, entry, plan, &s, target, error);
    if (in_place(&s, &entry->inode)) {
        plan->number = s.number;
        plan->unchanged = unchanged(&s, &entry->inode);
    } else {
        if (s.found)
            EG_TRY(clear_name(ingest, plan->directory, plan->name, &s, error));
        plan->number = eg_engram_new_inode(ingest->engram);
        plan->fresh = true;
    }
    return shared && plan->unchanged
               ? linked_put(ingest->linked, &entry->inode, plan->number, error)
               : ENGRAM_OK;
}

engram_status eg_plan_store(eg_ingest *ingest, const eg_entry *entry, const eg_inode *inode,
                            const eg_plan *plan, engram_error *error)
{
    eg_buffer *ops = &ingest->batch->ops;
    eg_ops_put_inode(ops, plan->number, inode);
    if (!plan->fresh)
        eg_ops_clear_xattrs(ops, plan->number);
    for (size_t i = 0; i < entry->attribute_count; i++)
        eg_ops_put_xattr(ops, plan->number, entry->attributes[i].name, entry->attributes[i].value);
    if (plan->fresh)
        eg_ops_link(ops, plan->directory, plan->number, inode->kind, plan->name);
    if (entry->link_count > 1 && inode->kind != EG_KIND_DIRECTORY)
        EG_TRY(linked_put(ingest->linked, inode, plan->number, error));
    eg_overlay_value value = {plan->number, inode->kind, entry->link_count, inode->source_device,
                              inode->source_inode};
    return remember(ingest, plan->directory, plan->name, &value, error);
}

typedef struct mirror_context {
    const eg_entry *entry;
    eg_buffer names; /* to remove: number u64, kind u8, size u16, name */
    bool directories;
} mirror_context;

static bool in_names(const eg_entry *entry, eg_view name)
{
    size_t low = 0, high = entry->name_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        eg_view at = entry->names[middle];
        size_t least = at.size < name.size ? at.size : name.size;
        int order = memcmp(at.data, name.data, least);
        if (order == 0)
            order = (at.size > name.size) - (at.size < name.size);
        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static engram_status mirror_entry(void *context, eg_view name, uint64_t number, eg_inode_kind kind,
                                  engram_error *error)
{
    mirror_context *c = context;
    if (in_names(c->entry, name))
        return ENGRAM_OK;
    eg_write_u64(&c->names, number);
    eg_write_u8(&c->names, (uint8_t)kind);
    eg_write_u16(&c->names, (uint16_t)name.size);
    eg_write_bytes(&c->names, name.data, name.size);
    c->directories |= kind == EG_KIND_DIRECTORY;
    return c->names.failed ? no_memory(error) : ENGRAM_OK;
}

engram_status eg_plan_mirror(eg_ingest *ingest, const eg_entry *entry, const eg_plan *plan,
                             engram_error *error)
{
    mirror_context c = {.entry = entry};
    EG_TRY(refresh_pin(ingest, error));
    engram_status status = eg_fs_list(ingest->pinned.root, plan->number, mirror_entry, &c, error);
    if (status == ENGRAM_OK && c.directories) {
        status = eg_ingest_drain(ingest, error);
        if (status == ENGRAM_OK)
            status = refresh_pin(ingest, error);
    }
    eg_reader in = eg_reader_make(c.names.data, c.names.size);
    while (status == ENGRAM_OK && eg_reader_left(&in) != 0) {
        uint64_t number = eg_read_u64(&in);
        eg_inode_kind kind = (eg_inode_kind)eg_read_u8(&in);
        eg_view name = {.size = eg_read_u16(&in)};
        name.data = eg_read_bytes(&in, name.size);
        status = remove_name(ingest, plan->number, name, number, kind, error);
    }
    eg_buffer_fini(&c.names);
    return status;
}
