/* Which rows of a piece a scan looks at, and in which order: a row of each quarter of those that count, and so on.
 *
 * So a core reads from four places of memory at once, each in order, which fetches half as much again as from one. */
#ifndef EG_COMPUTE_AVX2_SELECTION_H
#define EG_COMPUTE_AVX2_SELECTION_H

#include <stddef.h>
#include <stdint.h>

enum { EG_PIECE_ROWS = 2048, EG_PLACES = 4 };

typedef struct eg_selection {
    size_t count, quarter; /* rows that count; a quarter of them, rounded up */
    /* Those that count, one after the other; behind them the last again, as four quarters may have more places. */
    uint16_t rows[EG_PIECE_ROWS + EG_PLACES];
} eg_selection;

/* Of count rows, EG_PIECE_ROWS at most. live: of the piece's first row on, or NULL. */
static inline void eg_select(eg_selection *s, size_t count, const uint64_t *live)
{
    enum { WORD_ROWS = 64 };
    s->count = 0;
    for (size_t row = 0; live == NULL && row < count; row++)
        s->rows[s->count++] = (uint16_t)row;
    for (size_t row = 0; live != NULL && row < count; row += WORD_ROWS) {
        size_t left = count - row;
        uint64_t all = left < WORD_ROWS ? (UINT64_C(1) << left) - 1 : UINT64_MAX;
        for (uint64_t word = live[row / WORD_ROWS] & all; word != 0; word &= word - 1)
            s->rows[s->count++] = (uint16_t)(row + (size_t)__builtin_ctzll(word));
    }
    for (unsigned i = 0; i < EG_PLACES; i++)
        s->rows[s->count + i] = s->count != 0 ? s->rows[s->count - 1] : 0;
    s->quarter = (s->count + EG_PLACES - 1) / EG_PLACES;
}

#endif
