#include "crash/variants.h"

#include <stdlib.h>

#include "crash/util.h"

typedef struct plan {
    const platter *p;
    choice *choices;
    variant_visit *visit;
    void *context;
} plan;

static const op *pending_op(const platter *p, size_t i)
{
    return &p->trace->ops[p->pending[i]];
}

static bool is_write(const platter *p, size_t i)
{
    return pending_op(p, i)->kind == OP_WRITE;
}

static bool is_name(const platter *p, size_t i)
{
    op_kind kind = pending_op(p, i)->kind;
    return kind == OP_MAKE || kind == OP_RENAME || kind == OP_UNLINK;
}

static bool try(plan *t)
{
    return t->visit(t->context, t->p, t->choices);
}

static void fill(plan *t, size_t from, size_t to, char kind)
{
    for (size_t i = from; i < to; i++)
        t->choices[i] = (choice){.kind = kind};
}

/* Writes as writes says, names as names, other operations as sizes. */
static bool try_kinds(plan *t, char writes, char names, char sizes)
{
    for (size_t i = 0; i < t->p->pending_count; i++)
        t->choices[i].kind = is_write(t->p, i) ? writes : is_name(t->p, i) ? names : sizes;
    return try(t);
}

static bool try_all(plan *t)
{
    static const char kinds[][3] = {
        {'k', 'k', 'k'}, {'d', 'd', 'd'}, {'d', 'k', 'd'}, {'d', 'k', 'k'}, {'z', 'k', 'k'},
        {'g', 'k', 'k'}, {'o', 'k', 'k'}, {'k', 'd', 'k'}, {'z', 'd', 'k'}, {'k', 'k', 'd'}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!try_kinds(t, kinds[i][0], kinds[i][1], kinds[i][2]))
            return false;
    return true;
}

/* One operation alone, against all others kept or all others dropped. */
static bool try_alone(plan *t)
{
    size_t count = t->p->pending_count;
    for (size_t i = 0; i < count; i++) {
        fill(t, 0, count, CHOICE_KEEP);
        t->choices[i].kind = CHOICE_DROP;
        if (!try(t))
            return false;
        fill(t, 0, count, CHOICE_DROP);
        t->choices[i].kind = CHOICE_KEEP;
        if (!try(t))
            return false;
    }
    return true;
}

/* The write at i as given; those before it kept, those behind it kept, then dropped. */
static bool try_torn(plan *t, size_t i, choice c)
{
    size_t count = t->p->pending_count;
    fill(t, 0, count, CHOICE_KEEP);
    t->choices[i] = c;
    if (!try(t))
        return false;
    fill(t, i + 1, count, CHOICE_DROP);
    return i + 1 == count || try(t);
}

static bool try_sectors(plan *t, size_t i, uint32_t sectors)
{
    static const char kinds[] = {CHOICE_HEAD, CHOICE_GROWN, CHOICE_TAIL, CHOICE_SPOILT};
    for (size_t k = 0; k < sizeof kinds; k++)
        if (!try_torn(t, i, (choice){kinds[k], sectors}))
            return false;
    return true;
}

/* Up to 4 sectors all places; of longer writes the ends and the middle. */
static bool try_tearing(plan *t, size_t i)
{
    uint32_t count = op_sectors(pending_op(t->p, i));
    const uint32_t places[] = {1, count / 2, count - 1};
    for (size_t n = 0; n < 3; n++) {
        uint32_t at = count <= 4 ? (uint32_t)n + 1 : places[n];
        if (at < count && !try_sectors(t, i, at))
            return false;
    }
    return try_torn(t, i, (choice){.kind = CHOICE_GARBAGE}) &&
           try_torn(t, i, (choice){.kind = CHOICE_SIZE}) &&
           (count < 3 || try_torn(t, i, (choice){.kind = CHOICE_ODD}));
}

static plan begin(const platter *p, variant_visit *visit, void *context)
{
    plan t = {.p = p, .visit = visit, .context = context};
    t.choices = crash_alloc((p->pending_count + 1) * sizeof *t.choices);
    fill(&t, 0, p->pending_count, CHOICE_KEEP);
    return t;
}

bool variants_planned(const platter *p, variant_visit *visit, void *context)
{
    plan t = begin(p, visit, context);
    bool more = p->pending_count == 0 ? try(&t) : try_all(&t) && try_alone(&t);
    for (size_t i = 0; i < p->pending_count && more; i++)
        more = !is_write(p, i) || try_tearing(&t, i);
    free(t.choices);
    return more;
}

bool variants_subsets(const platter *p, size_t count_max, variant_visit *visit, void *context)
{
    size_t count = p->pending_count;
    if (count > count_max)
        return true;
    plan t = begin(p, visit, context);
    bool more = true;
    for (uint64_t set = 0; set < UINT64_C(1) << count && more; set++) {
        for (size_t i = 0; i < count; i++)
            t.choices[i].kind = (set >> i & 1) != 0 ? CHOICE_KEEP : CHOICE_DROP;
        more = try(&t);
    }
    free(t.choices);
    return more;
}

static choice draw(const op *o, uint64_t keep_percent, uint64_t torn_percent, uint64_t *state)
{
    static const char kinds[] = {CHOICE_SIZE, CHOICE_GARBAGE, CHOICE_HEAD,  CHOICE_GROWN,
                                 CHOICE_TAIL, CHOICE_ODD,     CHOICE_SPOILT};
    choice c = {.kind = crash_random(state) % 100 < keep_percent ? CHOICE_KEEP : CHOICE_DROP};
    if (o->kind != OP_WRITE || crash_random(state) % 100 >= torn_percent)
        return c;
    c.kind = kinds[crash_random(state) % sizeof kinds];
    if (c.kind != CHOICE_SIZE && c.kind != CHOICE_GARBAGE && c.kind != CHOICE_ODD)
        c.sectors = (uint32_t)(crash_random(state) % (op_sectors(o) + 1));
    return c;
}

/* Each state has its own lean: to keep much or little, to tear much, some or nothing. */
bool variants_random(const platter *p, uint64_t seed, uint64_t count, variant_visit *visit,
                     void *context)
{
    static const uint8_t keeps[] = {10, 50, 50, 90}, tears[] = {0, 0, 20, 60};
    plan t = begin(p, visit, context);
    bool more = true;
    for (uint64_t n = 0; n < count && more && p->pending_count > 0; n++) {
        uint64_t keep = keeps[crash_random(&seed) % 4], torn = tears[crash_random(&seed) % 4];
        for (size_t i = 0; i < p->pending_count; i++)
            t.choices[i] = draw(pending_op(p, i), keep, torn, &seed);
        more = try(&t);
    }
    free(t.choices);
    return more;
}
