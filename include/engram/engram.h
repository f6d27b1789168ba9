/* An engram as a C library: a directory that holds a tree of files in versions.
 *
 * Any number of threads of one process write, through transactions; other processes read beside them. Every commit
 * makes the next version, a number. A reader pins a version and sees exactly it, whatever is written meanwhile:
 * pinning and reading wait for nobody and make nobody wait.
 *
 * A transaction starts from the version that is newest at its beginning, sees its own writes, and commits as a
 * whole or not at all. Commits are optimistic: what a transaction read and wrote is looked at again when it
 * commits, and if another one was faster the commit gives ENGRAM_CONFLICT. New files and disjoint files never
 * conflict. engram_run repeats a transaction by a policy.
 *
 * Paths are bytes with '/' between names, without a leading '/'; "" is the root directory. They end with a zero
 * byte here. Names have 1 to 255 bytes and are not "." or ".."; paths at most 4,095.
 *
 * Functions return an engram_status (engram/status.h); the last parameter, which may be NULL, receives the sentence.
 * Strings and buffers that are passed in are lent for the call; those that are handed to callbacks are lent for the
 * callback. A visit may use the transaction that it walks, and sees the view from before; a source may not use the one
 * it fills. Unless said otherwise every function may be called by any thread, a transaction and a view's
 * release by one at a time. */
#ifndef ENGRAM_ENGRAM_H
#define ENGRAM_ENGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engram/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct engram;                                        /* an open one */
typedef struct engram_view engram_view;               /* a pinned version */
typedef struct engram_transaction engram_transaction; /* one thread at a time */

/* ---- opening ---- */

typedef enum engram_durability {
    ENGRAM_DURABILITY_DEFAULT = 0, /* what the engram was opened with; there: GROUP */
    ENGRAM_DURABILITY_GROUP,       /* on disk when the call returns; syncs are shared by all who wait */
    ENGRAM_DURABILITY_IMMEDIATE,   /* on disk when the call returns, one sync for this commit alone */
    ENGRAM_DURABILITY_RELAXED      /* the system writes it when it likes; a crash loses the last ones, whole */
} engram_durability;

typedef struct engram_settings { /* zero: the defaults */
    bool read_only;
    engram_durability durability;
    uint64_t memory;         /* bytes for caches and changed tree nodes; 0: 96 MiB */
    uint64_t journal_size;   /* bytes of journal after which a checkpoint is made; 0: 64 MiB */
    uint32_t checkpoint_s;   /* seconds after which one is made if anything was committed; 0: 300 */
    uint64_t small_size;     /* up to so many bytes of new data travel in the journal record; 0: 64 KiB */
    uint32_t group_ops;      /* most commits that share a sync; 0: 1,024 (a device's batch) */
    uint32_t group_delay_us; /* ceiling of the time a group stays open; 0: 5,000 */
    bool no_compaction;      /* compact only when asked (engram_gc, engram_compact), not by itself */
    uint64_t compaction_rate; /* bytes a second that a compaction by itself reads and writes; 0: 32 MiB */
} engram_settings;

typedef struct engram_format { /* fixed at creation, but for level; zero: the defaults */
    const char *chunk;   /* "cdc:AVERAGE" or "fixed:SIZE"; NULL: "cdc:16384" */
    uint64_t seed;       /* of the codebook */
    int level;           /* 1 fast ... 9 small; 0: 3 */
} engram_format;

/* Makes directory and an empty engram in it, durably. ENGRAM_EXISTS when it holds one, ENGRAM_INVALID when it holds
 * anything else. */
ENGRAM_API engram_status engram_create(const char *directory, const engram_format *format, engram_error *error);
/* settings may be NULL. ENGRAM_NOT_ENGRAM, ENGRAM_LOCKED (the sentence names the writing process), ENGRAM_NEWER,
 * ENGRAM_DAMAGED. Recovers what a crash left. */
ENGRAM_API engram_status engram_open(const char *directory, const engram_settings *settings, struct engram **opened, engram_error *error);
/* No transaction and no view may be left. Everything committed is durable afterwards, also relaxed commits. The engram
 * is gone also on failure. NULL is fine. */
