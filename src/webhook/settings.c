#include "webhook/settings.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "config/check.h"
#include "config/nearest.h"
#include "config/problems.h"
#include "dataverse/settings.h"
#include "source/environment.h"

#define SOURCE(field) offsetof(struct sl_webhook_source_settings, field)
#define SECRET(field) offsetof(struct sl_webhook_secret, field)
#define FEED(field) offsetof(struct sl_webhook_feed_settings, field)

static const struct sl_setting SECRET_TABLE[] = {
    {.name = "header",
     .kind = SL_SET_TEXT,
     .offset = SECRET(header),
     .help = "name of the header that carries it (registered as HttpHeader)"},
    {.name = "query",
     .kind = SL_SET_TEXT,
     .offset = SECRET(query),
     .help = "or: name of the query argument that does (HttpQueryString; code for WebhookKey)"},
    {.name = "value",
     .kind = SL_SET_SECRET,
     .offset = SECRET(value),
     .required = true,
     .help = "the secret; best as ${VARIABLE} or ${file:/path}"},
    {.name = "old_value",
     .kind = SL_SET_SECRET,
     .offset = SECRET(old_value),
     .help = "a secret that is accepted too, while the registration is changed"},
    {0},
};

// clang-format off: it falls over a macro in such a table
const struct sl_setting sl_webhook_source_table[] = {
    SL_LISTEN_ROWS(struct sl_webhook_source_settings, listen, "1MiB"),
    {.name = "doorbell",
                                                         .kind = SL_SET_LIST,
                                                         .offset = SOURCE(doorbell),
                                                         .required = true,
                                                         .help = "the dataverse sources, of one environment, that an event makes look at its table"},
    {.name = "secret",
                                                         .kind = SL_SET_SECTION,
                                                         .offset = SOURCE(secret),
                                                         .required = true,
                                                         .section = SECRET_TABLE,
                                                         .help = "what a request must show; say header or query"},
    {0},
};
// clang-format on

const struct sl_setting sl_webhook_feed_table[] = {
    {.name = "table",
     .kind = SL_SET_TEXT,
     .offset = FEED(table),
     .help =
         "logical name of a table without change tracking: each row that an event names is read"},
    {.name = "relationship",
     .kind = SL_SET_TEXT,
     .offset = FEED(relationship),
     .help = "or: schema name of a relationship, whose associations become documents"},
    {.name = "select",
     .kind = SL_SET_LIST,
     .offset = FEED(select),
     .help = "the table's columns to carry, by their logical names; without it all of them"},
    {.name = "formatted_values",
     .kind = SL_SET_BOOL,
     .offset = FEED(formatted_values),
     .fallback = "false",
     .help = "whether documents also get what people see, such as the label of a choice"},
    {.name = "ledger_deadline",
     .kind = SL_SET_DURATION,
     .offset = FEED(ledger_deadline_ms),
     .fallback = "10m",
     .minimum = SL_SECOND_MS,
     .maximum = 7 * SL_DAY_MS,
     .help = "when the rows read and the rows applied differ for longer, there is an alert"},
    {.name = "run_span",
     .kind = SL_SET_DURATION,
     .offset = FEED(run_span_ms),
     .fallback = "10s",
     .minimum = 100,
     .maximum = SL_HOUR_MS,
     .help = "how long rows are counted together, as one run of the ledger"},
    {0                                                          },
};

static const char *entity_name(const void *feed_settings)
{
    const struct sl_webhook_feed_settings *feed = feed_settings;
    return feed->table ? feed->table : feed->relationship;
}

/* All that is read back is versioned in the order of asking. An association is kept apart all the
 * same: its document is none of a row. */
static void domain(const void *source_settings, const void *feed_settings, char *out, size_t size)
{
    const struct sl_webhook_source_settings *source = source_settings;
    const struct sl_webhook_feed_settings *feed = feed_settings;
    const char *name = source->doorbell && source->doorbell[0] ? source->doorbell[0] : "nowhere";
    snprintf(out, size, "%s %.60s", feed->relationship ? "associations in" : "rows read back from",
             name);
}

static bool uses(const void *source_settings, const char *source_name)
{
    const struct sl_webhook_source_settings *source = source_settings;
    for (char **name = source->doorbell; name && *name; name++)
        if (!strcmp(*name, source_name))
            return true;
    return false;
}

static const struct sl_source_config *find(const struct sl_config *config, const char *name)
{
    for (size_t i = 0; i < config->source_count; i++)
        if (!strcmp(config->sources[i].name, name))
            return &config->sources[i];
    return NULL;
}

/* `: did you mean "crm"?`, of the sources that can be meant. */
static char *hint(const struct sl_config *config, const char *name, char *out, size_t size)
{
    struct sl_nearest nearest;
    sl_nearest_init(&nearest, name);
    for (size_t i = 0; i < config->source_count; i++)
        if (config->sources[i].type == &sl_dataverse_config_type)
            sl_nearest_offer(&nearest, config->sources[i].name);
    return sl_nearest_hint(&nearest, out, size);
}

static const char *url_of(const struct sl_source_config *source)
{
    const struct sl_dataverse_source_settings *settings = source->settings;
    return settings ? settings->url : NULL;
}

