/* Stored paths are bytes, of any encoding and none: how they are shown to terminals, programs and
 * readers of JSON without losing what they are. */
#include <unistd.h>

#include "report/report.h"

size_t eg_utf8_size(const uint8_t *bytes, size_t size)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (size == 0)
        return 0;
    uint8_t first = bytes[0];
    if (first < 0x80)
        return 1;
    size_t need = first >= 0xF0 && first < 0xF8 ? 4 : first >= 0xE0 ? 3 : first >= 0xC0 ? 2 : 0;
    if (need == 0 || first >= 0xF8 || need > size)
        return 0;
    uint32_t code = first & (0x7Fu >> need);
    for (size_t i = 1; i < need; i++) {
        if ((bytes[i] & 0xC0) != 0x80)
            return 0;
        code = code << 6 | (bytes[i] & 0x3F);
    }
    bool surrogate = code >= 0xD800 && code <= 0xDFFF;
    return code < least[need] || code > 0x10FFFF || surrogate ? 0 : need;
}

/* The letter that stands for a control character after a backslash, or 0. */
static char escape_letter(uint8_t c)
{
    static const char letters[] = "abtnvfr"; /* from 7 on */
    if (c >= 7 && c <= 13)
        return letters[c - 7];
    return c == '\\' || c == ' ' ? (char)c : 0;
}

static void escape_byte(eg_buffer *out, uint8_t c)
{
    char letter = escape_letter(c);
    eg_write_u8(out, '\\');
    if (letter != 0) {
        eg_write_u8(out, (uint8_t)letter);
        return;
    }
    eg_write_u8(out, (uint8_t)('0' + (c >> 6)));
    eg_write_u8(out, (uint8_t)('0' + (c >> 3 & 7)));
    eg_write_u8(out, (uint8_t)('0' + (c & 7)));
}

void eg_path_escape(eg_buffer *out, eg_view path)
{
    for (size_t at = 0; at < path.size;) {
        const uint8_t *c = path.data + at;
        size_t size = eg_utf8_size(c, path.size - at);
        bool control = size == 1 ? *c <= ' ' || *c == 0x7F || *c == '\\'
                                 : size == 2 && c[0] == 0xC2 && c[1] < 0xA0;
        if (size != 0 && !control) {
            eg_write_bytes(out, c, size);
        } else {
            size = size != 0 ? size : 1;
            for (size_t i = 0; i < size; i++)
                escape_byte(out, c[i]);
        }
        at += size;
    }
}

void eg_path_print(FILE *out, eg_view path)
{
    eg_buffer text = {0};
    if (path.size == 0)
        return;
    if (!isatty(fileno(out))) {
        fwrite(path.data, 1, path.size, out);
        return;
    }
    eg_path_escape(&text, path);
    fwrite(text.data, 1, text.size, out);
    eg_buffer_fini(&text);
}

engram_status eg_path_operand(const char *operand, eg_stored_name *path, engram_error *error)
{
    size_t size = 0;
    for (const char *at = operand; *at != 0;) {
        size_t length = strcspn(at, "/");
        bool skipped = length == 0 || (length == 1 && *at == '.');
        if (length == 2 && memcmp(at, "..", 2) == 0)
            return eg_fail(error, ENGRAM_INVALID, "%s: stored paths have no '..'; write it out",
                           operand);
        if (length > EG_NAME_MAX || (!skipped && size + 1 + length > EG_PATH_MAX))
            return eg_fail(error, ENGRAM_INVALID,
                           "%.200s: longer than the %d bytes of a name or the %d of a path",
                           operand, EG_NAME_MAX, EG_PATH_MAX);
        if (!skipped) {
            if (size != 0)
                path->text[size++] = '/';
            memcpy(path->text + size, at, length);
            size += length;
        }
        at += length + (at[length] == '/');
    }
    path->text[size] = 0;
    return ENGRAM_OK;
}

const char *eg_path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}
