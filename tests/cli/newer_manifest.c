/* newer_manifest FILE: raises the format number in a MANIFEST.json and makes its checksum right
 * again, as a newer version of the program would have written it. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

int main(int argc, char **argv)
{
    char hex[17];
    json_t *document = argc == 2 ? json_load_file(argv[1], 0, NULL) : NULL;
    json_t *body = json_object_get(document, "engram");
    if (body == NULL) {
        fputs("usage: newer_manifest FILE\n", stderr);
        return 2;
    }
    json_int_t format = json_integer_value(json_object_get(body, "format"));
    json_object_set_new(body, "format", json_integer(format + 1));
    char *text = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);
    snprintf(hex, sizeof hex, "%016" PRIx64, (uint64_t)XXH3_64bits(text, strlen(text)));
    json_object_set_new(document, "checksum", json_string(hex));
    int failed = json_dump_file(document, argv[1], JSON_INDENT(1) | JSON_SORT_KEYS);
    free(text);
    json_decref(document);
    return failed != 0;
}
