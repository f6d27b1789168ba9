/* Encoding: a chunk of bytes to its hypervector and spread.
 *
 * The feature hash of a 64-bit x: x ^= s1; p = low(x) * high(x); p ^= s2; q = low(p) * high(p);
 * h = low(q) ^ high(q). The features are the 8-byte windows of the chunk, little-endian, one at
 * each byte; a chunk of n < 8 bytes has one, padded with zeros, with n in its top byte. The top 8
 * bits of h name a block, the low 24 are a priority; the smallest priority wins the block and its
 * low 8 bits are the symbol. A block without a window borrows (fill, below). The spread is the sum
 * of the winning priorities, 2^24 - 1 for an empty block.
 *
 * Two variants that give equal bytes: encode_item, one work-item a chunk with its own table of
 * minima, which a CPU keeps in L1; encode_group, 256 work-items a chunk around one table in local
 * memory. Both leave the winners in global memory, where the empty blocks look them up. */

#define BLOCKS 256
#define PRIORITY_MAX 0xFFFFFFu
#define EMPTY 0xFFFFFFFFu /* no window yet: above every priority */
#define PROBES 65536u
#define STAGE 512u /* windows */

static uint feature(ulong x, ulong s1, ulong s2)
{
    x ^= s1;
    ulong p = (x & 0xFFFFFFFFul) * (x >> 32);
    p ^= s2;
    ulong q = (p & 0xFFFFFFFFul) * (p >> 32);
    return (uint)(q ^ (q >> 32));
}

/* The lane j of the result is the feature of the window j bytes after the first of low. */
static uint8 features(ulong low, ulong high, ulong s1, ulong s2)
{
    const ulong8 down = (ulong8)(0, 8, 16, 24, 32, 40, 48, 56);
    ulong8 x = (ulong8)(low) >> down | (ulong8)(high << 1) << (63 - down);
    x ^= s1;
    ulong8 p = (x & 0xFFFFFFFFul) * (x >> 32);
    p ^= s2;
    ulong8 q = (p & 0xFFFFFFFFul) * (p >> 32);
    return convert_uint8(q ^ (q >> 32));
}

static ulong load(const __global uchar *bytes)
{
    return as_ulong(vload8(0, bytes));
}

/* The one window of a chunk under 8 bytes. */
static ulong short_window(const __global uchar *bytes, uint size)
{
    ulong x = (ulong)size << 56;
    for (uint i = 0; i < size; i++)
        x |= (ulong)bytes[i] << 8 * i;
    return x;
}

/* The symbol of an empty block: optimal densification, which probes blocks by hash until one has
 * a winner. A hostile seed can make a block probe in vain; then the next filled one lends. */
static uchar fill(const __global uint *winners, uint block, ulong s1, ulong s2)
{
    uint lender = block;
    for (uint probe = 1; probe <= PROBES && winners[lender] == EMPTY; probe++)
        lender = feature((ulong)probe << 32 | block, s1, s2) >> 24;
    if (winners[lender] == EMPTY)
        for (lender = block; winners[lender] == EMPTY;)
            lender = (lender + 1) % BLOCKS;
    uint winner = lender << 24 | winners[lender];
    return (uchar)feature((ulong)(block + 1) << 32 | winner, s1, s2);
}

static uchar symbol(const __global uint *winners, uint block, ulong s1, ulong s2)
{
    return winners[block] != EMPTY ? (uchar)winners[block] : fill(winners, block, s1, s2);
}

static void keep(uint *minima, uint h)
{
    uint block = h >> 24;
    minima[block] = min(minima[block], h & PRIORITY_MAX);
}

/* Windows are hashed stage by stage, and then put into their blocks: in one loop a vector would be
 * taken apart for each eight of them, and the processor would wait for the one to end before it
 * begins with the next. */
static void scan(uint *minima, const __global uchar *bytes, uint size, ulong s1, ulong s2)
{
    uint blocks[STAGE], priorities[STAGE];
    uint at = 0;
    while (size - at >= 16) {
        uint count = min(STAGE, (size - at - 8) / 8 * 8);
        for (uint i = 0; i < count; i += 8) {
            uint8 h = features(load(bytes + at + i), load(bytes + at + i + 8), s1, s2);
            vstore8(h >> 24, 0, blocks + i);
            vstore8(h & PRIORITY_MAX, 0, priorities + i);
        }
        for (uint i = 0; i < count; i++)
            minima[blocks[i]] = min(minima[blocks[i]], priorities[i]);
        at += count;
    }
    for (; at + 8 <= size; at++)
        keep(minima, feature(load(bytes + at), s1, s2));
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
encode_item(const __global uchar *restrict bytes, const __global ulong *restrict starts,
            const __global uint *restrict sizes, ulong s1, ulong s2, __global uint *winners,
            __global uchar *restrict vectors, __global uint *restrict spreads)
{
    size_t chunk = get_global_id(0);
    uint minima[BLOCKS];
    for (uint i = 0; i < BLOCKS; i++)
        minima[i] = EMPTY;
    bytes += starts[chunk];
    if (sizes[chunk] < 8)
        keep(minima, feature(short_window(bytes, sizes[chunk]), s1, s2));
    else
        scan(minima, bytes, sizes[chunk], s1, s2);
    winners += chunk * BLOCKS;
    uint spread = 0;
    for (uint i = 0; i < BLOCKS; i++) {
        winners[i] = minima[i];
        spread += min(minima[i], PRIORITY_MAX);
    }
    for (uint i = 0; i < BLOCKS; i++)
        vectors[chunk * BLOCKS + i] = symbol(winners, i, s1, s2);
    spreads[chunk] = spread;
}

/* Chunks start at multiples of 8 bytes here, and 16 readable bytes follow the last, so that a lane
 * takes a word and its successor and has eight windows. */
__kernel __attribute__((reqd_work_group_size(BLOCKS, 1, 1))) void
encode_group(const __global uchar *restrict bytes, const __global ulong *restrict starts,
             const __global uint *restrict sizes, ulong s1, ulong s2, __global uint *winners,
             __global uchar *restrict vectors, __global uint *restrict spreads)
{
    __local uint minima[BLOCKS];
    __local uint spread;
    size_t chunk = get_group_id(0);
    uint lane = get_local_id(0);
    uint size = sizes[chunk];
    minima[lane] = EMPTY;
    if (lane == 0)
        spread = 0;
    barrier(CLK_LOCAL_MEM_FENCE);

    const __global ulong *words = (const __global ulong *)(bytes + starts[chunk]);
    uint windows = size < 8 ? 0 : size - 7;
    for (uint word = lane; word < (windows + 7) / 8; word += BLOCKS) {
        ulong low = words[word], high = words[word + 1];
        uint count = min(8u, windows - 8 * word);
        for (uint i = 0; i < count; i++) {
            uint h = feature(low >> 8 * i | high << 1 << (63 - 8 * i), s1, s2);
            atomic_min(&minima[h >> 24], h & PRIORITY_MAX);
        }
    }
    if (size < 8 && lane == 0) {
        uint h = feature(short_window(bytes + starts[chunk], size), s1, s2);
        atomic_min(&minima[h >> 24], h & PRIORITY_MAX);
    }
    barrier(CLK_LOCAL_MEM_FENCE);

    winners += chunk * BLOCKS;
    winners[lane] = minima[lane];
    atomic_add(&spread, min(minima[lane], PRIORITY_MAX));
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    vectors[chunk * BLOCKS + lane] = symbol(winners, lane, s1, s2);
    if (lane == 0)
        spreads[chunk] = spread;
}
