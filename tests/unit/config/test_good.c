/* Configurations that are fine: what they become. */
#include "config/config.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>

#include "config/example_shape.h"
#include "format/json.h"

#include <cmocka.h>

static struct sl_config *parse(const char *text, struct sl_problems *problems)
{
    struct sl_config *config = NULL;
    sl_problems_init(problems);
    int rc = sl_config_parse("sluice.jsonc", text, strlen(text), &test_shape, &config, problems);
    if (rc != SL_OK) {
        sl_problems_print(problems, stderr);
        fail();
    }
    assert_int_equal(problems->errors, 0);
    return config;
}

static const char LEAST[] =
    "{\"broker\": {\"url\": \"amqp://rabbit/\"},\n"
    " \"sources\": {\"a\": {\"type\": \"files\", \"url\": \"https://a.example\",\n"
    "                   \"auth\": {\"secret\": \"s\"}}},\n"
    " \"feeds\": {\"f\": {\"source\": \"a\", \"project\": \"P\", \"every\": \"5m\",\n"
    "                 \"entities\": {\"E\": {\"collection\": \"c\", \"key\": \"id\"}}}}}\n";

static void the_least_has_every_default(void **state)
{
    struct sl_problems problems;
    struct sl_config *config = parse(LEAST, &problems);
    const struct test_settings *settings = config->settings;
    (void)state;
    assert_int_equal(problems.count, 0);
    assert_int_equal(config->role, SL_ROLE_ALL);
    assert_int_equal(config->log.level, SL_INFO);
    assert_int_equal(config->log.form, SL_LOG_AUTO);
    assert_int_equal(config->limits.batch_rows, 5000);
    assert_int_equal(config->limits.batch_bytes, 1 << 20);
    assert_int_equal(config->limits.linger_ms, 50);
    assert_string_equal(settings->broker.url, "amqp://rabbit/");
    assert_int_equal(settings->broker.queue_type, 0);
    assert_int_equal(settings->broker.window, 64);
    assert_int_equal(settings->broker.heartbeat_ms, 30000);
    assert_string_equal(settings->broker.hosts[0], "localhost");
    assert_null(settings->broker.hosts[1]);
    assert_true(settings->broker.tls.verify);
    assert_null(settings->broker.tls.ca_file);
    assert_null(settings->mail.host);
    assert_int_equal(settings->mail.max_bytes, 1 << 20);
    assert_int_equal(config->feeds[0].schedule.every_ms, 300000);
    assert_string_equal(config->feeds[0].entities[0].key[0], "id");
    assert_int_equal(config->feeds[0].entities[0].key_count, 1);
    assert_int_equal(config->feeds[0].entities[0].column_count, 0);
    sl_config_free(config);
    sl_problems_done(&problems);
}

static const char FULL[] =
    "// everything that can be said\n"
    "{\"$schema\": \"sluice.schema.json\", \"role\": \"apply\",\n"
    " \"log\": {\"level\": \"debug\", \"form\": \"json\"},\n"
    " \"limits\": {\"ingest_credit\": \"32MiB\", \"apply_credit\": \"64MiB\", \"batch_rows\": "
    "100,\n"
    "            \"batch_bytes\": 65536, \"linger\": \"1s\", \"max_row\": \"1MiB\"},\n"
    " \"broker\": {\"url\": \"${SL_TEST_URL}\", \"queue_type\": \"classic\", \"window\": "
    "\"${SL_TEST_TEN}\",\n"
    "            \"heartbeat\": \"5s\", \"hosts\": [\"one\", \"${SL_TEST_TEN}\"],\n"
    "            \"tls\": {\"ca_file\": \"/x$$y\", \"verify\": false}},\n"
    " \"mail\": {\"host\": \"smtp\", \"password\": \"${SL_TEST_SECRET}\", \"max_bytes\": 2048}, /* "
    "no more */\n"
    " \"sources\": {\"a\": {\"type\": \"files\", \"url\": \"http://localhost:8080/\",\n"
    "                   \"auth\": {\"secret\": \"s\"}},\n"
    "             \"b-2\": {\"type\": \"tables\", \"url\": \"https://b\", \"auth\": {\"secret\": "
    "\"t\"}}},\n"
    " \"feeds\": {\"f.1\": {\"source\": \"a\", \"project\": \"P\", \"cron\": \"0 3 * * *\",\n"
    "     \"entities\": {\"Vendors V3\": {\"collection\": \"vendors\",\n"
    "                                 \"key\": [\"dataAreaId\", \"VendorAccountNumber\"],\n"
    "                                 \"types\": {\"CreditLimit\": \"decimal\", \"Blocked\": "
    "\"bool\"}},\n"
    "                  \"Leverand\xc3\xb8rer (NO)\": {\"collection\": \"other\", \"key\": "
    "\"id\"}}},\n"
    "  \"f_2\": {\"source\": \"a\", \"project\": \"Q\", \"every\": \"3s\",\n"
    "     \"entities\": {\"Vendors V3\": {\"collection\": \"vendors\",\n"
    "                                 \"key\": [\"DATAAREAID\", \"vendoraccountnumber\"]}}},\n"
    "  \"f_3\": {\"source\": \"b-2\", \"project\": \"Q\",\n"
    "     \"entities\": {\"x\": {\"collection\": \"x\", \"key\": \"id\"}}}}}\n";

