/* Repair: names. Each stands under its directory ('D') and under its inode ('P'); what one of them says
 * alone is completed, and what leads to nothing goes. What has no name is linked below lost+found. */
#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/status.h"
#include "engram/repair.h"

typedef struct name {
    uint64_t directory, inode;
    eg_view text;
    uint8_t kind;
} name;

/* ---- by directory ---- */

static engram_status put_parent(eg_mending *m, const name *n, engram_error *error)
{
    eg_key key = eg_key_parent(n->inode, n->directory, n->text);
    engram_status status = eg_builder_get(&m->builder, &key, &m->value, error);
    if (status != ENGRAM_NOT_FOUND)
        return status;
    eg_mend_say(m, "'%.*s': its inode, %" PRIu64 ", knows its name again", (int)n->text.size,
                (const char *)n->text.data, n->inode);
    return eg_builder_put(&m->builder, eg_key_view(&key), (eg_view){n->text.data, 0}, error);
}

static engram_status put_entry(eg_mending *m, const name *n, engram_error *error)
{
    uint8_t value[9];
    eg_key key = eg_key_entry(n->directory, n->text);
    eg_put_u64(value, n->inode);
    value[8] = n->kind;
    return eg_builder_put(&m->builder, eg_key_view(&key), (eg_view){value, sizeof value}, error);
}

static engram_status remove_entry(eg_mending *m, const name *n, engram_error *error)
{
    eg_key key = eg_key_entry(n->directory, n->text);
    eg_key parent = eg_key_parent(n->inode, n->directory, n->text);
    EG_TRY(eg_builder_remove(&m->builder, eg_key_view(&key), error));
    return eg_builder_remove(&m->builder, eg_key_view(&parent), error);
}

/* Whether the directory is one; its record is made anew when that is lost. */
static engram_status need_directory(eg_mending *m, uint64_t number, bool *is_one,
                                    engram_error *error)
{
    eg_inode inode;
    engram_status status = eg_mend_get_inode(m, number, &inode, error);
    *is_one = status == ENGRAM_NOT_FOUND || inode.kind == EG_KIND_DIRECTORY;
    if (status != ENGRAM_NOT_FOUND)
        return status;
    eg_mend_say(m, "directory %" PRIu64 ": its record is lost, its entries are not", number);
    return eg_mend_make_inode(m, number, EG_KIND_DIRECTORY, error);
}

/* The inode that a name leads to; made anew where the name and the content tell enough. *kind 0: it is lost. */
static engram_status need_inode(eg_mending *m, const name *n, uint8_t *kind, engram_error *error)
{
    eg_inode inode;
    bool has_content = false;
    engram_status status = eg_mend_get_inode(m, n->inode, &inode, error);
    if (status == ENGRAM_OK)
        *kind = (uint8_t)inode.kind;
    if (status != ENGRAM_NOT_FOUND)
        return status;
    *kind = 0;
    if (n->kind == EG_KIND_FILE)
        EG_TRY(eg_builder_any(&m->builder, 'E', n->inode, &has_content, error));
    if (!has_content && n->kind != EG_KIND_DIRECTORY)
        return ENGRAM_OK;
    *kind = n->kind;
    eg_repair_lose(m->repair, "version %" PRIu64 ": '%.*s': its attributes are lost", m->number,
                   (int)n->text.size, (const char *)n->text.data);
    return eg_mend_make_inode(m, n->inode, (eg_inode_kind)n->kind, error);
}

static engram_status mend_entry(eg_mending *m, eg_view key, eg_view value, engram_error *error)
{
    bool is_directory;
    uint8_t kind = 0;
    name n = {.directory = eg_get_be64(key.data + 1), .text = {key.data + 9, key.size - 9}};
    if (value.size != 9 || !eg_name_valid(n.text)) {
        eg_mend_say(m, "a directory entry cannot be read");
        return eg_builder_remove(&m->builder, key, error);
    }
    n.inode = eg_get_u64(value.data);
    n.kind = value.data[8];
    EG_TRY(need_directory(m, n.directory, &is_directory, error));
    if (is_directory && n.inode != EG_INODE_ROOT)
        EG_TRY(need_inode(m, &n, &kind, error));
    if (kind == 0) {
        eg_repair_lose(m->repair, "version %" PRIu64 ": '%.*s': its inode, %" PRIu64 ", is lost",
                       m->number, (int)n.text.size, (const char *)n.text.data, n.inode);
        return remove_entry(m, &n, error);
    }
    if (kind != n.kind) {
        n.kind = kind;
        eg_mend_say(m, "'%.*s': its kind is that of its inode", (int)n.text.size,
                    (const char *)n.text.data);
        EG_TRY(put_entry(m, &n, error));
    }
    return put_parent(m, &n, error);
}

