/* Writing: nodes that edits made, children before parents, in large appends.
 *
 * A node is given its address when it is packed into the buffer, before the buffer is written: its
 * parent needs it. That is safe because others trust an address only below the ledger's durable
 * end, and a failed write is final: the end does not move any more, and no later flush will take
 * the address for granted. All memory is taken before the first node is packed, so that nothing
 * else can fail in between.
 *
 * Edits and readers go on meanwhile. What is flushed is frozen, and held by the root that the
 * caller lends, so nothing here is waited for. Written is not yet trusted: pages whose sync failed
 * may be lost, and then the memory of an edit is all there is. So links let go of nodes only below
 * `durable`, which follows a sync. */
#include <zstd.h>

#include "base/memory.h"
#include "tree/nodes.h"

enum { BUFFER_SIZE = 1 << 20, COMPRESSION_LEVEL = 1, COMPRESS_LEAST = 64 };

typedef struct eg_flusher {
    uint8_t *buffer; /* BUFFER_SIZE and one node more */
    uint8_t *raw;
    ZSTD_CCtx *compressor;
    size_t used;
    uint64_t memory;  /* of the nodes in the buffer */
    uint64_t address; /* of the next node */
    eg_node **batch;  /* clean copies of what is in the buffer, for the cache; strong */
    size_t batch_count, batch_capacity;
} eg_flusher;

void eg_flusher_free(eg_flusher *flusher)
{
    if (!flusher)
        return;
    ZSTD_freeCCtx(flusher->compressor);
    eg_free(flusher->batch);
    eg_free(flusher->raw);
    eg_free(flusher->buffer);
    eg_free(flusher);
}

static eg_flusher *create_flusher(void)
{
    eg_flusher *flusher = eg_alloc_zero(1, sizeof *flusher);
    if (!flusher)
        return NULL;
    flusher->buffer = eg_alloc(BUFFER_SIZE + EG_NODE_STORED_MAX);
    flusher->raw = eg_alloc(EG_NODE_RAW_MAX);
    flusher->compressor = ZSTD_createCCtx();
    if (flusher->buffer && flusher->raw && flusher->compressor)
        return flusher;
    eg_flusher_free(flusher);
    return NULL;
}

/* A node as a reader would load it: the children known by their addresses only. */
static eg_node *clean_copy(const eg_node *node)
{
    eg_node *copy = eg_node_create(node->level, eg_page_need(&node->page));
    if (copy && !eg_page_append(&copy->page, &node->page, 0)) {
        eg_node_release(copy);
        return NULL;
    }
    for (size_t i = 0; copy && node->level > 0 && i < copy->page.count; i++) {
        eg_link link = eg_node_link(copy, i);
        if (link.node) {
            link.address = atomic_load_explicit(&link.node->stored_address, memory_order_relaxed);
            link.size = link.node->stored_size;
        }
        eg_node_set_link(copy, i, (eg_link){link.address, link.size, NULL});
    }
    return copy;
}

/* The cache is a favour: without memory for it the node is just not put there. It gets copies: they
 * are smaller than what an edit changed, and their memory is the cache's. */
static void add_to_batch(eg_flusher *flusher, eg_node *node)
{
    if (!eg_grow((void **)&flusher->batch, &flusher->batch_capacity, flusher->batch_count + 1,
                 sizeof *flusher->batch))
        return;
    eg_node *clean = clean_copy(node);
    if (!clean)
        return;
    clean->stored_size = node->stored_size;
    atomic_store_explicit(&clean->stored_address, node->stored_address, memory_order_relaxed);
    flusher->batch[flusher->batch_count++] = clean;
}

static void end_batch(eg_nodes *nodes, eg_flusher *flusher, bool written)
{
    for (size_t i = 0; i < flusher->batch_count; i++) {
        if (written)
            eg_cache_put(nodes->cache, flusher->batch[i]);
        eg_node_release(flusher->batch[i]);
    }
    flusher->batch_count = 0;
    flusher->used = 0;
    flusher->memory = 0;
}

