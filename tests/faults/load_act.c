#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "faults/load.h"

enum { TRIES_MAX = 200 }; /* after a few a transaction gets a turn alone */

typedef struct acting {
    struct engram *engram;
    const load *load;
    const load_step *step;
} acting;

static uint8_t *make_bytes(const load_op *op)
{
    uint8_t *bytes = malloc(op->size != 0 ? op->size : 1);
    if (bytes == NULL)
        abort();
    load_fill(bytes, op->size, op->seed);
    return bytes;
}

/* ---- streams ---- */

typedef struct stream {
    const uint8_t *bytes;
    size_t size, done;
} stream;

static engram_status give_piece(void *context, void *bytes, size_t size, size_t *got,
                                engram_error *error)
{
    enum { PIECE = 5000 };
    stream *s = context;
    size_t left = s->size - s->done, most = size < PIECE ? size : PIECE;
    (void)error;
    *got = left < most ? left : most;
    if (*got != 0)
        memcpy(bytes, s->bytes + s->done, *got);
    s->done += *got;
    return ENGRAM_OK;
}

/* ---- operations ---- */

static engram_status act_content(engram_transaction *tx, const char *path, const load_op *op,
                                 engram_error *error)
{
    uint8_t *bytes = make_bytes(op);
    stream s = {bytes, op->size, 0};
    const engram_expected *expected = &op->expected;
    engram_status status = ENGRAM_INVALID;
    if (op->kind == LOAD_WRITE)
        status = engram_write(tx, path, bytes, op->size, expected, error);
    else if (op->kind == LOAD_STREAM)
        status = engram_write_stream(tx, path, give_piece, &s, expected, error);
    else if (op->kind == LOAD_WRITE_AT)
        status = engram_write_at(tx, path, op->offset, bytes, op->size, expected, error);
    else if (op->kind == LOAD_APPEND)
        status = engram_append(tx, path, bytes, op->size, expected, error);
    else if (op->kind == LOAD_TRUNCATE)
        status = engram_truncate(tx, path, op->size, expected, error);
    else if (op->kind == LOAD_UPDATE_CHUNK)
        status = engram_update_chunk(tx, path, op->offset, bytes, op->size, expected, error);
    free(bytes);
    return status;
}

static engram_status act_directory(engram_transaction *tx, const char *name, const load_op *op,
                                   engram_error *error)
{
    char a[64], b[64];
    load_directory_path(a, name, op->a);
    load_directory_path(b, name, op->b);
    if (op->kind == LOAD_MKDIR)
        return engram_mkdir(tx, a, 0755, error);
    if (op->kind == LOAD_REMOVE_ALL)
        return engram_remove_all(tx, a, NULL, error);
    return engram_rename(tx, a, b, NULL, error);
}

/* Reads and writes a counter that other loads write too. */
static engram_status act_count(engram_transaction *tx, const load *l, const load_step *step,
                               size_t i, engram_error *error)
{
    char shared[64], own[64];
    uint64_t value = 0, counts[LOAD_COUNTERS];
    size_t got;
    int counter = step->ops[i].a;
    snprintf(shared, sizeof shared, "shared/c%d", counter);
    snprintf(own, sizeof own, "counts/%s", l->name);
    memcpy(counts, l->counts, sizeof counts);
    for (size_t j = 0; j <= i; j++)
        if (step->ops[j].kind == LOAD_COUNT)
            counts[step->ops[j].a]++;
    engram_status status = engram_tx_read(tx, shared, 0, &value, sizeof value, &got, error);
    if (status == ENGRAM_OK) {
        value++;
        status = engram_write(tx, shared, &value, sizeof value, NULL, error);
    }
    return status == ENGRAM_OK ? engram_write(tx, own, counts, sizeof counts, NULL, error) : status;
}

static engram_status act_rollback(acting *a, engram_transaction *tx, engram_error *error)
{
    char snapshot[64];
    engram_view *view = NULL;
    snprintf(snapshot, sizeof snapshot, "%s-snap", a->load->name);
    engram_status status = engram_pin_at(a->engram, snapshot, &view, error);
    if (status == ENGRAM_OK)
        status = engram_rollback(tx, view, a->load->name, NULL, error);
    engram_unpin(&view);
    return status;
}