/* ---- by inode ---- */

static engram_status restore_entry(eg_mending *m, name *n, engram_error *error)
{
    eg_inode inode;
    bool is_directory = false;
    engram_status status = eg_mend_get_inode(m, n->inode, &inode, error);
    if (status == ENGRAM_NOT_FOUND || n->inode == EG_INODE_ROOT)
        return remove_entry(m, n, error);
    EG_TRY(status);
    n->kind = (uint8_t)inode.kind;
    EG_TRY(need_directory(m, n->directory, &is_directory, error));
    if (!is_directory)
        return remove_entry(m, n, error);
    eg_mend_say(m, "'%.*s': its directory, %" PRIu64 ", has the entry again", (int)n->text.size,
                (const char *)n->text.data, n->directory);
    return put_entry(m, n, error);
}

static engram_status mend_parent(eg_mending *m, eg_view key, eg_view value, engram_error *error)
{
    name n = {.inode = eg_get_be64(key.data + 1)};
    (void)value;
    if (key.size > 17) {
        n.directory = eg_get_be64(key.data + 9);
        n.text = (eg_view){key.data + 17, key.size - 17};
    }
    if (key.size <= 17 || !eg_name_valid(n.text)) {
        eg_mend_say(m, "a name of inode %" PRIu64 " cannot be read", n.inode);
        return eg_builder_remove(&m->builder, key, error);
    }
    eg_key entry = eg_key_entry(n.directory, n.text);
    engram_status status = eg_builder_get(&m->builder, &entry, &m->value, error);
    if (status == ENGRAM_NOT_FOUND)
        return restore_entry(m, &n, error);
    EG_TRY(status);
    if (m->value.size == 9 && eg_get_u64(m->value.data) == n.inode)
        return ENGRAM_OK;
    eg_mend_say(m, "'%.*s' is another inode's name, not that of %" PRIu64, (int)n.text.size,
                (const char *)n.text.data, n.inode);
    return eg_builder_remove(&m->builder, key, error);
}

engram_status eg_mend_names(eg_mending *m, engram_error *error)
{
    EG_TRY(eg_mend_pass(m, 'D', mend_entry, NULL, error));
    return eg_mend_pass(m, 'P', mend_parent, NULL, error);
}

/* ---- what has no name ---- */

static engram_status put_name(eg_mending *m, const name *n, engram_error *error)
{
    eg_key parent = eg_key_parent(n->inode, n->directory, n->text);
    EG_TRY(put_entry(m, n, error));
    return eg_builder_put(&m->builder, eg_key_view(&parent), (eg_view){n->text.data, 0}, error);
}

/* The entry of that name: its inode and kind; 0 when there is none. */
static engram_status find_entry(eg_mending *m, uint64_t directory, const char *text, uint64_t *inode,
                                uint8_t *kind, engram_error *error)
{
    eg_key key = eg_key_entry(directory, (eg_view){(const uint8_t *)text, strlen(text)});
    engram_status status = eg_builder_get(&m->builder, &key, &m->value, error);
    *inode = status == ENGRAM_OK && m->value.size == 9 ? eg_get_u64(m->value.data) : 0;
    *kind = *inode != 0 ? m->value.data[8] : 0;
    return status == ENGRAM_NOT_FOUND ? ENGRAM_OK : status;
}

static void number_name(char *text, size_t size, const char *stem, unsigned number)
{
    if (number == 0)
        snprintf(text, size, "%s", stem);
    else
        snprintf(text, size, "%s.%u", stem, number);
}

static engram_status make_folder(eg_mending *m, engram_error *error)
{
    eg_inode inode;
    name n = {.directory = EG_INODE_ROOT,
              .inode = m->repair->inode_next,
              .text = {(const uint8_t *)m->folder, strlen(m->folder)},
              .kind = EG_KIND_DIRECTORY};
    m->lost_and_found = n.inode;
    EG_TRY(eg_mend_make_inode(m, n.inode, EG_KIND_DIRECTORY, error));
    EG_TRY(eg_mend_get_inode(m, n.inode, &inode, error));
    inode.link_count = 1;
    EG_TRY(eg_mend_put_inode(m, n.inode, &inode, error));
    return put_name(m, &n, error);
}

