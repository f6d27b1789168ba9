/* The disk in memory against the real one, and its own ways: locks, mappings, power. */
#include "crash/ram_disk.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "base/temp_dir.h"
#include "base/test.h"
#include "crash/util.h"

enum { NAMES = 5, STEPS = 4000, SIZE_MAX_TRIED = 40000 };

typedef struct pair { /* the same disk twice */
    eg_io *io;
    const char *root;
    eg_file *files[NAMES];
} pair;

static char *path_of(const pair *p, unsigned name)
{
    static char paths[4][700];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/f%u", p->root, name);
    return path;
}

static engram_status count_name(void *context, const char *name)
{
    (void)name;
    ++*(unsigned *)context;
    return ENGRAM_OK;
}

/* One step on one of the disks; everything that can be seen of it goes into out. */
static void take_step(pair *p, uint64_t state, eg_buffer *out)
{
    unsigned kind = crash_random(&state) % 11, name = crash_random(&state) % NAMES;
    uint64_t offset = crash_random(&state) % SIZE_MAX_TRIED, size = crash_random(&state) % 9000;
    uint64_t value = 0, disk_size;
    size_t got = 0;
    unsigned count = 0;
    engram_status status = ENGRAM_OK;
    engram_error error = {0};
    eg_file *file = p->files[name];
    uint8_t *bytes = crash_alloc((size_t)size);
    memset(bytes, (int)kind + 1, (size_t)size);
    if (kind == 0 || (file == NULL && kind < 7)) {
        static const int flags[] = {EG_OPEN_READ, EG_OPEN_WRITE, EG_OPEN_WRITE | EG_OPEN_CREATE,
                                    EG_OPEN_WRITE | EG_OPEN_MAY_CREATE};
        p->io->close(p->io, &p->files[name]);
        status = p->io->open(p->io, path_of(p, name), flags[1 + offset % 3], &p->files[name], NULL);
    } else if (kind == 1) {
        status = p->io->write(p->io, file, offset, bytes, (size_t)size, &error);
    } else if (kind == 2) {
        status = p->io->truncate(p->io, file, offset, &error);
    } else if (kind == 3) {
        status = p->io->allocate(p->io, file, offset, size + 1, &error);
    } else if (kind == 4) {
        status = p->io->read_some(p->io, file, offset, bytes, (size_t)size, &got, &error);
        eg_write_bytes(out, bytes, got);
    } else if (kind == 5) {
        status = p->io->read(p->io, file, offset, bytes, (size_t)size, NULL);
        if (status == ENGRAM_OK)
            eg_write_bytes(out, bytes, (size_t)size);
    } else if (kind == 6) {
        status = p->io->size(p->io, file, &value, &error);
    } else if (kind == 7) {
        status = p->io->rename(p->io, path_of(p, name), path_of(p, offset % NAMES), NULL);
    } else if (kind == 8) {
        status = p->io->unlink(p->io, path_of(p, name), NULL);
    } else if (kind == 9) {
        status = p->io->stat(p->io, path_of(p, name), &value, &disk_size, NULL);
    } else {
        status = p->io->list(p->io, p->root, count_name, &count, &error);
    }
    eg_write_u32(out, (uint32_t)status);
    eg_write_u64(out, value + count);
    free(bytes);
}

static void equals_the_real_disk(void **state)
{
    temp_dir temp;
    image empty;
    (void)state;
    uint64_t seed = (uint64_t)time(NULL), random = seed;
    print_message("seed %" PRIu64 "\n", seed);
    assert_int_equal(temp_dir_init(&temp), 0);
    image_init(&empty);
    ram_disk *disk = ram_disk_create(&empty);
    pair ram = {.io = ram_disk_io(disk), .root = "/d"}, real = {eg_io_posix(), temp.path, {NULL}};
    assert_int_equal(ram.io->mkdir(ram.io, "/d", NULL), ENGRAM_OK);
    for (unsigned i = 0; i < STEPS; i++) {
        eg_buffer a = {0}, b = {0};
        uint64_t step = crash_random(&random);
        take_step(&ram, step, &a);
        take_step(&real, step, &b);
        assert_int_equal(a.size, b.size);
        assert_memory_equal(a.data, b.data, a.size);
        eg_buffer_fini(&a);
        eg_buffer_fini(&b);
    }
    for (unsigned i = 0; i < NAMES; i++) {
        ram.io->close(ram.io, &ram.files[i]);
        real.io->close(real.io, &real.files[i]);
    }
    ram_disk_free(disk);
    temp_dir_fini(&temp);
}

/* ---- a disk of one's own ---- */

static ram_disk *new_disk(void)
{
    image empty;
    image_init(&empty);
    return ram_disk_create(&empty);
}

static eg_file *open_file(ram_disk *disk, const char *path)
{
    eg_file *file = NULL;
    eg_io *io = ram_disk_io(disk);
    assert_int_equal(io->open(io, path, EG_OPEN_WRITE | EG_OPEN_MAY_CREATE, &file, NULL), 0);
    return file;
}

