/* Resident vectors: spans of rows, each in one buffer that the device allows.
 *
 * A device that shares the host's memory scans the lent vectors in place; rows lent next to the
 * last ones become one span with them, so that a store that grows by small steps keeps few. Of
 * vectors in planes, whole groups are lent, those around the rows that are meant, so that what a
 * buffer has is vectors in planes, too.
 *
 * Other devices get copies, in buffers taken somewhat larger than asked for, as many as they have
 * room for; what comes then is only remembered, and passes through tiles at each scan (top_k.c). A
 * buffer of planes has groups of its own, whichever those are from which its rows come.
 *
 * Appending is all or nothing: what it replaces is let go only when it is done. */
#include "base/memory.h"
#include "base/status.h"
#include "compute/opencl/opencl.h"

enum { VECTOR = ENGRAM_BLOCKS, ALIGNMENT = 64, ROWS_MIN = (4 << 20) / VECTOR };

engram_status eg_cl_resident_create(eg_backend *backend, eg_resident **resident,
                                    engram_error *error)
{
    (void)backend;
    *resident = eg_alloc_zero(1, sizeof **resident);
    return *resident ? ENGRAM_OK : eg_fail(error, ENGRAM_NO_MEMORY, "no memory for vectors");
}

static void release(cl_mem memory)
{
    EG_CL_RELEASE(clReleaseMemObject, memory);
}

void eg_cl_resident_free(eg_backend *backend, eg_resident *resident)
{
    eg_opencl *cl = (eg_opencl *)backend;
    if (!resident)
        return;
    pthread_mutex_lock(&cl->mutex);
    for (size_t i = 0; i < resident->count; i++)
        release(resident->spans[i].memory);
    pthread_mutex_unlock(&cl->mutex);
    eg_free(resident->spans);
    eg_free(resident);
}

static eg_cl_span *add_span(eg_resident *r, engram_error *error)
{
    if (!eg_grow((void **)&r->spans, &r->capacity, r->count + 1, sizeof *r->spans)) {
        eg_fail(error, ENGRAM_NO_MEMORY, "no memory for vectors");
        return NULL;
    }
    r->spans[r->count] = (eg_cl_span){0};
    return &r->spans[r->count++];
}

/* Whether vectors go on where those of a span end that are in the host's memory. */
static bool goes_on(const eg_cl_span *span, eg_vectors v)
{
    if (!span || !span->lent.bytes || span->layout != v.layout)
        return false;
    if (v.layout == EG_LAYOUT_ROWS)
        return span->lent.bytes + (span->lent.first + span->rows) * VECTOR ==
               v.bytes + v.first * VECTOR;
    return span->lent.bytes == v.bytes && span->lent.total == v.total &&
           span->lent.first + span->rows == v.first;
}

/* In planes, whole groups are lent. */
static size_t lent_unit(eg_layout layout)
{
    return layout == EG_LAYOUT_ROWS ? 1 : EG_GROUP_ROWS;
}

/* Those of the vectors, the first among them, that one buffer may be over: of rows_max rows, or of
 * one group, which is the least. */
static eg_vectors lendable(eg_vectors v, size_t rows_max)
{
    size_t unit = lent_unit(v.layout), start = v.first / unit * unit;
    size_t most = rows_max > unit ? rows_max / unit * unit : unit;
    return eg_vectors_part(v, 0, eg_cl_smaller(v.count, start + most - v.first));
}

static engram_status make_lent(eg_opencl *cl, eg_vectors v, eg_cl_span *span, engram_error *error)
{
    size_t unit = lent_unit(v.layout), start = v.first / unit * unit, end = v.first + v.count;
    if (v.layout == EG_LAYOUT_PLANES)
        end = eg_cl_smaller((end + unit - 1) / unit * unit, v.total);
    *span = (eg_cl_span){.layout = v.layout,
                         .capacity = end - start,
                         .first = v.first - start,
                         .rows = v.count,
                         .lent = v};
    return eg_cl_lend(cl, v.bytes + start * VECTOR, span->capacity * VECTOR, &span->memory, error);
}

/* Lends some of the vectors, joined to the last span where they follow it and it may grow. Its old
 * buffer, if it was replaced, is left to the caller. */
static engram_status lend(eg_opencl *cl, eg_resident *r, eg_vectors v, size_t rows_max,
                          size_t *taken, engram_error *error)
{
    eg_cl_span *last = r->count ? &r->spans[r->count - 1] : NULL, span;
    size_t before = 0;
    eg_vectors whole = lendable(v, rows_max);
    if (goes_on(last, v)) {
        eg_vectors both =
            lendable(eg_vectors_part(last->lent, 0, last->rows + v.count), rows_max);
        before = both.count > last->rows ? last->rows : 0;
        whole = before > 0 ? both : whole;
    }
    EG_TRY(make_lent(cl, whole, &span, error));
    if (before == 0 && !(last = add_span(r, error))) {
        release(span.memory);
        return ENGRAM_NO_MEMORY;
    }
    *last = span;
    *taken = whole.count - before;
    return ENGRAM_OK;
}

