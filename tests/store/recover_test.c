/* Opening with fewer chunks committed than the files hold, as a reader and as a writer. */
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "store/rig.h"

enum { CHUNKS = 60 };

/* A store of CHUNKS chunks over about four segments, of which the last may be active, closed. */
static rig *make(uint64_t seed, bool seal)
{
    rig *r = rig_create(seed, 4000, 900);
    rig_open(r);
    rig_append(r, CHUNKS);
    assert_ok(eg_store_sync(r->store, error));
    rig_wait_for_sealer(r);
    if (seal)
        assert_ok(eg_store_seal(r->store, error));
    rig_close(r);
    assert_true(r->state_count >= 3);
    return r;
}

static void every_committed_count(bool seal)
{
    uint64_t seed = test_seed(0x2EC0);
    for (size_t count = 0; count <= CHUNKS; count++) {
        rig *r = make(seed, seal);
        rig_commit_only(r, count);
        rig_open_reader(r);
        rig_check_exactly(r, count);
        eg_store_close(&r->store);
        rig_open(r);
        rig_check_exactly(r, count);
        rig_append(r, 9);
        rig_check_exactly(r, count + 9);
        assert_ok(eg_store_sweep(r->store, error));
        rig_close(r);
        rig_open_reader(r);
        rig_check_exactly(r, count + 9);
        rig_free(r);
    }
}

static void every_committed_count_of_sealed(void **state)
{
    (void)state;
    every_committed_count(true);
}

static void every_committed_count_of_active(void **state)
{
    (void)state;
    every_committed_count(false);
}

static bool exists(rig *r, uint64_t id)
{
    char *path = rig_path(r, id);
    bool there = access(path, F_OK) == 0;
    free(path);
    return there;
}

/* The copy has a number that no file and no state had; the old file stays until the sweep. */
static void the_old_file_stays_until_swept(void **state)
{
    (void)state;
    rig *r = make(1, false);
    uint64_t old = r->states[r->state_count - 1].id;
    char *path = rig_path(r, old + 7);
    fclose(fopen(path, "w"));
    free(path);
    rig_commit_only(r, CHUNKS - 1);
    rig_open(r);
    rig_close(r);
    assert_int_equal(r->states[r->state_count - 1].id, old + 8);
    assert_true(exists(r, old) && exists(r, old + 7) && exists(r, old + 8));
    rig_open(r);
    assert_ok(eg_store_sweep(r->store, error));
    assert_true(!exists(r, old) && !exists(r, old + 7) && exists(r, old + 8));
    rig_check_exactly(r, CHUNKS - 1);
    rig_free(r);
}

/* What is as committed is not copied again. */
static void a_clean_store_is_opened_as_it_is(void **state)
{
    (void)state;
    rig *r = make(1, true);
    uint64_t last = r->states[r->state_count - 1].id;
    rig_open(r);
    rig_close(r);
    assert_int_equal(r->states[r->state_count - 1].id, last);
    assert_false(exists(r, last + 1));
    rig_free(r);
}

/* A reader that opened while the writer was active reads on after sealing and sweeping. */
static void readers_live_through_sealing(void **state)
{
    (void)state;
    rig *r = rig_create(4, 1 << 20, 900);
    rig_open(r);
    rig_append(r, 50);
    rig_take_states(r);
    rig reader = *r;
    reader.options.dedup = false;
    rig_open_reader(&reader);
    rig_append(r, 30);
    assert_ok(eg_store_seal(r->store, error));
    rig_check_exactly(&reader, 50);
    rig later = *r;
    rig_open_reader(&later); /* the old states, of a file that is sealed now */
    rig_check_exactly(&later, 50);
    eg_store_close(&later.store);
    eg_store_close(&reader.store);
    rig_check_exactly(r, 80);
    rig_free(r);
}

/* Seals the writer's segment before the n-th read of whoever opens through it. */
static eg_io sealing;
static eg_store *sealed_by_it;
static int reads_left;

