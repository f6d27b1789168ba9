#include "transactions/rig.h"

#include "base/memory.h"
#include "engram/internal.h"

void rig_init(rig *r, const char *chunk)
{
    memset(r, 0, sizeof *r);
    assert_int_equal(temp_dir_init(&r->temp), 0);
    snprintf(r->dir, sizeof r->dir, "%s/test.engram", r->temp.path);
    engram_format format = {.chunk = chunk != NULL ? chunk : "fixed:4096", .level = 1};
    assert_ok(engram_create(r->dir, &format, E));
    r->options = (eg_engram_options){.segment_size = 1 << 20, .journal_size = 4 << 20};
    rig_open(r);
}

void rig_open(rig *r)
{
    assert_ok(eg_engram_open(eg_io_posix(), r->dir, &r->options, &r->engram, E));
}

void rig_fini(rig *r)
{
    engram_close(&r->engram, NULL);
    temp_dir_fini(&r->temp);
}

void rig_reopen(rig *r)
{
    assert_ok(engram_close(&r->engram, E));
    rig_open(r);
}

void rig_crash(rig *r)
{
    char command[2400];
    /* A checkpoint that runs while files are copied would be torn in a way no crash tears it. */
    pthread_mutex_lock(&r->engram->checkpoint_lock);
    snprintf(command, sizeof command, "cp -r '%s' '%s.crashed'", r->dir, r->dir);
    int failed = system(command);
    eg_engram_fail(r->engram, ENGRAM_IO); /* nothing more is written by it */
    pthread_mutex_unlock(&r->engram->checkpoint_lock);
    assert_int_equal(failed, 0);
    assert_ok(engram_close(&r->engram, E));
    snprintf(command, sizeof command, "rm -rf '%s' && mv '%s.crashed' '%s'", r->dir, r->dir,
             r->dir);
    assert_int_equal(system(command), 0);
    rig_open(r);
}

static void print_problem(void *context, const char *message)
{
    (void)context;
    print_error("verify: %s\n", message);
}

void rig_verify(rig *r)
{
    uint64_t problems = 0;
    eg_verify_options options = {.subset = 1.0, .problem = print_problem};
    assert_ok(eg_engram_verify(r->engram, &options, &problems, E));
    assert_int_equal(problems, 0);
}

uint64_t rig_newest(rig *r)
{
    engram_view *view = NULL;
    assert_ok(engram_pin(r->engram, &view, E));
    uint64_t number = engram_view_version(view);
    engram_unpin(&view);
    return number;
}

/* ---- one call ---- */

engram_transaction *rig_begin(rig *r)
{
    engram_transaction *tx = NULL;
    assert_ok(engram_begin(r->engram, NULL, &tx, E));
    return tx;
}

uint64_t rig_commit(engram_transaction *tx)
{
    uint64_t version = 0;
    assert_ok(engram_commit(&tx, &version, E));
    assert_null(tx);
    return version;
}

uint64_t rig_put(rig *r, const char *path, const void *bytes, size_t size)
{
    engram_transaction *tx = rig_begin(r);
    assert_ok(engram_write(tx, path, bytes, size, NULL, E));
    return rig_commit(tx);
}

uint64_t rig_text(rig *r, const char *path, const char *text)
{
    return rig_put(r, path, text, strlen(text));
}

uint64_t rig_mkdir(rig *r, const char *path)
{
    engram_transaction *tx = rig_begin(r);
    assert_ok(engram_mkdir(tx, path, 0755, E));
    return rig_commit(tx);
}

uint64_t rig_remove(rig *r, const char *path)
{
    engram_transaction *tx = rig_begin(r);
    assert_ok(engram_remove_all(tx, path, NULL, E));
    return rig_commit(tx);
}

uint64_t rig_rename(rig *r, const char *from, const char *to)
{
    engram_transaction *tx = rig_begin(r);
    assert_ok(engram_rename(tx, from, to, NULL, E));
    return rig_commit(tx);
}

/* ---- looking ---- */

