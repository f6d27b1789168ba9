/* Percent-encoding: what RFC 3986 calls unreserved stays. */
#include "access/target.h"

#include <ctype.h>
#include <stdio.h>

void eg_target_add(eg_buffer *target, const char *text)
{
    eg_write_bytes(target, text, strlen(text));
}

static void add_encoded(eg_buffer *target, const char *text, char kept)
{
    static const char digits[] = "0123456789ABCDEF";
    for (const uint8_t *c = (const uint8_t *)text; *c != 0; c++) {
        bool plain = *c < 0x80 && (isalnum(*c) || strchr("-._~", *c) != NULL);
        if (plain || *c == (uint8_t)kept) {
            eg_write_u8(target, *c);
            continue;
        }
        eg_write_u8(target, '%');
        eg_write_u8(target, (uint8_t)digits[*c >> 4]);
        eg_write_u8(target, (uint8_t)digits[*c & 15]);
    }
}

void eg_target_add_path(eg_buffer *target, const char *path)
{
    add_encoded(target, path, '/');
}

void eg_target_add_parameter(eg_buffer *target, const char *name, const char *value)
{
    bool first = target->size == 0 || memchr(target->data, '?', target->size) == NULL;
    eg_write_u8(target, first ? '?' : '&');
    eg_target_add(target, name);
    eg_write_u8(target, '=');
    add_encoded(target, value, '/');
}

void eg_target_add_number(eg_buffer *target, const char *name, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    eg_target_add_parameter(target, name, text);
}

const char *eg_target_text(eg_buffer *target)
{
    eg_write_u8(target, 0);
    return target->failed ? NULL : (const char *)target->data;
}
