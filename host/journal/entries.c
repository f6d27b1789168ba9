/* The word holds the signals and a bit that says that its thread sleeps, so that one that is awake
 * costs no system call. */
#include "journal/entries.h"

#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum { ASLEEP = 4, SIGNALS = EG_SIGNAL_DONE | EG_SIGNAL_CALLED };

void eg_entries_add(eg_entries *list, eg_group_entry *entry)
{
    entry->next = NULL;
    if (list->tail != NULL)
        list->tail->next = entry;
    else
        list->head = entry;
    list->tail = entry;
    list->count++;
}

void eg_entries_append(eg_entries *list, eg_entries *from)
{
    if (list->tail != NULL)
        list->tail->next = from->head;
    else
        list->head = from->head;
    if (from->tail != NULL)
        list->tail = from->tail;
    list->count += from->count;
    *from = (eg_entries){0};
}

void eg_entries_prepend(eg_entries *list, eg_entries *from)
{
    eg_entries_append(from, list);
    *list = *from;
    *from = (eg_entries){0};
}

eg_entries eg_entries_split(eg_entries *list, uint64_t count)
{
    eg_entries first = {0};
    while (first.count < count && list->head != NULL) {
        eg_group_entry *entry = list->head;
        list->head = entry->next;
        list->count--;
        eg_entries_add(&first, entry);
    }
    if (list->head == NULL)
        list->tail = NULL;
    return first;
}

static void wait_on(_Atomic uint32_t *word, uint32_t value, uint64_t deadline)
{
    struct timespec until = {.tv_sec = (time_t)(deadline / 1000000000u),
                             .tv_nsec = (long)(deadline % 1000000000u)};
    /* Of the two ways to wait this one takes a point in time. */
    syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, value, deadline != 0 ? &until : NULL, NULL,
            FUTEX_BITSET_MATCH_ANY);
}

static bool has_passed(uint64_t deadline)
{
    return deadline != 0 && eg_clock_monotonic_ns() >= deadline;
}

uint32_t eg_entry_sleep(eg_group_entry *entry, uint64_t deadline)
{
    uint32_t word = atomic_fetch_or(&entry->signals, ASLEEP) | ASLEEP;
    while ((word & SIGNALS) == 0 && !has_passed(deadline)) {
        wait_on(&entry->signals, word, deadline);
        word = atomic_load(&entry->signals);
    }
    word = atomic_fetch_and(&entry->signals, ~(uint32_t)(ASLEEP | EG_SIGNAL_CALLED));
    return word & SIGNALS;
}

uint32_t eg_entry_signals(const eg_group_entry *entry)
{
    return atomic_load(&entry->signals) & SIGNALS;
}

_Atomic uint32_t *eg_entry_mark(eg_group_entry *entry, uint32_t signal)
{
    uint32_t before = atomic_fetch_or(&entry->signals, signal);
    return before & ASLEEP ? &entry->signals : NULL;
}

void eg_entry_wake(_Atomic uint32_t *word)
{
    if (word != NULL)
        syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void eg_entry_sleep_in_cohort(eg_group_entry *entry, eg_cohorts *cohorts)
{
    _Atomic uint32_t *word = &cohorts->words[entry->cohort % EG_COHORTS];
    for (;;) {
        uint32_t value = atomic_load(word);
        if (eg_entry_signals(entry) & EG_SIGNAL_DONE)
            return;
        wait_on(word, value, 0);
    }
}

void eg_entries_finish(eg_entries *list, eg_cohorts *cohorts)
{
    uint32_t seen = 0; /* cohorts, a bit each */
    for (eg_group_entry *entry = list->head; entry != NULL;) {
        eg_group_entry *next = entry->next; /* the entry is gone once it is marked */
        if (entry->cohort != 0)
            seen |= 1u << entry->cohort % EG_COHORTS;
        eg_entry_wake(eg_entry_mark(entry, EG_SIGNAL_DONE));
        entry = next;
    }
    for (uint32_t i = 0; i < EG_COHORTS; i++)
        if (seen & 1u << i) {
            atomic_fetch_add(&cohorts->words[i], 1);
            syscall(SYS_futex, &cohorts->words[i], FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
        }
    *list = (eg_entries){0};
}
