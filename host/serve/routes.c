/* Finding the route of a request. */
#include "serve/routes.h"

#include <stdio.h>
#include <string.h>

const eg_route *const eg_route_lists[] = {eg_routes_operations, eg_routes_files, eg_routes_query,
                                          eg_routes_transactions, eg_routes_history, eg_routes_events,
                                          eg_routes_versions, eg_routes_page, NULL};

const eg_route *eg_routes_at(size_t index)
{
    for (const eg_route *const *list = eg_route_lists; *list != NULL; list++)
        for (const eg_route *route = *list; route->method != NULL; route++)
            if (index-- == 0)
                return route;
    return NULL;
}

size_t eg_routes_count(void)
{
    size_t count = 0;
    while (eg_routes_at(count) != NULL)
        count++;
    return count;
}

/* Length of the literal part, or -1 when the pattern does not match. */
static long match_pattern(const char *pattern, const char *path)
{
    const char *brace = strchr(pattern, '{');
    size_t literal = brace != NULL ? (size_t)(brace - pattern) : strlen(pattern);
    if (strncmp(pattern, path, literal) != 0)
        return -1;
    const char *rest = path + literal;
    bool takes_all = brace != NULL && strcmp(brace, "{path}") == 0;
    bool takes_one = brace != NULL && !takes_all;
    if (takes_one && (*rest == 0 || strchr(rest, '/') != NULL))
        return -1;
    return brace == NULL && *rest != 0 ? -1 : (long)literal;
}

static bool does_method(const eg_route *route, const char *method)
{
    return strcmp(route->method, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

static void add_allowed(char allowed[64], const char *method)
{
    size_t size = strlen(allowed);
    const char *head = strcmp(method, "GET") == 0 ? ", HEAD" : "";
    snprintf(allowed + size, 64 - size, "%s%s%s", size != 0 ? ", " : "", method, head);
}

eg_match eg_routes_find(const char *method, const char *path)
{
    eg_match best = {0};
    long longest = -1;
    const eg_route *route;
    size_t count = 0;
    for (; (route = eg_routes_at(count)) != NULL; count++) {
        long literal = match_pattern(route->pattern, path);
        if (literal < longest || literal < 0)
            continue;
        if (literal > longest)
            best = (eg_match){0};
        longest = literal;
        if (does_method(route, method))
            best = (eg_match){.route = route, .index = count, .operand = (size_t)literal};
        else if (best.route == NULL)
            add_allowed(best.allowed, route->method);
    }
    if (best.route == NULL)
        best.index = count;
    return best;
}
