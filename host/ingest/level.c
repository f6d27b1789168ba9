/* The names of one directory, sorted. Their memory is kept for the next directory. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/status.h"
#include "ingest/source_parts.h"

enum { READ_SIZE = 64 << 10 };

void eg_level_fini(eg_level *level)
{
    if (level->fd >= 0)
        close(level->fd);
    eg_buffer_fini(&level->text);
    eg_free(level->names);
    *level = (eg_level){.fd = -1};
}

/* Adds the names of one filling of the buffer. */
static void add_names(eg_level *level, const uint8_t *records, size_t size)
{
    for (size_t at = 0; at < size;) {
        const struct dirent64 *record = (const void *)(records + at);
        if (strcmp(record->d_name, ".") != 0 && strcmp(record->d_name, "..") != 0) {
            eg_write_bytes(&level->text, record->d_name, strlen(record->d_name) + 1);
            level->count++;
        }
        at += record->d_reclen;
    }
}

static int compare(const void *a, const void *b)
{
    return eg_name_compare(*(const eg_view *)a, *(const eg_view *)b);
}

static engram_status sort_names(eg_level *level, engram_error *error)
{
    if (level->text.failed ||
        !eg_grow((void **)&level->names, &level->capacity, level->count + 1, sizeof *level->names))
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for the names of a directory");
    const uint8_t *at = level->text.data;
    for (size_t i = 0; i < level->count; i++) {
        level->names[i] = (eg_view){at, strlen((const char *)at)};
        at += level->names[i].size + 1;
    }
    qsort(level->names, level->count, sizeof *level->names, compare);
    return ENGRAM_OK;
}

engram_status eg_level_read(eg_level *level, eg_buffer *scratch, engram_error *error)
{
    level->count = level->next = 0;
    eg_buffer_clear(&level->text);
    eg_buffer_clear(scratch);
    if (eg_buffer_extend(scratch, READ_SIZE) == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to list a directory");
    for (;;) {
        ssize_t size = getdents64(level->fd, scratch->data, READ_SIZE);
        if (size == 0)
            return sort_names(level, error);
        if (size < 0)
            return eg_fail_os(error, errno, "cannot be listed");
        add_names(level, scratch->data, (size_t)size);
    }
}
