#include "engram/rig.h"

#include <string.h>

#include "base/memory.h"
#include "base/status.h"
#include "engram/internal.h"

void rig_init(rig *r)
{
    memset(r, 0, sizeof *r);
    assert_int_equal(temp_dir_init(&r->temp), 0);
    snprintf(r->dir, sizeof r->dir, "%s/test.engram", r->temp.path);
    r->io = eg_io_posix();
    eg_engram_config config = eg_engram_config_default;
    config.chunk = (eg_chunk_config){EG_CHUNK_FIXED, 4096};
    assert_ok(eg_engram_create(r->io, r->dir, &config, E));
    assert_ok(rig_open(r, false, E));
}

engram_status rig_open(rig *r, bool read_only, engram_error *error)
{
    eg_engram_options options = {.read_only = read_only, .segment_size = 256 << 10, .journal_size = 1 << 20};
    return eg_engram_open(r->io, r->dir, &options, &r->engram, error);
}

void rig_fini(rig *r)
{
    eg_engram_close(&r->engram, NULL);
    temp_dir_fini(&r->temp);
}

void rig_reopen(rig *r)
{
    assert_ok(eg_engram_close(&r->engram, E));
    assert_ok(rig_open(r, false, E));
}

void rig_crash(rig *r)
{
    char command[2400];
    snprintf(command, sizeof command, "cp -r '%s' '%s.crashed'", r->dir, r->dir);
    assert_int_equal(system(command), 0);
    r->engram->failed = ENGRAM_IO; /* nothing more is written by it */
    assert_ok(eg_engram_close(&r->engram, E));
    snprintf(command, sizeof command, "rm -rf '%s' && mv '%s.crashed' '%s'", r->dir, r->dir,
             r->dir);
    assert_int_equal(system(command), 0);
    assert_ok(rig_open(r, false, E));
}

/* One chunk's operations. */
static engram_status store_chunk(rig *r, eg_coder *coder, const uint8_t *bytes, size_t size,
                                 eg_chunk_ref *ref, eg_buffer *ops, engram_error *error)
{
    uint8_t vector[ENGRAM_BLOCKS], packed[8192];
    eg_new_chunk chunk = {
        .fingerprint = eg_fingerprint_of(bytes, size), .vector = vector, .size = (uint32_t)size};
    size_t packed_size = 0;
    uint64_t id;
    engram_encode(eg_engram_get_codebook(r->engram), bytes, size, vector, &chunk.spread);
    EG_TRY(eg_coder_pack(coder, bytes, size, packed, &chunk.kind, &packed_size, error));
    chunk.correction = (eg_view){packed, packed_size};
    EG_TRY(eg_store_append(eg_engram_store(r->engram), &chunk, 1, &id, error));
    eg_ops_write_chunk(ops, id, &chunk.fingerprint, size);
    *ref = (eg_chunk_ref){id, (uint32_t)size};
    return ENGRAM_OK;
}

engram_status rig_chunks(rig *r, const uint8_t *bytes, size_t size, eg_chunk_ref **refs,
                         size_t *count, eg_buffer *ops, engram_error *error)
{
    eg_coder *coder = NULL;
    *count = (size + 4095) / 4096;
    *refs = eg_alloc((*count + 1) * sizeof **refs);
    engram_status status = *refs == NULL ? ENGRAM_NO_MEMORY : eg_coder_create(1, &coder, error);
    for (size_t i = 0; i < *count && status == ENGRAM_OK; i++) {
        size_t take = size - i * 4096 < 4096 ? size - i * 4096 : 4096;
        status = store_chunk(r, coder, bytes + i * 4096, take, &(*refs)[i], ops, error);
    }
    eg_coder_free(coder);
    return status;
}

/* The directory and the name of a path. */
static engram_status split(rig *r, const char *path, uint64_t *directory, eg_view *name,
                           engram_error *error)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash != NULL ? slash + 1 : path;
    eg_version version;
    *name = (eg_view){(const uint8_t *)base, strlen(base)};
    EG_TRY(eg_engram_pin(r->engram, &version, error));
    eg_view parent = {(const uint8_t *)path, slash != NULL ? (size_t)(slash - path) : 0};
    engram_status status = eg_fs_lookup(version.root, parent, directory, error);
    eg_version_release(&version);
    return status;
}

