/* The difference of two versions.
 *
 * Two walks in key order, side by side, each standing on an item: a whole subtree not yet entered,
 * or an entry of a leaf. Everything before the item is done. Subtrees that are the same on both
 * sides are stepped over unread. Otherwise the side whose item begins first moves, and a subtree
 * before what may be inside it: it is entered, or its entry is reported. So both sides come to
 * stand on what they share whenever there is something, and the answer is right even where they
 * miss it. */
#include <assert.h>

#include "tree/nodes.h"

enum { LEVEL_ENTRY = -1, LEVEL_TOP = EG_LEVELS_MAX /* of a tree not entered: above all others */ };

typedef struct eg_place {
    eg_loan loan;
    size_t index;
} eg_place;

typedef struct eg_side {
    eg_nodes *nodes;
    eg_link top;
    bool entered, ended;
    size_t depth; /* places in use, from the top down */
    eg_place places[EG_LEVELS_MAX];
    eg_loan last; /* the leaf before the present one */
} eg_side;

typedef struct eg_item {
    int level;   /* of the subtree that link leads to; LEVEL_ENTRY: key and value */
    eg_view key; /* of an entry; of a subtree: it holds none below */
    eg_link link;
    eg_view value;
} eg_item;

static void init(eg_side *side, const eg_root *root)
{
    side->nodes = root->nodes;
    side->top = root->top;
    side->entered = false;
    side->ended = eg_link_empty(root->top);
    side->depth = 0;
    side->last = (eg_loan){0};
}

static void fini(eg_side *side)
{
    eg_node_release(side->last.held);
    while (side->depth > 0)
        eg_node_release(side->places[--side->depth].loan.held);
}

static eg_item look(const eg_side *side)
{
    if (!side->entered)
        return (eg_item){.level = LEVEL_TOP, .link = side->top};
    const eg_place *place = &side->places[side->depth - 1];
    const eg_node *node = place->loan.node;
    eg_item item = {.level = node->level - 1, .key = eg_page_key(&node->page, place->index)};
    if (node->level > 0)
        item.link = eg_node_link(node, place->index);
    else
        item.value = eg_page_value(&node->page, place->index);
    return item;
}

/* Past the present item. */
static void step(eg_side *side)
{
    while (side->depth > 0) {
        eg_place *place = &side->places[side->depth - 1];
        if (++place->index < place->loan.node->page.count)
            return;
        side->depth--;
        if (place->loan.node->level > 0) {
            eg_node_release(place->loan.held);
            continue;
        }
        eg_node_release(side->last.held);
        side->last = place->loan;
    }
    side->ended = true;
}

/* Keys must rise along the whole walk: what only claims to be a tree ends here. */
static engram_status check_order(const eg_side *side, const eg_node *node, eg_view bound,
                                 engram_error *error)
{
    const eg_node *last = side->last.node;
    eg_view first = eg_page_key(&node->page, 0);
    if (eg_key_compare(first, bound) >= 0 &&
        (node->level > 0 || !last ||
         eg_key_compare(eg_page_key(&last->page, last->page.count - 1), first) < 0))
        return ENGRAM_OK;
    return eg_fail(error, ENGRAM_DAMAGED, "%s: neighbouring nodes are not in order",
                   side->nodes->path);
}

static engram_status enter(eg_side *side, const eg_item *item, engram_error *error)
{
    eg_loan loan;
    int level = item->level == LEVEL_TOP ? EG_LEVEL_ANY : item->level;
    EG_TRY(eg_nodes_borrow(side->nodes, item->link, level, &loan, error));
    engram_status status = check_order(side, loan.node, item->key, error);
    if (status != ENGRAM_OK) {
        eg_node_release(loan.held);
        return status;
    }
    side->entered = true;
    side->places[side->depth++] = (eg_place){loan, 0};
    return ENGRAM_OK;
}

static uint64_t address_of(eg_link link)
{
    return link.node ? atomic_load_explicit(&link.node->stored_address, memory_order_acquire)
                     : link.address;
}

static bool same_subtree(const eg_item *a, const eg_item *b)
{
    if (a->level == LEVEL_ENTRY || b->level == LEVEL_ENTRY)
        return false;
    if (a->link.node && b->link.node)
        return a->link.node == b->link.node;
    uint64_t address = address_of(a->link);
    return address != 0 && address == address_of(b->link);
}

static bool same_value(eg_view a, eg_view b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

typedef struct eg_diff {
    eg_side from, to;
    void *context;
    eg_change change;
} eg_diff;

/* One step with at least one side not at its end. */
static engram_status advance(eg_diff *d, engram_error *error)
{
    eg_item from = {0}, to = {0};
    int order = d->from.ended - d->to.ended;
    if (!d->from.ended)
        from = look(&d->from);
    if (!d->to.ended)
        to = look(&d->to);
    if (order == 0 && same_subtree(&from, &to)) {
        step(&d->from);
        step(&d->to);
        return ENGRAM_OK;
    }
    if (order == 0)
        order = eg_key_compare(from.key, to.key);
    if (order == 0)
        order = (from.level < to.level) - (from.level > to.level);
    if (order <= 0 && from.level != LEVEL_ENTRY)
        return enter(&d->from, &from, error);
    if (order > 0 && to.level != LEVEL_ENTRY)
        return enter(&d->to, &to, error);
    engram_status status = ENGRAM_OK;
    if (order != 0 || !same_value(from.value, to.value))
        status = d->change(d->context, order <= 0 ? from.key : to.key,
                           order <= 0 ? &from.value : NULL, order >= 0 ? &to.value : NULL, error);
    if (order <= 0)
        step(&d->from);
    if (order >= 0)
        step(&d->to);
    return status;
}

engram_status eg_root_diff(eg_root *from, eg_root *to, eg_change change, void *context,
                           engram_error *error)
{
    assert(from->nodes == to->nodes);
    eg_diff d = {.context = context, .change = change};
    init(&d.from, from);
    init(&d.to, to);
    engram_status status = ENGRAM_OK;
    while (status == ENGRAM_OK && !(d.from.ended && d.to.ended))
        status = advance(&d, error);
    fini(&d.from);
    fini(&d.to);
    return status;
}
