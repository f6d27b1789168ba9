/* Options: from the arguments, and from ENGRAM_... for those that are not among them. */
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/memory.h"
#include "cli/cli.h"
#include "engram/time_text.h"

enum { OPTIONS_MAX = 48, LONG_FIRST = 256 };

const eg_option eg_options_global[] = {
    {"engram", 'e', "DIR", "the engram (environment: ENGRAM_DIR)"},
    {"server", 0, "URL", "or a server's: http://HOST:PORT or unix:/PATH"},
    {"token-file", 0, "FILE", "of the server: the first token in it is sent"},
    {"device", 0, "NAME",
     "auto, scalar, avx2, avx512, opencl or opencl:P.D; 'engram devices' lists them"},
    {"threads", 0, "N", "threads that compute (default: one for each core)"},
    {"memory", 0, "SIZE", "bound on anonymous memory, 96M or more (default: 256M)"},
    {"json", 0, NULL, "one JSON document on standard output, also after an error"},
    {"quiet", 'q', NULL, "say only what went wrong"},
    {"verbose", 'v', NULL, "say more; twice: still more"},
    {"no-progress", 0, NULL, "no progress line on the terminal"},
    {"help", 'h', NULL, "help for the program or the command"},
    {"version", 0, NULL, "the program's version"},
    {0},
};

/* The options of a run, in the order getopt_long knows them. */
typedef struct option_set {
    const eg_option *options[OPTIONS_MAX];
    size_t count;
    struct option longs[OPTIONS_MAX + 1];
    char letters[2 * OPTIONS_MAX + 3];
} option_set;

static bool has_option(const option_set *set, const char *name)
{
    for (size_t i = 0; i < set->count; i++)
        if (strcmp(set->options[i]->name, name) == 0)
            return true;
    return false;
}

/* What the set has is not replaced: an option of the command means what the command says. */
static void add_options(option_set *set, const eg_option *options)
{
    for (; options != NULL && options->name != NULL; options++) {
        if (has_option(set, options->name))
            continue;
        assert(set->count < OPTIONS_MAX);
        set->longs[set->count] =
            (struct option){options->name, options->value != NULL ? required_argument : no_argument,
                            NULL, LONG_FIRST + (int)set->count};
        set->options[set->count++] = options;
        if (options->letter == 0)
            continue;
        char *end = set->letters + strlen(set->letters);
        *end++ = options->letter;
        if (options->value != NULL)
            *end = ':';
    }
}

static const eg_option *find_option(const option_set *set, int code)
{
    if (code >= LONG_FIRST)
        return set->options[code - LONG_FIRST];
    for (size_t i = 0; i < set->count; i++)
        if (set->options[i]->letter == code)
            return set->options[i];
    return NULL;
}

static engram_status add_setting(eg_cli *cli, const eg_option *option, const char *value,
                                 engram_error *error)
{
    if (!eg_grow((void **)&cli->settings, &cli->setting_capacity, cli->setting_count + 1,
                 sizeof *cli->settings))
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
    cli->settings[cli->setting_count++] = (eg_setting){.option = option, .value = value};
    return ENGRAM_OK;
}

static engram_status refuse(const eg_cli *cli, const char *argument, const char *what,
                            engram_error *error)
{
    const char *space = cli->command != NULL ? " " : "";
    const char *name = cli->command != NULL ? cli->command->name : "";
    return eg_fail(error, ENGRAM_INVALID, "%s: %s; see: engram help%s%s", argument, what, space,
                   name);
}

/* Takes options from argv[0] on; optind is left at the first operand. */
static engram_status take(eg_cli *cli, const option_set *set, int argc, char **argv,
                          engram_error *error)
{
    opterr = 0;
    optind = 0; /* starts anew */
    for (;;) {
        int at = optind == 0 ? 1 : optind;
        int code = getopt_long(argc, argv, set->letters, set->longs, NULL);
        if (code == -1)
            return ENGRAM_OK;
        char letter[3] = {'-', (char)optopt, 0};
        bool is_long = optopt == 0 || optopt >= LONG_FIRST;
        const char *argument = is_long ? argv[optind > at ? optind - 1 : at] : letter;
        if (code == '?')
            return refuse(cli, argument, "no such option, or one that takes no value", error);
        if (code == ':')
            return refuse(cli, argument, "needs a value", error);
        EG_TRY(add_setting(cli, find_option(set, code), optarg, error));
        cli->settings[cli->setting_count - 1].is_argument = true;
    }
}

static void environment_name(const eg_option *option, char name[64])
{
    const char *text = strcmp(option->name, "engram") == 0 ? "dir" : option->name;
    size_t size = (size_t)snprintf(name, 64, "ENGRAM_%s", text);
    for (size_t i = 0; i < size && i < 63; i++)
        name[i] = name[i] == '-' ? '_' : (char)toupper((unsigned char)name[i]);
}

