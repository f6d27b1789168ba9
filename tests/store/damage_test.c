/* A small sealed segment, damaged in every byte, cut at every length, and given hostile headers
 * and records whose checks are right: what is read is exact or an error, and verify finds it. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "store/rig.h"

enum { CHUNKS = 10, SLOT = 512, VERSION = 8, STAGE = 12, SECTION_COUNT = 14, SECTIONS = 60 };

typedef struct victim {
    rig *r;
    char *path;
    int fd;
    uint8_t *bytes; /* the good file */
    size_t size;
} victim;

static victim victim_make(void)
{
    victim v = {.r = rig_create(12, 1 << 20, 200)};
    rig_open(v.r);
    rig_append(v.r, CHUNKS);
    assert_true(v.r->bases[4] != 0 || v.r->bases[9] != 0);
    assert_ok(eg_store_seal(v.r->store, error));
    rig_close(v.r);
    v.path = rig_path(v.r, v.r->states[0].id);
    assert_ok(eg_io_read_file(v.r->io, v.path, 1 << 20, &v.bytes, &v.size, error));
    v.fd = open(v.path, O_RDWR);
    assert_true(v.fd >= 0);
    return v;
}

static void victim_end(victim *v)
{
    close(v->fd);
    free(v->path);
    eg_free(v->bytes);
    rig_free(v->r);
}

static void put(victim *v, size_t offset, const uint8_t *bytes, size_t size)
{
    assert_int_equal(pwrite(v->fd, bytes, size, (off_t)offset), size);
}

static void restore(victim *v)
{
    put(v, 0, v->bytes, v->size);
    assert_int_equal(ftruncate(v->fd, (off_t)v->size), 0);
}

static bool is_expected(engram_status status)
{
    return status == ENGRAM_OK || status == ENGRAM_DAMAGED;
}

/* Everything that can be read of chunk i is right or damaged. True: all of it is right. */
static bool read_chunk(rig *r, size_t i, bool content_too)
{
    uint8_t vector[256], expected[256];
    eg_chunk_info info;
    size_t size;
    uint32_t expected_size = rig_bytes(r, i, r->bytes);
    engram_status a = eg_store_read(r->store, i + 1, r->other, RIG_BYTES_MAX, &size, NULL);
    engram_status b = eg_store_get_vector(r->store, i + 1, vector, NULL);
    engram_status c = eg_store_get_info(r->store, i + 1, &info, NULL);
    if (!content_too)
        return false;
    assert_true(is_expected(a) && is_expected(b) && is_expected(c));
    if (a == ENGRAM_OK) {
        assert_int_equal(size, expected_size);
        assert_memory_equal(r->other, r->bytes, size);
    }
    rig_vector(r, i, expected);
    if (b == ENGRAM_OK)
        assert_memory_equal(vector, expected, 256);
    if (c == ENGRAM_OK)
        assert_true(info.id == i + 1 && info.size == expected_size && info.base == r->bases[i]);
    return a == ENGRAM_OK && b == ENGRAM_OK && c == ENGRAM_OK;
}

static void read_spans(rig *r, bool content_too)
{
    eg_vector_span span;
    if (eg_store_get_vectors(r->store, 0, &span, NULL) != ENGRAM_OK)
        return;
    for (size_t k = 0; k < span.vectors.count && content_too; k++) {
        uint8_t expected[256];
        rig_vector(r, k, expected);
        assert_int_equal(span.ids[k], k + 1);
        uint8_t vector[256];
        eg_vectors_get(&span.vectors, k, vector);
        assert_memory_equal(vector, expected, 256);
    }
}

