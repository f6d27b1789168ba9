/* The grammar of the configuration file. */
#include "serve/config.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

enum { LINE_SIZE_MAX = 4096 };

static engram_status bad_line(size_t line, const char *why, engram_error *error)
{
    return eg_fail(error, ENGRAM_INVALID, "line %zu: %s", line, why);
}

/* Cuts blanks off both ends. */
static char *trim(char *text)
{
    text += strspn(text, " \t");
    char *end = text + strlen(text);
    while (end > text && (end[-1] == ' ' || end[-1] == '\t'))
        *--end = 0;
    return text;
}

static bool is_name(const char *text)
{
    if (!islower((unsigned char)*text))
        return false;
    for (; *text != 0; text++)
        if (!islower((unsigned char)*text) && !isdigit((unsigned char)*text) && *text != '-')
            return false;
    return true;
}

static engram_status read_line(char *text, size_t line, eg_config_visit *visit, void *context,
                               engram_error *error)
{
    text = trim(text);
    if (*text == 0 || *text == '#' || *text == ';')
        return ENGRAM_OK;
    if (*text == '[')
        return strcmp(text, "[serve]") == 0
                   ? ENGRAM_OK
                   : bad_line(line, "[serve] is the only section", error);
    char *equals = strchr(text, '=');
    if (equals == NULL)
        return bad_line(line, "'name = value' is expected", error);
    *equals = 0;
    char *name = trim(text);
    if (!is_name(name))
        return bad_line(line, "a name has small letters, digits and '-'", error);
    return visit(context, name, trim(equals + 1), line, error);
}

engram_status eg_config_parse(const char *text, size_t size, eg_config_visit *visit, void *context,
                              engram_error *error)
{
    char copy[LINE_SIZE_MAX + 1];
    const char *end = text + size;
    for (size_t line = 1; text < end; line++) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *stop = newline != NULL ? newline : end;
        size_t length = (size_t)(stop - text);
        if (length != 0 && stop[-1] == '\r')
            length--;
        if (length > LINE_SIZE_MAX)
            return bad_line(line, "longer than 4096 bytes", error);
        for (size_t i = 0; i < length; i++)
            if (((unsigned char)text[i] < ' ' && text[i] != '\t') || text[i] == 0x7F)
                return bad_line(line, "a control character", error);
        memcpy(copy, text, length);
        copy[length] = 0;
        EG_TRY(read_line(copy, line, visit, context, error));
        text = stop + 1;
    }
    return ENGRAM_OK;
}
