#include "dmf/settings.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "config/check.h"
#include "source/environment.h"
#include "source/feed_names.h"

#define SOURCE(field) offsetof(struct sl_dmf_source_settings, field)
#define FEED(field) offsetof(struct sl_dmf_feed_settings, field)

static const char *const HTTPS[] = {"https", NULL};
static const char *const ENCODINGS[] = {"auto", "utf8", "utf16le", NULL};
static const char *const DELIMITERS[] = {",", ";", "\t", "|", NULL};

const struct sl_setting sl_dmf_source_table[] = {
    {.name = "url",
     .kind = SL_SET_URL,
     .offset = SOURCE(url),
     .required = true,
     .choices = HTTPS,
     .help = "the environment, such as https://contoso.operations.dynamics.com"},
    {.name = "auth",
     .kind = SL_SET_SECTION,
     .offset = SOURCE(auth),
     .required = true,
     .section = sl_auth_table,
     .help = "how sluice signs in"},
    {.name = "request_timeout",
     .kind = SL_SET_DURATION,
     .offset = SOURCE(request_timeout_ms),
     .fallback = "5m",
     .minimum = SL_SECOND_MS,
     .maximum = 2 * SL_HOUR_MS,
     .help = "how long one call may take; long, because an environment may export synchronously"},
    {.name = "poll_interval",
     .kind = SL_SET_DURATION,
     .offset = SOURCE(poll_interval_ms),
     .fallback = "2s",
     .minimum = 10,
     .maximum = SL_HOUR_MS,
     .help = "pause before the first look at a running export; later ones grow"},
    {.name = "poll_max",
     .kind = SL_SET_DURATION,
     .offset = SOURCE(poll_max_ms),
     .fallback = "30s",
     .minimum = 10,
     .maximum = SL_HOUR_MS,
     .help = "the longest pause between two looks at a running export"},
    {.name = "stall_timeout",
     .kind = SL_SET_DURATION,
     .offset = SOURCE(stall_timeout_ms),
     .fallback = "1m",
     .minimum = SL_SECOND_MS,
     .maximum = SL_HOUR_MS,
     .help = "a download that brings no byte for this long is broken off and resumed"},
    {0},
};

const struct sl_setting sl_dmf_feed_table[] = {
    {.name = "definition_group",
     .kind = SL_SET_TEXT,
     .offset = FEED(definition_group),
     .required = true,
     .help = "the data project (export) to run; one project serves one company and only sluice"},
    {.name = "full_definition_group",
     .kind = SL_SET_TEXT,
     .offset = FEED(full_definition_group),
     .help = "a second project with the same entities and full push; it heals a lost increment"},
    {.name = "legal_entity",
     .kind = SL_SET_TEXT,
     .offset = FEED(legal_entity),
     .required = true,
     .help = "the company whose data is exported, such as USMF"},
    {.name = "package_name",
     .kind = SL_SET_TEXT,
     .offset = FEED(package_name),
     .help = "name of the packages in the environment; without it the execution's id"},
    {.name = "file_encoding",
     .kind = SL_SET_CHOICE,
     .offset = FEED(file_encoding),
     .fallback = "auto",
     .choices = ENCODINGS,
     .help = "encoding of the data files; auto looks at their first bytes"},
    {.name = "delimiter",
     .kind = SL_SET_CHOICE,
     .offset = FEED(delimiter),
     .fallback = ",",
     .choices = DELIMITERS,
     .help = "the character between two cells, as the project's source data format has it"},
    {.name = "start_grace",
     .kind = SL_SET_DURATION,
     .offset = FEED(start_grace_ms),
     .fallback = "2m",
     .minimum = SL_SECOND_MS,
     .maximum = SL_HOUR_MS,
     .help = "how long a requested export may be unknown before it counts as never started"},
    {.name = "execution_deadline",
     .kind = SL_SET_DURATION,
     .offset = FEED(execution_deadline_ms),
     .fallback = "2h",
     .minimum = SL_SECOND_MS,
     .maximum = 7 * SL_DAY_MS,
     .help = "an export that takes longer has failed"},
    {.name = "url_deadline",
     .kind = SL_SET_DURATION,
     .offset = FEED(url_deadline_ms),
     .fallback = "10m",
     .minimum = SL_SECOND_MS,
     .maximum = SL_DAY_MS,
     .help = "how long the package's address may stay empty after the export succeeded; where it "
             "stays so when nothing has changed, a quiet run takes that long"},
    {.name = "ledger_deadline",
     .kind = SL_SET_DURATION,
     .offset = FEED(ledger_deadline_ms),
     .fallback = "10m",
     .minimum = SL_SECOND_MS,
     .maximum = 7 * SL_DAY_MS,
     .help = "when the rows read and the rows applied differ for longer, the package is published "
             "again"},
    {.name = "max_package",
     .kind = SL_SET_SIZE,
     .offset = FEED(max_package_bytes),
     .fallback = "20GiB",
     .minimum = SL_KIB,
     .maximum = 16384 * SL_GIB,
     .help = "a package that inflates to more than this is not read"},
    {.name = "sweep_limit",
     .kind = SL_SET_INT,
     .offset = FEED(sweep_limit_percent),
     .fallback = "10",
     .minimum = 0,
     .maximum = 100,
     .help = "percent of the documents that a refresh may take for deleted; more is refused"},
    {.name = "formerly",
     .kind = SL_SET_LIST,
     .offset = FEED(formerly),
     .help = "names that this feed had before: its sweep takes their documents for its own"},
    {0                                                                      },
};

