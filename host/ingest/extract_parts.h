/* What the parts of extract share.
 *
 * The calling thread walks the stored directories, makes them, and gathers everything else into
 * jobs; the pool does a batch of jobs at once. Large files and further names of an inode are left
 * to the calling thread, which does them after the batch, a large file's chunks again in parallel.
 * Directories get their attributes at the very end.
 *
 * Inside, ENGRAM_IO, NO_SPACE, NO_MEMORY and CANCELLED end the run; any other failure concerns one
 * path and is an issue (eg_extract_settle). */
#ifndef EG_INGEST_EXTRACT_PARTS_H
#define EG_INGEST_EXTRACT_PARTS_H

#include <pthread.h>

#include "ingest/extract.h"

/* Numbers to values, for inodes; number 0 is none. Zero-initialise. */
typedef struct eg_number_map {
    struct eg_number_slot {
        uint64_t number, value;
    } * slots;
    size_t count, capacity;
} eg_number_map;

/* Where the value of number is, made as 0 when it was not there; NULL when memory runs out. Valid
 * until the next call. */
uint64_t *eg_number_map_at(eg_number_map *map, uint64_t number);
void eg_number_map_fini(eg_number_map *map);

/* A stored directory that has its counterpart in the output. */
typedef struct eg_place {
    size_t parent; /* index of the one above; of the output directory: itself */
    uint64_t number;
    size_t name; /* offset of its text in place_names */
    uint32_t depth;
    bool plain; /* its attributes are left as they are made */
    bool whole; /* all below it is extracted */
} eg_place;

/* An open directory that jobs create names in. */
typedef struct eg_out_dir {
    int fd;
    char *path; /* stored; "" for the output directory */
} eg_out_dir;

typedef enum eg_job_rest { EG_JOB_NONE, EG_JOB_LARGE, EG_JOB_LINK } eg_job_rest;

/* Anything but a directory. */
typedef struct eg_job {
    const eg_out_dir *dir;
    size_t name; /* offset of its text in job_names */
    uint64_t number;
    bool is_file;
    eg_job_rest rest; /* what the worker left to the calling thread */
} eg_job;

typedef struct eg_out_worker {
    uint8_t *bytes; /* content on its way: piece_size */
    eg_buffer inode, path;
} eg_out_worker;

typedef struct eg_extract_run {
    eg_engram *engram;
    eg_root *root;
    eg_io *io;
    eg_pool *pool;
    const eg_extract_options *options;
    int top; /* the output directory */
    bool is_superuser;
    uint64_t bytes_total;
    size_t piece_size;
    eg_out_worker *workers;
    size_t worker_count;

    /* The calling thread's own. */
    eg_place *places;
    size_t place_count, place_capacity;
    eg_buffer place_names;
    size_t *pending; /* places to be listed, the next one last */
    size_t pending_count, pending_capacity;
    eg_number_map directories; /* number -> index of its place + 1 */
    eg_job *jobs;
    size_t job_count, job_capacity;
    eg_buffer job_names;
    eg_out_dir **dirs; /* done with, but for the jobs at hand */
    size_t dir_count, dir_capacity;

    pthread_mutex_t lock; /* guards what follows, and calls of options->issue */
    eg_extract_stats stats;
    engram_status failed;
    engram_error error;
    eg_number_map links;  /* inodes of several names -> offset of the first path in link_paths + 1;
                             0: none so far */
    eg_buffer link_paths; /* texts */
} eg_extract_run;

/* extract.c */

/* Ends the run, or tells of the issue, as the status says. */
void eg_extract_settle(eg_extract_run *run, const char *path, engram_status status,
                       const engram_error *error);
void eg_extract_issue(eg_extract_run *run, const char *path, const char *reason);
/* Whether the run has failed or was asked to stop. */
bool eg_extract_stopped(eg_extract_run *run);
/* A failed call of the operating system: ENGRAM_INVALID when it concerns this path alone. */
engram_status eg_extract_refuse(engram_error *error, int os_error, const char *what);
void eg_extract_progress(eg_extract_run *run);

/* extract_tree.c */

/* Makes the directories of what was asked for and does all jobs. ENGRAM_NOT_FOUND for a prefix that
 * is not stored. */
engram_status eg_extract_tree(eg_extract_run *run, engram_error *error);
/* Gives the directories their attributes, deepest first. */
void eg_extract_finish_directories(eg_extract_run *run);

/* extract_jobs.c */

engram_status eg_extract_add_job(eg_extract_run *run, const eg_out_dir *dir, eg_view name,
                                 uint64_t number, engram_error *error);
/* Does all jobs, and lets go of the directories in run->dirs. */
void eg_extract_flush(eg_extract_run *run);

/* extract_file.c */

/* Writes the content of an inode into a new, empty file. */
engram_status eg_extract_content(eg_extract_run *run, eg_out_worker *worker, uint64_t number,
                                 const eg_inode *inode, eg_file *file, engram_error *error);
/* The same by all workers. */
engram_status eg_extract_large_content(eg_extract_run *run, uint64_t number, const eg_inode *inode,
                                       eg_file *file, engram_error *error);

/* extract_attributes.c: what cannot be set is an issue */

/* Of an open file or directory. */
void eg_extract_attributes(eg_extract_run *run, int fd, const char *path, uint64_t number,
                           const eg_inode *inode);
/* Of a name that is not opened: a link, a fifo, a device node. */
void eg_extract_attributes_at(eg_extract_run *run, int dir, const char *name, const char *path,
                              uint64_t number, const eg_inode *inode);

/* beneath.c */

/* Opens a directory below top without following any link. -1 and errno. */
int eg_open_beneath(int top, const char *path);
/* Whether what has the name already may be replaced. False: error tells why not. */
bool eg_extract_may_replace(eg_extract_run *run, int dir, const char *name, engram_error *error);
/* Removes what is in the way of a name when the options say so. False: it stays, and error tells. */
bool eg_extract_make_way(eg_extract_run *run, int dir, const char *name, engram_error *error);

#endif
