/* Exact top-k: the k rows with the most matches for each query, the lower row first on ties.
 *
 * Rows come in tiles, queries in batches. For one tile:
 *   count      scores[q * stride + row] = matches + 1, or 0 for a row that cannot count (its live
 *              bit is clear, or it has fewer matches than bars[q], the least that still enters)
 *   histogram  how many rows of each query have each score
 *   threshold  per query the score at which the k-th row is: all above it are chosen, and the
 *              first `need` rows that equal it
 *   tally      rows equal to the threshold, per section of the tile
 *   prefix     those before each section
 *   gather     the chosen rows as (row, matches), in no order: the host sorts k entries
 * There is no list to overflow, so any number of ties is exact. stride is a multiple of 32; the
 * scores past the last row of a tile are 0.
 *
 * Rows are vectors as symbols, or in planes (host/vsa/layout.h), and queries then are as they are.
 * Only count knows: for planes it reads all of a row while its bar is one that many rows reach in
 * their leads by chance, and above that the rests only of rows whose leads leave a chance.
 *
 * Kernels ending in _item run one work-item each on its own (CPUs), those in _group share local
 * memory (GPUs); the rest are small. */

#define BLOCKS 256
#define SCORES 258 /* 0, then 0 .. 256 matches + 1 */
#define ROWS 32    /* rows that stay in L1, and scores read at once */
#define ITEM 512   /* rows an item counts */
#define PLACES 4   /* that an item reads from at once */
#define FEW 8      /* queries, for which reading takes longer than counting */
#define LANES 64   /* work-items of a group */

#define GROUP_ROWS 4096 /* of vectors in planes */
#define PLANES 8
#define LEAD_PLANES 2
#define LEAD_SIZE 64
#define REST_SIZE 192
#define PRUNED_BAR 70 /* leads agree in 64 blocks by chance, give or take 7 */
#define LONG_ITEM 2048 /* rows in planes an item counts for one query: long pieces are read faster */
#define SHORT_ROWS 128 /* in planes, that stay in L1 and L2 */

#ifdef __clang__
typedef char wide __attribute__((ext_vector_type(32)));
#define INLINE static inline __attribute__((always_inline))
#else
typedef char16 wide;
#define INLINE static inline
#endif
#define WIDE (sizeof(wide))
#define WIDES (BLOCKS / WIDE)

/* The live bits of `count` <= 32 rows from bit `first` on. */
static uint live_bits(const __global ulong *live, ulong first, uint count)
{
    uint all = count == 32 ? 0xFFFFFFFFu : (1u << count) - 1;
    if (!live || count == 0)
        return all;
    uint shift = first % 64;
    ulong bits = live[first / 64] >> shift;
    if (shift + count > 64)
        bits |= live[first / 64 + 1] << (64 - shift);
    return (uint)bits & all;
}

/* Where lead and rest of a row are among total vectors in planes. */
INLINE ulong lead_at(ulong row)
{
    return row / GROUP_ROWS * (GROUP_ROWS * BLOCKS) + row % GROUP_ROWS * LEAD_SIZE;
}

INLINE ulong rest_at(ulong total, ulong row)
{
    ulong group = row / GROUP_ROWS * GROUP_ROWS;
    return group * BLOCKS + min(total - group, (ulong)GROUP_ROWS) * LEAD_SIZE +
           row % GROUP_ROWS * REST_SIZE;
}

/* Adds 32 lanes, each -16 .. 0, to 8 that are 0 .. 64. */
INLINE char8 fold(wide equal)
{
#ifdef __clang__
    char16 sum = -(equal.lo + equal.hi);
#else
    char16 sum = -equal;
#endif
    return sum.lo + sum.hi;
}

