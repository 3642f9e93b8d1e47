/* Rows of a data file into records and dead letters: a table of files. */
#include <bson/bson.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "dmf/rows.h"
#include "flow/batcher.h"

#include "loop/in_fiber.h"

enum { COUNTER = 42, ROW_BITS = 24 };

static char *key_columns[] = {"dataAreaId", "Account", NULL};
static struct sl_column_config typed_columns[] = {
    {"CreditLimit", SL_TYPE_DECIMAL},
    {"Rank",        SL_TYPE_INT    },
};
static struct sl_entity_config entity = {
    .name = "Vendors V3",
    .route = "VendorsV3",
    .collection = "vendors",
    .key = key_columns,
    .key_count = 2,
    .columns = typed_columns,
    .column_count = 2,
};

#define HEADER "DATAAREAID,Account,Name,creditlimit,RANK\r\n"

struct row_case {
    const char *name, *file;
    /* One line a record, "id version-row line {json}"; one a dead row, "code line row-number". */
    const char *records, *dead;
};

static const struct row_case CASES[] = {
    {.name = "columns keep the file's spelling, key and types match without case",
     .file = HEADER "USMF,V-1,Fjord,1500.50,7\r\n",
     .records =
         "usmf|V-1 1 2 { \"DATAAREAID\" : \"USMF\", \"Account\" : \"V-1\", \"Name\" : \"Fjord\", "
         "\"creditlimit\" : { \"$numberDecimal\" : \"1500.50\" }, \"RANK\" : 7 }\n",                              .dead = ""               },
    {.name = "an empty text stays, an empty number is absent",
     .file = HEADER "usmf,V-2,,,\r\n",
     .records =
         "usmf|V-2 1 2 { \"DATAAREAID\" : \"usmf\", \"Account\" : \"V-2\", \"Name\" : \"\" }\n",                  .dead = ""               },
    {.name = "key parts are escaped, so that joining is injective",
     .file = HEADER "usmf,a|b\\c,x,1,1\r\n",
     .records =
         "usmf|a\\|b\\\\c 1 2 { \"DATAAREAID\" : \"usmf\", \"Account\" : \"a|b\\\\c\", \"Name\" : "
         "\"x\", \"creditlimit\" : { \"$numberDecimal\" : \"1\" }, \"RANK\" : 1 }\n",                             .dead = ""               },
    {.name = "a bad row goes alone, the line is where it begins",
     .file = HEADER "usmf,V-3,\"two\r\nlines\",1,1\r\nusmf,V-4,x,many,1\r\nusmf,V-5,x,2,2\r\n",
     .records =
         "usmf|V-3 1 2 { \"DATAAREAID\" : \"usmf\", \"Account\" : \"V-3\", \"Name\" : "
         "\"two\\r\\nlines\", \"creditlimit\" : { \"$numberDecimal\" : \"1\" }, \"RANK\" : 1 }\n"
         "usmf|V-5 3 5 { \"DATAAREAID\" : \"usmf\", \"Account\" : \"V-5\", \"Name\" : \"x\", "
         "\"creditlimit\" : { \"$numberDecimal\" : \"2\" }, \"RANK\" : 2 }\n",                                    .dead = "untypable 4 2\n"},
    {.name = "too few and too many columns",
     .file = HEADER "usmf,V-6\r\nusmf,V-7,x,1,1,1\r\n",
     .records = "",
     .dead = "wrong_columns 2 1\nwrong_columns 3 2\n"                                                                                      },
    {.name = "an empty part of the key",
     .file = HEADER "usmf,,x,1,1\r\n,V-8,x,1,1\r\n",
     .records = "",
     .dead = "empty_key 2 1\nempty_key 3 2\n"                                                                                              },
    {.name = "bytes that are not UTF-8",
     .file = HEADER "usmf,V-9,\xff,1,1\r\nusmf,\xc3,x,1,1\r\n",
     .records = "",
     .dead = "bad_utf8 2 1\nbad_utf8 3 2\n"                                                                                                },
    {.name = "a quote that is never closed",
     .file = HEADER "usmf,V-10,\"x,1,1\r\nusmf,V-11,x,1,1\r\n",
     .records = "",
     .dead = "unclosed_quote 2 1\n"                                                                                                        },
    {.name = "quotes that are not doubled, and rows that they swallowed",
     .file = HEADER "usmf,V-16,\"5\" pipe\",1,1\r\nusmf,V-17,\"x,1,1\r\nusmf,V-18,x,1,1\r\n"
                    "usmf,V-19,\"y,1,1\r\nusmf,,\"z\"?,1\r\n",                                     .records = "",
     .dead = "bad_quotes 2 1\nbad_quotes 3 2\nbad_quotes 6 3\n"                                                                            },
    {.name = "the same key twice: the later row wins",
     .file = HEADER "usmf,V-12,old,1,1\r\nUSMF,V-12,new,1,1\r\n",
     .records =
         "usmf|V-12 2 3 { \"DATAAREAID\" : \"USMF\", \"Account\" : \"V-12\", \"Name\" : \"new\", "
         "\"creditlimit\" : { \"$numberDecimal\" : \"1\" }, \"RANK\" : 1 }\n",                                    .dead = ""               },
    {.name = "a column with a name of sluice's own is not vouched for",
     .file = "dataAreaId,Account,CreditLimit,Rank,_id\r\nusmf,V-13,1,1,x\r\n",
     .records =
         "usmf|V-13 1 2 { \"dataAreaId\" : \"usmf\", \"Account\" : \"V-13\", \"CreditLimit\" : { "
         "\"$numberDecimal\" : \"1\" }, \"Rank\" : 1, \"_id\" : \"x\" }\n",                                       .dead = ""               },
    {.name = "a row of which one cell alone is not ASCII",
     .file = HEADER "usmf,V-14,\"\xc3\xa4 \"\"x\"\"\",1,1\r\nusmf,V-15,\"\"\"\xe4\"\"\",1,1\r\n",
     .records = "usmf|V-14 1 2 { \"DATAAREAID\" : \"usmf\", \"Account\" : \"V-14\", \"Name\" : "
                "\"\xc3\xa4 \\\"x\\\"\", \"creditlimit\" : { \"$numberDecimal\" : \"1\" }, "
                "\"RANK\" : 1 }\n",                                                                               .dead = "bad_utf8 3 2\n" },
    {.name = "no rows at all",                                                     .file = HEADER, .records = "", .dead = ""               },
};

