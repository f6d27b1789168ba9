/* Documents of a server: what is read of them, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "access/document.h"
#include "access/target.h"

static const struct engram_stat sample = {.kind = ENGRAM_KIND_FILE,
                                          .inode = 17,
                                          .version = 42,
                                          .created_version = 3,
                                          .created_ns = 1500000000123456789,
                                          .modified_ns = 1600000000000000001,
                                          .size = 1234567890123,
                                          .chunks = 9,
                                          .mode = 04750,
                                          .uid = 1000,
                                          .gid = UINT32_MAX,
                                          .links = 2,
                                          .mtime_s = -5,
                                          .mtime_ns = 7};

static void assert_same(const struct engram_stat *a, const struct engram_stat *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->inode, b->inode);
    assert_int_equal(a->version, b->version);
    assert_int_equal(a->created_version, b->created_version);
    assert_int_equal(a->created_ns, b->created_ns);
    assert_int_equal(a->modified_ns, b->modified_ns);
    assert_int_equal(a->size, b->size);
    assert_int_equal(a->chunks, b->chunks);
    assert_int_equal(a->mode, b->mode);
    assert_int_equal(a->uid, b->uid);
    assert_int_equal(a->gid, b->gid);
    assert_int_equal(a->links, b->links);
    assert_int_equal(a->mtime_s, b->mtime_s);
    assert_int_equal(a->mtime_ns, b->mtime_ns);
    assert_int_equal(a->device, b->device);
}

static void check_back(const char *path, const struct engram_stat *stat, const char *target)
{
    eg_stored_name path_back, target_back;
    struct engram_stat back;
    json_t *object = eg_entry_json(path, stat, target);
    assert_int_equal(eg_document_entry(object, &path_back, &back, &target_back, NULL), ENGRAM_OK);
    assert_string_equal(path_back.text, path);
    assert_string_equal(target_back.text, target);
    assert_same(stat, &back);
    json_decref(object);
}

/* What the report writes comes back as it was. */
static void round_trip(void **state)
{
    struct engram_stat stat = sample;
    (void)state;
    check_back("a/b", &stat, "");
    check_back("not utf-8 \xff\xfe", &stat, "");
    stat.kind = ENGRAM_KIND_SYMLINK;
    check_back("link", &stat, "to \xff");
    stat.kind = ENGRAM_KIND_CHAR_DEVICE;
    stat.device = 0x1234567;
    check_back("device", &stat, "");
    stat.kind = ENGRAM_KIND_DIRECTORY;
    stat.device = 0;
    stat.mtime_s = 400000000000; /* a year of five digits */
    stat.mtime_ns = 0;
    check_back("", &stat, "");
}

static void assert_refused(json_t *object, const char *key, json_t *value)
{
    eg_stored_name path, target;
    struct engram_stat stat;
    engram_error error = {0};
    json_t *copy = json_deep_copy(object);
    if (value != NULL)
        json_object_set_new(copy, key, value);
    else
        json_object_del(copy, key);
    if (eg_document_entry(copy, &path, &stat, &target, &error) != ENGRAM_IO)
        fail_msg("%s: %s was taken", key, json_dumps(copy, 0));
    assert_non_null(strstr(error.message, "the server's reply"));
    json_decref(copy);
}

static json_t *long_text(size_t size, char c)
{
    static char text[8192];
    memset(text, c, size);
    return json_stringn(text, size);
}

static void nonsense(void **state)
{
    struct engram_stat stat = sample;
    const char *key;
    json_t *value;
    (void)state;
    stat.kind = ENGRAM_KIND_BLOCK_DEVICE;
    json_t *object = eg_entry_json("path", &stat, "");
    json_object_foreach(object, key, value)
    {
        if (strcmp(key, "token") == 0)
            continue; /* follows from two others */
        assert_refused(object, key, NULL);
        assert_refused(object, key, json_object());
        assert_refused(object, key, json_null());
    }
    assert_refused(object, "size", json_integer(-1));
    assert_refused(object, "uid", json_integer(1ll << 32));
    assert_refused(object, "mode", json_string("8"));
    assert_refused(object, "mode", json_string("00644"));
    assert_refused(object, "kind", json_string("thing"));
    assert_refused(object, "mtime", json_string("yesterday"));
    assert_refused(object, "mtime", json_string("2026-11-27T10:00:00.5Z"));
    assert_refused(object, "mtime", json_string("@"));
    assert_refused(object, "created", json_string("@-1"));
    assert_refused(object, "created", json_string("@999999999999999999"));
    assert_refused(object, "path", long_text(EG_PATH_MAX + 1, 'a'));
    assert_refused(object, "path_base64", json_string("***"));
    assert_refused(object, "path_base64", json_string("YQBi")); /* a zero byte */
    assert_refused(object, "path_base64", long_text(8000, 'A' + 24));
    json_object_set_new(object, "kind", json_string("symlink"));
    assert_refused(object, "target", json_integer(1));
    json_decref(object);
    object = json_array();
    assert_refused(object, "x", NULL);
    json_decref(object);
}

static void targets(void **state)
{
    eg_buffer target = {0};
    (void)state;
    eg_target_add(&target, "/v1/files/");
    eg_target_add_path(&target, "a b/%?#+&\xff~-._");
    eg_target_add_parameter(&target, "at", "3 hours ago");
    eg_target_add_number(&target, "limit", UINT64_MAX);
    assert_string_equal(
        eg_target_text(&target),
        "/v1/files/a%20b/%25%3F%23%2B%26%FF~-._?at=3%20hours%20ago&limit=18446744073709551615");
    eg_buffer_fini(&target);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(nonsense),
        cmocka_unit_test(targets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
