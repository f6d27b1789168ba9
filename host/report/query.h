/* Similarity as documents: of 'engram query' and 'engram vector', and of the server. */
#ifndef EG_REPORT_QUERY_H
#define EG_REPORT_QUERY_H

#include "report/report.h"
#include "search/query.h"

/* What was found, in which version, among how much, in what time. */
void eg_query_fill(json_t *document, const eg_query_result *result, const eg_query_options *options, double total_seconds);
/* What computed it: a fallback must not pass for a device's work. */
void eg_query_device_fill(json_t *document, eg_device *device);
json_t *eg_vector_json(const uint8_t *vector, uint32_t spread, uint64_t size);

#endif
