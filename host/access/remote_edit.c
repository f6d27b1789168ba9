/* Changing an engram behind a server. Names go as one transaction, when the edit ends; a content
 * goes as it comes, and is committed by then. */
#include "access/document.h"
#include "access/remote.h"
#include "base/memory.h"

typedef struct remote_edit {
    eg_access_edit base;
    uint64_t version; /* of a content or a rollback, which are commits of their own; 0: none */
    json_t *operations;
} remote_edit;

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for a request");
}

engram_status eg_remote_begin(eg_access *access, const engram_transaction_options *options,
                              eg_access_edit **edit, engram_error *error)
{
    if (options->durability != ENGRAM_DURABILITY_DEFAULT)
        return eg_fail(error, ENGRAM_INVALID,
                       "--durability: a server has its own for all its clients: leave it out");
    remote_edit *made = eg_alloc_zero(1, sizeof *made);
    if (made == NULL)
        return no_memory(error);
    made->base.access = access;
    made->operations = json_array();
    *edit = &made->base;
    return ENGRAM_OK;
}

void eg_remote_drop(eg_access_edit *edit)
{
    json_decref(((remote_edit *)edit)->operations);
    eg_free(edit);
}

engram_status eg_remote_edit_stat(eg_access_edit *edit, const char *path, struct engram_stat *stat,
                                  engram_error *error)
{
    return eg_remote_stat_newest(edit->access, path, stat, error);
}

/* ---- what is expected ---- */

/* "VERSION" alone as the whole token, of the inode that is there: tags have both. */
static engram_status find_inode(eg_access *access, const char *path, engram_expected *expected,
                                engram_error *error)
{
    struct engram_stat stat;
    if (expected->what != ENGRAM_TOKEN || expected->inode != 0)
        return ENGRAM_OK;
    EG_TRY(eg_remote_stat_newest(access, path, &stat, error));
    expected->inode = stat.inode;
    return ENGRAM_OK;
}

static const char *condition_of(const engram_expected *expected, char line[EG_TOKEN_SIZE + 32])
{
    if (expected->what == ENGRAM_ANY)
        return NULL;
    if (expected->what == ENGRAM_NONE)
        return "If-None-Match: *";
    if (expected->what == ENGRAM_THERE)
        return "If-Match: *";
    snprintf(line, EG_TOKEN_SIZE + 32, "If-Match: \"%" PRIu64 ".%" PRIu64 "\"", expected->inode,
             expected->version);
    return line;
}

/* ---- contents ---- */

/* A server makes the directories that are missing. */
static engram_status check_parent(eg_access *access, const char *path, engram_error *error)
{
    eg_stored_name parent;
    struct engram_stat stat;
    size_t size = (size_t)(eg_path_base(path) - path);
    memcpy(parent.text, path, size);
    parent.text[size != 0 ? size - 1 : 0] = 0;
    return size != 0 ? eg_remote_stat_newest(access, parent.text, &stat, error) : ENGRAM_OK;
}

static engram_status send_content(remote_edit *edit, const char *path,
                                  const eg_access_content *content, const engram_expected *expected,
                                  engram_error *error)
{
    char line[EG_TOKEN_SIZE + 32], mode[8];
    eg_buffer target = {0};
    json_t *reply = NULL;
    eg_target_add(&target, "/v1/files/");
    eg_target_add_path(&target, path);
    snprintf(mode, sizeof mode, "%04o", content->mode & 07777);
    if (content->mode != UINT32_MAX)
        eg_target_add_parameter(&target, "mode", mode);
    const eg_http_call call = {.method = "PUT",
                               .target = eg_target_text(&target),
                               .condition = condition_of(expected, line),
                               .source = content->source,
                               .source_context = content->context};
    engram_status status = call.target != NULL
                               ? eg_http_do(eg_remote_http(edit->base.access), &call, &reply, error)
                               : no_memory(error);
    if (status == ENGRAM_OK)
        status = eg_document_number(reply, "version", &edit->version, error);
    json_decref(reply);
    eg_buffer_fini(&target);
    return status;
}

engram_status eg_remote_put(eg_access_edit *edit, const char *path,
                            const eg_access_content *content, const engram_expected *expected,
                            engram_error *error)
{
    engram_expected exact = *expected;
    if (!content->parents)
        EG_TRY(check_parent(edit->access, path, error));
    EG_TRY(find_inode(edit->access, path, &exact, error));
    return send_content((remote_edit *)edit, path, content, &exact, error);
}

/* ---- names ---- */

