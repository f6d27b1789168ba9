#include "faults/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t load_draw(uint64_t *random)
{
    uint64_t x = *random += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static void *take_memory(size_t size)
{
    void *memory = malloc(size != 0 ? size : 1);
    if (memory == NULL)
        abort();
    return memory;
}

/* Runs of equal bytes between random ones, so that chunks are packed as well as stored as they are.
 */
void load_fill(uint8_t *bytes, size_t size, uint64_t seed)
{
    for (size_t i = 0; i < size;) {
        uint64_t x = load_draw(&seed);
        size_t run = 1 + (x >> 32) % 24;
        bool same = (x & 3) == 0;
        for (size_t end = i + run; i < size && i < end; i++) {
            if (!same)
                x = x * 6364136223846793005u + 1442695040888963407u;
            bytes[i] = (uint8_t)(x >> 56);
        }
    }
}

void load_directory_path(char path[64], const char *name, int directory)
{
    snprintf(path, 64, "%s/d%d", name, directory);
}

void load_path(char path[64], const char *name, int slot)
{
    int in = slot - LOAD_TOP;
    if (in < 0)
        snprintf(path, 64, "%s/f%d", name, slot);
    else
        snprintf(path, 64, "%s/d%d/f%d", name, in / LOAD_IN_DIRECTORY, in % LOAD_IN_DIRECTORY);
}

/* ---- trees ---- */

static void file_fini(load_file *f)
{
    free(f->bytes);
    *f = (load_file){0};
}

static void file_copy(load_file *to, const load_file *from)
{
    *to = *from;
    if (from->bytes == NULL)
        return;
    to->bytes = take_memory(from->size);
    memcpy(to->bytes, from->bytes, from->size);
}

void load_tree_copy(load_tree *to, const load_tree *from)
{
    *to = *from;
    for (int i = 0; i < LOAD_SLOTS; i++)
        file_copy(&to->files[i], &from->files[i]);
}

void load_tree_fini(load_tree *tree)
{
    for (int i = 0; i < LOAD_SLOTS; i++)
        file_fini(&tree->files[i]);
    *tree = (load_tree){0};
}

/* What lies between the old end and a new one reads as zeros. */
static void resize(load_file *f, size_t size)
{
    uint8_t *bytes = take_memory(size);
    size_t kept = f->size < size ? f->size : size;
    if (kept != 0)
        memcpy(bytes, f->bytes, kept);
    memset(bytes + kept, 0, size - kept);
    free(f->bytes);
    f->bytes = bytes;
    f->size = size;
    f->there = true;
}

static void put_at(load_file *f, uint64_t offset, const load_op *op)
{
    if (!f->there || f->size < offset + op->size)
        resize(f, (size_t)offset + op->size);
    load_fill(f->bytes + offset, op->size, op->seed);
}

static void clear_directory(load_tree *tree, int directory)
{
    load_file *in = &tree->files[LOAD_TOP + directory * LOAD_IN_DIRECTORY];
    for (int i = 0; i < LOAD_IN_DIRECTORY; i++)
        file_fini(&in[i]);
    tree->directory[directory] = false;
}

static void rename_directory(load_tree *tree, int from, int to)
{
    load_file *a = &tree->files[LOAD_TOP + from * LOAD_IN_DIRECTORY];
    load_file *b = &tree->files[LOAD_TOP + to * LOAD_IN_DIRECTORY];
    clear_directory(tree, to);
    memcpy(b, a, LOAD_IN_DIRECTORY * sizeof *b);
    memset(a, 0, LOAD_IN_DIRECTORY * sizeof *a);
    tree->directory[to] = true;
    tree->directory[from] = false;
}

static void apply_content(load_file *f, const load_op *op)
{
    if (op->kind == LOAD_WRITE || op->kind == LOAD_STREAM) {
        resize(f, op->size);
        load_fill(f->bytes, op->size, op->seed);
    } else if (op->kind == LOAD_TRUNCATE) {
        resize(f, op->size);
    } else {
        put_at(f, op->kind == LOAD_APPEND ? f->size : op->offset, op);
    }
}

void load_apply_op(load_tree *tree, const load_op *op, uint64_t version)
{
    load_file *a = &tree->files[op->a];
    if (op->kind <= LOAD_UPDATE_CHUNK) {
        apply_content(a, op);
        a->version = version;
    } else if (op->kind == LOAD_REMOVE) {
        file_fini(a);
    } else if (op->kind == LOAD_RENAME) {
        file_fini(&tree->files[op->b]);
        tree->files[op->b] = *a;
        *a = (load_file){0};
    } else if (op->kind == LOAD_MKDIR) {
        tree->directory[op->a] = true;
    } else if (op->kind == LOAD_REMOVE_ALL) {
        clear_directory(tree, op->a);
    } else if (op->kind == LOAD_RENAME_DIRECTORY) {
        rename_directory(tree, op->a, op->b);
    }
}

/* ---- loads ---- */

void load_init(load *l, const char *name, uint64_t seed)
{
    *l = (load){.random = seed};
    snprintf(l->name, sizeof l->name, "%s", name);
}

void load_fini(load *l)
{
    load_tree_fini(&l->now);
    load_tree_fini(&l->then);
}

void load_copy(load *to, const load *from)
{
    *to = *from;
    load_tree_copy(&to->now, &from->now);
    load_tree_copy(&to->then, &from->then);
}

void load_move(load *to, load *from)
{
    load_fini(to);
    *to = *from;
}

/* The rolled back files are new versions of old ones: which of them changed is not known here. */
static void roll_back(load *l)
{
    load_tree_fini(&l->now);
    load_tree_copy(&l->now, &l->then);
    for (int i = 0; i < LOAD_SLOTS; i++)
        l->now.files[i].version = 0;
}

static void apply_commit(load *l, const load_step *step, uint64_t version)
{
    for (size_t i = 0; i < step->op_count; i++) {
        const load_op *op = &step->ops[i];
        if (op->kind == LOAD_COUNT)
            l->counts[op->a]++;
        else if (op->kind == LOAD_ROLLBACK)
            roll_back(l);
        else
            load_apply_op(&l->now, op, version);
    }
}

void load_apply(load *l, const load_step *step, uint64_t version)
{
    if (step->kind == LOAD_COMMIT)
        apply_commit(l, step, version);
    if (step->kind == LOAD_SNAPSHOT || step->kind == LOAD_FORGET) {
        load_tree_fini(&l->then);
        l->snapped = step->kind == LOAD_SNAPSHOT;
        if (l->snapped)
            load_tree_copy(&l->then, &l->now);
    }
    l->random = step->random;
    l->steps++;
}