/* The matches of four rows from their folded counts: each ulong is 8 bytes of at most 64. */
INLINE ushort4 sums(ulong4 bytes)
{
    bytes += bytes >> 32;
    ulong4 even = bytes & 0x00FF00FFul, odd = bytes >> 8 & 0x00FF00FFul;
    even += odd;
    return convert_ushort4((even + (even >> 16)) & 0xFFFFul);
}

/* Equal bytes of query and row as lanes that count down. */
INLINE wide compare(const wide *query, const __global uchar *row)
{
    const __global wide *r = (const __global wide *)row;
    wide equal = 0;
#pragma unroll
    for (uint i = 0; i < WIDES; i++)
        equal += query[i] == r[i];
    return equal;
}

/* The scores of four rows, pitch bytes apart, of which those that are live count. Four at once, so
 * that adding up lanes costs less than comparing them. */
INLINE ushort4 score4(const wide *query, const __global uchar *row, ulong pitch, uint bar,
                      ushort4 is_live)
{
    ulong4 folded = (ulong4)(as_ulong(fold(compare(query, row))),
                             as_ulong(fold(compare(query, row + pitch))),
                             as_ulong(fold(compare(query, row + 2 * pitch))),
                             as_ulong(fold(compare(query, row + 3 * pitch))));
    ushort4 matches = sums(folded);
    return select((ushort4)(0), matches + (ushort4)(1),
                  as_ushort4(matches >= (ushort4)(bar) & is_live != (ushort4)(0)));
}

INLINE ushort score1(const wide *query, const __global uchar *row, uint bar, uint live)
{
    ulong4 folded = as_ulong(fold(compare(query, row)));
    ushort matches = sums(folded).x;
    return (live & 1) != 0 && matches >= bar ? matches + 1 : 0;
}

INLINE void load_query(wide *query, const __global uchar *queries, uint q)
{
#pragma unroll
    for (uint i = 0; i < WIDES; i++)
        query[i] = ((const __global wide *)(queries + q * BLOCKS))[i];
}

/* ROWS rows, of which count are there: they stay in L1, each query in registers. */
static void count_block(const __global uchar *vectors, uint count, const __global uchar *queries,
                        uint query_count, uint bits, const __global uint *bars,
                        __global ushort *scores, uint stride)
{
    for (uint q = 0; q < query_count; q++, scores += stride) {
        uint counted = bits != 0 && bars[q] <= BLOCKS ? count : 0;
        wide query[WIDES];
        load_query(query, queries, q);
        uint i = 0;
        for (; i + 4 <= counted; i += 4) {
            ushort4 is_live = (ushort4)(bits >> i) & (ushort4)(1, 2, 4, 8);
            vstore4(score4(query, vectors + i * BLOCKS, BLOCKS, bars[q], is_live), 0, scores + i);
        }
        for (; i < counted; i++)
            scores[i] = score1(query, vectors + i * BLOCKS, bars[q], bits >> i);
        for (; i < ROWS; i++)
            scores[i] = 0;
    }
}

/* ITEM rows, a quarter of them apart: memory is read from four places, each in order, which is half
 * as fast again as from one. bits: of the ROWS rows at each place, ITEM / PLACES / ROWS times. */
static void count_places(const __global uchar *vectors, const __global uchar *queries,
                         uint query_count, const uint4 *bits, const __global uint *bars,
                         __global ushort *scores, uint stride)
{
    const uint quarter = ITEM / PLACES;
    for (uint q = 0; q < query_count; q++, scores += stride) {
        const uint bar = min(bars[q], BLOCKS + 1u); /* compared as 16 bits */
        wide query[WIDES];
        load_query(query, queries, q);
        for (uint i = 0; i < quarter; i++) {
            ushort4 is_live = convert_ushort4(bits[i / ROWS] >> (uint4)(i % ROWS) & (uint4)(1));
            ushort4 score = score4(query, vectors + i * BLOCKS, quarter * BLOCKS, bar, is_live);
            scores[i] = score.x;
            scores[quarter + i] = score.y;
            scores[2 * quarter + i] = score.z;
            scores[3 * quarter + i] = score.w;
        }
    }
}

