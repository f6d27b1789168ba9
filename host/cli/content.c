/* The bytes of a stored file, piece by piece, checked before anyone sees them. */
#include "base/memory.h"
#include "cli/cli.h"

enum { PIECE = 1 << 20 };

static engram_status read_pieces(engram_view *view, uint64_t inode, uint8_t *bytes,
                                 eg_content_sink *sink, void *context, engram_error *error)
{
    size_t got = PIECE;
    for (uint64_t at = 0; got == PIECE; at += got) {
        EG_TRY(engram_read_inode(view, inode, at, bytes, PIECE, &got, error));
        EG_TRY(sink(context, bytes, got, error));
    }
    return ENGRAM_OK;
}

engram_status eg_content_read(engram_view *view, const char *path, struct engram_stat *stat,
                              eg_content_sink *sink, void *context, engram_error *error)
{
    struct engram_stat here;
    stat = stat != NULL ? stat : &here;
    EG_TRY(engram_stat(view, path, stat, error));
    if (stat->kind != ENGRAM_KIND_FILE)
        return eg_fail(error, ENGRAM_INVALID,
                       "%s: not a regular file but a %s; 'engram stat' tells more", path,
                       engram_kind_name(stat->kind));
    uint8_t *bytes = eg_alloc(PIECE);
    if (bytes == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
    engram_status status = read_pieces(view, stat->inode, bytes, sink, context, error);
    eg_free(bytes);
    return status;
}

static engram_status print_piece(void *context, const void *bytes, size_t size, engram_error *error)
{
    eg_cli *cli = context;
    (void)error; /* said at the end, for all of standard output */
    cli->said_raw = true;
    fwrite(bytes, 1, size, stdout);
    return eg_output_check();
}

engram_status eg_content_print(eg_cli *cli, engram_view *view, const char *path,
                               engram_error *error)
{
    return eg_content_read(view, path, NULL, print_piece, cli, error);
}
