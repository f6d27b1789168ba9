#include "engram/repair_rig.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/memory.h"
#include "base/status.h"
#include "engram/kept.h"

static uint8_t data[70000];
static stored model[STORED_MAX];
size_t stored_count;
static struct { /* a snapshot, or a label */
    const char *name;
    bool is_label;
    size_t counts[STORED_MAX]; /* of the states that there had been */
} named[NAMED_MAX];
static size_t named_count;

/* ---- the fixture ---- */

void repair_rig_init(void)
{
    if (access("/dev/shm", W_OK) ==
        0) /* hundreds of engrams: the disk itself is not what is tested */
        setenv("TMPDIR", "/dev/shm", 1);
    rig_fill(data, sizeof data, 31);
}

void repair_rig_note(size_t index, const char *path, const uint8_t *bytes, size_t size)
{
    stored *s = &model[index];
    s->path = path;
    s->states[s->count] = bytes;
    s->sizes[s->count++] = size;
    stored_count = index < stored_count ? stored_count : index + 1;
}

static void note_named(const char *name, bool is_label)
{
    named[named_count].name = name;
    named[named_count].is_label = is_label;
    for (size_t i = 0; i < STORED_MAX; i++)
        named[named_count].counts[i] = model[i].count;
    assert_true(++named_count <= NAMED_MAX);
}

void repair_rig_forget(void)
{
    memset(model, 0, sizeof model);
    stored_count = named_count = 0;
}

void rig_store(rig *r, size_t index, const char *path, const uint8_t *bytes, size_t size)
{
    repair_rig_note(index, path, bytes, size);
    assert_ok(rig_put(r, path, bytes, size, E));
}

void rig_snapshot(rig *r, const char *name)
{
    eg_buffer ops = {0};
    eg_ops_snapshot(&ops, 0, (eg_view){(const uint8_t *)name, strlen(name)});
    assert_ok(eg_engram_commit(r->engram, &ops, NULL, E));
    note_named(name, false);
    eg_buffer_fini(&ops);
}

void rig_label(rig *r, const char *text)
{
    eg_buffer ops = {0};
    eg_ops_label(&ops, (eg_view){(const uint8_t *)text, strlen(text)});
    assert_ok(eg_engram_commit(r->engram, &ops, NULL, E));
    note_named(text, true);
    eg_buffer_fini(&ops);
}

void rig_write(rig *r, const char *path, const uint8_t *bytes, size_t size)
{
    engram_transaction *tx = NULL;
    assert_ok(engram_begin(r->engram, NULL, &tx, E));
    assert_ok(engram_write(tx, path, bytes, size, NULL, E));
    assert_ok(engram_commit(&tx, NULL, E));
}

static void write_small(rig *r, size_t index, const char *path, const uint8_t *bytes, size_t size)
{
    repair_rig_note(index, path, bytes, size);
    rig_write(r, path, bytes, size);
}

static void attribute(rig *r, const char *path)
{
    eg_version v;
    uint64_t number;
    eg_buffer ops = {0};
    assert_ok(eg_engram_pin(r->engram, &v, E));
    assert_ok(eg_fs_lookup(v.root, (eg_view){(const uint8_t *)path, strlen(path)}, &number, E));
    eg_version_release(&v);
    eg_ops_put_xattr(&ops, number, (eg_view){(const uint8_t *)"user.x", 6},
                     (eg_view){(const uint8_t *)"value", 5});
    assert_ok(eg_engram_commit(r->engram, &ops, NULL, E));
    eg_buffer_fini(&ops);
}

void repair_rig_fill(rig *r)
{
    repair_rig_forget();
    assert_ok(rig_mkdir(r, "d", E));
    assert_ok(rig_mkdir(r, "d/e", E));
    rig_store(r, 0, "d/a", data, 9000);
    rig_store(r, 1, "d/e/b", data + 9000, 14000);
    rig_store(r, 2, "c", data + 23000, 5000);
    rig_snapshot(r, "one");
    rig_reopen(r);
    rig_store(r, 3, "d/f", data + 28000, 7000);
    rig_store(r, 2, "c", data + 35000, 3000);
    rig_label(r, "run");
    rig_reopen(r);
    attribute(r, "d/f");
    rig_store(r, 4, "g", data + 38000, 4096);
    rig_store(r, 0, "d/a", data + 42100, 9100);
    rig_reopen(r);
    write_small(r, 5, "h", data + 51300, 6000);
    rig_store(r, 1, "d/e/b", data + 60000, 9000); /* in its segment; the journal only names it */
    write_small(r, 6, "d/i", data + 57300, 100);
}

