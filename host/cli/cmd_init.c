/* engram init: an empty engram. */
#include <inttypes.h>

#include "cli/cli.h"

static const eg_option options[] = {
    {"chunk", 0, "RULE", "cdc:AVERAGE (content-defined) or fixed:SIZE; default cdc:16384"},
    {"seed", 0, "N", "64-bit seed of the codebook; default 0"},
    {"level", 0, "N", "1 (fast) to 9 (small); default 3"},
    {0},
};

static engram_status read_config(const eg_cli *cli, eg_engram_config *config, engram_error *error)
{
    const char *chunk = eg_option_text(cli, "chunk");
    uint64_t level = (uint64_t)eg_engram_config_default.level;
    *config = eg_engram_config_default;
    if (chunk != NULL)
        EG_TRY(eg_chunk_config_parse(chunk, &config->chunk, error));
    EG_TRY(eg_option_number(cli, "seed", 0, UINT64_MAX, &config->seed, error));
    EG_TRY(eg_option_number(cli, "level", 1, 9, &level, error));
    config->level = (int)level;
    return ENGRAM_OK;
}

static engram_status run(eg_cli *cli, engram_error *error)
{
    const char *dir = NULL;
    char chunk[32], seed[24];
    eg_engram_config config;
    EG_TRY(eg_cli_dir(cli, &dir, error));
    EG_TRY(read_config(cli, &config, error));
    EG_TRY(eg_engram_create(eg_io_posix(), dir, &config, error));
    eg_chunk_config_format(&config.chunk, chunk);
    snprintf(seed, sizeof seed, "%" PRIu64, config.seed);
    eg_path_json(cli->document, "engram", eg_view_of(dir));
    eg_json_put(cli->document, "chunk", json_string(chunk));
    eg_json_put(cli->document, "seed", json_string(seed));
    eg_json_put_number(cli->document, "level", (uint64_t)config.level);
    eg_output_say(cli, "%s: a new, empty engram (%s, level %d)\n", dir, chunk, config.level);
    return ENGRAM_OK;
}

const eg_command eg_command_init = {
    .name = "init",
    .operands = "",
    .summary = "Make an empty engram",
    .details =
        "The directory of -e must be new or empty. How content is cut and the codebook's seed are\n"
        "fixed for ever; the level can be chosen again by each encode. Chunks of 4 KiB\n"
        "(--chunk cdc:4096) make queries with small snippets sharper and the store larger.\n",
    .examples =
        "  engram init -e my.engram\n  engram init -e snippets.engram --chunk cdc:4096 --level 9\n",
    .options = options,
    .run = run,
};
