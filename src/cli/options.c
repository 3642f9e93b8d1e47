#include "cli/options.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "config/config.h"
#include "config/nearest.h"

#define AT(field) offsetof(struct sl_options, field)
// clang-format off
const struct sl_option sl_option_table[] = {
    {"--config", "-c", "FILE", SL_OPT_CONFIG,
     "the configuration; else ./sluice.jsonc, then /etc/sluice/sluice.jsonc", 0},
    {"--role", NULL, "ROLE", SL_OPT_ROLE, "all, ingest or apply, instead of the file's role", 0},
    {"--log-level", NULL, "LEVEL", SL_OPT_LOG_LEVEL,
     "debug, info, warn or error, instead of the file's log.level", 0},
    {"--json", NULL, NULL, SL_OPT_JSON, "print the answer as JSON", AT(json)},
    {"--latency", NULL, NULL, SL_OPT_LATENCY,
     "only how long each stage takes: since the start, and in the last minute", AT(latency)},
    {"--code", NULL, "CODE", SL_OPT_LETTERS, "letters of this reason (dead list --codes)",
     AT(letters.code)},
    {"--feed", NULL, "FEED", SL_OPT_LETTERS, "letters of this feed", AT(letters.feed)},
    {"--entity", NULL, "ENTITY", SL_OPT_LETTERS, "letters of this entity", AT(letters.entity)},
    {"--run", NULL, "RUN", SL_OPT_RUN, "of this run", AT(run)},
    {"--id", NULL, "ID", SL_OPT_LETTERS, "the letter that the list shows under this id",
     AT(letters.id)},
    {"--since", NULL, "TIME", SL_OPT_LETTERS,
     "written then or later: 2026-11-22T03:10:00Z, or so long ago: 2h", AT(letters.since)},
    {"--until", NULL, "TIME", SL_OPT_LETTERS, "written before", AT(letters.until)},
    {"--limit", NULL, "N", SL_OPT_LETTERS, "at most so many; the list shows 100 else, and never more than 10000",
     AT(letters.limit)},
    {"--all", NULL, NULL, SL_OPT_ALL, "every one", AT(all)},
    {"--dry-run", NULL, NULL, SL_OPT_DRY_RUN, "change nothing, say what would be", AT(dry_run)},
    {"--rate", NULL, "N", SL_OPT_LETTERS, "replay: rows a second; 500 else", AT(letters.rate)},
    {"--wait", NULL, "TIME", SL_OPT_LETTERS,
     "replay: how long an applier may take for a batch; 1m else", AT(letters.wait)},
    {"--reveal", NULL, NULL, SL_OPT_LETTERS, "show the values of rows", AT(letters.reveal)},
    {"--codes", NULL, NULL, SL_OPT_LETTERS, "list: what each reason means, and what to do",
     AT(letters.codes)},
    {"--force", NULL, NULL, SL_OPT_REFRESH, "delete however many documents there are", AT(refresh.force)},
    {"--reset-versions", NULL, NULL, SL_OPT_REFRESH,
     "the environment was restored: its rows win over all that is stored",
     AT(refresh.reset_versions)},
    {"--confirm", NULL, "SOURCE", SL_OPT_REFRESH,
     "the source whose versions are reset, where --force is too much", AT(refresh.confirm)},
    {"--no-wait", NULL, NULL, SL_OPT_REFRESH, "ask for it, and do not wait for its end",
     AT(refresh.no_wait)},
    {0},
};
// clang-format on
#undef AT

/* A word of the command line; what --help and --version stand for. */
static const char *alias_of(const char *word)
{
    if (!strcmp(word, "--help") || !strcmp(word, "-h"))
        return "help";
    return !strcmp(word, "--version") ? "version" : word;
}

static int unknown_command(const char *word, struct sl_err *err)
{
    char hint[64];
    struct sl_nearest nearest;
    sl_nearest_init(&nearest, word);
    for (const struct sl_command *command = sl_commands; command->name; command++)
        sl_nearest_offer(&nearest, command->name);
    return sl_err_set(err, SL_CONFIG, "there is no command \"%s\"%s", word,
                      sl_nearest_hint(&nearest, hint, sizeof hint));
}

static int unknown_option(const struct sl_command *command, const char *word, struct sl_err *err)
{
    char hint[64];
    struct sl_nearest nearest;
    sl_nearest_init(&nearest, word);
    for (const struct sl_option *option = sl_option_table; option->name; option++)
        if (option->mask & command->options)
            sl_nearest_offer(&nearest, option->name);
    return sl_err_set(err, SL_CONFIG, "%s has no option \"%s\"%s", command->name, word,
                      sl_nearest_hint(&nearest, hint, sizeof hint));
}

