/* Copying versions into another node file: a node is copied after its children, once, and a map leads from where it
 * was to where it is, so that versions go on sharing. Counting needs internal nodes alone: they tell the sizes of leaves. */
#include "base/memory.h"
#include "tree/nodes.h"

typedef struct place {
    uint64_t from; /* 0: free */
    eg_node_ref to;
} place;

struct eg_mover {
    eg_nodes *from, *to;
    place *places; /* open addressing */
    size_t count, capacity;
    uint64_t size;
};

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to copy the tree");
}

engram_status eg_mover_create(eg_nodes *from, eg_nodes *to, eg_mover **mover, engram_error *error)
{
    eg_mover *made = eg_alloc_zero(1, sizeof *made);
    *mover = made;
    if (!made)
        return no_memory(error);
    made->size = EG_NODES_HEADER_SIZE;
    made->from = from;
    made->to = to;
    return ENGRAM_OK;
}

void eg_mover_free(eg_mover *mover)
{
    if (mover)
        eg_free(mover->places);
    eg_free(mover);
}

uint64_t eg_mover_size(const eg_mover *mover)
{
    return mover->size;
}

static place *find(place *places, size_t capacity, uint64_t from)
{
    size_t at = (size_t)((from * UINT64_C(0x9E3779B97F4A7C15)) >> 20) & (capacity - 1);
    while (places[at].from != 0 && places[at].from != from)
        at = (at + 1) & (capacity - 1);
    return &places[at];
}

static bool grow(eg_mover *m)
{
    enum { FIRST = 1024 };
    size_t capacity = m->capacity != 0 ? 2 * m->capacity : FIRST;
    place *places = eg_alloc_zero(capacity, sizeof *places);
    if (!places)
        return false;
    for (size_t i = 0; i < m->capacity; i++)
        if (m->places[i].from != 0)
            *find(places, capacity, m->places[i].from) = m->places[i];
    eg_free(m->places);
    m->places = places;
    m->capacity = capacity;
    return true;
}

/* The place of a node; its `from` is 0 when it has not been seen. */
static engram_status look_up(eg_mover *m, uint64_t from, place **found, engram_error *error)
{
    if (2 * (m->count + 1) > m->capacity && !grow(m))
        return no_memory(error);
    *found = find(m->places, m->capacity, from);
    return ENGRAM_OK;
}

static engram_status move_node(eg_mover *m, eg_node_ref *ref, int level, engram_error *error);

static engram_status move_children(eg_mover *m, eg_node *node, engram_error *error)
{
    for (size_t i = 0; node->level > 0 && i < node->page.count; i++) {
        eg_link link = eg_node_link(node, i);
        eg_node_ref ref = {link.address, link.size};
        EG_TRY(move_node(m, &ref, node->level - 1, error));
        if (m->to)
            eg_node_set_link(node, i, (eg_link){ref.address, ref.size, NULL});
    }
    return ENGRAM_OK;
}

/* The node as it is read here is nobody else's. */
static engram_status move_fresh(eg_mover *m, eg_node_ref *ref, int level, engram_error *error)
{
    eg_node *node;
    if (level == 0 && !m->to)
        return ENGRAM_OK;
    EG_TRY(eg_nodes_read(m->from, *ref, level, &node, error));
    engram_status status = move_children(m, node, error);
    if (status == ENGRAM_OK && m->to)
        status = eg_nodes_append(m->to, node, ref, error);
    eg_node_release(node);
    return status;
}

/* Levels fall, so that this ends. */
static engram_status move_node(eg_mover *m, eg_node_ref *ref, int level, engram_error *error)
{
    place *found;
    uint64_t from = ref->address;
    EG_TRY(look_up(m, from, &found, error));
    if (found->from != 0) {
        *ref = found->to;
        return ENGRAM_OK;
    }
    m->size += ref->size;
    EG_TRY(move_fresh(m, ref, level, error));
    EG_TRY(look_up(m, from, &found, error)); /* the map may have grown */
    *found = (place){from, *ref};
    m->count++;
    return ENGRAM_OK;
}

engram_status eg_mover_move(eg_mover *mover, eg_node_ref *ref, engram_error *error)
{
    if (ref->size == 0)
        return ENGRAM_OK;
    EG_TRY(move_node(mover, ref, EG_LEVEL_ANY, error));
    return mover->to ? eg_nodes_append_end(mover->to, error) : ENGRAM_OK;
}
