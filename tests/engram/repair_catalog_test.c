/* Repair: the catalog is damaged; what is retained is known from earlier ones. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "engram/repair_rig.h"

/* The top of the catalog, which in a small engram is all of it. */
static void damage_catalog(const bench *b)
{
    static const uint8_t zeros[8];
    char path[700];
    eg_manifest manifest;
    assert_ok(eg_manifest_read(b->rig.io, b->rig.dir, &manifest, E));
    eg_node_ref ref = manifest.state.catalog;
    eg_manifest_fini(&manifest);
    snprintf(path, sizeof path, "%s/tree/00000001.nodes", b->rig.dir);
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, zeros, sizeof zeros, (off_t)(ref.address + ref.size / 2)),
                     sizeof zeros);
    close(fd);
}

static void expect_named(rig *r)
{
    eg_version version;
    uint64_t number;
    assert_ok(rig_open(r, true, E));
    assert_ok(eg_engram_pin_at(r->engram, "one", &version, E));
    assert_ok(eg_fs_lookup(version.root, (eg_view){(const uint8_t *)"d/e/b", 5}, &number, E));
    eg_version_release(&version);
    assert_ok(eg_engram_close(&r->engram, E));
}

static void top_is_damaged(void **state)
{
    (void)state;
    for (int crashed = 0; crashed < 2; crashed++) {
        bench b;
        bench_init(&b, repair_rig_fill, crashed != 0);
        bench_copy(&b);
        damage_name = "the top of the catalog";
        damage_catalog(&b);
        outcome o = bench_judge(&b);
        assert_true(o.needed);
        assert_int_equal(o.exact, stored_count);
        expect_named(&b.rig);
        bench_fini(&b);
    }
}

int main(void)
{
    repair_rig_init();
    const struct CMUnitTest tests[] = {cmocka_unit_test(top_is_damaged)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
