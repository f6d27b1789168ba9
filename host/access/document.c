/* Reading documents, field by field. */
#include "access/document.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/sysmacros.h>
#include <time.h>

static engram_status nonsense(const char *key, engram_error *error)
{
    return eg_fail(error, ENGRAM_IO, "the server's reply has no '%s' that can be read", key);
}

engram_status eg_document_number(const json_t *object, const char *key, uint64_t *value,
                                 engram_error *error)
{
    const json_t *field = json_object_get(object, key);
    if (!json_is_integer(field) || json_integer_value(field) < 0)
        return nonsense(key, error);
    *value = (uint64_t)json_integer_value(field);
    return ENGRAM_OK;
}

static engram_status small(const json_t *object, const char *key, uint32_t *value,
                           engram_error *error)
{
    uint64_t number = 0;
    EG_TRY(eg_document_number(object, key, &number, error));
    if (number > UINT32_MAX)
        return nonsense(key, error);
    *value = (uint32_t)number;
    return ENGRAM_OK;
}

/* ---- paths ---- */

/* False also for what is longer than a path, or has a zero byte in it. */
static bool decode_base64(const char *text, eg_stored_name *out)
{
    eg_buffer bytes = {0};
    bool fits = eg_base64_read(text, strlen(text), &bytes) && bytes.size <= EG_PATH_MAX &&
                (bytes.size == 0 || memchr(bytes.data, 0, bytes.size) == NULL);
    if (fits && bytes.size != 0)
        memcpy(out->text, bytes.data, bytes.size);
    out->text[fits ? bytes.size : 0] = 0;
    eg_buffer_fini(&bytes);
    return fits;
}

engram_status eg_document_path(const json_t *object, const char *key, eg_stored_name *path,
                               engram_error *error)
{
    char key_base64[48];
    snprintf(key_base64, sizeof key_base64, "%s_base64", key);
    const char *encoded = json_string_value(json_object_get(object, key_base64));
    const json_t *plain = json_object_get(object, key);
    if (encoded != NULL)
        return decode_base64(encoded, path) ? ENGRAM_OK : nonsense(key_base64, error);
    if (!json_is_string(plain) || json_string_length(plain) > EG_PATH_MAX)
        return nonsense(key, error);
    memcpy(path->text, json_string_value(plain), json_string_length(plain) + 1);
    return ENGRAM_OK;
}

/* ---- times ---- */

bool eg_document_time(const char *text, int64_t *seconds, uint32_t *nanoseconds)
{
    struct tm parts = {0};
    char *end = NULL;
    *nanoseconds = 0;
    errno = 0;
    if (*text == '@') {
        *seconds = strtoll(text + 1, &end, 10);
        return end != text + 1 && *end == 0 && errno == 0;
    }
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &parts);
    if (rest == NULL)
        return false;
    *seconds = timegm(&parts);
    if (*rest == '.') {
        size_t digits = strspn(rest + 1, "0123456789");
        if (digits != 9)
            return false;
        *nanoseconds = (uint32_t)strtoul(rest + 1, NULL, 10);
        rest += 10;
    }
    return strcmp(rest, "Z") == 0;
}

static engram_status time_of(const json_t *object, const char *key, int64_t *seconds,
                             uint32_t *nanoseconds, engram_error *error)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL && eg_document_time(text, seconds, nanoseconds) ? ENGRAM_OK
                                                                        : nonsense(key, error);
}

engram_status eg_document_time_ns(const json_t *object, const char *key, uint64_t *time_ns,
                                  engram_error *error)
{
    int64_t seconds = 0;
    uint32_t nanoseconds = 0;
    EG_TRY(time_of(object, key, &seconds, &nanoseconds, error));
    if (seconds < 0 || (uint64_t)seconds > UINT64_MAX / 1000000000 - 1)
        return nonsense(key, error);
    *time_ns = (uint64_t)seconds * 1000000000 + nanoseconds;
    return ENGRAM_OK;
}

