/* Operations of a transaction, from JSON. */
#include <ctype.h>
#include <stdlib.h>

#include "engram/time_text.h"
#include "serve/transactions.h"

typedef struct performing {
    eg_operand *operand;
    engram_transaction *transaction;
    engram_expected expected;
} performing;

typedef struct operation {
    const char *name;
    const char *members; /* that it may have, blanks between */
    engram_status (*run)(performing *p, engram_error *error);
} operation;

/* ---- members ---- */

static engram_status bad(const char *key, const char *what, engram_error *error)
{
    return eg_fail(error, ENGRAM_INVALID, "%s: %s is expected", key, what);
}

static bool flag_of(const performing *p, const char *key)
{
    return json_is_true(json_object_get(p->operand->json, key));
}

static engram_status check_flag(const performing *p, const char *key, engram_error *error)
{
    const json_t *value = json_object_get(p->operand->json, key);
    return value == NULL || json_is_boolean(value) ? ENGRAM_OK : bad(key, "true or false", error);
}

/* Of an integer that may be absent; then *value stays. */
static engram_status read_number(const performing *p, const char *key, json_int_t low,
                                 json_int_t high, json_int_t *value, engram_error *error)
{
    const json_t *json = json_object_get(p->operand->json, key);
    if (json == NULL)
        return ENGRAM_OK;
    if (!json_is_integer(json) || json_integer_value(json) < low || json_integer_value(json) > high)
        return eg_fail(error, ENGRAM_INVALID, "%s: a whole number from %lld to %lld is expected",
                       key, (long long)low, (long long)high);
    *value = json_integer_value(json);
    return ENGRAM_OK;
}

/* "0644". */
static engram_status read_mode(const performing *p, uint32_t *mode, engram_error *error)
{
    const json_t *json = json_object_get(p->operand->json, "mode");
    const char *text = json_string_value(json);
    if (json == NULL)
        return ENGRAM_OK;
    size_t digits = text != NULL ? strspn(text, "01234567") : 0;
    if (digits == 0 || digits > 5 || text[digits] != 0 || strtoul(text, NULL, 8) > 07777)
        return bad("mode", "octal permission bits in a string, as \"0644\",", error);
    *mode = (uint32_t)strtoul(text, NULL, 8);
    return ENGRAM_OK;
}

/* Bytes under key, or in base64 under key_base64; *found false: neither. */
static engram_status read_bytes(const performing *p, const char *key, const char *key_base64,
                                eg_buffer *out, bool *found, engram_error *error)
{
    const json_t *plain = json_object_get(p->operand->json, key),
                 *base64 = json_object_get(p->operand->json, key_base64);
    const json_t *json = plain != NULL ? plain : base64;
    const char *text = json_string_value(json);
    *found = json != NULL;
    if (!*found)
        return ENGRAM_OK;
    if (text == NULL || (plain != NULL && base64 != NULL))
        return eg_fail(error, ENGRAM_INVALID, "one string is expected: %s or %s", key, key_base64);
    if (plain != NULL)
        eg_write_bytes(out, text, json_string_length(json));
    else if (!eg_base64_read(text, json_string_length(json), out) && !out->failed)
        return bad(key_base64, "base64", error);
    return out->failed ? eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for an operation")
                       : ENGRAM_OK;
}

static engram_status take_text(const char *key, const eg_buffer *bytes, eg_stored_name *text,
                               engram_error *error)
{
    if (bytes->size > EG_PATH_MAX)
        return eg_fail(error, ENGRAM_INVALID, "%s: %d bytes are the most", key, EG_PATH_MAX);
    if (bytes->size != 0 && memchr(bytes->data, 0, bytes->size) != NULL)
        return eg_fail(error, ENGRAM_INVALID, "%s: it has a zero byte", key);
    if (bytes->size != 0)
        memcpy(text->text, bytes->data, bytes->size);
    text->text[bytes->size] = 0;
    return ENGRAM_OK;
}

static engram_status read_text(const performing *p, const char *key, eg_stored_name *text,
                               engram_error *error)
{
    char key_base64[32];
    eg_buffer bytes = {0};
    bool found = false;
    snprintf(key_base64, sizeof key_base64, "%s_base64", key);
    engram_status status = read_bytes(p, key, key_base64, &bytes, &found, error);
    if (status == ENGRAM_OK && !found)
        status = bad(key, "a string", error);
    if (status == ENGRAM_OK)
        status = take_text(key, &bytes, text, error);
    eg_buffer_fini(&bytes);
    return status;
}

/* "" is the root, which no operation is about. */
static engram_status read_path(performing *p, const char *key, eg_stored_name *path,
                               engram_error *error)
{
    eg_stored_name text;
    EG_TRY(read_text(p, key, &text, error));
    EG_TRY(eg_path_operand(text.text, path, error));
    return *path->text != 0 ? ENGRAM_OK : bad(key, "a path below the root", error);
}

