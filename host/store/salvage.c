/* Finding what is good in a damaged store, and writing it anew.
 *
 * Every record that passes its own check, in a damaged segment that could be opened, is a candidate, and
 * so is, in a file whose header is of no use, whatever passes that check at a multiple of 8 bytes: both
 * layouts place records so, behind the corrections, and the corrections at 4096. Corrections may hold
 * another engram's records; so of two candidates with one id the later in the file is tried first, and
 * none counts whose bytes have not its fingerprint. */
#include "store/salvage.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/memory.h"
#include "store/internal.h"

enum { SCAN_SIZE = 1 << 20, SCAN_STEP = 8 };
#define NEW_SEGMENT_SIZE (UINT64_C(64) << 20)

typedef struct source {
    eg_salvage_segment about;
    char *reason; /* about's, when it is ours */
    eg_segment *segment; /* in the store's list, or NULL */
    eg_file *file;
    uint64_t payload_start;
} source;

typedef struct candidate {
    eg_chunk_record record;
    uint32_t source; /* index; OFFERED: in memory */
    uint32_t order;  /* within its file */
    size_t correction; /* of an offered one: where in `offered` */
    bool tried, good;
} candidate;

enum { OFFERED = UINT32_MAX };

struct eg_salvage {
    eg_store *store;
    eg_salvage_options options;
    source *sources;
    size_t source_count;
    candidate *list; /* by rising id */
    size_t count, capacity;
    bool sorted;
    candidate *offers; /* not yet in the list */
    size_t offer_count, offer_capacity;
    eg_buffer offered; /* their corrections */
    eg_coder *coder;
};

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to look for what can be saved");
}

/* ---- candidates ---- */

static engram_status add(eg_salvage *s, const candidate *c, engram_error *error)
{
    if (!eg_grow((void **)&s->list, &s->capacity, s->count + 1, sizeof *s->list))
        return no_memory(error);
    s->list[s->count++] = *c;
    s->sorted = false;
    return ENGRAM_OK;
}

static int compare(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->record.id != y->record.id)
        return x->record.id < y->record.id ? -1 : 1;
    if (x->source != y->source) /* offered ones are looked at last */
        return x->source < y->source ? -1 : 1;
    return x->order > y->order ? -1 : x->order < y->order;
}

static void sort(eg_salvage *s)
{
    if (!s->sorted && s->count > 1)
        qsort(s->list, s->count, sizeof *s->list, compare);
    s->sorted = true;
}

/* The first with that id; s->count: none. */
static size_t find(const eg_salvage *s, uint64_t id)
{
    size_t low = 0, high = s->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->list[middle].record.id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < s->count && s->list[low].record.id == id ? low : s->count;
}

/* A segment of the store that is whole. */
static bool is_whole(const eg_salvage *s, const eg_segment *segment)
{
    for (size_t i = 0; i < s->source_count; i++)
        if (s->sources[i].segment == segment)
            return false;
    return true;
}

/* The whole segment that holds id, or NULL. */
static eg_segment *whole_segment_of(const eg_salvage *s, uint64_t id, uint32_t *index)
{
    eg_segment *segment = eg_store_segment_of(s->store, id);
    if (segment == NULL || !is_whole(s, segment) ||
        eg_segment_find(segment, id, index, NULL) != ENGRAM_OK)
        return NULL;
    return segment;
}

/* ---- reading ---- */

static engram_status read_any(eg_salvage *s, uint64_t id, unsigned below, eg_buffer *bytes,
                              engram_error *error);

static engram_status read_stored(eg_salvage *s, const candidate *c, eg_buffer *stored,
                                 engram_error *error)
{
    size_t size = c->record.stored_size;
    eg_buffer_clear(stored);
    uint8_t *to = eg_buffer_extend(stored, size);
    if (to == NULL)
        return no_memory(error);
    if (size == 0)
        return ENGRAM_OK;
    if (c->source == OFFERED) {
        memcpy(to, s->offered.data + c->correction, size);
        return ENGRAM_OK;
    }
    const source *from = &s->sources[c->source];
    return s->store->io->read(s->store->io, from->file,
                              from->payload_start + c->record.payload_offset, to, size, error);
}

