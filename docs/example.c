/* An engram from C: files in a transaction, an optimistic update, a snapshot, the past, a difference.
 *
 *   cc -std=c17 example.c $(pkg-config --cflags --libs engram) -o example && ./example DIRECTORY
 */
#include <stdio.h>
#include <string.h>

#include "engram/engram.h"

static int report(const char *what, const engram_error *error)
{
    fprintf(stderr, "%s: %s (%s)\n", what, engram_status_name(error->status), error->message);
    return 1;
}

/* The body of a transaction. engram_run runs it again, from the newest version, if somebody else
 * changed the file before it could commit. */
static engram_status count_up(void *context, engram_transaction *tx, engram_error *error)
{
    char text[32] = {0};
    size_t got = 0;
    int number = 0;
    (void)context;
    engram_status status = engram_tx_read(tx, "counter", 0, text, sizeof text - 1, &got, error);
    if (status != ENGRAM_OK)
        return status;
    sscanf(text, "%d", &number);
    int size = snprintf(text, sizeof text, "%d\n", number + 1);
    return engram_write(tx, "counter", text, (size_t)size, NULL, error);
}

static engram_status first_files(struct engram *e, uint64_t *version, engram_error *error)
{
    static const engram_expected none = {.what = ENGRAM_NONE};
    engram_transaction *tx = NULL;
    engram_status status = engram_begin(e, NULL, &tx, error);
    if (status == ENGRAM_OK)
        status = engram_mkdir_all(tx, "notes/2026", 0755, error);
    if (status == ENGRAM_OK)
        status = engram_write(tx, "notes/2026/hello.txt", "hello\n", 6, &none, error);
    if (status == ENGRAM_OK)
        status = engram_write(tx, "counter", "0\n", 2, &none, error);
    if (status == ENGRAM_OK)
        return engram_commit(&tx, version, error); /* durable when it returns */
    engram_abort(&tx);
    return status;
}

static engram_status show_change(void *context, const engram_change *change, engram_error *error)
{
    (void)context, (void)error;
    printf("%c %s\n", "?ADMTR"[change->what], change->path);
    return ENGRAM_OK;
}

static engram_status look_back(struct engram *e, engram_error *error)
{
    engram_view *then = NULL, *now = NULL;
    char text[32] = {0};
    size_t got = 0;
    engram_status status = engram_pin_at(e, "before", &then, error); /* a snapshot's name */
    if (status == ENGRAM_OK)
        status = engram_pin(e, &now, error);
    if (status == ENGRAM_OK)
        status = engram_read(then, "counter", 0, text, sizeof text - 1, &got, error);
    if (status == ENGRAM_OK) {
        printf("the counter was %.*s", (int)got, text);
        status = engram_diff(then, now, "", show_change, NULL, error);
    }
    engram_unpin(&then);
    engram_unpin(&now);
    return status;
}

int main(int argc, char **argv)
{
    struct engram *e = NULL;
    engram_error error = {0};
    uint64_t version = 0;
    if (argc != 2) {
        fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        return 2;
    }
    if (engram_create(argv[1], NULL, &error) != ENGRAM_OK)
        return report("create", &error);
    if (engram_open(argv[1], NULL, &e, &error) != ENGRAM_OK)
        return report("open", &error);
    engram_status status = first_files(e, &version, &error);
    if (status == ENGRAM_OK)
        status = engram_snapshot_create(e, "before", NULL, &error);
    for (int i = 0; i < 3 && status == ENGRAM_OK; i++)
        status = engram_run(e, NULL, count_up, NULL, &version, &error);
    if (status == ENGRAM_OK)
        status = look_back(e, &error);
    if (status != ENGRAM_OK)
        report("transaction", &error);
    engram_error closing = {0};
    if (engram_close(&e, &closing) != ENGRAM_OK)
        return report("close", &closing);
    return status == ENGRAM_OK ? 0 : 1;
}
