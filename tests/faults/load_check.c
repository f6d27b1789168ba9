#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "faults/load.h"

typedef struct checking {
    const char *name;
    engram_view *view;
    char *why;
    size_t size;
} checking;

__attribute__((format(printf, 2, 3))) static bool differs(checking *c, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(c->why, c->size, format, arguments);
    va_end(arguments);
    return false;
}

static bool check_content(checking *c, const char *path, const load_file *f)
{
    engram_error error = {0};
    size_t got = 0, differing = 0;
    uint8_t *bytes = malloc(f->size + 1);
    if (bytes == NULL)
        abort();
    engram_status status = engram_read(c->view, path, 0, bytes, f->size + 1, &got, &error);
    while (status == ENGRAM_OK && differing < f->size && differing < got &&
           bytes[differing] == f->bytes[differing])
        differing++;
    free(bytes);
    if (status != ENGRAM_OK)
        return differs(c, "%s cannot be read: %s", path, error.message);
    if (got != f->size || differing != got)
        return differs(c, "%s has %zu bytes, expected %zu; they differ at %zu", path, got, f->size,
                       differing);
    return true;
}

static bool check_file(checking *c, int slot, const load_file *f)
{
    struct engram_stat stat;
    engram_error error = {0};
    char path[64];
    load_path(path, c->name, slot);
    engram_status status = engram_stat(c->view, path, &stat, &error);
    if (status == ENGRAM_NOT_FOUND)
        return !f->there || differs(c, "%s is missing", path);
    if (status != ENGRAM_OK)
        return differs(c, "%s: %s", path, error.message);
    if (!f->there)
        return differs(c, "%s is there, as of version %" PRIu64, path, stat.version);
    if (stat.kind != ENGRAM_KIND_FILE || stat.size != f->size)
        return differs(c, "%s has size %" PRIu64 ", expected %zu", path, stat.size, f->size);
    if (f->version != 0 && stat.version != f->version)
        return differs(c, "%s is of version %" PRIu64 ", expected %" PRIu64, path, stat.version,
                       f->version);
    return check_content(c, path, f);
}

static bool check_directory(checking *c, int directory, bool there)
{
    struct engram_stat stat;
    engram_error error = {0};
    char path[64];
    load_directory_path(path, c->name, directory);
    engram_status status = engram_stat(c->view, path, &stat, &error);
    if (status != ENGRAM_OK && status != ENGRAM_NOT_FOUND)
        return differs(c, "%s: %s", path, error.message);
    bool found = status == ENGRAM_OK && stat.kind == ENGRAM_KIND_DIRECTORY;
    return found == there || differs(c, "%s is %s", path, found ? "there" : "missing");
}

static engram_status count_entry(void *context, const char *path, const struct engram_stat *stat,
                                 engram_error *error)
{
    (void)path, (void)stat, (void)error;
    ++*(int *)context;
    return ENGRAM_OK;
}

/* Nothing else is there. */
static bool check_listing(checking *c, const load_tree *tree)
{
    engram_error error = {0};
    int found = 0, expected = 0;
    engram_status status = engram_list(c->view, c->name, NULL, count_entry, &found, &error);
    if (status != ENGRAM_OK && status != ENGRAM_NOT_FOUND)
        return differs(c, "%s cannot be listed: %s", c->name, error.message);
    for (int i = 0; i < LOAD_SLOTS; i++)
        expected += tree->files[i].there;
    for (int i = 0; i < LOAD_DIRECTORIES; i++)
        expected += tree->directory[i];
    return found == expected ||
           differs(c, "%s holds %d entries, expected %d", c->name, found, expected);
}

static bool check_tree(checking *c, const load_tree *tree)
{
    for (int i = 0; i < LOAD_DIRECTORIES; i++)
        if (!check_directory(c, i, tree->directory[i]))
            return false;
    for (int i = 0; i < LOAD_SLOTS; i++)
        if (!check_file(c, i, &tree->files[i]))
            return false;
    return check_listing(c, tree);
}

static bool read_numbers(checking *c, const char *path, uint64_t *numbers, size_t count)
{
    engram_error error = {0};
    size_t size = count * sizeof *numbers, got = 0;
    memset(numbers, 0, size);
    engram_status status = engram_read(c->view, path, 0, numbers, size, &got, &error);
    if (status != ENGRAM_OK && status != ENGRAM_NOT_FOUND)
        return differs(c, "%s: %s", path, error.message);
    return got == size || got == 0 || differs(c, "%s has %zu bytes", path, got);
}

static bool check_counts(checking *c, const load *l)
{
    char path[64];
    uint64_t counts[LOAD_COUNTERS];
    snprintf(path, sizeof path, "counts/%s", l->name);
    if (!read_numbers(c, path, counts, LOAD_COUNTERS))
        return false;
    for (int i = 0; i < LOAD_COUNTERS; i++)
        if (counts[i] != l->counts[i])
            return differs(c, "%s: counter %d is %" PRIu64 ", expected %" PRIu64, path, i,
                           counts[i], l->counts[i]);
    return true;
}

static bool check_snapshot(struct engram *e, checking *c, const load *l)
{
    char name[64];
    engram_error error = {0};
    snprintf(name, sizeof name, "%s-snap", l->name);
    engram_status status = engram_pin_at(e, name, &c->view, &error);
    if (status == ENGRAM_NOT_FOUND)
        return !l->snapped || differs(c, "snapshot %s: %s", name, error.message);
    if (status != ENGRAM_OK)
        return differs(c, "snapshot %s: %s", name, error.message);
    bool same = l->snapped ? check_tree(c, &l->then) : differs(c, "snapshot %s is there", name);
    engram_unpin(&c->view);
    return same;
}

static bool pin(struct engram *e, checking *c)
{
    engram_error error = {0};
    return engram_pin(e, &c->view, &error) == ENGRAM_OK ||
           differs(c, "the newest version cannot be pinned: %s", error.message);
}

bool load_check(struct engram *e, const load *l, char *why, size_t size)
{
    checking c = {.name = l->name, .why = why, .size = size};
    if (!pin(e, &c))
        return false;
    bool same = check_tree(&c, &l->now) && check_counts(&c, l);
    engram_unpin(&c.view);
    return same && check_snapshot(e, &c, l);
}

bool load_check_counters(struct engram *e, const load *loads, size_t count, char *why, size_t size)
{
    checking c = {.why = why, .size = size};
    bool same = pin(e, &c);
    for (int i = 0; i < LOAD_COUNTERS && same; i++) {
        char path[64];
        uint64_t value, sum = 0;
        snprintf(path, sizeof path, "shared/c%d", i);
        same = read_numbers(&c, path, &value, 1);
        for (size_t j = 0; j < count; j++)
            sum += loads[j].counts[i];
        if (same && value != sum)
            same = differs(&c, "%s is %" PRIu64 ", the loads counted %" PRIu64, path, value, sum);
    }
    engram_unpin(&c.view);
    return same;
}
