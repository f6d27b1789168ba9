#include "compute/candidate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POOL_THREADS = 3, DEVICES_MAX = 16 };

/* As eg_kernels_init_avx512, of the same sources, but their instructions are emulated with AVX2. */
void eg_kernels_init_avx512_emulated(eg_kernels *kernels);

static const struct table {
    const char *name;
    unsigned flags;
    void (*override)(eg_kernels *kernels); /* NULL but for tables that no backend has */
} tables[] = {{"scalar", 0, NULL},
              {"avx2", EG_CPU_AVX2, NULL},
              {"avx512", EG_CPU_AVX2 | EG_CPU_AVX512, NULL},
              {"avx512-emulated", EG_CPU_AVX2, eg_kernels_init_avx512_emulated}};

static bool is_wanted(const char *candidate_name, const char *name)
{
    return name == NULL || strcmp(candidate_name, name) == 0;
}

static bool open_cpu(candidate *c, unsigned flags, size_t threads)
{
    engram_error error = {0};
    if (threads > 0 && eg_pool_create(threads, &c->pool, &error) != ENGRAM_OK)
        return false;
    return eg_backend_cpu_open(flags, c->pool, &c->backend, &error) == ENGRAM_OK;
}

static size_t open_table(candidate *list, size_t capacity, const struct table *table,
                         const char *name, unsigned *failed)
{
    size_t count = 0;
    const unsigned kinds = table->override == NULL ? 3 : 1;
    for (unsigned kind = 0; kind < kinds && count < capacity; kind++) {
        static const char *const forms[] = {"%s", "cpu-%s", "cpu-%s-pool"};
        candidate *c = &list[count];
        memset(c, 0, sizeof *c);
        snprintf(c->name, sizeof c->name, forms[kind], table->name);
        eg_kernels_init(&c->kernels, table->flags);
        if (table->override != NULL)
            table->override(&c->kernels);
        if (!is_wanted(c->name, name))
            continue;
        if (kind == 0 || open_cpu(c, table->flags, kind == 2 ? POOL_THREADS : 0)) {
            count++;
            continue;
        }
        printf("%s: cannot be opened\n", c->name);
        candidate_close(c);
        ++*failed;
    }
    return count;
}

#ifdef ENGRAM_HAVE_OPENCL
static size_t open_opencl(candidate *list, size_t capacity, const char *name, unsigned *failed)
{
    eg_device_info infos[DEVICES_MAX];
    size_t count = 0, there = eg_opencl_list(infos, DEVICES_MAX);
    for (size_t i = 0; i < there && i < DEVICES_MAX && count < capacity; i++) {
        candidate *c = &list[count];
        engram_error error = {0};
        unsigned platform, device;
        memset(c, 0, sizeof *c);
        memcpy(c->name, infos[i].spec, sizeof infos[i].spec);
        if (!is_wanted(c->name, name))
            continue;
        if (sscanf(c->name, "opencl:%u.%u", &platform, &device) == 2 &&
            eg_backend_opencl_open(platform, device, &c->backend, &error) == ENGRAM_OK) {
            count++;
            continue;
        }
        printf("%s (%s): cannot be opened: %s\n", c->name, infos[i].name, error.message);
        ++*failed;
    }
    return count;
}
#else
static size_t open_opencl(candidate *list, size_t capacity, const char *name, unsigned *failed)
{
    (void)list;
    (void)capacity;
    (void)name;
    (void)failed;
    return 0;
}
#endif

size_t candidates_open(candidate *list, size_t capacity, const char *name, unsigned *failed)
{
    size_t count = 0;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        if ((tables[i].flags & ~eg_cpu_flags()) == 0)
            count += open_table(list + count, capacity - count, &tables[i], name, failed);
    return count + open_opencl(list + count, capacity - count, name, failed);
}

void candidate_close(candidate *c)
{
    if (c->backend != NULL)
        c->backend->ops->close(c->backend);
    if (c->pool != NULL)
        eg_pool_free(c->pool);
    c->backend = NULL;
    c->pool = NULL;
}

static engram_status report(engram_status status, const engram_error *error)
{
    if (status != ENGRAM_OK)
        printf("  %s: %s\n", engram_status_name(status), error->message);
    return status;
}

