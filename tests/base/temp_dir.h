/* A directory for one test's files, below $TMPDIR or /tmp, removed with all that is in it. */
#ifndef EG_TESTS_BASE_TEMP_DIR_H
#define EG_TESTS_BASE_TEMP_DIR_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct temp_dir {
    char path[512];
} temp_dir;

/* 0, or -1 when it cannot be made. */
static inline int temp_dir_init(temp_dir *dir)
{
    const char *parent = getenv("TMPDIR");
    int length = snprintf(dir->path, sizeof dir->path, "%s/engram-test-XXXXXX",
                          parent && *parent ? parent : "/tmp");
    if (length < 0 || (size_t)length >= sizeof dir->path)
        return -1;
    return mkdtemp(dir->path) ? 0 : -1;
}

static inline int temp_dir_remove_entry(const char *path, const struct stat *about, int type,
                                        struct FTW *position)
{
    (void)about;
    (void)type;
    (void)position;
    return remove(path);
}

static inline void temp_dir_fini(temp_dir *dir)
{
    nftw(dir->path, temp_dir_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
