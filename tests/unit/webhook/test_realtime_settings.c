/* What dataverse, webhook and ingest sources and their feeds may say. Each case is a good
 * configuration of which one line is replaced. */
#include "dataverse/settings.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>

#include "base/str.h"
#include "config/problems.h"
#include "dmf/settings.h"
#include "ingest/settings.h"
#include "source/environment.h"
#include "webhook/settings.h"

#include <cmocka.h>

static const struct sl_config_section SECTIONS[] = {{0}};
static const struct sl_config_type *const TYPES[] = {&sl_dmf_config_type, &sl_dataverse_config_type,
                                                     &sl_webhook_config_type,
                                                     &sl_ingest_config_type, NULL};

static void check(const struct sl_config *config, struct sl_problems *problems)
{
    sl_listen_check_apart(config, "ops.listen", "127.0.0.1:9464", problems);
    sl_listen_check_apart(config, "nobody", NULL, problems);
}

static const struct sl_config_shape SHAPE = {
    .sections = SECTIONS, .types = TYPES, .settings_bytes = 1, .check = check};

#define AUTH "\"auth\": {\"tenant\": \"t\", \"client_id\": \"c\", \"client_secret\": \"s\"}"
#define AUTH2 "\"auth\": {\"tenant\": \"t\", \"client_id\": \"d\", \"client_secret\": \"s\"}"

static const char *const GOOD[] = {
    "{\"sources\": {",
    "\"crm\": {\"type\": \"dataverse\", \"url\": \"https://contoso.crm.dynamics.com\", " AUTH "},",
    "\"crm2\": {\"type\": \"dataverse\", \"url\": \"https://CONTOSO.crm.dynamics.com:443/\", " AUTH2
    "},",
    "\"fno\": {\"type\": \"dmf\", \"url\": \"https://fno.example\", " AUTH "},",
    "\"hook\": {\"type\": \"webhook\", \"listen\": \"0.0.0.0:8443\",",
    "  \"doorbell\": [\"crm\", \"crm2\"],",
    "  \"secret\": {\"header\": \"x-sluice-key\", \"value\": \"hunter2\"}},",
    "\"in\": {\"type\": \"ingest\", \"listen\": \"127.0.0.1:8080\", \"token\": \"hunter2\"}},",
    "\"feeds\": {",
    "\"accounts\": {\"source\": \"crm\", \"table\": \"account\", \"collection\": \"accounts\"},",
    "\"contacts\": {\"source\": \"crm2\", \"table\": \"contact\", \"collection\": \"contacts\"},",
    "\"notes\": {\"source\": \"hook\", \"table\": \"annotation\", \"collection\": \"notes\"},",
    "\"tags\": {\"source\": \"hook\", \"relationship\": \"new_account_tag\", \"collection\": "
    "\"tags\"},",
    "\"orders\": {\"source\": \"in\", \"collection\": \"orders\", \"key\": \"id\"},",
    "\"vendors\": {\"source\": \"fno\", \"definition_group\": \"P\", \"legal_entity\": \"USMF\", "
    "\"every\": \"5m\",",
    "  \"entities\": {\"Vendors V3\": {\"collection\": \"vendors\", \"key\": \"id\"}}}",
    "}}",
};
enum { LINES = sizeof GOOD / sizeof GOOD[0] };

/* Takes out what is said of the good configuration too: its listener is on the network, and plain.
 * How often that was. */
static unsigned drop_plain_warnings(char *printed)
{
    unsigned count = 0;
    for (char *at = printed, *end; *at; at = end) {
        end = strchr(at, '\n') + 1;
        if (!memmem(at, (size_t)(end - at), "is not encrypted", 16))
            continue;
        memmove(at, end, strlen(end) + 1);
        end = at;
        count++;
    }
    return count;
}

static unsigned plain_warnings; /* of the last parse */

