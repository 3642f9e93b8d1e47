/* Bodies of posts into rows: what is taken, in three forms, and what exactly is wrong with the
 * rest. Each body stands alone; long ones are made in code. */
#include "ingest/rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/extjson.h"

#include <cmocka.h>

enum { MAX_ROW = 4096 };

/* A feed: key (id, part), typed columns, perhaps a version column. */
static char *const one_key[] = {"id", NULL};
static char *const two_keys[] = {"dataAreaId", "Number", NULL};
static struct sl_column_config columns[] = {
    {"amount", SL_TYPE_DECIMAL},
    {"count",  SL_TYPE_INT    },
    {"since",  SL_TYPE_DATE   },
    {"open",   SL_TYPE_BOOL   },
    {"zip",    SL_TYPE_STRING },
};

static struct sl_entity_config entity_of(char *const *key)
{
    struct sl_entity_config entity = {
        .name = "things", .columns = columns, .column_count = sizeof columns / sizeof *columns};
    entity.key = (char **)(uintptr_t)key;
    while (key[entity.key_count])
        entity.key_count++;
    return entity;
}

/* --- what was read, as text: "+id@version{doc} -id" --- */

static int write_row(void *ctx, const struct sl_ingest_row *row, struct sl_err *err)
{
    struct sl_buf *out = ctx;
    sl_buf_printf(out, "%s%c%.*s", out->length ? " " : "", row->op == SL_DELETE ? '-' : '+',
                  (int)row->id.length, row->id.at);
    if (row->version >= 0)
        sl_buf_printf(out, "@%lld", (long long)row->version);
    return row->doc.length ? sl_extjson_write(out, row->doc.at, row->doc.length, err) : SL_OK;
}

static int no_pause(void *ctx, struct sl_err *err)
{
    (void)ctx, (void)err;
    return SL_OK;
}

/* Reads twice, as a post does: the first time without taking anything. */
static int read_rows(struct sl_ingest_plan *plan, enum sl_ingest_form form, struct sl_str body,
                     struct sl_buf *out, uint64_t *ret_rows, struct sl_ingest_fault *fault)
{
    const struct sl_ingest_reader check = {NULL, no_pause, NULL}, take = {write_row, no_pause, out};
    struct sl_err err;
    uint64_t again;
    int rc = sl_ingest_read(plan, form, body, &check, ret_rows, fault, &err);
    if (rc != SL_OK)
        return rc;
    assert_int_equal(sl_ingest_read(plan, form, body, &take, &again, fault, &err), SL_OK);
    assert_int_equal(again, *ret_rows);
    return SL_OK;
}

struct row {
    const char *name;
    enum sl_ingest_form form;
    char *const *key;
    const char *version; /* column */
    const char *body;
    const char *rows; /* NULL: refused, as … */
    struct sl_ingest_fault fault;
};

#define TAKEN(name, form, key, version, body, rows)                                                \
    {                                                                                              \
        name, form, key, version, body, rows,                                                      \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }
#define REFUSED(name, form, key, version, body, row, line, column, reason)                         \
    {                                                                                              \
        name, form, key, version, body, NULL,                                                      \
        {                                                                                          \
            row, line, column, reason                                                              \
        }                                                                                          \
    }

#define JSON SL_INGEST_JSON
#define LINES SL_INGEST_LINES
#define CSV SL_INGEST_CSV

static void check(const struct row *row)
{
    struct sl_entity_config entity = entity_of(row->key);
    struct sl_ingest_plan *plan = sl_ingest_plan_new(&entity, row->version, MAX_ROW);
    struct sl_ingest_fault fault;
    struct sl_buf out;
    uint64_t rows;
    sl_buf_init(&out);
    int rc = read_rows(plan, row->form, sl_str_of(row->body), &out, &rows, &fault);
    if (row->rows) {
        if (rc != SL_OK)
            fail_msg("%s: refused: %s", row->name, fault.reason);
        if (strcmp(out.data ? out.data : "", row->rows) != 0)
            fail_msg("%s: got %s", row->name, out.data);
    } else {
        if (rc != SL_REJECTED)
            fail_msg("%s: taken: %s", row->name, out.data);
        if (fault.row != row->fault.row || fault.line != row->fault.line ||
            strcmp(fault.column, row->fault.column) || !strstr(fault.reason, row->fault.reason))
            fail_msg("%s: row %llu line %u column '%s': %s", row->name,
                     (unsigned long long)fault.row, fault.line, fault.column, fault.reason);
    }
    sl_buf_done(&out);
    sl_ingest_plan_free(plan);
}

