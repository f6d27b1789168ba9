/* One message is one line of printable characters; the clocks go forward. */
#include "base/log.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/test.h"

/* What a call wrote to stderr. */
static size_t capture(eg_log_level level, const char *message, char *text, size_t size)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    int saved = dup(STDERR_FILENO);
    assert_true(saved >= 0 && dup2(ends[1], STDERR_FILENO) >= 0);
    eg_log(level, "%s", message);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[1]);
    ssize_t got = read(ends[0], text, size - 1);
    close(ends[0]);
    assert_true(got >= 0);
    text[got] = 0;
    return (size_t)got;
}

static void a_message_is_one_clean_line(void **state)
{
    (void)state;
    char text[4096];
    capture(EG_LOG_WARNING, "a\nb\033[31mc", text, sizeof text);
    assert_string_equal(text, "engram: warning: a?b?[31mc\n");
    capture(EG_LOG_ERROR, "gr\xc3\xbc\xc3\x9f", text, sizeof text);
    assert_string_equal(text, "engram: error: gr\xc3\xbc\xc3\x9f\n");
}

static void levels_are_respected(void **state)
{
    (void)state;
    char text[4096];
    assert_int_equal(capture(EG_LOG_INFO, "x", text, sizeof text), 0);
    eg_log_set_level(EG_LOG_DEBUG);
    capture(EG_LOG_DEBUG, "x", text, sizeof text);
    assert_string_equal(text, "engram: debug: x\n");
    eg_log_set_level(EG_LOG_ERROR);
    assert_int_equal(capture(EG_LOG_WARNING, "x", text, sizeof text), 0);
    eg_log_set_level(EG_LOG_WARNING);
}

static void long_messages_are_cut(void **state)
{
    (void)state;
    char message[5000], text[8000];
    memset(message, 'm', sizeof message - 1);
    message[sizeof message - 1] = 0;
    size_t size = capture(EG_LOG_ERROR, message, text, sizeof text);
    assert_in_range(size, 1000, 3000);
    assert_int_equal(text[size - 1], '\n');
    assert_ptr_equal(strchr(text, '\n'), text + size - 1);
}

static void clocks_go_forward(void **state)
{
    (void)state;
    uint64_t last = eg_clock_monotonic_ns();
    for (int i = 0; i < 1000; i++) {
        uint64_t now = eg_clock_monotonic_ns();
        assert_true(now >= last);
        last = now;
    }
    /* After 2020, before 2200: the unit is right. */
    assert_true(eg_clock_wall_ns() > 1577836800u * UINT64_C(1000000000));
    assert_true(eg_clock_wall_ns() < 7258118400u * UINT64_C(1000000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_one_clean_line),
        cmocka_unit_test(levels_are_respected),
        cmocka_unit_test(long_messages_are_cut),
        cmocka_unit_test(clocks_go_forward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
