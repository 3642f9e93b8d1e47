/* Messages: a batch through both forms and back, the exact JSON text, what a reader accepts and
 * refuses, damaged bytes. */
#include "flow/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "format/bson_writer.h"
#include "format/extjson_parse.h"

#include <cmocka.h>

static struct sl_str document(struct sl_batch *batch, int i)
{
    struct sl_bson_writer w;
    struct sl_decimal limit;
    char text[64];
    snprintf(text, sizeof text, "%d.50", i);
    assert_int_equal(sl_decimal_parse(text, strlen(text), &limit), SL_NUMBER_OK);
    sl_bson_begin(&w, &batch->arena);
    snprintf(text, sizeof text, "V-%d \"x\"\n€", i);
    sl_bson_add_utf8(&w, SL_BSON_KEY("VendorAccountNumber"), text, strlen(text));
    sl_bson_add_decimal(&w, SL_BSON_KEY("CreditLimit"), limit);
    sl_bson_add_int64(&w, SL_BSON_KEY("n"), i);
    sl_bson_add_double(&w, SL_BSON_KEY("d"), i / 4.0);
    sl_bson_add_bool(&w, SL_BSON_KEY("b"), i % 2);
    sl_bson_add_date(&w, SL_BSON_KEY("at"), 1795317000000 + i);
    return sl_bson_end(&w);
}

static struct sl_batch *make_batch(uint32_t count)
{
    struct sl_batch *batch = sl_batch_new(NULL, 0);
    sl_batch_set_origin(batch, &(struct sl_origin){.feed = "vendors",
                                                   .entity = "VendorsV3",
                                                   .database = "crm",
                                                   .collection = "vendors_v3",
                                                   .run = "vendors-000042",
                                                   .file = "Vendors V3.csv",
                                                   .attempt = 2,
                                                   .number = 3,
                                                   .last = true,
                                                   .batches = 4,
                                                   .full = true,
                                                   .read_at_ms = 1795317000120});
    batch->superseded = 5;
    batch->published_at_us = 1795317000777000;
    for (uint32_t i = 0; i < count; i++) {
        struct sl_record *record = sl_batch_add(batch);
        char id[32];
        int length = snprintf(id, sizeof id, "usmf|V-%u", i);
        record->op = i % 3 == 1 ? SL_DELETE : SL_UPSERT;
        record->id =
            (struct sl_str){sl_arena_text(&batch->arena, id, (size_t)length), (size_t)length};
        record->version = 704643075 + i;
        record->changed_at_ms = i % 2 ? 1795316000000 + i : 0;
        record->line = i % 5 ? i + 2 : 0;
        if (i % 7 == 3) {
            struct sl_letter_ref *letter = sl_arena_alloc(&batch->arena, sizeof *letter);
            *letter = (struct sl_letter_ref){
                .run = "vendors-000007", .row_number = i % 2 ? i : 0, .read_at_ms = 1795310000000};
            record->letter = letter;
        }
        if (record->op == SL_UPSERT)
            record->doc = document(batch, (int)i);
    }
    return batch;
}

static void check_equal(const struct sl_batch *a, const struct sl_batch *b)
{
    assert_string_equal(a->origin.feed, b->origin.feed);
    assert_string_equal(a->origin.entity, b->origin.entity);
    assert_string_equal(a->origin.database, b->origin.database);
    assert_string_equal(a->origin.collection, b->origin.collection);
    assert_string_equal(a->origin.run, b->origin.run);
    assert_string_equal(a->origin.file, b->origin.file);
    assert_int_equal(a->origin.attempt, b->origin.attempt);
    assert_int_equal(a->origin.number, b->origin.number);
    assert_int_equal(a->origin.last, b->origin.last);
    assert_int_equal(a->origin.batches, b->origin.batches);
    assert_int_equal(a->origin.full, b->origin.full);
    assert_int_equal(a->origin.seen != NULL, b->origin.seen != NULL);
    if (a->origin.seen)
        assert_string_equal(a->origin.seen, b->origin.seen);
    assert_int_equal(a->origin.read_at_ms, b->origin.read_at_ms);
    assert_int_equal(a->superseded, b->superseded);
    assert_int_equal(a->published_at_us, b->published_at_us);
    assert_int_equal(a->count, b->count);
    for (uint32_t i = 0; i < a->count; i++) {
        const struct sl_record *x = &a->records[i], *y = &b->records[i];
        assert_int_equal(x->op, y->op);
        assert_true(sl_str_equal(x->id, y->id));
        assert_int_equal(x->version, y->version);
        assert_int_equal(x->changed_at_ms, y->changed_at_ms);
        assert_int_equal(x->line, y->line);
        assert_int_equal(x->letter != NULL, y->letter != NULL);
        if (x->letter && y->letter) {
            assert_string_equal(x->letter->run, y->letter->run);
            assert_int_equal(x->letter->row_number, y->letter->row_number);
            assert_int_equal(x->letter->read_at_ms, y->letter->read_at_ms);
        }
        assert_true(sl_str_equal(x->doc, y->doc));
    }
}