/* The bytes of one candidate; ENGRAM_DAMAGED when they are not what its record says. */
static engram_status decode(eg_salvage *s, const candidate *c, eg_buffer *bytes,
                            engram_error *error)
{
    const eg_chunk_record *r = &c->record;
    eg_buffer stored = {0}, base = {0};
    eg_buffer_clear(bytes);
    uint8_t *to = eg_buffer_extend(bytes, r->size);
    engram_status status = to == NULL ? no_memory(error) : read_stored(s, c, &stored, error);
    if (status == ENGRAM_OK && r->kind == EG_CORRECTION_DELTA)
        status = read_any(s, r->base, r->depth, &base, error);
    if (status == ENGRAM_OK)
        status = eg_coder_unpack(s->coder, (eg_correction_kind)r->kind,
                                 (eg_view){stored.data, stored.size}, (eg_view){base.data, base.size},
                                 to, r->size, error);
    if (status == ENGRAM_OK) {
        eg_fingerprint f = eg_fingerprint_of(to, r->size);
        if (memcmp(f.bytes, r->fingerprint, sizeof f.bytes) != 0)
            status = eg_fail(error, ENGRAM_DAMAGED, "the bytes do not match their fingerprint");
    }
    eg_buffer_fini(&stored);
    eg_buffer_fini(&base);
    return status;
}

/* Once for each candidate. */
static engram_status try_candidate(eg_salvage *s, candidate *c, eg_buffer *bytes,
                                   engram_error *error)
{
    engram_error inner = {0};
    if (c->tried && !c->good)
        return ENGRAM_DAMAGED;
    engram_status status = decode(s, c, bytes, &inner);
    if (status == ENGRAM_IO || status == ENGRAM_NO_MEMORY)
        return eg_fail(error, status, "%s", inner.message);
    c->tried = true;
    c->good = status == ENGRAM_OK;
    return c->good ? ENGRAM_OK : ENGRAM_DAMAGED;
}

/* A chunk of less depth than `below`, wherever a good one is. Depths fall, so that it ends. */
static engram_status read_any(eg_salvage *s, uint64_t id, unsigned below, eg_buffer *bytes,
                              engram_error *error)
{
    eg_chunk_info info;
    size_t size;
    uint32_t index;
    if (whole_segment_of(s, id, &index) != NULL &&
        eg_store_get_info(s->store, id, &info, NULL) == ENGRAM_OK && info.depth < below) {
        eg_buffer_clear(bytes);
        uint8_t *to = eg_buffer_extend(bytes, info.size);
        return to == NULL ? no_memory(error)
                          : eg_store_read(s->store, id, to, info.size, &size, error);
    }
    for (size_t i = find(s, id); i < s->count && s->list[i].record.id == id; i++) {
        if (s->list[i].record.depth >= below)
            continue;
        engram_status status = try_candidate(s, &s->list[i], bytes, error);
        if (status != ENGRAM_DAMAGED)
            return status;
    }
    return eg_fail(error, ENGRAM_DAMAGED, "chunk %" PRIu64 " is lost", id);
}

/* Of the candidates with one id the first that is good counts; the others are not. */
static engram_status try_all(eg_salvage *s, engram_error *error)
{
    engram_status status = ENGRAM_OK;
    eg_buffer bytes = {0};
    uint64_t taken = 0;
    sort(s);
    for (size_t i = 0; i < s->count && status == ENGRAM_OK; i++) {
        candidate *c = &s->list[i];
        if (c->record.id == taken) {
            c->tried = true;
            c->good = false;
            continue;
        }
        if (c->tried) {
            taken = c->good ? c->record.id : taken;
            continue;
        }
        status = try_candidate(s, c, &bytes, error);
        if (status == ENGRAM_OK)
            taken = c->record.id;
        status = status == ENGRAM_DAMAGED ? ENGRAM_OK : status;
    }
    eg_buffer_fini(&bytes);
    return status;
}

static void count_good(eg_salvage *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->list[i].good && s->list[i].source != OFFERED)
            s->sources[s->list[i].source].about.good++;
}

/* ---- which segments are damaged ---- */

