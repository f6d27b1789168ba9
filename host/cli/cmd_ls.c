/* engram ls: stored paths and what is known of them. */
#include <inttypes.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "cli/cli.h"

static const eg_option options[] = {
    {"at", 0, "VERSION", "as of this version; 'engram info' lists them"},
    {"long", 'l', NULL, "mode, links, owner, size and time as ls -n shows them"},
    {"recursive", 'R', NULL, "all below, which is the default"},
    {"depth", 'd', "N", "at most N levels below PREFIX"},
    {"print0", '0', NULL, "paths as they are, each ended by a zero byte"},
    {0},
};

typedef struct listing {
    eg_cli *cli;
    eg_root *root;
    eg_buffer path; /* of the entry at hand */
    uint64_t depth_max, depth;
    bool is_long, ends_with_zero;
} listing;

static const char *const kind_names[] = {
    [EG_KIND_FILE] = "file",
    [EG_KIND_DIRECTORY] = "directory",
    [EG_KIND_SYMLINK] = "symlink",
    [EG_KIND_FIFO] = "fifo",
    [EG_KIND_CHAR_DEVICE] = "char_device",
    [EG_KIND_BLOCK_DEVICE] = "block_device",
};

static json_t *entry_json(const listing *l, uint64_t number, const eg_inode *inode)
{
    char mode[8], time[EG_TEXT_SIZE];
    json_t *object = json_object();
    snprintf(mode, sizeof mode, "%04o", inode->mode);
    eg_path_json(object, "path", (eg_view){l->path.data, l->path.size});
    eg_json_put(object, "kind", json_string(kind_names[inode->kind]));
    eg_json_put_number(object, "size", inode->size);
    eg_json_put(object, "mode", json_string(mode));
    eg_json_put_number(object, "uid", inode->uid);
    eg_json_put_number(object, "gid", inode->gid);
    eg_json_put(
        object, "mtime",
        json_string(eg_text_time(time, inode->mtime.seconds, inode->mtime.nanoseconds, true)));
    eg_json_put_number(object, "inode", number);
    eg_json_put_number(object, "links", inode->link_count);
    eg_json_put_number(object, "version", inode->modified_version);
    if (inode->kind == EG_KIND_SYMLINK)
        eg_path_json(object, "target", inode->target);
    if (inode->kind == EG_KIND_CHAR_DEVICE || inode->kind == EG_KIND_BLOCK_DEVICE) {
        eg_json_put_number(object, "device_major", major(inode->device));
        eg_json_put_number(object, "device_minor", minor(inode->device));
    }
    return object;
}

static void mode_text(const eg_inode *inode, char text[11])
{
    static const char kinds[] = "?-dlpcb";
    unsigned m = inode->mode;
    text[0] = kinds[inode->kind];
    for (unsigned i = 0; i < 9; i++)
        text[1 + i] = m >> (8 - i) & 1 ? "rwxrwxrwx"[i] : '-';
    if (m & S_ISUID)
        text[3] = m & S_IXUSR ? 's' : 'S';
    if (m & S_ISGID)
        text[6] = m & S_IXGRP ? 's' : 'S';
    if (m & S_ISVTX)
        text[9] = m & S_IXOTH ? 't' : 'T';
    text[10] = 0;
}

static void print_long(const eg_inode *inode)
{
    char mode[11], size[EG_TEXT_SIZE], time[EG_TEXT_SIZE];
    mode_text(inode, mode);
    if (inode->kind == EG_KIND_CHAR_DEVICE || inode->kind == EG_KIND_BLOCK_DEVICE)
        snprintf(size, sizeof size, "%u,%u", major(inode->device), minor(inode->device));
    else
        snprintf(size, sizeof size, "%" PRIu64, inode->size);
    printf("%s %3u %5u %5u %12s %s ", mode, inode->link_count, inode->uid, inode->gid, size,
           eg_text_time(time, inode->mtime.seconds, 0, false));
}

static void print_entry(const listing *l, const eg_inode *inode)
{
    eg_view path = {l->path.data, l->path.size};
    if (l->is_long)
        print_long(inode);
    if (l->ends_with_zero) {
        fwrite(path.data, 1, path.size, stdout);
        fputc(0, stdout);
        return;
    }
    eg_path_print(stdout, path);
    if (l->is_long && inode->kind == EG_KIND_SYMLINK) {
        fputs(" -> ", stdout);
        eg_path_print(stdout, inode->target);
    }
    fputc('\n', stdout);
}

