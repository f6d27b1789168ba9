/* Versions: publishing, pinning, and the two places where older ones are: the list of those since
 * the last checkpoint, in memory, and the catalog, a tree of its own. */
#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/status.h"
#include "engram/internal.h"
#include "engram/time_text.h"

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
}

/* ---- publishing ---- */

/* Room in the retained list for this version and all that wait before it. */
static bool reserve_retained(eg_engram *e)
{
    size_t waiting = 1;
    for (const eg_pending *p = e->pending; p != NULL; p = p->next)
        waiting++;
    pthread_mutex_lock(&e->history_lock);
    bool done = eg_grow((void **)&e->retained, &e->retained_capacity, e->retained_count + waiting,
                        sizeof *e->retained);
    pthread_mutex_unlock(&e->history_lock);
    return done;
}

static void drop_published(eg_published *published)
{
    eg_publication only = {0};
    eg_publication_set(&only, published);
    eg_publication_set(&only, NULL);
}

void eg_pending_free(eg_pending *pending)
{
    if (pending == NULL)
        return;
    if (pending->published != NULL)
        drop_published(pending->published);
    eg_free(pending->live.ids);
    eg_free(pending->dead.ids);
    eg_free(pending->label);
    eg_free(pending);
}

engram_status eg_pending_create(eg_engram *e, eg_root *root, uint64_t version, uint64_t time_ns,
                                eg_apply *apply, eg_pending **pending, engram_error *error)
{
    *pending = NULL;
    eg_published *published = eg_published_create(version, time_ns, root);
    if (published == NULL) {
        eg_root_release(root);
        return no_memory(error);
    }
    eg_pending *made = eg_alloc_zero(1, sizeof *made);
    if (made == NULL) {
        drop_published(published);
        return no_memory(error);
    }
    *made = (eg_pending){.version = version,
                         .time_ns = time_ns,
                         .published = published,
                         .keep = apply->keep,
                         .label_size = apply->labelled ? apply->label.size : 0};
    made->label = eg_memdup(apply->label.data, made->label_size);
    if (made->label == NULL || !reserve_retained(e)) {
        eg_pending_free(made);
        return no_memory(error);
    }
    made->live = apply->live;
    made->dead = apply->dead;
    apply->live = apply->dead = (eg_ids){0};
    *pending = made;
    return ENGRAM_OK;
}

static void release_retained(eg_retained *r)
{
    eg_root_release(r->root);
    eg_free(r->label);
}

static uint64_t dirty_max(const eg_engram *e)
{
    return e->options.dirty_size != 0 ? e->options.dirty_size : (uint64_t)32 << 20;
}

/* Every other one of those that nothing keeps goes, so that the rest stays spread over time. */
static void thin_once(eg_engram *e)
{
    size_t kept = 0;
    bool drop = false;
    for (size_t i = 0; i < e->retained_count; i++) {
        eg_retained *r = &e->retained[i];
        drop = !r->keep && !drop;
        if (drop)
            release_retained(r);
        else
            e->retained[kept++] = *r;
    }
    e->retained_count = kept;
}

/* Under history_lock. Retained trees hold the nodes that later commits have replaced. */
static void thin(eg_engram *e)
{
    enum { RETAINED_MAX = 1024 };
    bool much = eg_nodes_unwritten_size(e->nodes) > dirty_max(e) / 2;
    size_t loose = 0;
    for (size_t i = 0; much && i < e->retained_count; i++)
        loose += !e->retained[i].keep;
    if (e->retained_count > RETAINED_MAX || loose > 16)
        thin_once(e);
}

/* Under pending_lock. */
void eg_engram_publish(eg_engram *e, eg_pending *p)
{
    pthread_mutex_lock(&e->history_lock);
    thin(e);
    e->retained[e->retained_count++] = (eg_retained){.number = p->version,
                                                     .time_ns = p->time_ns,
                                                     .root = eg_root_retain(p->published->root),
                                                     .keep = p->keep,
                                                     .label = p->label,
                                                     .label_size = p->label_size};
    pthread_mutex_unlock(&e->history_lock);
    eg_publication_set(&e->newest, p->published);
    p->published = NULL;
    p->label = NULL;
    eg_pending_free(p);
}

/* ---- pinning ---- */

