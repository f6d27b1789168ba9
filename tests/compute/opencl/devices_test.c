/* What asks OpenCL which devices there are: that loads every implementation, with its compiler. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "compute/device.h"
#include "compute/opencl/opencl.h"

static void a_table_of_the_cpu_asks_nothing(void **state)
{
    engram_error error = {0};
    eg_device *device = NULL;
    (void)state;
    eg_cl_fail_at(0);
    assert_int_equal(eg_device_open("scalar", NULL, &device, &error), ENGRAM_OK);
    assert_string_equal(eg_device_get_info(device)->spec, "scalar");
    eg_device_close(&device);
    assert_int_equal(eg_cl_call_count(), 0);
}

static void an_unknown_name_asks(void **state)
{
    engram_error error = {0};
    eg_device *device = NULL;
    (void)state;
    eg_cl_fail_at(0);
    assert_int_equal(eg_device_open("nonsense", NULL, &device, &error), ENGRAM_NO_DEVICE);
    assert_true(eg_cl_call_count() > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_of_the_cpu_asks_nothing),
        cmocka_unit_test(an_unknown_name_asks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