static engram_status write_out(eg_nodes *nodes, eg_flusher *flusher, engram_error *error)
{
    if (flusher->used == 0)
        return ENGRAM_OK;
    eg_ledger *ledger = &nodes->ledger;
    uint64_t end = atomic_load(&ledger->end);
    engram_status status = nodes->io->write(nodes->io, atomic_load(&nodes->file),
                                            eg_nodes_offset_of(end), flusher->buffer, flusher->used, error);
    if (status == ENGRAM_OK) {
        atomic_store(&ledger->end, end + flusher->used);
        atomic_fetch_sub_explicit(&ledger->unwritten, flusher->memory, memory_order_relaxed);
    } else {
        nodes->failed = status;
    }
    end_batch(nodes, flusher, status == ENGRAM_OK);
    return status;
}

static void pack(eg_flusher *flusher, eg_node *node)
{
    uint8_t *at = flusher->buffer + flusher->used;
    eg_node_header header = {.address = flusher->address,
                             .raw_size = (uint32_t)eg_node_raw_size(node),
                             .count = node->page.count,
                             .codec = EG_CODEC_ZSTD,
                             .level = node->level};
    eg_node_pack(node, flusher->raw);
    size_t body =
        ZSTD_compressCCtx(flusher->compressor, at + EG_NODE_HEADER_SIZE, header.raw_size - 1,
                          flusher->raw, header.raw_size, COMPRESSION_LEVEL);
    if (header.raw_size < COMPRESS_LEAST || ZSTD_isError(body)) {
        memcpy(at + EG_NODE_HEADER_SIZE, flusher->raw, header.raw_size);
        header.codec = EG_CODEC_RAW;
        body = header.raw_size;
    }
    header.size = (uint32_t)(EG_NODE_HEADER_SIZE + body);
    eg_node_seal(&header, at);
    node->stored_size = header.size;
    atomic_store_explicit(&node->stored_address, header.address, memory_order_release);
    flusher->memory += node->counted;
    flusher->used += header.size;
    flusher->address += header.size;
}

/* Levels fall from node to child, so this recursion is at most EG_LEVELS_MAX deep. */
static engram_status flush_node(eg_nodes *nodes, eg_flusher *flusher, eg_node *node,
                                engram_error *error)
{
    if (atomic_load_explicit(&node->stored_address, memory_order_relaxed) != 0)
        return ENGRAM_OK;
    for (size_t i = 0; node->level > 0 && i < node->page.count; i++) {
        eg_link link = eg_node_link(node, i);
        if (link.node)
            EG_TRY(flush_node(nodes, flusher, link.node, error));
    }
    pack(flusher, node);
    add_to_batch(flusher, node);
    return flusher->used >= BUFFER_SIZE ? write_out(nodes, flusher, error) : ENGRAM_OK;
}

static engram_status prepare(eg_nodes *nodes, engram_error *error)
{
    if (!nodes->flusher)
        nodes->flusher = create_flusher();
    if (!nodes->flusher)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to write the tree");
    if (!atomic_load(&nodes->file)) {
        eg_file *file = NULL;
        EG_TRY(nodes->io->open(nodes->io, nodes->path, EG_OPEN_WRITE | EG_OPEN_MAY_CREATE, &file,
                               error));
        atomic_store(&nodes->file, file);
        nodes->dir_unsynced = true;
    }
    eg_flusher *flusher = nodes->flusher;
    flusher->address = atomic_load(&nodes->ledger.end);
    if (eg_nodes_offset_of(flusher->address) == 0) {
        eg_nodes_header_pack(flusher->buffer);
        flusher->used = EG_NODES_HEADER_SIZE;
        flusher->address += EG_NODES_HEADER_SIZE;
    }
    return ENGRAM_OK;
}

static engram_status check_writable(const eg_nodes *nodes, engram_error *error)
{
    if (nodes->read_only)
        return eg_fail(error, ENGRAM_INVALID, "%s: open for reading only", nodes->path);
    if (nodes->failed != ENGRAM_OK)
        return eg_fail(error, nodes->failed, "%s: an earlier write failed: open it again",
                       nodes->path);
    return ENGRAM_OK;
}

