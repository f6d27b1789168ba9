/* Repair: one version's tree made consistent, in passes over its keys.
 *
 * What is told twice is compared, and what only one side knows is completed: names by directory and by
 * inode, content and its holders. Totals and link counts follow. A tree that is consistent comes through
 * without a change. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/status.h"
#include "engram/repair.h"

enum { TOLD_MAX = 200, PATHS_MAX = 10000 };

void eg_mend_say(eg_mending *m, const char *format, ...)
{
    char text[1000];
    va_list args;
    if (m->told++ >= TOLD_MAX)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    eg_repair_say(m->repair, "version %" PRIu64 ": %s", m->number, text);
}

static engram_status walk(eg_mending *m, char tag, eg_mend_key *each, eg_cursor *cursor,
                          engram_error *error)
{
    uint8_t first = (uint8_t)tag;
    engram_status status = eg_cursor_seek(cursor, (eg_view){&first, 1}, error);
    while (status == ENGRAM_OK && eg_cursor_key(cursor).data[0] == first) {
        eg_view key = eg_cursor_key(cursor);
        if (key.size < 9 && tag != 'N' && tag != 'S') {
            eg_mend_say(m, "a key of %zu bytes is removed", key.size);
            status = eg_builder_remove(&m->builder, key, error);
        } else {
            status = each(m, key, eg_cursor_value(cursor), error);
        }
        if (status == ENGRAM_OK)
            status = eg_cursor_next(cursor, error);
    }
    return status == ENGRAM_NOT_FOUND ? ENGRAM_OK : status;
}

engram_status eg_mend_pass(eg_mending *m, char tag, eg_mend_key *each, eg_mend_end *end,
                           engram_error *error)
{
    engram_status status;
    eg_cursor *cursor = NULL;
    eg_root *next = NULL;
    EG_TRY_DONE(eg_builder_begin(&m->builder, m->repair, m->root, error));
    EG_TRY_DONE(eg_cursor_open(m->root, &cursor, error));
    EG_TRY_DONE(walk(m, tag, each, cursor, error));
    if (end != NULL)
        EG_TRY_DONE(end(m, error));
    m->changes += m->builder.changes;
    EG_TRY_DONE(eg_builder_finish(&m->builder, &next, error));
done:
    eg_cursor_close(&cursor);
    eg_builder_abort(&m->builder);
    if (next != NULL) {
        eg_root_release(m->root);
        m->root = next;
    }
    return status;
}

/* ---- inodes ---- */

engram_status eg_mend_get_inode(eg_mending *m, uint64_t number, eg_inode *inode,
                                engram_error *error)
{
    eg_key key = eg_key_inode(number);
    EG_TRY(eg_builder_get(&m->builder, &key, &m->value, error));
    return eg_inode_decode((eg_view){m->value.data, m->value.size}, inode) ? ENGRAM_OK
                                                                           : ENGRAM_NOT_FOUND;
}

engram_status eg_mend_put_inode(eg_mending *m, uint64_t number, const eg_inode *inode,
                                engram_error *error)
{
    eg_key key = eg_key_inode(number);
    eg_buffer_clear(&m->scratch);
    eg_inode_encode(inode, &m->scratch);
    if (m->scratch.failed)
        return eg_repair_no_memory(error);
    return eg_builder_put(&m->builder, eg_key_view(&key),
                          (eg_view){m->scratch.data, m->scratch.size}, error);
}

engram_status eg_mend_make_inode(eg_mending *m, uint64_t number, eg_inode_kind kind,
                                 engram_error *error)
{
    eg_inode inode = {.kind = kind,
                      .mode = kind == EG_KIND_DIRECTORY ? 0700 : 0600,
                      .mtime = {(int64_t)(m->time_ns / 1000000000u), 0},
                      .created_version = m->made,
                      .modified_version = m->made,
                      .created_ns = m->time_ns,
                      .modified_ns = m->time_ns};
    if (number >= m->repair->inode_next)
        m->repair->inode_next = number + 1;
    return eg_mend_put_inode(m, number, &inode, error);
}

static engram_status drop_unreadable(eg_mending *m, eg_view key, eg_view value,
                                     engram_error *error)
{
    eg_inode inode;
    if (key.size == 9 && eg_inode_decode(value, &inode))
        return ENGRAM_OK;
    eg_mend_say(m, "the record of an inode cannot be read");
    return eg_builder_remove(&m->builder, key, error);
}

static engram_status make_root(eg_mending *m, engram_error *error)
{
    eg_inode inode;
    engram_status status = eg_mend_get_inode(m, EG_INODE_ROOT, &inode, error);
    if (status == ENGRAM_OK && inode.kind == EG_KIND_DIRECTORY)
        return ENGRAM_OK;
    if (status != ENGRAM_OK && status != ENGRAM_NOT_FOUND)
        return status;
    eg_mend_say(m, "the record of the root directory is made anew");
    return eg_mend_make_inode(m, EG_INODE_ROOT, EG_KIND_DIRECTORY, error);
}

static engram_status drop_attribute(eg_mending *m, eg_view key, eg_view value, engram_error *error)
{
    eg_inode inode;
    (void)value;
    engram_status status = eg_mend_get_inode(m, eg_get_be64(key.data + 1), &inode, error);
    return status == ENGRAM_NOT_FOUND ? eg_builder_remove(&m->builder, key, error) : status;
}

/* ---- totals ---- */

