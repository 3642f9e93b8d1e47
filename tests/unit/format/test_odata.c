/* Answers of Dataverse: pages, changes, deletions, damaged ones; each case at every chunk size. */
#include "odata_heard.h"

#define ID_UPPER "60C4E274-0D87-4E11-80E5-00155DB19E6D"
#define DATE "{\"$date\":\"2026-11-22T00:00:00.000Z\"}"
/* One row of those fields, after an etag and before the id. */
#define ROW(fields) "{\"value\":[{" ETAG fields "," KEY "}]}"
#define GOOD(doc) "row " ID " v7 t0 {" doc "," KEY "}\n"
#define BAD(code, reason, doc) "bad " ID " " code " (" reason ") {" doc "," KEY "}\n"

struct odata_case {
    const char *name, *text, *expected;
};

static const struct odata_case answers[] = {
    {"an empty page",                                        "{\"value\":[]}",                                                         ""                                                          },
    {"blanks everywhere",                                    " { \"value\" : [ \n ] } \r\n",                                           ""                                                          },
    {"a byte order mark",                                    "\xef\xbb\xbf{\"value\":[]}",                                             ""                                                          },
    {"links before the rows",
     "{\"@odata.context\":\"x\",\"@odata.deltaLink\":\"https://h/"
     "a?b=1\\u0026c=%2f\",\"value\":[{" ETAG KEY "}]}",
     "row " ID " v7 t0 {" KEY "}\ndelta https://h/a?b=1&c=%2f\n"                                                                                                                                   },
    {"links after the rows",
     "{\"value\":[{" ETAG KEY "}],\"@odata.nextLink\":\"https:\\/\\/h\\/n\"}",
     "row " ID " v7 t0 {" KEY "}\nnext https://h/n\n"                                                                                                                                              },
    {"unknown members at any depth",
     "{\"a\":{\"value\":[{\"b\":1}]},\"b\":[[],{\"@odata.nextLink\":\"no\"}],\"c\":null,\"d\":1.5,"
     "\"e\":true,\"f\":\"x\",\"value\":[]}",                                                                                           ""                                                          },
    {"no links",                                             "{\"@odata.nextLink\":null,\"@odata.deltaLink\":\"\",\"value\":[]}",      ""                                                          },
    {"rows of every type",
     ROW("\"name\":\"Fjord \\u00c5s \\ud83d\\ude00\",\"employees\":12,\"creditlimit\":1.0000000000,"
         "\"latitude\":59.9,\"donotphone\":false,\"since\":\"2026-11-22\","
         "\"modifiedon\":\"2026-11-22T00:00:00Z\""),
     "row " ID " v7 t1795305600000 {\"name\":\"Fjord Ås 😀\",\"employees\":12,"
     "\"creditlimit\":{\"$numberDecimal\":\"1.0000000000\"},\"latitude\":59.9,\"donotphone\":false,"
     "\"since\":" DATE ",\"modifiedon\":" DATE "," KEY "}\n"                                                                                                                                       },
    {"nulls are kept",
     ROW("\"name\":null,\"employees\":null,\"creditlimit\":null,\"since\":null,\"donotphone\":"
         "null"),
     GOOD("\"name\":null,\"employees\":null,\"creditlimit\":null,\"since\":null,\"donotphone\":"
          "null")                                                                                                                                                                                  },
    {"empty texts",                                          ROW("\"name\":\"\""),                                                     GOOD("\"name\":\"\"")                                       },
    {"numbers as text",                                      ROW("\"employees\":\"12\",\"creditlimit\":\"-0.50\",\"latitude\":\"1\""),
     GOOD("\"employees\":12,\"creditlimit\":{\"$numberDecimal\":\"-0.50\"},\"latitude\":1.0")                                                                                                      },
    {"the ends of int64",
     ROW("\"employees\":-9223372036854775808,\"versionnumber\":9223372036854775807"),
     GOOD("\"employees\":-9223372036854775808,\"versionnumber\":9223372036854775807")                                                                                                              },
    {"zero with a sign",                                     ROW("\"employees\":-0,\"creditlimit\":-0.0,\"latitude\":-0"),
     GOOD("\"employees\":0,\"creditlimit\":{\"$numberDecimal\":\"-0.0\"},\"latitude\":-0.0")                                                                                                       },
    {"exponents",                                            ROW("\"creditlimit\":12E-4,\"latitude\":1e+300"),
     GOOD("\"creditlimit\":{\"$numberDecimal\":\"0.0012\"},\"latitude\":1e+300")                                                                                                                   },
    {"columns that are not kept",                            ROW("\"secret\":\"x\",\"name\":\"y\""),                                   GOOD("\"name\":\"y\"")                                      },
    {"a value that is not kept is not typed either",         ROW("\"secret\":{\"a\":[1]},\"name\":\"y\""),
     GOOD("\"name\":\"y\"")                                                                                                                                                                        },
    {"control information is skipped",
     ROW("\"@odata.type\":\"#x\",\"@odata.other\":{\"a\":[1,{}]},\"@odata.id\":null,\"name\":"
         "\"y\""),
     GOOD("\"name\":\"y\"")                                                                                                                                                                        },
    {"annotations are fields without dots in their names",
     ROW("\"_ownerid_value\":\"x\",\"_ownerid_value@Microsoft.Dynamics.CRM.lookuplogicalname\":"
         "\"team\","
         "\"_ownerid_value@Microsoft.Dynamics.CRM.associatednavigationproperty\":\"ownerid\","
         "\"employees@OData.Community.Display.V1.FormattedValue\":\"12\""),
     "new _ownerid_value\n" GOOD(
         "\"_ownerid_value\":\"x\",\"_ownerid_value@table\":\"team\","
         "\"_ownerid_value@property\":\"ownerid\",\"employees@formatted\":\"12\"")                                                                                                                 },
    {"other annotations are left out",
     ROW("\"employees@odata.type\":\"#Int64\",\"employees@\":1,\"employees@formatted\":\"12\","
         "\"a@b.formatted\":{\"c\":[1]},\"name@OData.Community.Display.V1.FormattedValue\":null,"
         "\"name@OData.Community.Display.V1.FormattedValue.x\":1"),
     GOOD("\"name@formatted\":null")                                                                                                                                                               },
    {"annotations deep inside",
     ROW("\"o\":{\"a@odata.type\":{\"x\":[1]},\"a@Microsoft.Dynamics.CRM.lookuplogicalname\":"
         "\"team\","
         "\"b\":1}"),
     "new o\n" GOOD("\"o\":{\"a@table\":\"team\",\"b\":1}")                                                                                                                                        },
    {"unknown columns by what they are",
     ROW("\"t\":\"x\",\"w\":1,\"big\":9223372036854775808,\"f\":1.50,\"e\":1e400,"
         "\"long\":1.23456789012345678901234567890123456,\"b\":true,\"n\":null"),
     "new t\nnew w\nnew big\nnew f\nnew e\nnew long\nnew b\nnew n\n" GOOD(
         "\"t\":\"x\",\"w\":1,\"big\":{\"$numberDecimal\":\"9223372036854775808\"},"
         "\"f\":{\"$numberDecimal\":\"1.50\"},\"e\":{\"$numberDecimal\":\"1E+400\"},"
         "\"long\":1.2345678901234567,\"b\":true,\"n\":null")                                                                                                                                      },
    {"objects and arrays",
     ROW("\"o\":{\"a\":1,\"@odata.etag\":\"x\",\"@x\":{\"y\":[1]},\"b\":{},\"c\":[]},"
         "\"l\":[1,\"x\",null,[2.5],{\"k\":false}]"),
     "new o\nnew l\n" GOOD("\"o\":{\"a\":1,\"b\":{},\"c\":[]},"
                           "\"l\":[1,\"x\",null,[{\"$numberDecimal\":\"2.5\"}],{\"k\":false}]")                                                                                                    },
    {"a column without a type holds what JSON says",
     ROW("\"iscustomizable\":{\"Value\":true,\"CanBeChanged\":false,"
         "\"ManagedPropertyLogicalName\":\"iscustomizableanddeletable\"}"),
     GOOD("\"iscustomizable\":{\"Value\":true,\"CanBeChanged\":false,"
          "\"ManagedPropertyLogicalName\":\"iscustomizableanddeletable\"}")                                                                                                                        },
    {"… and null, or a scalar",
     "{\"value\":[{" ETAG "\"iscustomizable\":null," KEY "},{" ETAG "\"iscustomizable\":1," KEY
     "}]}",                                                                                                                            GOOD("\"iscustomizable\":null") GOOD("\"iscustomizable\":1")},
    {"an unknown column is told once",
     "{\"value\":[{" ETAG "\"x\":1," KEY "},{" ETAG "\"x\":2," KEY "}]}",
     "new x\n" GOOD("\"x\":1") GOOD("\"x\":2")                                                                                                                                                     },
    {"members in another order each time",
     "{\"value\":[{" ETAG "\"name\":\"a\",\"employees\":1," KEY "},{" KEY
     ",\"employees\":2,\"name\":\"b\"," ETAG "\"secret\":\"\"},{\"employees\":3," ETAG KEY "}]}",
     GOOD("\"name\":\"a\",\"employees\":1") "row " ID " v7 t0 {" KEY
                                            ",\"employees\":2,\"name\":\"b\"}\n" GOOD(
                                                "\"employees\":3")                                                                                                                                 },
    {"the version from its column",                          "{\"value\":[{\"versionnumber\":12," KEY "}]}",
     "row " ID " v12 t0 {\"versionnumber\":12," KEY "}\n"                                                                                                                                          },
    {"the etag comes first",
     "{\"value\":[{\"versionnumber\":12," KEY ",\"@odata.etag\":\"W/\\\"915244\\\"\"}]}",
     "row " ID " v915244 t0 {\"versionnumber\":12," KEY "}\n"                                                                                                                                      },
    {"etags that are no number",
     "{\"value\":[{\"@odata.etag\":\"W/\\\"JzE=\\\"\"," KEY "},{\"@odata.etag\":\"7\"," KEY
     "},{\"@odata.etag\":\"W/\\\"-7\\\"\"," KEY "},{\"@odata.etag\":7," KEY "},{" KEY "}]}",
     "row " ID " v-1 t0 {" KEY "}\nrow " ID " v-1 t0 {" KEY "}\nrow " ID " v-1 t0 {" KEY
     "}\nrow " ID " v-1 t0 {" KEY "}\nrow " ID " v-1 t0 {" KEY "}\n"                                                                                                                               },
    {"ids in lower case",                                    "{\"value\":[{" ETAG "\"accountid\":\"" ID_UPPER "\"}]}",
     "row " ID " v7 t0 {\"accountid\":\"" ID_UPPER "\"}\n"                                                                                                                                         },
    {"ids that are no GUID",                                 "{\"value\":[{" ETAG "\"accountid\":\"Usmf|1\"}]}",
     "row Usmf|1 v7 t0 {\"accountid\":\"Usmf|1\"}\n"                                                                                                                                               },
    {"a deletion",
     "{\"value\":[{\"@odata.context\":\"https://h/$metadata#accounts/$deletedEntity\",\"id\":\"" ID
     "\",\"reason\":\"deleted\"}]}",                                                                                                   "gone " ID " v-1\n"                                         },
    {"deletions in other forms",
     "{\"value\":[{\"id\":\"" ID_UPPER "\",\"reason\":\"deleted\"},"
     "{\"reason\":\"deleted\",\"id\":\"https://h/api/accounts(" ID_UPPER ")\"},"
     "{\"@odata.removed\":{\"reason\":\"deleted\"},\"id\":\"accounts(" ID ")\"},"
     "{\"@removed\":{\"reason\":\"changed\"},\"@odata.id\":\"accounts(accountid=" ID ")\"},"
     "{\"id\":\"" ID "\",\"@odata.removed\":\"x\"}]}",
     "gone " ID " v-1\ngone " ID " v-1\ngone " ID " v-1\ngone " ID " v-1\ngone " ID " v-1\n"                                                                                                       },
    {"a row whose columns look like a deletion",             ROW("\"id\":\"" ID "\",\"reason\":\"deleted\""),
     "new id\nnew reason\n" GOOD("\"id\":\"" ID "\",\"reason\":\"deleted\"")                                                                                                                       },
    {"a deletion tells no new columns, a row after it does",
     "{\"value\":[{\"id\":\"" ID "\",\"reason\":\"deleted\"},{" ETAG "\"id\":1," KEY "}]}",
     "gone " ID " v-1\nnew id\n" GOOD("\"id\":1")                                                                                                                                                  },
};

