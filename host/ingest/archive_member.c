/* An archive is a stranger's: nothing in a member is taken as it comes. */
#include "ingest/archive_member.h"

#include <archive.h>

#include "base/status.h"

enum { NOBODY = 65534, VALUE_MAX = 65536 };

const char *eg_member_name(struct archive_entry *member)
{
    const char *name = archive_entry_pathname(member);
    return name != NULL ? name : archive_entry_pathname_utf8(member);
}

const char *eg_member_link(struct archive_entry *member)
{
    const char *name = archive_entry_hardlink(member);
    return name != NULL ? name : archive_entry_hardlink_utf8(member);
}

static const char *check_component(eg_view name)
{
    if (name.size == 2 && memcmp(name.data, "..", 2) == 0)
        return "would leave the output directory";
    return name.size > EG_NAME_MAX ? "has a name of more than 255 bytes" : NULL;
}

const char *eg_member_path(eg_view prefix, const char *name, eg_buffer *out)
{
    eg_path_cut(out, 0);
    if (prefix.size != 0)
        eg_path_append(out, prefix);
    if (*name == '/')
        return "would leave the output directory";
    for (const char *at = name; *at != 0;) {
        eg_view component = {(const uint8_t *)at, strcspn(at, "/")};
        at += component.size + (at[component.size] == '/');
        const char *reason = check_component(component);
        if (reason != NULL)
            return reason;
        if (component.size != 0 && (component.size != 1 || component.data[0] != '.'))
            eg_path_append(out, component);
    }
    return out->size > EG_PATH_MAX ? "its path is longer than 4095 bytes" : NULL;
}

eg_inode_kind eg_member_kind(struct archive_entry *member, const char *name)
{
    size_t size = strlen(name);
    switch (archive_entry_filetype(member)) {
    case AE_IFREG:
        return EG_KIND_FILE;
    case AE_IFDIR:
        return EG_KIND_DIRECTORY;
    case AE_IFLNK:
        return EG_KIND_SYMLINK;
    case AE_IFIFO:
        return EG_KIND_FIFO;
    case AE_IFCHR:
        return EG_KIND_CHAR_DEVICE;
    case AE_IFBLK:
        return EG_KIND_BLOCK_DEVICE;
    case 0: /* formats that know of no kinds */
        return size != 0 && name[size - 1] == '/' ? EG_KIND_DIRECTORY : EG_KIND_FILE;
    default:
        return 0;
    }
}

static uint32_t owner_of(la_int64_t id)
{
    return id >= 0 && id < UINT32_MAX ? (uint32_t)id : NOBODY;
}

static const char *fill_target(struct archive_entry *member, eg_inode *inode)
{
    const char *target = archive_entry_symlink(member);
    if (target == NULL)
        target = archive_entry_symlink_utf8(member);
    size_t size = target != NULL ? strlen(target) : 0;
    if (size == 0 || size > EG_PATH_MAX)
        return "a symbolic link without a proper target";
    inode->target = (eg_view){(const uint8_t *)target, size};
    inode->size = size;
    return NULL;
}

const char *eg_member_inode(struct archive_entry *member, eg_inode_kind kind, eg_inode *inode)
{
    *inode = (eg_inode){.kind = kind, .mode = archive_entry_perm(member) & 07777};
    inode->uid = owner_of(archive_entry_uid(member));
    inode->gid = owner_of(archive_entry_gid(member));
    long nanoseconds = archive_entry_mtime_nsec(member);
    inode->mtime.seconds = archive_entry_mtime(member);
    inode->mtime.nanoseconds =
        nanoseconds >= 0 && nanoseconds < 1000000000 ? (uint32_t)nanoseconds : 0;
    if (kind == EG_KIND_FILE && archive_entry_size(member) > 0)
        inode->size = (uint64_t)archive_entry_size(member);
    if (kind == EG_KIND_CHAR_DEVICE || kind == EG_KIND_BLOCK_DEVICE)
        inode->device = archive_entry_rdev(member);
    return kind == EG_KIND_SYMLINK ? fill_target(member, inode) : NULL;
}

engram_status eg_member_attributes(struct archive_entry *member, eg_attribute_list *list,
                                   engram_error *error)
{
    const char *name;
    const void *value;
    size_t size;
    eg_attributes_clear(list);
    archive_entry_xattr_reset(member);
    while (archive_entry_xattr_next(member, &name, &value, &size) == ARCHIVE_OK)
        if (name != NULL && eg_attribute_stored(name) && size <= VALUE_MAX)
            EG_TRY(eg_attributes_add(list, name, value, size, error));
    return eg_attributes_finish(list, error);
}
