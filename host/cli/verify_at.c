/* verify --at: is everything of one version readable? Problems are told by path. */
#include <inttypes.h>

#include "base/memory.h"
#include "cli/verify.h"

enum { PIECE = 1 << 20 };

typedef struct reading {
    eg_verification *verification;
    engram_view *view;
    uint8_t *bytes;
    uint64_t files;
} reading;

static engram_status read_file(reading *r, uint64_t inode, engram_error *error)
{
    size_t got = PIECE;
    for (uint64_t at = 0; got == PIECE; at += got) {
        EG_TRY(engram_read_inode(r->view, inode, at, r->bytes, PIECE, &got, error));
        r->verification->bytes_done += got;
        eg_progress_show(&r->verification->cli->progress, r->verification->bytes_done, 0, 0);
    }
    return ENGRAM_OK;
}

static engram_status on_entry(void *context, const char *path, const struct engram_stat *stat,
                              engram_error *error)
{
    reading *r = context;
    engram_error inner = {0};
    char problem[EG_PATH_MAX + sizeof inner.message + 4];
    if (stat->kind != ENGRAM_KIND_FILE)
        return ENGRAM_OK;
    r->files++;
    engram_status status = read_file(r, stat->inode, &inner);
    if (status == ENGRAM_OK)
        return ENGRAM_OK;
    if (status != ENGRAM_DAMAGED)
        return eg_fail(error, status, "%s: %s", path, inner.message);
    snprintf(problem, sizeof problem, "%s: %s", path, inner.message);
    eg_verification_problem(r->verification, problem);
    return ENGRAM_OK;
}

engram_status eg_verify_at(eg_verification *v, const char *when, uint64_t *version, uint64_t *files,
                           engram_error *error)
{
    engram_error inner = {0};
    reading r = {.verification = v, .bytes = eg_alloc(PIECE)};
    engram_status status = r.bytes == NULL ? eg_fail(error, ENGRAM_NO_MEMORY, "out of memory")
                                           : engram_pin_at(v->cli->engram, when, &r.view, error);
    if (status == ENGRAM_OK) {
        *version = engram_view_version(r.view);
        status = engram_list(r.view, "", NULL, on_entry, &r, &inner);
        if (status == ENGRAM_DAMAGED) /* of the tree: what is below cannot be listed */
            eg_verification_problem(v, inner.message);
        else if (status != ENGRAM_OK)
            eg_fail(error, status, "%s", inner.message);
        status = status == ENGRAM_DAMAGED ? ENGRAM_OK : status;
    }
    *files = r.files;
    engram_unpin(&r.view);
    eg_free(r.bytes);
    return status;
}