/* Whether a row that is not found in one environment would be taken for deleted in the other. */
static bool same_environment(const struct sl_source_config *a, const struct sl_source_config *b)
{
    const char *first = url_of(a), *second = url_of(b);
    return !first || !second || sl_environment_is_same(first, second);
}

static void check_doorbell(const struct sl_config *config, const struct sl_source_config *source,
                           struct sl_problems *problems)
{
    const struct sl_webhook_source_settings *settings = source->settings;
    const struct sl_source_config *first = NULL;
    char did_you_mean[160];
    for (size_t i = 0; settings->doorbell && settings->doorbell[i]; i++) {
        const char *name = settings->doorbell[i];
        const struct sl_source_config *other = find(config, name);
        struct sl_json_place at = sl_config_place(source->json, "doorbell", i);
        if (!other)
            sl_problem_error(problems, at.line, at.column,
                             "sources.%s.doorbell names the source \"%.60s\", which does not "
                             "exist%s",
                             source->name, name,
                             hint(config, name, did_you_mean, sizeof did_you_mean));
        else if (other->type && other->type != &sl_dataverse_config_type)
            sl_problem_error(problems, at.line, at.column,
                             "sources.%s.doorbell names the source \"%.60s\", which is of type "
                             "\"%s\": only a source of type \"dataverse\" can be rung",
                             source->name, name, other->type->name);
        else if (first && !same_environment(first, other))
            sl_problem_error(problems, at.line, at.column,
                             "sources.%s.doorbell names \"%.60s\" and \"%.60s\", which are two "
                             "environments: make a webhook source for each",
                             source->name, first->name, name);
        else if (!first && other->type)
            first = other;
    }
}

/* Header: "token" of RFC 9110, 5.6.2; a query argument must need no escaping. */
static const char *secret_wrong(const struct sl_webhook_secret *secret)
{
    static const char LETTERS[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    const char *name = secret->header ? secret->header : secret->query;
    if (secret->header && secret->query)
        return "says both \"header\" and \"query\": keep one";
    if (!name)
        return "does not say where the secret is: add \"header\" (like \"x-sluice-key\") or "
               "\"query\" (like \"code\")";
    if (!*name || name[strspn(name, LETTERS)])
        return "needs a name of letters, digits, '-', '_' and '.' in \"header\" or \"query\"";
    return NULL;
}

static void check_source(const struct sl_config *config, const struct sl_source_config *source,
                         struct sl_problems *problems)
{
    const struct sl_webhook_source_settings *settings = source->settings;
    const struct sl_json *said = sl_config_said(source->json, "secret");
    const char *wrong = secret_wrong(&settings->secret);
    check_doorbell(config, source, problems);
    if (said && said->kind == SL_JSON_MAP && wrong)
        sl_problem_error(problems, said->at.line, said->at.column, "sources.%s.secret %s",
                         source->name, wrong);
}

static void check_feed(const struct sl_feed_config *feed, struct sl_problems *problems)
{
    const struct sl_webhook_feed_settings *settings = feed->settings;
    const struct sl_json *table = sl_config_said(feed->json, "table"),
                         *relationship = sl_config_said(feed->json, "relationship");
    struct sl_json_place at = sl_config_place(feed->json, "relationship", 0);
    sl_dataverse_check_names(feed, settings->table, settings->select, problems);
    if (table && relationship)
        sl_problem_error(problems, at.line, at.column,
                         "feeds.%s says both \"table\" and \"relationship\": make a feed for each",
                         feed->name);
    else if (!table && !relationship)
        sl_problem_error(problems, at.line, at.column,
                         "feeds.%s does not say what to read: add \"table\" or \"relationship\"",
                         feed->name);
    else if (relationship && (settings->select || settings->formatted_values))
        sl_problem_error(problems, at.line, at.column,
                         "feeds.%s: \"select\" and \"formatted_values\" are for a table: an "
                         "association has no columns",
                         feed->name);
}

static void check(const struct sl_config *config, struct sl_problems *problems)
{
    for (size_t i = 0; i < config->source_count; i++)
        if (config->sources[i].settings && config->sources[i].type == &sl_webhook_config_type)
            check_source(config, &config->sources[i], problems);
    for (size_t i = 0; i < config->feed_count; i++)
        if (config->feeds[i].settings && config->feeds[i].source->type == &sl_webhook_config_type)
            check_feed(&config->feeds[i], problems);
    sl_listen_check(config, problems);
}

static const struct sl_listen_settings *listen(const void *source_settings)
{
    const struct sl_webhook_source_settings *source = source_settings;
    return &source->listen;
}

const struct sl_config_type sl_webhook_config_type = {
    .name = "webhook",
    .summary = "Events of a Dataverse environment, which call by HTTP",
    .source_table = sl_webhook_source_table,
    .source_bytes = sizeof(struct sl_webhook_source_settings),
    .feed_table = sl_webhook_feed_table,
    .feed_bytes = sizeof(struct sl_webhook_feed_settings),
    .entities = SL_ENTITIES_ONE,
    .feeds_optional = true,
    .entity_name = entity_name,
    .domain = domain,
    .uses = uses,
    .listen = listen,
    .check = check,
};
