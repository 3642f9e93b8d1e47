/* Configurations that are not fine: what is said about them, word for word. Each case is a good
 * configuration of which one line is replaced. */
#include "config/config.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>

#include "base/str.h"
#include "config/example_shape.h"

#include <cmocka.h>

static const char *const GOOD[] = {
    "{",
    "  \"broker\": {\"url\": \"amqp://rabbit/\"},",
    "  \"sources\": {\"fno\": {\"type\": \"files\", \"url\": \"https://a\", \"auth\": {\"secret\": "
    "\"s\"}}},",
    "  \"feeds\": {\"vendors\": {\"source\": \"fno\", \"project\": \"P\", \"every\": \"5m\", "
    "\"entities\": {",
    "    \"Vendors V3\": {\"collection\": \"vendors\", \"key\": [\"a\", \"b\"]}",
    "  }}}",
    "}",
};
enum { LINES = sizeof GOOD / sizeof GOOD[0] };

/* The printed problems of the configuration with one line (from 1) replaced; the caller frees. */
static char *problems_of(unsigned line, const char *text)
{
    struct sl_buf file;
    struct sl_problems problems;
    struct sl_config *config = NULL;
    sl_buf_init(&file);
    sl_problems_init(&problems);
    for (unsigned i = 1; i <= LINES; i++)
        sl_buf_printf(&file, "%s\n", i == line ? text : GOOD[i - 1]);
    int rc =
        sl_config_parse("./sluice.jsonc", file.data, file.length, &test_shape, &config, &problems);
    assert_int_equal(rc == SL_OK, problems.errors == 0);
    assert_int_equal(rc == SL_OK, config != NULL);

    char *printed = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&printed, &size);
    sl_problems_print(&problems, out);
    fclose(out);
    sl_config_free(config);
    sl_problems_done(&problems);
    sl_buf_done(&file);
    return printed;
}

struct bad_case {
    unsigned line;
    const char *text, *printed;
};

static void check_cases(const struct bad_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *printed = problems_of(cases[i].line, cases[i].text);
        if (strcmp(printed, cases[i].printed) != 0)
            fail_msg("%s\n--- says\n%s--- not\n%s", cases[i].text, printed, cases[i].printed);
        free(printed);
    }
}

#define CHECK(cases) check_cases((cases), sizeof(cases) / sizeof((cases)[0]))

static void good_lines_say_nothing(void **state)
{
    char *printed = problems_of(0, NULL);
    (void)state;
    assert_string_equal(printed, "");
    free(printed);
}

/* clang-format 14 falls over such tables. */
/* clang-format off */
static void keys_are_known(void **state)
{
    static const struct bad_case cases[] = {
        {2, "\"broker\": {\"url\": \"amqp://rabbit/\"}, \"brokr\": 1,",
         "sluice.jsonc:2:38: unknown key \"brokr\": did you mean \"broker\"?\n"},
        {2, "\"broker\": {\"url\": \"amqp://rabbit/\"}, \"wombats\": 1,",
         "sluice.jsonc:2:38: unknown key \"wombats\"\n"},
        {2, "\"broker\": {\"url\": \"amqp://rabbit/\", \"windo\": 1},",
         "sluice.jsonc:2:37: unknown key \"windo\" in broker: did you mean \"window\"?\n"},
        {2, "\"broker\": {\"url\": \"amqp://rabbit/\", \"tls\": {\"verfy\": true}},",
         "sluice.jsonc:2:45: unknown key \"verfy\" in broker.tls: did you mean \"verify\"?\n"},
        {2, "", "sluice.jsonc:1:1: missing key \"broker\"\n"},
        {2, "\"broker\": {},", "sluice.jsonc:2:11: missing key \"url\" in broker\n"},
        {2, "\"broker\": {\"url\": \"amqp://rabbit/\"}, \"mail\": {},",
         "sluice.jsonc:2:46: missing key \"host\" in mail\n"},
        {5, "\"Vendors V3\": {\"collecton\": \"vendors\", \"key\": [\"a\"]}",
         "sluice.jsonc:5:15: missing key \"collection\" in feeds.vendors.entities.\"Vendors V3\"\n"
         "sluice.jsonc:5:16: unknown key \"collecton\" in feeds.vendors.entities.\"Vendors V3\": did "
         "you mean \"collection\"?\n"},
        {4, "\"feeds\": {\"vendors\": {\"source\": \"fno\", \"project\": \"P\", \"evry\": \"5m\", \"entities\": {",
         "sluice.jsonc:4:22: feeds.vendors does not say when it runs: add \"every\" (like \"5m\") or "
         "\"cron\" (like \"0 3 * * *\")\n"
         "sluice.jsonc:4:56: unknown key \"evry\" in feeds.vendors: did you mean \"every\"?\n"},
        {3, "\"sources\": {\"fno\": {\"type\": \"files\", \"url\": \"https://a\"}},",
         "sluice.jsonc:3:20: missing key \"auth\" in sources.fno\n"},
    };
    (void)state;
    CHECK(cases);
}