static engram_status read_main_path(performing *p, const char *key, bool leaves,
                                    engram_error *error)
{
    EG_TRY(read_path(p, key, &p->operand->path, error));
    p->operand->has_path = true;
    p->operand->leaves = leaves;
    return ENGRAM_OK;
}

/* Directories above path, when "parents" says so. */
static engram_status make_parents(const performing *p, const char *path, engram_error *error)
{
    eg_stored_name parent;
    size_t size = (size_t)(eg_path_base(path) - path);
    EG_TRY(check_flag(p, "parents", error));
    if (!flag_of(p, "parents") || size == 0)
        return ENGRAM_OK;
    memcpy(parent.text, path, size);
    parent.text[size - 1] = 0;
    return engram_mkdir_all(p->transaction, parent.text, 0755, error);
}

/* ---- content ---- */

static engram_status with_content(performing *p, bool appends, engram_error *error)
{
    eg_buffer content = {0};
    const char *path = p->operand->path.text;
    bool found = false;
    engram_status status = read_bytes(p, "text", "base64", &content, &found, error);
    if (status == ENGRAM_OK && !found)
        status = bad("text or base64", "the content", error);
    if (status == ENGRAM_OK && appends)
        status =
            engram_append(p->transaction, path, content.data, content.size, &p->expected, error);
    else if (status == ENGRAM_OK)
        status =
            engram_write(p->transaction, path, content.data, content.size, &p->expected, error);
    eg_buffer_fini(&content);
    return status;
}

static engram_status op_write(performing *p, engram_error *error)
{
    EG_TRY(read_main_path(p, "path", true, error));
    EG_TRY(make_parents(p, p->operand->path.text, error));
    return with_content(p, false, error);
}

static engram_status op_append(performing *p, engram_error *error)
{
    EG_TRY(read_main_path(p, "path", true, error));
    return with_content(p, true, error);
}

static engram_status op_truncate(performing *p, engram_error *error)
{
    json_int_t size = -1;
    EG_TRY(read_main_path(p, "path", true, error));
    EG_TRY(read_number(p, "size", 0, INT64_MAX, &size, error));
    if (size < 0)
        return bad("size", "a whole number", error);
    return engram_truncate(p->transaction, p->operand->path.text, (uint64_t)size, &p->expected,
                           error);
}

/* ---- names ---- */

static engram_status op_rm(performing *p, engram_error *error)
{
    struct engram_stat stat;
    const char *path = p->operand->path.text;
    EG_TRY(read_main_path(p, "path", false, error));
    EG_TRY(check_flag(p, "recursive", error));
    EG_TRY(engram_tx_stat(p->transaction, path, &stat, error));
    if (stat.kind != ENGRAM_KIND_DIRECTORY)
        return engram_remove(p->transaction, path, &p->expected, error);
    if (p->operand->expects)
        return eg_fail(error, ENGRAM_INVALID, "expect: a directory has no state to expect");
    return flag_of(p, "recursive") ? engram_remove_all(p->transaction, path, NULL, error)
                                   : engram_rmdir(p->transaction, path, error);
}

static engram_status op_mv(performing *p, engram_error *error)
{
    eg_stored_name from;
    EG_TRY(read_main_path(p, "to", true, error));
    EG_TRY(read_path(p, "from", &from, error));
    EG_TRY(make_parents(p, p->operand->path.text, error));
    return engram_rename(p->transaction, from.text, p->operand->path.text, &p->expected, error);
}

static engram_status op_mkdir(performing *p, engram_error *error)
{
    uint32_t mode = 0755;
    const char *path = p->operand->path.text;
    EG_TRY(read_main_path(p, "path", true, error));
    EG_TRY(read_mode(p, &mode, error));
    EG_TRY(check_flag(p, "parents", error));
    return flag_of(p, "parents") ? engram_mkdir_all(p->transaction, path, mode, error)
                                 : engram_mkdir(p->transaction, path, mode, error);
}

static engram_status op_symlink(performing *p, engram_error *error)
{
    eg_stored_name target;
    EG_TRY(read_main_path(p, "path", true, error));
    EG_TRY(read_text(p, "target", &target, error));
    EG_TRY(make_parents(p, p->operand->path.text, error));
    return engram_symlink(p->transaction, target.text, p->operand->path.text, error);
}

static engram_status op_link(performing *p, engram_error *error)
{
    eg_stored_name from;
    EG_TRY(read_main_path(p, "path", true, error));
    EG_TRY(read_path(p, "from", &from, error));
    return engram_link(p->transaction, from.text, p->operand->path.text, error);
}

/* ---- attributes ---- */

static bool is_expected(const engram_expected *expected, const struct engram_stat *stat)
{
    return expected->what == ENGRAM_ANY || expected->what == ENGRAM_THERE ||
           (expected->what == ENGRAM_TOKEN && expected->version == stat->version &&
            (expected->inode == 0 || expected->inode == stat->inode));
}

