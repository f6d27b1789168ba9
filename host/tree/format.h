/* The format of node files: from nodes to bytes and back. format.c states it. */
#ifndef EG_TREE_FORMAT_H
#define EG_TREE_FORMAT_H

#include "tree/node.h"

enum {
    EG_NODES_HEADER_SIZE = 64, /* of a file */
    EG_NODES_VERSION = 1,
    EG_NODE_HEADER_SIZE = 32,
    EG_NODE_RAW_MAX = EG_CELL_HEADER + EG_TREE_KEY_MAX + EG_TREE_VALUE_MAX,
    EG_NODE_STORED_MAX = EG_NODE_HEADER_SIZE + EG_NODE_RAW_MAX,
    EG_CODEC_RAW = 0,
    EG_CODEC_ZSTD = 1
};

void eg_nodes_header_pack(uint8_t bytes[EG_NODES_HEADER_SIZE]);
/* ENGRAM_DAMAGED or ENGRAM_NEWER; name is for the sentence. */
engram_status eg_nodes_header_check(const uint8_t bytes[EG_NODES_HEADER_SIZE], const char *name,
                                    engram_error *error);

/* Bytes of a node's cells on disk, before compression. */
size_t eg_node_raw_size(const eg_node *node);
/* Writes the cells to raw (eg_node_raw_size bytes). Children in memory must have been stored. */
void eg_node_pack(const eg_node *node, uint8_t *raw);
/* Completes a stored node: header before size - EG_NODE_HEADER_SIZE bytes of body. */
typedef struct eg_node_header {
    uint64_t address;
    uint32_t size; /* stored: this header and the body */
    uint32_t raw_size;
    uint32_t count;
    uint8_t codec;
    uint8_t level;
} eg_node_header;
void eg_node_seal(const eg_node_header *header, uint8_t *bytes);

/* What reading needs; one thread at a time. */
typedef struct eg_unpacker {
    uint8_t *stored; /* EG_NODE_STORED_MAX bytes */
    uint8_t *raw;    /* EG_NODE_RAW_MAX bytes */
    void *decompressor;
    struct eg_unpacker *next;
} eg_unpacker;

eg_unpacker *eg_unpacker_create(void); /* NULL: no memory */
void eg_unpacker_free(eg_unpacker *unpacker);

/* The sanity of a reference, before anything is read. */
bool eg_node_ref_ok(eg_node_ref ref);
/* Makes a clean node of the ref.size bytes in unpacker->stored. level may be EG_LEVEL_ANY. On
 * ENGRAM_DAMAGED *why says what is wrong (static); else ENGRAM_OK or ENGRAM_NO_MEMORY. */
engram_status eg_node_unpack(eg_unpacker *unpacker, eg_node_ref ref, int level, eg_node **node,
                             const char **why);

#endif
