/* An ordered map from byte-string keys to byte-string values, of which every version can be kept.
 *
 * A B+tree whose nodes are copied on write. A root names one version of the map for ever: any number
 * of threads may read it while an edit makes the next version beside it; they share all nodes that
 * the edit did not touch. Edited nodes live in memory until a flush appends them, and only them, to
 * the node file; clean nodes are read through a bounded cache. Keys compare as unsigned bytes, shorter
 * first on a common prefix; 1..1,024 bytes. Values 0..128 KiB.
 *
 * A node read from disk is checked (checksum, its own address, order of keys, sizes) before it is used:
 * anything wrong is ENGRAM_DAMAGED with file and offset. */
#ifndef EG_TREE_TREE_H
#define EG_TREE_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/io.h"

enum { EG_TREE_KEY_MAX = 1024, EG_TREE_VALUE_MAX = 128 << 10 };

typedef struct eg_nodes eg_nodes; /* the node file and its cache */
typedef struct eg_root eg_root;   /* one version: immutable, reference-counted */
typedef struct eg_edit eg_edit;   /* the next version in the making: one thread */

/* A node on disk. size 0: the empty tree. */
typedef struct eg_node_ref {
    uint64_t address;
    uint32_t size;
} eg_node_ref;

typedef struct eg_nodes_options {
    bool read_only;
    uint64_t end;        /* an address: up to there a checkpoint vouches for the file; a writer appends there. 0: file 1,
                          * from its beginning; EG_NODES_FILE(n): so file n */
    uint64_t cache_size; /* bytes of clean nodes kept in memory; 0: 16 MiB */
    bool salvage;        /* for repair: the file is taken as long as it is, if it is there, whatever its header says;
                          * end tells its number only, 0: the highest there is; and a writer cuts nothing */
} eg_nodes_options;

/* An address is the number of the node file - 1 in the upper 16 bits, and an offset in it. */
enum { EG_NODES_OFFSET_BITS = 48, EG_NODES_FILE_MAX = 65535 };
#define EG_NODES_FILE(number) ((uint64_t)((number) - 1) << EG_NODES_OFFSET_BITS)
static inline uint32_t eg_nodes_file_of(uint64_t address) { return (uint32_t)(address >> EG_NODES_OFFSET_BITS) + 1; }
static inline uint64_t eg_nodes_offset_of(uint64_t address) { return address & ((UINT64_C(1) << EG_NODES_OFFSET_BITS) - 1); }

/* dir holds the node files (00000001.nodes ...), of which one counts; it must exist. All roots must be released before close. */
engram_status eg_nodes_open(eg_io *io, const char *dir, const eg_nodes_options *options, eg_nodes **nodes, engram_error *error);
void eg_nodes_close(eg_nodes **nodes);
uint64_t eg_nodes_end(const eg_nodes *nodes); /* an address; grows by flushing */
/* "00000001.nodes"; lent until close. */
const char *eg_nodes_file_name(const eg_nodes *nodes);
/* Removes the node files in dir but that one, durably. */
engram_status eg_nodes_sweep(eg_io *io, const char *dir, uint32_t keep, engram_error *error);
/* Of one that was opened with salvage: whether the file's header is not one; writing it anew, before a flush. */
bool eg_nodes_lacks_header(const eg_nodes *nodes);
engram_status eg_nodes_write_header(eg_nodes *nodes, engram_error *error);
/* Makes flushed nodes durable: from then on edits let go of their memory (see eg_root_flush). */
engram_status eg_nodes_sync(eg_nodes *nodes, engram_error *error);
/* Bytes of memory of the nodes that edits made and that any root or edit still holds, and of those of them that
 * are not written: what to bound, and when to checkpoint. The cache is not counted. Any thread. */
uint64_t eg_nodes_made_size(const eg_nodes *nodes);
uint64_t eg_nodes_unwritten_size(const eg_nodes *nodes);

/* The version stored at ref; reads nothing yet. One reference is the caller's. */
engram_status eg_root_open(eg_nodes *nodes, eg_node_ref ref, eg_root **root, engram_error *error);
eg_root *eg_root_retain(eg_root *root);
void eg_root_release(eg_root *root); /* any thread; frees what only it held */

/* Every root of these nodes that anybody holds, each retained for the caller, in fresh memory (eg_free): what can be read
 * in this process. Any thread. */
