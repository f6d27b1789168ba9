#include "store/shadow.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"

static eg_io io;
static temp_dir dir;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of what follows, and around copying */
static pthread_cond_t released = PTHREAD_COND_INITIALIZER;
static long syncs_left;
static bool is_held;
static shadow_point held_at;
static int waiting_count;
static pthread_t holder;

static void copy_range(int from, int to, off_t offset, off_t end)
{
    uint8_t bytes[65536];
    while (offset < end) {
        size_t want = end - offset < (off_t)sizeof bytes ? (size_t)(end - offset) : sizeof bytes;
        ssize_t got = pread(from, bytes, want, offset);
        if (got <= 0)
            return; /* the file was cut meanwhile */
        assert_int_equal(pwrite(to, bytes, (size_t)got, offset), got);
        offset += got;
    }
}

/* Holes stay holes: active segments are mostly that. */
static void copy_file(const char *path)
{
    char final[700], temporary[710];
    snprintf(final, sizeof final, "%s%s", dir.path, strrchr(path, '/'));
    snprintf(temporary, sizeof temporary, "%s.tmp", final);
    int from = open(path, O_RDONLY), to = open(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(from >= 0 && to >= 0);
    assert_int_equal(ftruncate(to, lseek(from, 0, SEEK_END)), 0);
    for (off_t at = 0; (at = lseek(from, at, SEEK_DATA)) >= 0;) {
        off_t end = lseek(from, at, SEEK_HOLE);
        copy_range(from, to, at, end);
        at = end;
    }
    close(from);
    close(to);
    assert_int_equal(rename(temporary, final), 0);
}

static bool has_to_wait(uint64_t offset, size_t size)
{
    if (!is_held || pthread_equal(pthread_self(), holder))
        return false;
    return held_at == SHADOW_SECTIONS ? offset >= 4096 : offset == 512 && size == 256;
}

static engram_status wait_and_write(eg_io *unused, eg_file *file, uint64_t offset,
                                    const void *bytes, size_t size, engram_error *error)
{
    eg_io *real = rig_io();
    (void)unused;
    pthread_mutex_lock(&lock);
    waiting_count++;
    while (has_to_wait(offset, size))
        pthread_cond_wait(&released, &lock);
    waiting_count--;
    pthread_mutex_unlock(&lock);
    return real->write(real, file, offset, bytes, size, error);
}

static engram_status copy_on_sync(eg_io *unused, eg_file *file, engram_error *error)
{
    (void)unused, (void)error;
    pthread_mutex_lock(&lock);
    if (syncs_left > 0) {
        syncs_left--;
        copy_file(eg_file_name(file));
    }
    pthread_mutex_unlock(&lock);
    return ENGRAM_OK;
}

void shadow_start(rig *r, long syncs)
{
    io = *rig_io();
    io.sync = copy_on_sync;
    io.write = wait_and_write;
    assert_int_equal(temp_dir_init(&dir), 0);
    syncs_left = syncs;
    is_held = false;
    r->io = &io;
}

void shadow_end(void)
{
    temp_dir_fini(&dir);
}

bool shadow_is_cut(void)
{
    pthread_mutex_lock(&lock);
    bool is_cut = syncs_left == 0;
    pthread_mutex_unlock(&lock);
    return is_cut;
}

void shadow_cut(void)
{
    pthread_mutex_lock(&lock);
    syncs_left = 0;
    pthread_mutex_unlock(&lock);
}

void shadow_hold(shadow_point point)
{
    pthread_mutex_lock(&lock);
    is_held = true;
    held_at = point;
    holder = pthread_self();
    pthread_mutex_unlock(&lock);
}

bool shadow_is_waited_for(void)
{
    pthread_mutex_lock(&lock);
    bool is = waiting_count > 0;
    pthread_mutex_unlock(&lock);
    return is;
}

void shadow_release(void)
{
    pthread_mutex_lock(&lock);
    is_held = false;
    pthread_cond_broadcast(&released);
    pthread_mutex_unlock(&lock);
}

void known_take(known *k, eg_store *store)
{
    eg_segment_state *taken;
    size_t count;
    assert_ok(eg_store_take_synced(store, &taken, &count, error));
    assert_int_equal(taken == NULL, count == 0);
    for (size_t i = 0; i < count; i++) {
        eg_segment_state *last = &k->states[k->count - (k->count > 0)];
        if (k->count > 0 && last->id == taken[i].id) {
            assert_true(taken[i].chunk_count > last->chunk_count);
            *last = taken[i];
            continue;
        }
        assert_true(k->count < 400);
        assert_true(k->count == 0 || taken[i].id > last->id);
        k->states[k->count++] = taken[i];
    }
    eg_free(taken);
}

size_t known_chunks(const known *k)
{
    size_t count = 0;
    for (size_t i = 0; i < k->count; i++)
        count += (size_t)k->states[i].chunk_count;
    return count;
}

rig shadow_view(const rig *r, known *k)
{
    rig view = *r;
    view.dir = dir;
    view.io = rig_io();
    view.store = NULL;
    view.states = k->states;
    view.state_count = k->count;
    return view;
}

void shadow_check(const rig *r, known *k)
{
    rig view = shadow_view(r, k);
    view.options.dedup = false;
    rig_open_reader(&view);
    rig_check_exactly(&view, known_chunks(k));
    eg_store_close(&view.store);
}
