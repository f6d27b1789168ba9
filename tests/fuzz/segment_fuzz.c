/* The store's reader over any bytes as its only segment: opening, reading every chunk in every way,
 * verifying.
 *
 * The input: a byte of flags, a byte that is not used, the committed count (2), the committed size
 * of corrections (4), the file. Bit 0 of the flags: checksums are put right first, from the
 * vectors' up to the headers', so that what lies behind them is reached. Bit 1: the committed
 * size is what the header that counts says. */
#include "fuzz/fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "store/segment.h"

enum { FIX_CHECKSUMS = 1, SIZE_OF_HEADER = 2, INPUT_HEADER = 8, IDS_MAX = 300 };

static int file_in_memory = -1;

/* Reads and maps by the real disk's own functions. */
static engram_status fuzz_open(eg_io *io, const char *path, int flags, eg_file **file,
                               engram_error *error)
{
    FUZZ_CHECK(flags == EG_OPEN_READ);
    int fd = dup(file_in_memory);
    FUZZ_CHECK(fd >= 0);
    return io->adopt(io, fd, path, file, error);
}

/* ---- checksums ---- */

static uint8_t *find_section(uint8_t *slot, const char *tag)
{
    for (unsigned i = 0; i < EG_SEGMENT_SECTIONS_MAX && i < slot[14]; i++)
        if (memcmp(slot + 60 + 32 * i, tag, 4) == 0)
            return slot + 60 + 32 * i;
    return NULL;
}

/* The bytes of a section, or NULL when they are not all in the file. */
static uint8_t *get_section(uint8_t *file, size_t file_size, const uint8_t *section, size_t *size)
{
    if (section == NULL)
        return NULL;
    uint64_t offset = eg_get_u64(section + 8), wanted = eg_get_u64(section + 16);
    if (offset > file_size || wanted > file_size - offset)
        return NULL;
    *size = (size_t)wanted;
    return file + offset;
}

static void fix_records(uint8_t *records, size_t size, const uint8_t *vectors, size_t vectors_size)
{
    for (size_t i = 0; (i + 1) * EG_SEGMENT_RECORD_SIZE <= size; i++) {
        uint8_t *record = records + i * EG_SEGMENT_RECORD_SIZE;
        if (vectors != NULL && (i + 1) * EG_SEGMENT_VECTOR_SIZE <= vectors_size)
            eg_put_u16(record + 66, eg_vector_check(vectors + i * EG_SEGMENT_VECTOR_SIZE));
        eg_put_u32(record + 68, eg_crc32(0, record, 68));
    }
}

static void fix_slot(uint8_t *file, size_t file_size, uint8_t *slot)
{
    static const char *tags[] = {"RECS", "VECS", "PAYL", "FIDX"};
    size_t size, vectors_size = 0;
    uint8_t *vectors = get_section(file, file_size, find_section(slot, "VECS"), &vectors_size);
    uint8_t *records = get_section(file, file_size, find_section(slot, "RECS"), &size);
    if (records != NULL)
        fix_records(records, size, vectors, vectors_size);
    for (unsigned i = 0; i < sizeof tags / sizeof *tags; i++) {
        uint8_t *section = find_section(slot, tags[i]);
        uint8_t *bytes = get_section(file, file_size, section, &size);
        if (bytes != NULL)
            eg_put_u32(section + 28, eg_crc32(0, bytes, size));
    }
    eg_put_u32(slot + 252, eg_crc32(0, slot, 252));
}

static uint64_t header_size(uint8_t *file)
{
    const uint8_t *section = find_section(file + EG_SEGMENT_SLOT_STEP, "PAYL");
    return section != NULL ? eg_get_u64(section + 16) : 0;
}

/* ---- the target ---- */

static void ignore_problem(void *context, uint64_t chunk_id, const char *message)
{
    (void)chunk_id;
    FUZZ_CHECK(message[0] != 0);
    ++*(size_t *)context;
}

