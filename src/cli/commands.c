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
     .options = SL_OPT_CONFIG | SL_OPT_ROLE,
     .run = sl_cmd_check,
     .details =
         "Contacts nobody. Environment variables and files that the configuration names must\n"
         "be there. Status 0: it can be used; 1: it cannot."},
    {.name = "doctor",
     .summary = "try once everything that a run needs, and say what to do about what fails",
     .options = SL_OPT_CONFIG | SL_OPT_ROLE,
     .run = sl_cmd_doctor,
     .details =
         "Contacts RabbitMQ, MongoDB, every source, and the mail server and webhook of "
         "alerts, reads\n"
         "and writes a little, changes nothing but that the exchange and queues are "
         "declared. A line\n"
         "each: ok, warn or FAIL. With role apply no source is asked, as in a run. Status 0:\n"
         "nothing fails; 1: something does."},
    {.name = "status",
     .summary = "ask the running sluice how it is",
     .options = SL_OPT_CONFIG | SL_OPT_JSON | SL_OPT_LATENCY,
     .run = sl_cmd_status,
     .details =
         "Asks the process that listens on ops.listen of the configuration. Status 0: it is\n"
         "ready; 1: it is not, or nothing listens there."},
    {.name = "refresh",
     .summary = "have a feed read in full, and delete what is gone in Dynamics 365",
     .options = SL_OPT_CONFIG | SL_OPT_TOPIC | SL_OPT_DRY_RUN | SL_OPT_REFRESH,
     .topic = "FEED",
     .run = sl_cmd_refresh,
     .details =
         "Asks whichever sluice owns the feed, through MongoDB, and waits for the end; the "
         "refresh\n"
         "goes on without this command, and asking twice is one refresh. Documents of the feed\n"
         "that the full read does not bring are deleted, unless they are more than sweep_limit\n"
         "percent. --reset-versions is for a Dataverse environment that was restored from a\n"
         "backup: it refreshes every feed of the source, and needs --confirm SOURCE or --force.\n"
         "Status 0: done; 1: refused or failed, with the reason."},
    {.name = "dead",
     .summary = "list, show, replay or drop dead letters: rows that could not be delivered",
     .options = SL_OPT_CONFIG | SL_OPT_JSON | SL_OPT_TOPIC | SL_OPT_WORD | SL_OPT_RUN | SL_OPT_ALL |
                SL_OPT_DRY_RUN | SL_OPT_LETTERS,
     .topic = "list|show ID|replay|drop",
     .run = sl_cmd_dead,
     .details =
         "list shows which there are and why, show one with all that is known of it. replay has\n"
         "rows typed by today's configuration and published once more, with the version that they\n"
         "had: safe at any time, while sluice runs. drop removes letters. Both need a filter or\n"
         "--all. sluice dead list --codes tells what each reason means and what to do.\n"
         "Messages that cannot be read at all, in the queue \"unreadable\", are letters, too.\n"
         "Status 0: done, and for replay: no letter is left; 1: it failed, or some are left."},
    {.name = "audit",
     .summary = "add up the books: is every row that was read accounted for?",
     .options = SL_OPT_CONFIG | SL_OPT_JSON | SL_OPT_TOPIC | SL_OPT_RUN | SL_OPT_ALL,
     .topic = "[FEED]",
     .run = sl_cmd_audit,
     .details =
         "For each run: rows read, published, confirmed, applied, stale, superseded, dead, and\n"
         "unaccounted. Lists the newest runs and all that are not plainly done; --all lists every\n"
         "one. Status 1: rows of a run that has ended, or whose ledger is late, are unaccounted."},
    {.name = "alert",
     .summary = "send a test message to those who are told of alerts",
     .options = SL_OPT_CONFIG | SL_OPT_TOPIC,
     .topic = "test",
     .run = sl_cmd_alert,
     .details =
         "Reads the sections alerts and http of the configuration, and sends one message to each\n"
         "target. A line each: ok or FAIL. Status 0: all took it; 1: one did not, or there is "
         "none."},
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
     .topic = "[config|COMMAND]",
     .run = sl_cmd_help,
     .details = "sluice help config lists every setting with its default."},
    {0                           },
};

const struct sl_command *sl_command_find(const char *name)
{
    for (const struct sl_command *command = sl_commands; command->name; command++)
        if (!strcmp(command->name, name))
            return command;
    return NULL;
}
