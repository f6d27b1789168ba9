/* Who may do what: tokens from files, compared without telling by the time it takes how much of one was right.
 *
 * A file has one token a line, 16 to 256 printable characters without blanks; blank lines and lines that begin with '#' are
 * passed over. It is read again on request: a change is all or nothing. Any thread. */
#ifndef EG_SERVE_TOKENS_H
#define EG_SERVE_TOKENS_H

#include <stdbool.h>

#include "base/status.h"

typedef enum eg_right { EG_RIGHT_NONE, EG_RIGHT_READ, EG_RIGHT_WRITE } eg_right;

typedef struct eg_tokens eg_tokens;

/* Paths are lent; either may be NULL. ENGRAM_INVALID names the file and the line, ENGRAM_NOT_FOUND and _IO the file. */
engram_status eg_tokens_open(const char *write_path, const char *read_path, eg_tokens **tokens, engram_error *error);
void eg_tokens_close(eg_tokens **tokens);
/* On failure what was known stays. */
engram_status eg_tokens_reload(eg_tokens *tokens, engram_error *error);
eg_right eg_tokens_check(eg_tokens *tokens, const char *token);

#endif
