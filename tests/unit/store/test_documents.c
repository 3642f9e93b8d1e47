/* Runs and dead letters as documents, without a server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mongo/fields.h"
#include "store/dead_document.h"
#include "store/run_document.h"

#include <cmocka.h>

static void fill_run(struct sl_run *run)
{
    *run = (struct sl_run){.id = "vendors-000042",
                           .feed = "vendors",
                           .number = 42,
                           .full = true,
                           .unsettled = true,
                           .attempt = 3,
                           .execution_id = "chosen",
                           .returned_execution_id = "answered",
                           .created_ms = 1700000000123,
                           .state_ms = 1700000009999,
                           .expires_ms = 1702592009999,
                           .error = "it broke",
                           .entity_count = 2};
    run->entities[0] = (struct sl_run_entity){.name = "VendorsV3",
                                              .counter = 42,
                                              .read = 5000000000,
                                              .dead = 2,
                                              .superseded = 3,
                                              .batches = 1000000,
                                              .finished = true};
    run->entities[1] = (struct sl_run_entity){.name = "Customers"};
}

static void test_run_round_trip(void **state)
{
    (void)state;
    for (int step = SL_RUN_PLANNED; step <= SL_RUN_FAILED; step++) {
        static struct sl_run run, back;
        struct sl_err err = {0};
        bson_t document = BSON_INITIALIZER;
        fill_run(&run);
        run.state = (enum sl_run_state)step;
        sl_run_to_document(&run, 7, &document);
        assert_int_equal(sl_field_int64(&document, "epoch", 0), 7);
        assert_int_equal(sl_run_from_document(&document, &back, &err), SL_OK);
        assert_memory_equal(&run, &back, sizeof run);
        bson_destroy(&document);
    }
}

static void test_run_refused(void **state)
{
    (void)state;
    static struct sl_run run;
    struct sl_err err = {0};
    bson_t *document = BCON_NEW("_id", "r", "state", "dreaming");
    assert_int_equal(sl_run_from_document(document, &run, &err), SL_REJECTED);
    assert_non_null(strstr(err.message, "dreaming"));
    bson_destroy(document);

    document = BCON_NEW("_id", "r", "state", "done");
    bson_t entities;
    SL_ARRAY_BEGIN(document, "entities", &entities);
    for (uint32_t i = 0; i <= SL_RUN_ENTITIES_MAX; i++) {
        char buffer[16];
        const char *key;
        bson_t *one = BCON_NEW("name", "x");
        bson_uint32_to_string(i, &key, buffer, sizeof buffer);
        BSON_APPEND_DOCUMENT(&entities, key, one);
        bson_destroy(one);
    }
    bson_append_array_end(document, &entities);
    assert_int_equal(sl_run_from_document(document, &run, &err), SL_REJECTED);
    bson_destroy(document);
}

/* --- dead letters --- */

static const struct sl_origin origin = {
    .feed = "vendors", .entity = "VendorsV3", .run = "vendors-42", .attempt = 2, .number = 9};

static void letter_of(const struct sl_dead *dead, enum sl_dead_form form, bson_t *ret)
{
    bson_init(ret);
    sl_dead_to_document(&origin, dead, form, 1234, 0, ret);
    assert_true(bson_validate(ret, BSON_VALIDATE_UTF8, NULL));
}

static void test_raw_letter(void **state)
{
    (void)state;
    bson_t letter;
    struct sl_dead dead = {.code = "wrong_columns",
                           .reason = sl_str_of("12 instead of 30"),
                           .file = "Vendors.csv",
                           .line = 77,
                           .row_number = 70,
                           .row = sl_str_of("a,b,\"c\"")};
    letter_of(&dead, SL_DEAD_PLAIN, &letter);
    char *json = bson_as_relaxed_extended_json(&letter, NULL);
    assert_string_equal(
        json, "{ \"_id\" : { \"run\" : \"vendors-42\", \"entity\" : \"VendorsV3\", \"row\" "
              ": 70 }, \"feed\" : \"vendors\", \"entity\" : \"VendorsV3\", \"code\" : "
              "\"wrong_columns\", \"reason\" : \"12 instead of 30\", \"id\" : \"\", "
              "\"file\" : \"Vendors.csv\", \"line\" : 77, \"attempt\" : 2, \"batch\" : 9, "
              "\"at\" : { \"$date\" : \"1970-01-01T00:00:01.234Z\" }, \"row\" : { "
              "\"raw\" : \"a,b,\\\"c\\\"\" }, \"row_as\" : \"raw\" }");
    bson_free(json);
    bson_destroy(&letter);
}

