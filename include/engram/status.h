/* What can go wrong, as causes a caller can act on.
 *
 * Every function that can fail returns an engram_status. The sentence for people (what, where,
 * why, what to do) travels in an engram_error that the caller may supply; it is never global. */
#ifndef ENGRAM_STATUS_H
#define ENGRAM_STATUS_H

#if defined(_WIN32)
#error "engram runs on POSIX systems"
#endif
#ifndef ENGRAM_API
#define ENGRAM_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum engram_status {
    ENGRAM_OK = 0,
    ENGRAM_NOT_FOUND,   /* no such path, version or snapshot */
    ENGRAM_EXISTS,      /* it is there already */
    ENGRAM_CONFLICT,    /* it is not the version that was expected */
    ENGRAM_DAMAGED,     /* stored bytes are not what was written */
    ENGRAM_IO,          /* the operating system refused a read or a write */
    ENGRAM_NO_SPACE,    /* the disk, or a quota, is full */
    ENGRAM_NO_MEMORY,   /* an allocation failed */
    ENGRAM_INVALID,     /* an argument or an input breaks the rules */
    ENGRAM_BUSY,        /* a bounded resource is full: try again */
    ENGRAM_LOCKED,      /* another process writes here */
    ENGRAM_UNSUPPORTED, /* valid, but not something this build does */
    ENGRAM_DEVICE,      /* a compute device failed */
    ENGRAM_CANCELLED,   /* the caller asked to stop */
    ENGRAM_NOT_ENGRAM,  /* the directory is no engram */
    ENGRAM_NEWER,       /* written by a newer version of this program */
    ENGRAM_NO_DEVICE,   /* no compute device of that name */
    ENGRAM_PARTIAL,     /* done, but some inputs could not be read */
    ENGRAM_DENIED,      /* the server wants another token */
    ENGRAM_STATUS_COUNT
} engram_status;

/* Filled by the first failure; later ones leave it alone. Zero-initialise before use. */
typedef struct engram_error {
    engram_status status;
    int os_error; /* errno, or 0 */
    char message[1016];
} engram_error;

/* The cause in a few words, e.g. "damaged". Static; never NULL. */
ENGRAM_API const char *engram_status_name(engram_status status);

/* The exit code of the command line for this cause (0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 130). */
ENGRAM_API int engram_status_exit_code(engram_status status);

#ifdef __cplusplus
}
#endif
#endif
