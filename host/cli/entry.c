/* One stored path as commands tell of it: fields for programs, columns for people. */
#include <inttypes.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "cli/cli.h"

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

engram_status eg_entry_add(json_t *entries, engram_view *view, const char *path,
                           struct engram_stat *stat, eg_stored_name *target, engram_error *error)
{
    EG_TRY(engram_stat(view, path, stat, error));
    EG_TRY(eg_entry_target(view, path, stat, target, error));
    eg_json_put(entries, NULL, eg_entry_json(path, stat, target->text));
    return ENGRAM_OK;
}

void eg_entries_put(eg_cli *cli, json_t *entries, int path_count)
{
    json_t *only = path_count == 1 ? json_array_get(entries, 0) : NULL;
    const char *key;
    json_t *value;
    json_object_foreach(only, key, value) eg_json_put(cli->document, key, json_incref(value));
    eg_json_put(cli->document, "entries", entries);
}

const char *eg_entry_mode(const struct engram_stat *stat, char text[11])
{
    static const char kinds[] = "?-dlpcb";
    unsigned m = stat->mode;
    text[0] = kinds[stat->kind < sizeof kinds - 1 ? stat->kind : 0];
    for (unsigned i = 0; i < 9; i++)
        text[1 + i] = m >> (8 - i) & 1 ? "rwxrwxrwx"[i] : '-';
    if (m & S_ISUID)
        text[3] = m & S_IXUSR ? 's' : 'S';
    if (m & S_ISGID)
        text[6] = m & S_IXGRP ? 's' : 'S';
    if (m & S_ISVTX)
        text[9] = m & S_IXOTH ? 't' : 'T';
    text[10] = 0;
    return text;
}

void eg_entry_print_long(const struct engram_stat *stat)
{
    char mode[11], size[EG_TEXT_SIZE], time[EG_TEXT_SIZE];
    if (is_device(stat))
        snprintf(size, sizeof size, "%u,%u", major(stat->device), minor(stat->device));
    else
        snprintf(size, sizeof size, "%" PRIu64, stat->size);
    printf("%s %3u %5u %5u %12s %s ", eg_entry_mode(stat, mode), stat->links, stat->uid, stat->gid,
           size, eg_text_time(time, stat->mtime_s, 0, false));
}
