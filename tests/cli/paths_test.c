/* Stored paths on terminals and in JSON: nothing is lost, nothing steers the terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/cli.h"

static void assert_escaped(const char *path, size_t size, const char *expected)
{
    eg_buffer out = {0};
    eg_path_escape(&out, (eg_view){(const uint8_t *)path, size});
    eg_write_u8(&out, 0);
    assert_string_equal((const char *)out.data, expected);
    eg_buffer_fini(&out);
}

static void test_escape(void **state)
{
    (void)state;
    assert_escaped("plain/name.txt", 14, "plain/name.txt");
    assert_escaped("two words", 9, "two\\ words");
    assert_escaped("line\nbreak\ttab", 14, "line\\nbreak\\ttab");
    assert_escaped("back\\slash", 10, "back\\\\slash");
    assert_escaped("\033[2J", 4, "\\033[2J");
    assert_escaped("\x7F", 1, "\\177");
    assert_escaped("gr\xC3\xBC\xC3\x9F", 6, "gr\xC3\xBC\xC3\x9F");
    assert_escaped("\xC2\x9B", 2, "\\302\\233"); /* a control character beyond ASCII */
    assert_escaped("\xFF"
                   "a\xC3",
                   3, "\\377a\\303");
    assert_escaped("", 0, "");
}

static void test_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size, expected;
    } cases[] = {
        {"a", 1, 1},
        {"\xC3\xBC", 2, 2},
        {"\xE2\x82\xAC", 3, 3},
        {"\xF0\x9F\x98\x80", 4, 4},
        {"\xC3", 1, 0},
        {"\xC0\x80", 2, 0},
        {"\x80", 1, 0},
        {"\xED\xA0\x80", 3, 0},
        {"\xE0\x80\x80", 3, 0},
        {"\xF4\x90\x80\x80", 4, 0},
        {"\xF8\x88\x80\x80", 4, 0},
        {"\xF0\x80\x80\x80", 4, 0},
        {"\xE2\x82", 2, 0},
        {"\xFF", 1, 0},
        {"", 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(eg_utf8_size((const uint8_t *)cases[i].bytes, cases[i].size),
                         cases[i].expected);
}

static void assert_json(const char *path, size_t size, const char *text, const char *base64)
{
    json_t *object = json_object();
    eg_path_json(object, "path", (eg_view){(const uint8_t *)path, size});
    assert_string_equal(json_string_value(json_object_get(object, "path")), text);
    const char *bytes = json_string_value(json_object_get(object, "path_base64"));
    if (base64 == NULL)
        assert_null(bytes);
    else
        assert_string_equal(bytes, base64);
    json_decref(object);
}

static void test_json(void **state)
{
    (void)state;
    assert_json("a/b\nc", 5, "a/b\nc", NULL);
    assert_json("gr\xC3\xBC\xC3\x9F", 6, "gr\xC3\xBC\xC3\x9F", NULL);
    assert_json("\xFF", 1, "\xEF\xBF\xBD", "/w==");
    assert_json("a\xFF", 2, "a\xEF\xBF\xBD", "Yf8=");
    assert_json("ab\xC3", 3, "ab\xEF\xBF\xBD", "YWLD");
    assert_json("abc\xC3", 4, "abc\xEF\xBF\xBD", "YWJjww==");
    assert_json("", 0, "", NULL);
}

static void test_texts(void **state)
{
    (void)state;
    char text[EG_TEXT_SIZE];
    assert_string_equal(eg_text_bytes(text, 0), "0 B");
    assert_string_equal(eg_text_bytes(text, 999), "999 B");
    assert_string_equal(eg_text_bytes(text, 1500), "1.5 kB");
    assert_string_equal(eg_text_bytes(text, 114386342), "114 MB");
    assert_string_equal(eg_text_bytes(text, UINT64_MAX), "18.4 EB");
    assert_string_equal(eg_text_time(text, 0, 5, true), "1970-01-01T00:00:00.000000005Z");
    assert_string_equal(eg_text_time(text, 1700000000, 0, false), "2023-11-14T22:13:20Z");
    assert_string_equal(eg_text_time(text, -1, 0, false), "1969-12-31T23:59:59Z");
    assert_string_equal(eg_text_seconds(text, 0), "0s");
    assert_string_equal(eg_text_seconds(text, 90), "90s");
    assert_string_equal(eg_text_seconds(text, 5400), "90m");
    assert_string_equal(eg_text_seconds(text, 129600), "36h");
    assert_string_equal(eg_text_seconds(text, 604800), "7d");
    assert_string_equal(eg_text_time(text, INT64_MAX, 0, false), "@9223372036854775807");
}

static void assert_operand(const char *operand, const char *expected)
{
    eg_stored_name path;
    engram_status status = eg_path_operand(operand, &path, NULL);
    if (expected == NULL)
        assert_int_equal(status, ENGRAM_INVALID);
    else
        assert_string_equal(path.text, expected);
}

static void test_operands(void **state)
{
    (void)state;
    char name[EG_NAME_MAX + 2] = "", path[EG_PATH_MAX + 2] = "";
    assert_operand("", "");
    assert_operand("/", "");
    assert_operand("./.", "");
    assert_operand("a", "a");
    assert_operand("//a///b/./c/", "a/b/c");
    assert_operand("..", NULL);
    assert_operand("a/../b", NULL);
    assert_operand("..a/b..", "..a/b..");
    memset(name, 'n', EG_NAME_MAX);
    assert_operand(name, name);
    name[EG_NAME_MAX] = 'n';
    assert_operand(name, NULL);
    for (size_t i = 0; i < EG_PATH_MAX; i++)
        path[i] = i % 2 == 0 ? 'p' : '/';
    assert_operand(path, path);
    path[EG_PATH_MAX - 2] = 'p';
    path[EG_PATH_MAX] = 'p';
    assert_operand(path, NULL);
    assert_string_equal(eg_path_base("a/b"), "b");
    assert_string_equal(eg_path_base("a"), "a");
    assert_string_equal(eg_path_base(""), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escape), cmocka_unit_test(test_utf8),     cmocka_unit_test(test_json),
        cmocka_unit_test(test_texts),  cmocka_unit_test(test_operands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
