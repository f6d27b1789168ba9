/* What a server's documents say, as the structures that the rest of the program uses. The fields are those that
 * report/report.h writes. A document that lacks one, or has nonsense in it, is ENGRAM_IO. */
#ifndef EG_ACCESS_DOCUMENT_H
#define EG_ACCESS_DOCUMENT_H

#include "access/access.h"

engram_status eg_document_number(const json_t *object, const char *key, uint64_t *value, engram_error *error);
/* Bytes of a path, from key_base64 when it is there. */
engram_status eg_document_path(const json_t *object, const char *key, eg_stored_name *path, engram_error *error);
/* An entry; path and target may be NULL. */
engram_status eg_document_entry(const json_t *object, eg_stored_name *path, struct engram_stat *stat, eg_stored_name *target, engram_error *error);
/* One side of a change: kind, size, mode and token. */
engram_status eg_document_side(const json_t *object, struct engram_stat *stat, engram_error *error);
engram_status eg_document_time_ns(const json_t *object, const char *key, uint64_t *time_ns, engram_error *error);
/* "2026-11-27T10:00:00.000000000Z", or "@SECONDS" for a year without four digits. */
bool eg_document_time(const char *text, int64_t *seconds, uint32_t *nanoseconds);

#endif
