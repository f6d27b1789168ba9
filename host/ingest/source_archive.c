/* The members of an archive.
 *
 * What an archive unpacks to is counted against three limits, also what is passed over. A failure
 * of the archive as a whole stays: every later call returns it again. The first header is read when
 * it is opened, so that a file that is no archive is found out there. */
#include <locale.h>

#include "base/memory.h"
#include "base/status.h"
#include "ingest/archive_input.h"
#include "ingest/archive_member.h"
#include "ingest/relinks.h"

enum { RATIO_FROM = 64 << 20, MEMBER_OVERHEAD = 512, MEMBERS_MAX = 100000000, RATIO_MAX = 1000 };

typedef struct archive_source {
    eg_source source;
    eg_source_options options;
    eg_excludes excludes;
    struct archive *reader;
    eg_archive_input input;
    locale_t locale; /* UTF-8: names in it stay as they are, those in UTF-16 become it */
    char *name;      /* of the archive, for messages */
    eg_buffer prefix, path, link;
    eg_attribute_list attributes;
    eg_relinks relinks;

    struct archive_entry *member; /* the one at hand */
    bool is_ahead, ended;         /* is_ahead: it is to be given next */
    bool size_known;
    uint64_t declared, delivered; /* of its content */
    uint64_t bytes, members;      /* unpacked so far */
    engram_error error;           /* of the whole archive: with a status, for good */
} archive_source;

/* ---- failures and limits ---- */

static engram_status repeat_failure(const archive_source *s, engram_error *error)
{
    return eg_fail(error, s->error.status, "%s", s->error.message);
}

static const char *reason_of(const archive_source *s)
{
    const char *text = archive_error_string(s->reader);
    return text != NULL ? text : "it cannot be read";
}

static engram_status fail_reading(archive_source *s, engram_error *error)
{
    if (s->input.error.status != ENGRAM_OK)
        s->error = s->input.error;
    else if (s->members == 0 && archive_format(s->reader) == 0)
        eg_fail(&s->error, ENGRAM_INVALID, "%s is not an archive: %s", s->name, reason_of(s));
    else
        eg_fail(&s->error, ENGRAM_DAMAGED, "archive %s cannot be read further: %s", s->name,
                reason_of(s));
    return repeat_failure(s, error);
}

static uint64_t or_default(uint64_t value, uint64_t otherwise)
{
    return value != 0 ? value : otherwise;
}

/* Adds what was unpacked, and refuses the archive when that is too much. */
static engram_status count(archive_source *s, uint64_t bytes, engram_error *error)
{
    unsigned long long bytes_max = or_default(s->options.archive_bytes_max, 1ull << 40);
    unsigned long long members_max = or_default(s->options.archive_members_max, MEMBERS_MAX);
    unsigned long long ratio_max = or_default(s->options.archive_ratio_max, RATIO_MAX);
    s->bytes = bytes > UINT64_MAX - s->bytes ? UINT64_MAX : s->bytes + bytes;
    if (s->bytes > bytes_max)
        eg_fail(&s->error, ENGRAM_INVALID,
                "archive %s unpacks to more than the limit of %llu bytes", s->name, bytes_max);
    else if (s->members > members_max)
        eg_fail(&s->error, ENGRAM_INVALID, "archive %s has more members than the limit of %llu",
                s->name, members_max);
    else if (s->bytes > RATIO_FROM && s->bytes / ratio_max > s->input.size)
        eg_fail(&s->error, ENGRAM_INVALID,
                "archive %s unpacks to more than the limit of %llu times its size", s->name,
                ratio_max);
    return s->error.status != ENGRAM_OK ? repeat_failure(s, error) : ENGRAM_OK;
}

static void issue(archive_source *s, const char *member, const char *reason)
{
    eg_buffer path = {0};
    eg_write_bytes(&path, s->name, strlen(s->name));
    eg_write_u8(&path, ':');
    eg_write_bytes(&path, member, strlen(member) + 1);
    if (s->options.issue != NULL)
        s->options.issue(s->options.context, path.failed ? s->name : (const char *)path.data,
                         reason);
    eg_buffer_fini(&path);
}

/* ---- members ---- */

/* Content that nobody asked for is unpacked all the same, by most formats. */
static engram_status pass_over(archive_source *s, engram_error *error)
{
    if (s->member == NULL)
        return ENGRAM_OK;
    s->member = NULL;
    if (s->size_known)
        return count(s, s->declared > s->delivered ? s->declared - s->delivered : 0, error);
    for (;;) {
        const void *bytes;
        size_t size = 0;
        la_int64_t offset;
        if (archive_read_data_block(s->reader, &bytes, &size, &offset) != ARCHIVE_OK)
            return ENGRAM_OK; /* the end, or what the next header will tell */
        EG_TRY(count(s, size, error));
    }
}