static void test_both_forms_give_the_same_batch_back(void **state)
{
    (void)state;
    static const uint32_t counts[] = {0, 1, 2, 255, 256, 257, 5000};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        for (int content = SL_CONTENT_JSON; content <= SL_CONTENT_BSON; content++) {
            struct sl_batch *batch = make_batch(counts[i]), *again = sl_batch_new(NULL, 0);
            struct sl_buf out = {0};
            struct sl_err err = {0};
            size_t bytes = 0;
            assert_int_equal(sl_message_encode(batch, content, &out, &err), SL_OK);
            if (sl_message_decode(again, sl_content_type(content), out.data, out.length, &err) !=
                SL_OK)
                fail_msg("%s", err.message);
            check_equal(batch, again);
            for (uint32_t k = 0; k < batch->count; k++)
                bytes += batch->records[k].id.length + batch->records[k].doc.length;
            assert_int_equal(again->bytes, bytes);
            sl_batch_free(batch);
            sl_batch_free(again);
            sl_buf_done(&out);
        }
}

static void test_the_json_text(void **state)
{
    (void)state;
    struct sl_batch *batch = make_batch(2);
    struct sl_buf out = {0};
    struct sl_err err = {0};
    batch->origin.last = batch->origin.full = false;
    batch->origin.seen = NULL;
    batch->origin.batches = -1;
    batch->origin.file = "";
    batch->records[1].line = 7;
    assert_int_equal(sl_message_encode(batch, SL_CONTENT_JSON, &out, &err), SL_OK);
    assert_string_equal(
        out.data,
        "{\"sluice\":1,\"feed\":\"vendors\",\"entity\":\"VendorsV3\",\"database\":\"crm\","
        "\"collection\":\"vendors_v3\",\"run\":\"vendors-000042\",\"attempt\":2,\"batch\":3,"
        "\"last\":false,\"batches\":null,\"full\":false,\"count\":2,"
        "\"superseded\":5,\"read_at\":\"2026-11-22T03:10:00.120Z\","
        "\"published_at\":\"2026-11-22T03:10:00.777Z\",\"rows\":["
        "{\"op\":\"upsert\",\"id\":\"usmf|V-0\",\"v\":704643075,\"doc\":{"
        "\"VendorAccountNumber\":\"V-0 "
        "\\\"x\\\"\\n€\",\"CreditLimit\":{\"$numberDecimal\":\"0.50\"},"
        "\"n\":0,\"d\":0.0,\"b\":false,\"at\":{\"$date\":\"2026-11-22T03:10:00.000Z\"}}},"
        "{\"op\":\"delete\",\"id\":\"usmf|V-1\",\"v\":704643076,"
        "\"changed_at\":\"2026-11-22T02:53:20.001Z\",\"line\":7}]}");
    sl_batch_free(batch);
    sl_buf_done(&out);
}

