/* Any bytes as a query: a line of parameters, and behind it what is asked with and a file that it
 * is compared with. Options are within their limits, and what the two are said to have in common
 * they have. */
#include "fuzz/fuzz.h"

#include <string.h>

#include "base/memory.h"
#include "search/windows.h"
#include "serve/query.h"

static void check_options(const char *parameters)
{
    eg_buffer target = {0};
    eg_request request = {0};
    eg_query_options o;
    eg_write_bytes(&target, "/v1/query?", 10);
    eg_write_bytes(&target, parameters, strlen(parameters) + 1);
    FUZZ_CHECK(!target.failed);
    if (eg_uri_parse((const char *)target.data, &request.uri, NULL) == ENGRAM_OK &&
        eg_query_read_options(&request, &o, NULL) == ENGRAM_OK) {
        FUZZ_CHECK(o.k >= 1 && o.k <= EG_QUERY_HITS_MAX && o.skip <= EG_QUERY_HITS_MAX);
        FUZZ_CHECK(o.min == -1 || (o.min >= 0 && o.min <= 1));
    }
    eg_uri_fini(&request.uri);
    eg_buffer_fini(&target);
}

static void check_vectors(eg_view body)
{
    eg_query_input inputs[8];
    for (size_t item = ENGRAM_BLOCKS; item <= ENGRAM_BLOCKS + 4; item += 4) {
        size_t count = 0;
        if (eg_query_take_vectors(body, item, inputs, 8, &count, NULL) != ENGRAM_OK)
            continue;
        FUZZ_CHECK(count >= 1 && count <= 8 && count * item == body.size);
        FUZZ_CHECK(inputs[count - 1].vector == body.data + (count - 1) * item);
    }
}

static void check_ranges(eg_view query, eg_view file)
{
    const eg_piece scan = {.size = query.size}, piece = {.size = file.size};
    eg_ranges ranges;
    FUZZ_CHECK(eg_ranges_find(query, &scan, 1, file, &piece, 1, &ranges, NULL) == ENGRAM_OK);
    FUZZ_CHECK(ranges.count <= EG_RANGES_MAX && ranges.covered <= query.size);
    for (size_t i = 0; i < ranges.count; i++) {
        const eg_range *r = &ranges.items[i];
        FUZZ_CHECK(r->size >= EG_RANGE_MIN && r->size <= query.size && r->size <= file.size);
        FUZZ_CHECK(r->query_offset <= query.size - r->size &&
                   r->file_offset <= file.size - r->size);
        FUZZ_CHECK(memcmp(query.data + r->query_offset, file.data + r->file_offset, r->size) == 0);
    }
    eg_free(ranges.items);
}

static void check_windows(eg_view query, eg_view file)
{
    eg_windows windows;
    FUZZ_CHECK(eg_windows_init(&windows, query, NULL) == ENGRAM_OK);
    eg_windows_begin(&windows);
    FUZZ_CHECK(eg_windows_add(&windows, file, NULL) == ENGRAM_OK);
    double jaccard = eg_windows_jaccard(&windows), containment = eg_windows_containment(&windows);
    FUZZ_CHECK(jaccard >= 0 && jaccard <= containment && containment <= 1);
    eg_windows_fini(&windows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size != 0 ? memchr(data, '\n', size) : NULL;
    size_t line = end != NULL ? (size_t)(end - data) : size,
           rest = end != NULL ? size - line - 1 : 0;
    char *parameters = eg_alloc(line + 1);
    FUZZ_CHECK(parameters != NULL);
    memcpy(parameters, data, line);
    parameters[line] = 0;
    check_options(parameters);
    const eg_view query = {data + size - rest, rest / 2},
                  file = {query.data + query.size, rest - rest / 2};
    check_vectors(query);
    check_ranges(query, file);
    check_windows(query, file);
    eg_free(parameters);
    return 0;
}
