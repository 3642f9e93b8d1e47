/* Types of sources whose feeds carry one entity each, and what a type's hooks are asked. */
#include "config/check.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>

#include "base/str.h"
#include "config/example_shape.h"
#include "format/json.h"

#include <cmocka.h>

/* A view's rows are as new as its source says; a bell has no rows of its own, but rings sources. */
struct view {
    char *table;
    char *clock;
};

struct bell {
    char **rings;
    struct test_tls tls;
};

static const struct sl_setting VIEW_TABLE[] = {
    {.name = "table",
     .kind = SL_SET_TEXT,
     .offset = offsetof(struct view, table),
     .required = true,
     .help = "What."},
    {.name = "clock", .kind = SL_SET_TEXT, .offset = offsetof(struct view, clock), .help = "When."},
    {0              },
};

static const struct sl_setting BELL_TABLE[] = {
    {.name = "rings",
     .kind = SL_SET_LIST,
     .offset = offsetof(struct bell, rings),
     .required = true,
     .help = "Whom."},
    {.name = "tls",
     .kind = SL_SET_SECTION,
     .offset = offsetof(struct bell, tls),
     .section = test_tls_table,
     .help = "How."},
    {0              },
};

static const struct sl_setting NOTHING_TABLE[] = {{0}};

static const char *view_entity(const void *feed_settings)
{
    const struct view *view = feed_settings;
    return view->table;
}

static void view_domain(const void *source_settings, const void *feed_settings, char *out,
                        size_t size)
{
    const struct test_source *source = source_settings;
    const struct view *view = feed_settings;
    snprintf(out, size, "the clock %s of %s", view->clock ? view->clock : "inside", source->url);
}

static bool bell_uses(const void *source_settings, const char *source_name)
{
    const struct bell *bell = source_settings;
    for (char **name = bell->rings; name && *name; name++)
        if (!strcmp(*name, source_name))
            return true;
    return false;
}

static const struct sl_config_type BELL_TYPE;

/* Says where things stand: that is what a check has to know. */
static void bell_check(const struct sl_config *config, struct sl_problems *problems)
{
    for (size_t i = 0; i < config->source_count; i++) {
        const struct sl_source_config *source = &config->sources[i];
        if (source->type != &BELL_TYPE || !source->settings)
            continue;
        const struct bell *bell = source->settings;
        for (size_t j = 0; bell->rings && bell->rings[j]; j++) {
            struct sl_json_place at = sl_config_place(source->json, "rings", j);
            if (!strcmp(bell->rings[j], "nobody"))
                sl_problem_error(problems, at.line, at.column, "nobody hears it");
        }
        struct sl_json_place at = sl_config_place(source->json, "tls.ca_file", 0);
        if (bell->tls.ca_file && !*bell->tls.ca_file)
            sl_problem_error(problems, at.line, at.column, "no file");
        at = sl_config_place(source->json, "tls.verify", 0);
        if (!bell->tls.verify)
            sl_problem_error(problems, at.line, at.column, "%s",
                             sl_config_said(source->json, "tls.ca_file") ? "said" : "not said");
    }
}

static const struct sl_config_type VIEW_TYPE = {
    .name = "views",
    .summary = "Views",
    .source_table = test_source_table,
    .source_bytes = sizeof(struct test_source),
    .feed_table = VIEW_TABLE,
    .feed_bytes = sizeof(struct view),
    .entities = SL_ENTITIES_ONE,
    .entity_name = view_entity,
    .domain = view_domain,
};

static const struct sl_config_type POST_TYPE = {
    .name = "posts",
    .summary = "Posts",
    .source_table = test_source_table,
    .source_bytes = sizeof(struct test_source),
    .feed_table = NOTHING_TABLE,
    .feed_bytes = 1,
    .entities = SL_ENTITIES_ONE,
    .keyed = true,
    .schedule_required = true,
};

static const struct sl_config_type BELL_TYPE = {
    .name = "bells",
    .summary = "Bells",
    .source_table = BELL_TABLE,
    .source_bytes = sizeof(struct bell),
    .feed_table = NOTHING_TABLE,
    .feed_bytes = 1,
    .entities = SL_ENTITIES_ONE,
    .feeds_optional = true,
    .uses = bell_uses,
    .check = bell_check,
};

