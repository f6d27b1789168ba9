/* What a disk holds: files and directories, and the names that lead to them.
 *
 * Files are known by number, as inodes are, because a file's bytes and its name become durable at
 * different times: a file may be there without a name. Number 0 is the root directory. */
#ifndef EG_TESTS_CRASH_IMAGE_H
#define EG_TESTS_CRASH_IMAGE_H

#include <stdbool.h>

#include "crash/sparse.h"

enum { IMAGE_NAME_MAX = 39 };

typedef struct image_node {
    bool is_dir;
    sparse bytes;
} image_node;

typedef struct image_entry {
    uint32_t dir, node;
    char name[IMAGE_NAME_MAX + 1];
} image_entry;

typedef struct image {
    image_node *nodes;
    size_t node_count, node_capacity;
    image_entry *entries; /* in no order */
    size_t entry_count, entry_capacity;
} image;

void image_init(image *i); /* an empty root */
image image_copy(const image *from);
void image_fini(image *i);

/* Makes sure that node exists (as that kind, without a name). */
void image_add_node(image *i, uint32_t node, bool is_dir);
/* NULL when there is no such name. */
image_entry *image_find(const image *i, uint32_t dir, const char *name);
/* dir/name leads to node from now on, whatever it led to before. */
void image_link(image *i, uint32_t dir, const char *name, uint32_t node);
void image_unlink(image *i, uint32_t dir, const char *name);
/* The directory and last name of an absolute path; false when the directory is not there. *name
 * points into path; it is empty for the root. */
bool image_resolve(const image *i, const char *path, uint32_t *dir, const char **name);

/* Of all that can be reached by names. The content of files named LOCK does not count: it holds no
 * data, and is never synced. Equal images have equal hashes whatever the numbers of their files. */
uint64_t image_hash(image *i);
/* Writes all that can be reached below a directory that is made on the real disk. 0, or an errno.
 */
int image_save(const image *i, const char *path);
/* Prints names and sizes. */
void image_print(const image *i);

#endif
