/* The table of routes. Each file that serves something has a list of its rows, named in eg_route_lists (routes.c). */
#ifndef EG_SERVE_ROUTES_H
#define EG_SERVE_ROUTES_H

#include "serve/http.h"

/* Rows end with one without a method. */
extern const eg_route eg_routes_operations[], eg_routes_files[], eg_routes_query[],
    eg_routes_transactions[], eg_routes_history[], eg_routes_events[], eg_routes_versions[], eg_routes_page[];
extern const eg_route *const eg_route_lists[]; /* ends with NULL */

typedef struct eg_match {
    const eg_route *route; /* NULL: no row */
    size_t index;          /* of the row, over all lists; the count of rows when there is none */
    size_t operand;        /* where in the path the operand begins */
    char allowed[64];      /* when the path is known and the method is not: "GET, PUT" */
} eg_match;
eg_match eg_routes_find(const char *method, const char *path);
size_t eg_routes_count(void);
const eg_route *eg_routes_at(size_t index); /* NULL beyond the end */

#endif