typedef struct survey {
    eg_salvage *salvage;
    uint64_t problems;
    char *first;
    uint64_t bytes_before;
    uint64_t bytes_done;
} survey;

static void note_problem(void *context, uint64_t chunk_id, const char *message)
{
    survey *v = context;
    (void)chunk_id;
    if (v->problems++ == 0)
        v->first = eg_strdup(message);
}

static void pass_progress(void *context, uint64_t bytes_done)
{
    survey *v = context;
    const eg_salvage_options *o = &v->salvage->options;
    v->bytes_done = v->bytes_before + bytes_done;
    if (o->progress != NULL)
        o->progress(o->context, v->bytes_done);
}

static bool vector_agrees(void *context, const uint8_t *bytes, size_t size, const uint8_t *vector,
                          uint32_t spread)
{
    survey *v = context;
    const eg_salvage_options *o = &v->salvage->options;
    uint8_t fresh[EG_SEGMENT_VECTOR_SIZE];
    uint32_t fresh_spread;
    o->encode(o->context, bytes, size, fresh, &fresh_spread);
    return fresh_spread == spread && memcmp(fresh, vector, sizeof fresh) == 0;
}

static eg_segment *listed(const eg_salvage *s, uint64_t id)
{
    eg_segments segments = eg_store_segments(s->store);
    for (size_t i = 0; i < segments.count; i++)
        if (segments.at[i]->file != NULL && segments.at[i]->id == id)
            return segments.at[i];
    return NULL;
}

static const char *lost_reason(const eg_salvage *s, uint64_t id)
{
    for (size_t i = 0; i < s->store->damage_count; i++)
        if (s->store->damages[i].is_lost && s->store->damages[i].state.id == id)
            return s->store->damages[i].reason;
    return "it cannot be opened";
}

static engram_status open_source(eg_salvage *s, source *from, engram_error *error)
{
    eg_io *io = s->store->io;
    engram_error inner = {0};
    char *path = eg_segment_path(s->store->dir, (uint32_t)from->about.state.id);
    if (path == NULL)
        return no_memory(error);
    engram_status status = io->open(io, path, EG_OPEN_READ, &from->file, &inner);
    eg_free(path);
    from->about.is_missing = status == ENGRAM_NOT_FOUND;
    if (status == ENGRAM_NOT_FOUND || status == ENGRAM_DAMAGED)
        return ENGRAM_OK;
    return status == ENGRAM_OK ? status : eg_fail(error, status, "%s", inner.message);
}

static engram_status add_source(eg_salvage *s, const eg_segment_state *state, eg_segment *segment,
                                survey *v, engram_error *error)
{
    source *from = &s->sources[s->source_count++];
    from->segment = segment;
    from->payload_start = segment != NULL ? segment->payload_start : EG_SEGMENT_PAYLOAD_START;
    from->reason = v->first;
    v->first = NULL;
    from->about.state = *state;
    from->about.problems = v->problems != 0 ? v->problems : 1;
    from->about.reason = from->reason != NULL ? from->reason : lost_reason(s, state->id);
    return open_source(s, from, error);
}

static engram_status survey_segment(eg_salvage *s, survey *v, const eg_segment_state *state,
                                    engram_error *error)
{
    eg_segment *segment = listed(s, state->id);
    const eg_store_verifier verifier = {.subset = 1.0,
                                        .ends_with_disk = true,
                                        .pool = s->options.pool,
                                        .context = v,
                                        .problem = note_problem,
                                        .check_vector = vector_agrees,
                                        .progress = pass_progress};
    v->problems = 0;
    v->bytes_before = v->bytes_done;
    if (segment != NULL)
        EG_TRY(eg_store_verify_segment(s->store, segment, &verifier, error));
    bool is_good = segment != NULL && v->problems == 0;
    bool has_more = is_good && s->options.exact && !eg_segment_is_exact(segment);
    if (is_good && !has_more)
        return ENGRAM_OK;
    EG_TRY(add_source(s, state, segment, v, error));
    s->sources[s->source_count - 1].about.has_more = has_more;
    return ENGRAM_OK;
}

