/* The file's blocks in chains by hash; the query goes by.
 *
 * Why nothing is missed. A run of 32 equal bytes or more holds at least one whole block of the
 * file, and its last one begins no more than 31 bytes before its end. After a range was found at
 * position p of the query, p + 1 to p + 15 are looked at too; then everything up to 30 bytes before
 * the end of what is covered is skipped. A run that covers a byte which is not covered either
 * reaches beyond that end, and its last block is met behind the skipped part; or it begins before
 * the range just found, and its first block is met by p + 15. */
#include "search/ranges.h"

#include <stdlib.h>

#include "base/memory.h"
#include "base/status.h"

enum {
    BLOCK = 16,
    CANDIDATES_MAX = 16,
    STEPS_MAX = 64,
    FOUND_MAX = 4096,
    WORK_BASE = 64 << 20,
    WORK_FACTOR = 32,
    RESUME = EG_RANGE_MIN - 2
};

typedef struct finder {
    eg_view query, bytes;
    const eg_piece *pieces;
    size_t piece_count;
    uint32_t *heads, *nexts; /* block number + 1; 0: none */
    uint32_t *places;        /* of a block: where it begins in bytes */
    uint32_t *block_pieces;  /* of a block: its piece */
    size_t head_mask, block_count;
    uint64_t *filter; /* a bit for each hash that a block has: most positions have none */
    size_t filter_mask;
    uint64_t *covered; /* a bit for each byte of the query */
    size_t covered_end;
    uint64_t work_left; /* bytes that may still be compared */
    eg_range *found;
    size_t found_count, found_capacity;
    bool complete;
} finder;

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for a query");
}

static inline uint64_t hash_block(const uint8_t *block)
{
    uint64_t a = eg_get_u64(block) * 0x9E3779B97F4A7C15u,
             b = eg_get_u64(block + 8) * 0xC2B2AE3D27D4EB4Fu;
    uint64_t h = (a ^ a >> 32) + (b ^ b >> 29);
    return h ^ h >> 31;
}

/* The filter takes the high bits, the heads the low ones. */
static inline uint64_t filter_bit(const finder *f, uint64_t hash, size_t *word)
{
    *word = (size_t)(hash >> 38) & f->filter_mask;
    return (uint64_t)1 << (hash >> 32 & 63);
}

static inline bool is_block(const finder *f, uint64_t hash)
{
    size_t word;
    uint64_t bit = filter_bit(f, hash, &word);
    return (f->filter[word] & bit) != 0;
}

/* Equal bytes from a and b on, at most limit. */
static size_t equal_after(const uint8_t *a, const uint8_t *b, size_t limit)
{
    size_t n = 0;
    for (; n + 8 <= limit; n += 8) {
        uint64_t differ = eg_get_u64(a + n) ^ eg_get_u64(b + n);
        if (differ != 0)
            return n + (size_t)__builtin_ctzll(differ) / 8;
    }
    while (n < limit && a[n] == b[n])
        n++;
    return n;
}

/* Equal bytes that end before a and b, at most limit. */
static size_t equal_before(const uint8_t *a, const uint8_t *b, size_t limit)
{
    size_t n = 0;
    for (; n + 8 <= limit; n += 8) {
        uint64_t differ = eg_get_u64(a - n - 8) ^ eg_get_u64(b - n - 8);
        if (differ != 0)
            return n + (size_t)__builtin_clzll(differ) / 8;
    }
    while (n < limit && a[-1 - (ptrdiff_t)n] == b[-1 - (ptrdiff_t)n])
        n++;
    return n;
}

static size_t count_blocks(const eg_piece *pieces, size_t count)
{
    size_t blocks = 0;
    for (size_t i = 0; i < count; i++)
        blocks += pieces[i].size / BLOCK;
    return blocks;
}