static int read_header(archive_source *s)
{
    locale_t before = s->locale != 0 ? uselocale(s->locale) : 0;
    int result = archive_read_next_header(s->reader, &s->member);
    if (s->locale != 0)
        uselocale(before);
    return result;
}

/* To the next member that has a readable header; ENGRAM_NOT_FOUND at the end. */
static engram_status advance(archive_source *s, engram_error *error)
{
    EG_TRY(pass_over(s, error));
    for (;;) {
        int result = s->ended ? ARCHIVE_EOF : read_header(s);
        s->ended = result == ARCHIVE_EOF;
        if (result != ARCHIVE_OK && result != ARCHIVE_WARN)
            s->member = NULL;
        if (s->ended)
            return ENGRAM_NOT_FOUND;
        if (result == ARCHIVE_FATAL)
            return fail_reading(s, error);
        s->members++;
        EG_TRY(count(s, MEMBER_OVERHEAD, error));
        if (s->member != NULL)
            return ENGRAM_OK;
        issue(s, "", reason_of(s));
    }
}

/* The member's paths into s->path and s->link. NULL, or why it cannot be stored. */
static const char *make_paths(archive_source *s, const char *name, const char *link)
{
    const char *reason = eg_member_path(eg_path_view(&s->prefix), name, &s->path);
    if (reason == NULL && link != NULL)
        reason = eg_member_path(eg_path_view(&s->prefix), link, &s->link);
    return reason;
}

/* A further name of a file. In cpio its content may come with it, and then it is a file like
 * others. */
