/* Options from arguments and from the environment, and their values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/memory.h"
#include "cli/cli.h"

static const eg_option options[] = {
    {"exclude", 0, "GLOB", ""},
    {"level", 'l', "N", ""},
    {"mirror", 0, NULL, ""},
    {"share", 0, "P", ""},
    {"mode", 0, "MODE", ""},
    {"age", 0, "D", ""},
    {0},
};
static const eg_command command = {.name = "work",
                                   .operands = "",
                                   .summary = "",
                                   .details = "",
                                   .examples = "",
                                   .options = options,
                                   .operand_max = 2};

static const eg_command *find(const char *name)
{
    return strcmp(name, command.name) == 0 ? &command : NULL;
}

enum { ARGUMENTS_MAX = 16 };

/* arguments: between spaces. */
static engram_status parse(eg_cli *cli, const char *arguments, engram_error *error)
{
    static char text[256];
    static char *argv[ARGUMENTS_MAX + 1];
    int argc = 0;
    *cli = (eg_cli){0};
    *error = (engram_error){0};
    snprintf(text, sizeof text, "engram %s", arguments);
    for (char *word = strtok(text, " "); word != NULL && argc < ARGUMENTS_MAX;
         word = strtok(NULL, " "))
        argv[argc++] = word;
    argv[argc] = NULL;
    return eg_options_parse(cli, argc, argv, find, error);
}

static void assert_parses(eg_cli *cli, const char *arguments)
{
    engram_error error;
    engram_status status = parse(cli, arguments, &error);
    if (status != ENGRAM_OK)
        fail_msg("'%s': %s", arguments, error.message);
}

static void assert_refused(const char *arguments, const char *named)
{
    eg_cli cli;
    engram_error error;
    assert_int_equal(parse(&cli, arguments, &error), ENGRAM_INVALID);
    if (strstr(error.message, named) == NULL)
        fail_msg("'%s': %s does not name %s", arguments, error.message, named);
    eg_free(cli.settings);
}

static void test_arguments(void **state)
{
    (void)state;
    eg_cli cli;
    const char **texts;
    size_t count;
    assert_parses(&cli,
                  "-e first --json work a -e second --exclude x --mirror --exclude=y -l 3 b -vv");
    assert_ptr_equal(cli.command, &command);
    assert_true(cli.json);
    assert_int_equal(cli.verbosity, 2);
    assert_string_equal(eg_option_text(&cli, "engram"), "second");
    assert_string_equal(eg_option_text(&cli, "level"), "3");
    assert_true(eg_option_flag(&cli, "mirror"));
    assert_int_equal(cli.operand_count, 2);
    assert_string_equal(cli.operands[0], "a");
    assert_string_equal(cli.operands[1], "b");
    assert_int_equal(eg_option_texts(&cli, "exclude", &texts, &count, NULL), ENGRAM_OK);
    assert_int_equal(count, 2);
    assert_string_equal(texts[0], "x");
    assert_string_equal(texts[1], "y");
    eg_free(texts);
    eg_free(cli.settings);
    assert_parses(&cli, "work -- --mirror -");
    assert_false(eg_option_flag(&cli, "mirror"));
    assert_int_equal(cli.operand_count, 2);
    eg_free(cli.settings);
    assert_parses(&cli, "");
    assert_null(cli.command);
    eg_free(cli.settings);
}

static void test_wrong_usage(void **state)
{
    (void)state;
    eg_cli cli;
    engram_error error;
    assert_refused("play", "play");
    assert_refused("--mirror work", "--mirror");
    assert_refused("work --nope", "--nope");
    assert_refused("work -Z", "-Z");
    assert_refused("work --mirror=yes", "--mirror=yes");
    assert_refused("work --level", "--level");
    assert_refused("work -l", "-l");
    assert_refused("work a b c", "c");
    assert_int_equal(parse(&cli, "work --nope --json", &error), ENGRAM_INVALID);
    assert_true(cli.json); /* it decides how the error is told */
    eg_free(cli.settings);
}

