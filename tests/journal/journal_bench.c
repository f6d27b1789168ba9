/* What group commit through the journal does of what the disk can: journal_bench [DIR [SECONDS
 * [SYNC_US]]].
 *
 * N writers commit records of one size, each as fast as its last commit returns. Beside it, in
 * turns and in the same directory, a bare loop of pwrite and fdatasync into a file whose blocks are
 * written, each write as large as a sync of the journal covered on average: t. The limit is N / t
 * commits a second. And a third loop, "gang": as many threads as there are writers, of which one
 * does that write and sync and wakes the others, which only come back: what waking takes, whoever
 * does it. The journal goes through its files all the while, as under checkpoints. With SYNC_US a
 * sync is a sleep of so many microseconds: the engine alone, on a disk that nobody else uses. */
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "journal/group.h"
#include "journal/journal.h"

enum { WRITERS_MAX = 100, PAYLOAD_MAX = 64 << 10, ROUNDS = 3, LATENCIES = 400000 };
static const uint64_t file_size = 64 << 20;

static const char *dir;
static double seconds = 0.7;

static eg_journal *journal;
static eg_group *group;
static atomic_bool stop;

static void must(engram_status status, const engram_error *error)
{
    if (status == ENGRAM_OK)
        return;
    fprintf(stderr, "journal_bench: %s\n", error->message);
    exit(1);
}

/* ---- the disk ---- */

static long sync_us;

static int sync_bare(int fd)
{
    return sync_us > 0 ? nanosleep(&(struct timespec){.tv_nsec = sync_us * 1000}, NULL)
                       : fdatasync(fd);
}

static engram_status sync_slept(eg_io *io, eg_file *file, engram_error *error)
{
    (void)io, (void)file, (void)error;
    sync_bare(-1);
    return ENGRAM_OK;
}

static eg_io *get_io(void)
{
    static eg_io io;
    io = *eg_io_posix();
    if (sync_us > 0)
        io.sync = sync_slept;
    return &io;
}

/* ---- the steps ---- */

typedef struct commit {
    eg_group_entry entry;
    eg_view operations;
} commit;

static engram_status take(void *context, eg_group_entry *entries, engram_error *error)
{
    (void)context;
    uint64_t sequence;
    for (eg_group_entry *e = entries; e != NULL; e = e->next)
        EG_TRY(eg_journal_append(journal, 1, 1, ((commit *)e)->operations, &sequence, error));
    return ENGRAM_OK;
}

static engram_status write_group(void *context, uint64_t *ticket, engram_error *error)
{
    ++*(uint64_t *)context;
    *ticket = *(uint64_t *)context;
    return eg_journal_flush(journal, error);
}

static engram_status sync_group(void *context, engram_error *error)
{
    (void)context;
    return eg_journal_sync(journal, error);
}

static void publish(void *context, uint64_t ticket)
{
    (void)context, (void)ticket;
}

/* ---- threads ---- */

static size_t payload;
static uint32_t latencies[LATENCIES]; /* us */
static atomic_uint_least64_t commits;

static void *commit_often(void *context)
{
    uint8_t *bytes = calloc(1, payload + 5);
    if (bytes == NULL)
        exit(1);
    bytes[0] = 8;
    eg_put_u32(bytes + 1, (uint32_t)payload);
    memset(bytes + 5, (int)(uintptr_t)context, payload);
    while (!atomic_load(&stop)) {
        commit c = {.operations = {bytes, payload + 5}};
        uint64_t start = eg_clock_monotonic_ns();
        must(eg_group_commit(group, &c.entry), &c.entry.error);
        uint64_t i = atomic_fetch_add(&commits, 1);
        latencies[i % LATENCIES] = (uint32_t)((eg_clock_monotonic_ns() - start) / 1000);
    }
    free(bytes);
    return NULL;
}

static engram_status rotate(void *context, engram_error *error)
{
    return eg_journal_rotate(journal, context, error);
}

