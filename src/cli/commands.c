#include "cli/commands.h"

#include <stddef.h>
#include <string.h>

const struct sl_command sl_commands[] = {
    {
     .name = "run",
     .summary = "read the sources, carry their changes, until SIGTERM or SIGINT",
     .details =
            "Starts and stays up whether or not its peers are there; GET /readyz on ops.listen\n"
            "says what is missing. SIGTERM finishes what is in flight and ends with status 0;\n"
            "a second one ends at once, and the next start goes on where this one was.", .options = SL_OPT_CONFIG | SL_OPT_ROLE | SL_OPT_LOG_LEVEL,
     .run = sl_cmd_run,
     },
    {
     .name = "check",
     .summary = "read the configuration and say what is wrong with it, and where",
     .details =
            "Contacts nobody. Environment variables and files that the configuration names must\n"
            "be there. Status 0: it can be used; 1: it cannot.", .options = SL_OPT_CONFIG,
     .run = sl_cmd_check,
     },
    {
     .name = "status",
     .summary = "ask the running sluice how it is",
     .details =
            "Asks the process that listens on ops.listen of the configuration. Status 0: it is\n"
            "ready; 1: it is not, or nothing listens there.", .options = SL_OPT_CONFIG | SL_OPT_JSON,
     .run = sl_cmd_status,
     },
    {
     .name = "schema",
     .summary = "print the JSON Schema of the configuration, for editors",
     .details = "An editor that knows JSON Schema completes and checks sluice.jsonc with it.",
     .options = 0,
     .run = sl_cmd_schema,
     },
    {
     .name = "version",
     .summary = "print the version",
     .details = "",
     .options = 0,
     .run = sl_cmd_version,
     },
    {
     .name = "help",
     .summary = "explain sluice, a command, or every setting (help config)",
     .details = "sluice help config lists every setting with its default.",
     .options = SL_OPT_TOPIC,
     .run = sl_cmd_help,
     },
    {0                                                                                 },
};

const struct sl_command *sl_command_find(const char *name)
{
    for (const struct sl_command *command = sl_commands; command->name; command++)
        if (!strcmp(command->name, name))
            return command;
    return NULL;
}