static void test_environment(void **state)
{
    (void)state;
    eg_cli cli;
    setenv("ENGRAM_DIR", "there", 1);
    setenv("ENGRAM_NO_PROGRESS", "1", 1);
    setenv("ENGRAM_MIRROR", "0", 1);
    setenv("ENGRAM_LEVEL", "7", 1);
    setenv("ENGRAM_VERSION", "1", 1);
    assert_parses(&cli, "work -l 2");
    assert_string_equal(eg_option_text(&cli, "engram"), "there");
    assert_true(eg_option_flag(&cli, "no-progress"));
    assert_false(eg_option_flag(&cli, "mirror"));
    assert_false(cli.wants_version);
    assert_string_equal(eg_option_text(&cli, "level"), "2");
    eg_free(cli.settings);
    unsetenv("ENGRAM_DIR");
    unsetenv("ENGRAM_NO_PROGRESS");
    unsetenv("ENGRAM_MIRROR");
    unsetenv("ENGRAM_LEVEL");
    unsetenv("ENGRAM_VERSION");
}

static void test_values(void **state)
{
    (void)state;
    eg_cli cli;
    uint64_t number = 5;
    double share = 0.25;
    static const char *const bad[] = {"x", "-1", "3x", "99999999999999999999", "10", ""};
    assert_parses(&cli, "work");
    assert_int_equal(eg_option_number(&cli, "level", 1, 9, &number, NULL), ENGRAM_OK);
    assert_int_equal(number, 5); /* not given: as it was */
    eg_free(cli.settings);
    assert_parses(&cli, "work -l 0x8 --share 5%");
    assert_int_equal(eg_option_number(&cli, "level", 1, 9, &number, NULL), ENGRAM_OK);
    assert_int_equal(number, 8);
    assert_int_equal(eg_option_share(&cli, "share", &share, NULL), ENGRAM_OK);
    assert_true(share > 0.0499 && share < 0.0501);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cli.settings[0].value = bad[i];
        assert_int_equal(eg_option_number(&cli, "level", 1, 9, &number, NULL), ENGRAM_INVALID);
    }
    cli.settings[1].value = "101%";
    assert_int_equal(eg_option_share(&cli, "share", &share, NULL), ENGRAM_INVALID);
    cli.settings[1].value = "nan";
    assert_int_equal(eg_option_share(&cli, "share", &share, NULL), ENGRAM_INVALID);
    eg_free(cli.settings);
}

static void test_sizes(void **state)
{
    (void)state;
    uint64_t size;
    static const struct {
        const char *text;
        uint64_t size;
    } good[] = {{"0", 0},          {"1000", 1000},       {"64K", 65536}, {"64k", 65536},
                {"1.5M", 1572864}, {"2GiB", 2147483648}, {"7B", 7}};
    static const char *const bad[] = {"", "K", "-1", "1X", "1KK", "1e30", "nan", "1K1"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(eg_size_parse(good[i].text, &size));
        assert_true(size == good[i].size);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (eg_size_parse(bad[i], &size))
            fail_msg("'%s' is no size", bad[i]);
}

static void test_durations(void **state)
{
    (void)state;
    eg_cli cli;
    uint64_t seconds = 5;
    assert_parses(&cli, "work --age 36h");
    assert_int_equal(eg_option_duration(&cli, "other", &seconds, NULL), ENGRAM_OK);
    assert_int_equal(seconds, 5); /* not given: as it was */
    assert_int_equal(eg_option_duration(&cli, "age", &seconds, NULL), ENGRAM_OK);
    assert_int_equal(seconds, 129600);
    cli.settings[0].value = "soon";
    assert_int_equal(eg_option_duration(&cli, "age", &seconds, NULL), ENGRAM_INVALID);
    eg_free(cli.settings);
}

static void test_modes(void **state)
{
    (void)state;
    eg_cli cli;
    uint32_t mode = 0123;
    static const char *const bad[] = {"", "8", "0x1", "-1", "10000", "rw", "0000644", "6 4"};
    assert_parses(&cli, "work");
    assert_int_equal(eg_option_mode(&cli, "mode", &mode, NULL), ENGRAM_OK);
    assert_int_equal(mode, 0123); /* not given: as it was */
    eg_free(cli.settings);
    assert_parses(&cli, "work --mode 04755");
    assert_int_equal(eg_option_mode(&cli, "mode", &mode, NULL), ENGRAM_OK);
    assert_int_equal(mode, 04755);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cli.settings[0].value = bad[i];
        if (eg_option_mode(&cli, "mode", &mode, NULL) != ENGRAM_INVALID)
            fail_msg("'%s' is no mode", bad[i]);
    }
    eg_free(cli.settings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arguments),   cmocka_unit_test(test_wrong_usage),
        cmocka_unit_test(test_environment), cmocka_unit_test(test_values),
        cmocka_unit_test(test_sizes),       cmocka_unit_test(test_durations),
        cmocka_unit_test(test_modes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