/* One item: ITEM rows, or what is left of them, against every query. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
top_k_count_item(const __global uchar *restrict vectors, ulong first, uint rows,
                 const __global uchar *restrict queries, uint query_count,
                 const __global ulong *restrict live, ulong live_first,
                 const __global uint *restrict bars, __global ushort *restrict scores, uint stride)
{
    const uint begin = get_global_id(0) * ITEM, end = min(begin + ITEM, stride);
    uint4 bits[ITEM / PLACES / ROWS];
    vectors += first * BLOCKS;
    if (query_count <= FEW && begin + ITEM <= rows) {
        for (uint i = 0; i < ITEM / PLACES / ROWS; i++) {
            ulong at = live_first + begin + i * ROWS;
            bits[i] = (uint4)(live_bits(live, at, ROWS), live_bits(live, at + ITEM / 4, ROWS),
                              live_bits(live, at + ITEM / 2, ROWS),
                              live_bits(live, at + ITEM / 4 * 3, ROWS));
        }
        count_places(vectors + (ulong)begin * BLOCKS, queries, query_count, bits, bars,
                     scores + begin, stride);
        return;
    }
    for (uint row = begin; row < end; row += ROWS) {
        uint count = row < rows ? min((uint)ROWS, rows - row) : 0;
        count_block(vectors + (ulong)row * BLOCKS, count, queries, query_count,
                    live_bits(live, live_first + row, count), bars, scores + row, stride);
    }
}

/* Vectors in planes, that lie in one run; live: of the first of them, or none. */
typedef struct run {
    const __global ulong4 *leads, *rests;
    uint count;
    const __global ulong *live;
    ulong live_first;
} run;

INLINE uint is_row_live(const run *r, uint row)
{
    ulong at = r->live_first + row;
    return !r->live || (r->live[at / 64] >> at % 64 & 1);
}

INLINE ulong4 differ_in_leads(const ulong4 *query, const run *r, uint row)
{
    const __global ulong4 *lead = r->leads + row * LEAD_PLANES;
    return (query[0] ^ lead[0]) | (query[1] ^ lead[1]);
}

INLINE ulong4 differ_in_all(const ulong4 *query, const run *r, uint row)
{
    const __global ulong4 *rest = r->rests + row * (PLANES - LEAD_PLANES);
    ulong4 bits = differ_in_leads(query, r, row);
#pragma unroll
    for (uint i = 0; i < PLANES - LEAD_PLANES; i++)
        bits |= query[LEAD_PLANES + i] ^ rest[i];
    return bits;
}

/* How many bits are set in each of four. */
INLINE uint4 count_bits4(ulong4 a, ulong4 b, ulong4 c, ulong4 d)
{
    a = popcount(a), b = popcount(b), c = popcount(c), d = popcount(d);
    ulong4 ab = (ulong4)(a.lo + a.hi, b.lo + b.hi), cd = (ulong4)(c.lo + c.hi, d.lo + d.hi);
    return convert_uint4((ulong4)(ab.even, cd.even) + (ulong4)(ab.odd, cd.odd));
}

INLINE uint count_bits(ulong4 bits)
{
    bits = popcount(bits);
    return (uint)(bits.x + bits.y + bits.z + bits.w);
}

/* Whether one of four rows may be near enough. Two are not if the blocks in which one or the other
 * agrees are fewer than the bar, which takes one count. */
INLINE bool may_be_near(ulong4 a, ulong4 b, ulong4 c, ulong4 d, uint limit)
{
    return min(count_bits(a & b), count_bits(c & d)) <= limit;
}

