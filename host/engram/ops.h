/* The engram's own journal operations: what a transaction does to the tree.
 *
 * A transaction is built as a run of these in a buffer. The same bytes go into the journal and to
 * eg_apply, at commit and again at replay: one path for both.
 *
 *   tag 8  segment     id u64, chunk count u64, payload size u64, level u8    committed extent
 *   tag 9  put-inode   inode u64, inode record                                create or replace attributes
 *   tag 10 splice      inode u64, offset u64, removed u64, references (12 bytes each)
 *   tag 11 link        directory u64, inode u64, kind u8, name
 *   tag 12 unlink      directory u64, name
 *   tag 13 put-xattr   inode u64, name length u16, name, value
 *   tag 14 clear-xattrs inode u64
 *   tag 15 label       text: this version is kept for ever under this label
 *   tag 16 chunk       a new chunk with its data (eg_new_chunk): it may not be in its segment yet
 *   tag 17 rename      directory u64, name length u16, name, directory u64, name: the first name becomes the second
 *   tag 18 snapshot    version u64 (0: the one being made), name
 *   tag 19 forget      name of a snapshot */
#ifndef EG_ENGRAM_OPS_H
#define EG_ENGRAM_OPS_H

#include "base/bytes.h"
#include "engram/inode.h"
#include "journal/ops.h"
#include "store/store.h"

enum {
    EG_OP_SEGMENT = 8,
    EG_OP_PUT_INODE = 9,
    EG_OP_SPLICE = 10,
    EG_OP_LINK = 11,
    EG_OP_UNLINK = 12,
    EG_OP_PUT_XATTR = 13,
    EG_OP_CLEAR_XATTRS = 14,
    EG_OP_LABEL = 15,
    EG_OP_CHUNK = 16,
    EG_OP_RENAME = 17,
    EG_OP_SNAPSHOT = 18,
    EG_OP_FORGET = 19
};

/* Each appends one operation; out->failed tells of memory. */
void eg_ops_write_chunk(eg_buffer *out, uint64_t id, const eg_fingerprint *fingerprint, uint64_t size);
void eg_ops_update_root(eg_buffer *out, const uint8_t hash[32]);
void eg_ops_segment(eg_buffer *out, const eg_segment_state *state);
void eg_ops_put_inode(eg_buffer *out, uint64_t inode, const eg_inode *attributes);
/* Replaces the references that cover [offset, offset + removed) by refs. Both ends are chunk boundaries; either
 * as many bytes go in as come out, or the range ends where the file ends. */
void eg_ops_splice(eg_buffer *out, uint64_t inode, uint64_t offset, uint64_t removed, const eg_chunk_ref *refs, size_t count);
void eg_ops_link(eg_buffer *out, uint64_t directory, uint64_t inode, eg_inode_kind kind, eg_view name);
/* Removes the name; an inode without names goes, with its content and attributes. A directory must be empty. */
void eg_ops_unlink(eg_buffer *out, uint64_t directory, eg_view name);
void eg_ops_put_xattr(eg_buffer *out, uint64_t inode, eg_view name, eg_view value);
void eg_ops_clear_xattrs(eg_buffer *out, uint64_t inode);
void eg_ops_label(eg_buffer *out, eg_view text);
void eg_ops_chunk(eg_buffer *out, uint64_t id, const eg_new_chunk *chunk);
/* The body of such an operation; vector and correction point into it. False: malformed. */
bool eg_ops_read_chunk(eg_view body, uint64_t *id, eg_new_chunk *chunk);
/* A directory must not come to lie below itself; the new name must be free. */
void eg_ops_rename(eg_buffer *out, uint64_t directory, eg_view name, uint64_t to_directory, eg_view to_name);
void eg_ops_snapshot(eg_buffer *out, uint64_t version, eg_view name);
void eg_ops_forget(eg_buffer *out, eg_view name);

#endif
