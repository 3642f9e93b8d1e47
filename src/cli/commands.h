/* The commands, one table: the command line, the help and main() read it. */
#ifndef SL_CLI_COMMANDS_H
#define SL_CLI_COMMANDS_H

#include "cli/options.h"

struct sl_command {
    const char *name;
    const char *summary;                          /* one line of the overview */
    const char *details;                          /* a few lines for `sluice help NAME` */
    unsigned options;                             /* which options it takes: enum sl_option_mask */
    const char *topic;                            /* its word, with SL_OPT_TOPIC */
    int (*run)(const struct sl_options *options); /* returns the exit status */
};

extern const struct sl_command sl_commands[]; /* ended by a NULL name */

/* The command of that name, or NULL. */
const struct sl_command *sl_command_find(const char *name);

int sl_cmd_run(const struct sl_options *options);
int sl_cmd_check(const struct sl_options *options);
int sl_cmd_doctor(const struct sl_options *options);
int sl_cmd_status(const struct sl_options *options);
int sl_cmd_refresh(const struct sl_options *options);
int sl_cmd_dead(const struct sl_options *options);
int sl_cmd_audit(const struct sl_options *options);
int sl_cmd_alert(const struct sl_options *options);
int sl_cmd_version(const struct sl_options *options);
int sl_cmd_help(const struct sl_options *options);
int sl_cmd_schema(const struct sl_options *options);

#endif
