/* Operations against a model: random files of random content, spliced, linked, renamed away and
 * removed. */
#include <string.h>

#include "base/memory.h"
#include "engram/rig.h"

enum { FILES = 12, CHUNKS_MAX = 300, STEPS = 600 };

typedef struct model_file {
    bool there;
    uint64_t number;
    size_t count;
    eg_chunk_ref refs[CHUNKS_MAX];
} model_file;

typedef struct model {
    rig rig;
    uint64_t random;
    eg_chunk_ref pool[40]; /* chunks that files are made of */
    size_t pool_count;
    model_file files[FILES];
} model;

static uint64_t next_random(model *m)
{
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    return m->random;
}

static size_t below(model *m, size_t n)
{
    return (size_t)(next_random(m) % n);
}

static uint64_t size_of(const eg_chunk_ref *refs, size_t count)
{
    uint64_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += refs[i].size;
    return size;
}

static void make_pool(model *m, eg_buffer *ops)
{
    uint8_t bytes[4096];
    for (m->pool_count = 0; m->pool_count < 40; m->pool_count++) {
        eg_chunk_ref *ref = NULL;
        size_t count, size = m->pool_count % 2 ? 1 + below(m, 4096) : 1000; /* some of equal size */
        rig_fill(bytes, size, m->pool_count + 1);
        assert_ok(rig_chunks(&m->rig, bytes, size, &ref, &count, ops, E));
        m->pool[m->pool_count] = ref[0];
        eg_free(ref);
    }
}

static eg_view name_of(size_t file, char text[16])
{
    snprintf(text, 16, "file-%zu", file);
    return (eg_view){(const uint8_t *)text, strlen(text)};
}

static void put_inode(model_file *f, eg_buffer *ops)
{
    eg_inode inode = {.kind = EG_KIND_FILE, .mode = 0600, .size = size_of(f->refs, f->count)};
    eg_ops_put_inode(ops, f->number, &inode);
}

/* Replaces some references of the file by others: any length at the tail, equal lengths inside. */
static void splice_file(model *m, model_file *f, eg_buffer *ops)
{
    size_t from = below(m, f->count + 1), removed = below(m, f->count - from + 1),
           added = below(m, 70);
    eg_chunk_ref refs[70];
    bool to_end = from + removed == f->count;
    if (!to_end)
        added = removed < 70 ? removed : 0;
    if (from + added + (f->count - from - removed) > CHUNKS_MAX)
        added = 0, removed = to_end ? removed : 0;
    if (!to_end && added != removed)
        return;
    for (size_t i = 0; i < added; i++) {
        refs[i] = m->pool[below(m, m->pool_count)];
        if (!to_end) /* an equal size, from the half of the pool that has one, or the same again */
            refs[i] = f->refs[from + i].size == 1000 ? m->pool[2 * below(m, m->pool_count / 2)]
                                                     : f->refs[from + i];
    }
    uint64_t offset = size_of(f->refs, from), length = size_of(f->refs + from, removed);
    memmove(f->refs + from + added, f->refs + from + removed,
            (f->count - from - removed) * sizeof *refs);
    memcpy(f->refs + from, refs, added * sizeof *refs);
    f->count += added - removed;
    put_inode(f, ops);
    eg_ops_splice(ops, f->number, offset, to_end && below(m, 2) ? UINT64_MAX : length, refs, added);
}

static void step(model *m)
{
    eg_buffer ops = {0};
    char text[16];
    size_t index = below(m, FILES);
    model_file *f = &m->files[index];
    if (!f->there) {
        *f = (model_file){.there = true, .number = eg_engram_new_inode(m->rig.engram)};
        put_inode(f, &ops);
        eg_ops_link(&ops, EG_INODE_ROOT, f->number, EG_KIND_FILE, name_of(index, text));
    } else if (below(m, 10) == 0) {
        eg_ops_unlink(&ops, EG_INODE_ROOT, name_of(index, text));
        f->there = false;
    } else {
        splice_file(m, f, &ops);
    }
    assert_ok(eg_engram_commit(m->rig.engram, &ops, NULL, E));
    eg_buffer_fini(&ops);
}

typedef struct ref_check {
    const model_file *file;
    size_t index;
    uint64_t offset;
} ref_check;

static engram_status check_ref(void *context, uint64_t offset, eg_chunk_ref ref,
                               engram_error *error)
{
    ref_check *c = context;
    (void)error;
    assert_int_equal(offset, c->offset);
    assert_true(c->index < c->file->count);
    assert_int_equal(ref.id, c->file->refs[c->index].id);
    assert_int_equal(ref.size, c->file->refs[c->index].size);
    c->index++;
    c->offset += ref.size;
    return ENGRAM_OK;
}