/* The configuration with one line (from 1) replaced, and what is printed about it (free). */
static struct sl_config *parse(unsigned line, const char *text, char **ret_printed)
{
    struct sl_buf file;
    struct sl_problems problems;
    struct sl_config *config = NULL;
    size_t size = 0;
    sl_buf_init(&file);
    sl_problems_init(&problems);
    for (unsigned i = 1; i <= LINES; i++)
        sl_buf_printf(&file, "%s\n", i == line ? text : GOOD[i - 1]);
    sl_config_parse("c", file.data, file.length, &SHAPE, &config, &problems);
    assert_int_equal(config != NULL, problems.errors == 0);
    FILE *out = open_memstream(ret_printed, &size);
    sl_problems_print(&problems, out);
    fclose(out);
    plain_warnings = drop_plain_warnings(*ret_printed);
    sl_problems_done(&problems);
    sl_buf_done(&file);
    return config;
}

/* The same, when nothing is said about it. */
static struct sl_config *parse_good(unsigned line, const char *text)
{
    char *printed;
    struct sl_config *config = parse(line, text, &printed);
    assert_string_equal(printed, "");
    free(printed);
    return config;
}

static void defaults_are_sensible(void **state)
{
    struct sl_config *config = parse_good(0, NULL);
    (void)state;
    assert_int_equal(plain_warnings, 1); /* the webhook's; posts are on loopback */
    const struct sl_dataverse_source_settings *crm = config->sources[0].settings;
    assert_string_equal(crm->auth.authority, "https://login.microsoftonline.com");
    assert_int_equal(crm->request_timeout_ms, 60000);
    assert_int_equal(crm->page_size, 5000);
    assert_int_equal(crm->budget.requests, 6000);
    assert_int_equal(crm->budget.execution_ms, 1200000);
    assert_int_equal(crm->budget.window_ms, 300000);
    assert_int_equal(crm->budget.concurrency, 52);
    assert_int_equal(crm->budget.use_percent, 80);

    const struct sl_dataverse_feed_settings *accounts = config->feeds[0].settings;
    assert_string_equal(accounts->table, "account");
    assert_null(accounts->select);
    assert_false(accounts->formatted_values);
    assert_int_equal(accounts->every_ms, 3000);
    assert_int_equal(sl_dataverse_min_interval_ms(accounts), 1000);
    assert_int_equal(accounts->max_interval_ms, 300000);
    assert_int_equal(accounts->priority, SL_DATAVERSE_PRIORITY_NORMAL);
    assert_int_equal(accounts->sweep_limit_percent, 10);
    assert_int_equal(accounts->ledger_deadline_ms, 600000);
    assert_int_equal(accounts->run_span_ms, 10000);
    assert_string_equal(config->feeds[0].entities[0].name, "account");
    assert_int_equal(config->feeds[0].schedule.every_ms, 0);

    const struct sl_webhook_source_settings *hook = config->sources[3].settings;
    assert_string_equal(hook->listen.address, "0.0.0.0:8443");
    assert_null(hook->listen.tls.certificate);
    assert_int_equal(hook->listen.max_body_bytes, 1 << 20);
    assert_int_equal(hook->listen.max_connections, 256);
    assert_int_equal(hook->listen.max_rate, 1000);
    assert_int_equal(hook->listen.request_timeout_ms, 30000);
    assert_string_equal(hook->doorbell[1], "crm2");
    assert_null(hook->doorbell[2]);
    assert_string_equal(hook->secret.header, "x-sluice-key");
    assert_null(hook->secret.query);
    assert_null(hook->secret.old_value);

    const struct sl_webhook_feed_settings *notes = config->feeds[2].settings;
    const struct sl_webhook_feed_settings *tags = config->feeds[3].settings;
    assert_string_equal(notes->table, "annotation");
    assert_null(notes->relationship);
    assert_int_equal(notes->run_span_ms, 10000);
    assert_null(tags->table);
    assert_string_equal(config->feeds[3].entities[0].name, "new_account_tag");

    const struct sl_ingest_source_settings *in = config->sources[4].settings;
    const struct sl_ingest_feed_settings *orders = config->feeds[4].settings;
    assert_int_equal(in->listen.max_body_bytes, 16 << 20);
    assert_string_equal(in->token, "hunter2");
    assert_null(in->old_token);
    assert_null(orders->version);
    assert_string_equal(config->feeds[4].entities[0].name, "orders");
    assert_string_equal(config->feeds[4].entities[0].key[0], "id");
    sl_config_free(config);
}