/* Rows a quarter of the run apart, as count_places. */
static void count_whole(const ulong4 *query, const run *r, uint limit, __global ushort *scores)
{
    const uint quarter = r->count / PLACES;
    for (uint i = 0; i < quarter; i++) {
        const uint4 row = i + quarter * (uint4)(0, 1, 2, 3);
        ulong4 a = differ_in_all(query, r, row.x), b = differ_in_all(query, r, row.y);
        ulong4 c = differ_in_all(query, r, row.z), d = differ_in_all(query, r, row.w);
        if (!may_be_near(a, b, c, d, limit)) {
            scores[row.x] = scores[row.y] = scores[row.z] = scores[row.w] = 0;
            continue;
        }
        uint4 differing = count_bits4(a, b, c, d);
        uint4 score = select((uint4)(0), BLOCKS + 1 - differing, differing <= limit);
        if (r->live)
            score *= (uint4)(is_row_live(r, row.x), is_row_live(r, row.y), is_row_live(r, row.z),
                             is_row_live(r, row.w));
        scores[row.x] = score.x;
        scores[row.y] = score.y;
        scores[row.z] = score.z;
        scores[row.w] = score.w;
    }
    for (uint row = quarter * PLACES; row < r->count; row++) {
        uint differing = count_bits(differ_in_all(query, r, row));
        scores[row] = differing <= limit && is_row_live(r, row) ? BLOCKS + 1 - differing : 0;
    }
}

/* The rows whose leads leave a chance. */
static uint find_chances(const ulong4 *query, const run *r, uint limit, ushort *rows)
{
    const uint quarter = r->count / PLACES;
    uint found = 0;
    for (uint i = 0; i < quarter; i++) {
        const uint4 row = i + quarter * (uint4)(0, 1, 2, 3);
        uint4 differing =
            count_bits4(differ_in_leads(query, r, row.x), differ_in_leads(query, r, row.y),
                        differ_in_leads(query, r, row.z), differ_in_leads(query, r, row.w));
        if (!any(differing <= limit))
            continue;
        rows[found] = row.x, found += differing.x <= limit;
        rows[found] = row.y, found += differing.y <= limit;
        rows[found] = row.z, found += differing.z <= limit;
        rows[found] = row.w, found += differing.w <= limit;
    }
    for (uint row = quarter * PLACES; row < r->count; row++) {
        rows[found] = row;
        found += count_bits(differ_in_leads(query, r, row)) <= limit;
    }
    return found;
}

static void count_pruned(const ulong4 *query, const run *r, uint limit, __global ushort *scores)
{
    ushort rows[LONG_ITEM + PLACES];
    uint found = find_chances(query, r, limit, rows);
    for (uint i = 0; i < r->count; i++)
        scores[i] = 0;
    for (uint i = 0; i < found; i++) {
        uint differing = count_bits(differ_in_all(query, r, rows[i]));
        if (differing <= limit && is_row_live(r, rows[i]))
            scores[rows[i]] = BLOCKS + 1 - differing;
    }
}

static void count_run(const run *r, const __global uchar *queries, uint query_count,
                      const __global uint *bars, __global ushort *scores, uint stride)
{
    for (uint q = 0; q < query_count; q++, scores += stride) {
        const __global ulong4 *from = (const __global ulong4 *)(queries + q * BLOCKS);
        ulong4 query[PLANES];
#pragma unroll
        for (uint i = 0; i < PLANES; i++)
            query[i] = from[i];
        if (bars[q] > BLOCKS)
            for (uint i = 0; i < r->count; i++)
                scores[i] = 0;
        else if (bars[q] < PRUNED_BAR)
            count_whole(query, r, BLOCKS - bars[q], scores);
        else
            count_pruned(query, r, BLOCKS - bars[q], scores);
    }
}