void tx_expect(engram_transaction *tx, const char *path, const void *bytes, size_t size)
{
    size_t got = 0;
    uint8_t *found = eg_alloc(size + 1);
    assert_non_null(found);
    assert_ok(engram_tx_read(tx, path, 0, found, size + 1, &got, E));
    assert_int_equal(got, size);
    assert_memory_equal(found, bytes, size);
    assert_int_equal(tx_stat(tx, path).size, size);
    eg_free(found);
}

void tx_expect_text(engram_transaction *tx, const char *path, const char *text)
{
    tx_expect(tx, path, text, strlen(text));
}

void tx_expect_absent(engram_transaction *tx, const char *path)
{
    struct engram_stat stat;
    assert_fails(engram_tx_stat(tx, path, &stat, E), ENGRAM_NOT_FOUND, "");
}

void view_expect(engram_view *view, const char *path, const void *bytes, size_t size)
{
    size_t got = 0;
    struct engram_stat stat;
    uint8_t *found = eg_alloc(size + 1);
    assert_non_null(found);
    assert_ok(engram_read(view, path, 0, found, size + 1, &got, E));
    assert_int_equal(got, size);
    assert_memory_equal(found, bytes, size);
    assert_ok(engram_stat(view, path, &stat, E));
    assert_int_equal(stat.size, size);
    eg_free(found);
}

void view_expect_text(engram_view *view, const char *path, const char *text)
{
    view_expect(view, path, text, strlen(text));
}

void view_expect_absent(engram_view *view, const char *path)
{
    struct engram_stat stat;
    assert_fails(engram_stat(view, path, &stat, E), ENGRAM_NOT_FOUND, path);
}

void rig_expect(rig *r, const char *path, const void *bytes, size_t size)
{
    engram_view *view = NULL;
    assert_ok(engram_pin(r->engram, &view, E));
    view_expect(view, path, bytes, size);
    engram_unpin(&view);
}

void rig_expect_text(rig *r, const char *path, const char *text)
{
    rig_expect(r, path, text, strlen(text));
}

void rig_expect_absent(rig *r, const char *path)
{
    engram_view *view = NULL;
    assert_ok(engram_pin(r->engram, &view, E));
    view_expect_absent(view, path);
    engram_unpin(&view);
}

struct engram_stat rig_stat(rig *r, const char *path)
{
    engram_view *view = NULL;
    struct engram_stat stat = {0};
    assert_ok(engram_pin(r->engram, &view, E));
    assert_ok(engram_stat(view, path, &stat, E));
    engram_unpin(&view);
    return stat;
}

struct engram_stat tx_stat(engram_transaction *tx, const char *path)
{
    struct engram_stat stat = {0};
    assert_ok(engram_tx_stat(tx, path, &stat, E));
    return stat;
}

engram_status rig_names_visit(void *context, const char *path, const struct engram_stat *stat,
                              engram_error *error)
{
    rig_names *names = context;
    size_t used = strlen(names->text);
    (void)stat, (void)error;
    snprintf(names->text + used, sizeof names->text - used, "%s%s", used != 0 ? " " : "", path);
    return ENGRAM_OK;
}

void rig_expect_names(rig *r, const char *prefix, const char *names)
{
    engram_view *view = NULL;
    rig_names found = {{0}};
    assert_ok(engram_pin(r->engram, &view, E));
    assert_ok(engram_list(view, prefix, NULL, rig_names_visit, &found, E));
    engram_unpin(&view);
    assert_string_equal(found.text, names);
}

void tx_expect_names(engram_transaction *tx, const char *prefix, const char *names)
{
    rig_names found = {{0}};
    assert_ok(engram_tx_list(tx, prefix, NULL, rig_names_visit, &found, E));
    assert_string_equal(found.text, names);
}

/* ---- bytes ---- */

void rig_fill(void *bytes, size_t size, uint64_t seed)
{
    uint8_t *out = bytes;
    for (size_t i = 0; i < size; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        out[i] = (uint8_t)(seed >> 56);
    }
}

uint64_t rig_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t rig_below(uint64_t *state, uint64_t limit)
{
    return limit != 0 ? rig_random(state) % limit : 0;
}
