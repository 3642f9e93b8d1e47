/* The update command, byte for byte against what libbson builds from the same words, and the
 * reading of replies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "mongo/fields.h"
#include "sink/mongo_command.h"
#include "sink/mongo_reply.h"

#include <cmocka.h>

static bson_t *from_json(const char *json)
{
    bson_error_t error;
    bson_t *document = bson_new_from_json((const uint8_t *)json, -1, &error);
    if (!document)
        fail_msg("%s: %s", error.message, json);
    return document;
}

static const struct sl_origin delta = {.feed = "vendors", .entity = "V", .run = "vendors-7"};
static const struct sl_origin full = {
    .feed = "vendors", .entity = "V", .run = "vendors-8", .full = true, .seen = "$odd"};

/* A command of one record built both ways. */
static void check_one(const struct sl_origin *origin, enum sl_op op, const char *id,
                      const char *doc, const char *wanted)
{
    bson_t *row = from_json(doc), *expected = from_json(wanted);
    bson_t head = BSON_INITIALIZER, built;
    struct sl_mongo_stamp stamp;
    struct sl_buf out;
    struct sl_record record = {.op = op, .id = sl_str_of(id), .version = 1099511627777};
    record.doc = (struct sl_str){(const char *)bson_get_data(row), row->len};

    BSON_APPEND_UTF8(&head, "update", "c");
    sl_mongo_stamp_init(&stamp, origin, 1000, 5000);
    sl_buf_init(&out);
    sl_mongo_command_begin(&out, &head, false);
    sl_mongo_command_add(&out, &stamp, &record, true, 0);
    sl_mongo_command_end(&out);

    assert_true(bson_init_static(&built, (const uint8_t *)out.data, out.length));
    assert_true(bson_validate(&built, BSON_VALIDATE_UTF8, NULL));
    char *have = bson_as_canonical_extended_json(&built, NULL);
    char *want = bson_as_canonical_extended_json(expected, NULL);
    assert_string_equal(have, want);
    assert_int_equal(built.len, expected->len);
    assert_memory_equal(bson_get_data(&built), bson_get_data(expected), built.len);

    bson_free(have);
    bson_free(want);
    sl_buf_done(&out);
    sl_mongo_stamp_done(&stamp);
    bson_destroy(&head);
    bson_destroy(row);
    bson_destroy(expected);
}

#define STORED "{\"$floor\": \"$_sluice.v\"}"
#define SEEN_ALREADY                                                                               \
    "{\"$and\": [{\"$gte\": [\"$_sluice.seen\", {\"$literal\": \"$odd\"}]}, "                      \
    "{\"$lt\": [\"$_sluice.seen\", {\"$literal\": \":\"}]}]}"
#define STORED_UNSEEN                                                                              \
    "{\"$subtract\": [" STORED ", {\"$cond\": [" SEEN_ALREADY                                      \
    ", {\"$numberLong\": \"0\"}, {\"$numberLong\": \"1\"}]}]}"
#define UPDATE(id, document, keep) UPDATE_ABOVE(STORED, id, document, keep)
#define UPDATE_ABOVE(stored, id, document, keep)                                                   \
    "{\"update\": \"c\", \"updates\": [{\"q\": {\"_id\": \"" id "\"}, \"u\": [{\"$replaceWith\": " \
    "{\"$cond\": [{\"$gt\": [{\"$numberLong\": \"1099511627777\"}, " stored                        \
    "]}, {\"$literal\": " document "}, " keep "]}}], \"upsert\": true}]}"
#define V "\"v\": {\"$numberLong\": \"1099511627777\"}, "
#define AT(ms) "{\"$date\": {\"$numberLong\": \"" #ms "\"}}"

static void test_document(void **state)
{
    (void)state;
    check_one(
        &delta, SL_UPSERT, "usmf|V-1",
        "{\"Name\": \"$money\", \"Credit\": {\"$numberInt\": \"5\"}}",
        UPDATE("usmf|V-1",
               "{\"_id\": \"usmf|V-1\", \"Name\": \"$money\", \"Credit\": {\"$numberInt\": \"5\"}, "
               "\"_sluice\": {" V
               "\"feed\": \"vendors\", \"run\": \"vendors-7\", \"at\": " AT(1000) "}}",
               "\"$$ROOT\""));
    check_one(&delta, SL_UPSERT, "é", "{}",
              UPDATE("é",
                     "{\"_id\": \"é\", \"_sluice\": {" V
                     "\"feed\": \"vendors\", \"run\": \"vendors-7\", "
                     "\"at\": " AT(1000) "}}",
                     "\"$$ROOT\""));
}

