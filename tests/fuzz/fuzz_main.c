/* The plain driver of a fuzz target: runs each argument, a file or a directory of files, once. It
 * fails when there was nothing to run. */
#include "fuzz/fuzz.h"

#include <ftw.h>
#include <sys/stat.h>

static unsigned run_count;

/* Exactly as large as the input, so that a sanitizer sees a read past its end. */
static int run_bytes(FILE *file, size_t size)
{
    uint8_t *data = malloc(size ? size : 1);
    if (data == NULL || fread(data, 1, size, file) != size) {
        free(data);
        return -1;
    }
    LLVMFuzzerTestOneInput(data, size);
    run_count++;
    free(data);
    return 0;
}

static int run_entry(const char *path, const struct stat *about, int kind, struct FTW *where)
{
    (void)where;
    if (kind != FTW_F)
        return kind == FTW_D ? 0 : -1;
    FILE *file = fopen(path, "rb");
    int result = file ? run_bytes(file, (size_t)about->st_size) : -1;
    if (file)
        fclose(file);
    if (result != 0)
        fprintf(stderr, "cannot run %s\n", path);
    return result;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (nftw(argv[i], run_entry, 8, FTW_PHYS) != 0)
            return 1;
    printf("%u inputs\n", run_count);
    return run_count > 0 ? 0 : 1;
}
