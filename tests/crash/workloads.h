/* The workloads that have a file of their own; workloads.c has the rest and the table. */
#ifndef EG_TESTS_CRASH_WORKLOADS_H
#define EG_TESTS_CRASH_WORKLOADS_H

#include "crash/world.h"

void workload_ingest(world *w);

#endif