static void everything_that_can_be_said_is_heard(void **state)
{
    struct sl_problems problems;
    (void)state;
    setenv("SL_TEST_URL", "amqps://u:p@rabbit:5671/v", 1);
    setenv("SL_TEST_TEN", "10", 1);
    setenv("SL_TEST_SECRET", "${not again}", 1);
    struct sl_config *config = parse(FULL, &problems);
    const struct test_settings *settings = config->settings;
    assert_int_equal(problems.count, 0);
    assert_int_equal(config->role, SL_ROLE_APPLY);
    assert_int_equal(config->log.level, SL_DEBUG);
    assert_int_equal(config->log.form, SL_LOG_JSON);
    assert_int_equal(config->limits.ingest_credit_bytes, 32 << 20);
    assert_int_equal(config->limits.apply_credit_bytes, 64 << 20);
    assert_int_equal(config->limits.batch_bytes, 65536);
    assert_string_equal(settings->broker.url, "amqps://u:p@rabbit:5671/v");
    assert_int_equal(settings->broker.queue_type, 1);
    assert_int_equal(settings->broker.window, 10);
    assert_string_equal(settings->broker.hosts[0], "one");
    assert_string_equal(settings->broker.hosts[1], "10");
    assert_null(settings->broker.hosts[2]);
    assert_string_equal(settings->broker.tls.ca_file, "/x$y");
    assert_false(settings->broker.tls.verify);
    assert_string_equal(settings->mail.password, "${not again}");
    assert_int_equal(settings->mail.max_bytes, 2048);

    assert_int_equal(config->source_count, 2);
    assert_ptr_equal(config->sources[1].type, &test_table_type);
    assert_string_equal(((const struct test_source *)config->sources[0].settings)->auth.secret,
                        "s");
    assert_int_equal(config->feed_count, 3);
    assert_int_equal(sl_config_entity_count(config), 4);
    const struct sl_feed_config *feed = &config->feeds[0];
    assert_ptr_equal(feed->source, &config->sources[0]);
    assert_string_equal(((const struct test_feed *)feed->settings)->project, "P");
    assert_int_equal(feed->schedule.every_ms, 0);
    assert_int_equal(feed->schedule.hours, 1 << 3);
    assert_int_equal(feed->entities[0].column_count, 2);
    assert_int_equal(feed->entities[0].columns[0].type, SL_TYPE_DECIMAL);
    assert_string_equal(feed->entities[0].columns[1].name, "Blocked");
    assert_string_equal(feed->entities[1].route, "Leverand\xc3\xb8rer(NO)");
    assert_int_equal(feed->entities[0].line, 14);
    assert_int_equal(feed->entities[0].column, 19);

    const struct sl_entity_config *entity = sl_config_route(config, "f_2", "VendorsV3");
    assert_ptr_equal(entity, &config->feeds[1].entities[0]);
    assert_null(sl_config_route(config, "f_2", "Vendors V3"));
    assert_null(sl_config_route(config, "f_4", "VendorsV3"));
    sl_config_free(config);
    sl_problems_done(&problems);
}

static void an_unused_source_is_only_a_warning(void **state)
{
    static const char text[] =
        "{\"broker\": {\"url\": \"amqp://rabbit/\"},\n"
        " \"sources\": {\"a\": {\"type\": \"files\", \"url\": \"https://a\", \"auth\": "
        "{\"secret\": \"s\"}},\n"
        "  \"spare\": {\"type\": \"files\", \"url\": \"https://a\", \"auth\": {\"secret\": "
        "\"s\"}}},\n"
        " \"feeds\": {\"f\": {\"source\": \"a\", \"project\": \"P\", \"every\": \"5m\",\n"
        "                 \"entities\": {\"E\": {\"collection\": \"c\", \"key\": \"id\"}}}}}\n";
    struct sl_problems problems;
    struct sl_config *config = parse(text, &problems);
    (void)state;
    assert_int_equal(problems.count, 1);
    assert_true(problems.item[0].warning);
    assert_string_equal(problems.item[0].text, "no feed uses the source \"spare\"");
    assert_int_equal(problems.item[0].line, 3);
    sl_config_free(config);
    sl_problems_done(&problems);
}

static void nothing_is_freed_in_peace(void **state)
{
    (void)state;
    sl_config_free(NULL);
}

/* Runs write into memory; the caller frees. */
static char *written(void (*write)(const struct sl_config_shape *, FILE *))
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    write(&test_shape, out);
    fclose(out);
    return text;
}

static void help_names_every_setting(void **state)
{
    static const char *const words[] = {"role",          "level",
                                        "ingest_credit", "broker",
                                        "queue_type",    "quorum|classic, quorum",
                                        "tls",           "verify",
                                        "bool, true",    "mail",
                                        "URL, required", "\"files\"",
                                        "\"tables\"",    "project",
                                        "every",         "cron",
                                        "collection",    "list, required",
                                        "types",         NULL};
    char *text = written(sl_config_help);
    (void)state;
    for (size_t i = 0; words[i]; i++)
        if (!strstr(text, words[i]))
            fail_msg("help does not say %s", words[i]);
    free(text);
}

static void the_schema_is_json(void **state)
{
    char *text = written(sl_config_schema);
    struct sl_json_doc *doc;
    struct sl_err err;
    (void)state;
    if (sl_json_parse(text, strlen(text), NULL, &doc, &err) != SL_OK)
        fail_msg("%s", err.message);
    const struct sl_json *properties = sl_json_get(sl_json_root(doc), "properties");
    assert_non_null(sl_json_get(sl_json_get(properties, "broker"), "properties"));
    assert_string_equal(sl_json_text(sl_json_get(sl_json_get(properties, "role"), "default")),
                        "all");
    sl_json_free(doc);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_has_every_default),
        cmocka_unit_test(everything_that_can_be_said_is_heard),
        cmocka_unit_test(an_unused_source_is_only_a_warning),
        cmocka_unit_test(nothing_is_freed_in_peace),
        cmocka_unit_test(help_names_every_setting),
        cmocka_unit_test(the_schema_is_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
