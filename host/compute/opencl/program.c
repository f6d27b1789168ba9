/* Programs: built from the embedded sources once per device, driver and source, then loaded from
 * $XDG_CACHE_HOME/engram or ~/.cache/engram.
 *
 * A cache file NAME-KEY.cl.bin (KEY: 16 hex digits) is
 *    0  8  magic "EGCLBIN1"
 *    8  8  key: XXH3-64 over device name, driver, build options and source
 *   16  8  size of the binary
 *   24  8  XXH3-64 of the binary
 *   32     the binary, as the driver gave it
 * A file that is not exactly so, or that the driver refuses, is ignored and replaced. Failing to
 * read or write the cache costs the time of a build, never an error. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/io.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/status.h"
#include "compute/opencl/opencl.h"

enum { HEADER_SIZE = 32, BINARY_MAX = 64 << 20, LOG_SHOWN = 600 };

/* Warnings would go to the user, who can do nothing about them. */
static const char build_options[] = "-cl-std=CL1.2 -w";
static const char magic[8] = "EGCLBIN1";

static uint64_t cache_key(const eg_opencl *cl, const eg_cl_source *source)
{
    XXH64_hash_t key = XXH3_64bits(source->text, source->size);
    const char *const parts[] = {cl->info.name, cl->info.driver, build_options, source->stem};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        key = XXH3_64bits_withSeed(parts[i], strlen(parts[i]) + 1, key);
    return key;
}

/* The directory, made when it is missing; NULL when there is no place for one. */
static char *cache_dir(void)
{
    eg_io *io = eg_io_posix();
    const char *xdg = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    char *base = NULL;
    if (xdg && xdg[0] == '/')
        base = eg_strdup(xdg);
    else if (home && home[0] == '/')
        base = eg_path_join(home, ".cache");
    if (!base)
        return NULL;
    char *dir = eg_path_join(base, "engram");
    (void)io->mkdir(io, base, NULL); /* there already, or the next step fails */
    if (dir)
        (void)io->mkdir(io, dir, NULL);
    eg_free(base);
    return dir;
}

static char *cache_path(const eg_opencl *cl, const eg_cl_source *source)
{
    char name[64];
    char *dir = cache_dir();
    if (!dir)
        return NULL;
    snprintf(name, sizeof name, "%.24s-%016llx.cl.bin", source->stem,
             (unsigned long long)cache_key(cl, source));
    char *path = eg_path_join(dir, name);
    eg_free(dir);
    return path;
}

static bool is_valid(const uint8_t *file, size_t size, uint64_t key)
{
    return size > HEADER_SIZE && memcmp(file, magic, sizeof magic) == 0 &&
           eg_get_u64(file + 8) == key && eg_get_u64(file + 16) == size - HEADER_SIZE &&
           eg_get_u64(file + 24) == XXH3_64bits(file + HEADER_SIZE, size - HEADER_SIZE);
}

static engram_status build(eg_opencl *cl, cl_program program, engram_error *error)
{
    return EG_CL(error, clBuildProgram, program, 1, &cl->device, build_options, NULL, NULL);
}

static engram_status build_binary(eg_opencl *cl, const uint8_t *binary, size_t size,
                                  cl_program *program)
{
    cl_int code, loaded;
    EG_TRY(EG_CL_MAKE(NULL, *program, code, clCreateProgramWithBinary, cl->context, 1, &cl->device,
                      &size, &binary, &loaded));
    engram_status status = build(cl, *program, NULL);
    if (status != ENGRAM_OK) {
        EG_CL_RELEASE(clReleaseProgram, *program);
        *program = NULL;
    }
    return status;
}

/* Whether the program came from the cache. */
static bool load(eg_opencl *cl, const eg_cl_source *source, const char *path, cl_program *program)
{
    uint8_t *file = NULL;
    size_t size = 0;
    bool found =
        eg_io_read_file(eg_io_posix(), path, BINARY_MAX, &file, &size, NULL) == ENGRAM_OK &&
        is_valid(file, size, cache_key(cl, source)) &&
        build_binary(cl, file + HEADER_SIZE, size - HEADER_SIZE, program) == ENGRAM_OK;
    eg_free(file);
    return found;
}

static void save(eg_opencl *cl, const eg_cl_source *source, const char *path, cl_program program)
{
    size_t size = 0;
    uint8_t *file = NULL;
    if (EG_CL(NULL, clGetProgramInfo, program, CL_PROGRAM_BINARY_SIZES, sizeof size, &size, NULL) ||
        size == 0 || size > BINARY_MAX - HEADER_SIZE || !(file = eg_alloc(HEADER_SIZE + size)))
        return;
    uint8_t *binary = file + HEADER_SIZE;
    if (EG_CL(NULL, clGetProgramInfo, program, CL_PROGRAM_BINARIES, sizeof binary, &binary, NULL) ==
        ENGRAM_OK) {
        memcpy(file, magic, sizeof magic);
        eg_put_u64(file + 8, cache_key(cl, source));
        eg_put_u64(file + 16, size);
        eg_put_u64(file + 24, XXH3_64bits(binary, size));
        (void)eg_io_replace_file(eg_io_posix(), path, file, HEADER_SIZE + size, NULL);
    }
    eg_free(file);
}

/* The first lines of the build log for the error, the whole of it for the operator. */
static engram_status fail_build(eg_opencl *cl, const eg_cl_source *source, cl_program program,
                                const engram_error *cause, engram_error *error)
{
    size_t size = 0;
    char *log = NULL;
    if (EG_CL(NULL, clGetProgramBuildInfo, program, cl->device, CL_PROGRAM_BUILD_LOG, 0, NULL,
              &size) == ENGRAM_OK &&
        size < BINARY_MAX)
        log = eg_alloc_zero(size + 1, 1);
    if (log && EG_CL(NULL, clGetProgramBuildInfo, program, cl->device, CL_PROGRAM_BUILD_LOG, size,
                     log, NULL) != ENGRAM_OK)
        log[0] = 0;
    if (log && log[0])
        eg_log(EG_LOG_ERROR, "%s: building %s.cl: %s", cl->info.spec, source->stem, log);
    eg_fail(error, ENGRAM_DEVICE, "%s (%s): %s.cl does not build: %s%s%.*s", cl->info.spec,
            cl->info.name, source->stem, cause->message, log && log[0] ? ": " : "", LOG_SHOWN,
            log ? log : "");
    eg_free(log);
    return ENGRAM_DEVICE;
}

static engram_status build_source(eg_opencl *cl, const eg_cl_source *source, cl_program *program,
                                  engram_error *error)
{
    cl_int code;
    engram_error cause = {0};
    EG_TRY(EG_CL_MAKE(error, *program, code, clCreateProgramWithSource, cl->context, 1,
                      (const char *[]){source->text}, &source->size));
    if (build(cl, *program, &cause) == ENGRAM_OK)
        return ENGRAM_OK;
    fail_build(cl, source, *program, &cause, error);
    EG_CL_RELEASE(clReleaseProgram, *program);
    *program = NULL;
    return ENGRAM_DEVICE;
}

engram_status eg_cl_program_open(eg_opencl *cl, const eg_cl_source *source, cl_program *program,
                                 engram_error *error)
{
    char *path = cache_path(cl, source);
    engram_status status = ENGRAM_OK;
    if (!path || !load(cl, source, path, program)) {
        status = build_source(cl, source, program, error);
        if (path && status == ENGRAM_OK)
            save(cl, source, path, *program);
    }
    eg_free(path);
    return status;
}