static bool is_one_of(const char *text, const char *const *words)
{
    while (*words != NULL && strcasecmp(*words, text) != 0)
        words++;
    return *words != NULL;
}

static bool is_no(const char *text)
{
    return is_one_of(text, (const char *const[]){"", "0", "no", "false", "off", NULL});
}

static bool is_yes(const char *text)
{
    return is_one_of(text, (const char *const[]){"1", "yes", "true", "on", NULL});
}

static bool is_set(const eg_cli *cli, const eg_option *option)
{
    for (size_t i = 0; i < cli->setting_count; i++)
        if (cli->settings[i].option == option)
            return true;
    return false;
}

/* An option without a value, set by a file or the environment, has one all the same. */
static engram_status check_flag(const eg_option *option, const char *name, const char *text, engram_error *error)
{
    return option->value != NULL || is_no(text) || is_yes(text)
               ? ENGRAM_OK
               : eg_fail(error, ENGRAM_INVALID, "%s is '%s': yes or no is expected", name, text);
}

/* help and version ask for something else than the command: only as arguments. */
static engram_status take_environment(eg_cli *cli, const option_set *set, engram_error *error)
{
    for (size_t i = 0; i < set->count; i++) {
        const eg_option *option = set->options[i];
        char name[64];
        environment_name(option, name);
        const char *text = getenv(name);
        bool asks = strcmp(option->name, "help") == 0 || strcmp(option->name, "version") == 0;
        if (text == NULL || asks || is_set(cli, option))
            continue;
        EG_TRY(check_flag(option, name, text, error));
        if (option->value == NULL && is_no(text))
            continue;
        EG_TRY(add_setting(cli, option, option->value != NULL ? text : NULL, error));
    }
    return ENGRAM_OK;
}

/* After an error the arguments behind it were not taken; one of them may say how errors are told.
 */
static bool is_among(int argc, char **argv, const char *argument)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], argument) == 0)
            return true;
    return false;
}

static void read_globals(eg_cli *cli)
{
    cli->json = eg_option_flag(cli, "json");
    cli->quiet = eg_option_flag(cli, "quiet");
    cli->wants_help = eg_option_flag(cli, "help");
    cli->wants_version = eg_option_flag(cli, "version");
    cli->verbosity = 0;
    for (size_t i = 0; i < cli->setting_count; i++)
        cli->verbosity += cli->settings[i].option->letter == 'v';
}

static engram_status check_operands(const eg_cli *cli, engram_error *error)
{
    const eg_command *c = cli->command;
    if (cli->wants_help || cli->wants_version)
        return ENGRAM_OK;
    if (cli->operand_count < c->operand_min)
        return refuse(cli, c->name, "needs more arguments", error);
    if (c->operand_max >= 0 && cli->operand_count > c->operand_max)
        return refuse(cli, cli->operands[c->operand_max], "one argument too many", error);
    return ENGRAM_OK;
}

engram_status eg_options_parse(eg_cli *cli, int argc, char **argv,
                               const eg_command *(*find)(const char *name), engram_error *error)
{
    option_set before = {.letters = "+:"}, after = {.letters = ":"};
    add_options(&before, eg_options_global);
    engram_status status = take(cli, &before, argc, argv, error);
    int at = optind;
    if (status == ENGRAM_OK && at < argc) {
        cli->command = find(argv[at]);
        if (cli->command == NULL)
            status =
                eg_fail(error, ENGRAM_INVALID, "%s: no such command; see: engram help", argv[at]);
    }
    if (status == ENGRAM_OK && cli->command != NULL) {
        add_options(&after, cli->command->options);
        add_options(&after, eg_options_global);
        status = take(cli, &after, argc - at, argv + at, error);
        cli->operands = argv + at + optind;
        cli->operand_count = argc - at - optind;
    }
    engram_status environment =
        take_environment(cli, cli->command != NULL ? &after : &before, error);
    read_globals(cli);
    if (status != ENGRAM_OK)
        cli->json |= is_among(argc, argv, "--json");
    EG_TRY(status);
    EG_TRY(environment);
    return cli->command != NULL ? check_operands(cli, error) : ENGRAM_OK;
}

static const eg_option *find_named(const eg_option *options, const char *name)
{
    for (; options != NULL && options->name != NULL; options++)
        if (strcmp(options->name, name) == 0)
            return options;
    return NULL;
}

/* How a run talks is decided before a file is read. */
static bool is_for_files(const eg_option *option)
{
    static const char *const not_for_files[] = {"json",    "quiet",       "verbose", "help",
                                                "version", "no-progress", "config"};
    for (size_t i = 0; i < sizeof not_for_files / sizeof *not_for_files; i++)
        if (strcmp(option->name, not_for_files[i]) == 0)
            return false;
    return true;
}

