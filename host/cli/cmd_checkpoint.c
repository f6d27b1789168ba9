/* engram checkpoint: the journal into the tree's own files. */
#include <inttypes.h>

#include "cli/cli.h"

static const eg_option options[] = {{0}};

static engram_status run(eg_cli *cli, engram_error *error)
{
    engram_metrics before, after;
    char text[EG_TEXT_SIZE];
    EG_TRY(eg_cli_open(cli, false, error));
    engram_get_metrics(cli->engram, &before);
    EG_TRY(engram_checkpoint(cli->engram, error));
    engram_get_metrics(cli->engram, &after);
    eg_json_put_number(cli->document, "version", after.version);
    eg_json_put_number(cli->document, "journal_bytes_before", before.journal_bytes);
    eg_json_put_number(cli->document, "journal_bytes", after.journal_bytes);
    eg_output_say(cli, "version %" PRIu64 ", %s of journal released\n", after.version,
                  eg_text_bytes(text, before.journal_bytes));
    return ENGRAM_OK;
}

const eg_command eg_command_checkpoint = {
    .name = "checkpoint",
    .operands = "",
    .summary = "Write the journal into the tree's own files",
    .details = "Everything committed becomes durable in the tree's own files, and the journal is "
               "released. Opening\n"
               "for reading is quick then. Retention rules are applied. Writers do this by "
               "themselves, in\n"
               "intervals and when they end.\n",
    .examples = "  engram checkpoint -e my.engram\n",
    .options = options,
    .run = run,
};
