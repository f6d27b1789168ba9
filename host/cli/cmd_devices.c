/* engram devices: what can compute here. */
#include <inttypes.h>

#include "base/memory.h"
#include "cli/cli.h"

enum { DEVICES_MAX = 64 };

static void say_device(eg_cli *cli, const eg_device_info *info)
{
    char memory[EG_TEXT_SIZE] = "-";
    if (info->memory_size != 0)
        eg_text_bytes(memory, info->memory_size);
    eg_output_say(cli, "%-12s %3u units  %9s  %s%s%s%s\n", info->spec, info->compute_units, memory,
                  info->name, *info->driver != 0 ? " (" : "", info->driver,
                  *info->driver != 0 ? ")" : "");
}

static engram_status run(eg_cli *cli, engram_error *error)
{
    eg_device_info *infos = eg_alloc_zero(DEVICES_MAX, sizeof *infos);
    json_t *list = json_array();
    if (infos == NULL) {
        json_decref(list);
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
    }
    size_t count = eg_device_list(infos, DEVICES_MAX);
    for (size_t i = 0; i < count && i < DEVICES_MAX; i++) {
        eg_json_put(list, NULL, eg_device_json(&infos[i]));
        say_device(cli, &infos[i]);
    }
    eg_json_put(cli->document, "devices", list);
    eg_free(infos);
    return ENGRAM_OK;
}

const eg_command eg_command_devices = {
    .name = "devices",
    .operands = "",
    .summary = "List what --device can name on this machine",
    .details = "The first column is what --device takes. 'auto' is the best of the CPU's "
               "instruction sets, or a\n"
               "GPU for the operations and batch sizes for which it was measured to be faster.\n",
    .examples = "  engram devices\n  engram devices --json\n",
    .needs_none = true,
    .run = run,
};
