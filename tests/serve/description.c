#include "serve/description.h"

json_t *description_fetch(rig *r)
{
    rig_reply reply;
    json_error_t where;
    rig_ask(r, "GET /v1/openapi.json", NULL, NULL, &reply);
    assert_int_equal(reply.status, 200);
    json_t *document =
        json_loadb((const char *)reply.body.data, reply.body.size, JSON_REJECT_DUPLICATES, &where);
    if (document == NULL)
        fail_msg("line %d: %s", where.line, where.text);
    rig_reply_fini(&reply);
    return document;
}

const char *description_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}
