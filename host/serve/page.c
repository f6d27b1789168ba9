/* What a person who opens the server's address sees: a page that asks the other routes, and their
 * description. Neither tells anything of the engram, so no token is asked for; the page asks for
 * one when it needs it. */
#include <string.h>

#include "serve/assets.h"
#include "serve/routes.h"

static engram_status reply_asset(eg_reply *reply, const char *name, const char *content_type,
                                 engram_error *error)
{
    eg_buffer copy = {0};
    const eg_asset *asset = eg_assets;
    while (strcmp(asset->name, name) != 0)
        asset++;
    eg_write_bytes(&copy, asset->bytes, asset->size);
    if (copy.failed) {
        eg_buffer_fini(&copy);
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for the reply");
    }
    eg_reply_add_header(reply, "Cache-Control", "no-cache");
    eg_reply_buffer(reply, 200, content_type, &copy);
    return ENGRAM_OK;
}

/* Both policies hold: what a page may run and load, and what may be done with it. */
static engram_status page(eg_request *request, eg_reply *reply, engram_error *error)
{
    (void)request;
    eg_reply_add_header(reply, "Content-Security-Policy", "%s", eg_assets_policy);
    eg_reply_add_header(reply, "Content-Security-Policy",
                        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    eg_reply_add_header(reply, "Referrer-Policy", "no-referrer");
    return reply_asset(reply, "page.html", "text/html; charset=utf-8", error);
}

static engram_status openapi(eg_request *request, eg_reply *reply, engram_error *error)
{
    (void)request;
    return reply_asset(reply, "openapi.json", "application/json", error);
}

const eg_route eg_routes_page[] = {
    {.method = "GET",
     .pattern = "/",
     .flags = EG_ROUTE_OPEN | EG_ROUTE_INLINE | EG_ROUTE_EARLY,
     .handle = page},
    {.method = "GET",
     .pattern = "/v1/openapi.json",
     .flags = EG_ROUTE_OPEN | EG_ROUTE_INLINE | EG_ROUTE_EARLY,
     .handle = openapi},
    {0},
};
