/* A store that is opened without a segment of its own: what is left works, and what is missing is
 * told by name. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "store/rig.h"

enum { CHUNKS = 80 };

typedef enum loss { MISSING, NO_HEADER, CUT_SHORT, LOSSES } loss;

/* About five segments, all sealed. */
static rig *make(void)
{
    rig *r = rig_create(test_seed(0x1057), 4000, 900);
    r->options.tolerate = true;
    rig_open(r);
    rig_append(r, CHUNKS);
    assert_ok(eg_store_seal(r->store, error));
    rig_close(r);
    assert_true(r->state_count >= 4);
    return r;
}

static char *moved(const char *path)
{
    static char name[700];
    snprintf(name, sizeof name, "%s.kept", path);
    return name;
}

/* The good file stays beside, under another name. */
static void lose(rig *r, size_t segment, loss how)
{
    static const uint8_t zeros[768];
    uint8_t *bytes;
    size_t size;
    char *path = rig_path(r, r->states[segment].id);
    assert_ok(eg_io_read_file(r->io, path, 1 << 24, &bytes, &size, error));
    assert_int_equal(rename(path, moved(path)), 0);
    if (how != MISSING) {
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        fwrite(how == NO_HEADER ? zeros : bytes, 1, 768, file);
        if (how == NO_HEADER)
            fwrite(bytes + 768, 1, size - 768, file);
        fclose(file);
    }
    eg_free(bytes);
    free(path);
}

static void restore(rig *r, uint64_t id)
{
    char *path = rig_path(r, id);
    assert_int_equal(rename(moved(path), path), 0);
    free(path);
}

static size_t first_of(rig *r, size_t segment)
{
    size_t first = 0;
    for (size_t s = 0; s < segment; s++)
        first += (size_t)r->states[s].chunk_count;
    return first;
}

/* Whether chunk i or what it rests on is in [first, end). */
static bool rests_on(rig *r, size_t i, size_t first, size_t end)
{
    for (;; i = (size_t)r->bases[i] - 1) {
        if (i >= first && i < end)
            return true;
        if (r->bases[i] == 0)
            return false;
    }
}

static void expect_lost(rig *r, size_t i, const char *name)
{
    uint8_t vector[256];
    eg_chunk_info info;
    size_t size;
    engram_error a = {0}, b = {0}, c = {0};
    uint64_t id = rig_id(r, i);
    assert_int_equal(eg_store_get_info(r->store, id, &info, &a), ENGRAM_DAMAGED);
    assert_int_equal(eg_store_get_vector(r->store, id, vector, &b), ENGRAM_DAMAGED);
    assert_int_equal(eg_store_read(r->store, id, r->other, RIG_BYTES_MAX, &size, &c),
                     ENGRAM_DAMAGED);
    assert_non_null(strstr(a.message, name));
    assert_non_null(strstr(b.message, name));
    assert_non_null(strstr(c.message, name));
}

/* All chunks but those of the lost segment, which is the file of that name. */
static void check_without(rig *r, size_t first, size_t end, const char *name)
{
    char message[1200] = "";
    eg_chunk_info info;
    for (size_t i = 0; i < r->chunk_count; i++) {
        engram_error error = {0};
        size_t size;
        if (i >= first && i < end) {
            expect_lost(r, i, name);
        } else if (rests_on(r, i, first, end)) {
            assert_int_equal(
                eg_store_read(r->store, rig_id(r, i), r->other, RIG_BYTES_MAX, &size, &error),
                ENGRAM_DAMAGED);
            assert_non_null(strstr(error.message, name));
            assert_int_equal(eg_store_get_info(r->store, rig_id(r, i), &info, NULL), ENGRAM_OK);
        } else {
            rig_check(r, i);
        }
    }
    for (size_t i = r->chunk_count; i < r->chunk_count + 5; i++)
        assert_int_equal(eg_store_get_info(r->store, rig_id(r, i), &info, NULL), ENGRAM_NOT_FOUND);
    for (size_t s = 0; s < eg_store_segment_count(r->store); s++) {
        eg_vector_span span;
        assert_ok(eg_store_get_vectors(r->store, s, &span, error));
    }
    assert_true(rig_verify(r, message) > 0);
    assert_non_null(strstr(message, name));
    assert_true(eg_store_validate(r->store));
}

static void check_states(rig *r)
{
    eg_segment_state *states;
    size_t count;
    for (int synced = 0; synced < 2; synced++) {
        assert_ok((synced ? eg_store_get_synced_states : eg_store_get_states)(r->store, &states,
                                                                              &count, error));
        assert_int_equal(count, r->state_count);
        for (size_t i = 0; i < count; i++)
            assert_true(states[i].id == r->states[i].id &&
                        states[i].chunk_count == r->states[i].chunk_count &&
                        states[i].payload_size == r->states[i].payload_size);
        eg_free(states);
    }
}

