/* Settings that are for some types alone: what is said of those that are missing, and of those that
 * nobody needs. */
#include "config/by_type.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/settings.h"
#include "config/shape.h"

#include <cmocka.h>

struct door {
    int type;
    char *name, *key, *word, *lamp;
};

enum { BY_KEY, BY_WORD, OPEN };

static const char *const TYPES[] = {"key", "word", "open", NULL};

static const struct sl_setting DOOR[] = {
    {.name = "type",
     .kind = SL_SET_CHOICE,
     .offset = offsetof(struct door, type),
     .fallback = "key",
     .choices = TYPES,
     .help = "How."},
    {.name = "name",
     .kind = SL_SET_TEXT,
     .offset = offsetof(struct door, name),
     .required_for = SL_TYPE(BY_KEY) | SL_TYPE(BY_WORD),
     .help = "Whose."},
    {.name = "key",
     .kind = SL_SET_TEXT,
     .offset = offsetof(struct door, key),
     .only_for = SL_TYPE(BY_KEY),
     .required_for = SL_TYPE(BY_KEY),
     .help = "Which."},
    {.name = "word",
     .kind = SL_SET_SECRET,
     .offset = offsetof(struct door, word),
     .only_for = SL_TYPE(BY_WORD),
     .required_for = SL_TYPE(BY_WORD),
     .help = "What."},
    {.name = "lamp",
     .kind = SL_SET_TEXT,
     .offset = offsetof(struct door, lamp),
     .fallback = "lit",
     .only_for = SL_TYPE(BY_KEY) | SL_TYPE(BY_WORD),
     .help = "Light."},
    {0},
};

static const struct {
    const char *text, *said; /* said: NULL for nothing */
} rows[] = {
    {"{\"name\": \"n\", \"key\": \"k\"}",                                      NULL                                   },
    {"{\"type\": \"key\", \"name\": \"n\", \"key\": \"k\", \"lamp\": \"l\"}",  NULL                                   },
    {"{\"type\": \"word\", \"name\": \"n\", \"word\": \"w\"}",                 NULL                                   },
    {"{\"type\": \"open\"}",                                                   NULL                                   },
    {"{\"type\": \"open\", \"name\": \"n\"}",                                  NULL                                   },
    {"{}",                                                                     "f:1:1: missing key \"name\" in door: type \"key\" needs name and key\n"
           "f:1:1: missing key \"key\" in door: type \"key\" needs name and key\n"                          },
    {"{\"type\": \"word\", \"name\": \"n\"}",
     "f:1:1: missing key \"word\" in door: type \"word\" needs name and word\n"                                       },
    {"{\"type\": \"word\", \"name\": \"n\", \"word\": \"w\", \"key\": \"k\"}",
     "f:1:44: door.key is not for type \"word\", which needs name and word\n"                                         },
    {"{\"type\": \"open\", \"lamp\": \"l\"}",
     "f:1:18: door.lamp is not for type \"open\", which needs nothing else\n"                                         },
    {"{\"name\": \"\", \"key\": \"k\"}",                                       "f:1:10: door.name must not be empty\n"},
 /* of a type that cannot be read nothing more is known */
    {"{\"type\": \"wrod\", \"lamp\": \"l\"}",
     "f:1:10: door.type must be \"key\", \"word\" or \"open\", not \"wrod\"\n"                                        },
};

/* What is printed of the problems of the object; the caller frees. */
static char *said_of(const char *text)
{
    static const struct sl_path top = {0}, where = {&top, "door"};
    struct sl_problems problems;
    struct sl_json_doc *doc;
    struct door door = {0};
    char *printed = NULL;
    size_t size;
    sl_problems_init(&problems);
    problems.file = strdup("f");
    assert_int_equal(sl_json_parse(text, strlen(text), NULL, &doc, NULL), SL_OK);
    const struct sl_part parts[] = {
        {DOOR, &door},
        {NULL, NULL }
    };
    sl_fill(sl_json_root(doc), &where, parts, NULL, &problems);
    FILE *out = open_memstream(&printed, &size);
    sl_problems_print(&problems, out);
    fclose(out);
    sl_settings_done(DOOR, &door);
    sl_json_free(doc);
    sl_problems_done(&problems);
    return printed;
}

static void a_type_says_what_it_needs(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *said = said_of(rows[i].text);
        assert_string_equal(said, rows[i].said ? rows[i].said : "");
        free(said);
    }
}

static char *printed_by(void (*print)(const struct sl_config_shape *, FILE *))
{
    static const struct sl_config_section sections[] = {
        {.name = "door", .help = "In.", .table = DOOR},
        {0}
    };
    static const struct sl_config_type *const types[] = {NULL};
    const struct sl_config_shape shape = {.sections = sections, .types = types};
    char *printed = NULL;
    size_t size;
    FILE *out = open_memstream(&printed, &size);
    print(&shape, out);
    fclose(out);
    return printed;
}

static void schema_and_help_tell_it(void **state)
{
    (void)state;
    char *schema = printed_by(sl_config_schema), *help = printed_by(sl_config_help);
    assert_non_null(strstr(schema, "\"if\": {\"properties\": {\"type\": {\"const\": \"key\"}}},"));
    assert_non_null(strstr(schema, "\"then\": {\"required\": [\"name\", \"key\"], "
                                   "\"properties\": {\"word\": false}}"));
    assert_non_null(strstr(schema, "{\"const\": \"open\"}}, \"required\": [\"type\"]},"));
    assert_non_null(strstr(schema, "\"then\": {\"required\": [], \"properties\": {\"key\": false, "
                                   "\"word\": false, \"lamp\": false}}"));
    assert_non_null(strstr(help, "Whose.; needed by key, word\n"));
    assert_non_null(strstr(help, "Light.; for key, word\n"));
    struct sl_json_doc *doc;
    assert_int_equal(sl_json_parse(schema, strlen(schema), NULL, &doc, NULL), SL_OK);
    sl_json_free(doc);
    free(schema);
    free(help);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_type_says_what_it_needs),
        cmocka_unit_test(schema_and_help_tell_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
