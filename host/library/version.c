/* The version of the library as built. */
#include "engram/version.h"

const char *engram_library_version(void)
{
    return ENGRAM_VERSION;
}
