/* engram vector: hypervectors of inputs, each as one chunk. */
#include <inttypes.h>

#include "base/memory.h"
#include "cli/cli.h"
#include "report/query.h"

enum { INPUT_SIZE_MAX = 1 << 30 };

static const eg_option options[] = {
    {"seed", 0, "N", "seed of the codebook; default: that of the engram of -e, or 0"},
    {0},
};

static engram_status choose_codebook(eg_cli *cli, engram_codebook *codebook, engram_error *error)
{
    uint64_t seed = 0;
    EG_TRY(eg_option_number(cli, "seed", 0, UINT64_MAX, &seed, error));
    engram_codebook_init(codebook, seed);
    if (eg_option_text(cli, "seed") != NULL || eg_option_text(cli, "engram") == NULL)
        return ENGRAM_OK;
    EG_TRY(eg_cli_open(cli, true, error));
    *codebook = *eg_engram_get_codebook(cli->engram);
    return ENGRAM_OK;
}

static void print_vector(const uint8_t *vector, uint32_t spread)
{
    for (size_t i = 0; i < ENGRAM_BLOCKS; i++)
        printf("%02x", vector[i]);
    printf(" %" PRIu32 "\n", spread);
}

static void report(eg_cli *cli, json_t *list, const char *path, eg_view content,
                   const uint8_t *vector, uint32_t spread)
{
    if (!cli->json) {
        print_vector(vector, spread);
        return;
    }
    json_t *object = eg_vector_json(vector, spread, content.size);
    eg_path_json(object, "path", eg_view_of(path));
    eg_json_put(list, NULL, object);
}

static engram_status encode_input(eg_cli *cli, const engram_codebook *codebook, const char *path,
                                  json_t *list, engram_error *error)
{
    uint8_t *bytes = NULL, vector[ENGRAM_BLOCKS];
    uint32_t spread;
    eg_view content = {0};
    EG_TRY(eg_cli_read_input(path, INPUT_SIZE_MAX, &bytes, &content.size, error));
    content.data = bytes;
    engram_status status =
        eg_device_encode(cli->device, codebook, &content, 1, vector, &spread, error);
    if (status == ENGRAM_OK)
        report(cli, list, path, content, vector, spread);
    eg_free(bytes);
    return status;
}

static engram_status run(eg_cli *cli, engram_error *error)
{
    engram_codebook codebook;
    eg_issues issues;
    eg_device_stats stats;
    engram_status status = ENGRAM_OK;
    EG_TRY(eg_cli_open_device(cli, error));
    EG_TRY(choose_codebook(cli, &codebook, error));
    eg_issues_init(&issues, cli);
    json_t *list = json_array();
    for (int i = 0; i < cli->operand_count && status == ENGRAM_OK; i++) {
        engram_error inner = {0};
        status = encode_input(cli, &codebook, cli->operands[i], list, &inner);
        if (status == ENGRAM_PARTIAL) {
            eg_issues_add(&issues, cli->operands[i], inner.message);
            status = ENGRAM_OK;
        } else if (status != ENGRAM_OK) {
            eg_fail(error, status, "%s: %s", cli->operands[i], inner.message);
        }
    }
    eg_device_get_stats(cli->device, &stats);
    eg_json_put(cli->document, "vectors", list);
    eg_json_put(cli->document, "issues", json_incref(issues.list));
    eg_json_put(cli->document, "device_used", json_string(stats.device_used));
    eg_json_put_number(cli->document, "fallback_batches", stats.fallback_batches);
    uint64_t count = issues.count;
    eg_issues_fini(&issues);
    return status == ENGRAM_OK && count != 0 ? ENGRAM_PARTIAL : status;
}

const eg_command eg_command_vector = {
    .name = "vector",
    .operands = "FILE|-...",
    .summary = "Print the hypervector of each input, taken as one chunk",
    .details = "A line for each input: 512 hexadecimal digits (256 symbols), a space, and the "
               "spread, from\n"
               "which the number of distinct 8-byte windows follows. Inputs of at most 1 GiB.\n",
    .examples =
        "  engram vector README.md\n  echo hello | engram vector --seed 7 --device scalar -\n",
    .options = options,
    .operand_min = 1,
    .operand_max = -1,
    .needs_none = true,
    .run = run,
};
