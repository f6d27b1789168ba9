/* engram bench commit: durable commits, reads beside them, and replay, on the disk under --dir.
 *
 * Each row is a fresh engram. Writers make new files of random bytes, each in a directory of its own,
 * one transaction a file. Beside each stands what the disk itself does in the same run: a loop of one
 * write and one fdatasync, in a file whose blocks were written before, with writes as large as one
 * payload and as large as one of every writer's. writers / t_sync of the latter is what perfect group
 * commit would reach if commits cost nothing. */
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "cli/bench.h"
#include "cli/bench_disk.h"
#include "engram/engram.h"

enum { WRITERS_MAX = 1000 };

typedef struct commit_bench {
    eg_cli *cli;
    const char *dir; /* under which engrams are made */
    char path[4096]; /* of the engram at hand */
    double seconds;
    uint64_t small_size; /* of its data a commit puts so many bytes into its record; 0: the default */
    json_t *results;
} commit_bench;

typedef struct row {
    const char *mode;
    engram_durability durability;
    unsigned writers, readers;
    size_t payload;
} row;

typedef struct worker {
    struct commit_bench *bench;
    const row *row;
    struct engram *engram;
    eg_latencies *latencies;
    atomic_bool *stop;
    unsigned number;
    uint64_t done;
    engram_status status;
    engram_error error;
    pthread_t thread;
} worker;

/* ---- workers ---- */

static engram_status put_one(worker *w, const char *path, const uint8_t *bytes)
{
    static const engram_expected none = {.what = ENGRAM_NONE};
    engram_transaction *tx = NULL;
    engram_transaction_options options = {.durability = w->row->durability};
    EG_TRY(engram_begin(w->engram, &options, &tx, &w->error));
    engram_status status = engram_write(tx, path, bytes, w->row->payload, &none, &w->error);
    if (status != ENGRAM_OK) {
        engram_abort(&tx);
        return status;
    }
    return engram_commit(&tx, NULL, &w->error);
}

static void *writer_main(void *context)
{
    worker *w = context;
    uint64_t seed = 0x1234567 * (uint64_t)(w->number + 1);
    uint8_t *bytes = eg_alloc(EG_BENCH_PAYLOAD_MAX);
    char path[64];
    if (bytes == NULL)
        w->status = ENGRAM_NO_MEMORY;
    while (w->status == ENGRAM_OK && !atomic_load_explicit(w->stop, memory_order_relaxed)) {
        eg_bench_fill(bytes, w->row->payload, &seed);
        snprintf(path, sizeof path, "w%03u/%08" PRIu64, w->number, w->done);
        double start = eg_bench_now_us();
        w->status = put_one(w, path, bytes);
        eg_latencies_note(w->latencies, eg_bench_now_us() - start);
        w->done++;
    }
    eg_free(bytes);
    return NULL;
}

enum { READ_FILES = 1000, READ_SIZE = 4096 };

static void *reader_main(void *context)
{
    worker *w = context;
    uint8_t bytes[READ_SIZE];
    uint64_t seed = w->number * 77 + 1;
    char path[64];
    while (w->status == ENGRAM_OK && !atomic_load_explicit(w->stop, memory_order_relaxed)) {
        engram_view *view = NULL;
        size_t got = 0;
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        snprintf(path, sizeof path, "r/%04u", (unsigned)(seed >> 33) % READ_FILES);
        double start = eg_bench_now_us();
        w->status = engram_pin(w->engram, &view, &w->error);
        if (w->status == ENGRAM_OK)
            w->status = engram_read(view, path, 0, bytes, sizeof bytes, &got, &w->error);
        engram_unpin(&view);
        eg_latencies_note(w->latencies, eg_bench_now_us() - start);
        w->done++;
    }
    return NULL;
}

static engram_status start_workers(worker *workers, unsigned count, void *(*main)(void *),
                                   unsigned *started, engram_error *error)
{
    for (*started = 0; *started < count; ++*started) {
        int failed = pthread_create(&workers[*started].thread, NULL, main, &workers[*started]);
        if (failed != 0)
            return eg_fail_os(error, failed, "cannot start thread %u", *started);
    }
    return ENGRAM_OK;
}

static engram_status join_workers(worker *workers, unsigned started, uint64_t *done,
                                  engram_error *error)
{
    engram_status status = ENGRAM_OK;
    *done = 0;
    for (unsigned i = 0; i < started; i++) {
        pthread_join(workers[i].thread, NULL);
        *done += workers[i].done;
        if (workers[i].status != ENGRAM_OK && status == ENGRAM_OK)
            status = eg_fail(error, workers[i].status, "%s", workers[i].error.message);
    }
    return status;
}

/* ---- an engram for each row ---- */