ENGRAM_API engram_status engram_close(struct engram **opened, engram_error *error);
/* Everything committed so far becomes durable, in the tree's own files, and the journal before it is released. */
ENGRAM_API engram_status engram_checkpoint(struct engram *e, engram_error *error);

/* ---- versions ---- */

/* Pins the newest version. Waits for nobody. */
ENGRAM_API engram_status engram_pin(struct engram *e, engram_view **view, engram_error *error);
/* Pins a version named by text: a version number, a snapshot, or a time (2026-11-27T10:00:00Z, 2026-11-27, "3 hours
 * ago", "yesterday"; the newest retained version not younger). NULL or "": the newest.
 * ENGRAM_NOT_FOUND when it is not retained; the sentence names the retained ones beside it. */
ENGRAM_API engram_status engram_pin_at(struct engram *e, const char *text, engram_view **view, engram_error *error);
ENGRAM_API void engram_unpin(engram_view **view); /* NULL is fine */
ENGRAM_API uint64_t engram_view_version(const engram_view *view);
ENGRAM_API uint64_t engram_view_time_ns(const engram_view *view); /* of its commit, since the epoch */

typedef struct engram_retained {
    uint64_t version, time_ns;
    const char *label;     /* of an encode run; "" when none */
    const char *snapshot;  /* the first snapshot that names it; "" when none */
    bool newest;
} engram_retained;
typedef engram_status engram_retained_visit(void *context, const engram_retained *retained, engram_error *error);
/* Versions that can be pinned, oldest first. The members of a commit group become visible together and are
 * retained as one, under the last one's number. */
ENGRAM_API engram_status engram_versions(struct engram *e, engram_retained_visit *visit, void *context, engram_error *error);

/* What is kept of old versions beside snapshots and labelled ones. A version is kept if any rule keeps it. */
typedef struct engram_retention {
    uint64_t every_s;     /* every version younger than this many seconds; default 3,600 */
    uint32_t last;        /* the last so many */
    uint32_t hourly, daily, weekly, monthly, yearly; /* the newest of each of the last so many periods that have any */
    uint32_t runs;        /* of the labelled versions the last so many; 0: all; ENGRAM_RUNS_NONE: none */
} engram_retention;
#define ENGRAM_RUNS_NONE UINT32_MAX
ENGRAM_API void engram_get_retention(struct engram *e, engram_retention *retention);
/* Durable when it returns; applied at each checkpoint from then on. */
ENGRAM_API engram_status engram_set_retention(struct engram *e, const engram_retention *retention, engram_error *error);

/* ---- reading ---- */

typedef enum engram_kind {
    ENGRAM_KIND_FILE = 1,
    ENGRAM_KIND_DIRECTORY = 2,
    ENGRAM_KIND_SYMLINK = 3,
    ENGRAM_KIND_FIFO = 4,
    ENGRAM_KIND_CHAR_DEVICE = 5,
    ENGRAM_KIND_BLOCK_DEVICE = 6
} engram_kind;
ENGRAM_API const char *engram_kind_name(engram_kind kind); /* "file", "directory", "symlink", ... */

struct engram_stat {
    engram_kind kind;
    uint64_t inode;            /* never given out again */
    uint64_t version;          /* of the commit that last changed it; the token is inode.version */
    uint64_t created_version;
    uint64_t created_ns, modified_ns; /* in the struct engram */
    uint64_t size, chunks;     /* bytes of content (of a link's target); chunk references */
    uint32_t mode, uid, gid, links; /* mode: 07777 */
    int64_t mtime_s;
    uint32_t mtime_ns;
    uint64_t device;           /* of a device node */
};

/* ENGRAM_NOT_FOUND names the path. Links are not followed. */
ENGRAM_API engram_status engram_stat(engram_view *view, const char *path, struct engram_stat *stat, engram_error *error);
/* Up to size bytes of a file's content from offset; *got is less only at its end. */
ENGRAM_API engram_status engram_read(engram_view *view, const char *path, uint64_t offset, void *bytes, size_t size, size_t *got, engram_error *error);
/* The same by inode number, as engram_stat gave it for this version. */
ENGRAM_API engram_status engram_read_inode(engram_view *view, uint64_t inode, uint64_t offset, void *bytes, size_t size, size_t *got, engram_error *error);
/* The target of a symbolic link, ended by a zero byte; ENGRAM_INVALID when it does not fit. */
ENGRAM_API engram_status engram_read_link(engram_view *view, const char *path, char *target, size_t capacity, engram_error *error);

