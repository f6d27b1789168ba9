/* The format, read by a second small reader that shares no code with the store, and the order in
 * which a segment is written. */
#define ZSTD_STATIC_LINKING_ONLY
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include <zstd.h>

#include "base/memory.h"
#include "store/compact.h"
#include "store/rig.h"

static uint8_t *read_file(rig *r, uint64_t id, size_t *size)
{
    uint8_t *bytes;
    char *path = rig_path(r, id);
    assert_ok(eg_io_read_file(r->io, path, 1 << 26, &bytes, size, error));
    free(path);
    return bytes;
}

static uint32_t u32(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint64_t u64(const uint8_t *at)
{
    return u32(at) | (uint64_t)u32(at + 4) << 32;
}

/* CRC-32 (IEEE), bit by bit. */
static uint32_t plain_crc(const uint8_t *bytes, size_t size)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
    }
    return ~crc;
}

static const uint8_t *section(const uint8_t *slot, const char *tag)
{
    for (int i = 0; i < slot[14]; i++)
        if (memcmp(slot + 60 + 32 * i, tag, 4) == 0)
            return slot + 60 + 32 * i;
    fail_msg("no section %s", tag);
    return NULL;
}

/* Bytes of a section, its codec, CRC and count checked. */
static const uint8_t *contents(const uint8_t *file, size_t size, const uint8_t *slot,
                               const char *tag, int codec, size_t item_size)
{
    const uint8_t *s = section(slot, tag);
    assert_int_equal(s[4] | s[5] << 8, codec);
    assert_true(u64(s + 8) >= 4096 && u64(s + 8) + u64(s + 16) <= size);
    assert_int_equal(u32(s + 24), u32(slot + 56));
    if (item_size != 0)
        assert_int_equal(u64(s + 16), u32(slot + 56) * item_size);
    assert_int_equal(u32(s + 28), plain_crc(file + u64(s + 8), u64(s + 16)));
    return file + u64(s + 8);
}

/* Vector i of count in planes, bit by bit. */
static void read_planes(const uint8_t *planes, size_t count, size_t i, uint8_t vector[256])
{
    const size_t before = i - i % 4096, in_group = count - before < 4096 ? count - before : 4096;
    const uint8_t *group = planes + 256 * before;
    const uint8_t *lead = group + 64 * (i % 4096), *rest = group + 64 * in_group + 192 * (i % 4096);
    for (int k = 0; k < 256; k++) {
        vector[k] = 0;
        for (int p = 0; p < 8; p++) {
            const uint8_t *plane = p < 2 ? lead + 32 * p : rest + 32 * (p - 2);
            vector[k] |= (uint8_t)((plane[k % 32] >> k / 32 & 1) << p);
        }
    }
}

static void check_record(rig *r, size_t i, const uint8_t *record, const uint8_t *payload,
                         const uint8_t *vector, const uint8_t *base, size_t base_size)
{
    uint8_t expected[256];
    uint32_t size = rig_bytes(r, i, r->bytes);
    assert_int_equal(u32(record + 68), plain_crc(record, 68));
    assert_int_equal(u64(record), i + 1);
    assert_int_equal(u64(record + 8), i / 7);
    assert_int_equal(u64(record + 16), i * 11);
    assert_int_equal(u64(record + 24), r->bases[i]);
    assert_int_equal(u32(record + 48), size);
    assert_int_equal(u32(record + 52), rig_spread(r, i));
    assert_int_equal(record[65], r->depths[i]);
    rig_vector(r, i, expected);
    assert_memory_equal(vector, expected, 256);
    uint32_t crc = plain_crc(vector, 256);
    assert_int_equal(record[66] | record[67] << 8, (crc ^ crc >> 16) & 0xFFFF);
    XXH128_canonical_t fingerprint;
    XXH128_canonicalFromHash(&fingerprint, XXH3_128bits(r->bytes, size));
    assert_memory_equal(record + 32, fingerprint.digest, 16);
    const uint8_t *stored = payload + u32(record + 56);
    if (record[64] == 3) {
        assert_memory_equal(stored, r->bytes, size);
        return;
    }
    ZSTD_DCtx *context = ZSTD_createDCtx();
    ZSTD_DCtx_setParameter(context, ZSTD_d_format, ZSTD_f_zstd1_magicless);
    if (record[64] == 1)
        ZSTD_DCtx_refPrefix(context, base, base_size);
    uint8_t *bytes = malloc(size + 1);
    assert_int_equal(ZSTD_decompressDCtx(context, bytes, size, stored, u32(record + 60)), size);
    assert_memory_equal(bytes, r->bytes, size);
    free(bytes);
    ZSTD_freeDCtx(context);
}