static void lose_one(size_t segment, loss how)
{
    rig *r = make();
    char name[32];
    snprintf(name, sizeof name, "%08u.seg", (unsigned)r->states[segment].id);
    uint64_t lost_id = r->states[segment].id;
    size_t first = first_of(r, segment), end = first + (size_t)r->states[segment].chunk_count;
    lose(r, segment, how);
    r->options.tolerate = false;
    for (int read_only = 0; read_only < 2; read_only++)
        assert_int_equal(rig_try_open(r, read_only, NULL), ENGRAM_DAMAGED);
    r->options.tolerate = true;
    for (int read_only = 1; read_only >= 0; read_only--) {
        assert_ok(rig_try_open(r, read_only, error));
        assert_int_equal(eg_store_damage_count(r->store), 1);
        assert_non_null(strstr(eg_store_get_damage(r->store, 0), name));
        check_without(r, first, end, name);
        check_states(r);
        if (read_only)
            eg_store_close(&r->store);
    }
    r->size_max = 50; /* too small for deltas: what is new rests on nothing that is lost */
    rig_append(r, 20);
    r->size_max = 900;
    assert_ok(eg_store_sweep(r->store, error));
    assert_ok(eg_store_seal(r->store, error));
    rig_close(r);
    restore(r, lost_id);
    rig_open(r);
    assert_int_equal(eg_store_damage_count(r->store), 0);
    r->size_max = 900;
    rig_check_all(r, CHUNKS);
    rig_free(r);
}

static void any_segment_may_be_lost(void **state)
{
    (void)state;
    for (loss how = 0; how < LOSSES; how++)
        for (size_t segment = 0; segment < 4; segment++)
            lose_one(segment, how);
}

/* The ids at the end are not known, but as many as there were chunks are not given out again. */
static void the_last_is_lost(void **state)
{
    (void)state;
    rig *r = make();
    size_t last = r->state_count - 1, first = first_of(r, last);
    lose(r, last, MISSING);
    r->options.next_id = 0;
    assert_ok(eg_store_open(r->io, r->dir.path, r->states, r->state_count, &r->options, &r->store,
                            error));
    assert_int_equal(eg_store_next_id(r->store), CHUNKS + 1);
    check_without(r, first, CHUNKS, ".seg");
    rig_free(r);
}

static void all_are_lost(void **state)
{
    (void)state;
    rig *r = make();
    for (size_t s = 0; s < r->state_count; s++)
        lose(r, s, MISSING);
    rig_open(r);
    assert_int_equal(eg_store_damage_count(r->store), r->state_count);
    assert_int_equal(eg_store_segment_count(r->store), 0);
    for (size_t i = 0; i < CHUNKS; i++)
        expect_lost(r, i, ".seg");
    check_states(r);
    rig_free(r);
}

static void each_is_named(void **state)
{
    (void)state;
    rig *r = make();
    lose(r, 1, MISSING);
    lose(r, 3, NO_HEADER);
    rig_open_reader(r);
    assert_int_equal(eg_store_damage_count(r->store), 2);
    expect_lost(r, first_of(r, 1), "00000002.seg");
    expect_lost(r, first_of(r, 3), "00000004.seg");
    rig_free(r);
}

/* A record that fails its check keeps a segment from being recovered; its other chunks stay. */
static void what_cannot_be_recovered_stays(void **state)
{
    uint64_t offset;
    (void)state;
    rig *r = rig_create(3, 100000, 300);
    r->options.tolerate = true;
    rig_open(r);
    rig_append(r, 20);
    assert_ok(eg_store_seal(r->store, error));
    rig_close(r);
    rig_commit_only(r, 18);
    char *path = rig_path(r, 1);
    int fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, &offset, 8, 512 + 60 + 32 + 8), 8); /* of RECS */
    assert_int_equal(pwrite(fd, "spoilt", 6, (off_t)offset + 7 * 72 + 32), 6);
    close(fd);
    for (int round = 0; round < 2; round++) {
        rig_open(r);
        assert_int_equal(eg_store_damage_count(r->store), 1);
        assert_non_null(strstr(eg_store_get_damage(r->store, 0), "00000001.seg"));
        for (size_t i = 0; i < 18; i++)
            if (!rests_on(r, i, 7, 8))
                rig_check(r, i);
        expect_lost(r, 7, "00000001.seg");
        assert_ok(eg_store_sweep(r->store, error));
        rig_close(r);
        assert_int_equal(r->states[0].id, 1);
        assert_int_equal(r->states[0].chunk_count, 18);
    }
    r->options.tolerate = false;
    assert_int_equal(rig_try_open(r, false, NULL), ENGRAM_DAMAGED);
    free(path);
    rig_free(r);
}

static void newer_files_are_refused_all_the_same(void **state)
{
    (void)state;
    rig *r = make();
    char *path = rig_path(r, 2);
    int fd = open(path, O_RDWR);
    uint8_t slot[256];
    assert_int_equal(pread(fd, slot, 256, 512), 256);
    slot[8] = 3;
    uint32_t crc = eg_crc32(0, slot, 252);
    memcpy(slot + 252, &crc, 4);
    assert_int_equal(pwrite(fd, slot, 256, 512), 256);
    close(fd);
    free(path);
    assert_int_equal(rig_try_open(r, true, NULL), ENGRAM_NEWER);
    rig_free(r);
}

static void memory_may_fail(void **state)
{
    engram_status status;
    (void)state;
    rig *r = make();
    lose(r, 1, MISSING);
    long n = 0;
    do {
        eg_alloc_fail_at(++n, false);
        status = rig_try_open(r, false, NULL);
        eg_alloc_fail_at(0, false);
        assert_true(status == ENGRAM_OK || status == ENGRAM_NO_MEMORY);
        eg_store_close(&r->store);
    } while (status != ENGRAM_OK);
    assert_true(n > 5);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_segment_may_be_lost),
        cmocka_unit_test(the_last_is_lost),
        cmocka_unit_test(all_are_lost),
        cmocka_unit_test(each_is_named),
        cmocka_unit_test(what_cannot_be_recovered_stays),
        cmocka_unit_test(newer_files_are_refused_all_the_same),
        cmocka_unit_test(memory_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