/* "every" alone is enough: what is not said adapts itself to it. */
static void intervals_that_are_not_said_follow_every(void **state)
{
    static const struct {
        const char *every;
        uint64_t min_ms, every_ms;
    } rows[] = {
        {"100ms",  100,      100     },
        {"1500ms", 1000,     1500    },
        {"9s",     3000,     9000    },
        {"10m",    200000,   600000  },
        {"1d",     28800000, 86400000},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[200];
        snprintf(text, sizeof text,
                 "\"accounts\": {\"source\": \"crm\", \"collection\": \"accounts\", \"table\": "
                 "\"account\", \"every\": \"%s\"},",
                 rows[i].every);
        struct sl_config *config = parse_good(10, text);
        const struct sl_dataverse_feed_settings *accounts = config->feeds[0].settings;
        assert_int_equal(accounts->every_ms, rows[i].every_ms);
        assert_int_equal(sl_dataverse_min_interval_ms(accounts), rows[i].min_ms);
        sl_config_free(config);
    }
}

static void everything_that_can_be_said_is_heard(void **state)
{
    struct sl_config *config = parse_good(
        10, "\"accounts\": {\"source\": \"crm\", \"table\": \"account\", \"collection\": "
            "\"accounts\", \"select\": [\"name\", \"_ownerid_value\"], \"formatted_values\": true, "
            "\"every\": \"110ms\", \"min_interval\": \"105ms\", \"max_interval\": \"110ms\", "
            "\"priority\": \"high\", "
            "\"sweep_limit\": 0, \"ledger_deadline\": \"1s\", \"run_span\": \"100ms\"},");
    (void)state;
    const struct sl_dataverse_feed_settings *accounts = config->feeds[0].settings;
    assert_string_equal(accounts->select[1], "_ownerid_value");
    assert_null(accounts->select[2]);
    assert_true(accounts->formatted_values);
    assert_int_equal(accounts->every_ms, 110);
    assert_int_equal(sl_dataverse_min_interval_ms(accounts), 105);
    assert_int_equal(accounts->max_interval_ms, 110);
    assert_int_equal(accounts->priority, SL_DATAVERSE_PRIORITY_HIGH);
    assert_int_equal(accounts->sweep_limit_percent, 0);
    sl_config_free(config);

    config = parse_good(2, "\"crm\": {\"type\": \"dataverse\", \"url\": "
                           "\"https://contoso.crm.dynamics.com\", \"page_size\": 1, \"budget\": "
                           "{\"requests\": 100, \"execution\": \"5s\", \"window\": \"5s\", "
                           "\"concurrency\": 2, \"use_percent\": 100}, " AUTH "},");
    const struct sl_dataverse_source_settings *crm = config->sources[0].settings;
    assert_int_equal(crm->page_size, 1);
    assert_int_equal(crm->budget.requests, 100);
    assert_int_equal(crm->budget.execution_ms, 5000);
    assert_int_equal(crm->budget.window_ms, 5000);
    assert_int_equal(crm->budget.concurrency, 2);
    assert_int_equal(crm->budget.use_percent, 100);
    sl_config_free(config);
}

/* Nobody may pass by showing nothing: an empty old secret is none. */
static void an_empty_old_secret_is_none(void **state)
{
    (void)state;
    setenv("SL_TEST_NONE", "", 1);
    struct sl_config *config =
        parse_good(7, "  \"secret\": {\"query\": \"code\", \"value\": \"hunter2\", \"old_value\": "
                      "\"${SL_TEST_NONE}\"}},");
    const struct sl_webhook_source_settings *hook = config->sources[3].settings;
    assert_string_equal(hook->secret.query, "code");
    assert_null(hook->secret.old_value);
    sl_config_free(config);
    config = parse_good(8, "\"in\": {\"type\": \"ingest\", \"listen\": \"127.0.0.1:8080\", "
                           "\"token\": \"hunter2\", \"old_token\": \"\"}},");
    const struct sl_ingest_source_settings *in = config->sources[4].settings;
    assert_null(in->old_token);
    sl_config_free(config);
}

