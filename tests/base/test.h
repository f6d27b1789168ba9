/* cmocka with the headers it wants before it. */
#ifndef EG_TESTS_BASE_TEST_H
#define EG_TESTS_BASE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
