/* The command line: `sluice COMMAND [OPTIONS]`. */
#ifndef SL_CLI_OPTIONS_H
#define SL_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct sl_command;

/* Exit statuses: all is well; it failed; the command line is wrong. */
enum { SL_EXIT_OK = 0, SL_EXIT_FAILED = 1, SL_EXIT_USAGE = 2 };

/* Which dead letters, and what to do with them, as it was written; NULL: not given. */
struct sl_letter_options {
    const char *code, *feed, *entity, *since, *until, *id, *limit, *rate, *wait;
    bool reveal, codes;
};

/* What belongs to refreshes alone. */
struct sl_refresh_options {
    bool force;          /* --force */
    bool reset_versions; /* --reset-versions */
    bool no_wait;        /* --no-wait */
    const char *confirm; /* --confirm SOURCE; NULL: not given */
};

/* The texts are argv's own. */
struct sl_options {
    const struct sl_command *command; /* what to run; never NULL after sl_options_parse */
    const char *config_path;          /* -c FILE; NULL: look for it (sl_options_config) */
    int role;                         /* --role, enum sl_role; -1: as configured */
    int log_level;                    /* --log-level, enum sl_level; -1: as configured */
    bool json;                        /* --json */
    bool latency;                     /* --latency */
    bool dry_run, all;                /* --dry-run, --all */
    const char *topic;                /* the word that is no option; NULL: none */
    const char *word;                 /* the second one */
    const char *run;                  /* --run R */
    struct sl_letter_options letters;
    struct sl_refresh_options refresh;
};

/* Reads the command line against the table of commands (cli/commands.h). --help and --version
 * become the commands of that name. Fails with SL_CONFIG and a message that names what is wrong and
 * the nearest known word. */
int sl_options_parse(int argc, char **argv, struct sl_options *ret, struct sl_err *err);

/* The configuration file: what -c says, else sluice.jsonc here, else /etc/sluice/sluice.jsonc; NULL
 * when neither exists (err says so, SL_CONFIG). */
const char *sl_options_config(const struct sl_options *options, struct sl_err *err);

/* The options, for help: one a row, ended by a NULL name. */
enum sl_option_mask {
    SL_OPT_CONFIG = 1,
    SL_OPT_ROLE = 2,
    SL_OPT_LOG_LEVEL = 4,
    SL_OPT_JSON = 8,
    SL_OPT_TOPIC = 16, /* takes one word that is no option */
    SL_OPT_DRY_RUN = 32,
    SL_OPT_WORD = 1024, /* takes a second one */
    SL_OPT_RUN = 2048,
    SL_OPT_ALL = 4096,
    SL_OPT_LETTERS = 8192,  /* all others of letters */
    SL_OPT_REFRESH = 16384, /* all others of a refresh */
    SL_OPT_LATENCY = 32768,
};

struct sl_option {
    const char *name;     /* "--role" */
    const char *letter;   /* "-c" or NULL */
    const char *argument; /* "FILE"; NULL: a switch */
    unsigned mask;
    const char *help;
    size_t offset; /* of its text (with an argument) or bool in sl_options; 0: read otherwise */
};

extern const struct sl_option sl_option_table[];

#endif
