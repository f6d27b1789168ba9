/* datasets/make: writes seeded synthetic sets for tests and benches. The same seed gives the same
 * files. */
#include "files.h"
#include "sets.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct set_kind {
    const char *name;
    void (*make)(const char *dir, uint64_t seed, uint64_t size);
    uint64_t size_default;
    const char *help;
} set_kind;

static const set_kind kinds[] = {
    {"pairs", set_pairs, 8,
     "pairs of files with known Jaccard similarity; --size: pairs of each sort (8)"},
    {"odd", set_odd, 64u << 20,
     "odd names, kinds, times, rights; --size: bytes of the sparse file (64 MiB)"},
    {"big", set_big, 2ull << 30,
     "distinct bytes, and a file of holes; --size: bytes of each (2 GiB)"},
    {"tiny", set_tiny, 10000, "tiny files; --size: how many (10000)"},
    {"versions", set_versions, 200,
     "ten versions of a tree with small edits; --size: files in it (200)"},
};

static void print_usage(FILE *out)
{
    fputs("usage: datasets/make KIND DIR [--seed N] [--size N]\n\n"
          "Fills the directory DIR, which must be new or empty. The same seed (1) gives the same "
          "files.\n\n",
          out);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        fprintf(out, "  %-9s %s\n", kinds[i].name, kinds[i].help);
}

_Noreturn static void usage_error(void)
{
    print_usage(stderr);
    exit(2);
}

static const set_kind *find_kind(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    usage_error();
}

static uint64_t parse_number(const char *text)
{
    char *end;
    errno = 0;
    uint64_t number = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || *text == '-')
        die("'%s' is not a number", text);
    return number;
}

static void open_dir(const char *path)
{
    if (mkdir(path, 0755) == 0)
        return;
    if (errno != EEXIST)
        die("%s: cannot create the directory: %s", path, strerror(errno));
    DIR *dir = opendir(path);
    if (dir == NULL)
        die("%s: cannot open the directory: %s", path, strerror(errno));
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            die("%s: is not empty; name a new directory or empty this one", path);
    closedir(dir);
}

int main(int argc, char **argv)
{
    if (argc == 2 && (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0)) {
        print_usage(stdout);
        return 0;
    }
    if (argc < 3 || argc % 2 == 0)
        usage_error();
    const set_kind *kind = find_kind(argv[1]);
    uint64_t seed = 1, size = kind->size_default;
    for (int i = 3; i < argc; i += 2) {
        if (strcmp(argv[i], "--seed") == 0)
            seed = parse_number(argv[i + 1]);
        else if (strcmp(argv[i], "--size") == 0)
            size = parse_number(argv[i + 1]);
        else
            usage_error();
    }
    umask(022);
    open_dir(argv[2]);
    kind->make(argv[2], seed, size);
    printf("%s: %s, seed %" PRIu64 ", size %" PRIu64 "\n", argv[2], kind->name, seed, size);
    return 0;
}
