/* The corrections of a batch's new chunks: against the chunk that recall finds most like it, or packed alone.
 *
 * A base may be a stored chunk or one before it in the batch. A chunk whose best base is in the batch waits until that
 * one has its own correction, since only then its depth is known: so the batch is done in rounds, each in parallel over
 * the chunks whose bases were done in earlier rounds. Which chunk waits for which is known before the first, so the
 * outcome does not depend on threads. When a delta is kept: store/correction.h. */
#include "base/memory.h"
#include "base/status.h"
#include "ingest/encode_stage.h"

/* ---- one chunk ---- */

/* The bytes of a base, or nothing when it cannot be one: too deep, or unreadable. */
static engram_status get_base(eg_ingest *ingest, eg_corrector *c, const eg_base *base, eg_view *bytes, uint8_t *depth,
                              engram_error *error)
{
    eg_encode_stage *s = ingest->encode;
    engram_error inner = {0};
    *bytes = (eg_view){0};
    if (base->id == 0) {
        const eg_cut *cut = &s->batch->cuts[s->fresh[base->place]];
        *depth = s->predictions[base->place].is_done ? s->chunks[base->place].depth : EG_RECALL_DEPTH;
        if (*depth < EG_RECALL_DEPTH)
            *bytes = (eg_view){s->batch->bytes + cut->offset, cut->size};
        return ENGRAM_OK;
    }
    size_t size;
    eg_store *store = eg_engram_store(ingest->engram);
    if (!eg_store_use(store, base->id))
        return ENGRAM_OK;
    engram_status status =
        eg_store_read(store, base->id, c->bytes, ingest->chunker.size_max, &size, &inner);
    *depth = base->depth;
    if (status == ENGRAM_OK)
        *bytes = (eg_view){c->bytes, size};
    return status == ENGRAM_NO_MEMORY ? eg_fail(error, status, "%s", inner.message) : ENGRAM_OK;
}

/* One of the bases of a chunk; bytes.data is NULL when it cannot be one. */
typedef struct choice {
    size_t number;
    eg_view bytes;
    uint8_t depth;
} choice;

static engram_status take(eg_ingest *ingest, eg_corrector *c, const eg_bases *bases, size_t number, choice *taken,
                          engram_error *error)
{
    taken->number = number;
    return get_base(ingest, c, &bases->list[number], &taken->bytes, &taken->depth, error);
}

/* The first that can be a base. */
static engram_status take_first(eg_ingest *ingest, eg_corrector *c, const eg_bases *bases, choice *taken,
                                engram_error *error)
{
    *taken = (choice){0};
    for (size_t i = 0; i < bases->count && taken->bytes.data == NULL; i++)
        EG_TRY(take(ingest, c, bases, i, taken, error));
    return ENGRAM_OK;
}

/* The one of the shortest quick delta. */
static engram_status take_best(eg_ingest *ingest, eg_corrector *c, const eg_bases *bases, eg_view bytes, choice *taken,
                               engram_error *error)
{
    size_t shortest = SIZE_MAX, best = 0;
    *taken = (choice){0};
    for (size_t i = 0; i < bases->count; i++) {
        size_t size;
        EG_TRY(take(ingest, c, bases, i, taken, error));
        if (taken->bytes.data == NULL)
            continue;
        EG_TRY(eg_coder_pack_delta(c->quick, bytes.data, bytes.size, taken->bytes, c->delta, &size, error));
        if (size < shortest) {
            shortest = size;
            best = i;
        }
    }
    if (shortest == SIZE_MAX)
        *taken = (choice){0};
    else if (taken->number != best)
        EG_TRY(take(ingest, c, bases, best, taken, error));
    return ENGRAM_OK;
}

/* A delta into out; chunk->correction.size is SIZE_MAX when there is none. */
static engram_status try_delta(eg_ingest *ingest, eg_corrector *c, size_t index, eg_view bytes, uint8_t *out,
                               engram_error *error)
{
    eg_encode_stage *s = ingest->encode;
    const eg_bases *bases = &s->predictions[index].bases;
    eg_new_chunk *chunk = &s->chunks[index];
    choice base;
    size_t size;
    chunk->correction.size = SIZE_MAX;
    EG_TRY(c->quick == NULL || bases->count < 2 ? take_first(ingest, c, bases, &base, error)
                                                : take_best(ingest, c, bases, bytes, &base, error));
    if (base.bytes.data == NULL)
        return ENGRAM_OK;
    EG_TRY(eg_coder_pack_delta(c->coder, bytes.data, bytes.size, base.bytes, out, &size, error));
    chunk->kind = EG_CORRECTION_DELTA;
    chunk->correction = (eg_view){out, size};
    chunk->base = bases->list[base.number].id;
    chunk->base_before = chunk->base == 0 ? (uint32_t)index - bases->list[base.number].place : 0;
    chunk->depth = (uint8_t)(base.depth + 1);
    return ENGRAM_OK;
}

