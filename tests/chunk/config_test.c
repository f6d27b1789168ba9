/* How a chunk configuration is written and read back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "chunk/chunk.h"

static void good_texts_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text, *formatted;
        eg_chunk_config config;
    } good[] = {
        {"cdc:16384", "cdc:16384", {EG_CHUNK_CDC, 16384}},
        {"cdc:16K", "cdc:16384", {EG_CHUNK_CDC, 16384}},
        {"cdc:4k", "cdc:4096", {EG_CHUNK_CDC, 4096}},
        {"cdc:256", "cdc:256", {EG_CHUNK_CDC, 256}},
        {"cdc:1M", "cdc:1048576", {EG_CHUNK_CDC, 1048576}},
        {"cdc:1m", "cdc:1048576", {EG_CHUNK_CDC, 1048576}},
        {"cdc:1024K", "cdc:1048576", {EG_CHUNK_CDC, 1048576}},
        {"fixed:4096", "fixed:4096", {EG_CHUNK_FIXED, 4096}},
        {"fixed:257", "fixed:257", {EG_CHUNK_FIXED, 257}},
        {"fixed:100K", "fixed:102400", {EG_CHUNK_FIXED, 102400}},
        {"fixed:0000000000000000000000256", "fixed:256", {EG_CHUNK_FIXED, 256}},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        eg_chunk_config config;
        char text[32];
        engram_error error = {0};
        assert_int_equal(eg_chunk_config_parse(good[i].text, &config, &error), ENGRAM_OK);
        assert_int_equal(config.kind, good[i].config.kind);
        assert_int_equal(config.size_average, good[i].config.size_average);
        eg_chunk_config_format(&config, text);
        assert_string_equal(text, good[i].formatted);
    }
}

static void bad_texts_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "cdc",
        "cdc:",
        "cdc:K",
        "cdc: 4096",
        "cdc:+4096",
        "cdc:-4096",
        "cdc:4096 ",
        "cdc:4096x",
        "cdc:4KB",
        "cdc:4KK",
        "cdc:0",
        "cdc:128",
        "cdc:255",
        "cdc:1000",
        "cdc:2M",
        "cdc:1025K",
        "cdc:16G",
        "CDC:4096",
        "fixed:255",
        "fixed:0",
        "fixed:0K",
        "fixed:1025K",
        "fixed:1048577",
        "fixed:4e3",
        "fixed:0x100",
        "fixed:2048M",
        "16384",
        "16K",
        "gear:4096",
        "cdc:18446744073709555712",
        "cdc:4294971392",
        "fixed:1048576M",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        eg_chunk_config config = {EG_CHUNK_CDC, 1};
        engram_error error = {0};
        if (eg_chunk_config_parse(bad[i], &config, &error) != ENGRAM_INVALID)
            fail_msg("\"%s\" was read", bad[i]);
        assert_int_equal(config.size_average, 1);
        assert_non_null(strstr(error.message, "cdc:16K"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_texts_are_read),
        cmocka_unit_test(bad_texts_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