engram_status eg_options_add(eg_cli *cli, const char *name, const char *value, engram_error *error)
{
    const eg_option *option = find_named(cli->command->options, name);
    option = option != NULL ? option : find_named(eg_options_global, name);
    if (option == NULL || !is_for_files(option))
        return eg_fail(error, ENGRAM_INVALID, "'%s' is nothing that can be set here", name);
    EG_TRY(check_flag(option, name, value, error));
    if (is_set(cli, option) || (option->value == NULL && is_no(value)))
        return ENGRAM_OK;
    char *owned = eg_strdup(value);
    if (owned == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
    engram_status status = add_setting(cli, option, option->value != NULL ? owned : NULL, error);
    if (status == ENGRAM_OK)
        cli->settings[cli->setting_count - 1].owned = owned;
    else
        eg_free(owned);
    return status;
}

void eg_options_fini(eg_cli *cli)
{
    for (size_t i = 0; i < cli->setting_count; i++)
        eg_free(cli->settings[i].owned);
    eg_free(cli->settings);
    cli->settings = NULL;
    cli->setting_count = cli->setting_capacity = 0;
}

const char *eg_option_text(const eg_cli *cli, const char *name)
{
    for (size_t i = cli->setting_count; i-- > 0;)
        if (strcmp(cli->settings[i].option->name, name) == 0)
            return cli->settings[i].value;
    return NULL;
}

bool eg_option_flag(const eg_cli *cli, const char *name)
{
    for (size_t i = 0; i < cli->setting_count; i++)
        if (strcmp(cli->settings[i].option->name, name) == 0)
            return true;
    return false;
}

engram_status eg_option_texts(const eg_cli *cli, const char *name, const char ***texts,
                              size_t *count, engram_error *error)
{
    *count = 0;
    *texts = eg_alloc_zero(cli->setting_count + 1, sizeof **texts);
    if (*texts == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < cli->setting_count; i++)
        if (strcmp(cli->settings[i].option->name, name) == 0)
            (*texts)[(*count)++] = cli->settings[i].value;
    return ENGRAM_OK;
}

engram_status eg_option_number(const eg_cli *cli, const char *name, uint64_t low, uint64_t high,
                               uint64_t *value, engram_error *error)
{
    const char *text = eg_option_text(cli, name);
    char *end = NULL;
    if (text == NULL)
        return ENGRAM_OK;
    errno = 0;
    int base = strncmp(text, "0x", 2) == 0 ? 16 : 10;
    uint64_t number = strtoull(text, &end, base);
    bool digits = isdigit((unsigned char)*text) && *end == 0 && errno == 0;
    if (!digits || number < low || number > high)
        return eg_fail(error, ENGRAM_INVALID,
                       "--%s %s: a whole number from %" PRIu64 " to %" PRIu64 " is expected", name,
                       text, low, high);
    *value = number;
    return ENGRAM_OK;
}

engram_status eg_option_size(const eg_cli *cli, const char *name, uint64_t *value,
                             engram_error *error)
{
    const char *text = eg_option_text(cli, name);
    if (text != NULL && !eg_size_parse(text, value))
        return eg_fail(error, ENGRAM_INVALID,
                       "--%s %s: a size is expected, as 1000000, 256M or 1.5G", name, text);
    return ENGRAM_OK;
}

engram_status eg_option_duration(const eg_cli *cli, const char *name, uint64_t *seconds,
                                 engram_error *error)
{
    const char *text = eg_option_text(cli, name);
    if (text != NULL && !eg_text_duration(text, seconds))
        return eg_fail(error, ENGRAM_INVALID,
                       "--%s %s: a duration is expected, as 90s, 15m, 36h, 7d or 2w", name, text);
    return ENGRAM_OK;
}

engram_status eg_option_mode(const eg_cli *cli, const char *name, uint32_t *mode,
                             engram_error *error)
{
    const char *text = eg_option_text(cli, name);
    if (text == NULL)
        return ENGRAM_OK;
    size_t digits = strspn(text, "01234567");
    if (digits == 0 || digits > 5 || text[digits] != 0 || strtoul(text, NULL, 8) > 07777)
        return eg_fail(error, ENGRAM_INVALID,
                       "--%s %s: octal permission bits are expected, as 0644", name, text);
    *mode = (uint32_t)strtoul(text, NULL, 8);
    return ENGRAM_OK;
}

engram_status eg_option_share(const eg_cli *cli, const char *name, double *value,
                              engram_error *error)
{
    const char *text = eg_option_text(cli, name);
    if (text != NULL && !eg_share_parse(text, value))
        return eg_fail(error, ENGRAM_INVALID,
                       "--%s %s: a share from 0 to 1, or from 0%% to 100%%, is expected", name,
                       text);
    return ENGRAM_OK;
}
