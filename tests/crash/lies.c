#include "crash/lies.h"

#include <string.h>

const named_lie named_lies[] = {
    {"journal", "journal files are not synced", OP_SYNC, ".wal", LIE_SKIP},
    {"journal-dir", "names of journal files are not synced", OP_SYNC_DIR, "journal", LIE_SKIP},
    {"segment", "segments are not synced", OP_SYNC, ".seg", LIE_SKIP},
    {"segment-late", "segments are synced after the journal", OP_SYNC, ".seg", LIE_LATE},
    {"segment-dir", "names of segments are not synced", OP_SYNC_DIR, "segments", LIE_SKIP},
    {"nodes", "tree nodes are not synced", OP_SYNC, ".nodes", LIE_SKIP},
    {"checkpoint", "checkpoints are not synced", OP_SYNC, ".ckpt.tmp", LIE_SKIP},
    {"checkpoint-dir", "names of checkpoints are not synced", OP_SYNC_DIR, "checkpoint", LIE_SKIP},
    {"manifest", "MANIFEST.json is not synced before it is renamed", OP_SYNC, "MANIFEST.json.tmp",
     LIE_SKIP},
    {"manifest-dir", "the rename of MANIFEST.json is not synced", OP_SYNC_DIR, "e", LIE_SKIP},
};
const size_t named_lie_count = sizeof named_lies / sizeof *named_lies;

const named_lie *named_lie_find(const char *name)
{
    for (size_t i = 0; i < named_lie_count; i++)
        if (strcmp(named_lies[i].name, name) == 0)
            return &named_lies[i];
    return NULL;
}

static bool ends_with(const char *name, const char *ending)
{
    size_t size = strlen(name), ending_size = strlen(ending);
    return size >= ending_size && strcmp(name + size - ending_size, ending) == 0;
}

lie liar_ask(void *context, op_kind kind, const char *name)
{
    liar *l = context;
    if (l->what == NULL || kind != l->what->kind)
        return LIE_NOT;
    bool is_it =
        l->what->ending[0] == 'e' ? strcmp(name, "e") == 0 : ends_with(name, l->what->ending);
    if (!is_it)
        return LIE_NOT;
    l->seen++;
    return l->at == 0 || l->seen == l->at ? l->what->how : LIE_NOT;
}