static const struct sl_config_type *const TYPES[] = {&test_file_type, &VIEW_TYPE, &POST_TYPE,
                                                     &BELL_TYPE, NULL};
static const struct sl_config_section SECTIONS[] = {{0}};
static const struct sl_config_shape SHAPE = {
    .sections = SECTIONS, .types = TYPES, .settings_bytes = 1};

#define AUTH "\"url\": \"https://a\", \"auth\": {\"secret\": \"s\"}"
#define SOURCES                                                                                    \
    "{\"sources\": {\"v\": {\"type\": \"views\", " AUTH "},\n \"w\": {\"type\": \"views\", " AUTH  \
    "},\n \"p\": {\"type\": \"posts\", " AUTH "},\n \"f\": {\"type\": \"files\", " AUTH "},\n"

/* The configuration of the four sources above, more sources and these feeds. */
static struct sl_config *parse(const char *sources, const char *feeds, char **ret_printed)
{
    struct sl_buf text;
    struct sl_problems problems;
    struct sl_config *config = NULL;
    size_t size = 0;
    sl_buf_init(&text);
    sl_problems_init(&problems);
    sl_buf_printf(&text, SOURCES "%s \"spare\": {\"type\": \"bells\", \"rings\": \"x\"}},\n%s}\n",
                  sources, feeds);
    sl_config_parse("c", text.data, text.length, &SHAPE, &config, &problems);
    assert_int_equal(config != NULL, problems.errors == 0);
    FILE *out = open_memstream(ret_printed, &size);
    sl_problems_print(&problems, out);
    fclose(out);
    sl_problems_done(&problems);
    sl_buf_done(&text);
    return config;
}

/* A feed of every source but the ones of a case, so that each source has one. */
#define VIEW "\"x\": {\"source\": \"v\", \"table\": \"T\", \"collection\": \"x\"}"
#define OTHERS                                                                                     \
    "\"o1\": {\"source\": \"w\", \"table\": \"O\", \"collection\": \"o1\"},\n"                     \
    "\"o2\": {\"source\": \"p\", \"every\": \"1s\", \"collection\": \"o2\", \"key\": \"k\"},\n"    \
    "\"o3\": {\"source\": \"f\", \"project\": \"P\", \"every\": \"1s\", \"entities\": {\"E\": "    \
    "{\"collection\": \"o3\", \"key\": \"k\"}}}"

static void the_feed_says_its_one_entity(void **state)
{
    char *printed;
    struct sl_config *config =
        parse("",
              "\"feeds\": {" VIEW ",\n"
              "\"y z\": {},\n\"y\": {\"source\": \"p\", \"every\": \"5s\", \"collection\": \"ys\", "
              "\"key\": [\"a\", \"b\"], \"types\": {\"n\": \"int\"}},\n" OTHERS "}",
              &printed);
    (void)state;
    assert_null(config);
    assert_string_equal(printed,
                        "c:7:1: the feed \"y z\" may hold letters (a-z), digits, '_', '-' and '.' "
                        "only\nc:7:8: missing key \"source\" in feeds.\"y z\"\n");
    free(printed);

    config = parse("",
                   "\"feeds\": {" VIEW ",\n"
                   "\"y\": {\"source\": \"p\", \"every\": \"5s\", \"collection\": \"ys\", "
                   "\"key\": [\"a\", \"b\"], \"types\": {\"n\": \"int\"}},\n" OTHERS "}",
                   &printed);
    assert_string_equal(printed, "");
    assert_non_null(config);
    const struct sl_feed_config *feed = &config->feeds[0];
    assert_int_equal(feed->entity_count, 1);
    assert_string_equal(feed->entities[0].name, "T");
    assert_string_equal(feed->entities[0].route, "T");
    assert_string_equal(feed->entities[0].collection, "x");
    assert_null(feed->entities[0].key);
    assert_int_equal(feed->entities[0].key_count, 0);
    assert_int_equal(feed->entities[0].line, feed->line);
    assert_null(feed->json);
    assert_null(config->sources[0].json);
    assert_ptr_equal(sl_config_route(config, "x", "T"), &feed->entities[0]);

    feed = &config->feeds[1];
    assert_string_equal(feed->entities[0].name, "y");
    assert_string_equal(feed->entities[0].route, "y");
    assert_string_equal(feed->entities[0].key[1], "b");
    assert_int_equal(feed->entities[0].key_count, 2);
    assert_string_equal(feed->entities[0].columns[0].name, "n");
    assert_int_equal(feed->entities[0].columns[0].type, SL_TYPE_INT);
    assert_int_equal(feed->schedule.every_ms, 5000);
    free(printed);
    sl_config_free(config);
}