static engram_status make_directories(struct engram *e, const row *r, engram_error *error)
{
    engram_transaction *tx = NULL;
    char path[64];
    uint8_t bytes[READ_SIZE];
    uint64_t seed = 99;
    EG_TRY(engram_begin(e, NULL, &tx, error));
    engram_status status = engram_mkdir(tx, "r", 0755, error);
    for (unsigned i = 0; i < r->writers && status == ENGRAM_OK; i++) {
        snprintf(path, sizeof path, "w%03u", i);
        status = engram_mkdir(tx, path, 0755, error);
    }
    for (unsigned i = 0; i < READ_FILES && r->readers != 0 && status == ENGRAM_OK; i++) {
        eg_bench_fill(bytes, sizeof bytes, &seed);
        snprintf(path, sizeof path, "r/%04u", i);
        status = engram_write(tx, path, bytes, sizeof bytes, NULL, error);
    }
    if (status == ENGRAM_OK)
        return engram_commit(&tx, NULL, error);
    engram_abort(&tx);
    return status;
}

typedef struct outcome {
    uint64_t commits, reads;
    double seconds, commit_p50, commit_p99, commit_max, read_p50, read_p99;
    engram_metrics metrics;
} outcome;

static engram_status run_workers(commit_bench *b, const row *r, struct engram *e, outcome *out,
                                 engram_error *error)
{
    atomic_bool stop = false;
    unsigned writers_started = 0, readers_started = 0;
    eg_latencies commits = {0}, reads = {0};
    worker *workers = eg_alloc_zero(r->writers + r->readers + 1, sizeof *workers);
    engram_status status = workers != NULL ? eg_latencies_init(&commits, error)
                                           : eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
    if (status == ENGRAM_OK)
        status = eg_latencies_init(&reads, error);
    for (unsigned i = 0; i < r->writers + r->readers && status == ENGRAM_OK; i++)
        workers[i] = (worker){.bench = b,
                              .row = r,
                              .engram = e,
                              .stop = &stop,
                              .latencies = i < r->writers ? &commits : &reads,
                              .number = i};
    uint64_t start = eg_clock_monotonic_ns();
    if (status == ENGRAM_OK)
        status = start_workers(workers, r->writers, writer_main, &writers_started, error);
    if (status == ENGRAM_OK)
        status = start_workers(workers + r->writers, r->readers, reader_main, &readers_started,
                               error);
    if (status == ENGRAM_OK)
        usleep((useconds_t)(b->seconds * 1e6));
    atomic_store(&stop, true);
    engram_status joined = join_workers(workers, writers_started, &out->commits, error);
    engram_status read = join_workers(workers + r->writers, readers_started, &out->reads, error);
    out->seconds = eg_seconds_since(start);
    engram_get_metrics(e, &out->metrics);
    if (status == ENGRAM_OK)
        status = joined != ENGRAM_OK ? joined : read;
    if (status == ENGRAM_OK) {
        out->commit_p50 = eg_latencies_quantile(&commits, 0.5);
        out->commit_p99 = eg_latencies_quantile(&commits, 0.99);
        out->commit_max = eg_latencies_quantile(&commits, 1.0);
        out->read_p50 = eg_latencies_quantile(&reads, 0.5);
        out->read_p99 = eg_latencies_quantile(&reads, 0.99);
    }
    eg_latencies_fini(&commits);
    eg_latencies_fini(&reads);
    eg_free(workers);
    return status;
}

static engram_status in_fresh_engram(commit_bench *b, const row *r, outcome *out,
                                     engram_error *error)
{
    struct engram *e = NULL;
    engram_settings settings = {.small_size = b->small_size};
    EG_TRY(eg_bench_remove(b->path, error));
    EG_TRY(engram_create(b->path, NULL, error));
    engram_status status = engram_open(b->path, &settings, &e, error);
    if (status == ENGRAM_OK)
        status = make_directories(e, r, error);
    if (status == ENGRAM_OK)
        status = run_workers(b, r, e, out, error);
    engram_status closing = engram_close(&e, error);
    return status == ENGRAM_OK ? closing : status;
}

/* ---- rows ---- */