/* Opens and reads everything. True when something was found wrong: by open, or by verify. */
static bool examine(rig *r, bool read_only, bool content_too)
{
    engram_error error = {0};
    char message[1200] = "";
    engram_status status = rig_try_open(r, read_only, &error);
    if (status != ENGRAM_OK) {
        assert_int_equal(error.status, status);
        assert_true(!content_too || status == ENGRAM_DAMAGED);
        assert_true(!content_too || strstr(error.message, ".seg") != NULL);
        return true;
    }
    bool all_right = true;
    for (size_t i = 0; i < CHUNKS; i++)
        all_right = read_chunk(r, i, content_too) && all_right;
    read_spans(r, content_too);
    size_t findings = rig_verify(r, message);
    if (findings > 0)
        assert_non_null(strstr(message, "00000001.seg"));
    assert_true(!content_too || all_right || findings > 0);
    eg_store_close(&r->store);
    return findings > 0;
}

/* Slot 0 does not count once slot 1 is there; between the sections nothing is stored. */
static bool is_covered(const victim *v, size_t offset)
{
    if (offset >= SLOT && offset < SLOT + 256)
        return true;
    for (int i = 0; i < v->bytes[SLOT + SECTION_COUNT]; i++) {
        const uint8_t *section = v->bytes + SLOT + SECTIONS + 32 * i;
        uint64_t start = eg_get_u64(section + 8);
        if (offset >= start && offset < start + eg_get_u64(section + 16))
            return true;
    }
    return false;
}

static void every_flipped_byte_is_found(void **state)
{
    static const uint8_t flips[] = {0x01, 0x80, 0xFF};
    (void)state;
    victim v = victim_make();
    for (size_t offset = 0; offset < v.size; offset++) {
        /* Of what is not covered a sample is enough. */
        if (!is_covered(&v, offset) && offset >= 1024 && offset % 64 != 0)
            continue;
        uint8_t byte = v.bytes[offset] ^ flips[offset % 3];
        put(&v, offset, &byte, 1);
        for (int read_only = 0; read_only < 2; read_only++)
            if (examine(v.r, read_only, true) != is_covered(&v, offset))
                fail_msg("a flip at %zu of %zu", offset, v.size);
        put(&v, offset, v.bytes + offset, 1);
    }
    assert_false(examine(v.r, true, true));
    victim_end(&v);
}

static void every_truncation_is_found(void **state)
{
    (void)state;
    victim v = victim_make();
    for (size_t size = v.size; size-- > 0;) {
        if (size % 7 != 0 && size > 1024)
            continue;
        assert_int_equal(ftruncate(v.fd, (off_t)size), 0);
        assert_int_equal(rig_try_open(v.r, size % 2, NULL), ENGRAM_DAMAGED);
    }
    restore(&v);
    assert_false(examine(v.r, true, true));
    victim_end(&v);
}

static void every_zeroed_sector_is_found(void **state)
{
    static const uint8_t zeroes[512];
    (void)state;
    victim v = victim_make();
    for (size_t sector = 0; sector * 512 < v.size; sector++) {
        bool covered = false;
        size_t size = v.size - sector * 512 < 512 ? v.size - sector * 512 : 512;
        for (size_t k = 0; k < size; k++)
            covered = covered || is_covered(&v, sector * 512 + k);
        put(&v, sector * 512, zeroes, size);
        assert_int_equal(examine(v.r, true, true), covered);
        restore(&v);
    }
    victim_end(&v);
}

/* Changes bytes of the sealed slot and makes its CRC right again. */
static void forge_slot(victim *v, size_t offset, uint64_t value, size_t size)
{
    uint8_t slot[256];
    memcpy(slot, v->bytes + SLOT, sizeof slot);
    memcpy(slot + offset, &value, size);
    eg_put_u32(slot + 252, eg_crc32(0, slot, 252));
    put(v, SLOT, slot, sizeof slot);
}

static void newer_versions_are_refused_untouched(void **state)
{
    uint64_t size, disk_size;
    (void)state;
    victim v = victim_make();
    forge_slot(&v, VERSION, 3, 2);
    for (int read_only = 0; read_only < 2; read_only++)
        assert_int_equal(rig_try_open(v.r, read_only, NULL), ENGRAM_NEWER);
    assert_ok(v.r->io->stat(v.r->io, v.path, &size, &disk_size, error));
    assert_int_equal(size, v.size);
    victim_end(&v);
}