static void values_are_of_their_kind(void **state)
{
    static const struct bad_case cases[] = {
        {2, "\"broker\": [],", "sluice.jsonc:2:11: broker needs an object {…}, not an array\n"},
        {2, "\"broker\": {\"url\": 5},", "sluice.jsonc:2:19: broker.url needs a text\n"},
        {2, "\"broker\": {\"url\": null},", "sluice.jsonc:2:19: broker.url needs a text, not null\n"},
        {2, "\"broker\": {\"url\": \"rabbit:5672\"},",
         "sluice.jsonc:2:19: broker.url needs a URL that begins with \"amqp://\" or \"amqps://\"\n"},
        {2, "\"broker\": {\"url\": \"amqp://r\", \"window\": 0},",
         "sluice.jsonc:2:41: broker.window must be between 1 and 1000, not 0\n"},
        {2, "\"broker\": {\"url\": \"amqp://r\", \"window\": 1.5},",
         "sluice.jsonc:2:41: broker.window needs a whole number, not 1.5\n"},
        {2, "\"broker\": {\"url\": \"amqp://r\", \"window\": \"5\"},",
         "sluice.jsonc:2:41: broker.window needs a whole number, not \"5\"\n"},
        {2, "\"broker\": {\"url\": \"amqp://r\", \"window\": true},",
         "sluice.jsonc:2:41: broker.window needs a whole number, not true or false\n"},
        {2, "\"broker\": {\"url\": \"amqp://r\", \"heartbeat\": \"fast\"},",
         "sluice.jsonc:2:44: broker.heartbeat needs a duration such as \"500ms\", \"5s\", \"10m\", \"8h\" or "
         "\"7d\", not \"fast\"\n"},
        {2, "\"broker\": {\"url\": \"amqp://r\", \"heartbeat\": 30},",
         "sluice.jsonc:2:44: broker.heartbeat needs a duration such as \"500ms\", \"5s\", \"10m\", \"8h\" or "
         "\"7d\", not 30\n"},
        {2, "\"broker\": {\"url\": \"amqp://r\", \"heartbeat\": \"2m\"},",
         "sluice.jsonc:2:44: broker.heartbeat must be between 1s and 1m, not \"2m\"\n"},
        {2, "\"broker\": {\"url\": \"amqp://r\", \"queue_type\": \"qourum\"},",
         "sluice.jsonc:2:45: broker.queue_type must be \"quorum\" or \"classic\", not \"qourum\"\n"},
        {2, "\"broker\": {\"url\": \"amqp://r\", \"hosts\": [1]},",
         "sluice.jsonc:2:41: broker.hosts needs texts, not 1\n"},
        {2, "\"broker\": {\"url\": \"amqp://r\", \"tls\": {\"verify\": \"yes\"}},",
         "sluice.jsonc:2:49: broker.tls.verify needs true or false, not \"yes\"\n"},
        {2, "\"broker\": {\"url\": \"amqp://r\"}, \"mail\": {\"host\": \"h\", \"max_bytes\": \"1\"},",
         "sluice.jsonc:2:67: mail.max_bytes must be between 1KiB and 1GiB, not \"1\"\n"},
        {2, "\"broker\": {\"url\": \"amqp://r\"}, \"mail\": {\"host\": \"\"},",
         "sluice.jsonc:2:49: mail.host must not be empty\n"},
        {2, "\"broker\": {\"url\": \"amqp://r\"}, \"role\": \"aply\",",
         "sluice.jsonc:2:40: role must be \"all\", \"ingest\" or \"apply\", not \"aply\"\n"},
        {2, "\"broker\": {\"url\": \"amqp://r\"}, \"log\": {\"level\": "
            "\"0123456789012345678901234567890123456789x\"},",
         "sluice.jsonc:2:49: log.level must be \"debug\", \"info\", \"warn\" or \"error\", not "
         "\"0123456789012345678901234567890123456789…\"\n"},
        {2, "\"broker\": {\"url\": \"amqp://r\"}, \"limits\": {\"batch_bytes\": \"12MiB\"},",
         "sluice.jsonc:2:58: limits.batch_bytes is larger than limits.ingest_credit: no batch could ever "
         "be complete\n"},
        {3, "\"sources\": 1,",
         "sluice.jsonc:3:12: sources needs an object {…}, not a number\n"
         "sluice.jsonc:4:35: feeds.vendors names the source \"fno\", which does not exist\n"},
    };
    (void)state;
    CHECK(cases);
}

