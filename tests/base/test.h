/* cmocka with the headers it wants before it. */
#ifndef EG_TESTS_BASE_TEST_H
#define EG_TESTS_BASE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* For campaigns that try each of many things in turn: sanitizers, several times slower, look at one in three of them. The
 * release build, which every run of the tests has too, looks at all. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { TEST_STRIDE = 3 };
#else
enum { TEST_STRIDE = 1 };
#endif

#endif
