/* Extended attributes of a name in an open directory.
 *
 * Linux has no such call relative to a directory that does not follow links, so the name is reached
 * through /proc/self/fd. Most files have none, and then this costs one call. */
#include <errno.h>
#include <stdio.h>
#include <sys/xattr.h>

#include "base/status.h"
#include "ingest/source_parts.h"

enum { NAMES_FIRST = 1024, VALUE_FIRST = 256 };

void eg_xattr_reader_fini(eg_xattr_reader *reader)
{
    eg_buffer_fini(&reader->names);
    eg_buffer_fini(&reader->value);
    eg_buffer_fini(&reader->path);
}

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for extended attributes");
}

static bool make_path(eg_xattr_reader *reader, int dir, const char *name)
{
    char start[64];
    int size = name[0] == '/' ? 0 : snprintf(start, sizeof start, "/proc/self/fd/%d/", dir);
    eg_buffer_clear(&reader->path);
    eg_write_bytes(&reader->path, start, (size_t)size);
    eg_write_bytes(&reader->path, name, strlen(name) + 1);
    return !reader->path.failed;
}

/* The names, or with a name its value, into out, however long. A negative *size is an errno. */
static engram_status fetch(const char *path, const char *name, size_t first, eg_buffer *out,
                           ssize_t *size, engram_error *error)
{
    for (size_t room = first;; room *= 4) {
        eg_buffer_clear(out);
        if (eg_buffer_extend(out, room) == NULL)
            return no_memory(error);
        *size = name != NULL ? lgetxattr(path, name, out->data, room)
                             : llistxattr(path, (char *)out->data, room);
        if (*size >= 0)
            return ENGRAM_OK;
        *size = -errno;
        if (errno != ERANGE || room > 1 << 20)
            return ENGRAM_OK;
    }
}

static engram_status read_value(eg_xattr_reader *reader, const char *name, eg_attribute_list *list,
                                engram_error *error)
{
    ssize_t size = 0;
    EG_TRY(fetch((const char *)reader->path.data, name, VALUE_FIRST, &reader->value, &size, error));
    if (size == -ENODATA || size == -ENOTSUP)
        return ENGRAM_OK;
    if (size < 0)
        return eg_fail_os(error, (int)-size, "its attribute %.255s cannot be read", name);
    return eg_attributes_add(list, name, reader->value.data, (size_t)size, error);
}

engram_status eg_xattr_read(eg_xattr_reader *reader, int dir, const char *name, uint64_t device,
                            eg_attribute_list *list, engram_error *error)
{
    ssize_t size = 0;
    eg_attributes_clear(list);
    if (reader->is_device_without && reader->device_without == device)
        return ENGRAM_OK;
    if (!make_path(reader, dir, name))
        return no_memory(error);
    EG_TRY(fetch((const char *)reader->path.data, NULL, NAMES_FIRST, &reader->names, &size, error));
    if (size == -ENOTSUP) {
        reader->is_device_without = true;
        reader->device_without = device;
        return ENGRAM_OK;
    }
    if (size < 0)
        return eg_fail_os(error, (int)-size, "its extended attributes cannot be listed");
    for (ssize_t at = 0; at < size;) {
        const char *attribute = (const char *)reader->names.data + at;
        if (eg_attribute_stored(attribute))
            EG_TRY(read_value(reader, attribute, list, error));
        at += (ssize_t)strlen(attribute) + 1;
    }
    return eg_attributes_finish(list, error);
}
