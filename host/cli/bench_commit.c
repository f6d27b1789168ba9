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
#include "engram/engram.h"

enum { LATENCIES = 1 << 20, PAYLOAD_MAX = 1 << 20, WRITERS_MAX = 1000, PROBES = 200 };

typedef struct commit_bench {
    eg_cli *cli;
    const char *dir; /* under which engrams are made */
    char path[4096]; /* of the engram at hand */
    double seconds;
    json_t *results;
} commit_bench;

typedef struct row {
    const char *mode;
    engram_durability durability;
    unsigned writers, readers;
    size_t payload;
} row;

/* Latencies of one kind of call, from many threads: every n-th is kept once there are many. */
typedef struct latencies {
    float *us;
    atomic_size_t count;
} latencies;

typedef struct worker {
    struct commit_bench *bench;
    const row *row;
    struct engram *engram;
    latencies *latencies;
    atomic_bool *stop;
    unsigned number;
    uint64_t done;
    engram_status status;
    engram_error error;
    pthread_t thread;
} worker;

static double now_us(void)
{
    return (double)eg_clock_monotonic_ns() / 1e3;
}

static void note(latencies *l, double us)
{
    size_t at = atomic_fetch_add_explicit(&l->count, 1, memory_order_relaxed);
    l->us[at % LATENCIES] = (float)us;
}

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

static double quantile(latencies *l, double q)
{
    size_t count = atomic_load(&l->count);
    count = count < LATENCIES ? count : LATENCIES;
    if (count == 0)
        return 0;
    qsort(l->us, count, sizeof *l->us, compare_floats);
    return (double)l->us[(size_t)(q * (double)(count - 1))];
}

/* ---- the disk itself ---- */

static engram_status write_blocks(eg_io *io, eg_file *file, uint8_t *piece, size_t size,
                                  engram_error *error)
{
    for (uint64_t at = 0; at < (uint64_t)64 << 20; at += size)
        EG_TRY(io->write(io, file, at, piece, size, error));
    return io->sync(io, file, error);
}

/* Median time of a write of size bytes and its fdatasync. */
static engram_status probe_sync(commit_bench *b, size_t size, double *us, engram_error *error)
{
    eg_io *io = eg_io_posix();
    eg_file *file = NULL;
    char *path = eg_path_join(b->dir, "engram-bench.probe");
    uint8_t *bytes = eg_alloc_zero(1, PAYLOAD_MAX);
    latencies l = {.us = eg_alloc(PROBES * sizeof(float))};
    engram_status status = path != NULL && bytes != NULL && l.us != NULL
                               ? io->open(io, path, EG_OPEN_WRITE | EG_OPEN_MAY_CREATE, &file, error)
                               : eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
    if (status == ENGRAM_OK)
        status = write_blocks(io, file, bytes, PAYLOAD_MAX, error);
    uint64_t at = 0;
    for (unsigned i = 0; i < PROBES && status == ENGRAM_OK; i++) {
        double start = now_us();
        for (size_t done = 0; done < size && status == ENGRAM_OK; done += PAYLOAD_MAX)
            status = io->write(io, file, (at + done) % ((uint64_t)60 << 20), bytes,
                               size - done < PAYLOAD_MAX ? size - done : PAYLOAD_MAX, error);
        if (status == ENGRAM_OK)
            status = io->sync(io, file, error);
        l.us[i] = (float)(now_us() - start);
        at += size;
    }
    io->close(io, &file);
    if (path != NULL)
        io->unlink(io, path, NULL);
    atomic_store(&l.count, PROBES);
    *us = status == ENGRAM_OK ? quantile(&l, 0.5) : 0;
    eg_free(l.us);
    eg_free(bytes);
    eg_free(path);
    return status;
}

/* ---- workers ---- */

static void fill_payload(uint8_t *bytes, size_t size, uint64_t *seed)
{
    for (size_t i = 0; i < size; i += 8) {
        uint64_t z = *seed += 0x9E3779B97F4A7C15u;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
        z = (z ^ z >> 27) * 0x94D049BB133111EBu;
        z ^= z >> 31;
        memcpy(bytes + i, &z, size - i < 8 ? size - i : 8);
    }
}

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
    uint8_t *bytes = eg_alloc(PAYLOAD_MAX);
    char path[64];
    if (bytes == NULL)
        w->status = ENGRAM_NO_MEMORY;
    while (w->status == ENGRAM_OK && !atomic_load_explicit(w->stop, memory_order_relaxed)) {
        fill_payload(bytes, w->row->payload, &seed);
        snprintf(path, sizeof path, "w%03u/%08" PRIu64, w->number, w->done);
        double start = now_us();
        w->status = put_one(w, path, bytes);
        note(w->latencies, now_us() - start);
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
        double start = now_us();
        w->status = engram_pin(w->engram, &view, &w->error);
        if (w->status == ENGRAM_OK)
            w->status = engram_read(view, path, 0, bytes, sizeof bytes, &got, &w->error);
        engram_unpin(&view);
        note(w->latencies, now_us() - start);
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

static engram_status remove_tree(const char *path, engram_error *error)
{
    pid_t child = fork(); /* rm knows how */
    if (child == 0) {
        execlp("rm", "rm", "-rf", "--", path, (char *)NULL);
        _exit(127);
    }
    int state = 0;
    if (child < 0 || waitpid(child, &state, 0) != child || state != 0)
        return eg_fail(error, ENGRAM_IO, "cannot remove %s", path);
    return ENGRAM_OK;
}

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
        fill_payload(bytes, sizeof bytes, &seed);
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
    latencies commits = {.us = eg_alloc(LATENCIES * sizeof(float))},
              reads = {.us = eg_alloc(LATENCIES * sizeof(float))};
    worker *workers = eg_alloc_zero(r->writers + r->readers + 1, sizeof *workers);
    engram_status status = commits.us != NULL && reads.us != NULL && workers != NULL
                               ? ENGRAM_OK
                               : eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
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
        out->commit_p50 = quantile(&commits, 0.5);
        out->commit_p99 = quantile(&commits, 0.99);
        out->commit_max = quantile(&commits, 1.0);
        out->read_p50 = quantile(&reads, 0.5);
        out->read_p99 = quantile(&reads, 0.99);
    }
    eg_free(commits.us);
    eg_free(reads.us);
    eg_free(workers);
    return status;
}

static engram_status in_fresh_engram(commit_bench *b, const row *r, outcome *out,
                                     engram_error *error)
{
    struct engram *e = NULL;
    EG_TRY(remove_tree(b->path, error));
    EG_TRY(engram_create(b->path, NULL, error));
    engram_status status = engram_open(b->path, NULL, &e, error);
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
        EG_TRY(probe_sync(b, r->payload, &lone_us, error));
        EG_TRY(probe_sync(b, r->payload * r->writers, &group_us, error));
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
        fill_payload(bytes, sizeof bytes, &seed);
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
    EG_TRY(remove_tree(b->path, error));
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
    if (payload == 0 || payload > PAYLOAD_MAX)
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
    engram_status removed = remove_tree(b.path, error);
    return status == ENGRAM_OK ? removed : status;
}