/* ---- judging ---- */

static void note(telling *t, const char *message, const char *kind)
{
    t->hash = XXH3_64bits_withSeed(message, strlen(message), t->hash);
    if (getenv("TELL") != NULL)
        print_message("    %s: %s\n", kind, message);
}

static void on_step(void *context, const char *message)
{
    telling *t = context;
    if (t->steps++ == 0)
        snprintf(t->first, sizeof t->first, "%.399s", message);
    note(t, message, "step");
}

static void on_lost(void *context, const char *message)
{
    telling *t = context;
    if (t->losses++ == 0)
        snprintf(t->lost, sizeof t->lost, "%.399s", message);
    t->journal_is_lost |= strncmp(message, "journal:", 8) == 0;
    note(t, message, "lost");
}

engram_status rig_repair(const rig *r, bool dry_run, telling *t, engram_repaired *done,
                         engram_error *error)
{
    const engram_repair_options o = {
        .dry_run = dry_run, .threads = 1, .context = t, .step = on_step, .lost = on_lost};
    memset(t, 0, sizeof *t);
    return eg_engram_repair(r->io, r->dir, &o, done, error);
}

const char *damage_name;
bool may_be_torn;

static void fail_here(const char *what, const char *more)
{
    fail_msg("%s: %s: %s", damage_name, what, more);
}

static engram_status read_file(rig *r, const eg_version *v, const char *path, uint8_t *bytes,
                               size_t capacity, size_t *size, engram_error *error)
{
    uint64_t number;
    eg_view view = {(const uint8_t *)path, strlen(path)};
    EG_TRY(eg_fs_lookup(v->root, view, &number, error));
    return eg_engram_read(r->engram, v, number, 0, bytes, capacity, size, error);
}

/* Whether it is what it was last, of so many states. */
static bool check_file(rig *r, const eg_version *v, const stored *s, size_t count, bool may_be_old)
{
    static uint8_t found[1 << 20];
    size_t got = 0;
    engram_error error = {0};
    engram_status status = read_file(r, v, s->path, found, sizeof found, &got, &error);
    if (status == ENGRAM_DAMAGED || (status == ENGRAM_NOT_FOUND && may_be_old)) {
        if (!may_be_old)
            fail_here(s->path, error.message);
        return false;
    }
    if (status != ENGRAM_OK)
        fail_here(s->path, error.message);
    for (size_t i = s->count; i > 0; i--)
        if (got == s->sizes[i - 1] && memcmp(found, s->states[i - 1], got) == 0 &&
            (i == count || may_be_old))
            return i == count;
    fail_here(s->path, "wrong bytes");
    return false;
}

static size_t check_files(rig *r, bool may_lack)
{
    size_t exact = 0;
    eg_version newest;
    assert_ok(eg_engram_pin(r->engram, &newest, E));
    for (size_t i = 0; i < stored_count; i++)
        exact += check_file(r, &newest, &model[i], model[i].count, may_lack);
    eg_version_release(&newest);
    return exact;
}

typedef struct search {
    const char *label;
    uint64_t number;
} search;

static engram_status match_label(void *context, const engram_retained *r, engram_error *error)
{
    search *s = context;
    (void)error;
    if (strcmp(r->label, s->label) == 0)
        s->number = r->version;
    return ENGRAM_OK;
}

static engram_status pin_named(rig *r, size_t index, eg_version *version)
{
    search s = {named[index].name, UINT64_MAX};
    if (!named[index].is_label)
        return eg_engram_pin_at(r->engram, s.label, version, NULL);
    assert_ok(engram_versions(r->engram, match_label, &s, E));
    return eg_engram_pin_number(r->engram, s.number, version, NULL);
}

/* What has a name is still there, and what it was. */
static void check_named(rig *r, bool may_lack)
{
    for (size_t i = 0; i < named_count; i++) {
        eg_version version;
        if (pin_named(r, i, &version) != ENGRAM_OK) {
            if (!may_lack)
                fail_here("gone", named[i].name);
            continue;
        }
        for (size_t j = 0; j < stored_count; j++)
            if (named[i].counts[j] != 0)
                check_file(r, &version, &model[j], named[i].counts[j], may_lack);
        eg_version_release(&version);
    }
}