static engram_status flush_top(eg_nodes *nodes, eg_node *top, engram_error *error)
{
    EG_TRY(check_writable(nodes, error));
    EG_TRY(prepare(nodes, error));
    EG_TRY(flush_node(nodes, nodes->flusher, top, error));
    return write_out(nodes, nodes->flusher, error);
}

engram_status eg_root_flush(eg_root *root, eg_node_ref *ref, engram_error *error)
{
    eg_nodes *nodes = root->nodes;
    eg_node *top = root->top.node;
    if (!top) {
        *ref = (eg_node_ref){root->top.address, root->top.size};
        return ENGRAM_OK;
    }
    pthread_mutex_lock(&nodes->write_lock);
    engram_status status = flush_top(nodes, top, error);
    if (status == ENGRAM_OK) {
        *ref = (eg_node_ref){top->stored_address, top->stored_size};
        if (atomic_load(&root->line->flushed) < root->made)
            atomic_store(&root->line->flushed, root->made);
    }
    pthread_mutex_unlock(&nodes->write_lock);
    return status;
}

/* ---- node by node ---- */

static engram_status append(eg_nodes *nodes, eg_node *node, engram_error *error)
{
    EG_TRY(check_writable(nodes, error));
    if (!nodes->flusher || nodes->flusher->used == 0)
        EG_TRY(prepare(nodes, error));
    pack(nodes->flusher, node);
    return nodes->flusher->used >= BUFFER_SIZE ? write_out(nodes, nodes->flusher, error)
                                               : ENGRAM_OK;
}

engram_status eg_nodes_append(eg_nodes *nodes, eg_node *node, eg_node_ref *ref, engram_error *error)
{
    pthread_mutex_lock(&nodes->write_lock);
    engram_status status = append(nodes, node, error);
    pthread_mutex_unlock(&nodes->write_lock);
    *ref = (eg_node_ref){atomic_load(&node->stored_address), node->stored_size};
    return status;
}

engram_status eg_nodes_append_end(eg_nodes *nodes, engram_error *error)
{
    pthread_mutex_lock(&nodes->write_lock);
    engram_status status = check_writable(nodes, error);
    if (status == ENGRAM_OK && nodes->flusher)
        status = write_out(nodes, nodes->flusher, error);
    pthread_mutex_unlock(&nodes->write_lock);
    return status;
}

engram_status eg_nodes_write_header(eg_nodes *nodes, engram_error *error)
{
    uint8_t header[EG_NODES_HEADER_SIZE];
    engram_status status = ENGRAM_OK;
    eg_nodes_header_pack(header);
    pthread_mutex_lock(&nodes->write_lock);
    EG_TRY_DONE(check_writable(nodes, error));
    status = nodes->io->write(nodes->io, atomic_load(&nodes->file), 0, header, sizeof header, error);
    nodes->failed = status;
    nodes->lacks_header = status != ENGRAM_OK;
done:
    pthread_mutex_unlock(&nodes->write_lock);
    return status;
}

engram_status eg_nodes_sync(eg_nodes *nodes, engram_error *error)
{
    engram_status status = ENGRAM_OK;
    pthread_mutex_lock(&nodes->write_lock);
    eg_file *file = atomic_load(&nodes->file);
    if (nodes->read_only || !file)
        goto done;
    EG_TRY_DONE(check_writable(nodes, error));
    status = nodes->io->sync(nodes->io, file, error);
    if (status == ENGRAM_OK && nodes->dir_unsynced)
        status = nodes->io->sync_dir(nodes->io, nodes->dir, error);
    nodes->failed = status;
    if (status == ENGRAM_OK)
        atomic_store(&nodes->ledger.durable, atomic_load(&nodes->ledger.end));
    nodes->dir_unsynced = nodes->dir_unsynced && status != ENGRAM_OK;
done:
    pthread_mutex_unlock(&nodes->write_lock);
    return status;
}
