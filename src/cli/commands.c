#include "cli/commands.h"

#include <stddef.h>
#include <string.h>

const struct sl_command sl_commands[] = {
    {.name = "run",
     .summary = "read the sources, carry their changes, until SIGTERM or SIGINT",
     .options = SL_OPT_CONFIG | SL_OPT_ROLE | SL_OPT_LOG_LEVEL,
     .run = sl_cmd_run,
     .details =
         "Starts and stays up whether or not its peers are there; GET /readyz on ops.listen\n"
         "says what is missing. SIGTERM finishes what is in flight and ends with status 0;\n"
         "a second one ends at once, and the next start goes on where this one was."},
    {.name = "check",
     .summary = "read the configuration and say what is wrong with it, and where",
     .options = SL_OPT_CONFIG,
     .run = sl_cmd_check,
     .details =
         "Contacts nobody. Environment variables and files that the configuration names must\n"
         "be there. Status 0: it can be used; 1: it cannot."},
    {.name = "doctor",
     .summary = "try once everything that a run needs, and say what to do about what fails",
     .options = SL_OPT_CONFIG,
     .run = sl_cmd_doctor,
     .details =
         "Contacts RabbitMQ, MongoDB and every source, reads and writes a little, changes nothing\n"
         "but that the exchange and queues are declared. A line each: ok, warn or FAIL. Status 0:\n"
         "nothing fails; 1: something does."},
    {.name = "status",
     .summary = "ask the running sluice how it is",
     .options = SL_OPT_CONFIG | SL_OPT_JSON,
     .run = sl_cmd_status,
     .details =
         "Asks the process that listens on ops.listen of the configuration. Status 0: it is\n"
         "ready; 1: it is not, or nothing listens there."},
    {.name = "schema",
     .summary = "print the JSON Schema of the configuration, for editors",
     .options = 0,
     .run = sl_cmd_schema,
     .details = "An editor that knows JSON Schema completes and checks sluice.jsonc with it."},
    {.name = "version",
     .summary = "print the version",
     .options = 0,
     .run = sl_cmd_version,
     .details = ""},
    {.name = "help",
     .summary = "explain sluice, a command, or every setting (help config)",
     .options = SL_OPT_TOPIC,
     .run = sl_cmd_help,
     .details = "sluice help config lists every setting with its default."},
    {0                                                       },
};

const struct sl_command *sl_command_find(const char *name)
{
    for (const struct sl_command *command = sl_commands; command->name; command++)
        if (!strcmp(command->name, name))
            return command;
    return NULL;
}
