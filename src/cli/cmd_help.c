/* sluice help: what sluice is, its commands, one command, or every setting. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/registry.h"
#include "config/nearest.h"

/* As they are printed, line by line. */
// clang-format off
static const char ABOUT[] =
    "sluice carries the changes of Microsoft Dynamics 365 through RabbitMQ into MongoDB: one small\n"
    "process that loses nothing, rolls nothing back, and lets the slowest part set the pace. It may be\n"
    "killed at any moment, and any of its peers may be away: it waits, resumes, and says so.\n";

static const char EXAMPLE[] =
    "The least configuration that works (sluice.jsonc; sluice help config lists every setting):\n"
    "\n"
    "  {\n"
    "    \"broker\":  {\"url\": \"amqp://guest:guest@127.0.0.1:5672/\"},\n"
    "    \"mongo\":   {\"url\": \"mongodb://127.0.0.1:27017/?replicaSet=rs0\", \"database\": \"d365\"},\n"
    "    \"sources\": {\"fno\": {\"type\": \"dmf\", \"url\": \"https://contoso.operations.dynamics.com\",\n"
    "                        \"auth\": {\"type\": \"client_secret\", \"tenant\": \"contoso.com\",\n"
    "                                 \"client_id\": \"5f1c8bd0-…\", \"client_secret\": \"${FNO_SECRET}\"}}},\n"
    "    \"feeds\":   {\"vendors\": {\"source\": \"fno\", \"every\": \"5m\", \"legal_entity\": \"USMF\",\n"
    "                            \"definition_group\": \"VendorsExport\",\n"
    "                            \"entities\": {\"Vendors V3\": {\n"
    "                                \"collection\": \"vendors\",\n"
    "                                \"key\": [\"dataAreaId\", \"VendorAccountNumber\"],\n"
    "                                \"types\": {\"CreditLimit\": \"decimal\"}}}}},\n"
    "    \"ops\":     {\"listen\": \"127.0.0.1:9464\"}\n"
    "  }\n"
    "\n"
    "Then: sluice check, sluice run, and in another terminal sluice status.\n"
    "Without a tenant: sluice-sim --help, a simulated Dynamics 365.\n";
// clang-format on

static void print_options(unsigned mask)
{
    if (mask)
        fputs("\nOptions:\n", stdout);
    for (const struct sl_option *option = sl_option_table; option->name; option++) {
        char name[40];
        if (!(option->mask & mask))
            continue;
        snprintf(name, sizeof name, "%s%s%s %s", option->letter ? option->letter : "",
                 option->letter ? ", " : "", option->name,
                 option->argument ? option->argument : "");
        printf("  %-20s %s\n", name, option->help);
    }
}

static void print_overview(void)
{
    fputs(ABOUT, stdout);
    fputs("\nUsage: sluice COMMAND [OPTIONS]\n\nCommands:\n", stdout);
    for (const struct sl_command *command = sl_commands; command->name; command++)
        printf("  %-9s %s\n", command->name, command->summary);
    print_options(SL_OPT_CONFIG | SL_OPT_ROLE | SL_OPT_LOG_LEVEL | SL_OPT_JSON);
    fputs("  sluice help COMMAND lists all options of a command.\n", stdout);
    putchar('\n');
    fputs(EXAMPLE, stdout);
}

static void print_command(const struct sl_command *command)
{
    bool options = command->options & ~(unsigned)SL_OPT_TOPIC;
    printf("Usage: sluice %s%s%s%s\n\n%s: %s\n", command->name, command->topic ? " " : "",
           command->topic ? command->topic : "", options ? " [OPTIONS]" : "", command->name,
           command->summary);
    if (*command->details)
        printf("\n%s\n", command->details);
    print_options(command->options & ~(unsigned)SL_OPT_TOPIC);
}

int sl_cmd_help(const struct sl_options *options)
{
    if (!options->topic) {
        print_overview();
        return SL_EXIT_OK;
    }
    if (!strcmp(options->topic, "config")) {
        sl_config_help(&sl_registry_shape, stdout);
        return SL_EXIT_OK;
    }
    const struct sl_command *command = sl_command_find(options->topic);
    if (command) {
        print_command(command);
        return SL_EXIT_OK;
    }
    char hint[64];
    struct sl_nearest nearest;
    sl_nearest_init(&nearest, options->topic);
    sl_nearest_offer(&nearest, "config");
    for (command = sl_commands; command->name; command++)
        sl_nearest_offer(&nearest, command->name);
    fprintf(stderr, "sluice: there is no help on \"%s\"%s\n", options->topic,
            sl_nearest_hint(&nearest, hint, sizeof hint));
    return SL_EXIT_USAGE;
}
