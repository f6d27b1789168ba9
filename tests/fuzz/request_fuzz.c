/* Any bytes as a request's target: what comes out of it can be looked up, and can be written and read again. */
#include "fuzz/fuzz.h"

#include <string.h>

#include "base/memory.h"
#include "engram/fs.h"
#include "serve/conditions.h"
#include "serve/routes.h"
#include "serve/uri.h"

static void check_path(eg_uri *uri, const char *text)
{
    eg_match match = eg_routes_find("GET", uri->path);
    if (match.route == NULL)
        return;
    FUZZ_CHECK(match.operand <= strlen(uri->path));
    if (eg_uri_decode_operand(uri, match.operand, NULL) != ENGRAM_OK)
        return;
    FUZZ_CHECK(strlen(uri->operand) <= strlen(text));
    if (eg_uri_check_path(uri->operand, true, NULL) != ENGRAM_OK)
        return;
    FUZZ_CHECK(strlen(uri->operand) <= EG_PATH_MAX && uri->operand[0] != '/');
    for (const char *name = uri->operand; *name != 0; name += *name == '/') {
        size_t size = strcspn(name, "/");
        FUZZ_CHECK(eg_name_valid((eg_view){(const uint8_t *)name, size}));
        name += size;
    }
}

/* What is written is read as it was. */
static void check_parameters(const eg_uri *uri)
{
    eg_buffer text = {0};
    eg_uri again;
    eg_write_u8(&text, '/');
    for (size_t i = 0; i < uri->count; i++)
        eg_uri_write_parameter(&text, i == 0, uri->parameters[i].name, uri->parameters[i].value);
    eg_write_u8(&text, 0);
    if (!text.failed && eg_uri_parse((const char *)text.data, &again, NULL) == ENGRAM_OK) {
        FUZZ_CHECK(again.count == uri->count);
        for (size_t i = 0; i < uri->count; i++) {
            FUZZ_CHECK(strcmp(again.parameters[i].name, uri->parameters[i].name) == 0);
            FUZZ_CHECK(strcmp(again.parameters[i].value, uri->parameters[i].value) == 0);
        }
        eg_uri_fini(&again);
    } else if (!text.failed) {
        FUZZ_CHECK(text.size > EG_URI_MAX);
        eg_uri_fini(&again);
    }
    eg_buffer_fini(&text);
}

static void check_headers(const char *text)
{
    static const uint64_t sizes[] = {0, 1, 1000, UINT64_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint64_t begin, length;
        eg_range_kind kind = eg_range_parse(text, sizes[i], &begin, &length);
        FUZZ_CHECK(kind == EG_RANGE_BEYOND || (begin <= sizes[i] && length <= sizes[i] - begin));
        FUZZ_CHECK(kind != EG_RANGE_PART || length != 0);
    }
    FUZZ_CHECK(eg_tags_have(text, "\"1.1\"", false) <= eg_tags_have(text, "\"1.1\"", true));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = eg_alloc(size + 1);
    eg_uri uri;
    FUZZ_CHECK(text != NULL);
    memcpy(text, data, size);
    text[size] = 0;
    if (eg_uri_parse(text, &uri, NULL) == ENGRAM_OK) {
        check_parameters(&uri);
        check_path(&uri, text);
    }
    eg_uri_fini(&uri);
    check_headers(text);
    eg_free(text);
    return 0;
}
