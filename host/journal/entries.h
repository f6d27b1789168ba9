/* The entries of a group commit in lists, and how their threads sleep and are woken.
 *
 * A thread sleeps on its entry's own word, where it can be signalled alone, or, with the others of
 * its cohort, on a word that all of them share, so that one system call wakes them. Once an entry is
 * signalled as done its thread may return, and nothing but the address of its word is used from then on. */
#ifndef EG_JOURNAL_ENTRIES_H
#define EG_JOURNAL_ENTRIES_H

#include "journal/group.h"

typedef struct eg_entries {
    eg_group_entry *head, *tail;
    uint64_t count;
} eg_entries;

void eg_entries_add(eg_entries *list, eg_group_entry *entry);
/* Moves all of `from` behind those of list, or before them. */
void eg_entries_append(eg_entries *list, eg_entries *from);
void eg_entries_prepend(eg_entries *list, eg_entries *from);
/* Moves the first count entries out of list. */
eg_entries eg_entries_split(eg_entries *list, uint64_t count);

/* The shared words, by cohort; 0 is nobody's. Zero-initialise. Cohorts may share one: whoever wakes up looks at its entry. */
enum { EG_COHORTS = 16 };
typedef struct eg_cohorts {
    _Atomic uint32_t words[EG_COHORTS];
} eg_cohorts;

enum {
    EG_SIGNAL_DONE = 1,  /* published, refused or failed */
    EG_SIGNAL_CALLED = 2 /* there is a step for this thread to do */
};

/* Sleeps until the entry is signalled, or until `deadline` (monotonic, nanoseconds; 0: none); returns
 * the signals, and takes CALLED away. */
uint32_t eg_entry_sleep(eg_group_entry *entry, uint64_t deadline);
/* Sleeps with its cohort, which is not 0, until the entry is done. */
void eg_entry_sleep_in_cohort(eg_group_entry *entry, eg_cohorts *cohorts);
/* What has been signalled, and not taken away. */
uint32_t eg_entry_signals(const eg_group_entry *entry);
/* Signals without waking: the word to wake later, or NULL when the thread is not asleep. */
_Atomic uint32_t *eg_entry_mark(eg_group_entry *entry, uint32_t signal);
void eg_entry_wake(_Atomic uint32_t *word);
/* Signals all as done and wakes them. The list is gone. */
void eg_entries_finish(eg_entries *list, eg_cohorts *cohorts);

#endif
