/* What the operating system tells of a file, as an inode. */
#include "ingest/source_parts.h"

eg_inode_kind eg_stat_kind(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return EG_KIND_FILE;
    case S_IFDIR:
        return EG_KIND_DIRECTORY;
    case S_IFLNK:
        return EG_KIND_SYMLINK;
    case S_IFIFO:
        return EG_KIND_FIFO;
    case S_IFCHR:
        return EG_KIND_CHAR_DEVICE;
    case S_IFBLK:
        return EG_KIND_BLOCK_DEVICE;
    default:
        return 0;
    }
}

static eg_time time_of(struct timespec t)
{
    return (eg_time){(int64_t)t.tv_sec, (uint32_t)t.tv_nsec};
}

void eg_stat_inode(const struct stat *about, eg_inode *inode)
{
    inode->kind = eg_stat_kind(about->st_mode);
    inode->mode = about->st_mode & 07777;
    inode->uid = about->st_uid;
    inode->gid = about->st_gid;
    inode->size = inode->kind == EG_KIND_FILE ? (uint64_t)about->st_size : 0;
    bool is_device = inode->kind == EG_KIND_CHAR_DEVICE || inode->kind == EG_KIND_BLOCK_DEVICE;
    inode->device = is_device ? about->st_rdev : 0;
    inode->mtime = time_of(about->st_mtim);
    inode->source_device = about->st_dev;
    inode->source_inode = about->st_ino;
    inode->source_ctime = time_of(about->st_ctim);
}

bool eg_stat_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
           (a->st_mode & S_IFMT) == (b->st_mode & S_IFMT);
}
