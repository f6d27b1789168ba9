/* Reading by path: what a pinned version and a transaction have in common. */
#ifndef EG_ENGRAM_LOOK_H
#define EG_ENGRAM_LOOK_H

#include "engram/engram.h"
#include "engram/fs.h"
#include "engram/stage.h"

typedef struct eg_look { /* all lent */
    struct engram *engram;
    eg_root *root;
    eg_stage *stage; /* of a transaction: chunks that are not stored yet; NULL else */
} eg_look;

struct engram_view {
    struct engram *engram;
    struct eg_published *held;
    eg_root *root;
    uint64_t number, time_ns;
};

static inline eg_view eg_text_view(const char *text) { return (eg_view){(const uint8_t *)text, strlen(text)}; }

/* chunks is counted from the tree. */
engram_status eg_look_stat(const eg_look *look, uint64_t number, struct engram_stat *stat, engram_error *error);
engram_status eg_look_read(const eg_look *look, uint64_t number, uint64_t offset, void *bytes, size_t size, size_t *got, engram_error *error);
/* The chunk that holds offset. ENGRAM_NOT_FOUND beyond the end. */
engram_status eg_look_chunk(const eg_look *look, uint64_t number, uint64_t offset, uint64_t *begin, eg_chunk_ref *ref, engram_error *error);

/* Called for each inode and directory that a walk looks at; may be NULL. */
typedef engram_status eg_look_touch(void *context, uint64_t number, bool listed, engram_error *error);
typedef struct eg_walk {
    const engram_filter *filter; /* may be NULL */
    engram_entry_visit *visit;
    eg_look_touch *touch;
    void *context, *touch_context;
} eg_walk;
/* From the inode at path on. */
engram_status eg_look_list(const eg_look *look, const char *path, uint64_t number, const eg_walk *walk, engram_error *error);
/* What differs between an inode of one version and one of another, their names and what lies below apart; 0: nothing. */
engram_status eg_look_compare(eg_root *from, uint64_t before, eg_root *to, uint64_t after, engram_change_kind *what, engram_error *error);
/* * and ? within a name, ** across, \ before a character that means itself. */
bool eg_glob_match(const char *glob, const char *path);

#endif
