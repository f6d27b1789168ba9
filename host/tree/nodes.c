/* The node file: opening, reading through the cache, closing. flush.c writes it. */
#include "tree/nodes.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

static const uint64_t cache_size_usual = 16 << 20;

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for the tree's nodes");
}

/* end: an offset. */
static engram_status check_file(eg_nodes *nodes, uint64_t end, engram_error *error)
{
    uint64_t size;
    eg_file *file = atomic_load(&nodes->file);
    EG_TRY(nodes->io->size(nodes->io, file, &size, error));
    if (size < end)
        return eg_fail(error, ENGRAM_DAMAGED,
                       "%s: ends at %" PRIu64 ", the last checkpoint needs %" PRIu64, nodes->path,
                       size, end);
    if (end > 0) {
        uint8_t header[EG_NODES_HEADER_SIZE];
        EG_TRY(nodes->io->read(nodes->io, file, 0, header, sizeof header, error));
        EG_TRY(eg_nodes_header_check(header, nodes->path, error));
    }
    if (!nodes->read_only && size > end)
        return nodes->io->truncate(nodes->io, file, end, error);
    return ENGRAM_OK;
}

static engram_status open_file(eg_nodes *nodes, uint64_t end, engram_error *error)
{
    uint64_t size, disk_size;
    engram_error problem = {0};
    engram_status status = nodes->io->stat(nodes->io, nodes->path, &size, &disk_size, &problem);
    if (status == ENGRAM_NOT_FOUND && end == 0)
        return ENGRAM_OK; /* made by the first flush */
    if (status == ENGRAM_NOT_FOUND)
        return eg_fail(error, ENGRAM_DAMAGED, "%s: missing", nodes->path);
    if (status != ENGRAM_OK)
        return eg_fail(error, status, "%s", problem.message);
    if (nodes->read_only && end == 0)
        return ENGRAM_OK;
    eg_file *file = NULL;
    EG_TRY(nodes->io->open(nodes->io, nodes->path, nodes->read_only ? EG_OPEN_READ : EG_OPEN_WRITE,
                           &file, error));
    atomic_store(&nodes->file, file);
    nodes->dir_unsynced = !nodes->read_only && end == 0;
    return check_file(nodes, end, error);
}

/* What is there, header or not. */
static engram_status salvage_file(eg_nodes *nodes, engram_error *error)
{
    eg_file *file = NULL;
    engram_error problem = {0};
    uint8_t header[EG_NODES_HEADER_SIZE] = {0};
    uint64_t size = 0;
    size_t got = 0;
    engram_status status =
        nodes->io->open(nodes->io, nodes->path, nodes->read_only ? EG_OPEN_READ : EG_OPEN_WRITE,
                        &file, &problem);
    if (status == ENGRAM_NOT_FOUND)
        return ENGRAM_OK;
    if (status != ENGRAM_OK)
        return eg_fail(error, status, "%s", problem.message);
    atomic_store(&nodes->file, file);
    EG_TRY(nodes->io->size(nodes->io, file, &size, error));
    EG_TRY(nodes->io->read_some(nodes->io, file, 0, header, sizeof header, &got, error));
    status = eg_nodes_header_check(header, nodes->path, &problem);
    if (status == ENGRAM_NEWER)
        return eg_fail(error, status, "%s", problem.message);
    nodes->lacks_header = status != ENGRAM_OK && size > 0;
    if (size > 0 && size < EG_NODES_HEADER_SIZE)
        size = EG_NODES_HEADER_SIZE;
    atomic_store(&nodes->ledger.end, EG_NODES_FILE(nodes->number) + size);
    atomic_store(&nodes->ledger.durable, EG_NODES_FILE(nodes->number) + size);
    return ENGRAM_OK;
}

/* ---- names ---- */

static char *make_path(const char *dir, uint32_t number)
{
    char name[24];
    snprintf(name, sizeof name, "%08" PRIu32 ".nodes", number);
    return eg_path_join(dir, name);
}

/* The number in a name, or 0. */
static uint32_t number_of(const char *name)
{
    uint32_t number = 0;
    if (strlen(name) != 14 || strcmp(name + 8, ".nodes") != 0)
        return 0;
    for (size_t i = 0; i < 8; i++) {
        if (name[i] < '0' || name[i] > '9')
            return 0;
        number = number * 10 + (uint32_t)(name[i] - '0');
    }
    return number <= EG_NODES_FILE_MAX ? number : 0;
}

const char *eg_nodes_file_name(const eg_nodes *nodes)
{
    return nodes->path + strlen(nodes->path) - 14;
}

static engram_status note_highest(void *context, const char *name)
{
    uint32_t *highest = context, number = number_of(name);
    *highest = number > *highest ? number : *highest;
    return ENGRAM_OK;
}