struct outcome {
    struct sl_buf records, dead;
    int rc;
    struct sl_err err;
};

static void show(struct outcome *outcome, const struct sl_batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct sl_record *record = &batch->records[i];
        bson_t doc;
        EXPECT(bson_init_static(&doc, (const uint8_t *)record->doc.at, record->doc.length));
        EXPECT(bson_validate(&doc, BSON_VALIDATE_UTF8, NULL));
        EXPECT(record->sound != (bson_has_field(&doc, "_id") || bson_has_field(&doc, "_sluice")));
        char *json = bson_as_relaxed_extended_json(&doc, NULL);
        EXPECT(record->version >> ROW_BITS == COUNTER);
        sl_buf_printf(&outcome->records, SL_STR_FORMAT " %lld %u %s\n", SL_STR_ARGS(record->id),
                      (long long)(record->version & ((1 << ROW_BITS) - 1)), record->line, json);
        bson_free(json);
    }
    for (uint32_t i = 0; i < batch->dead_count; i++) {
        const struct sl_dead *dead = &batch->dead[i];
        EXPECT(dead->reason.length > 0);
        EXPECT(!strcmp(dead->file, "Vendors V3.csv"));
        sl_buf_printf(&outcome->dead, "%s %u %llu\n", dead->code, dead->line,
                      (unsigned long long)dead->row_number);
    }
}