/* As checkpoints do. */
static void *supply(void *context)
{
    (void)context;
    while (!atomic_load(&stop)) {
        engram_error error = {0};
        eg_journal_start start;
        must(eg_journal_prepare(journal, &error), &error);
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
        if (eg_journal_size(journal) < file_size / 4 * 3)
            continue;
        must(eg_group_at_boundary(group, rotate, &start, &error), &error);
        must(eg_group_drain(group, &error), &error);
        must(eg_journal_release(journal, start.file, &error), &error);
    }
    return NULL;
}

static void sleep_seconds(void)
{
    nanosleep(&(struct timespec){.tv_sec = (time_t)seconds,
                                 .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)},
              NULL);
}

static double run_writers(unsigned count)
{
    pthread_t threads[WRITERS_MAX + 1];
    atomic_store(&stop, false);
    atomic_store(&commits, 0);
    uint64_t start = eg_clock_monotonic_ns();
    pthread_create(&threads[count], NULL, supply, NULL);
    for (unsigned i = 0; i < count; i++)
        pthread_create(&threads[i], NULL, commit_often, (void *)(uintptr_t)(i + 1));
    sleep_seconds();
    uint64_t done = atomic_load(&commits);
    double took = (double)(eg_clock_monotonic_ns() - start) / 1e9;
    atomic_store(&stop, true);
    for (unsigned i = 0; i <= count; i++)
        pthread_join(threads[i], NULL);
    return (double)done / took;
}

/* ---- the bare loop ---- */

static int bare_file = -1;

static void make_bare_file(void)
{
    char path[5000];
    static char zeros[1 << 20];
    snprintf(path, sizeof path, "%s/bare", dir);
    bare_file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0666);
    if (bare_file < 0 || posix_fallocate(bare_file, 0, (off_t)file_size) != 0)
        exit(1);
    for (uint64_t at = 0; at < file_size; at += sizeof zeros)
        if (pwrite(bare_file, zeros, sizeof zeros, (off_t)at) != sizeof zeros)
            exit(1);
    fsync(bare_file);
    unlink(path);
}

static void write_bare(const void *bytes, size_t size)
{
    static uint64_t at;
    if (at + size > file_size)
        at = 0;
    if (pwrite(bare_file, bytes, size, (off_t)at) != (ssize_t)size || sync_bare(bare_file) != 0)
        exit(1);
    at += size;
}

/* Seconds of one write and sync. */
static double run_bare(size_t size)
{
    uint64_t start = eg_clock_monotonic_ns(), now = start, count = 0;
    char *bytes = calloc(1, size);
    if (bytes == NULL)
        exit(1);
    for (; (double)(now - start) < seconds * 1e9; now = eg_clock_monotonic_ns(), count++)
        write_bare(bytes, size);
    free(bytes);
    return (double)(now - start) / 1e9 / (double)count;
}

/* ---- the gang ---- */

static unsigned gang_size;
static size_t gang_write;
static atomic_uint gang_joined;
static _Atomic uint32_t gang_turn;
static uint64_t gang_cycles;
static char *gang_bytes;

