/* Bytes as text (RFC 4648, section 4). */
#include "report/report.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void eg_base64_write(eg_buffer *out, eg_view bytes)
{
    for (size_t at = 0; at < bytes.size; at += 3) {
        size_t left = bytes.size - at;
        uint32_t word = (uint32_t)bytes.data[at] << 16;
        word |= left > 1 ? (uint32_t)bytes.data[at + 1] << 8 : 0;
        word |= left > 2 ? bytes.data[at + 2] : 0;
        for (unsigned i = 0; i < 4; i++)
            eg_write_u8(out, i > left ? '=' : (uint8_t)digits[word >> (18 - 6 * i) & 63]);
    }
}

static int value_of(char digit)
{
    const char *at = digit != 0 ? strchr(digits, digit) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

/* How many of the last four characters count; 0: the end is not as it must be. */
static size_t last_digits(const char *text, size_t size)
{
    size_t pads =
        size >= 1 && text[size - 1] == '=' ? (size >= 2 && text[size - 2] == '=' ? 2 : 1) : 0;
    return 4 - pads;
}

bool eg_base64_read(const char *text, size_t size, eg_buffer *out)
{
    for (size_t at = 0; at < size; at += 4) {
        size_t count = at + 4 == size ? last_digits(text, size) : 4;
        uint32_t word = 0;
        if (size - at < 4)
            return false;
        for (size_t i = 0; i < 4; i++) {
            int value = i < count ? value_of(text[at + i]) : 0;
            if (value < 0)
                return false;
            word = word << 6 | (uint32_t)value;
        }
        if ((word & ((1u << 8 * (4 - count)) - 1)) != 0) /* bits that mean nothing */
            return false;
        for (size_t i = 0; i + 1 < count; i++)
            eg_write_u8(out, (uint8_t)(word >> (16 - 8 * i)));
    }
    return !out->failed;
}
