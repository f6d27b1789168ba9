#include "crash/lies.h"

#include <string.h>

const named_lie named_lies[] = {
    {"journal", "journal files are not synced", SLIP_NONE, OP_SYNC, ".wal", LIE_SKIP},
    {"journal-dir", "names of journal files are not synced", SLIP_NONE, OP_SYNC_DIR, "journal",
     LIE_SKIP},
    {"segment", "segments are not synced", SLIP_NONE, OP_SYNC, ".seg", LIE_SKIP},
    {"segment-late", "segments are synced after the journal", SLIP_NONE, OP_SYNC, ".seg", LIE_LATE},
    {"segment-dir", "names of segments are not synced", SLIP_NONE, OP_SYNC_DIR, "segments",
     LIE_SKIP},
    {"nodes", "tree nodes are not synced", SLIP_NONE, OP_SYNC, ".nodes", LIE_SKIP},
    {"checkpoint", "checkpoints are not synced", SLIP_NONE, OP_SYNC, ".ckpt.tmp", LIE_SKIP},
    {"checkpoint-dir", "names of checkpoints are not synced", SLIP_NONE, OP_SYNC_DIR, "checkpoint",
     LIE_SKIP},
    {"manifest", "MANIFEST.json is not synced before it is renamed", SLIP_NONE, OP_SYNC,
     "MANIFEST.json.tmp", LIE_SKIP},
    {"manifest-dir", "the rename of MANIFEST.json is not synced", SLIP_NONE, OP_SYNC_DIR, "e",
     LIE_SKIP},
    {"store-sync", "the store is not synced where commits and checkpoints ask for it",
     SLIP_STORE_SYNC, 0, "", LIE_NOT},
    {"carry", "records do not carry their small chunks", SLIP_CARRY, 0, "", LIE_NOT},
    {"extents", "extents are told before the segment is synced", SLIP_EXTENTS, 0, "", LIE_NOT},
    {"order", "records of a group in the wrong order", SLIP_ORDER, 0, "", LIE_NOT},
    {"flush", "records are written after the sync that is to cover them", SLIP_FLUSH, 0, "",
     LIE_NOT},
    {"sweep", "merged segments go before the manifest names what took their place", SLIP_SWEEP, 0,
     "", LIE_NOT},
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
    if (l->what == NULL || l->what->slip != SLIP_NONE || kind != l->what->kind)
        return LIE_NOT;
    bool is_it =
        l->what->ending[0] == 'e' ? strcmp(name, "e") == 0 : ends_with(name, l->what->ending);
    if (!is_it)
        return LIE_NOT;
    l->seen++;
    return l->at == 0 || l->seen == l->at ? l->what->how : LIE_NOT;
}
