/* engram snapshot: names for versions, and which versions are kept without one. */
#include <inttypes.h>

#include "cli/cli.h"

static const eg_option options[] = {
    {"at", 0, "WHEN", "create: name this version; default: the newest"},
    EG_OPTION_DRY_RUN,
    {"every", 0, "DURATION", "keep: every version younger than this, as 90s, 36h, 7d or 2w"},
    {"last", 0, "N", "keep: the last N"},
    {"hourly", 0, "N", "keep: the newest of each of the last N hours that have any"},
    {"daily", 0, "N", "keep: the same by days"},
    {"weekly", 0, "N", "keep: by weeks"},
    {"monthly", 0, "N", "keep: by months"},
    {"yearly", 0, "N", "keep: by years"},
    {"runs", 0, "N|all", "keep: of the versions that encode labelled the last N"},
    {0},
};

/* ---- create ---- */

static engram_status create(eg_cli *cli, engram_error *error)
{
    const char *name = cli->operands[1], *at = eg_option_text(cli, "at");
    uint64_t version = 0;
    EG_TRY(eg_cli_access(cli, false, error));
    EG_TRY(eg_access_snapshot_create(cli->access, name, at, &version, error));
    eg_path_json(cli->document, "name", eg_view_of(name));
    eg_json_put_number(cli->document, "version", version);
    eg_output_say_path(cli, name);
    eg_output_say(cli, ": version %" PRIu64 "\n", version);
    return ENGRAM_OK;
}

/* ---- list ---- */

static engram_status on_snapshot(void *context, const char *name, uint64_t version,
                                 uint64_t time_ns, engram_error *error)
{
    eg_cli *cli = context;
    char time[EG_TEXT_SIZE];
    (void)error;
    eg_text_time_ns(time, time_ns);
    if (cli->json)
        eg_output_list_item(cli, eg_snapshot_json(name, version, time_ns));
    eg_output_say(cli, "%8" PRIu64 "  %.19sZ  ", version, time);
    eg_output_say_path(cli, name);
    eg_output_say(cli, "\n");
    return eg_output_check();
}

static engram_status list(eg_cli *cli, engram_error *error)
{
    EG_TRY(eg_cli_access(cli, true, error));
    if (cli->json)
        eg_output_list_begin(cli, "snapshots");
    return eg_access_snapshots(cli->access, on_snapshot, cli, error);
}

/* ---- delete ---- */

typedef struct wanted {
    const char *name;
    uint64_t version;
    bool found;
} wanted;

static engram_status on_candidate(void *context, const char *name, uint64_t version,
                                  uint64_t time_ns, engram_error *error)
{
    wanted *w = context;
    (void)time_ns;
    (void)error;
    if (strcmp(name, w->name) == 0) {
        w->version = version;
        w->found = true;
    }
    return ENGRAM_OK;
}

static engram_status find(eg_cli *cli, wanted *w, engram_error *error)
{
    EG_TRY(eg_access_snapshots(cli->access, on_candidate, w, error));
    return w->found ? ENGRAM_OK
                    : eg_fail(error, ENGRAM_NOT_FOUND,
                              "%s: no such snapshot; 'engram snapshot list' lists them", w->name);
}

static engram_status delete (eg_cli *cli, engram_error *error)
{
    bool dry_run = eg_option_flag(cli, "dry-run");
    wanted w = {.name = cli->operands[1]};
    EG_TRY(eg_cli_access(cli, dry_run, error));
    EG_TRY(find(cli, &w, error));
    if (!dry_run)
        EG_TRY(eg_access_snapshot_delete(cli->access, w.name, error));
    eg_path_json(cli->document, "name", eg_view_of(w.name));
    eg_json_put_number(cli->document, "version", w.version);
    eg_json_put(cli->document, "deleted", json_boolean(!dry_run));
    eg_output_say_path(cli, w.name);
    eg_output_say(cli, ": %s; version %" PRIu64 " stays as long as other rules keep it\n",
                  dry_run ? "would be deleted" : "deleted", w.version);
    return ENGRAM_OK;
}

