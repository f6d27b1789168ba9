/* Doing a batch of the other backend again, by the definition.
 *
 * One in check_interval batches of each operation is chosen by counting, so that no operation is
 * left out however they alternate. The whole batch is done again, but for scans: the scalar scan of
 * a batch can take a thousand times as long as a GPU's, so only some of the queries are, others
 * each time, PAIRS_MAX comparisons or one query.
 *
 * is_bad only ever becomes true. Batches that are with the backend at that moment are still taken.
 */
#include "compute/device_parts.h"

#include <string.h>

#include "base/log.h"
#include "base/memory.h"

#define PAIRS_MAX ((uint64_t)4 << 20) /* some 60 ms */

void eg_device_set_check_interval(eg_device *device, uint32_t interval)
{
    atomic_store(&device->check_interval, interval);
}

engram_status eg_device_trusts(const eg_device *device, engram_error *why)
{
    if (!atomic_load(&device->is_bad))
        return ENGRAM_OK;
    return eg_fail(why, ENGRAM_DEVICE, "it has answered wrongly");
}

/* *turn: how many batches of this operation were chosen before. */
static bool is_chosen(eg_device *device, eg_operation operation, uint64_t *turn)
{
    uint64_t done = atomic_fetch_add(&device->done[operation], 1) + 1;
    uint32_t interval = atomic_load(&device->check_interval);
    *turn = interval != 0 ? done / interval : 0;
    return interval != 0 && done % interval == 0;
}

static engram_status judge(eg_device *device, eg_operation operation, bool is_right,
                           engram_error *why)
{
    atomic_fetch_add(&device->checked_batches, 1);
    if (is_right)
        return ENGRAM_OK;
    atomic_fetch_add(&device->wrong_batches, 1);
    atomic_store(&device->has_warned, true); /* this is said instead */
    if (!atomic_exchange(&device->is_bad, true))
        eg_log(EG_LOG_ERROR,
               "%s: %s: its answer differs from the scalar one; it is not used any more, the CPU "
               "does it",
               device->used, eg_operation_names[operation]);
    return eg_device_trusts(device, why);
}

engram_status eg_recheck_encode(eg_device *device, const engram_codebook *codebook,
                                const eg_view *chunks, size_t count, const uint8_t *vectors,
                                const uint32_t *spreads, engram_error *why)
{
    uint64_t turn;
    engram_error ignored = {0};
    engram_status status = ENGRAM_OK;
    if (!is_chosen(device, EG_OPERATION_ENCODE, &turn))
        return ENGRAM_OK;
    uint8_t *right = eg_alloc(count * ENGRAM_BLOCKS);
    uint32_t *right_spreads = eg_alloc_zero(count, sizeof *right_spreads);
    if (right != NULL && right_spreads != NULL &&
        device->scalar->ops->encode(device->scalar, codebook, chunks, count, right, right_spreads,
                                    &ignored) == ENGRAM_OK)
        status = judge(device, EG_OPERATION_ENCODE,
                       memcmp(right, vectors, count * ENGRAM_BLOCKS) == 0 &&
                           memcmp(right_spreads, spreads, count * sizeof *spreads) == 0,
                       why);
    eg_free(right);
    eg_free(right_spreads);
    return status;
}

engram_status eg_recheck_bundle(eg_device *device, const uint32_t *before, const uint32_t *after,
                                const uint8_t *vectors, size_t count, int sign, engram_error *why)
{
    const size_t size = ENGRAM_BLOCKS * ENGRAM_SYMBOLS * sizeof *before;
    uint64_t turn;
    engram_error ignored = {0};
    engram_status status = ENGRAM_OK;
    if (!is_chosen(device, EG_OPERATION_BUNDLE, &turn))
        return ENGRAM_OK;
    uint32_t *right = eg_memdup(before, size);
    if (right != NULL && device->scalar->ops->bundle(device->scalar, right, vectors, count, sign,
                                                     &ignored) == ENGRAM_OK)
        status = judge(device, EG_OPERATION_BUNDLE, memcmp(right, after, size) == 0, why);
    eg_free(right);
    return status;
}

/* Lists of k places each; what lies behind a list's count means nothing. */
static bool are_lists_equal(const eg_hit *a, const uint32_t *a_counts, const eg_hit *b,
                            const uint32_t *b_counts, size_t list_count, uint32_t k)
{
    for (size_t q = 0; q < list_count; q++) {
        if (a_counts[q] != b_counts[q])
            return false;
        for (size_t i = q * k; i < q * k + a_counts[q]; i++)
            if (a[i].row != b[i].row || a[i].matches != b[i].matches)
                return false;
    }
    return true;
}

engram_status eg_recheck_top_k(eg_device *device, const eg_resident *resident, size_t row_count,
                               const eg_scan *scan, const eg_hit *hits, const uint32_t *counts,
                               engram_error *why)
{
    uint64_t turn, most = PAIRS_MAX / (row_count + 1);
    engram_error ignored = {0};
    engram_status status = ENGRAM_OK;
    if (!is_chosen(device, EG_OPERATION_TOP_K, &turn) || scan->query_count == 0)
        return ENGRAM_OK;
    size_t first = turn % scan->query_count, left = scan->query_count - first;
    if (most >= scan->query_count)
        first = 0, left = scan->query_count;
    size_t count = most == 0 ? 1 : most < left ? most : left;
    eg_hit *right = eg_alloc_zero(count * scan->k, sizeof *right);
    uint32_t *right_counts = eg_alloc_zero(count, sizeof *right_counts);
    if (right != NULL && right_counts != NULL &&
        device->scalar->ops->top_k(device->scalar, resident, scan->queries + first * ENGRAM_BLOCKS,
                                   count, scan->live, scan->k, scan->minimum, right, right_counts,
                                   &ignored) == ENGRAM_OK)
        status = judge(device, EG_OPERATION_TOP_K,
                       are_lists_equal(right, right_counts, hits + first * scan->k, counts + first,
                                       count, scan->k),
                       why);
    eg_free(right);
    eg_free(right_counts);
    return status;
}
