/* A table that the signal handler can walk without a lock: slots are claimed by a compare-and-swap
 * on their start, and their end is what makes them count. The handler runs on the thread that
 * touched the page, so that thread's reads of the table come after its own uses of the mapping. */
#include "base/map_guard.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SLOTS = 1 << 16 };

static struct {
    atomic_uintptr_t start; /* 0: free */
    atomic_uintptr_t end;   /* 0: not yet, or no more */
    atomic_bool lost;
} slots[SLOTS];
static atomic_size_t used; /* slots below have been claimed at some time */
static struct sigaction before;
static uintptr_t page_size;

/* Replaces the page; false when no guarded mapping has it. */
static bool replace_page(uintptr_t at)
{
    size_t count = atomic_load(&used);
    for (size_t i = 0; i < count; i++) {
        uintptr_t start = atomic_load(&slots[i].start), end = atomic_load(&slots[i].end);
        if (at < start || at >= end)
            continue;
        atomic_store(&slots[i].lost, true);
        void *page = (void *)(at & ~(page_size - 1));
        /* The system call itself: inside a signal handler nothing of the C library is called on. */
        return syscall(SYS_mmap, page, page_size, PROT_READ,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == (long)page;
    }
    return false;
}

static void on_bus_error(int number, siginfo_t *info, void *context)
{
    int saved = errno;
    bool replaced = replace_page((uintptr_t)info->si_addr);
    errno = saved;
    if (replaced)
        return;
    if ((before.sa_flags & SA_SIGINFO) != 0)
        before.sa_sigaction(number, info, context);
    else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN)
        before.sa_handler(number);
    else
        signal(number, SIG_DFL); /* the access is tried again, and ends the process */
}

/* Takes the signal, also back from whoever took it in the meantime. */
static void install(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct sigaction present, ours = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
    sigemptyset(&ours.sa_mask);
    pthread_mutex_lock(&lock);
    page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
    sigaction(SIGBUS, NULL, &present);
    if ((present.sa_flags & SA_SIGINFO) == 0 || present.sa_sigaction != on_bus_error) {
        before = present;
        sigaction(SIGBUS, &ours, NULL);
    }
    pthread_mutex_unlock(&lock);
}

engram_status eg_map_guard_add(const uint8_t *bytes, size_t size, engram_error *error)
{
    install();
    for (size_t i = 0; i < SLOTS; i++) {
        uintptr_t none = 0;
        if (!atomic_compare_exchange_strong(&slots[i].start, &none, (uintptr_t)bytes))
            continue;
        atomic_store(&slots[i].lost, false);
        atomic_store(&slots[i].end, (uintptr_t)bytes + size);
        size_t seen = atomic_load(&used);
        while (seen < i + 1 && !atomic_compare_exchange_weak(&used, &seen, i + 1)) {
        }
        return ENGRAM_OK;
    }
    return eg_fail(error, ENGRAM_BUSY, "more than %d mapped files at once", SLOTS);
}

/* The slot of a mapping, or SLOTS. */
static size_t find(const uint8_t *bytes)
{
    size_t count = atomic_load(&used), i = 0;
    while (i < count &&
           (atomic_load(&slots[i].start) != (uintptr_t)bytes || atomic_load(&slots[i].end) == 0))
        i++;
    return i < count ? i : SLOTS;
}

void eg_map_guard_remove(const uint8_t *bytes)
{
    size_t i = find(bytes);
    if (i == SLOTS)
        return;
    atomic_store(&slots[i].end, 0);
    atomic_store(&slots[i].start, 0);
}

bool eg_map_guard_lost(const uint8_t *bytes)
{
    size_t i = find(bytes);
    return i != SLOTS && atomic_load(&slots[i].lost);
}
