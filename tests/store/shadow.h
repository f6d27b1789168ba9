/* A disk that forgets what was not synced.
 *
 * Each sync copies the file into a shadow directory, which is what a power cut would leave. One at a
 * time; shadow_io belongs to the shadow that was started last. */
#ifndef TESTS_STORE_SHADOW_H
#define TESTS_STORE_SHADOW_H

#include "store/rig.h"

/* Sets r->io. After syncs of them the power is cut: nothing arrives any more. */
void shadow_start(rig *r, long syncs);
void shadow_end(void);
bool shadow_is_cut(void);
void shadow_cut(void);
/* While held, threads other than the caller wait before they write sections, or a sealed header. */
typedef enum shadow_point { SHADOW_SECTIONS, SHADOW_SEALED_HEADER } shadow_point;
void shadow_hold(shadow_point point);
bool shadow_is_waited_for(void);
void shadow_release(void);

/* What a store's owner knows from the extents that it took. */
typedef struct known {
    eg_segment_state states[400];
    size_t count;
} known;

/* Takes what has become durable. */
void known_take(known *k, eg_store *store);
size_t known_chunks(const known *k);
/* A rig on the shadow, with these states, not open; r's model. Nothing of it is to be freed. */
rig shadow_view(const rig *r, known *k);
/* The shadow has exactly the chunks that are known. */
void shadow_check(const rig *r, known *k);

#endif