static void one_address_is_one_listener(void **state)
{
    struct sl_listen_settings listen;
    struct sl_config *config = parse_good(
        8, "\"in\": {\"type\": \"ingest\", \"listen\": \"0.0.0.0:8443\", \"token\": \"t\", "
           "\"max_connections\": 10, \"max_rate\": 2000, \"tls\": {\"certificate\": \"c.pem\", "
           "\"key\": \"k.pem\"}}},");
    (void)state;
    assert_null(sl_listen_of(&config->sources[0]));
    assert_string_equal(sl_listen_of(&config->sources[4])->tls.key, "k.pem");
    sl_listen_share(config, "0.0.0.0:8443", &listen);
    assert_string_equal(listen.address, "0.0.0.0:8443");
    assert_string_equal(listen.tls.certificate, "c.pem");
    assert_int_equal(listen.max_connections, 256);
    assert_int_equal(listen.max_rate, 2000);
    assert_int_equal(listen.max_body_bytes, 16 << 20);
    assert_int_equal(listen.request_timeout_ms, 30000);
    sl_config_free(config);
}

static void an_environment_looks_the_same_however_it_is_written(void **state)
{
    static const struct {
        const char *url, *shown;
    } cases[] = {
        {"https://contoso.crm.dynamics.com",      "https://contoso.crm.dynamics.com"     },
        {"https://Contoso.crm.dynamics.com:443/", "https://contoso.crm.dynamics.com"     },
        {"https://contoso.crm.dynamics.com:8443", "https://contoso.crm.dynamics.com:8443"},
        {"http://localhost:80/x",                 "http://localhost"                     },
        {"http://[::1]:8080",                     "http://[::1]:8080"                    },
        {NULL,                                    "an environment without a URL"         },
    };
    char shown[100];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(sl_environment_name(cases[i].url, shown, sizeof shown), cases[i].shown);
}

struct bad_case {
    unsigned line;
    const char *text, *printed;
};

static void check_cases(const struct bad_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *printed;
        sl_config_free(parse(cases[i].line, cases[i].text, &printed));
        if (strcmp(printed, cases[i].printed) != 0)
            fail_msg("%s\n--- says\n%s--- not\n%s", cases[i].text, printed, cases[i].printed);
        free(printed);
    }
}

#define CHECK(cases) check_cases((cases), sizeof(cases) / sizeof((cases)[0]))