bool candidate_encode(const candidate *c, const engram_codebook *codebook, const eg_view *chunks,
                      size_t count, uint8_t *vectors, uint32_t *spreads, engram_status *status)
{
    engram_error error = {0};
    *status = ENGRAM_OK;
    if (c->backend == NULL) {
        for (size_t i = 0; i < count; i++)
            c->kernels.encode(codebook, chunks[i].data, chunks[i].size, vectors + i * ENGRAM_BLOCKS,
                              &spreads[i]);
        return true;
    }
    if (c->backend->ops->encode == NULL)
        return false;
    *status = report(
        c->backend->ops->encode(c->backend, codebook, chunks, count, vectors, spreads, &error),
        &error);
    return true;
}

bool candidate_bundle(const candidate *c, uint32_t *counters, const uint8_t *vectors, size_t count,
                      int sign, engram_status *status)
{
    engram_error error = {0};
    *status = ENGRAM_OK;
    if (c->backend == NULL) {
        c->kernels.bundle(counters, vectors, count, sign);
        return true;
    }
    if (c->backend->ops->bundle == NULL)
        return false;
    *status =
        report(c->backend->ops->bundle(c->backend, counters, vectors, count, sign, &error), &error);
    return true;
}

/* Bits from `first` on, in fresh memory that ends with the last word. */
static uint64_t *move_bits(const uint64_t *bits, size_t first, size_t count)
{
    uint64_t *moved = calloc((count + 63) / 64, sizeof *moved);
    if (moved == NULL)
        abort();
    for (size_t i = 0; i < count; i++)
        moved[i / 64] |= (bits[(first + i) / 64] >> (first + i) % 64 & 1) << i % 64;
    return moved;
}

/* Group by group, as kernels take them. */
static void scan_run(const eg_kernels *kernels, const eg_vectors *run, const scan_query *query,
                     eg_top *tops)
{
    for (size_t at = 0, count; at < run->count; at += count) {
        count = eg_vectors_run(run, at);
        uint64_t *moved = at != 0 && query->live != NULL ? move_bits(query->live, at, count) : NULL;
        kernels->top_k(query->queries, query->query_count, eg_vectors_part(*run, at, count), at,
                       moved != NULL ? moved : query->live, tops);
        free(moved);
    }
}

static void scan_kernels(const eg_kernels *kernels, const scan_set *set, const scan_query *query,
                         eg_hit *hits, uint32_t *counts)
{
    eg_top *tops = malloc(query->query_count * sizeof *tops);
    if (tops == NULL)
        abort();
    for (size_t q = 0; q < query->query_count; q++)
        eg_top_init(&tops[q], hits + q * query->k, query->k, query->minimum);
    scan_run(kernels, &set->runs[0], query, tops);
    for (size_t q = 0; q < query->query_count; q++) {
        eg_top_finish(&tops[q]);
        counts[q] = tops[q].count;
    }
    free(tops);
}

static engram_status scan_backend(eg_backend *backend, const scan_set *set, const scan_query *query,
                                  eg_hit *hits, uint32_t *counts, engram_error *error)
{
    eg_resident *resident;
    EG_TRY(backend->ops->resident_create(backend, &resident, error));
    engram_status status = ENGRAM_OK;
    for (size_t i = 0; i < set->run_count && status == ENGRAM_OK; i++)
        status = backend->ops->resident_append(backend, resident, set->runs[i], error);
    if (status == ENGRAM_OK)
        status = backend->ops->top_k(backend, resident, query->queries, query->query_count,
                                     query->live, query->k, query->minimum, hits, counts, error);
    backend->ops->resident_free(backend, resident);
    return status;
}

bool candidate_top_k(const candidate *c, const scan_set *set, const scan_query *query, eg_hit *hits,
                     uint32_t *counts, engram_status *status)
{
    engram_error error = {0};
    *status = ENGRAM_OK;
    if (c->backend == NULL) {
        scan_kernels(&c->kernels, set, query, hits, counts);
        return true;
    }
    if (c->backend->ops->top_k == NULL)
        return false;
    *status = report(scan_backend(c->backend, set, query, hits, counts, &error), &error);
    return true;
}
