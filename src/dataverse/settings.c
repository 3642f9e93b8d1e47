#include "dataverse/settings.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "config/check.h"
#include "config/problems.h"
#include "http/oauth_settings.h"
#include "http/url.h"
#include "source/environment.h"
#include "source/feed_names.h"

#define EVERY "3s" /* by default */

#define SOURCE(field) offsetof(struct sl_dataverse_source_settings, field)
#define BUDGET(field) offsetof(struct sl_budget_settings, field)
#define FEED(field) offsetof(struct sl_dataverse_feed_settings, field)

static const char *const HTTPS[] = {"https", NULL};
static const char *const PRIORITIES[] = {"low", "normal", "high", NULL};

static const struct sl_setting BUDGET_TABLE[] = {
    {.name = "requests",
     .kind = SL_SET_INT,
     .offset = BUDGET(requests),
     .fallback = "6000",
     .minimum = 1,
     .maximum = 1000000,
     .help = "requests that the service grants in a window"},
    {.name = "execution",
     .kind = SL_SET_DURATION,
     .offset = BUDGET(execution_ms),
     .fallback = "20m",
     .minimum = SL_SECOND_MS,
     .maximum = SL_DAY_MS,
     .help = "time that these requests may take together"},
    {.name = "window",
     .kind = SL_SET_DURATION,
     .offset = BUDGET(window_ms),
     .fallback = "5m",
     .minimum = SL_SECOND_MS,
     .maximum = SL_HOUR_MS,
     .help = "length of the sliding window that the service counts in"},
    {.name = "concurrency",
     .kind = SL_SET_INT,
     .offset = BUDGET(concurrency),
     .fallback = "52",
     .minimum = 1,
     .maximum = 1000,
     .help = "requests under way at once"},
    {.name = "use_percent",
     .kind = SL_SET_INT,
     .offset = BUDGET(use_percent),
     .fallback = "80",
     .minimum = 1,
     .maximum = 100,
     .help = "how much of requests and execution sluice takes, in percent"},
    {.name = "requests_per_day",
     .kind = SL_SET_INT,
     .offset = BUDGET(requests_per_day),
     .minimum = 100,
     .maximum = 1000000000,
     .help = "requests that sluice makes in any 24 hours at most; without it they are not counted"},
    {0                               },
};

const struct sl_setting sl_dataverse_source_table[] = {
    {.name = "url",
     .kind = SL_SET_URL,
     .offset = SOURCE(url),
     .required = true,
     .choices = HTTPS,
     .help = "the environment, such as https://contoso.crm.dynamics.com"},
    {.name = "auth",
     .kind = SL_SET_SECTION,
     .offset = SOURCE(auth),
     .required = true,
     .section = sl_auth_table,
     .help = "how sluice signs in: an Entra application that is an application user there"},
    {.name = "request_timeout",
     .kind = SL_SET_DURATION,
     .offset = SOURCE(request_timeout_ms),
     .fallback = "1m",
     .minimum = SL_SECOND_MS,
     .maximum = SL_HOUR_MS,
     .help = "how long the service may take to begin an answer, and to send each 16 KiB of it"},
    {.name = "page_size",
     .kind = SL_SET_INT,
     .offset = SOURCE(page_size),
     .fallback = "5000",
     .minimum = 1,
     .maximum = 5000,
     .help = "rows in one answer, at most"},
    {.name = "budget",
     .kind = SL_SET_SECTION,
     .offset = SOURCE(budget),
     .section = BUDGET_TABLE,
     .help = "what the service grants this application user; a second source has one of its own"},
    {0      },
};