/* Which file counts. */
static engram_status choose_file(eg_nodes *nodes, const char *dir, const eg_nodes_options *options,
                                 engram_error *error)
{
    nodes->number = eg_nodes_file_of(options->end);
    if (!options->salvage || options->end != 0)
        return ENGRAM_OK;
    engram_error inner = {0};
    engram_status status = nodes->io->list(nodes->io, dir, note_highest, &nodes->number, &inner);
    if (status == ENGRAM_OK || status == ENGRAM_NOT_FOUND)
        return ENGRAM_OK;
    return eg_fail(error, status, "%s", inner.message);
}

typedef struct other_files {
    uint32_t keep, *numbers;
    size_t count, capacity;
} other_files;

static engram_status note_other(void *context, const char *name)
{
    other_files *others = context;
    uint32_t number = number_of(name);
    if (number == 0 || number == others->keep)
        return ENGRAM_OK;
    if (!eg_grow((void **)&others->numbers, &others->capacity, others->count + 1,
                 sizeof *others->numbers))
        return ENGRAM_NO_MEMORY;
    others->numbers[others->count++] = number;
    return ENGRAM_OK;
}

engram_status eg_nodes_sweep(eg_io *io, const char *dir, uint32_t keep, engram_error *error)
{
    other_files others = {.keep = keep};
    engram_status status = io->list(io, dir, note_other, &others, error);
    for (size_t i = 0; i < others.count && status == ENGRAM_OK; i++) {
        char *path = make_path(dir, others.numbers[i]);
        status = path == NULL ? no_memory(error) : io->unlink(io, path, error);
        eg_free(path);
    }
    if (status == ENGRAM_OK && others.count != 0)
        status = io->sync_dir(io, dir, error);
    eg_free(others.numbers);
    return status;
}

/* ---- open ---- */

static engram_status fill(eg_nodes *nodes, const char *dir, const eg_nodes_options *options,
                          engram_error *error)
{
    uint64_t end = eg_nodes_offset_of(options->end);
    nodes->dir = eg_strdup(dir);
    nodes->path = make_path(dir, nodes->number);
    nodes->cache = eg_cache_create(options->cache_size ? options->cache_size : cache_size_usual);
    if (!nodes->dir || !nodes->path || !nodes->cache)
        return no_memory(error);
    if (options->salvage) {
        atomic_store(&nodes->ledger.end, EG_NODES_FILE(nodes->number));
        atomic_store(&nodes->ledger.durable, EG_NODES_FILE(nodes->number));
        return salvage_file(nodes, error);
    }
    if (end > 0 && end < EG_NODES_HEADER_SIZE)
        return eg_fail(error, ENGRAM_DAMAGED, "%s: cannot end at %" PRIu64, nodes->path, end);
    return open_file(nodes, end, error);
}

engram_status eg_nodes_open(eg_io *io, const char *dir, const eg_nodes_options *options,
                            eg_nodes **nodes, engram_error *error)
{
    eg_nodes *made = eg_alloc_zero(1, sizeof *made);
    if (!made)
        return no_memory(error);
    made->io = io;
    made->read_only = options->read_only;
    atomic_init(&made->ledger.end, options->end);
    atomic_init(&made->ledger.durable, options->end);
    pthread_mutex_init(&made->spares_lock, NULL);
    pthread_mutex_init(&made->roots_lock, NULL);
    pthread_mutex_init(&made->write_lock, NULL);
    engram_status status = choose_file(made, dir, options, error);
    if (status == ENGRAM_OK)
        status = fill(made, dir, options, error);
    if (status != ENGRAM_OK)
        eg_nodes_close(&made);
    *nodes = made;
    return status;
}

void eg_nodes_close(eg_nodes **nodes)
{
    eg_nodes *gone = *nodes;
    *nodes = NULL;
    if (!gone)
        return;
    eg_flusher_free(gone->flusher);
    while (gone->spares) {
        eg_unpacker *next = gone->spares->next;
        eg_unpacker_free(gone->spares);
        gone->spares = next;
    }
    eg_file *file = atomic_load(&gone->file);
    gone->io->close(gone->io, &file);
    eg_cache_free(gone->cache);
    pthread_mutex_destroy(&gone->write_lock);
    pthread_mutex_destroy(&gone->spares_lock);
    pthread_mutex_destroy(&gone->roots_lock);
    eg_free(gone->path);
    eg_free(gone->dir);
    eg_free(gone);
}

uint64_t eg_nodes_end(const eg_nodes *nodes)
{
    return atomic_load(&nodes->ledger.end);
}

bool eg_nodes_lacks_header(const eg_nodes *nodes)
{
    return nodes->lacks_header;
}