/* As top_k_count_item, of total vectors in planes; for one query, an item is LONG_ITEM rows. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void top_k_count_planes_item(
    const __global uchar *restrict vectors, ulong first, uint rows,
    const __global uchar *restrict queries, uint query_count, const __global ulong *restrict live,
    ulong live_first, const __global uint *restrict bars, __global ushort *restrict scores,
    uint stride, ulong total)
{
    const uint item = query_count == 1 ? LONG_ITEM : ITEM;
    const uint most = query_count <= FEW ? item : SHORT_ROWS;
    const uint begin = get_global_id(0) * item, end = min(begin + item, stride);
    uint row = begin;
    while (row < end && row < rows) {
        const ulong at = first + row;
        run r = {(const __global ulong4 *)(vectors + lead_at(at)),
                 (const __global ulong4 *)(vectors + rest_at(total, at)),
                 min(min(most, min(end, rows) - row), GROUP_ROWS - (uint)(at % GROUP_ROWS)), live,
                 live_first + row};
        count_run(&r, queries, query_count, bars, scores + row, stride);
        row += r.count;
    }
    for (uint q = 0; q < query_count; q++)
        for (uint i = row; i < end; i++)
            scores[q * stride + i] = 0;
}

#define WORDS (BLOCKS / 4)
#define PITCH (WORDS + 1) /* odd, so that lanes meet different banks of local memory */
#define QUERIES 4         /* counted at once for each word of a row */

static ushort score_of(uint matches, uint bar, uint is_live)
{
    return is_live && matches >= bar ? matches + 1 : 0;
}

/* 1 in each byte where x is zero. */
static uint zero_bytes(uint x)
{
    uint any = ((x & 0x7F7F7F7Fu) + 0x7F7F7F7Fu) | x;
    return ~any >> 7 & 0x01010101u;
}

static uint sum4(uint bytes)
{
    return ((bytes & 0x00FF00FFu) + (bytes >> 8 & 0x00FF00FFu)) * 0x00010001u >> 16;
}

/* One group: LANES rows, read side by side into local memory, then a row a lane. There is room
 * behind the queries to read up to a multiple of QUERIES. */
__kernel __attribute__((reqd_work_group_size(LANES, 1, 1))) void
top_k_count_group(const __global uchar *restrict vectors, ulong first, uint rows,
                  const __global uchar *restrict queries, uint query_count,
                  const __global ulong *restrict live, ulong live_first,
                  const __global uint *restrict bars, __global ushort *restrict scores, uint stride)
{
    __local uint tile[LANES * PITCH];
    uint lane = get_local_id(0);
    uint base = get_group_id(0) * LANES;
    uint count = base < rows ? min((uint)LANES, rows - base) : 0;
    const __global uint *words = (const __global uint *)(vectors + (first + base) * BLOCKS);
    for (uint i = lane; i < count * WORDS; i += LANES)
        tile[i / WORDS * PITCH + i % WORDS] = words[i];
    barrier(CLK_LOCAL_MEM_FENCE);

    uint row = base + lane;
    if (row >= stride)
        return;
    uint is_live = lane < count && live_bits(live, live_first + row, 1);
    const __local uint *own = tile + (is_live ? lane * PITCH : 0);
    for (uint q = 0; q < query_count; q += QUERIES) {
        const __global uint *query = (const __global uint *)(queries + q * BLOCKS);
        uint equal[QUERIES] = {0};
        for (uint w = 0; w < WORDS; w++)
            for (uint i = 0; i < QUERIES; i++)
                equal[i] += zero_bytes(own[w] ^ query[i * WORDS + w]);
        for (uint i = 0; i < QUERIES && q + i < query_count; i++)
            scores[(q + i) * stride + row] = score_of(sum4(equal[i]), bars[q + i], is_live);
    }
}

#define PLANE_WORDS (WORDS / PLANES)
#define LEAD_WORDS (LEAD_SIZE / 4)
#define REST_WORDS (REST_SIZE / 4)

static uint is_any_below(const __global uint *bars, uint count, uint bar)
{
    uint is_any = 0;
    for (uint q = 0; q < count; q++)
        is_any |= bars[q] < bar;
    return is_any;
}