/* clang-format 14 falls over such tables. */
/* clang-format off */
static void tables_are_named_as_the_service_does(void **state)
{
#define FEED(rest) "\"accounts\": {\"source\": \"crm\", \"collection\": \"accounts\", " rest "},"
    static const struct bad_case cases[] = {
        {10, FEED("\"select\": \"name\""),
         "c:10:13: missing key \"table\" in feeds.accounts\n"},
        {10, FEED("\"table\": \"Account\""),
         "c:10:66: feeds.accounts.table needs a logical name (lower case letters, digits and '_'), "
         "not \"Account\"\n"},
        {10, FEED("\"table\": \"account\", \"select\": [\"name\", \"Account Name\"]"),
         "c:10:96: feeds.accounts.select needs a logical name (lower case letters, digits and "
         "'_'), not \"Account Name\"\n"},
        {10, FEED("\"table\": \"account\", \"select\": [\"name\", \"x\", \"name\"]"),
         "c:10:101: feeds.accounts.select names a column twice\n"},
        {10, FEED("\"table\": \"account\", \"select\": []"),
         "c:10:87: feeds.accounts.select must not be empty: leave it out to carry every column\n"},
        {10, FEED("\"table\": \"account\", \"formerly\": \"old\"")
             "\"more\": {\"source\": \"crm\", \"collection\": \"accounts\", \"table\": \"contact\", "
             "\"formerly\": [\"older\", \"old\"]},",
         "c:10:89: feeds.accounts.formerly names a feed that another one claims to have been\n"
         "c:10:190: feeds.more.formerly names a feed that another one claims to have been\n"},
        {10, FEED("\"table\": \"account\", \"max_interval\": \"1s\""),
         "c:10:93: feeds.accounts.max_interval must not be shorter than \"every\", by default 3s\n"},
        {10, FEED("\"table\": \"account\", \"every\": \"2s\", \"max_interval\": \"1s\""),
         "c:10:108: feeds.accounts.max_interval must not be shorter than \"every\"\n"},
        {10, FEED("\"table\": \"account\", \"min_interval\": \"4s\""),
         "c:10:93: feeds.accounts.min_interval must not be longer than \"every\", by default 3s\n"},
        {10, FEED("\"table\": \"account\", \"every\": \"2s\", \"min_interval\": \"3s\""),
         "c:10:108: feeds.accounts.min_interval must not be longer than \"every\"\n"},
        {10, FEED("\"table\": \"account\", \"every\": \"10ms\""),
         "c:10:86: feeds.accounts.every must be between 100ms and 1d, not \"10ms\"\n"},
        {10, FEED("\"table\": \"account\", \"run_span\": \"10ms\""),
         "c:10:89: feeds.accounts.run_span must be between 100ms and 1h, not \"10ms\"\n"},
        {10, FEED("\"table\": \"account\", \"sweep_limit\": 101"),
         "c:10:92: feeds.accounts.sweep_limit must be between 0 and 100, not 101\n"},
        {10, FEED("\"table\": \"account\", \"priority\": \"hgih\""),
         "c:10:89: feeds.accounts.priority must be \"low\", \"normal\" or \"high\", not \"hgih\"\n"},
        {10, FEED("\"table\": \"account\", \"cron\": \"* * * * *\""),
         "c:10:77: unknown key \"cron\" in feeds.accounts\n"},
        {10, FEED("\"table\": \"account\", \"key\": \"accountid\""),
         "c:10:77: unknown key \"key\" in feeds.accounts\n"},
        {2, "\"crm\": {\"type\": \"dataverse\", \"url\": \"https://contoso.crm.dynamics.com\", "
            "\"page_size\": 5001, " AUTH "},",
         "c:2:86: sources.crm.page_size must be between 1 and 5000, not 5001\n"},
        {2, "\"crm\": {\"type\": \"dataverse\", \"url\": \"https://contoso.crm.dynamics.com\", "
            "\"budget\": {\"use_percent\": 0}, " AUTH "},",
         "c:2:99: sources.crm.budget.use_percent must be between 1 and 100, not 0\n"},
        {2, "\"crm\": {\"type\": \"dataverse\", \"url\": \"http://contoso.crm.dynamics.com\", " AUTH "},",
         "c:2:37: sources.crm.url must begin with \"https://\" (plain http is for this machine "
         "alone)\n"},
        {2, "\"crm\": {\"type\": \"dataverse\", \"url\": \"https://contoso.crm.dynamics.com/api/data/v9.2\", " AUTH "},",
         "c:2:37: sources.crm.url must end with the host: the address that users see, without "
         "\"/api/data/v9.2\"\n"},
        {3, "\"crm2\": {\"type\": \"dataverse\", \"url\": \"https://CONTOSO.crm.dynamics.com\", " AUTH "},",
         "c:3:111: warning: sources.crm2.auth.client_id is that of sources.crm: each will spend the "
         "whole budget of this application user\n"},
        {3, "\"crm2\": {\"type\": \"dataverse\", \"url\": \"https://fabrikam.crm.dynamics.com\", " AUTH "},",
         "c:6:23: sources.hook.doorbell names \"crm\" and \"crm2\", which are two environments: make "
         "a webhook source for each\n"},
    };
    (void)state;
    CHECK(cases);
}