/* The full read that rows belong to, through both forms. */
static void test_the_full_read_is_named(void **state)
{
    static const struct {
        bool full;
        const char *seen, *wanted; /* NULL: none */
    } rows[] = {
        {false, NULL,               NULL              },
        {true,  NULL,               "r-1"             }, /* each full read is one run */
        {true,  "accounts-full-07", "accounts-full-07"},
        {false, "accounts-full-07", "accounts-full-07"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int content = SL_CONTENT_JSON; content <= SL_CONTENT_BSON; content++) {
            struct sl_batch *batch = sl_batch_new(NULL, 0), *again = sl_batch_new(NULL, 0);
            struct sl_buf out = {0};
            struct sl_err err = {0};
            char name[32];
            snprintf(name, sizeof name, "%s", rows[i].seen ? rows[i].seen : "");
            sl_batch_set_origin(batch, &(struct sl_origin){.feed = "f",
                                                           .entity = "E",
                                                           .run = "r-1",
                                                           .attempt = 1,
                                                           .full = rows[i].full,
                                                           .seen = rows[i].seen ? name : NULL});
            memset(name, 'x', sizeof name - 1); /* the batch has a copy */
            assert_int_equal(sl_message_encode(batch, content, &out, &err), SL_OK);
            assert_int_equal(
                sl_message_decode(again, sl_content_type(content), out.data, out.length, &err),
                SL_OK);
            assert_int_equal(again->origin.full, rows[i].full);
            if (rows[i].wanted)
                assert_string_equal(again->origin.seen, rows[i].wanted);
            else
                assert_null(again->origin.seen);
            if (content == SL_CONTENT_JSON)
                assert_int_equal(strstr(out.data, "\"seen\"") != NULL, rows[i].wanted != NULL);
            sl_batch_free(batch);
            sl_batch_free(again);
            sl_buf_done(&out);
        }
}

#define HEAD "\"sluice\":1,\"feed\":\"f\",\"entity\":\"E\",\"run\":\"r\",\"attempt\":1,\"batch\":0,"
#define ONE(row) "{" HEAD "\"count\":1,\"rows\":[" row "]}"
#define UPSERT(doc) ONE("{\"op\":\"upsert\",\"id\":\"a\",\"v\":1,\"doc\":" doc "}")
#define DELETION(id) ONE("{\"op\":\"delete\",\"id\":\"" id "\",\"v\":1}")
#define ROW "{\"op\":\"upsert\",\"id\":\"a\",\"v\":1,\"doc\":{\"x\":1}}"

static const struct {
    const char *text;
    const char *why; /* NULL: accepted, with one row */
} messages[] = {
    {"{" HEAD "\"count\":1,\"rows\":[" ROW "]}",                                                 NULL                                },
    {"{\"rows\":[" ROW "],\"count\":1," HEAD "\"last\":true}",                                   NULL                                },
    {"{" HEAD "\"count\":1,\"new\":{\"a\":[1,{\"b\":null}],\"rows\":[]},\"more\":[],\"rows\":[" ROW
     "],\"x\":1.5}",                                                                        NULL                                },
    {"{" HEAD
     "\"count\":1,\"batches\":null,\"read_at\":null,\"rows\":[{\"new\":{\"doc\":{}},\"op\":"
     "\"upsert\",\"id\":\"a\",\"v\":1,\"line\":null,\"w\":[[]],\"doc\":{\"x\":1}}]}",       NULL                                },
    {"{" HEAD "\"count\":1,\"rows\":[{\"op\":\"delete\",\"id\":\"a\",\"v\":1,\"doc\":null}]}",
     NULL                                                                                                                            },
    {"{\"sluice\":2,\"rows\":7}",                                                                "version 2"                         },
    {"{\"sluice\":\"1\"}",                                                                       "'sluice' should be a whole number" },
    {"{\"sluice\":1.0}",                                                                         "'sluice' should be a whole number" },
    {"{}",                                                                                       "'sluice' is missing"               },
    {"{" HEAD "\"rows\":[" ROW "]}",                                                             "'count' is missing"                },
    {"{" HEAD "\"count\":1}",                                                                    "'rows' is missing"                 },
    {"{" HEAD "\"count\":2,\"rows\":[" ROW "]}",                                                 "'count' is 2, but there are 1 rows"},
    {"{" HEAD "\"count\":-1,\"rows\":[]}",                                                       "'count' should be"                 },
    {"{" HEAD "\"count\":1,\"rows\":{}}",                                                        "wrong type"                        },
    {"{" HEAD "\"count\":1,\"rows\":\"x\"}",                                                     "'rows' should be an array"         },
    {"{" HEAD "\"count\":1,\"rows\":[1]}",                                                       "expected an object"                },
    {"{" HEAD "\"count\":1,\"rows\":[null]}",                                                    "expected an object"                },
    {"{" HEAD "\"count\":1,\"rows\":[[]]}",                                                      "expected an object"                },
    {"{" HEAD "\"count\":1,\"rows\":[{\"id\":\"a\",\"v\":1}]}",                                  "row 0: 'op' is missing"            },
    {"{" HEAD "\"count\":1,\"rows\":[{\"op\":\"upsert\",\"v\":1}]}",                             "row 0: 'id' is missing"            },
    {"{" HEAD "\"count\":1,\"rows\":[{\"op\":\"upsert\",\"id\":\"a\"}]}",                        "row 0: 'v' is missing"             },
    {"{" HEAD "\"count\":1,\"rows\":[{\"op\":\"upsert\",\"id\":\"a\",\"v\":1}]}",                "needs a 'doc'"                     },
    {"{" HEAD "\"count\":1,\"rows\":[{\"op\":\"merge\",\"id\":\"a\",\"v\":1}]}",                 "neither upsert"                    },
    {"{\"sluice\":1,\"feed\":\"a\\\"b\",\"entity\":\"E\",\"run\":\"r\",\"attempt\":1,\"batch\":0,"
     "\"count\":0,\"rows\":[]}",                                                            "holds a quote"                     },
    {"{\"sluice\":1,\"feed\":\"a\",\"entity\":\"E\\n\",\"run\":\"r\",\"attempt\":1,\"batch\":0,"
     "\"count\":0,\"rows\":[]}",                                                            "a control character"               },
    {"{" HEAD "\"count\":1,\"rows\":[{\"op\":\"delete\",\"id\":\"\",\"v\":1}]}",                 "'id' is empty"                     },
    {"{" HEAD "\"count\":1,\"rows\":[{\"op\":\"delete\",\"id\":\"a\",\"v\":9007199254740993}]}",
     "too large"                                                                                                                     },
    {"{" HEAD "\"count\":1,\"rows\":[{\"op\":\"delete\",\"id\":\"a\",\"v\":-1}]}",
     "row 0: 'v' should"                                                                                                             },
    {"{" HEAD "\"count\":1,\"rows\":[{\"op\":\"upsert\",\"id\":\"\xff\",\"v\":1}]}",             "valid UTF-8"                       },
    {DELETION("\\ud83d\\u0041"),                                                                 "valid UTF-8"                       },
    {UPSERT("{\"x\":\"\\ud83d\"}"),                                                              "half of a surrogate pair"          },
    {UPSERT("{\"\\ud83d\\u0041\":1}"),                                                           "half of a surrogate pair"          },
    {"{" HEAD "\"count\":1,\"rows\":[{\"op\":\"upsert\",\"id\":\"a\",\"v\":1,\"doc\":[]}]}",
     "wrong type"                                                                                                                    },
    {"{" HEAD "\"count\":1,\"rows\":[{\"op\":\"upsert\",\"id\":\"a\",\"v\":1,\"doc\":5}]}",
     "'doc' should be an object"                                                                                                     },
    {"{" HEAD
     "\"count\":1,\"rows\":[{\"op\":\"upsert\",\"id\":\"a\",\"v\":1,\"doc\":{\"x\":{\"$date\":"
     "\"?\"}}}]}",                                                                          "$date"                             },
    {"{" HEAD "\"seen\":7,\"count\":0,\"rows\":[]}",                                             "'seen' should be a text"           },
    {"{" HEAD "\"collection\":\"c\",\"count\":0,\"rows\":[]}",                                   "belong together"                   },
    {"{" HEAD "\"database\":\"\",\"collection\":\"c\",\"count\":0,\"rows\":[]}",
     "neither is empty"                                                                                                              },
    {"{" HEAD "\"count\":0,\"read_at\":\"today\",\"rows\":[]}",                                  "'read_at' should be a moment"      },
    {"{" HEAD "\"count\":1,\"rows\":[" ROW "]",                                                  "malformed JSON"                    },
    {"{" HEAD "\"count\":1,\"rows\":[" ROW "]}{}",                                               "malformed JSON"                    },
 /* Oddities that a second reader takes: the rows that the first has seen are there once. */
    {"{" HEAD "\"count\":1,\"rows\":[" ROW "],\"x\":\"\\ud800\"}",                               NULL                                },
    {"{" HEAD "\"count\":1,\"rows\":[" ROW "],\"x\":\"\xff\"}",                                  NULL                                },
    {"{" HEAD "\"rows\":[" ROW "],\"count\":2,\"x\":\"\\ud800\"}",
     "'count' is 2, but there are 1 rows"                                                                                            },
    {"{" HEAD "\"count\":1,\"rows\":[" ROW "]}\\",                                               "malformed JSON"                    },
    {"[]",                                                                                       "expected an object"                },
    {"null",                                                                                     "expected an object"                },
    {"",                                                                                         "malformed JSON"                    },
};

static void test_what_is_read_and_what_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
        struct sl_batch *batch = sl_batch_new(NULL, 0);
        struct sl_err err = {0};
        int rc = sl_message_decode(batch, "application/json; charset=utf-8", messages[i].text,
                                   strlen(messages[i].text), &err);
        if (!messages[i].why && (rc != SL_OK || batch->count != 1))
            fail_msg("%s: %s", messages[i].text, err.message);
        if (messages[i].why &&
            (rc != SL_REJECTED || strncmp(err.message, "unreadable message: ", 20) != 0 ||
             !strstr(err.message, messages[i].why)))
            fail_msg("%s: %d '%s', wanted '%s'", messages[i].text, rc, err.message,
                     messages[i].why);
        sl_batch_free(batch);
    }
}