static void forged_headers_get_their_status(void **state)
{
    static const struct {
        size_t offset, size;
        uint64_t value;
        engram_status status;
    } cases[] = {
        {VERSION, 2, 0, ENGRAM_DAMAGED},
        {10, 2, 255, ENGRAM_DAMAGED},
        {STAGE, 1, 3, ENGRAM_DAMAGED},
        {SECTION_COUNT, 1, 7, ENGRAM_DAMAGED},
        {SECTION_COUNT, 1, 3, ENGRAM_DAMAGED}, /* without vectors */
        {16, 4, 2, ENGRAM_DAMAGED},            /* another segment's */
        {40, 8, 0, ENGRAM_DAMAGED},            /* first id */
        {48, 8, 1, ENGRAM_DAMAGED},            /* last id */
        {56, 4, 0, ENGRAM_DAMAGED},            /* count */
        {56, 4, CHUNKS + 1, ENGRAM_DAMAGED},
        {SECTIONS + 4, 2, 1, ENGRAM_NEWER},       /* codec: planes are of vectors only */
        {SECTIONS + 96 + 4, 2, 2, ENGRAM_NEWER},  /* of the vectors */
        {SECTIONS + 8, 8, 0, ENGRAM_DAMAGED},     /* offset over the header */
        {SECTIONS + 8, 8, UINT64_MAX, ENGRAM_DAMAGED},
        {SECTIONS + 16, 8, UINT64_MAX, ENGRAM_DAMAGED}, /* size */
        {SECTIONS + 16, 8, 1 << 20, ENGRAM_DAMAGED},
        {SECTIONS + 32, 4, 0x4C594150, ENGRAM_DAMAGED}, /* PAYL twice */
    };
    (void)state;
    victim v = victim_make();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        forge_slot(&v, cases[i].offset, cases[i].value, cases[i].size);
        for (int read_only = 0; read_only < 2; read_only++) {
            engram_status status = rig_try_open(v.r, read_only, NULL);
            if (status != cases[i].status)
                fail_msg("case %zu gives %s", i, engram_status_name(status));
        }
    }
    victim_end(&v);
}

/* A section nobody knows, here where the fingerprint index was, is passed over. */
static void unknown_sections_are_skipped(void **state)
{
    uint64_t ids[EG_STORE_CANDIDATES];
    (void)state;
    victim v = victim_make();
    forge_slot(&v, SECTIONS + 64, 0x3F3F3F3F, 4);
    assert_false(examine(v.r, true, true));
    rig_open(v.r);
    size_t size = rig_bytes(v.r, 5, v.r->bytes);
    eg_fingerprint fingerprint = eg_fingerprint_of(v.r->bytes, size);
    assert_int_equal(eg_store_find(v.r->store, &fingerprint, (uint32_t)size, ids), 1);
    assert_int_equal(ids[0], 6);
    victim_end(&v);
}

/* Random fields with right CRCs: nothing is promised but to come back. */
static void hostile_headers_do_no_harm(void **state)
{
    uint64_t seed = test_seed(0x4057);
    (void)state;
    victim v = victim_make();
    for (int n = 0; n < 4000; n++) {
        size_t size = (size_t)1 << test_random(&seed) % 4;
        size_t offset = 12 + test_random(&seed) % (252 - 12 - size);
        uint64_t value = test_random(&seed) >> test_random(&seed) % 64;
        forge_slot(&v, offset, value, size);
        examine(v.r, n % 2, false);
        restore(&v);
    }
    victim_end(&v);
}

