/* The description of the interface, as the server gives it. */
#ifndef EG_TESTS_SERVE_DESCRIPTION_H
#define EG_TESTS_SERVE_DESCRIPTION_H

#include <jansson.h>

#include "serve/rig.h"

json_t *description_fetch(rig *r);
/* A member's text; "" when there is none. */
const char *description_text(const json_t *object, const char *key);

#endif