static void secrets_stay_secret(void **state)
{
    static const struct bad_case cases[] = {
        {2, "\"broker\": {\"url\": \"http://user:hunter2@rabbit/\"},",
         "sluice.jsonc:2:19: broker.url needs a URL that begins with \"amqp://\" or \"amqps://\"\n"},
        {2, "\"broker\": {\"url\": \"${SL_TEST_SECRET}\"},",
         "sluice.jsonc:2:19: broker.url needs a URL that begins with \"amqp://\" or \"amqps://\" (its "
         "value comes from outside)\n"},
        {2, "\"broker\": {\"url\": \"amqp://r\", \"window\": \"${SL_TEST_SECRET}\"},",
         "sluice.jsonc:2:41: broker.window needs a whole number (its value comes from outside)\n"},
        {2, "\"broker\": {\"url\": \"amqp://r\", \"queue_type\": \"${SL_TEST_SECRET}\"},",
         "sluice.jsonc:2:45: broker.queue_type must be \"quorum\" or \"classic\" (its value comes from "
         "outside)\n"},
        {3, "\"sources\": {\"fno\": {\"type\": \"files\", \"url\": \"https://a\", \"auth\": {\"secret\": 12345}}},",
         "sluice.jsonc:3:77: sources.fno.auth.secret needs a text\n"},
        {3, "\"sources\": {\"fno\": {\"type\": \"files\", \"url\": \"https://a\", \"auth\": {\"secret\": "
            "\"hunter${2\"}}},",
         "sluice.jsonc:3:77: sources.fno.auth.secret: a \"${\" in it has no \"}\" (write $$ for a dollar "
         "sign)\n"},
        {3, "\"sources\": {\"fno\": {\"type\": \"files\", \"url\": \"https://a\", \"auth\": {\"secret\": "
            "\"${SL_TEST_UNSET}\"}}},",
         "sluice.jsonc:3:77: sources.fno.auth.secret: the environment variable SL_TEST_UNSET is not "
         "set\n"},
        {3, "\"sources\": {\"fno\": {\"type\": \"files\", \"url\": \"https://a\", \"auth\": {\"secret\": "
            "\"${SL_TEST_EMPTY}\"}}},",
         "sluice.jsonc:3:77: sources.fno.auth.secret must not be empty (its value comes from "
         "outside)\n"},
        {3, "\"sources\": {\"fno\": {\"type\": \"files\", \"url\": \"http://a.example/?sig=hunter2\", "
            "\"auth\": {\"secret\": \"s\"}}},",
         "sluice.jsonc:3:45: sources.fno.url must begin with \"https://\" (plain http is for this "
         "machine alone)\n"},
    };
    (void)state;
    setenv("SL_TEST_SECRET", "hunter2", 1);
    setenv("SL_TEST_EMPTY", "", 1);
    unsetenv("SL_TEST_UNSET");
    CHECK(cases);
}

