#include "ingest/settings.h"

#include <stddef.h>
#include <stdio.h>
#include <strings.h>

#include "config/check.h"
#include "config/problems.h"

#define SOURCE(field) offsetof(struct sl_ingest_source_settings, field)
#define FEED(field) offsetof(struct sl_ingest_feed_settings, field)

// clang-format off: it falls over a macro in such a table
const struct sl_setting sl_ingest_source_table[] = {
    SL_LISTEN_ROWS(struct sl_ingest_source_settings, listen, "16MiB"),
    {.name = "token",
                                                         .kind = SL_SET_SECRET,
                                                         .offset = SOURCE(token),
                                                         .required = true,
                                                         .help = "what a request must show: Authorization: Bearer TOKEN"},
    {.name = "old_token",
                                                         .kind = SL_SET_SECRET,
                                                         .offset = SOURCE(old_token),
                                                         .help = "a token that is accepted too, while its posters change over"},
    {0},
};
// clang-format on

const struct sl_setting sl_ingest_feed_table[] = {
    {.name = "version",
     .kind = SL_SET_TEXT,
     .offset = FEED(version),
     .help =
         "the column that grows with every change of a row; without it the last to arrive wins"},
    {.name = "ledger_deadline",
     .kind = SL_SET_DURATION,
     .offset = FEED(ledger_deadline_ms),
     .fallback = "10m",
     .minimum = SL_SECOND_MS,
     .maximum = 7 * SL_DAY_MS,
     .help = "when the rows taken and the rows applied differ for longer, there is an alert"},
    {.name = "run_span",
     .kind = SL_SET_DURATION,
     .offset = FEED(run_span_ms),
     .fallback = "10s",
     .minimum = 100,
     .maximum = SL_HOUR_MS,
     .help = "how long rows are counted together, as one run of the ledger"},
    {0},
};

static void domain(const void *source_settings, const void *feed_settings, char *out, size_t size)
{
    const struct sl_ingest_feed_settings *feed = feed_settings;
    (void)source_settings;
    if (feed->version)
        snprintf(out, size, "the column \"%.60s\"", feed->version);
    else
        snprintf(out, size, "order of arrival");
}

/* Adds "feeds.NAME.KEY …" at the key's place. */
static void complain(const struct sl_feed_config *feed, const char *key, size_t item,
                     const struct sl_column_config *column, const char *need,
                     struct sl_problems *problems)
{
    struct sl_json_place at = sl_config_place(feed->json, key, item);
    sl_problem_error(problems, at.line, at.column,
                     "feeds.%s.%s names \"%.60s\", which is a %s by \"types\": it must be %s",
                     feed->name, key, column->name, sl_type_name(column->type), need);
}

/* With types that no key and no version is read from, every row would be refused. */
static void check_types(const struct sl_feed_config *feed, struct sl_problems *problems)
{
    const struct sl_ingest_feed_settings *settings = feed->settings;
    const struct sl_entity_config *entity = feed->entities;
    for (size_t i = 0; i < entity->column_count; i++) {
        const struct sl_column_config *column = &entity->columns[i];
        bool real = column->type == SL_TYPE_DECIMAL || column->type == SL_TYPE_DOUBLE;
        if (settings->version && !strcasecmp(column->name, settings->version) &&
            (real || column->type == SL_TYPE_BOOL))
            complain(feed, "version", 0, column, "an int or a date", problems);
        for (size_t j = 0; j < entity->key_count; j++)
            if (real && !strcasecmp(column->name, entity->key[j]))
                complain(feed, "key", j, column, "a string, int, date or bool", problems);
    }
}

static void check(const struct sl_config *config, struct sl_problems *problems)
{
    sl_listen_check(config, problems);
    for (size_t i = 0; i < config->feed_count; i++) {
        const struct sl_feed_config *feed = &config->feeds[i];
        if (feed->settings && feed->source->type == &sl_ingest_config_type && feed->entity_count)
            check_types(feed, problems);
    }
}

static const struct sl_listen_settings *listen(const void *source_settings)
{
    const struct sl_ingest_source_settings *source = source_settings;
    return &source->listen;
}

const struct sl_config_type sl_ingest_config_type = {
    .name = "ingest",
    .summary = "Rows that anybody posts over HTTP who has the token",
    .source_table = sl_ingest_source_table,
    .source_bytes = sizeof(struct sl_ingest_source_settings),
    .feed_table = sl_ingest_feed_table,
    .feed_bytes = sizeof(struct sl_ingest_feed_settings),
    .entities = SL_ENTITIES_ONE,
    .keyed = true,
    .domain = domain,
    .listen = listen,
    .check = check,
};
