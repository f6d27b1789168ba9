#include "crash/dump.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "crash/fixed_world.h"
#include "crash/util.h"

typedef struct dump {
    eg_engram *engram;
    const eg_version *version;
    tree *out;
    char path[64]; /* of the directory at hand */
} dump;

static engram_status hash_content(eg_engram *engram, const eg_version *version, uint64_t number,
                                  tree_entry *entry, engram_error *error)
{
    size_t got = 0;
    if (entry->size > (64 << 20))
        return eg_fail(error, ENGRAM_DAMAGED, "%s is too large", entry->path);
    uint8_t *bytes = crash_alloc((size_t)entry->size + 1);
    engram_status status =
        eg_engram_read(engram, version, number, 0, bytes, (size_t)entry->size + 1, &got, error);
    if (status == ENGRAM_OK && got != entry->size)
        status = eg_fail(error, ENGRAM_DAMAGED, "%s has %zu bytes, not %zu", entry->path, got,
                         (size_t)entry->size);
    if (status == ENGRAM_OK)
        entry->hash = hash_of(bytes, got);
    free(bytes);
    return status;
}

/* Times of the clock, rather than of the workload, say nothing. */
static int64_t known_time(int64_t seconds)
{
    return seconds < FIXED_WORLD_BEGINS ? seconds : 0;
}

static engram_status add_attribute(void *context, eg_view name, eg_view value, engram_error *error)
{
    tree_entry *entry = context;
    (void)error;
    entry->attributes = hash_attribute(entry->attributes, name, value);
    return ENGRAM_OK;
}

static engram_status dump_entry(void *context, eg_view name, uint64_t number, eg_inode_kind kind,
                                engram_error *error)
{
    dump *d = context;
    tree_entry entry = {.kind = (uint8_t)kind};
    eg_inode inode;
    eg_buffer scratch = {0};
    int length = snprintf(entry.path, sizeof entry.path, "%s%.*s", d->path, (int)name.size,
                          (const char *)name.data);
    if (length < 0 || (size_t)length >= sizeof entry.path - 1)
        return eg_fail(error, ENGRAM_DAMAGED, "a path that was never stored: %s", entry.path);
    engram_status status = eg_fs_get(d->version->root, number, &inode, &scratch, error);
    eg_buffer_fini(&scratch);
    EG_TRY(status);
    entry.mode = inode.mode;
    entry.uid = inode.uid;
    entry.mtime = known_time(inode.mtime.seconds);
    entry.size = inode.size;
    EG_TRY(eg_fs_attributes(d->version->root, number, add_attribute, &entry, error));
    if (kind == EG_KIND_FILE)
        EG_TRY(hash_content(d->engram, d->version, number, &entry, error));
    tree_add(d->out, &entry);
    if (kind != EG_KIND_DIRECTORY)
        return ENGRAM_OK;
    dump below = *d;
    memcpy(below.path, entry.path, sizeof below.path);
    strcat(below.path, "/");
    return eg_fs_list(d->version->root, number, dump_entry, &below, error);
}

static engram_status dump_version(eg_engram *engram, const eg_version *version, tree *out,
                                  engram_error *error)
{
    dump d = {.engram = engram, .version = version, .out = out};
    engram_status status = eg_fs_list(version->root, EG_INODE_ROOT, dump_entry, &d, error);
    tree_sort(out);
    return status;
}

engram_status engram_dump_version(eg_engram *engram, uint64_t number, tree *out,
                                  engram_error *error)
{
    eg_version version = {0};
    *out = (tree){0};
    EG_TRY(eg_engram_pin_number(engram, number, &version, error));
    engram_status status = dump_version(engram, &version, out, error);
    eg_version_release(&version);
    return status;
}

/* ---- names of versions ---- */

typedef struct name_list {
    struct {
        char kind; /* '@' or '#' */
        uint64_t number;
        char text[41];
    } names[32];
    size_t count;
} name_list;

static engram_status note_name(name_list *list, char kind, uint64_t number, const char *text,
                               size_t size, engram_error *error)
{
    if (list->count == sizeof list->names / sizeof *list->names)
        return eg_fail(error, ENGRAM_DAMAGED, "more names than were ever given");
    list->names[list->count].kind = kind;
    list->names[list->count].number = number;
    snprintf(list->names[list->count].text, sizeof list->names[0].text, "%.*s", (int)size, text);
    list->count++;
    return ENGRAM_OK;
}

static engram_status note_label(void *context, uint64_t number, uint64_t time_ns, eg_view label,
                                engram_error *error)
{
    (void)time_ns;
    return note_name(context, '@', number, (const char *)label.data, label.size, error);
}

static engram_status note_snapshot(void *context, const char *name, uint64_t version,
                                   uint64_t time_ns, engram_error *error)
{
    (void)time_ns;
    return note_name(context, '#', version, name, strlen(name), error);
}

static engram_status dump_name(eg_engram *engram, const name_list *list, size_t i, tree *out,
                               engram_error *error)
{
    tree own;
    tree_entry entry = {0};
    EG_TRY(engram_dump_version(engram, list->names[i].number, &own, error));
    entry.hash = tree_hash(&own);
    snprintf(entry.path, sizeof entry.path, "%c%llu %s", list->names[i].kind,
             (unsigned long long)list->names[i].number, list->names[i].text);
    tree_fini(&own);
    tree_set(out, &entry);
    return ENGRAM_OK;
}

engram_status engram_dump(eg_engram *engram, int64_t *version, tree *out, engram_error *error)
{
    eg_version newest = {0};
    name_list list = {.count = 0};
    *out = (tree){0};
    EG_TRY(eg_engram_pin(engram, &newest, error));
    *version = (int64_t)newest.number;
    engram_status status = dump_version(engram, &newest, out, error);
    eg_version_release(&newest);
    if (status == ENGRAM_OK)
        status = eg_engram_labels(engram, note_label, &list, error);
    if (status == ENGRAM_OK)
        status = engram_snapshots(engram, note_snapshot, &list, error);
    for (size_t i = 0; i < list.count && status == ENGRAM_OK; i++)
        status = dump_name(engram, &list, i, out, error);
    return status;
}

/* ---- rules ---- */

uint64_t rules_value(const engram_retention *r)
{
    const uint64_t parts[] = {r->every_s, r->last,    r->hourly, r->daily,
                              r->weekly,  r->monthly, r->yearly};
    return hash_of(parts, sizeof parts) | 1;
}

uint64_t engram_dump_rules(eg_engram *engram)
{
    engram_retention rules;
    engram_get_retention(engram, &rules);
    return rules_value(&rules);
}