/* The directory, made when it is first needed; where a file has its name it gets another. */
static engram_status need_lost_and_found(eg_mending *m, engram_error *error)
{
    uint8_t kind = 0;
    for (unsigned i = 0; m->lost_and_found == 0; i++) {
        uint64_t found;
        number_name(m->folder, sizeof m->folder, "lost+found", i);
        EG_TRY(find_entry(m, EG_INODE_ROOT, m->folder, &found, &kind, error));
        if (found == 0)
            return make_folder(m, error);
        if (kind == EG_KIND_DIRECTORY)
            m->lost_and_found = found;
    }
    return ENGRAM_OK;
}

static engram_status adopt(eg_mending *m, uint64_t number, eg_inode_kind kind, engram_error *error)
{
    char stem[40], text[60];
    uint64_t taken = 1;
    uint8_t kind_there;
    EG_TRY(need_lost_and_found(m, error));
    snprintf(stem, sizeof stem, "inode-%" PRIu64, number);
    for (unsigned i = 0; taken != 0; i++) {
        number_name(text, sizeof text, stem, i);
        EG_TRY(find_entry(m, m->lost_and_found, text, &taken, &kind_there, error));
    }
    name n = {m->lost_and_found, number, {(const uint8_t *)text, strlen(text)}, (uint8_t)kind};
    eg_repair_lose(m->repair,
                   "version %" PRIu64 ": the name of inode %" PRIu64 " is lost: it is %s/%s now",
                   m->number, number, m->folder, text);
    m->repair->done->inodes_restored++;
    return put_name(m, &n, error);
}

/* Counts the names of an inode; of a directory all but the first go. */
static engram_status count_names(eg_mending *m, uint64_t number, bool is_directory, uint32_t *count,
                                 engram_error *error)
{
    eg_cursor *cursor = NULL;
    eg_key first = eg_key_parent(number, 0, (eg_view){NULL, 0});
    engram_status status;
    *count = 0;
    eg_buffer_clear(&m->more);
    EG_TRY(eg_cursor_open_edit(m->builder.edit, &cursor, error));
    status = eg_cursor_seek(cursor, eg_key_view(&first), error);
    while (status == ENGRAM_OK && eg_key_has(eg_cursor_key(cursor), 'P', number)) {
        eg_view key = eg_cursor_key(cursor);
        if (++*count > 1 && is_directory) {
            eg_write_u16(&m->more, (uint16_t)key.size);
            eg_write_bytes(&m->more, key.data, key.size);
        }
        status = eg_cursor_next(cursor, error);
    }
    eg_cursor_close(&cursor);
    if (m->more.failed)
        return eg_repair_no_memory(error);
    return status == ENGRAM_NOT_FOUND ? ENGRAM_OK : status;
}

/* The keys that count_names has put aside. */
static engram_status remove_others(eg_mending *m, uint64_t number, uint32_t *count,
                                   engram_error *error)
{
    eg_reader in = eg_reader_make(m->more.data, m->more.size);
    while (eg_reader_left(&in) != 0) {
        size_t size = eg_read_u16(&in);
        const uint8_t *key = eg_read_bytes(&in, size);
        name n = {eg_get_be64(key + 9), number, {key + 17, size - 17}, EG_KIND_DIRECTORY};
        eg_mend_say(m, "directory %" PRIu64 " has one name, so '%.*s' goes", number,
                    (int)n.text.size, (const char *)n.text.data);
        EG_TRY(remove_entry(m, &n, error));
        --*count;
    }
    return ENGRAM_OK;
}

static engram_status mend_links(eg_mending *m, eg_view key, eg_view value, engram_error *error)
{
    eg_inode inode;
    uint32_t count = 1;
    uint64_t number = eg_get_be64(key.data + 1);
    if (!eg_inode_decode(value, &inode))
        return ENGRAM_OK;
    bool is_directory = inode.kind == EG_KIND_DIRECTORY;
    if (number != EG_INODE_ROOT) {
        EG_TRY(count_names(m, number, is_directory, &count, error));
        EG_TRY(remove_others(m, number, &count, error));
        if (count == 0)
            EG_TRY(adopt(m, number, inode.kind, error));
        count += count == 0;
    }
    if (inode.link_count == count)
        return ENGRAM_OK;
    eg_mend_say(m, "inode %" PRIu64 " has %u names, not %u", number, count, inode.link_count);
    inode.link_count = count;
    return eg_mend_put_inode(m, number, &inode, error);
}

engram_status eg_mend_orphans(eg_mending *m, engram_error *error)
{
    return eg_mend_pass(m, 'I', mend_links, NULL, error);
}