static engram_status survey_all(eg_salvage *s, engram_error *error)
{
    engram_status status = ENGRAM_OK;
    survey v = {.salvage = s};
    s->sources = eg_alloc_zero(s->options.state_count + 1, sizeof *s->sources);
    if (s->sources == NULL)
        return no_memory(error);
    for (size_t i = 0; i < s->options.state_count && status == ENGRAM_OK; i++)
        if (s->options.states[i].chunk_count != 0)
            status = survey_segment(s, &v, &s->options.states[i], error);
    eg_free(v.first);
    return status;
}

/* ---- where candidates come from ---- */

static engram_status take_records(eg_salvage *s, uint32_t index, engram_error *error)
{
    eg_segment *segment = s->sources[index].segment;
    EG_TRY(eg_segment_load(segment, error));
    for (uint32_t i = 0; i < segment->count; i++) {
        candidate c = {.record = *eg_segment_record(segment, i), .source = index, .order = i};
        if (c.record.kind != EG_RECORD_BAD)
            EG_TRY(add(s, &c, error));
    }
    return ENGRAM_OK;
}

/* Cheap tests first: nearly all places fail them. */
static bool may_be_record(const eg_salvage *s, const uint8_t *at, uint64_t payload_size,
                          eg_chunk_record *record)
{
    uint32_t index;
    if (at[64] < EG_CORRECTION_DELTA || at[64] > EG_CORRECTION_VERBATIM ||
        at[65] > EG_CHUNK_DEPTH_MAX)
        return false;
    memcpy(record, at, sizeof *record);
    return record->id != 0 && record->id < s->options.next_id &&
           eg_record_is_valid(record, payload_size) &&
           whole_segment_of(s, record->id, &index) == NULL;
}

static engram_status scan_piece(eg_salvage *s, uint32_t index, const uint8_t *bytes, size_t size,
                                uint64_t file_size, uint64_t offset, engram_error *error)
{
    uint64_t payload_size = file_size - EG_SEGMENT_PAYLOAD_START;
    for (size_t i = 0; i + EG_SEGMENT_RECORD_SIZE <= size; i += SCAN_STEP) {
        candidate c = {.source = index, .order = (uint32_t)((offset + i) / SCAN_STEP)};
        if (may_be_record(s, bytes + i, payload_size, &c.record))
            EG_TRY(add(s, &c, error));
    }
    return ENGRAM_OK;
}

static engram_status scan(eg_salvage *s, uint32_t index, engram_error *error)
{
    eg_io *io = s->store->io;
    source *from = &s->sources[index];
    uint64_t file_size = 0;
    if (from->file != NULL)
        EG_TRY(io->size(io, from->file, &file_size, error));
    if (file_size <= EG_SEGMENT_PAYLOAD_START)
        return ENGRAM_OK;
    uint8_t *bytes = eg_alloc(SCAN_SIZE);
    engram_status status = bytes == NULL ? no_memory(error) : ENGRAM_OK;
    /* Pieces overlap by what a record may need. */
    for (uint64_t at = EG_SEGMENT_PAYLOAD_START; at < file_size && status == ENGRAM_OK;
         at += SCAN_SIZE - EG_SEGMENT_RECORD_SIZE) {
        size_t got = 0;
        status = io->read_some(io, from->file, at, bytes, SCAN_SIZE, &got, error);
        if (status == ENGRAM_OK)
            status = scan_piece(s, index, bytes, got, file_size, at, error);
    }
    eg_free(bytes);
    return status;
}

static engram_status gather(eg_salvage *s, engram_error *error)
{
    for (size_t i = 0; i < s->source_count; i++)
        EG_TRY(s->sources[i].segment != NULL ? take_records(s, (uint32_t)i, error)
                                             : scan(s, (uint32_t)i, error));
    return ENGRAM_OK;
}

/* ---- the interface ---- */

engram_status eg_salvage_create(eg_store *store, const eg_salvage_options *options,
                                eg_salvage **salvage, engram_error *error)
{
    engram_status status;
    *salvage = NULL;
    eg_salvage *s = eg_alloc_zero(1, sizeof *s);
    if (s == NULL)
        return no_memory(error);
    s->store = store;
    s->options = *options;
    EG_TRY_DONE(eg_coder_create(options->level, &s->coder, error));
    EG_TRY_DONE(survey_all(s, error));
    EG_TRY_DONE(gather(s, error));
    EG_TRY_DONE(try_all(s, error));
    count_good(s);
    *salvage = s;
    s = NULL;
done:
    eg_salvage_free(s);
    return status;
}

