/* What handlers ask of a request. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "report/report.h"
#include "serve/exchange.h"

const char *eg_request_parameter(const eg_request *request, const char *name)
{
    for (size_t i = 0; i < request->uri.count; i++)
        if (strcmp(request->uri.parameters[i].name, name) == 0)
            return request->uri.parameters[i].value;
    return NULL;
}

bool eg_request_flag(const eg_request *request, const char *name)
{
    const char *value = eg_request_parameter(request, name);
    return value != NULL && *value != 0 && strcmp(value, "0") != 0 && strcmp(value, "no") != 0 &&
           strcmp(value, "false") != 0;
}

engram_status eg_request_number(const eg_request *request, const char *name, uint64_t low,
                                uint64_t high, uint64_t *value, engram_error *error)
{
    const char *text = eg_request_parameter(request, name);
    char *end = NULL;
    if (text == NULL)
        return ENGRAM_OK;
    errno = 0;
    uint64_t number = strtoull(text, &end, 10);
    bool is_number = isdigit((unsigned char)*text) && *end == 0 && errno == 0;
    if (!is_number || number < low || number > high)
        return eg_fail(error, ENGRAM_INVALID,
                       "%s=%.100s: a whole number from %" PRIu64 " to %" PRIu64 " is expected",
                       name, text, low, high);
    *value = number;
    return ENGRAM_OK;
}

engram_status eg_request_size(const eg_request *request, const char *name, uint64_t *value,
                              engram_error *error)
{
    const char *text = eg_request_parameter(request, name);
    if (text != NULL && !eg_size_parse(text, value))
        return eg_fail(error, ENGRAM_INVALID,
                       "%s=%.100s: a size is expected, as 1000000, 256M or 1.5G", name, text);
    return ENGRAM_OK;
}

const char *eg_request_header(const eg_request *request, const char *name)
{
    const eg_exchange *x = (const eg_exchange *)request;
    return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
}

engram_status eg_request_pin(const eg_request *request, engram_view **view, engram_error *error)
{
    const char *at = eg_request_parameter(request, "at");
    return engram_pin_at(request->engram, at, view, error);
}
