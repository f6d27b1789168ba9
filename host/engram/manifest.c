/* MANIFEST.json: {"checksum": hex, "engram": {...}}.
 *
 * The checksum is XXH3-64 of the "engram" member printed compactly with sorted keys, so it covers
 * every value and no white space. The file is valid when 1. it parses, 2. the checksum agrees, 3.
 * the format is one that this program knows (a greater one is ENGRAM_NEWER), 4. every member is
 * there and within its limits. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/memory.h"
#include "base/status.h"
#include "engram/internal.h"

enum { MANIFEST_FORMAT = 1, MANIFEST_SIZE_MAX = 64 << 20 };

static engram_status damaged(engram_error *error, const char *dir, const char *what)
{
    return eg_fail(error, ENGRAM_DAMAGED, "%s/MANIFEST.json: %s", dir, what);
}

static uint64_t checksum(json_t *body, bool *ok)
{
    char *text = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);
    *ok = text != NULL;
    uint64_t hash = text != NULL ? XXH3_64bits(text, strlen(text)) : 0;
    free(text);
    return hash;
}

/* A non-negative integer member; false when it is not one. */
static bool get_u64(json_t *object, const char *name, uint64_t *value)
{
    json_t *member = json_object_get(object, name);
    if (!json_is_integer(member) || json_integer_value(member) < 0)
        return false;
    *value = (uint64_t)json_integer_value(member);
    return true;
}

static bool get_hex(json_t *object, const char *name, uint64_t *value)
{
    const char *text = json_string_value(json_object_get(object, name));
    char *end = NULL;
    if (text == NULL || strlen(text) != 16)
        return false;
    *value = strtoull(text, &end, 16);
    return *end == 0;
}

static bool parse_config(json_t *body, eg_engram_config *config)
{
    json_t *codebook = json_object_get(body, "codebook");
    const char *chunk = json_string_value(json_object_get(body, "chunk"));
    const char *hash = json_string_value(json_object_get(body, "hash"));
    uint64_t version, level;
    if (!get_u64(codebook, "version", &version) || version != 1 ||
        !get_hex(codebook, "seed", &config->seed))
        return false;
    if (!get_u64(body, "level", &level) || level < 1 || level > 9 || hash == NULL ||
        strcmp(hash, "xxh3-128") != 0)
        return false;
    config->level = (int)level;
    return chunk != NULL && eg_chunk_config_parse(chunk, &config->chunk, NULL) == ENGRAM_OK;
}

static bool parse_segment(json_t *object, eg_segment_state *state)
{
    uint64_t level;
    bool ok = get_u64(object, "id", &state->id) && get_u64(object, "chunks", &state->chunk_count) &&
              get_u64(object, "payload", &state->payload_size) &&
              get_u64(object, "level", &level) && level < 256;
    state->level = ok ? (uint8_t)level : 0;
    return ok && state->id != 0;
}

static bool parse_segments(json_t *body, eg_manifest *manifest, engram_status *status)
{
    json_t *list = json_object_get(body, "segments");
    if (!json_is_array(list))
        return false;
    size_t count = json_array_size(list);
    manifest->segments = eg_alloc_zero(count + 1, sizeof *manifest->segments);
    if (manifest->segments == NULL) {
        *status = ENGRAM_NO_MEMORY;
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (!parse_segment(json_array_get(list, i), &manifest->segments[i]))
            return false;
        if (i > 0 && manifest->segments[i].id <= manifest->segments[i - 1].id)
            return false;
    }
    manifest->segment_count = count;
    return true;
}

static const struct {
    const char *name;
    size_t offset;
} retention_counts[] = {
    {"last", offsetof(engram_retention, last)},       {"hourly", offsetof(engram_retention, hourly)},
    {"daily", offsetof(engram_retention, daily)},     {"weekly", offsetof(engram_retention, weekly)},
    {"monthly", offsetof(engram_retention, monthly)}, {"yearly", offsetof(engram_retention, yearly)},
};
enum { RETENTION_COUNTS = sizeof retention_counts / sizeof *retention_counts };

/* Not there: the defaults. */
static bool parse_retention(json_t *body, engram_retention *retention)
{
    json_t *rules = json_object_get(body, "retention");
    *retention = eg_retention_default;
    if (rules == NULL)
        return true;
    if (!get_u64(rules, "every_s", &retention->every_s))
        return false;
    for (size_t i = 0; i < RETENTION_COUNTS; i++) {
        uint64_t count;
        if (!get_u64(rules, retention_counts[i].name, &count) || count > UINT32_MAX)
            return false;
        *(uint32_t *)((char *)retention + retention_counts[i].offset) = (uint32_t)count;
    }
    return true;
}

static json_t *retention_json(const engram_retention *retention)
{
    json_t *rules = json_pack("{s:I}", "every_s", (json_int_t)retention->every_s);
    for (size_t i = 0; i < RETENTION_COUNTS && rules != NULL; i++) {
        uint32_t count = *(const uint32_t *)((const char *)retention + retention_counts[i].offset);
        if (json_object_set_new(rules, retention_counts[i].name, json_integer(count)) != 0) {
            json_decref(rules);
            return NULL;
        }
    }
    return rules;
}

