/* Inodes and the keys under which the tree holds them.
 *
 * One ordered map holds everything that has versions. A key is a tag byte and fields; numbers in keys
 * are big-endian, so that keys sort as the numbers do:
 *
 *   'D' directory u64, name            -> inode u64, kind u8                a directory entry
 *   'E' inode u64, end u64             -> chunk references, 12 bytes each   content that ends before that offset
 *   'I' inode u64                      -> the inode record
 *   'N' name                           -> version u64, time u64             a snapshot
 *   'P' inode u64, directory u64, name -> nothing                           the names of an inode
 *   'R' chunk u64, inode u64           -> count u32                         who holds a chunk
 *   'S'                                -> totals of this version
 *   'X' inode u64, name                -> value                             an extended attribute
 *
 * Inode 1 is the root directory. Inode numbers are never reused. */
#ifndef EG_ENGRAM_INODE_H
#define EG_ENGRAM_INODE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"

enum { EG_INODE_ROOT = 1, EG_NAME_MAX = 255, EG_PATH_MAX = 4095, EG_RUN_REFS_MAX = 64 };

typedef enum eg_inode_kind {
    EG_KIND_FILE = 1,
    EG_KIND_DIRECTORY = 2,
    EG_KIND_SYMLINK = 3,
    EG_KIND_FIFO = 4,
    EG_KIND_CHAR_DEVICE = 5,
    EG_KIND_BLOCK_DEVICE = 6
} eg_inode_kind;

enum { /* flags of an inode */
    EG_INODE_IMPLIED = 1, /* a directory made only because something below it was stored */
    EG_INODE_RACY = 2     /* changed so shortly before it was read that equal times prove nothing */
};

typedef struct eg_time {
    int64_t seconds;
    uint32_t nanoseconds;
} eg_time;

typedef struct eg_inode {
    eg_inode_kind kind;
    uint8_t flags;
    uint16_t mode; /* permission bits, 07777 */
    uint32_t uid, gid;
    uint32_t link_count;
    uint64_t size; /* bytes of content; of the target for a symbolic link */
    uint64_t device; /* of a device node: st_rdev */
    eg_time mtime;
    /* Where it was read from, to see that it is unchanged; all zero when not a file system. */
    uint64_t source_device, source_inode;
    eg_time source_ctime;
    /* Set by apply: engram version and wall clock of creation and of the last change. */
    uint64_t created_version, modified_version, created_ns, modified_ns;
    eg_view target; /* of a symbolic link; lent by whoever filled the inode */
} eg_inode;

typedef struct eg_chunk_ref {
    uint64_t id;
    uint32_t size;
} eg_chunk_ref;

typedef struct eg_tree_totals { /* under 'S' */
    uint64_t next_inode;
    uint64_t files;         /* regular files, by inode */
    uint64_t directories, links, others;
    uint64_t bytes_logical; /* sum of sizes of regular files */
} eg_tree_totals;

void eg_inode_encode(const eg_inode *inode, eg_buffer *out);
/* False when the bytes are no inode record. inode->target points into value. */
bool eg_inode_decode(eg_view value, eg_inode *inode);
void eg_totals_encode(const eg_tree_totals *totals, uint8_t out[48]);
bool eg_totals_decode(eg_view value, eg_tree_totals *totals);

/* A key under construction: at most 1 + 8 + 8 + EG_NAME_MAX bytes. */
typedef struct eg_key {
    uint8_t bytes[1 + 8 + 8 + EG_NAME_MAX];
    size_t size;
} eg_key;

eg_key eg_key_entry(uint64_t directory, eg_view name);
eg_key eg_key_run(uint64_t inode, uint64_t end);
eg_key eg_key_inode(uint64_t inode);
eg_key eg_key_parent(uint64_t inode, uint64_t directory, eg_view name);
eg_key eg_key_holder(uint64_t chunk, uint64_t inode);
eg_key eg_key_snapshot(eg_view name);
eg_key eg_key_totals(void);
eg_key eg_key_attribute(uint64_t inode, eg_view name);
static inline eg_view eg_key_view(const eg_key *key) { return (eg_view){key->bytes, key->size}; }
/* Whether key begins with tag and number. */
bool eg_key_has(eg_view key, char tag, uint64_t number);

static inline void eg_ref_put(uint8_t *out, eg_chunk_ref ref) { eg_put_u64(out, ref.id); eg_put_u32(out + 8, ref.size); }
static inline eg_chunk_ref eg_ref_get(const uint8_t *in) { return (eg_chunk_ref){eg_get_u64(in), eg_get_u32(in + 8)}; }
enum { EG_REF_SIZE = 12 };

enum { EG_SNAPSHOT_VALUE_SIZE = 16 };

/* A name that can be a directory entry: 1..255 bytes, no '/', no NUL, not "." or "..". */
bool eg_name_valid(eg_view name);

#endif
