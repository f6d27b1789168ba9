/* Crashes are made with the twin that fails: once every call fails, closing changes nothing. */
#include "journal/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <unistd.h>

#include "fault/faulty_io.h"

static const uint64_t fnv_start = 0xcbf29ce484222325u;

uint64_t test_random(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

uint64_t test_seed(uint64_t seed)
{
    const char *text = getenv("ENGRAM_TEST_SEED");
    if (text != NULL)
        seed = strtoull(text, NULL, 0);
    printf("seed 0x%" PRIx64 "\n", seed);
    return seed;
}

/* ---- files ---- */

static engram_status skip_sync(eg_io *io, eg_file *file, engram_error *error)
{
    (void)io, (void)file, (void)error;
    return ENGRAM_OK;
}

static engram_status skip_sync_dir(eg_io *io, const char *path, engram_error *error)
{
    (void)io, (void)path, (void)error;
    return ENGRAM_OK;
}

eg_io *quick_io(void)
{
    static eg_io quick;
    if (quick.open == NULL) {
        quick = *eg_io_posix();
        quick.sync = skip_sync;
        quick.sync_dir = skip_sync_dir;
    }
    return &quick;
}

int setup_dir(void **state)
{
    const char *base = getenv("TMPDIR");
    char *dir = malloc(4096);
    if (dir == NULL)
        return -1;
    snprintf(dir, 4096, "%s/engram-journal-XXXXXX", base ? base : "/tmp");
    *state = dir;
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *where)
{
    (void)about, (void)kind;
    return where->level > 0 ? remove(path) : 0;
}

void empty_dir(const char *dir)
{
    nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

int teardown_dir(void **state)
{
    empty_dir(*state);
    int result = rmdir(*state);
    free(*state);
    return result;
}

static const char *path_in(const char *dir, const char *name)
{
    static char path[8192];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

const char *wal_name(uint64_t number)
{
    static char names[4][32];
    static unsigned next;
    char *name = names[next++ % 4];
    snprintf(name, sizeof *names, "%08" PRIu64 ".wal", number);
    return name;
}

bool has_file(const char *dir, const char *name)
{
    return access(path_in(dir, name), F_OK) == 0;
}

bytes load_file(const char *dir, const char *name)
{
    bytes all = {0};
    FILE *file = fopen(path_in(dir, name), "rb");
    if (file == NULL)
        return all;
    fseek(file, 0, SEEK_END);
    all.size = (size_t)ftell(file);
    rewind(file);
    all.data = malloc(all.size + 1);
    assert_non_null(all.data);
    assert_int_equal(fread(all.data, 1, all.size, file), all.size);
    fclose(file);
    return all;
}

/* Not truncated first: some file systems flush a file that is, and the tests store many. */
void store_file(const char *dir, const char *name, const void *data, size_t size)
{
    int fd = open(path_in(dir, name), O_WRONLY | O_CREAT, 0666);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, size, 0), size);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    assert_int_equal(close(fd), 0);
}

/* ---- operations ---- */

static size_t put_operation(uint64_t *random, uint8_t *at, size_t room)
{
    uint64_t r = test_random(random);
    if (room < 64 || r % 8 == 0) {
        at[0] = 6;
        return 1;
    }
    if (r % 8 == 1) {
        at[0] = 2;
        eg_put_u64(at + 1, test_random(random));
        return 9;
    }
    size_t size = (r >> 8) % (r % 8 == 2 ? room - 4 : room / 8 < 60 ? room - 4 : 60);
    at[0] = (uint8_t)(8 + (r >> 56) % 248);
    eg_put_u32(at + 1, (uint32_t)size);
    for (size_t i = 0; i < size; i++)
        at[5 + i] = (uint8_t)((i * i + r) >> (i % 5));
    return 5 + size;
}

bytes make_operations(uint64_t *random, size_t size)
{
    bytes all = {malloc(size + 1), 0};
    assert_non_null(all.data);
    while (all.size < size) {
        size_t room = size - all.size;
        all.size += put_operation(random, all.data + all.size, room > 15000000 ? 15000000 : room);
    }
    return all;
}

/* ---- lists of records ---- */

uint64_t hash_bytes(uint64_t hash, const void *data, size_t size)
{
    const uint8_t *p = data;
    hash = hash ? hash : fnv_start;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ p[i]) * 0x100000001b3u;
    return hash;
}

