/* Checking values against schemas: $ref, type, enum, required, properties, items, anyOf, oneOf. */
#include "serve/schema.h"

#include <stdio.h>
#include <string.h>

json_t *schema_find(json_t *document, const char *reference)
{
    char name[128];
    json_t *at = reference[0] == '#' ? document : NULL;
    for (const char *part = reference + 1; at != NULL && *part == '/';) {
        size_t size = strcspn(part + 1, "/");
        snprintf(name, sizeof name, "%.*s", (int)size, part + 1);
        at = json_object_get(at, name);
        part += 1 + size;
    }
    return at;
}

static bool say(char why[256], const char *what, const char *name)
{
    char inner[256];
    snprintf(inner, sizeof inner, "%s", why);
    snprintf(why, 256, "%.60s %.60s%s%.120s", what, name, *inner != 0 ? ": " : "", inner);
    return false;
}

static bool is_type(const char *type, const json_t *value)
{
    if (strcmp(type, "object") == 0)
        return json_is_object(value);
    if (strcmp(type, "array") == 0)
        return json_is_array(value);
    if (strcmp(type, "string") == 0)
        return json_is_string(value);
    if (strcmp(type, "integer") == 0)
        return json_is_integer(value);
    if (strcmp(type, "number") == 0)
        return json_is_number(value);
    if (strcmp(type, "boolean") == 0)
        return json_is_boolean(value);
    return strcmp(type, "null") == 0 && json_is_null(value);
}

static bool fits_type(json_t *schema, const json_t *value, char why[256])
{
    size_t i;
    json_t *one, *type = json_object_get(schema, "type");
    if (type == NULL || (json_is_string(type) && is_type(json_string_value(type), value)))
        return true;
    json_array_foreach(type, i, one) if (is_type(json_string_value(one), value)) return true;
    return say(why, "not of the type", json_is_string(type) ? json_string_value(type) : "list");
}

static bool fits_enum(json_t *schema, json_t *value, char why[256])
{
    size_t i;
    json_t *one, *list = json_object_get(schema, "enum");
    json_array_foreach(list, i, one) if (json_equal(one, value)) return true;
    return list == NULL || say(why, "none of those listed", "");
}

static bool fits_members(json_t *document, json_t *schema, json_t *value, char why[256])
{
    size_t i;
    const char *key;
    json_t *one, *properties = json_object_get(schema, "properties");
    if (properties == NULL || !json_is_object(value))
        return true;
    json_array_foreach(json_object_get(schema, "required"), i, one)
    {
        if (json_object_get(value, json_string_value(one)) == NULL)
            return say(why, "lacks", json_string_value(one));
    }
    json_object_foreach(value, key, one)
    {
        json_t *inner = json_object_get(properties, key);
        if (inner == NULL)
            return say(why, "nobody told of", key);
        if (!schema_fits(document, inner, one, why))
            return say(why, "in", key);
    }
    return true;
}

static bool fits_one(json_t *document, json_t *list, json_t *value, char why[256])
{
    size_t i;
    json_t *one;
    if (list == NULL)
        return true;
    json_array_foreach(list, i, one)
    {
        why[0] = 0;
        if (schema_fits(document, one, value, why))
            return true;
    }
    return say(why, "fits none; the last one", "");
}

bool schema_fits(json_t *document, json_t *schema, json_t *value, char why[256])
{
    size_t i;
    json_t *one;
    const char *reference = json_string_value(json_object_get(schema, "$ref"));
    if (reference != NULL)
        schema = schema_find(document, reference);
    if (schema == NULL)
        return say(why, "no such schema", reference);
    if (!fits_type(schema, value, why) || !fits_enum(schema, value, why) ||
        !fits_members(document, schema, value, why) ||
        !fits_one(document, json_object_get(schema, "anyOf"), value, why) ||
        !fits_one(document, json_object_get(schema, "oneOf"), value, why))
        return false;
    json_t *items = json_object_get(schema, "items");
    if (items == NULL || !json_is_array(value))
        return true;
    json_array_foreach(value, i, one) if (!schema_fits(document, items, one, why)) return say(
        why, "in an item", "");
    return true;
}