typedef struct engram_filter { /* zero: everything */
    const char *glob;          /* of the path below the prefix: * and ? within a name, ** across; NULL: all */
    unsigned kinds;            /* a bit 1 << kind for each wanted kind; 0: all */
    uint64_t size_min, size_max;        /* size_max 0: no limit */
    int64_t mtime_after_s, mtime_before_s; /* mtime in [after, before); 0: no limit */
    uint64_t version_after;    /* changed in a version greater than this */
    uint32_t depth_max;        /* levels below the prefix; 0: all */
    const char *after;         /* a path that a walk showed: only what comes behind it, found without walking what comes before */
} engram_filter;
/* path is the whole path. */
typedef engram_status engram_entry_visit(void *context, const char *path, const struct engram_stat *stat, engram_error *error);
/* What lies below a directory, or the one thing that prefix names, directories before their entries, in byte order of
 * names. filter may be NULL. A visit that returns other than ENGRAM_OK ends the walk with that status. */
ENGRAM_API engram_status engram_list(engram_view *view, const char *prefix, const engram_filter *filter, engram_entry_visit *visit, void *context, engram_error *error);

/* ---- transactions ---- */

typedef enum engram_isolation {
    ENGRAM_SERIALIZABLE = 0, /* all that was read and written is validated */
    ENGRAM_SNAPSHOT_ISOLATION /* only what was written */
} engram_isolation;

typedef struct engram_transaction_options { /* zero: the defaults */
    engram_isolation isolation;
    engram_durability durability;
    bool last_writer_wins; /* whole contents are not validated against other writes of the same file */
} engram_transaction_options;

/* options may be NULL. End it with commit or abort. */
ENGRAM_API engram_status engram_begin(struct engram *e, const engram_transaction_options *options, engram_transaction **transaction, engram_error *error);
/* *version: the one it made (or, if it changed nothing, the one it read); may be NULL. ENGRAM_CONFLICT names what
 * another commit changed. The transaction is gone also on failure. */
ENGRAM_API engram_status engram_commit(engram_transaction **transaction, uint64_t *version, engram_error *error);
ENGRAM_API void engram_abort(engram_transaction **transaction); /* NULL is fine */

/* What a write expects to find at its path. */
typedef enum engram_expectation { ENGRAM_ANY = 0, ENGRAM_NONE, ENGRAM_TOKEN, ENGRAM_THERE } engram_expectation; /* THERE: in any version */
typedef struct engram_expected {
    engram_expectation what;
    uint64_t inode, version; /* of the token; inode 0: any inode of that version */
} engram_expected;
/* "any", "none", "there", "VERSION" or "INODE.VERSION"; ENGRAM_INVALID. */
ENGRAM_API engram_status engram_expected_parse(const char *text, engram_expected *expected, engram_error *error);

/* Reads of a transaction see its own writes. */
ENGRAM_API uint64_t engram_tx_version(const engram_transaction *transaction); /* that it started from */
ENGRAM_API engram_status engram_tx_stat(engram_transaction *transaction, const char *path, struct engram_stat *stat, engram_error *error);
ENGRAM_API engram_status engram_tx_read(engram_transaction *transaction, const char *path, uint64_t offset, void *bytes, size_t size, size_t *got, engram_error *error);
ENGRAM_API engram_status engram_tx_list(engram_transaction *transaction, const char *prefix, const engram_filter *filter, engram_entry_visit *visit, void *context, engram_error *error);

/* Each of these either does its whole work in the transaction or, with any status but ENGRAM_OK, nothing;
 * ENGRAM_NO_MEMORY, _IO and _DAMAGED leave a transaction that can only be aborted. A parent directory must
 * exist (ENGRAM_NOT_FOUND). ENGRAM_CONFLICT when expected does not hold, naming both versions; ENGRAM_EXISTS when
 * it was `none`. */