static void on_problem(void *context, const char *message)
{
    if (strstr(message, "is lost") == NULL)
        fail_here("verify after repair", message);
    ++*(size_t *)context;
}

static size_t verify(rig *r)
{
    size_t count = 0;
    uint64_t problems;
    eg_verify_options o = {.subset = 1.0, .context = &count, .problem = on_problem};
    engram_error error = {0};
    if (eg_engram_verify(r->engram, &o, &problems, &error) != ENGRAM_OK)
        fail_here("verify fails", error.message);
    return count;
}

static void open_or_fail(rig *r, bool read_only)
{
    engram_error error = {0};
    if (rig_open(r, read_only, &error) != ENGRAM_OK)
        fail_here("cannot be opened after repair", error.message);
}

size_t repair_check(rig *r, bool may_lack, size_t *lost)
{
    open_or_fail(r, true);
    size_t exact = check_files(r, may_lack || may_be_torn);
    check_named(r, may_lack);
    *lost = verify(r);
    if (*lost != 0 && !may_lack)
        fail_here("something is lost and was not told", "");
    assert_ok(eg_engram_close(&r->engram, E));
    return exact;
}

void repair_use(rig *r, size_t lost)
{
    open_or_fail(r, false);
    assert_ok(rig_put(r, "later", data + 100, 8000, E));
    rig_expect(r, "later", data + 100, 8000);
    rig_remove(r, "d/a", NULL);
    assert_true(verify(r) <= lost);
    assert_ok(eg_engram_close(&r->engram, E));
}

outcome repair_judge(rig *r)
{
    folder_listing before, after;
    telling dry, real, again;
    engram_repaired would, done;
    engram_error error = {0};
    outcome o;
    folder_list(r->dir, &before);
    if (rig_repair(r, true, &dry, &would, &error) != ENGRAM_OK)
        fail_here("dry run", error.message);
    folder_list(r->dir, &after);
    if (before.hash != after.hash)
        fail_here("a dry run changed something", dry.first);
    if (rig_repair(r, false, &real, &done, &error) != ENGRAM_OK)
        fail_here("repair", error.message);
    if (dry.hash != real.hash || would.needed != done.needed)
        fail_here("the dry run told something else", real.first);
    o = (outcome){
        .needed = done.needed, .losses = real.losses, .journal_is_lost = real.journal_is_lost};
    folder_list(r->dir, &after);
    if (!done.needed && before.hash != after.hash)
        fail_here("changed although nothing was to repair", real.first);
    size_t lost;
    o.exact = repair_check(r, real.losses != 0, &lost);
    if (rig_repair(r, false, &again, &done, &error) != ENGRAM_OK || done.needed)
        fail_here("a second repair is needed", again.first);
    folder_listing last;
    folder_list(r->dir, &last);
    if (last.hash != after.hash)
        fail_here("a second repair changed something", again.first);
    repair_use(r, lost);
    return o;
}

/* ---- damage ---- */

void bench_init(bench *b, void (*fill)(rig *), bool crashed)
{
    memset(b, 0, sizeof *b);
    b->crashed = crashed;
    rig_init(&b->rig);
    fill(&b->rig);
    snprintf(b->good, sizeof b->good, "%s/good", b->rig.temp.path);
    if (!crashed)
        assert_ok(eg_engram_close(&b->rig.engram, E));
    folder_copy(b->rig.dir, b->good);
    if (crashed) {
        atomic_store(&b->rig.engram->failed, ENGRAM_IO);
        assert_ok(eg_engram_close(&b->rig.engram, E));
    }
    folder_list(b->good, &b->files);
}

void bench_fini(bench *b)
{
    if (b->tried != 0)
        print_message(
            "%zu damages: %zu needed repair, %zu lost something, %zu left every file exact\n",
            b->tried, b->needed, b->losing, b->whole);
    rig_fini(&b->rig);
}

void bench_copy(bench *b)
{
    static size_t number;
    folder_remove(b->rig.dir);
    snprintf(b->rig.dir, sizeof b->rig.dir, "%.500s/copy-%zu", b->rig.temp.path, number++);
    folder_copy(b->good, b->rig.dir);
}

