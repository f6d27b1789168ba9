/* Plans: calibration, and the file that remembers them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "compute/fake_backend.h"
#include "compute/kernels.h"
#include "compute/plan.h"

static const eg_device_info info = {.spec = "opencl:0.0", .name = "GPU", .driver = "1.2 / 3.4"};
static char folder[256];

static int make_folder(void **state)
{
    (void)state;
    const char *temporary = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/engram-plan-XXXXXX", temporary ? temporary : "/tmp");
    return mkdtemp(folder) != NULL && setenv("XDG_CACHE_HOME", folder, 1) == 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char inner[300];
    snprintf(inner, sizeof inner, "%s/engram", folder);
    rmdir(inner);
    return rmdir(folder);
}

static void test_plan_comes_back(void **state)
{
    (void)state;
    const eg_plan plan = {{0, 4096, UINT64_MAX}};
    eg_plan got = {{7, 7, 7}};
    eg_device_info other = info;
    engram_error error = {0};
    char *path = eg_plan_path(&info, "avx2");
    assert_non_null(path);
    assert_memory_equal(path, folder, strlen(folder));
    assert_false(eg_plan_load(eg_io_posix(), path, &info, "avx2", &got));
    assert_int_equal(eg_plan_save(eg_io_posix(), path, &info, "avx2", &plan, &error), ENGRAM_OK);
    assert_true(eg_plan_load(eg_io_posix(), path, &info, "avx2", &got));
    assert_memory_equal(&got, &plan, sizeof plan);

    strcpy(other.driver, "1.2 / 3.5"); /* a new driver is another device */
    assert_false(eg_plan_load(eg_io_posix(), path, &other, "avx2", &got));
    assert_false(eg_plan_load(eg_io_posix(), path, &info, "avx512", &got));
    unlink(path);
    eg_free(path);
}

static void write_text(const char *path, const char *text, size_t size)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    fclose(file);
}

/* Every truncation, and every byte changed: no plan, or a plan with other numbers, never more. */
static void test_damaged_file(void **state)
{
    (void)state;
    const eg_plan plan = {{12, 4096, UINT64_MAX}};
    eg_plan got;
    uint8_t *text;
    size_t size;
    engram_error error = {0};
    char *path = eg_plan_path(&info, "avx2");
    assert_int_equal(eg_plan_save(eg_io_posix(), path, &info, "avx2", &plan, &error), ENGRAM_OK);
    assert_int_equal(eg_io_read_file(eg_io_posix(), path, 4096, &text, &size, &error), ENGRAM_OK);
    for (size_t cut = 0; cut < size; cut++) {
        write_text(path, (const char *)text, cut);
        assert_false(eg_plan_load(eg_io_posix(), path, &info, "avx2", &got));
    }
    for (size_t i = 0; i < size; i++) {
        text[i] ^= 0x80;
        write_text(path, (const char *)text, size);
        assert_false(eg_plan_load(eg_io_posix(), path, &info, "avx2", &got));
        text[i] ^= 0x80;
    }
    eg_free(text);
    unlink(path);
    eg_free(path);
}

static void test_calibration(void **state)
{
    (void)state;
    fake_backend fake;
    eg_backend *cpu;
    eg_plan plan;
    engram_error error = {0};
    fake_backend_init(&fake);
    assert_int_equal(eg_backend_cpu_open(eg_cpu_flags(), NULL, &cpu, &error), ENGRAM_OK);
    fake.ops.encode = NULL;
    fake.calls_left = 1;
    fake.forever = true; /* its second call and all later ones fail */
    assert_int_equal(eg_plan_calibrate(cpu, &fake.base, &plan, &error), ENGRAM_OK);
    for (unsigned i = 0; i < EG_OPERATION_COUNT; i++)
        assert_true(plan.from[i] == UINT64_MAX);
    assert_int_equal(fake.residents, 0);
    fake.base.ops->close(&fake.base);
    cpu->ops->close(cpu);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plan_comes_back),
        cmocka_unit_test(test_damaged_file),
        cmocka_unit_test(test_calibration),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