static void versions_of_one_collection_must_compare(void **state)
{
    static const struct bad_case cases[] = {
        /* any table of one environment and counter, through any application user */
        {11, "\"contacts\": {\"source\": \"crm2\", \"table\": \"contact\", \"collection\": \"accounts\"},",
         ""},
        {11, "\"contacts\": {\"source\": \"crm2\", \"table\": \"account\", \"collection\": \"accounts\"},",
         "c:11:1: feeds.accounts and feeds.contacts bring the same rows into one collection: keep "
         "one of them\n"},
        {11, "\"contacts\": {\"source\": \"crm\", \"table\": \"account\", \"collection\": \"accounts\"},",
         "c:11:1: feeds.accounts and feeds.contacts bring the same rows into one collection: keep "
         "one of them\n"},
        {12, "\"notes\": {\"source\": \"hook\", \"table\": \"account\", \"collection\": \"accounts\"},",
         "c:12:1: the collection \"accounts\" is fed by \"accounts\" (row versions of "
         "https://contoso.crm.dynamics.com) and \"notes\" (rows read back from crm): their versions "
         "cannot be compared, use two collections\n"},
        {12, "\"notes\": {\"source\": \"hook\", \"table\": \"annotation\", \"collection\": \"tags\"},",
         "c:13:1: the collection \"tags\" is fed by \"notes\" (rows read back from crm) and \"tags\" "
         "(associations in crm): their versions cannot be compared, use two collections\n"},
        {11, "\"contacts\": {\"source\": \"crm\", \"table\": \"mserp_v\", \"collection\": \"accounts\"},",
         "c:11:1: the collection \"accounts\" is fed by \"accounts\" (row versions of "
         "https://contoso.crm.dynamics.com) and \"contacts\" (row versions of the F&O tables of "
         "https://contoso.crm.dynamics.com): their versions cannot be compared, use two "
         "collections\n"},
        {14, "\"orders\": {\"source\": \"in\", \"collection\": \"orders\", \"key\": \"id\"}, "
             "\"returns\": {\"source\": \"in\", \"collection\": \"orders\", \"key\": \"id\"},", ""},
        {14, "\"orders\": {\"source\": \"in\", \"collection\": \"orders\", \"key\": \"id\"},\n"
             "\"returns\": {\"source\": \"in\", \"collection\": \"orders\", \"key\": \"no\"},",
         "c:15:1: the collection \"orders\" has the key no here and id in line 14: a collection needs "
         "one key\n"},
        {14, "\"orders\": {\"source\": \"in\", \"collection\": \"orders\", \"key\": \"id\"},\n"
             "\"returns\": {\"source\": \"in\", \"collection\": \"orders\", \"key\": \"id\", \"version\": \"n\"},",
         "c:15:1: the collection \"orders\" is fed by \"orders\" (order of arrival) and \"returns\" "
         "(the column \"n\"): their versions cannot be compared, use two collections\n"},
        {16, "  \"entities\": {\"Vendors V3\": {\"collection\": \"accounts\", \"key\": \"id\"}}}",
         "c:16:16: the collection \"accounts\" is fed by \"accounts\" (row versions of "
         "https://contoso.crm.dynamics.com) and \"vendors\" (F&O exports): their versions cannot be "
         "compared, use two collections\n"},
    };
    (void)state;
    CHECK(cases);
}

static void a_webhook_knows_whom_to_ring(void **state)
{
    static const struct bad_case cases[] = {
        {6, "  \"doorbell\": \"crm\",", ""},
        {6, "", "c:5:9: missing key \"doorbell\" in sources.hook\n"},
        {6, "  \"doorbell\": [],", "c:6:15: sources.hook.doorbell must not be empty\n"},
        {6, "  \"doorbell\": [\"crm\", \"crm3\"],",
         "c:6:23: sources.hook.doorbell names the source \"crm3\", which does not exist: did you "
         "mean \"crm\"?\n"},
        {6, "  \"doorbell\": \"fno\",",
         "c:6:15: sources.hook.doorbell names the source \"fno\", which is of type \"dmf\": only a "
         "source of type \"dataverse\" can be rung\n"},
        {3, "\"crm2\": {\"type\": \"dataverse\", \"url\": \"https://fabrikam.crm.dynamics.com\", " AUTH "},",
         "c:6:23: sources.hook.doorbell names \"crm\" and \"crm2\", which are two environments: make "
         "a webhook source for each\n"},
        {3, "\"crm2\": {\"type\": \"datavrse\", \"url\": \"https://fabrikam.crm.dynamics.com\", " AUTH "},",
         "c:3:18: there is no source type \"datavrse\"; there is \"dmf\", \"dataverse\", \"webhook\", "
         "\"ingest\"\n"},
    };
    (void)state;
    CHECK(cases);
}