void entries_add(entries *list, entry item)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? 2 * list->capacity : 64;
        list->items = realloc(list->items, list->capacity * sizeof *list->items);
        assert_non_null(list->items);
    }
    list->items[list->count++] = item;
}

void entries_free(entries *list)
{
    free(list->items);
    *list = (entries){0};
}

bool entries_equal(const entry *a, const entry *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (a[i].state != b[i].state || a[i].transaction != b[i].transaction ||
            a[i].time_ns != b[i].time_ns || a[i].sequence != b[i].sequence ||
            a[i].size != b[i].size || a[i].hash != b[i].hash)
            return false;
    return true;
}

static engram_status collect(void *context, const eg_record *record, engram_error *error)
{
    (void)error;
    entries_add(context, (entry){record->state, record->transaction, record->time_ns,
                                 record->sequence, record->operations.size,
                                 hash_bytes(0, record->operations.data, record->operations.size)});
    return ENGRAM_OK;
}

/* ---- journals ---- */

engram_status read_log(eg_io *io, const char *dir, eg_journal_start start, uint64_t durable,
                       entries *list, eg_journal_end *end, engram_error *error)
{
    list->count = 0;
    memset(error, 0, sizeof *error);
    return eg_journal_read(io, dir, start, durable, collect, list, end, error);
}

eg_journal_end read_whole_log(const char *dir, entries *list)
{
    eg_journal_end end = {0, 0, 1, 0};
    engram_error error;
    list->count = 0;
    if (!has_file(dir, wal_name(1)))
        return end;
    engram_status status =
        read_log(eg_io_posix(), dir, (eg_journal_start){1, 1}, 0, list, &end, &error);
    if (status != ENGRAM_OK)
        fail_msg("%s", error.message);
    return end;
}

static eg_faulty *crashing(void)
{
    static eg_faulty *faulty;
    if (faulty == NULL)
        assert_int_equal(eg_faulty_create(quick_io(), &faulty), ENGRAM_OK);
    return faulty;
}

eg_io *crash_io(void)
{
    return eg_faulty_io(crashing());
}

void crash(eg_journal *journal)
{
    eg_faulty_fail_at(crashing(), EG_FAULTY_ANY, 1, EIO, EG_FAULTY_FOREVER);
    assert_int_not_equal(eg_journal_close(&journal, NULL, NULL), ENGRAM_OK);
    eg_faulty_fail_at(crashing(), EG_FAULTY_ANY, 0, 0, EG_FAULTY_ONCE);
}

eg_journal *open_log(const char *dir, uint64_t file_size)
{
    entries list = {0};
    engram_error error = {0};
    eg_journal *journal;
    eg_journal_end end = read_whole_log(dir, &list);
    entries_free(&list);
    if (eg_journal_open(crash_io(), dir, &end, &(eg_journal_options){file_size}, &journal, &error))
        fail_msg("%s", error.message);
    return journal;
}

uint64_t commit(eg_journal *journal, uint64_t transaction, bytes operations)
{
    uint64_t sequence = 0;
    eg_view view = {operations.data, operations.size};
    engram_error error = {0};
    if (eg_journal_append(journal, transaction, 1000 + transaction, view, &sequence, &error) ||
        eg_journal_flush(journal, &error) || eg_journal_sync(journal, &error))
        fail_msg("%s", error.message);
    assert_int_equal(eg_journal_durable(journal), sequence);
    return sequence;
}

bytes text_operation(const char *text)
{
    size_t size = strlen(text);
    bytes all = {malloc(size + 5), size + 5};
    assert_non_null(all.data);
    all.data[0] = 8;
    eg_put_u32(all.data + 1, (uint32_t)size);
    memcpy(all.data + 5, text, size);
    return all;
}

uint64_t commit_text(eg_journal *journal, uint64_t transaction, const char *text)
{
    bytes operations = text_operation(text);
    uint64_t sequence = commit(journal, transaction, operations);
    free(operations.data);
    return sequence;
}

void close_log(eg_journal *journal, eg_journal_end *end)
{
    engram_error error = {0};
    if (eg_journal_close(&journal, end, &error))
        fail_msg("%s", error.message);
    assert_null(journal);
}