static engram_status correct(eg_ingest *ingest, eg_corrector *c, size_t index, engram_error *error)
{
    eg_encode_stage *s = ingest->encode;
    const eg_cut *cut = &s->batch->cuts[s->fresh[index]];
    eg_view bytes = {s->batch->bytes + cut->offset, cut->size};
    uint8_t *out = s->packed + s->packed_offsets[index];
    eg_new_chunk *chunk = &s->chunks[index];
    eg_correction_kind kind;
    size_t size;
    EG_TRY(try_delta(ingest, c, index, bytes, out, error));
    if (eg_delta_is_obvious(cut->size, chunk->correction.size))
        return ENGRAM_OK;
    EG_TRY(eg_coder_pack(c->coder, bytes.data, bytes.size, c->delta, &kind, &size, error));
    if (eg_delta_pays(chunk->correction.size, size, chunk->depth))
        return ENGRAM_OK;
    memcpy(out, c->delta, size);
    chunk->kind = kind;
    chunk->correction = (eg_view){out, size};
    chunk->base = chunk->base_before = chunk->depth = 0;
    return ENGRAM_OK;
}

/* ---- rounds ---- */

static void find_bases(void *context, size_t index, size_t worker)
{
    eg_ingest *ingest = context;
    eg_encode_stage *s = ingest->encode;
    eg_bases found[EG_RECALL_AT_ONCE];
    engram_error error = {0};
    size_t first = index * EG_RECALL_AT_ONCE, left = s->fresh_count - first;
    size_t count = left < EG_RECALL_AT_ONCE ? left : EG_RECALL_AT_ONCE;
    (void)worker;
    engram_status status = eg_recall_find(s->recall, first, count, found, &error);
    if (status != ENGRAM_OK) {
        eg_encode_worker_failed(s, status, &error);
        return;
    }
    for (size_t i = 0; i < count; i++)
        s->predictions[first + i].bases = found[i];
}

/* Whether its best base, a chunk of the batch, has no correction yet. */
static bool must_wait(const eg_encode_stage *s, const eg_prediction *p)
{
    return p->bases.count > 0 && p->bases.list[0].id == 0 && !s->predictions[p->bases.list[0].place].is_done;
}

static void correct_one(void *context, size_t index, size_t worker)
{
    eg_ingest *ingest = context;
    eg_encode_stage *s = ingest->encode;
    eg_prediction *p = &s->predictions[index];
    engram_error error = {0};
    if (p->is_done || must_wait(s, p))
        return;
    engram_status status = correct(ingest, &s->workers[worker], index, &error);
    if (status != ENGRAM_OK)
        eg_encode_worker_failed(s, status, &error);
    p->done_now = true;
}

static size_t end_round(eg_encode_stage *s)
{
    size_t left = 0;
    for (size_t i = 0; i < s->fresh_count; i++) {
        s->predictions[i].is_done |= s->predictions[i].done_now;
        left += !s->predictions[i].is_done;
    }
    return left;
}

/* Bases that are not there after so many rounds are too deep: what is left does without them. */
static void give_up_waiting(eg_encode_stage *s)
{
    for (size_t i = 0; i < s->fresh_count; i++) {
        eg_prediction *p = &s->predictions[i];
        if (!p->is_done && must_wait(s, p)) {
            p->bases.count--;
            memmove(p->bases.list, p->bases.list + 1, p->bases.count * sizeof *p->bases.list);
            p->bases.count = must_wait(s, p) ? 0 : p->bases.count;
        }
    }
}

engram_status eg_correct_all(eg_ingest *ingest, engram_error *error)
{
    eg_encode_stage *s = ingest->encode;
    memset(s->predictions, 0, s->fresh_count * sizeof *s->predictions);
    if (s->recall != NULL) {
        EG_TRY(eg_recall_begin(s->recall, s->vectors, s->fresh_count, error));
        eg_pool_run(ingest->pool, (s->fresh_count + EG_RECALL_AT_ONCE - 1) / EG_RECALL_AT_ONCE, find_bases, ingest);
        EG_TRY(eg_encode_worker_status(s, error));
    }
    for (unsigned round = 0, last = EG_RECALL_DEPTH + 1; round <= last; round++) {
        if (round == last)
            give_up_waiting(s);
        eg_pool_run(ingest->pool, s->fresh_count, correct_one, ingest);
        EG_TRY(eg_encode_worker_status(s, error));
        if (end_round(s) == 0)
            return ENGRAM_OK;
    }
    return ENGRAM_OK;
}
