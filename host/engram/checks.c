/* The list is a run of: kind u8, written u8, key size u16, hash u64, key. The hash of an absent
 * key is 0, any other is never 0. */
#include "engram/checks.h"

#include <xxhash.h>

#include "base/status.h"

enum { FRONT_SIZE = 12 };

static uint64_t hash_value(eg_view value)
{
    uint64_t hash = XXH3_64bits(value.data, value.size);
    return hash != 0 ? hash : 1;
}

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to remember what a transaction read");
}

/* Either a root or an edit is looked at. */
typedef struct source {
    eg_root *root;
    eg_edit *edit;
} source;

static engram_status hash_key(source s, eg_view key, eg_buffer *scratch, uint64_t *hash,
                              engram_error *error)
{
    engram_status status = s.root != NULL ? eg_root_get(s.root, key, scratch, error)
                                          : eg_edit_get(s.edit, key, scratch, error);
    *hash = status == ENGRAM_OK ? hash_value((eg_view){scratch->data, scratch->size}) : 0;
    return status == ENGRAM_NOT_FOUND ? ENGRAM_OK : status;
}

static engram_status hash_range(source s, eg_view prefix, uint64_t *hash, engram_error *error)
{
    eg_cursor *cursor = NULL;
    *hash = 0;
    EG_TRY(s.root != NULL ? eg_cursor_open(s.root, &cursor, error)
                          : eg_cursor_open_edit(s.edit, &cursor, error));
    engram_status status = eg_cursor_seek(cursor, prefix, error);
    while (status == ENGRAM_OK) {
        eg_view key = eg_cursor_key(cursor);
        if (key.size < prefix.size || memcmp(key.data, prefix.data, prefix.size) != 0)
            break;
        uint64_t parts[3] = {*hash, hash_value(key), hash_value(eg_cursor_value(cursor))};
        *hash = hash_value((eg_view){(const uint8_t *)parts, sizeof parts});
        status = eg_cursor_next(cursor, error);
    }
    eg_cursor_close(&cursor);
    return status == ENGRAM_NOT_FOUND ? ENGRAM_OK : status;
}

void eg_checks_fini(eg_checks *checks)
{
    eg_buffer_fini(&checks->list);
    eg_buffer_fini(&checks->scratch);
}

/* A transaction that walks one directory meets the same keys again and again: short lists are
 * looked through, so that these stand there once. */
static bool is_listed(const eg_checks *checks, uint8_t kind, bool written, const eg_key *key)
{
    enum { LOOK = 32 };
    if (checks->count > LOOK)
        return false;
    for (size_t at = 0; at < checks->list.size;) {
        const uint8_t *item = checks->list.data + at;
        size_t size = eg_get_u16(item + 2);
        if (item[0] == kind && item[1] >= written && size == key->size &&
            memcmp(item + FRONT_SIZE, key->bytes, size) == 0)
            return true;
        at += FRONT_SIZE + size;
    }
    return false;
}

engram_status eg_checks_add(eg_checks *checks, eg_root *root, eg_check_kind kind, bool written,
                            const eg_key *key, engram_error *error)
{
    uint64_t hash = 0;
    source s = {.root = root};
    if (is_listed(checks, (uint8_t)kind, written, key))
        return ENGRAM_OK;
    if (kind == EG_CHECK_RANGE)
        EG_TRY(hash_range(s, eg_key_view(key), &hash, error));
    else if (kind == EG_CHECK_VALUE)
        EG_TRY(hash_key(s, eg_key_view(key), &checks->scratch, &hash, error));
    eg_write_u8(&checks->list, (uint8_t)kind);
    eg_write_u8(&checks->list, written);
    eg_write_u16(&checks->list, (uint16_t)key->size);
    eg_write_u64(&checks->list, hash);
    eg_write_bytes(&checks->list, key->bytes, key->size);
    checks->count++;
    return checks->list.failed ? no_memory(error) : ENGRAM_OK;
}

engram_status eg_checks_hold(const eg_checks *checks, eg_edit *edit, bool only_written,
                             eg_buffer *scratch, bool *hold, eg_view *failed, engram_error *error)
{
    source s = {.edit = edit};
    *hold = true;
    for (size_t at = 0; at < checks->list.size && *hold;) {
        const uint8_t *item = checks->list.data + at;
        eg_view key = {item + FRONT_SIZE, eg_get_u16(item + 2)};
        uint64_t hash = 0;
        at += FRONT_SIZE + key.size;
        if (only_written && !item[1])
            continue;
        if (item[0] == EG_CHECK_RANGE)
            EG_TRY(hash_range(s, key, &hash, error));
        else
            EG_TRY(hash_key(s, key, scratch, &hash, error));
        *hold = item[0] == EG_CHECK_PRESENT ? hash != 0 : hash == eg_get_u64(item + 4);
        *failed = key;
    }
    return ENGRAM_OK;
}