const struct sl_setting sl_dataverse_feed_table[] = {
    {.name = "table",
     .kind = SL_SET_TEXT,
     .offset = FEED(table),
     .required = true,
     .help = "logical name of the table, such as account or mserp_vendvendorv2entity"},
    {.name = "select",
     .kind = SL_SET_LIST,
     .offset = FEED(select),
     .help = "the columns to carry, by their logical names; without it all of them"},
    {.name = "formatted_values",
     .kind = SL_SET_BOOL,
     .offset = FEED(formatted_values),
     .fallback = "false",
     .help = "whether documents also get what people see, such as the label of a choice"},
    {.name = "formerly",
     .kind = SL_SET_LIST,
     .offset = FEED(formerly),
     .help = "names that this feed had before: its sweep takes their documents for its own"},
    {.name = "every",
     .kind = SL_SET_DURATION,
     .offset = FEED(every_ms),
     .fallback = EVERY,
     .minimum = 100,
     .maximum = SL_DAY_MS,
     .help = "pause from the start of one poll to the start of the next"},
    {.name = "min_interval",
     .kind = SL_SET_DURATION,
     .offset = FEED(min_interval_ms),
     .minimum = 100,
     .maximum = SL_DAY_MS,
     .help = "the shortest such pause, of a busy table; without it a third of every, at least 1s"},
    {.name = "max_interval",
     .kind = SL_SET_DURATION,
     .offset = FEED(max_interval_ms),
     .fallback = "5m",
     .minimum = 100,
     .maximum = SL_DAY_MS,
     .help = "the longest such pause of an idle table, when the budget does not suffice for all"},
    {.name = "priority",
     .kind = SL_SET_CHOICE,
     .offset = FEED(priority),
     .fallback = "normal",
     .choices = PRIORITIES,
     .help = "who keeps its pace when the budget does not suffice for all"},
    {.name = "sweep_limit",
     .kind = SL_SET_INT,
     .offset = FEED(sweep_limit_percent),
     .fallback = "10",
     .minimum = 0,
     .maximum = 100,
     .help = "after a full read, at most this percentage of the documents is taken for deleted"},
    {.name = "ledger_deadline",
     .kind = SL_SET_DURATION,
     .offset = FEED(ledger_deadline_ms),
     .fallback = "10m",
     .minimum = SL_SECOND_MS,
     .maximum = 7 * SL_DAY_MS,
     .help = "when the rows read and the rows applied differ for longer, they are read again"},
    {.name = "run_span",
     .kind = SL_SET_DURATION,
     .offset = FEED(run_span_ms),
     .fallback = "10s",
     .minimum = 100,
     .maximum = SL_HOUR_MS,
     .help = "how long rows are counted together, as one run of the ledger"},
    {0                                                                       },
};

uint64_t sl_dataverse_min_interval_ms(const struct sl_dataverse_feed_settings *feed)
{
    uint64_t third_ms = feed->every_ms / 3;
    uint64_t usual_ms = third_ms > SL_SECOND_MS ? third_ms : SL_SECOND_MS;
    uint64_t min_ms = feed->min_interval_ms ? feed->min_interval_ms : usual_ms;
    return min_ms < feed->every_ms ? min_ms : feed->every_ms;
}

static const char *entity_name(const void *feed_settings)
{
    const struct sl_dataverse_feed_settings *feed = feed_settings;
    return feed->table;
}

bool sl_dataverse_is_of_fo(const char *table)
{
    return table && !strncmp(table, "mserp_", strlen("mserp_"));
}

/* Two counters go through the tables of an environment; what one of them counts compares. */
static void domain(const void *source_settings, const void *feed_settings, char *out, size_t size)
{
    const struct sl_dataverse_source_settings *source = source_settings;
    const struct sl_dataverse_feed_settings *feed = feed_settings;
    char environment[300];
    snprintf(out, size, "row versions of %s%s",
             sl_dataverse_is_of_fo(feed->table) ? "the F&O tables of " : "",
             sl_environment_name(source->url, environment, sizeof environment));
}

static bool is_logical(const char *name)
{
    return *name && !name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")];
}

static bool is_among(char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(names[i], name))
            return true;
    return false;
}

/* Adds "feeds.NAME.KEY …" at the key's place. */
static void complain(const struct sl_feed_config *feed, const char *key, size_t item,
                     const char *wrong, const char *name, struct sl_problems *problems)
{
    struct sl_json_place at = sl_config_place(feed->json, key, item);
    sl_problem_error(problems, at.line, at.column, "feeds.%s.%s %s%s%.60s%s", feed->name, key,
                     wrong, name ? ", not \"" : "", name ? name : "", name ? "\"" : "");
}

void sl_dataverse_check_names(const struct sl_feed_config *feed, const char *table,
                              char *const *select, struct sl_problems *problems)
{
    static const char NEED[] = "needs a logical name (lower case letters, digits and '_')";
    const struct sl_json *said = sl_config_said(feed->json, "select");
    if (table && *table && !is_logical(table))
        complain(feed, "table", 0, NEED, table, problems);
    if (said && said->kind == SL_JSON_LIST && !said->count)
        complain(feed, "select", 0, "must not be empty: leave it out to carry every column", NULL,
                 problems);
    for (size_t i = 0; select && select[i]; i++)
        if (!is_logical(select[i]))
            complain(feed, "select", i, NEED, select[i], problems);
        else if (is_among(select, i, select[i]))
            complain(feed, "select", i, "names a column twice", NULL, problems);
}