static void sources_and_feeds_fit_together(void **state)
{
    static const struct bad_case cases[] = {
        {3, "\"sources\": {\"fno\": {\"type\": \"fils\", \"url\": 5}},",
         "sluice.jsonc:3:29: there is no source type \"fils\"; there is \"files\", \"tables\"\n"},
        {3, "\"sources\": {\"fno\": {\"url\": \"https://a\"}},",
         "sluice.jsonc:3:20: missing key \"type\" in sources.fno\n"},
        {3, "\"sources\": {\"fnoo\": {\"type\": \"files\", \"url\": \"https://a\", \"auth\": {\"secret\": \"s\"}}},",
         "sluice.jsonc:3:13: warning: no feed uses the source \"fnoo\"\n"
         "sluice.jsonc:4:35: feeds.vendors names the source \"fno\", which does not exist: did you mean "
         "\"fnoo\"?\n"},
        {3, "\"sources\": {\"f o\": {\"type\": \"files\", \"url\": \"https://a\", \"auth\": {\"secret\": \"s\"}}},",
         "sluice.jsonc:3:13: the source \"f o\" may hold letters (a-z), digits, '_', '-' and '.' only\n"
         "sluice.jsonc:3:13: warning: no feed uses the source \"f o\"\n"
         "sluice.jsonc:4:35: feeds.vendors names the source \"fno\", which does not exist: did you mean "
         "\"f o\"?\n"},
        {4, "\"feeds\": {\"v\\\"endors\": {\"source\": \"fno\", \"project\": \"P\", \"every\": \"5m\", \"entities\": {",
         "sluice.jsonc:4:11: the feed \"v\"endors\" may hold letters (a-z), digits, '_', '-' and '.' "
         "only\n"},
        {4, "\"feeds\": {\"vendors\": {\"source\": \"fno\", \"project\": \"P\", \"every\": \"5m\", "
            "\"cron\": \"* * * * *\", \"entities\": {",
         "sluice.jsonc:4:71: feeds.vendors says both \"every\" and \"cron\": keep one\n"},
        {4, "\"feeds\": {\"vendors\": {\"source\": \"fno\", \"project\": \"P\", \"cron\": \"61 * * * *\", "
            "\"entities\": {",
         "sluice.jsonc:4:64: feeds.vendors.cron: \"61\" is no minute (0-59)\n"},
        {4, "\"feeds\": {\"vendors\": {\"source\": \"fno\", \"project\": \"P\", \"every\": \"1ms\", \"entities\": {",
         "sluice.jsonc:4:65: feeds.vendors.every must be between 100ms and 366d, not \"1ms\"\n"},
        {4, "\"feeds\": {\"w\": {\"source\": \"fno\", \"project\": \"P\", \"every\": \"5m\", \"entities\": {"
            "\"A\": {\"collection\": \"c\", \"key\": \"a\"}}},\n \"vendors\": {\"source\": \"fno\", "
            "\"project\": \"P\", \"every\": \"5m\", \"entities\": {",
         "sluice.jsonc:5:42: feeds.w and feeds.vendors run the same project\n"},
        {4, "\"feeds\": {}, \"x\": {\"vendors\": {\"entities\": {",
         "sluice.jsonc:4:10: feeds must not be empty\n"
         "sluice.jsonc:4:14: unknown key \"x\"\n"},
    };
    (void)state;
    CHECK(cases);
}

