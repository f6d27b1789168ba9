/* A store in a directory of its own, and a model of what it has to hold.
 *
 * Chunk i of the model (from 0) has id i + 1, or 1 + i * stride. Its bytes follow from the seed and i,
 * so that the model needs no copy of them; every fifth chunk is a delta on an earlier one. */
#ifndef TESTS_STORE_RIG_H
#define TESTS_STORE_RIG_H

#include "base/temp_dir.h"
#include "base/test.h"
#include "store/store.h"
#include "vsa/random.h"

enum { RIG_BYTES_MAX = 4 << 20, RIG_CHUNKS_MAX = 20000 };

typedef struct rig {
    temp_dir dir;
    eg_io *io;
    uint64_t seed;
    eg_store *store;
    eg_store_options options;
    eg_pool *pool;            /* for verify, or NULL */
    eg_segment_state *states; /* of the last rig_close */
    size_t state_count;

    size_t chunk_count; /* appended so far */
    uint32_t size_max;  /* of the random ones */
    uint64_t stride;    /* 0: 1, and the store gives out the ids */
    uint32_t *sizes;
    uint64_t *bases; /* that chunk of the model + 1, or 0 */
    uint8_t *depths;
    uint8_t *bytes, *other; /* room for a chunk */
} rig;

/* The real disk, but that syncs do nothing: what is tested here is who asks for them, and waiting
 * for them takes most of the time. */
eg_io *rig_io(void);

rig *rig_create(uint64_t seed, uint64_t segment_size, uint32_t size_max);
void rig_free(rig *r);

engram_status rig_try_open(rig *r, bool read_only, engram_error *error);
void rig_open(rig *r);
void rig_open_reader(rig *r);
/* Keeps the states for the next open. */
void rig_close(rig *r);
void rig_take_states(rig *r);
/* Until nothing happens in the background, or the store has failed. */
void rig_wait_for_sealer(rig *r);
char *rig_path(rig *r, uint64_t segment_id); /* free() */

uint64_t rig_id(const rig *r, size_t i);
/* The bytes of chunk i into bytes, and its size. */
uint32_t rig_bytes(rig *r, size_t i, uint8_t *bytes);
void rig_vector(rig *r, size_t i, uint8_t *vector);
uint32_t rig_spread(rig *r, size_t i);

/* Appends count random chunks; those of size_max 0 have sizes[i] set by the caller. */
engram_status rig_try_append(rig *r, size_t count, engram_error *error);
void rig_append(rig *r, size_t count);
/* Compares chunk i with the model, in every way there is to read it. */
void rig_check(rig *r, size_t i);
void rig_check_all(rig *r, size_t count);
/* The vectors of all segments hold exactly the first count chunks. */
void rig_check_vectors(rig *r, size_t count);
/* Chunks [0, count) are in the store, and no more. */
void rig_check_exactly(rig *r, size_t count);
/* How many findings verify has; the first goes to message. */
size_t rig_verify(rig *r, char message[1200]);
/* Forgets what was appended beyond the first count chunks, in states and model. */
void rig_commit_only(rig *r, size_t count);

/* A correction as the format says: a zstd frame without magic and size, the base, if any, as raw
 * prefix. Not the store's coder, whose allocations may be made to fail. */
size_t rig_pack(const uint8_t *base, size_t base_size, const uint8_t *bytes, size_t size,
                uint8_t *out, size_t capacity);

/* call takes an engram_error of the name error. */
#define assert_ok(call)                                                                            \
    do {                                                                                           \
        engram_error assert_error = {0};                                                           \
        engram_error *error = &assert_error;                                                       \
        if ((call) != ENGRAM_OK)                                                                   \
            fail_msg("%s: %s", #call, assert_error.message);                                       \
    } while (0)

#endif