static const struct odata_case bad_rows[] = {
    {"a row without its id",                                                       "{\"value\":[{" ETAG "\"name\":\"a\"},{" ETAG KEY "}]}",
     "bad  empty_key (the row has no value in its id column) {\"name\":\"a\"}\nrow " ID
     " v7 t0 {" KEY "}\n"                                                                                                      },
    {"an id of null",                                                              "{\"value\":[{" ETAG "\"accountid\":null}]}",
     "bad  empty_key (the row has no value in its id column) {\"accountid\":null}\n"                                           },
    {"a deletion without an id",
     "{\"value\":[{\"@odata.context\":\"x/"
     "$deletedEntity\",\"id\":\"none\",\"reason\":\"deleted\"}]}",                                                                          "bad  empty_key (a deletion without the id of a row) "
     "{\"id\":\"none\",\"reason\":\"deleted\"}\n"            },
    {"a text where a number should be",                                            ROW("\"employees\":\"many\",\"name\":\"a\""),
     BAD("untypable",                                                                                                            "column 'employees': 'many' is no int: expected digits with an optional sign",
     "\"employees\":\"many\",\"name\":\"a\"")},
    {"a fraction where a whole number should be",                                     ROW("\"employees\":1.5"),
     BAD("untypable",                                     "column 'employees': '1.5' is no int: expected digits with an optional sign",
     "\"employees\":\"1.5\"")},
    {"a number that does not fit",                                                              ROW("\"employees\":9223372036854775808"),
     BAD("untypable",
     "column 'employees': '9223372036854775808' is no int: it does not fit 64 bits", "\"employees\":\"9223372036854775808\"")},
    {"a double that does not fit",                                                 ROW("\"latitude\":1e400"),
     BAD("untypable",                                                                                                            "column 'latitude': '1e400' is no double: its size is out of range",
     "\"latitude\":\"1e400\"")},
    {"a decimal of too many digits",                                    ROW("\"creditlimit\":1.2345678901234567890123456789012345678"),
     BAD("untypable",
     "column 'creditlimit': '1.2345678901234567890123456789012345678' is no decimal: it has "
         "more than 34 digits", "\"creditlimit\":\"1.2345678901234567890123456789012345678\"")},
    {"a day that does not exist",                                                              ROW("\"since\":\"2026-02-30\""),
     BAD("untypable",
     "column 'since': '2026-02-30' is no date: expected ISO 8601, as 2026-11-22 or "
         "2026-11-22T03:10:00Z", "\"since\":\"2026-02-30\"")},
    {"kinds that do not fit",
     "{\"value\":[{" ETAG "\"name\":1," KEY "},{" ETAG "\"donotphone\":\"true\"," KEY "},{" ETAG
     "\"since\":1," KEY "},{" ETAG "\"employees\":true," KEY "},{" ETAG "\"employees\":\"\"," KEY
     "},{" ETAG "\"name\":{\"a\":[1]}," KEY "},{" ETAG "\"creditlimit\":[1]," KEY "}]}",
     BAD("untypable",                                                                                                            "column 'name': expected string, found a number", "\"name\":\"1\"") BAD(
         "untypable", "column 'donotphone': expected bool, found a text", "\"donotphone\":\"true\"")
         BAD("untypable", "column 'since': expected date, found a number", "\"since\":\"1\"")
             BAD("untypable", "column 'employees': expected int, found true or false",
     "\"employees\":\"true\"")
                 BAD("untypable", "column 'employees': expected int, found a text",
     "\"employees\":\"\"") "bad " ID " untypable (column 'name': expected string, "
                                           "found an object) {" KEY "}\n"
                                           "bad " ID " untypable (column 'creditlimit': expected "
                                           "decimal, found an array) {" KEY "}\n"},
    {"the first fault counts, the rest is shown",
     ROW("\"employees\":\"x\",\"since\":\"y\",\"o\":1"),
     "new o\n" BAD("untypable",
     "column 'employees': 'x' is no int: expected digits with an optional sign", "\"employees\":\"x\",\"since\":\"y\",\"o\":1")},
    {"a text that is not UTF-8",                                                              ROW("\"name\":\"a\xff\",\"employees\":1"),
     BAD("bad_utf8",                                                                    "column 'name': '' is no string: it is not valid UTF-8", "\"employees\":1")},
    {"an unknown text that is not UTF-8",                                                      ROW("\"x\":\"a\xff\""),
     "new x\nbad " ID " bad_utf8 (column 'x': a text is not valid UTF-8) {" KEY "}\n"                                                                                                           },
    {"a text that is not UTF-8, deep inside",
     ROW("\"x\":{\"a\":[{\"b\":\"\xff\"},2],\"c\":3},\"name\":\"a\""),
     "new x\n" BAD("bad_utf8",                          "column 'x': a text is not valid UTF-8", "\"name\":\"a\"")},
    {"a name that is not UTF-8",                                                 ROW("\"\xff\":1,\"name\":\"a\""),
     BAD("bad_utf8",                                                                                                "a column's name is not valid UTF-8", "\"name\":\"a\"")},
    {"a name with a NUL", ROW("\"a\\u0000b\":1,\"name\":\"a\""),
     BAD("untypable", "a column's name holds a NUL", "\"name\":\"a\"")},
    {"a name deep inside that would wrap a value",
     ROW("\"x\":{\"$date\":\"y\",\"z\":{}},\"name\":\"a\""),
     "new x\n" BAD("untypable", "column 'x': an object in it has a key that is not kept",
     "\"name\":\"a\"")},
    {"a column twice",                                                   ROW("\"name\":\"a\",\"employees\":1,\"name\":\"b\""),
     BAD("untypable",                                                                                                             "column 'name' appears twice", "\"name\":\"a\",\"employees\":1")},
    {"an unknown number out of range",                                                          ROW("\"x\":1e99999"),
     "new x\nbad " ID " untypable (column 'x': a number is out of range) {\"x\":\"1e99999\"," KEY
     "}\n"                                                                 },
};