/* The scores of a row, all planes of which are in local memory. */
static void count_row_whole(const __local uint *own, uint is_live, const __global uchar *queries,
                            uint query_count, const __global uint *bars, __global ushort *scores,
                            uint stride)
{
    for (uint q = 0; q < query_count; q += QUERIES) {
        const __global uint *query = (const __global uint *)(queries + q * BLOCKS);
        uint differing[QUERIES] = {0};
        for (uint w = 0; w < PLANE_WORDS; w++) {
            uint bits[QUERIES] = {0};
            for (uint at = w; at < WORDS; at += PLANE_WORDS)
                for (uint i = 0; i < QUERIES; i++)
                    bits[i] |= own[at] ^ query[i * WORDS + at];
            for (uint i = 0; i < QUERIES; i++)
                differing[i] += popcount(bits[i]);
        }
        for (uint i = 0; i < QUERIES && q + i < query_count; i++)
            scores[(q + i) * stride] = score_of(BLOCKS - differing[i], bars[q + i], is_live);
    }
}

/* The same: its lead is in local memory, its rest is read when that leaves a chance. */
static void count_row_pruned(const __local uint *lead, const __global uint *rest, uint is_live,
                             const __global uchar *queries, uint query_count,
                             const __global uint *bars, __global ushort *scores, uint stride)
{
    for (uint q = 0; q < query_count; q++) {
        const __global uint *query = (const __global uint *)(queries + q * BLOCKS);
        uint bits[PLANE_WORDS], differing = 0;
        for (uint w = 0; w < PLANE_WORDS; w++) {
            bits[w] = (lead[w] ^ query[w]) | (lead[PLANE_WORDS + w] ^ query[PLANE_WORDS + w]);
            differing += popcount(bits[w]);
        }
        uint score = score_of(BLOCKS - differing, bars[q], is_live);
        if (score != 0) {
            differing = 0;
            for (uint w = 0; w < PLANE_WORDS; w++) {
                for (uint at = w; at < REST_WORDS; at += PLANE_WORDS)
                    bits[w] |= rest[at] ^ query[LEAD_WORDS + at];
                differing += popcount(bits[w]);
            }
            score = score_of(BLOCKS - differing, bars[q], is_live);
        }
        scores[q * stride] = score;
    }
}

/* As top_k_count_group, of total vectors in planes. Leads come into local memory, and the rests
 * too when some query's bar is low; else a lane reads the rests it needs. */
__kernel __attribute__((reqd_work_group_size(LANES, 1, 1))) void top_k_count_planes_group(
    const __global uchar *restrict vectors, ulong first, uint rows,
    const __global uchar *restrict queries, uint query_count, const __global ulong *restrict live,
    ulong live_first, const __global uint *restrict bars, __global ushort *restrict scores,
    uint stride, ulong total)
{
    __local uint tile[LANES * PITCH];
    uint lane = get_local_id(0);
    uint base = get_group_id(0) * LANES;
    uint count = base < rows ? min((uint)LANES, rows - base) : 0;
    const uint reads_all = is_any_below(bars, query_count, PRUNED_BAR);
    first += base;
    for (uint i = lane; i < count * LEAD_WORDS; i += LANES) {
        const uint row = i / LEAD_WORDS, at = i % LEAD_WORDS;
        tile[row * PITCH + at] = ((const __global uint *)(vectors + lead_at(first + row)))[at];
    }
    for (uint i = lane; reads_all && i < count * REST_WORDS; i += LANES) {
        const uint row = i / REST_WORDS, at = i % REST_WORDS;
        tile[row * PITCH + LEAD_WORDS + at] =
            ((const __global uint *)(vectors + rest_at(total, first + row)))[at];
    }
    barrier(CLK_LOCAL_MEM_FENCE);

    uint row = base + lane;
    if (row >= stride)
        return;
    uint is_live = lane < count && live_bits(live, live_first + row, 1);
    uint place = is_live ? lane : 0;
    const __global uchar *rest = vectors + rest_at(total, first + place);
    if (reads_all)
        count_row_whole(tile + place * PITCH, is_live, queries, query_count, bars, scores + row,
                        stride);
    else
        count_row_pruned(tile + place * PITCH, (const __global uint *)rest, is_live, queries,
                         query_count, bars, scores + row, stride);
}