/* Under key, or key_base64 when it is not UTF-8. */
static void put_path(json_t *operation, const char *key, const char *path)
{
    char key_base64[32];
    snprintf(key_base64, sizeof key_base64, "%s_base64", key);
    eg_path_json(operation, key, eg_view_of(path));
    if (json_object_get(operation, key_base64) != NULL)
        json_object_del(operation, key);
}

static engram_status add_operation(eg_access_edit *edit, json_t *operation, engram_error *error)
{
    return json_array_append_new(((remote_edit *)edit)->operations, operation) == 0
               ? ENGRAM_OK
               : no_memory(error);
}

static json_t *make_operation(const char *name, const char *key, const char *path)
{
    json_t *operation = json_object();
    eg_json_put(operation, "op", json_string(name));
    put_path(operation, key, path);
    return operation;
}

static void put_expected(json_t *operation, const engram_expected *expected)
{
    char text[EG_TOKEN_SIZE];
    const struct engram_stat stat = {.inode = expected->inode, .version = expected->version};
    if (expected->what == ENGRAM_NONE)
        eg_json_put(operation, "expect", json_string("none"));
    if (expected->what == ENGRAM_THERE)
        eg_json_put(operation, "expect", json_string("there"));
    if (expected->what != ENGRAM_TOKEN)
        return;
    if (expected->inode != 0)
        eg_entry_token(&stat, text);
    else
        snprintf(text, sizeof text, "%" PRIu64, expected->version);
    eg_json_put(operation, "expect", json_string(text));
}

engram_status eg_remote_mkdir(eg_access_edit *edit, const char *path, uint32_t mode, bool parents,
                              engram_error *error)
{
    char text[8];
    json_t *operation = make_operation("mkdir", "path", path);
    snprintf(text, sizeof text, "%04o", mode & 07777);
    eg_json_put(operation, "mode", json_string(text));
    eg_json_put(operation, "parents", json_boolean(parents));
    return add_operation(edit, operation, error);
}

engram_status eg_remote_rename(eg_access_edit *edit, const char *from, const char *to,
                               const engram_expected *expected, engram_error *error)
{
    json_t *operation = make_operation("mv", "from", from);
    put_path(operation, "to", to);
    put_expected(operation, expected);
    return add_operation(edit, operation, error);
}

engram_status eg_remote_remove(eg_access_edit *edit, const char *path,
                               const engram_expected *expected, engram_error *error)
{
    json_t *operation = make_operation("rm", "path", path);
    put_expected(operation, expected);
    return add_operation(edit, operation, error);
}

static engram_status count_entry(void *context, const char *path, const struct engram_stat *stat,
                                 const char *target, engram_error *error)
{
    (void)path, (void)stat, (void)target, (void)error;
    ++*(uint64_t *)context;
    return ENGRAM_OK;
}

/* The server does not say how many they were: counted before. */
engram_status eg_remote_remove_all(eg_access_edit *edit, const char *path, uint64_t *removed,
                                   engram_error *error)
{
    eg_access_view *view = NULL;
    *removed = *path != 0; /* the root stays */
    EG_TRY(eg_access_pin(edit->access, NULL, &view, error));
    engram_status status = eg_access_list(view, path, NULL, count_entry, removed, error);
    eg_access_unpin(&view);
    EG_TRY(status);
    json_t *operation = make_operation("rm", "path", path);
    eg_json_put(operation, "recursive", json_true());
    return add_operation(edit, operation, error);
}

engram_status eg_remote_rollback(eg_access_edit *edit, eg_access_view *to, const char *path,
                                 uint64_t *changed, engram_error *error)
{
    return eg_remote_ask_rollback(to, path, &((remote_edit *)edit)->version, changed, error);
}

/* ---- the end ---- */

static engram_status send_operations(const remote_edit *edit, uint64_t *version,
                                     engram_error *error)
{
    json_t *request = json_object(), *reply = NULL;
    unsigned long failures = eg_json_failures();
    eg_json_put(request, "operations", json_incref(edit->operations));
    const eg_http_call call = {.method = "POST", .target = "/v1/transactions", .document = request};
    engram_status status = eg_json_failures() == failures
                               ? eg_http_do(eg_remote_http(edit->base.access), &call, &reply, error)
                               : no_memory(error);
    if (status == ENGRAM_OK)
        status = eg_document_number(reply, "version", version, error);
    json_decref(reply);
    json_decref(request);
    return status;
}

engram_status eg_remote_commit(eg_access_edit *edit, uint64_t *version, engram_error *error)
{
    const remote_edit *e = (const remote_edit *)edit;
    *version = e->version;
    return json_array_size(e->operations) == 0 ? ENGRAM_OK : send_operations(e, version, error);
}