#define HALF "holds half of a surrogate pair (half a character)"

static const struct odata_case halves[] = {
    {"both halves",                                                                         ROW("\"name\":\"\\ud83d\\ude00\""),                 GOOD("\"name\":\"😀\"")},
    {"a first half and another character",                                                  ROW("\"name\":\"\\ud83d\\u0041\",\"employees\":1"),
     BAD("bad_utf8",                                                                                                                                                       "column 'name': '' is no string: it " HALF, "\"employees\":1")},
    {"one half, the next row goes on",
     "{\"value\":[{" ETAG "\"x\":[\"\\ud83d!\"]," KEY "},{" ETAG KEY "}]}",
     "new x\nbad " ID " bad_utf8 (column 'x': a text " HALF ") {" KEY "}\nrow " ID " v7 t0 {" KEY
     "}\n"                                                                                                              },
    {"a second half alone",                                                                                 ROW("\"x\":\"\\ude00\",\"name\":\"a\""),
     "new x\n" BAD("bad_utf8",                          "column 'x': a text " HALF, "\"name\":\"a\"")},
    {"in a name",                                                              ROW("\"\\ud83d\\u0041\":1,\"name\":\"a\""),
     BAD("bad_utf8",                                                                     "a column's name " HALF, "\"name\":\"a\"")},
    {"in an id",                                                                           "{\"value\":[{" ETAG "\"name\":\"a\",\"accountid\":\"\\ud83d\\u0041\"}]}",
     "bad  bad_utf8 (column 'accountid': '' is no string: it " HALF ") {\"name\":\"a\"}\n"                                                                                                                                                      },
    {"in a member that nobody asks for",                                                                    "{\"a\":\"\\ud83d\\u0041\",\"value\":[]}",                                                                                                                      ""                                                                                                                                     },
    {"in a link", "{\"@odata.nextLink\":\"https://h/\\ud83d\\u0041\"}",
     "rejected: no answer with rows: a link that is too long or not UTF-8 near byte 43\n"},
};