static engram_status sealing_read(eg_io *io, eg_file *file, uint64_t offset, void *bytes,
                                  size_t size, engram_error *error)
{
    eg_io *real = eg_io_posix();
    (void)io;
    if (--reads_left == 0)
        assert_int_equal(eg_store_seal(sealed_by_it, NULL), ENGRAM_OK);
    return real->read(real, file, offset, bytes, size, error);
}

static void a_reader_opens_while_the_writer_seals(void **state)
{
    bool done = false;
    (void)state;
    sealing = *rig_io();
    sealing.read = sealing_read;
    for (int n = 1; !done; n++) {
        rig *r = rig_create(4, 1 << 20, 300);
        rig_open(r);
        rig_append(r, 1500);
        rig_take_states(r);
        rig reader = *r;
        reader.io = &sealing;
        reader.options.dedup = false;
        sealed_by_it = r->store;
        reads_left = n;
        rig_open_reader(&reader);
        done = reads_left > 0;
        reads_left = 0;
        rig_check_exactly(&reader, 1500);
        eg_store_close(&reader.store);
        assert_true(!done || n > 3);
        rig_free(r);
    }
}

/* A crash after the sealed header and before the cut leaves a long file. */
static void a_tail_is_cut(void **state)
{
    uint64_t before, after, disk_size;
    (void)state;
    rig *r = make(1, true);
    char *path = rig_path(r, r->states[0].id);
    assert_ok(r->io->stat(r->io, path, &before, &disk_size, error));
    assert_int_equal(truncate(path, (off_t)before + 1000000), 0);
    rig_open_reader(r);
    rig_check_exactly(r, CHUNKS);
    eg_store_close(&r->store);
    assert_ok(r->io->stat(r->io, path, &after, &disk_size, error));
    assert_int_equal(after, before + 1000000);
    rig_open(r);
    rig_check_exactly(r, CHUNKS);
    assert_ok(r->io->stat(r->io, path, &after, &disk_size, error));
    assert_int_equal(after, before);
    free(path);
    rig_free(r);
}

static void expect_damaged(rig *r, const char *word)
{
    for (int read_only = 0; read_only < 2; read_only++) {
        engram_error error = {0};
        assert_int_equal(rig_try_open(r, read_only, &error), ENGRAM_DAMAGED);
        assert_int_equal(error.status, ENGRAM_DAMAGED);
        assert_non_null(strstr(error.message, word));
        assert_null(r->store);
    }
}

/* More committed than is there is damage, and says where. */
static void missing_chunks_are_damage(void **state)
{
    (void)state;
    for (int seal = 0; seal < 2; seal++) {
        rig *r = make(1, seal);
        eg_segment_state *last = &r->states[r->state_count - 1];
        last->chunk_count++;
        expect_damaged(r, ".seg");
        last->chunk_count--;
        last->payload_size++;
        expect_damaged(r, ".seg");
        last->payload_size--;
        char *path = rig_path(r, r->states[1].id);
        assert_int_equal(unlink(path), 0);
        expect_damaged(r, "missing");
        free(path);
        rig_free(r);
    }
}

/* Two segments that hold the same ids. */
static void overlapping_segments_are_damage(void **state)
{
    (void)state;
    rig *r = make(1, false);
    rig_open(r); /* copies the last one */
    eg_segment_state *after;
    size_t count;
    assert_ok(eg_store_get_states(r->store, &after, &count, error));
    eg_store_close(&r->store);
    eg_segment_state *both = eg_alloc((count + 1) * sizeof *both);
    memcpy(both, r->states, r->state_count * sizeof *both);
    both[r->state_count] = after[count - 1];
    eg_free(r->states);
    r->states = both;
    r->state_count++;
    expect_damaged(r, "same ids");
    eg_free(after);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_committed_count_of_sealed),
        cmocka_unit_test(every_committed_count_of_active),
        cmocka_unit_test(the_old_file_stays_until_swept),
        cmocka_unit_test(a_clean_store_is_opened_as_it_is),
        cmocka_unit_test(readers_live_through_sealing),
        cmocka_unit_test(a_reader_opens_while_the_writer_seals),
        cmocka_unit_test(a_tail_is_cut),
        cmocka_unit_test(missing_chunks_are_damage),
        cmocka_unit_test(overlapping_segments_are_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