static void a_listener_has_its_secret(void **state)
{
    static const struct bad_case cases[] = {
        {7, "  \"max_rate\": 10},", "c:5:9: missing key \"secret\" in sources.hook\n"},
        {7, "  \"secret\": {\"value\": \"hunter2\"}},",
         "c:7:13: sources.hook.secret does not say where the secret is: add \"header\" (like "
         "\"x-sluice-key\") or \"query\" (like \"code\")\n"},
        {7, "  \"secret\": {\"header\": \"a\", \"query\": \"b\", \"value\": \"hunter2\"}},",
         "c:7:13: sources.hook.secret says both \"header\" and \"query\": keep one\n"},
        {7, "  \"secret\": {\"header\": \"x key\", \"value\": \"hunter2\"}},",
         "c:7:13: sources.hook.secret needs a name of letters, digits, '-', '_' and '.' in "
         "\"header\" or \"query\"\n"},
        {7, "  \"secret\": {\"query\": \"\", \"value\": \"hunter2\"}},",
         "c:7:13: sources.hook.secret needs a name of letters, digits, '-', '_' and '.' in "
         "\"header\" or \"query\"\n"},
        {7, "  \"secret\": {\"header\": \"a\", \"value\": \"\"}},",
         "c:7:38: sources.hook.secret.value must not be empty\n"},
        {7, "  \"secret\": \"hunter2\"},",
         "c:7:13: sources.hook.secret needs an object {…}, not a text\n"},
        {8, "\"in\": {\"type\": \"ingest\", \"listen\": \"127.0.0.1:8080\"}},",
         "c:8:7: missing key \"token\" in sources.in\n"},
        {8, "\"in\": {\"type\": \"ingest\", \"listen\": \"127.0.0.1:8080\", \"token\": 123456}},",
         "c:8:63: sources.in.token needs a text\n"},
    };
    (void)state;
    CHECK(cases);
}

static void a_listener_has_an_address(void **state)
{
#define IN(rest) "\"in\": {\"type\": \"ingest\", \"token\": \"t\", " rest "}},"
    static const struct bad_case cases[] = {
        {8, IN("\"max_rate\": 1"), "c:8:7: missing key \"listen\" in sources.in\n"},
        {8, IN("\"listen\": \"\""), "c:8:50: sources.in.listen must not be empty\n"},
        {8, IN("\"listen\": \"8080\""), "c:8:50: sources.in.listen: cannot listen on '8080': write host:port, like "
         "127.0.0.1:9464 or [::1]:9464\n"},
        {8, IN("\"listen\": \"example.com:8080\""), "c:8:50: sources.in.listen: cannot listen on 'example.com:8080': write host:port, like "
         "127.0.0.1:9464 or [::1]:9464\n"},
        {8, IN("\"listen\": \"0.0.0.0:8080\", \"tls\": {\"certificate\": \"c\"}"),
         "c:8:73: missing key \"key\" in sources.in.tls\n"},
        {8, IN("\"listen\": \"0.0.0.0:8080\", \"max_body\": \"2TiB\""),
         "c:8:78: sources.in.max_body must be between 1KiB and 1GiB, not \"2TiB\"\n"},
        {8, IN("\"listen\": \"0.0.0.0:8443\""), ""},
        {8, IN("\"listen\": \"[::1]:8443\""), ""},
        {8, IN("\"listen\": \"127.0.0.2:9464\""), ""},
        {8, IN("\"listen\": \":9464\""),
         "c:8:50: sources.in.listen has the port of ops.listen (\"127.0.0.1:9464\"): choose another\n"},
        {8, IN("\"listen\": \"127.0.0.1:8443\""),
         "c:8:50: sources.in.listen has the port of sources.hook (\"0.0.0.0:8443\"): write both alike "
         "to share one listener\n"},
        {8, IN("\"listen\": \":8443\""),
         "c:8:50: sources.in.listen has the port of sources.hook (\"0.0.0.0:8443\"): write both alike "
         "to share one listener\n"},
        {5, "\"hook\": {\"type\": \"webhook\", \"listen\": \"localhost:8080\",",
         "c:8:36: sources.in.listen has the port of sources.hook (\"localhost:8080\"): write both "
         "alike to share one listener\n"},
        {5, "\"hook\": {\"type\": \"webhook\", \"listen\": \"127.0.0.2:8080\",", ""},
        {8, IN("\"listen\": \"0.0.0.0:8443\", \"tls\": {\"certificate\": \"c\", \"key\": \"k\"}"), ""},
        {8, "\"in2\": {\"type\": \"ingest\", \"token\": \"t\", \"listen\": \":1\", \"tls\": {\"certificate\": "
            "\"c\", \"key\": \"k\"}},\n" IN("\"listen\": \":1\", \"tls\": {\"certificate\": \"c\", \"key\": \"k\"}"),
         "c:8:1: warning: no feed uses the source \"in2\"\n"},
        {8, "\"in2\": {\"type\": \"ingest\", \"token\": \"t\", \"listen\": \":1\", \"tls\": {\"certificate\": "
            "\"c\", \"key\": \"k\"}},\n" IN("\"listen\": \":1\", \"tls\": {\"certificate\": \"c\", \"key\": \"l\"}"),
         "c:8:1: warning: no feed uses the source \"in2\"\n"
         "c:9:63: sources.in.tls is not that of sources.in2, which listens at \":1\", too: they share "
         "one listener and so one certificate\n"},
    };
    (void)state;
    CHECK(cases);
}

