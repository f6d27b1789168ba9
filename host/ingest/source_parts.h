/* What the sources share: paths, excludes, extended attributes, issues. */
#ifndef EG_INGEST_SOURCE_PARTS_H
#define EG_INGEST_SOURCE_PARTS_H

#include <sys/stat.h>

#include "ingest/source.h"

/* stored_path.c */

/* Appends a component, behind a '/' when path is not empty. A zero byte that size does not count
 * follows. */
void eg_path_append(eg_buffer *path, eg_view name);
/* Back to its first size bytes. */
void eg_path_cut(eg_buffer *path, size_t size);
static inline eg_view eg_path_view(const eg_buffer *path)
{
    return (eg_view){path->data, path->size};
}
static inline const char *eg_path_text(const eg_buffer *path)
{
    return path->size != 0 ? (const char *)path->data : "";
}
/* Byte order; of two that begin alike the shorter comes first. */
int eg_name_compare(eg_view a, eg_view b);

/* stat.c */

/* 0 for what is none of the kinds that are stored. */
eg_inode_kind eg_stat_kind(mode_t mode);
/* All but the target of a symbolic link. */
void eg_stat_inode(const struct stat *about, eg_inode *inode);
/* The same file, and of the same kind. */
bool eg_stat_same(const struct stat *a, const struct stat *b);

/* exclude.c */

typedef struct eg_excludes {
    struct eg_exclude *items;
    size_t count;
} eg_excludes;

engram_status eg_excludes_init(eg_excludes *excludes, const char *const *globs, size_t count,
                               engram_error *error);
void eg_excludes_fini(eg_excludes *excludes);
bool eg_excludes_match(const eg_excludes *excludes, const char *path, bool is_directory);
/* The same for a path of which no directory was looked at before. path is changed and put right
 * again. */
bool eg_excludes_match_any(const eg_excludes *excludes, char *path, bool is_directory);

/* attributes.c */

typedef struct eg_attribute_list {
    eg_buffer bytes; /* names and values */
    struct eg_attribute_place *places;
    eg_attribute *items; /* valid after eg_attributes_finish */
    size_t count, places_capacity, items_capacity;
} eg_attribute_list;

void eg_attributes_clear(eg_attribute_list *list);
void eg_attributes_fini(eg_attribute_list *list);
/* Whether an attribute is one that is stored: user.*, trusted.*, capabilities and access control
 * lists. */
bool eg_attribute_stored(const char *name);
engram_status eg_attributes_add(eg_attribute_list *list, const char *name, const void *value,
                                size_t size, engram_error *error);
/* Sorts them and fills items. */
engram_status eg_attributes_finish(eg_attribute_list *list, engram_error *error);

/* xattr.c: reading them from a file system */

typedef struct eg_xattr_reader {
    eg_buffer names, value;
    eg_buffer path;
    uint64_t device_without; /* the last file system that knows no such attributes; valid if
                                is_device_without */
    bool is_device_without;
} eg_xattr_reader;

void eg_xattr_reader_fini(eg_xattr_reader *reader);
/* Fills list with the attributes of name below the open directory. A failure concerns this name
 * alone, but for ENGRAM_NO_MEMORY. */
engram_status eg_xattr_read(eg_xattr_reader *reader, int dir, const char *name, uint64_t device,
                            eg_attribute_list *list, engram_error *error);

/* level.c: one open directory of a walk */

typedef struct eg_level {
    int fd; /* -1: closed, to be opened again when the walk is back */
    uint64_t device, inode;
    size_t path_size; /* of its stored path */
    eg_buffer text;   /* the names, a zero byte behind each */
    eg_view *names;   /* sorted */
    size_t count, capacity, next;
} eg_level;

void eg_level_fini(eg_level *level);
/* Reads the names of the directory open as level->fd. A failure concerns this directory alone, but
 * for ENGRAM_NO_MEMORY. */
engram_status eg_level_read(eg_level *level, eg_buffer *scratch, engram_error *error);

#endif