static engram_status list_entry(listing *l, uint64_t number, engram_error *error)
{
    eg_inode inode = {0};
    eg_buffer scratch = {0};
    engram_status status = ENGRAM_OK;
    if (l->is_long || l->cli->json)
        status = eg_fs_get(l->root, number, &inode, &scratch, error);
    if (status == ENGRAM_OK && l->cli->json)
        eg_output_list_item(l->cli, entry_json(l, number, &inode));
    else if (status == ENGRAM_OK)
        print_entry(l, &inode);
    eg_buffer_fini(&scratch);
    return status == ENGRAM_OK ? eg_output_check() : status;
}

static engram_status on_entry(void *context, eg_view name, uint64_t number, eg_inode_kind kind,
                              engram_error *error)
{
    listing *l = context;
    size_t size = l->path.size;
    if (++l->depth > EG_PATH_MAX / 2)
        return eg_fail(error, ENGRAM_DAMAGED,
                       "directories are nested without end; run engram verify");
    if (size != 0)
        eg_write_u8(&l->path, '/');
    eg_write_bytes(&l->path, name.data, name.size);
    if (l->path.failed)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
    EG_TRY(list_entry(l, number, error));
    if (kind == EG_KIND_DIRECTORY && l->depth < l->depth_max)
        EG_TRY(eg_fs_list(l->root, number, on_entry, l, error));
    l->path.size = size;
    l->depth--;
    return ENGRAM_OK;
}

/* A directory's entries, or the one thing that PREFIX names. */
static engram_status list_prefix(listing *l, eg_view prefix, engram_error *error)
{
    uint64_t number;
    eg_inode inode;
    eg_buffer scratch = {0};
    EG_TRY(eg_fs_lookup(l->root, prefix, &number, error));
    engram_status status = eg_fs_get(l->root, number, &inode, &scratch, error);
    eg_buffer_fini(&scratch);
    EG_TRY(status);
    if (number != EG_INODE_ROOT)
        EG_TRY(eg_fs_path(l->root, number, &l->path, error));
    if (inode.kind != EG_KIND_DIRECTORY) {
        l->path.size = 0; /* as named: a file may have other paths too */
        eg_write_bytes(&l->path, prefix.data, prefix.size);
        return list_entry(l, number, error);
    }
    return l->depth_max == 0 ? list_entry(l, number, error)
                             : eg_fs_list(l->root, number, on_entry, l, error);
}

static engram_status run(eg_cli *cli, engram_error *error)
{
    eg_version version = {0};
    listing l = {.cli = cli, .depth_max = UINT64_MAX};
    EG_TRY(eg_option_number(cli, "depth", 0, UINT32_MAX, &l.depth_max, error));
    EG_TRY(eg_cli_open(cli, true, error));
    EG_TRY(eg_cli_pin(cli, &version, error));
    l.root = version.root;
    l.is_long = eg_option_flag(cli, "long");
    l.ends_with_zero = eg_option_flag(cli, "print0");
    if (cli->json) {
        eg_json_put_number(cli->document, "version", version.number);
        eg_output_list_begin(cli, "entries");
    }
    engram_status status =
        list_prefix(&l, eg_view_of(cli->operand_count != 0 ? cli->operands[0] : ""), error);
    eg_buffer_fini(&l.path);
    eg_version_release(&version);
    return status;
}

const eg_command eg_command_ls = {
    .name = "ls",
    .operands = "[PREFIX]",
    .summary = "List what is stored",
    .details = "Prints stored paths, one a line, of all that lies below PREFIX (everything without "
               "one), or of\n"
               "PREFIX itself when it is no directory. On a terminal control characters in names "
               "are escaped\n"
               "as ls -b does; elsewhere names are printed as they are. --json gives the entries "
               "of a version.\n",
    .examples = "  engram ls -e my.engram\n  engram ls -e my.engram -l -d 1 usr/share\n"
                "  engram ls -e my.engram --print0 usr | xargs -0 -n 1 echo\n",
    .options = options,
    .operand_max = 1,
    .run = run,
};