static void *work_in_gang(void *context)
{
    (void)context;
    while (!atomic_load(&stop)) {
        uint32_t turn = atomic_load(&gang_turn);
        if (atomic_fetch_add(&gang_joined, 1) + 1 < gang_size) {
            while (atomic_load(&gang_turn) == turn && !atomic_load(&stop))
                syscall(SYS_futex, &gang_turn, FUTEX_WAIT_PRIVATE, turn, NULL, NULL, 0);
            continue;
        }
        write_bare(gang_bytes, gang_write);
        gang_cycles++;
        atomic_store(&gang_joined, 0);
        atomic_fetch_add(&gang_turn, 1);
        syscall(SYS_futex, &gang_turn, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    }
    return NULL;
}

/* Seconds of one turn of all. */
static double run_gang(unsigned count, size_t size)
{
    pthread_t threads[WRITERS_MAX];
    gang_size = count;
    gang_write = size;
    gang_cycles = 0;
    gang_bytes = calloc(1, size);
    if (gang_bytes == NULL)
        exit(1);
    atomic_store(&stop, false);
    atomic_store(&gang_joined, 0);
    uint64_t start = eg_clock_monotonic_ns();
    for (unsigned i = 0; i < count; i++)
        pthread_create(&threads[i], NULL, work_in_gang, NULL);
    sleep_seconds();
    atomic_store(&stop, true);
    atomic_fetch_add(&gang_turn, 1);
    syscall(SYS_futex, &gang_turn, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    for (unsigned i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    free(gang_bytes);
    return (double)(eg_clock_monotonic_ns() - start) / 1e9 / (double)gang_cycles;
}

/* ---- the table ---- */

typedef struct usage {
    double cpu_us, switches;
} usage;

static usage get_usage(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (usage){(double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1e6 +
                       (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec),
                   (double)r.ru_nvcsw};
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static uint32_t p99(void)
{
    uint64_t count = atomic_load(&commits);
    count = count < LATENCIES ? count : LATENCIES;
    qsort(latencies, count, sizeof *latencies, compare);
    return count > 0 ? latencies[count * 99 / 100] : 0;
}

static void measure(unsigned writers, size_t size)
{
    double rate = 0, bare = 0, gang = 0, per_sync = 0, waits = 0;
    double cpu = 0, switches = 0;
    uint32_t slow = 0;
    eg_group_metrics before, after;
    payload = size;
    for (unsigned round = 0; round < ROUNDS; round++) {
        eg_group_get_metrics(group, &before);
        usage start = get_usage();
        rate += run_writers(writers) / ROUNDS;
        usage stopped = get_usage();
        double all = (double)atomic_load(&commits) * ROUNDS;
        cpu += (stopped.cpu_us - start.cpu_us) / all;
        switches += (stopped.switches - start.switches) / all;
        eg_group_get_metrics(group, &after);
        uint64_t syncs = after.syncs - before.syncs + 1;
        double covered = (double)(after.entries - before.entries) / (double)syncs;
        uint32_t p = p99();
        slow = p > slow ? p : slow;
        per_sync += covered / ROUNDS;
        waits += (double)(after.waits - before.waits) / (double)syncs / ROUNDS;
        size_t written = (size_t)(covered * (double)(size + 66) + 0.5);
        bare += run_bare(written) / ROUNDS;
        gang += run_gang(writers, written) / ROUNDS;
    }
    printf("%7u %8zu %10.0f %9.1f %8.0f %8.0f %7.1f%% %7.1f%% %7.2f %6.2f %6.1f %6.2f %s\n",
           writers, size, rate, per_sync, bare * 1e6, gang * 1e6, 100 * rate * bare / writers,
           100 * rate * gang / writers, slow / 1e3, waits, cpu, switches,
           after.waiting_pays ? "waits" : "-");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static const unsigned writers[] = {1, 8, 32, 100};
    static const size_t sizes[] = {100, 4096, 65536};
    char path[4096];
    uint64_t tickets = 0;
    engram_error error = {0};
    eg_journal_end end = {0, 0, 1, 0};
    dir = argc > 1 ? argv[1] : ".";
    seconds = argc > 2 ? atof(argv[2]) : seconds;
    sync_us = argc > 3 ? atol(argv[3]) : 0;
    prctl(PR_SET_TIMERSLACK, 1UL);
    snprintf(path, sizeof path, "%s/journal_bench.XXXXXX", dir);
    if (mkdtemp(path) == NULL)
        exit(1);
    dir = path;
    make_bare_file();
    must(eg_journal_open(get_io(), path, &end, &(eg_journal_options){file_size}, &journal, &error),
         &error);
    eg_group_steps steps = {&tickets, take, write_group, sync_group, publish};
    must(eg_group_create(&steps, NULL, &group, &error), &error);
    payload = PAYLOAD_MAX; /* once through all files, so that they are recycled */
    for (int i = 0; i < 6; i++)
        run_writers(8);
    printf("writers  payload  commits/s  per sync  bare us  gang us   N/bare   N/gang  p99 ms  "
           "waits cpu us switch\n");
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (size_t w = 0; w < sizeof writers / sizeof *writers; w++)
            measure(writers[w], sizes[s]);
    eg_group_free(group);
    must(eg_journal_close(&journal, &end, &error), &error);
    snprintf(path + strlen(path), 32, "/%08llu.wal", (unsigned long long)end.file);
    unlink(path);
    *strrchr(path, '/') = 0;
    rmdir(path);
    return 0;
}
