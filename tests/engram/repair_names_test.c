/* Repair: trees that contradict themselves, and directories that are no engrams. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "engram/repair_rig.h"

static uint8_t data[9000];

/* ---- edits of the tree ---- */

static eg_view view_of(const char *text)
{
    return (eg_view){(const uint8_t *)text, strlen(text)};
}

static uint64_t inode_of(eg_edit *edit, uint64_t directory, const char *name)
{
    eg_buffer value = {0};
    eg_key key = eg_key_entry(directory, view_of(name));
    assert_ok(eg_edit_get(edit, eg_key_view(&key), &value, E));
    uint64_t number = eg_get_u64(value.data);
    eg_buffer_fini(&value);
    return number;
}

/* Neither its directory nor its inode knows the name any more. */
static void forget_name(eg_edit *edit, const char *name)
{
    uint64_t number = inode_of(edit, EG_INODE_ROOT, name);
    eg_key entry = eg_key_entry(EG_INODE_ROOT, view_of(name));
    eg_key parent = eg_key_parent(number, EG_INODE_ROOT, view_of(name));
    assert_ok(eg_edit_remove(edit, eg_key_view(&entry), E));
    assert_ok(eg_edit_remove(edit, eg_key_view(&parent), E));
}

static void forget_orphan(eg_edit *edit)
{
    forget_name(edit, "orphan");
}

static void set_size(eg_edit *edit, const char *name, uint64_t size)
{
    eg_inode inode;
    eg_buffer value = {0}, record = {0};
    eg_key key = eg_key_inode(inode_of(edit, EG_INODE_ROOT, name));
    assert_ok(eg_edit_get(edit, eg_key_view(&key), &value, E));
    assert_true(eg_inode_decode((eg_view){value.data, value.size}, &inode));
    inode.size = size;
    eg_inode_encode(&inode, &record);
    assert_ok(eg_edit_put(edit, eg_key_view(&key), (eg_view){record.data, record.size}, E));
    eg_buffer_fini(&value);
    eg_buffer_fini(&record);
}

static void make_huge(eg_edit *edit)
{
    set_size(edit, "orphan", UINT64_C(1) << 62);
    set_size(edit, "empty", UINT64_C(1) << 62);
}

/* ---- what lost its name ---- */

static void begin(bench *b, void (*fill)(rig *), void (*change)(eg_edit *edit))
{
    bench_init(b, fill, false);
    bench_copy(b);
    bench_edit(b, change);
}

static void repair_and_open(bench *b)
{
    telling t;
    engram_repaired done;
    assert_ok(rig_repair(&b->rig, false, &t, &done, E));
    assert_true(done.needed);
    assert_ok(rig_open(&b->rig, false, E));
    rig_verify(&b->rig);
}

static void fill_file_in_the_way(rig *r)
{
    repair_rig_forget();
    rig_write(r, "orphan", data, 5000);
    rig_write(r, "lost+found", data + 1, 4000);
}

static void lost_and_found_is_a_file(void **state)
{
    (void)state;
    bench b;
    begin(&b, fill_file_in_the_way, forget_orphan);
    repair_and_open(&b);
    rig_expect(&b.rig, "lost+found", data + 1, 4000);
    rig_expect(&b.rig, "lost+found.1/inode-2", data, 5000);
    bench_fini(&b);
}

static void fill_name_in_the_way(rig *r)
{
    repair_rig_forget();
    rig_write(r, "orphan", data, 5000);
    assert_ok(rig_mkdir(r, "lost+found", E));
    rig_write(r, "lost+found/inode-2", data + 1, 4000);
}

static void name_is_taken(void **state)
{
    (void)state;
    bench b;
    begin(&b, fill_name_in_the_way, forget_orphan);
    repair_and_open(&b);
    rig_expect(&b.rig, "lost+found/inode-2", data + 1, 4000);
    rig_expect(&b.rig, "lost+found/inode-2.1", data, 5000);
    bench_fini(&b);
}

/* ---- sizes that cannot be ---- */

static void fill_two(rig *r)
{
    repair_rig_forget();
    rig_write(r, "orphan", data, 5000);
    rig_write(r, "empty", data, 0);
}

static void size_is_impossible(void **state)
{
    (void)state;
    bench b;
    begin(&b, fill_two, make_huge);
    repair_and_open(&b);
    rig_expect(&b.rig, "orphan", data, 5000);
    rig_expect(&b.rig, "empty", data, 0);
    bench_fini(&b);
}

/* ---- no engram ---- */

static void nothing_is_made_elsewhere(void **state)
{
    (void)state;
    rig r = {.io = eg_io_posix()};
    telling t;
    engram_repaired done;
    assert_int_equal(temp_dir_init(&r.temp), 0);
    snprintf(r.dir, sizeof r.dir, "%s/folder", r.temp.path);
    assert_int_equal(mkdir(r.dir, 0755), 0);
    assert_int_equal(rig_repair(&r, true, &t, &done, NULL), ENGRAM_NOT_ENGRAM);
    assert_int_equal(rig_repair(&r, false, &t, &done, NULL), ENGRAM_NOT_ENGRAM);
    assert_int_equal(rmdir(r.dir), 0); /* it is still empty */
    temp_dir_fini(&r.temp);
}

int main(void)
{
    repair_rig_init();
    rig_fill(data, sizeof data, 3);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lost_and_found_is_a_file), cmocka_unit_test(name_is_taken),
        cmocka_unit_test(size_is_impossible), cmocka_unit_test(nothing_is_made_elsewhere)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