static void test_typed_letter(void **state)
{
    (void)state;
    bson_t letter, *row = BCON_NEW("Name", "x", "n", BCON_INT64(7));
    struct sl_dead dead = {
        .code = "refused",
        .reason = sl_str_of("why"),
        .id = sl_str_of("usmf|V-1"),
        .row = {(const char *)bson_get_data(row), row->len},
        .row_is_bson = true
    };
    letter_of(&dead, SL_DEAD_PLAIN, &letter);
    assert_int_equal(sl_field_int64(&letter, "row.n", 0), 7);
    char id[32];
    sl_field_text(&letter, "_id.row", id, sizeof id); /* its number is not known */
    assert_string_equal(id, "usmf|V-1");
    assert_false(bson_has_field(&letter, "file") || bson_has_field(&letter, "row_bytes"));
    bson_destroy(&letter);

    letter_of(&dead, SL_DEAD_BYTES, &letter);
    assert_true(bson_has_field(&letter, "row.bytes"));
    assert_false(bson_has_field(&letter, "expires_at"));
    bson_destroy(&letter);

    bson_init(&letter);
    sl_dead_to_document(&origin, &dead, SL_DEAD_PLAIN, 1234, 3600 * 1000, &letter);
    assert_int_equal(sl_field_date_ms(&letter, "expires_at"), 3600 * 1000 + 1234);
    bson_destroy(&letter);

    dead.row.length -= 3; /* broken */
    letter_of(&dead, SL_DEAD_PLAIN, &letter);
    assert_true(bson_has_field(&letter, "row.bytes"));
    bson_destroy(&letter);
    bson_destroy(row);
}

/* What a replay needs, and the name of the letter that the row was before. */
static void test_replayed_letter(void **state)
{
    (void)state;
    bson_t letter, *row = BCON_NEW("Name", "x");
    const struct sl_letter_ref was = {.run = "vendors-7", .row_number = 70, .read_at_ms = 5};
    char text[32];
    struct sl_dead dead = {
        .code = "refused",
        .reason = sl_str_of("why"),
        .id = sl_str_of("usmf|V-1"),
        .row = {(const char *)bson_get_data(row), row->len},
        .row_is_bson = true,
        .versioned = true,
        .op = SL_UPSERT,
        .version = 77,
        .changed_at_ms = 88,
        .letter = &was
    };
    letter_of(&dead, SL_DEAD_PLAIN, &letter);
    sl_field_text(&letter, "_id.run", text, sizeof text);
    assert_string_equal(text, "vendors-7");
    assert_int_equal(sl_field_int64(&letter, "_id.row", 0), 70);
    sl_field_text(&letter, "replay", text, sizeof text);
    assert_string_equal(text, origin.run);
    sl_field_text(&letter, "op", text, sizeof text);
    assert_string_equal(text, "upsert");
    sl_field_text(&letter, "row_as", text, sizeof text);
    assert_string_equal(text, "columns");
    assert_int_equal(sl_field_int64(&letter, "v", 0), 77);
    assert_int_equal(sl_field_date_ms(&letter, "changed_at"), 88);
    assert_int_equal(sl_field_date_ms(&letter, "read_at"), 5);
    assert_false(sl_field_bool(&letter, "row_cut"));
    bson_destroy(&letter);
    bson_destroy(row);
}

static void test_large_letters(void **state)
{
    (void)state;
    enum { BYTES = SL_DEAD_ROW_BYTES + 1001 };
    char *text = malloc(BYTES + 1);
    for (int i = 0; i < BYTES; i += 2)
        memcpy(text + i, "é", 2);
    struct sl_dead dead = {
        .code = "too_large", .row_number = 1, .row = {text + 1, BYTES - 1}
    };
    bson_t letter, view;
    bson_iter_t at, child;

    dead.row.at = text; /* the cut falls between characters */
    letter_of(&dead, SL_DEAD_PLAIN, &letter);
    assert_int_equal(sl_field_int64(&letter, "row_bytes", 0), BYTES - 1);
    assert_true(sl_field_bool(&letter, "row_cut"));
    assert_true(bson_iter_init(&at, &letter) && bson_iter_find_descendant(&at, "row.raw", &child));
    uint32_t length;
    bson_iter_utf8(&child, &length);
    assert_true(length <= SL_DEAD_ROW_BYTES && length > SL_DEAD_ROW_BYTES - 4);
    bson_destroy(&letter);

    dead.row.at = text + 1; /* starts within a character: not UTF-8, kept as bytes */
    letter_of(&dead, SL_DEAD_PLAIN, &letter);
    assert_true(bson_iter_init(&at, &letter) && bson_iter_find_descendant(&at, "row.raw", &child));
    assert_true(BSON_ITER_HOLDS_BINARY(&child));
    bson_destroy(&letter);

    text[BYTES - 1] = '\0';
    bson_t *row = BCON_NEW("first", BCON_INT32(1), "huge", BCON_UTF8(text), "last", BCON_INT32(2));
    dead.row = (struct sl_str){(const char *)bson_get_data(row), row->len};
    dead.row_is_bson = true;
    letter_of(&dead, SL_DEAD_PLAIN, &letter);
    assert_true(sl_field_document(&letter, "row", &view));
    assert_true(bson_has_field(&view, "first") && bson_has_field(&view, "last"));
    assert_false(bson_has_field(&view, "huge"));
    bson_destroy(&letter);
    bson_destroy(row);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run_round_trip), cmocka_unit_test(test_run_refused),
        cmocka_unit_test(test_raw_letter),     cmocka_unit_test(test_typed_letter),
        cmocka_unit_test(test_large_letters),  cmocka_unit_test(test_replayed_letter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
