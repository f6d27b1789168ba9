/* What the two ways of engram verify share: everything, or one version. */
#ifndef EG_CLI_VERIFY_H
#define EG_CLI_VERIFY_H

#include "cli/cli.h"

typedef struct eg_verification {
    eg_cli *cli;
    json_t *problems;
    uint64_t count;
    uint64_t bytes_done;
    pthread_mutex_t lock; /* problems come from several threads */
} eg_verification;

/* Prints a problem, or collects it; any thread. */
void eg_verification_problem(eg_verification *verification, const char *message);

/* Reads every file of the version that when names. ENGRAM_OK also when there are problems. */
engram_status eg_verify_at(eg_verification *verification, const char *when, uint64_t *version,
                           uint64_t *files, engram_error *error);

/* verify --repair; the engram is not open. */
engram_status eg_cli_repair(eg_cli *cli, bool dry_run, engram_error *error);

#endif