/* ---- entries ---- */

static engram_status kind_of(const json_t *object, engram_kind *kind, engram_error *error)
{
    const char *name = json_string_value(json_object_get(object, "kind"));
    for (*kind = ENGRAM_KIND_FILE; name != NULL && *kind <= ENGRAM_KIND_BLOCK_DEVICE; (*kind)++)
        if (strcmp(name, engram_kind_name(*kind)) == 0)
            return ENGRAM_OK;
    return nonsense("kind", error);
}

static engram_status mode_of(const json_t *object, uint32_t *mode, engram_error *error)
{
    const char *text = json_string_value(json_object_get(object, "mode"));
    if (text == NULL || strlen(text) > 4 || *text == 0 || text[strspn(text, "01234567")] != 0)
        return nonsense("mode", error);
    *mode = (uint32_t)strtoul(text, NULL, 8);
    return ENGRAM_OK;
}

static engram_status device_of(const json_t *object, struct engram_stat *stat, engram_error *error)
{
    uint32_t numbers[2] = {0};
    if (stat->kind != ENGRAM_KIND_CHAR_DEVICE && stat->kind != ENGRAM_KIND_BLOCK_DEVICE)
        return ENGRAM_OK;
    EG_TRY(small(object, "device_major", &numbers[0], error));
    EG_TRY(small(object, "device_minor", &numbers[1], error));
    stat->device = makedev(numbers[0], numbers[1]);
    return ENGRAM_OK;
}

static engram_status stat_of(const json_t *object, struct engram_stat *s, engram_error *error)
{
    *s = (struct engram_stat){0};
    EG_TRY(kind_of(object, &s->kind, error));
    EG_TRY(mode_of(object, &s->mode, error));
    EG_TRY(eg_document_number(object, "size", &s->size, error));
    EG_TRY(eg_document_number(object, "inode", &s->inode, error));
    EG_TRY(eg_document_number(object, "version", &s->version, error));
    EG_TRY(eg_document_number(object, "chunks", &s->chunks, error));
    EG_TRY(eg_document_number(object, "created_version", &s->created_version, error));
    EG_TRY(small(object, "uid", &s->uid, error));
    EG_TRY(small(object, "gid", &s->gid, error));
    EG_TRY(small(object, "links", &s->links, error));
    EG_TRY(time_of(object, "mtime", &s->mtime_s, &s->mtime_ns, error));
    EG_TRY(eg_document_time_ns(object, "created", &s->created_ns, error));
    EG_TRY(eg_document_time_ns(object, "modified", &s->modified_ns, error));
    return device_of(object, s, error);
}

engram_status eg_document_entry(const json_t *object, eg_stored_name *path,
                                struct engram_stat *stat, eg_stored_name *target,
                                engram_error *error)
{
    EG_TRY(stat_of(object, stat, error));
    if (path != NULL)
        EG_TRY(eg_document_path(object, "path", path, error));
    if (target == NULL)
        return ENGRAM_OK;
    target->text[0] = 0;
    return stat->kind == ENGRAM_KIND_SYMLINK ? eg_document_path(object, "target", target, error)
                                             : ENGRAM_OK;
}

engram_status eg_document_side(const json_t *object, struct engram_stat *stat, engram_error *error)
{
    engram_expected token = {0};
    const char *text = json_string_value(json_object_get(object, "token"));
    EG_TRY(kind_of(object, &stat->kind, error));
    EG_TRY(mode_of(object, &stat->mode, error));
    EG_TRY(eg_document_number(object, "size", &stat->size, error));
    if (text == NULL || engram_expected_parse(text, &token, NULL) != ENGRAM_OK ||
        token.what != ENGRAM_TOKEN)
        return nonsense("token", error);
    stat->inode = token.inode;
    stat->version = token.version;
    return ENGRAM_OK;
}
