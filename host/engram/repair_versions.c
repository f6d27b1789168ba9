/* Repair: the retained versions.
 *
 * Most share nearly all their nodes, so a damaged one is in many. The checkpoint's version is made whole
 * first. From it on backwards, a version whose difference to the next newer one can be read lacks the same
 * nodes as that, and the difference on top of what became of that one makes it whole at the cost of what
 * differs. Where the difference itself is damaged, a version that is to be kept is rebuilt by itself, and
 * another one goes: its neighbours tell nearly the same; the one before is then compared with the one after.
 * What the catalog has lost is looked for in the leaves of earlier ones. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/status.h"
#include "engram/repair.h"

/* ---- what there is ---- */

static engram_status take_entry(void *context, eg_view key, eg_view value, engram_error *error)
{
    eg_repair *r = context;
    eg_root *root;
    if (key.size != 9 || key.data[0] != 'V' || value.size < EG_CATALOG_FIXED) {
        r->broken = true;
        r->done->versions_lost++;
        eg_repair_lose(r, "the catalog: an entry cannot be read");
        return ENGRAM_OK;
    }
    uint64_t number = eg_get_be64(key.data + 1);
    if (number > r->state.version)
        return ENGRAM_OK;
    eg_node_ref ref = {eg_get_u64(value.data + 8), eg_get_u32(value.data + 16)};
    EG_TRY(eg_root_open(r->nodes, ref, &root, error));
    return eg_repair_add_version(
        r, number, eg_get_u64(value.data), root,
        (eg_view){value.data + EG_CATALOG_FIXED, value.size - EG_CATALOG_FIXED}, error);
}

static engram_status note_bad_node(eg_repair *r, eg_node_ref node, engram_error *error)
{
    for (size_t i = 0; i < r->bad_node_count; i++)
        if (r->bad_nodes[i].address == node.address)
            return ENGRAM_OK;
    if (!eg_grow((void **)&r->bad_nodes, &r->bad_node_capacity, r->bad_node_count + 1,
                 sizeof *r->bad_nodes))
        return eg_repair_no_memory(error);
    r->bad_nodes[r->bad_node_count++] = node;
    return ENGRAM_OK;
}

static engram_status lose_entries(void *context, eg_view low, eg_view high, eg_node_ref node,
                                  const char *why, engram_error *error)
{
    eg_repair *r = context;
    uint64_t from = low.size == 9 ? eg_get_be64(low.data + 1) : 0;
    uint64_t to = high.size == 9 ? eg_get_be64(high.data + 1) - 1 : r->state.version;
    r->broken = true;
    r->done->versions_lost++;
    eg_repair_say(r, "%s; the catalog is made anew", why);
    eg_repair_lose(r, "retained versions between %" PRIu64 " and %" PRIu64 " may be lost", from,
                   to);
    return note_bad_node(r, node, error);
}

static bool is_known(const eg_repair *r, uint64_t number)
{
    for (size_t i = 0; i < r->version_count; i++)
        if (r->versions[i].number == number)
            return true;
    return false;
}

typedef struct old_leaves {
    eg_repair *repair;
    eg_gaps gaps; /* of the catalog */
} old_leaves;

static engram_status take_old_entry(void *context, eg_view key, eg_view value, engram_error *error)
{
    old_leaves *o = context;
    bool is_entry = key.size == 9 && key.data[0] == 'V' && value.size >= EG_CATALOG_FIXED;
    if (!is_entry || !eg_gaps_has(&o->gaps, key) ||
        is_known(o->repair, eg_get_be64(key.data + 1)))
        return ENGRAM_OK;
    return take_entry(o->repair, key, value, error);
}

