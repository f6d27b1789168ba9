/* Conditions of a listing, as people write them. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "engram/time_text.h"
#include "report/report.h"

bool eg_size_parse(const char *text, uint64_t *size)
{
    static const char suffixes[] = "KMGT";
    char *end = NULL;
    if (!isdigit((unsigned char)*text))
        return false;
    errno = 0;
    double number = strtod(text, &end), factor = 1;
    const char *suffix = *end != 0 ? strchr(suffixes, toupper((unsigned char)*end)) : NULL;
    if (suffix != NULL) {
        factor = ldexp(1, 10 * (int)(suffix - suffixes + 1));
        end++;
        if (strcmp(end, "iB") == 0)
            end += 2;
    }
    if (*end == 'B')
        end++;
    if (errno != 0 || *end != 0 || !(number * factor < 0x1p63))
        return false;
    *size = (uint64_t)(number * factor);
    return true;
}

bool eg_share_parse(const char *text, double *share)
{
    char *end = NULL;
    double number = strtod(text, &end);
    if (end != text && *end == '%') {
        number /= 100;
        end++;
    }
    if (end == text || *end != 0 || !(number >= 0 && number <= 1))
        return false;
    *share = number;
    return true;
}

unsigned eg_kind_bit(const char *text)
{
    for (engram_kind kind = ENGRAM_KIND_FILE; kind <= ENGRAM_KIND_BLOCK_DEVICE; kind++)
        if (strcmp(text, engram_kind_name(kind)) == 0)
            return 1u << kind;
    return 0;
}

bool eg_since_parse(const char *text, int64_t *seconds)
{
    uint64_t time_ns;
    char whole[32];
    snprintf(whole, sizeof whole, "%.10sT00:00", text);
    bool is_date = strlen(text) == strlen("2026-11-27") && text[strspn(text, "0123456789-")] == 0;
    if (!eg_text_time_parse(is_date ? whole : text, &time_ns))
        return false;
    *seconds = (int64_t)((time_ns + 999999999) / 1000000000);
    return true;
}
