/* Checking everything: the store, every retained version's tree, and the root bundle against a
 * fresh one. */
#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/status.h"
#include "engram/internal.h"

typedef struct store_context {
    eg_engram *engram;
    const eg_verify_options *options;
    uint64_t bytes_total;
    atomic_uint_fast64_t problems;
    pthread_mutex_t lock;
} store_context;

static void store_problem(void *context, uint64_t chunk_id, const char *message)
{
    store_context *c = context;
    char text[1200];
    if (chunk_id != 0)
        snprintf(text, sizeof text, "chunk %" PRIu64 ": %s", chunk_id, message);
    else
        snprintf(text, sizeof text, "%s", message);
    pthread_mutex_lock(&c->lock);
    c->options->problem(c->options->context, text);
    pthread_mutex_unlock(&c->lock);
    atomic_fetch_add(&c->problems, 1);
}

static bool store_vector(void *context, const uint8_t *bytes, size_t size, const uint8_t *vector,
                         uint32_t spread)
{
    store_context *c = context;
    uint8_t fresh[ENGRAM_BLOCKS];
    uint32_t fresh_spread;
    c->engram->kernels.encode(&c->engram->codebook, bytes, size, fresh, &fresh_spread);
    return fresh_spread == spread && memcmp(fresh, vector, sizeof fresh) == 0;
}

static void store_progress(void *context, uint64_t bytes_done)
{
    store_context *c = context;
    if (c->options->progress != NULL)
        c->options->progress(c->options->context, bytes_done, c->bytes_total);
}

static engram_status verify_store(eg_engram *engram, const eg_verify_options *options,
                                  uint64_t *problems, engram_error *error)
{
    eg_store_totals totals;
    store_context c = {.engram = engram, .options = options};
    engram_error inner = {0};
    if (eg_store_get_totals(engram->store, &totals, &inner) == ENGRAM_OK)
        c.bytes_total = totals.bytes_logical;
    pthread_mutex_init(&c.lock, NULL);
    eg_store_verifier verifier = {options->subset, options->pool, &c,
                                  store_problem,   store_vector,  store_progress};
    engram_status status = eg_store_verify(engram->store, &verifier, error);
    pthread_mutex_destroy(&c.lock);
    *problems += atomic_load(&c.problems);
    return status;
}

typedef struct label_list {
    uint64_t *numbers;
    size_t count, capacity;
} label_list;

static engram_status collect_label(void *context, uint64_t number, uint64_t time_ns, eg_view label,
                                   engram_error *error)
{
    label_list *list = context;
    (void)time_ns;
    (void)label;
    if (!eg_grow((void **)&list->numbers, &list->capacity, list->count + 1, sizeof *list->numbers))
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory verifying");
    list->numbers[list->count++] = number;
    return ENGRAM_OK;
}

/* A failure inside one version is a finding; memory and the disk are not. */
static engram_status as_finding(engram_status status, engram_error *inner,
                                const eg_verify_options *options, uint64_t *problems,
                                engram_error *error)
{
    if (status == ENGRAM_OK)
        return ENGRAM_OK;
    if (status == ENGRAM_NO_MEMORY || status == ENGRAM_IO || status == ENGRAM_CANCELLED)
        return eg_fail(error, status, "%s", inner->message);
    options->problem(options->context, inner->message);
    ++*problems;
    return ENGRAM_OK;
}

static engram_status verify_number(eg_engram *engram, uint64_t number,
                                   const eg_verify_options *options, uint64_t *problems,
                                   engram_error *error)
{
    eg_version version = {0};
    engram_error inner = {0};
    engram_status status = eg_engram_pin_number(engram, number, &version, &inner);
    if (status == ENGRAM_OK)
        status = eg_verify_version(engram, &version, number == engram->version, options, problems,
                                   &inner);
    eg_version_release(&version);
    return as_finding(status, &inner, options, problems, error);
}

engram_status eg_engram_verify(eg_engram *engram, const eg_verify_options *options,
                               uint64_t *problems, engram_error *error)
{
    *problems = 0;
    label_list list = {0};
    engram_error inner = {0};
    EG_TRY(verify_store(engram, options, problems, error));
    engram_status status = as_finding(eg_engram_labels(engram, collect_label, &list, &inner),
                                      &inner, options, problems, error);
    eg_version newest;
    bool newest_labelled = list.count != 0 && list.numbers[list.count - 1] == engram->version;
    if (status == ENGRAM_OK && !newest_labelled)
        status = eg_engram_pin(engram, &newest, error);
    if (status == ENGRAM_OK && !newest_labelled) {
        uint64_t number = newest.number;
        eg_version_release(&newest);
        status = collect_label(&list, number, 0, (eg_view){0}, error);
    }
    for (size_t i = 0; i < list.count && status == ENGRAM_OK; i++)
        status = verify_number(engram, list.numbers[i], options, problems, error);
    eg_free(list.numbers);
    return status;
}