static void types_suit_the_version_and_the_key(void **state)
{
#define VERSIONED(type) "\"orders\": {\"source\": \"in\", \"collection\": \"orders\", \"key\": \"id\", " \
    "\"version\": \"n\", \"types\": {\"N\": \"" type "\"}},"
    static const struct bad_case cases[] = {
        {14, VERSIONED("int"), ""},
        {14, VERSIONED("date"), ""},
        {14, VERSIONED("string"), ""},
        {14, VERSIONED("decimal"),
         "c:14:76: feeds.orders.version names \"N\", which is a decimal by \"types\": it must be an "
         "int or a date\n"},
        {14, "\"orders\": {\"source\": \"in\", \"collection\": \"orders\", \"key\": [\"a\", \"id\"], \"types\": {\"id\": \"double\"}},",
         "c:14:65: feeds.orders.key names \"id\", which is a double by \"types\": it must be a string, "
         "int, date or bool\n"},
    };
    (void)state;
    CHECK(cases);
}

static void a_webhook_feed_reads_one_thing(void **state)
{
#define HEARS(rest) "\"notes\": {\"source\": \"hook\", \"collection\": \"notes\"" rest "},"
    static const struct bad_case cases[] = {
        {12, HEARS(""),
         "c:12:10: feeds.notes does not say what to read: add \"table\" or \"relationship\"\n"},
        {12, HEARS(", \"table\": \"annotation\", \"relationship\": \"r\""),
         "c:12:91: feeds.notes says both \"table\" and \"relationship\": make a feed for each\n"},
        {12, HEARS(", \"relationship\": \"r\", \"select\": \"name\""),
         "c:12:68: feeds.notes: \"select\" and \"formatted_values\" are for a table: an association "
         "has no columns\n"},
        {12, HEARS(", \"table\": \"Note\""),
         "c:12:61: feeds.notes.table needs a logical name (lower case letters, digits and '_'), not "
         "\"Note\"\n"},
        {12, HEARS(", \"table\": \"\""), "c:12:1: feeds.notes: the name \"\" must not be empty\n"},
        {12, HEARS(", \"relationship\": \"\""), "c:12:1: feeds.notes: the name \"\" must not be empty\n"},
        {12, HEARS(", \"table\": \"annotation\", \"every\": \"3s\""),
         "c:12:75: unknown key \"every\" in feeds.notes\n"},
    };
    (void)state;
    CHECK(cases);
}
/* clang-format on */

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_sensible),
        cmocka_unit_test(intervals_that_are_not_said_follow_every),
        cmocka_unit_test(everything_that_can_be_said_is_heard),
        cmocka_unit_test(an_empty_old_secret_is_none),
        cmocka_unit_test(one_address_is_one_listener),
        cmocka_unit_test(an_environment_looks_the_same_however_it_is_written),
        cmocka_unit_test(tables_are_named_as_the_service_does),
        cmocka_unit_test(versions_of_one_collection_must_compare),
        cmocka_unit_test(a_webhook_knows_whom_to_ring),
        cmocka_unit_test(a_listener_has_its_secret),
        cmocka_unit_test(a_listener_has_an_address),
        cmocka_unit_test(types_suit_the_version_and_the_key),
        cmocka_unit_test(a_webhook_feed_reads_one_thing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
