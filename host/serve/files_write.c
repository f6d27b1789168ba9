/* Storing and removing files: each request is one transaction, durable before it is answered.
 *
 * A body that fits a piece is there as a whole when the work begins: the transaction is repeated when another commit was in
 * the way. A larger one goes into an open transaction as it comes, which cannot be repeated; without a condition it
 * overwrites what others wrote meanwhile. */
#include "serve/files.h"

#include <inttypes.h>
#include <stdlib.h>
#include <strings.h>

#include "base/memory.h"
#include "report/report.h"
#include "serve/conditions.h"

typedef struct putting {
    engram_transaction *transaction; /* of a large body */
    engram_writer *writer;
    engram_expected expected;
    bool conditional, is_new;
    uint64_t inode;
    uint32_t mode; /* UINT32_MAX: as it is */
    eg_view body;
    const char *path;
    char parent[EG_PATH_MAX + 1];
} putting;

void eg_files_put_done(eg_request *request)
{
    putting *p = request->state;
    if (p == NULL)
        return;
    engram_write_cancel(&p->writer);
    engram_abort(&p->transaction);
    eg_free(p);
    request->state = NULL;
}

/* ---- before ---- */

static engram_status check_target(eg_request *request, engram_error *error)
{
    EG_TRY(eg_uri_check_path(request->uri.operand, false, error));
    return *request->operand != 0
               ? ENGRAM_OK
               : eg_fail(error, ENGRAM_INVALID, "the path of a file is missing");
}

/* stat is filled when *found. */
static engram_status look(const eg_request *request, struct engram_stat *stat, bool *found,
                          engram_error *error)
{
    engram_view *view = NULL;
    engram_error inner = {0};
    EG_TRY(engram_pin(request->engram, &view, error));
    engram_status status = engram_stat(view, request->operand, stat, &inner);
    engram_unpin(&view);
    *found = status == ENGRAM_OK;
    return status == ENGRAM_OK || status == ENGRAM_NOT_FOUND
               ? ENGRAM_OK
               : eg_fail(error, status, "%s", inner.message);
}

static engram_status read_mode(const eg_request *request, uint32_t *mode, engram_error *error)
{
    const char *text = eg_request_parameter(request, "mode");
    *mode = UINT32_MAX;
    if (text == NULL)
        return ENGRAM_OK;
    size_t digits = strspn(text, "01234567");
    if (digits == 0 || digits > 5 || text[digits] != 0 || strtoul(text, NULL, 8) > 07777)
        return eg_fail(error, ENGRAM_INVALID,
                       "mode=%.100s: octal permission bits are expected, as 0644", text);
    *mode = (uint32_t)strtoul(text, NULL, 8);
    return ENGRAM_OK;
}

/* A part, or bytes that stand for others, must not become the file. */
static engram_status check_whole(const eg_request *request, engram_error *error)
{
    const char *coding = eg_request_header(request, "Content-Encoding");
    if (eg_request_header(request, "Content-Range") != NULL)
        return eg_fail(error, ENGRAM_INVALID,
                       "Content-Range: a PUT replaces the whole file; send all of it, or append in a transaction");
    if (coding != NULL && *coding != 0 && strcasecmp(coding, "identity") != 0)
        return eg_fail(error, ENGRAM_INVALID,
                       "Content-Encoding: what is sent is stored as it is; send it without one");
    return ENGRAM_OK;
}

