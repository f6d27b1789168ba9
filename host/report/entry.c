/* One stored path as a document tells of it: the same fields from every command and from the server. */
#include <inttypes.h>
#include <stdio.h>
#include <sys/sysmacros.h>

#include "report/report.h"

const char *eg_entry_token(const struct engram_stat *stat, char text[EG_TOKEN_SIZE])
{
    snprintf(text, EG_TOKEN_SIZE, "%" PRIu64 ".%" PRIu64, stat->inode, stat->version);
    return text;
}

engram_status eg_entry_target(engram_view *view, const char *path, const struct engram_stat *stat,
                              eg_stored_name *target, engram_error *error)
{
    target->text[0] = 0;
    return stat->kind != ENGRAM_KIND_SYMLINK
               ? ENGRAM_OK
               : engram_read_link(view, path, target->text, sizeof target->text, error);
}

static bool is_device(const struct engram_stat *stat)
{
    return stat->kind == ENGRAM_KIND_CHAR_DEVICE || stat->kind == ENGRAM_KIND_BLOCK_DEVICE;
}

void eg_entry_fill(json_t *object, const char *path, const struct engram_stat *stat,
                   const char *target)
{
    char mode[8], token[EG_TOKEN_SIZE], time[EG_TEXT_SIZE];
    snprintf(mode, sizeof mode, "%04o", stat->mode);
    eg_path_json(object, "path", eg_view_of(path));
    eg_json_put(object, "kind", json_string(engram_kind_name(stat->kind)));
    eg_json_put_number(object, "size", stat->size);
    eg_json_put(object, "mode", json_string(mode));
    eg_json_put_number(object, "uid", stat->uid);
    eg_json_put_number(object, "gid", stat->gid);
    eg_json_put(object, "mtime",
                json_string(eg_text_time(time, stat->mtime_s, stat->mtime_ns, true)));
    eg_json_put_number(object, "inode", stat->inode);
    eg_json_put_number(object, "links", stat->links);
    eg_json_put_number(object, "version", stat->version);
    eg_json_put(object, "token", json_string(eg_entry_token(stat, token)));
    eg_json_put_number(object, "chunks", stat->chunks);
    eg_json_put_number(object, "created_version", stat->created_version);
    eg_json_put(object, "created", json_string(eg_text_time_ns(time, stat->created_ns)));
    eg_json_put(object, "modified", json_string(eg_text_time_ns(time, stat->modified_ns)));
    if (*target != 0)
        eg_path_json(object, "target", eg_view_of(target));
    if (is_device(stat)) {
        eg_json_put_number(object, "device_major", major(stat->device));
        eg_json_put_number(object, "device_minor", minor(stat->device));
    }
}

json_t *eg_entry_json(const char *path, const struct engram_stat *stat, const char *target)
{
    json_t *object = json_object();
    eg_entry_fill(object, path, stat, target);
    return object;
}