/* A message of a sluice that did not name full reads, and one that names none. */
static void test_a_full_read_without_a_name_is_its_run(void **state)
{
    static const struct {
        const char *text, *wanted;
    } rows[] = {
        {"{" HEAD "\"full\":true,\"count\":0,\"rows\":[]}",                  "r"  },
        {"{" HEAD "\"full\":true,\"seen\":null,\"count\":0,\"rows\":[]}",    "r"  },
        {"{" HEAD "\"full\":true,\"seen\":\"\",\"count\":0,\"rows\":[]}",    "r"  },
        {"{\"seen\":\"all\",\"full\":true," HEAD "\"count\":0,\"rows\":[]}", "all"},
        {"{" HEAD "\"seen\":\"all\",\"count\":0,\"rows\":[]}",               "all"},
        {"{" HEAD "\"full\":false,\"count\":0,\"rows\":[]}",                 NULL },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sl_batch *batch = sl_batch_new(NULL, 0);
        struct sl_err err = {0};
        if (sl_message_decode(batch, "application/json", rows[i].text, strlen(rows[i].text),
                              &err) != SL_OK)
            fail_msg("%s: %s", rows[i].text, err.message);
        if (rows[i].wanted)
            assert_string_equal(batch->origin.seen, rows[i].wanted);
        else
            assert_null(batch->origin.seen);
        sl_batch_free(batch);
    }
}

