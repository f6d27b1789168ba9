/* One stored path as commands tell of it: fields for programs, columns for people. */
#include <inttypes.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "cli/cli.h"

static bool is_device(const struct engram_stat *stat)
{
    return stat->kind == ENGRAM_KIND_CHAR_DEVICE || stat->kind == ENGRAM_KIND_BLOCK_DEVICE;
}

engram_status eg_entry_add(json_t *entries, eg_access_view *view, const char *path,
                           struct engram_stat *stat, eg_stored_name *target, engram_error *error)
{
    EG_TRY(eg_access_stat(view, path, stat, target, error));
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
