/* engram info --novelty: what the root alone says of a file. */
#include <inttypes.h>

#include "base/memory.h"
#include "cli/cli.h"
#include "search/novelty.h"

enum { INPUT_SIZE_MAX = 1 << 30 };
static const double told_errors = 2; /* that something must stand above nothing to be told */

static json_t *novelty_json(const eg_novelty *n)
{
    json_t *object = json_object();
    eg_json_put_number(object, "members", n->members);
    eg_json_put_number(object, "chunks", n->chunks);
    eg_json_put(object, "overlap", json_real(n->overlap));
    eg_json_put(object, "error", json_real(n->error));
    eg_json_put(object, "low", json_real(n->low));
    eg_json_put(object, "high", json_real(n->high));
    eg_json_put(object, "similarity", json_real(n->similarity));
    eg_json_put(object, "similarity_error", json_real(n->similarity_error));
    eg_json_put(object, "copy_errors", json_real(n->copy_errors));
    eg_json_put(object, "told", json_boolean(n->told));
    eg_json_put(object, "stored_at_most", json_real(n->stored_at_most));
    return object;
}

static void say_verdict(eg_cli *cli, const eg_novelty *n)
{
    bool copy_told = n->copy_errors >= told_errors;
    if (n->members == 0)
        eg_output_say(cli, "told      nothing is stored\n");
    else if (n->told)
        eg_output_say(cli, "told      the collection overlaps with it: one copy, or a little of "
                           "many; engram query tells which\n");
    else if (copy_told)
        eg_output_say(cli,
                      "told      an overlap cannot be told; a copy would stand %.1f errors "
                      "above nothing\n",
                      n->copy_errors);
    else
        eg_output_say(
            cli,
            "told      cannot be told: a copy would stand only %.1f errors above nothing; "
            "ask engram query\n",
            n->copy_errors);
    if (n->stored_at_most < 1)
        eg_output_say(cli, "stored    as it is: at most %.0f %% of it\n", 100 * n->stored_at_most);
}

static void say(eg_cli *cli, const eg_novelty *n)
{
    eg_output_say(cli, "root      of version %" PRIu64 ", %" PRIu64 " chunks\n", n->version,
                  n->members);
    eg_output_say(cli, "overlap   %.3g +- %.2g copies of its %" PRIu64 " chunks\n", n->overlap,
                  n->error, n->chunks);
    eg_output_say(cli, "mean J    %.2g +- %.1g\n", n->similarity, n->similarity_error);
    say_verdict(cli, n);
}

engram_status eg_info_novelty(eg_cli *cli, const char *file, engram_error *error)
{
    eg_novelty novelty = {0};
    uint8_t *bytes = NULL;
    size_t size = 0;
    engram_error inner = {0};
    if (eg_option_text(cli, "at") != NULL)
        return eg_fail(
            error, ENGRAM_INVALID,
            "--novelty asks the root, which is that of the newest version; leave out --at");
    EG_TRY(eg_cli_open_device(cli, error));
    EG_TRY(eg_cli_open(cli, true, error));
    engram_status status = eg_cli_read_input(file, INPUT_SIZE_MAX, &bytes, &size, &inner);
    if (status != ENGRAM_OK)
        return eg_fail(error, status, "%s: %s", file, inner.message);
    status = eg_novelty_of_bytes(cli->engram, cli->device, bytes, size, &novelty, error);
    eg_free(bytes);
    EG_TRY(status);
    eg_json_put_number(cli->document, "version", novelty.version);
    eg_json_put(cli->document, "novelty", novelty_json(&novelty));
    say(cli, &novelty);
    return ENGRAM_OK;
}