/* The same messages as BSON: the builder turns the whole text into a document. */
static void test_the_bson_form_is_judged_alike(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
        struct sl_batch *batch = sl_batch_new(NULL, 0);
        struct sl_arena arena;
        struct sl_err err = {0};
        struct sl_str doc;
        sl_arena_init(&arena, 4096);
        if (extjson_parse(&arena, messages[i].text, strlen(messages[i].text), &doc, &err) ==
            SL_OK) {
            int rc = sl_message_decode(batch, "application/bson", doc.at, doc.length, &err);
            if (rc != (messages[i].why ? SL_REJECTED : SL_OK))
                fail_msg("%s: %s", messages[i].text, err.message);
        }
        sl_arena_done(&arena);
        sl_batch_free(batch);
    }
}

/* Who writes a row may rely on what its reader has seen: its names, at the top alone. */
static void test_rows_with_names_of_our_own_are_told_apart(void **state)
{
    static const struct {
        const char *doc;
        bool sound;
    } rows[] = {
        {"{}",                                         true },
        {"{\"a\":{\"_id\":1,\"_sluice\":2},\"id\":3}", true },
        {"{\"_idx\":1,\"_\":2,\"\":3,\"_sluice2\":4}", true },
        {"{\"_id\":1}",                                false},
        {"{\"a\":[{\"b\":1}],\"_sluice\":{\"v\":1}}",  false},
    };
    (void)state;
    for (size_t i = 0; i < 2 * sizeof rows / sizeof *rows; i++) {
        enum sl_content content = i % 2 ? SL_CONTENT_BSON : SL_CONTENT_JSON;
        struct sl_batch *batch = make_batch(2), *again = sl_batch_new(NULL, 0);
        struct sl_buf out = {0};
        struct sl_err err = {0};
        /* The second row shows that nothing is left over from the first. */
        assert_int_equal(extjson_parse(&batch->arena, rows[i / 2].doc, strlen(rows[i / 2].doc),
                                       &batch->records[0].doc, &err),
                         SL_OK);
        batch->records[1].op = SL_UPSERT;
        batch->records[1].doc = document(batch, 1);
        assert_int_equal(sl_message_encode(batch, content, &out, &err), SL_OK);
        if (sl_message_decode(again, sl_content_type(content), out.data, out.length, &err) != SL_OK)
            fail_msg("%s", err.message);
        if (again->records[0].sound != rows[i / 2].sound)
            fail_msg("%s: %d", rows[i / 2].doc, again->records[0].sound);
        assert_true(again->records[1].sound);
        sl_batch_free(batch);
        sl_batch_free(again);
        sl_buf_done(&out);
    }
}

