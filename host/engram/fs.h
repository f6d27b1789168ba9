/* Reading one version of the tree. All functions take a root that the caller holds; any thread. */
#ifndef EG_ENGRAM_FS_H
#define EG_ENGRAM_FS_H

#include "engram/inode.h"
#include "tree/tree.h"

/* Fills inode; target (symbolic links) lies in *scratch. ENGRAM_NOT_FOUND when there is none. */
engram_status eg_fs_get(eg_root *root, uint64_t number, eg_inode *inode, eg_buffer *scratch, engram_error *error);
/* The inode number under a path ("a/b", "" is the root; empty components and "." are skipped; links are not followed).
 * ENGRAM_NOT_FOUND names the path. */
engram_status eg_fs_lookup(eg_root *root, eg_view path, uint64_t *number, engram_error *error);
/* One name in a directory; ENGRAM_NOT_FOUND without a sentence. */
engram_status eg_fs_child(eg_root *root, uint64_t directory, eg_view name, uint64_t *number, engram_error *error);

typedef engram_status eg_fs_entry(void *context, eg_view name, uint64_t number, eg_inode_kind kind, engram_error *error);
/* Entries of a directory in byte order of their names; name is lent for the call. */
engram_status eg_fs_list(eg_root *root, uint64_t directory, eg_fs_entry *entry, void *context, engram_error *error);
/* Those whose names are not less than name. */
engram_status eg_fs_list_from(eg_root *root, uint64_t directory, eg_view name, eg_fs_entry *entry, void *context, engram_error *error);

typedef engram_status eg_fs_ref(void *context, uint64_t offset, eg_chunk_ref ref, engram_error *error);
/* Chunk references of a file in order, from the one that holds offset on. */
engram_status eg_fs_refs(eg_root *root, uint64_t number, uint64_t offset, eg_fs_ref *ref, void *context, engram_error *error);

typedef engram_status eg_fs_attribute(void *context, eg_view name, eg_view value, engram_error *error);
engram_status eg_fs_attributes(eg_root *root, uint64_t number, eg_fs_attribute *attribute, void *context, engram_error *error);

/* Directory and name (copied into *name) under which the inode is, the first in key order. */
engram_status eg_fs_parent(eg_root *root, uint64_t number, uint64_t *directory, eg_buffer *name, engram_error *error);
typedef engram_status eg_fs_name(void *context, uint64_t directory, eg_view name, engram_error *error);
/* Every name of the inode; none when there is no such inode. */
engram_status eg_fs_names(eg_root *root, uint64_t number, eg_fs_name *name, void *context, engram_error *error);
/* A path of the inode (its first name in key order), appended to path. */
engram_status eg_fs_path(eg_root *root, uint64_t number, eg_buffer *path, engram_error *error);

typedef engram_status eg_fs_holder(void *context, uint64_t chunk, uint64_t number, uint32_t count, engram_error *error);
/* Which inodes hold a chunk, in rising order. chunk 0: of every chunk, in rising order of chunk. */
engram_status eg_fs_holders(eg_root *root, uint64_t chunk, eg_fs_holder *holder, void *context, engram_error *error);

engram_status eg_fs_totals(eg_root *root, eg_tree_totals *totals, engram_error *error);

#endif
