/* The plan's file:
 *
 *     engram device plan 1
 *     device NAME
 *     driver DRIVER
 *     kernels avx512
 *     encode N
 *     bundle N
 *     top_k N
 *
 * The reader writes what it expects the first four lines to be and compares. */
#include "compute/plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/memory.h"

enum { FILE_SIZE_MAX = 4096 };

const char *const eg_operation_names[EG_OPERATION_COUNT] = {"encode", "bundle", "top_k"};

eg_plan eg_plan_all(void)
{
    return (eg_plan){{0}};
}

static int format_head(char *text, size_t size, const eg_device_info *info, const char *kernels)
{
    return snprintf(text, size, "engram device plan 1\ndevice %s\ndriver %s\nkernels %s\n",
                    info->name, info->driver, kernels);
}

static char *cache_folder(void)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache != NULL && cache[0] == '/')
        return eg_path_join(cache, "engram");
    return home != NULL && home[0] == '/' ? eg_path_join(home, ".cache/engram") : NULL;
}

char *eg_plan_path(const eg_device_info *info, const char *kernels)
{
    char head[FILE_SIZE_MAX], name[32];
    int size = format_head(head, sizeof head, info, kernels);
    snprintf(name, sizeof name, "device-%08x", eg_crc32(0, head, (size_t)size));
    char *folder = cache_folder();
    char *path = folder == NULL ? NULL : eg_path_join(folder, name);
    eg_free(folder);
    return path;
}

/* "NAME NUMBER\n" at *text, which moves behind it. */
static bool parse_line(const char **text, const char *name, uint64_t *number)
{
    size_t size = strlen(name);
    if (strncmp(*text, name, size) != 0 || (*text)[size] != ' ')
        return false;
    const char *digits = *text + size + 1;
    char *end;
    if (*digits < '0' || *digits > '9')
        return false;
    errno = 0;
    *number = strtoull(digits, &end, 10);
    *text = end + 1;
    return errno == 0 && *end == '\n';
}

static bool parse(const char *text, const char *head, eg_plan *plan)
{
    size_t size = strlen(head);
    if (strncmp(text, head, size) != 0)
        return false;
    text += size;
    for (unsigned i = 0; i < EG_OPERATION_COUNT; i++)
        if (!parse_line(&text, eg_operation_names[i], &plan->from[i]))
            return false;
    return *text == '\0';
}

bool eg_plan_load(eg_io *io, const char *path, const eg_device_info *info, const char *kernels,
                  eg_plan *plan)
{
    char head[FILE_SIZE_MAX];
    uint8_t *text;
    size_t size;
    engram_error ignored = {0};
    if (eg_io_read_file(io, path, FILE_SIZE_MAX, &text, &size, &ignored) != ENGRAM_OK)
        return false;
    format_head(head, sizeof head, info, kernels);
    bool is_good = parse((const char *)text, head, plan);
    eg_free(text);
    return is_good;
}

/* Makes the folder of path, and the one above it. */
static void make_folders(eg_io *io, const char *path)
{
    char folder[FILE_SIZE_MAX];
    if (snprintf(folder, sizeof folder, "%s", path) >= (int)sizeof folder)
        return;
    char *last = strrchr(folder, '/');
    *last = '\0';
    engram_error ignored = {0};
    engram_status status = io->mkdir(io, folder, &ignored);
    char *above = strrchr(folder, '/');
    if (status == ENGRAM_OK || status == ENGRAM_EXISTS || above == NULL)
        return;
    *above = '\0';
    io->mkdir(io, folder, &ignored);
    *above = '/';
    io->mkdir(io, folder, &ignored);
}

engram_status eg_plan_save(eg_io *io, const char *path, const eg_device_info *info,
                           const char *kernels, const eg_plan *plan, engram_error *error)
{
    char text[FILE_SIZE_MAX];
    int size = format_head(text, sizeof text, info, kernels);
    for (unsigned i = 0; i < EG_OPERATION_COUNT; i++)
        size += snprintf(text + size, sizeof text - (size_t)size, "%s %" PRIu64 "\n",
                         eg_operation_names[i], plan->from[i]);
    make_folders(io, path);
    return eg_io_replace_file(io, path, text, (size_t)size, error);
}
