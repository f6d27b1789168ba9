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

static engram_status damaged(engram_error *error, const char *name, const char *what)
{
    return eg_fail(error, ENGRAM_DAMAGED, "%s: %s", name, what);
}

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
}

static uint64_t checksum(json_t *body, bool *ok)
{
    char *text = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);
    *ok = text != NULL;
    uint64_t hash = text != NULL ? XXH3_64bits(text, strlen(text)) : 0;
    eg_free(text);
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
    uint64_t runs = 0;
    if (json_object_get(rules, "runs") != NULL &&
        (!get_u64(rules, "runs", &runs) || runs > UINT32_MAX))
        return false;
    retention->runs = (uint32_t)runs;
    return true;
}

static json_t *retention_json(const engram_retention *retention)
{
    json_t *rules = json_pack("{s:I}", "every_s", (json_int_t)retention->every_s);
    if (rules != NULL && retention->runs != 0 &&
        json_object_set_new(rules, "runs", json_integer(retention->runs)) != 0) {
        json_decref(rules);
        return NULL;
    }
    for (size_t i = 0; i < RETENTION_COUNTS && rules != NULL; i++) {
        uint32_t count = *(const uint32_t *)((const char *)retention + retention_counts[i].offset);
        if (json_object_set_new(rules, retention_counts[i].name, json_integer(count)) != 0) {
            json_decref(rules);
            return NULL;
        }
    }
    return rules;
}

static bool parse_node(json_t *state, const char *name, eg_node_ref *ref)
{
    json_t *node = json_object_get(state, name);
    uint64_t size;
    if (!get_u64(node, "address", &ref->address) || !get_u64(node, "size", &size) ||
        size > UINT32_MAX)
        return false;
    ref->size = (uint32_t)size;
    return true;
}

static bool parse_state(json_t *body, eg_checkpoint *c)
{
    json_t *state = json_object_get(body, "state");
    json_t *journal = json_object_get(state, "journal");
    return get_u64(state, "version", &c->version) && get_u64(state, "time_ns", &c->time_ns) &&
           get_u64(state, "transaction_next", &c->transaction_next) &&
           get_u64(state, "inode_next", &c->inode_next) &&
           get_u64(state, "chunk_next", &c->chunk_next) &&
           get_u64(state, "nodes_end", &c->nodes_end) &&
           get_u64(journal, "file", &c->journal.file) &&
           get_u64(journal, "sequence", &c->journal.sequence) &&
           parse_node(state, "tree", &c->tree) && parse_node(state, "catalog", &c->catalog);
}

/* A file of ours: a folder and a name. */
static bool is_movable(const char *file)
{
    static const char *const folders[] = {"segments/", "journal/", "checkpoint/"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        size_t size = strlen(folders[i]);
        if (strncmp(file, folders[i], size) == 0)
            return file[size] != 0 && file[size] != '.' && strchr(file + size, '/') == NULL;
    }
    return false;
}

static bool parse_moves(json_t *body, eg_moves *moves, engram_status *status)
{
    json_t *object = json_object_get(body, "quarantine");
    if (object == NULL)
        return true;
    const char *folder = json_string_value(json_object_get(object, "folder"));
    json_t *files = json_object_get(object, "files");
    if (folder == NULL || *folder == 0 || *folder == '.' || strchr(folder, '/') != NULL ||
        !json_is_array(files))
        return false;
    moves->folder = eg_strdup(folder);
    moves->files = eg_alloc_zero(json_array_size(files) + 1, sizeof *moves->files);
    bool has_memory = moves->folder != NULL && moves->files != NULL;
    for (size_t i = 0; has_memory && i < json_array_size(files); i++) {
        const char *file = json_string_value(json_array_get(files, i));
        if (file == NULL || !is_movable(file))
            return false;
        moves->files[moves->count] = eg_strdup(file);
        has_memory = moves->files[moves->count++] != NULL;
    }
    *status = has_memory ? *status : ENGRAM_NO_MEMORY;
    return has_memory;
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
           parse_state(body, &manifest->state) && parse_moves(body, &manifest->moves, status) &&
           parse_segments(body, manifest, status);
}

