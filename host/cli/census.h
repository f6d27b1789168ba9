/* How much there is to read, counted beside the run for those who watch it: the total that a rate
 * needs to become a time. A guess: what is excluded counts, and files may come and go. */
#ifndef EG_CLI_CENSUS_H
#define EG_CLI_CENSUS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct eg_census {
    pthread_t thread;
    bool started;
    atomic_bool stop, done;
    _Atomic uint64_t size;
    const char *base;
    char **inputs;
    int input_count;
} eg_census;

/* Starts counting in a thread of its own; base (may be NULL) and inputs are lent until stop. None
 * when input_count is 0 or no thread can be had: the total then stays unknown. */
void eg_census_start(eg_census *census, const char *base, char **inputs, int input_count);
/* Bytes of all regular files, or 0 while that is not known. */
uint64_t eg_census_total(eg_census *census);
void eg_census_stop(eg_census *census);

#endif
