/* Any bytes as an archive: whatever comes out of it can be stored, and not more than the limits
 * allow.
 *
 * The first byte of the input says whether it can be sought in (a file) or not (a pipe, so short
 * inputs only). */
#include "fuzz/fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ingest/source.h"

enum { BYTES_MAX = 1 << 20, MEMBERS_MAX = 200, PIPE_MAX = 32 << 10 };

static void check_path(eg_view path)
{
    FUZZ_CHECK(path.size > 0 && path.size <= EG_PATH_MAX);
    for (size_t at = 0; at <= path.size;) {
        const uint8_t *slash = memchr(path.data + at, '/', path.size - at);
        size_t end = slash != NULL ? (size_t)(slash - path.data) : path.size;
        FUZZ_CHECK(eg_name_valid((eg_view){path.data + at, end - at}));
        at = end + 1;
    }
}

static void check_entry(const eg_entry *entry)
{
    check_path(entry->path);
    FUZZ_CHECK(memcmp(entry->path.data, "in", 2) == 0); /* below the prefix */
    if (entry->hard_link.size != 0)
        check_path(entry->hard_link);
    FUZZ_CHECK(entry->inode.kind >= EG_KIND_FILE && entry->inode.kind <= EG_KIND_BLOCK_DEVICE);
    FUZZ_CHECK(entry->inode.mode <= 07777 && entry->inode.mtime.nanoseconds < 1000000000);
    FUZZ_CHECK((entry->inode.kind == EG_KIND_SYMLINK) == (entry->inode.target.size != 0));
    for (size_t i = 0; i < entry->attribute_count; i++)
        FUZZ_CHECK(entry->attributes[i].name.size >= 1 &&
                   entry->attributes[i].name.size <= EG_NAME_MAX);
}

/* Some of the members are read, the others passed over. */
static size_t read_content(eg_source *source, const eg_entry *entry)
{
    static uint8_t bytes[50000];
    size_t got = sizeof bytes, total = 0;
    engram_status status = ENGRAM_OK;
    while (status == ENGRAM_OK && got == sizeof bytes) {
        engram_error error = {0};
        status = source->read(source, bytes, sizeof bytes, &got, &error);
        FUZZ_CHECK(got <= sizeof bytes && status == error.status);
        total += got;
    }
    if (status == ENGRAM_OK) {
        bool changed = true, again = true;
        eg_inode inode = entry->inode;
        source->finish(source, &inode, &changed, &again, NULL);
        FUZZ_CHECK(!changed && !again);
    }
    return total;
}

static void walk(eg_source *source)
{
    size_t total = 0, members = 0;
    for (;; members++) {
        eg_entry entry;
        engram_error error = {0};
        engram_status status = source->next(source, &entry, &error);
        if (status != ENGRAM_OK) {
            FUZZ_CHECK(status == error.status || status == ENGRAM_NOT_FOUND);
            break;
        }
        check_entry(&entry);
        if (entry.inode.kind == EG_KIND_FILE && entry.hard_link.size == 0 && members % 3 != 2)
            total += read_content(source, &entry);
    }
    FUZZ_CHECK(total <= BYTES_MAX + 65536);
    FUZZ_CHECK(members <= 3 * MEMBERS_MAX); /* names that waited for content come twice */
}

static int make_input(const uint8_t *data, size_t size, bool seekable)
{
    int ends[2];
    if (seekable) {
        int fd = memfd_create("archive", MFD_CLOEXEC);
        FUZZ_CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
        return fd;
    }
    FUZZ_CHECK(pipe(ends) == 0 && write(ends[1], data, size) == (ssize_t)size);
    close(ends[1]);
    return ends[0];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    bool seekable = data[0] % 2 == 0 || size > PIPE_MAX;
    int fd = make_input(data + 1, size - 1, seekable);
    eg_source_options options = {.archive_bytes_max = BYTES_MAX,
                                 .archive_members_max = MEMBERS_MAX};
    eg_source *source = NULL;
    engram_error error = {0};
    engram_status status =
        eg_source_open_archive(eg_io_posix(), NULL, "fuzz", fd, "in", &options, &source, &error);
    FUZZ_CHECK(status == error.status && (status == ENGRAM_OK) == (source != NULL));
    close(fd);
    if (source != NULL) {
        walk(source);
        source->close(source);
    }
    return 0;
}