static engram_status parse_checked(json_t *body, const char *name, eg_manifest *manifest,
                                   engram_error *error)
{
    uint64_t format;
    engram_status status = ENGRAM_DAMAGED;
    if (!get_u64(body, "format", &format))
        return damaged(error, name, "no format number");
    if (format > MANIFEST_FORMAT)
        return eg_fail(error, ENGRAM_NEWER,
                       "%s was written by a newer engram (format %" PRIu64
                       ", this one reads %d): upgrade engram",
                       name, format, MANIFEST_FORMAT);
    if (parse_body(body, manifest, &status))
        return ENGRAM_OK;
    return status == ENGRAM_NO_MEMORY ? no_memory(error)
                                      : damaged(error, name, "a member is missing or out of range");
}

static engram_status parse(json_t *document, const char *name, eg_manifest *manifest,
                           engram_error *error)
{
    json_t *body = json_object_get(document, "engram");
    uint64_t expected;
    bool ok;
    if (!get_hex(document, "checksum", &expected) || !json_is_object(body))
        return damaged(error, name, "the checksum or the engram member is missing");
    if (checksum(body, &ok) != expected)
        return ok ? damaged(error, name, "the checksum does not agree") : no_memory(error);
    return parse_checked(body, name, manifest, error);
}

engram_status eg_manifest_unpack(eg_view text, const char *name, eg_manifest *manifest,
                                 engram_error *error)
{
    *manifest = (eg_manifest){0};
    json_t *body =
        json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, NULL);
    engram_status status = json_is_object(body)
                               ? parse_checked(body, name, manifest, error)
                               : damaged(error, name, "its copy of the manifest is not valid JSON");
    json_decref(body);
    if (status != ENGRAM_OK)
        eg_manifest_fini(manifest);
    return status;
}

static engram_status note_entry(void *context, const char *name)
{
    (void)name;
    ++*(size_t *)context;
    return ENGRAM_OK;
}

/* There are checkpoints: only the manifest of an engram is gone. */
static bool has_checkpoints(eg_io *io, const char *dir)
{
    size_t count = 0;
    char *path = eg_path_join(dir, "checkpoint");
    if (path != NULL)
        io->list(io, path, note_entry, &count, NULL);
    eg_free(path);
    return count != 0;
}

static engram_status no_manifest(eg_io *io, const char *dir, engram_error *error)
{
    if (has_checkpoints(io, dir))
        return eg_fail(error, ENGRAM_NOT_ENGRAM,
                       "%s has lost its MANIFEST.json; to make it anew from what is there: engram verify --repair -e %s",
                       dir, dir);
    return eg_fail(error, ENGRAM_NOT_ENGRAM,
                   "%s is no engram (it has no MANIFEST.json); make one with: engram init -e %s", dir, dir);
}

static engram_status read_text(eg_io *io, const char *path, const char *dir, uint8_t **text,
                               size_t *size, engram_error *error)
{
    engram_error inner = {0};
    engram_status status = eg_io_read_file(io, path, MANIFEST_SIZE_MAX, text, size, &inner);
    if (status == ENGRAM_NOT_FOUND)
        return no_manifest(io, dir, error);
    return status == ENGRAM_OK ? status : eg_fail(error, status, "%s", inner.message);
}

engram_status eg_manifest_read(eg_io *io, const char *dir, eg_manifest *manifest,
                               engram_error *error)
{
    uint8_t *text = NULL;
    size_t size = 0;
    *manifest = (eg_manifest){0};
    char *path = eg_path_join(dir, "MANIFEST.json");
    if (path == NULL)
        return no_memory(error);
    engram_status status = read_text(io, path, dir, &text, &size, error);
    if (status == ENGRAM_OK) {
        json_t *document = json_loadb((const char *)text, size, JSON_REJECT_DUPLICATES, NULL);
        status = document == NULL ? damaged(error, path, "not valid JSON")
                                  : parse(document, path, manifest, error);
        json_decref(document);
    }
    eg_free(text);
    eg_free(path);
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

static json_t *node_json(eg_node_ref ref)
{
    return json_pack("{s:I,s:I}", "address", (json_int_t)ref.address, "size", (json_int_t)ref.size);
}

static json_t *state_json(const eg_checkpoint *c)
{
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:{s:I,s:I},s:o,s:o}", "version",
                     (json_int_t)c->version, "time_ns", (json_int_t)c->time_ns, "transaction_next",
                     (json_int_t)c->transaction_next, "inode_next", (json_int_t)c->inode_next,
                     "chunk_next", (json_int_t)c->chunk_next, "nodes_end", (json_int_t)c->nodes_end,
                     "journal", "file", (json_int_t)c->journal.file, "sequence",
                     (json_int_t)c->journal.sequence, "tree", node_json(c->tree), "catalog",
                     node_json(c->catalog));
}