static void read_chunk(eg_store *store, uint64_t id)
{
    static uint8_t bytes[EG_CHUNK_BYTES_MAX];
    uint8_t vector[EG_SEGMENT_VECTOR_SIZE];
    uint64_t ids[EG_STORE_CANDIDATES];
    eg_chunk_info info;
    engram_error error = {0};
    size_t size;
    engram_status status = eg_store_get_info(store, id, &info, &error);
    FUZZ_CHECK(status == error.status);
    if (status != ENGRAM_OK)
        return;
    FUZZ_CHECK(info.id == id && info.size <= sizeof bytes);
    FUZZ_CHECK(eg_store_find(store, &info.fingerprint, info.size, ids) <= EG_STORE_CANDIDATES);
    (void)eg_store_get_vector(store, id, vector, NULL);
    status = eg_store_read(store, id, bytes, sizeof bytes, &size, &error);
    FUZZ_CHECK(status == error.status);
    if (status != ENGRAM_OK)
        return;
    eg_fingerprint fingerprint = eg_fingerprint_of(bytes, size);
    FUZZ_CHECK(size == info.size && memcmp(&fingerprint, &info.fingerprint, 16) == 0);
}

static void read_vectors(eg_store *store)
{
    eg_vector_span span;
    volatile uint8_t sum = 0; /* so that every byte is touched */
    if (eg_store_get_vectors(store, 0, &span, NULL) != ENGRAM_OK)
        return;
    for (size_t i = 0; i < span.vectors.count; i++) {
        uint8_t vector[EG_SEGMENT_VECTOR_SIZE];
        eg_vectors_get(&span.vectors, i, vector);
        for (size_t k = 0; k < sizeof vector; k++)
            sum = (uint8_t)(sum + vector[k]);
    }
    for (size_t i = 1; i < span.vectors.count; i++)
        FUZZ_CHECK(span.ids[i] > span.ids[i - 1]);
    for (size_t i = 0; i < span.vectors.count && i < IDS_MAX; i++)
        read_chunk(store, span.ids[i]);
}

static void use(eg_store *store)
{
    eg_store_totals totals;
    size_t problems = 0;
    const eg_store_verifier verifier = {
        .subset = 1.0, .context = &problems, .problem = ignore_problem};
    for (uint64_t id = 1; id < IDS_MAX; id++)
        read_chunk(store, id);
    read_vectors(store);
    FUZZ_CHECK(eg_store_validate(store));
    (void)eg_store_get_totals(store, &totals, NULL);
    FUZZ_CHECK(eg_store_verify(store, &verifier, NULL) == ENGRAM_OK);
}

static void open_and_use(const eg_segment_state *state)
{
    eg_io io = *eg_io_posix();
    io.open = fuzz_open;
    const eg_store_options options = {.read_only = true, .dedup = true};
    eg_store *store;
    engram_error error = {0};
    engram_status status = eg_store_open(&io, "memory", state, 1, &options, &store, &error);
    FUZZ_CHECK(status == error.status);
    FUZZ_CHECK((status == ENGRAM_OK) == (store != NULL));
    if (store != NULL)
        use(store);
    eg_store_close(&store);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    eg_log_set_level(EG_LOG_ERROR);
    if (size < INPUT_HEADER)
        return 0;
    size_t file_size = size - INPUT_HEADER;
    uint8_t *file = malloc(file_size + 1);
    FUZZ_CHECK(file != NULL);
    memcpy(file, data + INPUT_HEADER, file_size);
    bool has_slots = file_size >= EG_SEGMENT_SLOT_STEP + EG_SEGMENT_SLOT_SIZE;
    if (has_slots && (data[0] & FIX_CHECKSUMS)) {
        fix_slot(file, file_size, file);
        fix_slot(file, file_size, file + EG_SEGMENT_SLOT_STEP);
    }
    eg_segment_state state = {
        .id = 1, .chunk_count = eg_get_u16(data + 2), .payload_size = eg_get_u32(data + 4)};
    if (has_slots && (data[0] & SIZE_OF_HEADER))
        state.payload_size = header_size(file);
    file_in_memory = memfd_create("segment", 0);
    FUZZ_CHECK(file_in_memory >= 0);
    FUZZ_CHECK(write(file_in_memory, file, file_size) == (ssize_t)file_size);
    open_and_use(&state);
    close(file_in_memory);
    free(file);
    return 0;
}
