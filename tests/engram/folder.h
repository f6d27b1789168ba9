/* Directories: what is in them, and copies of them. */
#ifndef EG_TESTS_ENGRAM_FOLDER_H
#define EG_TESTS_ENGRAM_FOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FOLDER_FILES_MAX = 256, FOLDER_PATH_MAX = 1400 };

typedef struct folder_listing { /* but for LOCK, which is nobody's business */
    char paths[FOLDER_FILES_MAX][128]; /* relative, sorted */
    uint64_t sizes[FOLDER_FILES_MAX];
    size_t count;
    uint64_t hash; /* of all names and bytes */
} folder_listing;

void folder_list(const char *dir, folder_listing *listing);
/* Of an engram without a quarantine; holes stay holes. */
void folder_copy(const char *from, const char *to);
void folder_remove(const char *dir);
/* Both files are there, and equal. */
bool folder_same(const char *dir, const char *name, const char *other_dir, const char *other_name);
/* The first piece at *to or behind that is no hole: *from to *to. Begin with *to 0. */
bool folder_next_data(int file, uint64_t *from, uint64_t *to);

#endif
