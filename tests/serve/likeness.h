/* Whether the interface answers as an example says. What differs from run to run is not compared:
 * moments, anywhere, and the members that likeness.c lists. */
#ifndef EG_TESTS_SERVE_LIKENESS_H
#define EG_TESTS_SERVE_LIKENESS_H

#include <jansson.h>
#include <stdbool.h>

/* False, with where and why, when they differ. is_part: value may have members that the example has
 * not. */
bool likeness_json(json_t *example, json_t *value, bool is_part, char why[256]);
/* The same of text. An example that ends with a line "..." is the beginning of it. */
bool likeness_text(const char *example, const char *text, char why[256]);

#endif