static void check_pairs(const uint8_t *pairs, const uint8_t *records, uint32_t count)
{
    for (uint32_t k = 0; k < count; k++) {
        uint32_t index = u32(pairs + 12 * k + 8);
        const uint8_t *fingerprint = records + 72 * index + 32;
        for (int byte = 0; byte < 8; byte++)
            assert_int_equal(pairs[12 * k + byte], fingerprint[7 - byte]);
        if (k > 0)
            assert_true(u64(pairs + 12 * k - 12) < u64(pairs + 12 * k) ||
                        (u64(pairs + 12 * k - 12) == u64(pairs + 12 * k) &&
                         u32(pairs + 12 * k - 4) < index));
    }
}

static void a_sealed_file_is_as_documented(void **state)
{
    enum { CHUNKS = 4200 }; /* two groups of vectors */
    size_t size;
    (void)state;
    rig *r = rig_create(5, 16 << 20, 1500);
    rig_open(r);
    rig_append(r, CHUNKS);
    assert_ok(eg_store_seal(r->store, error));
    rig_close(r);
    uint8_t *file = read_file(r, 1, &size);
    const uint8_t *slot = file + 512;
    assert_memory_equal(file, "EGSEGMT1", 8);
    assert_memory_equal(slot, "EGSEGMT1\2\0\0\1\2\0\4\0", 16);
    assert_int_equal(u32(file + 252), plain_crc(file, 252));
    assert_int_equal(u32(slot + 252), plain_crc(slot, 252));
    assert_int_equal(u32(slot + 16), 1);
    assert_int_equal(u32(file + 20), 1);
    assert_int_equal(u32(slot + 20), 2);
    assert_int_equal(u64(slot + 40), 1);
    assert_int_equal(u64(slot + 48), CHUNKS);
    assert_int_equal(u32(slot + 56), CHUNKS);
    const uint8_t *payload = contents(file, size, slot, "PAYL", 0, 0);
    const uint8_t *records = contents(file, size, slot, "RECS", 0, 72);
    const uint8_t *vectors = contents(file, size, slot, "VECS", 1, 256);
    check_pairs(contents(file, size, slot, "FIDX", 0, 12), records, CHUNKS);
    assert_int_equal(u64(section(slot, "VECS") + 8) % 4096, 0);
    uint32_t end = 0;
    for (size_t i = 0; i < CHUNKS; i++) {
        const uint8_t *record = records + 72 * i;
        size_t base_size = 0;
        if (r->bases[i] != 0)
            base_size = rig_bytes(r, (size_t)r->bases[i] - 1, r->other);
        uint8_t vector[256];
        assert_int_equal(u32(record + 56), end);
        read_planes(vectors, CHUNKS, i, vector);
        check_record(r, i, record, payload, vector, r->other, base_size);
        end += u32(record + 60);
    }
    assert_int_equal(end, u64(section(slot, "PAYL") + 16));
    eg_free(file);
    rig_free(r);
}

static void put_u32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

