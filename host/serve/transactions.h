/* What the files about transactions share: one operation of a request.
 *
 * An operation is a JSON object: "op" says what it does, the other members are what that needs. Paths and targets are text,
 * or, under the name with _base64 behind it, any bytes. */
#ifndef EG_SERVE_TRANSACTIONS_H
#define EG_SERVE_TRANSACTIONS_H

#include "report/report.h"
#include "serve/http.h"

typedef struct eg_operand {
    json_t *json; /* lent */
    const char *op;
    eg_stored_name path;  /* that it leaves something at, or that it removes */
    bool has_path, leaves; /* leaves: something is at the path afterwards */
    bool expects;         /* "expect" was given: a conflict is a condition that does not hold */
} eg_operand;

/* Does it, in the transaction. On failure operand says as much as was understood. ENGRAM_INVALID: it is malformed. */
engram_status eg_operation_run(json_t *json, engram_transaction *transaction, eg_operand *operand, engram_error *error);

#endif