static void entities_can_be_stored(void **state)
{
    static const struct bad_case cases[] = {
        {5, "\"Vendors V3\": {\"collection\": \"\", \"key\": \"a\"}",
         "sluice.jsonc:5:30: feeds.vendors.entities.\"Vendors V3\".collection must not be empty\n"},
        {5, "\"E\": {\"collection\": \"system.x\", \"key\": \"a\"}",
         "sluice.jsonc:5:21: feeds.vendors.entities.E.collection must not begin with \"system.\": "
         "MongoDB keeps that for itself\n"},
        {5, "\"E\": {\"collection\": \"a.system.x\", \"key\": \"a\"}",
         "sluice.jsonc:5:21: feeds.vendors.entities.E.collection must not hold \".system.\": MongoDB "
         "keeps that for itself\n"},
        {5, "\"E\": {\"collection\": \".x\", \"key\": \"a\"}",
         "sluice.jsonc:5:21: feeds.vendors.entities.E.collection must not begin with '.': MongoDB "
         "takes no such name\n"},
        {5, "\"E\": {\"collection\": \"a$b\", \"key\": \"a\"}",
         "sluice.jsonc:5:21: feeds.vendors.entities.E.collection must not hold '$': MongoDB keeps it "
         "for itself\n"},
        {5, "\"E\": {\"collection\": \"c\", \"key\": []}",
         "sluice.jsonc:5:33: feeds.vendors.entities.E.key must not be empty\n"},
        {5, "\"E\": {\"collection\": \"c\", \"key\": [\"a\", \"A\"]}",
         "sluice.jsonc:5:33: feeds.vendors.entities.E.key names a column twice\n"},
        {5, "\"E\": {\"collection\": \"c\", \"key\": [\"a\", \"\"]}",
         "sluice.jsonc:5:33: feeds.vendors.entities.E.key names a column without a name\n"},
        {5, "\"E\": {\"collection\": \"c\"}",
         "sluice.jsonc:5:6: missing key \"key\" in feeds.vendors.entities.E\n"},
        {5, "\"E\": {\"collection\": \"c\", \"key\": \"a\", \"types\": {\"x\": \"decimel\"}}",
         "sluice.jsonc:5:53: feeds.vendors.entities.E.types.x: there is no type \"decimel\": did you "
         "mean \"decimal\"?\n"},
        {5, "\"E\": {\"collection\": \"c\", \"key\": \"a\", \"types\": {\"x\": \"wombat\", \"Y z\": 1}}",
         "sluice.jsonc:5:53: feeds.vendors.entities.E.types.x: there is no type \"wombat\": there are "
         "string, int, decimal, double, bool and date\n"
         "sluice.jsonc:5:70: feeds.vendors.entities.E.types.\"Y z\" needs the name of a type, not a "
         "number\n"},
        {5, "\"E\": {\"collection\": \"c\", \"key\": \"a\", \"types\": {\"x\": \"int\", \"X\": \"int\"}}",
         "sluice.jsonc:5:60: feeds.vendors.entities.E.types.X: the column has a type already (columns "
         "are matched without case)\n"},
        {5, "\"A B\": {\"collection\": \"c\", \"key\": \"a\"}, \"aB\": {\"collection\": \"d\", \"key\": \"a\"}",
         "sluice.jsonc:5:41: feeds.vendors.entities: \"aB\" and \"A B\" are the same entity (blanks and "
         "case do not count)\n"},
        {5, "\"A\": {\"collection\": \"c\", \"key\": [\"a\", \"b\"]},\n\"B\": {\"collection\": \"c\", \"key\": "
            "[\"b\", \"a\"]}",
         "sluice.jsonc:6:1: the collection \"c\" has the key b|a here and a|b in line 5: a collection "
         "needs one key\n"},
        {5, "\"it's\": {\"collection\": \"c\", \"key\": \"a\"}",
         "sluice.jsonc:5:1: the entity \"it's\" must not hold quotes, backslashes or control "
         "characters\n"},
        {5, "\"  \": {\"collection\": \"c\", \"key\": \"a\"}",
         "sluice.jsonc:5:1: the entity \"  \" must not be empty\n"},
        {5, "", "sluice.jsonc:4:85: feeds.vendors.entities must name 1 to 64 entities\n"},
    };
    (void)state;
    CHECK(cases);
}
/* clang-format on */

