/* How much of eg_alloc's memory is in use: a program linked with serve_counted counts what all its parts take and give
 * back (the linker puts these functions before those of base/memory.h). */
#ifndef EG_TESTS_SERVE_COUNTED_H
#define EG_TESTS_SERVE_COUNTED_H

long counted_in_use(void);

#endif
