/* What changed, what a path was, and which versions have names, as documents. */
#include "report/report.h"

static const struct {
    char letter;
    const char *name;
} kinds[] = {
    [ENGRAM_ADDED] = {'A', "added"},     [ENGRAM_REMOVED] = {'D', "removed"},
    [ENGRAM_CONTENT] = {'M', "content"}, [ENGRAM_ATTRIBUTES] = {'T', "attributes"},
    [ENGRAM_RENAMED] = {'R', "renamed"},
};

char eg_change_letter(engram_change_kind what)
{
    return kinds[what].letter;
}

static json_t *side_json(const struct engram_stat *stat)
{
    char mode[8], token[EG_TOKEN_SIZE];
    json_t *object = json_object();
    snprintf(mode, sizeof mode, "%04o", stat->mode);
    eg_json_put(object, "kind", json_string(engram_kind_name(stat->kind)));
    eg_json_put_number(object, "size", stat->size);
    eg_json_put(object, "mode", json_string(mode));
    eg_json_put(object, "token", json_string(eg_entry_token(stat, token)));
    return object;
}

json_t *eg_change_json(const engram_change *change)
{
    char letter[2] = {kinds[change->what].letter, 0};
    json_t *object = json_object();
    eg_json_put(object, "change", json_string(kinds[change->what].name));
    eg_json_put(object, "letter", json_string(letter));
    eg_path_json(object, "path", eg_view_of(change->path));
    if (change->old_path != NULL)
        eg_path_json(object, "old_path", eg_view_of(change->old_path));
    if (change->what != ENGRAM_ADDED)
        eg_json_put(object, "before", side_json(&change->before));
    if (change->what != ENGRAM_REMOVED)
        eg_json_put(object, "after", side_json(&change->after));
    return object;
}

json_t *eg_log_entry_json(const char *path, const engram_log_entry *entry)
{
    char time[EG_TEXT_SIZE];
    json_t *object = json_object();
    eg_json_put_number(object, "version_seen", entry->version);
    eg_json_put(object, "time", json_string(eg_text_time_ns(time, entry->time_ns)));
    eg_json_put(object, "present", json_boolean(entry->present));
    if (entry->present)
        eg_entry_fill(object, path, &entry->stat, "");
    return object;
}

json_t *eg_snapshot_json(const char *name, uint64_t version, uint64_t time_ns)
{
    char time[EG_TEXT_SIZE];
    json_t *object = json_object();
    eg_path_json(object, "name", eg_view_of(name));
    eg_json_put_number(object, "version", version);
    eg_json_put(object, "time", json_string(eg_text_time_ns(time, time_ns)));
    return object;
}
