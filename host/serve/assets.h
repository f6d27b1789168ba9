/* Files that are part of the program (cmake/assets.cmake makes them): the page and the description of the interface. */
#ifndef EG_SERVE_ASSETS_H
#define EG_SERVE_ASSETS_H

#include <stddef.h>
#include <stdint.h>

typedef struct eg_asset {
    const char *name;
    const uint8_t *bytes;
    size_t size;
} eg_asset;

extern const eg_asset eg_assets[];    /* ends with one without a name */
extern const char eg_assets_policy[]; /* what the page may load and run: its own style and script, and this server's replies */

#endif
