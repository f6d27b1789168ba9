/* Engrams to be damaged and repaired, and what must hold after a repair.
 *
 * After it, the engram opens; a file of the newest version, of a snapshot or of a labelled version is exact,
 * or as another version had it and told so, or reading it fails; verify finds nothing but what is lost; a
 * second repair changes nothing; what was damaged is in the quarantine; and a dry run before it told the
 * same and changed no byte. */
#ifndef EG_TESTS_ENGRAM_REPAIR_RIG_H
#define EG_TESTS_ENGRAM_REPAIR_RIG_H

#include "engram/folder.h"
#include "engram/internal.h"
#include "engram/rig.h"

/* ---- what an engram holds ---- */

enum { STORED_MAX = 16, STATES_MAX = 8, NAMED_MAX = 8 };

/* What stored files were in the course of versions. */
typedef struct stored {
    const char *path;
    const uint8_t *states[STATES_MAX]; /* oldest first */
    size_t sizes[STATES_MAX];
    size_t count;
} stored;

void repair_rig_init(void); /* once: the bytes that are stored, and where */
/* Closed twice, so that there are sealed segments of several, snapshots, a label, and old states. */
void repair_rig_fill(rig *r);
extern size_t stored_count; /* as they are known below */
/* Each is remembered; of the states at a snapshot or a label too. Forgetting comes first. */
void repair_rig_forget(void);
void repair_rig_note(size_t index, const char *path, const uint8_t *bytes, size_t size);
void rig_store(rig *r, size_t index, const char *path, const uint8_t *bytes, size_t size);
void rig_label(rig *r, const char *text);
void rig_snapshot(rig *r, const char *name);
/* In one transaction of the library; small ones travel in the journal. */
void rig_write(rig *r, const char *path, const uint8_t *bytes, size_t size);

/* ---- a repair, judged ---- */

typedef struct telling { /* what a repair tells */
    size_t steps, losses;
    bool journal_is_lost; /* a part of it */
    char first[400], lost[400];
    uint64_t hash; /* of all sentences */
} telling;

engram_status rig_repair(const rig *r, bool dry_run, telling *t, engram_repaired *done, engram_error *error);

typedef struct outcome {
    bool needed;
    size_t exact; /* files of the newest version */
    size_t losses;
    bool journal_is_lost;
} outcome;

extern const char *damage_name; /* for messages */
extern bool may_be_torn;        /* a log that ends early may be a crash: then nobody knows of a loss */

/* Looks at what was repaired: *lost, what verify says is lost; gives the number of exact files. */
size_t repair_check(rig *r, bool may_lack, size_t *lost);
/* Somebody goes on working with it; verify does not find more than `lost`. */
void repair_use(rig *r, size_t lost);
/* Repairs what is at r->dir, and looks at it from all sides. */
outcome repair_judge(rig *r);

/* ---- copies to be damaged ---- */

typedef struct bench {
    rig rig;        /* its dir is the damaged copy */
    char good[600]; /* the fixture */
    char damaged[700];
    bool crashed;
    folder_listing files;
    size_t tried, needed, whole, losing;
} bench;

/* fill: what the fixture holds. crashed: as a writer left it that was killed. */
void bench_init(bench *b, void (*fill)(rig *), bool crashed);
/* Changes the tree of the checkpoint's version of the copy, of an engram that was closed, as no program does. */
void bench_edit(const bench *b, void (*change)(eg_edit *edit));
void bench_fini(bench *b); /* tells the figures */
void bench_copy(bench *b); /* a fresh one, in place of that before */
/* The copy as it is now, and whether, after a repair and a writer, that is kept. */
void bench_remember(bench *b);
void bench_check_kept(bench *b, bool journal_is_lost);
outcome bench_judge(bench *b); /* also of what the quarantine must have */
void bench_path(const bench *b, size_t file, char path[FOLDER_PATH_MAX]);
void bench_name(const bench *b, size_t file, const char *what, uint64_t at);

#endif
