/* A second reader of the journal's format, written from the text at the head of record.c and
 * nothing else: whole files in memory, one byte after the other, no regard for speed. */
#ifndef TESTS_JOURNAL_PLAIN_READER_H
#define TESTS_JOURNAL_PLAIN_READER_H

#include "journal/fixture.h"

typedef enum plain_verdict { PLAIN_TORN, PLAIN_DAMAGED, PLAIN_NEWER } plain_verdict;

plain_verdict plain_read(const char *dir, uint64_t file, uint64_t sequence, uint64_t durable,
                         entries *list, uint64_t *end_file, uint64_t *end_offset);

#endif
