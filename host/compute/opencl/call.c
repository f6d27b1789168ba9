/* The layer between this folder and the OpenCL API: codes become sentences, and tests count calls
 * and make one of them fail, or all from one on. Releases do not pass here: nothing could be done about them. */
#include <stdatomic.h>

#include "base/status.h"
#include "compute/opencl/opencl.h"

static atomic_long made;
static atomic_long fail_at;
static atomic_bool fail_forever;
static atomic_long live;

bool eg_cl_refused(void)
{
    long n = atomic_fetch_add(&made, 1) + 1, at = atomic_load(&fail_at);
    return at != 0 && (n == at || (n > at && atomic_load(&fail_forever)));
}

static void set(long n, bool forever)
{
    atomic_store(&fail_at, 0);
    atomic_store(&fail_forever, forever);
    atomic_store(&made, 0);
    atomic_store(&fail_at, n);
}

void eg_cl_fail_at(long n)
{
    set(n, false);
}

void eg_cl_fail_from(long n)
{
    set(n, true);
}

long eg_cl_call_count(void)
{
    return atomic_load(&made);
}

void eg_cl_made(bool is_made)
{
    if (is_made)
        atomic_fetch_add(&live, 1);
}

void eg_cl_released(void)
{
    atomic_fetch_sub(&live, 1);
}

long eg_cl_live_count(void)
{
    return atomic_load(&live);
}

#define CODE(name) [-(name)] = #name

static const char *const code_names[] = {
    CODE(CL_DEVICE_NOT_FOUND),
    CODE(CL_DEVICE_NOT_AVAILABLE),
    CODE(CL_COMPILER_NOT_AVAILABLE),
    CODE(CL_MEM_OBJECT_ALLOCATION_FAILURE),
    CODE(CL_OUT_OF_RESOURCES),
    CODE(CL_OUT_OF_HOST_MEMORY),
    CODE(CL_PROFILING_INFO_NOT_AVAILABLE),
    CODE(CL_MEM_COPY_OVERLAP),
    CODE(CL_BUILD_PROGRAM_FAILURE),
    CODE(CL_MAP_FAILURE),
    CODE(CL_MISALIGNED_SUB_BUFFER_OFFSET),
    CODE(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST),
    CODE(CL_COMPILE_PROGRAM_FAILURE),
    CODE(CL_LINKER_NOT_AVAILABLE),
    CODE(CL_LINK_PROGRAM_FAILURE),
    CODE(CL_INVALID_VALUE),
    CODE(CL_INVALID_DEVICE_TYPE),
    CODE(CL_INVALID_PLATFORM),
    CODE(CL_INVALID_DEVICE),
    CODE(CL_INVALID_CONTEXT),
    CODE(CL_INVALID_QUEUE_PROPERTIES),
    CODE(CL_INVALID_COMMAND_QUEUE),
    CODE(CL_INVALID_HOST_PTR),
    CODE(CL_INVALID_MEM_OBJECT),
    CODE(CL_INVALID_BINARY),
    CODE(CL_INVALID_BUILD_OPTIONS),
    CODE(CL_INVALID_PROGRAM),
    CODE(CL_INVALID_PROGRAM_EXECUTABLE),
    CODE(CL_INVALID_KERNEL_NAME),
    CODE(CL_INVALID_KERNEL_DEFINITION),
    CODE(CL_INVALID_KERNEL),
    CODE(CL_INVALID_ARG_INDEX),
    CODE(CL_INVALID_ARG_VALUE),
    CODE(CL_INVALID_ARG_SIZE),
    CODE(CL_INVALID_KERNEL_ARGS),
    CODE(CL_INVALID_WORK_DIMENSION),
    CODE(CL_INVALID_WORK_GROUP_SIZE),
    CODE(CL_INVALID_WORK_ITEM_SIZE),
    CODE(CL_INVALID_GLOBAL_OFFSET),
    CODE(CL_INVALID_EVENT_WAIT_LIST),
    CODE(CL_INVALID_EVENT),
    CODE(CL_INVALID_OPERATION),
    CODE(CL_INVALID_BUFFER_SIZE),
    CODE(CL_INVALID_GLOBAL_WORK_SIZE),
    CODE(CL_INVALID_PROPERTY),
};

enum { CODE_NAMES = sizeof code_names / sizeof *code_names };

const char *eg_cl_code_name(cl_int code)
{
    if (code > 0 || code <= -CODE_NAMES || !code_names[-code])
        return "unknown error";
    return code_names[-code];
}

engram_status eg_cl_result(cl_int code, const char *function, engram_error *error)
{
    if (code == CL_SUCCESS)
        return ENGRAM_OK;
    return eg_fail(error, ENGRAM_DEVICE, "%s failed: %s (%d)", function, eg_cl_code_name(code),
                   (int)code);
}