static int compare_versions(const void *a, const void *b)
{
    const eg_repair_version *x = a, *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

/* Earlier catalogs had other leaves in the place of what cannot be read; the newest of them count. */
static engram_status search_old_leaves(eg_repair *r, eg_root *catalog, engram_error *error)
{
    old_leaves o = {.repair = r};
    const eg_tree_salvage salvage = {.context = &o, .entry = take_old_entry};
    size_t before = r->version_count;
    engram_status status = eg_repair_find_gaps(r, catalog, &o.gaps, error);
    if (status == ENGRAM_OK && o.gaps.count != 0)
        status = eg_nodes_salvage_leaves(r->nodes, &salvage, error);
    if (r->version_count > 1)
        qsort(r->versions, r->version_count, sizeof *r->versions, compare_versions);
    if (r->version_count > before)
        eg_repair_say(r, "%zu versions are known from earlier catalogs", r->version_count - before);
    eg_gaps_fini(&o.gaps);
    return status;
}

engram_status eg_repair_load_versions(eg_repair *r, engram_error *error)
{
    eg_root *catalog = NULL;
    const eg_tree_salvage salvage = {r, take_entry, lose_entries};
    EG_TRY(eg_root_open(r->nodes, r->state.catalog, &catalog, error));
    engram_status status = eg_root_salvage(catalog, &salvage, error);
    if (status == ENGRAM_OK)
        status = search_old_leaves(r, catalog, error);
    eg_root_release(catalog);
    EG_TRY(status);
    eg_repair_version *last = r->version_count != 0 ? &r->versions[r->version_count - 1] : NULL;
    if (last != NULL && last->number == r->state.version)
        return ENGRAM_OK;
    eg_root *root;
    EG_TRY(eg_root_open(r->nodes, r->state.tree, &root, error));
    EG_TRY(eg_repair_add_version(r, r->state.version, r->state.time_ns, root, (eg_view){0}, error));
    r->versions[r->version_count - 1].listed = false;
    return ENGRAM_OK;
}

/* ---- gaps ---- */

typedef struct finding {
    eg_repair *repair;
    eg_gaps *gaps;
} finding;

static engram_status pass_entry(void *context, eg_view key, eg_view value, engram_error *error)
{
    (void)context, (void)key, (void)value, (void)error;
    return ENGRAM_OK;
}

static engram_status take_gap(void *context, eg_view low, eg_view high, eg_node_ref node,
                              const char *why, engram_error *error)
{
    finding *f = context;
    (void)why;
    EG_TRY(eg_gaps_add(f->gaps, low, high, error));
    return note_bad_node(f->repair, node, error);
}

engram_status eg_repair_find_gaps(eg_repair *r, eg_root *root, eg_gaps *gaps, engram_error *error)
{
    finding f = {r, gaps};
    const eg_tree_salvage salvage = {&f, pass_entry, take_gap};
    return eg_root_salvage(root, &salvage, error);
}

/* ---- one version from the others ---- */

/* Every other version as it was found, those before number first, nearest first. */
static eg_fallback *list_fallbacks(const eg_repair *r, size_t index, size_t *count)
{
    eg_fallback *list = eg_alloc((r->version_count + 1) * sizeof *list);
    *count = 0;
    for (size_t i = index; list != NULL && i > 0; i--)
        list[(*count)++] = (eg_fallback){r->versions[i - 1].number, r->versions[i - 1].root};
    for (size_t i = index + 1; list != NULL && i < r->version_count; i++)
        list[(*count)++] = (eg_fallback){r->versions[i].number, r->versions[i].root};
    return list;
}

static engram_status mend_with(eg_repair *r, size_t index, eg_mending *plan, eg_root **root,
                               uint64_t *changes, engram_error *error)
{
    eg_fallback *list = list_fallbacks(r, index, &plan->fallback_count);
    if (list == NULL)
        return eg_repair_no_memory(error);
    plan->fallbacks = list;
    engram_status status = eg_repair_mend(r, plan, root, changes, error);
    eg_free(list);
    return status;
}

static void replace_root(eg_repair_version *v, eg_root *root)
{
    if (v->found == NULL)
        v->found = v->root;
    else
        eg_root_release(v->root);
    v->root = root;
}

/* Its readable entries and what others know in place of the rest. */
static engram_status rebuild(eg_repair *r, size_t index, engram_error *error)
{
    eg_repair_version *v = &r->versions[index];
    eg_root *root = NULL;
    size_t count;
    uint64_t changes;
    eg_mending plan = {.number = v->number, .made = v->number, .time_ns = v->time_ns};
    eg_fallback *list = list_fallbacks(r, index, &count);
    if (list == NULL)
        return eg_repair_no_memory(error);
    engram_status status = eg_repair_rebuild(r, v->root, v->number, list, count, &root, error);
    eg_free(list);
    EG_TRY(status);
    replace_root(v, root);
    r->broken = true;
    r->done->versions_rebuilt++;
    return mend_with(r, index, &plan, &v->root, &changes, error);
}

engram_status eg_repair_settle_base(eg_repair *r, engram_error *error)
{
    eg_gaps gaps = {0};
    size_t index = r->version_count - 1, before = r->bad_node_count;
    engram_status status = eg_repair_find_gaps(r, r->versions[index].root, &gaps, error);
    bool whole = gaps.count == 0;
    eg_gaps_fini(&gaps);
    if (status != ENGRAM_OK || whole)
        return status;
    for (size_t i = before; i < r->bad_node_count; i++)
        eg_repair_say(r, "tree/%s: the node at %" PRIu64 " (%u bytes) is damaged",
                      eg_nodes_file_name(r->nodes), eg_nodes_offset_of(r->bad_nodes[i].address),
                      r->bad_nodes[i].size);
    eg_repair_say(r, "version %" PRIu64 ": rebuilt from its readable nodes and from other versions",
                  r->versions[index].number);
    eg_repair_lose(r,
                   "version %" PRIu64
                   ": files and changes that only its damaged nodes held are lost; how many cannot be told",
                   r->versions[index].number);
    return rebuild(r, index, error);
}

/* ---- by difference ---- */

typedef struct patch {
    eg_builder builder;
    eg_tree_totals totals; /* of the version on which it goes */
    bool has_totals;
} patch;

static engram_status patch_totals(patch *p, const eg_view *from, const eg_view *to,
                                  engram_error *error)
{
    eg_tree_totals a, b, *t = &p->totals;
    uint8_t value[48];
    if (from == NULL || to == NULL || !p->has_totals || !eg_totals_decode(*from, &a) ||
        !eg_totals_decode(*to, &b))
        return ENGRAM_OK;
    if (b.next_inode > t->next_inode)
        t->next_inode = b.next_inode;
    t->files += b.files - a.files;
    t->directories += b.directories - a.directories;
    t->links += b.links - a.links;
    t->others += b.others - a.others;
    t->bytes_logical += b.bytes_logical - a.bytes_logical;
    eg_totals_encode(t, value);
    eg_key key = eg_key_totals();
    return eg_builder_put(&p->builder, eg_key_view(&key), (eg_view){value, sizeof value}, error);
}

static engram_status patch_key(void *context, eg_view key, const eg_view *from, const eg_view *to,
                               engram_error *error)
{
    patch *p = context;
    if (key.size == 1 && key.data[0] == 'S')
        return patch_totals(p, from, to, error);
    return to != NULL ? eg_builder_put(&p->builder, key, *to, error)
                      : eg_builder_remove(&p->builder, key, error);
}

/* The next newer version that stays; there is one, since the checkpoint's does. */
static const eg_repair_version *next_of(const eg_repair *r, size_t index)
{
    const eg_repair_version *next = &r->versions[index + 1];
    while (next->lost)
        next++;
    return next;
}

/* What v was, on top of what became of the next newer one. ENGRAM_DAMAGED: the difference cannot be read. */
static engram_status patch_version(eg_repair *r, const eg_repair_version *next,
                                   eg_repair_version *v, engram_error *error)
{
    patch p = {0};
    eg_root *root = NULL, *found = next->found != NULL ? next->found : next->root;
    engram_error inner = {0};
    engram_status status = eg_fs_totals(next->root, &p.totals, &inner);
    if (eg_repair_is_end(status))
        return eg_fail(error, status, "%s", inner.message);
    p.has_totals = status == ENGRAM_OK;
    inner = (engram_error){0};
    EG_TRY(eg_builder_begin(&p.builder, r, next->root, error));
    status = eg_root_diff(found, v->root, patch_key, &p, &inner);
    if (status != ENGRAM_OK && status != ENGRAM_DAMAGED)
        eg_fail(error, status, "%s", inner.message);
    if (status == ENGRAM_OK)
        status = eg_builder_finish(&p.builder, &root, error);
    eg_builder_abort(&p.builder);
    if (status == ENGRAM_OK)
        replace_root(v, root);
    return status;
}

static engram_status ignore(void *context, eg_view key, const eg_view *from, const eg_view *to,
                            engram_error *error)
{
    (void)context, (void)key, (void)from, (void)to, (void)error;
    return ENGRAM_OK;
}

/* Whether v lacks nodes. Told by the difference where that can be read: what both share is the same. */
static engram_status lacks_nodes(eg_repair *r, const eg_repair_version *next,
                                 const eg_repair_version *v, bool *lacks, engram_error *error)
{
    engram_error inner = {0};
    eg_gaps gaps = {0};
    eg_root *found = next->found != NULL ? next->found : next->root;
    engram_status status = v->keep ? ENGRAM_DAMAGED
                                   : eg_root_diff(found, v->root, ignore, NULL, &inner);
    *lacks = next->found != NULL;
    if (status == ENGRAM_OK)
        return ENGRAM_OK;
    if (status != ENGRAM_DAMAGED)
        return eg_fail(error, status, "%s", inner.message);
    status = eg_repair_find_gaps(r, v->root, &gaps, error);
    *lacks = gaps.count != 0;
    eg_gaps_fini(&gaps);
    return status;
}

static engram_status restore_version(eg_repair *r, size_t index, engram_error *error)
{
    eg_repair_version *v = &r->versions[index];
    engram_error inner = {0};
    engram_status status = patch_version(r, next_of(r, index), v, &inner);
    if (status == ENGRAM_OK) {
        r->broken = true;
        r->done->versions_rebuilt++;
        return ENGRAM_OK;
    }
    if (status != ENGRAM_DAMAGED)
        return eg_fail(error, status, "%s", inner.message);
    if (v->keep) {
        eg_repair_say(r, "version %" PRIu64 ": rebuilt from its readable nodes and from others",
                      v->number);
        return rebuild(r, index, error);
    }
    v->lost = r->broken = true;
    r->done->versions_lost++;
    eg_repair_lose(r, "version %" PRIu64 " lacks nodes and is no longer retained", v->number);
    return ENGRAM_OK;
}

/* ---- history ---- */

/* Snapshots of the newest version are what is kept, beside labels. */
static engram_status note_named(eg_repair *r, engram_error *error)
{
    uint64_t *numbers = NULL;
    size_t count = 0;
    engram_status status = eg_engram_named_versions(r->versions[r->version_count - 1].root,
                                                    &numbers, &count, error);
    for (size_t i = 0; i < r->version_count; i++)
        for (size_t j = 0; j < count; j++)
            r->versions[i].keep |= r->versions[i].number == numbers[j];
    eg_free(numbers);
    return status;
}

static engram_status mend_old(eg_repair *r, size_t index, engram_error *error)
{
    eg_repair_version *v = &r->versions[index];
    eg_root *root = eg_root_retain(v->root);
    uint64_t changes = 0;
    eg_mending plan = {.number = v->number, .made = v->number, .time_ns = v->time_ns};
    engram_status status = mend_with(r, index, &plan, &root, &changes, error);
    if (status != ENGRAM_OK || changes == 0) {
        eg_root_release(root);
        return status;
    }
    replace_root(v, root);
    r->broken = true;
    eg_repair_say(r, "version %" PRIu64 ": %" PRIu64 " entries brought into agreement", v->number,
                  changes);
    return ENGRAM_OK;
}

/* What verify looks at in full: versions that are kept for ever, and the oldest. */
static engram_status mend_history(eg_repair *r, engram_error *error)
{
    bool is_oldest = true;
    for (size_t i = 0; i + 1 < r->version_count; i++) {
        const eg_repair_version *v = &r->versions[i];
        if (v->lost || !v->listed)
            continue;
        if (v->keep || is_oldest)
            EG_TRY(mend_old(r, i, error));
        is_oldest = false;
    }
    return ENGRAM_OK;
}

engram_status eg_repair_settle_history(eg_repair *r, size_t base, engram_error *error)
{
    uint64_t rebuilt = r->done->versions_rebuilt;
    EG_TRY(note_named(r, error));
    for (size_t i = base; i > 0; i--) {
        bool lacks;
        EG_TRY(lacks_nodes(r, next_of(r, i - 1), &r->versions[i - 1], &lacks, error));
        if (lacks)
            EG_TRY(restore_version(r, i - 1, error));
    }
    if (r->done->versions_rebuilt > rebuilt)
        eg_repair_say(r, "%" PRIu64 " retained versions are rebuilt",
                      r->done->versions_rebuilt - rebuilt);
    return mend_history(r, error);
}

/* ---- the newest ---- */

static bool is_retained(const eg_repair *r, uint64_t number)
{
    for (size_t i = 0; i < r->version_count; i++)
        if (r->versions[i].number == number)
            return !r->versions[i].lost;
    return false;
}

/* Names of snapshots whose versions are gone. */
static engram_status drop_snapshot(eg_mending *m, eg_view key, eg_view value, engram_error *error)
{
    if (value.size == EG_SNAPSHOT_VALUE_SIZE && is_retained(m->repair, eg_get_u64(value.data)))
        return ENGRAM_OK;
    eg_repair_lose(m->repair, "snapshot '%.*s': its version is not there any more",
                   (int)(key.size - 1), (const char *)key.data + 1);
    return eg_builder_remove(&m->builder, key, error);
}

static engram_status drop_snapshots(eg_repair *r, eg_root **root, uint64_t *changes,
                                    engram_error *error)
{
    eg_mending m = {.repair = r, .root = *root};
    engram_status status = eg_mend_pass(&m, 'N', drop_snapshot, NULL, error);
    *root = m.root;
    *changes += m.changes;
    return status;
}

/* What changes it becomes a version of its own: the state that had that number stays what it was. So it does, with a
 * number above all that may have been, where a part of the journal is lost. */
engram_status eg_repair_settle_newest(eg_repair *r, size_t base, engram_error *error)
{
    size_t index = r->version_count - 1;
    eg_repair_version *v = &r->versions[index];
    bool is_rebuilt = r->versions[base].found != NULL;
    uint64_t changes = 0;
    uint64_t time_ns = eg_clock_wall_ns();
    eg_mending plan = {.number = v->number,
                       .made = v->number + r->versions_lost + 1,
                       .time_ns = time_ns,
                       .tells = true};
    eg_root *root = eg_root_retain(v->root);
    engram_status status = mend_with(r, index, &plan, &root, &changes, error);
    if (status == ENGRAM_OK)
        status = drop_snapshots(r, &root, &changes, error);
    if (status != ENGRAM_OK || (changes == 0 && !is_rebuilt && r->versions_lost == 0)) {
        eg_root_release(root);
        return status;
    }
    r->broken = true;
    if (!v->keep)
        v->lost = true; /* in its state nobody needs it */
    eg_repair_say(r, "what the newest version is from now on is version %" PRIu64, plan.made);
    return eg_repair_add_version(r, plan.made, time_ns, root, (eg_view){0}, error);
}
