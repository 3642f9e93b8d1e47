/* What a dmf source and its feeds may say. */
#include "dmf/settings.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <setjmp.h>

#include "base/str.h"
#include "config/config.h"
#include "http/oauth_settings.h"

#include <cmocka.h>

static const struct sl_config_section SECTIONS[] = {{0}};
static const struct sl_config_type *const TYPES[] = {&sl_dmf_config_type, NULL};
static const struct sl_config_shape SHAPE = {
    .sections = SECTIONS, .types = TYPES, .settings_bytes = 1};

#define AUTH "\"auth\": {\"tenant\": \"t\", \"client_id\": \"c\", \"client_secret\": \"s\"}"
#define REST                                                                                       \
    "\"every\": \"5m\", \"legal_entity\": \"USMF\", \"definition_group\": \"P\", "                 \
    "\"entities\": {\"E\": {\"collection\": \"c\", \"key\": \"id\"}}"

/* Ends text. */
static struct sl_config *parse_text(struct sl_buf *text, struct sl_problems *problems)
{
    struct sl_config *config = NULL;
    sl_problems_init(problems);
    sl_config_parse("f", text->data, text->length, &SHAPE, &config, problems);
    sl_buf_done(text);
    return config;
}

/* A configuration with the given members of the first feed and a second feed's project. */
static struct sl_config *parse(const char *members, const char *other, struct sl_problems *problems)
{
    struct sl_buf text;
    sl_buf_init(&text);
    sl_buf_printf(&text,
                  "{\"sources\": {\"fno\": {\"type\": \"dmf\", \"url\": \"https://fno.example\",\n"
                  "  " AUTH "}},\n"
                  " \"feeds\": {\"a\": {\"source\": \"fno\", \"every\": \"5m\", %s\n"
                  "    \"entities\": {\"E\": {\"collection\": \"c\", \"key\": \"id\"}}},\n"
                  "  \"b\": {\"source\": \"fno\", \"every\": \"5m\", \"legal_entity\": \"GBSI\",\n"
                  "    \"definition_group\": \"%s\",\n"
                  "    \"entities\": {\"E\": {\"collection\": \"c\", \"key\": \"id\"}}}}}\n",
                  members, other);
    return parse_text(&text, problems);
}

static void defaults_are_sensible(void **state)
{
    struct sl_problems problems;
    struct sl_config *config =
        parse("\"definition_group\": \"P\", \"legal_entity\": \"USMF\",", "Q", &problems);
    (void)state;
    assert_int_equal(problems.count, 0);
    const struct sl_dmf_source_settings *source = config->sources[0].settings;
    const struct sl_dmf_feed_settings *feed = config->feeds[0].settings;
    assert_int_equal(source->auth.type, SL_OAUTH_SECRET);
    assert_string_equal(source->auth.authority, "https://login.microsoftonline.com");
    assert_null(source->auth.scope);
    assert_int_equal(source->request_timeout_ms, 300000);
    assert_true(source->poll_interval_ms <= source->poll_max_ms);
    assert_int_equal(feed->file_encoding, SL_DMF_ENCODING_AUTO);
    assert_int_equal(sl_dmf_delimiter(feed), ',');
    assert_null(feed->full_definition_group);
    assert_int_equal(feed->max_package_bytes, UINT64_C(20) << 30);
    sl_config_free(config);
    sl_problems_done(&problems);
}

static void a_tab_separates_cells(void **state)
{
    struct sl_problems problems;
    struct sl_config *config = parse("\"definition_group\": \"P\", \"legal_entity\": \"USMF\",\n"
                                     "\"delimiter\": \"\\t\", \"file_encoding\": \"utf16le\",",
                                     "Q", &problems);
    (void)state;
    assert_int_equal(problems.count, 0);
    const struct sl_dmf_feed_settings *feed = config->feeds[0].settings;
    assert_int_equal(sl_dmf_delimiter(feed), '\t');
    assert_int_equal(feed->file_encoding, SL_DMF_ENCODING_UTF16LE);
    sl_config_free(config);
    sl_problems_done(&problems);
}

static void one_project_serves_one_feed(void **state)
{
    struct sl_problems problems;
    (void)state;
    assert_null(parse("\"definition_group\": \"VENDORS\", \"legal_entity\": \"USMF\",", "Vendors",
                      &problems));
    assert_int_equal(problems.count, 1);
    assert_int_equal(problems.item[0].line, 6);
    assert_string_equal(problems.item[0].text,
                        "feeds.a and feeds.b run the same definition_group: each would miss the "
                        "changes that the other one read; make a data project for each");
    sl_problems_done(&problems);
}

