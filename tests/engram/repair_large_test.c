/* Repair: a file of very many chunks and very many files with holes take a time that grows with
 * them, not with their product. All their chunks are lost; that changes nothing. */
#include <string.h>

#include "base/memory.h"
#include "engram/repair_rig.h"

enum { REFS = 200000, HOLES = 4000, CHUNK = 4096 };
static const uint64_t first_inode = 1000, first_chunk = 1000000;

static void put(eg_edit *edit, const eg_key *key, const void *bytes, size_t size)
{
    assert_ok(eg_edit_put(edit, eg_key_view(key), (eg_view){bytes, size}, E));
}

/* A file of so many bytes, with its name. */
static void put_file(eg_edit *edit, uint64_t number, uint64_t size)
{
    char text[32];
    uint8_t entry[9];
    eg_buffer record = {0};
    eg_inode inode = {.kind = EG_KIND_FILE, .mode = 0644, .link_count = 1, .size = size};
    snprintf(text, sizeof text, "file-%llu", (unsigned long long)number);
    eg_view name = {(const uint8_t *)text, strlen(text)};
    eg_key key = eg_key_inode(number);
    eg_inode_encode(&inode, &record);
    put(edit, &key, record.data, record.size);
    eg_buffer_fini(&record);
    key = eg_key_entry(EG_INODE_ROOT, name);
    eg_put_u64(entry, number);
    entry[8] = EG_KIND_FILE;
    put(edit, &key, entry, sizeof entry);
    key = eg_key_parent(number, EG_INODE_ROOT, name);
    put(edit, &key, "", 0);
}

static void put_holder(eg_edit *edit, uint64_t chunk, uint64_t inode)
{
    uint8_t one[4];
    eg_key key = eg_key_holder(chunk, inode);
    eg_put_u32(one, 1);
    put(edit, &key, one, sizeof one);
}

/* `count` chunks from that id on, at that place of the file. */
static void put_run(eg_edit *edit, uint64_t inode, uint64_t at, uint64_t chunk, size_t count)
{
    uint8_t run[EG_RUN_REFS_MAX * EG_REF_SIZE];
    for (size_t i = 0; i < count; i++) {
        eg_ref_put(run + i * EG_REF_SIZE, (eg_chunk_ref){chunk + i, CHUNK});
        put_holder(edit, chunk + i, inode);
    }
    eg_key key = eg_key_run(inode, at + count * CHUNK);
    put(edit, &key, run, count * EG_REF_SIZE);
}

static void add_files(eg_edit *edit)
{
    put_file(edit, first_inode, (uint64_t)REFS * CHUNK);
    for (uint64_t i = 0; i < REFS; i += 50)
        put_run(edit, first_inode, i * CHUNK, first_chunk + i, 50);
    put_holder(edit, first_chunk + REFS, first_inode); /* one that the content does not have */
    for (uint64_t i = 1; i <= HOLES; i++) {
        put_file(edit, first_inode + i, 2 * CHUNK); /* its second half is missing */
        put_run(edit, first_inode + i, 0, first_chunk + REFS + i, 1);
    }
}

static void fill(rig *r)
{
    repair_rig_forget();
    rig_write(r, "a", (const uint8_t *)"a", 1);
}

static void many_references_and_holes(void **state)
{
    (void)state;
    bench b;
    telling t;
    engram_repaired done;
    bench_init(&b, fill, false);
    bench_copy(&b);
    bench_edit(&b, add_files);
    assert_ok(rig_repair(&b.rig, false, &t, &done, E));
    assert_int_equal(done.files_damaged, HOLES + 1);
    damage_name = "large";
    size_t lost;
    repair_check(&b.rig, true, &lost);
    assert_int_equal(lost, REFS + HOLES + HOLES);
    assert_ok(rig_repair(&b.rig, false, &t, &done, E));
    assert_false(done.needed);
    bench_fini(&b);
}

int main(void)
{
    repair_rig_init();
    const struct CMUnitTest tests[] = {cmocka_unit_test(many_references_and_holes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