/* ---- keep ---- */

static engram_status keep(eg_cli *cli, engram_error *error)
{
    engram_retention retention = {0};
    bool changed = false, dry_run = eg_option_flag(cli, "dry-run");
    EG_TRY(eg_retention_read(cli, &retention, &changed, error)); /* wrong usage opens nothing */
    EG_TRY(eg_cli_check_directory(cli, "snapshot keep", error));
    EG_TRY(eg_cli_open(cli, !changed || dry_run, error));
    engram_get_retention(cli->engram, &retention);
    EG_TRY(eg_retention_read(cli, &retention, &changed, error));
    if (changed && !dry_run)
        EG_TRY(engram_set_retention(cli->engram, &retention, error));
    eg_json_put(cli->document, "retention", eg_retention_json(&retention));
    eg_json_put(cli->document, "changed", json_boolean(changed && !dry_run));
    eg_output_say(cli, dry_run ? "would keep: " : "kept: ");
    eg_retention_say(cli, json_object_get(cli->document, "retention"));
    return ENGRAM_OK;
}

/* ---- which of them ---- */

typedef struct verb {
    const char *name;
    int operand_count;   /* with the verb */
    const char *options; /* between spaces */
    engram_status (*run)(eg_cli *cli, engram_error *error);
} verb;

static const verb verbs[] = {
    {"create", 2, " at ", create},
    {"list", 1, "", list},
    {"delete", 2, " dry-run ", delete},
    {"keep", 1, " dry-run every last hourly daily weekly monthly yearly runs ", keep},
    {0},
};

static engram_status check_options(const eg_cli *cli, const verb *v, engram_error *error)
{
    for (const eg_option *o = options; o->name != NULL; o++) {
        char name[32];
        snprintf(name, sizeof name, " %s ", o->name);
        if (eg_option_flag(cli, o->name) && strstr(v->options, name) == NULL)
            return eg_fail(error, ENGRAM_INVALID,
                           "--%s: not for 'snapshot %s'; see: engram help snapshot", o->name,
                           v->name);
    }
    return ENGRAM_OK;
}

static engram_status run(eg_cli *cli, engram_error *error)
{
    const verb *v = verbs;
    while (v->name != NULL && strcmp(v->name, cli->operands[0]) != 0)
        v++;
    if (v->name == NULL)
        return eg_fail(error, ENGRAM_INVALID,
                       "snapshot %s: create, list, delete or keep is expected", cli->operands[0]);
    if (cli->operand_count != v->operand_count)
        return eg_fail(error, ENGRAM_INVALID, "snapshot %s: %s; see: engram help snapshot", v->name,
                       cli->operand_count < v->operand_count ? "needs a NAME"
                                                             : "one argument too many");
    EG_TRY(check_options(cli, v, error));
    return v->run(cli, error);
}

const eg_command eg_command_snapshot = {
    .name = "snapshot",
    .operands = "create NAME | list | delete NAME | keep",
    .summary = "Name versions, and choose which are kept",
    .details =
        "'create' names a version, the newest without --at; a named version is kept until its "
        "name is\n"
        "deleted. A NAME has 1 to 255 bytes, no /, and is no number and no time. 'delete' takes "
        "the name\n"
        "away, not the files of the newest version.\n\n"
        "'keep' sets by which rules versions without a name are kept: a version stays if any rule "
        "keeps it.\n"
        "Rules that are not given stay as they are, 0 turns one off; without any the rules are "
        "shown. The\n"
        "newest version always stays, and so do those that encode labelled: all, or with --runs N "
        "the last N.\n"
        "Rules are applied at each checkpoint. gc returns the space of what they let go of.\n",
    .examples = "  engram snapshot create -e my.engram before-upgrade\n"
                "  engram snapshot list -e my.engram\n"
                "  engram snapshot keep -e my.engram --every 2h --daily 7 --weekly 4\n"
                "  engram snapshot delete -e my.engram --dry-run before-upgrade\n",
    .options = options,
    .operand_min = 1,
    .operand_max = 2,
    .is_remote = true,
    .run = run,
};
