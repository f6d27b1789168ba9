/* engram cat: the bytes of one stored file. */
#include "base/memory.h"
#include "cli/cli.h"

enum { PIECE = 1 << 20 };

static const eg_option options[] = {
    {"at", 0, "VERSION", "as of this version; 'engram info' lists them"},
    {0},
};

static engram_status find_file(eg_cli *cli, const eg_version *version, uint64_t *number,
                               engram_error *error)
{
    const char *path = cli->operands[0];
    eg_inode inode;
    eg_buffer scratch = {0};
    EG_TRY(eg_fs_lookup(version->root, eg_view_of(path), number, error));
    engram_status status = eg_fs_get(version->root, *number, &inode, &scratch, error);
    eg_buffer_fini(&scratch);
    EG_TRY(status);
    if (inode.kind != EG_KIND_FILE)
        return eg_fail(error, ENGRAM_INVALID,
                       "%s: not a regular file; 'engram ls -l' shows what it is", path);
    return ENGRAM_OK;
}

static engram_status copy_out(eg_cli *cli, const eg_version *version, uint64_t number,
                              engram_error *error)
{
    uint8_t *bytes = eg_alloc(PIECE);
    engram_status status =
        bytes == NULL ? eg_fail(error, ENGRAM_NO_MEMORY, "out of memory") : ENGRAM_OK;
    size_t got = PIECE;
    for (uint64_t at = 0; status == ENGRAM_OK && got == PIECE; at += got) {
        status = eg_engram_read(cli->engram, version, number, at, bytes, PIECE, &got, error);
        if (status != ENGRAM_OK)
            break;
        cli->said_raw = true;
        fwrite(bytes, 1, got, stdout);
        status = eg_output_check();
    }
    eg_free(bytes);
    return status;
}

static engram_status run(eg_cli *cli, engram_error *error)
{
    eg_version version = {0};
    uint64_t number;
    EG_TRY(eg_cli_open(cli, true, error));
    EG_TRY(eg_cli_pin(cli, &version, error));
    engram_status status = find_file(cli, &version, &number, error);
    if (status == ENGRAM_OK)
        status = copy_out(cli, &version, number, error);
    eg_version_release(&version);
    return status;
}

const eg_command eg_command_cat = {
    .name = "cat",
    .operands = "PATH",
    .summary = "Print a stored file",
    .details = "Writes the file's bytes to standard output, checked against their fingerprints; "
               "nothing that is\n"
               "damaged is printed. With --json the bytes are printed all the same, and a document "
               "only when\n"
               "nothing could be.\n",
    .examples =
        "  engram cat -e my.engram etc/hostname\n  engram cat -e my.engram --at 12 etc/hostname\n",
    .options = options,
    .operand_min = 1,
    .operand_max = 1,
    .run = run,
};