static const struct odata_case refused[] = {
    {"nothing",                  "",                                                      "rejected: JSON cut off near byte 0\n"                  },
    {"cut off",                  "{\"value\":[{" KEY "}",
     "row " ID " v-1 t0 {" KEY "}\nrejected: JSON cut off near byte 62\n"                                                                         },
    {"cut off in a text",        "{\"value\":[{\"a\":\"x",
     "rejected: JSON cut off inside a text near byte 17\n"                                                                                        },
    {"no object",                "[1]",                                                   "rejected: no answer with rows: no object near byte 1\n"},
    {"no rows",                  "{\"error\":{\"code\":\"0x1\"}}",
     "rejected: no answer with rows: no array 'value' near byte 24\n"                                                                             },
    {"rows that are none",       "{\"value\":{}}",
     "rejected: no answer with rows: 'value' is no array, or a link no text near byte 10\n"                                                       },
    {"rows that are null",       "{\"value\":null}",
     "rejected: no answer with rows: 'value' is no array near byte 13\n"                                                                          },
    {"a row that is none",       "{\"value\":[1]}",
     "rejected: no answer with rows: a row that is no object near byte 11\n"                                                                      },
    {"rows twice",               "{\"value\":[],\"value\":[]}",
     "rejected: no answer with rows: a second 'value' near byte 21\n"                                                                             },
    {"a link that is none",      "{\"@odata.nextLink\":1}",
     "rejected: no answer with rows: a link that is no text near byte 20\n"                                                                       },
    {"a link twice",             "{\"@odata.nextLink\":\"a\",\"@odata.nextLink\":\"b\"}",
     "next a\nrejected: no answer with rows: a second link of one kind near byte 44\n"                                                            },
    {"a link with a line in it", "{\"@odata.nextLink\":\"a\\nb\"}",
     "rejected: no answer with rows: a link with a blank or control character near byte 25\n"                                                     },
    {"a link that is not UTF-8", "{\"@odata.nextLink\":\"\xc3\"}",
     "rejected: no answer with rows: a link that is too long or not UTF-8 near byte 22\n"                                                         },
    {"something behind",         "{\"value\":[]}x",
     "rejected: malformed JSON (parse error: trailing garbage) near byte 13\n"                                                                    },
};

