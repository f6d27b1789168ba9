/* Pinned versions, as users of the library see them. */
#include "base/memory.h"
#include "base/status.h"
#include "engram/internal.h"
#include "engram/look.h"

static engram_status make_view(eg_engram *e, eg_version *version, engram_view **view,
                               engram_error *error)
{
    *view = eg_alloc_zero(1, sizeof **view);
    if (*view == NULL) {
        eg_version_release(version);
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
    }
    **view = (struct engram_view){.engram = e,
                                  .held = version->held,
                                  .root = version->root,
                                  .number = version->number,
                                  .time_ns = version->time_ns};
    return ENGRAM_OK;
}

engram_status engram_pin(struct engram *e, engram_view **view, engram_error *error)
{
    eg_version version;
    EG_TRY(eg_engram_pin(e, &version, error));
    return make_view(e, &version, view, error);
}

engram_status engram_pin_at(struct engram *e, const char *text, engram_view **view,
                            engram_error *error)
{
    eg_version version;
    EG_TRY(eg_engram_pin_at(e, text, &version, error));
    return make_view(e, &version, view, error);
}

void engram_unpin(engram_view **view)
{
    engram_view *v = *view;
    if (v == NULL)
        return;
    eg_version version = {.number = v->number, .root = v->root, .held = v->held};
    eg_version_release(&version);
    eg_free(v);
    *view = NULL;
}

eg_version eg_view_lend(const engram_view *view)
{
    return (eg_version){view->number, view->time_ns, view->root, NULL};
}

uint64_t engram_view_version(const engram_view *view)
{
    return view->number;
}

uint64_t engram_view_time_ns(const engram_view *view)
{
    return view->time_ns;
}

const char *engram_kind_name(engram_kind kind)
{
    static const char *const names[] = {[ENGRAM_KIND_FILE] = "file",
                                        [ENGRAM_KIND_DIRECTORY] = "directory",
                                        [ENGRAM_KIND_SYMLINK] = "symlink",
                                        [ENGRAM_KIND_FIFO] = "fifo",
                                        [ENGRAM_KIND_CHAR_DEVICE] = "char_device",
                                        [ENGRAM_KIND_BLOCK_DEVICE] = "block_device"};
    bool known = kind >= ENGRAM_KIND_FILE && kind <= ENGRAM_KIND_BLOCK_DEVICE;
    return known ? names[kind] : "unknown";
}

static eg_look look_at(const engram_view *view)
{
    return (eg_look){.engram = view->engram, .root = view->root};
}

engram_status engram_stat(engram_view *view, const char *path, struct engram_stat *stat,
                          engram_error *error)
{
    eg_look look = look_at(view);
    uint64_t number;
    EG_TRY(eg_fs_lookup(view->root, eg_text_view(path), &number, error));
    return eg_look_stat(&look, number, stat, error);
}

engram_status engram_read_inode(engram_view *view, uint64_t inode, uint64_t offset, void *bytes,
                                size_t size, size_t *got, engram_error *error)
{
    eg_look look = look_at(view);
    return eg_look_read(&look, inode, offset, bytes, size, got, error);
}

engram_status engram_read(engram_view *view, const char *path, uint64_t offset, void *bytes,
                          size_t size, size_t *got, engram_error *error)
{
    uint64_t number;
    *got = 0;
    EG_TRY(eg_fs_lookup(view->root, eg_text_view(path), &number, error));
    return engram_read_inode(view, number, offset, bytes, size, got, error);
}

engram_status engram_read_link(engram_view *view, const char *path, char *target, size_t capacity,
                               engram_error *error)
{
    uint64_t number;
    eg_inode inode;
    eg_buffer scratch = {0};
    EG_TRY(eg_fs_lookup(view->root, eg_text_view(path), &number, error));
    engram_status status = eg_fs_get(view->root, number, &inode, &scratch, error);
    if (status == ENGRAM_OK && inode.kind != EG_KIND_SYMLINK)
        status = eg_fail(error, ENGRAM_INVALID, "%s is no symbolic link", path);
    if (status == ENGRAM_OK && inode.target.size >= capacity)
        status = eg_fail(error, ENGRAM_INVALID, "%s: its target has %zu bytes", path,
                         inode.target.size);
    if (status == ENGRAM_OK) {
        memcpy(target, inode.target.data, inode.target.size);
        target[inode.target.size] = 0;
    }
    eg_buffer_fini(&scratch);
    return status;
}

engram_status engram_list(engram_view *view, const char *prefix, const engram_filter *filter,
                          engram_entry_visit *visit, void *context, engram_error *error)
{
    eg_look look = look_at(view);
    eg_walk walk = {.filter = filter, .visit = visit, .context = context};
    uint64_t number;
    EG_TRY(eg_fs_lookup(view->root, eg_text_view(prefix), &number, error));
    return eg_look_list(&look, prefix, number, &walk, error);
}