/* The whole content of a regular file, made (mode 0644) when it is not there. NULL expected: any. */
ENGRAM_API engram_status engram_write(engram_transaction *transaction, const char *path, const void *bytes, size_t size, const engram_expected *expected, engram_error *error);
/* From a stream of any size, in bounded memory. source fills bytes and sets *got, 0 at the end. */
typedef engram_status engram_source(void *context, void *bytes, size_t size, size_t *got, engram_error *error);
ENGRAM_API engram_status engram_write_stream(engram_transaction *transaction, const char *path, engram_source *source, void *context, const engram_expected *expected, engram_error *error);
/* The same, when the caller has the pieces one by one and must not wait inside: each call may come from another thread. No
 * other call of the transaction between open and close. *inode (may be NULL): of the file, whose token will be inode.version
 * with the version that the commit makes. The writer is gone after close, also on failure; cancel drops it, and the
 * transaction is as before. */
typedef struct engram_writer engram_writer;
ENGRAM_API engram_status engram_write_open(engram_transaction *transaction, const char *path, const engram_expected *expected, engram_writer **writer, engram_error *error);
ENGRAM_API engram_status engram_write_add(engram_writer *writer, const void *bytes, size_t size, engram_error *error);
ENGRAM_API engram_status engram_write_close(engram_writer **writer, uint64_t *inode, engram_error *error);
ENGRAM_API void engram_write_cancel(engram_writer **writer); /* NULL is fine */
/* Replaces or extends content in place; only the chunks that it touches are encoded again. A gap reads as zeros. */
ENGRAM_API engram_status engram_write_at(engram_transaction *transaction, const char *path, uint64_t offset, const void *bytes, size_t size, const engram_expected *expected, engram_error *error);
ENGRAM_API engram_status engram_append(engram_transaction *transaction, const char *path, const void *bytes, size_t size, const engram_expected *expected, engram_error *error);
ENGRAM_API engram_status engram_truncate(engram_transaction *transaction, const char *path, uint64_t size, const engram_expected *expected, engram_error *error);
/* The chunk of the file that holds offset becomes these bytes: a new chunk and one reference replaced; other
 * files that share the old chunk keep it. size must be the old chunk's unless it is the file's last. */
ENGRAM_API engram_status engram_update_chunk(engram_transaction *transaction, const char *path, uint64_t offset, const void *bytes, size_t size, const engram_expected *expected, engram_error *error);
/* The chunk that holds offset: where it begins and its size. */
ENGRAM_API engram_status engram_tx_chunk(engram_transaction *transaction, const char *path, uint64_t offset, uint64_t *begin, uint64_t *size, engram_error *error);

/* A name that is no directory; its inode goes with its last name. */
ENGRAM_API engram_status engram_remove(engram_transaction *transaction, const char *path, const engram_expected *expected, engram_error *error);
/* A directory and everything below it. "" empties the root. *removed: names; may be NULL. */
ENGRAM_API engram_status engram_remove_all(engram_transaction *transaction, const char *path, uint64_t *removed, engram_error *error);
/* Files and directories, at the cost of one name. What is at `to` gives way if it is no directory, or an empty one and
 * `from` is a directory too; expected is of `to`. */
ENGRAM_API engram_status engram_rename(engram_transaction *transaction, const char *from, const char *to, const engram_expected *expected, engram_error *error);
ENGRAM_API engram_status engram_mkdir(engram_transaction *transaction, const char *path, uint32_t mode, engram_error *error);
/* With the missing parents; fine when the directory is there. */
ENGRAM_API engram_status engram_mkdir_all(engram_transaction *transaction, const char *path, uint32_t mode, engram_error *error);
ENGRAM_API engram_status engram_rmdir(engram_transaction *transaction, const char *path, engram_error *error);
ENGRAM_API engram_status engram_symlink(engram_transaction *transaction, const char *target, const char *path, engram_error *error);
ENGRAM_API engram_status engram_link(engram_transaction *transaction, const char *from, const char *path, engram_error *error);
ENGRAM_API engram_status engram_set_mode(engram_transaction *transaction, const char *path, uint32_t mode, engram_error *error);
ENGRAM_API engram_status engram_set_mtime(engram_transaction *transaction, const char *path, int64_t seconds, uint32_t nanoseconds, engram_error *error);
ENGRAM_API engram_status engram_set_owner(engram_transaction *transaction, const char *path, uint32_t uid, uint32_t gid, engram_error *error);