static void check_model(model *m)
{
    eg_version version;
    char text[16];
    assert_ok(eg_engram_pin(m->rig.engram, &version, E));
    for (size_t i = 0; i < FILES; i++) {
        uint64_t number;
        engram_status status =
            eg_fs_child(version.root, EG_INODE_ROOT, name_of(i, text), &number, NULL);
        assert_int_equal(status, m->files[i].there ? ENGRAM_OK : ENGRAM_NOT_FOUND);
        if (!m->files[i].there)
            continue;
        assert_int_equal(number, m->files[i].number);
        ref_check c = {.file = &m->files[i]};
        assert_ok(eg_fs_refs(version.root, number, 0, check_ref, &c, E));
        assert_int_equal(c.index, m->files[i].count);
        size_t half = m->files[i].count / 2; /* also from the middle */
        c = (ref_check){
            .file = &m->files[i], .index = half, .offset = size_of(m->files[i].refs, half)};
        if (half != 0)
            assert_ok(eg_fs_refs(version.root, number, c.offset, check_ref, &c, E));
    }
    eg_version_release(&version);
}

static void random_operations(void **state)
{
    (void)state;
    static model m;
    const char *seed = getenv("ENGRAM_TEST_SEED");
    m.random = seed != NULL ? strtoull(seed, NULL, 0) | 1 : 20261121;
    print_message("seed %llu\n", (unsigned long long)m.random);
    rig_init(&m.rig);
    eg_buffer ops = {0};
    make_pool(&m, &ops);
    assert_ok(eg_engram_commit(m.rig.engram, &ops, NULL, E));
    eg_buffer_fini(&ops);
    for (int i = 0; i < STEPS; i++) {
        step(&m);
        if (i % 20 == 0)
            check_model(&m);
        if (i % 100 == 50)
            rig_verify(&m.rig);
        if (i % 150 == 70)
            rig_reopen(&m.rig);
        if (i % 150 == 140)
            rig_crash(&m.rig);
    }
    check_model(&m);
    rig_verify(&m.rig);
    rig_fini(&m.rig);
}

/* What does not fit the tree is refused and leaves no trace. */
static void misfits(void **state)
{
    (void)state;
    rig r;
    rig_init(&r);
    uint8_t bytes[9000];
    rig_fill(bytes, sizeof bytes, 1);
    assert_ok(rig_put(&r, "a", bytes, sizeof bytes, E));
    assert_ok(rig_mkdir(&r, "d", E));
    assert_ok(rig_put(&r, "d/x", bytes, 10, E));
    eg_chunk_ref ref = {1, 4096}, none = {0, 0};
    eg_view a = {(const uint8_t *)"a", 1}, d = {(const uint8_t *)"d", 1},
            bad = {(const uint8_t *)"x/y", 3};
    for (int i = 0; i < 10; i++) {
        eg_buffer ops = {0};
        switch (i) {
        case 0:
            eg_ops_splice(&ops, 2, 100, 10, &ref, 1);
            break; /* not on a boundary */
        case 1:
            eg_ops_splice(&ops, 2, 0, 4096, &ref, 0);
            break; /* shorter in the middle */
        case 2:
            eg_ops_splice(&ops, 2, 20000, 0, &ref, 1);
            break; /* beyond the end */
        case 3:
            eg_ops_splice(&ops, 2, 0, UINT64_MAX, &none, 1);
            break; /* no chunk */
        case 4:
            eg_ops_splice(&ops, 999, 0, 0, &ref, 1);
            break; /* no inode */
        case 5:
            eg_ops_link(&ops, 1, 2, EG_KIND_FILE, a);
            break; /* the name is taken */
        case 6:
            eg_ops_link(&ops, 1, 2, EG_KIND_FILE, bad);
            break;
        case 7:
            eg_ops_unlink(&ops, 1, d);
            break; /* not empty */
        case 8:
            eg_ops_unlink(&ops, 1, bad);
            break;
        case 9:
            eg_ops_link(&ops, 3, 1, EG_KIND_DIRECTORY, a);
            break; /* the root under another */
        }
        assert_int_equal(eg_engram_commit(r.engram, &ops, NULL, NULL), ENGRAM_INVALID);
        eg_buffer_fini(&ops);
    }
    rig_expect(&r, "a", bytes, sizeof bytes);
    rig_expect(&r, "d/x", bytes, 10);
    rig_verify(&r);
    rig_reopen(&r);
    rig_verify(&r);
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_operations),
                                       cmocka_unit_test(misfits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
