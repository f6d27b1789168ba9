/* What was done to a disk, in order, and what of it a power cut may leave.
 *
 * The model. A file's data and size are durable up to its last sync (fdatasync of the file); a
 * name (made, renamed, removed) is durable once its directory was synced after it. Everything else
 * is *pending*, and of the pending operations any subset may have reached the disk, in any
 * combination across files and directories and in any order: what is applied is applied in the
 * order in which it was done, but each may be missing. So a file that was synced may have no name
 * (its directory was not synced), a name may lead to a file without its data, a rename may be
 * there without the bytes of the file renamed, an unlink without the create before it. A rename is
 * atomic: both names change or none. A file system such as ext4 or XFS orders its metadata and
 * allows only some of this; POSIX allows all of it.
 *
 * A sync covers what was done before it began, and is done when it stands in the trace; what other
 * threads did meanwhile it may miss.
 *
 * A write may be there in part. The disk writes sectors of 512 bytes whole: a sector has its old or
 * its new bytes, so what was durable before in a sector that a later write shares stays. Sectors of
 * one write are there in any combination. Where a write lets the file grow, the size may have grown
 * and the bytes be zeros, or garbage (a block's old content); garbage may also lie where pending
 * bytes were to replace durable ones, since a sector may be torn by the cut itself.
 *
 * Not modelled: durable data that changes (a disk's damage is another test's business), a sync
 * that lies (but see explore --lie), and the content of LOCK, which holds nothing. */
#ifndef EG_TESTS_CRASH_TRACE_H
#define EG_TESTS_CRASH_TRACE_H

#include "crash/image.h"

typedef enum op_kind {
    OP_MAKE, /* a file or a directory, and its name */
    OP_RENAME,
    OP_UNLINK,
    OP_WRITE,
    OP_TRUNCATE,
    OP_ALLOCATE,
    OP_SYNC,
    OP_SYNC_DIR,
    OP_MARK, /* not an operation: something happened in the workload here */
    OP_CUT   /* a power cut: the disk went on with what choices left */
} op_kind;

typedef struct op {
    op_kind kind;
    bool is_dir;
    bool is_lock;         /* changes the content of LOCK only */
    uint32_t node;        /* of data operations, syncs of files, OP_MAKE */
    uint32_t dir, to_dir; /* of name operations; dir also of OP_SYNC_DIR */
    char name[IMAGE_NAME_MAX + 1], to[IMAGE_NAME_MAX + 1];
    uint64_t offset, size; /* size: of a write or a range, or the new size of the file */
    uint8_t *data;         /* of OP_WRITE */
    size_t until;          /* of a sync: it began when so many operations were done; 0: at once */
    char *text;            /* of OP_MARK: what happened; of OP_CUT: choices_format of its choices */
} op;

typedef struct trace {
    image base; /* what was there, durably, before the first operation */
    op *ops;
    size_t count, capacity;
} trace;

void trace_init(trace *t, const image *base); /* base is copied */
void trace_fini(trace *t);
/* Takes data and text over. */
void trace_add(trace *t, op o);
void trace_add_copy(trace *t, const op *o);
/* Prints an operation in a line. */
void op_print(const op *o, char *out, size_t size);

/* What becomes of one pending operation. Others than writes are kept or dropped. */
typedef enum choice_kind {
    CHOICE_KEEP = 'k',
    CHOICE_DROP = 'd',
    CHOICE_SIZE = 'z',    /* the file grows, but the bytes are not there */
    CHOICE_GARBAGE = 'g', /* other bytes in their place */
    CHOICE_HEAD = 't',    /* torn: the first n sectors; the file ends with them if it grew */
    CHOICE_GROWN = 'c',   /* torn: the first n sectors; the file grew to its end */
    CHOICE_TAIL = 's',    /* torn: all but the first n sectors */
    CHOICE_ODD = 'o',     /* torn: every second sector */
    CHOICE_SPOILT = 'x'   /* the first n sectors, garbage behind them */
} choice_kind;

typedef struct choice {
    char kind;
    uint32_t sectors; /* of t, c, s and x */
} choice;

/* Sectors that a write touches. */
uint32_t op_sectors(const op *o);

/* "3kd2t5": three kept, one dropped, torn after 2 sectors, torn after 5: a count before a k or a d,
 * the sectors behind t, c, s, x. out has room for size. */
void choices_format(const choice *choices, size_t count, char *out, size_t size);
/* false unless text stands for exactly count choices; "all" keeps all, "none" drops all. */
bool choices_parse(const char *text, choice *choices, size_t count);

/* A disk at a step of a trace: `step` operations were done. */
typedef struct platter {
    const trace *trace;
    size_t step;
    image durable;
    size_t *pending; /* indices of operations, in order */
    size_t pending_count, pending_capacity;
} platter;

void platter_init(platter *p, const trace *t);
void platter_fini(platter *p);
void platter_advance(platter *p); /* one step */
/* What is there after a cut now; choices has pending_count items. */
image platter_cut(const platter *p, const choice *choices);

#endif
