/* The target of a request, taken apart. Decoding never makes text longer, so one allocation of twice its size is enough
 * for all parts. */
#include "serve/uri.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "engram/fs.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In place. plus: '+' is a blank, as in a query. */
static bool decode(char *text, bool plus)
{
    char *out = text;
    for (const char *c = text; *c != 0; c++) {
        if (*c == '%') {
            int high = hex_digit(c[1]), low = high >= 0 ? hex_digit(c[2]) : -1;
            if (low < 0 || high + low == 0)
                return false;
            *out++ = (char)(high << 4 | low);
            c += 2;
        } else {
            *out++ = plus && *c == '+' ? ' ' : *c;
        }
    }
    *out = 0;
    return true;
}

static engram_status bad_encoding(engram_error *error)
{
    return eg_fail(error, ENGRAM_INVALID,
                   "the request's target has a '%%' that is not followed by two hexadecimal digits "
                   "of a byte other than zero");
}

static engram_status add_parameter(eg_uri *uri, char *text, engram_error *error)
{
    if (uri->count == EG_PARAMETERS_MAX)
        return eg_fail(error, ENGRAM_INVALID, "more than %d parameters", EG_PARAMETERS_MAX);
    char *value = strchr(text, '=');
    if (value != NULL)
        *value++ = 0;
    if (!decode(text, true) || (value != NULL && !decode(value, true)))
        return bad_encoding(error);
    uri->parameters[uri->count++] = (eg_parameter){text, value != NULL ? value : "1"};
    return ENGRAM_OK;
}

static engram_status read_query(eg_uri *uri, char *query, engram_error *error)
{
    while (query != NULL && *query != 0) {
        char *next = strchr(query, '&');
        if (next != NULL)
            *next++ = 0;
        if (*query != 0)
            EG_TRY(add_parameter(uri, query, error));
        query = next;
    }
    return ENGRAM_OK;
}

/* Proxies send the whole address; whose it is, is told by the Host header. */
static const char *skip_origin(const char *text)
{
    size_t scheme = strncasecmp(text, "http://", 7) == 0 ? 7 : strncasecmp(text, "https://", 8) == 0 ? 8 : 0;
    if (scheme == 0)
        return text;
    const char *path = strpbrk(text + scheme, "/?");
    return path != NULL && *path == '/' ? path : "/";
}

engram_status eg_uri_parse(const char *text, eg_uri *uri, engram_error *error)
{
    text = skip_origin(text);
    size_t size = strnlen(text, EG_URI_MAX + 1);
    *uri = (eg_uri){.path = ""};
    if (size > EG_URI_MAX)
        return eg_fail(error, ENGRAM_INVALID, "the request's target has more than %d bytes",
                       EG_URI_MAX);
    if (*text != '/')
        return eg_fail(error, ENGRAM_INVALID, "the request's target does not begin with '/'");
    uri->text = eg_alloc(2 * (size + 1));
    if (uri->text == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for a request");
    memcpy(uri->text, text, size + 1);
    uri->operand = uri->text + size + 1;
    *uri->operand = 0;
    uri->path = uri->text;
    char *query = strchr(uri->text, '?');
    if (query != NULL)
        *query++ = 0;
    return read_query(uri, query, error);
}

void eg_uri_fini(eg_uri *uri)
{
    eg_free(uri->text);
    *uri = (eg_uri){.path = ""};
}

engram_status eg_uri_decode_operand(eg_uri *uri, size_t from, engram_error *error)
{
    memcpy(uri->operand, uri->path + from, strlen(uri->path + from) + 1);
    return decode(uri->operand, false) ? ENGRAM_OK : bad_encoding(error);
}

static engram_status check_name(const char *name, size_t size, engram_error *error)
{
    if (size == 0)
        return eg_fail(error, ENGRAM_INVALID, "the path has an empty name");
    if ((size == 1 && *name == '.') || (size == 2 && memcmp(name, "..", 2) == 0))
        return eg_fail(error, ENGRAM_INVALID, "the path has a name '%.*s': write it out", (int)size,
                       name);
    if (size > EG_NAME_MAX)
        return eg_fail(error, ENGRAM_INVALID, "the path has a name of %zu bytes, %d are the most",
                       size, EG_NAME_MAX);
    return ENGRAM_OK;
}

engram_status eg_uri_check_path(char *path, bool may_end, engram_error *error)
{
    size_t size = strlen(path);
    if (may_end && size != 0 && path[size - 1] == '/')
        path[--size] = 0;
    if (size > EG_PATH_MAX)
        return eg_fail(error, ENGRAM_INVALID, "the path has %zu bytes, %d are the most", size,
                       EG_PATH_MAX);
    if (size == 0)
        return ENGRAM_OK;
    for (const char *name = path;; name++) {
        size_t length = strcspn(name, "/");
        EG_TRY(check_name(name, length, error));
        name += length;
        if (*name == 0)
            return ENGRAM_OK;
    }
}

static void write_encoded(eg_buffer *out, const char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    for (const unsigned char *c = (const unsigned char *)text; *c != 0; c++) {
        if (isalnum(*c) || strchr("-._~/:", *c) != NULL) {
            eg_write_u8(out, *c);
        } else {
            eg_write_u8(out, '%');
            eg_write_u8(out, (uint8_t)digits[*c >> 4]);
            eg_write_u8(out, (uint8_t)digits[*c & 15]);
        }
    }
}

void eg_uri_write_path(eg_buffer *out, const char *path)
{
    for (const char *c = path; *c != 0; c++)
        if (*c == '%')
            eg_write_u8(out, (uint8_t)*c);
        else
            write_encoded(out, (const char[]){*c, 0});
}

void eg_uri_write_parameter(eg_buffer *out, bool first, const char *name, const char *value)
{
    eg_write_u8(out, first ? '?' : '&');
    write_encoded(out, name);
    eg_write_u8(out, '=');
    write_encoded(out, value);
}