/* What follows scheme, host and port of a URL, but for a last "/". */
static const char *behind_host(const char *url)
{
    const char *host = strstr(url, "://");
    const char *path = host ? strpbrk(host + 3, "/?#") : NULL;
    return path && strcmp(path, "/") != 0 ? path : "";
}

static void check_url(const struct sl_source_config *source, struct sl_problems *problems)
{
    const struct sl_dataverse_source_settings *settings = source->settings;
    struct sl_json_place at = sl_config_place(source->json, "url", 0);
    if (settings->url && *behind_host(settings->url))
        sl_problem_error(problems, at.line, at.column,
                         "sources.%s.url must end with the host: the address that users see, "
                         "without \"%.60s\"",
                         source->name, behind_host(settings->url));
}

static bool same_client(const struct sl_auth_settings *one, const struct sl_auth_settings *other)
{
    if (one->client_id && other->client_id)
        return !strcasecmp(one->client_id, other->client_id);
    return !one->client_id && !other->client_id && one->type == SL_OAUTH_IDENTITY &&
           other->type == SL_OAUTH_IDENTITY; /* the machine itself */
}

/* Whether both speak for one application user. */
static bool same_user(const struct sl_source_config *a, const struct sl_source_config *b)
{
    const struct sl_dataverse_source_settings *one = a->settings, *other = b->settings;
    return same_client(&one->auth, &other->auth) && sl_environment_is_same(one->url, other->url);
}

static void check_sources(const struct sl_config *config, struct sl_problems *problems)
{
    for (size_t i = 0; i < config->source_count; i++) {
        const struct sl_source_config *source = &config->sources[i];
        if (!source->settings || source->type != &sl_dataverse_config_type)
            continue;
        check_url(source, problems);
        for (size_t j = 0; j < i; j++) {
            const struct sl_source_config *other = &config->sources[j];
            struct sl_json_place at = sl_config_place(source->json, "auth.client_id", 0);
            if (other->settings && other->type == source->type && same_user(other, source))
                sl_problem_warning(problems, at.line, at.column,
                                   "sources.%s.auth.client_id is that of sources.%s: each will "
                                   "spend the whole budget of this application user",
                                   source->name, other->name);
        }
    }
}

static void complain_of_every(const struct sl_feed_config *feed, const char *key, const char *wrong,
                              struct sl_problems *problems)
{
    struct sl_json_place at = sl_config_place(feed->json, key, 0);
    const char *by_default = sl_config_said(feed->json, "every") ? "" : ", by default " EVERY;
    sl_problem_error(problems, at.line, at.column, "feeds.%s.%s must not be %s than \"every\"%s",
                     feed->name, key, wrong, by_default);
}

/* What is not said adapts itself to "every". */
static void check_intervals(const struct sl_feed_config *feed, struct sl_problems *problems)
{
    const struct sl_dataverse_feed_settings *settings = feed->settings;
    if (sl_config_said(feed->json, "min_interval") &&
        settings->min_interval_ms > settings->every_ms)
        complain_of_every(feed, "min_interval", "longer", problems);
    if (sl_config_said(feed->json, "max_interval") &&
        settings->max_interval_ms < settings->every_ms)
        complain_of_every(feed, "max_interval", "shorter", problems);
}

static void check(const struct sl_config *config, struct sl_problems *problems)
{
    check_sources(config, problems);
    for (size_t i = 0; i < config->feed_count; i++) {
        const struct sl_feed_config *feed = &config->feeds[i];
        const struct sl_dataverse_feed_settings *settings = feed->settings;
        if (!settings || feed->source->type != &sl_dataverse_config_type)
            continue;
        sl_dataverse_check_names(feed, settings->table, settings->select, problems);
        sl_feed_check_formerly(config, feed, problems);
        check_intervals(feed, problems);
    }
}

static const struct sl_auth_settings *auth(const void *source_settings)
{
    const struct sl_dataverse_source_settings *source = source_settings;
    return &source->auth;
}

const struct sl_config_type sl_dataverse_config_type = {
    .name = "dataverse",
    .summary = "Tables of a Dataverse environment, by change tracking",
    .source_table = sl_dataverse_source_table,
    .source_bytes = sizeof(struct sl_dataverse_source_settings),
    .feed_table = sl_dataverse_feed_table,
    .feed_bytes = sizeof(struct sl_dataverse_feed_settings),
    .entities = SL_ENTITIES_ONE,
    .entity_name = entity_name,
    .domain = domain,
    .auth = auth,
    .check = check,
};