static void test_taken(void **state)
{
    static const struct row rows[] = {
        TAKEN("an object", JSON, one_key, NULL, "{\"id\":\"a\",\"x\":1}",
              "+a{\"id\":\"a\",\"x\":1}"),
        TAKEN("an array", JSON, one_key, NULL, "[{\"id\":\"a\"},\n {\"id\":\"b\"}]",
              "+a{\"id\":\"a\"} +b{\"id\":\"b\"}"),
        TAKEN("an empty array", JSON, one_key, NULL, " [ ] ", ""),
        TAKEN("nothing", JSON, one_key, NULL, "", ""),
        TAKEN("blanks", LINES, one_key, NULL, " \r\n\n", ""),
        TAKEN("no line", CSV, one_key, NULL, "", ""),
        TAKEN("a header alone", CSV, one_key, NULL, "id,x\n", ""),
        TAKEN("lines", LINES, one_key, NULL, "{\"id\":\"a\"}\n\n{\"id\":\"b\"}",
              "+a{\"id\":\"a\"} +b{\"id\":\"b\"}"),
        TAKEN("types", JSON, one_key, NULL,
              "{\"id\":\"a\",\"amount\":1.50,\"count\":\"7\",\"since\":\"2026-11-22\",\"open\":"
              "\"yes\","
              "\"note\":\"7\"}",
              "+a{\"id\":\"a\",\"amount\":{\"$numberDecimal\":\"1.50\"},\"count\":7,"
              "\"since\":{\"$date\":\"2026-11-22T00:00:00.000Z\"},\"open\":true,\"note\":\"7\"}"),
        TAKEN("types in another case, found in the second row", JSON, one_key, NULL,
              "[{\"id\":\"a\"},{\"id\":\"b\",\"Amount\":2.10,\"COUNT\":\"3\"},{\"id\":\"c\","
              "\"amount\":1}]",
              "+a{\"id\":\"a\"} "
              "+b{\"id\":\"b\",\"Amount\":{\"$numberDecimal\":\"2.10\"},\"COUNT\":3} "
              "+c{\"id\":\"c\",\"amount\":{\"$numberDecimal\":\"1\"}}"),
        TAKEN("a text in any case", JSON, one_key, NULL,
              "[{\"id\":\"a\",\"zip\":1.50},{\"id\":\"b\",\"ZIP\":1.50}]",
              "+a{\"id\":\"a\",\"zip\":\"1.50\"} +b{\"id\":\"b\",\"ZIP\":\"1.50\"}"),
        TAKEN("values that only their type can hold, in another case", LINES, one_key, NULL,
              "{\"id\":\"a\",\"Amount\":12345678901234567890123}\n"
              "{\"id\":\"b\",\"AMOUNT\":1e999,\"Zip\":12345678901234567890123}",
              "+a{\"id\":\"a\",\"Amount\":{\"$numberDecimal\":\"12345678901234567890123\"}} "
              "+b{\"id\":\"b\",\"AMOUNT\":{\"$numberDecimal\":\"1E+999\"},"
              "\"Zip\":\"12345678901234567890123\"}"),
        TAKEN("a type of another case holds for top columns alone", JSON, one_key, NULL,
              "{\"id\":\"a\",\"x\":{\"Amount\":1}}", "+a{\"id\":\"a\",\"x\":{\"Amount\":1}}"),
        TAKEN("types of csv", CSV, one_key, NULL,
              "ID,Amount,count,since,open,note\r\na,1.50,7,2026-11-22,No,\"say \"\"x\"\", "
              "y\"\r\nb,,,,,\n",
              "+a{\"ID\":\"a\",\"Amount\":{\"$numberDecimal\":\"1.50\"},\"count\":7,"
              "\"since\":{\"$date\":\"2026-11-22T00:00:00.000Z\"},\"open\":false,\"note\":\"say "
              "\\\"x\\\", "
              "y\"} +b{\"ID\":\"b\",\"note\":\"\"}"),
        TAKEN("the last date that can be a key", JSON, one_key, NULL,
              "{\"id\":{\"$date\":{\"$numberLong\":\"253402300799999\"}}}",
              "+9999-12-31T23:59:59.999Z{\"id\":{\"$date\":\"9999-12-31T23:59:59.999Z\"}}"),
        TAKEN("two key columns, the company in lower case", JSON, two_keys, NULL,
              "{\"Number\":42,\"dataAreaId\":\"USMF\"}",
              "+usmf|42{\"Number\":42,\"dataAreaId\":\"USMF\"}"),
        TAKEN("a key in another case", JSON, two_keys, NULL,
              "{\"dataareaid\":\"usmf\",\"number\":\"a|b\"}",
              "+usmf|a\\|b{\"dataareaid\":\"usmf\",\"number\":\"a|b\"}"),
        TAKEN("the exact name counts", JSON, one_key, NULL,
              "{\"ID\":\"no\",\"id\":\"yes\",\"Id\":\"no\"}",
              "+yes{\"ID\":\"no\",\"id\":\"yes\",\"Id\":\"no\"}"),
        TAKEN("keys that are no text", JSON, two_keys, NULL,
              "[{\"dataAreaId\":true,\"Number\":-5},{\"dataAreaId\":\"x\",\"Number\":{\"$date\":"
              "\"2026-01-02T"
              "00:00:00Z\"}}]",
              "+true|-5{\"dataAreaId\":true,\"Number\":-5} "
              "+x|2026-01-02T00:00:00.000Z{\"dataAreaId\":\"x\",\"Number\":{\"$date\":\"2026-01-"
              "02T00:00:00."
              "000Z\"}}"),
        TAKEN("versions", JSON, one_key, "rev",
              "[{\"id\":\"a\",\"rev\":0},{\"id\":\"b\",\"rev\":9007199254740991},{\"id\":\"c\","
              "\"Rev\":\"7\"},"
              "{\"id\":\"d\",\"rev\":\"1970-01-01T00:00:01Z\"}]",
              "+a@0{\"id\":\"a\",\"rev\":0} "
              "+b@9007199254740991{\"id\":\"b\",\"rev\":9007199254740991} "
              "+c@7{\"id\":\"c\",\"Rev\":\"7\"} "
              "+d@1000{\"id\":\"d\",\"rev\":\"1970-01-01T00:00:01Z\"}"),
        TAKEN("a version with a type", JSON, one_key, "since",
              "{\"id\":\"a\",\"since\":\"1970-01-01T00:00:00.005Z\"}",
              "+a@5{\"id\":\"a\",\"since\":{\"$date\":\"1970-01-01T00:00:00.005Z\"}}"),
        TAKEN("versions of csv", CSV, one_key, "rev", "id,REV\na,12\nb,2026-11-22T00:00:00Z\n",
              "+a@12{\"id\":\"a\",\"REV\":\"12\"} "
              "+b@1795305600000{\"id\":\"b\",\"REV\":\"2026-11-22T00:00:00Z\"}"),
        TAKEN(
            "deletions", JSON, one_key, "rev",
            "[{\"id\":\"a\",\"_delete\":true,\"rev\":3},{\"_delete\":false,\"id\":\"b\",\"rev\":4},"
            "{\"id\":\"c\",\"_delete\":null,\"rev\":5},{\"id\":\"d\",\"rev\":6,\"_delete\":\"yes\"}"
            "]",
            "-a@3 +b@4{\"id\":\"b\",\"rev\":4} +c@5{\"id\":\"c\",\"rev\":5} -d@6"),
        TAKEN("deletions of csv", CSV, one_key, NULL, "id,_delete,x\na,true,\nb,,1\nc,0,2\n",
              "-a +b{\"id\":\"b\",\"x\":\"1\"} +c{\"id\":\"c\",\"x\":\"2\"}"),
        TAKEN("deep inside, names are free", JSON, one_key, NULL,
              "{\"id\":\"a\",\"x\":{\"_id\":1,\"_delete\":true}}",
              "+a{\"id\":\"a\",\"x\":{\"_id\":1,\"_delete\":true}}"),
        TAKEN("a byte order mark", CSV, one_key, NULL, "\xef\xbb\xbfid\na\n", "+a{\"id\":\"a\"}"),
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check(&rows[i]);
}

static void test_refused(void **state)
{
    static const struct row rows[] = {
        REFUSED("no json", JSON, one_key, NULL, "hello", 0, 1, "", "malformed JSON"),
        REFUSED("cut off", JSON, one_key, NULL, "[{\"id\":\"a\"},\n{\"id\":", 2, 2, "id", ""),
        REFUSED("a number", JSON, one_key, NULL, "7", 0, 1, "", "expected an object"),
        REFUSED("a number among rows", JSON, one_key, NULL, "[{\"id\":\"a\"},7]", 2, 1, "",
                "expected an object"),
        REFUSED("something behind", JSON, one_key, NULL, "{\"id\":\"a\"} {\"id\":\"b\"}", 2, 1, "",
                ""),
        REFUSED("two on a line", LINES, one_key, NULL, "{\"id\":\"a\"}{\"id\":\"b\"}", 2, 1, "",
                "one object a line"),
        REFUSED("an untypable value", JSON, one_key, NULL,
                "[{\"id\":\"a\"},\n{\"id\":\"b\"},\n{\"id\":\"c\",\"amount\":\"much\"}]", 3, 3,
                "amount", "column 'amount': 'much' is no decimal"),
        REFUSED("an untypable value of csv", CSV, one_key, NULL,
                "id,amount\na,1\nb,2\n\"c\nd\",x1\n", 3, 4, "amount",
                "column 'amount': 'x1' is no decimal"),
        REFUSED("a list in a typed column", JSON, one_key, NULL, "{\"id\":\"a\",\"count\":[1]}", 1,
                1, "count", "expected int"),
        REFUSED("a name of ours", JSON, one_key, NULL, "{\"id\":\"a\",\"_id\":1}", 1, 1, "_id",
                "sluice's own"),
        REFUSED("another one", LINES, one_key, NULL, "{\"id\":\"a\"}\n{\"_sluice\":1}", 2, 2,
                "_sluice", "sluice's own"),
        REFUSED("in csv, too", CSV, one_key, NULL, "id,_id\na,1\n", 0, 1, "_id", "sluice's own"),
        REFUSED("no key", JSON, one_key, NULL, "[{\"id\":\"a\"},{\"x\":1}]", 2, 1, "id",
                "is missing"),
        REFUSED("key of null", JSON, one_key, NULL, "{\"id\":null}", 1, 1, "id", "is missing"),
        REFUSED("empty key", JSON, two_keys, NULL, "{\"dataAreaId\":\"x\",\"Number\":\"\"}", 1, 1,
                "Number", "is empty"),
        REFUSED("a key with a point", JSON, one_key, NULL, "{\"id\":1.5}", 1, 1, "id",
                "whole number"),
        REFUSED("an object for a key", JSON, one_key, NULL, "{\"id\":{\"x\":1}}", 1, 1, "id",
                "must be a text"),
        REFUSED("a key after the year 9999", JSON, one_key, NULL,
                "{\"id\":{\"$date\":{\"$numberLong\":\"8640000000000000\"}}}", 1, 1, "id",
                "the key must be a date of the years 1 to 9999"),
        REFUSED("a key before the year 1", JSON, one_key, NULL,
                "{\"id\":{\"$date\":{\"$numberLong\":\"-62135596800001\"}}}", 1, 1, "id",
                "the key must be a date of the years 1 to 9999"),
        REFUSED("no key in csv", CSV, two_keys, NULL, "Number,x\n1,2\n", 0, 1, "dataAreaId",
                "lacks the key column 'dataAreaId'"),
        REFUSED("an empty key in csv", CSV, one_key, NULL, "id,x\na,1\n,2\n", 2, 3, "id",
                "is empty"),
        REFUSED("no version", JSON, one_key, "rev", "{\"id\":\"a\"}", 1, 1, "rev", "is missing"),
        REFUSED("no version in csv", CSV, one_key, "rev", "id\na\n", 0, 1, "rev",
                "lacks the version column"),
        REFUSED("an empty version", CSV, one_key, "rev", "id,rev\na,\n", 1, 2, "rev", "is empty"),
        REFUSED("a negative version", JSON, one_key, "rev", "{\"id\":\"a\",\"rev\":-1}", 1, 1,
                "rev", "negative"),
        REFUSED("a date before 1970", JSON, one_key, "rev", "{\"id\":\"a\",\"rev\":\"1969-12-31\"}",
                1, 1, "rev", "negative"),
        REFUSED("a version of 2^53", JSON, one_key, "rev",
                "{\"id\":\"a\",\"rev\":9007199254740992}", 1, 1, "rev", "2^53"),
        REFUSED("half a version", JSON, one_key, "rev", "{\"id\":\"a\",\"rev\":1.5}", 1, 1, "rev",
                "whole number"),
        REFUSED("a word for a version", JSON, one_key, "rev", "{\"id\":\"a\",\"rev\":\"new\"}", 1,
                1, "rev", "whole number or a date"),
        REFUSED("a deletion of what?", JSON, one_key, NULL, "{\"_delete\":true}", 1, 1, "id",
                "is missing"),
        REFUSED("a deletion, perhaps", JSON, one_key, NULL, "{\"id\":\"a\",\"_delete\":\"maybe\"}",
                1, 1, "_delete", "is no bool"),
        REFUSED("wrong columns", CSV, one_key, NULL, "id,x\na,1\nb\n", 2, 3, "",
                "1 columns, the header 2"),
        REFUSED("a column twice", CSV, one_key, NULL, "id,x,x\n", 0, 1, "x", "names twice"),
        REFUSED("a column without a name", CSV, one_key, NULL, "id,,x\n", 0, 1, "",
                "column 2 is empty"),
        REFUSED("an open quote", CSV, one_key, NULL, "id\na\n\"b\n", 2, 3, "",
                "ends inside the quotes"),
        REFUSED("text behind a quote", CSV, one_key, NULL,
                "id,x\na,\"5\"\" pipe\"\nb,\"5\" pipe\"\n", 2, 3, "x", "closing quote of cell 2"),
        REFUSED("text behind a quote, a cell too many", CSV, one_key, NULL, "id\na,\"b\"c\n", 1, 2,
                "", "closing quote of cell 2"),
        REFUSED("text behind a quote of the header", CSV, one_key, NULL, "id,\"x\"y\na,1\n", 0, 1,
                "", "closing quote of cell 2"),
        REFUSED("no utf-8", CSV, one_key, NULL, "id,x\na,\xff\n", 1, 2, "x", "UTF-8"),
        REFUSED("no utf-8 in json", JSON, one_key, NULL, "{\"id\":\"\xc3\x28\"}", 1, 1, "id", ""),
        REFUSED("a field twice", JSON, one_key, NULL, "{\"id\":\"a\",\"x\":1,\"x\":2}", 1, 1, "x",
                "twice"),
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check(&rows[i]);
}

static void check_made(enum sl_ingest_form form, const struct sl_buf *body, uint64_t rows,
                       const char *wrong)
{
    struct sl_entity_config entity = entity_of(one_key);
    struct sl_ingest_plan *plan = sl_ingest_plan_new(&entity, NULL, MAX_ROW);
    struct sl_ingest_fault fault;
    struct sl_buf out;
    uint64_t count;
    sl_buf_init(&out);
    int rc = read_rows(plan, form, sl_buf_view(body), &out, &count, &fault);
    assert_int_equal(rc, wrong ? SL_REJECTED : SL_OK);
    if (wrong && !strstr(fault.reason, wrong))
        fail_msg("%s", fault.reason);
    if (!wrong)
        assert_int_equal(count, rows);
    sl_buf_done(&out);
    sl_ingest_plan_free(plan);
}

static void test_large(void **state)
{
    struct sl_buf body;
    (void)state;
    sl_buf_init(&body);
    sl_buf_add_text(&body, "[");
    for (int i = 0; i < 20000; i++)
        sl_buf_printf(&body, "%s{\"id\":\"%d\",\"Count\":\"%d\"}", i ? ",\n" : "", i, i);
    sl_buf_add_text(&body, "]");
    check_made(SL_INGEST_JSON, &body, 20000, NULL);

    sl_buf_clear(&body); /* a wrong row far behind: nothing is taken */
    sl_buf_add_text(&body, "id,count\n");
    for (int i = 0; i < 20000; i++)
        sl_buf_printf(&body, "%d,%s\n", i, i == 19999 ? "x" : "1");
    check_made(SL_INGEST_CSV, &body, 0, "'x' is no int");

    sl_buf_clear(&body);
    sl_buf_add_text(&body, "{\"id\":\"a\",\"x\":\"");
    for (int i = 0; i < 2 * MAX_ROW; i++)
        sl_buf_add_char(&body, 'x');
    sl_buf_add_text(&body, "\"}");
    check_made(SL_INGEST_LINES, &body, 0, "limits.max_row");

    sl_buf_clear(&body);
    sl_buf_add_text(&body, "{\"id\":\"a\",\"x\":");
    for (int i = 0; i < 1000000; i++)
        sl_buf_add_char(&body, '[');
    check_made(SL_INGEST_JSON, &body, 0, "");

    sl_buf_clear(&body); /* full of blanks, but not empty */
    for (int i = 0; i < 100000; i++)
        sl_buf_add_char(&body, ' ');
    check_made(SL_INGEST_LINES, &body, 0, NULL);
    sl_buf_done(&body);
}

/* Spellings are learnt from strangers: not without end. */
static void test_spellings(void **state)
{
    struct sl_entity_config entity = entity_of(one_key);
    struct sl_column_config wide = {"abcdefghijkl", SL_TYPE_INT};
    struct sl_ingest_fault fault = {0};
    struct sl_buf out, body;
    uint64_t count;
    int rc = SL_OK, spellings = 0;
    (void)state;
    entity.columns = &wide;
    entity.column_count = 1;
    struct sl_ingest_plan *plan = sl_ingest_plan_new(&entity, NULL, MAX_ROW);
    sl_buf_init(&out);
    sl_buf_init(&body);
    while (rc == SL_OK && spellings < 4096) {
        char name[] = "abcdefghijkl";
        for (int bit = 0; bit < 12; bit++)
            if (spellings >> bit & 1)
                name[bit] = (char)(name[bit] - 'a' + 'A');
        sl_buf_clear(&body);
        sl_buf_printf(&body, "{\"id\":\"a\",\"%s\":1}", name);
        rc = read_rows(plan, SL_INGEST_JSON, sl_buf_view(&body), &out, &count, &fault);
        spellings++;
    }
    assert_int_equal(rc, SL_REJECTED);
    assert_non_null(strstr(fault.reason, "too many ways"));
    assert_in_range(spellings, 1000, 1100);
    sl_buf_done(&out);
    sl_buf_done(&body);
    sl_ingest_plan_free(plan);
}

static void test_forms(void **state)
{
    static const struct {
        const char *type;
        int form; /* -1: none */
    } rows[] = {
        {"application/json",     JSON },
        {"application/x-ndjson", LINES},
        {"application/ndjson",   LINES},
        {"text/csv",             CSV  },
        {"text/plain",           -1   },
        {"application/xml",      -1   },
        {"",                     -1   },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum sl_ingest_form form;
        bool known = sl_ingest_form_of(rows[i].type, &form);
        assert_int_equal(known ? (int)form : -1, rows[i].form);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_large), cmocka_unit_test(test_spellings),
        cmocka_unit_test(test_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
