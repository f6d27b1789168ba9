#include "crash/trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crash/util.h"

void trace_init(trace *t, const image *base)
{
    *t = (trace){.base = image_copy(base)};
}

void trace_fini(trace *t)
{
    for (size_t i = 0; i < t->count; i++) {
        free(t->ops[i].data);
        free(t->ops[i].text);
    }
    free(t->ops);
    image_fini(&t->base);
    *t = (trace){0};
}

void trace_add(trace *t, op o)
{
    t->ops = crash_grow(t->ops, &t->capacity, t->count + 1, sizeof *t->ops);
    t->ops[t->count++] = o;
}

void trace_add_copy(trace *t, const op *o)
{
    op copy = *o;
    if (o->data != NULL)
        copy.data = memcpy(crash_alloc((size_t)o->size), o->data, (size_t)o->size);
    if (o->text != NULL)
        copy.text = strdup(o->text);
    trace_add(t, copy);
}

void op_print(const op *o, char *out, size_t size)
{
    switch (o->kind) {
    case OP_MAKE:
        snprintf(out, size, "make %s#%u as %s in #%u", o->is_dir ? "directory " : "file ", o->node,
                 o->name, o->dir);
        break;
    case OP_RENAME:
        snprintf(out, size, "rename %s to %s in #%u", o->name, o->to, o->dir);
        break;
    case OP_UNLINK:
        snprintf(out, size, "unlink %s in #%u", o->name, o->dir);
        break;
    case OP_WRITE:
    case OP_ALLOCATE:
        snprintf(out, size, "%s #%u (%s) from %" PRIu64 " to %" PRIu64,
                 o->kind == OP_WRITE ? "write" : "allocate", o->node, o->name, o->offset,
                 o->offset + o->size);
        break;
    case OP_TRUNCATE:
        snprintf(out, size, "cut #%u (%s) to %" PRIu64, o->node, o->name, o->size);
        break;
    case OP_SYNC:
        snprintf(out, size, "sync #%u (%s)", o->node, o->name);
        break;
    case OP_SYNC_DIR:
        snprintf(out, size, "sync directory #%u (%s)", o->dir, o->name);
        break;
    case OP_MARK:
        snprintf(out, size, "-- %s", o->text);
        break;
    case OP_CUT:
        snprintf(out, size, "== power cut: %s", o->text);
        break;
    }
}

/* ---- choices ---- */

enum { SECTOR = 512 };

uint32_t op_sectors(const op *o)
{
    if (o->size == 0)
        return 0;
    return (uint32_t)((o->offset + o->size - 1) / SECTOR - o->offset / SECTOR + 1);
}

static bool has_sectors(char kind)
{
    return kind == CHOICE_HEAD || kind == CHOICE_GROWN || kind == CHOICE_TAIL ||
           kind == CHOICE_SPOILT;
}

void choices_format(const choice *choices, size_t count, char *out, size_t size)
{
    size_t used = 0;
    out[0] = 0;
    for (size_t i = 0; i < count && used + 16 < size;) {
        size_t run = 1;
        char kind = choices[i].kind;
        if (has_sectors(kind)) {
            used += (size_t)snprintf(out + used, size - used, "%c%u", kind, choices[i].sectors);
            if (i + 1 < count && !has_sectors(choices[i + 1].kind))
                out[used++] = ','; /* or its count would be read as more sectors */
            out[used] = 0;
        } else {
            while (i + run < count && choices[i + run].kind == kind)
                run++;
            used += run > 1 ? (size_t)snprintf(out + used, size - used, "%zu%c", run, kind)
                            : (size_t)snprintf(out + used, size - used, "%c", kind);
        }
        i += run;
    }
}

static bool parse_run(const char **text, choice *choices, size_t count, size_t *at)
{
    char *end;
    size_t run = 1;
    *text += **text == ',';
    if (**text >= '0' && **text <= '9') {
        run = strtoul(*text, &end, 10);
        *text = end;
    }
    choice c = {.kind = **text};
    if (c.kind == 0 || strchr("kdzgtcsox", c.kind) == NULL)
        return false;
    ++*text;
    if (has_sectors(c.kind)) {
        c.sectors = (uint32_t)strtoul(*text, &end, 10);
        *text = end;
    }
    for (; run > 0; run--) {
        if (*at == count)
            return false;
        choices[(*at)++] = c;
    }
    return true;
}

bool choices_parse(const char *text, choice *choices, size_t count)
{
    size_t at = 0;
    if (strcmp(text, "all") == 0 || strcmp(text, "none") == 0) {
        for (; at < count; at++)
            choices[at] = (choice){.kind = *text == 'a' ? CHOICE_KEEP : CHOICE_DROP};
        return true;
    }
    while (*text != 0)
        if (!parse_run(&text, choices, count, &at))
            return false;
    return at == count;
}

/* ---- a disk at a step ---- */

void platter_init(platter *p, const trace *t)
{
    *p = (platter){.trace = t, .durable = image_copy(&t->base)};
}

void platter_fini(platter *p)
{
    image_fini(&p->durable);
    free(p->pending);
    *p = (platter){0};
}

static void apply_name(image *i, const op *o)
{
    if (o->kind == OP_MAKE) {
        image_link(i, o->dir, o->name, o->node);
    } else if (o->kind == OP_UNLINK) {
        image_unlink(i, o->dir, o->name);
    } else {
        image_link(i, o->to_dir, o->to, o->node);
        image_unlink(i, o->dir, o->name);
    }
}