static void one_collection_has_one_kind_of_source(void **state)
{
    static const char *const text =
        "{\"broker\": {\"url\": \"amqp://r\"},\n"
        "\"sources\": {\"f\": {\"type\": \"files\", \"url\": \"https://a\", \"auth\": {\"secret\": "
        "\"s\"}},\n"
        "  \"t\": {\"type\": \"tables\", \"url\": \"https://a\", \"auth\": {\"secret\": \"s\"}}},\n"
        "\"feeds\": {\"x\": {\"source\": \"f\", \"project\": \"P\", \"every\": \"5m\",\n"
        "  \"entities\": {\"A\": {\"collection\": \"c\", \"key\": \"id\"}}},\n"
        " \"y\": {\"source\": \"t\", \"project\": \"P\", \"every\": \"5m\",\n"
        "  \"entities\": {\"B\": {\"collection\": \"c\", \"key\": \"id\"}}}}}\n";
    struct sl_problems problems;
    struct sl_config *config = NULL;
    (void)state;
    sl_problems_init(&problems);
    assert_int_equal(sl_config_parse("f", text, strlen(text), &test_shape, &config, &problems),
                     SL_CONFIG);
    assert_int_equal(problems.count, 2);
    assert_string_equal(problems.item[0].text, "unknown key \"every\" in feeds.y");
    assert_int_equal(problems.item[1].line, 7);
    assert_string_equal(problems.item[1].text,
                        "the collection \"c\" is fed by \"x\" (of type \"files\") and \"y\" (of "
                        "type \"tables\"): their versions cannot be compared, use two collections");
    sl_problems_done(&problems);
}

static void broken_json_has_its_place(void **state)
{
    static const struct {
        const char *text;
        unsigned line, column;
    } cases[] = {
        {"",                                       1, 1 },
        {"[]",                                     1, 1 },
        {"{\"broker\": }",                         1, 12},
        {"{\n  \"role\": \"all\"\n  \"log\": {}}", 3, 3 },
        {"{\"role\": \"all\", \"role\": \"all\"}", 1, 17},
        {"{\"role\": \"all\"",                     1, 15},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sl_problems problems;
        struct sl_config *config = NULL;
        sl_problems_init(&problems);
        assert_int_equal(sl_config_parse("f", cases[i].text, strlen(cases[i].text), &test_shape,
                                         &config, &problems),
                         SL_CONFIG);
        if (problems.item[0].line != cases[i].line || problems.item[0].column != cases[i].column)
            fail_msg("%s: %u:%u: %s", cases[i].text, problems.item[0].line, problems.item[0].column,
                     problems.item[0].text);
        sl_problems_done(&problems);
    }
}

static void many_problems_end_at_twenty(void **state)
{
    struct sl_buf text;
    (void)state;
    sl_buf_init(&text);
    for (unsigned i = 0; i < 30; i++)
        sl_buf_printf(&text, "\"wombat%u\": 0,\n", i);
    sl_buf_add_text(&text, GOOD[1]);
    char *printed = problems_of(2, text.data);
    const char *end = strstr(printed, "sluice.jsonc:21:1: unknown key \"wombat19\"\n"
                                      "sluice.jsonc: and 10 more\n");
    assert_non_null(end);
    free(printed);
    sl_buf_done(&text);
}

static void a_missing_file_is_said(void **state)
{
    struct sl_problems problems;
    struct sl_config *config = NULL;
    (void)state;
    sl_problems_init(&problems);
    assert_int_equal(sl_config_load("/does/not/exist", &test_shape, &config, &problems), SL_CONFIG);
    assert_string_equal(problems.file, "/does/not/exist");
    assert_string_equal(problems.item[0].text,
                        "cannot read the configuration: No such file or directory");
    sl_problems_done(&problems);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_lines_say_nothing),
        cmocka_unit_test(keys_are_known),
        cmocka_unit_test(values_are_of_their_kind),
        cmocka_unit_test(secrets_stay_secret),
        cmocka_unit_test(sources_and_feeds_fit_together),
        cmocka_unit_test(entities_can_be_stored),
        cmocka_unit_test(one_collection_has_one_kind_of_source),
        cmocka_unit_test(broken_json_has_its_place),
        cmocka_unit_test(many_problems_end_at_twenty),
        cmocka_unit_test(a_missing_file_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