static engram_status prepare(eg_request *request, engram_error *error)
{
    struct engram_stat stat;
    bool found;
    EG_TRY(check_target(request, error));
    EG_TRY(check_whole(request, error));
    putting *p = request->state = eg_alloc_zero(1, sizeof *p);
    if (p == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for a request");
    p->path = request->operand;
    EG_TRY(read_mode(request, &p->mode, error));
    size_t size = (size_t)(eg_path_base(p->path) - p->path);
    memcpy(p->parent, p->path, size);
    p->parent[size != 0 ? size - 1 : 0] = 0;
    EG_TRY(look(request, &stat, &found, error));
    p->is_new = !found;
    return eg_conditions_write(request, found ? &stat : NULL, &p->expected, &p->conditional, error);
}

/* ---- the transaction ---- */

static engram_status make_parent(void *context, engram_transaction *transaction,
                                 engram_error *error)
{
    const putting *p = context;
    return engram_mkdir_all(transaction, p->parent, 0755, error);
}

static engram_status set_mode(const putting *p, engram_transaction *transaction,
                              engram_error *error)
{
    return p->mode == UINT32_MAX ? ENGRAM_OK
                                 : engram_set_mode(transaction, p->path, p->mode, error);
}

static bool lacks_parent(const putting *p, engram_status status)
{
    return status == ENGRAM_NOT_FOUND && p->parent[0] != 0;
}

/* The whole of it, in a transaction that may be repeated. */
static engram_status write_whole(void *context, engram_transaction *transaction,
                                 engram_error *error)
{
    putting *p = context;
    engram_writer *writer = NULL;
    engram_error inner = {0};
    engram_status status =
        engram_write_open(transaction, p->path, &p->expected, &writer, &inner);
    if (lacks_parent(p, status)) {
        EG_TRY(make_parent(p, transaction, error));
        status = engram_write_open(transaction, p->path, &p->expected, &writer, error);
    } else if (status != ENGRAM_OK) {
        eg_fail(error, status, "%s", inner.message);
    }
    EG_TRY(status);
    status = engram_write_add(writer, p->body.data, p->body.size, error);
    if (status == ENGRAM_OK)
        status = engram_write_close(&writer, &p->inode, error);
    engram_write_cancel(&writer);
    return status == ENGRAM_OK ? set_mode(p, transaction, error) : status;
}

/* Directories of a large body are made, durably, before it comes: a transaction that made them would conflict with
 * everybody who makes one of them while it is open. */
static engram_status open_large(eg_request *request, putting *p, engram_error *error)
{
    const engram_transaction_options options = {.last_writer_wins = !p->conditional};
    engram_error inner = {0};
    EG_TRY(engram_begin(request->engram, &options, &p->transaction, error));
    engram_status status =
        engram_write_open(p->transaction, p->path, &p->expected, &p->writer, &inner);
    if (!lacks_parent(p, status))
        return status == ENGRAM_OK ? ENGRAM_OK : eg_fail(error, status, "%s", inner.message);
    engram_abort(&p->transaction);
    EG_TRY(engram_run(request->engram, NULL, make_parent, p, NULL, error));
    EG_TRY(engram_begin(request->engram, &options, &p->transaction, error));
    return engram_write_open(p->transaction, p->path, &p->expected, &p->writer, error);
}

engram_status eg_files_put_take(eg_request *request, const void *bytes, size_t size,
                                engram_error *error)
{
    putting *p = request->state;
    return engram_write_add(p->writer, bytes, size, error);
}

static engram_status commit(eg_request *request, putting *p, uint64_t *version, engram_error *error)
{
    const engram_run_options options = {
        .on_conflict = p->conditional ? ENGRAM_RETRY : ENGRAM_LAST_WRITER_WINS};
    if (p->writer == NULL) {
        p->body = request->body;
        return engram_run(request->engram, &options, write_whole, p, version, error);
    }
    EG_TRY(engram_write_close(&p->writer, &p->inode, error));
    EG_TRY(set_mode(p, p->transaction, error));
    return engram_commit(&p->transaction, version, error);
}

/* ---- replies ---- */

/* A condition that does not hold is 412, with the tag of what is there. */
static engram_status refuse_condition(const eg_request *request, eg_reply *reply,
                                      engram_status status)
{
    struct engram_stat stat;
    char tag[EG_TAG_SIZE];
    bool found = false;
    if (status != ENGRAM_CONFLICT && status != ENGRAM_EXISTS && status != ENGRAM_NOT_FOUND)
        return status;
    if (look(request, &stat, &found, NULL) == ENGRAM_OK && found)
        eg_reply_add_header(reply, "ETag", "%s", eg_tag_format(stat.inode, stat.version, tag));
    reply->status = 412;
    return status;
}

static engram_status say_stored(const putting *p, uint64_t version, eg_reply *reply,
                                engram_error *error)
{
    char tag[EG_TAG_SIZE];
    unsigned long failures = eg_json_failures();
    json_t *document = json_object();
    eg_tag_format(p->inode, version, tag);
    eg_path_json(document, "path", eg_view_of(p->path));
    eg_json_put_number(document, "inode", p->inode);
    eg_json_put_number(document, "version", version);
    eg_json_put(document, "token", json_stringn(tag + 1, strlen(tag) - 2));
    eg_json_put(document, "created", json_boolean(p->is_new));
    eg_reply_add_header(reply, "ETag", "%s", tag);
    eg_reply_add_header(reply, "Engram-Version", "%" PRIu64, version);
    return eg_reply_document(reply, p->is_new ? 201 : 200, document, failures, error);
}

static engram_status put(eg_request *request, eg_reply *reply, engram_error *error)
{
    uint64_t version = 0;
    if (request->state == NULL)
        EG_TRY(prepare(request, error));
    EG_TRY(commit(request, request->state, &version, error));
    return say_stored(request->state, version, reply, error);
}

static engram_status answer(const eg_request *request, eg_reply *reply, engram_status status)
{
    const putting *p = request->state;
    return status != ENGRAM_OK && p != NULL && p->conditional
               ? refuse_condition(request, reply, status)
               : status;
}

engram_status eg_files_put_begin(eg_request *request, eg_reply *reply, engram_error *error)
{
    engram_status status = prepare(request, error);
    if (status == ENGRAM_OK)
        status = open_large(request, request->state, error);
    return answer(request, reply, status);
}

engram_status eg_files_put(eg_request *request, eg_reply *reply, engram_error *error)
{
    return answer(request, reply, put(request, reply, error));
}

/* ---- removing ---- */

typedef struct removing {
    const eg_request *request;
    bool conditional, keeps_entries; /* a directory that is not empty, and nobody said that all is to go */
} removing;

static engram_status remove_path(void *context, engram_transaction *transaction,
                                 engram_error *error)
{
    removing *r = context;
    const char *path = r->request->operand;
    struct engram_stat stat;
    engram_expected expected;
    EG_TRY(engram_tx_stat(transaction, path, &stat, error));
    EG_TRY(eg_conditions_write(r->request, &stat, &expected, &r->conditional, error));
    if (stat.kind != ENGRAM_KIND_DIRECTORY)
        return engram_remove(transaction, path, &expected, error);
    if (eg_request_flag(r->request, "recursive"))
        return engram_remove_all(transaction, path, NULL, error);
    engram_status status = engram_rmdir(transaction, path, error);
    r->keeps_entries = status == ENGRAM_INVALID;
    return status;
}

engram_status eg_files_delete(eg_request *request, eg_reply *reply, engram_error *error)
{
    uint64_t version = 0;
    removing r = {.request = request};
    if (eg_request_header(request, "If-None-Match") != NULL)
        return eg_fail(error, ENGRAM_INVALID, "If-None-Match says nothing about a removal");
    EG_TRY(check_target(request, error));
    engram_error inner = {0};
    engram_status status = engram_run(request->engram, NULL, remove_path, &r, &version, &inner);
    if (r.keeps_entries)
        return eg_refuse(reply, 409, error, status, "%s; ?recursive removes all below it",
                         inner.message);
    if (status != ENGRAM_OK)
        eg_fail(error, status, "%s", inner.message);
    if (status != ENGRAM_OK)
        return r.conditional ? refuse_condition(request, reply, status) : status;
    eg_reply_add_header(reply, "Engram-Version", "%" PRIu64, version);
    eg_reply_empty(reply, 204);
    return ENGRAM_OK;
}