/* Records with right CRCs and wrong fields: sizes, places, bases in a ring. */
static void hostile_records_do_no_harm(void **state)
{
    uint64_t seed = test_seed(0x4EC5);
    (void)state;
    victim v = victim_make();
    uint64_t records = eg_get_u64(v.bytes + SLOT + SECTIONS + 32 + 8);
    for (int n = 0; n < 4000; n++) {
        for (int k = 0; k < 3; k++) {
            uint8_t record[72];
            size_t at = (size_t)records + test_random(&seed) % CHUNKS * 72;
            uint64_t value = test_random(&seed) >> test_random(&seed) % 64;
            memcpy(record, v.bytes + at, sizeof record);
            memcpy(record + test_random(&seed) % 60, &value, 8);
            eg_put_u32(record + 68, eg_crc32(0, record, 68));
            put(&v, at, record, sizeof record);
        }
        examine(v.r, n % 2, false);
        restore(&v);
    }
    victim_end(&v);
}

/* Writes a record with fields changed, its CRC right. */
static void forge_record(victim *v, size_t index, size_t offset, uint64_t value, size_t size)
{
    uint8_t record[72];
    size_t at = (size_t)eg_get_u64(v->bytes + SLOT + SECTIONS + 32 + 8) + index * 72;
    assert_int_equal(pread(v->fd, record, sizeof record, (off_t)at), sizeof record);
    memcpy(record + offset, &value, size);
    eg_put_u32(record + 68, eg_crc32(0, record, 68));
    put(v, at, record, sizeof record);
}

static void expect_read(rig *r, size_t i, engram_status expected, const char *word)
{
    engram_error error = {0};
    size_t size;
    assert_int_equal(eg_store_read(r->store, i + 1, r->other, RIG_BYTES_MAX, &size, &error),
                     expected);
    if (expected != ENGRAM_OK && strstr(error.message, word) == NULL)
        fail_msg("no %s in: %s", word, error.message);
}

static void forged_bases_end(void **state)
{
    (void)state;
    victim v = victim_make();
    size_t delta = v.r->bases[4] != 0 ? 4 : 9;
    size_t base = (size_t)v.r->bases[delta] - 1;
    forge_record(&v, delta, 24, delta + 1, 8); /* on itself */
    rig_open_reader(v.r);
    expect_read(v.r, delta, ENGRAM_DAMAGED, "as deep");
    expect_read(v.r, base, ENGRAM_OK, "");
    eg_store_close(&v.r->store);
    forge_record(&v, delta, 24, 999, 8); /* on nothing */
    rig_open_reader(v.r);
    expect_read(v.r, delta, ENGRAM_DAMAGED, "not there");
    victim_end(&v);
}

/* A chain in which depth does not fall, though every link could be decoded. */
static void a_base_as_deep_is_refused(void **state)
{
    static const uint8_t vector[256], bytes[500] = "equal";
    uint8_t packed[600];
    uint64_t ids[3];
    (void)state;
    rig *r = rig_create(12, 1 << 20, 200);
    size_t size = rig_pack(bytes, sizeof bytes, bytes, sizeof bytes, packed, sizeof packed);
    const eg_new_chunk alone = {.fingerprint = eg_fingerprint_of(bytes, sizeof bytes),
                                .vector = vector,
                                .spread = 1,
                                .size = sizeof bytes,
                                .kind = EG_CORRECTION_VERBATIM,
                                .correction = {bytes, sizeof bytes}};
    eg_new_chunk delta = alone;
    delta.kind = EG_CORRECTION_DELTA;
    delta.base = delta.depth = 1;
    delta.correction = (eg_view){packed, size};
    eg_new_chunk chunks[] = {alone, delta, delta};
    chunks[2].base = 2;
    rig_open(r);
    assert_ok(eg_store_append(r->store, chunks, 3, ids, error));
    expect_read(r, 1, ENGRAM_OK, "");
    expect_read(r, 2, ENGRAM_DAMAGED, "as deep");
    assert_true(rig_verify(r, NULL) > 0);
    rig_free(r);
}