static void locks_are_kept(void **state)
{
    (void)state;
    ram_disk *disk = new_disk();
    eg_io *io = ram_disk_io(disk);
    eg_file *a = open_file(disk, "/LOCK"), *b = open_file(disk, "/LOCK");
    assert_int_equal(io->lock(io, a, 0, EG_LOCK_EXCLUSIVE, NULL), ENGRAM_OK);
    assert_int_equal(io->lock(io, b, 0, EG_LOCK_EXCLUSIVE, NULL), ENGRAM_LOCKED);
    assert_int_equal(io->lock(io, b, 0, EG_LOCK_SHARED, NULL), ENGRAM_LOCKED);
    assert_int_equal(io->lock(io, a, 1, EG_LOCK_SHARED, NULL), ENGRAM_OK);
    assert_int_equal(io->lock(io, b, 1, EG_LOCK_SHARED, NULL), ENGRAM_OK);
    assert_int_equal(io->lock(io, b, 1, EG_LOCK_EXCLUSIVE, NULL), ENGRAM_LOCKED);
    io->close(io, &a);
    assert_int_equal(io->lock(io, b, 0, EG_LOCK_EXCLUSIVE, NULL), ENGRAM_OK);
    assert_int_equal(io->lock(io, b, 1, EG_LOCK_EXCLUSIVE, NULL), ENGRAM_OK);
    io->close(io, &b);
    ram_disk_free(disk);
}

static void names_and_messages_are_those_of_files(void **state)
{
    (void)state;
    ram_disk *disk = new_disk();
    eg_io *io = ram_disk_io(disk);
    engram_error error = {0};
    eg_file *file = open_file(disk, "/a");
    uint8_t byte;
    assert_string_equal(eg_file_name(file), "/a");
    assert_int_equal(io->read(io, file, 0, &byte, 1, &error), ENGRAM_DAMAGED);
    assert_string_equal(error.message, "/a ends at 0, needed 1");
    io->close(io, &file);
    ram_disk_free(disk);
}

static void a_cut_stops_everything_and_forgets_what_was_not_synced(void **state)
{
    (void)state;
    image empty;
    trace t;
    uint8_t bytes[3] = {0};
    uint64_t size, disk_size;
    image_init(&empty);
    trace_init(&t, &empty);
    ram_disk *disk = ram_disk_create(&empty);
    eg_io *io = ram_disk_io(disk);
    ram_disk_record(disk, &t);
    eg_file *file = open_file(disk, "/a");
    assert_int_equal(io->write(io, file, 0, "abc", 3, NULL), ENGRAM_OK);
    assert_int_equal(io->sync(io, file, NULL), ENGRAM_OK);
    assert_int_equal(io->sync_dir(io, "/", NULL), ENGRAM_OK);
    ram_disk_cut_at(disk, 2);
    assert_int_equal(io->write(io, file, 0, "x", 1, NULL), ENGRAM_OK);
    assert_int_equal(io->sync(io, file, NULL), ENGRAM_IO);
    assert_int_equal(io->unlink(io, "/a", NULL), ENGRAM_IO);
    assert_true(ram_disk_is_off(disk));
    io->close(io, &file);
    assert_int_equal(ram_disk_pending(disk), 1);
    assert_false(ram_disk_restart(disk, "2k"));
    assert_true(ram_disk_restart(disk, "none"));
    file = open_file(disk, "/a");
    assert_int_equal(io->read(io, file, 0, bytes, 3, NULL), ENGRAM_OK);
    assert_memory_equal(bytes, "abc", 3);
    io->close(io, &file);
    assert_int_equal(io->stat(io, "/b", &size, &disk_size, NULL), ENGRAM_NOT_FOUND);
    ram_disk_record(disk, NULL);
    ram_disk_free(disk);
    trace_fini(&t);
}

static void a_mapping_holds_the_bytes(void **state)
{
    (void)state;
    ram_disk *disk = new_disk();
    eg_io *io = ram_disk_io(disk);
    eg_file *file = open_file(disk, "/a");
    const uint8_t *bytes = NULL;
    assert_int_equal(io->write(io, file, 4096, "abc", 3, NULL), ENGRAM_OK);
    assert_int_equal(io->map(io, file, 4096, 4, &bytes, NULL), ENGRAM_DAMAGED);
    assert_int_equal(io->map(io, file, 4096, 3, &bytes, NULL), ENGRAM_OK);
    assert_memory_equal(bytes, "abc", 3);
    io->unmap(io, bytes, 3);
    io->close(io, &file);
    ram_disk_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_the_real_disk),
        cmocka_unit_test(locks_are_kept),
        cmocka_unit_test(names_and_messages_are_those_of_files),
        cmocka_unit_test(a_cut_stops_everything_and_forgets_what_was_not_synced),
        cmocka_unit_test(a_mapping_holds_the_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
