/* What match counts and spreads say about two chunks.
 *
 * Two window sets of Jaccard similarity J agree in a block with probability J + (1 - J) / 256:
 * by sharing the winner, or by chance. The estimate inverts that, its interval is Wilson's (1927)
 * for 256 trials put through the same inversion.
 *
 * The winning priorities of n windows over 256 blocks, with t = n / 256 and an empty block counted
 * as the maximum, have the mean (1 - e^-t) / t as a share of the range. The spread is 256 such. */
#include <math.h>

#include "engram/hypervector.h"

#define CHANCE       (1.0 / ENGRAM_SYMBOLS)
#define NORMAL_95    1.959963984540054 /* two-sided 95 % of the normal distribution */
#define SPREAD_RANGE 0x1p32            /* 256 blocks of 2^24 priorities */

static double clamp01(double x)
{
    return x < 0 ? 0 : x > 1 ? 1 : x;
}

static double jaccard_of(double share)
{
    return clamp01((share - CHANCE) / (1 - CHANCE));
}

engram_jaccard engram_jaccard_from_matches(unsigned matches)
{
    const double n = ENGRAM_BLOCKS, zz = NORMAL_95 * NORMAL_95;
    double share = clamp01(matches / n);
    double middle = (share + zz / (2 * n)) / (1 + zz / n);
    double half = NORMAL_95 / (1 + zz / n) * sqrt(share * (1 - share) / n + zz / (4 * n * n));
    double value = jaccard_of(share); /* at the ends, rounding must not put it outside */
    return (engram_jaccard){value, fmin(value, jaccard_of(middle - half)),
                            fmax(value, jaccard_of(middle + half))};
}

/* By search, so that it is the exact inverse whatever the rounding. A value above 1 counts as 1. */
unsigned engram_matches_from_jaccard(double jaccard)
{
    unsigned matches = 0;
    while (matches < ENGRAM_BLOCKS && jaccard_of((double)matches / ENGRAM_BLOCKS) < jaccard)
        matches++;
    return matches;
}

/* Newton's method on g(t) = 1 - e^-t - y t. g is concave and the start lies to the right of its
 * positive root, so every step comes closer from that side and none can overshoot. A spread of 0
 * would mean infinity and counts as 1; no chunk has less than one window. */
double engram_distinct_windows(uint32_t spread)
{
    double y = (spread > 0 ? spread : 1) / SPREAD_RANGE;
    double t = 1 / y;
    for (int step = 0; step < 64; step++) {
        double next = t - (-expm1(-t) - y * t) / (exp(-t) - y);
        if (!(next < t * (1 - 1e-9)))
            break;
        t = next;
    }
    return fmax(1, ENGRAM_BLOCKS * t);
}

/* |A and B| = J |A or B| and |A or B| = |A| + |B| - |A and B|. */
double engram_containment(double jaccard, double windows_a, double windows_b)
{
    if (!(windows_a > 0))
        return 0;
    double shared = jaccard / (1 + jaccard) * (windows_a + windows_b);
    return clamp01(shared / windows_a);
}