static void test_other_content_is_refused(void **state)
{
    (void)state;
    struct sl_batch *batch = sl_batch_new(NULL, 0);
    struct sl_err err = {0};
    assert_int_equal(sl_message_decode(batch, "text/plain", "{}", 2, &err), SL_REJECTED);
    assert_non_null(strstr(err.message, "'text/plain' is neither"));
    assert_int_equal(sl_message_decode(batch, NULL, "{}", 2, &err), SL_REJECTED);
    sl_batch_free(batch);
}

static void test_a_bad_document_is_not_encoded(void **state)
{
    (void)state;
    for (int content = SL_CONTENT_JSON; content <= SL_CONTENT_BSON; content++) {
        struct sl_batch *batch = make_batch(3);
        struct sl_buf out = {0};
        struct sl_err err = {0};
        sl_buf_add_text(&out, "before");
        batch->records[2].doc.length--;
        assert_int_equal(sl_message_encode(batch, content, &out, &err), SL_REJECTED);
        assert_non_null(strstr(err.message, "cannot encode row 2 of vendors/VendorsV3"));
        assert_string_equal(out.data, "before");
        sl_batch_free(batch);
        sl_buf_done(&out);
    }
}

static void test_damaged_messages_never_crash(void **state)
{
    (void)state;
    srand(13);
    for (int round = 0; round < 3000; round++) {
        enum sl_content content = round % 2 ? SL_CONTENT_BSON : SL_CONTENT_JSON;
        struct sl_batch *batch = make_batch(4), *again = sl_batch_new(NULL, 0);
        struct sl_buf out = {0};
        struct sl_err err = {0};
        assert_int_equal(sl_message_encode(batch, content, &out, &err), SL_OK);
        size_t size = rand() % 3 ? out.length : (size_t)rand() % out.length;
        char *exact = malloc(size ? size : 1);
        memcpy(exact, out.data, size);
        for (int flips = rand() % 4; flips && size; flips--)
            exact[(size_t)rand() % size] = (char)(rand() % 2 ? rand() : "{}[]\",:1\\"[rand() % 9]);
        int rc = sl_message_decode(again, sl_content_type(content), exact, size, &err);
        assert_true(rc == SL_OK || (rc == SL_REJECTED && err.message[0]));
        free(exact);
        sl_batch_free(batch);
        sl_batch_free(again);
        sl_buf_done(&out);
    }
}

/* In a fiber, coding a large batch lets others run in between. */
struct rivals {
    int turns;
    bool done;
};

static void code(void *arg)
{
    struct rivals *rivals = arg;
    struct sl_batch *batch = make_batch(5000), *again = sl_batch_new(NULL, 0);
    struct sl_buf out = {0};
    struct sl_err err = {0};
    assert_int_equal(sl_message_encode(batch, SL_CONTENT_JSON, &out, &err), SL_OK);
    assert_true(rivals->turns >= 15); /* every 256 rows: 19 times */
    rivals->turns = 0;
    assert_int_equal(sl_message_decode(again, "application/json", out.data, out.length, &err),
                     SL_OK);
    assert_true(rivals->turns >= 5);
    check_equal(batch, again);
    rivals->done = true;
    sl_batch_free(batch);
    sl_batch_free(again);
    sl_buf_done(&out);
}

static void count_turns(void *arg)
{
    struct rivals *rivals = arg;
    while (!rivals->done && sl_fiber_yield() == SL_OK)
        rivals->turns++;
}

static void test_large_batches_let_others_run(void **state)
{
    (void)state;
    struct rivals rivals = {0};
    sl_fiber_spawn("code", code, &rivals);
    sl_fiber_spawn("count", count_turns, &rivals);
    sl_loop_run();
    assert_true(rivals.done);
    assert_int_equal(sl_loop_close(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_forms_give_the_same_batch_back),
        cmocka_unit_test(test_the_json_text),
        cmocka_unit_test(test_the_full_read_is_named),
        cmocka_unit_test(test_a_full_read_without_a_name_is_its_run),
        cmocka_unit_test(test_what_is_read_and_what_is_refused),
        cmocka_unit_test(test_the_bson_form_is_judged_alike),
        cmocka_unit_test(test_rows_with_names_of_our_own_are_told_apart),
        cmocka_unit_test(test_other_content_is_refused),
        cmocka_unit_test(test_a_bad_document_is_not_encoded),
        cmocka_unit_test(test_damaged_messages_never_crash),
        cmocka_unit_test(test_large_batches_let_others_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