static uint section_end(uint section, uint section_rows, uint stride)
{
    return min(stride, (section + 1) * section_rows);
}

/* Dimension 0: sections; dimension 1: queries. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
top_k_histogram_item(const __global ushort *restrict scores, uint stride, uint section_rows,
                     __global uint *restrict histograms)
{
    uint bins[SCORES];
    for (uint i = 0; i < SCORES; i++)
        bins[i] = 0;
    uint section = get_global_id(0);
    uint end = section_end(section, section_rows, stride);
    scores += get_global_id(1) * stride;
    uint found = 0;
    for (uint row = section * section_rows; row < end; row += ROWS) {
        ushort16 low = vload16(0, scores + row), high = vload16(0, scores + row + 16);
        if (!any((low | high) != (ushort16)(0)))
            continue;
        found = 1;
        for (uint i = 0; i < ROWS; i++)
            bins[scores[row + i]]++;
    }
    histograms += get_global_id(1) * SCORES;
    for (uint i = 1; found && i < SCORES; i++)
        if (bins[i] != 0)
            atomic_add(&histograms[i], bins[i]);
}

__kernel __attribute__((reqd_work_group_size(LANES, 1, 1))) void
top_k_histogram_group(const __global ushort *restrict scores, uint stride, uint section_rows,
                      __global uint *restrict histograms)
{
    __local uint bins[SCORES];
    uint lane = get_local_id(0);
    uint section = get_group_id(0);
    uint end = section_end(section, section_rows, stride);
    for (uint i = lane; i < SCORES; i += LANES)
        bins[i] = 0;
    barrier(CLK_LOCAL_MEM_FENCE);
    scores += get_global_id(1) * stride;
    for (uint row = section * section_rows + lane; row < end; row += LANES)
        if (scores[row] != 0)
            atomic_inc(&bins[scores[row]]);
    barrier(CLK_LOCAL_MEM_FENCE);
    histograms += get_global_id(1) * SCORES;
    for (uint i = 1 + lane; i < SCORES; i += LANES)
        if (bins[i] != 0)
            atomic_add(&histograms[i], bins[i]);
}

/* One item a query. cuts[q] = (threshold, rows above it, rows equal to it that are needed, 0);
 * fewer than k rows in all: the threshold is 0, which every row that counts is above. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
top_k_threshold(const __global uint *restrict histograms, uint k, __global uint4 *restrict cuts)
{
    uint q = get_global_id(0);
    histograms += q * SCORES;
    uint above = 0;
    uint score = SCORES - 1;
    while (score > 0 && above + histograms[score] < k)
        above += histograms[score--];
    cuts[q] = (uint4)(score, above, score > 0 ? k - above : 0, 0);
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
top_k_tally_item(const __global ushort *restrict scores, uint stride, uint section_rows,
                 const __global uint4 *restrict cuts, __global uint *restrict tallies)
{
    uint section = get_global_id(0);
    uint q = get_global_id(1);
    uint end = section_end(section, section_rows, stride);
    scores += q * stride;
    ushort16 threshold = (ushort)cuts[q].x;
    short16 equal = 0;
    if (cuts[q].z != 0)
        for (uint row = section * section_rows; row < end; row += 16)
            equal -= vload16(0, scores + row) == threshold;
    ushort8 eight = as_ushort8(equal.lo) + as_ushort8(equal.hi);
    uint4 four = convert_uint4(eight.lo) + convert_uint4(eight.hi);
    tallies[q * get_global_size(0) + section] = four.x + four.y + four.z + four.w;
}

__kernel __attribute__((reqd_work_group_size(LANES, 1, 1))) void
top_k_tally_group(const __global ushort *restrict scores, uint stride, uint section_rows,
                  const __global uint4 *restrict cuts, __global uint *restrict tallies)
{
    __local uint equal;
    uint lane = get_local_id(0);
    uint section = get_group_id(0);
    uint q = get_global_id(1);
    uint end = section_end(section, section_rows, stride);
    if (lane == 0)
        equal = 0;
    barrier(CLK_LOCAL_MEM_FENCE);
    scores += q * stride;
    uint own = 0;
    if (cuts[q].z != 0)
        for (uint row = section * section_rows + lane; row < end; row += LANES)
            own += scores[row] == cuts[q].x;
    if (own != 0)
        atomic_add(&equal, own);
    barrier(CLK_LOCAL_MEM_FENCE);
    if (lane == 0)
        tallies[q * get_num_groups(0) + section] = equal;
}

/* One item a query: tallies become how many equal rows stand before each section. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
top_k_prefix(__global uint *restrict tallies, uint sections, __global uint *restrict taken)
{
    uint q = get_global_id(0);
    uint before = 0;
    for (uint i = 0; i < sections; i++) {
        uint equal = tallies[q * sections + i];
        tallies[q * sections + i] = before;
        before += equal;
    }
    taken[q] = 0;
}

/* The rows of [row, end) that equal the threshold, of which `before` stand in earlier sections, to
 * their places after those above it. */
