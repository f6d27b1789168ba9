/* How people write a chunk configuration: KIND:SIZE. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "chunk/chunk.h"

static const char usage[] = "write cdc:SIZE (content-defined, SIZE a power of two) or fixed:SIZE, "
                            "with SIZE from 256 to 1M, such as cdc:16K";

static bool parse_kind(const char **text, eg_chunk_kind *kind)
{
    static const struct {
        const char *prefix;
        eg_chunk_kind kind;
    } kinds[] = {{"cdc:", EG_CHUNK_CDC}, {"fixed:", EG_CHUNK_FIXED}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t length = strlen(kinds[i].prefix);
        if (strncmp(*text, kinds[i].prefix, length) == 0) {
            *text += length;
            *kind = kinds[i].kind;
            return true;
        }
    }
    return false;
}

static unsigned suffix_shift(char suffix)
{
    return suffix == 'k' || suffix == 'K' ? 10 : suffix == 'm' || suffix == 'M' ? 20 : 0;
}

/* Digits and a suffix, nothing else; stops at the first value over the limit. No digits are 0,
 * which is too small. */
static bool parse_size(const char *text, uint32_t *size)
{
    uint64_t value = 0;
    for (; *text >= '0' && *text <= '9'; text++) {
        value = value * 10 + (uint64_t)(*text - '0');
        if (value > EG_CHUNK_SIZE_MAX)
            return false;
    }
    unsigned shift = suffix_shift(*text);
    text += shift > 0;
    value <<= shift;
    *size = (uint32_t)value;
    return *text == '\0' && value >= EG_CHUNK_SIZE_MIN && value <= EG_CHUNK_SIZE_MAX;
}

engram_status eg_chunk_config_parse(const char *text, eg_chunk_config *config, engram_error *error)
{
    const char *rest = text;
    eg_chunk_kind kind;
    uint32_t size;
    if (!parse_kind(&rest, &kind) || !parse_size(rest, &size) ||
        (kind == EG_CHUNK_CDC && (size & (size - 1)) != 0))
        return eg_fail(error, ENGRAM_INVALID, "chunks \"%.64s\": %s", text, usage);
    *config = (eg_chunk_config){kind, size};
    return ENGRAM_OK;
}

void eg_chunk_config_format(const eg_chunk_config *config, char text[32])
{
    snprintf(text, 32, "%s:%" PRIu32, config->kind == EG_CHUNK_CDC ? "cdc" : "fixed",
             config->size_average);
}