/* --- what stands in each other's way --- */

static bool same_environment(const struct sl_source_config *a, const struct sl_source_config *b)
{
    const struct sl_dmf_source_settings *one = a->settings, *other = b->settings;
    return a == b || (one && other && sl_environment_is_same(one->url, other->url));
}

static bool same_project(const char *one, const char *other)
{
    return one && other && !strcasecmp(one, other);
}

/* The watermark of an incremental export lives in its project, and each run of that moves it. */
static void check_pair(const struct sl_feed_config *feed, const struct sl_feed_config *other,
                       struct sl_problems *problems)
{
    const struct sl_dmf_feed_settings *ours = feed->settings, *theirs = other->settings;
    struct sl_json_place at = sl_config_place(feed->json, "definition_group", 0);
    if (same_project(ours->definition_group, theirs->definition_group))
        sl_problem_error(problems, at.line, at.column,
                         "feeds.%s and feeds.%s run the same definition_group: each would miss the "
                         "changes that the other one read; make a data project for each",
                         other->name, feed->name);
    if (same_project(ours->definition_group, theirs->full_definition_group))
        sl_problem_error(problems, at.line, at.column,
                         "feeds.%s.definition_group is the full_definition_group of feeds.%s, "
                         "which would take its changes: make a data project for each",
                         feed->name, other->name);
    at = sl_config_place(feed->json, "full_definition_group", 0);
    if (same_project(ours->full_definition_group, theirs->definition_group))
        sl_problem_error(problems, at.line, at.column,
                         "feeds.%s.full_definition_group is the definition_group of feeds.%s, and "
                         "would take its changes: make a data project for each",
                         feed->name, other->name);
    /* The environment does not run one project twice at a time. */
    if (same_project(ours->full_definition_group, theirs->full_definition_group))
        sl_problem_error(
            problems, at.line, at.column,
            "feeds.%s and feeds.%s run the same full_definition_group, and two exports "
            "of one project stand in each other's way: make a data project for each",
            other->name, feed->name);
}

/* As a browser shows it: "…/?cmp=USMF&mi=DefaultDashboard". */
static void check_url(const struct sl_source_config *source, struct sl_problems *problems)
{
    const struct sl_dmf_source_settings *settings = source->settings;
    const char *wrong = settings->url ? strpbrk(settings->url, "?#") : NULL;
    struct sl_json_place at = sl_config_place(source->json, "url", 0);
    if (wrong)
        sl_problem_error(problems, at.line, at.column,
                         "sources.%s.url must be the environment's address, without \"%.60s\"",
                         source->name, wrong);
}

static void check_own(const struct sl_feed_config *feed, struct sl_problems *problems)
{
    const struct sl_dmf_feed_settings *settings = feed->settings;
    struct sl_json_place at = sl_config_place(feed->json, "full_definition_group", 0);
    if (same_project(settings->definition_group, settings->full_definition_group))
        sl_problem_error(problems, at.line, at.column,
                         "feeds.%s.full_definition_group is the feed's definition_group, too: make "
                         "a second data project with the same entities and \"Full push only\"",
                         feed->name);
}

static void check(const struct sl_config *config, struct sl_problems *problems)
{
    for (size_t i = 0; i < config->source_count; i++)
        if (config->sources[i].settings && config->sources[i].type == &sl_dmf_config_type)
            check_url(&config->sources[i], problems);
    for (size_t i = 0; i < config->feed_count; i++) {
        const struct sl_feed_config *feed = &config->feeds[i];
        if (!feed->settings || feed->source->type != &sl_dmf_config_type)
            continue;
        check_own(feed, problems);
        sl_feed_check_formerly(config, feed, problems);
        for (size_t j = 0; j < i; j++) {
            const struct sl_feed_config *other = &config->feeds[j];
            if (other->settings && other->source->type == feed->source->type &&
                same_environment(feed->source, other->source))
                check_pair(feed, other, problems);
        }
    }
}

static void domain(const void *source_settings, const void *feed_settings, char *out, size_t size)
{
    (void)source_settings;
    (void)feed_settings;
    snprintf(out, size, "F&O exports");
}

static const struct sl_auth_settings *auth(const void *source_settings)
{
    const struct sl_dmf_source_settings *source = source_settings;
    return &source->auth;
}

const struct sl_config_type sl_dmf_config_type = {
    .name = "dmf",
    .summary = "Export packages of Dynamics 365 Finance & Operations (data management)",
    .source_table = sl_dmf_source_table,
    .source_bytes = sizeof(struct sl_dmf_source_settings),
    .feed_table = sl_dmf_feed_table,
    .feed_bytes = sizeof(struct sl_dmf_feed_settings),
    .entities = SL_ENTITIES_LISTED,
    .schedule_required = true,
    .domain = domain,
    .auth = auth,
    .check = check,
};

char sl_dmf_delimiter(const struct sl_dmf_feed_settings *settings)
{
    return DELIMITERS[settings->delimiter][0];
}
