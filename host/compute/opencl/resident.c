/* Resident vectors: spans of rows, each in one buffer that the device allows.
 *
 * A device that shares the host's memory scans the lent vectors in place; rows lent next to the
 * last ones become one span with them, so that a store that grows by small steps keeps few. Other
 * devices get copies, in buffers taken somewhat larger than asked for, as many as they have room
 * for; what comes then is only remembered, and passes through tiles at each scan (top_k.c). Appending
 * is all or nothing: what it replaces is let go only when it is done. */
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

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Lends up to rows_max of count rows, joined to the last span where they follow it. The last span's
 * old buffer, if it was replaced, is left to the caller in *replaced. */
static engram_status lend(eg_opencl *cl, eg_resident *r, const uint8_t *vectors, size_t count,
                          size_t rows_max, size_t *taken, engram_error *error)
{
    eg_cl_span *last = r->count ? &r->spans[r->count - 1] : NULL;
    cl_mem memory;
    bool joins =
        last && last->lent && last->lent + last->rows * VECTOR == vectors && last->rows < rows_max;
    const uint8_t *start = joins ? last->lent : vectors;
    size_t before = joins ? last->rows : 0;
    *taken = smaller(count, rows_max - before);
    EG_TRY(eg_cl_lend(cl, start, (before + *taken) * VECTOR, &memory, error));
    if (!joins && !(last = add_span(r, error))) {
        release(memory);
        return ENGRAM_NO_MEMORY;
    }
    last->memory = memory;
    last->lent = start;
    last->rows = last->capacity = before + *taken;
    return ENGRAM_OK;
}

static engram_status make_room(eg_opencl *cl, eg_resident *r, size_t count, size_t rows_max,
                               engram_error *error)
{
    cl_int code;
    size_t held = r->count ? r->spans[r->count - 1].capacity : 0;
    size_t rows = count > held ? count : held;
    rows = smaller(rows > ROWS_MIN ? rows : ROWS_MIN, rows_max);
    rows = smaller(rows, (cl->limits.resident_size - r->copied) / VECTOR);
    eg_cl_span *span = add_span(r, error);
    if (!span)
        return ENGRAM_NO_MEMORY;
    span->capacity = rows;
    r->copied += rows * VECTOR;
    return EG_CL_MAKE(error, span->memory, code, clCreateBuffer, cl->context, CL_MEM_READ_ONLY,
                      rows * VECTOR, NULL);
}

static engram_status copy(eg_opencl *cl, eg_resident *r, const uint8_t *vectors, size_t count,
                          size_t rows_max, size_t *taken, engram_error *error)
{
    eg_cl_span *last = r->count ? &r->spans[r->count - 1] : NULL;
    if (!last || last->lent || last->rows == last->capacity)
        EG_TRY(make_room(cl, r, count, rows_max, error));
    last = &r->spans[r->count - 1];
    *taken = smaller(count, last->capacity - last->rows);
    EG_TRY(eg_cl_write(cl, last->memory, last->rows * VECTOR, vectors, *taken * VECTOR, error));
    last->rows += *taken;
    return ENGRAM_OK;
}

static bool is_far(const eg_cl_span *span)
{
    return span->memory == NULL;
}

/* Whether the device has room for one more copy. */
static bool has_room(const eg_opencl *cl, const eg_resident *r)
{
    const eg_cl_span *last = r->count ? &r->spans[r->count - 1] : NULL;
    if (last && is_far(last))
        return false;
    return (last && !last->lent && last->rows < last->capacity) || cl->limits.resident_size - r->copied >= VECTOR;
}

static engram_status remember(eg_resident *r, const uint8_t *vectors, size_t count, engram_error *error)
{
    eg_cl_span *last = r->count ? &r->spans[r->count - 1] : NULL;
    if (!last || !is_far(last) || last->lent + last->rows * VECTOR != vectors) {
        last = add_span(r, error);
        if (!last)
            return ENGRAM_NO_MEMORY;
        last->lent = vectors;
    }
    last->rows = last->capacity = last->rows + count;
    return ENGRAM_OK;
}

static engram_status append(eg_opencl *cl, eg_resident *r, const uint8_t *vectors, size_t count,
                            engram_error *error)
{
    size_t rows_max = smaller(cl->limits.span_size, cl->info.allocation_max) / VECTOR;
    bool lends = cl->shares_memory && (uintptr_t)vectors % ALIGNMENT == 0;
    while (count > 0) {
        size_t taken = 0;
        if (!lends && !has_room(cl, r)) {
            EG_TRY(remember(r, vectors, count, error));
            break;
        }
        EG_TRY((lends ? lend : copy)(cl, r, vectors, count, rows_max, &taken, error));
        vectors += taken * VECTOR;
        count -= taken;
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

engram_status eg_cl_resident_append(eg_backend *backend, eg_resident *resident,
                                    const uint8_t *vectors, size_t count, engram_error *error)
{
    eg_opencl *cl = (eg_opencl *)backend;
    pthread_mutex_lock(&cl->mutex);
    size_t spans = resident->count, copied = resident->copied;
    eg_cl_span last = spans ? resident->spans[spans - 1] : (eg_cl_span){0};
    engram_status status = append(cl, resident, vectors, count, error);
    if (status != ENGRAM_OK) {
        eg_cl_drain(cl);
        restore(resident, spans, last, copied);
    } else if (spans > 0 && resident->spans[spans - 1].memory != last.memory) {
        release(last.memory);
    }
    pthread_mutex_unlock(&cl->mutex);
    return status;
}