/* A full export moves the watermark of a project that is incremental, and brings its changes only.
 */
static void a_full_export_has_a_project_of_its_own(void **state)
{
    static const struct {
        const char *members, *other, *text;
    } cases[] = {
        {"\"definition_group\": \"V\", \"legal_entity\": \"USMF\", \"full_definition_group\": "
         "\"v\",", "Q",
         "feeds.a.full_definition_group is the feed's definition_group, too: make a second data "
         "project with the same entities and \"Full push only\""  },
        {"\"definition_group\": \"V\", \"legal_entity\": \"USMF\", \"full_definition_group\": "
         "\"W\",", "w",
         "feeds.b.definition_group is the full_definition_group of feeds.a, which would take its "
         "changes: make a data project for each"                  },
        {"\"definition_group\": \"V\", \"legal_entity\": \"USMF\", \"full_definition_group\": "
         "\"W\",", "X\", \"full_definition_group\": \"V",
         "feeds.b.full_definition_group is the definition_group of feeds.a, and would take its "
         "changes: make a data project for each"                  },
        {"\"definition_group\": \"V\", \"legal_entity\": \"USMF\", \"full_definition_group\": "
         "\"W\",", "X\", \"full_definition_group\": \"w",
         "feeds.a and feeds.b run the same full_definition_group, and two exports of one project "
         "stand in each other's way: make a data project for each"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sl_problems problems;
        assert_null(parse(cases[i].members, cases[i].other, &problems));
        assert_int_equal(problems.count, 1);
        assert_string_equal(problems.item[0].text, cases[i].text);
        sl_problems_done(&problems);
    }
}

/* Each sweeps what the other one brought. */
static void old_names_belong_to_one_feed(void **state)
{
    static const struct {
        const char *formerly, *other, *text;
    } cases[] = {
        {"\"b\"",          "Q",                      "feeds.a.formerly names a feed that is in the configuration"},
        {"[\"c\", \"d\"]", "Q\", \"formerly\": \"d",
         "feeds.a.formerly names a feed that another one claims to have been"                                    },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sl_problems problems;
        char members[120];
        snprintf(members, sizeof members,
                 "\"definition_group\": \"P\", \"legal_entity\": \"USMF\", \"formerly\": %s,",
                 cases[i].formerly);
        assert_null(parse(members, cases[i].other, &problems));
        assert_true(problems.count > 0);
        assert_string_equal(problems.item[0].text, cases[i].text);
        sl_problems_done(&problems);
    }
}

static unsigned problems_of_two_sources(const char *url)
{
    struct sl_problems problems;
    struct sl_buf text;
    sl_buf_init(&text);
    sl_buf_printf(
        &text,
        "{\"sources\": {\"fno\": {\"type\": \"dmf\", \"url\": \"https://fno.example\", " AUTH "},\n"
        "  \"again\": {\"type\": \"dmf\", \"url\": \"%s\", " AUTH "}},\n"
        " \"feeds\": {\"a\": {\"source\": \"fno\", " REST "}, \"b\": {\"source\": \"again\", " REST
        "}}}\n",
        url);
    sl_config_free(parse_text(&text, &problems));
    unsigned count = (unsigned)problems.count;
    sl_problems_done(&problems);
    return count;
}

static void two_sources_may_be_one_environment(void **state)
{
    (void)state;
    assert_int_equal(problems_of_two_sources("https://FNO.example:443/"), 1);
    assert_int_equal(problems_of_two_sources("https://other.example"), 0);
}

static void a_feed_names_its_project_and_company(void **state)
{
    struct sl_problems problems;
    (void)state;
    assert_null(parse("", "Q", &problems));
    assert_int_equal(problems.count, 2);
    assert_string_equal(problems.item[0].text, "missing key \"definition_group\" in feeds.a");
    assert_string_equal(problems.item[1].text, "missing key \"legal_entity\" in feeds.a");
    sl_problems_done(&problems);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_sensible),
        cmocka_unit_test(a_tab_separates_cells),
        cmocka_unit_test(one_project_serves_one_feed),
        cmocka_unit_test(a_full_export_has_a_project_of_its_own),
        cmocka_unit_test(old_names_belong_to_one_feed),
        cmocka_unit_test(two_sources_may_be_one_environment),
        cmocka_unit_test(a_feed_names_its_project_and_company),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
