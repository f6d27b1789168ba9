/* Transactions: many operations, all or nothing, durable before they are answered.
 *
 * The operations are done in their order in one transaction of the library, each seeing those
 * before it. When another commit was in the way all are done again from the newest version, unless
 * the request says that this is a failure. */
#include "serve/transactions.h"

#include "base/memory.h"
#include "serve/routes.h"

enum { OPERATIONS_MAX = 10000, VALUES_MAX = 20 * OPERATIONS_MAX, BODY_MAX = 64 << 20 };

typedef struct outcome {     /* of an operation that has left something at its path */
    uint64_t inode, version; /* version 0: that of the commit */
    bool known;
} outcome;

typedef struct transacting {
    json_t *operations; /* an array */
    outcome *outcomes;  /* of each */
    eg_operand operand; /* the one at hand */
    size_t index;
    bool is_refused; /* an operation, by what it expects */
} transacting;

/* ---- doing it ---- */

static engram_status tell(const transacting *t, engram_status status, const engram_error *inner,
                          engram_error *error)
{
    const char *op = t->operand.op != NULL ? t->operand.op : "?";
    return eg_fail(error, status, "operation %zu, %.20s%s%.200s: %s", t->index, op,
                   t->operand.has_path ? " " : "", t->operand.path.text, inner->message);
}

static engram_status note_outcome(transacting *t, engram_transaction *transaction, size_t index,
                                  engram_error *error)
{
    struct engram_stat stat;
    outcome *o = &t->outcomes[index];
    if (!t->operand.leaves)
        return ENGRAM_OK;
    EG_TRY(engram_tx_stat(transaction, t->operand.path.text, &stat, error));
    bool is_new = stat.version > engram_tx_version(transaction);
    *o = (outcome){.inode = stat.inode, .version = is_new ? 0 : stat.version, .known = true};
    return ENGRAM_OK;
}

static engram_status run_all(void *context, engram_transaction *transaction, engram_error *error)
{
    transacting *t = context;
    for (t->index = 0; t->index < json_array_size(t->operations); t->index++) {
        engram_error inner = {0};
        t->outcomes[t->index] = (outcome){0};
        engram_status status = eg_operation_run(json_array_get(t->operations, t->index),
                                                transaction, &t->operand, &inner);
        if (status == ENGRAM_OK)
            status = note_outcome(t, transaction, t->index, &inner);
        t->is_refused =
            t->operand.expects && (status == ENGRAM_CONFLICT || status == ENGRAM_EXISTS);
        if (status != ENGRAM_OK)
            return tell(t, status, &inner, error);
    }
    return ENGRAM_OK;
}

/* ---- the reply ---- */

static json_t *outcome_json(json_t *operation, const outcome *o, uint64_t version)
{
    static const char *const keys[] = {"op",          "path", "path_base64", "from",
                                       "from_base64", "to",   "to_base64"};
    char token[EG_TOKEN_SIZE];
    const struct engram_stat stat = {.inode = o->inode,
                                     .version = o->version != 0 ? o->version : version};
    json_t *object = json_object();
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (json_object_get(operation, keys[i]) != NULL)
            eg_json_put(object, keys[i], json_incref(json_object_get(operation, keys[i])));
    if (!o->known)
        return object;
    eg_json_put_number(object, "inode", o->inode);
    eg_json_put(object, "token", json_string(eg_entry_token(&stat, token)));
    return object;
}

static engram_status say_done(const transacting *t, uint64_t version, eg_reply *reply,
                              engram_error *error)
{
    unsigned long failures = eg_json_failures();
    json_t *document = json_object(), *results = json_array();
    for (size_t i = 0; i < json_array_size(t->operations); i++)
        eg_json_put(results, NULL,
                    outcome_json(json_array_get(t->operations, i), &t->outcomes[i], version));
    eg_json_put_number(document, "version", version);
    eg_json_put(document, "results", results);
    eg_reply_add_header(reply, "Engram-Version", "%llu", (unsigned long long)version);
    return eg_reply_document(reply, 200, document, failures, error);
}

/* ---- the request ---- */

static engram_status read_policy(const json_t *document, engram_on_conflict *policy,
                                 engram_error *error)
{
    const json_t *json = json_object_get(document, "on_conflict");
    const char *text = json_string_value(json);
    *policy = ENGRAM_RETRY;
    if (json == NULL || (text != NULL && strcmp(text, "retry") == 0))
        return ENGRAM_OK;
    *policy = ENGRAM_FAIL;
    return text != NULL && strcmp(text, "fail") == 0
               ? ENGRAM_OK
               : eg_fail(error, ENGRAM_INVALID, "on_conflict: \"retry\" or \"fail\" is expected");
}

static engram_status commit(const eg_request *request, json_t *document, transacting *t,
                            uint64_t *version, engram_error *error)
{
    engram_run_options options = {0};
    t->operations = json_object_get(document, "operations");
    size_t count = json_array_size(t->operations);
    if (count == 0 || count > OPERATIONS_MAX)
        return eg_fail(error, ENGRAM_INVALID,
                       "{\"operations\": [...]} with 1 to %d of them is expected", OPERATIONS_MAX);
    EG_TRY(read_policy(document, &options.on_conflict, error));
    t->outcomes = eg_alloc_zero(count, sizeof *t->outcomes);
    if (t->outcomes == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for a transaction");
    return engram_run(request->engram, &options, run_all, t, version, error);
}

static engram_status transact(eg_request *request, eg_reply *reply, engram_error *error)
{
    transacting t = {0};
    uint64_t version = 0;
    json_t *document;
    EG_TRY(eg_json_read(request->body, VALUES_MAX, &document, error));
    engram_status status = commit(request, document, &t, &version, error);
    if (status == ENGRAM_OK)
        status = say_done(&t, version, reply, error);
    else if (t.is_refused)
        reply->status = 412;
    eg_free(t.outcomes);
    json_decref(document);
    return status;
}

const eg_route eg_routes_transactions[] = {
    {.method = "POST",
     .pattern = "/v1/transactions",
     .flags = EG_ROUTE_WRITES,
     .body = EG_BODY_WHOLE,
     .body_max = BODY_MAX,
     .handle = transact},
    {0},
};
