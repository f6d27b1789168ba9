#include "engram/kept.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engram/folder.h"
#include "engram/internal.h"
#include "store/segment.h"

typedef struct kept {
    const rig *rig;
    const char *damaged, *good;
    bool journal_is_lost;
    folder_listing before, after;
    char missing[200];
} kept;

/* ---- the quarantine ---- */

/* quarantine/FOLDER/NAME without its beginning, or NULL. */
static const char *name_in_quarantine(const char *path)
{
    if (strncmp(path, "quarantine/", 11) != 0)
        return NULL;
    const char *slash = strchr(path + 11, '/');
    return slash != NULL ? slash + 1 : NULL;
}

static bool is_in_quarantine(const kept *k, const char *name)
{
    for (size_t i = 0; i < k->after.count; i++) {
        const char *there = name_in_quarantine(k->after.paths[i]);
        if (there != NULL && strcmp(there, name) == 0 &&
            folder_same(k->rig->dir, k->after.paths[i], k->damaged, name))
            return true;
    }
    return false;
}

/* ---- what must be somewhere ---- */

static bool is_stored(const kept *k, const eg_chunk_record *record)
{
    eg_chunk_info info;
    return eg_store_get_info(eg_engram_store(k->rig->engram), record->id, &info, NULL) ==
               ENGRAM_OK &&
           memcmp(info.fingerprint.bytes, record->fingerprint, sizeof info.fingerprint.bytes) == 0;
}

static int open_file(const char *dir, const char *name)
{
    char path[FOLDER_PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int file = open(path, O_RDONLY);
    assert_true(file >= 0);
    return file;
}

/* Of what lies in a piece of a segment, records begin at multiples of 8. */
static bool piece_is_stored(const kept *k, int file, uint64_t from, uint64_t to)
{
    static uint8_t bytes[2 << 20];
    bool all = true;
    assert_true(to - from <= sizeof bytes);
    assert_int_equal(pread(file, bytes, (size_t)(to - from), (off_t)from), (ssize_t)(to - from));
    for (size_t at = 0; at + EG_SEGMENT_RECORD_SIZE <= to - from && all; at += 8) {
        eg_chunk_record record;
        memcpy(&record, bytes + at, sizeof record);
        if (record.id != 0 && record.kind <= EG_CORRECTION_VERBATIM &&
            eg_record_is_valid(&record, EG_SEGMENT_PAYLOAD_MAX))
            all = is_stored(k, &record);
    }
    return all;
}

static bool chunks_are_stored(const kept *k, const char *name)
{
    bool all = true;
    int file = open_file(k->damaged, name);
    for (uint64_t from, to = 0; all && folder_next_data(file, &from, &to);)
        all = piece_is_stored(k, file, from, to);
    close(file);
    return all;
}

/* What is left of bytes when those that a file has at the same place are set to 0. */
static void take_away(const char *dir, const char *name, uint64_t offset, const uint8_t *bytes,
                      uint8_t *left, size_t size)
{
    static uint8_t there[1 << 20];
    int file = open_file(dir, name);
    ssize_t got = pread(file, there, sizeof there, 0);
    close(file);
    for (size_t i = 0; got > 0 && i < (size_t)got && offset + i < size; i++)
        if (there[i] == bytes[offset + i])
            left[offset + i] = 0;
}

static bool nodes_are_kept(const kept *k, const char *name)
{
    static const char stem[] = "tree/00000001.nodes.";
    static uint8_t bytes[1 << 20], left[1 << 20], none[1 << 20];
    int file = open_file(k->damaged, name);
    ssize_t size = pread(file, bytes, sizeof bytes, 0);
    close(file);
    assert_in_range(size, 0, sizeof bytes - 1);
    memset(left, 1, (size_t)size);
    for (size_t i = 0; i < k->after.count; i++) {
        const char *there = name_in_quarantine(k->after.paths[i]);
        if (strcmp(k->after.paths[i], name) == 0)
            take_away(k->rig->dir, name, 0, bytes, left, (size_t)size);
        else if (there != NULL && strncmp(there, stem, sizeof stem - 1) == 0)
            take_away(k->rig->dir, k->after.paths[i], strtoull(there + sizeof stem - 1, NULL, 10),
                      bytes, left, (size_t)size);
    }
    return memcmp(left, none, (size_t)size) == 0;
}

static bool is_kept(const kept *k, const char *name)
{
    if (strncmp(name, "tree/", 5) == 0)
        return nodes_are_kept(k, name);
    if (folder_same(k->rig->dir, name, k->damaged, name) || is_in_quarantine(k, name))
        return true;
    if (strncmp(name, "segments/", 9) == 0)
        return chunks_are_stored(k, name);
    if (strncmp(name, "checkpoint/", 11) == 0)
        return folder_same(k->good, name, k->damaged, name);
    return strncmp(name, "journal/", 8) == 0 && !k->journal_is_lost;
}

const char *kept_missing(const rig *r, const char *damaged, const char *good, bool journal_is_lost)
{
    static kept k;
    k = (kept){.rig = r, .damaged = damaged, .good = good, .journal_is_lost = journal_is_lost};
    folder_list(damaged, &k.before);
    folder_list(r->dir, &k.after);
    for (size_t i = 0; i < k.before.count; i++) {
        if (is_kept(&k, k.before.paths[i]))
            continue;
        snprintf(k.missing, sizeof k.missing, "%s", k.before.paths[i]);
        return k.missing;
    }
    return NULL;
}
