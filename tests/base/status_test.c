/* Errors: one sentence, the first one, whole at its end. */
#include "base/status.h"

#include <errno.h>
#include <string.h>

#include "base/test.h"

static void every_status_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int i = 0; i < ENGRAM_STATUS_COUNT; i++) {
        assert_true(strlen(engram_status_name(i)) > 0);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(engram_status_name(i), engram_status_name(j));
    }
    assert_non_null(engram_status_name(ENGRAM_STATUS_COUNT));
    assert_non_null(engram_status_name((engram_status)-1));
}

static void exit_codes_are_those_of_the_manual(void **state)
{
    (void)state;
    static const int expected[ENGRAM_STATUS_COUNT] = {
        [ENGRAM_OK] = 0,       [ENGRAM_NOT_FOUND] = 5,   [ENGRAM_EXISTS] = 4,
        [ENGRAM_CONFLICT] = 4, [ENGRAM_DAMAGED] = 13,    [ENGRAM_IO] = 1,
        [ENGRAM_NO_SPACE] = 1, [ENGRAM_NO_MEMORY] = 1,   [ENGRAM_INVALID] = 2,
        [ENGRAM_BUSY] = 1,     [ENGRAM_LOCKED] = 11,     [ENGRAM_UNSUPPORTED] = 1,
        [ENGRAM_DEVICE] = 1,   [ENGRAM_CANCELLED] = 130, [ENGRAM_NOT_ENGRAM] = 10,
        [ENGRAM_NEWER] = 14,   [ENGRAM_NO_DEVICE] = 15,  [ENGRAM_PARTIAL] = 3,
        [ENGRAM_DENIED] = 12,
    };
    for (int i = 0; i < ENGRAM_STATUS_COUNT; i++)
        assert_int_equal(engram_status_exit_code(i), expected[i]);
    assert_int_equal(engram_status_exit_code(ENGRAM_STATUS_COUNT), 1);
}

static void the_first_failure_keeps_its_sentence(void **state)
{
    (void)state;
    engram_error error = {0};
    assert_int_equal(eg_fail(&error, ENGRAM_DAMAGED, "block %d", 7), ENGRAM_DAMAGED);
    assert_int_equal(eg_fail(&error, ENGRAM_BUSY, "later"), ENGRAM_BUSY);
    assert_int_equal(eg_fail_os(&error, ENOSPC, "later still"), ENGRAM_NO_SPACE);
    assert_int_equal(error.status, ENGRAM_DAMAGED);
    assert_int_equal(error.os_error, 0);
    assert_string_equal(error.message, "block 7");
}

static void nobody_has_to_listen(void **state)
{
    (void)state;
    assert_int_equal(eg_fail(NULL, ENGRAM_INVALID, "x"), ENGRAM_INVALID);
    assert_int_equal(eg_fail_os(NULL, ENOMEM, "x"), ENGRAM_NO_MEMORY);
}

static void system_errors_become_causes(void **state)
{
    (void)state;
    static const struct {
        int os_error;
        engram_status status;
    } cases[] = {{ENOSPC, ENGRAM_NO_SPACE},  {EDQUOT, ENGRAM_NO_SPACE}, {ENOMEM, ENGRAM_NO_MEMORY},
                 {ENOENT, ENGRAM_NOT_FOUND}, {EIO, ENGRAM_IO},          {EACCES, ENGRAM_IO}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        engram_error error = {0};
        assert_int_equal(eg_fail_os(&error, cases[i].os_error, "x"), cases[i].status);
        assert_int_equal(error.status, cases[i].status);
        assert_int_equal(error.os_error, cases[i].os_error);
    }
}

static void the_reason_is_added(void **state)
{
    (void)state;
    engram_error error = {0};
    eg_fail_os(&error, EIO, "cannot read %s", "a");
    assert_string_equal(error.message, "cannot read a: Input/output error");
    error = (engram_error){0};
    eg_fail_os(&error, 99999, "cannot read %s", "a");
    assert_string_equal(error.message, "cannot read a: error 99999");
}

static void long_sentences_are_cut_before_the_reason(void **state)
{
    (void)state;
    char path[3000];
    memset(path, 'p', sizeof path - 1);
    path[sizeof path - 1] = 0;
    engram_error error = {0};
    eg_fail_os(&error, EIO, "cannot read %s", path);
    size_t length = strlen(error.message);
    assert_int_equal(length, sizeof error.message - 1);
    const char *reason = ": Input/output error";
    assert_string_equal(error.message + length - strlen(reason), reason);

    error = (engram_error){0};
    eg_fail(&error, ENGRAM_INVALID, "%s", path);
    assert_int_equal(strlen(error.message), sizeof error.message - 1);
}

static engram_status try_both(engram_status first, int *cleaned)
{
    engram_status status;
    EG_TRY(first == ENGRAM_IO ? ENGRAM_IO : ENGRAM_OK);
    EG_TRY_DONE(first);
    status = ENGRAM_OK;
done:
    ++*cleaned;
    return status;
}

static void failures_are_forwarded(void **state)
{
    (void)state;
    int cleaned = 0;
    assert_int_equal(try_both(ENGRAM_IO, &cleaned), ENGRAM_IO);
    assert_int_equal(cleaned, 0);
    assert_int_equal(try_both(ENGRAM_BUSY, &cleaned), ENGRAM_BUSY);
    assert_int_equal(try_both(ENGRAM_OK, &cleaned), ENGRAM_OK);
    assert_int_equal(cleaned, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_a_name_of_its_own),
        cmocka_unit_test(exit_codes_are_those_of_the_manual),
        cmocka_unit_test(the_first_failure_keeps_its_sentence),
        cmocka_unit_test(nobody_has_to_listen),
        cmocka_unit_test(system_errors_become_causes),
        cmocka_unit_test(the_reason_is_added),
        cmocka_unit_test(long_sentences_are_cut_before_the_reason),
        cmocka_unit_test(failures_are_forwarded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