/* Feeds the file in chunks and takes what comes out. */
static void run_file(const char *file, size_t length, size_t chunk, struct outcome *outcome)
{
    struct sl_credit credit;
    sl_credit_init(&credit, "rows", 1 << 20);
    const struct sl_batcher_limits limits = {5000, 1 << 20, 60000, 1 << 20};
    struct sl_batcher *batcher = sl_batcher_new(&limits, &credit);
    struct sl_origin origin = {.feed = "vendors",
                               .entity = "VendorsV3",
                               .run = "vendors-000001",
                               .file = "Vendors V3.csv"};
    struct sl_csv *csv = sl_csv_new(',', 1 << 20);
    struct sl_rows *rows = sl_rows_new(&entity, "Vendors V3.csv", COUNTER);

    EXPECT(sl_batcher_begin(batcher, &origin, &outcome->err) == SL_OK);
    outcome->rc = SL_OK;
    for (size_t at = 0; outcome->rc == SL_OK;) {
        struct sl_csv_row row;
        enum sl_csv_result result = sl_csv_next(csv, &row);
        if (result == SL_CSV_END)
            break;
        if (result == SL_CSV_MORE && at == length) {
            sl_csv_finish(csv);
        } else if (result == SL_CSV_MORE) {
            size_t room, part = length - at < chunk ? length - at : chunk;
            memcpy(sl_csv_space(csv, &room), file + at, part);
            sl_csv_filled(csv, part);
            at += part;
        } else {
            outcome->rc = sl_rows_take(rows, batcher, result, &row, &outcome->err);
        }
    }
    if (outcome->rc == SL_OK) {
        struct sl_batch *batch = NULL;
        EXPECT(sl_batcher_end(batcher, NULL, &outcome->err) == SL_OK);
        EXPECT(sl_batcher_take(batcher, SL_FOREVER, &batch, &outcome->err) == SL_OK);
        show(outcome, batch);
        sl_batch_free(batch);
    }
    sl_rows_free(rows);
    sl_csv_free(csv);
    sl_batcher_free(batcher);
}

static void one_case(const struct row_case *c)
{
    size_t length = strlen(c->file);
    for (size_t chunk = 1; chunk <= length; chunk++) {
        struct outcome outcome = {0};
        run_file(c->file, length, chunk, &outcome);
        bool right = outcome.rc == SL_OK && sl_str_is(sl_buf_view(&outcome.records), c->records) &&
                     sl_str_is(sl_buf_view(&outcome.dead), c->dead);
        if (!right)
            fprintf(stderr, "%s, chunks of %zu: rc %d %s\nrecords:\n%s\ndead:\n%s\n", c->name,
                    chunk, outcome.rc, outcome.err.message,
                    outcome.records.data ? outcome.records.data : "",
                    outcome.dead.data ? outcome.dead.data : "");
        EXPECT(right);
        sl_buf_done(&outcome.records);
        sl_buf_done(&outcome.dead);
        if (!right)
            return;
    }
}

static void all_cases(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        one_case(&CASES[i]);
}

static void rows_become_records_or_dead_letters(void **state)
{
    (void)state;
    run_in_fiber(all_cases, NULL);
}

/* --- headers that cannot be used --- */

static const struct {
    const char *header, *message; /* part of it */
    bool settings;                /* those by which the file is read are named */
} HEADERS[] = {
    {"dataAreaId,Name,CreditLimit,Rank\n",              "has no column 'Account'",        false},
    {"dataAreaId,Account,Name,Rank\n",                  "has no column 'CreditLimit'",    false},
    {"dataAreaId,Account,Account,CreditLimit,Rank\n",   "two columns 'Account'",          true },
    {"dataAreaId,Account,,CreditLimit,Rank\n",          "column 3 is empty",              true },
    {"\xff\xfe,Account\n",                              "column 1 is empty or not UTF-8", true },
    {"dataAreaId,Account,\"Name,CreditLimit,Rank\nx\n", "header line is broken",          true },
    {"dataAreaId,Account,\"Name\"x,CreditLimit,Rank\n", "header line is broken",          true },
};

/* Reading the package again does not help: it has to stay until somebody has acted. */
static void all_headers(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < sizeof HEADERS / sizeof *HEADERS; i++) {
        struct outcome outcome = {0};
        run_file(HEADERS[i].header, strlen(HEADERS[i].header), 1000, &outcome);
        EXPECT(outcome.rc == SL_CONFIG && outcome.err.retry_after_ms == SL_DMF_MISFIT_PAUSE_MS);
        EXPECT(strstr(outcome.err.message, HEADERS[i].message));
        bool settings = strstr(outcome.err.message, "file_encoding or delimiter");
        EXPECT(settings == HEADERS[i].settings);
    }
}

static void unusable_headers_are_refused_with_their_reason(void **state)
{
    (void)state;
    run_in_fiber(all_headers, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_become_records_or_dead_letters),
        cmocka_unit_test(unusable_headers_are_refused_with_their_reason),
    };
    return cmocka_run_group_tests(tests, NULL, loop_closes);
}
