/* Steps are drawn so that every operation fits the state that those before it in the same step
 * leave: none is refused unless something failed. */
#include <string.h>

#include "faults/load.h"

enum {
    LARGE_ONE_IN = 7,
    SIZE_MAX_SMALL = 3000,
    SIZE_MAX_LARGE = 48 << 10,
    FILE_SIZE_MAX = 96 << 10
};

typedef struct planning {
    uint64_t random;
    load_tree tree; /* as the step's operations so far leave it; version 0: changed in this step */
    bool snapped;
} planning;

static uint64_t draw(planning *p, uint64_t limit)
{
    return load_draw(&p->random) % limit;
}

static int directory_of(int slot)
{
    return slot < LOAD_TOP ? -1 : (slot - LOAD_TOP) / LOAD_IN_DIRECTORY;
}

static bool has_parent(const planning *p, int slot)
{
    return directory_of(slot) < 0 || p->tree.directory[directory_of(slot)];
}

/* A slot in which a file is or could be; there: is. -1: none. */
static int draw_slot(planning *p, bool there)
{
    int first = (int)draw(p, LOAD_SLOTS);
    for (int i = 0; i < LOAD_SLOTS; i++) {
        int slot = (first + i) % LOAD_SLOTS;
        if (there ? p->tree.files[slot].there : has_parent(p, slot))
            return slot;
    }
    return -1;
}

static size_t draw_size(planning *p)
{
    return 1 + draw(p, draw(p, LARGE_ONE_IN) == 0 ? SIZE_MAX_LARGE : SIZE_MAX_SMALL);
}

/* From few seeds now and then, so that chunks are found again. */
static uint64_t draw_seed(planning *p)
{
    return draw(p, 3) == 0 ? draw(p, 20) : load_draw(&p->random);
}

static engram_expected draw_expected(planning *p, const load_file *f)
{
    if (draw(p, 2) == 0)
        return (engram_expected){ENGRAM_ANY, 0, 0};
    if (!f->there)
        return (engram_expected){ENGRAM_NONE, 0, 0};
    if (f->version != 0)
        return (engram_expected){ENGRAM_TOKEN, 0, f->version};
    return (engram_expected){ENGRAM_ANY, 0, 0};
}

static bool plan_content(planning *p, load_op *op)
{
    op->a = draw_slot(p, op->kind == LOAD_TRUNCATE || op->kind == LOAD_UPDATE_CHUNK);
    if (op->a < 0)
        return false;
    const load_file *f = &p->tree.files[op->a];
    op->expected = draw_expected(p, f);
    op->size = draw_size(p);
    op->seed = draw_seed(p);
    if (op->kind == LOAD_TRUNCATE)
        op->size = draw(p, f->size + SIZE_MAX_SMALL);
    if (op->kind == LOAD_WRITE_AT)
        op->offset = draw(p, f->size + SIZE_MAX_SMALL);
    if (op->kind == LOAD_UPDATE_CHUNK) {
        if (f->size == 0)
            return false;
        op->offset = draw(p, f->size) / LOAD_CHUNK * LOAD_CHUNK;
        size_t left = f->size - (size_t)op->offset;
        op->size = left < LOAD_CHUNK ? left : LOAD_CHUNK;
    }
    return op->kind == LOAD_TRUNCATE || f->size + op->size < FILE_SIZE_MAX ||
           op->kind == LOAD_WRITE || op->kind == LOAD_STREAM;
}

static bool plan_rename(planning *p, load_op *op)
{
    op->a = draw_slot(p, true);
    op->b = draw_slot(p, false);
    if (op->a < 0 || op->a == op->b)
        return false;
    op->expected = draw_expected(p, &p->tree.files[op->b]);
    return true;
}

static bool plan_remove(planning *p, load_op *op)
{
    op->a = draw_slot(p, true);
    if (op->a < 0)
        return false;
    op->expected = draw_expected(p, &p->tree.files[op->a]);
    return true;
}

/* What is at `to` has to be empty. */
static bool plan_directory(planning *p, load_op *op)
{
    op->a = (int)draw(p, LOAD_DIRECTORIES);
    op->b = (op->a + 1) % LOAD_DIRECTORIES;
    if (op->kind == LOAD_MKDIR)
        return !p->tree.directory[op->a];
    bool empty = true;
    for (int i = 0; i < LOAD_IN_DIRECTORY; i++)
        empty &= !p->tree.files[LOAD_TOP + op->b * LOAD_IN_DIRECTORY + i].there;
    return p->tree.directory[op->a] && (op->kind == LOAD_REMOVE_ALL || empty);
}

static load_op_kind draw_kind(planning *p)
{
    static const uint8_t kinds[] = {LOAD_WRITE,        LOAD_WRITE,     LOAD_WRITE,
                                    LOAD_WRITE,        LOAD_WRITE,     LOAD_STREAM,
                                    LOAD_STREAM,       LOAD_WRITE_AT,  LOAD_WRITE_AT,
                                    LOAD_APPEND,       LOAD_APPEND,    LOAD_TRUNCATE,
                                    LOAD_REMOVE,       LOAD_REMOVE,    LOAD_RENAME,
                                    LOAD_RENAME,       LOAD_MKDIR,     LOAD_RENAME_DIRECTORY,
                                    LOAD_COUNT,        LOAD_COUNT,     LOAD_COUNT,
                                    LOAD_UPDATE_CHUNK, LOAD_REMOVE_ALL};
    return kinds[draw(p, sizeof kinds)];
}

static bool plan_op(planning *p, load_op *op)
{
    *op = (load_op){.kind = draw_kind(p)};
    if (op->kind <= LOAD_UPDATE_CHUNK)
        return plan_content(p, op);
    if (op->kind == LOAD_REMOVE)
        return plan_remove(p, op);
    if (op->kind == LOAD_RENAME)
        return plan_rename(p, op);
    op->a = (int)draw(p, LOAD_COUNTERS);
    return op->kind == LOAD_COUNT || plan_directory(p, op);
}

static void plan_commit(planning *p, load_step *step)
{
    size_t wanted = draw(p, 3) == 0 ? 2 + draw(p, LOAD_OPS - 1) : 1;
    while (step->op_count < wanted) {
        load_op *op = &step->ops[step->op_count];
        if (!plan_op(p, op))
            continue;
        if (op->kind != LOAD_COUNT)
            load_apply_op(&p->tree, op, 0);
        step->op_count++;
    }
}

void load_plan(const load *l, load_step *step)
{
    static const engram_durability durabilities[] = {
        ENGRAM_DURABILITY_GROUP, ENGRAM_DURABILITY_GROUP, ENGRAM_DURABILITY_IMMEDIATE,
        ENGRAM_DURABILITY_RELAXED};
    planning p = {.random = l->random};
    load_tree_copy(&p.tree, &l->now);
    *step = (load_step){.kind = LOAD_COMMIT};
    step->durability = durabilities[draw(&p, 4)];
    step->isolation = draw(&p, 3) == 0 ? ENGRAM_SNAPSHOT_ISOLATION : ENGRAM_SERIALIZABLE;
    uint64_t what = draw(&p, 40);
    if (what == 0) {
        step->kind = LOAD_CHECKPOINT;
    } else if (what <= 3) {
        step->kind = l->snapped ? LOAD_FORGET : LOAD_SNAPSHOT;
    } else if (what == 4 && l->snapped) {
        step->op_count = 1;
        step->ops[0] = (load_op){.kind = LOAD_ROLLBACK};
    } else {
        plan_commit(&p, step);
    }
    step->random = p.random;
    load_tree_fini(&p.tree);
}
