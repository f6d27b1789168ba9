/* engram: the table of commands, and what happens around each of them. */
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "cli/cli.h"

static engram_status run_help(eg_cli *cli, engram_error *error);

static const eg_command command_help = {
    .name = "help",
    .operands = "[COMMAND]",
    .summary = "Help for a command",
    .details = "",
    .examples = "  engram help encode\n",
    .operand_max = 1,
    .needs_none = true,
    .run = run_help,
};

static const eg_command *const commands[] = {
    &eg_command_init,     &eg_command_encode, &eg_command_put,        &eg_command_ls,
    &eg_command_stat,     &eg_command_cat,    &eg_command_get,        &eg_command_extract,
    &eg_command_query,    &eg_command_dups,   &eg_command_rm,         &eg_command_mv,
    &eg_command_mkdir,    &eg_command_log,    &eg_command_diff,       &eg_command_snapshot,
    &eg_command_rollback, &eg_command_copy,   &eg_command_checkpoint, &eg_command_gc,
    &eg_command_compact,  &eg_command_verify, &eg_command_serve,      &eg_command_info,
    &eg_command_devices,  &eg_command_vector, &eg_command_bench,      NULL,
};

static const eg_command *find_command(const char *name)
{
    for (const eg_command *const *c = commands; *c != NULL; c++)
        if (strcmp((*c)->name, name) == 0)
            return *c;
    return strcmp(name, command_help.name) == 0 ? &command_help : NULL;
}

static engram_status run_help(eg_cli *cli, engram_error *error)
{
    const eg_command *command = cli->operand_count != 0 ? find_command(cli->operands[0]) : NULL;
    if (cli->operand_count != 0 && command == NULL)
        return eg_fail(error, ENGRAM_INVALID, "%s: no such command; see: engram help",
                       cli->operands[0]);
    cli->said_raw = true;
    if (command != NULL)
        eg_help_command(stdout, command);
    else
        eg_help_program(stdout, commands);
    return ENGRAM_OK;
}

static void set_log_level(const eg_cli *cli)
{
    static const eg_log_level levels[] = {EG_LOG_WARNING, EG_LOG_INFO, EG_LOG_DEBUG};
    int verbosity = cli->verbosity < 2 ? cli->verbosity : 2;
    eg_log_set_level(cli->quiet ? EG_LOG_ERROR : levels[verbosity]);
}

/* A script whose variable is empty does not mean the newest version. */
static engram_status check_at(const eg_cli *cli, engram_error *error)
{
    const char *at = eg_option_text(cli, "at");
    if (at == NULL || *at != 0)
        return ENGRAM_OK;
    return eg_fail(
        error, ENGRAM_INVALID,
        "--at is empty: name a version, a time or a snapshot, or leave it out for the newest");
}

static engram_status run(eg_cli *cli, int argc, char **argv, engram_error *error)
{
    EG_TRY(eg_options_parse(cli, argc, argv, find_command, error));
    set_log_level(cli);
    if (cli->wants_version) {
        cli->said_raw = true;
        puts("engram " ENGRAM_VERSION);
        return ENGRAM_OK;
    }
    if (cli->wants_help) {
        cli->said_raw = true;
        if (cli->command != NULL)
            eg_help_command(stdout, cli->command);
        else
            eg_help_program(stdout, commands);
        return ENGRAM_OK;
    }
    if (cli->command == NULL)
        return eg_fail(error, ENGRAM_INVALID,
                       "a command is needed, as in: engram encode -e my.engram DIR; "
                       "see: engram help");
    EG_TRY(check_at(cli, error));
    EG_TRY(eg_cli_check_place(cli, error));
    cli->progress.enabled =
        !cli->quiet && !eg_option_flag(cli, "no-progress") && isatty(STDERR_FILENO);
    return cli->command->run(cli, error);
}

/* What the command left open; its failure counts when nothing failed before. */
static engram_status close_all(eg_cli *cli, engram_status status, engram_error *error)
{
    engram_error late = {0};
    eg_access_close(&cli->access);
    engram_status closing = eg_engram_close(&cli->engram, &late);
    eg_device_close(&cli->device);
    eg_pool_free(cli->pool);
    if (closing == ENGRAM_OK || status != ENGRAM_OK)
        return status;
    eg_fail(error, closing,
            "%.400s; the command itself was done, and what it committed stays: the next one "
            "that opens the engram replays the journal",
            late.message);
    return closing;
}

/* A large engram keeps one descriptor for each segment: take as many as the system allows. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* A program started with 0, 1 or 2 closed must not get one of them for a file of the engram:
 * messages would go into it. Each is opened in the direction in which using it still fails. */
static void occupy_standard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
            open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd)
            _exit(1);
}

int main(int argc, char **argv)
{
    occupy_standard_descriptors();
    raise_descriptor_limit();
    eg_json_start();
    eg_cli cli = {.start_ns = eg_clock_monotonic_ns(), .document = json_object()};
    engram_error error = {0};
    eg_signals_init();
    eg_progress_init(&cli.progress, false);
    engram_status status = run(&cli, argc, argv, &error);
    status = close_all(&cli, status, &error);
    int code = eg_output_finish(&cli, status, &error);
    eg_progress_fini(&cli.progress);
    json_decref(cli.document);
    eg_options_fini(&cli);
    return code;
}
