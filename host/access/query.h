/* "What is like this?", asked of an engram wherever it is. Apart from access.h, for those who know the search. */
#ifndef EG_ACCESS_QUERY_H
#define EG_ACCESS_QUERY_H

#include "access/access.h"
#include "search/query.h"

struct eg_access_query {
    const char *at;
    const eg_query_options *options;
    eg_view content;
    eg_device *device; /* of a directory's engram; a server has its own */
    uint64_t start_ns; /* of the monotonic clock: from when on total seconds count */
};

#endif
