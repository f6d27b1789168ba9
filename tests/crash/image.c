#include "crash/image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "crash/util.h"

void image_init(image *i)
{
    *i = (image){0};
    image_add_node(i, 0, true);
}

static void *copy_of(const void *array, size_t size)
{
    return memcpy(crash_alloc(size), array, size);
}

image image_copy(const image *from)
{
    image i = *from;
    i.nodes = copy_of(from->nodes, from->node_count * sizeof *i.nodes);
    i.node_capacity = i.node_count;
    for (size_t n = 0; n < i.node_count; n++)
        i.nodes[n].bytes = sparse_copy(&from->nodes[n].bytes);
    if (from->entry_count > 0)
        i.entries = copy_of(from->entries, from->entry_count * sizeof *i.entries);
    else
        i.entries = NULL;
    i.entry_capacity = i.entry_count;
    return i;
}

void image_fini(image *i)
{
    for (size_t n = 0; n < i->node_count; n++)
        sparse_fini(&i->nodes[n].bytes);
    free(i->nodes);
    free(i->entries);
    *i = (image){0};
}

void image_add_node(image *i, uint32_t node, bool is_dir)
{
    size_t count = i->node_count;
    if (node < count)
        return;
    i->nodes = crash_grow(i->nodes, &i->node_capacity, node + 1, sizeof *i->nodes);
    memset(i->nodes + count, 0, (node + 1 - count) * sizeof *i->nodes);
    i->nodes[node].is_dir = is_dir;
    i->node_count = node + 1;
}

image_entry *image_find(const image *i, uint32_t dir, const char *name)
{
    for (size_t n = 0; n < i->entry_count; n++)
        if (i->entries[n].dir == dir && strcmp(i->entries[n].name, name) == 0)
            return &i->entries[n];
    return NULL;
}

void image_link(image *i, uint32_t dir, const char *name, uint32_t node)
{
    image_entry *entry = image_find(i, dir, name);
    if (entry == NULL) {
        i->entries =
            crash_grow(i->entries, &i->entry_capacity, i->entry_count + 1, sizeof *i->entries);
        entry = &i->entries[i->entry_count++];
        *entry = (image_entry){.dir = dir};
        crash_text(entry->name, sizeof entry->name, name);
    }
    entry->node = node;
}

void image_unlink(image *i, uint32_t dir, const char *name)
{
    image_entry *entry = image_find(i, dir, name);
    if (entry != NULL)
        *entry = i->entries[--i->entry_count];
}

bool image_resolve(const image *i, const char *path, uint32_t *dir, const char **name)
{
    *dir = 0;
    for (;;) {
        char component[IMAGE_NAME_MAX + 1];
        path += strspn(path, "/");
        size_t size = strcspn(path, "/");
        *name = path;
        if (path[size] == 0 || size >= sizeof component)
            return path[size] == 0;
        memcpy(component, path, size);
        component[size] = 0;
        image_entry *entry = image_find(i, *dir, component);
        if (entry == NULL || !i->nodes[entry->node].is_dir)
            return false;
        *dir = entry->node;
        path += size;
    }
}

static uint64_t hash_dir(image *i, uint32_t dir, uint64_t seed, unsigned depth)
{
    uint64_t sum = seed;
    for (size_t n = 0; n < i->entry_count && depth < 8; n++) {
        image_entry *entry = &i->entries[n];
        if (entry->dir != dir)
            continue;
        image_node *node = &i->nodes[entry->node];
        uint64_t own = XXH3_64bits_withSeed(entry->name, strlen(entry->name), seed);
        if (node->is_dir)
            own = hash_dir(i, entry->node, own, depth + 1);
        else if (strcmp(entry->name, "LOCK") != 0)
            own ^= sparse_hash(&node->bytes) * 0x9e3779b97f4a7c15u;
        sum += XXH3_64bits(&own, sizeof own);
    }
    return sum;
}

uint64_t image_hash(image *i)
{
    uint64_t hash = hash_dir(i, 0, 1, 0);
    return hash != 0 ? hash : 1;
}

static int save_file(const sparse *bytes, const char *path)
{
    static uint8_t block[1 << 16];
    static const uint8_t zeros[sizeof block];
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0)
        return errno;
    int os_error = ftruncate(fd, (off_t)bytes->size) == 0 ? 0 : errno;
    for (uint64_t at = 0; at < bytes->size && os_error == 0; at += sizeof block) {
        size_t take = bytes->size - at < sizeof block ? (size_t)(bytes->size - at) : sizeof block;
        sparse_read(bytes, at, block, take);
        if (memcmp(block, zeros, take) != 0 && pwrite(fd, block, take, (off_t)at) != (ssize_t)take)
            os_error = errno != 0 ? errno : EIO;
    }
    close(fd);
    return os_error;
}

static int save_dir(const image *i, uint32_t dir, const char *path, unsigned depth)
{
    int os_error = mkdir(path, 0755) == 0 || errno == EEXIST ? 0 : errno;
    for (size_t n = 0; n < i->entry_count && os_error == 0 && depth < 8; n++) {
        const image_entry *entry = &i->entries[n];
        char below[4096];
        if (entry->dir != dir)
            continue;
        if (snprintf(below, sizeof below, "%s/%s", path, entry->name) >= (int)sizeof below)
            return ENAMETOOLONG;
        os_error = i->nodes[entry->node].is_dir ? save_dir(i, entry->node, below, depth + 1)
                                                : save_file(&i->nodes[entry->node].bytes, below);
    }
    return os_error;
}

int image_save(const image *i, const char *path)
{
    return save_dir(i, 0, path, 0);
}

static void print_dir(const image *i, uint32_t dir, const char *path, unsigned depth)
{
    for (size_t n = 0; n < i->entry_count && depth < 8; n++) {
        const image_entry *entry = &i->entries[n];
        char below[512];
        if (entry->dir != dir ||
            snprintf(below, sizeof below, "%s/%s", path, entry->name) >= (int)sizeof below)
            continue;
        if (i->nodes[entry->node].is_dir)
            print_dir(i, entry->node, below, depth + 1);
        else
            printf("    %s, %" PRIu64 " bytes\n", below, i->nodes[entry->node].bytes.size);
    }
}

void image_print(const image *i)
{
    print_dir(i, 0, "", 0);
}
