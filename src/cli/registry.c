#include "cli/registry.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "config/check.h"
#include "config/names.h"
#include "dataverse/settings.h"
#include "dmf/settings.h"
#include "http/listen.h"
#include "ingest/settings.h"
#include "source/auth_check.h"
#include "webhook/settings.h"

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
    {.name = "alerts",
     .help = "who is told when something needs an operator, and when",
     .table = sl_alert_table,
     .offset = offsetof(struct sl_settings, alerts)},
    {0                                 },
};

static const struct sl_config_type *const TYPES[] = {
    &sl_dmf_config_type,
    &sl_dataverse_config_type,
    &sl_webhook_config_type,
    &sl_ingest_config_type,
    NULL,
};

static void check_alerts(const struct sl_config *config, const struct sl_alert_settings *alerts,
                         struct sl_problems *problems)
{
    const struct sl_alert_targets targets = sl_alert_targets_of(alerts);
    char path[64];
    const char *about;
    struct sl_err err;
    if (!sl_alert_targets_wrong(&targets, &about, &err))
        return;
    snprintf(path, sizeof path, "alerts.%s", about);
    struct sl_json_place at = sl_config_place(config->json, path, 0);
    sl_problem_error(problems, at.line, at.column, "alerts.%s", err.message);
}

static void check_pages(const struct sl_config *config, struct sl_problems *problems)
{
    const struct sl_settings *settings = config->settings;
    const char *listen = settings->ops.listen;
    struct sl_json_place at = sl_config_place(config->json, "ops.listen", 0);
    struct sockaddr_storage parsed;
    socklen_t length;
    struct sl_err err;
    if (listen && *listen && sl_listen_parse(listen, &parsed, &length, &err) != SL_OK)
        sl_problem_error(problems, at.line, at.column, "ops.listen: %s", err.message);
    sl_listen_check_apart(config, "ops.listen", listen, problems);
    /* Among the errors may be one about the token: then there is one. */
    bool open = !settings->ops.token && !problems->errors;
    const struct sl_json *said = sl_config_said(config->json, "ops.token");
    if (open && said) /* whoever names one does not want to do without */
        sl_problem_error(problems, said->at.line, said->at.column,
                         "ops.token is empty: everybody might read; give one, or leave it out");
    else if (listen && *listen && open && !sl_listen_is_local(listen))
        sl_problem_warning(problems, at.line, at.column,
                           "ops.listen: everybody who reaches \"%.60s\" may read /status and "
                           "/metrics; ops.token makes them show a token",
                           listen);
}

/* What this process publishes, appliers must read: most likely they have the same configuration. */
static void check_message(const struct sl_config *config, struct sl_problems *problems)
{
    const struct sl_settings *settings = config->settings;
    const struct sl_config_limits *limits = &config->limits;
    uint64_t most = settings->broker.max_message_bytes;
    bool by_row = limits->max_row_bytes > limits->batch_bytes;
    uint64_t least = by_row ? limits->max_row_bytes : limits->batch_bytes;
    struct sl_json_place at = sl_config_place(config->json, "broker.max_message", 0);
    if (most < least)
        sl_problem_error(
            problems, at.line, at.column,
            "broker.max_message is smaller than limits.%s: messages that are made here "
            "could not be read",
            by_row ? "max_row" : "batch_bytes");
    else if (most < 2 * least)
        sl_problem_warning(problems, at.line, at.column,
                           "broker.max_message is less than twice limits.%s: as JSON a row takes "
                           "more bytes than here, and what is larger cannot be read",
                           by_row ? "max_row" : "batch_bytes");
}

static void check_exchange(const struct sl_config *config, struct sl_problems *problems)
{
    const struct sl_settings *settings = config->settings;
    const char *wrong = sl_exchange_wrong(settings->broker.exchange);
    struct sl_json_place at = sl_config_place(config->json, "broker.exchange", 0);
    if (wrong)
        sl_problem_error(problems, at.line, at.column, "broker.exchange %s", wrong);
}

static void check_database(const struct sl_config *config, const char *path, const char *name,
                           struct sl_problems *problems)
{
    const char *wrong = name ? sl_mongo_database_wrong(name) : NULL;
    struct sl_json_place at = sl_config_place(config->json, path, 0);
    if (wrong)
        sl_problem_error(problems, at.line, at.column, "%s \"%.80s\" %s", path, name, wrong);
}

static void check_databases(const struct sl_config *config, struct sl_problems *problems)
{
    const struct sl_settings *settings = config->settings;
    const char *data = settings->mongo.database, *state = settings->mongo.state_database;
    check_database(config, "mongo.database", data, problems);
    check_database(config, "mongo.state_database", state, problems);
    struct sl_json_place at = sl_config_place(config->json, "mongo.database", 0);
    if (data && state && strcmp(data, state) != 0 && !strcasecmp(data, state))
        sl_problem_error(problems, at.line, at.column,
                         "mongo.database and mongo.state_database are the same but for case: "
                         "MongoDB takes no such two");
}

/* Documents among those of the state would be taken for what sluice remembers. */
static void check_own_collections(const struct sl_config *config, struct sl_problems *problems)
{
    const struct sl_settings *settings = config->settings;
    const char *data = settings->mongo.database, *state = settings->mongo.state_database;
    if (!data || !state || strcmp(data, state) != 0)
        return;
    for (size_t i = 0; i < config->feed_count; i++)
        for (size_t j = 0; j < config->feeds[i].entity_count; j++) {
            const struct sl_entity_config *entity = &config->feeds[i].entities[j];
            if (entity->collection && sl_mongo_state_has(entity->collection))
                sl_problem_error(problems, entity->line, entity->column,
                                 "the collection \"%s\" is one of sluice's own in "
                                 "mongo.state_database, which is mongo.database here: choose "
                                 "another name or another database",
                                 entity->collection);
        }
}

static void check(const struct sl_config *config, struct sl_problems *problems)
{
    const struct sl_settings *settings = config->settings;
    check_alerts(config, &settings->alerts, problems);
    check_pages(config, problems);
    check_message(config, problems);
    check_exchange(config, problems);
    check_databases(config, problems);
    check_own_collections(config, problems);
    sl_auth_check(config, problems);
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
