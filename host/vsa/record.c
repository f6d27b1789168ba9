/* Keyed records: a bundle of values, each bound to its key.
 *
 * Binding to a key moves a value's symbols to uniform places, so that values which resemble each
 * other do not pile up, and a member found by its key stands 256 / sqrt(N) standard deviations
 * above the background of N pairs: clean-up among M candidates is reliable while that is well above
 * sqrt(2 ln M), which is a few thousand pairs. */
#include "base/bytes.h"
#include "engram/hypervector.h"

/* An id is one window, so two ids share a key only if their 32-bit hashes are equal. */
void engram_key(const engram_codebook *codebook, uint64_t id, uint8_t *vector)
{
    uint8_t bytes[ENGRAM_WINDOW];
    uint32_t spread;
    eg_put_u64(bytes, id);
    engram_encode(codebook, bytes, sizeof bytes, vector, &spread);
}

void engram_record_add(engram_bundle *record, const uint8_t *value, const uint8_t *key)
{
    uint8_t pair[ENGRAM_BLOCKS];
    engram_bind(pair, value, key);
    engram_bundle_add(record, pair, 1);
}

void engram_record_remove(engram_bundle *record, const uint8_t *value, const uint8_t *key)
{
    uint8_t pair[ENGRAM_BLOCKS];
    engram_bind(pair, value, key);
    engram_bundle_remove(record, pair, 1);
}

/* Instead of unbinding 65,536 counters, each candidate is bound: the same sums. */
size_t engram_record_recall(const engram_bundle *record, const uint8_t *key,
                            const uint8_t *candidates, size_t candidate_count, uint64_t *score)
{
    size_t best = 0;
    for (size_t i = 0; i < candidate_count; i++) {
        uint8_t pair[ENGRAM_BLOCKS];
        engram_bind(pair, candidates + i * ENGRAM_BLOCKS, key);
        uint64_t sum = engram_bundle_similarity(record, pair);
        if (i == 0 || sum > *score) {
            best = i;
            *score = sum;
        }
    }
    return best;
}