struct bad_case {
    const char *sources, *feeds, *printed;
};

static void check_cases(const struct bad_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char feeds[1024], *printed;
        snprintf(feeds, sizeof feeds, "\"feeds\": {%s,\n" OTHERS "}", cases[i].feeds);
        sl_config_free(parse(cases[i].sources, feeds, &printed));
        if (strcmp(printed, cases[i].printed) != 0)
            fail_msg("%s %s\n--- says\n%s--- not\n%s", cases[i].sources, cases[i].feeds, printed,
                     cases[i].printed);
        free(printed);
    }
}

#define CHECK(cases) check_cases((cases), sizeof(cases) / sizeof((cases)[0]))

/* clang-format off */
static void what_is_wrong_has_its_place(void **state)
{
    static const struct bad_case cases[] = {
        {"", VIEW, ""},
        {"", "\"x\": {\"source\": \"v\", \"table\": \"T\"}",
         "c:6:16: missing key \"collection\" in feeds.x\n"},
        {"", "\"x\": {\"source\": \"v\", \"table\": \"T\", \"collection\": \"a$b\"}",
         "c:6:60: feeds.x.collection must not hold '$': MongoDB keeps it for itself\n"},
        {"", "\"x\": {\"source\": \"v\", \"collection\": \"x\"}",
         "c:6:16: missing key \"table\" in feeds.x\n"},
        {"", "\"x\": {\"source\": \"v\", \"table\": \"it's\", \"collection\": \"x\"}",
         "c:6:11: feeds.x: the name \"it's\" must not hold quotes, backslashes or control "
         "characters\n"},
        {"", "\"x\": {\"source\": \"v\", \"table\": \"T\", \"collection\": \"x\", \"key\": \"k\"}",
         "c:6:65: unknown key \"key\" in feeds.x\n"},
        {"", "\"x\": {\"source\": \"v\", \"table\": \"T\", \"collecton\": \"x\", \"types\": {}}",
         "c:6:16: missing key \"collection\" in feeds.x\n"
         "c:6:46: unknown key \"collecton\" in feeds.x: did you mean \"collection\"?\n"
         "c:6:64: unknown key \"types\" in feeds.x\n"},
        {"", "\"x\": {\"source\": \"v\", \"table\": \"T\", \"collection\": \"x\", \"entities\": {}}",
         "c:6:65: unknown key \"entities\" in feeds.x\n"},
        {"", "\"x\": {\"source\": \"v\", \"table\": \"T\", \"collection\": \"x\", \"every\": \"1s\"}",
         "c:6:65: unknown key \"every\" in feeds.x\n"},
        {"", VIEW ",\n\"y\": {\"source\": \"p\", \"every\": \"1s\", \"collection\": \"y\", "
             "\"key\": [\"a\", \"A\"], \"types\": {\"n\": \"itn\"}}",
         "c:7:63: feeds.y.key names a column twice\n"
         "c:7:90: feeds.y.types.n: there is no type \"itn\": did you mean \"int\"?\n"},
        {"", VIEW ",\n\"y\": {\"source\": \"p\", \"every\": \"1s\", \"collection\": \"y\"}",
         "c:7:6: missing key \"key\" in feeds.y\n"},
        {"", VIEW ",\n\"y\": {\"source\": \"p\", \"collection\": \"y\", \"key\": \"k\"}",
         "c:7:6: feeds.y does not say when it runs: add \"every\" (like \"5m\") or \"cron\" (like "
         "\"0 3 * * *\")\n"},
    };
    (void)state;
    CHECK(cases);
}