/* To nanoseconds that follow the second, "mtime_ns"; without "mtime" nothing. */
static engram_status set_mtime(performing *p, engram_error *error)
{
    const json_t *json = json_object_get(p->operand->json, "mtime");
    json_int_t nanoseconds = 0;
    int64_t seconds = 0;
    const char *text = json_string_value(json);
    EG_TRY(read_number(p, "mtime_ns", 0, 999999999, &nanoseconds, error));
    if (json == NULL)
        return ENGRAM_OK;
    if (json_is_integer(json))
        seconds = json_integer_value(json);
    else if (text == NULL || !eg_since_parse(text, &seconds))
        return bad("mtime", "seconds since 1970, or a time as \"2026-11-27T10:00:00Z\",", error);
    return engram_set_mtime(p->transaction, p->operand->path.text, seconds, (uint32_t)nanoseconds,
                            error);
}

static engram_status set_owner(performing *p, const struct engram_stat *stat, engram_error *error)
{
    json_int_t uid = stat->uid, gid = stat->gid;
    EG_TRY(read_number(p, "uid", 0, UINT32_MAX, &uid, error));
    EG_TRY(read_number(p, "gid", 0, UINT32_MAX, &gid, error));
    return uid == stat->uid && gid == stat->gid
               ? ENGRAM_OK
               : engram_set_owner(p->transaction, p->operand->path.text, (uint32_t)uid,
                                  (uint32_t)gid, error);
}

static engram_status op_set(performing *p, engram_error *error)
{
    struct engram_stat stat;
    const char *path = p->operand->path.text;
    EG_TRY(read_main_path(p, "path", true, error));
    EG_TRY(engram_tx_stat(p->transaction, path, &stat, error));
    uint32_t mode = stat.mode;
    if (!is_expected(&p->expected, &stat))
        return eg_fail(error, ENGRAM_CONFLICT, "it is at %llu.%llu, and not as expected",
                       (unsigned long long)stat.inode, (unsigned long long)stat.version);
    EG_TRY(read_mode(p, &mode, error));
    if (mode != stat.mode)
        EG_TRY(engram_set_mode(p->transaction, path, mode, error));
    EG_TRY(set_owner(p, &stat, error));
    return set_mtime(p, error);
}

/* ---- which of them ---- */

static const operation operations[] = {
    {"write", "path path_base64 text base64 expect parents", op_write},
    {"append", "path path_base64 text base64 expect", op_append},
    {"truncate", "path path_base64 size expect", op_truncate},
    {"rm", "path path_base64 recursive expect", op_rm},
    {"mv", "from from_base64 to to_base64 expect parents", op_mv},
    {"mkdir", "path path_base64 mode parents", op_mkdir},
    {"symlink", "path path_base64 target target_base64 parents", op_symlink},
    {"link", "path path_base64 from from_base64", op_link},
    {"set", "path path_base64 mode mtime mtime_ns uid gid expect", op_set},
};

static bool is_listed(const char *names, const char *name)
{
    size_t size = strlen(name);
    for (const char *at = names; *at != 0; at += strspn(at, " ")) {
        size_t length = strcspn(at, " ");
        if (length == size && memcmp(at, name, size) == 0)
            return true;
        at += length;
    }
    return false;
}

/* A member that nothing looks at would be a wish that is not heard. */
static engram_status check_members(const operation *o, json_t *json, engram_error *error)
{
    const char *key;
    json_t *value;
    json_object_foreach(json, key, value)
    {
        if (strcmp(key, "op") != 0 && !is_listed(o->members, key))
            return eg_fail(error, ENGRAM_INVALID, "'%.100s' is no member of it; there are: %s", key,
                           o->members);
    }
    return ENGRAM_OK;
}

static engram_status read_expected(performing *p, engram_error *error)
{
    const json_t *json = json_object_get(p->operand->json, "expect");
    p->operand->expects = json != NULL;
    if (json == NULL)
        return ENGRAM_OK;
    return json_is_string(json)
               ? engram_expected_parse(json_string_value(json), &p->expected, error)
               : bad("expect", "\"none\", \"any\" or a token", error);
}

engram_status eg_operation_run(json_t *json, engram_transaction *transaction, eg_operand *operand,
                               engram_error *error)
{
    const json_t *name = json_object_get(json, "op");
    performing p = {.operand = operand, .transaction = transaction};
    const operation *o = NULL;
    *operand = (eg_operand){.json = json, .op = json_string_value(name)};
    for (size_t i = 0; i < sizeof operations / sizeof *operations && operand->op != NULL; i++)
        if (strcmp(operations[i].name, operand->op) == 0)
            o = &operations[i];
    if (o == NULL)
        return bad("op", "write, append, truncate, rm, mv, mkdir, symlink, link or set", error);
    EG_TRY(check_members(o, json, error));
    EG_TRY(read_expected(&p, error));
    return o->run(&p, error);
}
