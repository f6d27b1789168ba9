/* Names are parsed strictly: what this program would not have written is not its to touch. */
#include "journal/files.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { FILE_DIGITS = 8, SPARE_DIGITS_MAX = 8 };
static const char spare_prefix[] = "spare-", suffix[] = ".wal";

char *eg_journal_file_path(const char *dir, uint64_t number)
{
    char name[32];
    snprintf(name, sizeof name, "%08" PRIu64 "%s", number, suffix);
    return eg_path_join(dir, name);
}

char *eg_journal_spare_path(const char *dir, uint64_t number)
{
    char name[32];
    snprintf(name, sizeof name, "%s%" PRIu64 "%s", spare_prefix, number, suffix);
    return eg_path_join(dir, name);
}

/* Digits that make up all of a name but its ending. 0: not so, or the number is 0. */
static uint64_t parse_number(const char *text, size_t digits_min, size_t digits_max)
{
    uint64_t number = 0;
    size_t digits = strspn(text, "0123456789");
    if (digits < digits_min || digits > digits_max || strcmp(text + digits, suffix) != 0)
        return 0;
    for (size_t i = 0; i < digits; i++)
        number = number * 10 + (uint64_t)(text[i] - '0');
    return number;
}

static uint64_t parse_spare(const char *name)
{
    size_t size = sizeof spare_prefix - 1;
    if (strncmp(name, spare_prefix, size) != 0 || name[size] == '0')
        return 0;
    return parse_number(name + size, 1, SPARE_DIGITS_MAX);
}

static engram_status add(uint64_t **numbers, size_t *count, size_t *capacity, uint64_t number)
{
    void *array = *numbers;
    if (!eg_grow(&array, capacity, *count + 1, sizeof **numbers))
        return ENGRAM_NO_MEMORY;
    *numbers = array;
    (*numbers)[(*count)++] = number;
    return ENGRAM_OK;
}

static engram_status take_name(void *context, const char *name)
{
    eg_journal_files *files = context;
    uint64_t number = parse_number(name, FILE_DIGITS, FILE_DIGITS), spare = parse_spare(name);
    if (number > 0)
        return add(&files->numbers, &files->count, &files->capacity, number);
    if (spare > 0)
        return add(&files->spares, &files->spare_count, &files->spare_capacity, spare);
    return ENGRAM_OK;
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

engram_status eg_journal_files_list(eg_journal_files *files, eg_io *io, const char *dir,
                                    engram_error *error)
{
    files->count = files->spare_count = 0;
    engram_status status = io->list(io, dir, take_name, files, error);
    if (status != ENGRAM_OK)
        return eg_fail(error, status, "cannot list the journal's files in %s", dir);
    if (files->count > 0)
        qsort(files->numbers, files->count, sizeof *files->numbers, compare_numbers);
    return ENGRAM_OK;
}

void eg_journal_files_fini(eg_journal_files *files)
{
    eg_free(files->numbers);
    eg_free(files->spares);
    *files = (eg_journal_files){0};
}
