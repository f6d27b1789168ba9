/* Any bytes as a configuration file: what it hands on are names and values of one line. */
#include "fuzz/fuzz.h"

#include <string.h>

#include "serve/config.h"

typedef struct seen {
    size_t size, line;
} seen;

static engram_status visit(void *context, const char *name, const char *value, size_t line, engram_error *error)
{
    seen *s = context;
    (void)error;
    FUZZ_CHECK(*name != 0 && strpbrk(name, " \t=\r\n") == NULL);
    FUZZ_CHECK(strpbrk(value, "\r\n") == NULL && strlen(name) + strlen(value) < s->size);
    FUZZ_CHECK(line > s->line);
    s->line = line;
    return ENGRAM_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    seen s = {.size = size};
    engram_error error = {0};
    engram_status status = eg_config_parse((const char *)data, size, visit, &s, &error);
    FUZZ_CHECK(status == error.status && (status == ENGRAM_OK || status == ENGRAM_INVALID));
    return 0;
}
