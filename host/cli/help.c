/* Help texts, from the tables of commands and options. */
#include "cli/cli.h"

static void print_options(FILE *out, const eg_option *options)
{
    for (; options != NULL && options->name != NULL; options++) {
        char name[64], letter[8] = "   ";
        if (options->letter != 0)
            snprintf(letter, sizeof letter, "-%c,", options->letter);
        snprintf(name, sizeof name, "--%s%s%s", options->name, options->value != NULL ? " " : "",
                 options->value != NULL ? options->value : "");
        fprintf(out, "  %s %-20s %s\n", letter, name, options->help);
    }
}

void eg_help_program(FILE *out, const eg_command *const *commands)
{
    fputs("usage: engram [OPTION...] COMMAND [ARGUMENT...]\n\n"
          "Encodes large collections into a compact, bit-exact, versioned store (an engram),\n"
          "gives them back, and finds what is similar.\n\ncommands:\n",
          out);
    for (; *commands != NULL; commands++)
        fprintf(out, "  %-10s %s\n", (*commands)->name, (*commands)->summary);
    fputs("  help       help for a command\n\noptions of every command:\n", out);
    print_options(out, eg_options_global);
    fputs("\nEvery option is also a variable: --no-progress is ENGRAM_NO_PROGRESS=1, -e DIR is\n"
          "ENGRAM_DIR=DIR. Arguments win over variables.\n\n"
          "exit codes: 0 done, 1 error, 2 wrong usage, 3 done but some inputs could not be read,\n"
          "  4 version conflict or it exists already, 5 no such path or version, 10 no engram "
          "there,\n"
          "  11 another process writes there, 12 not authorised, 13 damage found,\n"
          "  14 written by a newer version, 15 no such device, 130 interrupted\n\n"
          "engram help COMMAND tells more.\n",
          out);
}

static bool knows_when(const eg_command *command)
{
    for (const eg_option *o = command->options; o != NULL && o->name != NULL; o++)
        if (o->value != NULL && strcmp(o->value, "WHEN") == 0)
            return true;
    return strstr(command->details, "WHEN") != NULL;
}

void eg_help_command(FILE *out, const eg_command *command)
{
    fprintf(out, "usage: engram %s [OPTION...]%s%s\n\n%s.\n", command->name,
            *command->operands != 0 ? " " : "", command->operands, command->summary);
    if (*command->details != 0)
        fprintf(out, "\n%s", command->details);
    if (knows_when(command))
        fputs("\nWHEN is a version's number, a snapshot's name, or a time: 2026-11-27T10:00:00Z, "
              "local without Z,\n2026-11-27 for that day's end, '3 hours ago', yesterday; then the "
              "newest version that is not\nyounger. 'engram info' lists versions and snapshots.\n",
              out);
    if (command->options != NULL && command->options->name != NULL) {
        fputs("\noptions:\n", out);
        print_options(out, command->options);
    }
    fputs("\noptions of every command:\n", out);
    print_options(out, eg_options_global);
    fprintf(out, "\nexamples:\n%s", command->examples);
}