static engram_status act_op(acting *a, engram_transaction *tx, size_t i, engram_error *error)
{
    const load_op *op = &a->step->ops[i];
    const char *name = a->load->name;
    char path[64], to[64];
    if (op->kind == LOAD_COUNT)
        return act_count(tx, a->load, a->step, i, error);
    if (op->kind == LOAD_ROLLBACK)
        return act_rollback(a, tx, error);
    if (op->kind == LOAD_MKDIR || op->kind == LOAD_REMOVE_ALL || op->kind == LOAD_RENAME_DIRECTORY)
        return act_directory(tx, name, op, error);
    load_path(path, name, op->a);
    load_path(to, name, op->b);
    if (op->kind == LOAD_REMOVE)
        return engram_remove(tx, path, &op->expected, error);
    if (op->kind == LOAD_RENAME)
        return engram_rename(tx, path, to, &op->expected, error);
    return act_content(tx, path, op, error);
}

static engram_status act_body(void *context, engram_transaction *tx, engram_error *error)
{
    acting *a = context;
    for (size_t i = 0; i < a->step->op_count; i++) {
        engram_status status = act_op(a, tx, i, error);
        if (status != ENGRAM_OK)
            return status;
    }
    return ENGRAM_OK;
}

/* ---- steps ---- */

/* A counter is shared, and a rollback takes no commit beside it. */
static bool may_conflict(const load_step *step)
{
    for (size_t i = 0; i < step->op_count; i++)
        if (step->ops[i].kind == LOAD_COUNT || step->ops[i].kind == LOAD_ROLLBACK)
            return true;
    return false;
}

static engram_status act_commit(acting *a, uint64_t *version, engram_error *error)
{
    engram_run_options options = {.transaction = {a->step->isolation, a->step->durability},
                                  .on_conflict = may_conflict(a->step) ? ENGRAM_RETRY : ENGRAM_FAIL,
                                  .tries_max = TRIES_MAX};
    return engram_run(a->engram, &options, act_body, a, version, error);
}

engram_status load_act(struct engram *e, const load *l, const load_step *step, uint64_t *version,
                       engram_error *error)
{
    acting a = {e, l, step};
    char snapshot[64];
    *version = 0;
    snprintf(snapshot, sizeof snapshot, "%s-snap", l->name);
    if (step->kind == LOAD_CHECKPOINT)
        return engram_checkpoint(e, error);
    if (step->kind == LOAD_FORGET)
        return engram_snapshot_delete(e, snapshot, error);
    if (step->kind == LOAD_SNAPSHOT)
        return engram_snapshot_create(e, snapshot, version, error);
    return act_commit(&a, version, error);
}

typedef struct preparing {
    const load *loads;
    size_t count;
} preparing;

static engram_status make_shared(engram_transaction *tx, engram_error *error)
{
    static const uint64_t zero;
    engram_status status = engram_mkdir(tx, "shared", 0755, error);
    if (status == ENGRAM_OK)
        status = engram_mkdir(tx, "counts", 0755, error);
    for (int i = 0; i < LOAD_COUNTERS && status == ENGRAM_OK; i++) {
        char path[32];
        snprintf(path, sizeof path, "shared/c%d", i);
        status = engram_write(tx, path, &zero, sizeof zero, NULL, error);
    }
    return status;
}

static engram_status prepare(void *context, engram_transaction *tx, engram_error *error)
{
    const preparing *p = context;
    engram_status status = make_shared(tx, error);
    for (size_t i = 0; i < p->count && status == ENGRAM_OK; i++)
        status = engram_mkdir(tx, p->loads[i].name, 0755, error);
    return status;
}

engram_status load_prepare(struct engram *e, const load *loads, size_t count, engram_error *error)
{
    preparing p = {loads, count};
    return engram_run(e, NULL, prepare, &p, NULL, error);
}