static void test_full_read(void **state)
{
    (void)state;
    check_one(
        &full, SL_UPSERT, "k", "{\"a\": \"b\"}",
        UPDATE_ABOVE(
            STORED_UNSEEN, "k",
            "{\"_id\": \"k\", \"a\": \"b\", \"_sluice\": {" V "\"feed\": \"vendors\", \"run\": "
            "\"vendors-8\", \"seen\": \"$odd\", \"at\": " AT(1000) "}}",
            "{\"$mergeObjects\": [\"$$ROOT\", {\"_sluice\": {\"$mergeObjects\": [\"$_sluice\", "
            "{\"seen\": {\"$cond\": [" SEEN_ALREADY ", "
            "\"$_sluice.seen\", {\"$literal\": \"$odd\"}]}}]}}]}"));
}

static void test_tombstone(void **state)
{
    (void)state;
    check_one(&delta, SL_DELETE, "k", "{}",
              UPDATE("k",
                     "{\"_id\": \"k\", \"_sluice\": {" V
                     "\"feed\": \"vendors\", \"deleted\": true, \"at\": " AT(
                         1000) ", \"expires_at\": " AT(6000) "}}",
                     "\"$$ROOT\""));
}

/* Array indices of every number of digits, and lengths that add up. */
static void test_many(void **state)
{
    enum { ROWS = 1234 };
    (void)state;
    bson_t head = BSON_INITIALIZER, row = BSON_INITIALIZER, built, updates;
    BSON_APPEND_UTF8(&head, "update", "c");
    BSON_APPEND_UTF8(&row, "name", "some text");
    struct sl_mongo_stamp stamp;
    struct sl_buf out;
    sl_mongo_stamp_init(&stamp, &delta, 1000, 5000);
    sl_buf_init(&out);
    sl_mongo_command_begin(&out, &head, false);
    for (uint32_t i = 0; i < ROWS; i++) {
        char id[16];
        snprintf(id, sizeof id, "id-%u", i);
        struct sl_record record = {
            .op = i % 3 ? SL_UPSERT : SL_DELETE,
            .id = sl_str_of(id),
            .version = i,
            .doc = {(const char *)bson_get_data(&row), row.len}
        };
        sl_mongo_command_add(&out, &stamp, &record, true, i);
    }
    sl_mongo_command_end(&out);
    assert_true(bson_init_static(&built, (const uint8_t *)out.data, out.length));
    assert_true(bson_validate(&built, BSON_VALIDATE_UTF8, NULL));
    assert_true(sl_field_document(&built, "updates", &updates));
    assert_int_equal(bson_count_keys(&updates), ROWS);
    for (uint32_t i = 0; i < ROWS; i++) {
        char path[64], id[16], wanted[16];
        snprintf(path, sizeof path, "%u.q._id", i);
        snprintf(wanted, sizeof wanted, "id-%u", i);
        sl_field_text(&updates, path, id, sizeof id);
        assert_string_equal(id, wanted);
        snprintf(path, sizeof path, "%u.u.0.$replaceWith.$cond.0.$gt.0", i);
        assert_int_equal(sl_field_int64(&updates, path, -1), i);
    }
    sl_buf_done(&out);
    sl_mongo_stamp_done(&stamp);
    bson_destroy(&head);
    bson_destroy(&row);
}

static void test_faults(void **state)
{
    static const struct {
        const char *json, *code;
    } rows[] = {
        {"{}",                                    NULL             },
        {"{\"a\": 1, \"id\": 2, \"_idx\": 3}",    NULL             },
        {"{\"a\": {\"_id\": 1, \"_sluice\": 2}}", NULL             },
        {"{\"a\": 1, \"_id\": 2}",                "reserved_column"},
        {"{\"_sluice\": {}, \"a\": 1}",           "reserved_column"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *reason = NULL;
        bson_t *row = from_json(rows[i].json);
        struct sl_record record = {
            .doc = {(const char *)bson_get_data(row), row->len}
        };
        const char *code = sl_mongo_record_fault(&record, 1, 0, &reason);
        assert_int_equal(code != NULL, rows[i].code != NULL);
        if (code) {
            assert_string_equal(code, rows[i].code);
            assert_non_null(reason);
        }
        bson_destroy(row);
    }

    static const char *const broken[] = {"", "\5\0\0\0", "\5\0\0\0\1", "\6\0\0\0\2\0",
                                         "\x0c\0\0\0\020a\0\1\0\0\0\0"};
    static const size_t sizes[] = {0, 4, 5, 6, 11};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const char *reason = NULL;
        struct sl_record record = {
            .doc = {broken[i], sizes[i]}
        };
        assert_string_equal(sl_mongo_record_fault(&record, 1, 0, &reason), "malformed");
        record.sound = true; /* who says so is believed: its reader has looked */
        assert_null(sl_mongo_record_fault(&record, 1, 0, &reason));
    }
}