engram_status eg_engram_pin(eg_engram *engram, eg_version *version, engram_error *error)
{
    (void)error;
    eg_published *p = eg_publication_get(&engram->newest);
    *version = (eg_version){p->version, p->time_ns, p->root, p};
    return ENGRAM_OK;
}

void eg_version_release(eg_version *version)
{
    if (version->held != NULL)
        eg_published_release(version->held);
    else
        eg_root_release(version->root);
    *version = (eg_version){0};
}

eg_key eg_key_catalog(uint64_t number)
{
    eg_key key = eg_key_inode(number);
    key.bytes[0] = 'V';
    return key;
}

static engram_status open_entry(eg_engram *e, uint64_t number, eg_view value, eg_version *version,
                                engram_error *error)
{
    if (value.size < EG_CATALOG_FIXED)
        return eg_fail(error, ENGRAM_DAMAGED,
                       "the catalog entry of version %" PRIu64 " cannot be read; run engram verify",
                       number);
    eg_node_ref ref = {eg_get_u64(value.data + 8), eg_get_u32(value.data + 16)};
    *version = (eg_version){.number = number, .time_ns = eg_get_u64(value.data)};
    return eg_root_open(e->nodes, ref, &version->root, error);
}

/* What can be pinned around a number: at or before it, and after it; 0: none. */
typedef struct neighbours {
    uint64_t wanted, before, after;
} neighbours;

static void note_neighbour(neighbours *n, uint64_t number)
{
    if (number <= n->wanted && number > n->before)
        n->before = number;
    if (number > n->wanted && (n->after == 0 || number < n->after))
        n->after = number;
}

static engram_status note_visit(void *context, const engram_retained *retained, engram_error *error)
{
    (void)error;
    note_neighbour(context, retained->version);
    return ENGRAM_OK;
}

static engram_status not_retained(eg_engram *e, uint64_t number, engram_error *error)
{
    neighbours n = {.wanted = number};
    char before[48] = "", after[48] = "";
    EG_TRY(engram_versions(e, note_visit, &n, error));
    if (n.before != 0)
        snprintf(before, sizeof before, " the one before it is %" PRIu64, n.before);
    if (n.after != 0)
        snprintf(after, sizeof after, "%s the one after it is %" PRIu64, n.before != 0 ? "," : "",
                 n.after);
    return eg_fail(error, ENGRAM_NOT_FOUND,
                   "version %" PRIu64 " is not retained:%s%s; engram info lists them", number,
                   before, after);
}

/* From the list of those since the last checkpoint. *catalog: as of the same moment, retained, when it is not there. */
static bool find_retained(eg_engram *e, uint64_t number, eg_version *version, eg_root **catalog)
{
    bool found = false;
    pthread_mutex_lock(&e->history_lock);
    for (size_t i = e->retained_count; i > 0 && !found; i--) {
        eg_retained *r = &e->retained[i - 1];
        found = r->number == number;
        if (found)
            *version = (eg_version){number, r->time_ns, eg_root_retain(r->root), NULL};
    }
    *catalog = found ? NULL : eg_root_retain(e->catalog);
    pthread_mutex_unlock(&e->history_lock);
    return found;
}

static bool is_catalog(eg_engram *e, const eg_root *catalog)
{
    pthread_mutex_lock(&e->history_lock);
    bool is = e->catalog == catalog;
    pthread_mutex_unlock(&e->history_lock);
    return is;
}

/* *is_stale: a checkpoint has changed the catalog meanwhile, and may have let go of the version. Whoever looks for
 * what can be read looks at the catalog first: it has found the version there, or finds it among the roots. */
static engram_status pin_entry(eg_engram *e, uint64_t number, eg_version *version, bool *is_stale,
                               engram_error *error)
{
    eg_root *catalog;
    eg_buffer value = {0};
    eg_key key = eg_key_catalog(number);
    *is_stale = false;
    if (find_retained(e, number, version, &catalog))
        return ENGRAM_OK;
    engram_status status = eg_root_get(catalog, eg_key_view(&key), &value, error);
    if (status == ENGRAM_OK)
        status = open_entry(e, number, (eg_view){value.data, value.size}, version, error);
    eg_buffer_fini(&value);
    if (status == ENGRAM_OK && !is_catalog(e, catalog)) {
        eg_version_release(version);
        *is_stale = true;
    }
    eg_root_release(catalog);
    return status;
}

