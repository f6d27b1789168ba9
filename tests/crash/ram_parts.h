/* What the files of the disk in memory share. All functions but the table's are called with the
 * mutex held. */
#ifndef EG_TESTS_CRASH_RAM_PARTS_H
#define EG_TESTS_CRASH_RAM_PARTS_H

#include <pthread.h>

#include "crash/ram_disk.h"

/* As the real disk has it (base/io_posix.c), since eg_file_name reads the name. */
struct eg_file {
    int slot;
    char name[];
};

enum { LOCK_BYTES = 4096, SIZE_MAX_LOG2 = 36, LATE_MAX = 16 };

typedef struct slot {
    bool used;
    uint32_t node;
    char name[IMAGE_NAME_MAX + 1];
    uint8_t locks[LOCK_BYTES]; /* 0, or 1 + eg_lock_kind */
} slot;

struct ram_disk {
    eg_io table; /* first, so that a table is its disk */
    pthread_mutex_t mutex;
    image image;
    slot *slots;
    size_t slot_count, slot_capacity;
    trace *trace;
    uint64_t seen, cut_at; /* operations since cut_at was set */
    bool off;
    unsigned sync_us; /* that a sync takes */
    ram_disk_liar *liar;
    void *liar_context;
    op late[LATE_MAX];
    size_t late_count;
};

static inline ram_disk *ram_disk_of(eg_io *io)
{
    return (ram_disk *)io;
}

/* Whether the power is still on for one more operation. */
bool ram_has_power(ram_disk *d);
lie ram_ask_liar(ram_disk *d, op_kind kind, const char *name);
/* Takes o.data and o.text over. */
void ram_record(ram_disk *d, op o);
void ram_record_sync(ram_disk *d, op o);
/* A sync that takes its time, without the mutex meanwhile. */
engram_status ram_sync_slowly(ram_disk *d, op o, const char *path, engram_error *error);
engram_status ram_no_power(engram_error *error, const char *what, const char *name);
/* A new file or directory with a name. */
engram_status ram_make(ram_disk *d, uint32_t dir, const char *path, const char *name, bool is_dir,
                       uint32_t *node, engram_error *error);

/* Fill their entries of the table. */
void ram_files_init(eg_io *table);
void ram_names_init(eg_io *table);

#endif
