/* Conditional requests and ranges: what the headers ask for, against what is stored.
 *
 * The entity tag of a file is its token in quotes, "INODE.VERSION": strong, and it never comes again. */
#ifndef EG_SERVE_CONDITIONS_H
#define EG_SERVE_CONDITIONS_H

#include "serve/http.h"

enum { EG_TAG_SIZE = 64 };
const char *eg_tag_format(uint64_t inode, uint64_t version, char tag[EG_TAG_SIZE]); /* with the quotes */

typedef enum eg_tag_match { EG_TAG_NONE, EG_TAG_ANY, EG_TAG_FOUND } eg_tag_match; /* ANY: "*" */
/* Whether a list of tags has that one. weak: W/"x" counts as "x". */
eg_tag_match eg_tags_have(const char *list, const char *tag, bool weak);

/* Of a request that reads what is there: 0 go on, 304, or 412. */
unsigned eg_conditions_read(const eg_request *request, const char *tag);
/* Of one that writes, as an expectation for the transaction. stat NULL: nothing is there. *conditional: there was a
 * condition, so that a conflict is 412. ENGRAM_INVALID: tags that are none; ENGRAM_CONFLICT: it does not hold, naming both. */
engram_status eg_conditions_write(const eg_request *request, const struct engram_stat *stat, engram_expected *expected, bool *conditional, engram_error *error);

typedef enum eg_range_kind { EG_RANGE_WHOLE, EG_RANGE_PART, EG_RANGE_BEYOND } eg_range_kind;
/* Of "bytes=5-9", "5-", "-5"; what is malformed or is more than one range is the whole. */
eg_range_kind eg_range_parse(const char *text, uint64_t size, uint64_t *begin, uint64_t *length);

#endif