void eg_salvage_free(eg_salvage *salvage)
{
    if (salvage == NULL)
        return;
    for (size_t i = 0; i < salvage->source_count; i++) {
        salvage->store->io->close(salvage->store->io, &salvage->sources[i].file);
        eg_free(salvage->sources[i].reason);
    }
    eg_free(salvage->sources);
    eg_free(salvage->list);
    eg_free(salvage->offers);
    eg_buffer_fini(&salvage->offered);
    eg_coder_free(salvage->coder);
    eg_free(salvage);
}

size_t eg_salvage_count(const eg_salvage *salvage)
{
    return salvage->source_count;
}

const eg_salvage_segment *eg_salvage_get(const eg_salvage *salvage, size_t index)
{
    return &salvage->sources[index].about;
}

typedef struct unnamed {
    const eg_salvage *salvage;
    uint64_t *numbers;
    size_t count, capacity;
} unnamed;

static engram_status take_unnamed(void *context, const char *name)
{
    unnamed *u = context;
    const eg_salvage_options *o = &u->salvage->options;
    uint32_t number;
    if (!eg_segment_parse_name(name, &number))
        return ENGRAM_OK;
    for (size_t i = 0; i < o->state_count; i++)
        if (o->states[i].id == number && o->states[i].chunk_count != 0)
            return ENGRAM_OK;
    if (!eg_grow((void **)&u->numbers, &u->capacity, u->count + 1, sizeof *u->numbers))
        return ENGRAM_NO_MEMORY;
    u->numbers[u->count++] = number;
    return ENGRAM_OK;
}

