/* engram get: one stored file, to standard output or into a file. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"

static const eg_option options[] = {
    {"output", 'o', "FILE", "write FILE, whole or not at all; default, and '-': standard output"},
    EG_OPTION_AT,
    {0},
};

/* A file is made beside the one it is to be, and renamed; a pipe or a device is written to. */
typedef struct output {
    eg_cli *cli;
    const char *name;    /* as given */
    char path[PATH_MAX]; /* what is replaced; "" when it is written to in place */
    char beside[PATH_MAX];
    int fd;
    uint64_t done, total;
    struct engram_stat stat;
} output;

static engram_status refuse(const output *o, const char *what, engram_error *error)
{
    eg_fail_os(error, errno, "%s: %s", o->name, what);
    return error->status = error->status == ENGRAM_NOT_FOUND ? ENGRAM_IO : error->status;
}

static engram_status open_in_place(output *o, engram_error *error)
{
    o->fd = open(o->name, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    return o->fd < 0 ? refuse(o, "cannot be opened", error) : ENGRAM_OK;
}

static engram_status open_beside(output *o, engram_error *error)
{
    const char *slash = strrchr(o->path, '/');
    int size = slash != NULL ? (int)(slash + 1 - o->path) : 0;
    snprintf(o->beside, sizeof o->beside, "%.*s.engram-XXXXXX", size, o->path);
    o->fd = mkostemp(o->beside, O_CLOEXEC);
    return o->fd < 0 ? refuse(o, "cannot be made", error) : ENGRAM_OK;
}

static engram_status open_output(output *o, engram_error *error)
{
    struct stat st;
    bool is_there = stat(o->name, &st) == 0;
    if (is_there && S_ISDIR(st.st_mode))
        return eg_fail(error, ENGRAM_INVALID, "%s: is a directory; name a file in it", o->name);
    if (is_there && !S_ISREG(st.st_mode))
        return open_in_place(o, error);
    if (strlen(o->name) > PATH_MAX - sizeof ".engram-XXXXXX")
        return eg_fail(error, ENGRAM_INVALID, "%.200s...: too long for a path", o->name);
    if (!is_there || realpath(o->name, o->path) == NULL) /* the file, not a link to it */
        snprintf(o->path, sizeof o->path, "%s", o->name);
    return open_beside(o, error);
}

static engram_status write_piece(void *context, const void *bytes, size_t size, engram_error *error)
{
    output *o = context;
    for (size_t at = 0; at < size;) {
        ssize_t put = write(o->fd, (const char *)bytes + at, size - at);
        if (put < 0 && errno != EINTR)
            return refuse(o, "cannot be written", error);
        at += put > 0 ? (size_t)put : 0;
    }
    o->done += size;
    eg_progress_show(&o->cli->progress, o->done, o->stat.size, 0);
    return atomic_load(&eg_signals_cancel)
               ? eg_fail(error, ENGRAM_CANCELLED, "interrupted; %s is as it was", o->name)
               : ENGRAM_OK;
}

static engram_status finish_beside(output *o, engram_error *error)
{
    mode_t mask = umask(0);
    umask(mask);
    if (fchmod(o->fd, o->stat.mode & 0777 & ~mask) != 0 || fsync(o->fd) != 0 ||
        rename(o->beside, o->path) != 0)
        return refuse(o, "cannot be written", error);
    o->beside[0] = 0;
    return ENGRAM_OK;
}

static engram_status get_file(output *o, eg_access_view *view, const char *path, engram_error *error)
{
    EG_TRY(eg_cli_check_output(o->cli, o->name, error));
    engram_status status = open_output(o, error);
    if (status == ENGRAM_OK)
        status = eg_access_read(view, path, &o->stat, write_piece, o, error);
    if (status == ENGRAM_OK && o->path[0] != 0)
        status = finish_beside(o, error);
    if (o->fd >= 0 && close(o->fd) != 0 && status == ENGRAM_OK)
        status = refuse(o, "cannot be written", error);
    if (o->beside[0] != 0)
        unlink(o->beside);
    return status;
}

static void report(output *o, const char *path)
{
    char size[EG_TEXT_SIZE], token[EG_TOKEN_SIZE];
    eg_entry_fill(o->cli->document, path, &o->stat, "");
    eg_path_json(o->cli->document, "output", eg_view_of(o->name));
    eg_output_say_path(o->cli, o->name);
    eg_output_say(o->cli, ": %s, token %s\n", eg_text_bytes(size, o->stat.size),
                  eg_entry_token(&o->stat, token));
}

static engram_status run(eg_cli *cli, engram_error *error)
{
    eg_stored_name path;
    eg_access_view *view = NULL;
    output o = {.cli = cli, .name = eg_option_text(cli, "output"), .fd = -1};
    bool to_file = o.name != NULL && strcmp(o.name, "-") != 0;
    if (to_file && *o.name == 0)
        return eg_fail(error, ENGRAM_INVALID, "--output: an empty name; name a file");
    EG_TRY(eg_path_operand(cli->operands[0], &path, error));
    EG_TRY(eg_cli_access_view(cli, &view, error));
    if (to_file)
        eg_signals_defer();
    engram_status status = to_file ? get_file(&o, view, path.text, error)
                                   : eg_output_content(cli, view, path.text, error);
    if (status == ENGRAM_OK && to_file)
        report(&o, path.text);
    eg_access_unpin(&view);
    return status;
}

const eg_command eg_command_get = {
    .name = "get",
    .operands = "PATH",
    .summary = "Get a stored file",
    .details = "Writes the file's bytes, checked against their fingerprints, to standard output "
               "or to FILE. FILE\n"
               "is made beside its place and renamed, with the stored permissions: it is whole, "
               "or as it was\n"
               "before. A pipe or a device is written to as it is. 'engram extract' restores "
               "times, owners,\n"
               "links and whole directories.\n",
    .examples = "  engram get -e my.engram notes/plan.txt\n"
                "  engram get -e my.engram -o plan.txt --at '3 hours ago' notes/plan.txt\n",
    .options = options,
    .operand_min = 1,
    .operand_max = 1,
    .is_remote = true,
    .run = run,
};