static void report(commit_bench *b, const row *r, const outcome *o, double lone_us, double group_us)
{
    double rate = (double)o->commits / o->seconds, limit = group_us > 0 ? 1e6 * r->writers / group_us : 0;
    double reads = (double)o->reads / o->seconds;
    json_t *item = json_object();
    const engram_metrics *m = &o->metrics;
    eg_json_put(item, "operation", json_string("commit"));
    eg_json_put(item, "durability", json_string(r->mode));
    eg_json_put_number(item, "writers", r->writers);
    eg_json_put_number(item, "readers", r->readers);
    eg_json_put_number(item, "payload", r->payload);
    eg_json_put(item, "commits_per_second", json_real(rate));
    eg_json_put(item, "p50_us", json_real(o->commit_p50));
    eg_json_put(item, "p99_us", json_real(o->commit_p99));
    eg_json_put(item, "max_us", json_real(o->commit_max));
    eg_json_put(item, "sync_us", json_real(lone_us));
    eg_json_put(item, "group_sync_us", json_real(group_us));
    eg_json_put(item, "limit_per_second", json_real(limit));
    eg_json_put(item, "ratio", json_real(limit > 0 ? rate / limit : 0));
    eg_json_put(item, "reads_per_second", json_real(reads));
    eg_json_put(item, "read_p50_us", json_real(o->read_p50));
    eg_json_put(item, "read_p99_us", json_real(o->read_p99));
    eg_json_put_number(item, "groups", m->groups);
    eg_json_put_number(item, "syncs", m->syncs);
    eg_json_put_number(item, "checkpoints", m->checkpoints);
    eg_json_put_number(item, "conflicts", m->conflicts);
    eg_json_put(b->results, NULL, item);
    eg_output_say(b->cli,
                  "%-10s %7u %7u %8zu %9.0f %8.1f %9.0f %6.2f %9.0f %9.0f %7.1f %5" PRIu64
                  " %10.0f %8.1f\n",
                  r->mode, r->writers, r->readers, r->payload, rate,
                  rate * (double)r->payload / 1e6, limit, limit > 0 ? rate / limit : 0,
                  o->commit_p50, o->commit_p99,
                  m->groups != 0 ? (double)o->commits / (double)m->groups : 0, m->checkpoints,
                  reads, o->read_p99);
}

static engram_status bench_row(commit_bench *b, const row *r, engram_error *error)
{
    outcome o = {0};
    double lone_us = 0, group_us = 0;
    if (r->writers != 0) {
        EG_TRY(eg_bench_probe_sync(b->dir, r->payload, &lone_us, error));
        EG_TRY(eg_bench_probe_sync(b->dir, r->payload * r->writers, &group_us, error));
    }
    EG_TRY(in_fresh_engram(b, r, &o, error));
    report(b, r, &o, lone_us, group_us);
    return ENGRAM_OK;
}

/* ---- replay ---- */

/* In a process of its own that ends without closing: what a crash leaves. */
static int leave_journal(commit_bench *b, uint64_t size)
{
    struct engram *e = NULL;
    engram_error error = {0};
    engram_settings settings = {.journal_size = UINT64_C(1) << 40, .memory = UINT64_C(12) << 30,
                                .durability = ENGRAM_DURABILITY_RELAXED};
    row r = {.writers = 1, .payload = 4096, .durability = ENGRAM_DURABILITY_RELAXED};
    engram_metrics m = {0};
    uint8_t bytes[4096];
    uint64_t seed = 5;
    worker w = {.bench = b, .row = &r};
    if (engram_open(b->path, &settings, &e, &error) != ENGRAM_OK ||
        make_directories(e, &r, &error) != ENGRAM_OK)
        return 1;
    w.engram = e;
    for (uint64_t i = 0; m.journal_bytes < size; i++) {
        char path[64];
        eg_bench_fill(bytes, sizeof bytes, &seed);
        snprintf(path, sizeof path, "w000/%08" PRIu64, i);
        if (put_one(&w, path, bytes) != ENGRAM_OK)
            return 1;
        if (i % 256 == 0)
            engram_get_metrics(e, &m);
    }
    return 0;
}

static engram_status bench_replay(commit_bench *b, uint64_t size, engram_error *error)
{
    struct engram *e = NULL;
    eg_engram_options options = {.read_only = true};
    EG_TRY(eg_bench_remove(b->path, error));
    EG_TRY(engram_create(b->path, NULL, error));
    pid_t child = fork();
    if (child == 0)
        _exit(leave_journal(b, size));
    int state = 0;
    if (child < 0 || waitpid(child, &state, 0) != child || state != 0)
        return eg_fail(error, ENGRAM_IO, "cannot make a journal to replay in %s", b->path);
    uint64_t start = eg_clock_monotonic_ns();
    options.read_only = false;
    EG_TRY(eg_engram_open(eg_io_posix(), b->path, &options, &e, error));
    double seconds = eg_seconds_since(start);
    eg_recovery recovery = *eg_engram_get_recovery(e);
    EG_TRY(engram_close(&e, error));
    json_t *item = json_object();
    eg_json_put(item, "operation", json_string("replay"));
    eg_json_put_number(item, "journal_bytes", size);
    eg_json_put_number(item, "transactions", recovery.transactions);
    eg_json_put(item, "seconds", json_real(seconds));
    eg_json_put(b->results, NULL, item);
    eg_output_say(b->cli,
                  "\nreplay: %.0f MB of journal, %" PRIu64
                  " transactions of 4 KiB, opened for writing in %.2f s, %.0f MB/s\n",
                  (double)size / 1e6, recovery.transactions, seconds, (double)size / 1e6 / seconds);
    return ENGRAM_OK;
}

