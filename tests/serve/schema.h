/* The part of JSON Schema that the description of the interface uses, read strictly: a member that no schema names is a
 * mistake of one of them. */
#ifndef EG_TESTS_SERVE_SCHEMA_H
#define EG_TESTS_SERVE_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>

/* What a "#/a/b" of the document points at, or NULL. */
json_t *schema_find(json_t *document, const char *reference);
/* False, with where and why, when value does not fit. */
bool schema_fits(json_t *document, json_t *schema, json_t *value, char why[256]);

#endif
