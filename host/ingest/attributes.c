/* A growing list of extended attributes, reused from entry to entry. */
#include <stdlib.h>

#include "base/memory.h"
#include "base/status.h"
#include "ingest/source_parts.h"

/* Offsets, because bytes may move while the list grows. */
typedef struct eg_attribute_place {
    size_t name, name_size, value, value_size;
} eg_attribute_place;

void eg_attributes_clear(eg_attribute_list *list)
{
    eg_buffer_clear(&list->bytes);
    list->count = 0;
}

void eg_attributes_fini(eg_attribute_list *list)
{
    eg_buffer_fini(&list->bytes);
    eg_free(list->places);
    eg_free(list->items);
    *list = (eg_attribute_list){0};
}

bool eg_attribute_stored(const char *name)
{
    size_t size = strlen(name);
    return size > 0 && size <= EG_NAME_MAX &&
           (strncmp(name, "user.", 5) == 0 || strncmp(name, "trusted.", 8) == 0 ||
            strcmp(name, "security.capability") == 0 ||
            strcmp(name, "system.posix_acl_access") == 0 ||
            strcmp(name, "system.posix_acl_default") == 0);
}

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for extended attributes");
}

engram_status eg_attributes_add(eg_attribute_list *list, const char *name, const void *value,
                                size_t size, engram_error *error)
{
    eg_attribute_place place = {list->bytes.size, strlen(name), 0, size};
    eg_write_bytes(&list->bytes, name, place.name_size);
    place.value = list->bytes.size;
    eg_write_bytes(&list->bytes, value, size);
    if (list->bytes.failed || !eg_grow((void **)&list->places, &list->places_capacity,
                                       list->count + 1, sizeof *list->places))
        return no_memory(error);
    list->places[list->count++] = place;
    return ENGRAM_OK;
}

static int compare(const void *a, const void *b)
{
    return eg_name_compare(((const eg_attribute *)a)->name, ((const eg_attribute *)b)->name);
}

engram_status eg_attributes_finish(eg_attribute_list *list, engram_error *error)
{
    if (list->count == 0)
        return ENGRAM_OK;
    if (!eg_grow((void **)&list->items, &list->items_capacity, list->count, sizeof *list->items))
        return no_memory(error);
    for (size_t i = 0; i < list->count; i++) {
        const eg_attribute_place *place = &list->places[i];
        list->items[i].name = (eg_view){list->bytes.data + place->name, place->name_size};
        list->items[i].value = (eg_view){list->bytes.data + place->value, place->value_size};
    }
    qsort(list->items, list->count, sizeof *list->items, compare);
    return ENGRAM_OK;
}
