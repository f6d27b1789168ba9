/* Tokens: two lists under a lock for reading and writing. */
#include "serve/tokens.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "base/io.h"
#include "base/memory.h"

enum { TOKEN_MIN = 16, TOKEN_MAX = 256, COUNT_MAX = 256, FILE_SIZE_MAX = 128 << 10 };

typedef struct token {
    uint8_t bytes[TOKEN_MAX]; /* zeros behind it */
} token;

typedef struct token_list {
    token *items;
    size_t count;
} token_list;

struct eg_tokens {
    const char *write_path, *read_path;
    pthread_rwlock_t lock; /* guards the lists */
    token_list writers, readers;
};

static engram_status take_line(token_list *list, const char *path, size_t number, const char *line,
                               size_t size, engram_error *error)
{
    while (size != 0 && (line[size - 1] == '\r' || line[size - 1] == ' ' || line[size - 1] == '\t'))
        size--;
    if (size == 0 || *line == '#')
        return ENGRAM_OK;
    for (size_t i = 0; i < size; i++)
        if (line[i] <= ' ' || line[i] > '~')
            return eg_fail(error, ENGRAM_INVALID,
                           "%s:%zu: a token has printable characters without blanks", path, number);
    if (size < TOKEN_MIN || size > TOKEN_MAX)
        return eg_fail(error, ENGRAM_INVALID, "%s:%zu: a token has %d to %d characters", path,
                       number, TOKEN_MIN, TOKEN_MAX);
    if (list->count == COUNT_MAX)
        return eg_fail(error, ENGRAM_INVALID, "%s: more than %d tokens", path, COUNT_MAX);
    memcpy(list->items[list->count++].bytes, line, size);
    return ENGRAM_OK;
}

static engram_status take_lines(token_list *list, const char *path, const char *text, size_t size,
                                engram_error *error)
{
    const char *end = text + size;
    for (size_t number = 1; text < end; number++) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *stop = newline != NULL ? newline : end;
        EG_TRY(take_line(list, path, number, text, (size_t)(stop - text), error));
        text = stop + 1;
    }
    return list->count != 0
               ? ENGRAM_OK
               : eg_fail(error, ENGRAM_INVALID, "%s: there is no token in it", path);
}

static engram_status read_list(const char *path, token_list *list, engram_error *error)
{
    uint8_t *text = NULL;
    size_t size = 0;
    *list = (token_list){0};
    if (path == NULL)
        return ENGRAM_OK;
    list->items = eg_alloc_zero(COUNT_MAX, sizeof *list->items);
    if (list->items == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for tokens");
    EG_TRY(eg_io_read_file(eg_io_posix(), path, FILE_SIZE_MAX, &text, &size, error));
    engram_status status = take_lines(list, path, (const char *)text, size, error);
    explicit_bzero(text, size);
    eg_free(text);
    return status;
}

static void free_list(token_list *list)
{
    if (list->items != NULL)
        explicit_bzero(list->items, COUNT_MAX * sizeof *list->items);
    eg_free(list->items);
    *list = (token_list){0};
}

engram_status eg_tokens_reload(eg_tokens *tokens, engram_error *error)
{
    token_list writers = {0}, readers = {0};
    engram_status status = read_list(tokens->write_path, &writers, error);
    if (status == ENGRAM_OK)
        status = read_list(tokens->read_path, &readers, error);
    if (status == ENGRAM_OK) {
        token_list old_writers = tokens->writers, old_readers = tokens->readers;
        pthread_rwlock_wrlock(&tokens->lock);
        tokens->writers = writers;
        tokens->readers = readers;
        pthread_rwlock_unlock(&tokens->lock);
        writers = old_writers;
        readers = old_readers;
    }
    free_list(&writers);
    free_list(&readers);
    return status;
}

engram_status eg_tokens_open(const char *write_path, const char *read_path, eg_tokens **tokens,
                             engram_error *error)
{
    eg_tokens *t = *tokens = eg_alloc_zero(1, sizeof *t);
    if (t == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for tokens");
    t->write_path = write_path;
    t->read_path = read_path;
    pthread_rwlock_init(&t->lock, NULL);
    engram_status status = eg_tokens_reload(t, error);
    if (status != ENGRAM_OK)
        eg_tokens_close(tokens);
    return status;
}

void eg_tokens_close(eg_tokens **tokens)
{
    eg_tokens *t = *tokens;
    if (t == NULL)
        return;
    free_list(&t->writers);
    free_list(&t->readers);
    pthread_rwlock_destroy(&t->lock);
    eg_free(t);
    *tokens = NULL;
}

/* Looks at every byte of every token. */
static bool is_among(const token_list *list, const token *given)
{
    unsigned found = 0;
    for (size_t i = 0; i < list->count; i++) {
        volatile uint8_t difference = 0;
        for (size_t k = 0; k < TOKEN_MAX; k++)
            difference |= list->items[i].bytes[k] ^ given->bytes[k];
        found |= difference == 0;
    }
    return found != 0;
}

eg_right eg_tokens_check(eg_tokens *tokens, const char *text)
{
    token given = {0};
    size_t size = strlen(text);
    if (size < TOKEN_MIN || size > TOKEN_MAX)
        return EG_RIGHT_NONE;
    memcpy(given.bytes, text, size);
    pthread_rwlock_rdlock(&tokens->lock);
    bool may_write = is_among(&tokens->writers, &given);
    bool may_read = is_among(&tokens->readers, &given);
    pthread_rwlock_unlock(&tokens->lock);
    explicit_bzero(&given, sizeof given);
    return may_write ? EG_RIGHT_WRITE : may_read ? EG_RIGHT_READ : EG_RIGHT_NONE;
}
