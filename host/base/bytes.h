/* Little-endian fields, byte views, bounded reading and growing buffers.
 *
 * eg_reader never reads past its end: the first short read makes it fail for good, so a parser
 * can read a whole structure and check once. eg_buffer is its writing twin. */
#ifndef EG_BASE_BYTES_H
#define EG_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct eg_view {
    const uint8_t *data;
    size_t size;
} eg_view;

static inline uint16_t eg_get_u16(const void *p) { uint16_t v; memcpy(&v, p, 2); return v; }
static inline uint32_t eg_get_u32(const void *p) { uint32_t v; memcpy(&v, p, 4); return v; }
static inline uint64_t eg_get_u64(const void *p) { uint64_t v; memcpy(&v, p, 8); return v; }
static inline void eg_put_u16(void *p, uint16_t v) { memcpy(p, &v, 2); }
static inline void eg_put_u32(void *p, uint32_t v) { memcpy(p, &v, 4); }
static inline void eg_put_u64(void *p, uint64_t v) { memcpy(p, &v, 8); }
/* Big-endian, for keys that sort as numbers do. */
static inline uint64_t eg_get_be64(const void *p) { return __builtin_bswap64(eg_get_u64(p)); }
static inline void eg_put_be64(void *p, uint64_t v) { eg_put_u64(p, __builtin_bswap64(v)); }
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "formats are little-endian, and so is the code");

typedef struct eg_reader {
    const uint8_t *at, *end;
    bool failed;
} eg_reader;

static inline eg_reader eg_reader_make(const void *data, size_t size)
{
    const uint8_t *p = data;
    return (eg_reader){p, p + size, false};
}
static inline size_t eg_reader_left(const eg_reader *r) { return r->failed ? 0 : (size_t)(r->end - r->at); }
/* size bytes of the input, or NULL (and failed for good). */
static inline const uint8_t *eg_read_bytes(eg_reader *r, size_t size)
{
    if (r->failed || (size_t)(r->end - r->at) < size) {
        r->failed = true;
        return NULL;
    }
    const uint8_t *p = r->at;
    r->at += size;
    return p;
}
static inline uint8_t eg_read_u8(eg_reader *r) { const uint8_t *p = eg_read_bytes(r, 1); return p ? *p : 0; }
static inline uint16_t eg_read_u16(eg_reader *r) { const uint8_t *p = eg_read_bytes(r, 2); return p ? eg_get_u16(p) : 0; }
static inline uint32_t eg_read_u32(eg_reader *r) { const uint8_t *p = eg_read_bytes(r, 4); return p ? eg_get_u32(p) : 0; }
static inline uint64_t eg_read_u64(eg_reader *r) { const uint8_t *p = eg_read_bytes(r, 8); return p ? eg_get_u64(p) : 0; }

/* Zero-initialise; failed is set when memory runs out, and then stays. Free with eg_buffer_fini. */
typedef struct eg_buffer {
    uint8_t *data;
    size_t size, capacity;
    bool failed;
} eg_buffer;

void eg_buffer_fini(eg_buffer *b);
void eg_buffer_clear(eg_buffer *b); /* size 0, memory kept, failed kept */
/* Room for size more bytes, uninitialised, already counted in b->size; NULL on failure. */
uint8_t *eg_buffer_extend(eg_buffer *b, size_t size);
void eg_write_bytes(eg_buffer *b, const void *bytes, size_t size);
void eg_write_u8(eg_buffer *b, uint8_t v);
void eg_write_u16(eg_buffer *b, uint16_t v);
void eg_write_u32(eg_buffer *b, uint32_t v);
void eg_write_u64(eg_buffer *b, uint64_t v);

/* CRC-32 (IEEE), continued from crc (0 to start). */
uint32_t eg_crc32(uint32_t crc, const void *bytes, size_t size);

#endif