static void versions_of_one_collection_must_compare(void **state)
{
    static const struct bad_case cases[] = {
        /* another source of the same domain, and another table of one source */
        {"", VIEW ",\n\"y\": {\"source\": \"w\", \"table\": \"U\", \"collection\": \"x\"}", ""},
        {"", VIEW ",\n\"y\": {\"source\": \"v\", \"table\": \"U\", \"collection\": \"x\"}", ""},
        {"", VIEW ",\n\"y\": {\"source\": \"v\", \"table\": \"T\", \"collection\": \"y\"}", ""},
        {"", VIEW ",\n\"y\": {\"source\": \"v\", \"table\": \"U\", \"clock\": \"C\", \"collection\": \"x\"}",
         "c:7:1: the collection \"x\" is fed by \"x\" (the clock inside of https://a) and \"y\" (the "
         "clock C of https://a): their versions cannot be compared, use two collections\n"},
        {"", VIEW ",\n\"y\": {\"source\": \"p\", \"every\": \"1s\", \"collection\": \"x\", \"key\": \"k\"}",
         "c:7:1: the collection \"x\" is fed by \"x\" (the clock inside of https://a) and \"y\" (of "
         "type \"posts\"): their versions cannot be compared, use two collections\n"},
        {"", VIEW ",\n\"y\": {\"source\": \"f\", \"project\": \"Q\", \"every\": \"1s\", \"entities\": {\n"
             "\"A\": {\"collection\": \"a\", \"key\": \"k\"}, \"B\": {\"collection\": \"x\", \"key\": \"k\"}}}",
         "c:8:39: the collection \"x\" is fed by \"x\" (the clock inside of https://a) and \"y\" (of "
         "type \"files\"): their versions cannot be compared, use two collections\n"},
        /* the same rows twice: of one source, and of another one of the same domain */
        {"", VIEW ",\n\"z\": {\"source\": \"v\", \"table\": \"Z\", \"collection\": \"x\"},\n"
             "\"y\": {\"source\": \"v\", \"table\": \"z\", \"collection\": \"x\"}",
         "c:8:1: feeds.z and feeds.y bring the same rows into one collection: keep one of them\n"},
        {"", VIEW ",\n\"y\": {\"source\": \"w\", \"table\": \"t\", \"collection\": \"x\"}",
         "c:7:1: feeds.x and feeds.y bring the same rows into one collection: keep one of them\n"},
        /* posts have no table: two feeds are two */
        {"", VIEW ",\n\"y\": {\"source\": \"p\", \"every\": \"1s\", \"collection\": \"o2\", \"key\": \"k\"}", ""},
    };
    (void)state;
    CHECK(cases);
}

static void a_source_may_serve_another(void **state)
{
    static const struct bad_case cases[] = {
        {"\"u\": {\"type\": \"views\", " AUTH "},", VIEW,
         "c:5:1: warning: no feed uses the source \"u\"\n"},
        {"\"u\": {\"type\": \"views\", " AUTH "}, \"b\": {\"type\": \"bells\", \"rings\": [\"x\", \"u\"]},",
         VIEW,
         "c:5:1: warning: no feed uses the source \"u\"\n"},
        {"\"u\": {\"type\": \"views\", " AUTH "}, \"b\": {\"type\": \"bells\", \"rings\": [\"x\", \"u\"]},",
         VIEW ", \"y\": {\"source\": \"b\", \"collection\": \"y\"}", ""},
        {"\"b\": {\"type\": \"bells\", \"rings\": [\"x\", \"nobody\"]},", VIEW,
         "c:5:39: nobody hears it\n"},
        {"\"b\": {\"type\": \"bells\", \"rings\": \"nobody\"},", VIEW, "c:5:33: nobody hears it\n"},
        {"\"b\": {\"type\": \"bells\", \"rings\": \"x\", \"tls\": {\"ca_file\": \"\"}},", VIEW,
         "c:5:57: no file\n"},
        {"\"b\": {\"type\": \"bells\", \"rings\": \"x\", \"tls\": {\"verify\": false}},", VIEW,
         "c:5:56: not said\n"},
        {"\"b\": {\"type\": \"bells\", \"rings\": 5},", VIEW, "c:5:33: sources.b.rings needs texts, not 5\n"},
    };
    (void)state;
    CHECK(cases);
}
/* clang-format on */

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_feed_says_its_one_entity),
        cmocka_unit_test(what_is_wrong_has_its_place),
        cmocka_unit_test(versions_of_one_collection_must_compare),
        cmocka_unit_test(a_source_may_serve_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