static bool is_first_in_rows(rig *r)
{
    eg_collection *collection;
    eg_share *shares;
    size_t count;
    assert_ok(eg_collection_begin(r->store, &collection, error));
    assert_ok(eg_collection_survey(collection, &shares, &count, error));
    bool is = count > 0 && shares[0].is_in_rows;
    eg_free(shares);
    eg_collection_end(&collection);
    return is;
}

/* A sealed file whose vectors are in rows, as programs before planes wrote it, is read. */
static void rows_are_read_too(void **state)
{
    enum { CHUNKS = 300 };
    size_t size;
    (void)state;
    rig *r = rig_create(7, 16 << 20, 1500);
    rig_open(r);
    rig_append(r, CHUNKS);
    assert_ok(eg_store_seal(r->store, error));
    assert_false(is_first_in_rows(r));
    rig_close(r);
    uint8_t *file = read_file(r, 1, &size), *slot = file + 512;
    uint8_t *vecs = slot + (section(slot, "VECS") - slot), *vectors = file + u64(vecs + 8);
    for (size_t i = 0; i < CHUNKS; i++)
        rig_vector(r, i, vectors + 256 * i);
    slot[8] = 1;
    vecs[4] = 0;
    put_u32(vecs + 28, plain_crc(vectors, 256 * CHUNKS));
    put_u32(slot + 252, plain_crc(slot, 252));
    char *path = rig_path(r, 1);
    assert_ok(eg_io_replace_file(r->io, path, file, size, error));
    free(path);
    eg_free(file);
    rig_open(r);
    rig_check_exactly(r, CHUNKS);
    assert_true(is_first_in_rows(r));
    rig_free(r);
}

/* ---- the order of calls ---- */

/* Notes what is done to files, one letter a call; successive writes are one. */
static char calls[256];
static eg_io noting;
static eg_io *real;

static void note(char letter)
{
    size_t length = strlen(calls);
    assert_true(length + 1 < sizeof calls);
    if (letter == 'w' && length > 0 && calls[length - 1] == 'w')
        return;
    calls[length] = letter;
    calls[length + 1] = 0;
}

static engram_status noting_write(eg_io *io, eg_file *file, uint64_t offset, const void *bytes,
                                  size_t size, engram_error *error)
{
    (void)io;
    note(offset == 512 && size == 256 ? 'H' : 'w');
    return real->write(real, file, offset, bytes, size, error);
}

static engram_status noting_sync(eg_io *io, eg_file *file, engram_error *error)
{
    (void)io;
    note('s');
    return real->sync(real, file, error);
}

static engram_status noting_truncate(eg_io *io, eg_file *file, uint64_t size, engram_error *error)
{
    (void)io;
    note('t');
    return real->truncate(real, file, size, error);
}

static engram_status noting_sync_dir(eg_io *io, const char *path, engram_error *error)
{
    (void)io;
    note('d');
    return real->sync_dir(real, path, error);
}

static void syncs_come_in_the_documented_order(void **state)
{
    (void)state;
    rig *r = rig_create(5, 1 << 20, 1500);
    real = r->io;
    noting = *real;
    noting.write = noting_write;
    noting.sync = noting_sync;
    noting.truncate = noting_truncate;
    noting.sync_dir = noting_sync_dir;
    r->io = &noting;
    rig_open(r);
    rig_append(r, 40);
    assert_string_equal(calls, "wsd"); /* what is small waits in memory for the sync */
    assert_ok(eg_store_sync(r->store, error));
    assert_ok(eg_store_sync(r->store, error)); /* nothing new: no call */
    assert_string_equal(calls, "wsdws");
    calls[0] = 0;
    rig_append(r, 20);
    assert_ok(eg_store_seal(r->store, error));
    assert_ok(eg_store_sync(r->store, error));
    assert_string_equal(calls, "wsHsts");
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sealed_file_is_as_documented),
        cmocka_unit_test(rows_are_read_too),
        cmocka_unit_test(syncs_come_in_the_documented_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
