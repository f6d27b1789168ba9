/* A tree into an engram and out of it again, once and after changes. */
#include <string.h>
#include <unistd.h>

#include "ingest/ingest_rig.h"

static int set_up(void **state)
{
    ingest_rig *r = malloc(sizeof *r);
    ingest_rig_init(r);
    *state = r;
    return 0;
}

static int tear_down(void **state)
{
    ingest_rig_fini(*state);
    free(*state);
    return 0;
}

static void ingest_ok(ingest_rig *r, eg_ingest_stats *stats)
{
    issues_clear(r);
    assert_ok(ingest_in(r, stats, E));
    if (r->issue_count != 0)
        fail_msg("%s", (const char *)r->issues.data);
    rig_verify(&r->engram);
}

static void test_everything(void **state)
{
    ingest_rig *r = *state;
    eg_ingest_stats stats;
    tree_odd(r, 1000);
    tree_settle();
    ingest_ok(r, &stats);
    assert_round_trip(r);
    rig_reopen(&r->engram);
    assert_round_trip(r);
    ingest_ok(r, &stats);
    assert_int_not_equal(stats.files, 0);
    assert_int_equal(stats.files_unchanged, stats.files);
    assert_int_equal(stats.bytes_in, 0);
}

static void test_what_changed_so_lately_is_read_again(void **state)
{
    ingest_rig *r = *state;
    eg_ingest_stats stats;
    tree_text(r, "f", "one");
    ingest_ok(r, &stats);
    ingest_ok(r, &stats);
    assert_int_equal(stats.bytes_in, 3);
}

static void test_changes(void **state)
{
    ingest_rig *r = *state;
    eg_ingest_stats stats;
    tree_odd(r, 3);
    r->mirror = true;
    ingest_ok(r, &stats);
    tree_fill(r, "files/medium", 250000, 7); /* also under its other names */
    tree_text(r, "files/small", "hello again\n");
    tree_remove(r, "-rf");
    tree_remove(r, "kinds/dangling");
    tree_text(r, "kinds/dangling", "a file now");
    tree_link(r, "files", "new link");
    ingest_ok(r, &stats);
    assert_int_not_equal(stats.removed, 0);
    assert_round_trip(r);
}

static void test_mirror_removes_directories(void **state)
{
    ingest_rig *r = *state;
    eg_ingest_stats stats;
    tree_odd(r, 40);
    ingest_ok(r, &stats);
    char command[900];
    snprintf(command, sizeof command, "cd '%s' && rm -rf deep files", r->in);
    assert_int_equal(system(command), 0);
    ingest_ok(r, &stats);
    rig_expect(&r->engram, "files/empty", (const uint8_t *)"", 0);
    r->mirror = true;
    ingest_ok(r, &stats);
    rig_expect_absent(&r->engram, "deep");
    assert_round_trip(r);
}

static void test_kinds_change_places(void **state)
{
    ingest_rig *r = *state;
    eg_ingest_stats stats;
    r->mirror = true;
    tree_text(r, "x", "a file");
    tree_mkdir(r, "y");
    tree_text(r, "y/below", "b");
    ingest_ok(r, &stats);
    tree_remove(r, "x");
    tree_mkdir(r, "x");
    tree_text(r, "x/below", "b");
    tree_remove(r, "y/below");
    tree_remove(r, "y");
    tree_text(r, "y", "a file");
    ingest_ok(r, &stats);
    assert_round_trip(r);
    tree_remove(r, "y");
    tree_link(r, "x", "y");
    tree_remove(r, "x/below");
    tree_remove(r, "x");
    tree_text(r, "x", "a file again");
    ingest_ok(r, &stats);
    assert_round_trip(r);
}

static void test_hard_links_split_and_join(void **state)
{
    ingest_rig *r = *state;
    eg_ingest_stats stats;
    r->mirror = true;
    tree_text(r, "a", "one content");
    tree_hard_link(r, "a", "b");
    tree_hard_link(r, "a", "c");
    tree_text(r, "single", "on its own");
    tree_settle();
    ingest_ok(r, &stats);
    assert_round_trip(r);
    tree_remove(r, "b");
    tree_text(r, "b", "b's own");
    tree_remove(r, "single");
    tree_hard_link(r, "a", "single");
    ingest_ok(r, &stats);
    assert_round_trip(r);
    tree_remove(r, "a"); /* the first name becomes another file, the others stay one */
    tree_text(r, "a", "a's own");
    ingest_ok(r, &stats);
    assert_round_trip(r);
}

static void test_a_path_as_given(void **state)
{
    ingest_rig *r = *state;
    eg_ingest_stats stats;
    eg_source *source;
    tree_mkdir(r, "p");
    tree_mkdir(r, "p/q");
    tree_text(r, "p/q/f", "text");
    assert_ok(eg_source_open_path(r->engram.io, r->in, "./p//q/", &r->source_options, &source, E));
    assert_ok(ingest_source(r, source, &stats, E));
    rig_expect(&r->engram, "p/q/f", (const uint8_t *)"text", 4);
    assert_ok(
        eg_source_open_path(r->engram.io, r->in, "p/../p/q/f", &r->source_options, &source, E));
    assert_ok(ingest_source(r, source, &stats, E));
    assert_int_equal(stats.files, 1);
    engram_error error = {0};
    assert_int_equal(
        eg_source_open_path(r->engram.io, r->in, "not there", &r->source_options, &source, &error),
        ENGRAM_NOT_FOUND);
    assert_non_null(strstr(error.message, "not there"));
    rig_verify(&r->engram);
}

static void test_a_pipe(void **state)
{
    ingest_rig *r = *state;
    eg_ingest_stats stats;
    eg_source *source;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "through a pipe", 14), 14);
    close(ends[1]);
    assert_ok(
        eg_source_open_stream(r->engram.io, ends[0], "from/pipe", &r->source_options, &source, E));
    close(ends[0]);
    assert_ok(ingest_source(r, source, &stats, E));
    rig_expect(&r->engram, "from/pipe", (const uint8_t *)"through a pipe", 14);
}

static void test_cancel(void **state)
{
    ingest_rig *r = *state;
    atomic_bool cancel = true;
    eg_ingest_options options = {.cancel = &cancel};
    eg_ingest_stats stats;
    eg_ingest *run;
    eg_source *source;
    engram_error error = {0};
    tree_odd(r, 2);
    assert_ok(eg_source_open_path(r->engram.io, r->in, ".", &r->source_options, &source, E));
    assert_ok(eg_ingest_start(r->engram.engram, r->device, r->pool, &options, &run, E));
    assert_int_equal(eg_ingest_source(run, source, &error), ENGRAM_CANCELLED);
    assert_int_equal(eg_ingest_finish(&run, &stats, NULL), ENGRAM_CANCELLED);
    source->close(source);
    rig_verify(&r->engram);
    r->extract_options.cancel = &cancel;
    eg_extract_stats extracted;
    assert_int_equal(extract_out(r, &extracted, &error), ENGRAM_CANCELLED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_everything, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_changed_so_lately_is_read_again, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_changes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mirror_removes_directories, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_kinds_change_places, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hard_links_split_and_join, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_path_as_given, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_pipe, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cancel, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
