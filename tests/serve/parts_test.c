/* The server's parts without a server: targets, routes, conditions, ranges, settings, the lines of the access log. */
#include "base/test.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"
#include "serve/access_log.h"
#include "serve/conditions.h"
#include "serve/config.h"
#include "serve/deadlines.h"
#include "serve/metrics.h"
#include "serve/routes.h"
#include "serve/uri.h"

/* ---- targets ---- */

static void targets(void **state)
{
    eg_uri uri;
    (void)state;
    assert_int_equal(eg_uri_parse("/a%20b?x=1&y&=2&z=%41+b&&", &uri, NULL), ENGRAM_OK);
    assert_string_equal(uri.path, "/a%20b");
    assert_int_equal(uri.count, 4);
    assert_string_equal(uri.parameters[1].name, "y");
    assert_string_equal(uri.parameters[1].value, "1");
    assert_string_equal(uri.parameters[2].name, "");
    assert_string_equal(uri.parameters[3].value, "A b");
    assert_int_equal(eg_uri_decode_operand(&uri, 1, NULL), ENGRAM_OK);
    assert_string_equal(uri.operand, "a b");
    eg_uri_fini(&uri);
    static const char *const whole[][2] = {{"http://x/", "/"}, {"http://x:1/a/b", "/a/b"}, {"HTTPS://x", "/"}, {"http://x?a", "/"}};
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        assert_int_equal(eg_uri_parse(whole[i][0], &uri, NULL), ENGRAM_OK);
        assert_string_equal(uri.path, whole[i][1]);
        eg_uri_fini(&uri);
    }
    static const char *const bad[] = {"", "a", "*", "ftp://x/", "http:/x/", "/?a=%", "/?a=%0", "/?%zz", "/?a=%00"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(eg_uri_parse(bad[i], &uri, NULL), ENGRAM_INVALID);
        eg_uri_fini(&uri);
    }
    char many[200] = "/?";
    for (int i = 0; i < EG_PARAMETERS_MAX + 1; i++)
        strcat(many, "a&");
    assert_int_equal(eg_uri_parse(many, &uri, NULL), ENGRAM_INVALID);
    eg_uri_fini(&uri);
}

static engram_status check(const char *path, bool may_end, char out[5000])
{
    strcpy(out, path);
    return eg_uri_check_path(out, may_end, NULL);
}