/* Runs body in a transaction and commits it; on a conflict as the policy says. body returns a status other than
 * ENGRAM_OK to abort, which engram_run then returns. It may run several times, each from the newest version.
 * A transaction that lost many times is given a turn without competitors, so none starves. */
typedef enum engram_on_conflict {
    ENGRAM_RETRY = 0,        /* again, after a jittered pause that grows */
    ENGRAM_FAIL,             /* ENGRAM_CONFLICT */
    ENGRAM_LAST_WRITER_WINS, /* writes are not validated against other writes of the same file's content */
    ENGRAM_ASK               /* ask() decides: true: again */
} engram_on_conflict;
typedef struct engram_run_options { /* zero: the defaults */
    engram_transaction_options transaction;
    engram_on_conflict on_conflict;
    uint32_t tries_max;      /* 0: no limit */
    bool (*ask)(void *context, uint32_t tries, const engram_error *conflict);
} engram_run_options;
typedef engram_status engram_body(void *context, engram_transaction *transaction, engram_error *error);
ENGRAM_API engram_status engram_run(struct engram *e, const engram_run_options *options, engram_body *body, void *context, uint64_t *version, engram_error *error);

/* ---- history ---- */

/* Makes a version that changes nothing but that it has this name: what is newest when it commits. Durable when it
 * returns. *version: its number; may be NULL.
 * ENGRAM_EXISTS when the name is taken. A name has 1 to 255 bytes, no '/', and is no number and no time. */
ENGRAM_API engram_status engram_snapshot_create(struct engram *e, const char *name, uint64_t *version, engram_error *error);
/* Names a retained version. */
ENGRAM_API engram_status engram_snapshot_create_at(struct engram *e, const char *name, const char *at, uint64_t *version, engram_error *error);
ENGRAM_API engram_status engram_snapshot_delete(struct engram *e, const char *name, engram_error *error);
typedef engram_status engram_snapshot_visit(void *context, const char *name, uint64_t version, uint64_t time_ns, engram_error *error);
ENGRAM_API engram_status engram_snapshots(struct engram *e, engram_snapshot_visit *visit, void *context, engram_error *error);

typedef enum engram_change_kind { ENGRAM_ADDED = 1, ENGRAM_REMOVED, ENGRAM_CONTENT, ENGRAM_ATTRIBUTES, ENGRAM_RENAMED } engram_change_kind;
typedef struct engram_change {
    engram_change_kind what;
    const char *path;        /* of `to`; of `from` when removed */
    const char *old_path;    /* when renamed, else NULL */
    struct engram_stat before, after; /* zero when it is not there */
} engram_change;
typedef engram_status engram_change_visit(void *context, const engram_change *change, engram_error *error);
/* How `to` differs from `from` below prefix ("": everywhere), by path. What was changed back, or removed and made again as
 * it was, is no change. The cost follows the changes. ENGRAM_INVALID when the views are of two engrams. */
ENGRAM_API engram_status engram_diff(engram_view *from, engram_view *to, const char *prefix, engram_change_visit *visit, void *context, engram_error *error);

typedef struct engram_log_entry {
    uint64_t version, time_ns;  /* the retained version that shows this state first */
    bool present;
    struct engram_stat stat;         /* when present */
} engram_log_entry;
typedef engram_status engram_log_visit(void *context, const engram_log_entry *entry, engram_error *error);
/* The states of a path over the retained versions, newest first. ENGRAM_NOT_FOUND when it was never there. */
ENGRAM_API engram_status engram_log(struct engram *e, const char *path, engram_log_visit *visit, void *context, engram_error *error);

/* ---- changes as they are committed ---- */

typedef struct engram_subscription engram_subscription; /* one thread at a time */

typedef enum engram_event_kind {
    ENGRAM_EVENT_CHANGE = 1,
    ENGRAM_EVENT_GAP /* what changed after `from` up to `version` is not told: read again what is of interest */
} engram_event_kind;
typedef struct engram_event {
    engram_event_kind what;
    uint64_t from;         /* the version up to which all was told before */
    uint64_t version, time_ns; /* that shows the change, and of its commit */
    bool last;             /* of that version: from here on it can be given to engram_subscribe */
    engram_change change;  /* of a gap: zero. Lent until the next call for this subscription */
} engram_event;