static engram_status find(rig *r, uint64_t directory, eg_view name, uint64_t *number)
{
    eg_version version;
    assert_ok(eg_engram_pin(r->engram, &version, E));
    engram_status status = eg_fs_child(version.root, directory, name, number, NULL);
    eg_version_release(&version);
    return status;
}

engram_status rig_put(rig *r, const char *path, const uint8_t *bytes, size_t size,
                      engram_error *error)
{
    uint64_t directory, number;
    eg_view name;
    eg_buffer ops = {0};
    eg_chunk_ref *refs = NULL;
    size_t count = 0;
    eg_inode inode = {.kind = EG_KIND_FILE, .mode = 0644, .size = size, .mtime = {1700000000, 5}};
    EG_TRY(split(r, path, &directory, &name, error));
    engram_status status = rig_chunks(r, bytes, size, &refs, &count, &ops, error);
    if (status == ENGRAM_OK) {
        bool there = find(r, directory, name, &number) == ENGRAM_OK;
        if (!there)
            number = eg_engram_new_inode(r->engram);
        eg_ops_put_inode(&ops, number, &inode);
        if (!there)
            eg_ops_link(&ops, directory, number, EG_KIND_FILE, name);
        eg_ops_splice(&ops, number, 0, UINT64_MAX, refs, count);
        status = eg_engram_commit(r->engram, &ops, NULL, error);
    }
    eg_free(refs);
    eg_buffer_fini(&ops);
    return status;
}

engram_status rig_mkdir(rig *r, const char *path, engram_error *error)
{
    uint64_t directory;
    eg_view name;
    eg_buffer ops = {0};
    eg_inode inode = {.kind = EG_KIND_DIRECTORY, .mode = 0755};
    EG_TRY(split(r, path, &directory, &name, error));
    uint64_t number = eg_engram_new_inode(r->engram);
    eg_ops_put_inode(&ops, number, &inode);
    eg_ops_link(&ops, directory, number, EG_KIND_DIRECTORY, name);
    engram_status status = eg_engram_commit(r->engram, &ops, NULL, error);
    eg_buffer_fini(&ops);
    return status;
}

engram_status rig_remove(rig *r, const char *path, engram_error *error)
{
    uint64_t directory;
    eg_view name;
    eg_buffer ops = {0};
    EG_TRY(split(r, path, &directory, &name, error));
    eg_ops_unlink(&ops, directory, name);
    engram_status status = eg_engram_commit(r->engram, &ops, NULL, error);
    eg_buffer_fini(&ops);
    return status;
}

void rig_expect(rig *r, const char *path, const uint8_t *bytes, size_t size)
{
    eg_version version;
    uint64_t number;
    size_t got = 0;
    uint8_t *found = eg_alloc(size + 1);
    assert_non_null(found);
    assert_ok(eg_engram_pin(r->engram, &version, E));
    assert_ok(
        eg_fs_lookup(version.root, (eg_view){(const uint8_t *)path, strlen(path)}, &number, E));
    assert_ok(eg_engram_read(r->engram, &version, number, 0, found, size + 1, &got, E));
    assert_int_equal(got, size);
    assert_memory_equal(found, bytes, size);
    eg_version_release(&version);
    eg_free(found);
}

void rig_expect_absent(rig *r, const char *path)
{
    eg_version version;
    uint64_t number;
    assert_ok(eg_engram_pin(r->engram, &version, E));
    assert_int_equal(
        eg_fs_lookup(version.root, (eg_view){(const uint8_t *)path, strlen(path)}, &number, NULL),
        ENGRAM_NOT_FOUND);
    eg_version_release(&version);
}

static void print_problem(void *context, const char *message)
{
    if (*(bool *)context)
        print_message("verify: %s\n", message);
}

static uint64_t run_verify(rig *r, bool loud)
{
    uint64_t problems = 0;
    eg_verify_options options = {.subset = 1.0, .context = &loud, .problem = print_problem};
    assert_ok(eg_engram_verify(r->engram, &options, &problems, E));
    return problems;
}

void rig_verify(rig *r)
{
    assert_int_equal(run_verify(r, true), 0);
}

uint64_t rig_findings(rig *r)
{
    return run_verify(r, false);
}

void rig_fill(uint8_t *bytes, size_t size, uint64_t seed)
{
    for (size_t i = 0; i < size; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        bytes[i] = (uint8_t)(seed >> 56);
    }
}
