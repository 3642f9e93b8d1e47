#include "cli/registry.h"

#include <stddef.h>
#include <string.h>

#include "source/dataverse_settings.h"
#include "source/dmf_settings.h"
#include "source/ingest_settings.h"
#include "source/webhook_settings.h"

static const struct sl_config_section SECTIONS[] = {
    {.name = "broker",
     .help = "RabbitMQ, between the sources and the database",
     .table = sl_broker_table,
     .offset = offsetof(struct sl_settings, broker),
     .required = true},
    {.name = "mongo",
     .help = "MongoDB, where the documents and sluice's own state are kept",
     .table = sl_mongo_table,
     .offset = offsetof(struct sl_settings, mongo),
     .required = true},
    {.name = "http",
     .help = "calls to the sources, and downloads",
     .table = sl_http_table,
     .offset = offsetof(struct sl_settings, http)},
    {.name = "ops",
     .help = "the pages for operators and their tools",
     .table = sl_ops_table,
     .offset = offsetof(struct sl_settings, ops)},
    {.name = "mail",
     .help = "e-mail about runs that failed",
     .table = sl_alert_table,
     .offset = offsetof(struct sl_settings, mail)},
    {0                                 },
};

static const struct sl_config_type *const TYPES[] = {
    &sl_dmf_config_type,
    &sl_dataverse_config_type,
    &sl_webhook_config_type,
    &sl_ingest_config_type,
    NULL,
};

static void check(const struct sl_config *config, struct sl_problems *problems)
{
    const struct sl_settings *settings = config->settings;
    sl_listen_check_apart(config, "ops.listen", settings->ops.listen, problems);
}

const struct sl_config_shape sl_registry_shape = {
    .sections = SECTIONS,
    .types = TYPES,
    .settings_bytes = sizeof(struct sl_settings),
    .check = check,
};

const struct sl_config_section *sl_registry_section(const char *name)
{
    const struct sl_config_section *section = SECTIONS;
    while (strcmp(section->name, name) != 0)
        section++;
    return section;
}