#define ENGRAM_NEWEST UINT64_MAX

/* Everything that is committed after version `after` (ENGRAM_NEWEST: the newest), in the order of versions, those of one version
 * by path, as engram_diff tells of them. Members of a commit group are one version, and so are versions that are no longer
 * retained when the subscription comes to them: what was changed twice in one is told once, nothing is left out. Changes of one
 * version are one step: who follows a tree takes away what was removed or renamed before it adds. When `after`
 * itself is not retained, the first event is a gap. Writers never wait for a subscription. It pins a version, so it must be
 * ended before engram_close. */
ENGRAM_API engram_status engram_subscribe(struct engram *e, uint64_t after, engram_subscription **subscription, engram_error *error);
/* Waits for the next event. ENGRAM_BUSY: none came in that time; 0: does not wait. After a failure it can be asked again. */
ENGRAM_API engram_status engram_next_event(engram_subscription *subscription, uint32_t timeout_ms, engram_event *event, engram_error *error);
/* The version up to which all was told. */
ENGRAM_API uint64_t engram_subscription_version(const engram_subscription *subscription);
ENGRAM_API void engram_unsubscribe(engram_subscription **subscription); /* NULL is fine */

/* ---- going back, and copying ---- */

/* Makes path ("" or NULL: everything) what it was at a retained version, as a new version: nothing of the history is lost.
 * Snapshots stay. *changed: names and inodes that were changed; may be NULL. What is as it was stays untouched, also where
 * it was removed and made again meanwhile. */
ENGRAM_API engram_status engram_rollback(engram_transaction *transaction, engram_view *to, const char *path, uint64_t *changed, engram_error *error);

/* Copies what is needed to read the version of a view into a new engram at directory, which must be new or empty, while
 * this one is in use: a consistent engram whose only version is that one. It is made as directory.part, and there whole or not at
 * all; ENGRAM_EXISTS also where such a part is left of a copy that was cut off. */
ENGRAM_API engram_status engram_copy(engram_view *view, const char *directory, engram_error *error);

/* ---- checking and repairing ---- */

typedef struct engram_verify_options { /* zero: the defaults */
    double subset;    /* share of the chunks' content that is read, above 0 to 1; 0: all. The rest is always read whole */
    uint32_t threads; /* 0: one for each core */
    void *context;    /* of the functions, which may be NULL and are called one at a time, by any thread */
    void (*problem)(void *context, const char *message); /* each finding, a sentence */
    void (*progress)(void *context, uint64_t bytes_done, uint64_t bytes_total);
} engram_verify_options;

typedef struct engram_verified { /* what was looked at, and found */
    uint64_t records, transactions;       /* of the journal since the checkpoint */
    uint64_t segments, chunks;
    uint64_t chunks_read, bytes_read;     /* whose content was read, by --subset */
    uint64_t versions, nodes, keys;       /* of the tree; what two versions share counts in both */
    uint64_t problems;
} engram_verified;

/* Reads everything that is stored, and compares it with all that vouches for it: journal, segments, content,
 * hypervectors, the tree of every retained version, references, names, totals, the root. Beside writers and
 * readers. ENGRAM_OK also when there are problems. options may be NULL. */
ENGRAM_API engram_status engram_verify(struct engram *e, const engram_verify_options *options, engram_verified *verified, engram_error *error);

typedef struct engram_repair_options { /* zero: the defaults */
    bool dry_run;     /* only tell: nothing at all is written */
    uint32_t threads; /* 0: one for each core */
    void *context;    /* of the functions, which may be NULL and are called one at a time, by any thread */
    void (*step)(void *context, const char *message); /* what is wrong and what is done about it, a sentence each */
    void (*lost)(void *context, const char *message); /* what cannot be brought back, also from earlier repairs */
    void (*progress)(void *context, uint64_t bytes_done, uint64_t bytes_total);
} engram_repair_options;