uint64_t eg_nodes_made_size(const eg_nodes *nodes)
{
    return atomic_load_explicit(&nodes->ledger.made, memory_order_relaxed);
}

uint64_t eg_nodes_unwritten_size(const eg_nodes *nodes)
{
    return atomic_load_explicit(&nodes->ledger.unwritten, memory_order_relaxed);
}

static eg_unpacker *take_unpacker(eg_nodes *nodes)
{
    pthread_mutex_lock(&nodes->spares_lock);
    eg_unpacker *unpacker = nodes->spares;
    if (unpacker)
        nodes->spares = unpacker->next;
    pthread_mutex_unlock(&nodes->spares_lock);
    return unpacker ? unpacker : eg_unpacker_create();
}

static void return_unpacker(eg_nodes *nodes, eg_unpacker *unpacker)
{
    pthread_mutex_lock(&nodes->spares_lock);
    unpacker->next = nodes->spares;
    nodes->spares = unpacker;
    pthread_mutex_unlock(&nodes->spares_lock);
}

static engram_status damaged(eg_nodes *nodes, eg_node_ref ref, const char *why, engram_error *error)
{
    return eg_fail(error, ENGRAM_DAMAGED, "%s: node at offset %" PRIu64 ": %s", nodes->path,
                   eg_nodes_offset_of(ref.address), why);
}

static engram_status read_with(eg_nodes *nodes, eg_unpacker *unpacker, eg_node_ref ref, int level,
                               eg_node **node, engram_error *error)
{
    eg_file *file = atomic_load(&nodes->file);
    EG_TRY(nodes->io->read(nodes->io, file, eg_nodes_offset_of(ref.address), unpacker->stored,
                           ref.size, error));
    const char *why = NULL;
    engram_status status = eg_node_unpack(unpacker, ref, level, node, &why);
    if (status == ENGRAM_DAMAGED)
        return damaged(nodes, ref, why, error);
    return status == ENGRAM_OK ? ENGRAM_OK : no_memory(error);
}

engram_status eg_nodes_read(eg_nodes *nodes, eg_node_ref ref, int level, eg_node **node,
                            engram_error *error)
{
    if (!eg_node_ref_ok(ref) || eg_nodes_file_of(ref.address) != nodes->number)
        return damaged(nodes, ref, "no node can be there", error);
    if (ref.address + ref.size > atomic_load(&nodes->ledger.end))
        return damaged(nodes, ref, "beyond the end of what was written", error);
    eg_unpacker *unpacker = take_unpacker(nodes);
    if (!unpacker)
        return no_memory(error);
    engram_status status = read_with(nodes, unpacker, ref, level, node, error);
    return_unpacker(nodes, unpacker);
    return status;
}

static engram_status check_found(eg_nodes *nodes, const eg_node *found, eg_link link, int level,
                                 engram_error *error)
{
    if (found->stored_size == link.size && (level == EG_LEVEL_ANY || found->level == level))
        return ENGRAM_OK;
    return damaged(nodes, (eg_node_ref){link.address, link.size}, "referred to in two ways", error);
}

static engram_status read_clean(eg_nodes *nodes, eg_link link, int level, eg_node **node,
                                engram_error *error)
{
    EG_TRY(eg_nodes_read(nodes, (eg_node_ref){link.address, link.size}, level, node, error));
    eg_cache_put(nodes->cache, *node);
    return ENGRAM_OK;
}

engram_status eg_nodes_visit(eg_nodes *nodes, eg_link link, int level, eg_visitor **visit,
                             eg_loan *loan, engram_error *error)
{
    *loan = (eg_loan){link.node, NULL};
    if (link.node)
        return ENGRAM_OK;
    loan->node = eg_cache_find(nodes->cache, link.address);
    if (loan->node)
        return check_found(nodes, loan->node, link, level, error);
    eg_visit_end(*visit);
    engram_status status = read_clean(nodes, link, level, &loan->held, error);
    loan->node = loan->held;
    *visit = eg_cache_visit(nodes->cache);
    return status;
}

engram_status eg_nodes_borrow(eg_nodes *nodes, eg_link link, int level, eg_loan *loan,
                              engram_error *error)
{
    *loan = (eg_loan){link.node, NULL};
    if (link.node)
        return ENGRAM_OK;
    loan->node = loan->held = eg_cache_get(nodes->cache, link.address);
    engram_status status = loan->held ? check_found(nodes, loan->held, link, level, error)
                                      : read_clean(nodes, link, level, &loan->held, error);
    if (status == ENGRAM_OK) {
        loan->node = loan->held;
    } else {
        eg_node_release(loan->held);
        *loan = (eg_loan){0};
    }
    return status;
}