static void gather_equal(const __global ushort *scores, uint row, uint end, uint before, uint4 cut,
                         __global uint2 *hits)
{
    for (; row < end && before < cut.z; row++)
        if (scores[row] == cut.x)
            hits[cut.y + before++] = (uint2)(row, cut.x - 1);
}

/* hits: k for each query; taken[q]: how many places the rows above the threshold have filled. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
top_k_gather_item(const __global ushort *restrict scores, uint stride, uint section_rows,
                  const __global uint4 *restrict cuts, const __global uint *restrict tallies,
                  __global uint *restrict taken, __global uint2 *restrict hits, uint k)
{
    uint section = get_global_id(0);
    uint q = get_global_id(1);
    uint end = section_end(section, section_rows, stride);
    uint4 cut = cuts[q];
    scores += q * stride;
    hits += q * k;
    for (uint row = section * section_rows; cut.y != 0 && row < end; row += ROWS) {
        ushort16 most = max(vload16(0, scores + row), vload16(0, scores + row + 16));
        if (!any(most > (ushort16)(ushort)cut.x))
            continue;
        for (uint i = row; i < row + ROWS; i++)
            if (scores[i] > cut.x)
                hits[atomic_inc(&taken[q])] = (uint2)(i, scores[i] - 1);
    }
    gather_equal(scores, section * section_rows, end, tallies[q * get_global_size(0) + section], cut,
                 hits);
}

__kernel __attribute__((reqd_work_group_size(LANES, 1, 1))) void
top_k_gather_group(const __global ushort *restrict scores, uint stride, uint section_rows,
                   const __global uint4 *restrict cuts, const __global uint *restrict tallies,
                   __global uint *restrict taken, __global uint2 *restrict hits, uint k)
{
    uint lane = get_local_id(0);
    uint section = get_group_id(0);
    uint q = get_global_id(1);
    uint end = section_end(section, section_rows, stride);
    uint4 cut = cuts[q];
    scores += q * stride;
    hits += q * k;
    for (uint row = section * section_rows + lane; cut.y != 0 && row < end; row += LANES)
        if (scores[row] > cut.x)
            hits[atomic_inc(&taken[q])] = (uint2)(row, scores[row] - 1);
    if (lane == 0)
        gather_equal(scores, section * section_rows, end,
                     tallies[q * get_num_groups(0) + section], cut, hits);
}
