/* Which libengram this is. */
#ifndef ENGRAM_VERSION_H
#define ENGRAM_VERSION_H

#include "engram/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* "MAJOR.MINOR.PATCH" of the library linked. Static. */
ENGRAM_API const char *engram_library_version(void);

#ifdef __cplusplus
}
#endif
#endif