static void test_rows_older_than_tombstones_live_are_refused(void **state)
{
    static const struct sl_letter_ref old = {.read_at_ms = 10}, young = {.read_at_ms = 11};
    static const struct {
        enum sl_op op;
        const struct sl_letter_ref *letter;
        int64_t read_at_ms;
        bool refused;
    } rows[] = {
        {SL_UPSERT, NULL,   11, false},
        {SL_UPSERT, NULL,   10, true },
        {SL_UPSERT, NULL,   0,  false},
        {SL_DELETE, NULL,   10, false},
        {SL_UPSERT, &young, 10, false},
        {SL_UPSERT, &old,   11, true },
        {SL_DELETE, &old,   11, true },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *reason = NULL;
        struct sl_record record = {
            .op = rows[i].op, .doc = {"\5\0\0\0\0", 5},
                 .letter = rows[i].letter
        };
        const char *code = sl_mongo_record_fault(&record, rows[i].read_at_ms, 10, &reason);
        assert_int_equal(code != NULL, rows[i].refused);
        if (code)
            assert_string_equal(code, "too_old");
    }
}

static void test_replies(void **state)
{
// clang-format off
#define MATCHED(n, m) "{\"n\": " #n ", \"nModified\": " #m
#define REFUSED(code) ", \"writeErrors\": [{\"index\": 1, \"code\": " #code ", \"errmsg\": \"x\"}]}"
#define BOTH(one, other) ", \"writeErrors\": [{\"index\": 0, \"code\": " #one "}, " \
                         "{\"index\": 1, \"code\": " #other "}]}"
#define DUPLICATE(key) ", \"writeErrors\": [{\"index\": 0, \"code\": 11000, \"errmsg\": \"x\", " \
                       "\"keyPattern\": {\"" key "\": 1}}]}"
#define CONCERN(code) ", \"writeConcernError\": {\"code\": " #code ", \"errmsg\": \"x\"}}"
    static const struct {
        const char *json;
        uint32_t rows;
        int code;
        struct sl_mongo_tally tally;
        uint32_t unmade;
    } rows[] = {
        {MATCHED(3, 1) ", \"upserted\": [{\"index\": 0, \"_id\": \"a\"}]}", 3, SL_OK, {3, 1, 1, 0, 0}, 0},
        {MATCHED(2, 0) "}",                2, SL_OK,      {2, 0, 0, 0, 0}, 0},
        {MATCHED(1, 1) REFUSED(121),       2, SL_OK,      {1, 1, 0, 1, 0}, 0},
        {MATCHED(1, 1) "}",                2, SL_CLOSED,  {0}, 0},
        {MATCHED(1, 2) "}",                1, SL_CLOSED,  {0}, 0},
        {MATCHED(1, 1) "}",                3, SL_OK,      {1, 1, 0, 0, 2}, 2},
        {MATCHED(1, 1) "}",                3, SL_CLOSED,  {0}, 1},
        {MATCHED(1, 1) REFUSED(112),       2, SL_CLOSED,  {0}, 0},
        {MATCHED(1, 1) REFUSED(50),        2, SL_TIMEOUT, {0}, 0},
        {MATCHED(1, 1) REFUSED(13),        2, SL_CONFIG,  {0}, 0},
        {MATCHED(1, 1) REFUSED(371),       2, SL_CLOSED,  {0}, 0},
        {MATCHED(1, 1) REFUSED(424242),    2, SL_OK,      {1, 1, 0, 1, 0}, 0},
        {MATCHED(0, 0) BOTH(424242, 424242), 2, SL_CONFIG, {0}, 0},
        {MATCHED(0, 0) BOTH(424242, 424243), 2, SL_OK,     {0, 0, 0, 2, 0}, 0},
        {MATCHED(0, 0) BOTH(121, 121),     2, SL_OK,      {0, 0, 0, 2, 0}, 0},
        {MATCHED(1, 1) BOTH(424242, 424242), 3, SL_OK,    {1, 1, 0, 2, 0}, 0},
        {MATCHED(0, 0) DUPLICATE("_id"),   1, SL_CLOSED,  {0}, 0},
        {MATCHED(0, 0) DUPLICATE("mail"),  1, SL_OK,      {0, 0, 0, 1, 0}, 0},
        {MATCHED(1, 1) CONCERN(64),        1, SL_TIMEOUT, {0}, 0},
        {MATCHED(1, 1) CONCERN(91),        1, SL_CLOSED,  {0}, 0},
        {MATCHED(1, 1) CONCERN(2),         1, SL_CLOSED,  {0}, 0},
    };
    // clang-format on
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sl_err err = {0};
        struct sl_mongo_tally tally = {0};
        bson_t *reply = from_json(rows[i].json);
        int rc = sl_mongo_reply_check(reply, rows[i].rows, rows[i].unmade, &tally, &err);
        if (rc != rows[i].code)
            fail_msg("row %zu: %s: %s", i, sl_code_name(rc), err.message);
        if (rc == SL_OK)
            assert_memory_equal(&tally, &rows[i].tally, sizeof tally);
        bson_destroy(reply);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_document),
        cmocka_unit_test(test_full_read),
        cmocka_unit_test(test_tombstone),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_rows_older_than_tombstones_live_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
