/* The workloads that have files of their own; workloads.c has the rest and the table. */
#ifndef EG_TESTS_CRASH_WORKLOADS_H
#define EG_TESTS_CRASH_WORKLOADS_H

#include "crash/world.h"

void workload_ingest(world *w);

/* data_workloads.c */
void workload_carried(world *w);
void workload_unsynced(world *w);
void workload_spilled(world *w);
void workload_found_again(world *w);
void workload_gaps(world *w);
void workload_in_place(world *w);
void workload_relaxed(world *w);
void workload_immediate(world *w);

/* history_workloads.c */
void workload_snapshots(world *w);
void workload_rollback(world *w);
void workload_retention(world *w);
void workload_copy(world *w);

/* compact_workloads.c */
void workload_garbage(world *w);
void workload_merges(world *w);
void workload_merged(world *w);

/* thread_workloads.c */
void workload_threads(world *w);
void workload_threads_large(world *w);

#endif