typedef struct engram_repaired {
    bool needed;                /* something was (dry_run: is) to be repaired */
    uint64_t version;           /* the newest afterwards */
    uint64_t segments_damaged, chunks_saved; /* chunks_saved: good ones of damaged segments */
    uint64_t transactions_lost; /* known to have been committed, and not there any more */
    uint64_t versions_rebuilt, versions_lost; /* of the retained ones */
    uint64_t inodes_restored;   /* taken from another version, or without names linked below lost+found */
    uint64_t files_damaged;     /* of the newest version: some of their content is lost */
    char quarantine[64];        /* folder below DIR/quarantine; "" when nothing was moved there */
} engram_repaired;

/* Repairs an engram that nobody has open to write, also one that cannot be opened. What is derived is computed anew;
 * chunks, journal records, tree nodes, MANIFEST.json and the checkpoint are taken from wherever a good copy is. What
 * is lost stays lost and is told: a read of it fails, naming the chunk. Nothing is removed: what is replaced goes to
 * DIR/quarantine. ENGRAM_OK also when something was lost, or nothing was to be done. ENGRAM_LOCKED, ENGRAM_NEWER,
 * ENGRAM_IO: the disk failed, and nothing was changed that counts; ENGRAM_NOT_ENGRAM; ENGRAM_DAMAGED: what is left
 * does not suffice. options may be NULL. */
ENGRAM_API engram_status engram_repair(const char *directory, const engram_repair_options *options, engram_repaired *repaired, engram_error *error);

/* ---- space ---- */

typedef struct engram_compact_options { /* zero: the defaults */
    bool dry_run;     /* only find out: nothing is written, and retention is taken as if applied */
    double garbage;   /* share of a segment, or of the node file, from which on it is written anew; 0: 0.02, or 0.2 */
    uint64_t rate;    /* bytes a second that are read and written at most; 0: no limit */
    void *context;
    void (*progress)(void *context, uint64_t bytes_done, uint64_t bytes_total); /* may be NULL */
    bool (*is_cancelled)(void *context); /* asked often; may be NULL. ENGRAM_CANCELLED then, and what is done stays */
} engram_compact_options;

typedef struct engram_compacted {
    uint64_t chunks, chunks_garbage;        /* before: stored, and of them held by no version that is kept */
    uint64_t bytes_garbage;                 /* that those take */
    uint64_t chunks_dropped, chunks_encoded; /* encoded anew, since their base went */
    uint64_t segments_before, segments_after;
    uint64_t segments_read, segments_written, segments_damaged; /* damaged: left as they are, for a repair */
    uint64_t bytes_before, bytes_after;     /* of the files of segments; dry_run: about */
    uint64_t tree_bytes, tree_bytes_kept;   /* of the node file; it is written anew when the engram closes, if the rest is
                                             * worth it */
} engram_compacted;

/* Drops chunks that no retained version holds, in segments of which garbage takes a part that is worth it: the rules of
 * retention are applied first. Beside readers and writers, of whom nobody waits for long. Space that a reader in another
 * process needs returns with a later sweep. ENGRAM_DAMAGED: what is stored cannot be judged; repair it first. A crash costs
 * nothing but the work. options may be NULL. */
ENGRAM_API engram_status engram_gc(struct engram *e, const engram_compact_options *options, engram_compacted *done, engram_error *error);
/* The same, and merges neighbouring segments as far as they go. */
ENGRAM_API engram_status engram_compact(struct engram *e, const engram_compact_options *options, engram_compacted *done, engram_error *error);

/* ---- figures ---- */

typedef struct engram_metrics {
    uint64_t version;
    uint64_t commits, conflicts;      /* since it was opened */
    uint64_t groups, syncs;           /* commit groups and journal syncs */
    uint64_t group_closed_sync_free, group_closed_full, group_closed_delay, group_closed_asked;
    uint64_t device_batches;          /* of an ingest run beside: one record each */
    uint64_t checkpoints;
    uint64_t journal_bytes;           /* since the last checkpoint */
    double sync_us;                   /* smoothed */
} engram_metrics;
ENGRAM_API void engram_get_metrics(struct engram *e, engram_metrics *metrics);

#ifdef __cplusplus
}
#endif
#endif