static int read_word(const char *option, const char *const *words, const char *value, int *ret,
                     struct sl_err *err)
{
    char hint[64];
    struct sl_nearest nearest;
    sl_nearest_init(&nearest, value);
    for (int i = 0; words[i]; i++) {
        if (!strcmp(words[i], value)) {
            *ret = i;
            return SL_OK;
        }
        sl_nearest_offer(&nearest, words[i]);
    }
    return sl_err_set(err, SL_CONFIG, "%s cannot be \"%s\"%s", option, value,
                      sl_nearest_hint(&nearest, hint, sizeof hint));
}

static int apply(const struct sl_option *option, const char *value, struct sl_options *ret,
                 struct sl_err *err)
{
    switch (option->mask) {
    case SL_OPT_CONFIG:
        ret->config_path = value;
        return SL_OK;
    case SL_OPT_ROLE:
        return read_word(option->name, sl_role_names, value, &ret->role, err);
    case SL_OPT_LOG_LEVEL:
        return read_word(option->name, sl_level_names, value, &ret->log_level, err);
    default:
        break;
    }
    char *field = (char *)ret + option->offset;
    if (option->argument)
        memcpy(field, &value, sizeof value);
    else
        *(bool *)field = true;
    return SL_OK;
}

/* The option that word names, "--role" or "--role=apply"; *ret_value is behind the '='. */
static const struct sl_option *find_option(const char *word, unsigned mask, const char **ret_value)
{
    size_t length = strcspn(word, "=");
    *ret_value = word[length] ? word + length + 1 : NULL;
    for (const struct sl_option *option = sl_option_table; option->name; option++) {
        if (!(option->mask & mask))
            continue;
        if ((strlen(option->name) == length && !strncmp(option->name, word, length)) ||
            (option->letter && !strcmp(option->letter, word)))
            return option;
    }
    return NULL;
}

/* Reads the words behind the command. */
static int parse_rest(int argc, char **argv, struct sl_options *ret, struct sl_err *err)
{
    const struct sl_command *command = ret->command;
    for (int i = 0; i < argc; i++) {
        const char *value;
        const struct sl_option *option = find_option(argv[i], command->options, &value);
        if (!strcmp(alias_of(argv[i]), "help")) {
            ret->topic = command->name;
            ret->command = sl_command_find("help");
            return SL_OK;
        }
        if (!option) {
            if (*argv[i] == '-')
                return unknown_option(command, argv[i], err);
            const char **word = ret->topic ? &ret->word : &ret->topic;
            if (*word || !(command->options & (ret->topic ? SL_OPT_WORD : SL_OPT_TOPIC)))
                return sl_err_set(err, SL_CONFIG, "%s does not take \"%s\"", command->name,
                                  argv[i]);
            *word = argv[i];
            continue;
        }
        if (option->argument && !value) {
            if (i + 1 >= argc)
                return sl_err_set(err, SL_CONFIG, "%s needs a %s behind it", argv[i],
                                  option->argument);
            value = argv[++i];
        } else if (!option->argument && value) {
            return sl_err_set(err, SL_CONFIG, "%s takes no value", option->name);
        }
        int rc = apply(option, value, ret, err);
        if (rc != SL_OK)
            return rc;
    }
    return SL_OK;
}

int sl_options_parse(int argc, char **argv, struct sl_options *ret, struct sl_err *err)
{
    *ret = (struct sl_options){.role = -1, .log_level = -1};
    if (argc < 2)
        return sl_err_set(err, SL_CONFIG, "a command is missing");
    ret->command = sl_command_find(alias_of(argv[1]));
    if (!ret->command && *argv[1] == '-')
        return sl_err_set(err, SL_CONFIG, "the command comes first, then its options");
    if (!ret->command)
        return unknown_command(argv[1], err);
    return parse_rest(argc - 2, argv + 2, ret, err);
}

const char *sl_options_config(const struct sl_options *options, struct sl_err *err)
{
    static const char *const PLACES[] = {"sluice.jsonc", "/etc/sluice/sluice.jsonc", NULL};
    if (options->config_path)
        return options->config_path;
    for (size_t i = 0; PLACES[i]; i++)
        if (access(PLACES[i], F_OK) == 0)
            return PLACES[i];
    sl_err_set(err, SL_CONFIG,
               "there is no configuration: neither ./sluice.jsonc nor /etc/sluice/sluice.jsonc "
               "exists; -c FILE names another");
    return NULL;
}