static int compare_numbers(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

engram_status eg_salvage_list_unnamed(const eg_salvage *s, uint64_t **numbers, size_t *count,
                                      engram_error *error)
{
    unnamed u = {.salvage = s};
    engram_error inner = {0};
    engram_status status = s->store->io->list(s->store->io, s->store->dir, take_unnamed, &u, &inner);
    if (status == ENGRAM_NOT_FOUND) /* no such folder */
        status = ENGRAM_OK;
    else if (status != ENGRAM_OK)
        eg_fail(error, status, "cannot list %s", s->store->dir);
    if (status != ENGRAM_OK) {
        eg_free(u.numbers);
        u = (unnamed){0};
    }
    if (u.count > 1)
        qsort(u.numbers, u.count, sizeof *u.numbers, compare_numbers);
    *numbers = u.numbers;
    *count = u.count;
    return status;
}

/* The good candidate of that id, or NULL. */
static candidate *good_one(const eg_salvage *s, uint64_t id)
{
    for (size_t i = find(s, id); i < s->count && s->list[i].record.id == id; i++)
        if (s->list[i].good)
            return &s->list[i];
    return NULL;
}

static engram_status add_offer(eg_salvage *s, candidate *c, eg_view correction, engram_error *error)
{
    c->correction = s->offered.size;
    eg_write_bytes(&s->offered, correction.data, correction.size);
    if (s->offered.failed || !eg_grow((void **)&s->offers, &s->offer_capacity, s->offer_count + 1,
                                      sizeof *s->offers))
        return no_memory(error);
    s->offers[s->offer_count++] = *c;
    return ENGRAM_OK;
}

engram_status eg_salvage_offer(eg_salvage *s, const eg_new_chunk *chunk, engram_error *error)
{
    uint32_t size;
    if (eg_store_check_chunk(chunk, 0, NULL) != ENGRAM_OK || eg_salvage_has(s, chunk->id, &size))
        return ENGRAM_OK;
    candidate c = {.source = OFFERED,
                   .record = {.id = chunk->id,
                              .version = chunk->version,
                              .created_ns = chunk->created_ns,
                              .base = chunk->base,
                              .size = chunk->size,
                              .spread = chunk->spread,
                              .stored_size = (uint32_t)chunk->correction.size,
                              .kind = (uint8_t)chunk->kind,
                              .depth = chunk->depth}};
    memcpy(c.record.fingerprint, chunk->fingerprint.bytes, sizeof c.record.fingerprint);
    return add_offer(s, &c, chunk->correction, error);
}

engram_status eg_salvage_settle(eg_salvage *s, engram_error *error)
{
    for (size_t i = 0; i < s->offer_count; i++)
        EG_TRY(add(s, &s->offers[i], error));
    s->offer_count = 0;
    return try_all(s, error);
}

bool eg_salvage_has(const eg_salvage *salvage, uint64_t id, uint32_t *size)
{
    uint32_t index;
    const eg_segment *segment = whole_segment_of(salvage, id, &index);
    const candidate *c = segment == NULL ? good_one(salvage, id) : NULL;
    if (segment != NULL)
        *size = eg_segment_record(segment, index)->size;
    else if (c != NULL)
        *size = c->record.size;
    return segment != NULL || c != NULL;
}

engram_status eg_salvage_get_vector(eg_salvage *s, uint64_t id, uint8_t vector[256],
                                    engram_error *error)
{
    uint32_t index, spread;
    eg_buffer bytes = {0};
    eg_segment *segment = whole_segment_of(s, id, &index);
    if (segment != NULL)
        return eg_segment_get_vector(segment, index, vector, error);
    candidate *c = good_one(s, id);
    if (c == NULL)
        return ENGRAM_NOT_FOUND;
    engram_status status = try_candidate(s, c, &bytes, error);
    if (status == ENGRAM_OK)
        s->options.encode(s->options.context, bytes.data, bytes.size, vector, &spread);
    eg_buffer_fini(&bytes);
    return status;
}

/* ---- writing ---- */

typedef struct writing {
    eg_salvage *salvage;
    eg_segment *segment; /* at hand, or NULL */
    eg_segment_state *states;
    size_t count, capacity;
    uint64_t last_id; /* written last */
    eg_buffer bytes, correction;
} writing;

static engram_status sync_file(void *context, eg_segment *segment, uint32_t durable,
                               engram_error *error)
{
    (void)context, (void)durable;
    return segment->io->sync(segment->io, segment->file, error);
}

static engram_status note_state(writing *w, const eg_segment_state *state, engram_error *error)
{
    if (!eg_grow((void **)&w->states, &w->capacity, w->count + 1, sizeof *w->states))
        return no_memory(error);
    w->states[w->count++] = *state;
    return ENGRAM_OK;
}

static engram_status end_segment(writing *w, engram_error *error)
{
    eg_segment *segment = w->segment;
    if (segment == NULL)
        return ENGRAM_OK;
    eg_segment_publish(segment);
    eg_segment_state state = {.id = segment->id,
                              .chunk_count = segment->count,
                              .payload_size = segment->payload_size};
    engram_status status = eg_segment_seal(segment, sync_file, NULL, error);
    eg_segment_free(segment);
    w->segment = NULL;
    return status == ENGRAM_OK ? note_state(w, &state, error) : status;
}

/* Whether a whole segment of the disk lies between the chunk written last and this one. */
static bool crosses(const writing *w, uint64_t id)
{
    eg_segments segments = eg_store_segments(w->salvage->store);
    for (size_t i = 0; i < segments.count; i++)
        if (segments.at[i]->file != NULL && is_whole(w->salvage, segments.at[i]) &&
            segments.at[i]->first_id > w->last_id && segments.at[i]->first_id < id)
            return true;
    return false;
}

static engram_status begin_segment(writing *w, uint64_t id, engram_error *error)
{
    eg_store *store = w->salvage->store;
    eg_segment_plan plan = {.payload_size = NEW_SEGMENT_SIZE};
    if (w->segment != NULL && !eg_segment_is_full(w->segment) && !crosses(w, id))
        return ENGRAM_OK;
    EG_TRY(end_segment(w, error));
    EG_TRY(eg_store_take_number(store, &plan.id, error));
    return eg_segment_create(store->io, store->dir, &plan, &w->segment, error);
}

/* What was a delta is packed alone. */
static engram_status make_correction(writing *w, eg_chunk_record *record, engram_error *error)
{
    eg_correction_kind kind;
    size_t size;
    eg_buffer_clear(&w->correction);
    uint8_t *to = eg_buffer_extend(&w->correction, eg_coder_bound(w->bytes.size));
    if (to == NULL)
        return no_memory(error);
    EG_TRY(eg_coder_pack(w->salvage->coder, w->bytes.data, w->bytes.size, to, &kind, &size, error));
    record->base = 0;
    record->depth = 0;
    record->kind = (uint8_t)kind;
    record->stored_size = (uint32_t)size;
    return ENGRAM_OK;
}

static engram_status write_candidate(writing *w, candidate *c, engram_error *error)
{
    eg_salvage *s = w->salvage;
    eg_chunk_record record = c->record;
    uint8_t vector[EG_SEGMENT_VECTOR_SIZE];
    EG_TRY(begin_segment(w, record.id, error));
    engram_status status = try_candidate(s, c, &w->bytes, error);
    if (status == ENGRAM_DAMAGED)
        return eg_fail(error, ENGRAM_IO, "chunk %" PRIu64 " reads otherwise than before: look at the disk",
                       record.id);
    EG_TRY(status);
    s->options.encode(s->options.context, w->bytes.data, w->bytes.size, vector, &record.spread);
    EG_TRY(record.kind == EG_CORRECTION_DELTA ? make_correction(w, &record, error)
                                              : read_stored(s, c, &w->correction, error));
    EG_TRY(eg_segment_reserve(w->segment, 1, error));
    w->last_id = record.id;
    return eg_segment_add(w->segment, &record, vector, w->correction.data, error);
}

static engram_status offer_record(eg_salvage *s, eg_segment *segment, uint32_t index,
                                  eg_buffer *correction, engram_error *error)
{
    candidate c = {.source = OFFERED, .record = *eg_segment_record(segment, index)};
    eg_buffer_clear(correction);
    uint8_t *to = eg_buffer_extend(correction, c.record.stored_size);
    if (to == NULL)
        return no_memory(error);
    EG_TRY(eg_segment_read_payload(segment, &c.record, to, error));
    return add_offer(s, &c, (eg_view){to, c.record.stored_size}, error);
}

/* What was appended in memory is nowhere on the disk yet. */
static engram_status offer_memory(eg_salvage *s, engram_error *error)
{
    eg_segments segments = eg_store_segments(s->store);
    eg_buffer correction = {0};
    engram_status status = ENGRAM_OK;
    for (size_t i = 0; i < segments.count; i++)
        for (uint32_t j = 0; segments.at[i]->file == NULL && j < segments.at[i]->count &&
                             status == ENGRAM_OK;
             j++)
            status = offer_record(s, segments.at[i], j, &correction, error);
    eg_buffer_fini(&correction);
    return status == ENGRAM_OK ? eg_salvage_settle(s, error) : status;
}

static int compare_states(const void *a, const void *b)
{
    const eg_segment_state *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static engram_status write_all(writing *w, engram_error *error)
{
    eg_salvage *s = w->salvage;
    EG_TRY(offer_memory(s, error));
    EG_TRY(eg_store_number_segments(s->store, error));
    for (size_t i = 0; i < s->options.state_count; i++) {
        eg_segment *segment = listed(s, s->options.states[i].id);
        if (segment != NULL && is_whole(s, segment))
            EG_TRY(note_state(w, &s->options.states[i], error));
    }
    for (size_t i = 0; i < s->count; i++)
        if (s->list[i].good)
            EG_TRY(write_candidate(w, &s->list[i], error));
    EG_TRY(end_segment(w, error));
    if (w->count > 1)
        qsort(w->states, w->count, sizeof *w->states, compare_states);
    return ENGRAM_OK;
}

engram_status eg_salvage_write(eg_salvage *salvage, eg_segment_state **states, size_t *count,
                               engram_error *error)
{
    writing w = {.salvage = salvage};
    engram_status status = write_all(&w, error);
    eg_segment_free(w.segment);
    eg_buffer_fini(&w.bytes);
    eg_buffer_fini(&w.correction);
    if (status != ENGRAM_OK)
        eg_free(w.states);
    *states = status == ENGRAM_OK ? w.states : NULL;
    *count = status == ENGRAM_OK ? w.count : 0;
    return status;
}