engram_status eg_engram_pin_number(eg_engram *e, uint64_t number, eg_version *version,
                                   engram_error *error)
{
    engram_status status;
    bool is_stale;
    EG_TRY(eg_engram_pin(e, version, error));
    if (version->number == number)
        return ENGRAM_OK;
    eg_version_release(version);
    do
        status = pin_entry(e, number, version, &is_stale, error);
    while (is_stale);
    return status == ENGRAM_NOT_FOUND ? not_retained(e, number, error) : status;
}

static engram_status pin_snapshot(eg_engram *e, const char *name, uint64_t *number,
                                  engram_error *error)
{
    eg_version newest;
    eg_buffer value = {0};
    size_t size = strlen(name);
    if (size == 0 || size > EG_NAME_MAX)
        return eg_fail(error, ENGRAM_NOT_FOUND, "no version, time or snapshot: %s", name);
    eg_key key = eg_key_snapshot((eg_view){(const uint8_t *)name, size});
    EG_TRY(eg_engram_pin(e, &newest, error));
    engram_status status = eg_root_get(newest.root, eg_key_view(&key), &value, error);
    if (status == ENGRAM_OK && value.size == EG_SNAPSHOT_VALUE_SIZE)
        *number = eg_get_u64(value.data);
    else if (status == ENGRAM_OK)
        status = eg_fail(error, ENGRAM_DAMAGED, "snapshot '%s' cannot be read; run engram verify",
                         name);
    else if (status == ENGRAM_NOT_FOUND)
        eg_fail(error, status,
                "'%s' is no version, no time and no snapshot; engram snapshot list shows them",
                name);
    eg_buffer_fini(&value);
    eg_version_release(&newest);
    return status;
}

typedef struct at_time {
    uint64_t time_ns, number, first;
} at_time;

static engram_status at_time_visit(void *context, const engram_retained *r, engram_error *error)
{
    at_time *t = context;
    (void)error;
    if (t->first == 0)
        t->first = r->time_ns;
    if (r->time_ns <= t->time_ns)
        t->number = r->version;
    return ENGRAM_OK;
}

engram_status eg_engram_pin_at(eg_engram *e, const char *text, eg_version *version,
                               engram_error *error)
{
    uint64_t number;
    at_time t = {.number = UINT64_MAX};
    if (text == NULL || *text == 0)
        return eg_engram_pin(e, version, error);
    if (eg_text_number(text, &number))
        return eg_engram_pin_number(e, number, version, error);
    if (!eg_text_time_parse(text, &t.time_ns)) {
        EG_TRY(pin_snapshot(e, text, &number, error));
        return eg_engram_pin_number(e, number, version, error);
    }
    EG_TRY(engram_versions(e, at_time_visit, &t, error));
    if (t.number == UINT64_MAX)
        return eg_fail(error, ENGRAM_NOT_FOUND, "nothing is retained from before %s", text);
    return eg_engram_pin_number(e, t.number, version, error);
}

/* ---- listing ---- */

typedef struct snapshot_names { /* name by version */
    struct { uint64_t version; char *name; } *list;
    size_t count, capacity;
} snapshot_names;

static engram_status collect_name(void *context, const char *name, uint64_t version,
                                  uint64_t time_ns, engram_error *error)
{
    snapshot_names *names = context;
    (void)time_ns;
    char *copy = eg_strdup(name);
    if (copy == NULL || !eg_grow((void **)&names->list, &names->capacity, names->count + 1,
                                 sizeof *names->list)) {
        eg_free(copy);
        return no_memory(error);
    }
    names->list[names->count].version = version;
    names->list[names->count++].name = copy;
    return ENGRAM_OK;
}

static const char *name_of(const snapshot_names *names, uint64_t version)
{
    for (size_t i = 0; i < names->count; i++)
        if (names->list[i].version == version)
            return names->list[i].name;
    return "";
}

static void names_fini(snapshot_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        eg_free(names->list[i].name);
    eg_free(names->list);
}

typedef struct listing {
    engram_retained_visit *visit;
    void *context;
    snapshot_names names;
    uint64_t newest, last; /* last: the highest number told, if any was */
    bool any;
} listing;

