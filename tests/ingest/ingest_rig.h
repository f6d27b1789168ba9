/* Trees on disk, runs of ingest and extract over them, and comparing what came out with what went
 * in. */
#ifndef EG_TESTS_INGEST_RIG_H
#define EG_TESTS_INGEST_RIG_H

#include <sys/stat.h>

#include "engram/rig.h"
#include "ingest/extract.h"
#include "ingest/ingest.h"

typedef struct ingest_rig {
    rig engram;
    eg_pool *pool;
    eg_device *device;
    char in[700], out[700]; /* below the temporary directory; in exists */
    bool mirror;
    eg_buffer issues; /* lines "path: reason" of all runs since issues_clear, with a zero byte at
                         the end */
    size_t issue_count;
    eg_source_options source_options;   /* issue and context are set */
    eg_extract_options extract_options; /* output, issue and context are set */
} ingest_rig;

void ingest_rig_init(ingest_rig *r);
void ingest_rig_fini(ingest_rig *r);

/* Files below r->in; parents must be there. */
void tree_write(ingest_rig *r, const char *path, const void *bytes, size_t size);
void tree_text(ingest_rig *r, const char *path, const char *text);
void tree_fill(ingest_rig *r, const char *path, size_t size, uint64_t seed);
void tree_mkdir(ingest_rig *r, const char *path);
void tree_link(ingest_rig *r, const char *target, const char *path); /* symbolic */
void tree_hard_link(ingest_rig *r, const char *from, const char *path);
void tree_remove(ingest_rig *r, const char *path);
void tree_time(ingest_rig *r, const char *path, int64_t seconds, long nanoseconds);
/* Something of everything: odd names, links, kinds, times, modes; deep_levels directories below
 * each other. */
void tree_odd(ingest_rig *r, int deep_levels);
/* Until the kernel's clock for files has moved: what is there now is older than the next run. */
void tree_settle(void);

void issues_clear(ingest_rig *r);
bool issues_have(const ingest_rig *r, const char *text);

/* One source through a run of its own. The source is closed. */
engram_status ingest_source(ingest_rig *r, eg_source *source, eg_ingest_stats *stats,
                            engram_error *error);
/* r->in as "." */
engram_status ingest_in(ingest_rig *r, eg_ingest_stats *stats, engram_error *error);
/* The newest version into r->out. */
engram_status extract_out(ingest_rig *r, eg_extract_stats *stats, engram_error *error);
void remove_out(ingest_rig *r);

/* Fails the test at the first difference between two trees: names, kinds, content, mode, owner,
 * times, targets, attributes, and which names are one file. The two directories' own attributes do
 * not count. */
void assert_same_tree(const char *a, const char *b);
/* extract_out into nothing, and assert_same_tree. */
void assert_round_trip(ingest_rig *r);

#endif