void bench_remember(bench *b)
{
    snprintf(b->damaged, sizeof b->damaged, "%s/damaged", b->rig.temp.path);
    folder_remove(b->damaged);
    folder_copy(b->rig.dir, b->damaged);
}

void bench_check_kept(bench *b, bool journal_is_lost)
{
    open_or_fail(&b->rig, true);
    const char *missing = kept_missing(&b->rig, b->damaged, b->good, journal_is_lost);
    if (missing != NULL)
        fail_here("neither kept nor in the quarantine", missing);
    assert_ok(eg_engram_close(&b->rig.engram, E));
}

outcome bench_judge(bench *b)
{
    bench_remember(b);
    outcome o = repair_judge(&b->rig);
    if (o.needed)
        bench_check_kept(b, o.journal_is_lost);
    b->tried++;
    b->needed += o.needed;
    b->losing += o.losses != 0;
    b->whole += o.exact == stored_count;
    return o;
}

void bench_path(const bench *b, size_t file, char path[FOLDER_PATH_MAX])
{
    snprintf(path, FOLDER_PATH_MAX, "%s/%s", b->rig.dir, b->files.paths[file]);
}

void bench_name(const bench *b, size_t file, const char *what, uint64_t at)
{
    static char text[300];
    may_be_torn = b->crashed && strncmp(b->files.paths[file], "journal/", 8) == 0;
    snprintf(text, sizeof text, "%s %s %llu", b->files.paths[file], what, (unsigned long long)at);
    damage_name = text;
    if (getenv("TELL") != NULL)
        print_message("%s\n", text);
}

/* Another root, in another checkpoint. */
static void replace_root(const bench *b, const eg_checkpoint *state, const engram_bundle *bundle)
{
    eg_manifest manifest;
    const rig *r = &b->rig;
    assert_ok(eg_manifest_read(r->io, r->dir, &manifest, E));
    manifest.state = *state;
    manifest.checkpoint++;
    assert_ok(eg_checkpoint_write(r->io, r->dir, manifest.checkpoint, state, bundle, &manifest, E));
    assert_ok(eg_manifest_write(r->io, r->dir, &manifest, E));
    eg_manifest_fini(&manifest);
}

typedef void edit_fn(eg_edit *edit);

static void edit_root(eg_nodes *nodes, eg_node_ref *ref, edit_fn *change)
{
    eg_root *before, *after;
    eg_edit *edit;
    assert_ok(eg_root_open(nodes, *ref, &before, E));
    assert_ok(eg_edit_begin(before, &edit, E));
    change(edit);
    assert_ok(eg_edit_finish(&edit, &after, E));
    assert_ok(eg_root_flush(after, ref, E));
    assert_ok(eg_nodes_sync(nodes, E));
    eg_root_release(before);
    eg_root_release(after);
}

static eg_checkpoint changing; /* the one at hand */

/* The catalog has the version too. */
static void list_version(eg_edit *catalog)
{
    eg_buffer value = {0};
    eg_key key = eg_key_catalog(changing.version);
    eg_write_u64(&value, changing.time_ns);
    eg_write_u64(&value, changing.tree.address);
    eg_write_u32(&value, changing.tree.size);
    assert_ok(eg_edit_put(catalog, eg_key_view(&key), (eg_view){value.data, value.size}, E));
    eg_buffer_fini(&value);
}

void bench_edit(const bench *b, void (*change)(eg_edit *edit))
{
    static engram_bundle bundle;
    char dir[700];
    eg_manifest manifest;
    eg_nodes *nodes;
    const rig *r = &b->rig;
    assert_ok(eg_manifest_read(r->io, r->dir, &manifest, E));
    assert_ok(eg_checkpoint_read(r->io, r->dir, manifest.checkpoint, &changing, &bundle, E));
    eg_manifest_fini(&manifest);
    snprintf(dir, sizeof dir, "%s/tree", r->dir);
    eg_nodes_options options = {.end = changing.nodes_end};
    assert_ok(eg_nodes_open(r->io, dir, &options, &nodes, E));
    edit_root(nodes, &changing.tree, change);
    edit_root(nodes, &changing.catalog, list_version);
    changing.nodes_end = eg_nodes_end(nodes);
    eg_nodes_close(&nodes);
    replace_root(b, &changing, &bundle);
}
