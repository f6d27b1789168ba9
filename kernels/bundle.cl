/* Bundling: counters[block * 256 + symbol] += delta for each vector; delta is 1, or -1 modulo 2^32.
 *
 * Two variants: bundle_item, where one work-item owns the counters of 16 blocks and walks all
 * vectors; bundle_group, where 256 work-items count a stretch of vectors into the counters of 16
 * blocks in local memory, and add those to the global ones at the end. Sums of integers: exact in
 * any order. */

#define BLOCKS 256
#define SYMBOLS 256
#define OWNED 16                 /* blocks of one work-item or work-group */
#define COUNTERS (OWNED * SYMBOLS) /* 16 KiB: half of the local memory every device has */
#define LANES 256

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
bundle_item(const __global uchar *restrict vectors, uint count, uint stretch, uint delta,
            __global uint *restrict counters)
{
    uint part = get_global_id(0);
    counters += part * COUNTERS;
    vectors += part * OWNED;
    for (uint v = 0; v < count; v++, vectors += BLOCKS) {
        ulong low = as_ulong(vload8(0, vectors)), high = as_ulong(vload8(1, vectors));
#pragma unroll
        for (uint i = 0; i < OWNED / 2; i++) {
            counters[i * SYMBOLS + (low >> 8 * i & 255)] += delta;
            counters[(i + OWNED / 2) * SYMBOLS + (high >> 8 * i & 255)] += delta;
        }
    }
}

/* Dimension 0: the parts of a vector; dimension 1: stretches of vectors. Four lanes take the 16
 * symbols of one vector. */
__kernel __attribute__((reqd_work_group_size(LANES, 1, 1))) void
bundle_group(const __global uchar *restrict vectors, uint count, uint stretch, uint delta,
             __global uint *restrict counters)
{
    __local uint counted[COUNTERS];
    uint part = get_group_id(0);
    uint lane = get_local_id(0);
    uint first = get_group_id(1) * stretch;
    uint end = min(count, first + stretch);
    for (uint i = lane; i < COUNTERS; i += LANES)
        counted[i] = 0;
    barrier(CLK_LOCAL_MEM_FENCE);
    uint quarter = lane % 4;
    for (uint v = first + lane / 4; v < end; v += LANES / 4) {
        uchar4 s = vload4((ulong)v * (BLOCKS / 4) + part * 4 + quarter, vectors);
        __local uint *own = counted + quarter * 4 * SYMBOLS;
        atomic_inc(&own[s.x]);
        atomic_inc(&own[SYMBOLS + s.y]);
        atomic_inc(&own[2 * SYMBOLS + s.z]);
        atomic_inc(&own[3 * SYMBOLS + s.w]);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    counters += part * COUNTERS;
    for (uint i = lane; i < COUNTERS; i += LANES)
        if (counted[i] != 0)
            atomic_add(&counters[i], counted[i] * delta);
}