/* ---- all ---- */

static const struct {
    const char *name;
    engram_durability durability;
} modes[] = {{"immediate", ENGRAM_DURABILITY_IMMEDIATE},
             {"group", ENGRAM_DURABILITY_GROUP},
             {"relaxed", ENGRAM_DURABILITY_RELAXED}};

static engram_status bench_table(commit_bench *b, engram_error *error)
{
    static const unsigned writers[] = {1, 8, 32, 100};
    static const size_t payloads[] = {100, 4096, 65536, 1 << 20};
    for (size_t m = 0; m < 3; m++)
        for (size_t p = 0; p < 4; p++)
            for (size_t w = 0; w < 4; w++) {
                row r = {modes[m].name, modes[m].durability, writers[w], 0, payloads[p]};
                EG_TRY(bench_row(b, &r, error));
            }
    row reads[] = {{"group", ENGRAM_DURABILITY_GROUP, 0, 2, 4096},
                   {"group", ENGRAM_DURABILITY_GROUP, 100, 2, 4096}};
    EG_TRY(bench_row(b, &reads[0], error));
    return bench_row(b, &reads[1], error);
}

/* Just the row that --writers, --readers, --payload and --durability name. */
static engram_status bench_chosen(commit_bench *b, bool *chosen, engram_error *error)
{
    uint64_t writers = 100, readers = 0, payload = 4096;
    const char *mode = eg_option_text(b->cli, "durability");
    *chosen = mode != NULL || eg_option_text(b->cli, "writers") != NULL ||
              eg_option_text(b->cli, "readers") != NULL || eg_option_text(b->cli, "payload") != NULL;
    EG_TRY(eg_option_number(b->cli, "writers", 0, WRITERS_MAX, &writers, error));
    EG_TRY(eg_option_number(b->cli, "readers", 0, WRITERS_MAX, &readers, error));
    EG_TRY(eg_option_size(b->cli, "payload", &payload, error));
    if (payload == 0 || payload > EG_BENCH_PAYLOAD_MAX)
        return eg_fail(error, ENGRAM_INVALID, "--payload: 1 byte to 1 MiB");
    size_t m = 1;
    while (mode != NULL && m < 4 && strcmp(mode, modes[m % 3].name) != 0)
        m++;
    if (m == 4)
        return eg_fail(error, ENGRAM_INVALID, "--durability: immediate, group or relaxed");
    row r = {modes[m % 3].name, modes[m % 3].durability, (unsigned)writers, (unsigned)readers,
             payload};
    return *chosen ? bench_row(b, &r, error) : ENGRAM_OK;
}

engram_status eg_bench_commit(eg_cli *cli, json_t *results, engram_error *error)
{
    const char *dir = eg_option_text(cli, "dir");
    uint64_t seconds = 2, replay = 0;
    bool chosen = false;
    commit_bench b = {.cli = cli, .dir = dir != NULL ? dir : ".", .results = results};
    EG_TRY(eg_option_number(cli, "seconds", 1, 3600, &seconds, error));
    EG_TRY(eg_option_size(cli, "replay", &replay, error));
    EG_TRY(eg_option_size(cli, "small-size", &b.small_size, error));
    b.seconds = (double)seconds;
    int size = snprintf(b.path, sizeof b.path, "%s/engram-bench-%ld.engram", b.dir, (long)getpid());
    if (size < 0 || (size_t)size >= sizeof b.path)
        return eg_fail(error, ENGRAM_INVALID, "--dir: the path is too long");
    eg_output_say(cli, "%-10s %7s %7s %8s %9s %8s %9s %6s %9s %9s %7s %5s %10s %8s\n", "durability",
                  "writers", "readers", "payload", "commits/s", "MB/s", "limit/s", "ratio", "p50 us",
                  "p99 us", "a group", "ckpt", "reads/s", "p99 us");
    engram_status status = replay != 0 ? ENGRAM_OK : bench_chosen(&b, &chosen, error);
    if (status == ENGRAM_OK && !chosen && replay == 0)
        status = bench_table(&b, error);
    if (status == ENGRAM_OK && !chosen)
        status = bench_replay(&b, replay != 0 ? replay : (uint64_t)256 << 20, error);
    engram_status removed = eg_bench_remove(b.path, error);
    return status == ENGRAM_OK ? removed : status;
}