engram_status eg_nodes_list_roots(eg_nodes *nodes, eg_root ***roots, size_t *count, engram_error *error);

/* Appends the nodes that are not on disk yet; *ref names this version from then on. Not durable until eg_nodes_sync.
 *
 * Edits from this and newer roots, and readers of all of them, go on meanwhile and are never waited for; flushes and
 * syncs wait for each other. The root stays usable as it is and keeps its memory until it is released. Edits link to
 * what is durable by its address, so its memory returns as later edits go on and older roots are released: with the
 * first edit if it starts from this root; what edits changed meanwhile may hold some until the next flush. Where no edit
 * follows, open ref and put that root in the place of this one. */
engram_status eg_root_flush(eg_root *root, eg_node_ref *ref, engram_error *error);
/* Bytes of unflushed nodes made by edits since the last flush of this root's line, roughly: when to checkpoint. */
uint64_t eg_root_dirty_size(const eg_root *root);

/* value is cleared and filled. ENGRAM_NOT_FOUND (without a sentence) when the key is not there. */
engram_status eg_root_get(eg_root *root, eg_view key, eg_buffer *value, engram_error *error);

/* An edit starts from root (lent until it ends). Its own reads see its writes. On failure of put or remove
 * (memory, damage) the edit must be aborted. finish hands over the new version; both end the edit. */
engram_status eg_edit_begin(eg_root *root, eg_edit **edit, engram_error *error);
engram_status eg_edit_get(eg_edit *edit, eg_view key, eg_buffer *value, engram_error *error);
engram_status eg_edit_put(eg_edit *edit, eg_view key, eg_view value, engram_error *error); /* adds or replaces */
engram_status eg_edit_remove(eg_edit *edit, eg_view key, engram_error *error);             /* NOT_FOUND: no such key */
engram_status eg_edit_finish(eg_edit **edit, eg_root **root, engram_error *error);
void eg_edit_abort(eg_edit **edit);

/* Copies versions from one node file into another, with what they share once. Not beside anything else that uses `to`;
 * `from` may be in use. to NULL: copies nothing, and only counts. */
typedef struct eg_mover eg_mover;
engram_status eg_mover_create(eg_nodes *from, eg_nodes *to, eg_mover **mover, engram_error *error);
void eg_mover_free(eg_mover *mover);
/* *ref of from becomes that of to; not durable until eg_nodes_sync of to. */
engram_status eg_mover_move(eg_mover *mover, eg_node_ref *ref, engram_error *error);
/* Bytes that a file with all nodes seen so far has. */
uint64_t eg_mover_size(const eg_mover *mover);

/* Walking in key order. A cursor holds what it stands on; key and value are lent until it moves. On an
 * edit it is valid until the edit's next change. */
typedef struct eg_cursor eg_cursor;
engram_status eg_cursor_open(eg_root *root, eg_cursor **cursor, engram_error *error);
engram_status eg_cursor_open_edit(eg_edit *edit, eg_cursor **cursor, engram_error *error);
void eg_cursor_close(eg_cursor **cursor);
/* To the first key >= key; ENGRAM_NOT_FOUND (no sentence) at the end. */
engram_status eg_cursor_seek(eg_cursor *cursor, eg_view key, engram_error *error);
engram_status eg_cursor_next(eg_cursor *cursor, engram_error *error);
eg_view eg_cursor_key(const eg_cursor *cursor);
eg_view eg_cursor_value(const eg_cursor *cursor);

/* One difference: key is new (from NULL), gone (to NULL), or has another value. All lent for the call. What it
 * returns ends the walk unless it is ENGRAM_OK. */
typedef engram_status (*eg_change)(void *context, eg_view key, const eg_view *from, const eg_view *to,
                                   engram_error *error);
/* Calls change for each difference, in key order. Both roots, of the same eg_nodes, are lent and stay readable by
 * others. Subtrees that the two share are not read, so versions of one line cost what changed between them. */
engram_status eg_root_diff(eg_root *from, eg_root *to, eg_change change, void *context, engram_error *error);

/* Reads every node of the version from disk again and checks order, separators, fill and depth; problem is called
 * for each finding with a sentence. Counts entries and node bytes. */
typedef struct eg_tree_check {
    void *context;
    void (*problem)(void *context, const char *message);
    uint64_t entries, nodes, bytes;
} eg_tree_check;
engram_status eg_root_verify(eg_root *root, eg_tree_check *check, engram_error *error);

#endif
