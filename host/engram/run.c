/* Transactions that are repeated by a policy. */
#include <sys/random.h>
#include <time.h>

#include "base/status.h"
#include "engram/transaction.h"

enum {
    PAUSE_FIRST_US = 50, /* a commit's length: what beat us is probably through */
    PAUSE_MAX_US = 5000,
    TRIES_AMONG_OTHERS = 16 /* then a turn without competitors */
};

static void pause_after(uint32_t tries)
{
    uint32_t most = PAUSE_FIRST_US, draw = 0;
    for (uint32_t i = 1; i < tries && most < PAUSE_MAX_US; i++)
        most *= 2;
    if (most > PAUSE_MAX_US)
        most = PAUSE_MAX_US;
    if (getrandom(&draw, sizeof draw, GRND_NONBLOCK) != sizeof draw)
        draw = tries * 2654435761u;
    uint32_t us = draw % (most + 1);
    nanosleep(&(struct timespec){.tv_nsec = (long)us * 1000}, NULL);
}

/* *final: it did not come to a commit, and would not the next time. */
static engram_status try_once(eg_engram *e, const engram_run_options *options, engram_body *body,
                              void *context, bool has_turn, uint64_t *version, bool *final,
                              engram_error *error)
{
    engram_transaction *tx = NULL;
    EG_TRY(engram_begin(e, &options->transaction, &tx, error));
    tx->overwrites |= options->on_conflict == ENGRAM_LAST_WRITER_WINS;
    tx->has_turn = has_turn;
    engram_status status = body(context, tx, error);
    *final = status != ENGRAM_OK;
    if (status != ENGRAM_OK) {
        engram_abort(&tx);
        return status;
    }
    return engram_commit(&tx, version, error);
}

static engram_status try_alone(eg_engram *e, const engram_run_options *options, engram_body *body,
                               void *context, uint64_t *version, bool *final, engram_error *error)
{
    pthread_rwlock_wrlock(&e->turn);
    engram_status status = try_once(e, options, body, context, true, version, final, error);
    pthread_rwlock_unlock(&e->turn);
    if (status == ENGRAM_OK)
        eg_commit_settle(e);
    return status;
}

static bool try_again(const engram_run_options *options, void *context, uint32_t tries,
                      const engram_error *conflict)
{
    if (options->on_conflict == ENGRAM_FAIL || (options->tries_max != 0 && tries >= options->tries_max))
        return false;
    return options->on_conflict != ENGRAM_ASK ||
           (options->ask != NULL && options->ask(context, tries, conflict));
}

engram_status engram_run(struct engram *e, const engram_run_options *options, engram_body *body,
                         void *context, uint64_t *version, engram_error *error)
{
    static const engram_run_options none;
    const engram_run_options *o = options != NULL ? options : &none;
    engram_status status = ENGRAM_OK;
    for (uint32_t tries = 1;; tries++) {
        engram_error inner = {0};
        bool final = false;
        if (tries > TRIES_AMONG_OTHERS)
            status = try_alone(e, o, body, context, version, &final, &inner);
        else
            status = try_once(e, o, body, context, false, version, &final, &inner);
        if (status == ENGRAM_OK)
            return ENGRAM_OK;
        if (final || status != ENGRAM_CONFLICT || !try_again(o, context, tries, &inner)) {
            if (error != NULL && error->status == ENGRAM_OK)
                *error = inner;
            return status;
        }
        if (tries < TRIES_AMONG_OTHERS)
            pause_after(tries);
    }
}