static bool parse_body(json_t *body, eg_manifest *manifest, engram_status *status)
{
    json_t *end = json_object_get(body, "clean_end");
    manifest->clean = json_is_object(end);
    if (manifest->clean && (!get_u64(end, "file", &manifest->clean_end.file) ||
                            !get_u64(end, "offset", &manifest->clean_end.offset) ||
                            !get_u64(end, "sequence", &manifest->clean_end.sequence)))
        return false;
    return parse_config(body, &manifest->config) &&
           parse_retention(body, &manifest->retention) &&
           get_u64(body, "created_ns", &manifest->created_ns) &&
           get_u64(body, "checkpoint", &manifest->checkpoint) &&
           parse_segments(body, manifest, status);
}

static engram_status parse(json_t *document, const char *dir, eg_manifest *manifest,
                           engram_error *error)
{
    json_t *body = json_object_get(document, "engram");
    uint64_t expected, format;
    bool ok;
    if (!get_hex(document, "checksum", &expected) || !json_is_object(body))
        return damaged(error, dir, "the checksum or the engram member is missing");
    if (checksum(body, &ok) != expected)
        return ok ? damaged(error, dir, "the checksum does not agree")
                  : eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
    if (!get_u64(body, "format", &format))
        return damaged(error, dir, "no format number");
    if (format > MANIFEST_FORMAT)
        return eg_fail(error, ENGRAM_NEWER,
                       "%s was written by a newer engram (format %" PRIu64
                       ", this one reads %d): upgrade engram",
                       dir, format, MANIFEST_FORMAT);
    engram_status status = ENGRAM_DAMAGED;
    if (parse_body(body, manifest, &status))
        return ENGRAM_OK;
    return status == ENGRAM_NO_MEMORY ? eg_fail(error, status, "out of memory")
                                      : damaged(error, dir, "a member is missing or out of range");
}

engram_status eg_manifest_read(eg_io *io, const char *dir, eg_manifest *manifest,
                               engram_error *error)
{
    *manifest = (eg_manifest){0};
    char *path = eg_path_join(dir, "MANIFEST.json");
    if (path == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
    uint8_t *text = NULL;
    size_t size = 0;
    engram_error inner = {0};
    engram_status status = eg_io_read_file(io, path, MANIFEST_SIZE_MAX, &text, &size, &inner);
    eg_free(path);
    if (status == ENGRAM_NOT_FOUND)
        return eg_fail(
            error, ENGRAM_NOT_ENGRAM,
            "%s is no engram (it has no MANIFEST.json); make one with: engram init -e %s", dir,
            dir);
    if (status != ENGRAM_OK)
        return eg_fail(error, status, "%s", inner.message);
    json_t *document = json_loadb((const char *)text, size, JSON_REJECT_DUPLICATES, NULL);
    eg_free(text);
    status = document == NULL ? damaged(error, dir, "not valid JSON")
                              : parse(document, dir, manifest, error);
    json_decref(document);
    if (status != ENGRAM_OK)
        eg_manifest_fini(manifest);
    return status;
}

static json_t *segments_json(const eg_manifest *manifest)
{
    json_t *list = json_array();
    for (size_t i = 0; i < manifest->segment_count; i++) {
        const eg_segment_state *s = &manifest->segments[i];
        json_t *object =
            json_pack("{s:I,s:I,s:I,s:I}", "id", (json_int_t)s->id, "level", (json_int_t)s->level,
                      "chunks", (json_int_t)s->chunk_count, "payload", (json_int_t)s->payload_size);
        if (json_array_append_new(list, object) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *body_json(const eg_manifest *m)
{
    char chunk[32], seed[17];
    eg_chunk_config_format(&m->config.chunk, chunk);
    snprintf(seed, sizeof seed, "%016" PRIx64, m->config.seed);
    json_t *end = m->clean ? json_pack("{s:I,s:I,s:I}", "file", (json_int_t)m->clean_end.file,
                                       "offset", (json_int_t)m->clean_end.offset, "sequence",
                                       (json_int_t)m->clean_end.sequence)
                           : json_null();
    return json_pack("{s:i,s:{s:i,s:s},s:s,s:s,s:i,s:I,s:I,s:o,s:o,s:o}", "format", MANIFEST_FORMAT,
                     "codebook", "version", 1, "seed", seed, "chunk", chunk, "hash", "xxh3-128",
                     "level", m->config.level, "created_ns", (json_int_t)m->created_ns,
                     "checkpoint", (json_int_t)m->checkpoint, "segments", segments_json(m),
                     "clean_end", end, "retention", retention_json(&m->retention));
}

engram_status eg_manifest_write(eg_io *io, const char *dir, const eg_manifest *manifest,
                                engram_error *error)
{
    engram_status status = ENGRAM_NO_MEMORY;
    json_t *body = body_json(manifest), *document = NULL;
    char hex[17], *text = NULL, *path = eg_path_join(dir, "MANIFEST.json");
    bool ok = false;
    if (body != NULL)
        snprintf(hex, sizeof hex, "%016" PRIx64, checksum(body, &ok));
    if (ok)
        document = json_pack("{s:s,s:O}", "checksum", hex, "engram", body);
    if (document != NULL)
        text = json_dumps(document, JSON_INDENT(1) | JSON_SORT_KEYS);
    if (text != NULL && path != NULL)
        status = eg_io_replace_file(io, path, text, strlen(text), error);
    else
        eg_fail(error, status, "out of memory");
    free(text);
    json_decref(document);
    json_decref(body);
    eg_free(path);
    return status;
}

void eg_manifest_fini(eg_manifest *manifest)
{
    eg_free(manifest->segments);
    *manifest = (eg_manifest){0};
}
