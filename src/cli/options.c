#include "cli/options.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "config/config.h"
#include "config/nearest.h"

const struct sl_option sl_option_table[] = {
    {"--config",                                                              "-c", "FILE", SL_OPT_CONFIG,
     "the configuration; else ./sluice.jsonc, then /etc/sluice/sluice.jsonc"},
    {"--role",                                                                 NULL, "ROLE", SL_OPT_ROLE, "all, ingest or apply, instead of the file's role"},
    {"--log-level", NULL, "LEVEL", SL_OPT_LOG_LEVEL,
     "debug, info, warn or error, instead of the file's log.level"},
    {"--json",                                                                NULL, NULL, SL_OPT_JSON, "print the answer as JSON"},
    {0                                                                },
};

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
        ret->json = true;
        return SL_OK;
    }
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
            if (!(command->options & SL_OPT_TOPIC) || ret->topic)
                return sl_err_set(err, SL_CONFIG, "%s does not take \"%s\"", command->name,
                                  argv[i]);
            ret->topic = argv[i];
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
