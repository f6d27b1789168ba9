/* Growing buffers and the checksum of the small structures. */
#include "base/bytes.h"

#include <libdeflate.h>

#include "base/memory.h"

void eg_buffer_fini(eg_buffer *b)
{
    eg_free(b->data);
    *b = (eg_buffer){0};
}

void eg_buffer_clear(eg_buffer *b)
{
    b->size = 0;
}

uint8_t *eg_buffer_extend(eg_buffer *b, size_t size)
{
    if (b->failed)
        return NULL;
    size_t need = b->size + size;
    /* At least one byte, so that extending by nothing still gives a pointer. */
    void *data = b->data;
    if (need < size || !eg_grow(&data, &b->capacity, need ? need : 1, 1)) {
        b->failed = true;
        return NULL;
    }
    b->data = data;
    uint8_t *at = b->data + b->size;
    b->size = need;
    return at;
}

void eg_write_bytes(eg_buffer *b, const void *bytes, size_t size)
{
    uint8_t *at = eg_buffer_extend(b, size);
    if (at && size > 0)
        memcpy(at, bytes, size);
}

void eg_write_u8(eg_buffer *b, uint8_t v)
{
    eg_write_bytes(b, &v, 1);
}

void eg_write_u16(eg_buffer *b, uint16_t v)
{
    eg_write_bytes(b, &v, 2);
}

void eg_write_u32(eg_buffer *b, uint32_t v)
{
    eg_write_bytes(b, &v, 4);
}

void eg_write_u64(eg_buffer *b, uint64_t v)
{
    eg_write_bytes(b, &v, 8);
}

uint32_t eg_crc32(uint32_t crc, const void *bytes, size_t size)
{
    /* libdeflate takes a NULL pointer to mean "start again", whatever crc is. */
    return size == 0 ? crc : libdeflate_crc32(crc, bytes, size);
}
