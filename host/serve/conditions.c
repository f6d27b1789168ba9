/* Conditional requests and ranges (RFC 9110, sections 13 and 14). */
#include "serve/conditions.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *eg_tag_format(uint64_t inode, uint64_t version, char tag[EG_TAG_SIZE])
{
    snprintf(tag, EG_TAG_SIZE, "\"%" PRIu64 ".%" PRIu64 "\"", inode, version);
    return tag;
}

/* ---- tags ---- */

/* The next tag of a list with its quotes; false at the end, and where no tag can be read. */
static bool next_tag(const char **list, const char **tag, size_t *size, bool *is_weak)
{
    const char *at = *list + strspn(*list, " \t,");
    *is_weak = strncmp(at, "W/", 2) == 0;
    at += *is_weak ? 2 : 0;
    const char *end = *at == '"' ? strchr(at + 1, '"') : NULL;
    if (end == NULL)
        return false;
    *tag = at;
    *size = (size_t)(end - at) + 1;
    *list = end + 1;
    return true;
}

static bool is_star(const char *list)
{
    list += strspn(list, " \t");
    return *list == '*' && list[1 + strspn(list + 1, " \t")] == 0;
}

eg_tag_match eg_tags_have(const char *list, const char *tag, bool weak)
{
    const char *found;
    size_t size;
    bool is_weak;
    if (is_star(list))
        return EG_TAG_ANY;
    while (next_tag(&list, &found, &size, &is_weak))
        if (size == strlen(tag) && memcmp(found, tag, size) == 0 && (weak || !is_weak))
            return EG_TAG_FOUND;
    return EG_TAG_NONE;
}

unsigned eg_conditions_read(const eg_request *request, const char *tag)
{
    const char *match = eg_request_header(request, "If-Match");
    const char *none = eg_request_header(request, "If-None-Match");
    if (match != NULL && eg_tags_have(match, tag, false) == EG_TAG_NONE)
        return 412;
    return none != NULL && eg_tags_have(none, tag, true) != EG_TAG_NONE ? 304 : 0;
}

/* ---- writing ---- */

/* What is there now if the list has it, so that a change until the commit is seen; else the list's first, which the message
 * then names. */
static engram_status expect_one_of(const char *list, const char *path, const struct engram_stat *stat,
                                   engram_expected *expected, engram_error *error)
{
    char tag[EG_TAG_SIZE], text[EG_TAG_SIZE];
    const char *first = NULL, *rest = list;
    size_t size = 0;
    bool is_weak;
    if (stat != NULL)
        eg_tag_format(stat->inode, stat->version, tag);
    if (stat != NULL && is_star(list)) {
        expected->what = ENGRAM_THERE;
        return ENGRAM_OK;
    }
    if (stat != NULL && eg_tags_have(list, tag, false) != EG_TAG_NONE) {
        *expected = (engram_expected){ENGRAM_TOKEN, stat->inode, stat->version};
        return ENGRAM_OK;
    }
    bool readable = next_tag(&rest, &first, &size, &is_weak) && size - 2 < sizeof text;
    if (readable)
        snprintf(text, sizeof text, "%.*s", (int)(size - 2), first + 1);
    if (!is_star(list) && (!readable || strspn(text, "0123456789.") != size - 2 ||
                           engram_expected_parse(text, expected, NULL) != ENGRAM_OK))
        return eg_fail(error, ENGRAM_INVALID,
                       "If-Match: the tags of files are as \"17.42\", in quotes, or *");
    const char *named = is_star(list) ? "any version" : text;
    if (stat == NULL)
        return eg_fail(error, ENGRAM_CONFLICT, "%s is not there, where %s of it was expected", path, named);
    return eg_fail(error, ENGRAM_CONFLICT, "%s is %" PRIu64 ".%" PRIu64 ", not %s as was expected: read it again", path,
                   stat->inode, stat->version, named);
}

engram_status eg_conditions_write(const eg_request *request, const struct engram_stat *stat,
                                  engram_expected *expected, bool *conditional, engram_error *error)
{
    const char *match = eg_request_header(request, "If-Match");
    const char *none = eg_request_header(request, "If-None-Match");
    *expected = (engram_expected){ENGRAM_ANY, 0, 0};
    *conditional = match != NULL || none != NULL;
    if (match != NULL && none != NULL)
        return eg_fail(error, ENGRAM_INVALID, "If-Match and If-None-Match exclude each other");
    if (match != NULL)
        return expect_one_of(match, request->operand, stat, expected, error);
    if (none == NULL)
        return ENGRAM_OK;
    if (!is_star(none))
        return eg_fail(error, ENGRAM_INVALID, "If-None-Match: * is what a write may ask for");
    expected->what = ENGRAM_NONE;
    return ENGRAM_OK;
}

/* ---- ranges ---- */

static bool read_number(const char **text, uint64_t *number)
{
    size_t digits = strspn(*text, "0123456789");
    if (digits == 0 || digits > 18)
        return false;
    *number = strtoull(*text, NULL, 10);
    *text += digits;
    return true;
}

eg_range_kind eg_range_parse(const char *text, uint64_t size, uint64_t *begin, uint64_t *length)
{
    uint64_t first = 0, last = UINT64_MAX;
    *begin = 0;
    *length = size;
    if (text == NULL || strncmp(text, "bytes=", 6) != 0)
        return EG_RANGE_WHOLE;
    text += 6;
    bool has_first = read_number(&text, &first);
    if (*text++ != '-')
        return EG_RANGE_WHOLE;
    bool has_last = read_number(&text, &last);
    if (*text != 0 || (!has_first && !has_last) || (has_first && has_last && last < first))
        return EG_RANGE_WHOLE;
    if (!has_first) { /* the last bytes */
        first = last < size ? size - last : 0;
        first = last == 0 ? size : first;
        last = UINT64_MAX;
    }
    if (first >= size)
        return EG_RANGE_BEYOND;
    *begin = first;
    *length = (last < size ? last + 1 : size) - first;
    return EG_RANGE_PART;
}