static engram_status make_room(eg_opencl *cl, eg_resident *r, eg_vectors v, size_t rows_max,
                               engram_error *error)
{
    cl_int code;
    size_t held = r->count ? r->spans[r->count - 1].capacity : 0;
    size_t rows = v.count > held ? v.count : held;
    rows = eg_cl_smaller(rows > ROWS_MIN ? rows : ROWS_MIN, rows_max);
    rows = eg_cl_smaller(rows, (cl->limits.resident_size - r->copied) / VECTOR);
    eg_cl_span *span = add_span(r, error);
    if (!span)
        return ENGRAM_NO_MEMORY;
    span->layout = v.layout;
    span->capacity = rows;
    r->copied += rows * VECTOR;
    return EG_CL_MAKE(error, span->memory, code, clCreateBuffer, cl->context, CL_MEM_READ_ONLY,
                      rows * VECTOR, NULL);
}

static bool is_far(const eg_cl_span *span)
{
    return span && span->memory == NULL;
}

/* Whether a span of copies takes more. */
static bool is_open(const eg_cl_span *span, eg_layout layout)
{
    return span && span->memory && !span->lent.bytes && span->layout == layout &&
           span->rows < span->capacity;
}

static engram_status copy(eg_opencl *cl, eg_resident *r, eg_vectors v, size_t rows_max,
                          size_t *taken, engram_error *error)
{
    eg_cl_span *last = r->count ? &r->spans[r->count - 1] : NULL;
    if (!is_open(last, v.layout))
        EG_TRY(make_room(cl, r, v, rows_max, error));
    last = &r->spans[r->count - 1];
    *taken = eg_cl_smaller(v.count, last->capacity - last->rows);
    EG_TRY(eg_cl_put(cl->queue, last->memory, last->capacity, last->rows,
                     eg_vectors_part(v, 0, *taken), error));
    last->rows += *taken;
    return ENGRAM_OK;
}

static engram_status remember(eg_resident *r, eg_vectors v, engram_error *error)
{
    eg_cl_span *last = r->count ? &r->spans[r->count - 1] : NULL;
    if (!is_far(last) || !goes_on(last, v)) {
        last = add_span(r, error);
        if (!last)
            return ENGRAM_NO_MEMORY;
        last->layout = v.layout;
        last->lent = v;
    }
    last->rows += v.count;
    return ENGRAM_OK;
}

static engram_status append(eg_opencl *cl, eg_resident *r, eg_vectors v, engram_error *error)
{
    size_t rows_max = eg_cl_smaller(cl->limits.span_size, cl->info.allocation_max) / VECTOR;
    bool lends = cl->shares_memory && (uintptr_t)v.bytes % ALIGNMENT == 0;
    while (v.count > 0) {
        const eg_cl_span *last = r->count ? &r->spans[r->count - 1] : NULL;
        bool has_room = lends || is_open(last, v.layout) ||
                        cl->limits.resident_size - r->copied >= VECTOR;
        size_t taken = 0;
        if (is_far(last) || !has_room) {
            EG_TRY(remember(r, v, error));
            break;
        }
        EG_TRY((lends ? lend : copy)(cl, r, v, rows_max, &taken, error));
        v = eg_vectors_part(v, taken, v.count - taken);
    }
    return EG_CL(error, clFinish, cl->queue);
}

/* Back to count spans, of which `last` was the last. */
static void restore(eg_resident *r, size_t count, eg_cl_span last, size_t copied)
{
    r->copied = copied;
    for (size_t i = count; i < r->count; i++)
        release(r->spans[i].memory);
    r->count = count;
    if (count > 0 && r->spans[count - 1].memory != last.memory)
        release(r->spans[count - 1].memory);
    if (count > 0)
        r->spans[count - 1] = last;
}

engram_status eg_cl_resident_append(eg_backend *backend, eg_resident *resident, eg_vectors vectors,
                                    engram_error *error)
{
    eg_opencl *cl = (eg_opencl *)backend;
    pthread_mutex_lock(&cl->mutex);
    size_t spans = resident->count, copied = resident->copied;
    eg_cl_span last = spans ? resident->spans[spans - 1] : (eg_cl_span){0};
    engram_status status = append(cl, resident, vectors, error);
    if (status != ENGRAM_OK) {
        eg_cl_drain(cl);
        restore(resident, spans, last, copied);
    } else if (spans > 0 && resident->spans[spans - 1].memory != last.memory) {
        release(last.memory);
    }
    pthread_mutex_unlock(&cl->mutex);
    return status;
}