static engram_status take_link(archive_source *s, eg_entry *entry, engram_error *error)
{
    bool is_cpio = (archive_format(s->reader) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_CPIO;
    const char *path = eg_path_text(&s->path), *link = eg_path_text(&s->link);
    if (is_cpio && entry->inode.size != 0 && strcmp(path, link) != 0)
        return eg_relinks_release(&s->relinks, link, error);
    entry->hard_link = eg_path_view(&s->link);
    return is_cpio ? eg_relinks_wait(&s->relinks, path, link, error) : ENGRAM_OK;
}

/* Why the member cannot be stored, or NULL. */
static const char *refusal(const archive_source *s, const eg_entry *entry)
{
    if (entry->inode.kind == 0)
        return archive_entry_filetype(s->member) == AE_IFSOCK ? "socket, skipped"
                                                              : "a kind that is not known, skipped";
    if (s->path.size == s->prefix.size && entry->inode.kind != EG_KIND_DIRECTORY)
        return "has no name";
    return NULL;
}

static void begin_content(archive_source *s)
{
    la_int64_t size = archive_entry_size(s->member);
    s->size_known = archive_entry_size_is_set(s->member);
    s->declared = s->size_known && size > 0 ? (uint64_t)size : 0;
    s->delivered = 0;
}

/* Whether the member is one that nobody wants: excluded, or the archive's "./". */
static bool is_unwanted(const archive_source *s, bool is_directory)
{
    return s->path.size == 0
               ? is_directory
               : eg_excludes_match_any(&s->excludes, (char *)s->path.data, is_directory);
}

/* The member at hand as an entry. *found false: it is passed over. */
static engram_status describe(archive_source *s, eg_entry *entry, bool *found, engram_error *error)
{
    const char *name = eg_member_name(s->member), *link = eg_member_link(s->member);
    *found = false;
    begin_content(s);
    eg_inode_kind kind = eg_member_kind(s->member, name != NULL ? name : "");
    if (kind != EG_KIND_FILE) /* of the others each name is stored as one of its own */
        link = NULL;
    const char *reason = name == NULL ? "has no name that can be read" : make_paths(s, name, link);
    if (s->path.failed || s->link.failed)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to read archive %s", s->name);
    if (reason == NULL && is_unwanted(s, kind == EG_KIND_DIRECTORY))
        return ENGRAM_OK;
    *entry =
        (eg_entry){.path = eg_path_view(&s->path), .link_count = 1, .size_known = s->size_known};
    if (reason == NULL)
        reason = eg_member_inode(s->member, kind, &entry->inode);
    if (reason == NULL)
        reason = refusal(s, entry);
    if (reason != NULL) {
        issue(s, name != NULL ? name : "", reason);
        return ENGRAM_OK;
    }
    EG_TRY(eg_member_attributes(s->member, &s->attributes, error));
    entry->attributes = s->attributes.items;
    entry->attribute_count = s->attributes.count;
    *found = true;
    return link != NULL ? take_link(s, entry, error) : ENGRAM_OK;
}

/* A name that waited for the content of the member before, whose path is still in s->path. */
static bool give_relink(archive_source *s, eg_entry *entry)
{
    const char *name = eg_relinks_next(&s->relinks);
    if (name == NULL)
        return false;
    *entry = (eg_entry){.link_count = 1,
                        .size_known = true,
                        .inode = {.kind = EG_KIND_FILE},
                        .hard_link = eg_path_view(&s->path)};
    entry->path = (eg_view){(const uint8_t *)name, strlen(name)};
    return true;
}

static engram_status archive_next(eg_source *source, eg_entry *entry, engram_error *error)
{
    archive_source *s = (archive_source *)source;
    if (s->error.status != ENGRAM_OK)
        return repeat_failure(s, error);
    if (give_relink(s, entry))
        return ENGRAM_OK;
    for (bool found = false; !found;) {
        if (!s->is_ahead)
            EG_TRY(advance(s, error));
        s->is_ahead = false;
        EG_TRY(describe(s, entry, &found, error));
    }
    return ENGRAM_OK;
}

/* ---- content ---- */

static engram_status archive_read_member(eg_source *source, void *bytes, size_t size, size_t *got,
                                         engram_error *error)
{
    archive_source *s = (archive_source *)source;
    *got = 0;
    while (*got < size) {
        if (s->error.status != ENGRAM_OK)
            return repeat_failure(s, error);
        la_ssize_t n = archive_read_data(s->reader, (uint8_t *)bytes + *got, size - *got);
        if (n == ARCHIVE_FATAL)
            return fail_reading(s, error);
        if (n < 0)
            return eg_fail(error, ENGRAM_DAMAGED, "%s", reason_of(s));
        if (n == 0)
            break;
        *got += (size_t)n;
        s->delivered += (uint64_t)n;
        EG_TRY(count(s, (uint64_t)n, error));
    }
    return ENGRAM_OK;
}

static engram_status archive_finish(eg_source *source, eg_inode *inode, bool *changed, bool *again,
                                    engram_error *error)
{
    const archive_source *s = (const archive_source *)source;
    (void)inode;
    *changed = *again = false;
    if (s->size_known && s->delivered != s->declared)
        return eg_fail(error, ENGRAM_DAMAGED, "has %llu bytes in the archive and should have %llu",
                       (unsigned long long)s->delivered, (unsigned long long)s->declared);
    return ENGRAM_OK;
}

static void archive_close(eg_source *source)
{
    archive_source *s = (archive_source *)source;
    if (s->reader != NULL)
        archive_read_free(s->reader);
    eg_archive_input_close(&s->input);
    if (s->locale != 0)
        freelocale(s->locale);
    eg_excludes_fini(&s->excludes);
    eg_buffer_fini(&s->prefix);
    eg_buffer_fini(&s->path);
    eg_buffer_fini(&s->link);
    eg_attributes_fini(&s->attributes);
    eg_relinks_fini(&s->relinks);
    eg_free(s->name);
    eg_free(s);
}

/* ---- opening ---- */

static engram_status set_up(archive_source *s, eg_io *io, const char *base, const char *path,
                            int fd, const char *prefix, engram_error *error)
{
    EG_TRY(eg_excludes_init(&s->excludes, s->options.excludes, s->options.exclude_count, error));
    if (prefix != NULL && *prefix != 0)
        EG_TRY(eg_stored_path(prefix, &s->prefix, error));
    EG_TRY(eg_archive_input_open(&s->input, io, base, path, fd, error));
    s->locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", 0);
    s->reader = archive_read_new();
    if (s->reader == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to read %s", path);
    if (eg_archive_input_attach(&s->input, s->reader) != ARCHIVE_OK)
        return fail_reading(s, error);
    engram_status status = advance(s, error);
    s->is_ahead = status == ENGRAM_OK;
    return status == ENGRAM_NOT_FOUND ? ENGRAM_OK : status;
}

engram_status eg_source_open_archive(eg_io *io, const char *base, const char *path, int fd,
                                     const char *prefix, const eg_source_options *options,
                                     eg_source **source, engram_error *error)
{
    archive_source *s = eg_alloc_zero(1, sizeof *s);
    *source = NULL;
    if (s == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to read %s", path);
    s->source = (eg_source){archive_next, archive_read_member, archive_finish, archive_close};
    s->options = *options;
    s->name = eg_strdup(path);
    engram_status status = s->name == NULL
                               ? eg_fail(error, ENGRAM_NO_MEMORY, "no memory to read %s", path)
                               : set_up(s, io, base, path, fd, prefix, error);
    if (status != ENGRAM_OK) {
        archive_close(&s->source);
        return status;
    }
    *source = &s->source;
    return ENGRAM_OK;
}