static void write_garbage(sparse *s, uint64_t offset, uint64_t size)
{
    uint8_t block[SECTOR];
    uint64_t state = offset * 0x9e3779b97f4a7c15u + size;
    while (size > 0) {
        size_t take = size < sizeof block ? (size_t)size : sizeof block;
        for (size_t i = 0; i < take; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            block[i] = (uint8_t)(state >> 56);
        }
        sparse_write(s, offset, block, take);
        offset += take;
        size -= take;
    }
}

/* Sectors [from, to) of the write. */
static void write_sectors(sparse *s, const op *o, uint64_t from, uint64_t to)
{
    uint64_t start = o->offset / SECTOR * SECTOR;
    uint64_t first = start + from * SECTOR, last = start + to * SECTOR;
    first = first > o->offset ? first : o->offset;
    last = last < o->offset + o->size ? last : o->offset + o->size;
    if (first < last)
        sparse_write(s, first, o->data + (first - o->offset), last - first);
}

static void grow_to(sparse *s, uint64_t size)
{
    if (s->size < size)
        sparse_resize(s, size);
}

static void apply_write(sparse *s, const op *o, choice c)
{
    uint64_t end = o->offset + o->size, sectors = op_sectors(o);
    uint64_t torn = (o->offset / SECTOR + c.sectors) * SECTOR;
    switch (c.kind) {
    case CHOICE_GARBAGE:
        write_garbage(s, o->offset, o->size);
        break;
    case CHOICE_HEAD:
        write_sectors(s, o, 0, c.sectors);
        break;
    case CHOICE_GROWN:
        write_sectors(s, o, 0, c.sectors);
        grow_to(s, end);
        break;
    case CHOICE_TAIL:
        write_sectors(s, o, c.sectors, sectors);
        break;
    case CHOICE_ODD:
        for (uint64_t i = 1; i < sectors; i += 2)
            write_sectors(s, o, i, i + 1);
        grow_to(s, end);
        break;
    case CHOICE_SPOILT:
        write_sectors(s, o, 0, c.sectors);
        if (torn < end)
            write_garbage(s, torn > o->offset ? torn : o->offset,
                          end - (torn > o->offset ? torn : o->offset));
        break;
    case CHOICE_SIZE:
        grow_to(s, end);
        break;
    default:
        sparse_write(s, o->offset, o->data, (size_t)o->size);
        break;
    }
}

static bool is_name_op(const op *o)
{
    return o->kind == OP_MAKE || o->kind == OP_RENAME || o->kind == OP_UNLINK;
}

static void apply(image *i, const op *o, choice c)
{
    if (c.kind == CHOICE_DROP)
        return;
    if (is_name_op(o)) {
        apply_name(i, o);
        return;
    }
    sparse *s = &i->nodes[o->node].bytes;
    if (o->kind == OP_TRUNCATE)
        sparse_resize(s, o->size);
    else if (o->kind == OP_ALLOCATE)
        grow_to(s, o->offset + o->size);
    else
        apply_write(s, o, c);
}

image platter_cut(const platter *p, const choice *choices)
{
    image i = image_copy(&p->durable);
    for (size_t n = 0; n < p->pending_count; n++)
        apply(&i, &p->trace->ops[p->pending[n]], choices[n]);
    return i;
}

/* Applies pending operations that the sync covers, for good. */
static void settle(platter *p, const op *sync)
{
    size_t left = 0;
    for (size_t n = 0; n < p->pending_count; n++) {
        const op *o = &p->trace->ops[p->pending[n]];
        bool covered = is_name_op(o) ? sync->kind == OP_SYNC_DIR && o->dir == sync->dir
                                     : sync->kind == OP_SYNC && o->node == sync->node;
        covered = covered && (sync->until == 0 || p->pending[n] < sync->until);
        if (covered)
            apply(&p->durable, o, (choice){.kind = CHOICE_KEEP});
        else
            p->pending[left++] = p->pending[n];
    }
    p->pending_count = left;
}

static void cut_now(platter *p, const op *o)
{
    choice *choices = crash_alloc((p->pending_count + 1) * sizeof *choices);
    if (!choices_parse(o->text, choices, p->pending_count))
        abort();
    image after = platter_cut(p, choices);
    image_fini(&p->durable);
    p->durable = after;
    p->pending_count = 0;
    free(choices);
}

void platter_advance(platter *p)
{
    const op *o = &p->trace->ops[p->step];
    switch (o->kind) {
    case OP_SYNC:
    case OP_SYNC_DIR:
        settle(p, o);
        break;
    case OP_CUT:
        cut_now(p, o);
        break;
    case OP_MARK:
        break;
    default:
        if (o->is_lock) { /* nothing depends on it: as good as durable */
            apply(&p->durable, o, (choice){.kind = CHOICE_KEEP});
            break;
        }
        if (o->kind == OP_MAKE)
            image_add_node(&p->durable, o->node, o->is_dir);
        p->pending =
            crash_grow(p->pending, &p->pending_capacity, p->pending_count + 1, sizeof *p->pending);
        p->pending[p->pending_count++] = p->step;
        break;
    }
    p->step++;
}