static void paths(void **state)
{
    char out[5000], name[300];
    (void)state;
    static const char *const good[] = {"", "a", "a/b", "...", "a/..b", ".a"};
    static const char *const bad[] = {"/", "//", "/a", "a//b", ".", "..", "a/.", "a/..", "../a", "a/../b", "a//"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(check(good[i], false, out), ENGRAM_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(check(bad[i], false, out), ENGRAM_INVALID);
    assert_int_equal(check("a/", false, out), ENGRAM_INVALID);
    assert_int_equal(check("a/", true, out), ENGRAM_OK);
    assert_string_equal(out, "a");
    memset(name, 'n', sizeof name);
    name[256] = 0;
    assert_int_equal(check(name, false, out), ENGRAM_INVALID);
    name[255] = 0;
    assert_int_equal(check(name, false, out), ENGRAM_OK);
}

static void parameters_are_written(void **state)
{
    eg_buffer text = {0};
    (void)state;
    eg_uri_write_parameter(&text, true, "at", "3 hours ago");
    eg_uri_write_parameter(&text, false, "after", "a/b&c=%\xff");
    eg_write_u8(&text, 0);
    assert_string_equal((const char *)text.data, "?at=3%20hours%20ago&after=a/b%26c%3D%25%FF");
    eg_buffer_fini(&text);
}

/* ---- routes ---- */

static void routes(void **state)
{
    (void)state;
    eg_match match = eg_routes_find("GET", "/v1/files/a/b");
    assert_non_null(match.route);
    assert_int_equal(match.operand, strlen("/v1/files/"));
    assert_ptr_equal(eg_routes_at(match.index), match.route);
    assert_ptr_equal(eg_routes_find("HEAD", "/v1/files/").route, match.route);
    assert_null(eg_routes_find("GET", "/v1/files").route);
    assert_null(eg_routes_find("GET", "/v1/info/").route);
    assert_null(eg_routes_find("get", "/v1/info").route);
    assert_string_equal(eg_routes_find("BREW", "/v1/info").allowed, "GET, HEAD");
    assert_string_equal(eg_routes_find("GET", "/nothing").allowed, "");
    assert_int_equal(eg_routes_find("GET", "/nothing").index, eg_routes_count());
    assert_true(eg_routes_count() < EG_METRICS_ROUTES_MAX);
}

/* ---- conditions ---- */

static void tags(void **state)
{
    char tag[EG_TAG_SIZE];
    (void)state;
    assert_string_equal(eg_tag_format(17, 42, tag), "\"17.42\"");
    assert_int_equal(eg_tags_have(" * ", tag, false), EG_TAG_ANY);
    assert_int_equal(eg_tags_have("\"1.1\" ,\"17.42\"", tag, false), EG_TAG_FOUND);
    assert_int_equal(eg_tags_have("W/\"17.42\"", tag, false), EG_TAG_NONE);
    assert_int_equal(eg_tags_have("W/\"17.42\"", tag, true), EG_TAG_FOUND);
    static const char *const none[] = {"", "17.42", "\"17.42", "\"17.421\"", "\"117.42\"", "**", ",,,", "W/"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_int_equal(eg_tags_have(none[i], tag, true), EG_TAG_NONE);
}

static void ranges_of_nothing(void **state)
{
    uint64_t begin, length;
    (void)state;
    assert_int_equal(eg_range_parse(NULL, 10, &begin, &length), EG_RANGE_WHOLE);
    assert_int_equal(length, 10);
    assert_int_equal(eg_range_parse("bytes=0-", 0, &begin, &length), EG_RANGE_BEYOND);
    assert_int_equal(eg_range_parse("bytes=-1", 0, &begin, &length), EG_RANGE_BEYOND);
    assert_int_equal(eg_range_parse("bytes=0-999999999999999999", 10, &begin, &length), EG_RANGE_PART);
    assert_int_equal(length, 10);
}

/* ---- settings ---- */

static engram_status collect(void *context, const char *name, const char *value, size_t line, engram_error *error)
{
    char *out = context;
    (void)error;
    sprintf(out + strlen(out), "%zu %s=%s;", line, name, value);
    return strcmp(name, "stop") == 0 ? ENGRAM_CANCELLED : ENGRAM_OK;
}

static engram_status parse(const char *text, char out[1000], engram_error *error)
{
    *out = 0;
    return eg_config_parse(text, strlen(text), collect, out, error);
}

static void settings(void **state)
{
    char out[1000];
    engram_error error = {0};
    (void)state;
    assert_int_equal(parse("[serve]\r\n\n a-b = c d \t\n#x\n;y = z\nempty=\nlast=\"q\" # kept", out, NULL), ENGRAM_OK);
    assert_string_equal(out, "3 a-b=c d;6 empty=;7 last=\"q\" # kept;");
    assert_int_equal(parse("a=1\nstop=1\nb=2\n", out, NULL), ENGRAM_CANCELLED);
    assert_string_equal(out, "1 a=1;2 stop=1;");
    static const char *const bad[] = {"a", "=1", "A=1", "a b=1", "[other]", "a=\x01", "a_b=1", "[serve"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(parse(bad[i], out, NULL), ENGRAM_INVALID);
    assert_int_equal(parse("\n\nwrong\n", out, &error), ENGRAM_INVALID);
    assert_non_null(strstr(error.message, "line 3"));
}

/* ---- figures and lines ---- */

static void log_lines_are_json(void **state)
{
    char every[256];
    eg_buffer line = {0};
    (void)state;
    for (int i = 0; i < 255; i++)
        every[i] = (char)(i + 1);
    every[255] = 0;
    const eg_access access = {.remote = "[::1]:1", .method = "GET", .target = every, .agent = every, .status = 200};
    eg_access_log_format(&access, 1000000000, &line);
    json_t *d = json_loadb((const char *)line.data, line.size, 0, NULL);
    assert_non_null(d);
    assert_int_equal(json_integer_value(json_object_get(d, "status")), 200);
    assert_int_equal(strncmp(json_string_value(json_object_get(d, "target")), every, 0x7E), 0);
    assert_ptr_equal(memchr(line.data, '\n', line.size), line.data + line.size - 1);
    json_decref(d);
    eg_buffer_fini(&line);
}

static void histograms(void **state)
{
    static eg_histogram h;
    eg_buffer out = {0};
    (void)state;
    eg_histogram_add(&h, 0.000064);
    eg_histogram_add(&h, 0.000065);
    eg_histogram_add(&h, 1000);
    eg_histogram_write(&out, "x", "a=\"b\"", &h);
    eg_write_u8(&out, 0);
    assert_non_null(strstr((char *)out.data, "x_bucket{a=\"b\",le=\"6.4e-05\"} 1\n"));
    assert_non_null(strstr((char *)out.data, "x_bucket{a=\"b\",le=\"0.000128\"} 2\n"));
    assert_non_null(strstr((char *)out.data, "x_bucket{a=\"b\",le=\"67.1089\"} 2\n"));
    assert_non_null(strstr((char *)out.data, "x_bucket{a=\"b\",le=\"+Inf\"} 3\n"));
    assert_non_null(strstr((char *)out.data, "x_count{a=\"b\"} 3\n"));
    eg_buffer_fini(&out);
}

/* Every cause has a status, and none of a client's is one of the server's. */
static void causes_have_statuses(void **state)
{
    (void)state;
    for (int i = 0; i < ENGRAM_STATUS_COUNT; i++)
        assert_true(eg_http_status((engram_status)i) >= 200);
    assert_int_equal(eg_http_status(ENGRAM_INVALID), 400);
    assert_int_equal(eg_http_status(ENGRAM_NOT_FOUND), 404);
    assert_int_equal(eg_http_status(ENGRAM_CONFLICT), 409);
    assert_int_equal(eg_http_status(ENGRAM_DAMAGED), 500);
}

/* A new edge of epoll comes while bytes wait unread and no request is under way, none while one is. */
static void unread_requests_are_brought_to_notice(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    eg_deadlines *d = NULL;
    (void)state;
    int listening = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0), epoll = epoll_create1(0);
    assert_int_equal(bind(listening, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listening, 1), 0);
    assert_int_equal(getsockname(listening, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(connect(client, (struct sockaddr *)&address, size), 0);
    int fd = accept(listening, NULL, NULL);
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
    assert_int_equal(eg_deadlines_start(60, 1, &d, NULL), ENGRAM_OK);
    eg_connection *c = eg_deadlines_add(d, fd, NULL, 60);
    assert_non_null(c);
    atomic_store(&c->phase, EG_CONNECTION_BUSY);
    assert_int_equal(write(client, "x", 1), 1);
    assert_int_equal(epoll_wait(epoll, &event, 1, 5000), 1); /* the first, which is forgotten */
    assert_int_equal(epoll_wait(epoll, &event, 1, 2500), 0);
    atomic_store(&c->phase, EG_CONNECTION_IDLE);
    assert_int_equal(epoll_wait(epoll, &event, 1, 10000), 1);
    assert_true(eg_deadlines_wake_count(d) > 0);
    eg_deadlines_remove(d, c);
    eg_deadlines_stop(&d);
    close(listening), close(client), close(fd), close(epoll);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unread_requests_are_brought_to_notice),
        cmocka_unit_test(targets),
        cmocka_unit_test(paths),
        cmocka_unit_test(parameters_are_written),
        cmocka_unit_test(routes),
        cmocka_unit_test(tags),
        cmocka_unit_test(ranges_of_nothing),
        cmocka_unit_test(settings),
        cmocka_unit_test(log_lines_are_json),
        cmocka_unit_test(histograms),
        cmocka_unit_test(causes_have_statuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