static engram_status count_inode(eg_mending *m, eg_view key, eg_view value, engram_error *error)
{
    eg_inode inode;
    uint64_t number = eg_get_be64(key.data + 1);
    (void)error;
    if (!eg_inode_decode(value, &inode))
        return ENGRAM_OK;
    if (number >= m->totals.next_inode)
        m->totals.next_inode = number + 1;
    uint64_t *count = inode.kind == EG_KIND_FILE        ? &m->totals.files
                      : inode.kind == EG_KIND_DIRECTORY ? &m->totals.directories
                      : inode.kind == EG_KIND_SYMLINK   ? &m->totals.links
                                                        : &m->totals.others;
    ++*count;
    if (inode.kind == EG_KIND_FILE)
        m->totals.bytes_logical += inode.size;
    return ENGRAM_OK;
}

static engram_status put_totals(eg_mending *m, engram_error *error)
{
    eg_tree_totals stored = {0};
    uint8_t value[48];
    eg_key key = eg_key_totals();
    engram_status status = eg_builder_get(&m->builder, &key, &m->value, error);
    if (status != ENGRAM_OK && status != ENGRAM_NOT_FOUND)
        return status;
    bool readable = status == ENGRAM_OK &&
                    eg_totals_decode((eg_view){m->value.data, m->value.size}, &stored);
    if (readable && stored.next_inode > m->totals.next_inode)
        m->totals.next_inode = stored.next_inode;
    if (readable && memcmp(&stored, &m->totals, sizeof stored) == 0)
        return ENGRAM_OK;
    eg_mend_say(m, "the totals are counted anew");
    eg_totals_encode(&m->totals, value);
    return eg_builder_put(&m->builder, eg_key_view(&key), (eg_view){value, sizeof value}, error);
}

/* ---- what is lost ---- */

/* One file's line. */
static void tell_hurt(eg_mending *m, const struct eg_hurt *h)
{
    eg_buffer path = {0};
    char name[64];
    snprintf(name, sizeof name, "inode %" PRIu64, h->inode);
    bool has_path = eg_fs_path(m->root, h->inode, &path, NULL) == ENGRAM_OK && path.size != 0;
    eg_view text = has_path ? (eg_view){path.data, path.size < 800 ? path.size : 800}
                            : (eg_view){(const uint8_t *)name, strlen(name)};
    eg_repair_lose(m->repair,
                   "%.*s: %" PRIu64 " of its chunks, %" PRIu64
                   " bytes, are lost, the first at byte %" PRIu64 " (chunk %" PRIu64 ")",
                   (int)text.size, (const char *)text.data, h->chunks, h->bytes, h->first_at,
                   h->first_id);
    eg_buffer_fini(&path);
}

static int compare_hurt(const void *a, const void *b)
{
    const struct eg_hurt *x = a, *y = b;
    if (x->inode != y->inode)
        return x->inode < y->inode ? -1 : 1;
    return (x->first_at > y->first_at) - (x->first_at < y->first_at);
}

/* A file may have lost chunks, and pieces of its content too: it is told once. */
static void merge_hurt(eg_mending *m)
{
    size_t left = 0;
    if (m->hurt_count > 1)
        qsort(m->hurt, m->hurt_count, sizeof *m->hurt, compare_hurt);
    for (size_t i = 0; i < m->hurt_count; i++) {
        struct eg_hurt *last = left != 0 ? &m->hurt[left - 1] : NULL;
        if (last == NULL || last->inode != m->hurt[i].inode) {
            m->hurt[left++] = m->hurt[i];
            continue;
        }
        last->chunks += m->hurt[i].chunks;
        last->bytes += m->hurt[i].bytes;
    }
    m->hurt_count = left;
}

static void tell_losses(eg_mending *m)
{
    merge_hurt(m);
    if (m->told > TOLD_MAX)
        eg_repair_say(m->repair, "version %" PRIu64 ": and %" PRIu64 " more such changes",
                      m->number, m->told - TOLD_MAX);
    if (m->tells)
        m->repair->done->files_damaged = m->hurt_count;
    for (size_t i = 0; m->tells && i < m->hurt_count && i < PATHS_MAX; i++)
        tell_hurt(m, &m->hurt[i]);
    if (m->tells && m->hurt_count > PATHS_MAX)
        eg_repair_lose(m->repair, "and so of %zu more files", m->hurt_count - PATHS_MAX);
    if (!m->tells && m->hurt_count != 0)
        eg_repair_lose(m->repair, "version %" PRIu64 ": %zu files lack chunks that are lost",
                       m->number, m->hurt_count);
}

/* ---- all ---- */

static engram_status mend(eg_mending *m, engram_error *error)
{
    EG_TRY(eg_mend_pass(m, 'I', drop_unreadable, make_root, error));
    EG_TRY(eg_mend_names(m, error));
    EG_TRY(eg_mend_content(m, error));
    EG_TRY(eg_mend_fill(m, error));
    EG_TRY(eg_mend_holders(m, error));
    EG_TRY(eg_mend_orphans(m, error));
    EG_TRY(eg_mend_pass(m, 'X', drop_attribute, NULL, error));
    return eg_mend_pass(m, 'I', count_inode, put_totals, error);
}

engram_status eg_repair_mend(eg_repair *r, const eg_mending *plan, eg_root **root,
                             uint64_t *changes, engram_error *error)
{
    eg_mending m = *plan;
    m.repair = r;
    m.root = *root;
    engram_status status = mend(&m, error);
    if (status == ENGRAM_OK)
        tell_losses(&m);
    *root = m.root;
    *changes = m.changes;
    eg_free(m.holes);
    eg_free(m.hurt);
    eg_buffer_fini(&m.value);
    eg_buffer_fini(&m.scratch);
    eg_buffer_fini(&m.more);
    return status;
}