static json_t *moves_json(const eg_moves *moves)
{
    json_t *files = json_array();
    for (size_t i = 0; i < moves->count; i++)
        if (json_array_append_new(files, json_string(moves->files[i])) != 0) {
            json_decref(files);
            return NULL;
        }
    return json_pack("{s:s,s:o}", "folder", moves->folder, "files", files);
}

/* All but the clean end. */
static json_t *body_json(const eg_manifest *m)
{
    char chunk[32], seed[17];
    eg_chunk_config_format(&m->config.chunk, chunk);
    snprintf(seed, sizeof seed, "%016" PRIx64, m->config.seed);
    json_t *body = json_pack("{s:i,s:{s:i,s:s},s:s,s:s,s:i,s:I,s:I,s:o,s:o,s:o}", "format", MANIFEST_FORMAT,
                     "codebook", "version", 1, "seed", seed, "chunk", chunk, "hash", "xxh3-128",
                     "level", m->config.level, "created_ns", (json_int_t)m->created_ns,
                     "checkpoint", (json_int_t)m->checkpoint, "segments", segments_json(m),
                     "state", state_json(&m->state), "retention", retention_json(&m->retention));
    if (body == NULL || m->moves.folder == NULL ||
        json_object_set_new(body, "quarantine", moves_json(&m->moves)) == 0)
        return body;
    json_decref(body);
    return NULL;
}

static json_t *whole_json(const eg_manifest *m)
{
    json_t *body = body_json(m);
    json_t *end = m->clean ? json_pack("{s:I,s:I,s:I}", "file", (json_int_t)m->clean_end.file,
                                       "offset", (json_int_t)m->clean_end.offset, "sequence",
                                       (json_int_t)m->clean_end.sequence)
                           : json_null();
    if (body != NULL && json_object_set_new(body, "clean_end", end) == 0)
        return body;
    json_decref(body);
    return NULL;
}

engram_status eg_manifest_pack(const eg_manifest *manifest, eg_buffer *text, engram_error *error)
{
    json_t *body = body_json(manifest);
    char *packed = body != NULL ? json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    if (packed != NULL)
        eg_write_bytes(text, packed, strlen(packed));
    bool done = packed != NULL && !text->failed;
    eg_free(packed);
    json_decref(body);
    return done ? ENGRAM_OK : no_memory(error);
}

engram_status eg_manifest_write(eg_io *io, const char *dir, const eg_manifest *manifest,
                                engram_error *error)
{
    engram_status status = ENGRAM_NO_MEMORY;
    json_t *body = whole_json(manifest), *document = NULL;
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
        no_memory(error);
    eg_free(text);
    json_decref(document);
    json_decref(body);
    eg_free(path);
    return status;
}

void eg_manifest_follow(eg_manifest *manifest, const eg_manifest *written)
{
    manifest->checkpoint = written->checkpoint;
    manifest->state = written->state;
    manifest->segments = written->segments;
    manifest->segment_count = written->segment_count;
    manifest->retention = written->retention;
    manifest->clean = written->clean;
    manifest->clean_end = written->clean_end;
    manifest->moves = written->moves;
}

void eg_moves_fini(eg_moves *moves)
{
    for (size_t i = 0; i < moves->count; i++)
        eg_free(moves->files[i]);
    eg_free(moves->files);
    eg_free(moves->folder);
    *moves = (eg_moves){0};
}

void eg_manifest_fini(eg_manifest *manifest)
{
    eg_moves_fini(&manifest->moves);
    eg_free(manifest->segments);
    *manifest = (eg_manifest){0};
}
