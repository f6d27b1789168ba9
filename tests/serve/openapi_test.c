/* The description of the interface against the interface: the same routes with the same parameters,
 * and a document of its kind. examples_test does what its examples say. */
#include <ctype.h>

#include "serve/description.h"
#include "serve/routes.h"
#include "serve/schema.h"

/* ---- the same routes ---- */

static json_t *operation_of(json_t *document, const eg_route *route)
{
    char method[16] = "";
    for (size_t i = 0; route->method[i] != 0; i++)
        method[i] = (char)tolower((unsigned char)route->method[i]);
    json_t *path = json_object_get(json_object_get(document, "paths"), route->pattern);
    return json_object_get(path, method);
}

static bool is_word_of(const char *words, const char *word)
{
    size_t size = strlen(word);
    for (const char *at = words; at != NULL && *at != 0; at += strspn(at, " ")) {
        size_t length = strcspn(at, " ");
        if (length == size && memcmp(at, word, size) == 0)
            return true;
        at += length;
    }
    return false;
}

static size_t count_words(const char *words)
{
    size_t count = 0;
    for (const char *at = words; at != NULL && *at != 0; at += strspn(at, " ")) {
        count += strcspn(at, " ") != 0;
        at += strcspn(at, " ");
    }
    return count;
}

static void check_parameters(const eg_route *route, const json_t *operation)
{
    size_t i, in_query = 0, in_path = 0;
    json_t *p;
    json_array_foreach(json_object_get(operation, "parameters"), i, p)
    {
        bool is_query = strcmp(description_text(p, "in"), "query") == 0;
        in_query += is_query;
        in_path += strcmp(description_text(p, "in"), "path") == 0;
        if (is_query && !is_word_of(route->parameters, description_text(p, "name")))
            fail_msg("%s %s has no parameter %s", route->method, route->pattern,
                     description_text(p, "name"));
    }
    if (in_query != count_words(route->parameters))
        fail_msg("%s %s has %zu parameters, %zu are described", route->method, route->pattern,
                 count_words(route->parameters), in_query);
    assert_int_equal(in_path, strchr(route->pattern, '{') != NULL);
}

static void routes(void **state)
{
    rig r;
    size_t described = 0;
    const char *key;
    json_t *path;
    (void)state;
    rig_init(&r, NULL);
    json_t *document = description_fetch(&r);
    for (size_t i = 0; i < eg_routes_count(); i++) {
        const eg_route *route = eg_routes_at(i);
        const json_t *operation = operation_of(document, route);
        if (operation == NULL)
            fail_msg("%s %s is not described", route->method, route->pattern);
        check_parameters(route, operation);
        assert_int_equal(json_object_get(operation, "security") != NULL,
                         (route->flags & EG_ROUTE_OPEN) != 0);
        assert_int_equal(json_object_get(operation, "requestBody") != NULL,
                         route->body != EG_BODY_NONE);
    }
    json_object_foreach(json_object_get(document, "paths"), key, path) described +=
        json_object_size(path);
    assert_int_equal(described, eg_routes_count());
    json_decref(document);
    rig_fini(&r);
}

/* ---- a document of its kind ---- */

static void check_references(json_t *document, json_t *value)
{
    size_t i;
    const char *key;
    json_t *one;
    const char *reference = description_text(value, "$ref");
    if (*reference != 0 && schema_find(document, reference) == NULL)
        fail_msg("%s points at nothing", reference);
    json_object_foreach(value, key, one) check_references(document, one);
    json_array_foreach(value, i, one) check_references(document, one);
}

/* Those of a parameter or of a kind of body, against its schema. */
static void check_examples(json_t *document, const char *path, const char *name, json_t *holder)
{
    const char *key;
    json_t *one, *schema = json_object_get(holder, "schema");
    json_t *example = json_object_get(holder, "example");
    char why[256] = "";
    if (example != NULL && !schema_fits(document, schema, example, why))
        fail_msg("%s: the example of %s: %s", path, name, why);
    json_object_foreach(json_object_get(holder, "examples"), key, one)
    {
        if (!schema_fits(document, schema, json_object_get(one, "value"), why))
            fail_msg("%s: the example %s of %s: %s", path, key, name, why);
    }
}

static void check_requests(json_t *document, const char *path, json_t *operation)
{
    size_t i;
    const char *type;
    json_t *one;
    json_t *body = json_object_get(json_object_get(operation, "requestBody"), "content");
    json_array_foreach(json_object_get(operation, "parameters"), i, one)
        check_examples(document, path, description_text(one, "name"), one);
    json_object_foreach(body, type, one) check_examples(document, path, type, one);
}

static void check_operation(const char *path, const char *method, const json_t *operation)
{
    const char *key;
    json_t *response;
    json_t *responses = json_object_get(operation, "responses");
    if (*description_text(operation, "summary") == 0 || json_object_size(responses) == 0)
        fail_msg("%s %s has no summary or no responses", method, path);
    json_object_foreach(responses, key, response)
    {
        if (*description_text(response, "description") == 0)
            fail_msg("%s %s: %s has no description", method, path, key);
    }
}

static void form(void **state)
{
    rig r;
    const char *path, *method;
    json_t *item, *operation;
    (void)state;
    rig_init(&r, NULL);
    json_t *document = description_fetch(&r), *info = json_object_get(document, "info");
    assert_memory_equal(description_text(document, "openapi"), "3.1.", 4);
    assert_true(*description_text(info, "title") != 0 && *description_text(info, "version") != 0);
    json_object_foreach(json_object_get(document, "paths"), path, item)
    {
        assert_int_equal(path[0], '/');
        json_object_foreach(item, method, operation)
        {
            check_operation(path, method, operation);
            check_requests(document, path, operation);
        }
    }
    check_references(document, document);
    json_decref(document);
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes),
        cmocka_unit_test(form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
