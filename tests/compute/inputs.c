#include "compute/inputs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CANARY_SIZE = 256, CANARY = 0xC5 };

uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

size_t random_below(uint64_t *state, size_t limit)
{
    return (size_t)(next_random(state) % limit);
}

const char *const fill_names[FILL_COUNT] = {"zeros",  "ones",   "ramp",  "text",
                                            "random", "sparse", "period"};

static void fill_text(uint8_t *bytes, size_t size, uint64_t *state)
{
    static const char *const words[] = {"static ",      "return ", "the ", "quick brown fox ",
                                        "int x = 0;\n", "    ",    "if (", ") {\n"};
    size_t done = 0;
    while (done < size) {
        const char *word = words[random_below(state, sizeof words / sizeof words[0])];
        size_t length = strlen(word);
        length = length < size - done ? length : size - done;
        memcpy(bytes + done, word, length);
        done += length;
    }
}

static void fill_random(uint8_t *bytes, size_t size, uint64_t *state)
{
    for (size_t done = 0; done < size; done += 8) {
        uint64_t word = next_random(state);
        memcpy(bytes + done, &word, size - done < 8 ? size - done : 8);
    }
}

static void fill_sparse(uint8_t *bytes, size_t size, uint64_t *state)
{
    memset(bytes, 0, size);
    for (size_t i = random_below(state, 100); i < size; i += 1 + random_below(state, 100))
        bytes[i] = (uint8_t)next_random(state);
}

static void fill_period(uint8_t *bytes, size_t size, uint64_t *state)
{
    const size_t period = 1 + random_below(state, 40);
    fill_random(bytes, size < period ? size : period, state);
    for (size_t i = period; i < size; i++)
        bytes[i] = bytes[i - period];
}

static void fill_ramp(uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)i;
}

void fill_bytes(uint8_t *bytes, size_t size, fill_kind kind, uint64_t *state)
{
    if (kind == FILL_TEXT)
        fill_text(bytes, size, state);
    else if (kind == FILL_RANDOM)
        fill_random(bytes, size, state);
    else if (kind == FILL_SPARSE)
        fill_sparse(bytes, size, state);
    else if (kind == FILL_PERIOD)
        fill_period(bytes, size, state);
    else if (kind == FILL_RAMP)
        fill_ramp(bytes, size);
    else
        memset(bytes, kind == FILL_ONES ? 0xFF : 0, size);
}

engram_codebook make_codebook(unsigned kind, uint64_t *state)
{
    engram_codebook codebook;
    engram_codebook_init(&codebook, kind == 0 ? 0 : next_random(state));
    if (kind == 2) /* block s1 probes one place for ever */
        codebook.s1 = random_below(state, ENGRAM_BLOCKS);
    if (kind == 3)
        codebook.s1 = codebook.s2 = 0;
    if (kind == 4) /* the window of eight zeros has hash 0xFFFFFFFF */
        codebook.s2 = (codebook.s1 & 0xFFFFFFFFu) * (codebook.s1 >> 32) ^ UINT64_C(0x1FFFFFFFF);
    if (kind == 5) /* every product's low half is small */
        codebook.s2 = (uint64_t)random_below(state, 4) << 32;
    return codebook;
}

static void die(const char *what)
{
    perror(what);
    exit(2);
}

guarded guarded_make(size_t size)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    guarded g = {.size = size};
    g.page_size = (size + page - 1) / page * page + page;
    g.pages =
        mmap(NULL, g.page_size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (g.pages == MAP_FAILED || mprotect(g.pages + g.page_size, page, PROT_NONE) != 0)
        die("guarded memory");
    memset(g.pages, CANARY, g.page_size);
    g.bytes = g.pages + g.page_size - size;
    return g;
}

void guarded_free(guarded *g)
{
    munmap(g->pages, g->page_size + (size_t)sysconf(_SC_PAGESIZE));
    g->pages = g->bytes = NULL;
}

sink sink_make(size_t size, size_t offset)
{
    sink s = {.size = size};
    size_t whole = (2 * CANARY_SIZE + size + offset + 63) / 64 * 64;
    s.memory = aligned_alloc(64, whole);
    if (s.memory == NULL)
        die("output memory");
    memset(s.memory, CANARY, whole);
    s.bytes = s.memory + CANARY_SIZE + offset;
    return s;
}

bool sink_is_whole(const sink *s)
{
    for (size_t i = 1; i <= CANARY_SIZE; i++)
        if (s->bytes[-(ptrdiff_t)i] != CANARY || s->bytes[s->size + i - 1] != CANARY)
            return false;
    return true;
}

void sink_free(sink *s)
{
    free(s->memory);
    s->memory = s->bytes = NULL;
}