/* From the last block to the first, so that chains begin with the first. */
static void chain_blocks(finder *f)
{
    size_t block = f->block_count;
    for (size_t p = f->piece_count; p-- > 0;) {
        const eg_piece *piece = &f->pieces[p];
        for (size_t i = piece->size / BLOCK; i-- > 0;) {
            size_t place = piece->begin + i * BLOCK;
            uint64_t hash = hash_block(f->bytes.data + place);
            uint32_t *head = &f->heads[hash & f->head_mask];
            size_t word;
            uint64_t bit = filter_bit(f, hash, &word);
            f->filter[word] |= bit;
            block--;
            f->places[block] = (uint32_t)place;
            f->block_pieces[block] = (uint32_t)p;
            f->nexts[block] = *head;
            *head = (uint32_t)block + 1;
        }
    }
}

static engram_status index_blocks(finder *f, engram_error *error)
{
    size_t heads = 64;
    f->block_count = count_blocks(f->pieces, f->piece_count);
    while (heads < 2 * f->block_count)
        heads *= 2;
    f->head_mask = heads - 1;
    f->filter_mask = heads / 4 - 1; /* 16 to 32 bits for each block */
    f->filter = eg_alloc_zero(heads / 4, sizeof *f->filter);
    f->heads = eg_alloc_zero(heads, sizeof *f->heads);
    f->nexts = eg_alloc_zero(f->block_count + 1, sizeof *f->nexts);
    f->places = eg_alloc_zero(f->block_count + 1, sizeof *f->places);
    f->block_pieces = eg_alloc_zero(f->block_count + 1, sizeof *f->block_pieces);
    f->covered = eg_alloc_zero(f->query.size / 64 + 1, sizeof *f->covered);
    if (f->filter == NULL || f->heads == NULL || f->nexts == NULL || f->places == NULL ||
        f->block_pieces == NULL || f->covered == NULL)
        return no_memory(error);
    chain_blocks(f);
    return ENGRAM_OK;
}

/* Bits begin .. end - 1 of word i. */
static uint64_t word_part(size_t i, size_t begin, size_t end)
{
    uint64_t all = ~(uint64_t)0;
    uint64_t part = i == begin / 64 ? all << (begin % 64) : all;
    return i == end / 64 ? part & ~(all << (end % 64)) : part;
}

static bool is_covered(const finder *f, size_t begin, size_t end)
{
    for (size_t i = begin / 64; i <= end / 64; i++) {
        uint64_t part = word_part(i, begin, end);
        if ((f->covered[i] & part) != part)
            return false;
    }
    return true;
}

static engram_status keep(finder *f, const eg_range *range, engram_error *error)
{
    size_t begin = range->query_offset, end = begin + range->size;
    if (f->found_count == FOUND_MAX) {
        f->work_left = 0;
        return ENGRAM_OK;
    }
    if (!eg_grow((void **)&f->found, &f->found_capacity, f->found_count + 1, sizeof *f->found))
        return no_memory(error);
    f->found[f->found_count++] = *range;
    for (size_t i = begin / 64; i <= end / 64; i++)
        f->covered[i] |= word_part(i, begin, end);
    f->covered_end = end > f->covered_end ? end : f->covered_end;
    return ENGRAM_OK;
}

/* The run around an anchor; size 0 when the blocks differ, or when there is no more work to spend.
 */
static eg_range extend(finder *f, size_t at, size_t block)
{
    const eg_piece *piece = &f->pieces[f->block_pieces[block]];
    size_t place = f->places[block], behind = piece->begin + piece->size - place;
    size_t left = f->query.size - at, before = place - piece->begin;
    const uint8_t *q = f->query.data + at, *b = f->bytes.data + place;
    size_t after = equal_after(q, b, left < behind ? left : behind);
    before = after >= BLOCK ? equal_before(q, b, at < before ? at : before) : 0;
    size_t work = after + before + 8;
    f->work_left -= work < f->work_left ? work : f->work_left;
    if (after < BLOCK)
        return (eg_range){0};
    return (eg_range){at - before, piece->offset + (place - piece->begin) - before, after + before};
}