/* Verify reads the disk again, also what is known from before. */
static void damage_after_reading_is_found(void **state)
{
    char message[1200] = "";
    (void)state;
    victim v = victim_make();
    for (int i = 0; i < v.bytes[SLOT + SECTION_COUNT]; i++) {
        size_t offset = (size_t)eg_get_u64(v.bytes + SLOT + SECTIONS + 32 * i + 8) + 9;
        uint8_t byte = v.bytes[offset] ^ 4;
        rig_open_reader(v.r);
        rig_check_exactly(v.r, CHUNKS);
        put(&v, offset, &byte, 1);
        assert_true(rig_verify(v.r, message) > 0);
        assert_non_null(strstr(message, "00000001.seg at "));
        eg_store_close(&v.r->store);
        restore(&v);
    }
    victim_end(&v);
}

/* A segment whose ids have gaps, as merging makes them: id 1 + 3i for chunk i. */
static void give_gaps(victim *v)
{
    forge_slot(v, 48, 1 + 3 * (CHUNKS - 1), 8);
    for (size_t i = 0; i < CHUNKS; i++) {
        forge_record(v, i, 0, 1 + 3 * i, 8);
        if (v->r->bases[i] != 0)
            forge_record(v, i, 24, 1 + 3 * (v->r->bases[i] - 1), 8);
    }
    v->r->chunk_count = 1 + 3 * CHUNKS;
}

static void expect_gaps(rig *r, size_t bad)
{
    size_t size;
    for (uint64_t id = 1; id < 3 * CHUNKS; id++) {
        size_t i = (size_t)(id - 1) / 3;
        uint32_t expected_size = rig_bytes(r, i, r->bytes);
        engram_status status = eg_store_read(r->store, id, r->other, RIG_BYTES_MAX, &size, NULL);
        if (i == bad || id % 3 != 1 || (r->bases[i] != 0 && r->bases[i] == bad + 1)) {
            assert_int_equal(status, bad == CHUNKS ? ENGRAM_NOT_FOUND : ENGRAM_DAMAGED);
            continue;
        }
        assert_int_equal(status, ENGRAM_OK);
        assert_int_equal(size, expected_size);
        assert_memory_equal(r->other, r->bytes, size);
    }
}

static void ids_with_gaps(void **state)
{
    eg_vector_span span;
    uint64_t ids[EG_STORE_CANDIDATES];
    (void)state;
    victim v = victim_make();
    give_gaps(&v);
    rig_open_reader(v.r);
    expect_gaps(v.r, CHUNKS);
    assert_ok(eg_store_get_vectors(v.r->store, 0, &span, error));
    assert_int_equal(span.ids[5], 16);
    size_t size = rig_bytes(v.r, 5, v.r->bytes);
    eg_fingerprint fingerprint = eg_fingerprint_of(v.r->bytes, size);
    assert_int_equal(eg_store_find(v.r->store, &fingerprint, (uint32_t)size, ids), 1);
    assert_int_equal(ids[0], 16);
    eg_store_close(&v.r->store);
    for (size_t i = 0; i < CHUNKS; i++) {
        forge_record(&v, i, 0, i == 0 ? 1000 : 1, 8); /* out of order */
        rig_open_reader(v.r);
        expect_gaps(v.r, i);
        assert_int_equal(eg_store_get_vectors(v.r->store, 0, &span, NULL), ENGRAM_DAMAGED);
        assert_true(rig_verify(v.r, NULL) > 0);
        eg_store_close(&v.r->store);
        forge_record(&v, i, 0, 1 + 3 * i, 8);
    }
    victim_end(&v);
}

