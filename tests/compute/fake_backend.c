#include "compute/fake_backend.h"

#include <stdlib.h>
#include <string.h>

static bool fails(fake_backend *fake)
{
    long left = fake->calls_left;
    fake->calls++;
    if (left < 0)
        return false;
    return (left == 0 && fake->forever) || fake->calls_left-- == 0;
}

static engram_status refuse(engram_error *error)
{
    return eg_fail(error, ENGRAM_DEVICE, "the device is gone");
}

static void close_fake(eg_backend *backend)
{
    fake_backend *fake = (fake_backend *)backend;
    fake->cpu->ops->close(fake->cpu);
    fake->closed++;
}

static engram_status encode(eg_backend *backend, const engram_codebook *codebook,
                            const eg_view *chunks, size_t count, uint8_t *vectors,
                            uint32_t *spreads, engram_error *error)
{
    fake_backend *fake = (fake_backend *)backend;
    if (fails(fake)) {
        memset(vectors, 0xEE, count * ENGRAM_BLOCKS);
        memset(spreads, 0xEE, count * sizeof *spreads);
        return refuse(error);
    }
    engram_status status =
        fake->cpu->ops->encode(fake->cpu, codebook, chunks, count, vectors, spreads, error);
    if (count > 0 && fake->lie == LIE_VECTOR)
        vectors[count * ENGRAM_BLOCKS - 1] ^= 1;
    if (count > 0 && fake->lie == LIE_SPREAD)
        spreads[count - 1]++;
    return status;
}

static engram_status bundle(eg_backend *backend, uint32_t *counters, const uint8_t *vectors,
                            size_t count, int sign, engram_error *error)
{
    fake_backend *fake = (fake_backend *)backend;
    if (fails(fake)) {
        memset(counters, 0xEE, ENGRAM_BLOCKS * ENGRAM_SYMBOLS * sizeof *counters);
        return refuse(error);
    }
    engram_status status = fake->cpu->ops->bundle(fake->cpu, counters, vectors, count, sign, error);
    if (fake->lie == LIE_COUNTER)
        counters[ENGRAM_BLOCKS * ENGRAM_SYMBOLS - 1]++;
    return status;
}

static engram_status resident_create(eg_backend *backend, eg_resident **resident,
                                     engram_error *error)
{
    fake_backend *fake = (fake_backend *)backend;
    if (fails(fake))
        return refuse(error);
    fake->residents++;
    return fake->cpu->ops->resident_create(fake->cpu, resident, error);
}

static void resident_free(eg_backend *backend, eg_resident *resident)
{
    fake_backend *fake = (fake_backend *)backend;
    fake->residents -= resident != NULL;
    fake->cpu->ops->resident_free(fake->cpu, resident);
}

static engram_status resident_append(eg_backend *backend, eg_resident *resident, eg_vectors vectors,
                                     engram_error *error)
{
    fake_backend *fake = (fake_backend *)backend;
    if (fails(fake))
        return refuse(error);
    return fake->cpu->ops->resident_append(fake->cpu, resident, vectors, error);
}

static engram_status top_k(eg_backend *backend, const eg_resident *resident, const uint8_t *queries,
                           size_t query_count, const uint64_t *live, uint32_t k, uint32_t minimum,
                           eg_hit *hits, uint32_t *counts, engram_error *error)
{
    fake_backend *fake = (fake_backend *)backend;
    if (fails(fake)) {
        memset(hits, 0xEE, query_count * k * sizeof *hits);
        memset(counts, 0xEE, query_count * sizeof *counts);
        return refuse(error);
    }
    engram_status status = fake->cpu->ops->top_k(fake->cpu, resident, queries, query_count, live, k,
                                                 minimum, hits, counts, error);
    if (status == ENGRAM_OK && query_count > 0 && counts[query_count - 1] > 0) {
        uint32_t *count = &counts[query_count - 1];
        eg_hit *last = &hits[(query_count - 1) * k + *count - 1];
        last->row += fake->lie == LIE_ROW;
        last->matches += fake->lie == LIE_MATCHES;
        *count -= fake->lie == LIE_COUNT;
    }
    return status;
}

void fake_backend_init(fake_backend *fake)
{
    engram_error error = {0};
    memset(fake, 0, sizeof *fake);
    fake->ops = (eg_backend_ops){"fake",          close_fake,    encode,          bundle,
                                 resident_create, resident_free, resident_append, top_k};
    fake->base.ops = &fake->ops;
    fake->calls_left = -1;
    if (eg_backend_cpu_open(0, NULL, &fake->cpu, &error) != ENGRAM_OK)
        abort();
}
