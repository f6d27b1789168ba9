/* Paths as they are stored: components between single slashes, none of them "." or "..". */
#include "base/status.h"
#include "ingest/source_parts.h"

static void terminate(eg_buffer *path)
{
    eg_write_u8(path, 0);
    path->size -= !path->failed;
}

void eg_path_append(eg_buffer *path, eg_view name)
{
    if (path->size != 0)
        eg_write_u8(path, '/');
    eg_write_bytes(path, name.data, name.size);
    terminate(path);
}

void eg_path_cut(eg_buffer *path, size_t size)
{
    path->size = size;
    terminate(path);
}

int eg_name_compare(eg_view a, eg_view b)
{
    int order = memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static engram_status append_component(const char *given, eg_view name, eg_buffer *out,
                                      engram_error *error)
{
    if (name.size == 0 || (name.size == 1 && name.data[0] == '.'))
        return ENGRAM_OK;
    if (name.size == 2 && memcmp(name.data, "..", 2) == 0) {
        eg_buffer_clear(out);
        return ENGRAM_OK;
    }
    if (name.size > EG_NAME_MAX)
        return eg_fail(error, ENGRAM_INVALID, "'%.200s' has a name of more than %d bytes", given,
                       EG_NAME_MAX);
    eg_path_append(out, name);
    if (out->size > EG_PATH_MAX)
        return eg_fail(error, ENGRAM_INVALID, "'%.200s...' is longer than %d bytes", given,
                       EG_PATH_MAX);
    return ENGRAM_OK;
}

engram_status eg_stored_path(const char *given, eg_buffer *out, engram_error *error)
{
    eg_buffer_clear(out);
    for (const char *at = given; *at != 0;) {
        size_t size = strcspn(at, "/");
        EG_TRY(append_component(given, (eg_view){(const uint8_t *)at, size}, out, error));
        at += size + (at[size] == '/');
    }
    if (out->failed)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for the path '%.200s'", given);
    if (out->size == 0)
        return eg_fail(error, ENGRAM_INVALID, "'%.200s' names nothing that can be stored", given);
    return ENGRAM_OK;
}
