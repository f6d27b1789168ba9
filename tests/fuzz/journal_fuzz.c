/* The journal's reader over any bytes, in up to three files that exist only in memory.
 *
 * The input: a byte of flags, the remembered durable sequence (1), the sizes of the first two files
 * (2 each), the files. Bit 0 of the flags: checksums are put right first, record after record, so
 * that what lies behind them is reached. */
#include "fuzz/fuzz.h"

#include <string.h>

#include "journal/journal.h"
#include "journal/ops.h"

enum { FILE_COUNT = 3, INPUT_HEADER = 6, HEADER_SIZE = 32, FIX_CHECKSUMS = 1 };

struct eg_file {
    uint8_t *data;
    size_t size;
};

static struct eg_file files[FILE_COUNT];

/* ---- a disk in memory ---- */

static engram_status fuzz_open(eg_io *io, const char *path, int flags, eg_file **file,
                               engram_error *error)
{
    (void)io;
    size_t size = strlen(path);
    FUZZ_CHECK(flags == EG_OPEN_READ && size >= 12 && strcmp(path + size - 4, ".wal") == 0);
    unsigned long number = strtoul(path + size - 12, NULL, 10);
    if (number < 1 || number > FILE_COUNT)
        return eg_fail(error, ENGRAM_NOT_FOUND, "no %s", path);
    *file = &files[number - 1];
    return ENGRAM_OK;
}

static void fuzz_close(eg_io *io, eg_file **file)
{
    (void)io;
    *file = NULL;
}

static engram_status fuzz_read_some(eg_io *io, eg_file *file, uint64_t offset, void *bytes,
                                    size_t size, size_t *got, engram_error *error)
{
    (void)io, (void)error;
    size_t left = offset < file->size ? file->size - (size_t)offset : 0;
    *got = size < left ? size : left;
    if (*got > 0)
        memcpy(bytes, file->data + offset, *got);
    return ENGRAM_OK;
}

static engram_status fuzz_size(eg_io *io, eg_file *file, uint64_t *size, engram_error *error)
{
    (void)io, (void)error;
    *size = file->size;
    return ENGRAM_OK;
}

static engram_status fuzz_list(eg_io *io, const char *path,
                               engram_status (*entry)(void *context, const char *name),
                               void *context, engram_error *error)
{
    static const char *names[] = {"00000003.wal", "spare-1.wal", "00000001.wal", "00000002.wal"};
    (void)io, (void)path, (void)error;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        EG_TRY(entry(context, names[i]));
    return ENGRAM_OK;
}

/* ---- the target ---- */

static void fix_checksums(struct eg_file *file)
{
    for (size_t at = 0; file->size - at >= HEADER_SIZE;) {
        uint8_t *record = file->data + at;
        uint32_t length = eg_get_u32(record + 24);
        if (length > file->size - at - HEADER_SIZE)
            return;
        eg_put_u32(record + 28, eg_crc32(eg_crc32(0, record, 28), record + HEADER_SIZE, length));
        at += HEADER_SIZE + length;
    }
}

static void take_file(struct eg_file *file, const uint8_t **at, size_t *left, size_t wanted)
{
    file->size = wanted < *left ? wanted : *left;
    file->data = malloc(file->size ? file->size : 1);
    FUZZ_CHECK(file->data != NULL);
    memcpy(file->data, *at, file->size);
    *at += file->size;
    *left -= file->size;
}

static engram_status visit(void *context, const eg_record *record, engram_error *error)
{
    (void)error;
    uint64_t *last = context;
    FUZZ_CHECK(record->sequence == *last + 1);
    FUZZ_CHECK(record->state <= EG_RECORD_ABORTED);
    *last = record->sequence;
    eg_reader reader = eg_reader_make(record->operations.data, record->operations.size);
    eg_op op;
    size_t size = 0;
    while (eg_op_next(&reader, &op))
        size += op.whole.size;
    FUZZ_CHECK(size <= record->operations.size);
    FUZZ_CHECK(reader.failed || size == record->operations.size);
    return ENGRAM_OK;
}

static void read_files(uint64_t durable)
{
    eg_io io = {.open = fuzz_open,
                .close = fuzz_close,
                .read_some = fuzz_read_some,
                .size = fuzz_size,
                .list = fuzz_list};
    uint64_t last = 0;
    eg_journal_end end;
    engram_error error = {0};
    engram_status status = eg_journal_read(&io, "memory", (eg_journal_start){1, 1}, durable, visit,
                                           &last, &end, &error);
    FUZZ_CHECK(status == error.status);
    FUZZ_CHECK(status == ENGRAM_OK || status == ENGRAM_DAMAGED || status == ENGRAM_NEWER);
    FUZZ_CHECK(end.sequence == last + 1 && end.file >= 1 && end.file <= FILE_COUNT);
    FUZZ_CHECK(end.offset <= files[end.file - 1].size);
    FUZZ_CHECK(status != ENGRAM_OK || last >= durable);
    FUZZ_CHECK(end.torn <= files[0].size + files[1].size + files[2].size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < INPUT_HEADER)
        return 0;
    const uint8_t *at = data + INPUT_HEADER;
    size_t left = size - INPUT_HEADER;
    take_file(&files[0], &at, &left, eg_get_u16(data + 2));
    take_file(&files[1], &at, &left, eg_get_u16(data + 4));
    take_file(&files[2], &at, &left, left);
    for (unsigned i = 0; i < FILE_COUNT; i++)
        if (data[0] & FIX_CHECKSUMS)
            fix_checksums(&files[i]);
    read_files(data[1]);
    for (unsigned i = 0; i < FILE_COUNT; i++)
        free(files[i].data);
    return 0;
}
