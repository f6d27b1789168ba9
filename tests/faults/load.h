/* A load: random steps in one directory of an engram, and what must be there after each.
 *
 * A step is one commit or one call that changes nothing (a checkpoint). It follows from the load's state and its
 * random numbers alone, so whoever knows how many steps were taken knows every byte that must be there. A load
 * touches its own directory, its own snapshot, its file of counts, and two counters that all loads share:
 *
 *     NAME/f0 ... f7, NAME/d0 and d1 with f0 ... f2 in each; snapshot NAME-snap; counts/NAME; shared/c0, c1
 *
 * Everything here uses malloc, never eg_alloc, and aborts when it has none: tests make the engram fail, not
 * the test. One thread at a time for each load. */
#ifndef EG_FAULTS_LOAD_H
#define EG_FAULTS_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engram/engram.h"

enum { LOAD_SLOTS = 14, LOAD_TOP = 8, LOAD_IN_DIRECTORY = 3, LOAD_DIRECTORIES = 2, LOAD_COUNTERS = 2, LOAD_OPS = 4 };
enum { LOAD_CHUNK = 4096 }; /* engrams under load have chunks of this fixed size */

typedef struct load_file {
    bool there;
    uint8_t *bytes;
    size_t size;
    uint64_t version; /* of the commit that last changed it; 0: not known */
} load_file;

typedef struct load_tree {
    bool directory[LOAD_DIRECTORIES];
    load_file files[LOAD_SLOTS]; /* LOAD_TOP at the top, then those of each directory */
} load_tree;

typedef struct load {
    char name[16];
    uint64_t random;
    uint64_t steps; /* taken */
    load_tree now;
    bool snapped;
    load_tree then; /* what the snapshot holds */
    uint64_t counts[LOAD_COUNTERS];
} load;

typedef enum load_op_kind {
    LOAD_WRITE = 0, LOAD_STREAM, LOAD_WRITE_AT, LOAD_APPEND, LOAD_TRUNCATE, LOAD_UPDATE_CHUNK, LOAD_REMOVE,
    LOAD_RENAME, LOAD_MKDIR, LOAD_REMOVE_ALL, LOAD_RENAME_DIRECTORY, LOAD_COUNT, LOAD_ROLLBACK
} load_op_kind;

typedef struct load_op {
    load_op_kind kind;
    int a, b;          /* slots, directories or a counter */
    uint64_t offset;
    size_t size;
    uint64_t seed;     /* of the bytes */
    engram_expected expected; /* of a, or of b for a rename */
} load_op;

typedef enum load_step_kind { LOAD_COMMIT, LOAD_SNAPSHOT, LOAD_FORGET, LOAD_CHECKPOINT } load_step_kind;

typedef struct load_step {
    load_step_kind kind;
    engram_durability durability;
    engram_isolation isolation;
    size_t op_count;
    load_op ops[LOAD_OPS];
    uint64_t random; /* the load's after this step */
} load_step;

/* ---- load.c: the state ---- */

void load_init(load *l, const char *name, uint64_t seed);
void load_fini(load *l);
void load_copy(load *to, const load *from); /* to is raw memory or was finished */
void load_move(load *to, load *from);       /* to is finished first; from is raw memory afterwards */
/* The state after the step, which was committed as version (0: not known). */
void load_apply(load *l, const load_step *step, uint64_t version);
void load_apply_op(load_tree *tree, const load_op *op, uint64_t version);
void load_tree_copy(load_tree *to, const load_tree *from);
void load_tree_fini(load_tree *tree);
void load_fill(uint8_t *bytes, size_t size, uint64_t seed);
void load_path(char path[64], const char *name, int slot);
void load_directory_path(char path[64], const char *name, int directory);
/* The next random number. */
uint64_t load_draw(uint64_t *random);

/* ---- load_plan.c ---- */

/* The next step of a load in this state; it stays as it is until load_apply. */
void load_plan(const load *l, load_step *step);

/* ---- load_act.c ---- */

/* Makes what all loads need, shared/, counts/ and the counters, and their directories. */
engram_status load_prepare(struct engram *e, const load *loads, size_t count, engram_error *error);
/* Takes the step. *version: as engram_commit; 0 for a checkpoint. A transaction of one load conflicts with none
 * of another unless it counts or rolls back, and then it is repeated. */
engram_status load_act(struct engram *e, const load *l, const load_step *step, uint64_t *version, engram_error *error);

/* ---- load_check.c ---- */

/* Whether the newest version and the snapshot hold exactly this state; if not, why. */
bool load_check(struct engram *e, const load *l, char *why, size_t size);
/* Whether the shared counters are the sums of these loads' counts. */
bool load_check_counters(struct engram *e, const load *loads, size_t count, char *why, size_t size);

#endif