/* The longest run through this position that covers something new; of equal ones that which reaches
 * farther, then the first in the file. */
static eg_range best_at(finder *f, size_t at, uint64_t hash)
{
    eg_range best = {0};
    uint32_t next = f->heads[hash & f->head_mask];
    unsigned candidates = 0;
    for (unsigned step = 0; next != 0; step++, next = f->nexts[next - 1]) {
        if (f->work_left == 0)
            return (eg_range){0};
        if (step == STEPS_MAX || candidates == CANDIDATES_MAX) {
            f->complete = false;
            break;
        }
        eg_range run = extend(f, at, next - 1);
        candidates += run.size != 0;
        if (run.size < EG_RANGE_MIN || run.size < best.size ||
            is_covered(f, run.query_offset, run.query_offset + run.size))
            continue;
        if (run.size > best.size || run.query_offset > best.query_offset)
            best = run;
    }
    return best;
}

/* Positions whose block lies in [begin, end). */
static engram_status scan_query(finder *f, size_t begin, size_t end, engram_error *error)
{
    size_t skip_at = SIZE_MAX; /* from here on what is covered is passed over */
    for (size_t at = begin; at + BLOCK <= end && f->work_left != 0; at++) {
        if (at >= skip_at) {
            skip_at = SIZE_MAX;
            if (f->covered_end > at + RESUME)
                at = f->covered_end - RESUME;
            if (at + BLOCK > end)
                break;
        }
        uint64_t hash = hash_block(f->query.data + at);
        if (!is_block(f, hash))
            continue;
        for (eg_range run = best_at(f, at, hash); run.size != 0; run = best_at(f, at, hash)) {
            EG_TRY(keep(f, &run, error));
            skip_at = at + BLOCK;
        }
    }
    return ENGRAM_OK;
}

static int by_size(const void *a, const void *b)
{
    const eg_range *x = a, *y = b;
    if (x->size != y->size)
        return x->size > y->size ? -1 : 1;
    if (x->query_offset != y->query_offset)
        return x->query_offset < y->query_offset ? -1 : 1;
    return (x->file_offset > y->file_offset) - (x->file_offset < y->file_offset);
}

static void hand_over(finder *f, eg_ranges *ranges)
{
    *ranges = (eg_ranges){.items = f->found, .count = f->found_count};
    f->found = NULL;
    if (ranges->count != 0)
        qsort(ranges->items, ranges->count, sizeof *ranges->items, by_size);
    for (size_t i = 0; i < f->query.size / 64 + 1; i++)
        ranges->covered += (unsigned)__builtin_popcountll(f->covered[i]);
    ranges->complete = f->complete && f->work_left != 0 && ranges->count <= EG_RANGES_MAX;
    if (ranges->count > EG_RANGES_MAX)
        ranges->count = EG_RANGES_MAX;
}

engram_status eg_ranges_find(eg_view query, const eg_piece *scan, size_t scan_count, eg_view bytes,
                             const eg_piece *pieces, size_t piece_count, eg_ranges *ranges,
                             engram_error *error)
{
    finder f = {.query = query,
                .bytes = bytes,
                .pieces = pieces,
                .piece_count = piece_count,
                .complete = true};
    *ranges = (eg_ranges){0};
    f.work_left = WORK_BASE + WORK_FACTOR * (uint64_t)bytes.size;
    for (size_t i = 0; i < scan_count; i++)
        f.work_left += WORK_FACTOR * (uint64_t)scan[i].size;
    engram_status status = index_blocks(&f, error);
    for (size_t i = 0; i < scan_count && status == ENGRAM_OK; i++)
        status = scan_query(&f, scan[i].offset, scan[i].offset + scan[i].size, error);
    if (status == ENGRAM_OK)
        hand_over(&f, ranges);
    eg_free(f.filter);
    eg_free(f.heads);
    eg_free(f.nexts);
    eg_free(f.places);
    eg_free(f.block_pieces);
    eg_free(f.covered);
    eg_free(f.found);
    return status;
}