static engram_status tell(listing *l, uint64_t number, uint64_t time_ns, eg_view label,
                          engram_error *error)
{
    char text[1024];
    size_t size = label.size < sizeof text - 1 ? label.size : sizeof text - 1;
    if (size != 0)
        memcpy(text, label.data, size);
    text[size] = 0;
    engram_retained r = {.version = number,
                         .time_ns = time_ns,
                         .label = text,
                         .snapshot = name_of(&l->names, number),
                         .newest = number == l->newest};
    l->last = number;
    l->any = true;
    return l->visit(l->context, &r, error);
}

static engram_status tell_catalog(listing *l, eg_root *catalog, engram_error *error)
{
    eg_cursor *cursor = NULL;
    EG_TRY(eg_cursor_open(catalog, &cursor, error));
    engram_status status = eg_cursor_seek(cursor, (eg_view){(const uint8_t *)"V", 1}, error);
    bool at_end = status == ENGRAM_NOT_FOUND;
    while (status == ENGRAM_OK) {
        eg_view key = eg_cursor_key(cursor), value = eg_cursor_value(cursor);
        if (key.size != 9 || value.size < EG_CATALOG_FIXED)
            status =
                eg_fail(error, ENGRAM_DAMAGED, "a catalog entry cannot be read; run engram verify");
        else
            status = tell(l, eg_get_be64(key.data + 1), eg_get_u64(value.data),
                          (eg_view){value.data + EG_CATALOG_FIXED, value.size - EG_CATALOG_FIXED},
                          error);
        if (status == ENGRAM_OK) {
            status = eg_cursor_next(cursor, error);
            at_end = status == ENGRAM_NOT_FOUND;
        }
    }
    eg_cursor_close(&cursor);
    return at_end ? ENGRAM_OK : status;
}

/* A copy of the list in memory, labels included, so that visits run without a lock. */
static engram_status copy_retained(eg_engram *e, eg_retained **list, size_t *count,
                                   eg_root **catalog, engram_error *error)
{
    engram_status status = ENGRAM_OK;
    pthread_mutex_lock(&e->history_lock);
    *count = 0;
    *list = eg_alloc_zero(e->retained_count + 1, sizeof **list);
    for (size_t i = 0; *list != NULL && i < e->retained_count && status == ENGRAM_OK; i++) {
        eg_retained *r = &(*list)[(*count)++];
        *r = e->retained[i];
        r->root = NULL;
        r->label = eg_memdup(r->label, r->label_size);
        if (r->label == NULL)
            status = no_memory(error);
    }
    *catalog = eg_root_retain(e->catalog);
    pthread_mutex_unlock(&e->history_lock);
    return *list == NULL ? no_memory(error) : status;
}

engram_status engram_versions(eg_engram *e, engram_retained_visit *visit, void *context,
                              engram_error *error)
{
    listing l = {.visit = visit, .context = context};
    eg_retained *list = NULL;
    size_t count = 0;
    eg_root *catalog = NULL;
    eg_version newest;
    engram_status status = engram_snapshots(e, collect_name, &l.names, error);
    if (status == ENGRAM_OK)
        status = copy_retained(e, &list, &count, &catalog, error);
    eg_engram_pin(e, &newest, error); /* after the list, so that nothing in that is newer */
    l.newest = newest.number;
    if (status == ENGRAM_OK)
        status = tell_catalog(&l, catalog, error);
    for (size_t i = 0; i < count && status == ENGRAM_OK; i++)
        if (!l.any || list[i].number > l.last)
            status = tell(&l, list[i].number, list[i].time_ns,
                          (eg_view){(uint8_t *)list[i].label, list[i].label_size}, error);
    if (status == ENGRAM_OK && (!l.any || l.last < newest.number))
        status = tell(&l, newest.number, newest.time_ns, (eg_view){0}, error);
    for (size_t i = 0; i < count; i++)
        eg_free(list[i].label);
    eg_free(list);
    eg_root_release(catalog);
    names_fini(&l.names);
    eg_version_release(&newest);
    return status;
}

typedef struct label_context {
    eg_engram_label *label;
    void *context;
} label_context;

static engram_status tell_label(void *context, const engram_retained *r, engram_error *error)
{
    label_context *c = context;
    eg_view label = {(const uint8_t *)r->label, strlen(r->label)};
    return label.size == 0 ? ENGRAM_OK
                           : c->label(c->context, r->version, r->time_ns, label, error);
}

engram_status eg_engram_labels(eg_engram *engram, eg_engram_label *label, void *context,
                               engram_error *error)
{
    label_context c = {label, context};
    return engram_versions(engram, tell_label, &c, error);
}