/* One bad record spoils one chunk, not its neighbours; the delta on it names it. */
static void one_bad_record_spoils_one_chunk(void **state)
{
    (void)state;
    victim v = victim_make();
    size_t delta = v.r->bases[4] != 0 ? 4 : 9;
    size_t base = (size_t)v.r->bases[delta] - 1;
    size_t records = (size_t)eg_get_u64(v.bytes + SLOT + SECTIONS + 32 + 8);
    uint8_t byte = v.bytes[records + base * 72 + 40] ^ 1;
    put(&v, records + base * 72 + 40, &byte, 1);
    rig_open_reader(v.r);
    char place[32];
    snprintf(place, sizeof place, "at %zu:", records + base * 72);
    expect_read(v.r, base, ENGRAM_DAMAGED, place);
    expect_read(v.r, delta, ENGRAM_DAMAGED, place);
    for (size_t i = 0; i < CHUNKS; i++)
        if (i != base && v.r->bases[i] == 0)
            expect_read(v.r, i, ENGRAM_OK, "");
    victim_end(&v);
}

/* A file that is cut short while it is open gives errors, not a crash. */
static void cut_short_while_open(void **state)
{
    uint8_t vector[256];
    eg_vector_span span;
    (void)state;
    for (int mapped = 0; mapped < 2; mapped++) {
        victim v = victim_make();
        rig_open_reader(v.r);
        if (mapped)
            assert_ok(eg_store_get_vectors(v.r->store, 0, &span, error));
        assert_int_equal(ftruncate(v.fd, 4096), 0);
        assert_int_equal(eg_store_get_vectors(v.r->store, 0, &span, NULL), ENGRAM_IO);
        assert_true(eg_store_get_vector(v.r->store, 3, vector, NULL) != ENGRAM_OK);
        assert_true(rig_verify(v.r, NULL) > 0);
        victim_end(&v);
    }
}

/* Flips in the regions of a file that is still active. */
static void an_active_file_is_checked_too(void **state)
{
    (void)state;
    rig *r = rig_create(12, 1 << 20, 200);
    rig_open(r);
    rig_append(r, CHUNKS);
    rig_close(r);
    char *path = rig_path(r, 1);
    int fd = open(path, O_RDWR);
    uint8_t slot[256], byte;
    assert_int_equal(pread(fd, slot, sizeof slot, 0), sizeof slot);
    for (int section = 1; section <= 2; section++) {
        uint64_t start = eg_get_u64(slot + SECTIONS + 32 * section + 8);
        for (size_t k = 0; k < CHUNKS * (section == 1 ? 72u : 256u); k += 5) {
            assert_int_equal(pread(fd, &byte, 1, (off_t)(start + k)), 1);
            byte ^= 0x10;
            assert_int_equal(pwrite(fd, &byte, 1, (off_t)(start + k)), 1);
            assert_int_equal(rig_try_open(r, k % 2, NULL), ENGRAM_DAMAGED);
            byte ^= 0x10;
            assert_int_equal(pwrite(fd, &byte, 1, (off_t)(start + k)), 1);
        }
    }
    rig_open_reader(r);
    rig_check_exactly(r, CHUNKS);
    close(fd);
    free(path);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_flipped_byte_is_found),
        cmocka_unit_test(every_truncation_is_found),
        cmocka_unit_test(every_zeroed_sector_is_found),
        cmocka_unit_test(newer_versions_are_refused_untouched),
        cmocka_unit_test(forged_headers_get_their_status),
        cmocka_unit_test(unknown_sections_are_skipped),
        cmocka_unit_test(hostile_headers_do_no_harm),
        cmocka_unit_test(hostile_records_do_no_harm),
        cmocka_unit_test(forged_bases_end),
        cmocka_unit_test(a_base_as_deep_is_refused),
        cmocka_unit_test(damage_after_reading_is_found),
        cmocka_unit_test(ids_with_gaps),
        cmocka_unit_test(one_bad_record_spoils_one_chunk),
        cmocka_unit_test(cut_short_while_open),
        cmocka_unit_test(an_active_file_is_checked_too),
    };
    eg_log_set_level(EG_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
