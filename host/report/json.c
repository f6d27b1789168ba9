/* Making JSON documents: text that may be of any encoding, and what became of memory. */
#include <stdatomic.h>
#include <stdio.h>

#include "base/memory.h"
#include "report/report.h"

static atomic_bool has_failed;
static _Thread_local unsigned long failures;
static _Thread_local bool was_refused; /* memory for a document, since reading it began */

static void *take_memory(size_t size)
{
    void *memory = eg_alloc(size);
    was_refused |= memory == NULL;
    return memory;
}

void eg_json_start(void)
{
    json_set_alloc_funcs(take_memory, eg_free);
}

/* No fewer than the document has, if it is one. */
static size_t count_values(eg_view text)
{
    size_t count = 1;
    bool in_string = false;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (in_string && c == '\\')
            i++;
        else if (c == '"')
            in_string = !in_string;
        else if (!in_string)
            count += c == ',' || c == '{' || c == '[';
    }
    return count;
}

/* What jansson says of a document for which there was no memory is mostly that it is malformed. */
engram_status eg_json_read(eg_view text, size_t values_max, json_t **document, engram_error *error)
{
    json_error_t where;
    if (count_values(text) > values_max)
        return eg_fail(error, ENGRAM_INVALID, "the body has more than %zu values, which is more than can be asked for",
                       values_max);
    was_refused = false;
    *document = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, &where);
    if (*document != NULL)
        return ENGRAM_OK;
    return was_refused ? eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for a document")
                       : eg_fail(error, ENGRAM_INVALID, "the body is no JSON document: line %d: %s",
                                 where.line, where.text);
}

unsigned long eg_json_failures(void)
{
    return failures;
}

bool eg_json_has_failed(void)
{
    return atomic_load(&has_failed);
}

void eg_json_put(json_t *parent, const char *key, json_t *value)
{
    int failed = value == NULL ? 1
                 : key != NULL ? json_object_set_new(parent, key, value)
                               : json_array_append_new(parent, value);
    if (failed) {
        failures++;
        atomic_store(&has_failed, true);
    }
}

void eg_json_put_number(json_t *object, const char *key, uint64_t value)
{
    eg_json_put(object, key, json_integer(value <= INT64_MAX ? (json_int_t)value : INT64_MAX));
}

static bool is_utf8(eg_view text)
{
    for (size_t at = 0; at < text.size;) {
        size_t size = eg_utf8_size(text.data + at, text.size - at);
        if (size == 0)
            return false;
        at += size;
    }
    return true;
}

json_t *eg_json_text(const void *bytes, size_t size)
{
    const uint8_t *data = bytes;
    eg_buffer text = {0};
    if (is_utf8((eg_view){data, size}))
        return json_stringn(size != 0 ? bytes : "", size);
    for (size_t at = 0; at < size;) {
        size_t step = eg_utf8_size(data + at, size - at);
        if (step != 0)
            eg_write_bytes(&text, data + at, step);
        else
            eg_write_bytes(&text, "\xEF\xBF\xBD", 3);
        at += step != 0 ? step : 1;
    }
    json_t *value = text.failed ? NULL : json_stringn((const char *)text.data, text.size);
    eg_buffer_fini(&text);
    return value;
}

void eg_path_json(json_t *object, const char *key, eg_view path)
{
    char key_base64[48];
    eg_buffer text = {0};
    eg_json_put(object, key, eg_json_text(path.data, path.size));
    if (is_utf8(path))
        return;
    snprintf(key_base64, sizeof key_base64, "%s_base64", key);
    eg_base64_write(&text, path);
    eg_json_put(object, key_base64,
                text.failed ? NULL : json_stringn((const char *)text.data, text.size));
    eg_buffer_fini(&text);
}