static void run_cases(const struct odata_case *cases, size_t count)
{
    struct sl_columns columns;
    fill_columns(&columns);
    struct sl_odata_options options = options_of(&columns);
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(cases[i].text);
        for (size_t chunk = 1; chunk <= size + 1; chunk++) {
            char *heard = read_answer(&options, cases[i].text, size, chunk, 0);
            if (strcmp(heard, cases[i].expected))
                fail_msg("%s, chunks of %zu:\n%s\ninstead of\n%s", cases[i].name, chunk, heard,
                         cases[i].expected);
            free(heard);
        }
    }
    sl_columns_done(&columns);
}

static void test_answers_give_rows_and_links(void **state)
{
    (void)state;
    run_cases(answers, sizeof answers / sizeof *answers);
}

static void test_a_bad_row_is_told_and_the_others_go_on(void **state)
{
    (void)state;
    run_cases(bad_rows, sizeof bad_rows / sizeof *bad_rows);
}

static void test_half_of_a_surrogate_pair_is_no_character(void **state)
{
    (void)state;
    run_cases(halves, sizeof halves / sizeof *halves);
}

static void test_what_is_no_answer_is_refused(void **state)
{
    (void)state;
    run_cases(refused, sizeof refused / sizeof *refused);
}

static void test_one_row(void **state)
{
    (void)state;
    static const struct odata_case singles[] = {
        {"a row",
         "{\"@odata.context\":\"https://h/$metadata#accounts/$entity\"," ETAG "\"name\":\"a\"," KEY
         "}",                                                                                                GOOD("\"name\":\"a\"")                    },
        {"a bad row",                                               "{" ETAG "\"employees\":\"x\"," KEY "}",
         BAD("untypable",
         "column 'employees': 'x' is no int: expected digits with an optional sign", "\"employees\":\"x\"")},
        {"no object",                                   "[]",                                                                          "rejected: no answer with rows: no object near byte 1\n"                                                                                                         },
        {"cut off", "{" ETAG KEY,"rejected: JSON cut off near byte 75\n"},
    };
    struct sl_columns columns;
    fill_columns(&columns);
    struct sl_odata_options options = options_of(&columns);
    options.single = true;
    for (size_t i = 0; i < sizeof singles / sizeof *singles; i++)
        for (size_t chunk = 1; chunk <= strlen(singles[i].text); chunk++) {
            char *heard = read_answer(&options, singles[i].text, strlen(singles[i].text), chunk, 0);
            assert_string_equal(heard, singles[i].expected);
            free(heard);
        }
    sl_columns_done(&columns);
}

static void test_a_callback_stops_it(void **state)
{
    (void)state;
    static const char text[] = "{\"value\":[{" ETAG KEY "},{" ETAG KEY "},{" ETAG KEY "}]}";
    struct sl_columns columns;
    fill_columns(&columns);
    struct sl_odata_options options = options_of(&columns);
    for (size_t chunk = 1; chunk <= sizeof text; chunk++) {
        char *heard = read_answer(&options, text, sizeof text - 1, chunk, 2);
        assert_string_equal(heard, "row " ID " v7 t0 {" KEY "}\ncanceled: stopped at row 2\n");
        free(heard);
    }
    sl_columns_done(&columns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_give_rows_and_links),
        cmocka_unit_test(test_a_bad_row_is_told_and_the_others_go_on),
        cmocka_unit_test(test_half_of_a_surrogate_pair_is_no_character),
        cmocka_unit_test(test_what_is_no_answer_is_refused),
        cmocka_unit_test(test_one_row),
        cmocka_unit_test(test_a_callback_stops_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
